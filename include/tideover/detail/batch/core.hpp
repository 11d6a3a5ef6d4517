// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/batch_processor_options.hpp>
#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/batch/block.hpp>
#include <tideover/detail/batch/machine.hpp>
#include <tideover/detail/batch/state.hpp>
#include <tideover/detail/batch/stripes.hpp>
#include <tideover/detail/computation.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/retryable.hpp>
#include <tideover/result.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace tideover::inline v0::detail {

/// What a sink said: one outcome for all it was given, or one for each.
struct batch_reply {
  bool each = false;
  outcome all{};
  std::vector<outcome> answers{};
};

template <class F, class Item>
inline constexpr bool is_batch_sink = [] {
  if constexpr (std::is_invocable_v<F&, std::span<Item>>) {
    using R = std::remove_cvref_t<std::invoke_result_t<F&, std::span<Item>>>;
    return std::is_void_v<R> || std::is_same_v<R, outcome> || std::is_same_v<R, result<void>> ||
           std::is_same_v<R, std::vector<outcome>>;
  } else {
    return false;
  }
}();

template <class Item>
struct batch_sink {
  batch_sink() = default;
  batch_sink(batch_sink const&) = delete;
  batch_sink& operator=(batch_sink const&) = delete;
  virtual ~batch_sink() = default;
  virtual void give(std::span<Item> items, batch_reply& reply) = 0;
};
template <class Item, class F>
struct batch_sink_of final : batch_sink<Item> {
  static_assert(is_batch_sink<F, Item>,
                "tideover::batch_processor: a sink takes a std::span<Item>, and returns nothing, a "
                "tideover::outcome or tideover::result<void> for all, or a std::vector<tideover::outcome>");
  template <class G>
  explicit batch_sink_of(G&& g) : f(std::forward<G>(g)) {}
  void give(std::span<Item> items, batch_reply& reply) override {
    using R = std::remove_cvref_t<std::invoke_result_t<F&, std::span<Item>>>;
    if constexpr (std::is_void_v<R>) {
      std::invoke(f, items);
    } else if constexpr (std::is_same_v<R, outcome>) {
      reply.all = std::invoke(f, items);
    } else if constexpr (std::is_same_v<R, result<void>>) {
      if (R const r = std::invoke(f, items); !r) reply.all = outcome(r.error());
    } else {
      reply.answers = std::invoke(f, items);
      reply.each = true;
    }
  }
  F f;
};

/// What the shells share: the machine under its lock, the sink, who runs it and who waits. Held by the batch
/// processor and by everything that runs for it, so that a sink that is left behind finds it.
template <class Types>
class batch_core : public std::enable_shared_from_this<batch_core<Types>> {
 public:
  using item_type = typename Types::item_type;
  using clock_type = typename Types::clock_type;
  using runner_type = typename Types::runner_type;
  using machine_type = batch_machine<Types>;
  using block = typename machine_type::block;
  using effects = typename machine_type::effects;
  using request = typename machine_type::request;
  using waiter = typename machine_type::waiter;
  using plan = typename machine_type::plan;
  using verdict = typename machine_type::verdict;
  using step = typename machine_type::step;

  static constexpr bool owns_threads = std::is_same_v<runner_type, owned_threads>;
  static constexpr bool driven = std::is_same_v<runner_type, hand_driven>;
  /// With an executor, whose threads may be those that wait for room, these work meanwhile.
  static constexpr bool waiters_help = !owns_threads && !driven;
  static constexpr bool simple = std::is_trivially_destructible_v<item_type> && !Types::dedupes;
  static constexpr bool listens = !std::is_same_v<typename Types::listener_type, silent>;

  /// `policies` are the objects that were passed to the batch processor.
  template <class... P>
  batch_core(std::unique_ptr<batch_sink<item_type>> sink, batch_options const& o, P const&... policies)
      : machine_(o, take_policy<typename Types::size_policy>(policies...),
                 take_policy<clock_type>(policies...), this),
        clock_(machine_.clock()),
        o_(o),
        sink_(std::move(sink)),
        runner_(runner_among(o, policies...)),
        measure_(take_policy<typename Types::measure_type>(policies...)),
        ordering_(take_policy<typename Types::ordering_type>(policies...)),
        dedupe_(take_policy<typename Types::dedupe_type>(policies...)),
        backoff_(take_policy<typename Types::backoff_type>(policies...)),
        retryable_(take_policy<typename Types::retryable_type>(policies...)),
        rng_(rng_among(policies...)),
        journal_(take_policy<typename Types::journal_type>(policies...)),
        listener_(take_policy<typename Types::listener_type>(policies...)) {}

  clock_type const& clock() const noexcept { return clock_; }
  typename Types::listener_type& listener() noexcept { return listener_; }

  // ---- Adding ---------------------------------------------------------------------------------------------

  // `x` is an item, const or to be moved from; it is moved from only if it is accepted.

  /// The common case, with nothing but the item to write: false, and nothing has changed, in any other.
  template <class X>
  bool add_quickly(X&& x, [[maybe_unused]] deadline const* until, batch_place& place) {
    auto const put = [&](void* where) { ::new (where) item_type(std::forward<X>(x)); };
    if constexpr (Types::relaxed) {
      if (until != nullptr) return false;
      auto& s = stripes_.own();
      std::lock_guard lock(s.mutex);
      return s.add(put, place);
    } else if constexpr (block::always_plain) {
      if (until != nullptr || o_.item_timeout.count() != 0 || !started_.load(std::memory_order_acquire)) {
        return false;
      }
      std::lock_guard lock(mutex_);
      return machine_.add_quickly(put, place);
    } else {
      return static_cast<void>(put), static_cast<void>(place), false;
    }
  }
  /// In any case. On `no_memory` and the like `why` holds what was thrown.
  template <class X>
  [[gnu::noinline]] batch_answer add(X&& x, deadline const* until, batch_callback* callback, bool ticket,
                                     batch_place& place, failure& why) {
    request q;
    q.ticket = ticket;
    q.callback = callback;
    q.bytes = measure_(std::as_const(x));
    if constexpr (Types::keyed) q.key = ordering_(std::as_const(x));
    if constexpr (Types::dedupes) q.equal = dedupe_(std::as_const(x));
    if (until != nullptr) q.until = until->at;
    if (o_.item_timeout.count() > 0 && q.until == instant::max()) q.until = time() + o_.item_timeout;
    if (!start(why)) return count(why.code == errc::closed ? batch_answer::closed : batch_answer::no_memory);
    if constexpr (Types::journals) {
      if (!append(x, q, why)) return count(batch_answer::unwritten);
    }
    batch_answer a = batch_answer::no_memory;
#if TIDEOVER_EXCEPTIONS
    try {
      a = add_or_wait(std::forward<X>(x), until, q, place);
    } catch (...) {
      retire_rejected(q);
      throw;
    }
#else
    a = add_or_wait(std::forward<X>(x), until, q, place);
#endif
    if (a != batch_answer::accepted) {
      retire_rejected(q);
      count(a);
    }
    return a;
  }

  // ---- Operating ------------------------------------------------------------------------------------------

  bool cancel(batch_place const& p) {
    if (p.state == nullptr || p.state->owner() != this) return false;
    effects e;
    bool done = false;
    {
      auto const lock = stop_all();
      done = machine_.cancel(p, e);
      machine_.serve_waiters(time(), e);
      prepare(e);
    }
    finish(e);
    return done;
  }

  bool flush(deadline const& until) {
    batch_flush f;
    effects e;
    {
      auto const lock = stop_all();
      machine_.begin_flush(f, now(), e);
      prepare(e);
    }
    finish(e);
    {
      struct ending {  // also where a sink ends this thread
        batch_core& core;
        batch_flush& f;
        ~ending() {
          std::lock_guard lock(core.mutex_);
          core.machine_.end_flush(f);
        }
      } const end{*this, f};
      if (!batch_frame::inside(this)) await([&f] { return f.remaining == 0; }, until);
    }
    return f.remaining == 0;
  }

  batch_totals shutdown(std::chrono::nanoseconds patience) {
    effects e;
    instant const until = time() + patience;
    {
      auto const lock = stop_all();
      machine_.close(until, now(), e);
      prepare(e);
    }
    finish(e);
    if (!batch_frame::inside(this)) {
      await([this] { return machine_.pending() == 0; }, deadline{until, {}});
      give_up();
      // What has its outcome is told before this returns; only a sink that is late may be left behind.
      await(
          [this] {
            return telling_ == 0 && active_ == (Types::detaches ? machine_.abandoned() : std::size_t{0});
          },
          deadline{});
    }
    std::lock_guard lock(mutex_);
    return machine_.totals();
  }
  /// After the shutdown: nothing of ours runs any more, or it is left behind.
  void leave() {
    if constexpr (owns_threads) {
      bool busy = false;
      if constexpr (Types::detaches) {
        std::lock_guard lock(mutex_);
        busy = active_ != 0;
      }
      busy ? runner_.detach() : runner_.close();
    }
  }

  void count_no_memory() noexcept { count(batch_answer::no_memory); }
  batch_stats stats() {
    auto const lock = stop_all();
    batch_stats s = machine_.stats();
    s.listener_failures = listener_failures_.load(std::memory_order_relaxed);
    s.callback_failures = callback_failures_.load(std::memory_order_relaxed);
    s.policy_failures = policy_failures_.load(std::memory_order_relaxed);
    return s;
  }
  instant next_deadline() const {
    std::lock_guard lock(mutex_);
    if (!owns_threads && machine_.sendable() && (driven || posted_ == 0)) return instant::min();
    return machine_.next_deadline();
  }
  std::size_t tick() {
    if constexpr (driven) {
      return drive(deadline{});
    } else {
      step_in_time();
      return 0;
    }
  }

 private:
  static constexpr int looks = 256;

  template <class... P>
  static runner_type runner_among(batch_options const& o, P const&... policies) {
    if constexpr (owns_threads && !is_one_of<owned_threads, P...>) {
      return owned_threads(o.max_in_flight, 65'536, "tideover batch");
    } else {
      return static_cast<void>(o), take_policy<runner_type>(policies...);
    }
  }
  template <class... P>
  static typename Types::rng_type rng_among(P const&... policies) {
    if constexpr (Types::retries || is_one_of<typename Types::rng_type, P...>) {
      return take_policy<typename Types::rng_type>(policies...);
    } else {
      return (static_cast<void>(policies), ...,
              typename Types::rng_type(0));  // the system is not asked for a seed
    }
  }
  instant time() const noexcept { return clock_.precise_now(); }
  auto now() const noexcept {
    return [this] { return time(); };
  }

  // ---- Locks ----------------------------------------------------------------------------------------------

  /// For what concerns every open batch.
  auto stop_all() noexcept {
    if constexpr (Types::relaxed) {
      return batch_standstill<Types, machine_type>(stripes_, mutex_, machine_);
    } else {
      return std::lock_guard<spin_mutex>(mutex_);
    }
  }
  /// For what concerns the calling thread's open batch.
  auto stop_own() noexcept {
    using guard = std::lock_guard<spin_mutex>;
    if constexpr (Types::relaxed) {
      struct both {
        guard stripe, machine;
      };
      return both{guard(stripes_.own().mutex), guard(mutex_)};
    } else {
      return guard(mutex_);
    }
  }
  /// `relaxed_bounds`: before a look at the time.
  void seal_lingering([[maybe_unused]] instant at) noexcept {
    if constexpr (Types::relaxed) {
      {
        std::lock_guard lock(mutex_);
        if (!machine_.lingers_over(at)) return;
      }
      effects e;
      {
        auto const lock = stop_all();
        machine_.seal_lingering(at, e);
        prepare(e);
      }
      finish(e);
    }
  }

  // ---- Adding, the long way -------------------------------------------------------------------------------

  batch_answer count(batch_answer a) {
    std::lock_guard lock(mutex_);
    machine_.count(a);
    return a;
  }

  template <class X>
  batch_answer add_or_wait(X&& x, deadline const* until, request& q, batch_place& place) {
    batch_answer a = try_to_add([&](void* where) { ::new (where) item_type(std::forward<X>(x)); }, q, place);
    if constexpr (Types::overflow == when_full::waits || Types::overflow == when_full::runs) {
      if (a == batch_answer::full && !batch_frame::inside(this)) {
        // Who makes room moves the item in: it must be ours to move.
        if constexpr (std::is_lvalue_reference_v<X>) {
          item_type copy(x);
          a = wait_for_room(copy, until, q, place);
        } else {
          a = wait_for_room(x, until, q, place);
        }
      }
    }
    return a;
  }

  template <class Put>
  batch_answer try_to_add(Put&& put, request& q, batch_place& place) {
    for (;;) {
      effects e;
      batch_answer a = batch_answer::full;
      {
        auto const lock = stop_own();
        a = add_held(q, put, place, e);
        prepare(e);
      }
      finish(e);
      if (a != batch_answer::again) return a;
    }
  }

  template <class Put>
  batch_answer add_held(request& q, Put& put, batch_place& place, effects& e) {
    if constexpr (Types::relaxed) {
      return machine_.add_at(stripes_.own(), q, put, now(), place, e);
    } else {
      return machine_.add(q, put, now(), place, e);
    }
  }

  batch_answer wait_for_room(item_type& item, deadline const* until, request& q, batch_place& place) {
    auto const move_in = [&](void* where) { ::new (where) item_type(std::move(item)); };
    instant const begun = time();
    instant const last = std::min(begun + o_.max_block, q.until);
    waiter w;
    w.request = &q;
    w.item = &item;
    for (;;) {
      effects e;
      block* b = nullptr;
      batch_answer a = batch_answer::full;
      {
        auto const lock = stop_all();
        a = add_held(q, move_in, place, e);
        if (a == batch_answer::full) {
          if constexpr (Types::overflow == when_full::runs) {
            b = take(time(), e);
            if (b == nullptr && machine_.pending() != 0 && !machine_.sendable()) {
              // The open batch may be all there is.
              batch_flush all;
              machine_.begin_flush(all, now(), e);
              machine_.end_flush(all);
              b = take(time(), e);
            }
          }
          if (b == nullptr) machine_.enlist(w, now(), e);
        }
        prepare(e);
      }
      finish(e);
      if (a == batch_answer::again) continue;
      if (a != batch_answer::full) return a;
      if (b == nullptr) break;
      run(b);
      look_again();
    }
    return wait_for_answer(w, until, last, q, place);
  }
  batch_answer wait_for_answer(waiter& w, deadline const* until, instant last, request& q,
                               batch_place& place) {
    auto const ring = [&] {
      std::lock_guard lock(waiting_);
      w.changed.notify_all();
      ended_.notify_all();
    };
    std::stop_token const stop = until != nullptr ? until->stop : std::stop_token();
    std::stop_callback<decltype(ring)> const on_stop(stop, ring);
    for (;;) {
      instant wake = last;
      std::uint64_t turn = 0;
      if constexpr (waiters_help) {
        {
          std::lock_guard lock(waiting_);
          turn = turn_;
        }
        // Who is in the queue cannot leave it without a word: here a sink may not end its thread.
        auto const works = [&]() noexcept { return run_next(); };
        while (!over(w, stop, last) && works()) {
        }
        if (over(w, stop, last)) look_again();  // what it leaves is somebody else's
        wake = std::min(last, next_deadline());
      }
      std::unique_lock lock(waiting_);
      while (!w.answered && !stop.stop_requested() && time() < wake && !(waiters_help && turn_ != turn)) {
        clock_.wait_until(waiters_help ? ended_ : w.changed, lock, wake);
      }
      if (w.answered) return answer_of(w, place);
      if (stop.stop_requested() || time() >= last) break;
    }
    effects e;
    bool left = false;
    {
      std::lock_guard lock(mutex_);
      left = w.listed;
      if (left) {
        machine_.delist(w, now(), e);
        prepare(e);
      }
    }
    finish(e);
    if (left) {
      if (stop.stop_requested()) return batch_answer::cancelled;
      return q.until <= time() ? batch_answer::expired : batch_answer::full;
    }
    // The answer has been given, and is on its way.
    std::unique_lock lock(waiting_);
    w.changed.wait(lock, [&] { return w.answered; });
    return answer_of(w, place);
  }
  bool over(waiter const& w, std::stop_token const& stop, instant last) {
    std::lock_guard lock(waiting_);
    return w.answered || stop.stop_requested() || time() >= last;
  }
  static batch_answer answer_of(waiter const& w, batch_place& place) noexcept {
    if (w.answer == batch_answer::accepted) place = w.place;
    return w.answer;
  }

  // ---- The journal ----------------------------------------------------------------------------------------

  template <class X>
  bool append(X const& x, request& q, failure& why) {
#if TIDEOVER_EXCEPTIONS
    try {
      q.entry = journal_.append(x);
      return true;
    } catch (...) {
      why = failure{.code = errc::journal_failed, .retry_after = {}, .cause = std::current_exception()};
      return false;
    }
#else
    q.entry = journal_.append(x);
    return static_cast<void>(why), true;
#endif
  }
  void retire_rejected(request const& q) noexcept {
    // The caller is told why it was rejected; of this only the count tells. A statistic: orders nothing.
    if (retire(q.entry)) policy_failures_.fetch_add(1, std::memory_order_relaxed);
  }
  /// Null, or what it threw.
  std::exception_ptr retire([[maybe_unused]] typename Types::entry_type const& entry) noexcept {
    if constexpr (Types::journals) {
#if TIDEOVER_EXCEPTIONS
      try {
        journal_.retire(entry);
      } catch (...) {
        return std::current_exception();
      }
#else
      journal_.retire(entry);
#endif
    }
    return nullptr;
  }

  // ---- The runner -----------------------------------------------------------------------------------------

  bool start(failure& why) {
    if constexpr (!owns_threads) {
      started_.store(true, std::memory_order_release);
      return static_cast<void>(why), true;
    } else {
      if (started_.load(std::memory_order_acquire)) return true;
      std::lock_guard lock(starting_);
      if (started_.load(std::memory_order_relaxed)) return true;
      bool any = false;
#if TIDEOVER_EXCEPTIONS
      try {
        while (workers_ != runner_.threads()) {
          task work([self = this->shared_from_this()] { self->serve(); });
          if (!runner_.try_post(work)) break;
          any = true;
          ++workers_;
        }
      } catch (...) {
        why.cause = std::current_exception();
      }
#else
      while (workers_ != runner_.threads()) {
        task work([self = this->shared_from_this()] { self->serve(); });
        if (!runner_.try_post(work)) break;
        any = true;
        ++workers_;
      }
#endif
      if (!any) {
        why.code = why.cause ? errc::no_memory : errc::closed;
        return false;
      }
      started_.store(true, std::memory_order_release);
      return true;
    }
  }

  /// Under the lock, before it is let go: who is to be woken, and what is to be posted.
  void prepare(effects& e) noexcept {
    if (e.callbacks.first != nullptr && !e.counted) {
      e.counted = true;
      ++telling_;
    }
    if constexpr (!owns_threads && !driven) {
      if (refused_ && !batch_frame::inside(this)) {
        refused_ = false;
        e.sendable = true;
      }
    }
    if (!e.sendable && !e.earlier && !e.wake_all) return;
    if constexpr (owns_threads) {
      if (e.sendable || e.wake_all) {
        // Relaxed: only a hint to look under the lock. Written by its holder, so nothing is lost.
        hint_.store(hint_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      }
      if (seats_.empty()) return;
      if (e.wake_all) {
        while (batch_seat* const s = seats_.pop_front()) wake(s, e);
      } else if (e.sendable && machine_.sendable()) {
        wake(seats_.pop_front(), e);
      }
      if (e.earlier && !seats_.empty()) {
        instant const t = machine_.next_deadline();
        for (batch_seat* s = seats_.first; s != nullptr; s = s->next) {
          if (s->until <= t) return;
        }
        wake(seats_.pop_front(), e);
      }
    } else if constexpr (!driven) {
      if (machine_.sendable() && posted_ < o_.max_in_flight && !batch_frame::inside(this)) {
        ++posted_;
        e.post = true;
      }
    }
  }
  static void wake(batch_seat* s, effects& e) noexcept {
    s->listed = false;
    s->next = e.woken;
    e.woken = s;
  }

  void serve() {
    batch_seat own;
    instant at = time();
    std::uint64_t seen = 0;
    bool looked = false;
    for (;;) {
      effects e;
      block* b = nullptr;
      bool leaves = false, sleeps = false;
      std::uint32_t hint = 0;
      seal_lingering(at);
      {
        std::lock_guard lock(mutex_);
        machine_.tick(at, e);
        b = take(at, e);
        if (b != nullptr) {
          e.sendable = e.earlier = true;  // one more, or a look at the time, may be for somebody else
        } else if (machine_.drained()) {
          leaves = true;
        } else if (!e.any() && !looked) {
          hint = hint_.load(std::memory_order_relaxed);
        } else if (!e.any()) {
          own.until = machine_.next_deadline();
          if (own.until == instant::max() && o_.linger.count() > 0) {
            // While things come in, it looks once in a while: so who opens a batch need not wake it.
            std::uint64_t const so_far = machine_.accepted();
            if (so_far != seen) own.until = at + o_.linger;
            seen = so_far;
          }
          own.listed = sleeps = true;
          seats_.push_front(&own);
        }
        if (!sleeps) prepare(e);
      }
      finish(e);
      if (b != nullptr) {
        outlook after;
        at = run<true>(b, &after);
        looked = after.nothing && !look_out(after.hint);
        if (after.nothing) at = time();
      } else if (leaves) {
        return;
      } else {
        if (sleeps) {
          sleep(own);
          looked = false;
        } else if (!looked) {
          looked = !look_out(hint);
        }
        at = time();
      }
    }
  }
  /// For about as long as it takes to be put to sleep and woken: under load the next batch is full by then,
  /// and no adder has to pay for waking anybody.
  bool look_out(std::uint32_t hint) const noexcept {
    for (int i = 0; i != looks; ++i) {
      if (hint_.load(std::memory_order_relaxed) != hint) return true;
      spin_mutex::pause();
    }
    return false;
  }
  void sleep(batch_seat& own) {
    bool told = false;
    {
      std::unique_lock lock(waiting_);
      while (!own.signalled && time() < own.until) clock_.wait_until(own.changed, lock, own.until);
      told = std::exchange(own.signalled, false);
    }
    if (told) return;
    bool listed = false;
    {
      std::lock_guard lock(mutex_);
      listed = own.listed;
      if (listed) seats_.erase(&own);
      own.listed = false;
    }
    if (listed) return;
    std::unique_lock lock(waiting_);  // who is to wake us is on its way
    own.changed.wait(lock, [&] { return own.signalled; });
    own.signalled = false;
  }

  void post() noexcept {
    if constexpr (!owns_threads && !driven) {
      bool taken = false;
#if TIDEOVER_EXCEPTIONS
      try {
        task work([self = this->shared_from_this()] { self->run_posted(); });
        taken = runner_.try_post(work);
      } catch (...) {
      }
#else
      task work([self = this->shared_from_this()] { self->run_posted(); });
      taken = runner_.try_post(work);
#endif
      if (taken) return;
      // The next add, tick, flush or shutdown tries again.
      auto const lock = stop_all();
      --posted_;
      refused_ = true;
      // So that any add goes the way on which it is tried.
      started_.store(false, std::memory_order_release);
      if constexpr (Types::relaxed) stripes_.stop_all();
      ++machine_.counters().runner_failures;
    }
  }
  void run_posted() {
    {
      std::lock_guard lock(mutex_);
      --posted_;
    }
    while (run_next()) {
    }
  }
  /// One batch, if one may be sent.
  bool run_next() {
    effects e;
    block* b = nullptr;
    if constexpr (Types::relaxed) seal_lingering(time());
    {
      std::lock_guard lock(mutex_);
      instant const at = time();
      machine_.tick(at, e);
      b = take(at, e);
      if (b != nullptr) e.sendable = true;
      prepare(e);
    }
    finish(e);
    if (b == nullptr) return false;
    run(b);
    return true;
  }
  void step_in_time() {
    effects e;
    if constexpr (Types::relaxed) seal_lingering(time());
    {
      std::lock_guard lock(mutex_);
      machine_.tick(time(), e);
      e.sendable = true;
      if (machine_.sendable()) e.settled = true;  // the executor's threads may be those that wait
      prepare(e);
    }
    finish(e);
  }
  std::size_t drive(deadline const& until) {
    std::size_t ran = 0;
    while (run_next()) {
      ++ran;
      if (until.at != instant::max() && until.passed(time())) {
        look_again();
        break;
      }
    }
    return ran;
  }
  /// Who runs a batch or a callback posts nothing, for it goes on itself; when it does not, what may be sent
  /// by now is somebody else's.
  void look_again() noexcept {
    if constexpr (!owns_threads) {
      if (batch_frame::inside(this)) return;
      effects e;
      {
        std::lock_guard lock(mutex_);
        if (!machine_.sendable()) return;
        e.sendable = e.settled = true;  // who waits in a flush may send it, too
        prepare(e);
      }
      finish(e);
    }
  }

  block* take(instant at, effects& e) noexcept {
    block* const b = machine_.take(at, e);
    if (b != nullptr) ++active_;
    return b;
  }

  // ---- The sink -------------------------------------------------------------------------------------------

  struct judgement {
    plan what = plan::all_delivered;
    bool failed = false;
    std::chrono::nanoseconds delay{0};
    std::size_t delivered = 0, lost = 0;
    std::exception_ptr thrown{};
  };

  /// What a worker that has run a batch knows already: there was nothing more to do when the hint was this.
  struct outlook {
    bool nothing = false;
    std::uint32_t hint = 0;
  };

  /// Gives the batch to the sink until it is settled or has to wait. Returns the time. `GoesOn`: takes the
  /// next one while the lock is held anyway; each turn of the lock costs the adders.
  template <bool GoesOn = false>
  instant run(block* b, [[maybe_unused]] outlook* after = nullptr) {
    departure thread{*this};
    batch_frame const frame(this);
    instant at = time();
    for (;;) {
      auto const size = static_cast<std::size_t>(machine_type::range_end(b) - b->begin);
      batch_event event{.items = size};
      if constexpr (listens) event.trigger = b->trigger, event.attempt = machine_type::attempt(b);
      instant const began = at;
      if (machine_.gave_up() && drop_given_up(b)) [[unlikely]]
        return at;
      thread.in_hand = b;
      judgement j = call(b, size);
      thread.in_hand = nullptr;
      at = time();
      effects e;
      step s = step::done;
      bool over = false;
      block* next = nullptr;
      {
        std::lock_guard lock(mutex_);
        s = machine_.settle(b, j.what, j.failed, j.delay, at - began, at, e);
        if constexpr (GoesOn && simple)
          over = s == step::done && e.callbacks.first == nullptr && !b->has_results && !b->somebody_waits();
        if (over) {
          // Nobody's function is run here: such items have no destructor, and nothing is to be told.
          b->clear();
          if (b->give_back()) {
            b->forget();
            machine_.recycle(b);
          }
          machine_.tick(at, e);
          // What has lingered is sealed on the way to the next one.
          if (!Types::relaxed || !machine_.lingers_over(at)) next = machine_.take(at, e);
          e.earlier = next != nullptr;  // who takes that cannot look at the time
          if (!listens && next == nullptr) {
            --active_;
            if (machine_.closed()) e.settled = true;
          }
        }
        prepare(e);
        if constexpr (GoesOn) {
          if (over && next == nullptr && !machine_.closed() &&
              !(Types::relaxed && machine_.lingers_over(at))) {
            *after = {true, hint_.load(std::memory_order_relaxed)};
          }
        }
      }
      if (!over && s != step::later) b->tell();
      finish(e);
      if constexpr (listens) {
        event.delivered = j.delivered;
        event.failed = j.lost;
        event.took = at - began;
        event.cause = j.thrown;
        hear(event);
      }
      if (s == step::again) continue;
      if (over) {
        if (next == nullptr) {
          if constexpr (listens) count_out();
          return at;
        }
        b = next;
        continue;
      }
      if (s == step::done) dispose(b);
      count_out();
      return at;
    }
  }

  /// Whether a shutdown has settled it since it was taken: then it is not sent.
  TIDEOVER_COLD bool drop_given_up(block* b) noexcept {
    effects e;
    {
      std::lock_guard lock(mutex_);
      if (!b->abandoned) return false;
      machine_.take_back(b, now(), e);
      prepare(e);
    }
    finish(e);
    dispose(b);
    count_out();
    return true;
  }

  /// If the sink ends its thread, that passes through here: the batch has failed, and what else may be sent
  /// is posted, as from any thread that is not inside of a batch.
  struct departure {
    batch_core& core;
    block* in_hand = nullptr;
    ~departure() {
      if (in_hand != nullptr) core.give_back_failed(in_hand);
    }
  };
  void give_back_failed(block* b) noexcept {
    outcome const lost(errc::sink_failed);
    step s = step::again;
    while (s == step::again) {
      auto const size = static_cast<std::size_t>(machine_type::range_end(b) - b->begin);
      for_each_of(b, size, [&](std::uint32_t i) { fail(b, i, verdict::failed, lost); });
      batch_event event{.trigger = b->trigger, .items = size, .failed = size};
      event.attempt = machine_type::attempt(b);
      instant const at = time();
      effects e;
      {
        std::lock_guard lock(mutex_);
        s = machine_.settle(b, plan::as_judged, true, {}, {}, at, e);
        prepare(e);
      }
      b->tell();
      finish(e);
      if constexpr (listens) hear(event);
    }
    dispose(b);
    count_out();
  }

  /// Calls the sink and judges what it says. The batch is ours, but for what a shutdown settles meanwhile.
  /// Throws nothing; but its thread may end.
  judgement call(block* b, std::size_t size) {
    judgement j;
    batch_reply reply;
    bool too_large = false;
#if TIDEOVER_EXCEPTIONS
    try {
      sink_->give(std::span<item_type>(b->items + b->begin, size), reply);
    } catch (std::system_error const& e) {
      too_large = e.code() == std::errc::message_size;
      j.thrown = std::current_exception();
    } catch (...) {
      if (thread_goes_away()) throw;
      j.thrown = std::current_exception();
    }
    if (j.thrown) {
      reply.each = false;
      reply.all = outcome(failure{.code = errc::sink_failed, .retry_after = {}, .cause = j.thrown});
    }
#else
    sink_->give(std::span<item_type>(b->items + b->begin, size), reply);
#endif
    if (!reply.each && !reply.all.delivered()) {
      too_large = too_large || reply.all.code() == std::errc::message_size;
      judge_all(b, size, reply.all, too_large, j);
    } else if (reply.each && reply.answers.size() != size) {
      outcome const wrong(errc::outcome_mismatch);
      j.what = plan::as_judged;
      j.failed = true;
      j.lost = size;
      for_each_of(b, size, [&](std::uint32_t i) { fail(b, i, verdict::mismatched, wrong); });
    } else if (reply.each) {
      judge_each(b, reply.answers, j);
    } else {
      j.delivered = size;
    }
    if constexpr (Types::journals) retire_delivered(b, size, j);
    if (j.what == plan::as_judged && j.delivered + j.lost != size) {
      if constexpr (Types::retries) {
        std::lock_guard lock(drawing_);
        j.delay = backoff_.delay(machine_type::attempt(b) - 1, rng_);
      }
    }
    return j;
  }
  template <class F>
  static void for_each_of(block* b, std::size_t size, F f) noexcept {
    for (std::uint32_t i = b->begin, n = static_cast<std::uint32_t>(size); n != 0; ++i, --n) f(i);
  }
  void fail(block* b, std::uint32_t i, verdict v, outcome const& o) noexcept {
    b->verdicts[i] = v;
    b->store_result(b->slot_at(i), o);
  }
  bool may_retry(block* b, outcome const& o) noexcept {
    if constexpr (Types::retries) {
      if (machine_type::attempt(b) >= o_.max_attempts) return false;
      failure const why{.code = o.code(), .retry_after = {}, .cause = o.cause()};
#if TIDEOVER_EXCEPTIONS
      try {
        return retryable_(why);
      } catch (...) {
        policy_failures_.fetch_add(1, std::memory_order_relaxed);  // a statistic: orders nothing
        return false;
      }
#else
      return retryable_(why);
#endif
    } else {
      return static_cast<void>(b), static_cast<void>(o), false;
    }
  }
  void judge_all(block* b, std::size_t size, outcome const& o, bool too_large, judgement& j) noexcept {
    j.failed = true;
    if (too_large && size > 1) {
      j.what = plan::halve;
      return;
    }
    j.what = plan::as_judged;
    if (!too_large && may_retry(b, o)) {
      for_each_of(b, size, [&](std::uint32_t i) { b->verdicts[i] = verdict::again; });
      return;
    }
    if (Types::bisects && !too_large && size > 1) {
      j.what = plan::bisect;
      return;
    }
    j.lost = size;
    for_each_of(b, size, [&](std::uint32_t i) { fail(b, i, verdict::failed, o); });
  }
  void judge_each(block* b, std::vector<outcome> const& answers, judgement& j) noexcept {
    std::size_t const size = answers.size();
    j.delivered = static_cast<std::size_t>(
        std::count_if(answers.begin(), answers.end(), [](outcome const& o) { return o.delivered(); }));
    if (j.delivered == size) return;
    j.what = plan::as_judged;
    j.failed = true;
    std::uint32_t const first = b->begin;
    for_each_of(b, size, [&](std::uint32_t i) {
      outcome const& o = answers[i - first];
      if (o.delivered()) {
        b->verdicts[i] = verdict::delivered;
      } else if (may_retry(b, o)) {
        b->verdicts[i] = verdict::again;
      } else {
        ++j.lost;
        fail(b, i, verdict::failed, o);
      }
    });
  }
  void retire_delivered(block* b, std::size_t size, judgement& j) noexcept {
    if (j.what == plan::all_delivered) {
      for_each_of(b, size, [&](std::uint32_t i) { b->verdicts[i] = verdict::delivered; });
      j.what = plan::as_judged;
    }
    if (j.what != plan::as_judged) return;
    for_each_of(b, size, [&](std::uint32_t i) {
      if (b->verdicts[i] != verdict::delivered) return;
      std::exception_ptr const thrown = retire(b->extras[i].entry);
      if (!thrown) return;
      --j.delivered;
      ++j.lost;
      fail(b, i, verdict::failed,
           outcome(failure{.code = errc::journal_failed, .retry_after = {}, .cause = thrown}));
    });
  }

  // ---- Afterwards, without the lock -----------------------------------------------------------------------

  void finish(effects& e) noexcept {
    while (e.any()) {
      if (e.woken != nullptr) wake_up(e);
      if (e.answered.first != nullptr || e.settled) tell_waiters(e);
      if (e.post) post();  // an executor may run it here
      if (e.callbacks.first != nullptr) call_back(e);
      if (std::exchange(e.counted, false)) count_told();
      while (block* const b = e.spent.pop_front()) dispose(b);
      e.free_lanes();
      e.removed.reset();
      bool const more = e.more;
      e.clear();
      if (!more) return;
      std::lock_guard lock(mutex_);
      machine_.serve_waiters(time(), e);
      prepare(e);
    }
  }
  void wake_up(effects& e) noexcept {
    std::lock_guard lock(waiting_);
    for (batch_seat* s = e.woken; s != nullptr;) {
      batch_seat* const next = s->next;  // once it is signalled it is not ours to look at
      s->signalled = true;
      s->changed.notify_one();
      s = next;
    }
  }
  void tell_waiters(effects& e) noexcept {
    std::lock_guard lock(waiting_);
    while (waiter* const w = e.answered.pop_front()) {
      w->answered = true;
      w->changed.notify_one();
      if constexpr (waiters_help) ended_.notify_all();
    }
    if (e.settled) {
      ++turn_;
      ended_.notify_all();
    }
  }
  void call_back(effects& e) noexcept {
    call_each(e);
    look_again();
  }
  void call_each(effects& e) noexcept {
    batch_frame const frame(this);
    while (batch_callback* const c = e.callbacks.pop()) {
#if TIDEOVER_EXCEPTIONS
      try {
        c->run();
      } catch (...) {
        callback_failures_.fetch_add(1, std::memory_order_relaxed);  // a statistic: orders nothing
        if constexpr (listens) {
          hear(batch_event{.kind = batch_event_kind::callback_failed, .cause = std::current_exception()});
        }
      }
#else
      c->run();
#endif
      delete c;
    }
  }
  void hear(batch_event const& event) noexcept {
#if TIDEOVER_EXCEPTIONS
    try {
      listener_.on_event(event);
    } catch (...) {
      listener_failures_.fetch_add(1, std::memory_order_relaxed);  // a statistic: orders nothing
    }
#else
    listener_.on_event(event);
#endif
  }
  /// A batch of which nothing is left: its items end here, and unless a ticket needs it, it is used again.
  void dispose(block* b) noexcept {
    b->clear();
    if (!b->give_back()) return;
    b->forget();
    std::lock_guard lock(mutex_);
    machine_.recycle(b);
  }
  void count_out() noexcept {
    bool told = false;
    {
      std::lock_guard lock(mutex_);
      --active_;
      told = machine_.closed();
    }
    if (told) end_of_wait();
  }
  void count_told() noexcept {
    bool told = false;
    {
      std::lock_guard lock(mutex_);
      told = --telling_ == 0 && machine_.closed();
    }
    if (told) end_of_wait();
  }
  void end_of_wait() noexcept {
    std::lock_guard lock(waiting_);
    ++turn_;
    ended_.notify_all();
  }

  // ---- Waiting --------------------------------------------------------------------------------------------

  /// Until `done()`, which is asked under the lock, or `until`. Where no thread of ours works the caller
  /// does.
  template <class Done>
  void await(Done done, deadline const& until) {
    auto const ring = [this] {
      std::lock_guard lock(waiting_);
      ++turn_;
      ended_.notify_all();
    };
    std::stop_callback<decltype(ring)> const on_stop(until.stop, ring);
    for (;;) {
      std::uint64_t turn = 0;
      {
        std::lock_guard lock(waiting_);
        turn = turn_;
      }
      // With an executor too: its threads may be those that wait here.
      if constexpr (!owns_threads) drive(until);
      instant next = instant::max();
      {
        std::lock_guard lock(mutex_);
        if (done()) return;
        if constexpr (!owns_threads) next = machine_.next_deadline();
      }
      if (until.stop.stop_requested() || until.passed(time())) return;
      instant const wake = std::min(until.at, next);
      std::unique_lock lock(waiting_);
      while (turn_ == turn && time() < wake) clock_.wait_until(ended_, lock, wake);
    }
  }
  void give_up() {
    effects e;
    {
      std::lock_guard lock(mutex_);
      machine_.tick(time(), e);
      prepare(e);
    }
    finish(e);
  }

  // An add touches the lock and what stands first in the machine: one cache line.
  alignas(cache_line) mutable spin_mutex mutex_;
  std::atomic<bool> started_{false};
  machine_type machine_;
  [[no_unique_address]] clock_type clock_;
  batch_options const o_;
  std::size_t active_ = 0;   // batches that somebody runs, with the callbacks behind them
  std::size_t telling_ = 0;  // threads that have callbacks to call
  std::size_t posted_ = 0;   // tasks that the executor has taken and not begun
  bool refused_ = false;     // the last of them it has not taken
  batch_list<batch_seat> seats_{};
  std::atomic<std::uint32_t> hint_{0};
  [[no_unique_address]] std::conditional_t<Types::relaxed, batch_stripes<Types>, no_batch_stripes> stripes_{};

  std::mutex waiting_;  // what `answered`, `signalled` and `turn_` are guarded by; never held with the lock
  std::condition_variable ended_;
  std::uint64_t turn_ = 0;
  std::unique_ptr<batch_sink<item_type>> sink_;
  std::mutex starting_;
  std::size_t workers_ = 0;
  runner_type runner_;
  [[no_unique_address]] typename Types::measure_type measure_;
  [[no_unique_address]] typename Types::ordering_type ordering_;
  [[no_unique_address]] typename Types::dedupe_type dedupe_;
  [[no_unique_address]] typename Types::backoff_type backoff_;
  [[no_unique_address]] typename Types::retryable_type retryable_;
  spin_mutex drawing_;
  typename Types::rng_type rng_;
  [[no_unique_address]] typename Types::journal_type journal_;
  [[no_unique_address]] typename Types::listener_type listener_;
  std::atomic<std::uint64_t> callback_failures_{0};
  std::atomic<std::uint64_t> listener_failures_{0};
  std::atomic<std::uint64_t> policy_failures_{0};
};

}  // namespace tideover::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/connection_pool_options.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/pool/budget.hpp>
#include <tideover/detail/pool/idle_store.hpp>
#include <tideover/detail/pool/machine.hpp>
#include <tideover/detail/pool/slot.hpp>
#include <tideover/detail/pool/waiter.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/result.hpp>

#include <boost/assert/source_location.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

namespace tideover::inline v0::detail {

enum class pool_return : unsigned char { good, doubtful, broken };

/// What a lease knows of its pool.
class pool_home {
 public:
  virtual void give_back(pool_slot& s, pool_return how) noexcept = 0;

 protected:
  ~pool_home() = default;
};

/// The object behind its box. Made in place of what `make()` returns: it need not be movable.
template <class T>
struct pool_object final : pool_box {
  template <class Make>
  explicit pool_object(Make&& make) : object(std::forward<Make>(make)()) {}
  T object;
};

/// Which slot this thread had last, for a few pools at once.
struct pool_memory {
  struct entry {
    std::uint64_t pool = 0;
    std::uint32_t slot = no_slot;
  };
  static constexpr std::size_t entries = 4;
  entry all[entries]{};
};
inline constinit thread_local pool_memory remembered_slots{};

/// The threads that serve a pool, as far as they know of it when it is gone.
struct pool_service {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t signals = 0;
  std::size_t present = 0;
};

/// The shell around the machine: lock, gate, threads, user functions. `Kit` names the policies.
template <class Kit>
class pool_core final : public pool_home,
                        public Kit::rules::budget_type::template member<pool_core<Kit>>,
                        public std::enable_shared_from_this<pool_core<Kit>> {
 public:
  using budget_type = typename Kit::rules::budget_type;
  using factory_type = typename Kit::factory_type;
  using connection = typename factory_type::connection;
  using clock_type = typename Kit::clock_type;
  using listener_type = typename Kit::listener_type;
  using runner_type = typename Kit::runner_type;
  using guard_type = typename Kit::guard_type;
  using validation_type = typename Kit::validation_type;
  using store_type = typename Kit::store_type;
  using machine_type =
      pool_machine<store_type, typename Kit::rules, typename Kit::backoff_type, typename Kit::rng_type>;
  using object_type = pool_object<connection>;

  static constexpr bool has_check =
      validation_type::checks && requires(factory_type & f, connection& c, deadline const& d) {
    static_cast<bool>(f.healthy(c, d));
  };
  static constexpr bool has_reset = requires(factory_type & f, connection& c) { f.reset(c); };
  static constexpr bool has_destroy = requires(factory_type & f, connection& c) { f.destroy(c); };
  static constexpr bool listens = !std::is_same_v<listener_type, silent>;
  static constexpr bool serves = std::is_same_v<runner_type, owned_threads>;
  static constexpr bool posts = !serves && !std::is_same_v<runner_type, hand_driven>;
  static constexpr bool remembers = !store_type::exact_order;

  pool_core(pool_options const& o, factory_type factory, clock_type clock, listener_type listener,
            runner_type runner, bool owns_runner, guard_type guard, typename Kit::backoff_type backoff,
            typename Kit::rng_type rng)
      : name_(o.name),
        machine_(std::move(backoff), std::move(rng)),
        clock_(std::move(clock)),
        factory_(std::move(factory)),
        listener_(std::move(listener)),
        guard_(std::move(guard)),
        runner_(std::move(runner)),
        owns_runner_(owns_runner),
        helpless_(!serves && !posts),
        service_(serves || posts ? std::make_shared<pool_service>() : nullptr) {
    machine_.validates(has_check);
    owner own(*this);
    apply(o);
  }
  pool_core(pool_core const&) = delete;
  pool_core& operator=(pool_core const&) = delete;

  // ---- The life of the pool -------------------------------------------------------------------------------

  /// Begins what `min_size` asks for.
  void start() {
    run([&](actions& fx, instant now) { machine_.adjust(now, fx); });
  }
  /// The pool is gone; leases keep what they need.
  void end() noexcept {
    shut_down();
    if constexpr (budget_type::limited) machine_.budget().all().leave(*this);
    if constexpr (serves || posts) {
      std::size_t mine = 0;  // what listens may end a pool from within
      for (working* w = working_; w != nullptr; w = w->below) mine += w->core == this ? 1 : 0;
      std::unique_lock lock(service_->mutex);
      service_->changed.wait(lock, [&] { return service_->present <= mine; });
    }
    if constexpr (serves) {
      if (owns_runner_) runner_.close();
    }
    owner own(*this);
    if (machine_.live() != 0) orphan_ = this->shared_from_this();
  }
  std::size_t close(instant until) {
    shut_down();
    watch(until, [&] { return machine_.live() == 0; });
    owner own(*this);
    return machine_.live();
  }

  // ---- Among others with one budget -----------------------------------------------------------------------

  /// Before `start`.
  void join(std::shared_ptr<pool_budget> budget) noexcept requires(budget_type::limited) {
    pool_budget& all = *budget;
    machine_.budget().belongs_to(std::move(budget), *this);
    all.join(*this);
  }
  instant oldest_spare() noexcept requires(budget_type::limited) {
    owner own(*this);
    return machine_.oldest_spare();
  }
  bool close_spare() noexcept requires(budget_type::limited) {
    bool closed = false;
    run([&](actions& fx) { closed = machine_.close_spare(fx); });
    return closed;
  }
  void open_offered() noexcept requires(budget_type::limited) {
    run([&](actions& fx, instant now) { machine_.use_offer(now, fx); });
  }
  /// Closed, without waiting for anything.
  void stop() noexcept { shut_down(); }
  /// Nothing is here, nothing is lent, and nobody waits.
  bool empty() noexcept {
    owner own(*this);
    return machine_.empty() && machine_.first_waiter() == nullptr;
  }

  // ---- Taking ---------------------------------------------------------------------------------------------

  /// The short way; null: there is none.
  pool_slot* take_fast(boost::source_location const& at) {
    if constexpr (!store_type::is_fast) {
      pool_slot* s = nullptr;
      {
        owner own(*this);
        s = machine_.take_idle(clock_.now());
      }
      if (s != nullptr) lend(*s, at);
      return s;
    } else {
      pool_slot* const s = machine_.store().try_take(machine_.slots(), remembered());
      if (s == nullptr) return nullptr;
      instant const now = clock_.now();
      if (now >= s->expires_at || s->must_check ||
          now.ns - s->proven.ns > fast_.validate_after.load(std::memory_order_relaxed)) [[unlikely]] {
        put_back(*s);
        return nullptr;
      }
      lend(*s, at);
      return s;
    }
  }

  /// `want` slots linked by `job_next`, or why not. `until(now)` is the deadline.
  template <class Until>
  result<pool_slot*> take(std::uint32_t want, Until until, std::stop_token const& stop,
                          boost::source_location const& at) {
    pool_waiter w;
    instant const now = clock_.precise_now();
    w.want = want;
    w.deadline = until(now);
    std::chrono::nanoseconds retry_after{0};
    if (stop.stop_requested()) {
      w.at_once = errc::cancelled;
    } else if constexpr (guard_type::guards) {
      if (w.deadline > now) {
        auto const permit = guard_.try_acquire();
        w.let_through = static_cast<bool>(permit);
        if (!permit) {
          w.at_once = errc::factory_error;
          w.not_asked = true;
          if constexpr (requires { permit.retry_after(); }) retry_after = permit.retry_after();
        }
      }
    }
    // Only who waits does himself what his coming has begun.
    caller who = caller::anybody;
    run(
        [&](actions& fx) {
          machine_.acquire(w, now, fx);
          if (w.queued) who = caller::waiter;
        },
        who);
    if (who == caller::waiter) {
      if (stop.stop_possible()) {
        auto cancel = [&] { this->cancel(w); };
        std::stop_callback<decltype(cancel)> const on_stop(stop, cancel);
        wait(w);
      } else {
        wait(w);
      }
      if (pending_.load(std::memory_order_relaxed) != 0) delegate();
    }
    if (w.granted) {
      for (std::uint32_t i = w.slots; i != no_slot; i = machine_.slots()[i].job_next) {
        lend(machine_.slots()[i], at);
      }
      return &machine_.slots()[w.slots];
    }
    return why_not(w, retry_after);
  }

  // ---- Giving back ----------------------------------------------------------------------------------------

  void give_back(pool_slot& s, pool_return how) noexcept override {
    pool_close_reason why = pool_close_reason::discarded;
    if constexpr (has_reset) {
      if (how != pool_return::broken && !reset(s)) {
        how = pool_return::broken;
        why = pool_close_reason::reset_failed;
      }
    }
    if (fast_.watches.load(std::memory_order_relaxed)) [[unlikely]]
      return give_back_watched(s, how, why);
    if (how == pool_return::good && put_back_quickly(s)) return;
    give_back_slowly(s, how, why, pool_slot::not_leased);
  }

  // ---- Operating ------------------------------------------------------------------------------------------

  void reconfigure(pool_options const& o) {
    run([&](actions& fx, instant now) {
      apply(o);
      machine_.adjust(now, fx);
    });
    signal();
  }
  /// `change(options&)`, of what they are at that moment; `check(options)` may throw.
  template <class Change>
  void change(Change change) {
    pool_options o;
    {
      owner own(*this);
      o = machine_.options();
    }
    change(o);
    reconfigure(o);
  }
  void invalidate() {
    run([&](actions& fx, instant now) {
      machine_.invalidate(now, fx);
      fast_.generation.store(machine_.generation(), std::memory_order_relaxed);
    });
  }
  /// Returns how many are idle.
  std::size_t warm(std::size_t n, instant until) {
    std::size_t idle = 0;
    run([&](actions& fx, instant now) {
      ++warming_;
      machine_.want_idle(std::max(n, machine_.wanted_idle()), now, fx);
    });
    watch(until, [&] {
      idle = machine_.idle();
      return idle >= std::min(n, machine_.most_idle()) || machine_.closed();
    });
    run([&](actions& fx, instant now) {
      idle = machine_.idle();
      if (--warming_ == 0) machine_.want_idle(0, now, fx);
    });
    return idle;
  }
  /// What is due, and, with no threads, what waits to be done. Returns how many jobs it did.
  std::size_t tick() {
    std::size_t done = 0, left = 0;
    bool good = true;
    for (;;) {
      run([&](actions& fx, instant now) { machine_.tick(now, fx); });
      tell_leaks();
      if (!helpless_.load(std::memory_order_relaxed)) return done;
      // What a failure brings about at once is for the next call: there may be no end of it.
      if (good) left = pending_.load(std::memory_order_relaxed);
      pool_slot* const s = left != 0 ? claim(true, true) : nullptr;
      if (s == nullptr) return done;
      good = do_job(*s, nullptr);
      --left;
      ++done;
    }
  }
  instant next_deadline() {
    owner own(*this);
    if (helpless_.load(std::memory_order_relaxed) && machine_.pending() != 0) return instant::min();
    return machine_.next_deadline(clock_.precise_now());
  }
  pool_stats stats() {
    pool_stats s;
    {
      owner own(*this);
      s = machine_.stats();
    }
    s.reset_failures = reset_failures_.load(std::memory_order_relaxed);
    s.destroy_failures = destroy_failures_.load(std::memory_order_relaxed);
    s.listener_failures = listener_failures_.load(std::memory_order_relaxed);
    return s;
  }
  pool_options options() {
    owner own(*this);
    return machine_.options();
  }
  failure last_error() {
    owner own(*this);
    return last_error_;
  }
  std::string const& name() const noexcept { return name_; }
  clock_type const& clock() const noexcept { return clock_; }
  listener_type& listener() noexcept { return listener_; }
  factory_type& factory() noexcept { return factory_; }
  std::chrono::nanoseconds patience() const noexcept {
    return std::chrono::nanoseconds(fast_.patience.load(std::memory_order_relaxed));
  }
  pool_slot& next_granted(pool_slot& s) const noexcept { return machine_.slots()[s.job_next]; }
  static connection& object_in(pool_slot& s) noexcept { return static_cast<object_type*>(s.box)->object; }

 private:
  /// The lock, and with it the gate.
  class owner {
   public:
    explicit owner(pool_core& c) noexcept : core_(c) {
      core_.mutex_.lock();
      core_.machine_.shut();
    }
    owner(owner const&) = delete;
    owner& operator=(owner const&) = delete;
    ~owner() {
      core_.machine_.open_if_quiet();
      core_.mutex_.unlock();
    }

   private:
    pool_core& core_;
  };

  /// Who runs a step, and so which of the jobs that come of it he will do himself.
  enum class caller : unsigned char { anybody, waiter, worker };

  struct actions : pool_effects {
    std::size_t hires = 0;  // threads to be asked for
    bool signal = false;    // one of those that are there sleeps
    bool changed = false;   // somebody watches
    bool starves = false;   // it has begun to lack budget
    bool urgent = false;    // somebody is here who does nothing else before it is done
  };

  /// One event: under the lock, then what comes of it, without.
  template <class Event>
  void run(Event event, caller const& who = caller::anybody) {  // looked at after the event
    actions fx;
    {
      owner own(*this);
      if constexpr (std::is_invocable_v<Event&, actions&>) {
        event(fx);
      } else {
        event(fx, clock_.precise_now());
      }
      plan(fx, who);
    }
    carry_out(fx);
  }

  /// Under the lock: who is to do the new jobs.
  void plan(actions& fx, caller who) noexcept {
    note_pending();
    fx.urgent = who == caller::waiter;
    fx.changed = watchers_ != 0;
    if constexpr (budget_type::limited) {
      fx.starves = machine_.budget().all().want(*this, machine_.starves());
    }
    std::size_t jobs = fx.openings + fx.checks;
    // Who sleeps does not know that there is somebody now for whom to try again.
    instant const retry_at = machine_.retry_at();
    if (jobs == 0 && machine_.rests() && retry_at != instant::max()) {
      if constexpr (serves) fx.signal = idle_workers_ != 0;
      if (alone() && retry_at < told_retry_at_) nudge();
    }
    told_retry_at_ = retry_at;
    if (jobs == 0) return;
    if (helpless_.load(std::memory_order_relaxed)) {
      if (who == caller::anybody) nudge();
      if constexpr (!serves && !posts) return;
      // What was refused a thread is offered again with what is new.
      if constexpr (posts) jobs = machine_.pending();
    }
    if (who == caller::waiter) jobs = std::min(jobs, fx.openings);
    if (who == caller::worker) --jobs;
    if constexpr (serves) {
      // One that sleeps can be called for one job only, however long it takes to wake up.
      if (jobs != 0 && idle_workers_ > called_workers_) {
        ++called_workers_;
        fx.signal = true;
        --jobs;
      }
      std::size_t const most = std::min(machine_.options().max_connecting, machine_.options().max_size) + 1;
      fx.hires = std::min(jobs, most > workers_ ? most - workers_ : 0);
      workers_ += fx.hires;
    } else {
      fx.hires = jobs;
    }
  }
  /// Under the lock: those who wait are to look for work again, and for the time. All, since some may be
  /// busy.
  void nudge() noexcept {
    for (pool_ticket* t = machine_.first_waiter(); t != nullptr; t = t->next) {
      static_cast<pool_waiter*>(t)->nudge();
    }
  }
  /// Under the lock, when jobs have come or gone.
  void note_pending() noexcept {
    pending_.store(machine_.pending(), std::memory_order_relaxed);
    // Those that no thread was found for are done: the next are offered to threads again.
    if ((serves || posts) && machine_.pending() == 0) helpless_.store(false, std::memory_order_relaxed);
  }

  void carry_out(actions& fx, pool_event const* first = nullptr) noexcept {
    for (pool_ticket* t = fx.woken; t != nullptr;) {
      auto& w = static_cast<pool_waiter&>(*t);
      t = t->next;
      w.tell();
    }
    if constexpr (budget_type::limited) {
      pool_budget& all = machine_.budget().all();
      all.dispatch();
      if (fx.starves || fx.spares) all.make_room();
    }
    if (fx.changed) tell_watchers();
    if (fx.signal) signal();
    if (fx.hires != 0) hire(fx.hires, fx.urgent);
    if (first != nullptr) tell(*first);
    for (pool_box* b = fx.doomed; b != nullptr;) {
      pool_box& box = *b;
      b = b->next;
      destroy(box);
    }
  }

  void tell_watchers() noexcept {
    std::lock_guard lock(watch_mutex_);
    ++watch_version_;
    watch_changed_.notify_all();
  }

  void apply(pool_options const& o) {
    pool_options own = o;
    own.name = name_;
    machine_.configure(own);
    bool const by_age = has_check && o.validate_after_idle.count() >= 0;
    fast_.validate_after.store(by_age ? o.validate_after_idle.count() : INT64_MAX, std::memory_order_relaxed);
    bool const watches = o.leak_after.count() > 0;
    if (watches && !fast_.watches.load(std::memory_order_relaxed)) machine_.forget_leases();
    fast_.watches.store(watches, std::memory_order_relaxed);
    fast_.leak_after.store(o.leak_after.count(), std::memory_order_relaxed);
    fast_.connect_timeout.store(o.connect_timeout.count(), std::memory_order_relaxed);
    fast_.check_timeout.store(o.check_timeout.count(), std::memory_order_relaxed);
    fast_.patience.store(o.acquire_timeout.count(), std::memory_order_relaxed);
  }
  void shut_down() noexcept {
    {
      actions fx;
      {
        owner own(*this);
        machine_.close(fx);
        plan(fx, caller::anybody);
      }
      carry_out(fx);
    }
    stop_.request_stop();
    signal();
  }

  // ---- Taking ---------------------------------------------------------------------------------------------

  std::uint32_t remembered() const noexcept {
    if constexpr (remembers) {
      auto const& e = remembered_slots.all[id_ % pool_memory::entries];
      if (e.pool == id_) return e.slot;
    }
    return no_slot;
  }
  void lend(pool_slot& s, boost::source_location const& at) noexcept {
    if constexpr (remembers) remembered_slots.all[id_ % pool_memory::entries] = {id_, s.index};
    if (fast_.watches.load(std::memory_order_relaxed)) [[unlikely]] {
      s.file.store(at.file_name(), std::memory_order_relaxed);
      s.function.store(at.function_name(), std::memory_order_relaxed);
      s.line.store(at.line(), std::memory_order_relaxed);
      s.tag.store(nullptr, std::memory_order_relaxed);
      // Release: who looks for leaks and sees the time sees the rest.
      s.leased_since.store(clock_.precise_now().ns, std::memory_order_release);
    }
  }
  TIDEOVER_COLD void put_back(pool_slot& s) {
    run([&](actions& fx, instant now) { machine_.put_back(s, now, fx); });
  }
  void cancel(pool_waiter& w) {
    bool cancelled = false;
    run([&](actions& fx, instant now) { cancelled = machine_.cancel(w, errc::cancelled, now, fx); });
    if (cancelled) w.tell();
  }
  failure why_not(pool_waiter const& w, std::chrono::nanoseconds retry_after) {
    failure f{.code = w.refused, .retry_after = retry_after};
    if (w.not_asked) {
      f.cause = not_asked();
    } else if (w.refused == errc::timed_out || w.refused == errc::factory_error) {
      owner own(*this);
      f.cause = last_error_.cause;
    }
    return f;
  }

  void wait(pool_waiter& w) {
    for (bool looked = false;;) {
      if (w.is_done()) return;
      if (pending_.load(std::memory_order_relaxed) != 0 && help(w)) continue;
      if (!looked) {
        looked = true;
        if (w.spin()) return;
      }
      instant until = w.deadline;
      if (alone()) {
        owner own(*this);
        until = std::min(until, machine_.retry_at());
      }
      switch (w.park(clock_, until)) {
        case pool_waiter::parked::done:
          return;
        case pool_waiter::parked::nudged:
          continue;
        case pool_waiter::parked::late:
          break;
      }
      if (instant const now = clock_.precise_now(); now >= w.deadline) {
        bool gave_up = false;
        run([&](actions& fx) { gave_up = machine_.cancel(w, errc::timed_out, now, fx); });
        if (!gave_up) w.await_done();
        return;
      }
      run([&](actions& fx, instant now) { machine_.tick(now, fx); }, caller::waiter);
    }
  }
  /// No thread of ours sees to what is due.
  bool alone() const noexcept {
    return !serves || !owns_runner_ || helpless_.load(std::memory_order_relaxed);
  }
  /// Does a job while it waits anyway: a check, and where there are no threads whatever there is.
  bool help(pool_waiter& w) {
    bool const helpless = helpless_.load(std::memory_order_relaxed);
    if (!helpless && !may_check(w)) {
      if (!std::exchange(w.has_left_checks, true)) delegate();
      return false;
    }
    pool_slot* const s = claim(helpless, true);
    if (s == nullptr) return false;
    do_job(*s, &w);
    return true;
  }
  /// One time-out in all, whatever there is to be checked.
  bool may_check(pool_waiter const& w) const {
    return w.checking.count() < fast_.check_timeout.load(std::memory_order_relaxed) &&
           clock_.precise_now() < w.deadline;
  }
  /// Leaves behind jobs that it would have done.
  TIDEOVER_COLD void delegate() {
    run([&](actions& fx) { fx.openings += machine_.pending(); });
  }

  // ---- Giving back ----------------------------------------------------------------------------------------

  bool reset(pool_slot& s) noexcept {
    if constexpr (has_reset) {
      bool good = true;
#if TIDEOVER_EXCEPTIONS
      try {
        good = ask_reset(s);
      } catch (...) {
        good = false;
      }
#else
      good = ask_reset(s);
#endif
      if (!good) reset_failures_.fetch_add(1, std::memory_order_relaxed);
      return good;
    }
    return true;
  }
  bool ask_reset(pool_slot& s) {
    if constexpr (std::is_convertible_v<decltype(factory_.reset(object_in(s))), bool>) {
      return factory_.reset(object_in(s));
    } else {
      factory_.reset(object_in(s));
      return true;
    }
  }
  /// Without the lock, if nothing is to be done but that.
  bool put_back_quickly(pool_slot& s) noexcept {
    if constexpr (store_type::is_fast) {
      instant const now = clock_.now();
      s.idle_since = now;
      s.proven = now;
      // Each of these changes under the lock only, with the gate shut: put() fails if one does after this
      // look.
      return machine_.store().try_put(machine_.slots(), s, [&] {
        return now < s.expires_at && s.generation == fast_.generation.load(std::memory_order_relaxed) &&
               !s.leaked.load(std::memory_order_relaxed);
      });
    } else {
      return static_cast<void>(s), false;
    }
  }
  /// Where leaks are looked for.
  [[gnu::noinline]] void give_back_watched(pool_slot& s, pool_return how, pool_close_reason why) noexcept {
    // Before it is back: whoever looks for leaks takes it for lent until then, and finds no time.
    std::int64_t const since = s.leased_since.load(std::memory_order_relaxed);
    s.leased_since.store(pool_slot::not_leased, std::memory_order_relaxed);
    // Nobody may have looked in the meantime; then it is told now.
    bool const overdue =
        since != pool_slot::not_leased &&
        (clock_.precise_now() - instant{since}).count() > fast_.leak_after.load(std::memory_order_relaxed);
    if (how == pool_return::good && !overdue && put_back_quickly(s)) return;
    give_back_slowly(s, how, why, since);
  }
  [[gnu::noinline]] void give_back_slowly(pool_slot& s, pool_return how, pool_close_reason why,
                                          std::int64_t since) noexcept {
    // Once it is back nothing of this lease keeps the pool, which may end in another thread.
    std::shared_ptr<pool_core> const alive = this->shared_from_this();
    std::shared_ptr<pool_core>
        last;  // of a pool that is gone, the last lease; dies after everything else here
    actions fx;
    pool_event leak{.kind = pool_event_kind::leak}, recovered{.kind = pool_event_kind::recovered};
    bool was_leak = false, is_leak = false;
    {
      owner own(*this);
      // The precise time is for those who wait: it is they who have deadlines.
      instant const now = machine_.first_waiter() != nullptr ? clock_.precise_now() : clock_.now();
      if (s.leaked.load(std::memory_order_relaxed)) {
        was_leak = true;
        if (since == pool_slot::not_leased) since = s.leased_since.load(std::memory_order_relaxed);
        recovered = leak_event(s, pool_event_kind::recovered, now - instant{since});
        s.leaked.store(false, std::memory_order_relaxed);
      } else if (since != pool_slot::not_leased) {
        auto const held = clock_.precise_now() - instant{since};
        is_leak = was_leak = machine_.leaks_after(held);
        if (is_leak) {
          leak = leak_event(s, pool_event_kind::leak, held);
          recovered = leak_event(s, pool_event_kind::recovered, held);
        }
      }
      machine_.give_back(s, how == pool_return::broken, how == pool_return::doubtful, why, now, fx);
      plan(fx, caller::anybody);
      if (machine_.live() == 0) last.swap(orphan_);
    }
    carry_out(fx);
    if (is_leak) tell(leak);
    if (was_leak) tell(recovered);
  }

  // ---- Jobs -----------------------------------------------------------------------------------------------

  pool_slot* claim(bool openings, bool checks) {
    owner own(*this);
    pool_slot* const s = machine_.claim(openings, checks);
    note_pending();
    return s;
  }
  /// False: it failed.
  bool do_job(pool_slot& s, pool_waiter* by) noexcept {
    return s.state == pool_slot_state::opening ? open(s, by) : check(s, by);
  }

  bool open(pool_slot& s, pool_waiter* by) noexcept {
    object_type* made = nullptr;
    failure why{.code = errc::factory_error};
    // Who does it himself has no longer than he has.
    instant const latest = by != nullptr ? by->deadline : instant::max();
    bool refused = false, no_memory = false;
#if TIDEOVER_EXCEPTIONS
    try {
      made = ask_open(why, refused, latest);
    } catch (std::bad_alloc const&) {
      why.cause = std::current_exception();
      no_memory = true;
    } catch (...) {
      why.cause = std::current_exception();
    }
#else
    made = ask_open(why, refused, latest);
#endif
    actions fx;
    pool_event created{.kind = pool_event_kind::created, .pool = name_};
    {
      owner own(*this);
      instant const now = clock_.precise_now();
      auto const retry_after = why.retry_after;
      if (made != nullptr) why = failure{};
      if (!refused) std::swap(last_error_, why);  // what was there dies outside of the lock
      if (made != nullptr) {
        machine_.opened(s, *made, now, fx);
        created.id = machine_.created();
      } else if (refused) {
        machine_.open_refused(s, retry_after, now, fx);
      } else {
        machine_.open_failed(s, no_memory, now, fx, now < latest);
      }
      plan(fx, by != nullptr ? caller::waiter : caller::anybody);
    }
    carry_out(fx, made != nullptr ? &created : nullptr);
    return made != nullptr;
  }
  object_type* ask_open(failure& why, bool& refused, instant latest) {
    if constexpr (guard_type::guards) {
      auto permit = guard_.try_acquire();
      if (!permit) {
        refused = true;
        if constexpr (requires { permit.retry_after(); }) why.retry_after = permit.retry_after();
        return nullptr;
      }
#if TIDEOVER_EXCEPTIONS
      try {
        std::unique_ptr<object_type> made(make(why, latest));
        made != nullptr ? (*permit).succeed() : (*permit).fail();
        return made.release();
      } catch (...) {
        (*permit).fail();
        throw;
      }
#else
      object_type* const made = make(why, latest);
      made != nullptr ? (*permit).succeed() : (*permit).fail();
      return made;
#endif
    } else {
      return make(why, latest);
    }
  }
  /// So that who guards the acquire in turn sees that the other side was not asked.
  static std::exception_ptr not_asked() noexcept {
#if TIDEOVER_EXCEPTIONS
    static std::exception_ptr const cause =
        std::make_exception_ptr(error(tideover::failure{.code = errc::circuit_open}));
    return cause;
#else
    return nullptr;
#endif
  }
  object_type* make(failure& why, instant latest) {
    std::chrono::nanoseconds const patience(fast_.connect_timeout.load(std::memory_order_relaxed));
    deadline const until{std::min(clock_.precise_now() + patience, latest), stop_.get_token()};
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(factory_.connect(until))>, connection>) {
      return new object_type([&]() -> connection { return factory_.connect(until); });
    } else {
      result<connection> got = factory_.connect(until);
      if (!got) {
        why.cause = got.error().cause;
        why.retry_after = got.error().retry_after;
        return nullptr;
      }
      return new object_type([&]() -> connection { return std::move(*got); });
    }
  }

  bool check(pool_slot& s, pool_waiter* by) noexcept {
    instant const begin = clock_.precise_now();
    std::chrono::nanoseconds patience(fast_.check_timeout.load(std::memory_order_relaxed));
    instant until = begin + patience;
    bool good = false;
    bool hurried = false;
    if (by != nullptr) {
      // One time-out in all, whatever there is to be checked.
      instant const latest = std::min(begin + (patience - by->checking), by->deadline);
      hurried = latest < until;
      until = std::min(until, latest);
    }
    if (begin < until) {
      if constexpr (has_check) {
#if TIDEOVER_EXCEPTIONS
        try {
          good = static_cast<bool>(factory_.healthy(object_in(s), deadline{until, stop_.get_token()}));
        } catch (...) {
          good = false;
        }
#else
        good = static_cast<bool>(factory_.healthy(object_in(s), deadline{until, stop_.get_token()}));
#endif
      }
    }
    run(
        [&](actions& fx, instant now) {
          if (by != nullptr) by->checking += now - begin;
          // What was not given its time says nothing of the others.
          machine_.checked(s, good, now, fx, !hurried || now < until);
        },
        by != nullptr ? caller::waiter : caller::anybody);
    return good;
  }

  void destroy(pool_box& b) noexcept {
    auto* const object = static_cast<object_type*>(&b);
    pool_event const gone{.kind = pool_event_kind::closed, .pool = name_, .id = b.id, .reason = b.why};
    std::uint32_t const slot = b.slot;
    if constexpr (has_destroy) {
#if TIDEOVER_EXCEPTIONS
      try {
        factory_.destroy(object->object);
      } catch (...) {
        destroy_failures_.fetch_add(1, std::memory_order_relaxed);
      }
#else
      factory_.destroy(object->object);
#endif
    }
    delete object;
    if (slot != no_slot) {
      run([&](actions& fx, instant now) { machine_.destroyed(slot, now, fx); });
    }
    tell(gone);
  }

  // ---- Threads --------------------------------------------------------------------------------------------

  void signal() noexcept {
    if constexpr (serves) {
      std::lock_guard lock(service_->mutex);
      ++service_->signals;
      service_->changed.notify_all();
    }
  }
  /// `n` more threads, as `plan` has counted them already. Where there are none, those who wait do the work
  /// that is there now.
  TIDEOVER_COLD void hire(std::size_t n, bool urgent) noexcept {
    if constexpr (posts) {
      // An executor may run it at once, and that may come back here; then it is for the call below to go on,
      // or each failure would leave its frames on the stack.
      if (hiring* const below = urgent ? nullptr : hiring_here()) {
        below->more += n;
        return;
      }
      hiring here{this, hiring_, n};
      hiring_ = &here;
      while (here.more != 0) {
        --here.more;
        if (!try_hire()) fall_back();
        if (!here.failed) continue;
        // What a failure brings about at once has no end while a server is down: it is for those who wait,
        // up to their deadlines, and for the next tick.
        fall_back();
        break;
      }
      hiring_ = here.below;
    } else {
      for (; n != 0; --n) {
        if (!try_hire()) fall_back();
      }
    }
  }
  /// An errand that this thread is on.
  struct working {
    pool_core const* core;
    working* below;
  };
  inline static constinit thread_local working* working_ = nullptr;
  /// A call of `hire` that is under way on this thread.
  struct hiring {
    pool_core const* core;
    hiring* below;
    std::size_t more;
    bool failed = false;  // a job that ran at once, on this thread
  };
  inline static constinit thread_local hiring* hiring_ = nullptr;
  hiring* hiring_here() const noexcept {
    hiring* h = hiring_;
    while (h != nullptr && h->core != this) h = h->below;
    return h;
  }
  bool try_hire() noexcept {
#if TIDEOVER_EXCEPTIONS
    try {
      return post();
    } catch (...) {
      return false;
    }
#else
    return post();
#endif
  }
  bool post() {
    if constexpr (serves) {
      // The task may outlive this pool in its last step, not the service.
      task work([this, service = service_] {
        serve();
        std::lock_guard lock(service->mutex);
        --service->present;
        service->changed.notify_all();
      });
      {
        std::lock_guard lock(service_->mutex);
        ++service_->present;
      }
      struct undo {
        pool_service* service;
        ~undo() {
          if (service == nullptr) return;
          std::lock_guard lock(service->mutex);
          --service->present;
        }
      } unless_taken{service_.get()};
      bool const taken = runner_.try_post(work);
      if (taken) unless_taken.service = nullptr;
      return taken;
    } else if constexpr (posts) {
      task work(errand(this->shared_from_this()));
      return runner_.try_post(work);
    } else {
      return false;
    }
  }
  /// One job, whichever there is. If its executor drops it, those who wait do the work.
  class errand {
   public:
    explicit errand(std::shared_ptr<pool_core> core) noexcept : core_(std::move(core)) {}
    errand(errand&&) noexcept = default;
    errand& operator=(errand&&) = delete;
    ~errand() {
      if (core_ != nullptr) core_->fall_back();
    }
    void operator()() {
      auto const service = core_->service_;
      {
        std::lock_guard lock(service->mutex);
        ++service->present;
      }
      working here{core_.get(), working_};
      working_ = &here;
      // Openings first: who waits does the checks.
      pool_slot* s = core_->claim(true, false);
      if (s == nullptr) s = core_->claim(false, true);
      // Of checks there is an end: each that fails costs its object.
      bool const opens = s != nullptr && s->state == pool_slot_state::opening;
      if (s != nullptr && !core_->do_job(*s, nullptr) && opens) {
        if (hiring* const asked_by = core_->hiring_here()) asked_by->failed = true;
      }
      working_ = here.below;
      core_.reset();
      std::lock_guard lock(service->mutex);
      --service->present;
      service->changed.notify_all();
    }

   private:
    std::shared_ptr<pool_core> core_;
  };
  TIDEOVER_COLD void fall_back() noexcept {
    bool watched = false;
    {
      owner own(*this);
      if constexpr (serves) --workers_;
      if (machine_.pending() == 0) return;
      helpless_.store(true, std::memory_order_relaxed);
      nudge();
      watched = watchers_ != 0;
    }
    if (watched) tell_watchers();
  }

  /// What a thread of ours does: jobs while there are some; then one of them stays, and sees to what is due.
  void serve() noexcept {
    bool idle = false;
    for (;;) {
      actions fx;
      pool_slot* job = nullptr;
      instant due = instant::max();
      bool leaves = false;
      std::uint64_t seen = 0;
      {
        std::lock_guard lock(service_->mutex);
        seen = service_->signals;
      }
      {
        owner own(*this);
        if (std::exchange(idle, false)) {
          --idle_workers_;
          if (called_workers_ != 0) --called_workers_;
        }
        job = machine_.claim(true, true);
        if (job != nullptr) {
          note_pending();
        } else if (machine_.closed()) {
          leaves = true;
        } else {
          instant const now = clock_.precise_now();
          machine_.tick(now, fx);
          plan(fx, caller::worker);
          if (fx.openings + fx.checks == 0) {
            due = machine_.next_deadline(now);
            // One stays that can be woken, whatever keeps the others.
            // Others may need those that are not ours.
            leaves = !owns_runner_ || idle_workers_ > called_workers_;
            if (!leaves) {
              idle = true;
              ++idle_workers_;
            }
          }
        }
        if (leaves) --workers_;
      }
      if (job != nullptr) {
        do_job(*job, nullptr);
        continue;
      }
      bool const more = fx.openings + fx.checks != 0;
      carry_out(fx);
      tell_leaks();
      if (leaves) return;
      if (more) continue;
      std::unique_lock lock(service_->mutex);
      while (service_->signals == seen && clock_.precise_now() < due) {
        clock_.wait_until(service_->changed, lock, due);
      }
    }
  }

  /// Waits until `done()`, which is asked under the lock, or until `until`.
  template <class Done>
  void watch(instant until, Done done) {
    {
      owner own(*this);
      ++watchers_;
    }
    bool good = true;
    for (;;) {
      std::uint64_t version = 0;
      {
        std::lock_guard lock(watch_mutex_);
        version = watch_version_;
      }
      bool const helpless = helpless_.load(std::memory_order_relaxed);
      instant next = until;
      {
        owner own(*this);
        if (done()) break;
        if (alone()) next = std::min(until, machine_.retry_at());
      }
      // After a failure there may be no end of what it brings about at once.
      if (helpless && (good || clock_.precise_now() < until)) {
        if (pool_slot* const s = claim(true, true)) {
          good = do_job(*s, nullptr);
          continue;
        }
      }
      instant const now = clock_.precise_now();
      if (now >= until) break;
      if (now >= next) {
        run([&](actions& fx) { machine_.tick(now, fx); });
        continue;
      }
      std::unique_lock lock(watch_mutex_);
      if (version == watch_version_) clock_.wait_until(watch_changed_, lock, next);
    }
    owner own(*this);
    --watchers_;
  }

  // ---- Telling --------------------------------------------------------------------------------------------

  pool_event leak_event(pool_slot const& s, pool_event_kind kind,
                        std::chrono::nanoseconds held) const noexcept {
    return {.kind = kind,
            .pool = name_,
            .id = s.box->id,
            .held = held,
            .taken_at = boost::source_location(s.file.load(std::memory_order_relaxed),
                                               s.line.load(std::memory_order_relaxed),
                                               s.function.load(std::memory_order_relaxed)),
            .tag = s.tag.load(std::memory_order_relaxed)};
  }
  void tell_leaks() noexcept {
    if (!fast_.watches.load(std::memory_order_relaxed)) return;
    for (;;) {
      pool_event leak;
      {
        owner own(*this);
        instant const now = clock_.precise_now();
        auto const [s, since] = machine_.next_leak(now);
        if (s == nullptr) return;
        leak = leak_event(*s, pool_event_kind::leak, now - since);
      }
      tell(leak);
    }
  }
  void tell(pool_event const& e) noexcept {
    if constexpr (listens) {
#if TIDEOVER_EXCEPTIONS
      try {
        listener_.on_event(e);
      } catch (...) {
        listener_failures_.fetch_add(1, std::memory_order_relaxed);
      }
#else
      listener_.on_event(e);
#endif
    } else {
      static_cast<void>(e);
    }
  }

  /// What the paths without the lock read. Written under the lock, with the gate shut.
  struct alignas(cache_line) settings {
    std::atomic<std::uint64_t> generation{0};
    std::atomic<std::int64_t> validate_after{INT64_MAX};
    std::atomic<std::int64_t> patience{0};
    std::atomic<std::int64_t> connect_timeout{0};
    std::atomic<std::int64_t> check_timeout{0};
    std::atomic<bool> watches{false};
    std::atomic<std::int64_t> leak_after{0};
  };
  inline static std::atomic<std::uint64_t> pools_made_{0};

  std::string const name_;
  std::uint64_t const id_ = pools_made_.fetch_add(1, std::memory_order_relaxed) + 1;
  settings fast_;
  machine_type machine_;
  [[no_unique_address]] clock_type clock_;
  alignas(cache_line) spin_mutex mutex_;
  std::atomic<std::size_t> pending_{
      0};  // jobs, as last seen under the lock: whether it is worth asking for one

  [[no_unique_address]] factory_type factory_;
  [[no_unique_address]] listener_type listener_;
  [[no_unique_address]] guard_type guard_;
  runner_type runner_;
  bool const owns_runner_;
  std::atomic<bool> helpless_;  // no threads for what is there now, or at all: those who wait do the work
  std::shared_ptr<pool_service> const service_;
  std::stop_source stop_;

  failure last_error_;                 // these under the lock
  std::shared_ptr<pool_core> orphan_;  // itself, while leases outlive the pool
  std::size_t workers_ = 0;
  std::size_t idle_workers_ = 0;
  std::size_t called_workers_ = 0;          // of those
  instant told_retry_at_ = instant::max();  // what those who wait know of
  std::size_t watchers_ = 0;
  std::size_t warming_ = 0;

  std::mutex watch_mutex_;
  std::condition_variable watch_changed_;
  std::uint64_t watch_version_ = 0;

  std::atomic<std::uint64_t> reset_failures_{0};
  std::atomic<std::uint64_t> destroy_failures_{0};
  std::atomic<std::uint64_t> listener_failures_{0};
};

}  // namespace tideover::inline v0::detail

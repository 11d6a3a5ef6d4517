// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/policy.hpp>

#include <atomic>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#endif

/// The executor axis: where work runs that nobody waits for on the spot. Only an executor starts threads.
namespace tideover::inline v0 {

/// A callable without arguments that is called once; movable, not copyable.
class task {
 public:
  task() noexcept = default;
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, task> && std::is_invocable_v<std::decay_t<F>&>)
  task(F&& f) : body_(std::make_unique<body_of<std::decay_t<F>>>(std::forward<F>(f))) {}

  explicit operator bool() const noexcept { return body_ != nullptr; }
  void operator()() { body_->run(); }

 private:
  struct body {
    virtual ~body() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct body_of final : body {
    explicit body_of(F&& f) : f_(std::move(f)) {}
    explicit body_of(F const& f) : f_(f) {}
    void run() override { f_(); }
    F f_;
  };
  std::unique_ptr<body> body_;
};

/// `try_post(work)` takes a `task` out of the lvalue `work`, to be run once; false: it was not taken (full or
/// closed), nothing of it has run, and `work` is untouched. May be called at once from
/// many threads. It may throw std::bad_alloc; then nothing was taken.
template <class E>
concept executor = policy<E> && std::same_as<typename E::policy_axis, axis::executor> &&
    requires(E& e, task& work) {
  { e.try_post(work) } -> std::same_as<bool>;
};

/// Runs the work at once, on the thread that posts it; what it throws reaches that thread.
struct inline_run {
  using policy_axis = axis::executor;
  static bool try_post(task& work) {
    task taken = std::move(work);
    taken();
    return true;
  }
};

/// Hands the work to `F(task)`: an executor you have already. An F that can refuse takes `task&` and returns
/// a bool; it moves from the task if and only if it takes it, and then says true.
template <class F>
class run_by {
 public:
  using policy_axis = axis::executor;

  run_by() requires std::is_default_constructible_v<F>
  = default;
  explicit run_by(F f) : f_(std::move(f)) {}

  bool try_post(task& work) requires(std::is_invocable_v<F&, task> ||
                                     std::is_invocable_r_v<bool, F&, task&>) {
    if constexpr (std::is_invocable_v<F&, task>) {
      static_assert(
          !std::is_same_v<std::invoke_result_t<F&, task>, bool>,
          "tideover::run_by: a function that can refuse work takes task&, or what it refuses is lost");
      f_(std::move(work));
      return true;
    } else {
      return f_(work);
    }
  }

 private:
  [[no_unique_address]] F f_{};
};

namespace executor_detail {

/// What `owned_threads` and `hand_driven` share: a bounded queue that can be closed.
struct work_queue {
  explicit work_queue(std::size_t limit) : bound(limit) {}
  std::mutex mutex;
  std::deque<task> tasks;
  std::size_t bound;
  bool closed = false;

  bool full_or_closed() const noexcept { return closed || tasks.size() >= bound; }
};

}  // namespace executor_detail

/// No thread: the work waits until `tick()` runs it on the calling thread. For tests, and for programs that
/// have a loop of their own. Copies share one queue of at most `bound` tasks.
class hand_driven {
 public:
  using policy_axis = axis::executor;

  explicit hand_driven(std::size_t bound = 65'536)
      : queue_(std::make_shared<executor_detail::work_queue>(bound)) {}

  bool try_post(task& work) {
    std::lock_guard lock(queue_->mutex);
    if (queue_->full_or_closed()) return false;
    queue_->tasks.push_back(std::move(work));
    return true;
  }

  /// Runs what was waiting when it was called, in order; returns how much that was. What a task throws
  /// reaches the caller, and the tasks behind it wait for the next tick.
  std::size_t tick() {
    std::size_t ran = 0;
    for (std::size_t waiting = pending(); waiting != 0; --waiting) {
      task next;
      {
        std::lock_guard lock(queue_->mutex);
        if (queue_->tasks.empty()) break;
        next = std::move(queue_->tasks.front());
        queue_->tasks.pop_front();
      }
      ++ran;
      next();
    }
    return ran;
  }

  std::size_t pending() const {
    std::lock_guard lock(queue_->mutex);
    return queue_->tasks.size();
  }
  /// When `tick()` has something to do: `instant::min()` (at once) or `instant::max()` (not yet).
  instant next_deadline() const { return pending() != 0 ? instant::min() : instant::max(); }

 private:
  std::shared_ptr<executor_detail::work_queue> queue_;
};

/// A fixed number of threads of its own, started by the first work, with a bounded queue. `close()` takes no
/// more work, runs what is queued and joins the threads; the last copy's destructor does the same. Copies
/// share the threads; a task may not hold the last one. What a task throws is swallowed and counted
/// (`failures`).
///
///     tideover::owned_threads pool{4};
class owned_threads {
 public:
  using policy_axis = axis::executor;

  /// `threads` and `bound`, how much work may wait, count for at least 1; `name` is shown by debuggers, 15
  /// characters at most.
  explicit owned_threads(std::size_t threads = 1, std::size_t bound = 65'536, std::string name = "tideover")
      : crew_(std::make_shared<crew>(threads == 0 ? 1 : threads, bound == 0 ? 1 : bound, std::move(name))) {}

  bool try_post(task& work) { return crew_->try_post(work); }
  /// Idempotent; returns when everything that was taken has run. Not from a task of its own.
  void close() { crew_->close(); }

  /// As `close()`, but waits for nobody: what was taken runs on, on threads that nobody will join.
  void detach() { crew_->detach(crew_); }

  std::size_t threads() const noexcept { return crew_->wanted; }
  std::size_t failures() const noexcept { return crew_->failures.load(std::memory_order_relaxed); }
  std::size_t pending() const {
    std::lock_guard lock(crew_->mutex);
    return crew_->tasks.size();
  }

 private:
  struct crew : executor_detail::work_queue {
    crew(std::size_t n, std::size_t limit, std::string its_name)
        : work_queue(limit), wanted(n), name(std::move(its_name)) {}
    ~crew() { close(); }

    bool try_post(task& work) {
      std::lock_guard lock(mutex);
      if (full_or_closed()) return false;
      // Threads first: if one cannot be started, the work is not taken. One that did start stays, idle.
      while (threads.size() < wanted) {
        threads.reserve(wanted);
        threads.emplace_back([this] { serve(); });
      }
      tasks.push_back(std::move(work));
      ready.notify_one();
      return true;
    }

    void serve() {
#if defined(__linux__)
      ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
#endif
      std::unique_lock lock(mutex);
      for (;;) {
        ready.wait(lock, [&] { return closed || !tasks.empty(); });
        if (tasks.empty()) {
          if (detached == 0 || --detached != 0) return;
          auto const last = std::move(kept);  // after the lock, which is a part of it
          lock.unlock();
          return;
        }
        task next = std::move(tasks.front());
        tasks.pop_front();
        lock.unlock();
        run(next);
        next = task();  // its captures die outside of the lock, before it counts as done
        lock.lock();
      }
    }

    void run(task& next) noexcept {
#if TIDEOVER_EXCEPTIONS
      try {
        next();
      } catch (...) {
        failures.fetch_add(1, std::memory_order_relaxed);  // a statistic: orders nothing
      }
#else
      next();
#endif
    }

    void close() {
      std::lock_guard one_at_a_time(closing);  // a second closer returns when the first has joined them all
      std::vector<std::thread> leaving;
      {
        std::lock_guard lock(mutex);
        closed = true;
        leaving.swap(threads);
      }
      ready.notify_all();
      for (auto& thread : leaving) {
        TIDEOVER_ASSERT(thread.get_id() != std::this_thread::get_id(),
                        "tideover::owned_threads: closed by one of its own tasks");
        thread.join();
      }
    }

    void detach(std::shared_ptr<crew> const& self) {
      std::lock_guard one_at_a_time(closing);
      {
        std::lock_guard lock(mutex);
        closed = true;
        for (auto& thread : threads) thread.detach();
        detached = threads.size();
        threads.clear();
        if (detached != 0) kept = self;
      }
      ready.notify_all();
    }

    std::mutex closing;
    std::shared_ptr<crew> kept;  // by itself, while threads run that nobody joins
    std::size_t detached = 0;    // how many of them
    std::condition_variable ready;
    std::size_t wanted;
    std::string name;
    std::vector<std::thread> threads;
    std::atomic<std::size_t> failures{0};
  };

  std::shared_ptr<crew> crew_;
};

}  // namespace tideover::inline v0

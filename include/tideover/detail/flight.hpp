// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/instant.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>

namespace tideover::inline v0::detail {

class flight;

/// A thread's place in the graph of who waits for whom. There is one graph in a program, also when its shared
/// libraries hide their symbols: a cycle may lead through several of them.
struct [[gnu::visibility("default")]] flight_thread {
  flight_thread() = default;
  flight_thread(flight_thread const&) = delete;
  flight_thread& operator=(flight_thread const&) = delete;
  // A walker holds the graph's mutex while it looks at a thread: leaving takes turns with it.
  inline ~flight_thread();

  flight const* waits_for = nullptr;  // guarded by the graph's mutex
  unsigned leads = 0;                 // flights this thread computes right now; its own
};

[[gnu::visibility("default")]] inline std::mutex& flight_graph_mutex() noexcept {
  static std::mutex mutex;
  return mutex;
}
inline flight_thread::~flight_thread() { std::lock_guard turn(flight_graph_mutex()); }

[[gnu::visibility("default")]] inline flight_thread& this_flight_thread() noexcept {
  thread_local flight_thread self;
  return self;
}

/// How a wait for a flight ended.
enum class flight_end { settled, timed_out, cancelled, recursive };

/// The wait of a caller that has no deadline; a type of its own so that code without deadlines does not pay
/// for stop tokens.
struct no_deadline {};

/// One running computation that others join. The thread that computes it calls `lead`, works, publishes the
/// outcome wherever it is kept, and calls `settle`; others call `wait` and then read the outcome. Who owns
/// the flight decides where outcomes live, who finds which flight, and how long it exists: for as long as
/// anybody leads it or waits for it.
///
/// A wait that would close a cycle (k1 waits for k2 which waits for k1, on one thread or over several) ends
/// with `recursive` instead. Only a thread that itself leads a flight can be part of a cycle, so all others
/// never touch the graph's mutex; edges are added and searched for under it, so the last thread to close a
/// cycle sees all of it.
class flight {
 public:
  flight() = default;
  flight(flight const&) = delete;
  flight& operator=(flight const&) = delete;

  /// This thread computes from now on. The flight must not be settled yet.
  void lead() noexcept {
    flight_thread& self = this_flight_thread();
    ++self.leads;
    // Pairs with the load in leads_to: whoever found the flight under its owner's lock sees the leader.
    leader_.store(&self, std::memory_order_release);
  }
  /// The outcome is where it belongs: everyone who waits may read it. The same thread as `lead`.
  void settle() noexcept {
    step_down();
    {
      std::lock_guard lock(mutex_);
      settled_ = true;
    }
    settled_or_stopped_.notify_all();
  }
  /// As `settle`, when it is certain that nobody joined and nobody can any more.
  void settle_unseen() noexcept {
    step_down();
    settled_ = true;
  }
  /// Makes the flight as new; nobody may lead it or wait for it.
  void renew() noexcept { settled_ = false; }

  template <class Clock>
  flight_end wait(Clock const& clock, no_deadline) {
    graph_edge const edge(*this);
    if (edge.closes_cycle()) return flight_end::recursive;
    std::unique_lock lock(mutex_);
    while (!settled_) clock.wait_until(settled_or_stopped_, lock, instant::max());
    return flight_end::settled;
  }

  template <class Clock>
  flight_end wait(Clock const& clock, deadline const& until) {
    graph_edge const edge(*this);
    if (edge.closes_cycle()) return flight_end::recursive;
    auto const wake = [this] {
      { std::lock_guard lock(mutex_); }  // not between a waiter's test and its sleep
      settled_or_stopped_.notify_all();
    };
    std::optional<std::stop_callback<decltype(wake)>> on_stop;
    if (until.stop.stop_possible()) on_stop.emplace(until.stop, wake);
    std::unique_lock lock(mutex_);
    while (!settled_) {
      if (until.stop.stop_requested()) return flight_end::cancelled;
      if (until.passed(clock.precise_now())) return flight_end::timed_out;
      clock.wait_until(settled_or_stopped_, lock, until.at);
    }
    return flight_end::settled;
  }

 private:
  /// This thread's edge in the graph of waits, for as long as it waits.
  class graph_edge {
   public:
    explicit graph_edge(flight const& target) : self_(this_flight_thread()), counts_(self_.leads != 0) {
      if (!counts_) return;
      std::lock_guard turn(flight_graph_mutex());
      closes_cycle_ = target.leads_to(self_);
      if (!closes_cycle_) self_.waits_for = &target;
    }
    graph_edge(graph_edge const&) = delete;
    graph_edge& operator=(graph_edge const&) = delete;
    ~graph_edge() {
      if (!counts_) return;
      std::lock_guard turn(flight_graph_mutex());
      self_.waits_for = nullptr;
    }
    bool closes_cycle() const noexcept { return closes_cycle_; }

   private:
    flight_thread& self_;
    bool counts_;
    bool closes_cycle_ = false;
  };

  void step_down() noexcept {
    leader_.store(nullptr, std::memory_order_release);
    --this_flight_thread().leads;
  }
  /// Whether the chain of waits that starts here ends at `self`. The graph's mutex is held.
  bool leads_to(flight_thread const& self) const noexcept {
    // A flight that some thread waits for exists; a leader that is not null has not left: it steps down
    // before it exits, and its exit takes the mutex that we hold.
    for (flight const* next = this; next != nullptr;) {
      flight_thread const* const leader = next->leader_.load(std::memory_order_acquire);
      if (leader == nullptr) return false;
      if (leader == &self) return true;
      next = leader->waits_for;
    }
    return false;
  }

  std::mutex mutex_;
  std::condition_variable settled_or_stopped_;
  bool settled_ = false;  // guarded by mutex_
  std::atomic<flight_thread*> leader_{nullptr};
};

/// A flight in a component that belongs to one thread: nobody can wait, so whoever meets it is inside of it.
class lone_flight {
 public:
  void lead() noexcept {}
  void settle() noexcept {}
  void settle_unseen() noexcept {}
  void renew() noexcept {}
  template <class Clock, class Deadline>
  flight_end wait(Clock const&, Deadline const&) noexcept {
    return flight_end::recursive;
  }
};

}  // namespace tideover::inline v0::detail

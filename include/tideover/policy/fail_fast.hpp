// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <utility>

/// The factory_guard axis: what stands between a pool and the factory of its objects.
namespace tideover::inline v0 {

/// What a breaker is to others: `try_acquire()` gives something that is false when it lets nobody through,
/// else points to a permit that can `succeed()` and `fail()`, and that says nothing if it is dropped.
/// `circuit_breaker` models it.
template <class B>
concept breaker_like = requires(B& b) {
  static_cast<bool>(b.try_acquire());
  (*b.try_acquire()).succeed();
  (*b.try_acquire()).fail();
};

template <class G>
concept factory_guard_policy =
    policy<G> && std::same_as<typename G::policy_axis, axis::factory_guard> && requires {
  { G::guards } -> std::convertible_to<bool>;
};

/// The factory is asked whenever its backoff allows.
struct unguarded {
  using policy_axis = axis::factory_guard;
  static constexpr bool guards = false;
};

/// The factory is asked through a breaker, which learns from each attempt. While that rejects, who finds
/// nothing idle fails at once with `errc::factory_error`, rather than waiting for its deadline.
///
///     tideover::circuit_breaker<> db({.name = "db"});
///     tideover::connection_pool pool(my_factory{}, {}, tideover::fail_fast(db));
///
/// Refers to the breaker, which must live as long as the pool and its leases.
template <class Breaker>
class fail_fast {
 public:
  using policy_axis = axis::factory_guard;
  using breaker_type = Breaker;
  static constexpr bool guards = true;

  explicit fail_fast(Breaker& breaker) noexcept : breaker_(&breaker) {
    static_assert(breaker_like<Breaker>,
                  "tideover::fail_fast: see tideover::breaker_like in <tideover/policy/fail_fast.hpp>");
  }
  auto try_acquire() const { return breaker_->try_acquire(); }

 private:
  Breaker* breaker_;
};

}  // namespace tideover::inline v0

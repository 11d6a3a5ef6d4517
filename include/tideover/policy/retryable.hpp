// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/error.hpp>
#include <tideover/policy/policy.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

/// The retryable axis: which failures say "not now" and which say "no".
namespace tideover::inline v0 {

/// `r(why)`: whether a later try may succeed, so that a stale value is a better answer until then. Asked
/// outside of every lock, from many threads at once. What it throws is swallowed and counted, and means no.
template <class R>
concept retryable_policy = policy<R> && std::same_as<typename R::policy_axis, axis::retryable> &&
    requires(R const& r, failure const& why) {
  { r(why) } -> std::convertible_to<bool>;
};

/// Every failure may pass.
struct every_failure {
  using policy_axis = axis::retryable;
  constexpr bool operator()(failure const&) const noexcept { return true; }
};

/// `F(failure const&)` decides. An exception of the computation is `failure::cause`, with
/// errc::computation_failed.
///
///     tideover::retryable_if passing([](tideover::failure const& why) { return why.code !=
///     http_status::gone; });
template <class F>
class retryable_if {
 public:
  using policy_axis = axis::retryable;

  retryable_if() requires std::is_default_constructible_v<F>
  = default;
  explicit retryable_if(F f) : f_(std::move(f)) {}

  bool operator()(failure const& why) const requires std::is_invocable_r_v<bool, F const&, failure const&> {
    return std::invoke(f_, why);
  }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0

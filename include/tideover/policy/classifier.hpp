// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/result.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <system_error>
#include <type_traits>
#include <utility>

/// The classifier axis: what the end of a call says about the one who was called.
namespace tideover::inline v0 {

/// `ignored` says nothing: the call was cancelled, or was turned away before it came to the one in question.
enum class call_outcome : unsigned char { success, failure, ignored };

constexpr char const* to_string(call_outcome o) noexcept {
  switch (o) {
    case call_outcome::success:
      return "success";
    case call_outcome::failure:
      return "failure";
    case call_outcome::ignored:
      return "ignored";
  }
  return "unknown";
}

/// Whether a code says that a call was turned away on its way, by a breaker, a full queue or their like.
inline bool is_rejection(std::error_code const& code) noexcept {
  return code == errc::circuit_open || code == errc::queue_full;
}

/// The same of what was thrown, however often it was wrapped.
inline bool is_rejection(std::exception_ptr thrown) noexcept {
#if TIDEOVER_EXCEPTIONS
  while (thrown) {
    std::exception_ptr inner;
    try {
      std::rethrow_exception(std::move(thrown));
    } catch (error const& e) {
      if (is_rejection(e.code())) return true;
      inner = e.failure().cause;
    } catch (std::system_error const& e) {
      return is_rejection(e.code());
    } catch (...) {
    }
    thrown = std::move(inner);
  }
#else
  static_cast<void>(thrown);
#endif
  return false;
}

/// A classifier answers for exceptions; what it says of values is optional, and a value that it does not take
/// is judged as `by_result` does. It runs on the thread of the call, without a lock, from many threads at
/// once. If it throws, the outcome is `failure`, and the call's own end reaches the caller all the same.
template <class C>
concept classifier_policy = policy<C> && std::same_as<typename C::policy_axis, axis::classifier> &&
    requires(C const& c, std::exception_ptr const& thrown) {
  { c(thrown) } -> std::same_as<call_outcome>;
};

/// The default. Cancelled (`std::errc::operation_canceled`) and turned away (`is_rejection`) is ignored; any
/// other exception, any other failure in a `result`, an `outcome` or a std::error_code is a failure; every
/// other value is a success.
struct by_result {
  using policy_axis = axis::classifier;

  static call_outcome of(std::error_code const& code) noexcept {
    if (!code) return call_outcome::success;
    if (is_rejection(code) || code == std::errc::operation_canceled) return call_outcome::ignored;
    return call_outcome::failure;
  }

  call_outcome operator()(std::exception_ptr const& thrown) const {
#if TIDEOVER_EXCEPTIONS
    try {
      std::rethrow_exception(thrown);
    } catch (error const& e) {
      return of(e.failure());
    } catch (std::system_error const& e) {
      return e.code() ? of(e.code()) : call_outcome::failure;
    } catch (...) {
    }
#else
    static_cast<void>(thrown);
#endif
    return call_outcome::failure;
  }

  template <class T>
  call_outcome operator()(T const& value) const {
    if constexpr (detail::is_result<T>) {
      return value ? call_outcome::success : of(value.error());
    } else if constexpr (std::is_same_v<T, outcome>) {
      if (value.delivered()) return call_outcome::success;
      return of(failure{.code = value.code(), .retry_after = {}, .cause = value.cause()});
    } else if constexpr (std::is_same_v<T, std::error_code>) {
      return of(value);
    } else {
      return call_outcome::success;
    }
  }

 private:
  /// What stands for an exception is judged as that; else the code decides, unless nobody was asked at all.
  call_outcome of(failure const& why) const {
    bool const says = why.code && why.code != errc::computation_failed;
    if (!says && why.cause) return (*this)(why.cause);
    call_outcome const o = why.code ? of(why.code) : call_outcome::failure;
    return o == call_outcome::failure && is_rejection(why.cause) ? call_outcome::ignored : o;
  }
};

/// `F(value)` and `F(thrown)`, a std::exception_ptr, say the outcome, each where `F` takes it; what it does
/// not take is judged as `by_result` does.
///
///     tideover::classify_by by_status([](response const& r) {
///       return r.status >= 500 ? tideover::call_outcome::failure : tideover::call_outcome::success;
///     });
template <class F>
class classify_by {
  static_assert(
      std::disjunction_v<std::is_invocable<F const&, std::exception_ptr const&>,
                         std::negation<std::is_invocable<F const&, std::exception const&>>>,
      "tideover::classify_by: what was thrown comes as a std::exception_ptr, not as a std::exception");

 public:
  using policy_axis = axis::classifier;

  classify_by() requires std::is_default_constructible_v<F>
  = default;
  explicit classify_by(F f) : f_(std::move(f)) {}

  template <class End>
  requires std::is_invocable_v<F const&, End const&> call_outcome operator()(End const& end) const {
    static_assert(std::is_same_v<std::invoke_result_t<F const&, End const&>, call_outcome>,
                  "tideover::classify_by: F returns a tideover::call_outcome");
    return std::invoke(f_, end);
  }
  call_outcome operator()(std::exception_ptr const& thrown) const
      requires(!std::is_invocable_v<F const&, std::exception_ptr const&>) {
    return by_result()(thrown);
  }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0

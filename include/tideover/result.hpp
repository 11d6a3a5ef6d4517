// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/error.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// A value, or the `failure` that stands in its place: what the `try_` verbs return, since C++20 has no
/// std::expected.
///
///     tideover::result<page> r = pages.try_get_or_compute("/", render);
///     if (r) send(*r); else log(r.error().code.message());
///
/// `value()` throws `tideover::error`; if the failure is the user's own exception (`computation_failed` with
/// a cause), `error().cause` holds it. Threads: like a plain value. Copies and moves as T does.
template <class T>
class [[nodiscard]] result {
  static_assert(!std::is_reference_v<T>, "tideover::result: use a pointer or std::reference_wrapper");
  static_assert(!std::is_same_v<std::remove_cv_t<T>, failure>, "tideover::result: a failure is not a value");

 public:
  using value_type = T;

  /// Anything that T can be made of implicitly.
  template <class U = T>
    requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, result> &&
             !std::is_same_v<std::remove_cvref_t<U>, failure>)
  result(U&& value)  // NOLINT(google-explicit-constructor): a value is a result
      : value_(std::in_place, std::forward<U>(value)) {}
  result(failure why) : why_(std::move(why)) {}
  result(errc code) : result(failure{.code = code}) {}
  /// Makes T in place from `arguments`: for values that cannot be moved.
  template <class... Arguments>
    requires std::is_constructible_v<T, Arguments...>
  explicit result(std::in_place_t, Arguments&&... arguments)
      : value_(std::in_place, std::forward<Arguments>(arguments)...) {}

  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value; throws `error` carrying the failure if there is none.
  T& value() & { return checked(), *value_; }
  T const& value() const& { return checked(), *value_; }
  T&& value() && { return checked(), std::move(*value_); }

  /// The value; there must be one.
  T& operator*() & noexcept { return *get(); }
  T const& operator*() const& noexcept { return *get(); }
  T&& operator*() && noexcept { return std::move(*get()); }
  T* operator->() noexcept { return get(); }
  T const* operator->() const noexcept { return get(); }

  template <class U>
  T value_or(U&& other) const& {
    return has_value() ? *get() : static_cast<T>(std::forward<U>(other));
  }
  template <class U>
  T value_or(U&& other) && {
    return has_value() ? std::move(*get()) : static_cast<T>(std::forward<U>(other));
  }

  /// The failure; there must be no value.
  tideover::failure const& error() const noexcept {
    TIDEOVER_ASSERT(!has_value(), "tideover::result::error(): there is a value");
    return why_;
  }
  /// The code of the failure; no error if there is a value.
  std::error_code code() const noexcept { return has_value() ? std::error_code{} : error().code; }
  /// When to try again, zero if unknown or if there is a value.
  std::chrono::nanoseconds retry_after() const noexcept {
    return has_value() ? std::chrono::nanoseconds{0} : error().retry_after;
  }

 private:
  void checked() const {
    if (!has_value()) detail::raise(why_);
  }
  T* get() noexcept {
    TIDEOVER_ASSERT(has_value(), "tideover::result: there is no value");
    return std::addressof(*value_);
  }
  T const* get() const noexcept {
    TIDEOVER_ASSERT(has_value(), "tideover::result: there is no value");
    return std::addressof(*value_);
  }

  // Not a variant: one whose assignment throws may be left with neither.
  std::optional<T> value_;
  tideover::failure why_;
};

/// Done, or the failure in its place.
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;

  result() noexcept = default;
  result(failure why) : failure_(std::move(why)) {}
  result(errc code) : result(failure{.code = code}) {}

  bool has_value() const noexcept { return !failure_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (failure_) detail::raise(*failure_);
  }
  tideover::failure const& error() const noexcept {
    TIDEOVER_ASSERT(!has_value(), "tideover::result::error(): there is a value");
    return *failure_;
  }
  std::error_code code() const noexcept { return has_value() ? std::error_code{} : failure_->code; }
  std::chrono::nanoseconds retry_after() const noexcept {
    return has_value() ? std::chrono::nanoseconds{0} : failure_->retry_after;
  }

 private:
  std::optional<tideover::failure> failure_;
};

namespace detail {
template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<result<T>> = true;
}  // namespace detail

/// How one item of a larger piece of work ended: delivered, or failed with a code and perhaps a cause.
class [[nodiscard]] outcome {
 public:
  /// Delivered.
  outcome() noexcept = default;
  outcome(failure why) : failure_(std::move(why)) {}
  outcome(errc code) : outcome(failure{.code = code}) {}
  outcome(std::error_code code) : outcome(failure{.code = code}) {}

  bool delivered() const noexcept { return !failure_.code && !failure_.cause; }
  explicit operator bool() const noexcept { return delivered(); }
  std::error_code code() const noexcept { return failure_.code; }
  std::exception_ptr const& cause() const noexcept { return failure_.cause; }

 private:
  tideover::failure failure_;
};

}  // namespace tideover::inline v0

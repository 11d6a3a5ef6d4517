// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/expiry.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <ratio>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

namespace detail {

template <class T>
inline constexpr bool is_duration = false;
template <class Rep, class Period>
inline constexpr bool is_duration<std::chrono::duration<Rep, Period>> = true;

/// `d` as a life: what is longer than an instant can tell is for ever, what is not above zero (NaN too) is
/// zero, and what is above is so in nanoseconds as well.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds as_life(std::chrono::duration<Rep, Period> d) noexcept {
  using std::chrono::nanoseconds;
  using factor = std::ratio_divide<Period, std::nano>;
  constexpr double nearly_all = 9.2e18;  // of 2^63 ns, 292 years
  double const estimate =
      static_cast<double>(d.count()) * static_cast<double>(factor::num) / static_cast<double>(factor::den);
  if (!(estimate > 0.0)) return nanoseconds(0);
  if (estimate >= nearly_all) return nanoseconds::max();
  if constexpr (std::is_integral_v<Rep>) {
    // Exact, but for lives of a century in units that are no multiple of a nanosecond.
    if (estimate < nearly_all / static_cast<double>(factor::den)) {
      using wide = std::chrono::duration<std::int64_t, Period>;
      return std::chrono::ceil<nanoseconds>(wide(static_cast<std::int64_t>(d.count())));
    }
  }
  auto const whole = static_cast<std::int64_t>(estimate);
  return nanoseconds(static_cast<double>(whole) < estimate ? whole + 1 : whole);
}

}  // namespace detail

/// Each entry lives for `F(key, value)` from the time it is written, any `std::chrono::duration`; one of zero
/// or less is not stored, one too long to tell is for ever. A put's own TTL goes before, and then `F` is not
/// asked. It is asked once for each value, outside of every lock, from many threads at once; what it throws
/// passes through and nothing has changed. 8 bytes an entry.
///
///     tideover::per_entry by_size([](std::string const&, page const& p) { return p.is_error ? 5s : 1h; });
///     tideover::ttl_cache<std::string, page, decltype(by_size)> pages({}, by_size);
template <class F>
class per_entry {
 public:
  using policy_axis = axis::expiry;
  static constexpr bool expires = true;
  static constexpr bool hits_need_no_lock = true;
  struct hook {
    instant deadline;
  };

  per_entry() requires std::is_default_constructible_v<F>
  = default;
  explicit per_entry(F f) : f_(std::move(f)) {}

  template <class Key, class Value>
  std::chrono::nanoseconds life(Key const& key, Value const& value) const {
    static_assert(std::is_invocable_v<F const&, Key const&, Value const&>,
                  "tideover::per_entry: the function must be callable as F(Key const&, Value const&) const");
    using given = std::remove_cvref_t<std::invoke_result_t<F const&, Key const&, Value const&>>;
    static_assert(detail::is_duration<given>,
                  "tideover::per_entry: the function must return a std::chrono::duration");
    return detail::as_life(std::invoke(f_, key, value));
  }

  static void on_write(hook& h, instant now, std::chrono::nanoseconds life) noexcept {
    h.deadline = now + life;
  }
  static void on_hit(hook&, instant) noexcept {}
  static instant deadline(hook const& h) noexcept { return h.deadline; }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/circuit_breaker_options.hpp>
#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/classifier.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/result.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

/// What stands around a call that a breaker guards.
namespace tideover::inline v0::detail {

/// In place of a member that is not needed; `Which` keeps two of them from being one type, and so from having
/// two addresses.
template <int Which>
struct absent {
  constexpr absent() noexcept = default;
  constexpr explicit absent(std::uint64_t) noexcept {}
};

/// The caller said no deadline: then nobody looks for one.
struct no_caller_deadline {};

/// Until when a call may take: for its caller, and for us, where it was told of that.
template <class Until>
struct call_limits {
  static constexpr bool callers = !std::is_same_v<Until, no_caller_deadline>;

  /// What the call is told: the earlier of the two.
  deadline with(instant at) {
    if constexpr (callers) {
      if (until.at <= at) return until;
      ours = at;
      return {at, until.stop};
    } else {
      ours = at;
      return {at, {}};
    }
  }
  bool stopped() const noexcept {
    if constexpr (callers) return until.stop.stop_requested();
    return false;
  }
  /// The caller's.
  template <class Now>
  bool passed([[maybe_unused]] Now now) const noexcept {
    if constexpr (callers) return until.passed(now());
    return false;
  }

  Until const& until;
  instant ours = instant::max();  // where it is the earlier one
};

template <class F>
inline constexpr bool takes_deadline = std::is_invocable_v<F, deadline>;
template <class F>
concept breaker_callable = takes_deadline<F> || std::is_invocable_v<F>;

template <class F>
struct call_of {
  using type = std::invoke_result_t<F>;
};
template <class F>
  requires takes_deadline<F>
struct call_of<F> {
  using type = std::invoke_result_t<F, deadline>;
};
template <class F>
using call_type = typename call_of<F>::type;

template <class T>
struct try_of {
  using type = result<std::remove_cvref_t<T>>;
};
template <class T>
  requires is_result<std::remove_cvref_t<T>>
struct try_of<T> {
  using type = std::remove_cvref_t<T>;
};
template <class F>
using try_type = typename try_of<call_type<F>>::type;

template <class Fallback, class F>
concept breaker_fallback =
    breaker_callable<F> && std::is_invocable_r_v<call_type<F>, Fallback, std::error_code>;

/// `body()`, and where it throws `caught()`, in the handler; a thread that is being cancelled goes by
/// `unwound()` and goes on.
template <class Body, class Unwound, class Caught>
auto guarded(Body&& body, Unwound&& unwound, Caught&& caught) -> decltype(body()) {
#if TIDEOVER_EXCEPTIONS
  try {
    return body();
  } catch (abi::__forced_unwind&) {
    unwound();
    throw;
  } catch (...) {
    return caught();
  }
#else
  static_cast<void>(unwound);
  static_cast<void>(caught);
  return body();
#endif
}

/// The exception in words: a failure of ours as it is, any other with its code if it has one.
inline failure failure_of(std::exception_ptr const& thrown) {
#if TIDEOVER_EXCEPTIONS
  try {
    std::rethrow_exception(thrown);
  } catch (error const& e) {
    failure why = e.failure();
    if (!why.cause) why.cause = thrown;
    return why;
  } catch (std::system_error const& e) {
    if (e.code()) return {.code = e.code(), .cause = thrown};
  } catch (...) {
  }
#endif
  return {.code = errc::computation_failed, .cause = thrown};
}

/// Why a value is none.
template <class T>
failure failure_of(T const& value) {
  failure why;
  if constexpr (is_result<T>) {
    if (!value) why = value.error();
  } else if constexpr (std::is_same_v<T, outcome>) {
    why = {.code = value.code(), .cause = value.cause()};
  } else if constexpr (std::is_same_v<T, std::error_code>) {
    why.code = value;
  }
  if (!why.code) why.code = errc::computation_failed;
  return why;
}

/// Whether a fallback stands in for a call that came to this end.
inline bool is_replaced(call_outcome o, failure const& why) noexcept {
  if (o != call_outcome::ignored) return o == call_outcome::failure;
  return is_rejection(why.code) || is_rejection(why.cause);
}

/// Random numbers for many threads: each draw is made by a generator of its own, whose seed is drawn once and
/// a count.
template <class Rng, class Locking>
class breaker_draws {
 public:
  explicit breaker_draws(std::uint64_t seed) noexcept : seed_(seed) {}

  template <class F>
  decltype(auto) with(F&& f) {
    std::uint64_t const n = drawn_.fetch_add(1, std::memory_order_relaxed);
    Rng rng(seed_ + n * 0xD1342543DE82EF95u);  // not the step by which generators fill their state
    return f(rng);
  }
  bool below(double p) {
    return with([&](Rng& rng) { return to_unit_interval(rng()) < p; });
  }

 private:
  std::uint64_t seed_;
  typename Locking::template cell<std::uint64_t> drawn_{0};
};

/// What is wrong with the options whatever the policies are, but that slow calls may mean nothing.
TIDEOVER_COLD inline void check_breaker_options(breaker_options const& o, bool sees_slow) {
  using std::to_string;
  auto const refuse = [](char const* field, std::string const& value, char const* bounds) {
    std::string name = "breaker_options.";
    name += field;
    raise_out_of_bounds(name, value, bounds);
  };
  auto const time = [&](char const* field, std::chrono::nanoseconds d, std::chrono::nanoseconds least,
                        char const* bounds) {
    if (d < least) refuse(field, to_string(d.count()) += " ns", bounds);
  };
  auto const number = [&](char const* field, std::uint32_t n, std::uint32_t least, std::uint32_t most,
                          char const* bounds) {
    if (n < least || n > most) refuse(field, to_string(n), bounds);
  };
  auto const real = [&](char const* field, double x, bool good, char const* bounds) {
    if (!good) refuse(field, text_of(x), bounds);  // NaN is never good: it fails every comparison
  };
  using std::chrono::nanoseconds;
  number("failure_threshold", o.failure_threshold, 1, 1'000'000'000, "between 1 and 1000000000");
  time("recovery_timeout", o.recovery_timeout, nanoseconds(1), "above 0 ns");
  time("call_timeout", o.call_timeout, nanoseconds(1), "above 0 ns");
  real("failure_rate", o.failure_rate, o.failure_rate >= 1e-6 && o.failure_rate <= 1,
       "between 0.000001 and 1");
  number("min_calls", o.min_calls, 1, 1'000'000'000, "between 1 and 1000000000");
  time("slow_after", o.slow_after, nanoseconds(0), "0 ns (no call is slow) or above");
  if (!sees_slow && o.slow_after != nanoseconds(0)) {
    refuse("slow_after", to_string(o.slow_after.count()) += " ns",
           "0 ns with this trip policy (see tideover::failure_rate_in_last)");
  }
  real("slow_rate", o.slow_rate, o.slow_rate >= 1e-6 && o.slow_rate <= 1, "between 0.000001 and 1");
  time("window", o.window, std::chrono::milliseconds(1), "1 ms or more");
  number("probes", o.probes, 1, 1000, "between 1 and 1000");
  number("successes", o.successes, 1, 1000, "between 1 and 1000");
  number("tolerated_failures", o.tolerated_failures, 0, 1000, "between 0 and 1000");
  time("probe_lease", o.probe_lease, nanoseconds(0), "0 ns (call_timeout and a second) or above");
  time("ramp_over", o.ramp_over, nanoseconds(1), "above 0 ns");
  real("throttle_factor", o.throttle_factor, o.throttle_factor >= 1 && o.throttle_factor <= 1000,
       "between 1 and 1000");
  real("throttle_most", o.throttle_most, o.throttle_most >= 0 && o.throttle_most <= 0.999,
       "between 0 and 0.999");
}

}  // namespace tideover::inline v0::detail

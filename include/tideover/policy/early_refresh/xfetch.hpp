// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/early_refresh.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>

#include <chrono>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>

namespace tideover::inline v0 {

/// What an operator tunes of `xfetch`. The constructor throws `error(errc::invalid_argument)`, naming field,
/// value and bounds, for anything outside of them.
struct xfetch_options {
  /// How eager: the mean of the random offset is `beta` times the time a computation takes. 0: never early.
  /// Finite, 0 or above; the mean number of unprotected refreshes for each expiry is e^(1/beta).
  double beta = 1.0;
  /// Never earlier than this share of the TTL before the expiry, 0.0 to 1.0. Without it a short TTL would be
  /// all refreshing: one of 10 times the computation is recomputed twice as often at 100 requests for each.
  double max_early = 0.5;
};

/// Probabilistic early expiration: each caller decides alone, at random, whether to refresh a value before it
/// expires; the nearer the expiry, the longer the computation, the likelier. So one caller refreshes while
/// all others go on with the value that is there, and nobody has to agree with anybody (A. Vattani, F.
/// Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8), 2015: XFetch).
///
///     tideover::xfetch early({.beta = 1.0, .max_early = 0.5});
///     if (early(now, soft_expiry, delta, ttl, rng)) refresh();   // now - delta * beta * ln(u) >=
///     soft_expiry
///
/// u is drawn from (0, 1] in steps of 2^-53, so ln u lies between -36.74 and 0: never endless, and u = 1 is
/// never early. Times are int64 nanoseconds and their products doubles: nothing is rounded to coarser units.
/// Stateless; threads: all may ask at once, each with an rng of its own or one that locks. Where no draw is
/// needed it costs a few comparisons.
class xfetch {
 public:
  using policy_axis = axis::early_refresh;
  static constexpr bool refreshes = true;
  /// Above -ln(2^-53): from `longest_reach * beta * delta` before the expiry on no u refreshes.
  static constexpr double longest_reach = 36.8;

  explicit xfetch(xfetch_options o) : options_((check(o), o)) {}
  xfetch() = default;
  /// `xfetch({})` means the defaults; without this it might as well mean a copy of `xfetch()`.
  explicit xfetch(std::initializer_list<xfetch_options*>) noexcept {}

  /// Whether to refresh at `now` a value that expires at `soft_expiry`; from then on it is always due, before
  /// it never with `beta` 0. `delta` is what computing takes, negative or NaN counts as 0; `ttl` is the life
  /// that the value was given. `rng()` gives 64 random bits; it is not asked when the gap is so wide that no
  /// draw could say yes.
  template <class Rep, class Period, class Rng>
  bool operator()(instant now, instant soft_expiry, std::chrono::duration<Rep, Period> delta,
                  std::chrono::nanoseconds ttl, Rng& rng) const noexcept {
    double const gap = static_cast<double>((soft_expiry - now).count());
    if (gap <= 0.0) return true;
    double const cost = std::chrono::duration<double, std::nano>(delta).count();
    double const scale = cost > 0.0 ? options_.beta * cost : 0.0;
    double const widest = options_.max_early * static_cast<double>(ttl.count());
    if (gap > widest || gap > longest_reach * scale) return false;
    double const u = 1.0 - to_unit_interval(rng());
    return -std::log(u) * scale >= gap;
  }

  xfetch_options const& configured() const noexcept { return options_; }

 private:
  static void check(xfetch_options const& o) {
    // NaN fails every comparison.
    if (!(o.beta >= 0.0 && o.beta <= std::numeric_limits<double>::max())) {
      detail::raise_out_of_bounds("xfetch_options.beta", detail::text_of(o.beta), "finite and 0 or above");
    }
    if (!(o.max_early >= 0.0 && o.max_early <= 1.0)) {
      detail::raise_out_of_bounds("xfetch_options.max_early", detail::text_of(o.max_early),
                                  "between 0.0 and 1.0");
    }
  }

  xfetch_options options_{};
};

}  // namespace tideover::inline v0

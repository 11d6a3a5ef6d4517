// SPDX-License-Identifier: BSL-1.0
// What a breaker takes: bytes, and no allocation after it was made.
#include "breaker/common.hpp"
#include "support/allocation_counter.hpp"

namespace {
using namespace tideover;
struct deaf {
  using policy_axis = axis::listener;
  void on_event(breaker_event const&) {}
};
struct by_nothing {
  using policy_axis = axis::classifier;
  call_outcome operator()(std::exception_ptr const&) const noexcept { return call_outcome::failure; }
};
static_assert(sizeof(circuit_breaker<>) == 2 * cache_line);
static_assert(sizeof(circuit_breaker<steady>) == sizeof(circuit_breaker<>));
static_assert(sizeof(circuit_breaker<open_fixed, no_ramp, uncounted, silent>) == sizeof(circuit_breaker<>));
static_assert(sizeof(circuit_breaker<single_threaded>) == sizeof(circuit_breaker<>));
static_assert(sizeof(circuit_breaker<>::permit) == 16);
static_assert(sizeof(circuit_breaker<failure_rate_in_last<100>>) <= 4 * cache_line);
}  // namespace

TEMPLATE_TEST_CASE("nothing is allocated once it is made, whatever happens to it", "[cost]",
                   tideover::consecutive_failures, tideover::failure_rate_in_last<100>,
                   tideover::failure_rate_over<10>, tideover::adaptive_throttle) {
  REQUIRE(allocation_counter::works());
  manual_clock clock;
  circuit_breaker<TestType, manual_clock, deaf, by_nothing, tideover::counting, tideover::ramp<3>,
                  tideover::open_jittered>
      b({.name = "a name that is too long to be kept without an allocation",
         .failure_threshold = 2,
         .min_calls = 5},
        clock);
  allocation_counter const counter;
  std::size_t rejected = 0, passed = 0;
  for (int i = 0; i < 5000; ++i) {
    auto const r = b.try_call(
        [&] { return i % 600 < 300 ? tideover::result<int>(errc::timed_out) : tideover::result<int>(i); });
    r.code() == errc::circuit_open ? ++rejected : ++passed;
    if (auto p = b.try_acquire()) i % 3 == 0 ? p->succeed() : p->ignore();
    clock.advance(1s);
    if (i % 1000 == 999) {
      b.observe(), b.disable(), b.force_open(), b.reset();
      b.reconfigure({.failure_threshold = 2, .min_calls = 7});
      static_cast<void>(b.stats());
    }
  }
  std::size_t const allocations = counter.allocations();
  CHECK(allocations == 0);
  CHECK(rejected > 0);
  CHECK(passed > 0);
}

// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"

namespace {
using breaker = circuit_breaker<manual_clock>;
}

TEST_CASE(
    "E1: closed gives permits; open rejects and says for how long; at that very instant one probe passes") {
  manual_clock clock;
  clock.advance(123'457ns);  // not on the grid of anything
  breaker b({.failure_threshold = 3, .recovery_timeout = 30s}, clock);
  clock.advance(777ns);
  fail_times(b, 2);
  CHECK(b.state() == breaker_state::closed);
  fail_times(b, 1);
  CHECK(b.state() == breaker_state::open);
  CHECK(b.try_acquire().retry_after() == 30s);
  CHECK(b.try_acquire().code() == errc::circuit_open);
  clock.advance(30s - 1ns);
  CHECK(b.try_acquire().retry_after() == 1ns);
  CHECK(b.state() == breaker_state::open);
  clock.advance(1ns);
  CHECK(b.state() == breaker_state::open);  // nobody has asked yet
  auto probe = b.try_acquire();
  REQUIRE(probe);
  CHECK(probe->is_probe());
  CHECK(b.state() == breaker_state::half_open);
  CHECK(b.stats().probes_out == 1);
  CHECK(!b.try_acquire());
  CHECK(b.try_acquire().retry_after() == 0ns);  // unknown: the probe may report at any time
  probe->succeed();
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("E1: a probe that fails opens it again, and the attempts are counted") {
  manual_clock clock;
  circuit_breaker<manual_clock, tideover::open_exponential> b(
      {.failure_threshold = 1, .recovery_timeout = 1s}, clock, tideover::open_exponential{.limit = 5s});
  std::chrono::seconds const spans[] = {1s, 2s, 4s, 5s, 5s};
  fail_times(b, 1);
  unsigned attempt = 0;
  for (auto const span : spans) {
    CHECK(b.stats().attempt == ++attempt);
    CHECK(b.try_acquire().retry_after() == span);
    clock.advance(span);
    fail_times(b, 1);
  }
  clock.advance(5s);
  succeed_times(b, 1);
  CHECK(b.state() == breaker_state::closed);
  fail_times(b, 1);
  CHECK(b.stats().attempt == 1);
  CHECK(b.try_acquire().retry_after() == 1s);
}

TEST_CASE("E1: a probe that does not report in time opens it again, and comes too late") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 10s, .call_timeout = 2s}, clock);
  fail_times(b, 1);
  clock.advance(10s);
  auto lost = b.try_acquire();
  REQUIRE(lost);
  clock.advance(3s - 1ns);  // call_timeout and a second
  CHECK(!b.try_acquire());
  CHECK(b.state() == breaker_state::half_open);
  clock.advance(2ms);  // the lease is kept in steps of a millisecond
  CHECK(b.try_acquire().retry_after() == 10s);
  CHECK(b.state() == breaker_state::open);
  CHECK(b.stats().attempt == 2);
  lost->succeed();
  CHECK(b.state() == breaker_state::open);
  CHECK(b.stats().stale == 1);
}

TEST_CASE("E1: as many probes as are allowed at once, and each renews the lease") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s, .probes = 3, .successes = 5, .probe_lease = 10s},
            clock);
  fail_times(b, 1);
  clock.advance(1s);
  auto p1 = b.try_acquire();
  clock.advance(6s);
  auto p2 = b.try_acquire();
  auto p3 = b.try_acquire();
  REQUIRE((p1 && p2 && p3));
  CHECK(!b.try_acquire());
  clock.advance(6s);  // past the lease of the first, not of the last
  CHECK(!b.try_acquire());
  CHECK(b.state() == breaker_state::half_open);
  p1->succeed();
  p2->ignore();
  CHECK(b.stats().probes_out == 1);
  succeed_times(b, 3);
  CHECK(b.state() == breaker_state::half_open);
  CHECK(!b.try_acquire());  // four have succeeded, one is out: a sixth could not matter
  p3->succeed();
  CHECK(b.state() == breaker_state::closed);
}

namespace {
/// Draws what the test says.
struct scripted {
  using policy_axis = tideover::axis::rng;
  scripted() = default;
  explicit scripted(std::uint64_t) {}
  std::uint64_t operator()() noexcept { return next; }
  static inline std::uint64_t next = 0;
};
}  // namespace

TEST_CASE("E1: a ramp lets a growing share through, level by level, and then everybody") {
  manual_clock clock;
  circuit_breaker<manual_clock, tideover::ramp<4>, scripted> b(
      {.failure_threshold = 2, .recovery_timeout = 1s, .ramp_over = 40s}, clock);
  fail_times(b, 2);
  clock.advance(1s);
  succeed_times(b, 1);
  REQUIRE(b.state() == breaker_state::ramping);
  clock.advance(2ms);
  for (int level = 1; level <= 4; ++level) {
    double const share = level / 5.0;
    scripted::next = static_cast<std::uint64_t>((share - 0.001) * 0x1p64);
    CHECK(admits(b));
    scripted::next = static_cast<std::uint64_t>((share + 0.001) * 0x1p64);
    CHECK(!admits(b));
    CHECK(b.try_acquire().code() == errc::circuit_open);
    clock.advance(10s);
  }
  CHECK(admits(b));
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("E1: what trips a ramp is one attempt more") {
  manual_clock clock;
  scripted::next = 0;  // everybody passes
  circuit_breaker<manual_clock, tideover::ramp<1>, scripted> b(
      {.failure_threshold = 2, .recovery_timeout = 1s, .ramp_over = 40s}, clock);
  fail_times(b, 2);
  clock.advance(1s);
  succeed_times(b, 1);
  REQUIRE(b.state() == breaker_state::ramping);
  fail_times(b, 1);
  succeed_times(b, 1);
  fail_times(b, 1);
  CHECK(b.state() == breaker_state::ramping);
  fail_times(b, 1);
  CHECK(b.state() == breaker_state::open);
  CHECK(b.stats().attempt == 2);
}

TEST_CASE("I4: half open without a report, somebody is admitted again within lease and open time") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 10s, .call_timeout = 5s}, clock);
  fail_times(b, 1);
  clock.advance(10s);
  std::vector<breaker::permit> lost;
  for (int round = 0; round < 20; ++round) {
    auto p = b.try_acquire();
    REQUIRE(p);
    lost.push_back(std::move(*p));
    clock.advance(6s + 2ms);
    CHECK(!b.try_acquire());
    clock.advance(10s);
  }
  lost.clear();
  CHECK(b.stats().stale == 20);
}

TEST_CASE("I8: a half-open breaker admits no more than successes, tolerated failures and ignored ones") {
  for (std::uint32_t successes : {1u, 3u}) {
    for (std::uint32_t tolerated : {0u, 2u}) {
      for (std::uint32_t probes : {1u, 2u, 8u}) {
        manual_clock clock;
        breaker b({.failure_threshold = 1,
                   .recovery_timeout = 1s,
                   .probes = probes,
                   .successes = successes,
                   .tolerated_failures = tolerated},
                  clock);
        fail_times(b, 1);
        clock.advance(1s);
        std::uint32_t admitted = 0, ignored = 0, turn = 0;
        do {
          std::vector<breaker::permit> out;
          while (auto p = b.try_acquire()) {
            out.push_back(std::move(*p));
            ++admitted;
            REQUIRE(out.size() <= probes);
            REQUIRE(b.stats().probes_out == out.size());  // I1
          }
          REQUIRE(!out.empty());
          for (auto& p : out) {
            if (b.state() != breaker_state::half_open) break;
            if (++turn % 3 == 0) {
              p.ignore(), ++ignored;
            } else if (turn % 3 == 1 && b.stats().failures - 1 < tolerated) {
              p.fail();
            } else {
              p.succeed();
            }
          }
        } while (b.state() == breaker_state::half_open);
        CHECK(b.state() == breaker_state::closed);
        CHECK(admitted <= successes + tolerated + ignored);
      }
    }
  }
}

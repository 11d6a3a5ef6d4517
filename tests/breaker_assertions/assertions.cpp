// SPDX-License-Identifier: BSL-1.0
// A program of its own: here a caller's mistake is counted, where the default would end the program.
namespace {
int complaints = 0;
}
#define TIDEOVER_ASSERT(condition, text) \
  do {                                   \
    if (!(condition)) ++complaints;      \
  } while (false)

#include <tideover/circuit_breaker.hpp>

#include "support/catch.hpp"

#include <memory>
#include <utility>

TEST_CASE("E2: a permit reports once: the second report is asserted, and does nothing") {
  complaints = 0;
  tideover::circuit_breaker<> b({.failure_threshold = 2});
  auto p = b.acquire();
  p.fail();
  CHECK(complaints == 0);
  p.fail();
  p.succeed();
  CHECK(complaints == 2);
  CHECK(b.stats().failures == 1);
  CHECK(b.stats().window_failures == 1);
}

TEST_CASE("E3: a moved-from permit reports nothing, and saying so is asserted") {
  complaints = 0;
  tideover::circuit_breaker<> b({.failure_threshold = 1});
  auto p = b.acquire();
  auto q = std::move(p);
  p.fail();
  CHECK(complaints == 1);
  CHECK(b.state() == tideover::breaker_state::closed);
  q.succeed();
  CHECK(complaints == 1);
}

TEST_CASE("E3: a breaker that dies before its permits is asserted where assertions are on") {
  complaints = 0;
  auto b = std::make_unique<tideover::circuit_breaker<>>(tideover::breaker_options{});
  {
    auto p = b->acquire();
    auto q = b->acquire();
    q.succeed();
#ifndef NDEBUG
    alignas(tideover::circuit_breaker<>) unsigned char room[sizeof(tideover::circuit_breaker<>)];
    auto* const doomed = new (room) tideover::circuit_breaker<>(tideover::breaker_options{});
    auto* const last = new auto(doomed->acquire());
    doomed->~circuit_breaker();
    CHECK(complaints == 1);
    ::operator delete(last);  // it may not report any more
#endif
  }
  complaints = 0;
  b.reset();
  CHECK(complaints == 0);
}

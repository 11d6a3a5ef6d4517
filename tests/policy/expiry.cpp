// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/expiry.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/expiry/after_write_or_access.hpp>
#include <tideover/policy/expiry/never.hpp>
#include <tideover/policy/expiry/per_entry.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tideover::after_access;
using tideover::after_write;
using tideover::expiry_policy;
using tideover::instant;
using tideover::never;

static_assert(expiry_policy<after_write> && expiry_policy<after_access> && expiry_policy<never>);
static_assert(after_write::expires && after_access::expires && !never::expires);
static_assert(sizeof(after_write::hook) == 8 && sizeof(after_access::hook) == 16 &&
              std::is_empty_v<never::hook>);
static_assert(!expiry_policy<int>);

using tideover::after_write_or_access;
struct an_hour {
  std::chrono::hours operator()(int, int) const { return 1h; }
};
using own = tideover::per_entry<an_hour>;
static_assert(expiry_policy<after_write_or_access> && expiry_policy<own>);
static_assert(tideover::idle_expiry_policy<after_write_or_access> && !tideover::idle_expiry_policy<own>);
static_assert(tideover::life_giving_policy<own, int, int> &&
              !tideover::life_giving_policy<after_write, int, int>);
static_assert(sizeof(after_write_or_access::hook) == 24 && sizeof(own::hook) == 8);
static_assert(std::is_empty_v<own>);

struct may_throw : after_write {
  static void on_hit(hook&, instant) {}
};
static_assert(!expiry_policy<may_throw>);

constexpr instant at(std::chrono::seconds s) { return instant::at(s); }

}  // namespace

TEST_CASE("after_write: a life from the last write, whatever is read", "[policy]") {
  after_write::hook h;
  after_write::on_write(h, at(10s), 5s);
  CHECK(after_write::deadline(h) == at(15s));
  after_write::on_hit(h, at(14s));
  CHECK(after_write::deadline(h) == at(15s));
  after_write::on_write(h, at(14s), 5s);
  CHECK(after_write::deadline(h) == at(19s));
  after_write::on_write(h, at(15s), 1s);  // a shorter life counts as well
  CHECK(after_write::deadline(h) == at(16s));
}

TEST_CASE("after_access: a life from the last use", "[policy]") {
  after_access::hook h;
  after_access::on_write(h, at(10s), 5s);
  CHECK(after_access::deadline(h) == at(15s));
  after_access::on_hit(h, at(14s));
  CHECK(after_access::deadline(h) == at(19s));
  after_access::on_hit(h, at(14s));
  CHECK(after_access::deadline(h) == at(19s));
  after_access::on_write(h, at(16s), 1s);  // the write's life is the one that later uses renew
  CHECK(after_access::deadline(h) == at(17s));
  after_access::on_hit(h, instant::at(16'500ms));
  CHECK(after_access::deadline(h) == instant::at(17'500ms));
}

TEST_CASE("after_access: a use that is told late does not shorten a life", "[policy]") {
  // A thread may read the clock, be held up, and come after one that read it later.
  after_access::hook h;
  after_access::on_write(h, at(10s), 5s);
  after_access::on_hit(h, at(14s));
  after_access::on_hit(h, at(12s));
  CHECK(after_access::deadline(h) == at(19s));
}

TEST_CASE("never: no instant is the last", "[policy]") {
  never::hook h;
  never::on_write(h, at(10s), 5s);
  CHECK(never::deadline(h) == instant::max());
  never::on_hit(h, at(100s));
  CHECK(never::deadline(h) == instant::max());
}

TEMPLATE_TEST_CASE("expiry: a life without end saturates", "[policy]", after_write, after_access) {
  typename TestType::hook h;
  TestType::on_write(h, at(10s), nanoseconds::max());
  CHECK(TestType::deadline(h) == instant::max());
  TestType::on_hit(h, at(20s));
  CHECK(TestType::deadline(h) == instant::max());
  TestType::on_write(h, instant::max(), 1ns);
  CHECK(TestType::deadline(h) == instant::max());
  TestType::on_write(h, instant::min(), 1ns);
  CHECK(TestType::deadline(h) == instant{instant::min().ns + 1});
}

TEST_CASE("after_write_or_access: uses put the end off, but not beyond that of the write", "[policy]") {
  after_write_or_access::hook h;
  after_write_or_access::on_write(h, at(10s), 10s, 4s);
  CHECK(after_write_or_access::deadline(h) == at(14s));
  after_write_or_access::on_hit(h, at(13s));
  CHECK(after_write_or_access::deadline(h) == at(17s));
  after_write_or_access::on_hit(h, at(12s));  // told late: it does not shorten a life
  CHECK(after_write_or_access::deadline(h) == at(17s));
  after_write_or_access::on_hit(h, at(16s));
  CHECK(after_write_or_access::deadline(h) == at(20s));
  after_write_or_access::on_hit(h, at(19s));
  CHECK(after_write_or_access::deadline(h) == at(20s));
  after_write_or_access::on_write(h, at(19s), 1s, 4s);  // the write's life may be the shorter one
  CHECK(after_write_or_access::deadline(h) == at(20s));
  after_write_or_access::on_write(h, at(19s), nanoseconds::max(), nanoseconds::max());
  CHECK(after_write_or_access::deadline(h) == instant::max());
  after_write_or_access::on_hit(h, at(30s));
  CHECK(after_write_or_access::deadline(h) == instant::max());
}

TEST_CASE("per_entry: any duration is a life, saturating and rounded up", "[policy]") {
  using std::chrono::duration;
  using tideover::detail::as_life;
  CHECK(as_life(5ms) == 5ms);
  CHECK(as_life(nanoseconds(1)) == 1ns);
  CHECK(as_life(nanoseconds::max()) == nanoseconds::max());
  CHECK(as_life(std::chrono::hours::max()) == nanoseconds::max());
  CHECK(as_life(24h * 3650) == 24h * 3650);
  CHECK(as_life(duration<int>(5)) == 5s);
  CHECK(as_life(duration<std::uint64_t>(std::numeric_limits<std::uint64_t>::max())) == nanoseconds::max());
  CHECK(as_life(duration<std::int64_t, std::pico>(1)) == 1ns);
  CHECK(as_life(duration<std::int64_t, std::pico>(1000)) == 1ns);
  CHECK(as_life(duration<std::int64_t, std::pico>(1001)) == 2ns);
  CHECK(as_life(duration<std::int64_t, std::ratio<1, 3>>(3)) == 1s);
  CHECK(as_life(duration<std::int64_t, std::ratio<1, 3>>(27'000'000'000)) > 24h * 365 * 285);  // 9e9 s
  CHECK(as_life(duration<double>(0.25)) == 250ms);
  CHECK(as_life(duration<double>(1e-12)) == 1ns);
  CHECK(as_life(duration<double>(1e300)) == nanoseconds::max());
  CHECK(as_life(duration<float>(std::numeric_limits<float>::infinity())) == nanoseconds::max());
  for (double const none : {0.0, -0.0, -1.0, -1e300, -std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(as_life(duration<double>(none)) == nanoseconds(0));
  }
  CHECK(as_life(nanoseconds::min()) == nanoseconds(0));
  CHECK(as_life(std::chrono::hours::min()) == nanoseconds(0));
  CHECK(as_life(0s) == nanoseconds(0));
}

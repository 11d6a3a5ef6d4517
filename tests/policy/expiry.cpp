// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/expiry.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/expiry/never.hpp>

#include <chrono>
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

// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

namespace {
/// An entry as a farther tier has it: 4 s of being fresh left, 6 s of life.
struct farther {
  manual_clock clock;
  tideover::instant soft = clock.now() + 4s;
  int asked = 0;
  cached<int> operator()() {
    ++asked;
    return {7, soft - 10s, soft, soft + 2s, 250ms, 0};
  }
};
using eager_guard = int_guard<tideover::refresh_after<std::ratio<1, 1000>>, tideover::no_backoff>;
}  // namespace

TEST_CASE("S10: an entry of a farther tier lives here no longer than there", "[S10]") {
  manual_clock clock;
  eager_guard guard(sized(10), living(1h, 1h, 1h), clock);
  farther tier{clock};
  bool const adopts = GENERATE(true, false);
  if (adopts) {
    CHECK(guard.adopt(1, tier()));
  } else {
    CHECK(guard.get_or_compute(1, std::ref(tier)) == 7);
  }
  auto const e = guard.store().get(1);
  REQUIRE(e);
  CHECK(e->soft_expiry == tier.soft);
  CHECK(e->hard_expiry == tier.soft + 2s);
  CHECK(e->created == tier.soft - 10s);
  CHECK(e->delta == 250ms);
  CHECK(guard.store().remaining_life(1) == 6s);
  clock.advance(6s);
  CHECK(guard.get(1) == std::nullopt);
}

TEST_CASE("S10: only who pays for the computation refreshes early", "[S10]") {
  manual_clock clock;
  eager_guard guard(sized(10), usual(), clock);
  farther tier{clock};
  guard.get_or_compute(1, std::ref(tier));
  clock.advance(4s - 1ns);
  for (int i = 0; i < 100; ++i) CHECK(guard.serve(1, std::ref(tier)).how == serving::fresh);
  CHECK(tier.asked == 1);
  CHECK(guard.serve(1, [] { return 8; }).how == serving::computed);  // this one pays
  CHECK(guard.stats().computations.early == 1);
}

TEST_CASE("S10: a result of a farther tier's entry, a dead one and a stale one", "[S10]") {
  manual_clock clock;
  eager_guard guard(sized(10), usual(), clock);
  farther tier{clock};
  CHECK(guard.get_or_compute(1, [&]() -> tideover::result<cached<int>> { return tier(); }) == 7);
  CHECK(guard.try_get_or_compute(2, []() -> tideover::result<cached<int>> { return errc::closed; }).code() ==
        errc::closed);
  clock.advance(5s);
  CHECK(guard.get_or_compute(3, std::ref(tier)) == 7);  // stale there: delivered, and stale here
  CHECK(guard.store().get(3)->stale(clock.now()));
  clock.advance(1s);
  CHECK(guard.get_or_compute(4, std::ref(tier)) == 7);  // dead there: delivered, not stored
  CHECK(guard.store().get(4) == std::nullopt);
  CHECK_FALSE(guard.adopt(5, tier()));
}

TEST_CASE("S10: two tiers: the nearer one never outlives or refreshes, the farther one does", "[S10]") {
  manual_clock clock;
  int_store far(sized(10), clock);
  tideover::stampede_guard<int_store&, tideover::refresh_after<std::ratio<1, 2>>> owner(far, usual(), clock);
  eager_guard near(sized(10), usual(), clock);
  origin o{clock};
  auto const ask = [&](int const& key) {
    return near.get_or_compute(key, [&](int const& k) {
      int const value = owner.get_or_compute(k, std::ref(o));
      auto e = far.get(k);
      REQUIRE(e);
      REQUIRE(e->value == value);
      return *e;
    });
  };
  CHECK(ask(1) == 1);
  clock.advance(6s);  // the owner would refresh now, but nobody asks it
  CHECK(ask(1) == 1);
  clock.advance(4s);
  CHECK(ask(1) == 2);
  CHECK(near.store().get(1)->soft_expiry == far.get(1)->soft_expiry);
}

// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

#include <deque>

TEST_CASE("S11: computations are counted by what they were begun for", "[S11]") {
  manual_clock clock;
  int_guard<tideover::refresh_after<std::ratio<1, 2>>> guard(sized(10), usual(), clock);
  auto const one = [] { return 1; };
  guard.get_or_compute(1, one);
  clock.advance(7s);
  guard.get_or_compute(1, one);  // early by 3 s
  clock.advance(12s);
  guard.get_or_compute(1, one);  // within stale_while_revalidate
  clock.advance(30s);
  guard.get_or_compute(1, one);  // past it
  auto const s = guard.stats();
  CHECK(s.computations.miss == 1);
  CHECK(s.computations.early == 1);
  CHECK(s.computations.stale == 2);
  CHECK(s.computations.total() == 4);
  CHECK(s.early_gap.count == 1);
  CHECK(s.early_gap.mean() == 3e9);
  CHECK(s.early_gap.buckets[32] == 1);  // 2^31 to 2^32 - 1 ns
  CHECK(s.stampede_size.count == 4);
  CHECK(s.stampede_size.mean() == 1.0);
}

TEST_CASE("S11: the stampede size is how many callers one computation served", "[S11]") {
  watchdog const dog("a stampede");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  gate door;
  std::deque<asking> callers;
  for (int i = 0; i < 20; ++i) {
    callers.emplace_back([&] { return guard.get_or_compute(1, [&] { return door.pass(), 1; }); });
  }
  await_joined(guard, 19);
  CHECK(guard.stats().running == 1);
  CHECK(guard.stats().stampede_size.count == 0);
  door.open();
  callers.clear();
  auto const s = guard.stats();
  CHECK(s.running == 0);
  CHECK(s.coalesced == 19);
  CHECK(s.stampede_size.count == 1);
  CHECK(s.stampede_size.sum == 20);
  CHECK(s.stampede_size.buckets[5] == 1);  // 16 to 31
}

TEST_CASE("S11: a histogram's buckets are powers of two", "[S11]") {
  tideover::magnitude_histogram h;
  for (std::uint64_t const v : {0u, 1u, 2u, 3u, 4u, 7u, 8u}) h.add(v);
  h.add(~std::uint64_t{0});
  CHECK(h.buckets[0] == 1);
  CHECK(h.buckets[1] == 1);
  CHECK(h.buckets[2] == 2);
  CHECK(h.buckets[3] == 2);
  CHECK(h.buckets[4] == 1);
  CHECK(h.buckets[64] == 1);
  CHECK(h.count == 8);
  tideover::magnitude_histogram twice = h;
  twice.add(h);
  CHECK(twice.buckets[2] == 4);
  CHECK(twice.count == 16);
  CHECK(tideover::magnitude_histogram().mean() == 0.0);
}

TEST_CASE("S11: a plain hit counts nothing and draws nothing", "[S11]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  guard.put(1, 1);
  for (int i = 0; i < 10; ++i) guard.get_or_compute(1, [] { return 2; });
  auto const s = guard.stats();
  CHECK(s.computations.total() + s.coalesced + s.stale_served.revalidate + s.stampede_size.count == 0);
  CHECK(guard.store().stats().hits == 10);
}

TEST_CASE("S11: each way to be served has a name", "[S11]") {
  using tideover::to_string;
  CHECK(std::string(to_string(serving::fresh)) == "fresh");
  CHECK(std::string(to_string(serving::stale_while_revalidate)) == "stale_while_revalidate");
  CHECK(std::string(to_string(serving::computed)) == "computed");
  CHECK(std::string(to_string(serving::joined)) == "joined");
  CHECK(std::string(to_string(serving::stale_if_error)) == "stale_if_error");
}

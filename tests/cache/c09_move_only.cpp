// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"
#include "support/move_only.hpp"

#include <atomic>
#include <deque>
#include <memory>
#include <stdexcept>

namespace {

using cache_type = tideover::ttl_cache<int, move_only, manual_clock>;
int id_of(move_only const& value) { return value.id(); }

template <class Cache>
concept copies_out = requires(Cache& cache) {
  cache.get(1);
}
|| requires(Cache const& cache) { cache.peek(1); }
|| requires(Cache& cache) {
  cache.get_or_compute(1, [] { return move_only(1); });
};
static_assert(!copies_out<cache_type>);
static_assert(copies_out<int_cache<>>);

}  // namespace

TEST_CASE("C9: move-only values work with put, visit and visit_or_compute", "[C9]") {
  cache_type cache(sized(10));
  move_only given(5);
  CHECK(cache.put(1, std::move(given)));
  CHECK(given.id() == move_only::moved_from);
  int seen = 0;
  CHECK(cache.visit(1, [&](move_only const& value) { seen = value.id(); }));
  CHECK(seen == 5);
  CHECK(cache.put(1, move_only(6)));
  CHECK(cache.visit_or_compute(
            1, [] { return move_only(-1); }, id_of) == 6);
  CHECK(cache.visit_or_compute(
            2, [](int const& key) { return move_only(key * 10); }, id_of) == 20);
  CHECK(cache.visit_or_compute(
            2, [] { return move_only(-1); }, id_of) == 20);
  CHECK(cache.contains(2));
  CHECK(cache.erase(2));
  CHECK(cache.erase_if([](int const&, move_only const& value) { return value.id() == 6; }) == 1);
  CHECK(cache.size() == 0);
}

TEST_CASE("C9: visit_or_compute gives what its visitor returns, also nothing, also by reference", "[C9]") {
  cache_type cache(sized(10));
  int calls = 0;
  cache.visit_or_compute(
      1, [] { return move_only(1); }, [&](move_only const&) { ++calls; });
  CHECK(calls == 1);
  std::unique_ptr<int> const made = cache.visit_or_compute(
      1, [] { return move_only(9); },
      [](move_only const& value) { return std::make_unique<int>(value.id()); });
  CHECK(*made == 1);
  auto const tried = cache.try_visit_or_compute(
      2, []() -> move_only { throw std::runtime_error("down"); }, id_of);
  CHECK(tried.code() == errc::computation_failed);
  auto const found = cache.try_visit_or_compute(
      2, [] { return move_only(2); }, id_of);
  REQUIRE(found.has_value());
  CHECK(*found == 2);
}

TEST_CASE("C9: many callers visit the one move-only value that one of them computes", "[C9]") {
  watchdog const dog("visitors of a computed move-only value");
  cache_type cache(sized(10));
  gate door;
  std::atomic<int> computations{0};
  std::deque<asking> callers;
  for (int i = 0; i < 5; ++i) {
    callers.emplace_back([&] {
      return cache.visit_or_compute(
          1, [&] { return ++computations, door.pass(), move_only(7); }, id_of);
    });
  }
  await_joined(cache, 4);
  door.open();
  for (asking& caller : callers) CHECK(caller.got().is(7));
  CHECK(computations == 1);
}

TEST_CASE("C9: the visitors of a discarded computation see its value", "[C9]") {
  watchdog const dog("visitors of a discarded move-only value");
  cache_type cache(sized(10));
  gate door;
  asking leader([&] {
    return cache.visit_or_compute(
        1, [&] { return door.pass(), move_only(7); }, id_of);
  });
  door.await_arrivals(1);
  asking waiter([&] {
    return cache.visit_or_compute(
        1, [] { return move_only(-1); }, id_of);
  });
  await_joined(cache, 1);
  cache.erase(1);
  door.open();
  CHECK(leader.got().is(7));
  CHECK(waiter.got().is(7));
  CHECK_FALSE(cache.contains(1));
}

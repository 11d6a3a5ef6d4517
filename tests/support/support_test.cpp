// SPDX-License-Identifier: BSL-1.0
#include "support/allocation_counter.hpp"
#include "support/allocation_hooks.hpp"
#include "support/archetypes.hpp"
#include "support/bombing_allocator.hpp"
#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/fail_points.hpp"
#include "support/gate.hpp"
#include "support/hashes.hpp"
#include "support/move_only.hpp"
#include "support/throwing.hpp"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace tideover_test;

TEST_CASE("support: allocations are counted, of this thread only", "[support]") {
  REQUIRE(allocation_counter::works());
  allocation_counter const counter;
  auto const made = std::make_unique<std::vector<int>>(10);
  CHECK(counter.allocations() == 2);
  CHECK(counter.bytes() == sizeof(std::vector<int>) + 10 * sizeof(int));
  std::size_t elsewhere = 1;
  std::thread([&] {
    allocation_counter const other;
    elsewhere = other.allocations();
  }).join();
  CHECK(elsewhere == 0);
#if TIDEOVER_TEST_OWN_MALLOC
  allocation_counter const plain;
  std::free(std::malloc(100));
  CHECK(plain.allocations() == 1);
  CHECK(plain.bytes() == 100);
#endif
}

TEST_CASE("support: every point fails once, and the runner stops when none is left", "[support]") {
  std::vector<std::size_t> failed;
  std::size_t const points =
      fail_at_every_point([] { return 0; }, [](int&) { fail_point(), fail_point(), fail_point(); },
                          [&](int&, attempt const& how) {
                            CHECK(how.threw == how.fired);
                            if (how.threw) failed.push_back(how.point);
                          });
  CHECK(points == 3);
  CHECK(failed == std::vector<std::size_t>{1, 2, 3});
}

TEST_CASE("support: a swallowed failure does not end the run", "[support]") {
  std::size_t swallowed = 0;
  std::size_t const points =
      fail_at_every_point([] { return 0; },
                          [](int&) {
                            try {
                              fail_point();
                            } catch (injected_failure const&) {
                            }
                            fail_point();
                          },
                          [&](int&, attempt const& how) { swallowed += how.fired && !how.threw ? 1 : 0; });
  CHECK(points == 2);
  CHECK(swallowed == 1);
}

TEST_CASE("support: an allocation is a point", "[support]") {
  CHECK(fail_at_every_point([] { return 0; }, [](int&) { ::operator delete(::operator new(8)); },
                            [](int&, attempt const& how) { CHECK(how.threw == how.fired); }) == 1);
}

TEST_CASE("support: a throwing type throws where it says, and counts who lives", "[support]") {
  using copy_throws = throwing<point::copy>;
  static_assert(std::is_nothrow_move_constructible_v<copy_throws>);
  static_assert(!std::is_nothrow_move_constructible_v<throwing<point::all>>);
  long const alive = copy_throws::live();
  copy_throws const original(3);
  CHECK(fail_at_every_point([] { return 0; }, [&](int&) { copy_throws const copy(original); },
                            [&](int&, attempt const&) { CHECK(copy_throws::live() == alive + 1); }) == 1);
  CHECK(fail_at_every_point([] { return 0; }, [&](int&) { copy_throws const moved(copy_throws(4)); },
                            [](int&, attempt const&) {}) == 0);
}

TEST_CASE("support: counted counts", "[support]") {
  long const alive = counted::live();
  counted::forget();
  {
    counted a(1);
    counted const b(a), c(std::move(a));
    CHECK(counted::live() == alive + 3);
    CHECK(b.id() == 1);
    CHECK(c.id() == 1);
    CHECK(a.id() == counted::moved_from);
  }
  CHECK(counted::copies() == 1);
  CHECK(counted::moves() == 1);
  CHECK(counted::live() == alive);
}

TEST_CASE("support: the archetypes offer no more than they say", "[support]") {
  static_assert(std::is_nothrow_move_constructible_v<key_archetype>);
  static_assert(!std::is_default_constructible_v<key_archetype> &&
                !std::is_copy_constructible_v<key_archetype> && !std::is_move_assignable_v<key_archetype>);
  static_assert(!std::is_default_constructible_v<value_archetype> &&
                !std::is_copy_constructible_v<value_archetype> &&
                !std::is_move_assignable_v<value_archetype>);
  static_assert(!std::is_copy_constructible_v<move_only> && std::is_nothrow_move_assignable_v<move_only>);
  CHECK(key_archetype::equal()(key_archetype(3), key_archetype(3)));
  CHECK_FALSE(key_archetype::equal()(key_archetype(3), key_archetype(4)));
}

TEST_CASE("support: the bombing allocator fails when its fuse is burnt, and knows what is out", "[support]") {
  bomb shared;
  shared.fuse = 2;
  bombing_allocator<int> a(shared);
  bombing_allocator<double> b(a);
  CHECK(a == b);
  int* const first = a.allocate(4);
  double* const second = b.allocate(1);
  CHECK(shared.bytes_out == long(4 * sizeof(int) + sizeof(double)));
  CHECK_THROWS_AS(a.allocate(1), std::bad_alloc);
  CHECK(shared.failures == 1);
  a.deallocate(first, 4), b.deallocate(second, 1);
  CHECK(shared.bytes_out == 0);
}

TEST_CASE("support: hashes collide, or see through to the text", "[support]") {
  CHECK(colliding_hash<>()(1) == colliding_hash<>()(77));
  CHECK(transparent_hash()(std::string("abc")) == transparent_hash()(std::string_view("abc")));
}

TEST_CASE("support: a gate holds until it is opened", "[support]") {
  gate door;
  std::atomic<bool> through{false};
  std::thread waiting([&] { door.pass(), through = true; });
  door.await_arrivals(1);
  CHECK_FALSE(through);
  door.open();
  waiting.join();
  CHECK(through);
  CHECK(door.arrivals() == 1);
}

// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/fail_points.hpp"
#include "support/move_only.hpp"
#include "support/throwing.hpp"

#include <tideover/result.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace {

using namespace std::chrono_literals;
using tideover::errc;
using tideover::failure;
using tideover::result;
using tideover_test::counted;
using tideover_test::move_only;

/// Neither copied nor moved, and made of two things.
struct immovable {
  immovable(int a, int b) : sum(a + b) {}
  immovable(immovable const&) = delete;
  immovable& operator=(immovable const&) = delete;
  int sum;
};

struct explicit_only {
  explicit explicit_only(int i) : value(i) {}
  int value;
};

using text = result<std::string>;
static_assert(std::is_same_v<text::value_type, std::string>);
static_assert(std::is_convertible_v<char const*, text> && std::is_convertible_v<std::string, text>);
static_assert(std::is_convertible_v<failure, text> && std::is_convertible_v<errc, text>);
static_assert(!std::is_default_constructible_v<text>, "which of the two would it be?");
static_assert(!std::is_convertible_v<int, text> && !std::is_constructible_v<text, int>);
static_assert(!std::is_convertible_v<text, bool> && std::is_constructible_v<bool, text const&>);
static_assert(!std::is_convertible_v<int, result<explicit_only>>, "implicit only where T is");
static_assert(std::is_constructible_v<result<explicit_only>, std::in_place_t, int>);

// It copies and moves as T does.
static_assert(std::is_copy_constructible_v<text> && std::is_copy_assignable_v<text>);
static_assert(!std::is_copy_constructible_v<result<move_only>> &&
              std::is_move_constructible_v<result<move_only>>);
static_assert(!std::is_copy_assignable_v<result<move_only>> && std::is_move_assignable_v<result<move_only>>);
static_assert(!std::is_move_constructible_v<result<immovable>>);
static_assert(std::is_nothrow_move_constructible_v<text>);

// The value has the category of the result.
static_assert(std::is_same_v<decltype(std::declval<text&>().value()), std::string&>);
static_assert(std::is_same_v<decltype(std::declval<text const&>().value()), std::string const&>);
static_assert(std::is_same_v<decltype(std::declval<text>().value()), std::string&&>);
static_assert(std::is_same_v<decltype(std::declval<text const>().value()), std::string const&>);
static_assert(std::is_same_v<decltype(*std::declval<text&>()), std::string&>);
static_assert(std::is_same_v<decltype(*std::declval<text const&>()), std::string const&>);
static_assert(std::is_same_v<decltype(*std::declval<text>()), std::string&&>);
static_assert(std::is_same_v<decltype(std::declval<text&>().operator->()), std::string*>);
static_assert(std::is_same_v<decltype(std::declval<text const&>().operator->()), std::string const*>);
static_assert(noexcept(*std::declval<text&>()) && noexcept(std::declval<text&>().has_value()));

result<int> half(int n) {
  if (n % 2 != 0) return errc::invalid_argument;
  return n / 2;
}

}  // namespace

TEST_CASE("result: a value", "[core]") {
  text r = "tide";
  REQUIRE(r);
  CHECK(r.has_value());
  CHECK(r.value() == "tide");
  CHECK(*r == "tide");
  CHECK(r->size() == 4);
  CHECK_FALSE(r.code());
  CHECK(r.retry_after() == 0ns);
  r.value() += " over";
  *r += "!";
  CHECK(std::as_const(r).value() == "tide over!");
  CHECK(*std::as_const(r) == "tide over!");
  CHECK(std::as_const(r)->size() == 10);
}

TEST_CASE("result: a failure", "[core]") {
  auto const cause = std::make_exception_ptr(std::runtime_error("no"));
  text const r = failure{.code = errc::computation_failed, .retry_after = 2s, .cause = cause};
  REQUIRE_FALSE(r);
  CHECK_FALSE(r.has_value());
  CHECK(r.code() == errc::computation_failed);
  CHECK(r.retry_after() == 2s);
  CHECK(r.error().code == errc::computation_failed);
  CHECK(r.error().retry_after == 2s);
  CHECK(r.error().cause == cause);
}

TEST_CASE("result: functions return either in one word", "[core]") {
  CHECK(half(4).value() == 2);
  CHECK(half(3).code() == errc::invalid_argument);
  CHECK(half(3).retry_after() == 0ns);
  CHECK_FALSE(half(3).error().cause);
}

TEST_CASE("result: value() of a failure throws error with the whole failure", "[core]") {
  auto const cause = std::make_exception_ptr(std::runtime_error("no"));
  text r = failure{.code = errc::queue_full, .retry_after = 5s, .cause = cause};
  auto const check = [&](auto&& take) {
    try {
      take();
      FAIL("nothing was thrown");
    } catch (tideover::error const& e) {
      CHECK(e.code() == errc::queue_full);
      CHECK(e.failure().retry_after == 5s);
      CHECK(e.failure().cause == cause);
    }
  };
  check([&] { (void)r.value(); });
  check([&] { (void)std::as_const(r).value(); });
  check([&] { (void)std::move(r).value(); });
  CHECK(r.code() == errc::queue_full);  // and is still what it was
  CHECK(r.error().cause == cause);
}

TEST_CASE("result: value_or", "[core]") {
  CHECK(half(4).value_or(7) == 2);
  CHECK(half(3).value_or(7) == 7);
  text const there = "a";
  text const absent = errc::closed;
  CHECK(there.value_or("b") == "a");
  CHECK(there.value() == "a");
  CHECK(absent.value_or("b") == "b");
  CHECK(result<move_only>(move_only(1)).value_or(move_only(2)).id() == 1);
  CHECK(result<move_only>(errc::closed).value_or(move_only(2)).id() == 2);
}

TEST_CASE("result: a value that only moves", "[core]") {
  result<move_only> r = move_only(7);
  CHECK(r->id() == 7);
  result<move_only> taken = std::move(r);
  CHECK(taken->id() == 7);
  move_only const out = std::move(taken).value();
  CHECK(out.id() == 7);
  result<std::unique_ptr<int>> p = std::make_unique<int>(3);
  std::unique_ptr<int> const q = *std::move(p);
  CHECK(*q == 3);
}

TEST_CASE("result: a value that cannot move is made in place", "[core]") {
  result<immovable> r(std::in_place, 3, 4);
  REQUIRE(r);
  CHECK(r->sum == 7);
  CHECK(r.value().sum == 7);
  result<immovable> const no = errc::timed_out;
  CHECK(no.code() == errc::timed_out);
  CHECK(result<std::string>(std::in_place, 3u, 'x').value() == "xxx");
}

TEST_CASE("result: nothing is copied that could be moved", "[core]") {
  long const living = counted::live();
  {
    counted::forget();
    result<counted> r = counted(1);
    CHECK(counted::copies() == 0);
    CHECK(counted::moves() == 1);
    counted const out = std::move(r).value();
    CHECK(out.id() == 1);
    CHECK(counted::copies() == 0);
    counted::forget();
    result<counted> in_place(std::in_place, 2);
    CHECK(counted::copies() + counted::moves() == 0);
    CHECK(std::move(in_place).value_or(counted(3)).id() == 2);
    CHECK(counted::copies() == 0);
  }
  CHECK(counted::live() == living);
}

TEST_CASE("result: copies and assignments keep what was there", "[core]") {
  text const value = "v";
  text const bad = failure{.code = errc::closed, .retry_after = 1s};
  text r = value;
  CHECK(*r == "v");
  r = bad;
  CHECK(r.code() == errc::closed);
  CHECK(r.retry_after() == 1s);
  r = value;
  CHECK(*r == "v");
  CHECK_FALSE(r.code());
  r = errc::cancelled;
  CHECK(r.code() == errc::cancelled);
  r = "w";
  CHECK(*r == "w");
  text moved = std::move(r);
  CHECK(*moved == "w");
  CHECK(*value == "v");
}

TEST_CASE("result: an assignment that throws leaves a value or a failure, never neither", "[core]") {
  using value = tideover_test::throwing<tideover_test::point::copy>;
  struct pair {
    result<value> target;
    result<value> const source{std::in_place, 2};
  };
  std::size_t const onto_failure = tideover_test::fail_at_every_point(
      [] { return pair{failure{.code = errc::closed, .retry_after = 1s}}; },
      [](pair& p) { p.target = p.source; },
      [](pair& p, tideover_test::attempt const& how) {
        CHECK(p.target.has_value() == !how.threw);
        CHECK(p.target.code() == (how.threw ? make_error_code(errc::closed) : std::error_code()));
        CHECK(p.target.retry_after() == (how.threw ? 1s : 0s));
      });
  CHECK(onto_failure == 1);
  std::size_t const onto_value = tideover_test::fail_at_every_point(
      [] { return pair{result<value>(std::in_place, 1)}; }, [](pair& p) { p.target = p.source; },
      [](pair& p, tideover_test::attempt const& how) {
        REQUIRE(p.target.has_value());
        CHECK(p.target->id() == (how.threw ? 1 : 2));
      });
  CHECK(onto_value == 1);
  CHECK(value::live() == 0);
}

TEST_CASE("result: values that look like failures are taken for what they are", "[core]") {
  result<std::error_code> const code = std::make_error_code(std::errc::timed_out);
  REQUIRE(code);
  CHECK(*code == std::errc::timed_out);
  result<std::error_code> const failed = errc::closed;  // an errc is always a failure
  CHECK(failed.code() == errc::closed);
  result<std::exception_ptr> const pointer = std::make_exception_ptr(1);
  CHECK(pointer.has_value());
  result<bool> const no = false;
  REQUIRE(no);
  CHECK_FALSE(*no);
  result<result<int>> const nested = half(3);
  REQUIRE(nested);
  CHECK((*nested).code() == errc::invalid_argument);
}

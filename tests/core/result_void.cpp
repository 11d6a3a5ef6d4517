// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/result.hpp>

#include <chrono>
#include <exception>
#include <system_error>
#include <type_traits>
#include <utility>

namespace {

using namespace std::chrono_literals;
using tideover::errc;
using tideover::failure;
using tideover::outcome;
using tideover::result;

static_assert(std::is_void_v<result<void>::value_type>);
static_assert(std::is_nothrow_default_constructible_v<result<void>>);
static_assert(std::is_convertible_v<failure, result<void>> && std::is_convertible_v<errc, result<void>>);
static_assert(!std::is_convertible_v<result<void>, bool>);
static_assert(std::is_nothrow_default_constructible_v<outcome>);
static_assert(std::is_convertible_v<std::error_code, outcome> && !std::is_convertible_v<outcome, bool>);
static_assert(std::is_copy_constructible_v<outcome> && std::is_nothrow_move_constructible_v<outcome>);

}  // namespace

TEST_CASE("result<void>: done, or a failure", "[core]") {
  result<void> r;
  CHECK(r);
  CHECK(r.has_value());
  CHECK_FALSE(r.code());
  CHECK(r.retry_after() == 0ns);
  CHECK_NOTHROW(r.value());

  auto const cause = std::make_exception_ptr(1);
  r = failure{.code = errc::queue_full, .retry_after = 4s, .cause = cause};
  CHECK_FALSE(r);
  CHECK(r.code() == errc::queue_full);
  CHECK(r.retry_after() == 4s);
  CHECK(r.error().cause == cause);
  try {
    r.value();
    FAIL("nothing was thrown");
  } catch (tideover::error const& e) {
    CHECK(e.failure().retry_after == 4s);
    CHECK(e.failure().cause == cause);
  }
  result<void> const copy = r;
  CHECK(copy.code() == errc::queue_full);
  r = result<void>();
  CHECK(r);
  CHECK(result<void>(errc::closed).code() == errc::closed);
}

TEST_CASE("outcome: delivered, or failed with a code, a cause or both", "[core]") {
  outcome const good;
  CHECK(good);
  CHECK(good.delivered());
  CHECK_FALSE(good.code());
  CHECK_FALSE(good.cause());

  outcome const coded = errc::timed_out;
  CHECK_FALSE(coded);
  CHECK_FALSE(coded.delivered());
  CHECK(coded.code() == errc::timed_out);
  CHECK_FALSE(coded.cause());

  outcome const foreign = std::make_error_code(std::errc::broken_pipe);
  CHECK_FALSE(foreign.delivered());
  CHECK(foreign.code() == std::errc::broken_pipe);

  auto const thrown = std::make_exception_ptr(1);
  outcome const caused = failure{.cause = thrown};
  CHECK_FALSE(caused.delivered());
  CHECK(caused.cause() == thrown);

  outcome const both = failure{.code = errc::computation_failed, .cause = thrown};
  CHECK(both.code() == errc::computation_failed);
  CHECK(both.cause() == thrown);

  outcome copy = both;
  copy = outcome();
  CHECK(copy.delivered());
  CHECK_FALSE(both.delivered());
}

// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/error.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using tideover::errc;
using tideover::error;
using tideover::failure;

static_assert(std::is_base_of_v<std::system_error, error>);
static_assert(std::is_nothrow_copy_constructible_v<error>, "an exception that is copied may not throw");
static_assert(std::is_aggregate_v<failure>);

std::string text_of(std::exception_ptr const& cause) {
  try {
    std::rethrow_exception(cause);
  } catch (std::exception const& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("failure: the default says nothing", "[core]") {
  failure const none;
  CHECK_FALSE(none.code);
  CHECK(none.retry_after == 0ns);
  CHECK_FALSE(none.cause);
}

TEST_CASE("error: it carries the whole failure", "[core]") {
  failure const why{.code = errc::computation_failed,
                    .retry_after = 3s,
                    .cause = std::make_exception_ptr(std::runtime_error("the database is gone"))};
  error const e(why);
  CHECK(e.code() == errc::computation_failed);
  CHECK(e.failure().code == errc::computation_failed);
  CHECK(e.failure().retry_after == 3s);
  CHECK(e.failure().cause == why.cause);
  CHECK(text_of(e.failure().cause) == "the database is gone");

  error const copy = e;
  CHECK(copy.failure().cause == why.cause);
  CHECK(std::string(copy.what()) == e.what());
}

TEST_CASE("error: what() is the message, with the text in front if there is one", "[core]") {
  std::string const message = make_error_code(errc::closed).message();
  CHECK(error(failure{.code = errc::closed}).what() == message);
  CHECK(error(failure{.code = errc::closed}, "pool \"a\"").what() == "pool \"a\": " + message);
  CHECK(error(errc::closed, "pool \"a\"").what() == "pool \"a\": " + message);
  CHECK(error(errc::closed, "pool \"a\"").failure().code == errc::closed);
}

TEST_CASE("error: it is caught as what it is, as a system_error and as an exception", "[core]") {
  auto const raise = [] { tideover::detail::raise({.code = errc::timed_out, .retry_after = 1s}); };
  CHECK_THROWS_AS(raise(), error);
  CHECK_THROWS_AS(raise(), std::exception);
  try {
    raise();
    FAIL("nothing was thrown");
  } catch (std::system_error const& e) {
    CHECK(e.code() == std::errc::timed_out);
    auto const* const ours = dynamic_cast<error const*>(&e);
    REQUIRE(ours != nullptr);
    CHECK(ours->failure().retry_after == 1s);
  }
}

TEST_CASE("error: bad input is named with its value and its bounds", "[core]") {
  try {
    tideover::detail::raise_out_of_bounds("some_options.size", "0", "between 1 and 9");
  } catch (error const& e) {
    CHECK(e.code() == errc::invalid_argument);
    CHECK(std::string(e.what()) == "some_options.size is 0; it must be between 1 and 9: " +
                                       make_error_code(errc::invalid_argument).message());
  }
}

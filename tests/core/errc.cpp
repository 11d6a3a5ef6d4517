// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/error.hpp>

#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

namespace {

using tideover::errc;

static_assert(std::is_error_code_enum_v<errc>);
static_assert(!std::is_error_condition_enum_v<errc>);

std::vector<errc> const all = {errc::timed_out,          errc::cancelled,        errc::recursive_computation,
                               errc::computation_failed, errc::invalid_argument, errc::closed,
                               errc::queue_full,         errc::bad_snapshot,     errc::circuit_open,
                               errc::flight_abandoned,   errc::factory_error,    errc::too_large,
                               errc::no_memory,          errc::expired,          errc::dropped,
                               errc::shut_down,          errc::outcome_mismatch, errc::sink_failed,
                               errc::journal_failed,     errc::not_found};

/// The switch is complete or the compiler warns: who adds a code is led here, to add it to `all`.
constexpr bool known(errc e) {
  switch (e) {
    case errc::timed_out:
    case errc::cancelled:
    case errc::recursive_computation:
    case errc::computation_failed:
    case errc::invalid_argument:
    case errc::closed:
    case errc::queue_full:
    case errc::bad_snapshot:
    case errc::circuit_open:
    case errc::flight_abandoned:
    case errc::factory_error:
    case errc::too_large:
    case errc::no_memory:
    case errc::expired:
    case errc::dropped:
    case errc::shut_down:
    case errc::outcome_mismatch:
    case errc::sink_failed:
    case errc::journal_failed:
    case errc::not_found:
      return true;
  }
  return false;
}

}  // namespace

TEST_CASE("errc: codes are distinct and none of them means success", "[core]") {
  std::set<int> values;
  for (errc const e : all) {
    CHECK(known(e));
    CHECK(static_cast<int>(e) != 0);
    values.insert(static_cast<int>(e));
    std::error_code const code = e;
    CHECK(code);
    CHECK(code == e);
    CHECK(code.value() == static_cast<int>(e));
    CHECK(&code.category() == &tideover::error_category());
  }
  CHECK(values.size() == all.size());
}

TEST_CASE("errc: each message says what happened, and after a semicolon what to do", "[core]") {
  std::set<std::string> messages, causes, remedies;
  for (errc const e : all) {
    std::string const message = make_error_code(e).message();
    CAPTURE(message);
    auto const middle = message.find("; ");
    REQUIRE(middle != std::string::npos);
    std::string const cause = message.substr(0, middle);
    std::string const remedy = message.substr(middle + 2);
    CHECK(cause.size() >= 10);
    CHECK(cause.find(": ") != std::string::npos);  // a name to search for, then the cause
    CHECK(remedy.size() >= 10);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.back() != '.');
    messages.insert(message);
    causes.insert(cause);
    remedies.insert(remedy);
  }
  CHECK(messages.size() == all.size());
  CHECK(causes.size() == all.size());
  CHECK(remedies.size() == all.size());
}

TEST_CASE("errc: the category has a name, and an unknown value is named as such", "[core]") {
  CHECK(tideover::error_category().name() == std::string_view("tideover"));
  CHECK(tideover::error_category().message(4711) == "unknown tideover error 4711");
  CHECK(tideover::error_category().message(0) == "unknown tideover error 0");
  CHECK(tideover::error_category().message(-1) == "unknown tideover error -1");
  std::error_code const unknown(4711, tideover::error_category());
  CHECK(unknown.default_error_condition().value() == 4711);
  CHECK(&unknown.default_error_condition().category() == &tideover::error_category());
}

TEST_CASE("errc: what the standard has a condition for compares equal to it", "[core]") {
  CHECK(make_error_code(errc::timed_out) == std::errc::timed_out);
  CHECK(make_error_code(errc::cancelled) == std::errc::operation_canceled);
  CHECK(make_error_code(errc::recursive_computation) == std::errc::resource_deadlock_would_occur);
  CHECK(make_error_code(errc::invalid_argument) == std::errc::invalid_argument);
  CHECK(make_error_code(errc::queue_full) == std::errc::resource_unavailable_try_again);
  CHECK(make_error_code(errc::bad_snapshot) == std::errc::bad_message);
  CHECK(make_error_code(errc::circuit_open) == std::errc::resource_unavailable_try_again);
  CHECK(make_error_code(errc::too_large) == std::errc::message_size);
  CHECK(make_error_code(errc::no_memory) == std::errc::not_enough_memory);
  CHECK(make_error_code(errc::expired) == std::errc::timed_out);
  for (errc const own : {errc::computation_failed, errc::closed, errc::flight_abandoned}) {
    std::error_condition const condition = make_error_code(own).default_error_condition();
    CHECK(&condition.category() == &tideover::error_category());
    CHECK(condition.value() == static_cast<int>(own));
  }
}

TEST_CASE("errc: a code equals neither another code nor the same number elsewhere", "[core]") {
  CHECK(make_error_code(errc::timed_out) != errc::cancelled);
  CHECK(make_error_code(errc::timed_out) != std::errc::operation_canceled);
  CHECK(std::error_code(static_cast<int>(errc::timed_out), std::generic_category()) != errc::timed_out);
  CHECK(std::error_code(static_cast<int>(errc::timed_out), std::system_category()) != errc::timed_out);
}

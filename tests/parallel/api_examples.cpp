// SPDX-License-Identifier: BSL-1.0
// The calls that the documentation shows, as users type them.
#include <tideover/parallel.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {
int f() { return 1; }
std::string g() { return "two"; }
double h() { return 3; }
int analyse(std::string const& contract) { return static_cast<int>(contract.size()); }
}  // namespace

TEST_CASE("A1: the calls of the documentation compile and do what they say") {
  tideover::owned_threads executor{4};
  auto [a, b, c] = tideover::gather(executor, f, g, h);  // as slow as the slowest
  CHECK(a == 1);
  CHECK(b == "two");
  CHECK(c == 3);

  std::vector<std::string> const contracts{"one", "three"};
  int const letters = tideover::map_reduce(executor, contracts, analyse, std::plus<>(), {.max_workers = 5});
  CHECK(letters == 8);

  using agent = std::function<std::string(std::string const&)>;
  std::vector<agent> const agents{[](std::string const& q) { return q + "!"; },
                                  [](std::string const& q) { return q + "?"; }};
  std::vector<std::string> const answers = tideover::scatter_gather(executor, std::string("well"), agents);
  CHECK(answers[1] == "well?");

  std::vector<std::string> const jobs{"a", "b", "c"};
  std::vector<std::string> const done = tideover::round_robin(executor, jobs, agents);
  CHECK(done == std::vector<std::string>{"a!", "b?", "c!"});

  tideover::pipeline import(analyse, [](int n) { return n * 2; });
  std::vector<int> const twice = import.run(executor, contracts);
  CHECK(twice == std::vector{6, 10});

  tideover::steady clock;
  auto const [x, y] = tideover::try_gather(executor, {.until = tideover::deadline::after(clock, 1min)}, f, g);
  CHECK(x.value() == 1);
  CHECK(y.value() == "two");

  auto const good = tideover::map_reduce(
      executor, contracts, analyse,
      [](std::vector<tideover::result<int>> const& all) {  // whatever came, also of what failed
        return std::count_if(all.begin(), all.end(), [](auto const& one) { return one.has_value(); });
      },
      {.errors = tideover::error_handling::collect_all});
  CHECK(good == 2);
}

// SPDX-License-Identifier: BSL-1.0
#include "cache/subject.hpp"
#include "support/catch.hpp"

#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/weigher.hpp>

using namespace tideover_test;
using weighed = tideover::weigh_by<some_weight>;

namespace {

template <class Cache>
void check_walk(keeps eviction, std::size_t max_weight) {
  walk_report const report = walk_small<Cache>({.eviction = eviction, .weigh = some_weight()}, max_weight);
  INFO(report.problem);
  CHECK(report.problem.empty());
  CHECK(report.tally.evicted > 0);
  CHECK(report.tally.refused > 0);
}

}  // namespace

TEST_CASE("a random walk with a weigher and a bound agrees with the oracle", "[model]") {
  for (std::size_t const max_weight : {6u, 100u}) {
    check_walk<walked_cache<tideover::lru, tideover::single_threaded, weighed>>(keeps::lru, max_weight);
    check_walk<walked_cache<tideover::fifo, tideover::sharded<1>, weighed>>(keeps::fifo, max_weight);
    check_walk<walked_cache<tideover::steered, tideover::one_mutex, weighed>>(keeps::some, max_weight);
    check_walk<walked_cache<tideover::sieve, tideover::single_threaded, weighed>>(keeps::some, max_weight);
    check_walk<walked_cache<tideover::s3_fifo, tideover::single_threaded, weighed>>(keeps::some, max_weight);
  }
}

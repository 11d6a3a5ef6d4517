// SPDX-License-Identifier: BSL-1.0
#include "cache/subject.hpp"
#include "support/catch.hpp"
#include "support/hashes.hpp"

#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/locking.hpp>

using namespace tideover_test;

TEMPLATE_TEST_CASE("a random walk with colliding hashes agrees with the oracle", "[model]", colliding_hash<1>,
                   colliding_hash<3>) {
  using cache = walked_cache<tideover::lru, tideover::single_threaded, tideover::hash_by<TestType>>;
  walk_report const report = walk_small<cache>({.eviction = keeps::lru});
  INFO(report.problem);
  CHECK(report.problem.empty());
}

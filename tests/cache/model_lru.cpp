// SPDX-License-Identifier: BSL-1.0
#include "cache/model.hpp"

#include <tideover/policy/eviction/lru.hpp>

TEMPLATE_TEST_CASE("a random walk of lru agrees with the oracle", "[model]", single_after_write,
                   single_after_access, single_never, one_shard_after_write, one_shard_after_access,
                   one_shard_never, shards_after_access) {
  using cache = typename TestType::template with<tideover::lru>;
  walk_report const report = walk_small<cache>({.eviction = keeps::lru, .expiry = TestType::expiry});
  INFO(report.problem);
  CHECK(report.problem.empty());
  check_the_walk_went_everywhere(report, keeps::lru, TestType::expiry);
}

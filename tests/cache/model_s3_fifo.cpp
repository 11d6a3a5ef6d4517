// SPDX-License-Identifier: BSL-1.0
#include "cache/model.hpp"

#include <tideover/policy/eviction/s3_fifo.hpp>

// Which entry leaves is judged in tests/policy; here it is whether one had to leave, and only one.
TEMPLATE_TEST_CASE("C1: a random walk of s3_fifo agrees with the oracle", "[model]", single_after_write,
                   single_after_access, one_shard_after_write, one_shard_never, shards_after_access) {
  using cache = typename TestType::template with<tideover::s3_fifo>;
  walk_report const report = walk_small<cache>({.eviction = keeps::some, .expiry = TestType::expiry});
  INFO(report.problem);
  CHECK(report.problem.empty());
  check_the_walk_went_everywhere(report, keeps::some, TestType::expiry);
}

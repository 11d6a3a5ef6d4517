// SPDX-License-Identifier: BSL-1.0
#include "gains/table.hpp"

namespace gains {

/// Claims that stand in the same guides and that no library of this kind can make good or fail: they are in
/// the table, with the reason, so that nobody has to wonder.
void add_rows_not_ours(table& t) {
  auto const list = [&](char const* id, char const* claim, char const* documented, char const* why) {
    row r;
    r.id = id;
    r.claim = claim;
    r.documented = documented;
    r.note = why;
    t.add(std::move(r));
  };
  list("12", "memory below 1 GiB", "< 1 GiB, met 1 GiB",
       "1 GiB is not below 1 GiB: the claim contradicts itself, and the memory of a process is its owner's "
       "choice");
  list("15", "JSON three times faster", "300 -> 100 ms",
       "another JSON library does that; this one has none, nor a serialiser to exchange");
  list("24", "database, GraphQL, HTTP/2, CQRS", "P90 < 100 ms, ...",
       "indexes, partition pruning, GraphQL limits and protocols belong to the database and the server");
  list("25", "container, cost, start-up", "800 -> 150 MB, -62 %, ...",
       "image size, cloud bill, return on investment and start-up time: the arithmetic is consistent (81.25 "
       "%,\n"
       "$516 -> $196), but none of it comes from a library");
}

}  // namespace gains

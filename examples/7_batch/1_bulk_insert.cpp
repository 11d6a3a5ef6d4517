// SPDX-License-Identifier: BSL-1.0
// Rows for a database, a hundred in one insert. The duplicate key of one row is that row's failure, not that
// of the others; a batch that is not full goes when its time is up.
#include <tideover/batch_processor.hpp>

#include <chrono>
#include <cstdio>
#include <set>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct row {
  int id = 0;
  std::string text{};
};

/// 20 ms for the way there and back, 1 ms for each row.
struct table {
  tideover::manual_clock clock;
  std::set<int> ids{};
  int inserts = 0;

  std::vector<tideover::outcome> insert(std::span<row> rows) {
    ++inserts;
    clock.advance(20ms + rows.size() * 1ms);
    std::vector<tideover::outcome> outcomes(rows.size());
    for (std::size_t i = 0; i != rows.size(); ++i) {
      if (!ids.insert(rows[i].id).second) outcomes[i] = std::make_error_code(std::errc::file_exists);
    }
    return outcomes;
  }
};

int main() {
  tideover::manual_clock clock;
  table users{clock};
  auto const start = clock.now();
  // By hand and in a time of its own, so that what is printed is always the same. Without these two policies
  // a thread of the batch processor calls the sink.
  tideover::batch_processor<row, tideover::hand_driven, tideover::manual_clock> rows(
      [&](std::span<row> batch) { return users.insert(batch); }, tideover::presets::batch::bulk_insert,
      clock);

  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    int const id = i == 500 ? 7 : i;  // one is there already
    auto const accepted = rows.add(row{id, "user " + std::to_string(id)}, [&](tideover::outcome const& o) {
      if (!o.delivered()) ++refused;
    });
    if (!accepted) std::printf("not accepted: %s\n", accepted.error().code.message().c_str());
    rows.tick();
  }
  std::printf("%zu rows by %d inserts in %lld ms, %d refused\n", users.ids.size(), users.inserts,
              static_cast<long long>((clock.now() - start) / 1ms), refused);

  tideover::result<tideover::ticket> last = rows.add(row{1000, "the last one"});
  clock.advance(4s);
  rows.tick();
  std::printf("after 4 s: %s\n", last->ready() ? "there" : "it lingers");
  clock.advance(1s);
  rows.tick();
  std::printf("after 5 s: %s\n", last->ready() && last->wait().delivered() ? "there" : "it lingers");

  tideover::batch_totals const t = rows.shutdown(10s);
  std::printf("accepted %llu = delivered %llu + failed %llu + pending %llu\n",
              static_cast<unsigned long long>(t.accepted), static_cast<unsigned long long>(t.delivered),
              static_cast<unsigned long long>(t.failed), static_cast<unsigned long long>(t.pending));
}
// expect: 999 rows by 10 inserts in 1200 ms, 1 refused
// expect: after 4 s: it lingers
// expect: after 5 s: there
// expect: accepted 1001 = delivered 1000 + failed 1 + pending 0

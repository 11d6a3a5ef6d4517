// SPDX-License-Identifier: BSL-1.0
// Threads that add without the lock of all, while others flush, cancel, count, wait for room and shut down;
// every race that is named is counted, and must have happened.
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/batch_processor.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using tideover::errc;
using tideover::outcome;

namespace {
constexpr int adders = 3;
constexpr std::uint64_t room = 300;

struct seen {
  std::atomic<std::uint64_t> blocked{0}, beyond{0}, open{0}, cancelled{0}, cancel_too_late{0}, flush_won{0},
      flush_lost{0}, closed_under_add{0}, full{0}, by_time{0}, by_count{0}, by_flush{0}, by_pressure{0},
      told{0};
};

/// One batch at a time is with the sink: so it must see the items of each thread in their order.
void round(seen& s, std::uint64_t seed, std::uint64_t calls, std::uint64_t stop_at) {
  std::array<std::uint64_t, adders> last{};
  std::atomic<std::uint64_t> accepted{0}, sent{0};
  tideover::batch_options o{.max_items = 100, .linger = 50us, .max_pending = room};
  o.max_block = 30us;
  tideover::batch_processor<std::uint64_t, tideover::relaxed_bounds> b(
      [&](std::span<std::uint64_t> batch) {
        for (auto const i : batch) {
          // Nothing may overtake another item of its thread.
          if (std::exchange(last[std::size_t(i >> 32)], i) >= i) std::abort();
        }
        sent += batch.size();
        if (batch[0] % 4 == 0) std::this_thread::sleep_for(40us);
      },
      o);
  std::atomic<int> finished{0};
  std::vector<std::thread> threads;
  for (int t = 0; t != adders; ++t) {
    threads.emplace_back([&, t] {
      tideover::xoshiro random(seed + std::uint64_t(t));
      std::vector<tideover::ticket> kept;
      auto const tell = [&](outcome const& out) {
        ++s.told;
        if (out.code() == errc::cancelled) std::abort();
      };
      for (std::uint64_t i = 1; i <= calls; ++i) {
        std::uint64_t const item = std::uint64_t(t) << 32 | i;
        auto const dice = random() % 256;
        std::error_code code;
        if (dice < 4) {
          code = b.add(item, tell).code();
        } else {
          auto r = b.add(item);
          code = r.code();
          if (r && dice < 64) kept.push_back(std::move(*r));
          if (r && dice < 12) {
            b.cancel(kept.back()) ? ++s.cancelled : ++s.cancel_too_late;
          }
        }
        if (!code) ++accepted;
        if (code == errc::queue_full) ++s.full;
        if (code == errc::closed) {
          ++s.closed_under_add;
          break;
        }
        if (dice == 255 && !kept.empty()) {
          bool const won = b.flush(std::chrono::microseconds(random() % 2000));
          won ? ++s.flush_won : ++s.flush_lost;
          // It covered them: they were accepted before it.
          for (auto const& k : kept) {
            if (won && !k.ready()) std::abort();
          }
          kept.clear();
        }
        if (dice == 253) std::this_thread::sleep_for(200us);  // what is open lingers
        if (dice == 254) {
          auto const before = accepted.load();
          auto const st = b.stats();
          if (st.accepted != st.delivered + st.failed + st.pending || st.accepted < before) std::abort();
          if (st.pending > room + 64 * (adders - 1)) std::abort();
          if (st.pending > room) ++s.beyond;
          if (st.open != 0) ++s.open;
          if (st.blocked != 0) ++s.blocked;
        }
      }
      ++finished;
      for (auto const& k : kept) static_cast<void>(k.wait());
    });
  }
  while (accepted < stop_at && finished != adders) {
    auto const st = b.stats();
    if (st.blocked != 0) ++s.blocked;
    if (st.pending > room) ++s.beyond;
    std::this_thread::yield();
  }
  auto const totals = b.shutdown(std::chrono::microseconds(seed % 2 == 0 ? 0 : 5000));
  for (auto& t : threads) t.join();
  auto const st = b.stats();
  CHECK(st.pending == 0);
  CHECK(st.open == 0);
  CHECK(st.accepted == accepted);
  CHECK(st.accepted == totals.accepted);
  CHECK(st.accepted == st.delivered + st.failed);
  CHECK(st.delivered <= sent);
  s.by_time += st[tideover::batch_trigger::time];
  s.by_count += st[tideover::batch_trigger::count];
  s.by_flush += st[tideover::batch_trigger::flush];
  s.by_pressure += st[tideover::batch_trigger::pressure];
}
}  // namespace

TEST_CASE("B2: relaxed bounds: threads add apart, and what concerns all of them concerns all they added",
          "[stress]") {
  tideover_test::watchdog const guard("relaxed batch stress", std::chrono::seconds(600));
  std::uint64_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 20'000) / 4;
  std::uint64_t const seed = tideover_test::run_seed();
  seen s;
  for (std::uint64_t n = 0; n != 28; ++n) round(s, seed + n, calls, (n % 7) * calls / 3);
  if (calls < 2000) return;
  CHECK(s.blocked > 0);
  CHECK(s.beyond > 0);
  CHECK(s.open > 0);
  CHECK(s.cancelled > 0);
  CHECK(s.cancel_too_late > 0);
  CHECK(s.flush_won > 0);
  CHECK(s.closed_under_add > 0);
  CHECK(s.full > 0);
  CHECK(s.by_time > 0);
  CHECK(s.by_count > 0);
  CHECK(s.by_flush > 0);
  CHECK(s.by_pressure > 0);
  CHECK(s.told > 0);
}

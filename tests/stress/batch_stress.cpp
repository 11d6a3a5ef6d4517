// SPDX-License-Identifier: BSL-1.0
// Threads at the batch processor; every race that is named is counted, and must have happened.
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/batch_processor.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using tideover::errc;
using tideover::outcome;

namespace {
constexpr int adders = 3;
struct seen {
  std::atomic<std::uint64_t> blocked{0}, block_timed_out{0}, cancelled{0}, cancel_too_late{0}, waited{0},
      flush_won{0}, flush_lost{0}, closed_under_add{0}, shut_down{0}, two_in_flight{0}, out_of_order{0},
      two_of_a_key{0}, delivered{0}, failed{0}, accepted{0};
};
struct parity {
  std::uint64_t operator()(std::uint64_t i) const { return i >> 32; }
};

template <class... Policies>
void round(seen& s, std::uint64_t seed, std::uint64_t calls, bool keyed, std::uint64_t stop_at) {
  std::array<std::atomic<std::uint64_t>, adders> last{};  // of each key, what the sink saw last
  std::array<std::atomic<int>, adders> in_sink{};
  std::atomic<int> sinks{0};
  std::optional<tideover::batch_processor<std::uint64_t, Policies...>> b;
  std::atomic<std::uint64_t> settled{0}, accepted{0};
  std::atomic<bool> closing{false};
  tideover::batch_options o{.max_items = 8, .linger = 100us, .max_pending = 10, .max_in_flight = 2};
  o.max_block = 40us;
  b.emplace(
      [&](std::span<std::uint64_t> batch) {
        if (++sinks == 2) ++s.two_in_flight;
        if (keyed) {
          auto const key = std::size_t(batch[0] >> 32);
          if (++in_sink[key] != 1) ++s.two_of_a_key;
          for (auto const i : batch) {
            if (last[key].exchange(i) >= i) ++s.out_of_order;
          }
          --in_sink[key];
        }
        if (batch[0] % 3 == 0) std::this_thread::sleep_for(60us);
        --sinks;
      },
      o);
  std::vector<std::thread> threads;
  for (int t = 0; t != adders; ++t) {
    threads.emplace_back([&, t] {
      tideover::xoshiro random(seed + std::uint64_t(t));
      std::vector<tideover::ticket> kept;
      auto const settle = [&](outcome const& out) {
        ++settled;
        out.delivered() ? ++s.delivered : ++s.failed;
        if (out.code() == errc::shut_down) ++s.shut_down;
      };
      for (std::uint64_t i = 1; i <= calls; ++i) {
        std::uint64_t const item = std::uint64_t(t) << 32 | i;
        auto const dice = random() % 64;
        if (dice < 16) {
          auto const r = b->add(item, settle);
          if (r) ++accepted;
          if (r.code() == errc::queue_full) ++s.block_timed_out;
          if (r.code() == errc::closed) ++s.closed_under_add;
        } else {
          auto r = b->add(item);
          if (r.code() == errc::queue_full) ++s.block_timed_out;
          if (r.code() == errc::closed) ++s.closed_under_add;
          if (r) {
            ++accepted;
            if (dice < 24) {
              b->cancel(*r) ? ++s.cancelled : ++s.cancel_too_late;
              kept.push_back(std::move(*r));
            } else if (dice < 32) {
              if (!r->ready()) ++s.waited;
              settle(r->wait());
            } else if (dice < 48) {
              kept.push_back(std::move(*r));
            } else {
              // Nobody will ask: the one outcome is counted by the batch processor alone.
              ++settled;
              r = errc::closed;
            }
          }
        }
        if (dice == 63) b->flush(std::chrono::microseconds(random() % 300)) ? ++s.flush_won : ++s.flush_lost;
        if (dice == 62) {
          auto const st = b->stats();
          if (st.blocked != 0) ++s.blocked;
          if (st.accepted != st.delivered + st.failed + st.pending) std::abort();
        }
        if (kept.size() > 20 || i == calls) {
          if (i == calls) {
            while (!closing) std::this_thread::yield();
          }
          for (auto const& k : kept) settle(k.wait());
          kept.clear();
        }
      }
    });
  }
  // The end comes at another place each time.
  while (accepted < stop_at) {
    if (b->stats().blocked != 0) ++s.blocked;
    std::this_thread::yield();
  }
  auto const totals = b->shutdown(std::chrono::microseconds(seed % 2 == 0 ? 0 : 2000));
  closing = true;
  for (auto& t : threads) t.join();
  b->shutdown(1s);
  auto const st = b->stats();
  CHECK(st.pending == 0);
  CHECK(st.accepted == accepted);
  CHECK(st.accepted == totals.accepted);
  CHECK(settled == accepted);
  b.reset();
  s.accepted += accepted;
}
}  // namespace

TEST_CASE("B21: threads add, wait, cancel, flush and shut down: nothing is lost between them", "[stress]") {
  tideover_test::watchdog const guard("batch stress", std::chrono::seconds(600));
  std::uint64_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 20'000) / 40;
  seen s;
  std::uint64_t const seed = tideover_test::run_seed();
  for (std::uint64_t n = 0; n != 20; ++n) {
    std::uint64_t const stop_at = (seed + n) % 7 * calls / 8;
    round<>(s, seed + n, calls, false, stop_at);
    round<tideover::keyed<parity>>(s, seed + n, calls, true, stop_at);
    round<tideover::caller_runs, tideover::eager>(s, seed + n, calls, false, stop_at);
    round<tideover::relaxed_bounds>(s, seed + n, calls, false, stop_at);
  }
  CHECK(s.out_of_order == 0);
  CHECK(s.two_of_a_key == 0);
  if (calls < 200) return;
  CHECK(s.blocked > 0);
  CHECK(s.cancelled > 0);
  CHECK(s.cancel_too_late > 0);
  CHECK(s.waited > 0);
  CHECK(s.flush_won > 0);
  CHECK(s.flush_lost > 0);
  CHECK(s.closed_under_add > 0);
  CHECK(s.shut_down > 0);
  CHECK(s.two_in_flight > 0);
  CHECK(s.delivered > 0);
  CHECK(s.block_timed_out > 0);
}

// SPDX-License-Identifier: BSL-1.0
// Everything goes wrong at once, and every accepted item is settled exactly once.
#include "batch/common.hpp"
#include "support/environment.hpp"
#include "support/fail_points.hpp"
#include "support/watchdog.hpp"

#include <atomic>
#include <memory>
#include <random>

namespace {
struct ledger {
  explicit ledger(std::size_t n) : entries(n) {}
  struct entry {
    std::atomic<unsigned char> accepted{0}, settled{0}, sent_after{0};
    std::atomic<bool> shut_down{false};
  };
  std::vector<entry> entries;
  std::atomic<std::uint64_t> delivered{0}, failed{0}, rejected{0}, sink_throws{0}, bad_allocs{0},
      item_failures{0}, rejected_full{0}, rejected_memory{0}, shut_down{0}, calls{0}, slow{0};
};

struct key_of {
  std::uint32_t operator()(std::uint32_t i) const { return i % 16; }
};

template <class... Policies>
void chaos(ledger& l, std::uint32_t first, std::uint32_t last, std::uint64_t seed, batch_options o) {
  std::atomic<std::uint64_t> draws{seed};
  auto const draw = [&] {
    // splitmix64, shared by the threads
    std::uint64_t z = draws.fetch_add(0x9E3779B97F4A7C15u) + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  };
  std::atomic<std::uint32_t> next{first};
  std::vector<tideover::ticket> tickets[3];
  std::vector<std::uint32_t> ids[3];
  batch_stats s;
  {
    batch_processor<std::uint32_t, tideover::constant_backoff, Policies...> b(
        [&](std::span<std::uint32_t> batch) {
          ++l.calls;
          if (batch.empty() || batch.size() > o.max_items) std::abort();
          for (auto const i : batch) {
            if (l.entries[i].settled != 0) ++l.entries[i].sent_after;
          }
          std::uint64_t const dice = draw() % 1000;
          if (dice < 30) {
            ++l.slow;
            std::this_thread::yield();
          }
          if (dice < 60) {
            ++l.sink_throws;
            throw sink_down();
          }
          if (dice < 80) throw std::system_error(std::make_error_code(std::errc::message_size));
          failing =
              fail_plan{dice < 150 ? draw() % 3 + 1 : 0, 0, false};  // by the allocations of this thread
          struct calm {
            std::atomic<std::uint64_t>& count;
            ~calm() {
              if (failing.fired) ++count;
              failing = fail_plan{};
            }
          } const at_the_end{l.bad_allocs};
          std::vector<outcome> answers(batch.size());
          if (dice > 900) {
            for (auto& a : answers) {
              if (draw() % 4 != 0) continue;
              a = outcome(errc::timed_out);
              ++l.item_failures;
            }
          }
          if (dice == 999) answers.pop_back();
          return answers;
        },
        o, tideover::constant_backoff{std::chrono::microseconds(50)});
    auto const settle = [&l](std::uint32_t id, outcome const& out) {
      ++l.entries[id].settled;
      out.delivered() ? ++l.delivered : ++l.failed;
      if (out.code() == errc::shut_down) {
        ++l.shut_down;
        l.entries[id].shut_down = true;
      }
    };
    std::vector<std::thread> adders;
    for (int t = 0; t != 3; ++t) {
      adders.emplace_back([&, t] {
        for (;;) {
          std::uint32_t const id = next.fetch_add(1);
          if (id >= last) return;
          std::uint64_t const dice = draw() % 1000;
          std::error_code code;
          failing = fail_plan{dice < 30 ? draw() % 4 + 1 : 0, 0, false};
          if (dice % 3 == 0) {
            code = b.add(id, [&settle, id](outcome const& out) { settle(id, out); }).code();
            failing = fail_plan{};
          } else {
            auto r = b.add(id);
            failing = fail_plan{};
            code = r.code();
            if (r && dice % 5 != 0) {
              tickets[t].push_back(std::move(*r));
              ids[t].push_back(id);
            } else if (r) {
              r->wait();  // the outcome at once, then the ticket is given up
              settle(id, r->wait());
            }
          }
          if (!code) {
            ++l.entries[id].accepted;
            if (dice == 1) static_cast<void>(b.flush(std::chrono::microseconds(draw() % 200)));
            if (dice == 2 && !tickets[t].empty()) b.cancel(tickets[t].back());
          } else {
            ++l.rejected;
            if (code == errc::queue_full) ++l.rejected_full;
            if (code == errc::no_memory) ++l.rejected_memory;
            if (code == errc::closed) return;
          }
          if (dice == 3) {
            auto const now = b.stats();
            if (now.accepted != now.delivered + now.failed + now.pending) std::abort();
          }
        }
      });
    }
    std::uint32_t const stop_at = first + std::uint32_t(draw() % (2 * (last - first)));
    if (stop_at < last) {
      tideover_test::await([&] { return next >= stop_at; });
      b.shutdown(std::chrono::microseconds(draw() % 2 == 0 ? 0 : draw() % 2000));
    }
    for (auto& t : adders) t.join();
    b.shutdown(std::chrono::milliseconds(draw() % 20));
    s = b.stats();
    REQUIRE(adds_up(s));
    REQUIRE(s.pending == 0);
    for (int t = 0; t != 3; ++t) {
      for (std::size_t i = 0; i != ids[t].size(); ++i) {
        REQUIRE(tickets[t][i].ready());
        settle(ids[t][i], *tickets[t][i].peek());
      }
    }
  }
  std::uint64_t accepted = 0;
  for (std::uint32_t id = first; id != last; ++id) {
    auto const& e = l.entries[id];
    accepted += e.accepted;
    // When the time is up, a batch that was handed to a thread is given up, and its call may just be
    // beginning.
    if (e.settled == e.accepted && e.sent_after <= (e.shut_down ? 1 : 0)) continue;
    CAPTURE(id, int(e.accepted), int(e.settled), int(e.sent_after), seed);
    FAIL("an item was not settled exactly once");
  }
  REQUIRE(accepted == s.accepted);
}
}  // namespace

TEST_CASE("B2: a million items through everything that may happen: each is settled exactly once", "[chaos]") {
  tideover_test::watchdog const guard("chaos", std::chrono::seconds(600));
#if defined(NDEBUG)
  constexpr std::uint64_t by_default = 1'000'000;
#else
  constexpr std::uint64_t by_default = 120'000;
#endif
  auto const items = std::uint32_t(std::max<std::uint64_t>(
      20'000,
      std::min<std::uint64_t>(1'000'000, tideover_test::number_from("TIDEOVER_MODEL_STEPS", by_default))));
  ledger l(items);
  std::mt19937_64 random(tideover_test::run_seed());
  std::uint32_t const each = std::max<std::uint32_t>(items / 40, 1'000);
  std::uint32_t kind = 0;
  for (std::uint32_t first = 0; first < items; first += each, ++kind) {
    std::uint32_t const last = std::min(items, first + each);
    batch_options o;
    o.max_items = 1 + random() % 40;
    o.linger = std::chrono::microseconds(random() % 300);
    o.max_pending = 1 + random() % 400;
    o.max_in_flight = 1 + random() % 2;
    o.max_block = std::chrono::microseconds(random() % 500);
    o.item_timeout = random() % 3 == 0 ? std::chrono::microseconds(1 + random() % 3000) : 0us;
    o.max_attempts = unsigned(1 + random() % 3);
    auto const seed = random();
    switch (kind % 5) {
      case 0:
        chaos<>(l, first, last, seed, o);
        break;
      case 1:
        chaos<tideover::drop_oldest, tideover::retry_items, tideover::bisect>(l, first, last, seed, o);
        break;
      case 2:
        chaos<tideover::caller_runs, tideover::eager, tideover::keyed<key_of>, tideover::retry_items>(
            l, first, last, seed, o);
        break;
      case 3:
        chaos<tideover::relaxed_bounds, tideover::retry_items, tideover::bisect>(l, first, last, seed, o);
        break;
      default:
        o.max_pending = 1 + o.max_pending % 8;  // it must be full now and then, however fast the sink is
        chaos<tideover::reject, tideover::aimd_size, tideover::retry_items>(l, first, last, seed, o);
        break;
    }
  }
  std::printf(
      "%u items: %llu delivered, %llu failed (%llu as shut down), %llu rejected (%llu full, %llu no "
      "memory)\n",
      items, static_cast<unsigned long long>(l.delivered), static_cast<unsigned long long>(l.failed),
      static_cast<unsigned long long>(l.shut_down), static_cast<unsigned long long>(l.rejected),
      static_cast<unsigned long long>(l.rejected_full), static_cast<unsigned long long>(l.rejected_memory));
  for (auto const* n : {&l.delivered, &l.failed, &l.rejected, &l.sink_throws, &l.item_failures}) {
    CHECK(n->load() > 0);
  }
  if (items < 100'000) return;  // a short run need not meet what is rare
  for (auto const* n : {&l.bad_allocs, &l.rejected_full, &l.rejected_memory, &l.shut_down, &l.slow}) {
    CHECK(n->load() > 0);
  }
}

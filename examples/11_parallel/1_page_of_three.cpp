// SPDX-License-Identifier: BSL-1.0
// A page needs three back-ends: together they take as long as the slowest. Then a hundred contracts with five
// workers, and a source that fails without taking the others along. In virtual time, so that the seconds are
// exact.
#include <tideover/parallel.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// A call that takes a while of the clock's time.
void take(tideover::manual_clock const& clock, std::chrono::nanoseconds d) {
  std::mutex mutex;
  std::condition_variable cv;
  std::unique_lock lock(mutex);
  tideover::instant const until = clock.now() + d;
  while (clock.now() < until) clock.wait_until(cv, lock, until);
}

/// Runs `work`, and moves the clock whenever `n` calls wait for it. Returns the seconds that took.
template <class Work>
double seconds(tideover::manual_clock const& clock, std::size_t n, Work work) {
  tideover::instant const began = clock.now();
  std::atomic<bool> done = false;
  std::thread caller([&] { work(), done = true; });
  while (!done) clock.sleepers() == n ? clock.set(clock.next_wake()) : std::this_thread::yield();
  caller.join();
  return std::chrono::duration<double>(clock.now() - began).count();
}

}  // namespace

int main() {
  tideover::manual_clock clock;
  tideover::owned_threads pool{8};

  auto const user = [&] { return take(clock, 1s), std::string("Ann"); };
  auto const cart = [&] { return take(clock, 1s), 3; };
  auto const offers = [&] { return take(clock, 1s), std::vector<int>{7, 8}; };
  std::string line;
  double const page = seconds(clock, 3, [&] {
    auto const [name, items, ids] = tideover::gather(pool, user, cart, offers);
    line = name + " has " + std::to_string(items) + ", sees " + std::to_string(ids.size());
  });
  std::printf("%s, after %.3f s\n", line.c_str(), page);

  std::vector<int> contracts(100);
  std::iota(contracts.begin(), contracts.end(), 1);
  int sum = 0;
  double const all = seconds(clock, 5, [&] {
    auto const analyse = [&](int contract) { return take(clock, 1s), contract; };
    sum = tideover::map_reduce(pool, contracts, analyse, std::plus<>(), {.max_workers = 5});
  });
  std::printf("%d from 100 contracts, after %.3f s\n", sum, all);

  std::vector<std::function<tideover::result<int>(int)>> const sources{
      [](int q) { return q; }, [](int) { return tideover::errc::circuit_open; }, [](int q) { return 2 * q; }};
  for (auto const& answer :
       tideover::try_scatter_gather(pool, 21, sources, {.errors = tideover::error_handling::collect_all})) {
    answer ? std::printf("%d\n", *answer)
           : std::printf("none: %s\n", answer.code().message().substr(0, 12).c_str());
  }
}
// expect: Ann has 3, sees 2, after 1.000 s
// expect: 5050 from 100 contracts, after 20.000 s
// expect: 21
// expect: none: circuit open
// expect: 42

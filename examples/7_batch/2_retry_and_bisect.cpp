// SPDX-License-Identifier: BSL-1.0
// A sink that takes all or nothing, is down for a moment, and chokes on one item: the batch is tried again,
// then searched for the item to blame. The others are delivered.
#include <tideover/batch_processor.hpp>

#include <chrono>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::manual_clock clock;
  int calls = 0, sent = 0;
  auto const send_all_or_nothing = [&](std::span<std::string> lines) {
    if (++calls == 1) throw std::runtime_error("connection reset");
    for (auto const& line : lines) {
      if (line.find('\n') != std::string::npos) throw std::runtime_error("malformed");
    }
    sent += static_cast<int>(lines.size());
  };
  tideover::batch_processor<std::string, tideover::retry_items, tideover::bisect, tideover::constant_backoff,
                            tideover::hand_driven, tideover::manual_clock>
      lines(send_all_or_nothing, {.max_items = 16, .linger = 1s, .max_attempts = 2},
            tideover::constant_backoff{100ms}, clock);

  for (int i = 0; i < 16; ++i) {
    auto const accepted = lines.add(i == 11 ? "two\nlines" : "line", [i](tideover::outcome const& o) {
      if (o.delivered()) return;
      try {
        std::rethrow_exception(o.cause());
      } catch (std::exception const& e) {
        std::printf("item %d: %s\n", i, e.what());
      }
    });
    if (!accepted) return 1;
  }
  lines.tick();
  std::printf("%d sent, again in %lld ms\n", sent,
              static_cast<long long>((lines.next_deadline() - clock.now()) / 1ms));
  clock.set(lines.next_deadline());
  lines.tick();
  std::printf("%d sent by %d calls\n", sent, calls);
}
// expect: 0 sent, again in 100 ms
// expect: item 11: malformed
// expect: 15 sent by 10 calls

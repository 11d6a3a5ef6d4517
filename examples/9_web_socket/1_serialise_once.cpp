// SPDX-License-Identifier: BSL-1.0
// Price updates for everybody who has the page open. One by one, each would be serialised, compressed and
// written for each client; in batches of up to 50 within 100 ms, that is done once for all of them. In
// virtual time.
#include <tideover/batch_processor.hpp>

#if TIDEOVER_EXAMPLE_ZSTD
#include <zstd.h>
#endif

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct update {
  int article;
  int price;
};

/// What all clients are sent: the bytes are there once, however many they are.
using frame = std::shared_ptr<std::string const>;

std::string serialise(std::span<update const> updates) {
  std::string text = "[";
  for (update const& u : updates) {
    if (text.size() > 1) text += ',';
    text.append("{\"article\":").append(std::to_string(u.article));
    text.append(",\"price\":").append(std::to_string(u.price)).append("}");
  }
  return text += ']';
}

/// permessage-deflate would do as well; without a library it is sent as it is.
std::string compress(std::string text) {
#if TIDEOVER_EXAMPLE_ZSTD
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  std::size_t const size = ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3);
  if (ZSTD_isError(size) != 0) throw std::runtime_error(ZSTD_getErrorName(size));
  packed.resize(size);
  if (packed.size() > text.size() / 2) std::printf("hardly compressed\n");
  return packed;
#else
  return text;
#endif
}

/// Stands for a connection: an outbox, and whether the other end is still there.
struct client {
  std::vector<frame> outbox{};
  bool open = true;
  bool send(frame f) {
    if (open) outbox.push_back(std::move(f));
    return open;
  }
};

}  // namespace

int main() {
  std::vector<client> clients(40);
  clients[7].open = false;  // one that has gone is no reason to send anything twice
  int serialised = 0;
  int writes = 0;

  tideover::manual_clock clock;
  tideover::batch_processor<update, tideover::manual_clock, tideover::hand_driven> updates(
      [&](std::span<update> batch) {
        ++serialised;
        frame const once = std::make_shared<std::string const>(compress(serialise(batch)));
        for (client& c : clients) writes += c.send(once) ? 1 : 0;
        std::printf("%zu updates at %lld ms\n", batch.size(),
                    static_cast<long long>((clock.now().since_epoch() - 1h) / 1ms));
      },
      tideover::presets::batch::web_socket, clock);

  for (int i = 0; i < 120; ++i) {  // one each millisecond
    if (!updates.add({i % 10, 1'000 + i})) std::printf("too much\n");
    updates.tick();
    clock.advance(1ms);
  }
  // A service calls tick when this comes, by its own loop or timer; with the default runner there is none to
  // call.
  clock.set(updates.next_deadline());
  updates.tick();

  auto const s = updates.stats();
  std::printf("%d updates to %zu clients: %d times serialised and compressed, %d writes\n",
              static_cast<int>(s.delivered), clients.size() - 1, serialised, writes);
  std::printf("one by one: %d and %d\n", 120, 120 * 39);
}
// expect: 50 updates at 49 ms
// expect: 50 updates at 99 ms
// expect: 20 updates at 200 ms
// expect: 120 updates to 39 clients: 3 times serialised and compressed, 117 writes
// expect: one by one: 120 and 4680

// SPDX-License-Identifier: BSL-1.0
#include "loader/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/throwing.hpp"

#include <pthread.h>

namespace {

using tideover_test::point;
using fragile = tideover_test::throwing<point::construct | point::copy | point::hash | point::equal>;

struct fragile_hash {
  std::size_t operator()(fragile const& f) const { return fragile::hasher{}(f); }
};

using loader_type = tideover::data_loader<fragile, fragile, tideover::hash_by<fragile_hash>>;

}  // namespace

TEST_CASE("L2: whatever fails at any point, nobody waits for ever and the next call works") {
  struct state {
    std::unique_ptr<loader_type> loader = std::make_unique<loader_type>(
        [](std::span<fragile const> ids) {
          std::vector<fragile> all;
          for (auto const& k : ids) all.emplace_back(k.id() + 1);
          return all;
        },
        tideover::data_loader_options{.max_items = 2, .linger = 0ns, .capacity = 16});
    std::vector<fragile> keys = make_keys();
    static std::vector<fragile> make_keys() {
      std::vector<fragile> all;
      for (int i = 0; i < 5; ++i) all.emplace_back(i);
      return all;
    }
  };
  std::size_t const points =
      tideover_test::fail_at_every_point([] { return state(); },
                                         [](state& s) {
                                           auto const all = s.loader->load_many(s.keys);
                                           CHECK(all.size() == 5);
                                           CHECK(all[4].id() == 5);
                                         },
                                         [](state& s, tideover_test::attempt const&) {
                                           // A full batch is not left to nobody.
                                           CHECK(s.loader->stats().pending < 2);
                                           auto const all = s.loader->load_many(s.keys);
                                           REQUIRE(all.size() == 5);
                                           for (int i = 0; i < 5; ++i)
                                             CHECK(all[static_cast<std::size_t>(i)].id() == i + 1);
                                           CHECK(s.loader->stats().pending == 0);
                                         });
  CHECK(points > 30);
  CHECK(fragile::live() == 0);
}

TEST_CASE("L1: what is asked for later and never got dies with its loader") {
  auto const before = fragile::live();
  {
    loader_type loader([](std::span<fragile const>) { return std::vector<fragile>(); },
                       {.max_items = 3, .capacity = 16});
    static_cast<void>(loader.later(fragile(0)));
    static_cast<void>(loader.later(fragile(1)));
    CHECK(loader.stats().pending == 2);
    CHECK(fragile::live() >= before + 2);
  }
  CHECK(fragile::live() == before);
}

TEST_CASE("L1: a full batch that nobody waits for any more is forgotten") {
  auto const before = fragile::live();
  loader_type loader(
      [](std::span<fragile const> ids) { return std::vector<fragile>(ids.begin(), ids.end()); },
      {.max_items = 3, .linger = 0ns, .capacity = 16});
  for (int i = 0; i < 100; ++i) static_cast<void>(loader.later(fragile(i)));
  CHECK(loader.stats().pending <= 3);
  CHECK(fragile::live() <= before + 3);
  {
    auto first = loader.later(fragile(200));  // keeps the others of its batch
    for (int i = 201; i < 220; ++i) static_cast<void>(loader.later(fragile(i)));
    CHECK(loader.stats().batches == 0);
    static_cast<void>(first.get());
    CHECK(loader.stats().batches == 1);
    CHECK(loader.stats().keys == 3);
    CHECK(loader.later(fragile(0)).get().id() == 0);  // forgotten, so asked for anew
  }
  CHECK(loader.stats().pending <= 3);
}

TEST_CASE("L2: a batch whose thread ends is told to those who wait") {
  watchdog const dog("a thread that ends");
  gate door;
  int_loader<> loader(
      [&](keys_of keys) {
        if (keys[0] == 1 && door.arrivals() == 0) {
          door.pass();
          ::pthread_exit(nullptr);
        }
        return std::vector<int>(keys.size(), 5);
      },
      {.linger = 0ns});
  std::thread dying([&] { static_cast<void>(loader.try_load(1)); });
  door.await_arrivals(1);
  auto waiting = on_thread([&] { return loader.try_load(1); });
  await([&] { return loader.stats().joined == 1; });
  door.open();
  dying.join();
  CHECK(waiting.get().code() == errc::flight_abandoned);
  CHECK(loader.stats().abandoned == 1);
  CHECK(loader.load(1) == 5);
}

TEST_CASE("L1: a hit allocates nothing") {
  REQUIRE(tideover_test::allocation_counter::works());
  backend back;
  int_loader<> loader(back, {.linger = 0ns});
  loader.load(1);
  loader.load(1);
  tideover_test::allocation_counter const counter;
  loader.load(1);
  CHECK(counter.allocations() == 0);
}

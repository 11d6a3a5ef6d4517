// SPDX-License-Identifier: BSL-1.0
#include "loader/common.hpp"

#include <unordered_map>

namespace {

/// A store of somebody's own, which calls back, throws or waits when it is told to.
class own_store {
 public:
  std::optional<int> get(int key) {
    std::lock_guard lock(mutex);
    auto const at = values.find(key);
    if (at == values.end()) return std::nullopt;
    return at->second;
  }
  bool put(int key, int value, tideover::put_options const& = {}) {
    if (before_put) before_put(key);
    {
      std::lock_guard lock(mutex);
      values[key] = value;
    }
    if (after_put) after_put(key);
    return true;
  }
  void erase(int key) {
    std::lock_guard lock(mutex);
    values.erase(key);
  }
  void clear() {
    std::lock_guard lock(mutex);
    values.clear();
  }
  std::mutex mutex;
  std::unordered_map<int, int> values;
  std::function<void(int)> before_put, after_put;
};

using kept_loader = int_loader<tideover::cache_in<own_store>>;

}  // namespace

TEST_CASE("B19: a success is kept for its time to live, a failure is not kept") {
  manual_clock clock;
  backend back;
  int calls_that_fail = 1;
  back.before([&](keys_of) {
    if (calls_that_fail-- > 0) throw std::runtime_error("down");
  });
  int_loader<> loader(back, {.linger = 0ns, .ttl = 10s}, clock);
  CHECK_THROWS_WITH(loader.load(1), "down");
  CHECK(loader.load(1) == 10);
  back.version(1);
  clock.advance(9'999ms);
  CHECK(loader.load(1) == 10);
  clock.advance(1ms);
  CHECK(loader.load(1) == 11);
  CHECK(back.calls().size() == 3);
  CHECK(loader.stats().hits == 1);
}

TEST_CASE("B19: clear while it is in flight: who waits is served, nothing is kept, nobody joins") {
  watchdog const dog("clear in flight");
  backend back;
  gate door;
  back.before([&](keys_of keys) {
    if (keys[0] == 1 && back.calls().size() == 1) door.pass();
  });
  int_loader<> loader(back, {.linger = 0ns});
  bool const all = GENERATE(false, true);
  auto first = on_thread([&] {
    std::vector<int> const ids{1, 2};
    return loader.load_many(ids);
  });
  door.await_arrivals(1);
  auto joined = on_thread([&] { return loader.load(1); });
  await([&] { return loader.stats().joined == 1; });
  all ? loader.clear() : loader.clear(1);
  back.version(1);
  CHECK(loader.load(1) == 11);  // a call of its own, while the other one is still under way
  door.open();
  // on.
  CHECK(first.get().size() == 2);
  CHECK(joined.get() == 11);
  CHECK(loader.load(1) == 11);
  CHECK(back.calls().size() == 2);
  CHECK(loader.stats().outdated == (all ? 2 : 1));
  loader.load(2);  // was not cleared, so it was kept, unless all were
  CHECK(back.calls().size() == (all ? 3 : 2));
}

TEST_CASE("B19: clear while it is in flight: the older value is never stored") {
  watchdog const dog("older value");
  own_store store;
  gate door;
  std::atomic<int> version = 1;
  kept_loader loader(
      [&](keys_of keys) {
        int const seen = version;  // read before it is cleared
        if (seen == 1) door.pass();
        return std::vector<int>(keys.size(), seen);
      },
      {.linger = 0ns}, tideover::cache_in(store));
  auto first = on_thread([&] { return loader.load(1); });
  door.await_arrivals(1);
  version = 2;
  loader.clear(1);
  door.open();
  CHECK(first.get() == 1);
  CHECK(store.values.empty());
  CHECK(loader.load(1) == 2);
}

TEST_CASE("B19: clear before the batch has begun changes nothing: it will see what is there") {
  backend back;
  int_loader<> loader(back, {});
  auto a = loader.later(1);
  loader.clear(1);
  loader.clear();
  CHECK(a.get() == 10);
  CHECK(loader.load(1) == 10);
  CHECK(back.calls().size() == 1);
}

TEST_CASE("B19: clear while the value is being stored waits, and wins") {
  watchdog const dog("clear while storing");
  own_store store;
  gate door;
  store.before_put = [&](int) { door.pass(); };
  backend back;
  kept_loader loader(back, {.linger = 0ns}, tideover::cache_in(store));
  auto first = on_thread([&] { return loader.load(1); });
  door.await_arrivals(1);
  bool const all = GENERATE(false, true);
  std::atomic<bool> cleared = false;
  auto clearing = on_thread([&] {
    all ? loader.clear() : loader.clear(1);
    cleared = true;
  });
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  CHECK(!cleared);
  door.open();
  clearing.get();
  CHECK(first.get() == 10);
  CHECK(!store.get(1));
}

TEST_CASE(
    "B19: two threads that clear what the other one stores, while they store, do not wait for each other") {
  watchdog const dog("each clears what the other one stores");
  own_store store;
  gate door;
  backend back;
  kept_loader loader(back, {.max_items = 1, .linger = 0ns}, tideover::cache_in(store));
  bool const all = GENERATE(false, true);
  store.before_put = [&](int key) {
    door.pass();
    all ? loader.clear() : loader.clear(3 - key);
  };
  auto one = on_thread([&] { return loader.load(1); });
  auto two = on_thread([&] { return loader.load(2); });
  door.await_arrivals(2);
  door.open();
  CHECK(one.get() == 10);
  CHECK(two.get() == 20);
  CHECK(store.values.empty());
}

TEST_CASE("B19: the store may call the loader while it stores") {
  watchdog const dog("called from within the store");
  own_store store;
  backend back;
  kept_loader loader(back, {.linger = 0ns}, tideover::cache_in(store));
  std::vector<int> const ids{1, 2, 3};
  SECTION("to clear what is stored at that moment, before it, or after it") {
    int const when = GENERATE(1, 2, 3);
    store.before_put = [&](int key) {
      if (key == when) loader.clear(2);
    };
    CHECK(loader.load_many(ids) == std::vector{10, 20, 30});
    CHECK(!store.get(2));
    CHECK(store.get(1) == 10);
    CHECK(store.get(3) == 30);
  }
  SECTION("to clear everything") {
    store.before_put = [&](int key) {
      if (key == 2) loader.clear();
    };
    CHECK(loader.load_many(ids) == std::vector{10, 20, 30});
    CHECK(store.values.empty());
  }
  SECTION("to load another key") {
    store.before_put = [&](int key) {
      if (key == 2) CHECK(loader.load(99) == 990);
    };
    CHECK(loader.load_many(ids) == std::vector{10, 20, 30});
  }
}

TEST_CASE("B19: prime stores what is known, and overwrites nothing") {
  watchdog const dog("prime");
  backend back;
  gate door;
  back.before([&](keys_of) { door.pass(); });
  int_loader<> loader(back, {.linger = 0ns});
  CHECK(loader.prime(1, 5));
  CHECK(!loader.prime(1, 6));
  CHECK(loader.load(1) == 5);
  CHECK(back.calls().empty());
  // Nor what is waited for, or under way.
  auto waiting = loader.later(2);
  CHECK(!loader.prime(2, 7));
  auto first = on_thread([&] { return waiting.get(); });
  door.await_arrivals(1);
  CHECK(!loader.prime(2, 8));
  door.open();
  CHECK(first.get() == 20);
  CHECK(!loader.prime(2, 9));
  CHECK(loader.load(2) == 20);
  CHECK(loader.stats().primed == 1);
  loader.clear(1);
  CHECK(loader.prime(1, 7));
  CHECK(loader.load(1) == 7);
}

TEST_CASE("B19: two threads prime one key: one of them does") {
  watchdog const dog("two primes");
  own_store store;
  gate door;
  store.before_put = [&](int) { door.pass(); };
  backend back;
  kept_loader loader(back, {.linger = 0ns}, tideover::cache_in(store));
  auto first = on_thread([&] { return loader.prime(1, 5); });
  door.await_arrivals(1);
  CHECK(!loader.prime(1, 6));
  auto asks = on_thread([&] { return loader.load(1); });  // is given it without a call
  await([&] { return loader.stats().joined == 1; });
  door.open();
  CHECK(first.get());
  CHECK(asks.get() == 5);
  CHECK(back.calls().empty());
}

TEST_CASE("B19: what fails in prime is the affair of who primes: others ask again") {
  watchdog const dog("a prime that fails");
  struct failing {
    gate& door;
    operator int() const {
      door.pass();
      throw std::runtime_error("the caller's own");
    }
  };
  backend back;
  gate door;
  int_loader<> loader(back, {.max_items = 2, .linger = 0ns});
  auto primes = on_thread([&] { return loader.prime(1, failing{door}); });
  door.await_arrivals(1);
  std::vector<int> const ids{1, 2, 3};
  auto asks = on_thread([&] { return loader.load(1); });
  auto many = on_thread([&] { return loader.load_many(ids); });
  auto later = loader.later(1);
  await([&] { return loader.stats().joined == 3; });
  door.open();
  CHECK_THROWS_WITH(primes.get(), "the caller's own");
  CHECK(asks.get() == 10);
  CHECK(many.get() == std::vector{10, 20, 30});
  CHECK(later.get() == 10);
  CHECK(later.get() == 10);
  CHECK(loader.stats().failed == 0);
  CHECK(loader.stats().pending == 0);
}

TEST_CASE("B19: a store that throws costs nobody the value") {
  own_store store;
  store.before_put = [](int key) {
    if (key != 3) throw std::runtime_error("full");
  };
  backend back;
  kept_loader loader(back, {.linger = 0ns}, tideover::cache_in(store));
  std::vector<int> const ids{1, 2, 3};
  CHECK(loader.load_many(ids) == std::vector{10, 20, 30});
  CHECK(loader.stats().store_failures == 2);
  CHECK(store.values.size() == 1);
  CHECK(!loader.prime(4, 1));
  CHECK(&loader.store() == &store);
}

TEST_CASE("B19: uncached: joined while under way, then forgotten") {
  backend back;
  int_loader<tideover::uncached> loader(back, {.linger = 0ns});
  CHECK(loader.load(1) == 10);
  CHECK(loader.load(1) == 10);
  CHECK(back.calls().size() == 2);
  CHECK(!loader.prime(1, 5));
  loader.clear(1);
  loader.clear();
}

// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "support/watchdog.hpp"

#include <functional>
#include <utility>

namespace {

/// A value whose destructor calls back; a moved-from one is silent.
class farewell {
 public:
  explicit farewell(std::function<void()>& call) : call_(&call) {}
  farewell(farewell&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  farewell& operator=(farewell&& other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~farewell() {
    if (call_ != nullptr && *call_) (*call_)();
  }

 private:
  std::function<void()>* call_;
};

}  // namespace

TEMPLATE_TEST_CASE("the destructor of a removed value runs after the lock: it may call the cache",
                   "[threads]", tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  watchdog const dog("a destructor that calls the cache");
  std::function<void()> call;
  manual_clock clock;
  tideover::ttl_cache<int, farewell, manual_clock, TestType> cache(sized(2, 60s), clock);
  int calls = 0;
  call = [&] {
    ++calls;
    cache.size(), cache.stats(), cache.contains(1), cache.visit(2, [](farewell const&) {});
    cache.erase(50), cache.maintain();
  };
  auto const value = [&] { return farewell(call); };
  cache.put(1, value());
  SECTION("replaced") { cache.put(1, value()); }
  SECTION("erased") { cache.erase(1); }
  SECTION("evicted") { cache.put(2, value()), cache.put(3, value()); }
  SECTION("cleared") { cache.clear(); }
  SECTION("erase_if") {
    cache.erase_if([](int const&, farewell const&) { return true; });
  }
  SECTION("set_capacity") { cache.put(2, value()), cache.set_capacity(1); }
  SECTION("expired, met by a read") {
    clock.advance(60s), cache.visit(1, [](farewell const&) {});
  }
  SECTION("expired, freed by maintain") { clock.advance(61s), cache.maintain(); }
  SECTION("expired, freed by a put") { clock.advance(61s), cache.put(9, value()); }
  SECTION("refused") { cache.put(7, value(), living(0s)); }
  SECTION("discarded") {
    cache.visit_or_compute(
        8, [&] { return cache.erase(8), value(); }, [](farewell const&) {});
  }
  SECTION("erased within its visit") {
    cache.visit(1, [&](farewell const&) {
      cache.erase(1);
      CHECK(calls == 0);
    });
  }
  CHECK(calls == 1);
  call = nullptr;
}

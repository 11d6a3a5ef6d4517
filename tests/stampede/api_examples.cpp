// SPDX-License-Identifier: BSL-1.0
// The calls that the documentation shows, as users type them.
#include <tideover/cache_key.hpp>
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>
#include <tideover/stampede_guard.hpp>
#include <tideover/ttl_cache.hpp>
#include <tideover/xfetch.hpp>

#include "support/catch.hpp"
#include "support/hashes.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

namespace {
struct page {
  std::string text;
};
page render(std::string_view key = "/") { return {"page of " + std::string(key)}; }
}  // namespace

TEST_CASE("S2: the decision alone, as documented", "[api]") {
  tideover::instant const now{0}, soft_expiry{1'000'000};
  std::chrono::nanoseconds const delta = 1ms, ttl = 60s;
  tideover::xoshiro rng;
  tideover::xfetch early({.beta = 1.0, .max_early = 0.5});
  bool refresh = early(now, soft_expiry, delta, ttl, rng);
  static_cast<void>(refresh);
  CHECK(early(soft_expiry, soft_expiry, delta, ttl, rng));
}

TEST_CASE("S5: single_flight, as documented", "[api]") {
  tideover::single_flight<std::string, page> flights;
  page p = flights.run("k", [] { return render(); });
  CHECK(p.text == "page of /");
  tideover::result<page> r = flights.try_run("k", [](auto const& key) { return render(key); });
  CHECK(r->text == "page of k");
}

TEST_CASE("S4: stampede_guard, as documented", "[api]") {
  using store = tideover::ttl_cache<std::string, tideover::cached<page>>;
  store::options const store_options{.capacity = 1000};
  tideover::stampede_guard<store, tideover::xfetch> pages(
      store_options, {.ttl = 60s, .stale_while_revalidate = 10s, .stale_if_error = 5min});
  page q = pages.get_or_compute("k", [](auto const& key) { return render(key); });
  CHECK(q.text == "page of k");
  CHECK(pages.get("k")->text == "page of k");
  CHECK(pages.get(std::string("k"))->text == "page of k");
  CHECK(pages.get(std::string_view("k"))->text == "page of k");
  CHECK(pages.try_get_or_compute("k", [](auto const& key) { return render(key); })->text == "page of k");
  tideover::served<page> s = pages.serve("k", [] { return render(); });
  CHECK(s.how == tideover::serving::fresh);
  std::size_t const length = pages.visit_or_compute(
      "k", [] { return render(); }, [](page const& p) { return p.text.size(); });
  CHECK(length == 9);
  CHECK(pages.put("k", page{"new"}, {.ttl = 5s}));
  CHECK(pages.get("k")->text == "new");
  CHECK(pages.invalidate("k"));
  CHECK_FALSE(pages.invalidate("k"));
  pages.clear();
  CHECK(pages.new_generation() == 1);
  auto const until = tideover::deadline::after(pages.clock(), 1s);
  CHECK(pages
            .get_or_compute(
                "k", [] { return render(); }, until)
            .text == "page of /");
  CHECK(pages
            .serve(
                "k", [] { return render(); }, until)
            .value.text == "page of /");
  CHECK(pages
            .try_serve(
                "k", [] { return render(); }, until)
            ->how == tideover::serving::fresh);
  CHECK(pages.stats().computations.miss == 2);
  CHECK(pages.configured().ttl == 60s);
  CHECK(pages.store().size() == 1);
}

TEST_CASE("S4: guarded_cache, as documented", "[api]") {
  tideover::guarded_cache<std::string, page> same({.capacity = 100, .ttl = 60s});
  CHECK(same.get_or_compute("k", [](auto const& key) { return render(key); }).text == "page of k");
  CHECK(same.store().capacity() == 100);
  tideover::guarded_cache<std::string, page> defaults({});
  CHECK(defaults.configured().ttl == 5min);
  CHECK(defaults.store().capacity() == 10'000);
}

TEST_CASE("S1: options in braces are never ambiguous", "[api]") {
  using store = tideover::ttl_cache<int, tideover::cached<int>>;
  tideover::stampede_guard<store> both({}, {});
  tideover::stampede_guard<store> named({.capacity = 7}, {.ttl = 1s});
  CHECK(both.configured().ttl == 5min);
  CHECK(named.store().capacity() == 7);
}

TEST_CASE("S4: policies with state are passed after the options, in any order, and reach both parts",
          "[api]") {
  tideover::manual_clock clock;
  int told = 0;
  tideover::listen_by listen([&](int, tideover::cached<int> const&, tideover::removal_cause) { ++told; });
  auto const no = [](tideover::failure const&) { return false; };
  tideover::retryable_if never(no);
  using cache = tideover::guarded_cache<int, int, decltype(listen), tideover::manual_clock, tideover::xfetch,
                                        decltype(never), tideover::hand_driven, tideover::lru>;
  tideover::hand_driven queue;
  cache one({.ttl = 1s, .stale_if_error = 1s}, clock, listen, tideover::xfetch({.beta = 0.0}), never, queue);
  cache other({.ttl = 1s}, queue, never, tideover::xfetch({.beta = 0.0}), listen, clock);
  one.put(1, 1);
  other.put(1, 1);
  clock.advance(1500ms);
  CHECK(one.try_get_or_compute(1, []() -> tideover::result<int> { return tideover::errc::closed; }).code() ==
        tideover::errc::closed);
  clock.advance(500ms);
  one.store().maintain();
  other.store().maintain();
  CHECK(told == 2);
}

TEST_CASE("S1: a clock that nobody passed is one clock all the same", "[api]") {
  tideover::guarded_cache<int, int, tideover::manual_clock> cache({.ttl = 1s});
  cache.put(1, 1);
  cache.clock().advance(1s);
  CHECK(cache.store().get(1) == std::nullopt);
  using store = tideover::ttl_cache<int, tideover::cached<int>, tideover::manual_clock>;
  tideover::stampede_guard<store> guard({}, {.ttl = 1s});
  guard.put(1, 1);
  guard.clock().advance(1s);
  CHECK(guard.store().get(1) == std::nullopt);
}

TEST_CASE("S4: a bundle serves cache and guard", "[api]") {
  struct house : tideover::bundle<tideover::fifo, tideover::one_mutex, tideover::no_early_refresh> {};
  using cache = tideover::guarded_cache<int, int, house, tideover::lru>;
  static_assert(std::is_same_v<cache::early_refresh_type, tideover::no_early_refresh>);
  static_assert(std::is_same_v<cache::locking_type, tideover::one_mutex>);
  static_assert(std::is_same_v<cache::store_type::eviction_type, tideover::lru>);
  cache c({});
  CHECK(c.get_or_compute(1, [] { return 2; }) == 2);
}

TEST_CASE("S5: a lent store, one made by a function, one that is no ttl_cache", "[api]") {
  using store = tideover::ttl_cache<int, tideover::cached<int>>;
  store lent({});
  tideover::stampede_guard<store&> borrower(lent, {});
  borrower.put(1, 5);
  CHECK(lent.get(1)->value == 5);
  tideover::stampede_guard<store> made([] { return store({.capacity = 3}); }, {});
  CHECK(made.store().capacity() == 3);

  /// The least that a store must be.
  struct tiny {
    using key_type = int;
    using mapped_type = tideover::cached<int>;
    std::optional<mapped_type> held{};
    std::optional<mapped_type> get(int const&) { return held; }
    bool put(int const&, mapped_type const& e, tideover::put_options const&) { return held = e, true; }
    bool put(int const&, mapped_type const& e) { return held = e, true; }
    void erase(int const&) { held.reset(); }
  };
  tideover::stampede_guard<tiny> small(tiny{}, {});
  CHECK(small.get_or_compute(1, [] { return 7; }) == 7);
  CHECK(small.get_or_compute(1, [] { return 8; }) == 7);
  small.invalidate(1);
  CHECK(small.get(1) == std::nullopt);
  CHECK(small.generation() == 0);
}

TEST_CASE("S5: keys of one's own, with a hash and equality of one's own", "[api]") {
  struct plain_key {
    int id;
    bool operator==(plain_key const&) const = default;
  };
  struct plain_hash {
    std::size_t operator()(plain_key const& k) const { return std::size_t(k.id); }
  };
  tideover::guarded_cache<plain_key, int, tideover::hash_by<plain_hash>> cache({});
  CHECK(cache.get_or_compute(plain_key{1}, [](plain_key const& k) { return k.id; }) == 1);
  tideover::guarded_cache<std::string, int> by_text({});
  static constexpr tideover::key_schema<"user", "id"> user{.version = 2};
  auto const key = user(7);
  CHECK(by_text.get_or_compute(key, [] { return 3; }) == 3);
  CHECK(by_text.get_or_compute("user:id=7:v2", [] { return 4; }) == 3);
}

TEST_CASE("S4: large values are held by a pointer, and shared by all", "[api]") {
  tideover::guarded_cache<int, std::shared_ptr<page const>> cache({});
  auto const one = cache.get_or_compute(1, [] { return std::make_shared<page const>(render()); });
  CHECK(cache.get_or_compute(1, [] { return std::make_shared<page const>(); }) == one);
}

template class tideover::stampede_guard<tideover::ttl_cache<int, tideover::cached<std::string>>>;
template class tideover::single_flight<std::string, std::string>;

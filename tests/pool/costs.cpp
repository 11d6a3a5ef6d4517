// SPDX-License-Identifier: BSL-1.0
// What a pool takes: bytes and allocations; and what a failure at any point leaves.
#include "pool/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"

#include <limits>

namespace {
static_assert(sizeof(tideover::detail::pool_slot) == 2 * tideover::cache_line);
static_assert(sizeof(lease<fake>) == 4 * sizeof(void*));
static_assert(sizeof(connection_pool<fake_factory>) == sizeof(std::shared_ptr<int>));

template <class Pool = connection_pool<fake_factory, tideover::hand_driven>>
std::string complaint(pool_options const& o) {
  try {
    Pool pool(fake_factory{std::make_shared<back_end>()}, o);
  } catch (tideover::error const& e) {
    return e.code() == errc::invalid_argument ? e.what() : "another code";
  }
  return "none";
}
}  // namespace

TEMPLATE_TEST_CASE("P26: acquire of an idle object, return, cancel and close allocate nothing", "",
                   (std::tuple<tideover::no_affinity, tideover::lifo_idle>),
                   (std::tuple<tideover::thread_affinity, tideover::lifo_idle>),
                   (std::tuple<tideover::no_affinity, tideover::fifo_idle>)) {
  watchdog const guard("P26");
  REQUIRE(allocation_counter::works());
  by_hand<std::tuple_element_t<0, TestType>, std::tuple_element_t<1, TestType>> t({.max_size = 3});
  { auto const all = t.pool.acquire_n(3); }
  std::stop_source stopped;
  stopped.request_stop();
  std::size_t idle = 0, waiting = 0, cancelled = 0;
  {
    allocation_counter const counter;
    for (int i = 0; i < 100; ++i) {
      auto a = t.pool.acquire();
      auto b = t.pool.try_acquire();
      auto c = t.pool.try_acquire_for(1s);
      b->release();
    }
    idle = counter.allocations();
  }
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  auto c = t.pool.acquire();
  std::thread waits([&] {
    allocation_counter const counter;
    static_cast<void>(t.pool.try_acquire_until(deadline::after(t.clock, 1s)).has_value());
    waiting = counter.allocations();
  });
  t.clock.await_sleepers(1);
  t.clock.advance(1s);
  waits.join();
  std::stop_source stop;
  deadline const until{instant::max(), stop.get_token()};
  std::thread is_cancelled([&] {
    allocation_counter const counter;
    static_cast<void>(t.pool.try_acquire_until(until).has_value());
    cancelled = counter.allocations();
  });
  await_waiting(t.pool, 1);
  std::size_t cancelling = 0;
  {
    allocation_counter const counter;
    stop.request_stop();
    cancelling = counter.allocations();
  }
  is_cancelled.join();
  a.release();
  std::size_t closing = 0;
  {
    allocation_counter const counter;
    b.release();
    c.release();
    static_cast<void>(t.pool.stats());
    closing = counter.allocations();
  }
  t.log.then(nullptr);
  CHECK(idle == 0);
  CHECK(waiting == 0);
  CHECK(cancelled == 0);
  CHECK(cancelling == 0);
  CHECK(closing == 0);
}

TEST_CASE("P26: close allocates nothing") {
  auto home = std::make_shared<back_end>();
  connection_pool<fake_factory> pool(fake_factory{home}, {.max_size = 3});
  auto held = pool.acquire();
  { auto const two = pool.acquire_n(2); }
  allocation_counter const counter;
  std::size_t const left = pool.close(1ms);
  std::size_t const allocations = counter.allocations();
  held.release();
  CHECK(counter.allocations() == 0);
  CHECK(allocations == 0);
  CHECK(left == 1);
  CHECK(home->alive == 0);
}

TEST_CASE("P26: no memory for a connect ends that acquire, and frees its place") {
  by_hand<> t({.max_size = 1});
  t.home->on_connect = [](deadline const&) { throw std::bad_alloc(); };
  auto const r = t.pool.try_acquire_for(1h);
  CHECK(r.code() == errc::factory_error);
  CHECK_THROWS_AS(std::rethrow_exception(r.error().cause), std::bad_alloc);
  CHECK(t.pool.stats().size() == 0);
  t.home->on_connect = [](deadline const&) {};
  t.clock.advance(1min);
  CHECK(t.pool.try_acquire_for(1h).has_value());
}

TEST_CASE("P19: a failure at any point of connect, check, reset, destroy or of memory breaks no promise") {
  struct scene {
    by_hand<tideover::no_backoff> t{pool_options{.max_size = 2, .acquire_timeout = 1s}};
    std::size_t told = 0;
  };
  auto const setup = [] {
    auto s = std::make_unique<scene>();
    s->t.home->on_connect = [](deadline const&) { fail_point(); };
    s->t.home->on_check = [](int, deadline const&) { return fail_point(), true; };
    s->t.home->on_reset = [](int) { return fail_point(), true; };
    s->t.home->on_destroy = [](int) { fail_point(); };
    return s;
  };
  auto const operation = [](std::unique_ptr<scene>& s) {
    auto& pool = s->t.pool;
    for (int i = 0; i < 2; ++i) {
      auto a = pool.try_acquire();
      auto b = pool.try_acquire_for(1s);
      if (b) b->release();
      s->t.clock.advance(2s);
      auto c = pool.try_acquire_for(1s);
      if (c) c->discard();
      pool.tick();
      pool.invalidate();
      pool.resize(0, 2 + static_cast<std::size_t>(i));
      pool.warm(1, 0s);
    }
    auto const both = pool.try_acquire_n(2, deadline::after(s->t.clock, 1s));
    if (both) ++s->told;
  };
  std::size_t const points =
      fail_at_every_point(setup, operation, [](std::unique_ptr<scene>& s, attempt const&) {
        auto& pool = s->t.pool;
        auto const stats = pool.stats();
        check_sums(stats);
        CHECK(stats.leased == 0);
        CHECK(stats.checking == 0);
        CHECK(static_cast<std::size_t>(s->t.home->alive) == stats.idle);
        // And it works still.
        auto const all = pool.try_acquire_n(2, deadline::after(s->t.clock, 1h));
        CHECK(all.has_value());
        CHECK(s->t.home->most <= 3);
      });
  CHECK(points > 20);
}

TEST_CASE("bad options are refused with field, value and bounds") {
  auto const says = [](pool_options const& o, char const* text) {
    INFO(complaint(o));
    CHECK(complaint(o).rfind(text, 0) == 0);
  };
  says({}, "none");
  says({.max_size = 0}, "pool_options.max_size is 0; it must be between 1 and 65534");
  says({.max_size = 65'535}, "pool_options.max_size is 65535");
  says({.min_size = 11, .max_size = 10}, "pool_options.min_size is 11; it must be between 0 and max_size");
  says({.min_size = 3, .max_idle = 2}, "pool_options.max_idle is 2; it must be min_size or more");
  says({.acquire_timeout = -1ns}, "pool_options.acquire_timeout is -1 ns; it must be 0 ns or more");
  says({.max_idle_time = -1ns}, "pool_options.max_idle_time is -1 ns");
  says({.max_lifetime = -1ns}, "pool_options.max_lifetime is -1 ns");
  says({.lifetime_jitter = 1.5}, "pool_options.lifetime_jitter is 1.5; it must be between 0 and 1");
  says({.lifetime_jitter = std::numeric_limits<double>::quiet_NaN()}, "pool_options.lifetime_jitter is nan");
  says({.health_check_interval = -1ns}, "pool_options.health_check_interval is -1 ns");
  says({.max_connecting = 0}, "pool_options.max_connecting is 0; it must be 1 or more");
  says({.connect_timeout = 0ns}, "pool_options.connect_timeout is 0 ns; it must be above 0 ns");
  says({.check_timeout = 0ns}, "pool_options.check_timeout is 0 ns");
  says({.leak_after = -1ns}, "pool_options.leak_after is -1 ns");
}

TEST_CASE("the extremes of the options work") {
  by_hand<> t({.min_size = 1,
               .max_idle = 1,
               .max_size = 65'534,
               .acquire_timeout = 0ns,
               .max_idle_time = std::chrono::nanoseconds::max(),
               .max_lifetime = std::chrono::nanoseconds::max(),
               .lifetime_jitter = 1,
               .max_connecting = 65'534,
               .max_waiters = 0});
  CHECK_THROWS_AS(t.pool.acquire(), tideover::error);
  CHECK(t.pool.tick() == 1);
  CHECK(t.pool.acquire()->id == 1);
  CHECK(t.pool.try_acquire_for(1s).has_value());
  by_hand<> small({.max_size = 1, .max_waiters = 0});
  CHECK(small.pool.try_acquire_for(1s).code() == errc::queue_full);
}

TEST_CASE("the presets are as documented") {
  using namespace tideover::presets::pool;
  CHECK((redis.max_size == 10 && redis.connect_timeout == 5s && redis_socket_timeout == 5s));
  CHECK(redis.health_check_interval == 30s);
  CHECK((http.max_size == 100 && http.max_idle == 20 && http.max_idle_time == 30s &&
         http.connect_timeout == 5s));
  CHECK((http_read_timeout == 30s && http_write_timeout == 10s && http.acquire_timeout == 5s));
  CHECK((database.max_idle == 20 && database.max_size == 50));
  CHECK((agents.min_size == 2 && agents.max_size == 10 && agents.max_idle_time == 300s));
  CHECK(agents.health_check_interval == 60s);
  for (auto const& o : {redis, http, database, agents}) CHECK(complaint(o) == "none");
}

// SPDX-License-Identifier: BSL-1.0
#include "parallel/common.hpp"

#include <functional>
#include <memory>
#include <random>
#include <string>

namespace {

/// Not to be entered twice at once; remembers what came.
class machine {
 public:
  explicit machine(int name) : name_(name) {}
  std::string operator()(int item) {
    if (inside_->exchange(true)) twice = true;
    seen_->push_back(item);
    if (item % 7 == 0) std::this_thread::yield();
    if (!inside_->exchange(false)) twice = true;
    return std::to_string(name_).append(":").append(std::to_string(item));
  }
  std::vector<int> const& seen() const { return *seen_; }
  inline static std::atomic<bool> twice = false;

 private:
  int name_;
  std::shared_ptr<std::vector<int>> seen_ = std::make_shared<std::vector<int>>();
  std::shared_ptr<std::atomic<bool>> inside_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

TEST_CASE("A5: round_robin: item i on worker i modulo workers, one at a time and in order") {
  watchdog const dog("round robin");
  owned_threads pool{4};
  for (int const workers : {1, 3, 8}) {
    std::vector<machine> machines;
    for (int i = 0; i < workers; ++i) machines.emplace_back(i);
    auto const done = tideover::round_robin(pool, numbers(100), machines);
    REQUIRE(done.size() == 100);
    for (int i = 0; i < 100; ++i) {
      CHECK(done[static_cast<std::size_t>(i)] == std::to_string(i % workers) + ":" + std::to_string(i));
    }
    for (int m = 0; m < workers; ++m) {
      auto const& seen = machines[static_cast<std::size_t>(m)].seen();
      for (std::size_t k = 0; k < seen.size(); ++k) CHECK(seen[k] == m + static_cast<int>(k) * workers);
    }
  }
  CHECK(!machine::twice);
  std::vector<machine> more(200, machine(1));  // than items, and all of them one
  CHECK(tideover::round_robin(pool, numbers(1), more).size() == 1);
  CHECK(tideover::round_robin(pool, numbers(0), more).empty());
  CHECK_THROWS_WITH(
      tideover::round_robin(pool, numbers(3), std::vector<machine>()),
      Catch::Matchers::Contains("round_robin: the number of workers is 0; it must be 1 or more"));
}

TEST_CASE("A5: round_robin: a slow worker keeps nobody but its own items waiting") {
  watchdog const dog("slow worker");
  owned_threads pool{2};
  gate slow;
  std::atomic<int> quick = 0;
  using worker = std::function<int(int)>;
  std::vector<worker> const workers{[&](int i) {
                                      slow.pass();
                                      return i;
                                    },
                                    [&](int i) {
                                      if (++quick == 5) slow.open();
                                      return i;
                                    }};
  CHECK(tideover::round_robin(pool, numbers(10), workers, {.max_workers = 2}) == numbers(10));
}

TEST_CASE("A5: pipeline: every item passes all stages, each of which does one at a time, in order") {
  watchdog const dog("pipeline");
  owned_threads pool{3};
  std::vector<int> first, second;
  std::vector<std::string> third;
  tideover::pipeline line(
      [&](int i) {
        first.push_back(i);
        if (i % 5 == 0) std::this_thread::yield();
        return std::make_unique<int>(i);
      },
      [&](std::unique_ptr<int> p) {
        second.push_back(*p);
        return std::to_string(*p + 1);
      },
      [&](std::string s) {
        third.push_back(s);
        return s.size();
      });
  auto const sizes = line.run(pool, numbers(50));
  REQUIRE(sizes.size() == 50);
  CHECK(first == numbers(50));
  CHECK(second == numbers(50));
  for (std::size_t i = 0; i < 50; ++i) {
    CHECK(third[i] == std::to_string(i + 1));
    CHECK(sizes[i] == third[i].size());
  }
  CHECK(line.run(pool, std::vector<int>()).empty());
}

TEST_CASE("A5: pipeline: the stages run beside each other") {
  watchdog const dog("stages beside each other");
  owned_threads pool{2};
  gate both;
  std::thread opener([&] {
    both.await_arrivals(3);  // the first item in the third stage, the next ones in the stages before it
    both.open();
  });
  crowd inside;
  auto const stage = [&](int at) {
    return [&, at](int i) {
      crowd::visit const here(inside);
      if (i + at == 2) both.pass();
      return i;
    };
  };
  tideover::pipeline line(stage(0), stage(1), stage(2));
  CHECK(line.run(pool, numbers(3)) == numbers(3));
  opener.join();
  CHECK(inside.most() == 3);
}

TEST_CASE("A5: pipeline: an item that failed passes no other stage") {
  owned_threads pool{2};
  std::vector<int> stored;
  tideover::pipeline line(
      [](int i) {
        if (i % 3 == 1) throw std::runtime_error("bad");
        return i;
      },
      [](int i) -> tideover::result<int> {
        if (i % 3 == 2) return errc::closed;
        return i;
      },
      [&](int i) { stored.push_back(i); });
  parallel_report r;
  auto const all = line.try_run(pool, numbers(9), {.errors = error_handling::collect_all, .report = &r});
  CHECK(stored == std::vector{0, 3, 6});
  REQUIRE(all.size() == 9);
  for (std::size_t i = 0; i < 9; ++i) {
    CHECK(all[i].code() == (i % 3 == 0   ? std::error_code()
                            : i % 3 == 1 ? make_error_code(errc::computation_failed)
                                         : make_error_code(errc::closed)));
  }
  CHECK(r.calls == 27);
  CHECK(r.failed == 6);
  CHECK(r.started == 9 + 6 + 3);
  CHECK(r.cancelled == 9);
  inline_run here;
  CHECK_THROWS_WITH(line.run(here, numbers(9)), "bad");
}

TEST_CASE("A5: plans: a random walk") {
  // Any order of ends: nothing begins too early or twice, everything comes to its end.
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::size_t const items = random() % 12;
    tideover::detail::stage_plan<3> plan(items);
    std::vector<tideover::detail::parallel_unit> running;
    std::vector<std::size_t> stage_of(items, 0);
    std::vector<bool> dead(items, false);
    std::size_t next[3] = {0, 0, 0};
    while (!plan.exhausted() || !running.empty()) {
      REQUIRE((plan.ready() != 0 || !running.empty()));
      if (plan.ready() != 0 && random() % 2 == 0) {
        auto const u = plan.begin();
        REQUIRE(stage_of[u.item] == u.stage);
        REQUIRE(!dead[u.item]);
        REQUIRE(u.item >= next[u.stage]);
        next[u.stage] = u.item + 1;
        for (auto const& other : running) REQUIRE(other.stage != u.stage);
        running.push_back(u);
      } else if (!running.empty()) {
        auto const at = static_cast<std::ptrdiff_t>(random() % running.size());
        auto const u = running[static_cast<std::size_t>(at)];
        running.erase(running.begin() + at);
        bool const good = random() % 4 != 0;
        if (good) ++stage_of[u.item];
        dead[u.item] = !good;
        plan.end(u, good);
      }
    }
    for (std::size_t i = 0; i < items; ++i) CHECK((dead[i] || stage_of[i] == 3));
  }
}

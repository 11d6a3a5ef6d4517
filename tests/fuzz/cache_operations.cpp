// SPDX-License-Identifier: BSL-1.0
#include "cache/oracle.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// libFuzzer: any bytes are calls of a ttl_cache, within visits too. After each call the oracle says whether
// what the cache did was allowed, and there are as many values alive as the cache holds: none leaked, none
// kept.

namespace {

using namespace tideover_test;
using nanoseconds = std::chrono::nanoseconds;
using tideover::manual_clock;

struct call_failed : std::exception {};

/// A number in memory of its own; copies fail on demand.
class box {
 public:
  explicit box(std::int64_t n) : number_(std::make_unique<std::int64_t>(n)) { ++live; }
  box(box const& o) {
    if (copies_fail) throw call_failed();
    number_ = std::make_unique<std::int64_t>(*o.number_);
    ++live;
  }
  box(box&& o) noexcept : number_(std::move(o.number_)) {}
  box& operator=(box&&) = delete;
  ~box() {
    if (number_ == nullptr) return;
    *number_ = -1;
    --live;
  }
  std::int64_t number() const { return *number_; }

  inline static std::size_t live = 0;
  inline static bool copies_fail = false;

 private:
  std::unique_ptr<std::int64_t> number_;
};

std::string name_of_key(int key) { return std::string(40, 'k').append(std::to_string(key)); }

struct listener {
  using policy_axis = tideover::axis::listener;
  void on_removal(std::string const& key, box const& value, tideover::removal_cause cause) const {
    static constexpr left causes[] = {left::expired, left::evicted, left::replaced, left::erased,
                                      left::cleared};
    heard->push_back({std::atoi(key.c_str() + 40), value.number(), causes[static_cast<std::size_t>(cause)]});
  }
  departures* heard;
};
static_assert(static_cast<int>(tideover::removal_cause::expired) == 0 &&
              static_cast<int>(tideover::removal_cause::evicted) == 1 &&
              static_cast<int>(tideover::removal_cause::replaced) == 2 &&
              static_cast<int>(tideover::removal_cause::erased) == 3 &&
              static_cast<int>(tideover::removal_cause::cleared) == 4);

/// The input, eaten from the front; zeros when it is all gone.
struct bytes {
  std::uint8_t const* at;
  std::size_t left;
  unsigned below(unsigned n) {
    if (left == 0) return 0;
    --left;
    return *at++ % n;
  }
};

template <class... Policies>
class session {
 public:
  session(bytes& in, oracle_rules rules)
      : in_(in),
        options_(some_options(in)),
        judge_(rules, options_, clock_),
        cache_(options_, clock_, listener{&heard_}, tideover::seeded_hash(1)) {}

  void run() {
    for (int calls = 0; calls != 300 && in_.left != 0; ++calls) {
      one_call(0);
      expect(judge_.judge_totals(cache_.size(), cache_.weight(), cache_.stats()));
      if (box::live != cache_.size()) fail("values are alive that the cache does not hold");
    }
  }

 private:
  static tideover::ttl_cache_options some_options(bytes& in) {
    tideover::ttl_cache_options o;
    o.capacity = 1 + in.below(12);
    o.ttl = std::chrono::milliseconds(50);
    return o;
  }
  [[noreturn]] void fail(std::string const& why) const {
    std::fprintf(stderr, "%s: %s\n", doing_, why.c_str());
    std::abort();
  }
  void expect(std::string const& verdict) const {
    if (!verdict.empty()) fail(verdict);
  }
  departures events() { return std::exchange(heard_, {}); }

  void one_call(int depth) {
    int const key = static_cast<int>(in_.below(16));
    std::string const name = name_of_key(key);
    switch (in_.below(16)) {
      case 0:
      case 1:
      case 2: {
        doing_ = "put";
        std::optional<nanoseconds> ttl;
        if (in_.below(3) == 0) ttl = std::chrono::milliseconds(in_.below(100)) - std::chrono::milliseconds(5);
        tideover::put_options o;
        o.ttl = ttl;
        std::int64_t const value = next_++;
        bool const stored = cache_.put(name, box(value), o);
        return expect(judge_.judge_put(key, value, ttl, stored, events()));
      }
      case 3:
      case 4: {
        doing_ = "get";
        box::copies_fail = in_.below(8) == 0;
        std::optional<std::int64_t> got;
        try {
          if (auto const value = cache_.get(name)) got = value->number();
          box::copies_fail = false;
        } catch (call_failed const&) {
          box::copies_fail = false;
          if (!heard_.empty()) fail("a get that threw removed something");
          return;
        }
        return expect(judge_.judge_get(key, got, events()));
      }
      case 5: {
        doing_ = "peek";
        std::optional<std::int64_t> got;
        if (auto const value = cache_.peek(name)) got = value->number();
        return expect(judge_.judge_peek(key, got, events()));
      }
      case 6:
        doing_ = "contains";
        return expect(judge_.judge_contains(key, cache_.contains(name), events()));
      case 7:
      case 8:
      case 9:
        return visit(key, name, depth);
      case 10: {
        doing_ = "erase";
        bool const erased = cache_.erase(name);
        return expect(judge_.judge_erase(key, erased, events()));
      }
      case 11:
      case 12:
        return compute(key, name);
      case 13:
        // Lives are whole milliseconds: every other time it may come to stand at the very end of one.
        if (in_.below(2) == 0) return clock_.advance(std::chrono::milliseconds(in_.below(100)));
        return clock_.advance(std::chrono::microseconds(in_.below(256)) * (1 + in_.below(256)));
      case 14:
        return rarely(key);
      default: {
        doing_ = "maintain";
        std::size_t const freed = cache_.maintain();
        return expect(judge_.judge_maintain(freed, events()));
      }
    }
  }

  void visit(int key, std::string const& name, int depth) {
    bool const throws = in_.below(4) == 0;
    unsigned const inside = depth < 7 ? in_.below(4) : 0;
    bool called = false;
    doing_ = "visit";
    try {
      bool const found = cache_.visit(name, [&](box const& value) {
        called = true;
        std::int64_t const number = value.number();
        expect(judge_.judge_visit(key, true, number, events()));
        for (unsigned i = 0; i != inside; ++i) one_call(depth + 1);
        if (value.number() != number) fail("a value changed while it was visited");
        if (throws) throw call_failed();
      });
      if (found != called) fail("visit's answer and the visitor's call disagree");
    } catch (call_failed const&) {
    }
    if (!called) expect(judge_.judge_visit(key, false, std::nullopt, events()));
  }

  void compute(int key, std::string const& name) {
    doing_ = "get_or_compute";
    bool const throws = in_.below(4) == 0;
    tideover::instant const start = clock_.now();
    std::size_t calls = 0;
    std::int64_t const value = next_++;
    std::optional<std::int64_t> got;
    try {
      got = cache_
                .get_or_compute(name,
                                [&] {
                                  ++calls;
                                  if (throws) throw call_failed();
                                  return box(value);
                                })
                .number();
    } catch (call_failed const&) {
    }
    expect(
        judge_.judge_compute(key, start, calls, throws ? std::nullopt : std::optional(value), got, events()));
  }

  void rarely(int key) {
    switch (in_.below(5)) {
      case 0:
        doing_ = "clear";
        cache_.clear();
        return expect(judge_.judge_clear(events()));
      case 1:
        doing_ = "new_generation";
        cache_.new_generation();
        return expect(judge_.judge_new_generation(events()));
      case 2: {
        doing_ = "erase_if";
        auto const condition = [&](int, std::int64_t value) { return value % 4 == key % 4; };
        std::vector<std::pair<int, std::int64_t>> asked;
        std::size_t const erased = cache_.erase_if([&](std::string const& name, box const& value) {
          asked.emplace_back(std::atoi(name.c_str() + 40), value.number());
          return condition(asked.back().first, asked.back().second);
        });
        return expect(judge_.judge_erase_if(condition, asked, erased, events()));
      }
      case 3: {
        doing_ = "for_each";
        std::vector<std::pair<int, std::int64_t>> seen;
        cache_.for_each([&](std::string const& name, box const& value) {
          seen.emplace_back(std::atoi(name.c_str() + 40), value.number());
        });
        return expect(judge_.judge_for_each(seen, events()));
      }
      default: {
        doing_ = "set_capacity";
        std::size_t const capacity = 1 + in_.below(12);
        cache_.set_capacity(capacity);
        return expect(judge_.judge_set_capacity(capacity, events()));
      }
    }
  }

  bytes& in_;
  manual_clock clock_;
  tideover::ttl_cache_options options_;
  oracle judge_;
  departures heard_;
  tideover::ttl_cache<std::string, box, manual_clock, listener, Policies...> cache_;
  std::int64_t next_ = 1;
  char const* doing_ = "";
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  bytes in{data, size};
  switch (in.below(4)) {
    case 0:
      session<>(in, {.eviction = keeps::some}).run();
      break;
    case 1:
      session<tideover::sieve>(in, {.eviction = keeps::some}).run();
      break;
    case 2:
      session<tideover::s3_fifo>(in, {.eviction = keeps::some}).run();
      break;
    default:
      session<tideover::lru, tideover::after_access>(in, {.expiry = ages::after_access}).run();
  }
  if (box::live != 0) std::abort();
  return 0;
}

// SPDX-License-Identifier: BSL-1.0

// What the breaker alone is responsible for: how many calls of a back-end that is down still reach it. They
// are counted at the back-end.

#include "gains/table.hpp"

#include <tideover/circuit_breaker.hpp>
#include <tideover/policy/clock.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

namespace gains {

namespace {

using std::chrono::nanoseconds;

nanoseconds seconds(double s) { return nanoseconds(static_cast<std::int64_t>(s * 1e9)); }

/// What one writes by hand: a mutex, a count of failures in a row, a time, one probe.
class hand_written {
 public:
  hand_written(std::uint32_t threshold, nanoseconds recovery, tideover::manual_clock clock)
      : threshold_(threshold), recovery_(recovery), clock_(std::move(clock)) {}

  template <class F>
  void call(F f) {
    {
      std::lock_guard lock(mutex_);
      if (failures_ >= threshold_) {
        if (probing_ || clock_.now() < until_) return;
        probing_ = true;
      }
    }
    bool const good = f();
    std::lock_guard lock(mutex_);
    probing_ = false;
    failures_ = good ? 0 : failures_ + 1;
    if (failures_ >= threshold_) until_ = clock_.now() + recovery_;
  }

 private:
  std::mutex mutex_;
  std::uint32_t threshold_;
  nanoseconds recovery_;
  tideover::manual_clock clock_;
  std::uint32_t failures_ = 0;
  bool probing_ = false;
  tideover::instant until_{};
};

/// Requests at an even rate while the back-end is down; what `call` lets through is counted there.
template <class Call>
double reaching(inputs const& in, tideover::manual_clock const& clock, Call call) {
  auto const gap = seconds(1 / in["rate"]);
  auto const end = clock.now() + seconds(in["outage"]);
  std::size_t reached = 0;
  for (; clock.now() < end; clock.advance(gap)) {
    call([&reached] { return ++reached, false; });
  }
  return static_cast<double>(reached);
}

sample outage(tideover::breaker_options preset, inputs const& in) {
  preset.failure_threshold = static_cast<std::uint32_t>(in["threshold"]);
  preset.recovery_timeout = seconds(in["recovery"]);
  sample s{};
  {
    tideover::manual_clock const clock;
    tideover::circuit_breaker<tideover::manual_clock> breaker(preset, clock);
    s.reproduced = reaching(in, clock, [&](auto backend) {
      static_cast<void>(breaker.try_call([&] {
        return backend() ? tideover::result<int>(1) : tideover::result<int>(tideover::errc::closed);
      }));
    });
  }
  {
    tideover::manual_clock const clock;
    s.ordinary = reaching(in, clock, [](auto backend) { backend(); });
  }
  {
    tideover::manual_clock const clock;
    hand_written breaker(preset.failure_threshold, preset.recovery_timeout, clock);
    s.strong = reaching(in, clock, [&](auto backend) { breaker.call(backend); });
  }
  return s;
}

void add_outage(table& t, char const* id, tideover::breaker_options const& preset, char const* documented,
                double expected) {
  row r;
  r.id = id;
  r.claim = fmt::format("calls in an outage, {}", preset.name);
  r.documented = documented;
  r.mode.assign(1, 'V');  // an assigned "V" makes g++ 12 warn of an overlap that cannot be
  r.unit = "calls";
  r.digits = 0;
  r.expected = expected;
  r.ordinary = "no breaker";
  r.strong = "mutex, count and time by hand";
  r.note =
      "failures until it opens, then one probe each time it may: threshold + (outage - threshold / rate) / "
      "recovery";
  r.inputs = {{"outage", 300, "s", 1, 1e6},
              {"rate", 100, "/s", 1, 1e6},
              {"threshold", static_cast<double>(preset.failure_threshold), "", 1, 1e6},
              {"recovery", std::chrono::duration<double>(preset.recovery_timeout).count(), "s", 1e-3, 1e6}};
  r.measure = [preset](inputs const& in, run const&) { return outage(preset, in); };
  t.add(std::move(r));
}

}  // namespace

void add_breaker_rows(table& t) {
  using namespace tideover::presets::breaker;
  add_outage(t, "21", ai_service, "3 failures / 60 s", 7);
  add_outage(t, "21b", database, "5 failures / 30 s", 14);
  add_outage(t, "21c", external_api, "5 failures / 120 s", 7);
  add_outage(t, "21d", cache, "10 failures / 10 s", 39);
}

}  // namespace gains

// SPDX-License-Identifier: BSL-1.0
// What a guard for one thread compiles to; `check` reads the assembler. LOCKING is single_threaded, or
// one_mutex as the control that shows that the check can see locks and atomics.
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

#include <cstdint>
#include <optional>

using numbers = tideover::guarded_cache<std::uint64_t, std::uint64_t, tideover::LOCKING>;
using flights = tideover::single_flight<std::uint64_t, std::uint64_t, tideover::LOCKING>;

std::uint64_t compute(numbers& c, std::uint64_t k) {
  return c.get_or_compute(k, [](std::uint64_t key) { return key * key; });
}
bool computes(numbers& c, std::uint64_t k) {
  return c.try_serve(k, [](std::uint64_t key) { return key * key; }).has_value();
}
std::optional<std::uint64_t> get(numbers& c, std::uint64_t k) { return c.get(k); }
bool put(numbers& c, std::uint64_t k, std::uint64_t v) { return c.put(k, v); }
bool invalidate(numbers& c, std::uint64_t k) { return c.invalidate(k); }
void clear(numbers& c) { c.clear(); }
std::uint64_t new_generation(numbers& c) { return c.new_generation(); }
tideover::stampede_stats stats(numbers const& c) { return c.stats(); }
void make_and_forget() { numbers c({}); }

std::uint64_t run(flights& f, std::uint64_t k) {
  return f.run(k, [](std::uint64_t key) { return key * key; });
}
tideover::single_flight_stats stats(flights const& f) { return f.stats(); }

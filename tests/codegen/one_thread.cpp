// SPDX-License-Identifier: BSL-1.0
// What a program for one thread compiles to; `check` reads the assembler. LOCKING is single_threaded, or
// one_mutex as the control that shows that the check can see locks and atomics.
#include <tideover/ttl_cache.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

using numbers = tideover::ttl_cache<std::uint64_t, std::uint64_t, tideover::LOCKING, tideover::after_access>;
using texts = tideover::ttl_cache<std::string, std::string, tideover::LOCKING, tideover::fifo>;

std::optional<std::uint64_t> get(numbers& c, std::uint64_t k) { return c.get(k); }
std::optional<std::uint64_t> peek(numbers const& c, std::uint64_t k) { return c.peek(k); }
bool put(numbers& c, std::uint64_t k, std::uint64_t v) { return c.put(k, v); }
bool erase(numbers& c, std::uint64_t k) { return c.erase(k); }
void clear(numbers& c) { c.clear(); }
std::size_t maintain(numbers& c) { return c.maintain(); }
std::uint64_t new_generation(numbers& c) { return c.new_generation(); }
bool maintain_some(numbers& c) { return c.maintain_some(100); }
std::uint64_t compute(numbers& c, std::uint64_t k) {
  return c.get_or_compute(k, [](std::uint64_t key) { return key * key; });
}
bool visit(numbers& c, std::uint64_t k, std::uint64_t& sum) {
  return c.visit(k, [&](std::uint64_t v) { sum += v; });
}
std::size_t erase_odd(numbers& c) {
  return c.erase_if([](std::uint64_t k, std::uint64_t) { return k % 2 != 0; });
}
void resize(numbers& c, std::size_t n) { c.set_capacity(n); }
tideover::cache_explanation explain(numbers const& c, std::uint64_t k) { return c.explain(k); }
std::size_t hottest(numbers& c, std::uint64_t& sum) {
  return c.hottest(10, [&](std::uint64_t, std::uint64_t v) { sum += v; });
}
tideover::cache_stats stats(numbers const& c) { return c.stats(); }
void make_and_forget() { numbers c({}); }

struct first_letter {
  std::string_view operator()(std::string const&, std::string const& v) const {
    return std::string_view(v).substr(0, 1);
  }
};
using tagged_texts =
    tideover::ttl_cache<std::string, std::string, tideover::LOCKING, tideover::tagged_by<first_letter>>;
bool put_tagged(tagged_texts& c, std::string_view k, std::string v) { return c.put(k, std::move(v)); }
std::size_t erase_tag(tagged_texts& c, std::string_view tag) { return c.erase_tag(tag); }
std::string compute(tagged_texts& c, std::string_view k) {
  return c.get_or_compute(k, [](std::string const& key) { return key + key; });
}

std::optional<std::string> get(texts& c, std::string_view k) { return c.get(k); }
bool put(texts& c, std::string_view k, std::string v) { return c.put(k, std::move(v)); }
std::string compute(texts& c, std::string_view k) {
  return c.get_or_compute(k, [](std::string const& key) { return key + key; });
}

// SPDX-License-Identifier: BSL-1.0

// What does a key cost beside the ways in which keys are made today, and do they collide? The same three-part
// text is made by key_schema, by the builder (in statements, and as one chained expression), by fmt::format
// of the parts joined by hand, and by std::ostringstream; all take turns in short slices
// (support/paired.hpp). Then adversarial inputs, half of them separators and escapes, are made keys of, and
// joined by hand. Exits non-zero when two inputs make one key, when hand-joined ones do not (then the inputs
// are no test), when a key of the schema allocates, or when one is slower than formatting.

#include "support/allocations.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"

#include <tideover/cache_key.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/xxhash.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace {

using tideover::cache_key;

struct parts {
  std::uint64_t id;
  std::string locale;
  std::string_view page;
};

constexpr tideover::key_schema<"user", "id", "locale", "page"> user_key{.version = 2};

std::vector<parts> some_parts() {
  constexpr std::array<char const*, 4> locales = {"de-DE", "en-GB", "pt-BR", "fi-FI"};
  constexpr std::array<std::string_view, 3> pages = {"profile", "orders", "settings"};
  tideover::xoshiro random(7);
  std::vector<parts> made;
  for (std::size_t i = 0; i < 1024; ++i) {
    made.push_back({random() % 10'000'000, locales[random() % 4], pages[random() % 3]});
  }
  return made;
}

template <class T>
void keep(T const& made) {
  asm volatile("" : : "g"(&made) : "memory");
}

struct by_schema {
  static constexpr char const* name = "key_schema";
  static cache_key make(parts const& p) { return user_key(p.id, p.locale, p.page); }
};
struct by_schema_hashed {
  static constexpr char const* name = "key_schema, and its hash";
  static cache_key make(parts const& p) {
    cache_key key = user_key(p.id, p.locale, p.page);
    keep(key.hash());
    return key;
  }
};
struct by_statements {
  static constexpr char const* name = "builder, statements";
  static cache_key make(parts const& p) {
    cache_key key("user");
    key.param("id", p.id).param("locale", p.locale).param("page", p.page).version(2);
    return key;
  }
};
struct by_chain {
  static constexpr char const* name = "builder, one expression";
  static cache_key make(parts const& p) {
    return cache_key("user").param("id", p.id).param("locale", p.locale).param("page", p.page).version(2);
  }
};
struct by_fmt {
  static constexpr char const* name = "fmt::format";
  static std::string make(parts const& p) {
    return fmt::format("user:id={}:locale={}:page={}:v{}", p.id, p.locale, p.page, 2);
  }
};
struct by_stream {
  static constexpr char const* name = "std::ostringstream";
  static std::string make(parts const& p) {
    std::ostringstream out;
    out << "user:id=" << p.id << ":locale=" << p.locale << ":page=" << p.page << ":v" << 2;
    return out.str();
  }
};

struct figure {
  std::string subject;
  std::string peer;
  double nanoseconds;
  bench::median_summary ratio;
  double asked;  // 0: nothing is
  bool floor;    // slower than the peer fails the run
};

template <class Subject, class Peer>
figure compare(std::vector<parts> const& all, std::size_t rounds, double asked, bool floor) {
  bench::paired pairs;
  auto const slice = [&]<class Way>(Way) {
    return [&all] {
      for (int again = 0; again < 8; ++again) {
        for (parts const& p : all) keep(Way::make(p));
      }
    };
  };
  for (std::size_t i = 0; i < rounds; ++i) {
    pairs.round(bench::thread_time{}, slice(Subject{}), slice(Peer{}));
  }
  return {
      Subject::name,     Peer::name, pairs.seconds(0).median / (8.0 * static_cast<double>(all.size())) * 1e9,
      pairs.ratio_to(0), asked,      floor};
}

/// One input: what would be joined.
struct adversary {
  std::vector<std::string> segments;
  std::vector<std::pair<std::string, std::string>> params;  // names differ

  std::string text() const {  // by lengths, so that it is its own proof
    std::string all;
    auto const add = [&all](std::string const& s) { all += fmt::format("{}:{}", s.size(), s); };
    all += fmt::format("{}/", segments.size());
    for (auto const& s : segments) add(s);
    for (auto const& [name, value] : params) add(name), add(value);
    return all;
  }
  cache_key key() const {
    cache_key made("n");
    for (auto const& s : segments) made.segment(s);
    for (auto const& [name, value] : params) made.param(name, value);
    return made;
  }
  std::string joined() const {
    std::string made = "n";
    for (auto const& s : segments) made += ':' + s;
    for (auto const& [name, value] : params) made += ':' + name + ':' + value;
    return made + ":v1";
  }
};

struct collisions {
  std::size_t inputs = 0;
  std::size_t distinct = 0;
  std::size_t ours = 0;
  std::size_t by_hand = 0;
};

collisions collide(std::size_t inputs, std::uint64_t seed) {
  using namespace std::string_literals;
  std::vector<std::string> const atoms = {":"s, "="s, "%"s, "~"s,  "{"s,   "}"s,   ","s,
                                          "("s, ")"s, "@"s, "v1"s, ":v1"s, "%3A"s, "a"s,
                                          "b"s, "1"s, ""s,  " "s,  "\n"s,  "\0"s,  "~h"s};
  tideover::xoshiro random(seed);
  auto const text = [&] {
    std::string made;
    for (std::uint64_t n = random() % 4; n != 0; --n) made += atoms[random() % atoms.size()];
    return made;
  };
  collisions found{.inputs = inputs};
  std::unordered_set<std::string> seen;
  std::unordered_set<std::string> keys;
  std::unordered_set<std::string> joined;
  for (std::size_t i = 0; i < inputs; ++i) {
    adversary input;
    for (std::uint64_t n = random() % 3; n != 0; --n) input.segments.push_back(text());
    if (random() % 2 != 0) input.params.emplace_back("a", text());
    if (random() % 2 != 0) input.params.emplace_back("b", text());
    if (!seen.insert(input.text()).second) continue;
    ++found.distinct;
    found.ours += keys.insert(input.key().str()).second ? 0u : 1u;
    found.by_hand += joined.insert(input.joined()).second ? 0u : 1u;
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t rounds = 61;
  std::size_t inputs = 400'000;
  std::filesystem::path out;
  CLI::App options("Keys beside the ways in which they are made today.");
  options.add_option("--rounds", rounds, "rounds of alternating slices")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  options.add_option("--inputs", inputs, "adversarial inputs")
      ->check(CLI::Range(1'000, 100'000'000))
      ->capture_default_str();
  options.add_option("--out", out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    bool good = true;
    std::vector<parts> const all = some_parts();
    keep(by_schema::make(all[0]));
    std::size_t const before = bench::allocations();
    for (parts const& p : all) keep(by_schema_hashed::make(p));
    std::size_t const allocated = bench::allocations() - before;
    good = good && allocated == 0;

    bench::print_heading("keys: time of one of three parts, beside the same text made otherwise");
    std::vector<figure> const figures = {
        compare<by_schema, by_fmt>(all, rounds, 1.0 / 3, true),
        compare<by_schema_hashed, by_fmt>(all, rounds, 0, true),
        compare<by_statements, by_stream>(all, rounds, 1.0 / 5, true),
        compare<by_chain, by_stream>(all, rounds, 1.0 / 5, true),
        compare<by_statements, by_fmt>(all, rounds, 0, false),
        compare<by_fmt, by_stream>(all, rounds, 0, false),
    };
    bench::table table({"key", "beside", "ns", "ratio", "95 %", "asked", ""}, {0, 1, 6});
    nlohmann::ordered_json json;
    for (figure const& f : figures) {
      bool const floor_held = !f.floor || f.ratio.low <= 1;
      good = good && floor_held;
      std::string const verdict = !floor_held                 ? "SLOWER"
                                  : f.asked == 0              ? ""
                                  : f.ratio.median <= f.asked ? "reached"
                                                              : "missed";
      table.add({f.subject, f.peer, fmt::format("{:.1f}", f.nanoseconds),
                 fmt::format("{:.3f}", f.ratio.median),
                 fmt::format("{:.3f}..{:.3f}", f.ratio.low, f.ratio.high),
                 f.asked == 0 ? "" : fmt::format("<= {:.3f}", f.asked), verdict});
      json["times"].push_back({{"subject", f.subject},
                               {"peer", f.peer},
                               {"nanoseconds", f.nanoseconds},
                               {"ratio", f.ratio.median},
                               {"asked", f.asked}});
    }
    table.print();
    fmt::print("{} allocations for {} keys of the schema and their hashes.\n", allocated, all.size());

    bench::progress("key_ops", "adversarial inputs");
    collisions const found = collide(inputs, 1);
    good = good && found.ours == 0 && found.by_hand > 0;
    fmt::print("{} adversarial inputs, {} of them distinct: {} keys collide; joined by hand {} do.\n",
               found.inputs, found.distinct, found.ours, found.by_hand);
    json["adversarial"] = {{"inputs", found.inputs},
                           {"distinct", found.distinct},
                           {"collisions", found.ours},
                           {"collisions_joined_by_hand", found.by_hand}};
    json["allocations"] = allocated;
    if (!out.empty()) bench::write_json(out, json);
    return good ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "key_ops: {}\n", e.what());
    return 2;
  }
}

// SPDX-License-Identifier: BSL-1.0

// What does an entry take of the machine's memory beyond its key and its value? Each figure is measured in a
// process of its own, which this program starts with --measure: it makes a cache of the capacity, puts as
// many keys, and asks the kernel by how much its anonymous resident memory has grown
// (/proc/self/smaps_rollup). So everything counts: index, sketch, ghosts, shadows, what the allocator adds,
// room that was touched and is not used. What a plain array of the same keys and values takes, measured in
// the same way, is subtracted: for strings that is their text on the heap too. Goals: 44 bytes for the
// default, 24 for lru, at a million entries.

#include "peers/contestants.hpp"
#include "peers/debian.hpp"
#include "peers/kinds.hpp"
#include "support/report.hpp"
#include "support/verdicts.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace {

/// The keys and values and nothing else.
template <class Kind>
class plain_array {
 public:
  static constexpr char const* name = "array";
  explicit plain_array(std::size_t capacity) { entries_.reserve(capacity); }
  void put(typename Kind::key const& key) { entries_.emplace_back(key, Kind::value_of(key)); }
  std::size_t size() const { return entries_.size(); }

 private:
  std::vector<std::pair<typename Kind::key, typename Kind::value>> entries_;
};

/// A flat_map that knew its size from the start: the least that its layout takes.
template <class Kind>
class flat_map_reserved {
 public:
  static constexpr char const* name = "flat_map reserved";
  explicit flat_map_reserved(std::size_t capacity) { map_.reserve(capacity); }
  void put(typename Kind::key const& key) { map_.insert_or_assign(key, Kind::value_of(key)); }
  std::size_t size() const { return map_.size(); }

 private:
  boost::unordered_flat_map<typename Kind::key, typename Kind::value> map_;
};

struct settings {
  std::vector<std::size_t> entries = {10'000, 100'000, 1'000'000};
  std::filesystem::path out;
};

/// What the child process is to measure.
struct order {
  std::string who;
  std::string kind;
  std::size_t entries = 0;
};

std::size_t anonymous_bytes() {
  std::ifstream in("/proc/self/smaps_rollup");
  for (std::string word; in >> word;) {
    if (word != "Anonymous:") continue;
    std::size_t kilobytes = 0;
    in >> kilobytes;
    return kilobytes * 1024;
  }
  throw std::runtime_error("/proc/self/smaps_rollup does not say Anonymous");
}

template <class Kind, class C>
void fill(C& cache, std::size_t entries) {
  for (std::size_t rank = 0; rank != entries; ++rank) {
    auto const key = Kind::key_of(rank);
    if constexpr (bench::writes<C, Kind> || std::is_same_v<C, plain_array<Kind>>) {
      cache.put(key);
    } else {
      cache.read_through(key);
    }
  }
}

template <class Kind, class C>
double bytes_per_entry(std::size_t entries) {
  {
    C small(100);  // what a program pays once: pages of data that are written to, the first of the heap
    fill<Kind>(small, 100);
  }
  auto const before = anonymous_bytes();
  auto const cache = std::make_unique<C>(entries);
  fill<Kind>(*cache, entries);
  auto const grown = static_cast<double>(anonymous_bytes()) - static_cast<double>(before);
  std::size_t resident = entries;
  if constexpr (requires { cache->size(); }) resident = cache->size();
  return grown / static_cast<double>(resident);
}

template <class Kind>
using measured = decltype(std::tuple_cat(
    std::tuple<plain_array<Kind>*, bench::ours<Kind, tideover::steered>*, bench::ours<Kind, tideover::lru>*,
               bench::list_map<Kind>*, bench::flat_map<Kind>*, flat_map_reserved<Kind>*>(),
    bench::debian_peers<Kind>()));

/// Calls `f<C>()` for each of those that are measured.
template <class Kind, class F>
void for_each(F f) {
  auto const call = [&]<class... C>(std::tuple<C*...>) { (f.template operator()<C>(), ...); };
  call(measured<Kind>());
}

template <class Kind>
bool obey(order const& o) {
  bool done = false;
  for_each<Kind>([&]<class C>() {
    if (o.who != C::name) return;
    fmt::print("{:.17g}\n", bytes_per_entry<Kind, C>(o.entries));
    done = true;
  });
  return done;
}

/// Runs this program again, for one figure.
double measure(order const& o) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
  auto const entries = std::to_string(o.entries);
  std::array<char const*, 8> const words = {"memory",       "--measure", o.who.c_str(),   "--kind",
                                            o.kind.c_str(), "--entries", entries.c_str(), nullptr};
  auto const child = fork();
  if (child < 0) throw std::runtime_error("no process");
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execv("/proc/self/exe", const_cast<char* const*>(words.data()));
    _exit(127);
  }
  close(ends[1]);
  std::string said;
  std::array<char, 256> buffer{};
  for (ssize_t n = 0; (n = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    said.append(buffer.data(), static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error(fmt::format("measuring {} failed", o.who));
  }
  return std::stod(said);
}

/// By name, then by number of entries: bytes beyond key and value.
using figures = std::map<std::string, std::map<std::size_t, double>, std::less<>>;

template <class Kind>
figures report(settings const& chosen, nlohmann::ordered_json& json) {
  figures found;
  std::vector<std::string> heading = {fmt::format("{}: bytes beyond key and value", Kind::name)};
  for (auto const n : chosen.entries) heading.push_back(fmt::format("{} entries", n));
  bench::table t(std::move(heading));
  std::map<std::size_t, double> plain;
  for_each<Kind>([&]<class C>() {
    std::string const name = C::name;
    std::vector<std::string> row = {name};
    for (auto const n : chosen.entries) {
      bench::progress("memory", fmt::format("{}, {}, {} entries", name, Kind::name, n));
      auto const bytes = measure({name, Kind::name, n});
      if (name == "array") plain[n] = bytes;
      found[name][n] = bytes - plain.at(n);
      row.push_back(fmt::format("{:.1f}", name == "array" ? bytes : bytes - plain.at(n)));
      json["entries"].push_back({{"cache", name},
                                 {"values", Kind::name},
                                 {"entries", n},
                                 {"bytes", bytes},
                                 {"beyond", bytes - plain.at(n)}});
    }
    if (name == "array") row[0] = "(key and value in an array)";
    t.add(std::move(row));
    if (name == "array") t.add_rule();
  });
  t.print();
  fmt::print("\n");
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  order single;
  CLI::App options("Resident memory of an entry beyond its key and value, beside peers.");
  options.add_option("--entries", chosen.entries, "numbers of entries")->capture_default_str();
  options.add_option("--measure", single.who, "measure this one alone, in this process, and print its bytes");
  options.add_option("--kind", single.kind, "numbers or texts, for --measure")
      ->check(CLI::IsMember({bench::numbers::name, bench::texts::name}));
  options.add_option("--out", chosen.out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    if (!single.who.empty()) {
      single.entries = chosen.entries.at(0);
      bool const done =
          single.kind == bench::texts::name ? obey<bench::texts>(single) : obey<bench::numbers>(single);
      return done ? 0 : 2;
    }
    bench::print_heading("Memory of an entry beyond its key and value, as resident bytes");
    fmt::print("{}\n", bench::compiled_with());
    fmt::print("{}: {}; {}: {}; as many keys put as the capacity, each figure in a process of its own\n\n",
               bench::numbers::name, bench::numbers::what, bench::texts::name, bench::texts::what);
    nlohmann::ordered_json json = {{"compiled_with", bench::compiled_with()}};
    auto const numbers = report<bench::numbers>(chosen, json);
    report<bench::texts>(chosen, json);

    bench::verdicts verdicts;
    constexpr std::size_t million = 1'000'000;
    auto const judge = [&](char const* name, double most) {
      auto asked =
          fmt::format("{}, {} {}: at most {} bytes an entry", name, million, bench::numbers::name, most);
      auto const at = numbers.at(name).find(million);
      if (at == numbers.at(name).end()) {
        verdicts.skipped(std::move(asked), "not measured at this size");
      } else {
        verdicts.goal(std::move(asked), fmt::format("{:.1f}", at->second), at->second <= most);
      }
    };
    judge("steered", 44);
    judge("lru", 24);
    for (auto const& peer : bench::missing_peers()) {
      verdicts.skipped(peer.name, fmt::format("not installed ({})", peer.package));
    }
    verdicts.print();
    json["verdicts"] = verdicts.json();
    if (!chosen.out.empty()) bench::write_json(chosen.out, json);
    return 0;
  } catch (std::exception const& e) {
    fmt::print(stderr, "memory: {}\n", e.what());
    return 2;
  }
}

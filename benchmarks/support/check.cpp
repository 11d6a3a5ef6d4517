// SPDX-License-Identifier: BSL-1.0

// A benchmark is worth what its tools are worth: this checks the trace reader, the key streams, the
// statistics, the verdicts and the peers against figures that are known otherwise. Prints what failed; exits
// non-zero.

#include "peers/list_map_lru.hpp"
#include "peers/queue_fifo.hpp"
#include "support/crew.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"
#include "support/statistics.hpp"
#include "support/streams.hpp"
#include "support/trace.hpp"
#include "support/verdicts.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

namespace {

using namespace std::chrono_literals;

int failures = 0;

void expect(bool ok, std::string const& what) {
  if (ok) return;
  ++failures;
  fmt::print("FAILED: {}\n", what);
}

void expect_near(double measured, double expected, double tolerance, std::string const& what) {
  expect(std::abs(measured - expected) <= tolerance,
         fmt::format("{}: {} instead of {} +- {}", what, measured, expected, tolerance));
}

/// A file of its own in the system's folder for temporary files, removed at the end.
class scratch_file {
 public:
  scratch_file(std::string const& name, std::string const& content)
      : path_(std::filesystem::temp_directory_path() /
              fmt::format("tideover-{}-{}", std::random_device()(), name)) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  scratch_file(scratch_file const&) = delete;
  scratch_file& operator=(scratch_file const&) = delete;
  ~scratch_file() { std::filesystem::remove(path_); }
  std::filesystem::path const& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

bool refused(std::string const& name, std::string const& content) {
  scratch_file const file(name, content);
  try {
    bench::read_trace(file.path());
  } catch (std::runtime_error const&) {
    return true;
  }
  return false;
}

void check_traces() {
  using keys = std::vector<std::uint64_t>;
  scratch_file const plain("plain.txt", "1\n22 512\n\n18446744073709551615\r\n7");
  expect(bench::read_trace(plain.path()) == keys{1, 22, 18446744073709551615U, 7},
         "a plain trace: sizes, empty lines, CR, the largest key, no newline at the end");
  scratch_file const nothing("nothing.txt", "");
  expect(bench::read_trace(nothing.path()).empty(), "an empty trace has no keys");
  // "5\n6 10\n", compressed by zstd 1.5 in two frames.
  std::string const frames(
      "\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00\x35\x0a\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00"
      "\x36\x20\x31\x30\x0a",
      25);
  scratch_file const packed("packed.txt.zst", frames);
  expect(bench::read_trace(packed.path()) == keys{5, 6}, "a zstd trace of two frames");
  expect(refused("cut.txt.zst", frames.substr(0, 18)), "a zstd trace that ends early is refused");
  expect(refused("noise.txt.zst", "no zstd at all"), "what is no zstd is refused");
  expect(refused("word.txt", "1\ntwo\n"), "a key that is no number is refused");
  expect(refused("large.txt", "18446744073709551616\n"), "2^64 is refused");
  expect(refused("long.txt", "184467440737095516150\n"), "a key of 21 digits is refused");
}

void check_streams() {
  constexpr std::size_t keys = 1'000;
  constexpr std::size_t draws = 2'000'000;
  std::vector<double> weight;
  for (std::size_t r = 1; r <= keys; ++r) weight.push_back(1 / std::pow(static_cast<double>(r), .845));
  double const total = std::accumulate(weight.begin(), weight.end(), 0.0);
  bench::zipf_stream zipf(.845, keys, 42);
  std::vector<double> seen(keys);
  for (std::size_t i = 0; i != draws; ++i) seen.at(zipf()) += 1;
  double chi_square = 0;
  for (std::size_t r = 0; r != keys; ++r) {
    double const expected = draws * weight[r] / total;
    chi_square += (seen[r] - expected) * (seen[r] - expected) / expected;
  }
  // 999 degrees of freedom: 99.99 % of samples lie below 1,173.
  expect(chi_square < 1'173, fmt::format("Zipf .845: chi-square {}", chi_square));
  bench::zipf_stream same(.845, keys, 42);
  bench::zipf_stream again(.845, keys, 42);
  bool equal = true;
  for (int i = 0; i != 1'000; ++i) equal = equal && same() == again();
  expect(equal, "equal seeds give equal streams");

  bench::loop_stream loop(3, 10);
  std::vector<std::uint64_t> looped;
  bench::append(looped, loop, 7);
  expect(looped == std::vector<std::uint64_t>{10, 11, 12, 10, 11, 12, 10}, "a loop of three keys");
  std::unordered_set<std::uint64_t> spread;
  for (std::uint64_t k = 0; k != 100'000; ++k) spread.insert(bench::scrambled(k));
  expect(spread.size() == 100'000, "scrambled() is one to one");
}

void check_statistics() {
  std::vector<double> hundred;
  for (int i = 100; i != 0; --i) hundred.push_back(i);
  auto const s = bench::summarise(hundred);
  // Of 100 values the 40th and the 61st bound the median with 96.5 % (tables of the sign test).
  expect(s.count == 100 && s.low == 40 && s.high == 61, fmt::format("order statistics {} {}", s.low, s.high));
  expect_near(s.median, 50.5, 1e-9, "median of 1 to 100");
  expect_near(s.first_quartile, 25.75, 1e-9, "first quartile of 1 to 100");
  expect_near(s.third_quartile, 75.25, 1e-9, "third quartile of 1 to 100");
  auto const three = bench::summarise({3, 1, 2});
  expect(three.low == 1 && three.high == 3 && three.median == 2, "three values bound by their extremes");
  double const runs[] = {1, 2, 3, 4, 5};
  auto const m = bench::mean_of(runs);
  expect_near(m.mean, 3, 1e-12, "mean of 1 to 5");
  expect_near(m.half_width, 2.776445 * std::sqrt(2.5 / 5), 1e-5, "95 % half width of 1 to 5");

  bench::paired pairs;
  struct scripted {
    static double now() {
      static double const at[] = {0, 2, 2, 3, 10, 14, 20, 24};
      static std::size_t next = 0;
      return at[next++];
    }
  };
  for (int i = 0; i != 2; ++i)
    pairs.round(
        scripted(), [] {}, [] {});
  expect_near(pairs.ratio_to(0).median, 1.5, 1e-12, "median of the paired ratios 2 and 1");
  expect_near(pairs.seconds(0).median, 3, 1e-12, "median seconds of the subject");
  pairs.add({8, 2});
  expect_near(pairs.ratio_to(0).median, 2, 1e-12, "median of the paired ratios 2, 1 and 4");
  expect_near(pairs.ratio(1, 0).median, .5, 1e-12, "the same the other way round");
}

void check_verdicts() {
  bench::verdicts verdicts;
  verdicts.goal("a", "1", true);
  verdicts.goal("b", "2", false);
  verdicts.floor("c", "3", true);
  verdicts.skipped("d", "not here");
  expect(verdicts.floors_hold(), "a goal that is missed breaks no floor");
  verdicts.floor("e", "5", false);
  expect(!verdicts.floors_hold(), "a floor that is broken is");
}

void check_crew() {
  bench::crew three(3);
  for (int again = 0; again != 100; ++again) {
    std::array<std::thread::id, 3> by{};
    three.run([&](std::size_t t) { by.at(t) = std::this_thread::get_id(); });
    expect(by[0] == std::this_thread::get_id(), "the calling thread is one of the crew");
    expect(by[1] != by[0] && by[2] != by[0] && by[1] != by[2], "each part has a thread of its own");
    expect(by[1] != std::thread::id() && by[2] != std::thread::id(), "all parts are done when run returns");
  }
}

void check_report() {
  bench::table t({"name", "figure"});
  t.add({"a", "1.5"});
  t.add_note("a note\nof two lines");
  t.add({"longer", "10.25"});
  expect(t.text() ==
             "name    figure\n"
             "--------------\n"
             "a          1.5\n"
             "    a note\n"
             "    of two lines\n"
             "longer   10.25\n",
         "a table is aligned:\n" + t.text());
}

template <class Cache>
std::size_t hits(Cache&& cache, std::vector<std::uint64_t> const& keys) {
  std::size_t hit = 0;
  for (auto const key : keys) {
    if (cache.get(key)) {
      ++hit;
    } else {
      cache.put(key, 0);
    }
  }
  return hit;
}

void check_peers() {
  using lru = bench::list_map_lru<std::uint64_t, int>;
  using fifo = bench::queue_fifo<std::uint64_t, int>;
  std::vector<std::uint64_t> const belady = {1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5};
  // The sequence by which Belady showed that fifo can lose from room: 3 hits with 3 frames, 2 with 4.
  expect(hits(fifo(3), belady) == 3, "fifo with 3 entries");
  expect(hits(fifo(4), belady) == 2, "fifo with 4 entries");
  expect(hits(lru(3, 1h), belady) == 2, "lru with 3 entries");
  expect(hits(lru(4, 1h), belady) == 4, "lru with 4 entries");
  std::vector<std::uint64_t> loop;
  bench::append(loop, bench::loop_stream(100), 1'000);
  expect(hits(lru(99, 1h), loop) == 0, "lru never hits in a loop that is one key too long");
  expect(hits(lru(100, 1h), loop) == 900, "lru always hits in a loop that fits");

  std::chrono::nanoseconds now{0};
  bench::list_map_lru<int, int, std::function<std::chrono::nanoseconds()>> timed(2, 10s,
                                                                                 [&now] { return now; });
  timed.put(1, 11);
  now = 10s - 1ns;
  expect(timed.get(1) == 11, "list_map_lru: present until its deadline");
  now = 10s;
  expect(!timed.get(1), "list_map_lru: absent at its deadline");
  expect(timed.get_or_compute(1, [](int key) { return key + 1; }) == 2, "list_map_lru computes on a miss");
  expect(timed.get(1) == 2, "list_map_lru keeps what it computed");
  expect(timed.size() == 1, "list_map_lru freed the expired entry");
  expect(timed.erase(1) && !timed.erase(1), "list_map_lru erases once");
  expect(!timed.get(1) && timed.size() == 0, "list_map_lru: absent once erased");
}

}  // namespace

int main() {
  check_traces();
  check_streams();
  check_statistics();
  check_verdicts();
  check_crew();
  check_report();
  check_peers();
  if (failures == 0) fmt::print("the tools of the benchmarks are sound\n");
  return failures == 0 ? 0 : 1;
}

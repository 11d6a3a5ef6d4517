// SPDX-License-Identifier: BSL-1.0

// Has an operation become slower? Two measures, each against a committed budget (gate/budget.hpp).
//
// Instructions per operation, counted by callgrind. They repeat exactly, so that 1 % more is a change of the
// code. They say nothing of caches and branches, and they belong to the compiler, its flags and the
// libraries: with others, the program says so and does not compare.
//
// The time of an operation over that of a baseline of other code in the same binary, in alternating slices.
// It belongs to the processor, and how code and data happen to lie in memory moves it by some percent. So the
// budget is the highest of five tries, and it is 5 % too much when all of five say so, each with its whole
// 95 % interval: this half sees what is large, the other what is small.
//
// Less than the budget is said and passes; --update writes the budget anew. Exits 0 when all is within it, 1
// when something is not, 2 when the question could not be answered.

#include "gate/budget.hpp"
#include "gate/operations.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <boost/version.hpp>

#include <gnu/libc-version.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace gate = bench::gate;
using gate::operation;

constexpr double instructions_tolerance = .01;
constexpr double ratio_tolerance = .05;
constexpr std::size_t counted_runs = 8;
constexpr std::size_t tries = 5;

struct settings {
  std::filesystem::path budget;
  std::filesystem::path scratch;
  std::string only;
  std::size_t rounds = 101;
  bool update = false;
  bool count = false;  // what the child under callgrind is told
};

/// A thread that waits, and does nothing else, until this is destroyed. A service has threads; in a process
/// without any, the locks of the C library do not lock.
class waiting_thread {
 public:
  waiting_thread() {
    if (pipe(ends_.data()) != 0) throw std::runtime_error("no pipe");
    thread_ = std::thread([this] {
      char none = 0;
      while (read(ends_[0], &none, 1) < 0) {
      }
    });
  }
  waiting_thread(waiting_thread const&) = delete;
  waiting_thread& operator=(waiting_thread const&) = delete;
  ~waiting_thread() {
    close(ends_[1]);
    thread_.join();
    close(ends_[0]);
  }

 private:
  std::array<int, 2> ends_{};
  std::thread thread_;
};

// ---- Instructions
// ------------------------------------------------------------------------------------------

/// Under callgrind: each operation's instructions go to a file of their own, in the order of `operations()`.
void count_all() {
  waiting_thread const another;
  auto const all = gate::operations();
  for (auto const& o : all) {  // what is done once only: symbols, the first memory
    o.prepare();
    o.run();
  }
  CALLGRIND_START_INSTRUMENTATION;
  for (auto const& o : all) {
    CALLGRIND_ZERO_STATS;
    for (std::size_t i = 0; i != counted_runs; ++i) {
      o.prepare();
      CALLGRIND_TOGGLE_COLLECT;
      o.run();
      CALLGRIND_TOGGLE_COLLECT;
    }
    CALLGRIND_DUMP_STATS_AT(o.name.c_str());
  }
  CALLGRIND_STOP_INSTRUMENTATION;
}

/// Runs this program under callgrind, in an environment that is the same for all.
void run_callgrind(std::filesystem::path const& out) {
  auto const self = std::filesystem::read_symlink("/proc/self/exe").string();
  auto const file = "--callgrind-out-file=" + out.string();
  std::array<char const*, 9> const words = {"valgrind",
                                            "--quiet",
                                            "--tool=callgrind",
                                            "--instr-atstart=no",
                                            "--collect-atstart=no",
                                            file.c_str(),
                                            self.c_str(),
                                            "--count",
                                            nullptr};
  // The C library chooses its string functions by what the processor can do: not what differs between those
  // that we may run on.
  std::array<char const*, 3> const environment = {
      "LD_BIND_NOW=1", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-ERMS,-FSRM",
      nullptr};
  auto const child = fork();
  if (child < 0) throw std::runtime_error("no process");
  if (child == 0) {
    execvpe("valgrind", const_cast<char* const*>(words.data()), const_cast<char* const*>(environment.data()));
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error("callgrind failed: is valgrind here?");
}

/// The counts in the dumps, by operation.
std::map<std::string, double> measured_instructions(std::filesystem::path const& scratch) {
  auto const out = scratch / "callgrind.out";
  run_callgrind(out);
  std::map<std::string, double> found;
  auto const all = gate::operations();
  for (std::size_t i = 0; i != all.size(); ++i) {
    std::ifstream in(fmt::format("{}.{}", out.string(), 1 + i));
    bool ours = false;
    std::optional<double> total;
    for (std::string line; std::getline(in, line);) {
      ours = ours || (line.starts_with("desc: Trigger:") && line.ends_with(all[i].name));
      if (line.starts_with("totals: ")) total = std::stod(line.substr(8));
    }
    if (!ours || !total) throw std::runtime_error("callgrind left no count of " + all[i].name);
    found[all[i].name] = *total / static_cast<double>(counted_runs * all[i].count);
  }
  return found;
}

// ---- Ratios
// ------------------------------------------------------------------------------------------------

std::string ratio_name(operation const& o) { return o.name + " / " + o.baseline; }

bench::median_summary measured_ratio(operation const& o, operation const& baseline, std::size_t rounds) {
  constexpr double slice = 150e-6;
  auto const once = [](operation const& each) {
    each.prepare();
    double const start = bench::thread_time::now();
    each.run();
    return bench::thread_time::now() - start;
  };
  auto const runs_of = [&](operation const& each) {
    double best = 1;
    for (int i = 0; i != 5; ++i) best = std::min(best, once(each));
    return static_cast<std::size_t>(std::clamp(slice / best, 1.0, 1000.0));
  };
  auto const slice_of = [&](operation const& each, std::size_t runs) {
    double taken = 0;
    for (std::size_t i = 0; i != runs; ++i) taken += once(each);
    return taken / static_cast<double>(runs * each.count);
  };
  auto const runs = runs_of(o);
  auto const baseline_runs = runs_of(baseline);
  bench::paired pairs;
  for (std::size_t i = 0; i != rounds; ++i) {
    auto const subject = slice_of(o, runs);
    pairs.add({subject, slice_of(baseline, baseline_runs)});
  }
  return pairs.ratio_to(0);
}

/// Each try with caches that are made anew, so that where in memory they lie is another matter each time.
std::map<std::string, std::vector<bench::median_summary>> measured_ratios(std::size_t rounds) {
  waiting_thread const another;
  std::map<std::string, std::vector<bench::median_summary>> found;
  for (std::size_t i = 0; i != tries; ++i) {
    auto const all = gate::operations();
    auto const baselines = gate::baselines();
    for (auto const& o : all) {
      if (o.baseline.empty()) continue;
      auto const baseline = std::ranges::find(baselines, o.baseline, &operation::name);
      if (baseline == baselines.end()) throw std::logic_error("no baseline " + o.baseline);
      found[ratio_name(o)].push_back(measured_ratio(o, *baseline, rounds));
    }
  }
  return found;
}

double middle(std::vector<bench::median_summary> tried) {
  std::ranges::sort(tried, {}, &bench::median_summary::median);
  return tried[tried.size() / 2].median;
}
/// What is written into the budget: what differs between tries of one program is no regression.
double highest(std::vector<bench::median_summary> const& tried) {
  return std::ranges::max_element(tried, {}, &bench::median_summary::median)->median;
}

// ---- The verdict
// -------------------------------------------------------------------------------------------

std::string built() {
  return fmt::format("{}; libstdc++ {}, glibc {}, Boost {}.{}", bench::compiled_with(), __GLIBCXX__,
                     gnu_get_libc_version(), BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

/// Compares and prints; counts what is out of budget.
class comparison {
 public:
  comparison(std::string_view of, double tolerance)
      : table_({fmt::format("{}", of), "budget", "measured", "percent", ""}, {0, 4}), tolerance_(tolerance) {}

  /// From the lowest of what was measured to the highest: more, or less, is what all of it says.
  void add(std::string const& name, std::map<std::string, double> const& budget, double lowest,
           double measured, double highest, int digits) {
    auto const at = budget.find(name);
    if (at == budget.end()) {
      ++unknown_;
      table_.add({name, "", fmt::format("{:.{}f}", measured, digits), "", "NOT IN THE BUDGET"});
      return;
    }
    bool const more = lowest > at->second * (1 + tolerance_);
    bool const less = highest < at->second * (1 - tolerance_);
    more_ += more ? 1u : 0u;
    less_ += less ? 1u : 0u;
    table_.add({name, fmt::format("{:.{}f}", at->second, digits), fmt::format("{:.{}f}", measured, digits),
                fmt::format("{:+.2f}", 100 * (measured / at->second - 1)),
                more   ? "MORE"
                : less ? "less"
                       : ""});
  }
  void missing(std::string const& name) {
    ++unknown_;
    table_.add({name, "", "", "", "IN THE BUDGET, NOT MEASURED"});
  }

  bool good() const { return more_ + unknown_ == 0; }
  void print() const {
    table_.print();
    if (more_ != 0) fmt::print("{} above the budget by more than {:.0f} %\n", more_, 100 * tolerance_);
    if (less_ != 0) {
      fmt::print("{} below it by more than that: benchmarks/check --update keeps what was won\n", less_);
    }
    if (unknown_ != 0)
      fmt::print("{} that the budget and the program do not both know: benchmarks/check --update\n",
                 unknown_);
  }

 private:
  bench::table table_;
  double tolerance_;
  std::size_t more_ = 0;
  std::size_t less_ = 0;
  std::size_t unknown_ = 0;
};

bool judge_instructions(gate::budget const& budget, std::filesystem::path const& scratch) {
  bench::print_heading("Instructions of an operation, counted by callgrind");
  if (budget.built != built()) {
    fmt::print("The budget is of another build and nothing is compared.\n  budget: {}\n  here:   {}\n",
               budget.built, built());
    return true;
  }
  auto const found = measured_instructions(scratch);
  comparison compared("operation", instructions_tolerance);
  for (auto const& [name, count] : found) compared.add(name, budget.instructions, count, count, count, 2);
  for (auto const& [name, count] : budget.instructions) {
    if (!found.contains(name)) compared.missing(name);
  }
  compared.print();
  return compared.good();
}

bool judge_ratios(gate::budget const& budget, std::size_t rounds) {
  bench::print_heading("Time of an operation over that of its baseline");
  if (budget.built != built() || budget.processor != processor()) {
    fmt::print(
        "The budget is of another build or processor and nothing is compared.\n  budget: {}; {}\n  here:   "
        "{}; {}\n",
        budget.built, budget.processor, built(), processor());
    return true;
  }
  comparison compared("operation / baseline", ratio_tolerance);
  auto const found = measured_ratios(rounds);
  for (auto const& [name, tried] : found) {
    auto const lowest = std::ranges::min_element(tried, {}, &bench::median_summary::low)->low;
    compared.add(name, budget.ratios, lowest, middle(tried), highest(tried), 3);
  }
  for (auto const& [name, ratio] : budget.ratios) {
    if (!found.contains(name)) compared.missing(name);
  }
  compared.print();
  return compared.good();
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App options("Compares what operations cost with a budget.");
  options.add_option("--budget", chosen.budget, "the file with the budget");
  options.add_option("--scratch", chosen.scratch, "a folder for callgrind's files")
      ->default_val(std::filesystem::temp_directory_path());
  options.add_option("--only", chosen.only, "instructions, or ratios")
      ->check(CLI::IsMember({"instructions", "ratios"}));
  options.add_option("--rounds", chosen.rounds, "rounds of alternating slices for each ratio")
      ->check(CLI::Range(11, 100'000))
      ->capture_default_str();
  options.add_flag("--update", chosen.update, "write what is measured into the budget");
  options.add_flag("--count", chosen.count, "run the operations for callgrind, which runs this");
  CLI11_PARSE(options, argc, argv);
  try {
    if (chosen.count) {
      count_all();
      return 0;
    }
    if (chosen.update) {
      gate::budget b{built(), processor(), {}, {}};
      if (!chosen.only.empty() && std::filesystem::exists(chosen.budget)) {
        auto const before = gate::read_budget(chosen.budget);  // what is not measured now stays
        if (before.built == b.built) {
          if (chosen.only == "instructions") b.processor = before.processor;
          b.instructions = before.instructions;
          b.ratios = before.ratios;
        }
      }
      if (chosen.only != "ratios") b.instructions = measured_instructions(chosen.scratch);
      if (chosen.only != "instructions") {
        for (auto const& [name, tried] : measured_ratios(chosen.rounds)) b.ratios[name] = highest(tried);
      }
      gate::write_budget(chosen.budget, b);
      fmt::print("{} counts and {} ratios written to {}\n", b.instructions.size(), b.ratios.size(),
                 chosen.budget.string());
      return 0;
    }
    auto const budget = gate::read_budget(chosen.budget);
    bool good = true;
    if (chosen.only != "ratios") good = judge_instructions(budget, chosen.scratch) && good;
    if (chosen.only != "instructions") good = judge_ratios(budget, chosen.rounds) && good;
    fmt::print("\n{}\n", good ? "Within the budget" : "NOT WITHIN THE BUDGET");
    return good ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "check: {}\n", e.what());
    return 2;
  }
}

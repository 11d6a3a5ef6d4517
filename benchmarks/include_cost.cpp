// SPDX-License-Identifier: BSL-1.0

// What does it cost a translation unit to include a header of ours? CPU seconds (user + system) of the
// compiler with -fsyntax-only, the smallest of several rounds in which all units take turns. Each header is
// measured beside an empty unit and beside one that includes just the standard headers that it needs, found
// by following its includes: what a unit that has those already would pay for ours. Exits non-zero when a
// header is above its budget.

#include "support/report.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <spawn.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

extern char** environ;

namespace {

namespace fs = std::filesystem;

/// The budgets of the include cost, in CPU seconds: over an empty unit, or over the standard headers needed.
struct budget {
  std::string_view header;
  double seconds;
  bool over_standard;
};
constexpr std::array budgets = {
    budget{"tideover/policy/policy.hpp", .05, false},
    budget{"tideover/fwd.hpp", .05, false},
    budget{"tideover/ttl_cache.hpp", .6, true},
    budget{"tideover/cache_key.hpp", .3, true},
};

budget const* budget_of(std::string_view header) {
  auto const at =
      std::find_if(budgets.begin(), budgets.end(), [&](auto const& b) { return b.header == header; });
  return at == budgets.end() ? nullptr : &*at;
}

/// Adds to `standard` the names of the headers outside of the project and of Boost that `header` includes,
/// directly or through other headers of the project.
void follow(fs::path const& include, std::string const& header, std::set<std::string>& seen,
            std::set<std::string>& standard) {
  if (!seen.insert(header).second) return;
  std::ifstream in(include / header);
  if (!in) throw std::runtime_error(fmt::format("{} cannot be read", (include / header).string()));
  static std::regex const directive(R"(\s*#\s*include\s*[<"]([^>"]+)[>"].*)");
  std::string line;
  for (std::smatch found; std::getline(in, line);) {
    if (!std::regex_match(line, found, directive)) continue;
    auto const name = found[1].str();
    if (name.starts_with("tideover/")) {
      follow(include, name, seen, standard);
    } else if (!name.starts_with("boost/")) {
      standard.insert(name);
    }
  }
}

/// The public headers: all but those in a folder `detail`.
std::vector<std::string> public_headers(fs::path const& include) {
  std::vector<std::string> headers;
  for (auto const& entry : fs::recursive_directory_iterator(include / "tideover")) {
    auto const name = fs::relative(entry.path(), include).generic_string();
    if (entry.is_regular_file() && entry.path().extension() == ".hpp" &&
        name.find("/detail/") == std::string::npos) {
      headers.push_back(name);
    }
  }
  std::sort(headers.begin(), headers.end());
  return headers;
}

class compiler {
 public:
  compiler(std::string program, fs::path const& include)
      : words_{std::move(program), "-std=c++20", "-I" + include.string()} {}

  /// CPU seconds of one compilation. Throws if it fails.
  double seconds(fs::path const& unit) const { return run({"-fsyntax-only", unit.string()}, unit); }

  /// Every file that the compiler opens for a unit, by its path.
  std::set<std::string> opened(fs::path const& unit) const {
    auto const list = unit.string() + ".d";
    run({"-M", "-MF", list, unit.string()}, unit);
    std::ifstream in(list);
    std::set<std::string> files;
    for (std::string word; in >> word;) files.insert(word);
    return files;
  }

  std::string command() const { return fmt::format("{} -std=c++20 -fsyntax-only", words_.front()); }

 private:
  double run(std::vector<std::string> const& more, fs::path const& unit) const {
    auto words = words_;
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    if (posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ) != 0) {
      throw std::runtime_error(fmt::format("cannot run {}", words_.front()));
    }
    int status = 0;
    rusage used{};
    if (wait4(child, &status, 0, &used) != child || status != 0) {
      throw std::runtime_error(fmt::format("{} failed on {}", words_.front(), unit.filename().string()));
    }
    auto const seconds_of = [](timeval const& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
  }

  std::vector<std::string> words_;
};

/// One translation unit to measure.
struct unit {
  fs::path file;
  double seconds = std::numeric_limits<double>::infinity();
};

unit write_unit(fs::path const& file, std::set<std::string> const& headers) {
  std::ofstream out(file);
  for (auto const& h : headers) out << fmt::format("#include <{}>\n", h);
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
  return {file};
}

/// A folder for the units that is gone afterwards.
class scratch_folder {
 public:
  scratch_folder() {
    auto name = (fs::temp_directory_path() / "tideover-include-cost-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  scratch_folder(scratch_folder const&) = delete;
  scratch_folder& operator=(scratch_folder const&) = delete;
  ~scratch_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path const& path() const { return path_; }

 private:
  fs::path path_;
};

struct settings {
  std::string include;
  std::string compiler = "g++";
  std::string out = "build/include_cost.json";
  int rounds = 5;
  bool all = false;
};

/// Seconds for people: what noise put below zero by less than what is printed is zero.
std::string text_of(double seconds) {
  return fmt::format("{:.3f}", std::abs(seconds) < .0005 ? 0.0 : seconds);
}

struct measured_header {
  std::string name;
  std::set<std::string> standard;
  unit with_ours;
  unit with_standard;
};

int run(settings const& s) {
  scratch_folder const folder;
  compiler const compile(s.compiler, s.include);
  std::vector<measured_header> headers;
  for (auto const& name : public_headers(s.include)) {
    if (!s.all && budget_of(name) == nullptr) continue;
    auto const number = headers.size();
    measured_header h{name, {}, write_unit(folder.path() / fmt::format("{}_ours.cpp", number), {name}), {}};
    std::set<std::string> seen;
    follow(s.include, name, seen, h.standard);
    // What stands behind an #if that is false here is not needed here.
    auto const opened = compile.opened(h.with_ours.file);
    std::erase_if(h.standard, [&](std::string const& standard) {
      return std::none_of(opened.begin(), opened.end(),
                          [&](std::string const& path) { return path.ends_with("/" + standard); });
    });
    h.with_standard = write_unit(folder.path() / fmt::format("{}_standard.cpp", number), h.standard);
    headers.push_back(std::move(h));
  }
  auto empty = write_unit(folder.path() / "empty.cpp", {});

  bench::print_heading("Include cost, CPU seconds");
  fmt::print("{}; the smallest of {} rounds in which all units take turns\n\n", compile.command(), s.rounds);
  for (int round = 0; round != s.rounds; ++round) {
    bench::progress("include_cost",
                    fmt::format("round {}/{}: {} headers", round + 1, s.rounds, headers.size()));
    auto const measure = [&](unit& u) { u.seconds = std::min(u.seconds, compile.seconds(u.file)); };
    measure(empty);
    for (auto& h : headers) {
      measure(h.with_ours);
      measure(h.with_standard);
    }
  }

  bool within = true;
  nlohmann::ordered_json out = {{"benchmark", "include_cost"},
                                {"command", compile.command()},
                                {"rounds", s.rounds},
                                {"empty_seconds", empty.seconds}};
  bench::table t({"header", "alone", "over nothing", "over std", "budget", "verdict"}, {0, 5});
  for (auto const& h : headers) {
    double const over_nothing = h.with_ours.seconds - empty.seconds;
    double const over_standard = h.with_ours.seconds - h.with_standard.seconds;
    auto const* const allowed = budget_of(h.name);
    std::string verdict;
    if (allowed != nullptr) {
      bool const holds = (allowed->over_standard ? over_standard : over_nothing) < allowed->seconds;
      within = within && holds;
      verdict = holds ? "within" : "ABOVE";
    }
    t.add({h.name, text_of(h.with_ours.seconds), text_of(over_nothing), text_of(over_standard),
           allowed == nullptr
               ? ""
               : fmt::format("{:.2f} over {}", allowed->seconds, allowed->over_standard ? "std" : "nothing"),
           verdict});
    nlohmann::ordered_json line = {{"header", h.name},
                                   {"seconds", h.with_ours.seconds},
                                   {"over_nothing", over_nothing},
                                   {"over_standard", over_standard},
                                   {"standard_headers", h.standard}};
    if (allowed != nullptr) {
      line["budget"] = allowed->seconds;
      line["budget_over"] = allowed->over_standard ? "standard" : "nothing";
      line["verdict"] = verdict;
    }
    out["headers"].push_back(std::move(line));
  }
  for (auto const& b : budgets) {
    if (std::any_of(headers.begin(), headers.end(), [&](auto const& h) { return h.name == b.header; }))
      continue;
    within = false;
    t.add({std::string(b.header), "", "", "", fmt::format("{:.2f}", b.seconds), "MISSING"});
  }
  t.print();
  bench::write_json(s.out, out);
  return within ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App options("CPU seconds that each header of tideover adds to a translation unit.");
  options.add_option("--include", s.include, "the folder that holds tideover/")
      ->required()
      ->check(CLI::ExistingDirectory);
  options.add_option("--compiler", s.compiler, "the compiler to run")->capture_default_str();
  options.add_option("--rounds", s.rounds, "rounds; the smallest figure counts")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  options.add_option("--out", s.out, "JSON file to write")->capture_default_str();
  options.add_flag("--all", s.all, "every public header, not only those with a budget");
  CLI11_PARSE(options, argc, argv);
  try {
    return run(s);
  } catch (std::exception const& e) {
    fmt::print(stderr, "include_cost: {}\n", e.what());
    return 2;
  }
}

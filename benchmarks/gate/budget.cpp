// SPDX-License-Identifier: BSL-1.0
#include "gate/budget.hpp"

#include <fmt/format.h>

#include <fstream>
#include <stdexcept>
#include <string_view>

namespace bench::gate {

namespace {

/// What follows `word`, if `line` begins with it.
bool take(std::string_view& line, std::string_view word) {
  if (!line.starts_with(word)) return false;
  line.remove_prefix(word.size());
  return true;
}

}  // namespace

budget read_budget(std::filesystem::path const& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  budget b;
  std::size_t number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    std::string_view line = text;
    if (line.empty() || line.front() == '#') continue;
    auto const figure_of = [&](std::map<std::string, double>& figures) {
      try {
        std::size_t end = 0;
        double const value = std::stod(std::string(line), &end);
        line.remove_prefix(end);
        if (value > 0 && take(line, " ") && !line.empty()) {
          figures[std::string(line)] = value;
          return;
        }
      } catch (std::logic_error const&) {
        // said below
      }
      throw std::runtime_error(fmt::format("{}:{}: cannot read '{}'", file.string(), number, text));
    };
    if (take(line, "built: ")) {
      b.built = line;
    } else if (take(line, "processor: ")) {
      b.processor = line;
    } else if (take(line, "instructions ")) {
      figure_of(b.instructions);
    } else if (take(line, "ratio ")) {
      figure_of(b.ratios);
    } else {
      throw std::runtime_error(fmt::format("{}:{}: cannot read '{}'", file.string(), number, text));
    }
  }
  return b;
}

void write_budget(std::filesystem::path const& file, budget const& b) {
  auto const unfinished = file.string() + ".part";
  {
    std::ofstream out(unfinished);
    out << "# SPDX-License-Identifier: BSL-1.0\n"
           "# What the operations may cost: see docs/benchmarks.md. Written by benchmarks/check --update.\n";
    out << "built: " << b.built << "\nprocessor: " << b.processor << '\n';
    for (auto const& [name, count] : b.instructions)
      out << fmt::format("instructions {:.2f} {}\n", count, name);
    for (auto const& [name, ratio] : b.ratios) out << fmt::format("ratio {:.3f} {}\n", ratio, name);
    if (!out.flush()) throw std::runtime_error("cannot write " + unfinished);
  }
  std::filesystem::rename(unfinished, file);
}

}  // namespace bench::gate

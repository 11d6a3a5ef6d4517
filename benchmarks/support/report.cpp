// SPDX-License-Identifier: BSL-1.0
#include "support/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace bench {

table::table(std::vector<std::string> heading, std::initializer_list<std::size_t> text_columns)
    : is_text_(heading.size()) {
  for (auto const column : text_columns) is_text_.at(column) = true;
  add(std::move(heading));
  add_rule();
}

void table::add(std::vector<std::string> row) {
  row.resize(is_text_.size());
  lines_.push_back({std::move(row), {}});
}

void table::add_note(std::string text) { lines_.push_back({{}, std::move(text)}); }

void table::add_rule() { lines_.push_back({}); }

std::string table::text() const {
  std::vector<std::size_t> width(is_text_.size());
  for (auto const& l : lines_) {
    for (std::size_t c = 0; c != l.cells.size(); ++c) width[c] = std::max(width[c], l.cells[c].size());
  }
  std::size_t whole = width.empty() ? 0 : 2 * (width.size() - 1);
  for (auto const w : width) whole += w;

  fmt::memory_buffer out;
  auto to = fmt::appender(out);
  for (auto const& l : lines_) {
    if (!l.note.empty()) {
      std::string_view rest = l.note;
      for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
        fmt::format_to(to, "    {}\n", rest.substr(0, end));
        rest.remove_prefix(end + 1);
      }
      fmt::format_to(to, "    {}", rest);
    } else if (l.cells.empty()) {
      fmt::format_to(to, "{:-<{}}", "", whole);
    } else {
      std::string row;
      for (std::size_t c = 0; c != width.size(); ++c) {
        if (c != 0) row += "  ";
        row += is_text_[c] ? fmt::format("{:<{}}", l.cells[c], width[c])
                           : fmt::format("{:>{}}", l.cells[c], width[c]);
      }
      row.erase(row.find_last_not_of(' ') + 1);
      fmt::format_to(to, "{}", row);
    }
    fmt::format_to(to, "\n");
  }
  return fmt::to_string(out);
}

void table::print() const {
  fmt::print("{}", text());
  std::fflush(stdout);
}

void print_heading(std::string_view text) {
  fmt::print("\n{}\n{:=<{}}\n", text, "", text.size());
  std::fflush(stdout);
}

void progress(std::string_view program, std::string_view text) {
  fmt::print(stderr, "[{}] {}\n", program, text);
  std::fflush(stderr);
}

void write_json(std::filesystem::path const& file, nlohmann::ordered_json const& content) {
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path());
  auto const unfinished = file.string() + ".part";
  {
    std::ofstream out(unfinished);
    out << content.dump(2) << '\n';
    if (!out.flush()) throw std::runtime_error("cannot write " + unfinished);
  }
  std::filesystem::rename(unfinished, file);
}

std::string compiled_with() { return TIDEOVER_BENCHMARK_COMPILED_WITH; }

}  // namespace bench

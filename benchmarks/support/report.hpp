// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

/// What the benchmark programs print: aligned tables on standard output, progress on standard error, and one
/// JSON file each.
namespace bench {

/// A table whose columns are as wide as their widest cell. Columns of text are aligned to the left, the
/// others, figures, to the right. A note, of any number of lines, stands below its row.
class table {
 public:
  explicit table(std::vector<std::string> heading, std::initializer_list<std::size_t> text_columns = {0});

  void add(std::vector<std::string> row);
  void add_note(std::string text);
  void add_rule();

  std::string text() const;
  void print() const;

 private:
  struct line {
    std::vector<std::string> cells;  // empty: a rule, or a note
    std::string note;
  };
  std::vector<line> lines_;
  std::vector<bool> is_text_;  // by column
};

/// A heading of a part of the report.
void print_heading(std::string_view text);

/// Says what is going on, at once and apart from the report.
void progress(std::string_view program, std::string_view text);

/// Writes the file whole or not at all, and makes the folder that it is to stand in.
void write_json(std::filesystem::path const& file, nlohmann::ordered_json const& content);

/// How this program was compiled, for the report.
std::string compiled_with();

}  // namespace bench

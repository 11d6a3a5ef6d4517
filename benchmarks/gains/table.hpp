// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The table of documented gains: what a guide claims, and what this library gives on the same inputs beside
/// two baselines, ordinary code and strong code. Each component adds a file of rows (rows_*.cpp) with one
/// function that is declared and called here; everything else is common to all.
namespace gains {

/// A number that a row depends on and that `--set ROW.NAME=VALUE` changes, within its bounds.
struct input {
  std::string name;
  double value;
  std::string unit;
  double least;
  double most;
};

class inputs {
 public:
  inputs() = default;
  inputs(std::initializer_list<input> list) : list_(list) {}

  /// The value of an input that the row has.
  double operator[](std::string_view name) const;
  /// Throws std::runtime_error that says what there is, or which bounds hold.
  void set(std::string_view name, double value);
  /// Whether a value differs from the documented one.
  bool changed() const { return changed_; }

  std::string text() const;
  std::vector<input> const& list() const { return list_; }

 private:
  std::vector<input> list_;
  bool changed_ = false;
};

enum class effort { quick, normal, full };

/// What one run of a row is given besides its inputs.
struct run {
  std::uint64_t seed;
  gains::effort effort;
};

/// What one run of a row measured, in the unit of the row.
struct sample {
  double reproduced;
  std::optional<double> ordinary;
  std::optional<double> strong;
};

/// One claim. A claim that no library can make good has no `measure` and says why in `note`.
struct row {
  std::string id;          ///< the number of the claim; a letter tells variants apart
  std::string claim;       ///< in a few words
  std::string documented;  ///< as it is written
  std::string mode;        ///< V virtual clock, W wall clock with scaled latencies, R real back-ends
  std::string unit;
  int digits = 1;
  double expected = 0;    ///< what the claim, or the model of its inputs, comes to
  double tolerance = 0;   ///< how far the measured mean may lie from it; 0: exactly
  bool at_least = false;  ///< any more than expected will do
  std::string ordinary;   ///< what the ordinary baseline is
  std::string strong;     ///< what the strong one is
  std::string note;
  std::string missing;  ///< what it would take to measure it here
  gains::inputs inputs;
  std::function<sample(gains::inputs const&, run const&)> measure;
};

/// A row that has been run: means over the seeds.
struct outcome {
  double reproduced = 0;
  double half_width = 0;  ///< of the 95 % interval of `reproduced`
  std::size_t seeds = 0;
  std::optional<double> ordinary;
  std::optional<double> strong;
};

class table {
 public:
  /// Adds a row; its id must be new.
  void add(row r);
  /// Names claims that a component will measure once the library has it: listed without a figure.
  void add_awaited(std::string component, std::string rows);

  /// `ROW.INPUT=VALUE`. Throws std::runtime_error that says what is wrong with it.
  void set(std::string_view assignment);
  void measure(effort how, std::size_t seeds);

  void print() const;
  nlohmann::ordered_json json() const;
  /// Whether each row in mode V, unless its inputs were changed, came out as documented.
  bool reproduced() const;

 private:
  struct entry {
    row claim;
    std::optional<outcome> result;
  };
  static bool within(entry const& e);
  static std::string verdict(entry const& e);

  std::vector<entry> entries_;
  std::vector<std::pair<std::string, std::string>> awaited_;
};

// One function for each file of rows.
void add_batch_rows(table& t);
void add_breaker_rows(table& t);
void add_cache_rows(table& t);
void add_parallel_rows(table& t);
void add_real_rows(table& t);
void add_rows_not_ours(table& t);
void add_stampede_rows(table& t);
void add_pool_rows(table& t);

}  // namespace gains

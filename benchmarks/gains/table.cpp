// SPDX-License-Identifier: BSL-1.0
#include "gains/table.hpp"

#include "support/report.hpp"
#include "support/statistics.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>

namespace gains {

namespace {

std::string figure(row const& r, double value) { return fmt::format("{:.{}f} {}", value, r.digits, r.unit); }

std::string figure(row const& r, std::optional<double> value) { return value ? figure(r, *value) : "-"; }

}  // namespace

double inputs::operator[](std::string_view name) const {
  for (auto const& i : list_) {
    if (i.name == name) return i.value;
  }
  throw std::logic_error(fmt::format("a row reads an input that it does not have: {}", name));
}

void inputs::set(std::string_view name, double value) {
  for (auto& i : list_) {
    if (i.name != name) continue;
    if (!(value >= i.least && value <= i.most)) {
      throw std::runtime_error(
          fmt::format("{} is {:.10g}; it must be between {:.10g} and {:.10g}", name, value, i.least, i.most));
    }
    changed_ = changed_ || i.value != value;
    i.value = value;
    return;
  }
  throw std::runtime_error(
      fmt::format("there is no input {}; there is {}", name, list_.empty() ? "none" : text()));
}

std::string inputs::text() const {
  std::string all;
  for (auto const& i : list_) {
    all += fmt::format("{}{} = {:.10g}{}{}", all.empty() ? "" : ", ", i.name, i.value,
                       i.unit.empty() ? "" : " ", i.unit);
  }
  return all;
}

void table::add(row r) {
  for (auto const& e : entries_) {
    if (e.claim.id == r.id) throw std::logic_error("two rows are called " + r.id);
  }
  entries_.push_back({std::move(r), std::nullopt});
}

void table::add_awaited(std::string component, std::string rows) {
  awaited_.emplace_back(std::move(component), std::move(rows));
}

void table::set(std::string_view assignment) {
  auto const fail = [&](std::string const& what) {
    throw std::runtime_error(fmt::format("--set {}: {}", assignment, what));
  };
  auto const dot = assignment.find('.');
  auto const equals = assignment.find('=');
  if (dot == assignment.npos || equals == assignment.npos || dot > equals) fail("expected ROW.INPUT=VALUE");
  auto const id = assignment.substr(0, dot);
  auto const name = assignment.substr(dot + 1, equals - dot - 1);
  auto const text = assignment.substr(equals + 1);
  double value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(fmt::format("'{}' is not a number", text));
  auto const at =
      std::find_if(entries_.begin(), entries_.end(), [&](entry const& e) { return e.claim.id == id; });
  if (at == entries_.end()) {
    std::string rows;
    for (auto const& e : entries_) {
      if (e.claim.measure) rows += (rows.empty() ? "" : ", ") + e.claim.id;
    }
    fail(fmt::format("there is no row {}; rows with inputs are {}", id, rows));
  }
  try {
    at->claim.inputs.set(name, value);
  } catch (std::runtime_error const& e) {
    fail(e.what());
  }
}

void table::measure(effort how, std::size_t seeds) {
  for (auto& e : entries_) {
    auto const& r = e.claim;
    if (!r.measure) continue;
    bench::progress("gains", fmt::format("row {}: {}", r.id, r.claim));
    std::vector<double> reproduced;
    std::vector<double> ordinary;
    std::vector<double> strong;
    for (std::size_t seed = 1; seed <= seeds; ++seed) {
      auto const s = r.measure(r.inputs, {seed, how});
      reproduced.push_back(s.reproduced);
      if (s.ordinary) ordinary.push_back(*s.ordinary);
      if (s.strong) strong.push_back(*s.strong);
    }
    auto const mean = [](std::vector<double> const& runs) {
      return runs.empty() ? std::nullopt : std::optional(bench::mean_of(runs).mean);
    };
    auto const ours = bench::mean_of(reproduced);
    e.result = outcome{ours.mean, ours.half_width, ours.count, mean(ordinary), mean(strong)};
  }
}

bool table::within(entry const& e) {
  if (!e.result) return false;
  if (e.claim.at_least) return e.result->reproduced >= e.claim.expected;
  return std::abs(e.result->reproduced - e.claim.expected) <= e.claim.tolerance;
}

std::string table::verdict(entry const& e) {
  if (!e.claim.missing.empty()) return "not here: " + e.claim.missing;
  if (!e.claim.measure) return "not a library's gain";
  if (!e.result) return "not measured";
  if (e.claim.inputs.changed()) return "inputs changed";
  if (within(e)) return "reproduced";
  return fmt::format("NOT REPRODUCED, nearest {}", figure(e.claim, e.result->reproduced));
}

bool table::reproduced() const {
  return std::all_of(entries_.begin(), entries_.end(), [](entry const& e) {
    return !e.claim.measure || e.claim.mode != "V" || e.claim.inputs.changed() || within(e);
  });
}

void table::print() const {
  bench::print_heading("Documented and measured");
  bench::table t({"row", "claim", "documented", "reproduced", "ordinary", "strong", "mode", "verdict"},
                 {0, 1, 6, 7});
  std::string ordinary;
  std::string strong;  // rows that share their baselines name them once
  for (auto const& e : entries_) {
    auto const& r = e.claim;
    if (!e.result) {
      t.add({r.id, r.claim, r.documented, "-", "-", "-", "-", verdict(e)});
    } else {
      t.add({r.id, r.claim, r.documented,
             fmt::format("{:.{}f} +- {:.{}f} {}", e.result->reproduced, r.digits, e.result->half_width,
                         r.digits + 1, r.unit),
             figure(r, e.result->ordinary), figure(r, e.result->strong), r.mode, verdict(e)});
    }
    if (!r.inputs.list().empty()) t.add_note("inputs: " + r.inputs.text());
    if (r.ordinary != ordinary && !r.ordinary.empty()) t.add_note("ordinary: " + r.ordinary);
    if (r.strong != strong && !r.strong.empty()) t.add_note("strong: " + r.strong);
    ordinary = r.ordinary;
    strong = r.strong;
    if (!r.note.empty()) t.add_note(r.note);
  }
  t.print();
  fmt::print(
      "Means over the seeds, +- the half width of the 95 % interval. Mode V: virtual clock; deterministic "
      "for a seed.\n"
      "Change an input with --set ROW.INPUT=VALUE.\n");
  if (awaited_.empty()) return;
  fmt::print(
      "\nClaims without a figure here, as this version of the library does not have their component:\n");
  for (auto const& [component, rows] : awaited_) fmt::print("  {}: rows {}\n", component, rows);
}

nlohmann::ordered_json table::json() const {
  auto out = nlohmann::ordered_json::array();
  auto const number = [](std::optional<double> value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  for (auto const& e : entries_) {
    auto const& r = e.claim;
    auto values = nlohmann::ordered_json::object();
    for (auto const& i : r.inputs.list()) values[i.name] = {{"value", i.value}, {"unit", i.unit}};
    nlohmann::ordered_json line = {{"row", r.id}, {"claim", r.claim}, {"documented", r.documented}};
    line["reproduced"] = e.result ? nlohmann::ordered_json(e.result->reproduced) : nlohmann::ordered_json();
    line["baseline_ordinary"] = e.result ? number(e.result->ordinary) : nlohmann::ordered_json();
    line["baseline_strong"] = e.result ? number(e.result->strong) : nlohmann::ordered_json();
    line["inputs"] = std::move(values);
    line["mode"] = r.measure ? r.mode : "-";
    line["verdict"] = verdict(e);
    line["note"] = r.note;
    if (e.result) {
      line["unit"] = r.unit;
      line["half_width_95"] = e.result->half_width;
      line["seeds"] = e.result->seeds;
      line["expected"] = r.expected;
      line["tolerance"] = r.tolerance;
      line["baseline_ordinary_is"] = r.ordinary;
      line["baseline_strong_is"] = r.strong;
    }
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace gains

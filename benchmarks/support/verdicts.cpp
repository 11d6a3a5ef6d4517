// SPDX-License-Identifier: BSL-1.0
#include "support/verdicts.hpp"

#include "support/report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace bench {

void verdicts::goal(std::string asked, std::string measured, bool reached) {
  all_.push_back({"goal", std::move(asked), std::move(measured), reached ? "reached" : "MISSED", reached});
}

void verdicts::floor(std::string asked, std::string measured, bool holds) {
  all_.push_back({"floor", std::move(asked), std::move(measured), holds ? "holds" : "BROKEN", holds});
}

void verdicts::skipped(std::string asked, std::string why) {
  all_.push_back({"", std::move(asked), std::move(why), "skipped", true});
}

bool verdicts::floors_hold() const {
  return std::ranges::all_of(all_,
                             [](verdict const& v) { return v.good || std::string_view(v.kind) != "floor"; });
}

void verdicts::print() const {
  table t({"", "asked", "measured", "verdict"}, {0, 1, 2, 3});
  for (verdict const& v : all_) t.add({v.kind, v.asked, v.measured, v.text});
  t.print();
}

nlohmann::ordered_json verdicts::json() const {
  auto list = nlohmann::ordered_json::array();
  for (verdict const& v : all_) {
    list.push_back({{"kind", v.kind}, {"asked", v.asked}, {"measured", v.measured}, {"verdict", v.text}});
  }
  return list;
}

}  // namespace bench

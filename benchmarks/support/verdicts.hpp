// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace bench {

/// What was asked of the figures and what they say to it. A goal that is missed is printed; a floor that is
/// broken fails the program as well.
class verdicts {
 public:
  void goal(std::string asked, std::string measured, bool reached);
  void floor(std::string asked, std::string measured, bool holds);
  /// Something that could not be judged here, and why.
  void skipped(std::string asked, std::string why);

  bool floors_hold() const;
  void print() const;
  nlohmann::ordered_json json() const;

 private:
  struct verdict {
    char const* kind;
    std::string asked;
    std::string measured;
    char const* text;
    bool good;
  };
  std::vector<verdict> all_;
};

}  // namespace bench

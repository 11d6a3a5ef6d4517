// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

/// Line charts in one HTML file that needs nothing else: inline SVG, no script.
namespace bench {

struct series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // by rising x
  bool dashed = false;
};

/// x is drawn on a logarithmic scale, y as percent, 0 to 1.
struct chart {
  std::string title;
  std::string x_label;
  std::vector<series> lines;
};

/// Writes the file whole or not at all, and makes the folder that it is to stand in.
void write_charts(std::filesystem::path const& file, std::string const& title,
                  std::vector<chart> const& charts);

}  // namespace bench

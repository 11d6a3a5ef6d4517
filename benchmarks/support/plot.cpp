// SPDX-License-Identifier: BSL-1.0
#include "support/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace bench {
namespace {

constexpr double width = 760, height = 380;
constexpr double left = 50, right = 170, top = 34, bottom = 44;
constexpr std::array colours = {"#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b",
                                "#e377c2", "#17becf", "#bcbd22", "#7f7f7f", "#000000"};

std::string escaped(std::string const& text) {
  std::string out;
  for (char const c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// Where values stand on the page.
struct scale {
  double first, last;
  double x(double value) const {
    double const share = last > first ? std::log(value / first) / std::log(last / first) : 0.5;
    return left + share * (width - left - right);
  }
  static double y(double value) { return height - bottom - value * (height - top - bottom); }
};

void draw_axes(std::string& svg, chart const& c, scale const& at, std::vector<double> const& ticks) {
  for (int percent = 0; percent <= 100; percent += 20) {
    double const y = scale::y(percent / 100.0);
    svg += fmt::format("<line x1='{}' x2='{}' y1='{:.1f}' y2='{:.1f}' stroke='#ddd'/>\n", left, width - right,
                       y, y);
    svg += fmt::format("<text x='{}' y='{:.1f}' text-anchor='end'>{}</text>\n", left - 6, y + 4, percent);
  }
  for (double const tick : ticks) {
    svg += fmt::format("<text x='{:.1f}' y='{}' text-anchor='middle'>{:.0f}</text>\n", at.x(tick),
                       height - bottom + 16, tick);
  }
  svg += fmt::format("<text x='{}' y='20' font-weight='bold'>{}</text>\n", left, escaped(c.title));
  svg += fmt::format("<text x='{}' y='{}' text-anchor='middle'>{}</text>\n", (left + width - right) / 2,
                     height - 8, escaped(c.x_label));
}

std::string drawn(chart const& c) {
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='sans-serif' "
      "font-size='11'>\n",
      width, height);
  std::vector<double> ticks;
  for (auto const& line : c.lines) {
    for (auto const& [x, y] : line.points) ticks.push_back(x);
  }
  if (ticks.empty()) return svg + "</svg>\n";
  std::sort(ticks.begin(), ticks.end());
  ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
  scale const at{ticks.front(), ticks.back()};
  draw_axes(svg, c, at, ticks);
  for (std::size_t i = 0; i != c.lines.size(); ++i) {
    auto const& line = c.lines[i];
    char const* const colour = colours[i % colours.size()];
    char const* const dash = line.dashed ? " stroke-dasharray='5 3'" : "";
    std::string path;
    for (auto const& [x, y] : line.points) path += fmt::format("{:.1f},{:.1f} ", at.x(x), scale::y(y));
    svg += fmt::format("<polyline fill='none' stroke='{}' stroke-width='{}'{} points='{}'/>\n", colour,
                       i == 0 ? 2.5 : 1.3, dash, path);
    double const y = top + 16.0 * static_cast<double>(i);
    svg += fmt::format("<line x1='{}' x2='{}' y1='{}' y2='{}' stroke='{}' stroke-width='2'{}/>",
                       width - right + 14, width - right + 36, y, y, colour, dash);
    svg += fmt::format("<text x='{}' y='{}'>{}</text>\n", width - right + 42, y + 4, escaped(line.name));
  }
  return svg + "</svg>\n";
}

}  // namespace

void write_charts(std::filesystem::path const& file, std::string const& title,
                  std::vector<chart> const& charts) {
  std::string page = fmt::format(
      "<!doctype html>\n<meta charset='utf-8'>\n<title>{0}</title>\n<h1>{0}</h1>\n", escaped(title));
  for (auto const& c : charts) page += drawn(c);
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path());
  auto const unfinished = std::filesystem::path(file).concat(".part");
  std::FILE* const out = std::fopen(unfinished.c_str(), "w");
  if (out == nullptr) throw std::runtime_error("cannot write " + file.string());
  bool const written = std::fwrite(page.data(), 1, page.size(), out) == page.size();
  if (std::fclose(out) != 0 || !written) throw std::runtime_error("cannot write " + file.string());
  std::filesystem::rename(unfinished, file);
}

}  // namespace bench

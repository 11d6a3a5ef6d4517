// SPDX-License-Identifier: BSL-1.0
#include "support/reference.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace bench {

namespace {

template <class Number>
bool parse(std::string const& text, Number& number) {
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::vector<reference_pair> read_reference(std::filesystem::path const& file) {
  std::ifstream in(file);
  std::vector<reference_pair> pairs;
  std::string line;
  std::size_t number = 0;
  auto const fail = [&](char const* what) {
    throw std::runtime_error(file.string() + ", line " + std::to_string(number) + ": " + what);
  };
  if (!in) fail("cannot be opened");
  while (std::getline(in, line)) {
    if (++number == 1 || line.empty()) continue;  // the first line names the columns
    std::istringstream cells(line);
    std::array<std::string, 4> cell;
    for (auto& text : cell) {
      if (!std::getline(cells, text, ',')) fail("expected trace,capacity,algorithm,hit_ratio");
    }
    std::size_t capacity = 0;
    double ratio = 0;
    if (!parse(cell[1], capacity) || !parse(cell[3], ratio)) fail("expected numbers in columns 2 and 4");
    auto at = std::find_if(pairs.begin(), pairs.end(), [&](reference_pair const& p) {
      return p.trace == cell[0] && p.capacity == capacity;
    });
    if (at == pairs.end()) at = pairs.insert(at, reference_pair{cell[0], capacity, {}});
    at->hit_ratio[cell[2]] = ratio;
  }
  return pairs;
}

}  // namespace bench

// SPDX-License-Identifier: BSL-1.0
// expect: tideover::data_loader: see tideover::cache_store in <tideover/cache_store.hpp>
#include <tideover/data_loader.hpp>

#include <map>
#include <span>
#include <vector>

std::map<int, int> map;
tideover::data_loader<int, int, tideover::cache_in<std::map<int, int>>> loader(
    [](std::span<int const> keys) { return std::vector<int>(keys.size()); }, {}, tideover::cache_in(map));

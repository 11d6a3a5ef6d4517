// SPDX-License-Identifier: BSL-1.0
#include <tideover/cache_snapshot.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>

// libFuzzer: any bytes are loaded as a snapshot. They are refused and nothing is put, or what was loaded can
// be saved and loaded again and is the same. The first byte says what to do with the rest: load it as it is,
// or with a good beginning, or with the sums at its end put right, so that more than the checksum is tried.

namespace {

using namespace tideover;
using cache_type = ttl_cache<std::string, std::uint32_t, tagged, lru, single_threaded, manual_clock,
                             hash_by<std::hash<std::string>>>;

[[noreturn]] void wrong(char const* what) {
  std::fputs(what, stderr);
  std::abort();
}

std::string saved(cache_type& cache, snapshot_options const& o) {
  std::ostringstream out;
  if (!try_save_snapshot(cache, out, o).has_value()) wrong("a cache cannot be saved\n");
  return out.str();
}

/// Entries whose lives, tags, keys and values are what the input says; and how many there are.
std::uint64_t well_formed(std::string& bytes) {
  std::string from = std::exchange(bytes, {});
  std::size_t at = 0;
  auto const byte = [&] { return at == from.size() ? 0u : unsigned(static_cast<unsigned char>(from[at++])); };
  auto const text = [&](auto length) {
    detail::append_number(bytes, length);
    for (; length != 0; --length) bytes.push_back(static_cast<char>(byte()));
  };
  std::uint64_t n = 0;
  for (; at != from.size(); ++n) {
    bytes.push_back('\x01');
    detail::append_number(bytes, std::int64_t{1} << byte() % 63);
    std::uint32_t const tags = byte() % 4;
    detail::append_number(bytes, tags);
    for (std::uint32_t t = 0; t != tags; ++t) text(std::uint32_t{byte() % 4});
    text(std::uint64_t{byte() % 4});
    text(std::uint64_t{byte() % 16 == 0 ? 3u : 4u});
  }
  return n;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  snapshot_options o;
  o.now = std::chrono::system_clock::time_point(std::chrono::hours(500'000));
  o.max_bytes = std::uint64_t{1} << 40;
  std::string bytes(reinterpret_cast<char const*>(data) + 1, size - 1);
  unsigned const how = data[0] % 4;
  std::uint64_t const entries = how == 3 ? well_formed(bytes) : data[0] / 4u;  // else a guess of the input's
  if (how >= 1) {
    std::string head(detail::snapshot_magic);
    detail::append_number(head, detail::snapshot_version);
    detail::append_number(head, std::uint32_t{0});
    detail::append_number(head, detail::wall_clock(o));
    bytes.insert(0, head);
  }
  if (how >= 2) {
    bytes.push_back('\0');
    detail::append_number(bytes, entries);
    detail::snapshot_crc crc;
    crc.process_bytes(bytes.data(), bytes.size());
    detail::append_number(bytes, std::uint64_t{crc.checksum()});
  }

  manual_clock clock;
  cache_type cache({.capacity = 1000}, clock);
  std::istringstream in(bytes);
  result<snapshot_report> const report = try_load_snapshot(cache, in, o);
  if (!report.has_value()) {
    if (report.code() != errc::bad_snapshot) wrong("refused for another reason\n");
    if (cache.size() != 0) wrong("refused, and something was put\n");
    return 0;
  }
  if (report->bytes > bytes.size()) wrong("more was read than there is\n");
  cache_type other({.capacity = 1000}, clock);
  std::string const once = saved(cache, o);
  std::istringstream again(once);
  result<snapshot_report> const second = try_load_snapshot(other, again, o);
  if (!second.has_value() || second->entries != cache.size()) wrong("what was saved is not loaded\n");
  if (other.coldest(1000) != cache.coldest(1000)) wrong("another order, or other entries\n");
  if (other.stats().tags != cache.stats().tags) wrong("other tags\n");
  if (saved(other, o) != once) wrong("saved again it is another\n");
  return 0;
}

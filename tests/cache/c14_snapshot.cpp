// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "cache/failing.hpp"
#include "support/environment.hpp"
#include "support/move_only.hpp"

#include <tideover/cache_snapshot.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/policy/weigher.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace tideover;
using wall = std::chrono::system_clock::time_point;

using texts = ttl_cache<std::string, std::string, manual_clock, lru, one_mutex>;

wall const noon(std::chrono::hours(500'000));

snapshot_options at(wall now, std::string schema = "texts 1") {
  snapshot_options o;
  o.now = now;
  o.schema = std::move(schema);
  return o;
}
template <class Cache>
std::string saved(Cache& cache, snapshot_options const& o = at(noon)) {
  std::ostringstream out;
  save_snapshot(cache, out, o);
  return out.str();
}
template <class Cache>
snapshot_report loaded(Cache& cache, std::string const& bytes, snapshot_options const& o = at(noon)) {
  std::istringstream in(bytes);
  return load_snapshot(cache, in, o);
}
/// The text of the refusal; empty if it was loaded.
template <class Cache>
std::string refusal(Cache& cache, std::string const& bytes, snapshot_options const& o = at(noon)) {
  std::istringstream in(bytes);
  result<snapshot_report> const r = try_load_snapshot(cache, in, o);
  if (r.has_value()) return "";
  CHECK(r.code() == errc::bad_snapshot);
  std::istringstream again(bytes);
  try {
    load_snapshot(cache, again, o);
  } catch (error const& e) {
    CHECK(e.code() == errc::bad_snapshot);
    return e.what();
  }
  return "try_load_snapshot refuses it and load_snapshot does not";
}
template <class T>
T once_more(T const& x) {
  std::string bytes;
  snapshot_codec<T>::write(x, bytes);
  return snapshot_codec<T>::read(bytes).value();
}

struct fixture {
  manual_clock clock;
  texts cache{sized(100, 60s), clock};
  fixture() {
    cache.put("one", "1");
    cache.put("two", std::string(300, '2'), living(10s));
    cache.put("", "", living(std::chrono::nanoseconds::max()));
    cache.put("gone", "x", living(1s));
    clock.advance(2s);
    cache.get("one");
  }
};

}  // namespace

TEST_CASE("C14: what is saved is loaded, in the order of the eviction policy and with what is left to live",
          "[C14]") {
  fixture t;
  std::string const bytes = saved(t.cache);
  manual_clock clock;
  clock.advance(1000h);  // another process, another monotonic scale
  texts other(sized(100, 60s), clock);
  snapshot_report const report = loaded(other, bytes, at(noon + 3s));
  CHECK(report.entries == 3);
  CHECK(report.expired + report.there + report.refused == 0);
  CHECK(report.bytes == bytes.size());
  CHECK(report.downtime == 3s);
  CHECK(other.coldest(10) == t.cache.coldest(10));
  CHECK(other.remaining_life("one") == 55s);
  CHECK(other.remaining_life("two") == 5s);
  CHECK(other.remaining_life("") == std::chrono::nanoseconds::max());
}

TEST_CASE("C14: downtime counts, unless it shall not; a wall clock that was set back counts for nothing",
          "[C14]") {
  fixture t;
  std::string const bytes = saved(t.cache);
  auto const after = [&](std::chrono::nanoseconds down, bool counts) {
    texts other(sized(100, 60s), t.clock);
    snapshot_options o = at(noon + std::chrono::duration_cast<wall::duration>(down));
    o.count_downtime = counts;
    snapshot_report const report = loaded(other, bytes, o);
    return std::tuple(report.entries, report.expired, other.remaining_life("one").value_or(0ns));
  };
  using expected = std::tuple<std::uint64_t, std::uint64_t, std::chrono::nanoseconds>;
  CHECK(after(0s, true) == expected(3, 0, 58s));
  CHECK(after(8s - 1ns, true) == expected(3, 0, 50s + 1ns));
  CHECK(after(8s, true) == expected(2, 1, 50s));
  CHECK(after(24h * 400, true) == expected(1, 2, 0s));
  CHECK(after(24h * 400, false) == expected(3, 0, 58s));
  CHECK(after(-5s, true) == expected(3, 0, 58s));
}

TEST_CASE("C14: the bytes are the same everywhere", "[C14]") {
  manual_clock clock;
  ttl_cache<std::int32_t, std::string, manual_clock, lru, tagged> cache(sized(10), clock);
  cache.put(-2, "ab", {.ttl = std::chrono::nanoseconds(258), .tags = "t"});
  std::string const bytes = saved(cache, at(wall(std::chrono::seconds(1)), "s"));
  using namespace std::string_literals;
  std::string const expected =
      "\x89TDO\r\n\x1A\n\x01\0\0\0\x01\0\0\0s\0\xCA\x9A\x3B\0\0\0\0"s +
      "\x01\x02\x01\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0t\x04\0\0\0\0\0\0\0\xFE\xFF\xFF\xFF\x02\0\0\0\0\0\0\0ab"s +
      "\0\x01\0\0\0\0\0\0\0"s;
  CHECK(bytes.size() == expected.size() + 8);
  CHECK(bytes.substr(0, expected.size()) == expected);
  detail::snapshot_crc crc;
  crc.process_bytes("123456789", 9);
  CHECK(crc.checksum() == 0x995DC9BBDF1939FA);  // the check value of CRC-64/XZ
  detail::snapshot_crc of_all;
  of_all.process_bytes(expected.data(), expected.size());
  std::string sum;
  snapshot_codec<std::uint64_t>::write(of_all.checksum(), sum);
  CHECK(bytes.substr(expected.size()) == sum);
}

TEST_CASE("C14: a snapshot with any byte changed, or cut anywhere, is refused whole and says where",
          "[C14]") {
  fixture t;
  std::string const bytes = saved(t.cache);
  texts other(sized(100, 60s), t.clock);
  std::mt19937_64 random(run_seed());
  auto const refused = [&](std::string const& damaged, std::size_t where) {
    std::string const text = refusal(other, damaged);
    if (text.find("cache snapshot, byte ") == std::string::npos || other.size() != 0)
      FAIL("byte " << where << ": " << text);
  };
  for (std::size_t i = 0; i != bytes.size(); ++i) {
    for (int bit = 0; bit != 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = char(damaged[i] ^ (1 << bit));
      refused(damaged, i);
    }
    for (int n = 0; n != 4; ++n) {
      std::string damaged = bytes;
      damaged[i] = char(damaged[i] + 1 + int(random() % 255));
      refused(damaged, i);
      for (std::size_t k = random() % 6; k != 0; --k)
        damaged[random() % bytes.size()] = char(random());  // more of them
      if (damaged != bytes) refused(damaged, i);
    }
    refused(bytes.substr(0, i), i);
    std::string const hole = bytes.substr(0, i) + bytes.substr(i + 1);
    refused(hole, i);
  }
  CHECK(refusal(other, bytes).empty());
  CHECK(other.size() == 3);
}

TEST_CASE("C14: what is foreign, newer or of another schema is refused by what it is", "[C14]") {
  fixture t;
  std::string const bytes = saved(t.cache);
  texts other(sized(100, 60s), t.clock);
  auto const contains = [](std::string const& text, char const* part) {
    INFO(text);
    return text.find(part) != std::string::npos;
  };
  CHECK(contains(refusal(other, ""), "byte 0: cut short"));
  CHECK(contains(refusal(other, "{\"json\": true}"), "byte 0: this is no cache snapshot"));
  std::string newer = bytes;
  newer[8] = 2;
  CHECK(contains(refusal(other, newer), "byte 8: it is of version 2, and this library reads 1"));
  CHECK(contains(refusal(other, bytes, at(noon, "texts 2")),
                 "byte 16: it is of schema \"texts 1\", and \"texts 2\" is wanted"));
  CHECK(contains(refusal(other, bytes.substr(0, bytes.size() - 1)), "after 3 entries: cut short"));
  std::string changed = bytes;
  changed[bytes.size() - 30] = '!';
  CHECK_FALSE(refusal(other, changed).empty());
  snapshot_options tight = at(noon);
  tight.max_bytes = bytes.size() - 1;
  CHECK(contains(refusal(other, bytes, tight), "goes beyond snapshot_options.max_bytes"));
  tight.max_bytes = bytes.size();
  CHECK(other.size() == 0);
  CHECK(refusal(other, bytes, tight).empty());
}

TEST_CASE("C14: a length that lies takes no memory", "[C14]") {
  REQUIRE(allocation_counter::works());
  manual_clock clock;
  texts cache(sized(10), clock);
  std::string head = saved(cache);
  head.resize(head.size() - 17);  // before the end
  std::string entry(1, '\x01');
  detail::append_number(entry, std::int64_t{1});
  detail::append_number(entry, std::uint32_t{0});
  for (std::uint64_t const length :
       {std::uint64_t{1} << 31, (std::uint64_t{4} << 30) - 1000, std::uint64_t{1} << 62, ~std::uint64_t{0}}) {
    std::string bytes = head + entry;
    detail::append_number(bytes, length);
    bytes += std::string(100'000, 'x');
    std::istringstream in(bytes);
    allocation_counter const counter;
    CHECK(try_load_snapshot(cache, in, at(noon)).code() == errc::bad_snapshot);
    CHECK(counter.bytes() < 2'000'000);
  }
}

TEST_CASE("C14: keys that are there keep their entries; one that the snapshot holds twice has the later",
          "[C14]") {
  fixture t;
  std::string const bytes = saved(t.cache);
  texts other(sized(100, 60s), t.clock);
  other.put("one", "newer");
  snapshot_report const report = loaded(other, bytes);
  CHECK(report.entries == 2);
  CHECK(report.there == 1);
  CHECK(other.peek("one") == "newer");
  CHECK(other.peek("two") == std::string(300, '2'));

  // The entries of one snapshot twice over, with the sums put right.
  std::size_t const head = 16 + 7 + 8;
  std::string twice = bytes.substr(0, bytes.size() - 17) + bytes.substr(head, bytes.size() - 17 - head);
  twice.push_back('\0');
  detail::append_number(twice, std::uint64_t{6});
  detail::snapshot_crc crc;
  crc.process_bytes(twice.data(), twice.size());
  detail::append_number(twice, std::uint64_t{crc.checksum()});
  texts third(sized(100, 60s), t.clock);
  CHECK(loaded(third, twice).entries == 6);
  CHECK(third.size() == 3);
}

TEST_CASE("C14: what no longer fits leaves from the cold end", "[C14]") {
  manual_clock clock;
  texts cache(sized(100), clock), small(sized(10), clock);
  for (int key = 0; key < 100; ++key) cache.put(std::to_string(key), "v");
  loaded(small, saved(cache));
  CHECK(small.size() == 10);
  for (int key = 90; key < 100; ++key) CHECK(small.contains(std::to_string(key)));
}

TEMPLATE_TEST_CASE("C14: the caches of every eviction policy can be saved and loaded", "[C14]", steered,
                   w_tinylfu, s3_fifo, sieve, lru, fifo, unbounded) {
  manual_clock clock;
  ttl_cache<int, double, manual_clock, TestType, sharded<4>> cache(sized(10'000), clock),
      other(sized(10'000));
  for (int key = 0; key < 6000; ++key) cache.put(key, key / 8.0), cache.get(key % 100);
  std::size_t const size = cache.size();
  snapshot_report const report = loaded(other, saved(cache));
  CHECK(report.entries + report.refused == size);
  CHECK(other.size() > size - size / 50);
  other.for_each([](int const& key, double const& value) { CHECK(value == key / 8.0); });
}

TEST_CASE("C14: tags are saved with their entries; a cache that keeps none refuses them", "[C14]") {
  manual_clock clock;
  ttl_cache<std::string, std::string, tagged, manual_clock> cache(sized(10), clock), other(sized(10), clock);
  cache.put("a", "1", {.tags = {"acme", "eu"}});
  cache.put("b", "2", {.tags = {"acme"}});
  cache.put("c", "3");
  std::string const bytes = saved(cache);
  CHECK(loaded(other, bytes).entries == 3);
  CHECK(other.erase_tag("eu") == 1);
  CHECK(other.erase_tag("acme") == 1);
  CHECK(other.contains("c"));
  texts plain(sized(10), clock);
  plain.put("z", "z");
  CHECK(refusal(plain, bytes).find("an entry has tags, which this cache does not keep") != std::string::npos);
  CHECK(plain.size() == 1);
}

TEST_CASE("C14: numbers have one form; bytes that are none are refused", "[C14]") {
  CHECK(once_more(std::int8_t{-5}) == -5);
  CHECK(once_more(std::numeric_limits<std::uint64_t>::max()) == std::numeric_limits<std::uint64_t>::max());
  CHECK(once_more(std::numeric_limits<long long>::min()) == std::numeric_limits<long long>::min());
  CHECK(once_more(-0.1f) == -0.1f);
  CHECK(std::signbit(once_more(-0.0)));
  CHECK(std::isnan(once_more(std::numeric_limits<double>::quiet_NaN())));
  CHECK(once_more(entry_state::expired) == entry_state::expired);
  CHECK(once_more(true));
  CHECK(once_more('x') == 'x');
  CHECK_FALSE(snapshot_codec<int>::read("abc"));
  CHECK_FALSE(snapshot_codec<int>::read("abcde"));
  CHECK_FALSE(snapshot_codec<bool>::read("\x02"));
  CHECK_FALSE(snapshot_codec<double>::read(""));
  struct point {
    int x, y;
  };
  std::string raw;
  raw_snapshot_codec<point>::write({3, 4}, raw);
  CHECK(raw_snapshot_codec<point>::read(raw)->y == 4);
  CHECK_FALSE(raw_snapshot_codec<point>::read(raw + "x"));
}

namespace {

/// A codec with state, for a value that only moves.
struct offset_codec {
  int offset = 0;
  void write(move_only const& x, std::string& to) const { to += std::to_string(x.id() + offset); }
  std::optional<move_only> read(std::string_view from) const {
    if (from.empty() || from == "13") return std::nullopt;
    return move_only(std::stoi(std::string(from)) - offset);
  }
};

}  // namespace

TEST_CASE("C14: a codec of one's own, for values that only move; what it refuses is refused whole", "[C14]") {
  manual_clock clock;
  ttl_cache<int, move_only, manual_clock, lru> cache(sized(10), clock), other(sized(10), clock);
  for (int key = 1; key <= 3; ++key) cache.put(key, move_only(key * 10));
  std::stringstream stream;
  save_snapshot(cache, stream, {}, snapshot_codec<int>(), offset_codec{1});
  CHECK(load_snapshot(other, stream, {}, snapshot_codec<int>(), offset_codec{1}).entries == 3);
  CHECK(other.visit(2, [](move_only const& v) { CHECK(v.id() == 20); }));
  other.clear();
  std::stringstream refused;
  save_snapshot(cache, refused, {}, snapshot_codec<int>(), offset_codec{-7});  // 20 becomes 13
  auto const r = try_load_snapshot(other, refused, {}, snapshot_codec<int>(), offset_codec{});
  CHECK(r.code() == errc::bad_snapshot);
  CHECK(other.size() == 0);
  std::istringstream bytes(refused.str());
  try {
    load_snapshot(other, bytes, {}, snapshot_codec<int>(), offset_codec{});
    FAIL("taken");
  } catch (error const& e) {
    CHECK(std::string(e.what()).find("after 1 entries: the codec refuses the value") != std::string::npos);
  }
}

TEST_CASE("C14: a stream that fails is told, by value or by exception", "[C14]") {
  fixture t;
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  CHECK(try_save_snapshot(t.cache, out).code() == std::errc::io_error);
  try {
    save_snapshot(t.cache, out);
    FAIL("saved");
  } catch (error const& e) {
    CHECK(e.code() == std::errc::io_error);
  }
  std::ostringstream throwing;
  throwing.exceptions(std::ios::badbit | std::ios::failbit);
  struct full : std::streambuf {
  } nowhere;
  throwing.std::ios::rdbuf(&nowhere);
  CHECK_THROWS_AS(save_snapshot(t.cache, throwing), std::ios::failure);
  t.cache.maintain();
  CHECK(t.cache.size() == 3);
  std::ostringstream fine;
  snapshot_options o;
  o.schema = std::string(4097, 's');
  CHECK(try_save_snapshot(t.cache, fine, o).code() == errc::invalid_argument);
  CHECK(fine.str().empty());
}

TEST_CASE("C14: several snapshots stand in one stream, and an empty one is one", "[C14]") {
  fixture t;
  texts empty(sized(10), t.clock), other(sized(100), t.clock);
  std::istringstream in(saved(empty) + saved(t.cache) + "rest");
  CHECK(load_snapshot(other, in, at(noon)).entries == 0);
  CHECK(load_snapshot(other, in, at(noon)).entries == 3);
  std::string rest;
  in >> rest;
  CHECK(rest == "rest");
}

TEST_CASE("C7: saving that fails at any point has changed nothing; loading puts each entry wholly or not",
          "[C7]") {
  struct codec {
    static void write(fragile const& x, std::string& to) { to += std::to_string(fragile(x).id()); }
    static std::optional<fragile> read(std::string_view from) {
      return std::optional<fragile>(std::in_place, std::stoi(std::string(from)));
    }
  };
  std::string bytes;
  CHECK(hold_to_the_strong_guarantee(
            sized(100), 5,
            [&](auto& cache) {
              std::ostringstream out;
              static_cast<void>(try_save_snapshot(cache, out, at(noon), codec(), codec()));
              bytes = out.str();
            },
            [](auto& t) { return t.held() == t.before; }) > 10);
  std::size_t const points =
      fail_at_every_point([] { return std::make_unique<fragile_cache<>>(sized(100), 2); },
                          [&](auto& t) {
                            std::istringstream in(bytes);
                            static_cast<void>(try_load_snapshot(t->cache, in, at(noon), codec(), codec()));
                          },
                          [&](auto& t, attempt const& how) {
                            CHECK(t->sound());
                            for (auto const& [key, value] : t->held()) CHECK(value == key * 10);
                            CHECK(t->held().size() >= 2);
                            if (!how.fired) CHECK(t->held().size() == 5);
                            CHECK(t->works());
                          });
  CHECK(points > 50);
}

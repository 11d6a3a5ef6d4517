// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/result.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <boost/crc.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <istream>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

/// What a cache holds, to and from a stream: so that a service that restarts need not begin with an empty
/// one.
///
///     std::ofstream out("profiles.snapshot", std::ios::binary);
///     tideover::save_snapshot(profiles, out, {.schema = "profile 3"});
///     ...
///     std::ifstream in("profiles.snapshot", std::ios::binary);
///     tideover::load_snapshot(profiles, in, {.schema = "profile 3"});
///
/// Saved are the live entries, the coldest first, each with its key, value, tags and what it has still to
/// live; loaded in that order they stand in the eviction policy as they stood before (what frequency sketches
/// and ghosts know is not saved). A snapshot is loaded whole or refused whole: one that is damaged, cut
/// short, of another schema or of a newer version is known for it before the first entry is put.
///
/// Time     A life is saved as what is left of it. The time of saving is saved too, by the wall clock, and on
///          loading the time since then is taken off each life: downtime counts, so a restart prolongs
///          nothing. A wall clock that was set back counts as no time. With `count_downtime = false` lives
///          go on from where they were: a restart then prolongs them by the downtime. With `after_access` and
///          `after_write_or_access` what was left is the whole life after loading, which a use renews.
/// Threads  The cache may be used meanwhile; see `coldest` for what is saved then, and below for loading. The
///          stream is used by this call alone.
/// Throws   What codecs, cache and stream throw. Failures of our own are `error`; `try_` verbs return them.
/// Cost     Saving: O(entries), 16 bytes of memory for each, the locks of `coldest`. Loading: the bytes and
///          all entries are in memory before the first is put.
///
/// The bytes, numbers lowest byte first:
///     89 54 44 4F 0D 0A 1A 0A   version u32   schema length u32, bytes   time of saving, ns since 1970 i64
///     for each entry: 01   life i64, ns   tags u32, for each length u32, bytes   key length u64, bytes
///                     value length u64, bytes
///     00   entries u64   CRC-64 of all before it u64
///
/// The checksum is CRC-64/XZ, by Boost.CRC: header-only, and Boost headers are what the core needs anyway. It
/// sees every change of up to 64 bits in a row for certain, others but for one in 2^64; against somebody who
/// means harm no checksum helps: a snapshot is as trustworthy as the place where it lies.
namespace tideover::inline v0 {

/// How a T becomes bytes and a T again: `write` appends to `to`; `read` gives nothing for bytes that no T was
/// written as. Here for text (as it is), integers, enumerations, bool, float and double (lowest byte first,
/// the same on every machine). Specialise it for your own types, or pass an object with the same members.
template <class T>
struct snapshot_codec {
  static constexpr bool exists = !std::is_same_v<T, T>;
  static_assert(exists, "tideover: no snapshot codec for this type; see tideover::snapshot_codec");
  static void write(T const&, std::string&);
  static std::optional<T> read(std::string_view);
};

template <class C, class T>
concept snapshot_codec_for = requires(C const& c, T const& x, std::string& to, std::string_view from) {
  c.write(x, to);
  { c.read(from) } -> std::same_as<std::optional<T>>;
};

template <class Allocator>
struct snapshot_codec<std::basic_string<char, std::char_traits<char>, Allocator>> {
  using text = std::basic_string<char, std::char_traits<char>, Allocator>;
  static void write(text const& x, std::string& to) { to.append(x); }
  static std::optional<text> read(std::string_view from) { return text(from); }
};

namespace detail {

template <class T>
concept little_number = std::is_integral_v<T> || std::is_enum_v<T> ||
    (std::is_floating_point_v<T>&& std::numeric_limits<T>::is_iec559 && (sizeof(T) == 4 || sizeof(T) == 8));

template <std::size_t Bytes>
using unsigned_of =
    std::conditional_t<Bytes == 1, std::uint8_t,
                       std::conditional_t<Bytes == 2, std::uint16_t,
                                          std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>>;

template <little_number T>
void append_number(std::string& to, T x) {
  using bits = unsigned_of<sizeof(T)>;
  static_assert(sizeof(bits) == sizeof(T), "tideover::snapshot_codec: numbers of up to 64 bits");
  std::uint64_t word = 0;
  if constexpr (std::is_floating_point_v<T>) {
    word = std::bit_cast<bits>(x);
  } else {
    word = static_cast<bits>(x);
  }
  for (std::size_t i = 0; i != sizeof(T); ++i, word >>= 8) to.push_back(static_cast<char>(word & 0xFF));
}
template <little_number T>
T number_at(char const* p) noexcept {
  std::uint64_t word = 0;
  for (std::size_t i = sizeof(T); i-- != 0;) word = word << 8 | static_cast<unsigned char>(p[i]);
  auto const bits = static_cast<unsigned_of<sizeof(T)>>(word);
  if constexpr (std::is_floating_point_v<T>) {
    return std::bit_cast<T>(bits);
  } else {
    return static_cast<T>(bits);
  }
}

}  // namespace detail

template <detail::little_number T>
struct snapshot_codec<T> {
  static void write(T const& x, std::string& to) { detail::append_number(to, x); }
  static std::optional<T> read(std::string_view from) {
    if (from.size() != sizeof(T)) return std::nullopt;
    if constexpr (std::is_same_v<T, bool>) {
      if (from[0] != 0 && from[0] != 1) return std::nullopt;
    }
    return detail::number_at<T>(from.data());
  }
};

/// The bytes of a T as they lie in memory: for snapshots that are loaded by the same program on the same kind
/// of machine. The schema should change when T does.
template <class T>
  requires std::is_trivially_copyable_v<T>
struct raw_snapshot_codec {
  static void write(T const& x, std::string& to) {
    to.append(reinterpret_cast<char const*>(std::addressof(x)), sizeof(T));
  }
  static std::optional<T> read(std::string_view from) {
    if (from.size() != sizeof(T)) return std::nullopt;
    std::array<char, sizeof(T)> bytes;
    std::copy(from.begin(), from.end(), bytes.begin());
    return std::bit_cast<T>(bytes);
  }
};

struct snapshot_options {
  /// What the snapshot holds, in words of yours, up to 4096 bytes: one that was saved under another name is
  /// refused. Change it when Key, Value or a codec changes.
  std::string schema{};
  /// Whether the time between saving and loading is taken off the entries' lives.
  bool count_downtime = true;
  /// The most bytes that are read.
  std::uint64_t max_bytes = std::uint64_t{4} << 30;
  /// What time it is, by the wall clock; by default the system is asked.
  std::optional<std::chrono::system_clock::time_point> now = std::nullopt;
};

/// What came of saving or loading.
struct snapshot_report {
  std::uint64_t entries = 0;  ///< saved; or put, and taken by the cache
  std::uint64_t expired = 0;  ///< not put, as their time was up meanwhile
  std::uint64_t there = 0;    ///< not put, as the cache had a live entry of the key, which is newer
  std::uint64_t refused = 0;  ///< put, and not taken: too heavy, without life, or not admitted
  std::uint64_t bytes = 0;
  /// From saving to loading, zero if the clock says less.
  std::chrono::nanoseconds downtime{0};
};

namespace detail {

inline constexpr std::string_view snapshot_magic = "\x89TDO\r\n\x1A\n";
inline constexpr std::uint32_t snapshot_version = 1;
inline constexpr std::size_t most_schema_bytes = 4096;
using snapshot_crc =
    boost::crc_optimal<64, 0x42F0E1EBA9EA3693, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, true, true>;

inline std::int64_t wall_clock(snapshot_options const& o) {
  auto const t = o.now ? *o.now : std::chrono::system_clock::now();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}

class snapshot_writer {
 public:
  explicit snapshot_writer(std::ostream& out) : out_(out) {}

  std::uint64_t bytes() const noexcept { return bytes_; }
  std::uint64_t checksum() const { return crc_.checksum(); }
  void write(std::string_view s) {
    crc_.process_bytes(s.data(), s.size());
    bytes_ += s.size();
    // A stream that has failed once ignores the rest; it is asked at the end.
    out_.write(s.data(), static_cast<std::streamsize>(s.size()));
  }

 private:
  std::ostream& out_;
  snapshot_crc crc_;
  std::uint64_t bytes_ = 0;
};

/// Reads a stream into memory, no more than it says it has and no more than is allowed: memory grows with the
/// bytes that have come, whatever a length says that has not been verified yet.
class snapshot_reader {
 public:
  snapshot_reader(std::istream& in, std::uint64_t most) : in_(in), most_(most) {}

  std::string const& bytes() const noexcept { return bytes_; }
  std::string& problem() noexcept { return problem_; }
  std::uint64_t records = 0;  // read wholly, to say where it went wrong

  bool fail(std::uint64_t where, std::string const& what) {
    problem_ = "cache snapshot, byte ";
    problem_ += std::to_string(where);
    if (records != 0) {
      problem_ += ", after ";
      problem_ += std::to_string(records);
      problem_ += " entries";
    }
    problem_ += ": ";
    problem_ += what;
    return false;
  }
  bool take(std::uint64_t n) {
    if (n > most_ - bytes_.size()) {
      std::string what = "a length of ";
      what += std::to_string(n);
      what += " goes beyond snapshot_options.max_bytes, ";
      what += std::to_string(most_);
      return fail(bytes_.size(), what);
    }
    while (n != 0) {
      std::size_t const before = bytes_.size();
      std::size_t const piece = static_cast<std::size_t>(std::min<std::uint64_t>(n, at_once));
      bytes_.resize(before + piece);
      in_.read(bytes_.data() + before, static_cast<std::streamsize>(piece));
      auto const got = static_cast<std::size_t>(in_.gcount());
      bytes_.resize(before + got);
      if (got != piece) return fail(bytes_.size(), "cut short");
      n -= piece;
    }
    return true;
  }
  template <class T>
  bool take_number(T& x) {
    if (!take(sizeof(T))) return false;
    x = number_at<T>(bytes_.data() + bytes_.size() - sizeof(T));
    return true;
  }
  template <class Length>
  bool take_text() {
    Length n = 0;
    return take_number(n) && take(n);
  }

 private:
  static constexpr std::size_t at_once = std::size_t{1} << 16;

  std::istream& in_;
  std::uint64_t most_;
  std::string bytes_;
  std::string problem_;
};

/// The same bytes once more, which are known to be well formed.
class snapshot_cursor {
 public:
  explicit snapshot_cursor(std::string_view bytes) noexcept : left_(bytes) {}
  std::string_view text(std::uint64_t n) noexcept {
    std::string_view const t = left_.substr(0, static_cast<std::size_t>(n));
    left_.remove_prefix(t.size());
    return t;
  }
  template <class T>
  T number() noexcept {
    return number_at<T>(text(sizeof(T)).data());
  }

 private:
  std::string_view left_;
};

inline std::string quoted(std::string_view s) {
  std::string q = "\"";
  for (char const c : s.substr(0, 80)) q.push_back(c >= ' ' && c <= '~' ? c : '?');
  q.push_back('"');
  return q;
}

/// Reads all of it and checks all of it but what the codecs say.
inline bool read_snapshot(snapshot_reader& r, snapshot_options const& o, std::int64_t& saved_at,
                          std::size_t& entries_at) {
  if (!r.take(snapshot_magic.size())) return false;
  if (r.bytes() != snapshot_magic) return r.fail(0, "this is no cache snapshot");
  std::uint32_t version = 0;
  if (!r.take_number(version)) return false;
  if (version != snapshot_version) {
    return r.fail(8, "it is of version " + std::to_string(version) + ", and this library reads " +
                         std::to_string(snapshot_version));
  }
  std::uint32_t length = 0;
  if (!r.take_number(length)) return false;
  if (length > most_schema_bytes) return r.fail(12, "a schema of " + std::to_string(length) + " bytes");
  if (!r.take(length)) return false;
  std::string_view const schema = std::string_view(r.bytes()).substr(16);
  if (schema != o.schema) {
    std::string what = "it is of schema ";
    what += quoted(schema);
    what += ", and ";
    what += quoted(o.schema);
    what += " is wanted";
    return r.fail(16, what);
  }
  if (!r.take_number(saved_at)) return false;
  entries_at = r.bytes().size();
  for (;;) {
    std::size_t const at = r.bytes().size();
    std::uint8_t kind = 0;
    if (!r.take_number(kind)) return false;
    if (kind == 0) break;
    if (kind != 1) return r.fail(at, "neither an entry nor the end");
    std::int64_t life = 0;
    if (!r.take_number(life)) return false;
    if (life <= 0) return r.fail(at + 1, "an entry without life");
    std::uint32_t tags = 0;
    if (!r.take_number(tags)) return false;
    for (; tags != 0; --tags) {
      if (!r.take_text<std::uint32_t>()) return false;
    }
    if (!r.take_text<std::uint64_t>() || !r.take_text<std::uint64_t>()) return false;
    ++r.records;
  }
  std::size_t const end = r.bytes().size();
  std::uint64_t count = 0;
  if (!r.take_number(count)) return false;
  if (count != r.records) return r.fail(end, "it should hold " + std::to_string(count));
  snapshot_crc crc;
  crc.process_bytes(r.bytes().data(), r.bytes().size());
  std::uint64_t checksum = 0;
  std::size_t const last = r.bytes().size();
  if (!r.take_number(checksum)) return false;
  if (checksum != crc.checksum()) return r.fail(last, "the checksum is not that of the bytes before it");
  return true;
}

template <class Key, class Value>
struct snapshot_entry {
  snapshot_entry(Key&& k, Value&& v, put_options&& o)
      : key(std::move(k)), value(std::move(v)), options(std::move(o)) {}
  Key key;
  Value value;
  put_options options;
  bool there = false;
};

inline failure bad_snapshot(std::error_code code, [[maybe_unused]] std::string const& text) {
  failure why{.code = code};
#if TIDEOVER_EXCEPTIONS
  why.cause = std::make_exception_ptr(error(tideover::failure{.code = code}, text));
#endif
  return why;
}

/// The verbs that throw say in words what the others keep as the failure's cause.
template <class T>
T value_or_raise(result<T>&& r) {
#if TIDEOVER_EXCEPTIONS
  if (!r.has_value()) std::rethrow_exception(r.error().cause);
#endif
  return *std::move(r);
}

template <class Cache, class KeyCodec, class ValueCodec>
constexpr bool has_snapshot_codecs() {
  static_assert(snapshot_codec_for<KeyCodec, typename Cache::key_type>,
                "tideover: no snapshot codec for this Key; see tideover::snapshot_codec");
  static_assert(snapshot_codec_for<ValueCodec, typename Cache::mapped_type>,
                "tideover: no snapshot codec for this Value; see tideover::snapshot_codec");
  return true;
}

}  // namespace detail

/// Writes what the cache holds. The stream should be a binary one; after a failure what it holds is to be
/// thrown away: write beside the old snapshot and rename. errc::invalid_argument for a schema that is too
/// long, std::errc::io_error if the stream fails.
template <class Cache, class KeyCodec = snapshot_codec<typename Cache::key_type>,
          class ValueCodec = snapshot_codec<typename Cache::mapped_type>>
result<snapshot_report> try_save_snapshot(Cache& cache, std::ostream& out, snapshot_options const& o = {},
                                          KeyCodec const& keys = {}, ValueCodec const& values = {}) {
  static_assert(detail::has_snapshot_codecs<Cache, KeyCodec, ValueCodec>());
  if (o.schema.size() > detail::most_schema_bytes) {
    return detail::bad_snapshot(errc::invalid_argument, "snapshot_options.schema is longer than 4096 bytes");
  }
  snapshot_report report;
  detail::snapshot_writer w(out);
  std::string record(detail::snapshot_magic);
  detail::append_number(record, detail::snapshot_version);
  detail::append_number(record, static_cast<std::uint32_t>(o.schema.size()));
  record += o.schema;
  detail::append_number(record, detail::wall_clock(o));
  w.write(record);
  std::string part;
  auto const append_text = [&](auto length) {
    detail::append_number(record, length);
    record += part;
  };
  cache.coldest(std::numeric_limits<std::size_t>::max(),
                [&](auto const& key, auto const& value, entry_details const& d) {
                  if (!out.good()) return;
                  record.assign(1, '\x01');
                  detail::append_number(record, static_cast<std::int64_t>(d.remaining_life.count()));
                  detail::append_number(record, static_cast<std::uint32_t>(d.tags.size()));
                  for (std::string const& tag : d.tags) {
                    part = tag;
                    append_text(static_cast<std::uint32_t>(part.size()));
                  }
                  part.clear();
                  keys.write(key, part);
                  append_text(std::uint64_t{part.size()});
                  part.clear();
                  values.write(value, part);
                  append_text(std::uint64_t{part.size()});
                  w.write(record);
                  ++report.entries;
                });
  record.assign(1, '\0');
  detail::append_number(record, report.entries);
  w.write(record);
  record.clear();
  detail::append_number(record, w.checksum());
  w.write(record);
  out.flush();
  report.bytes = w.bytes();
  if (!out.good()) {
    return detail::bad_snapshot(std::make_error_code(std::errc::io_error),
                                "tideover::save_snapshot: the stream failed");
  }
  return report;
}

/// Puts what a snapshot holds, the coldest first. A key that has a live entry keeps it: what was put since
/// the restart is newer. A key that is erased between that look and its put comes back: load before anything
/// is erased. All is read, verified and decoded before the first put; a failure (errc::bad_snapshot, and the
/// text says where) has changed nothing. What a put itself throws ends the loading, with what was put until
/// then. The stream is left behind the snapshot.
template <class Cache, class KeyCodec = snapshot_codec<typename Cache::key_type>,
          class ValueCodec = snapshot_codec<typename Cache::mapped_type>>
result<snapshot_report> try_load_snapshot(Cache& cache, std::istream& in, snapshot_options const& o = {},
                                          KeyCodec const& keys = {}, ValueCodec const& values = {}) {
  static_assert(detail::has_snapshot_codecs<Cache, KeyCodec, ValueCodec>());
  using std::chrono::nanoseconds;
  using entry = detail::snapshot_entry<typename Cache::key_type, typename Cache::mapped_type>;
  snapshot_report report;
  detail::snapshot_reader r(in, o.max_bytes);
  std::int64_t saved_at = 0;
  std::size_t entries_at = 0;
  auto const refused = [&] { return detail::bad_snapshot(errc::bad_snapshot, r.problem()); };
  if (!detail::read_snapshot(r, o, saved_at, entries_at)) return refused();
  report.bytes = r.bytes().size();
  report.downtime = std::max(nanoseconds(0), instant{detail::wall_clock(o)} - instant{saved_at});
  nanoseconds const off = o.count_downtime ? report.downtime : nanoseconds(0);

  std::vector<entry> entries;
  std::uint64_t const count = std::exchange(r.records, 0);
  detail::snapshot_cursor c(std::string_view(r.bytes()).substr(entries_at));
  for (; r.records != count; ++r.records) {
    c.text(1);
    nanoseconds const life(c.number<std::int64_t>());
    put_options put;
    put.ttl = life == nanoseconds::max() ? life : life - off;
    for (auto tags = c.number<std::uint32_t>(); tags != 0; --tags) {
      std::string_view const tag = c.text(c.number<std::uint32_t>());
      put.tags.add(tag);
    }
    std::string_view const key_bytes = c.text(c.number<std::uint64_t>());
    std::string_view const value_bytes = c.text(c.number<std::uint64_t>());
    std::uint64_t const where = static_cast<std::uint64_t>(key_bytes.data() - r.bytes().data());
    if constexpr (!Cache::tagging_type::tags) {
      if (!put.tags.empty()) {
        r.fail(where, "an entry has tags, which this cache does not keep (see tideover::tagged)");
        return refused();
      }
    }
    auto key = keys.read(key_bytes);
    if (!key) return r.fail(where, "the codec refuses the key"), refused();
    auto value = values.read(value_bytes);
    if (!value) return r.fail(where + key_bytes.size() + 8, "the codec refuses the value"), refused();
    if (*put.ttl <= nanoseconds(0)) {
      ++report.expired;
    } else {
      entries.emplace_back(*std::move(key), *std::move(value), std::move(put));
    }
  }
  // First of all keys: one that the snapshot holds twice, as it was written while it was saved, is put twice.
  for (entry& e : entries) e.there = cache.contains(std::as_const(e.key));
  for (entry& e : entries) {
    if (e.there) {
      ++report.there;
    } else if (cache.put(std::move(e.key), std::move(e.value), e.options)) {
      ++report.entries;
    } else {
      ++report.refused;
    }
  }
  return report;
}

#if TIDEOVER_EXCEPTIONS
/// As `try_save_snapshot`; its failures are thrown as `error`.
template <class Cache, class KeyCodec = snapshot_codec<typename Cache::key_type>,
          class ValueCodec = snapshot_codec<typename Cache::mapped_type>>
snapshot_report save_snapshot(Cache& cache, std::ostream& out, snapshot_options const& o = {},
                              KeyCodec const& keys = {}, ValueCodec const& values = {}) {
  return detail::value_or_raise(try_save_snapshot(cache, out, o, keys, values));
}

/// As `try_load_snapshot`; its failures are thrown as `error`.
template <class Cache, class KeyCodec = snapshot_codec<typename Cache::key_type>,
          class ValueCodec = snapshot_codec<typename Cache::mapped_type>>
snapshot_report load_snapshot(Cache& cache, std::istream& in, snapshot_options const& o = {},
                              KeyCodec const& keys = {}, ValueCodec const& values = {}) {
  return detail::value_or_raise(try_load_snapshot(cache, in, o, keys, values));
}
#endif

}  // namespace tideover::inline v0

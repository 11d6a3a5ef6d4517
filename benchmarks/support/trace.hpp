// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// Reads cache traces: one request a line, the first column an unsigned decimal key; what follows the key
/// (an object size, say) is ignored. `NAME.txt.zst` is decompressed on the way, `NAME.txt` is read as it is.
namespace bench {

/// Streams the keys of one trace, so that a trace of any length can be read. Throws std::runtime_error that
/// names the file, the line and what was wrong.
class trace_reader {
 public:
  explicit trace_reader(std::filesystem::path const& file);
  trace_reader(trace_reader const&) = delete;
  trace_reader& operator=(trace_reader const&) = delete;
  ~trace_reader();

  /// The next key, or nothing at the end of the trace.
  std::optional<std::uint64_t> next();

 private:
  class decompressor;

  bool refill();
  bool read_raw();
  [[noreturn]] void fail(std::string const& what) const;

  std::filesystem::path file_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> handle_;
  std::unique_ptr<decompressor> zstd_;
  std::vector<char> raw_;
  std::vector<char> text_;
  std::size_t raw_at_ = 0;
  std::size_t raw_end_ = 0;
  std::size_t text_at_ = 0;
  std::size_t text_end_ = 0;
  std::uint64_t line_ = 1;
};

/// All keys of a trace: a replay at many capacities reads the file once.
std::vector<std::uint64_t> read_trace(std::filesystem::path const& file);

/// The file of trace `name` in `directory`: `name.txt.zst`, else `name.txt`, else nothing.
std::optional<std::filesystem::path> find_trace(std::filesystem::path const& directory,
                                                std::string const& name);

}  // namespace bench

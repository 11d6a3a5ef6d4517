// SPDX-License-Identifier: BSL-1.0
#include "support/trace.hpp"

#include <zstd.h>

#include <limits>
#include <new>
#include <stdexcept>

namespace bench {

namespace {

constexpr std::size_t chunk = std::size_t{1} << 17;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

class trace_reader::decompressor {
 public:
  decompressor() : stream_(ZSTD_createDStream(), &ZSTD_freeDStream) {
    if (!stream_) throw std::bad_alloc();
  }

  /// Decompresses what it can from `in` into `out`. Sets `in_used`, returns the bytes written; `error` is
  /// set when the data is damaged.
  std::size_t run(char const* in, std::size_t in_size, std::size_t& in_used, std::vector<char>& out,
                  std::string& error) {
    ZSTD_inBuffer source{in, in_size, 0};
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    std::size_t const left = ZSTD_decompressStream(stream_.get(), &target, &source);
    if (ZSTD_isError(left)) error = ZSTD_getErrorName(left);
    in_used = source.pos;
    // A call that did nothing already speaks of the next frame.
    if (source.pos != 0 || target.pos != 0) inside_frame_ = left != 0;
    return target.pos;
  }

  bool inside_frame() const { return inside_frame_; }

 private:
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  bool inside_frame_ = false;
};

trace_reader::trace_reader(std::filesystem::path const& file)
    : file_(file), handle_(std::fopen(file.c_str(), "rb"), &std::fclose), raw_(chunk), text_(chunk) {
  if (!handle_) fail("cannot be opened");
  if (file_.extension() == ".zst") zstd_ = std::make_unique<decompressor>();
}

trace_reader::~trace_reader() = default;

void trace_reader::fail(std::string const& what) const {
  throw std::runtime_error("trace " + file_.string() + ", line " + std::to_string(line_) + ": " + what);
}

bool trace_reader::read_raw() {
  raw_at_ = 0;
  raw_end_ = std::fread(raw_.data(), 1, raw_.size(), handle_.get());
  if (raw_end_ == 0 && std::ferror(handle_.get()) != 0) fail("reading failed");
  return raw_end_ != 0;
}

bool trace_reader::refill() {
  text_at_ = 0;
  if (!zstd_) {
    bool const more = read_raw();
    text_.swap(raw_);
    text_end_ = raw_end_;
    return more;
  }
  for (;;) {
    // What the last call left in its own buffers comes first: it may need no further input.
    bool const more = raw_at_ != raw_end_ || read_raw();
    std::size_t used = 0;
    std::string error;
    text_end_ = zstd_->run(raw_.data() + raw_at_, raw_end_ - raw_at_, used, text_, error);
    raw_at_ += used;
    if (!error.empty()) fail("damaged zstd data (" + error + ")");
    if (text_end_ != 0) return true;
    if (!more) {
      if (zstd_->inside_frame()) fail("the zstd data ends early");
      return false;
    }
  }
}

std::optional<std::uint64_t> trace_reader::next() {
  enum class place { before_key, in_key, after_key } where = place::before_key;
  std::uint64_t key = 0;
  for (;;) {
    if (text_at_ == text_end_ && !refill()) {
      return where == place::before_key ? std::nullopt : std::optional(key);
    }
    char const c = text_[text_at_++];
    if (c == '\n') {
      ++line_;
      if (where != place::before_key) return key;
    } else if (where == place::after_key || c == '\r') {
      continue;
    } else if (is_digit(c)) {
      auto const digit = static_cast<std::uint64_t>(c - '0');
      constexpr auto max = std::numeric_limits<std::uint64_t>::max();
      if (key > max / 10 || (key == max / 10 && digit > max % 10)) fail("the key is above 2^64 - 1");
      key = key * 10 + digit;
      where = place::in_key;
    } else if (where == place::in_key && (c == ' ' || c == '\t' || c == ',')) {
      where = place::after_key;
    } else {
      fail("expected an unsigned decimal key");
    }
  }
}

std::vector<std::uint64_t> read_trace(std::filesystem::path const& file) {
  trace_reader reader(file);
  std::vector<std::uint64_t> keys;
  while (auto const key = reader.next()) keys.push_back(*key);
  return keys;
}

std::optional<std::filesystem::path> find_trace(std::filesystem::path const& directory,
                                                std::string const& name) {
  for (char const* const ending : {".txt.zst", ".txt"}) {
    auto file = directory / (name + ending);
    if (std::filesystem::is_regular_file(file)) return file;
  }
  return std::nullopt;
}

}  // namespace bench

// SPDX-License-Identifier: BSL-1.0
#include "key/build.hpp"
#include "key/decoder.hpp"
#include "key/model.hpp"

#include <tideover/cache_key.hpp>
#include <tideover/error.hpp>
#include <tideover/xxhash.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// libFuzzer: any bytes are a program of calls of a cache_key. After each call the key must be what the model
// says, and the decoder must find in it what was put in.

namespace {

using namespace tideover_test;
using tideover::cache_key;

[[noreturn]] void wrong(char const* what, std::string_view is, std::string_view expected) {
  std::fprintf(stderr, "%s\n  is        %.*s\n  should be %.*s\n", what, static_cast<int>(is.size()),
               is.data(), static_cast<int>(expected.size()), expected.data());
  std::abort();
}

std::string digest_of(std::string_view text) {
  XXH128_hash_t const hash = XXH3_128bits(text.data(), text.size());
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return digits;
}

/// The input, eaten from the front; zeros when it is all gone.
class bytes {
 public:
  bytes(std::uint8_t const* data, std::size_t size) : left_(reinterpret_cast<char const*>(data), size) {}

  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    auto const b = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return b;
  }
  std::uint64_t word() {
    std::uint64_t w = 0;
    for (int n = byte() % 9; n > 0; --n) w = w << 8 | byte();
    return w;
  }
  std::string text() {
    std::size_t size = byte();
    if (size >= 250) size = (size - 249) * 100;
    std::string_view const taken = left_.substr(0, size);
    left_.remove_prefix(taken.size());
    return std::string(taken);
  }
  tree flat() { return byte() % 4 == 0 ? tree{} : tree::of(text()); }
  tree value() {
    std::uint8_t const kind = byte() % 8;
    if (kind < 5) return tree::of(text());
    if (kind == 5) return {};
    std::vector<tree> items;
    for (int n = byte() % 4; n > 0; --n) {
      std::vector<tree> inner;
      for (int m = kind == 6 ? 0 : byte() % 4; m > 0; --m) inner.push_back(flat());
      items.push_back(kind == 6 ? flat() : tree::list(std::move(inner)));
    }
    return tree::list(std::move(items));
  }

 private:
  std::string_view left_;
};

/// Calls; whether it threw must be as expected.
template <class Call>
void expect(bool good, char const* what, Call call) {
  bool threw = false;
  try {
    call();
  } catch (tideover::error const&) {
    threw = true;
  }
  if (threw == good) wrong(what, threw ? "refused" : "taken", good ? "taken" : "refused");
}

void check(cache_key const& key, key_model const& model, std::size_t max_length) {
  std::string const full = model.full();
  std::string const expected = model.text(digest_of, max_length);
  if (key.view() != expected) wrong("another text", key.view(), expected);
  bool const longer = full.size() > max_length;
  if (key.digested() != longer || (key.check() != 0) != longer) wrong("digested or not", key.view(), full);
  if (key.size() > 250) wrong("too long", key.view(), "at most 250 bytes");
  if (key.name_space() != model.name_space) wrong("another namespace", key.name_space(), model.name_space);
  decoded_key const read = decode(key.view(), max_length);
  decoded_key meant = model.meaning();
  if (longer) {
    meant.segments.clear(), meant.params.clear();
    meant.digest = digest_of(full);
  }
  if (read != meant) wrong("read back differently", key.view(), expected);
}

void add_number(cache_key& key, key_model& model, bytes& in) {
  switch (in.byte() % 4) {
    case 0: {
      auto const n = static_cast<std::int64_t>(in.word());
      model.segments.push_back(tree::of(std::to_string(n)));
      key.segment(n);
      break;
    }
    case 1: {
      auto const n = in.word();
      model.segments.push_back(tree::of(std::to_string(n)));
      key.segment(n);
      break;
    }
    case 2: {
      auto const x = std::bit_cast<double>(in.word());
      if (std::isfinite(x)) model.segments.push_back(tree::of(float_text(x)));
      expect(std::isfinite(x), "a double", [&] { key.segment(x); });
      break;
    }
    default: {
      auto const x = std::bit_cast<float>(static_cast<std::uint32_t>(in.word()));
      if (std::isfinite(x)) model.segments.push_back(tree::of(float_text(x)));
      expect(std::isfinite(x), "a float", [&] { key.segment(x); });
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  bytes in(data, size);
  std::size_t const max_length = 96 + in.byte() % 155;
  key_model model;
  cache_key key("n", {.max_length = max_length});
  for (int calls = 0; calls < 40 && !in.empty(); ++calls) {
    switch (in.byte() % 12) {
      case 0: {
        tree const value = in.value();
        model.segments.push_back(value);
        add_segment(key, value);
        break;
      }
      case 1:
      case 2: {
        std::string const name = in.text();
        tree const value = in.value();
        bool const fresh = model.params.try_emplace(name, value).second;
        expect(fresh, "a parameter", [&] { add_param(key, name, value); });
        break;
      }
      case 3: {
        tree const value = in.value();
        std::string const text = encoded(value);
        bool const good = !model.tag && !text.empty() && text.size() <= 100;
        if (good) model.tag = value;
        expect(good, "a tag", [&] { add_tag(key, value); });
        break;
      }
      case 4: {
        std::uint64_t const n = in.word();
        bool const good = !model.generation;
        if (good) model.generation = n;
        expect(good, "a generation", [&] { key.generation(n); });
        break;
      }
      case 5:
        model.version = in.word(), key.version(model.version);
        break;
      case 6: {
        std::string const name = in.text();
        std::string const value = in.text();
        std::string heard;
        bool const fresh = !model.params.contains(name);
        expect(fresh, "a secret", [&] {
          key.secret(name, value, [&](std::string_view text) {
            heard = text;
            tideover::digest128 made{};
            made[0] = static_cast<unsigned char>(text.size());
            return made;
          });
        });
        if (fresh) {
          if (heard != escaped(value)) wrong("another text was digested", heard, escaped(value));
          char digits[33];
          std::snprintf(digits, sizeof digits, "%02x%030d", static_cast<unsigned>(heard.size() & 255), 0);
          model.params[name] = tree::secret(digits);
        }
        break;
      }
      case 7:
        add_number(key, model, in);
        break;
      case 8: {
        // Views into the key itself.
        std::string_view const part = key.view().substr(in.byte() % (key.size() + 1), in.byte());
        model.segments.push_back(tree::of(part));
        key.segment(part);
        break;
      }
      case 9: {
        std::string_view const part = key.view().substr(in.byte() % (key.size() + 1), in.byte());
        std::string const name(part), all(key.view());
        bool const fresh = model.params.try_emplace(name, tree::of(all)).second;
        expect(fresh, "a view as a parameter", [&] { key.param(part, key.view()); });
        break;
      }
      case 10: {
        cache_key copy = key;
        copy.segment("gone").hash();
        key = std::as_const(key);
        cache_key moved = std::move(key);
        key = std::move(moved);
        break;
      }
      default: {
        cache_key const stored = key.stored();
        if (stored != key || stored.hash() != key.hash())
          wrong("stored differently", stored.view(), key.view());
        check(stored, model, max_length);
      }
    }
    check(key, model, max_length);
  }
  cache_key const again = key_of(model, {.max_length = max_length});
  if (again != key || again.hash() != key.hash())
    wrong("the order of the calls counts", again.view(), key.view());

  // The form of old stores: no model of it here, but nothing may break.
  cache_key const old_form = key_of(model, {.max_length = max_length, .seed_compatible = true});
  if (old_form.size() > 250) wrong("too long", old_form.view(), "at most 250 bytes");
  if (old_form.stored() != old_form) wrong("stored differently", old_form.view(), old_form.stored().view());
  return 0;
}

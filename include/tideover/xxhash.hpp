// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/digest.hpp>

#include <string_view>

#include <xxhash.h>

/// Digests by xxHash (CMake component `xxhash`, which links libxxhash 0.8 or newer). Including this header in
/// any file of a program gives every `cache_key` of the program its digest, from before main on; keys made by
/// constructors of static objects may come before that.
namespace tideover::inline v0 {

/// XXH3, 128 bits, in its canonical byte order: the same on every machine, some 10 GB a second. Not
/// cryptographic and not keyed: an attacker who can choose long texts can make two of one digest. The check
/// of the whole text that stored keys carry then tells them apart, unless he has found two for that as well.
struct xxh3_128 {
  using policy_axis = axis::digest;

  digest128 operator()(std::string_view text) const noexcept {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(text.data(), text.size()));
    digest128 digest;
    static_assert(sizeof digest == sizeof canonical.digest);
    for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = canonical.digest[i];
    return digest;
  }
};

namespace detail {

inline bool const xxh3_128_is_registered = [] {
  the_registered_digest.store([](std::string_view text) { return xxh3_128{}(text); },
                              std::memory_order_release);
  return true;
}();

}  // namespace detail

}  // namespace tideover::inline v0

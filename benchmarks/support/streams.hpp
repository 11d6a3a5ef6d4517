// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/random/discrete_distribution.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

/// Key streams made from a seed. Equal seeds give equal streams with every compiler: the engine is the
/// standard's, the distribution is Boost's (those of the standard differ between libraries).
namespace bench {

/// The independent reference model: each request asks for the key of rank r, 1 <= r <= keys, with a
/// probability proportional to r^-alpha, whatever was asked before. Keys are the ranks, from 0.
class zipf_stream {
 public:
  zipf_stream(double alpha, std::size_t keys, std::uint64_t seed)
      : engine_(seed), rank_(weights(alpha, keys)) {}

  std::uint64_t operator()() { return rank_(engine_); }

 private:
  static std::vector<double> weights(double alpha, std::size_t keys) {
    std::vector<double> weight(keys);
    for (std::size_t r = 0; r != keys; ++r) weight[r] = std::pow(static_cast<double>(r + 1), -alpha);
    return weight;
  }

  std::mt19937_64 engine_;
  // Walker's alias method: O(1) a draw, whatever the number of keys.
  boost::random::discrete_distribution<std::uint32_t, double> rank_;
};

/// Each key once.
class scan_stream {
 public:
  explicit scan_stream(std::uint64_t first = 0) : next_(first) {}
  std::uint64_t operator()() { return next_++; }

 private:
  std::uint64_t next_;
};

/// The same `keys` keys in the same order, again and again.
class loop_stream {
 public:
  explicit loop_stream(std::uint64_t keys, std::uint64_t first = 0) : keys_(keys), first_(first) {}
  std::uint64_t operator()() {
    auto const key = first_ + at_;
    at_ = at_ + 1 == keys_ ? 0 : at_ + 1;
    return key;
  }

 private:
  std::uint64_t keys_;
  std::uint64_t first_;
  std::uint64_t at_ = 0;
};

/// Spreads ranks over all 64-bit values, one to one, so that a popular key says nothing about its
/// neighbours' and the low bits carry no order (the finaliser of MurmurHash3).
constexpr std::uint64_t scrambled(std::uint64_t key) {
  key = (key ^ (key >> 33)) * 0xff51afd7ed558ccdU;
  key = (key ^ (key >> 33)) * 0xc4ceb9fe1a85ec53U;
  return key ^ (key >> 33);
}

/// The next `count` keys of a stream.
template <class Stream>
void append(std::vector<std::uint64_t>& keys, Stream&& stream, std::size_t count) {
  keys.reserve(keys.size() + count);
  for (std::size_t i = 0; i != count; ++i) keys.push_back(stream());
}

/// A named stream with the cache sizes at which it is worth replaying.
struct synthetic_trace {
  char const* name;
  char const* what;
  std::vector<std::size_t> capacities;
  std::vector<std::uint64_t> keys;
};

/// What the replayer uses when there are no real traces: popularity alone, a scan, a loop slightly larger
/// than the cache, and popular keys that a loop interrupts and that then move.
std::vector<synthetic_trace> synthetic_traces(std::size_t requests, std::uint64_t seed);

}  // namespace bench

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

namespace tideover_test {

/// An int that counts, over all threads, how often objects were copied and moved and how many live.
class counted {
 public:
  explicit counted(int id) noexcept : id_(id) { ++live_; }
  counted(counted const& other) noexcept : id_(other.id_) { ++live_, ++copies_; }
  counted(counted&& other) noexcept : id_(other.id_) { ++live_, ++moves_, other.id_ = moved_from; }
  counted& operator=(counted const& other) noexcept {
    id_ = other.id_, ++copies_;
    return *this;
  }
  counted& operator=(counted&& other) noexcept {
    if (this != &other) id_ = other.id_, other.id_ = moved_from;
    ++moves_;
    return *this;
  }
  ~counted() { --live_; }

  int id() const noexcept { return id_; }
  friend bool operator==(counted const& a, counted const& b) noexcept { return a.id_ == b.id_; }

  static long live() noexcept { return live_; }
  static long copies() noexcept { return copies_; }
  static long moves() noexcept { return moves_; }
  static void forget() noexcept { copies_ = 0, moves_ = 0; }  ///< copies and moves; the living stay counted

  static constexpr int moved_from = -1;

 private:
  inline static std::atomic<long> live_{0}, copies_{0}, moves_{0};
  int id_;
};

struct counted_hash {
  std::size_t operator()(counted const& value) const noexcept { return std::hash<int>()(value.id()); }
};

}  // namespace tideover_test

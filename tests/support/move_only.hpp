// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

namespace tideover_test {

/// A value that moves and never copies; a moved-from one says so.
class move_only {
 public:
  explicit move_only(int id) noexcept : id_(id) {}
  move_only(move_only&& other) noexcept : id_(std::exchange(other.id_, moved_from)) {}
  move_only& operator=(move_only&& other) noexcept {
    id_ = std::exchange(other.id_, moved_from);
    return *this;
  }
  move_only(move_only const&) = delete;
  move_only& operator=(move_only const&) = delete;
  ~move_only() = default;

  int id() const noexcept { return id_; }
  friend bool operator==(move_only const& a, move_only const& b) noexcept { return a.id_ == b.id_; }

  static constexpr int moved_from = -1;

 private:
  int id_;
};

}  // namespace tideover_test

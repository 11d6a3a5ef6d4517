// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

/// Types that offer what the contract asks for and nothing else. Where a component compiles with them, it
/// asks for no more than it says.
namespace tideover_test {

/// A key: hash and equality by function objects, a move constructor. No copy, no assignment, no default
/// construction, no operator==, no address.
class key_archetype {
 public:
  explicit key_archetype(int id) noexcept : id_(id) {}
  key_archetype(key_archetype&& other) noexcept : id_(other.id_) {}
  key_archetype(key_archetype const&) = delete;
  key_archetype& operator=(key_archetype&&) = delete;
  ~key_archetype() = default;

  void operator&() const = delete;
  template <class T>
  void operator,(T&&) const = delete;

  struct hash {
    std::size_t operator()(key_archetype const& key) const noexcept { return std::size_t(key.id_) * 7; }
  };
  struct equal {
    bool operator()(key_archetype const& a, key_archetype const& b) const noexcept { return a.id_ == b.id_; }
  };

 private:
  int id_;
};

/// A value: a move constructor. No copy, no assignment, no default construction, no comparison, no address.
class value_archetype {
 public:
  explicit value_archetype(int id) noexcept : id_(id) {}
  value_archetype(value_archetype&& other) noexcept : id_(other.id_) {}
  value_archetype(value_archetype const&) = delete;
  value_archetype& operator=(value_archetype&&) = delete;
  ~value_archetype() = default;

  void operator&() const = delete;
  template <class T>
  void operator,(T&&) const = delete;

  int id() const noexcept { return id_; }

 private:
  int id_;
};

}  // namespace tideover_test

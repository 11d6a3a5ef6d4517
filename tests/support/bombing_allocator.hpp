// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <new>

namespace tideover_test {

/// What all copies of a `bombing_allocator` share: how much is out, and when to fail.
struct bomb {
  static constexpr long never = -1;

  std::atomic<long> fuse{never};  ///< allocations that still succeed; `never`: all of them
  std::atomic<long> allocations{0};
  std::atomic<long> bytes_out{0};
  std::atomic<long> failures{0};
};

/// An allocator with state, no default constructor and a fuse.
template <class T>
class bombing_allocator {
 public:
  using value_type = T;

  explicit bombing_allocator(bomb& shared) noexcept : bomb_(std::addressof(shared)) {}
  template <class U>
  bombing_allocator(bombing_allocator<U> const& other) noexcept : bomb_(other.shared()) {}

  T* allocate(std::size_t n) {
    if (bomb_->fuse == 0) {
      ++bomb_->failures;
      throw std::bad_alloc();
    }
    if (bomb_->fuse > 0) --bomb_->fuse;
    T* const made = std::allocator<T>().allocate(n);
    ++bomb_->allocations;
    bomb_->bytes_out += static_cast<long>(n * sizeof(T));
    return made;
  }
  void deallocate(T* p, std::size_t n) noexcept {
    bomb_->bytes_out -= static_cast<long>(n * sizeof(T));
    std::allocator<T>().deallocate(p, n);
  }

  bomb* shared() const noexcept { return bomb_; }
  template <class U>
  friend bool operator==(bombing_allocator const& a, bombing_allocator<U> const& b) noexcept {
    return a.shared() == b.shared();
  }

 private:
  bomb* bomb_;
};

}  // namespace tideover_test

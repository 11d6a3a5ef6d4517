// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace tideover::inline v0::detail {

struct no_leash {};

/// What the tasks of a component hold of it, since they may outlive it in somebody's queue: they enter it
/// while it exists, and find nobody at home from then on.
template <class Owner>
class leash {
 public:
  explicit leash(Owner& owner) noexcept : owner_(&owner) {}
  leash(leash const&) = delete;
  leash& operator=(leash const&) = delete;

  /// A task's stay in its component, if that exists still.
  class visit {
   public:
    explicit visit(leash& at) : leash_(at) {
      std::lock_guard lock(leash_.mutex_);
      owner_ = leash_.owner_;
      if (owner_ != nullptr) ++leash_.inside_;
    }
    visit(visit const&) = delete;
    visit& operator=(visit const&) = delete;
    ~visit() {
      if (owner_ == nullptr) return;
      std::lock_guard lock(leash_.mutex_);
      if (--leash_.inside_ == 0) leash_.empty_.notify_all();
    }
    Owner* owner() const noexcept { return owner_; }

   private:
    leash& leash_;
    Owner* owner_;
  };

  /// From now on nobody enters; returns when those inside have left.
  void cut() {
    std::unique_lock lock(mutex_);
    owner_ = nullptr;
    empty_.wait(lock, [this] { return inside_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  Owner* owner_;
  std::size_t inside_ = 0;
};

}  // namespace tideover::inline v0::detail

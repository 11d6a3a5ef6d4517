// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/fail_points.hpp"

#include <cstddef>

namespace tideover_test {

/// Which operations of a `throwing` are fail points; combine with `|`.
enum class point : unsigned { none = 0, construct = 1, copy = 2, move = 4, hash = 8, equal = 16, all = 31 };

constexpr point operator|(point a, point b) { return point(unsigned(a) | unsigned(b)); }
constexpr bool operator&(point a, point b) { return (unsigned(a) & unsigned(b)) != 0; }

/// An int whose operations fail on demand. `live()` finds objects that were destroyed twice or never.
template <point Points>
class throwing {
 public:
  static constexpr bool quiet_move = !(Points & point::move);

  explicit throwing(int id) : id_(id) { pass<point::construct>(), ++live_; }
  throwing(throwing const& other) : id_(other.id_) { pass<point::copy>(), ++live_; }
  throwing(throwing&& other) noexcept(quiet_move) : id_(other.id_) { pass<point::move>(), ++live_; }
  throwing& operator=(throwing const& other) {
    pass<point::copy>();
    id_ = other.id_;
    return *this;
  }
  throwing& operator=(throwing&& other) noexcept(quiet_move) {
    pass<point::move>();
    id_ = other.id_;
    return *this;
  }
  ~throwing() { --live_; }

  int id() const noexcept { return id_; }
  static long live() noexcept { return live_; }

  friend bool operator==(throwing const& a, throwing const& b) {
    pass<point::equal>();
    return a.id_ == b.id_;
  }

  struct hasher {
    std::size_t operator()(throwing const& value) const {
      pass<point::hash>();
      return std::size_t(value.id_) % 4;  // so that comparisons of unequal keys happen too
    }
  };

 private:
  template <point P>
  static void pass() noexcept(!(Points & P)) {
    if constexpr (Points & P) fail_point();
  }

  inline static thread_local long live_ = 0;
  int id_;
};

}  // namespace tideover_test

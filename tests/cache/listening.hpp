// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/common.hpp"

#include <tideover/policy/listener.hpp>
#include <tideover/policy/policy.hpp>

#include <functional>
#include <memory>

namespace tideover_test {

/// A listener that does what the test says, and may be told so after the cache was made, since what it does
/// is mostly to call that cache.
class scripted {
 public:
  using policy_axis = tideover::axis::listener;
  using script = std::function<void(int, int, tideover::removal_cause)>;

  scripted() : script_(std::make_shared<script>()) {}
  void on_removal(int const& key, int const& value, tideover::removal_cause cause) {
    if (*script_) (*script_)(key, value, cause);
  }
  void play(script what) const { *script_ = std::move(what); }

 private:
  std::shared_ptr<script> script_;
};

using tideover::removal_cause;

}  // namespace tideover_test

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/common.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/deadline.hpp>
#include <tideover/error.hpp>

#include <exception>
#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace tideover_test {

using tideover::errc;

/// What came of a call: a value, an error of the library's own, or any other exception.
struct answer {
  std::optional<int> value;
  std::error_code code;
  std::string thrown;
  /// Keeps the exception until the test's own thread lets go of it. Threads share it, and libstdc++ counts
  /// its owners where ThreadSanitizer does not look, so a last release elsewhere would be reported as a race.
  std::exception_ptr kept{};

  bool is(int expected) const { return value == expected; }
  bool is(errc expected) const { return code == expected; }
};

template <class F>
answer answer_of(F&& f) {
  answer result;
  try {
    result.value = f();
  } catch (tideover::error const& e) {
    result.code = e.code();
    result.kept = std::current_exception();
  } catch (std::exception const& e) {
    result.thrown = e.what();
    result.kept = std::current_exception();
  }
  return result;
}

/// A call that runs in a thread of its own.
class asking {
 public:
  template <class F>
  explicit asking(F f) : thread_([this, f = std::move(f)]() mutable { answer_ = answer_of(f); }) {}
  asking(asking const&) = delete;
  asking& operator=(asking const&) = delete;
  ~asking() {
    if (thread_.joinable()) thread_.join();
  }

  /// Waits for the end of the call.
  answer const& got() {
    if (thread_.joinable()) thread_.join();
    return answer_;
  }

 private:
  answer answer_;
  std::thread thread_;
};

/// Waits until `n` callers have joined computations that others run.
template <class Cache>
void await_joined(Cache const& cache, std::size_t n) {
  await([&] { return cache.stats().coalesced >= n; });
}

}  // namespace tideover_test

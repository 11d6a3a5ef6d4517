// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <barrier>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace bench {

/// Threads that run one job together, each its part, all starting at once. The calling thread is one of them.
class crew {
 public:
  using job = std::function<void(std::size_t)>;

  explicit crew(std::size_t threads)
      : start_(static_cast<std::ptrdiff_t>(threads)), end_(static_cast<std::ptrdiff_t>(threads)) {
    for (std::size_t t = 1; t < threads; ++t) helpers_.emplace_back([this, t] { work(t); });
  }
  crew(crew const&) = delete;
  crew& operator=(crew const&) = delete;
  ~crew() {
    job_ = nullptr;
    start_.arrive_and_wait();
    for (auto& helper : helpers_) helper.join();
  }

  std::size_t size() const { return 1 + helpers_.size(); }

  /// Calls `part(t)` on each thread t and returns when all are done.
  void run(job const& part) {
    job_ = &part;
    start_.arrive_and_wait();
    part(0);
    end_.arrive_and_wait();
  }

 private:
  void work(std::size_t t) {
    for (;;) {
      start_.arrive_and_wait();
      if (job_ == nullptr) return;
      (*job_)(t);
      end_.arrive_and_wait();
    }
  }

  std::barrier<> start_;
  std::barrier<> end_;
  job const* job_ = nullptr;  // written before the start barrier, read after it
  std::vector<std::thread> helpers_;
};

}  // namespace bench

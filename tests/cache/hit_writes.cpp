// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/config.hpp>
#include <tideover/policy/allocator.hpp>
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/eviction/w_tinylfu.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/ttl_cache.hpp>

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

// A hit writes no cache line that another thread's hit of the same key writes. All that the cache has lies on
// pages of its own, which are made read-only: each write to them faults, is noted and let through. Then the
// lines that hits of two threads have written are compared. The sanitizers have the signals for themselves.

namespace {

constexpr std::size_t page = 4096;

struct region {
  std::uintptr_t begin = 0;
  std::size_t size = 0;
};

/// All pages of the cache under test; plain arrays, since a signal handler walks over them.
struct memory {
  std::array<region, 256> regions{};
  std::size_t count = 0;
  std::array<std::uintptr_t, 4096> writes{};
  std::size_t written = 0;
  std::uintptr_t open = 0;  // the page that a write is being let through to
} ours;

void* new_pages(std::size_t bytes) {
  std::size_t const size = (bytes + page - 1) / page * page;
  void* const p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED || ours.count == ours.regions.size()) std::abort();
  ours.regions[ours.count++] = {reinterpret_cast<std::uintptr_t>(p), size};
  return p;
}
void delete_pages(void* p) noexcept {
  auto const address = reinterpret_cast<std::uintptr_t>(p);
  for (std::size_t i = 0; i != ours.count; ++i) {
    if (ours.regions[i].begin != address) continue;
    munmap(p, ours.regions[i].size);
    ours.regions[i] = ours.regions[--ours.count];
    return;
  }
  std::abort();
}

template <class T>
struct paged {
  using value_type = T;
  paged() = default;
  template <class U>
  paged(paged<U> const&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(new_pages(n * sizeof(T))); }
  void deallocate(T* p, std::size_t) noexcept { delete_pages(p); }
  template <class U>
  bool operator==(paged<U> const&) const noexcept {
    return true;
  }
};

#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
constexpr bool can_watch = true;
constexpr long long single_step = 0x100;  // the processor stops after one instruction

bool is_ours(std::uintptr_t address) noexcept {
  for (std::size_t i = 0; i != ours.count; ++i) {
    if (address >= ours.regions[i].begin && address - ours.regions[i].begin < ours.regions[i].size)
      return true;
  }
  return false;
}
void note(int, siginfo_t* info, void* context) noexcept {
  auto const address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (!is_ours(address)) {
    std::signal(SIGSEGV, SIG_DFL);  // a crash of the test's own
    return;
  }
  if (ours.written != ours.writes.size()) ours.writes[ours.written++] = address;
  ours.open = address / page * page;
  mprotect(reinterpret_cast<void*>(ours.open), page, PROT_READ | PROT_WRITE);
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= single_step;
}
void close_again(int, siginfo_t*, void* context) noexcept {
  mprotect(reinterpret_cast<void*>(ours.open), page, PROT_READ);
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~single_step;
}

class watching {
 public:
  watching() {
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = note;
    sigaction(SIGSEGV, &action, &segv_);
    action.sa_sigaction = close_again;
    sigaction(SIGTRAP, &action, &trap_);
    ours.written = 0;
    protect(PROT_READ);
  }
  ~watching() {
    protect(PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &segv_, nullptr);
    sigaction(SIGTRAP, &trap_, nullptr);
  }
  watching(watching const&) = delete;
  watching& operator=(watching const&) = delete;

 private:
  static void protect(int how) {
    for (std::size_t i = 0; i != ours.count; ++i) {
      mprotect(reinterpret_cast<void*>(ours.regions[i].begin), ours.regions[i].size, how);
    }
  }
  struct sigaction segv_ {
  }, trap_{};
};
#else
constexpr bool can_watch = false;
struct watching {
  watching() {}
};
#endif

using lines = std::set<std::uintptr_t>;

/// The lines that `f()` writes in a thread that has done the same before.
template <class F>
lines written_by(F f) {
  lines all;
  std::thread([&] {
    f();
    watching const now;
    f();
  }).join();
  for (std::size_t i = 0; i != ours.written; ++i) all.insert(ours.writes[i] / tideover::cache_line);
  return all;
}

lines both(lines const& a, lines const& b) {
  lines common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(common, common.end()));
  return common;
}

template <class... Policies>
using cache_of =
    tideover::ttl_cache<int, std::string, tideover::allocate_with<paged<std::byte>>, Policies...>;

/// A cache on pages of its own, object and all, with ten keys that have been used some times. The seeds are
/// such that none of them is in the sample of `steered`: a key of the sample is recorded now and then.
template <class Cache>
class on_pages {
 public:
  on_pages()
      : cache_(::new (new_pages(sizeof(Cache))) Cache({.capacity = 1000, .ttl = std::chrono::hours(1)},
                                                      tideover::seeded_hash(1), tideover::xoshiro(1))) {
    for (int key = 0; key != 10; ++key) cache_->put(key, "short");
    for (int i = 0; i != 10; ++i) {
      for (int key = 0; key != 10; ++key) cache_->get(key);
    }
  }
  ~on_pages() {
    std::destroy_at(cache_);
    delete_pages(cache_);
  }
  on_pages(on_pages const&) = delete;
  on_pages& operator=(on_pages const&) = delete;
  Cache* operator->() { return cache_; }

 private:
  Cache* cache_;
};

/// The lines that two threads' hits of the same keys both write, by each way to hit.
template <class Cache>
std::vector<std::size_t> shared_lines(on_pages<Cache>& cache, std::size_t& written) {
  std::size_t found = 0;
  auto const compute = [] { return std::string("computed"); };
  auto const compare = [&](auto hit) {
    auto const all = [&] {
      for (int key = 0; key != 10; ++key) hit(key);
    };
    // The first thread stays, so that the second has places of its own.
    lines first, second;
    std::thread([&] {
      all();
      second = written_by(all);
      {
        watching const now;
        all();
      }
      for (std::size_t i = 0; i != ours.written; ++i) first.insert(ours.writes[i] / tideover::cache_line);
    }).join();
    written += first.size() + second.size();
    return both(first, second).size();
  };
  std::vector<std::size_t> shared{
      compare([&](int key) { found += cache->get(key).has_value(); }),
      compare([&](int key) { found += cache->visit(key, [](std::string const&) {}); }),
      compare([&](int key) { found += cache->get_or_compute(key, compute) == "short"; }),
      compare([&](int key) {
        cache->visit_or_compute(key, compute, [&](std::string const& s) { found += s == "short"; });
      }),
      compare([&](int key) { found += cache->peek(key).has_value(); }),
      compare([&](int key) { found += cache->contains(key); }),
  };
  CHECK(found == shared.size() * 4 * 10);
  return shared;
}

}  // namespace

TEMPLATE_TEST_CASE("C9: a hit writes no cache line that another thread's hit of the same key writes",
                   "[hits]", cache_of<tideover::steered>, cache_of<tideover::w_tinylfu>,
                   cache_of<tideover::s3_fifo>, cache_of<tideover::sieve>, cache_of<tideover::fifo>,
                   (cache_of<tideover::steered, tideover::sharded<16, std::mutex>>)) {
  on_pages<TestType> cache;
  std::size_t written = 0;
  CHECK(shared_lines(cache, written) == std::vector<std::size_t>(6, 0));
  // Counters are written by four of the ways, on one line of each thread.
  CHECK(written == (can_watch ? 4u * 2u : 0u));
}

TEMPLATE_TEST_CASE("C9: and where hits take the lock the same test sees it", "[hits]",
                   cache_of<tideover::lru>, cache_of<tideover::after_access>, cache_of<tideover::one_mutex>) {
  on_pages<TestType> cache;
  std::size_t written = 0;
  for (std::size_t const shared : shared_lines(cache, written)) {
    CHECK((shared != 0) == can_watch);
  }
}

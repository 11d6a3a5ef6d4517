// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

/// Replaces the global allocation functions of the executable; include it in exactly one translation unit.
/// They count (`allocation_counter`) and are fail points (`fail_at_every_point`).
///
/// With glibc malloc is counted as well, and `operator new` comes to it. The sanitizers bring a malloc of
/// their own that must stay; there only `operator new` counts.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TIDEOVER_TEST_OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TIDEOVER_TEST_OWN_MALLOC 0
#endif
#endif
#if !defined(TIDEOVER_TEST_OWN_MALLOC) && defined(__GLIBC__)
#define TIDEOVER_TEST_OWN_MALLOC 1
#endif

namespace tideover_test {

inline void count_allocation(std::size_t bytes) noexcept {
  ++allocated_here.allocations;
  allocated_here.bytes += bytes;
}

}  // namespace tideover_test

#if TIDEOVER_TEST_OWN_MALLOC
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) noexcept {
  tideover_test::count_allocation(bytes);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) noexcept {
  tideover_test::count_allocation(count * bytes);
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) noexcept {
  tideover_test::count_allocation(bytes);
  return __libc_realloc(old, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  tideover_test::count_allocation(bytes);
  return __libc_memalign(alignment, bytes);
}
}
#endif

namespace tideover_test {

inline void* hooked_allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (point_fails()) return nullptr;
#if !TIDEOVER_TEST_OWN_MALLOC
  count_allocation(bytes);
#endif
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return std::malloc(bytes == 0 ? 1 : bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

inline void* hooked_new(std::size_t bytes, std::size_t alignment) {
  void* const made = hooked_allocate(bytes, alignment);
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

inline constexpr std::size_t ordinary = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace tideover_test

// The array forms and the nothrow forms are ours as well: the library's own would forward to these, except
// under a sanitizer, which replaces each.
void* operator new(std::size_t n) { return tideover_test::hooked_new(n, tideover_test::ordinary); }
void* operator new[](std::size_t n) { return tideover_test::hooked_new(n, tideover_test::ordinary); }
void* operator new(std::size_t n, std::align_val_t a) { return tideover_test::hooked_new(n, std::size_t(a)); }
void* operator new[](std::size_t n, std::align_val_t a) {
  return tideover_test::hooked_new(n, std::size_t(a));
}
void* operator new(std::size_t n, std::nothrow_t const&) noexcept {
  return tideover_test::hooked_allocate(n, tideover_test::ordinary);
}
void* operator new[](std::size_t n, std::nothrow_t const&) noexcept {
  return tideover_test::hooked_allocate(n, tideover_test::ordinary);
}
void* operator new(std::size_t n, std::align_val_t a, std::nothrow_t const&) noexcept {
  return tideover_test::hooked_allocate(n, std::size_t(a));
}
void* operator new[](std::size_t n, std::align_val_t a, std::nothrow_t const&) noexcept {
  return tideover_test::hooked_allocate(n, std::size_t(a));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::nothrow_t const&) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::nothrow_t const&) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t, std::nothrow_t const&) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete[](void* p, std::align_val_t, std::nothrow_t const&) noexcept {
  std::free(p);
}

// SPDX-License-Identifier: BSL-1.0
// expect: tideover: fancy pointers are not supported
#include <tideover/ttl_cache.hpp>

#include <boost/interprocess/offset_ptr.hpp>

#include <cstddef>

// An allocator whose pointer is no plain one, as those for shared memory have it.
template <class T>
struct shared_memory {
  using value_type = T;
  using pointer = boost::interprocess::offset_ptr<T>;
  shared_memory() = default;
  template <class U>
  shared_memory(shared_memory<U> const&) {}
  pointer allocate(std::size_t n);
  void deallocate(pointer p, std::size_t n);
};

tideover::ttl_cache<int, int, tideover::allocate_with<shared_memory<std::byte>>> cache({});

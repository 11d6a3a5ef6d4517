// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

/// The allocator axis: where a component's memory comes from.
namespace tideover::inline v0 {

/// Wraps an allocator of the standard kind: `allocator()` is rebound to what the component allocates.
template <class A>
concept allocator_policy = policy<A> && std::same_as<typename A::policy_axis, axis::allocator> &&
    requires(A const& a) {
  typename std::allocator_traits<typename A::allocator_type>::value_type;
  { a.allocator() } -> std::convertible_to<typename A::allocator_type>;
};

/// The component's memory comes from `Allocator`, rebound as needed. Its pointers must be plain ones. The
/// values' own memory is the values' business: it is not handed on to them.
template <class Allocator>
class allocate_with {
 public:
  using policy_axis = axis::allocator;
  using allocator_type = Allocator;

  allocate_with() requires std::is_default_constructible_v<Allocator>
  = default;
  explicit allocate_with(Allocator a) : allocator_(std::move(a)) {}
  Allocator const& allocator() const noexcept { return allocator_; }

 private:
  [[no_unique_address]] Allocator allocator_{};
};

/// operator new and delete.
using std_allocator = allocate_with<std::allocator<std::byte>>;

}  // namespace tideover::inline v0

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/cached.hpp>
#include <tideover/guarded_cache_options.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/stampede_guard.hpp>
#include <tideover/ttl_cache.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// The axes of `guarded_cache`: those of its cache and those of its guard, but for expiry and negative, which
/// are the guard's affair.
using guarded_cache_axes =
    axes<axis::eviction, axis::locking, axis::clock, axis::hashing, axis::weigher, axis::listener,
         axis::allocator, axis::rng, axis::early_refresh, axis::executor, axis::backoff, axis::retryable>;

namespace detail {

/// The cache and the guard that a list of policies comes to.
template <class Key, class T, class... P>
struct guarded_parts {
  static_assert(guarded_cache_axes::accept<P...>);
  using store_type =
      ttl_cache<Key, cached<T>, policy_for<axis::eviction, steered, P...>,
                policy_for<axis::locking, sharded<>, P...>, policy_for<axis::clock, coarse, P...>,
                policy_for<axis::hashing, seeded_hash, P...>, policy_for<axis::weigher, count, P...>,
                policy_for<axis::listener, silent, P...>, policy_for<axis::allocator, std_allocator, P...>,
                policy_for<axis::rng, xoshiro, P...>>;
  using guard_type =
      stampede_guard<store_type, policy_for<axis::early_refresh, xfetch, P...>,
                     policy_for<axis::executor, inline_refresh, P...>,
                     policy_for<axis::backoff, exponential_backoff, P...>,
                     policy_for<axis::retryable, every_failure, P...>,
                     policy_for<axis::locking, sharded<>, P...>, policy_for<axis::clock, coarse, P...>,
                     policy_for<axis::hashing, seeded_hash, P...>, policy_for<axis::rng, xoshiro, P...>>;
};

/// A tuple of `object` if that is of one of the types, else an empty one.
template <class... Wanted, class P>
auto if_one_of(P& object) {
  if constexpr (is_one_of<P, Wanted...>) {
    return std::tuple<P&>(object);
  } else {
    return std::tuple<>();
  }
}

}  // namespace detail

/// A `ttl_cache` behind a `stampede_guard`, the common case in one name: bounded, shared by threads, values
/// refreshed before they expire, computed once, served stale while that is refreshed or fails.
///
///     tideover::guarded_cache<std::string, page> pages({.capacity = 10'000, .ttl = 60s, .stale_if_error =
///     5min}); page p = pages.get_or_compute("/", [](auto const& key) { return render(key); });
///
/// The verbs are the guard's; `store()` is the cache. Policies of both, in any order after Key and T; objects
/// of those with state are passed after the options. A weigher and a listener are given `cached<T>`.
template <class Key, class T, class... Policies>
class guarded_cache : public detail::guarded_parts<Key, T, Policies...>::guard_type {
  using parts = detail::guarded_parts<Key, T, Policies...>;
  using guard = typename parts::guard_type;
  using cache = typename parts::store_type;

 public:
  using options = guarded_cache_options;

  /// Throws `error` (errc::invalid_argument) naming field, value and bounds.
  template <class... P>
    requires(detail::is_one_of<P, typename cache::eviction_type, typename cache::locking_type,
                               typename cache::clock_type, typename cache::hashing_type,
                               typename cache::weigher_type, typename cache::listener_type,
                               typename cache::allocator_policy_type, typename cache::rng_type,
                               typename guard::early_refresh_type, typename guard::executor_type,
                               typename guard::backoff_type, typename guard::retryable_type>&&...)
  explicit guarded_cache(options o, P&&... policies)
      : guarded_cache(
            made_of{}, (check(o), o), detail::take_policy<typename guard::clock_type>(policies...),
            std::tuple_cat(
                detail::if_one_of<typename cache::eviction_type, typename cache::locking_type,
                                  typename cache::hashing_type, typename cache::weigher_type,
                                  typename cache::listener_type, typename cache::allocator_policy_type,
                                  typename cache::rng_type>(policies)...),
            std::tuple_cat(
                detail::if_one_of<typename guard::early_refresh_type, typename guard::executor_type,
                                  typename guard::backoff_type, typename guard::retryable_type,
                                  typename guard::locking_type, typename guard::hashing_type,
                                  typename guard::rng_type>(policies)...)) {}

  /// Throws what the constructor would.
  static void check(options const& o) {
    cache::check(o.of_cache(), "guarded_cache_options");
    guard::check(o.of_guard(), "guarded_cache_options");
  }

 private:
  struct made_of {};
  /// One clock for both, also if nobody gave one.
  template <class... OfCache, class... OfGuard>
  guarded_cache(made_of, options const& o, typename guard::clock_type const& time,
                std::tuple<OfCache&...> of_cache, std::tuple<OfGuard&...> of_guard)
      : guarded_cache(made_of{}, o, time, of_cache, of_guard, std::index_sequence_for<OfGuard...>()) {}
  template <class OfCache, class OfGuard, std::size_t... I>
  guarded_cache(made_of, options const& o, typename guard::clock_type const& time, OfCache of_cache,
                [[maybe_unused]] OfGuard of_guard, std::index_sequence<I...>)
      : guard(
            [&] {
              return std::apply([&](auto&... objects) { return cache(o.of_cache(), time, objects...); },
                                of_cache);
            },
            o.of_guard(), time, std::get<I>(of_guard)...) {}
};

}  // namespace tideover::inline v0

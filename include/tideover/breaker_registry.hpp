// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/breaker_registry_options.hpp>
#include <tideover/circuit_breaker.hpp>
#include <tideover/circuit_breaker_options.hpp>
#include <tideover/config.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// A breaker for each key, one host's troubles being no other's: made when first asked for, bounded in
/// number, forgotten when idle.
///
///     tideover::breaker_registry<std::string> hosts(tideover::presets::breaker::external_api);
///     reply r = hosts.call(url.host(), [&] { return get(url); });
///     for_people(hosts.at(url.host())->stats());
///
/// Policies are those of `circuit_breaker`; each breaker gets copies of the objects that were passed. A
/// breaker is named by its key, if that reads as text.
/// What was handed out (`at`, permits, calls under way) goes on with a breaker that has been forgotten
/// meanwhile; the next one to ask gets a new one, closed. So `capacity` should hold the keys in use.
///
/// Threads: all members may be called at once, but with `single_threaded`. Cost: one look into a `ttl_cache`
/// and two atomic additions more than the breaker's own. Throws: what making a breaker throws, then nothing
/// has changed; and what the breaker's calls do.
template <class Key, class... Policies>
class breaker_registry {
 public:
  using key_type = Key;
  using breaker_type = shared_breaker<Policies...>;
  using clock_type = typename breaker_type::breaker_type::clock_type;
  using locking_type = typename breaker_type::breaker_type::locking_type;
  using options = breaker_registry_options;

  /// All breakers with the same options, and copies of the policy objects. Throws `error`
  /// (errc::invalid_argument) as they would.
  template <class... P>
    requires std::constructible_from<breaker_type, breaker_options, P const&...>
  explicit breaker_registry(breaker_options each, options o, P const&... policies)
      : breaker_registry([each](Key const&) { return each; }, o, policies...) {
    static_cast<void>(breaker_type(each, policies...));  // a bad option is found here, not at the first call
  }
  template <class... P>
    requires std::constructible_from<breaker_type, breaker_options, P const&...>
  explicit breaker_registry(breaker_options each, P const&... policies)
      : breaker_registry(each, options{}, policies...) {}

  /// `each(key)` gives the options of a breaker when it is made; it runs without a lock, once for each.
  template <class F, class... P>
    requires(std::is_invocable_r_v<breaker_options, F const&, Key const&>&&
                 std::constructible_from<breaker_type, breaker_options, P const&...>)
  explicit breaker_registry(F each, options o, P const&... policies)
      : breakers_({.capacity = (check(o), o.capacity), .ttl = o.idle_ttl}, clock_among(policies...)),
        make_([each, policies...](Key const& key) {
          breaker_options own = each(key);
          if constexpr (std::is_convertible_v<Key const&, std::string_view>) {
            own.name = std::string_view(key);
          }
          return breaker_type(own, policies...);
        }) {}

  /// The key's breaker; counts as a use of it.
  template <class K = Key>
  breaker_type at(K&& key) {
#if TIDEOVER_EXCEPTIONS
    return breakers_.get_or_compute(std::forward<K>(key), make_);
#else
    return *breakers_.try_get_or_compute(std::forward<K>(key), make_);
#endif
  }

#if TIDEOVER_EXCEPTIONS
  template <class K, class F, class... More>
  auto call(K&& key, F&& f, More&&... more)
      -> decltype(std::declval<breaker_type const&>().call(std::forward<F>(f), std::forward<More>(more)...)) {
    return at(std::forward<K>(key)).call(std::forward<F>(f), std::forward<More>(more)...);
  }
#endif
  template <class K, class F, class... More>
  auto try_call(K&& key, F&& f, More&&... more)
      -> decltype(std::declval<breaker_type const&>().try_call(std::forward<F>(f),
                                                               std::forward<More>(more)...)) {
    return at(std::forward<K>(key)).try_call(std::forward<F>(f), std::forward<More>(more)...);
  }

  /// Forgets the key's breaker; false if there was none.
  template <class K = Key>
  bool erase(K const& key) {
    return breakers_.erase(key);
  }
  /// `f(key, breaker)` for each; no use of it.
  template <class F>
    requires std::invocable<F&, Key const&, breaker_type const&>
  void for_each(F f) { breakers_.for_each(std::move(f)); }
  /// Frees those that were idle too long; returns how many. They are forgotten without it, too.
  std::size_t maintain() { return breakers_.maintain(); }
  std::size_t size() const { return breakers_.size(); }
  clock_type const& clock() const noexcept { return breakers_.clock(); }

 private:
  static void check(options const& o) {
    if (o.capacity < 1 || o.capacity > 4'000'000'000u) {
      detail::raise_out_of_bounds("breaker_registry_options.capacity", std::to_string(o.capacity),
                                  "between 1 and 4000000000");
    }
    if (o.idle_ttl <= std::chrono::nanoseconds(0)) {
      detail::raise_out_of_bounds("breaker_registry_options.idle_ttl",
                                  std::to_string(o.idle_ttl.count()).append(" ns"), "above 0 ns");
    }
  }
  template <class... P>
  static clock_type clock_among(P const&... policies) {
    return detail::take_policy<clock_type>(policies...);
  }

  ttl_cache<Key, breaker_type, after_access, lru, locking_type, clock_type> breakers_;
  std::function<breaker_type(Key const&)> make_;
};

}  // namespace tideover::inline v0

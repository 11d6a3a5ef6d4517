// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <type_traits>

/// How policies compose. A component takes an order-free list of policies after its own parameters:
///
///     using sessions = tideover::ttl_cache<std::string, session, tideover::lru, tideover::sharded<64>>;
///
/// A policy is a class that names its axis (`using policy_axis = tideover::axis::clock;`); what is not named
/// has the component's default. A bundle gives a set of policies a name and may carry axes that a component
/// does not have, so that one bundle serves cache, pool and breaker:
///
///     struct house : tideover::bundle<tideover::lru, tideover::steady> {};
///
/// Rules: a policy given directly beats one in a bundle, which beats the default. Two different policies for
/// one axis, given directly or by bundles, are an error, and so is a type that is no policy or that the
/// component has no axis for. A bundle may hold bundles; the inner ones count as written out.
/// This header includes <type_traits> and nothing else, and costs next to nothing to include.
namespace tideover::inline v0 {

/// The axes of the library's own policies: tags, never defined. A component of yours may add its own.
namespace axis {
struct accounting;
struct affinity;
struct allocator;
struct backoff;
struct batch_size;
struct bounds;
struct classifier;
struct clock;
struct deduplication;
struct digest;
struct early_refresh;
struct eviction;
struct executor;
struct expiry;
struct factory_guard;
struct hashing;
struct idle_order;
struct idle_sharing;
struct journal;
struct late_sink;
struct listener;
struct locking;
struct measure;
struct negative;
struct normalization;
struct open_duration;
struct ordering;
struct overflow;
struct oversize;
struct poison;
struct recovery;
struct retry;
struct retryable;
struct rng;
struct sealing;
struct store;
struct tagging;
struct trip;
struct validation;
struct waiters;
struct weigher;
}  // namespace axis

/// A policy says which axis it serves.
template <class P>
concept policy = requires {
  typename P::policy_axis;
};

/// A bundle says which policies it groups: it derives from `bundle<...>`.
template <class B>
concept policy_bundle = requires {
  typename B::policy_list;
};

/// A named group of policies, and of other bundles.
template <class... P>
  requires((policy<P> || policy_bundle<P>)&&...)
struct bundle {
  using policy_list = bundle;
};

namespace detail {

/// What a search of a list for one axis found: nothing, one type, or two that disagree.
struct nothing_found;
struct conflict_found;

template <class A, class B>
struct same_finding {
  using type = conflict_found;
};
template <class A>
struct same_finding<A, A> {
  using type = A;
};
template <class A>
struct same_finding<A, nothing_found> {
  using type = A;
};
template <class B>
struct same_finding<nothing_found, B> {
  using type = B;
};
template <>
struct same_finding<nothing_found, nothing_found> {
  using type = nothing_found;
};

template <class Axis, class P>
struct serves : std::false_type {};
template <class Axis, policy P>
struct serves<Axis, P> : std::is_same<Axis, typename P::policy_axis> {};

/// The policies of `P...` that stand in the list itself.
template <class Axis, class... P>
struct find_direct {
  using type = nothing_found;
};
template <class Axis, class P, class... Rest>
struct find_direct<Axis, P, Rest...>
    : same_finding<std::conditional_t<serves<Axis, P>::value, P, nothing_found>,
                   typename find_direct<Axis, Rest...>::type> {};

/// The policies that the bundles of `P...` carry, at any depth.
template <class Axis, class... P>
struct find_bundled {
  using type = nothing_found;
};
template <class Axis, class List>
struct find_in_list;
template <class Axis, class... P>
struct find_in_list<Axis, bundle<P...>>
    : same_finding<typename find_direct<Axis, P...>::type, typename find_bundled<Axis, P...>::type> {};
template <class Axis, class P, class... Rest>
struct find_bundled<Axis, P, Rest...> : find_bundled<Axis, Rest...> {};
template <class Axis, policy_bundle B, class... Rest>
struct find_bundled<Axis, B, Rest...>
    : same_finding<typename find_in_list<Axis, typename B::policy_list>::type,
                   typename find_bundled<Axis, Rest...>::type> {};

template <class Direct, class Bundled, class Default>
struct chosen {
  using type = Direct;
};
template <class Bundled, class Default>
struct chosen<nothing_found, Bundled, Default> {
  using type = Bundled;
};
template <class Default>
struct chosen<nothing_found, nothing_found, Default> {
  using type = Default;
};

template <class P, class... Axes>
struct placed {
  static constexpr bool is_policy = policy<P> || policy_bundle<P>;
  static_assert(is_policy, "tideover: this template argument is not a policy (no `policy_axis` member)");
  static constexpr bool known = (serves<Axes, P>::value || ...) || policy_bundle<P> || !is_policy;
  static_assert(known, "tideover: this component has no axis for this policy");
  static constexpr bool ok = true;  // it has been said above: once is enough
};

template <class Axis, class... P>
struct named_once {
  static constexpr bool direct = (int{serves<Axis, P>::value} + ... + 0) <= 1;
  static_assert(direct, "tideover: two policies were given for one axis");
  static constexpr bool overruled = (serves<Axis, P>::value || ...);
  static constexpr bool bundled =
      overruled || !std::is_same_v<typename find_bundled<Axis, P...>::type, conflict_found>;
  static_assert(bundled, "tideover: two bundles disagree on one axis (name the policy directly to decide)");
  static constexpr bool ok = true;
};

}  // namespace detail

/// The policy for `Axis`: one given directly, else one that a bundle carries, else `Default`.
template <class Axis, class Default, class... P>
using policy_for = typename detail::chosen<typename detail::find_direct<Axis, P...>::type,
                                           typename detail::find_bundled<Axis, P...>::type, Default>::type;

/// The axes of a component. `axes<...>::accept<P...>` is true, or stops the compiler with one line that says
/// what is wrong with the list.
template <class... Axes>
struct axes {
  template <class... P>
  static constexpr bool accept = (detail::placed<P, Axes...>::ok && ...) &&
                                 (detail::named_once<Axes, P...>::ok && ...);
};

namespace detail {

/// Picks from constructor arguments the one whose type is `P`, or makes `P` by default.
template <class P>
constexpr P take_policy() {
  static_assert(std::is_default_constructible_v<P>,
                "tideover: this policy has no default; pass an object of it to the constructor");
  return P();
}
template <class P, class First, class... Rest>
constexpr P take_policy(First&& first, Rest&&... rest) {
  if constexpr (std::is_same_v<P, std::remove_cvref_t<First>>) {
    static_assert(!(std::is_same_v<P, std::remove_cvref_t<Rest>> || ...),
                  "tideover: two objects of one policy were passed to the constructor");
    return static_cast<First&&>(first);
  } else {
    return take_policy<P>(static_cast<Rest&&>(rest)...);
  }
}

/// Whether each constructor argument is an object of one of the component's chosen policies.
template <class Given, class... Chosen>
inline constexpr bool is_one_of = (std::is_same_v<std::remove_cvref_t<Given>, Chosen> || ...);

}  // namespace detail

}  // namespace tideover::inline v0

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The retry axis: whether what failed is tried again; the poison axis: whether a failed batch is searched
/// for the item to blame; the late_sink axis: what becomes of a sink that is still running when the time of a
/// shutdown is up.
namespace tideover::inline v0 {

template <class R>
concept retry_policy = policy<R> && std::same_as<typename R::policy_axis, axis::retry> && requires {
  { R::retries } -> std::convertible_to<bool>;
};

/// Each item is given to the sink once.
struct no_retry {
  using policy_axis = axis::retry;
  static constexpr bool retries = false;
};
/// The items that failed, and only these, are given to the sink again, if the retryable policy says that it
/// may help, after the delay of the backoff policy, up to `max_attempts` times in all.
struct retry_items {
  using policy_axis = axis::retry;
  static constexpr bool retries = true;
};

template <class P>
concept poison_policy = policy<P> && std::same_as<typename P::policy_axis, axis::poison> && requires {
  { P::bisects } -> std::convertible_to<bool>;
};

/// When the sink throws, every item of that call has failed.
struct fail_batch {
  using policy_axis = axis::poison;
  static constexpr bool bisects = false;
};
/// When the sink throws, its items are given to it again in two halves, and so on: n items take at most
/// 2n - 1 calls, the good ones are delivered. For sinks that take all or nothing.
struct bisect {
  using policy_axis = axis::poison;
  static constexpr bool bisects = true;
};

template <class L>
concept late_sink_policy = policy<L> && std::same_as<typename L::policy_axis, axis::late_sink> && requires {
  { L::detaches } -> std::convertible_to<bool>;
};

/// It is waited for: it may hold references.
struct wait_for_sink {
  using policy_axis = axis::late_sink;
  static constexpr bool detaches = false;
};
/// It is left behind with all it was given, and nobody hears its answer. It may refer to nothing that ends
/// with the batch processor's owner.
struct detach_sink {
  using policy_axis = axis::late_sink;
  static constexpr bool detaches = true;
};

}  // namespace tideover::inline v0

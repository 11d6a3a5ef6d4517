// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/batch_processor_options.hpp>
#include <tideover/config.hpp>
#include <tideover/detail/batch/block.hpp>
#include <tideover/detail/batch/machine.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/batch_size.hpp>
#include <tideover/policy/bounds.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/journal.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/measure.hpp>
#include <tideover/policy/ordering.hpp>
#include <tideover/policy/overflow.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/retry.hpp>
#include <tideover/policy/retryable.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/policy/sealing.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

/// What a batch processor is made of, and whether its options are sound.
namespace tideover::inline v0::detail {

template <class Policy, class Item, bool Used>
struct batch_key {
  using type = no_batch_key;
};
template <class Policy, class Item>
struct batch_key<Policy, Item, true> {
  using type = std::remove_cvref_t<std::invoke_result_t<Policy const&, Item const&>>;
};

template <class K>
inline constexpr bool is_batch_key = std::regular<K>&& std::is_default_constructible_v<std::hash<K>>;

/// The types and choices of one batch processor, for its machine and shell.
template <class Item, class... Policies>
struct batch_types {
  using item_type = Item;
  using sealing_type = policy_for<axis::sealing, lingering, Policies...>;
  using size_policy = policy_for<axis::batch_size, fixed_size, Policies...>;
  using bounds_type = policy_for<axis::bounds, exact_bounds, Policies...>;
  using overflow_type = policy_for<axis::overflow, block, Policies...>;
  using oversize_type = policy_for<axis::oversize, oversize_rejected, Policies...>;
  using ordering_type = policy_for<axis::ordering, unordered, Policies...>;
  using dedupe_type = policy_for<axis::deduplication, keep_duplicates, Policies...>;
  using retry_type = policy_for<axis::retry, no_retry, Policies...>;
  using retryable_type = policy_for<axis::retryable, every_failure, Policies...>;
  using backoff_type = policy_for<axis::backoff, exponential_backoff, Policies...>;
  using poison_type = policy_for<axis::poison, fail_batch, Policies...>;
  using late_sink_type = policy_for<axis::late_sink, wait_for_sink, Policies...>;
  using measure_type = policy_for<axis::measure, own_bytes, Policies...>;
  using journal_type = policy_for<axis::journal, no_journal, Policies...>;
  using clock_type = policy_for<axis::clock, steady, Policies...>;
  using runner_type = policy_for<axis::executor, owned_threads, Policies...>;
  using rng_type = policy_for<axis::rng, xoshiro, Policies...>;
  using listener_type = policy_for<axis::listener, silent, Policies...>;

  static_assert(sealing_policy<sealing_type>,
                "tideover::batch_processor: see tideover::sealing_policy in <tideover/policy/sealing.hpp>");
  static_assert(
      batch_size_policy<size_policy>,
      "tideover::batch_processor: see tideover::batch_size_policy in <tideover/policy/batch_size.hpp>");
  static_assert(bounds_policy<bounds_type>,
                "tideover::batch_processor: see tideover::bounds_policy in <tideover/policy/bounds.hpp>");
  static_assert(overflow_policy<overflow_type>,
                "tideover::batch_processor: see tideover::overflow_policy in <tideover/policy/overflow.hpp>");
  static_assert(oversize_policy<oversize_type>,
                "tideover::batch_processor: see tideover::oversize_policy in <tideover/policy/overflow.hpp>");
  static_assert(ordering_policy<ordering_type, Item>,
                "tideover::batch_processor: see tideover::ordering_policy in <tideover/policy/ordering.hpp>");
  static_assert(
      deduplication_policy<dedupe_type>,
      "tideover::batch_processor: see tideover::deduplication_policy in <tideover/policy/ordering.hpp>");
  static_assert(retry_policy<retry_type>,
                "tideover::batch_processor: see tideover::retry_policy in <tideover/policy/retry.hpp>");
  static_assert(
      retryable_policy<retryable_type>,
      "tideover::batch_processor: see tideover::retryable_policy in <tideover/policy/retryable.hpp>");
  static_assert(backoff_policy<backoff_type>,
                "tideover::batch_processor: see tideover::backoff_policy in <tideover/policy/backoff.hpp>");
  static_assert(poison_policy<poison_type>,
                "tideover::batch_processor: see tideover::poison_policy in <tideover/policy/retry.hpp>");
  static_assert(late_sink_policy<late_sink_type>,
                "tideover::batch_processor: see tideover::late_sink_policy in <tideover/policy/retry.hpp>");
  static_assert(measure_policy<measure_type, Item>,
                "tideover::batch_processor: see tideover::measure_policy in <tideover/policy/measure.hpp>");
  static_assert(journal_policy<journal_type, Item>,
                "tideover::batch_processor: see tideover::journal_policy in <tideover/policy/journal.hpp>");
  static_assert(clock_policy<clock_type>,
                "tideover::batch_processor: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(executor<runner_type>,
                "tideover::batch_processor: see tideover::executor in <tideover/policy/executor.hpp>");
  static_assert(rng_policy<rng_type>,
                "tideover::batch_processor: see tideover::rng_policy in <tideover/policy/rng.hpp>");
  static_assert(
      batch_listener<listener_type>,
      "tideover::batch_processor: see tideover::batch_listener in <tideover/batch_processor_options.hpp>");

  static constexpr bool when_idle = sealing_type::when_idle;
  static constexpr when_full overflow = overflow_type::action;
  static constexpr bool alone = oversize_type::alone;
  static constexpr bool keyed = ordering_type::has_keys;
  static constexpr bool dedupes = dedupe_type::finds_equals;
  static constexpr bool retries = retry_type::retries;
  static constexpr bool bisects = poison_type::bisects;
  static constexpr bool detaches = late_sink_type::detaches;
  static constexpr bool journals = journal_type::keeps;
  /// All items have the same bytes.
  static constexpr bool even = measure_type::template always<Item> && std::is_same_v<measure_type, own_bytes>;
  static constexpr std::size_t even_bytes = sizeof(Item);
  static constexpr bool relaxed = !bounds_type::exact;

  using key_type = typename batch_key<ordering_type, Item, keyed>::type;
  using equality_key = typename batch_key<dedupe_type, Item, dedupes>::type;
  using entry_type = typename journal_type::entry_type;

  static_assert(
      !keyed || is_batch_key<key_type>,
      "tideover::keyed: what F(item) returns needs a default constructor, copies, operator== and std::hash");
  static_assert(!dedupes || is_batch_key<equality_key>,
                "tideover::dedupe_by: what F(item) returns needs a default constructor, copies, operator== "
                "and std::hash");
  static_assert(!(dedupes && journals),
                "tideover::batch_processor: a journal has one entry for each item, and dedupe_by makes one "
                "item of many; dedupe before the journal");
  static_assert(!(relaxed && keyed),
                "tideover::batch_processor: relaxed_bounds gives each thread batches of its own, keyed each "
                "key; choose one of them");
  static_assert(
      !(relaxed && dedupes),
      "tideover::batch_processor: relaxed_bounds gives each thread batches of its own, and dedupe_by "
      "looks for equal items in the open one; choose one of them");
  static_assert(!(relaxed && when_idle),
                "tideover::batch_processor: eager looks at what is under way at each add, and relaxed_bounds "
                "does not; choose one of them");
  static_assert(
      !(relaxed && overflow == when_full::drops_oldest),
      "tideover::batch_processor: relaxed_bounds does not know which item of several threads is the "
      "oldest; choose another overflow policy than drop_oldest");
  static_assert(!(relaxed && journals),
                "tideover::batch_processor: an add that writes a journal gains nothing by relaxed_bounds");
  static_assert(
      !relaxed || even,
      "tideover::batch_processor: relaxed_bounds counts items, not bytes: they must all have the same "
      "(own_bytes, and no string, vector or the like)");
  static_assert(std::is_trivially_copyable_v<entry_type>,
                "tideover::batch_processor: an entry of the journal is a number or the like");

  template <class... P>
  static constexpr bool accepts =
      (is_one_of<P, sealing_type, size_policy, bounds_type, overflow_type, oversize_type, ordering_type,
                 dedupe_type, retry_type, retryable_type, backoff_type, poison_type, late_sink_type,
                 measure_type, journal_type, clock_type, runner_type, rng_type, listener_type> &&
       ...);
};

TIDEOVER_COLD inline void check_batch_options(batch_options const& o) {
  using std::chrono::nanoseconds;
  auto const refuse = [](char const* field, std::string const& value, char const* bounds) {
    std::string name = "batch_options.";
    name += field;
    raise_out_of_bounds(name, value, bounds);
  };
  auto const number = [&](char const* field, std::size_t n, std::size_t least, std::size_t most,
                          char const* bounds) {
    if (n < least || n > most) refuse(field, std::to_string(n), bounds);
  };
  auto const time = [&](char const* field, nanoseconds d) {
    if (d < nanoseconds(0)) refuse(field, std::to_string(d.count()) += " ns", "0 ns or above");
  };
  constexpr std::size_t any = std::numeric_limits<std::size_t>::max();
  number("max_items", o.max_items, 1, 1'000'000, "between 1 and 1000000");
  number("max_bytes", o.max_bytes, 1, any, "1 or above");
  time("linger", o.linger);
  number("max_pending", o.max_pending, 1, any, "1 or above");
  number("max_in_flight", o.max_in_flight, 1, 1024, "between 1 and 1024");
  if (o.max_pending_bytes < o.max_bytes) {
    std::string bounds = "max_bytes, ";
    bounds += std::to_string(o.max_bytes);
    bounds += ", or above";
    refuse("max_pending_bytes", std::to_string(o.max_pending_bytes), bounds.c_str());
  }
  number("max_in_flight_bytes", o.max_in_flight_bytes, 1, any, "1 or above");
  time("max_block", o.max_block);
  time("item_timeout", o.item_timeout);
  number("max_attempts", o.max_attempts, 1, 1000, "between 1 and 1000");
  time("shutdown_timeout", o.shutdown_timeout);
}

inline failure batch_rejection(batch_answer a, failure why) {
  if (why.code) return why;
  switch (a) {
    case batch_answer::full:
      return {.code = errc::queue_full};
    case batch_answer::closed:
      return {.code = errc::closed};
    case batch_answer::too_large:
      return {.code = errc::too_large};
    case batch_answer::expired:
      return {.code = errc::expired};
    case batch_answer::cancelled:
      return {.code = errc::cancelled};
    case batch_answer::unwritten:
      return {.code = errc::journal_failed};
    case batch_answer::no_memory:
    case batch_answer::accepted:
    case batch_answer::again:
      break;
  }
  return {.code = errc::no_memory};
}

}  // namespace tideover::inline v0::detail

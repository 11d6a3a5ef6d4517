// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/deadline.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/result.hpp>

#include <boost/assert/source_location.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// What an operator tunes of a `connection_pool`. The constructor, `resize` and `reconfigure` throw
/// `error(errc::invalid_argument)`, naming field, value and bounds, for anything outside of them.
struct pool_options {
  /// For people: events show it. Copied.
  std::string_view name = {};
  /// So many are there even if nobody asks, 0 to `max_size`; made one after the other by the runner.
  std::size_t min_size = 0;
  /// So many may be idle; one that comes back to more is closed. `min_size` or more. Below `max_size` the
  /// rest is overflow for bursts, and while there is some each return takes the lock.
  std::size_t max_idle = 65'534;
  /// So many may there be, those under way included; 1 to 65,534.
  std::size_t max_size = 10;
  /// The deadline of `acquire`, over waiting, connecting and checking; 0 or more.
  std::chrono::nanoseconds acquire_timeout = std::chrono::seconds(5);
  /// What is idle for longer is closed at the next tick while there are more than `min_size`. 0: never.
  std::chrono::nanoseconds max_idle_time = std::chrono::seconds(300);
  /// Counted from its birth an object is lent for no longer than that, less the jitter. 0: for ever.
  std::chrono::nanoseconds max_lifetime = std::chrono::minutes(30);
  /// The share of `max_lifetime` of which a part, drawn for each object at its birth, is taken off, so that
  /// those born together do not die together. 0 to 1.
  double lifetime_jitter = 0.1;
  /// What is idle is checked so long after it was last seen to work, one after the other. 0: never.
  std::chrono::nanoseconds health_check_interval = std::chrono::nanoseconds(0);
  /// What was last seen to work longer ago than that is checked before it is lent. Negative: never.
  std::chrono::nanoseconds validate_after_idle = std::chrono::seconds(1);
  /// So many may be connecting at once, 1 or more.
  std::size_t max_connecting = 2;
  /// The deadline that the factory is given to connect, above 0. A caller's shortens it only if he connects
  /// on his own thread, for want of others.
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
  /// The deadline that a check is given, above 0; less if the caller for whom it is made has less left.
  std::chrono::nanoseconds check_timeout = std::chrono::seconds(1);
  /// So many may wait; who comes to more gets `errc::queue_full`.
  std::size_t max_waiters = 65'536;
  /// A lease held for longer is told to the listener as a leak, once. 0: never.
  std::chrono::nanoseconds leak_after = std::chrono::nanoseconds(0);
  /// Whether an object counts against `max_size` until it is destroyed: for servers that would refuse one
  /// more.
  bool count_closing = false;
  /// Whether those who wait go on doing so when a connect fails, for the next attempt. Else each failure ends
  /// the wait of the first one with `errc::factory_error`.
  bool wait_through_errors = true;

  friend bool operator==(pool_options const&, pool_options const&) = default;
};

/// What is documented for common back-ends; copy one and change a field.
namespace presets::pool {
/// 10 connections, 5 s to connect; checked each 30 s and before use when idle for a second, so that a stale
/// one is replaced before it is lent. Give its sockets `redis_socket_timeout`.
inline constexpr pool_options redis{.name = "redis",
                                    .max_size = 10,
                                    .acquire_timeout = std::chrono::seconds(5),
                                    .health_check_interval = std::chrono::seconds(30),
                                    .connect_timeout = std::chrono::seconds(5)};
inline constexpr std::chrono::nanoseconds redis_socket_timeout = std::chrono::seconds(5);
/// 100 connections, of which 20 are kept alive for 30 s. Give its sockets `http_read_timeout` and
/// `http_write_timeout`.
inline constexpr pool_options http{.name = "http",
                                   .max_idle = 20,
                                   .max_size = 100,
                                   .acquire_timeout = std::chrono::seconds(5),
                                   .max_idle_time = std::chrono::seconds(30),
                                   .connect_timeout = std::chrono::seconds(5)};
inline constexpr std::chrono::nanoseconds http_read_timeout = std::chrono::seconds(30);
inline constexpr std::chrono::nanoseconds http_write_timeout = std::chrono::seconds(10);
/// 20 connections, and 30 more in bursts.
inline constexpr pool_options database{.name = "database", .max_idle = 20, .max_size = 50};
/// 2 to 10 agents, made ahead, as many as the load wants, back to 2 after 300 s; checked each 60 s.
inline constexpr pool_options agents{.name = "agents",
                                     .min_size = 2,
                                     .max_size = 10,
                                     .max_idle_time = std::chrono::seconds(300),
                                     .health_check_interval = std::chrono::seconds(60)};
}  // namespace presets::pool

/// Why an object of a pool was closed.
enum class pool_close_reason : unsigned char {
  discarded,     ///< its user said that it is broken
  reset_failed,  ///< the factory could not put it in order
  check_failed,  ///< it did not pass its check
  suspect,       ///< another one did not
  lifetime,      ///< it had reached its end
  idle,          ///< nobody wanted it for long
  surplus,       ///< there were `max_idle` idle already
  shrunk,        ///< there are more than the new `max_size`
  invalidated,   ///< it is of an older generation
  evicted,       ///< it made room for another key of a `keyed_pool`
  pool_closed,
};

constexpr char const* to_string(pool_close_reason r) noexcept {
  constexpr char const* names[] = {"discarded",   "reset_failed", "check_failed", "suspect",
                                   "lifetime",    "idle",         "surplus",      "shrunk",
                                   "invalidated", "evicted",      "pool_closed"};
  auto const at = static_cast<std::size_t>(r);
  return at < sizeof names / sizeof *names ? names[at] : "unknown";
}

enum class pool_event_kind : unsigned char { created, closed, leak, recovered };

constexpr char const* to_string(pool_event_kind k) noexcept {
  constexpr char const* names[] = {"created", "closed", "leak", "recovered"};
  auto const at = static_cast<std::size_t>(k);
  return at < sizeof names / sizeof *names ? names[at] : "unknown";
}

/// What a listener is told.
struct pool_event {
  pool_event_kind kind = pool_event_kind::created;
  std::string_view pool = {};                               ///< its name; lives as long as the pool's leases
  std::uint64_t id = 0;                                     ///< of the object: 1 for the first that was made
  pool_close_reason reason = pool_close_reason::discarded;  ///< of `closed`
  /// Of `leak` and `recovered`: for how long it was held, who took it, and what it was tagged with.
  std::chrono::nanoseconds held{0};
  boost::source_location taken_at{};
  char const* tag = nullptr;
};

/// A pool's listener: told with no lock held, after the fact is visible, by the thread that brought it about;
/// so calls may come from many threads at once, and may call the pool. What it throws is swallowed and
/// counted
/// (`listener_failures`).
template <class L>
concept pool_listener = policy<L> && std::same_as<typename L::policy_axis, axis::listener> &&
    requires(L& l, pool_event const& event) {
  l.on_event(event);
};

/// What a pool holds at one instant, and what it has counted since it was made:
/// started = granted + timed_out + cancelled + closed + rejected + errored + waiting,
/// created - destroyed = idle + leased + checking + closing.
struct pool_stats {
  std::size_t idle = 0;
  std::size_t leased = 0;
  std::size_t opening = 0;
  std::size_t checking = 0;
  std::size_t closing = 0;  ///< with `count_closing`: taken out, and not destroyed yet
  std::size_t waiting = 0;
  std::uint64_t started = 0;    ///< calls that wanted an object, or several
  std::uint64_t granted = 0;    ///< of these, those that got what they wanted
  std::uint64_t timed_out = 0;  ///< deadline passed; for `try_acquire`: nothing was there
  std::uint64_t cancelled = 0;  ///< by their stop_token
  std::uint64_t closed = 0;     ///< the pool was closed
  std::uint64_t rejected = 0;   ///< too many waited already, or more objects were wanted than there may be
  std::uint64_t errored = 0;    ///< the factory failed, or a breaker stood before it
  std::uint64_t created = 0;
  std::uint64_t destroyed = 0;
  std::uint64_t open_failures = 0;      ///< attempts to connect that failed, or were not let through
  std::uint64_t check_failures = 0;     ///< checks that said no or threw
  std::uint64_t reset_failures = 0;     ///< resets that threw or said no
  std::uint64_t destroy_failures = 0;   ///< exceptions of the factory's `destroy`, swallowed
  std::uint64_t listener_failures = 0;  ///< exceptions of the listener, swallowed
  std::uint64_t leaks = 0;              ///< leases that were held for too long
  std::uint64_t generation = 0;         ///< how often it was invalidated

  std::size_t size() const noexcept { return idle + leased + opening + checking; }
};

namespace detail {

template <class R, class T>
inline constexpr bool makes_connection = std::same_as<R, T> || std::same_as<R, result<T>>;

/// Whether it is what the address of one function is. A name that is overloaded has none.
template <class P>
inline constexpr bool is_address_of_function = std::is_member_function_pointer_v<P> ||
                                               (std::is_pointer_v<P> &&
                                                std::is_function_v<std::remove_pointer_t<P>>);

/// An optional member of a factory that is there and cannot be called as the pool would call it: it would be
/// passed over without a word, and its author would believe it to work.
template <class F>
inline constexpr bool healthy_is_missed = requires {
  requires is_address_of_function<decltype(&F::healthy)>;
}
&&!requires(F & f, typename F::connection& c, deadline const& until) {
  static_cast<bool>(f.healthy(c, until));
};
template <class F>
inline constexpr bool reset_is_missed = requires {
  requires is_address_of_function<decltype(&F::reset)>;
}
&&!requires(F & f, typename F::connection& c) { f.reset(c); };
template <class F>
inline constexpr bool destroy_is_missed = requires {
  requires is_address_of_function<decltype(&F::destroy)>;
}
&&!requires(F & f, typename F::connection& c) { f.destroy(c); };

}  // namespace detail

/// What makes the objects of a pool. `connect(deadline)` gives a `connection`, or a `result` of one; it may
/// throw. Called by several threads at once, up to `max_connecting`, as are the optional members:
/// `healthy(connection&, deadline) -> bool`, whether it works; false or an exception: it does not
/// `reset(connection&)`, puts it in order when it comes back; may return a bool; false or an exception:
/// closed `destroy(connection&)`, before its destructor; what it throws is swallowed and counted. What is not
/// offered is not done. A connection may be of a type that cannot be moved; its destructor may not throw.
template <class F>
concept connection_factory = requires(F& f, deadline const& until) {
  typename F::connection;
  requires detail::makes_connection < std::remove_cvref_t<decltype(f.connect(until))>,
  typename F::connection > ;
}
&&std::is_object_v<typename F::connection>&& std::is_nothrow_destructible_v<typename F::connection>;

}  // namespace tideover::inline v0

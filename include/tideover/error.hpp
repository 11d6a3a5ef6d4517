// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

namespace tideover::inline v0 {

/// What a component of this library may answer instead of a value. Each message says the cause and what to do
/// about it. Errors of the user's own functions are not translated: they pass through unchanged, or travel as
/// `failure::cause`.
enum class errc : int {
  /// The caller's deadline passed before the result was there.
  timed_out = 1,
  /// The caller's stop_token was triggered while it waited.
  cancelled,
  /// A computation waits, directly or through others, for its own result.
  recursive_computation,
  /// The user's function failed; `failure::cause` holds its exception, if it threw one.
  computation_failed,
  /// An argument or option is outside its documented bounds; the text names field, value and bounds.
  invalid_argument,
  /// The component was closed.
  closed,
  /// A bounded queue has no room.
  queue_full,
  /// What was to be loaded is damaged, cut short, of another kind or of a newer version; the text says where.
  bad_snapshot,
  /// A circuit breaker let the call not through; `failure::retry_after` says when it will, if that is known.
  circuit_open,
  /// The thread or task that was computing the value went away before it was there; where another one takes
  /// over, several times in a row.
  flight_abandoned,
  /// What makes the objects of a pool failed, or may not be asked now; `failure::cause` holds its exception.
  factory_error,
  /// An item, or what was made of it, is larger than who takes it allows. A sink that answers so is given
  /// less
  /// at a time.
  too_large,
  /// There was no memory to take it.
  no_memory,
  /// The item's own deadline passed before it was its turn.
  expired,
  /// The item was given up to make room for a newer one.
  dropped,
  /// The component was shut down, and the time allowed for what was pending had passed.
  shut_down,
  /// A function that answers for n items did not give n answers.
  outcome_mismatch,
  /// The sink failed; `failure::cause` holds its exception, if it threw one.
  sink_failed,
  /// The journal did not take, or did not retire, an entry; see the cause.
  journal_failed,
  /// Nothing is known under this key.
  not_found,
};

namespace detail {

class error_category_type final : public std::error_category {
 public:
  constexpr error_category_type() noexcept = default;

  const char* name() const noexcept override { return "tideover"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::timed_out:
        return "timed out: the deadline passed before the result was there; "
               "allow more time or look for what is slow";
      case errc::cancelled:
        return "cancelled: the caller's stop_token was triggered while it waited; "
               "call again if the result is still wanted";
      case errc::recursive_computation:
        return "recursive computation: a computation waits for its own result; "
               "compute what it needs under another key or outside of the cache";
      case errc::computation_failed:
        return "computation failed: the function that was to produce the value failed; "
               "see the cause, nothing was stored";
      case errc::invalid_argument:
        return "invalid argument: outside of the documented bounds; correct the named field";
      case errc::closed:
        return "closed: the component no longer takes work; use it before it is closed";
      case errc::queue_full:
        return "queue full: no room for more work; shed load, retry later or raise the bound";
      case errc::bad_snapshot:
        return "bad snapshot: damaged, cut short, of another kind or of a newer version, and nothing was "
               "loaded; start without it, or with an older one";
      case errc::circuit_open:
        return "circuit open: the breaker rejects calls while what it guards fails; "
               "use a fallback, or retry after the time that the failure says";
      case errc::flight_abandoned:
        return "flight abandoned: whoever computed the value went away before it was there; "
               "look for what ends those threads, then call again";
      case errc::factory_error:
        return "factory error: what makes the objects of the pool failed, or a breaker keeps it from being "
               "asked; see the cause, call again when the other side works";
      case errc::too_large:
        return "too large: above the bound of who was to take it; send less at a time or raise the bound";
      case errc::no_memory:
        return "no memory: there was none to take it, and nothing has changed; shed load, then try again";
      case errc::expired:
        return "expired: the item's deadline passed before its turn; give it longer, or send sooner";
      case errc::dropped:
        return "dropped: given up to make room for a newer item; shed load earlier or raise the bound";
      case errc::shut_down:
        return "shut down: the component ended before it came to this; allow shutdown more time, "
               "or keep it for the next start";
      case errc::outcome_mismatch:
        return "outcome mismatch: the answers are not as many as the items; "
               "return one for each item, in their order";
      case errc::sink_failed:
        return "sink failed: what was to take the items failed; see the cause, and what the retry policy "
               "says";
      case errc::journal_failed:
        return "journal failed: an entry was not taken or not retired; see the cause and look after its "
               "device";
      case errc::not_found:
        return "not found: nothing is known under this key where it was looked for; "
               "put it there, or take that for the answer";
    }
    return "unknown tideover error " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
      case errc::timed_out:
        return std::errc::timed_out;
      case errc::cancelled:
        return std::errc::operation_canceled;
      case errc::recursive_computation:
        return std::errc::resource_deadlock_would_occur;
      case errc::invalid_argument:
        return std::errc::invalid_argument;
      case errc::queue_full:
      case errc::circuit_open:
        return std::errc::resource_unavailable_try_again;
      case errc::bad_snapshot:
        return std::errc::bad_message;
      case errc::too_large:
        return std::errc::message_size;
      case errc::no_memory:
        return std::errc::not_enough_memory;
      case errc::expired:
        return std::errc::timed_out;
      case errc::dropped:
      case errc::shut_down:
      case errc::outcome_mismatch:
      case errc::sink_failed:
      case errc::journal_failed:
      case errc::not_found:
      case errc::computation_failed:
      case errc::closed:
      case errc::flight_abandoned:
      case errc::factory_error:
        break;
    }
    return {value, *this};
  }
};

inline constinit error_category_type const the_error_category{};

}  // namespace detail

/// The category of `errc`. Thread-safe; never throws.
inline std::error_category const& error_category() noexcept { return detail::the_error_category; }

inline std::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), detail::the_error_category};
}

}  // namespace tideover::inline v0

template <>
struct std::is_error_code_enum<tideover::errc> : std::true_type {};

namespace tideover::inline v0 {

/// Why there is no value: a code, when to try again (zero: unknown), and the exception behind it, if any.
struct failure {
  std::error_code code{};
  std::chrono::nanoseconds retry_after{0};
  std::exception_ptr cause{};
};

/// What the throwing verbs throw for failures of this library's own; carries the whole `failure`.
class error : public std::system_error {
 public:
  explicit error(tideover::failure why) : std::system_error(why.code), failure_(std::move(why)) {}
  /// `text` stands before the message of the code in `what()`.
  error(tideover::failure why, std::string const& text)
      : std::system_error(why.code, text), failure_(std::move(why)) {}
  error(errc code, std::string const& text) : error(tideover::failure{.code = code}, text) {}

  tideover::failure const& failure() const noexcept { return failure_; }

 private:
  tideover::failure failure_;
};

namespace detail {

/// Throws `error`; where exceptions are off, says why and ends the program.
[[noreturn]] TIDEOVER_COLD inline void raise(failure why, std::string const& text = {}) {
#if TIDEOVER_EXCEPTIONS
  if (text.empty()) throw error(std::move(why));
  throw error(std::move(why), text);
#else
  std::fprintf(stderr, "%s: %s\n", text.c_str(), why.code.message().c_str());
  std::abort();
#endif
}

/// As few digits as say which number it is.
TIDEOVER_COLD inline std::string text_of(double number) {
  char text[32] = "";
  for (int digits = 1; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, number);
    if (std::strtod(text, nullptr) == number) break;
  }
  return text;
}

/// Bad input, named: "ttl_cache_options.capacity is 0; it must be between 1 and 4294967294".
[[noreturn]] TIDEOVER_COLD inline void raise_out_of_bounds(std::string const& field, std::string const& value,
                                                           std::string const& bounds) {
  raise({.code = errc::invalid_argument}, field + " is " + value + "; it must be " + bounds);
}

}  // namespace detail

}  // namespace tideover::inline v0

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/connection_pool_options.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0::detail {

/// The index that is none. An index has 16 bits, since it shares a word with a gate and a tag.
inline constexpr std::uint32_t no_slot = 0xFFFF;

enum class pool_slot_state : unsigned char {
  absent,
  opening,
  live,  ///< idle or lent: those in the idle list are idle
  checking,
  closing,
};

/// An object as the pool keeps it; the shell puts the object itself behind it. Apart from its slot, so that
/// the slot is free as soon as the object is to die.
struct pool_box {
  pool_box* next = nullptr;  // of those that are to die
  std::uint64_t id = 0;
  std::uint32_t slot = no_slot;
  pool_close_reason why = pool_close_reason::discarded;
};

/// One place of the pool. Its plain members belong to whoever holds the slot: the holder of a lease, or, of
/// one that is idle or absent, the holder of the pool's lock with the gate shut. The first line is what a
/// lease touches.
struct alignas(cache_line) pool_slot {
  /// With affinity: tag (62 bits), gate, "not idle". Shut until the gate is opened for the first time.
  std::atomic<std::uint64_t> word{3};
  std::atomic<std::uint32_t> next{no_slot};         // in the idle list; read by others while it is popped
  pool_slot_state state = pool_slot_state::absent;  // changed under the lock only
  bool must_check = false;
  std::atomic<bool> leaked{false};  // set under the lock with the gate shut, looked at by the holder
  std::uint64_t generation = 0;
  instant expires_at{};
  instant idle_since{};
  instant proven{};  // last seen to work: born, checked, or back from its user
  pool_box* box = nullptr;
  std::uint32_t index = no_slot;
  std::uint32_t job_next = no_slot;  // of the jobs that wait, or of the slots of one grant

  // The second line: who holds it, if leaks are looked for.
  alignas(cache_line) std::atomic<std::int64_t> leased_since{not_leased};
  std::atomic<char const*> file{nullptr};
  std::atomic<char const*> function{nullptr};
  std::atomic<std::uint32_t> line{0};
  std::uint32_t scanned = 0;  // of the last search for leaks that found it idle
  std::uint64_t listed = 0;   // with affinity: the last opening of the gate at which it was idle
  std::atomic<char const*> tag{nullptr};
  std::uint64_t opened_tag = 0;  // with affinity: the tag when the gate was last opened

  static constexpr std::int64_t not_leased = INT64_MAX;
};

/// One call that wants objects: a node on its caller's stack.
struct pool_ticket {
  pool_ticket* previous = nullptr;
  pool_ticket* next = nullptr;  // in the queue, then among those to be woken
  instant deadline = instant::max();
  std::uint32_t want = 1;
  std::uint32_t slots = no_slot;  // what was granted, linked by `job_next`
  errc at_once{};                 // what it is told if it cannot be served at once; none: it waits
  bool queued = false;
  bool granted = false;
  errc refused{};            // else: why not
  bool not_asked = false;    // a breaker kept the factory from being asked
  bool let_through = false;  // the breaker would let a connect through now
};

/// What a step of the machine asks of its shell.
struct pool_effects {
  pool_ticket* woken = nullptr;  // each is settled; in order
  pool_ticket* last_woken = nullptr;
  pool_box* doomed = nullptr;  // to be destroyed; in order
  pool_box* last_doomed = nullptr;
  std::size_t openings = 0;  // jobs that were added
  std::size_t checks = 0;
  bool spares = false;  // something is idle that another member of the budget lacks

  void wake(pool_ticket& t) noexcept {
    t.next = nullptr;
    (last_woken != nullptr ? last_woken->next : woken) = &t;
    last_woken = &t;
  }
  void doom(pool_box& b) noexcept {
    b.next = nullptr;
    (last_doomed != nullptr ? last_doomed->next : doomed) = &b;
    last_doomed = &b;
  }
};

}  // namespace tideover::inline v0::detail

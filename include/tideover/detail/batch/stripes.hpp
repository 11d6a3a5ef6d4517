// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/detail/batch/block.hpp>
#include <tideover/detail/hazard.hpp>
#include <tideover/policy/locking.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

/// `relaxed_bounds`: where threads add to batches of their own.
///
/// A stripe has the open batch of the threads that were given it, and what of that they changed since the
/// machine last looked, `end`. Below `stop` an add touches the stripe and its own item only.
/// Everything else is done as it would be without stripes, by who holds the stripe and the machine: first the
/// machine is told what was added (`batch_machine::gather`), then it goes on as if it had seen each add. Who
/// seals a batch holds its stripe; so what concerns all of them holds all of them.
///
/// The order of the locks: stripes by their number, then the machine's. While somebody waits for room, or
/// after a shutdown began, no stripe has a batch.
namespace tideover::inline v0::detail {

/// Which stripe the calling thread was given, from 1, for as long as it lives; 0: none yet.
inline constinit thread_local std::uint32_t this_batch_stripe = 0;
/// Threads that live at one time have numbers of their own.
TIDEOVER_COLD inline std::uint32_t choose_batch_stripe(std::uint32_t of) noexcept {
  return this_batch_stripe = hazard_record_of_this_thread().number % of + 1;
}

template <class Types>
struct alignas(cache_line) batch_stripe {
  using item_type = typename Types::item_type;

  spin_mutex mutex;
  std::uint32_t end = 0;   // of the open batch; the batch itself learns it when the machine does
  std::uint32_t stop = 0;  // so far without the machine: the bound of what it does not know of
  item_type* items = nullptr;
  batch_block<Types>* open = nullptr;

  /// False, and nothing has changed, if that is not for the stripe alone. `put` makes the item; it may throw,
  /// then nothing has changed.
  template <class Put, class Place>
  bool add(Put&& put, Place& place) {
    std::uint32_t const at = end;
    if (at >= stop) return false;
    put(static_cast<void*>(items + at));
    place = {open, at, 0};
    end = at + 1;
    return true;
  }
};

template <class Types>
struct batch_stripes {
  /// So many items at most may be in a stripe that the machine does not know of.
  static constexpr std::uint32_t unknown = 64;
  static constexpr std::uint32_t count = 16;

  batch_stripe<Types>& own() noexcept {
    std::uint32_t const n = this_batch_stripe;
    return all[(n != 0 ? n : choose_batch_stripe(count)) - 1];
  }

  /// The next add of each goes to the machine; who calls this holds them all.
  void stop_all() noexcept {
    for (auto& s : all) s.stop = 0;
  }

  std::array<batch_stripe<Types>, count> all{};
};
struct no_batch_stripes {};

/// Holds all stripes and the machine, which knows everything then.
template <class Types, class Machine>
class batch_standstill {
 public:
  batch_standstill(batch_stripes<Types>& stripes, spin_mutex& mutex, Machine& machine) noexcept
      : stripes_(stripes), mutex_(mutex) {
    for (auto& s : stripes_.all) s.mutex.lock();
    mutex_.lock();
    for (auto& s : stripes_.all) machine.gather(s);
  }
  batch_standstill(batch_standstill const&) = delete;
  batch_standstill& operator=(batch_standstill const&) = delete;
  ~batch_standstill() {
    mutex_.unlock();
    for (auto& s : stripes_.all) s.mutex.unlock();
  }

 private:
  batch_stripes<Types>& stripes_;
  spin_mutex& mutex_;
};

}  // namespace tideover::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/computation.hpp>
#include <tideover/detail/parallel/plans.hpp>
#include <tideover/error.hpp>
#include <tideover/result.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// The user's functions as the crew calls them, and where their values are kept.
namespace tideover::inline v0::detail {

/// `f(a...)`, or `f(a..., deadline)` if it can be called so.
template <class F, class... A>
inline constexpr bool takes_group_deadline = std::is_invocable_v<F&, A..., deadline const&>;
template <class F, class... A>
inline constexpr bool is_parallel_call = takes_group_deadline<F, A...> || std::is_invocable_v<F&, A...>;

template <class F, class... A>
decltype(auto) call_in_group(F& f, [[maybe_unused]] deadline const& until, A&&... a) {
  if constexpr (takes_group_deadline<F, A...>) {
    return std::invoke(f, std::forward<A>(a)..., until);
  } else {
    return std::invoke(f, std::forward<A>(a)...);
  }
}
template <class F, class... A>
using group_returned =
    decltype(call_in_group(std::declval<F&>(), std::declval<deadline const&>(), std::declval<A>()...));

/// What is kept of what a function returns: the value of a `result`, `std::monostate` of nothing at all.
template <class R>
struct kept_of {
  using type = R;
};
template <class R>
struct kept_of<result<R>> {
  using type = R;
};
template <>
struct kept_of<void> {
  using type = std::monostate;
};
template <>
struct kept_of<result<void>> {
  using type = std::monostate;
};
template <class F, class... A>
using kept = typename kept_of<std::remove_cvref_t<group_returned<F, A...>>>::type;

/// Calls, and gives the value to `keep`, or says why there is none. What ends the thread passes.
template <class Keep, class F, class... A>
bool call_and_keep(Keep keep, failure& why, F& f, deadline const& until, A&&... a) {
  using returned = group_returned<F, A...>;
  using plain = std::remove_cvref_t<returned>;
#if TIDEOVER_EXCEPTIONS
  try {
#endif
    if constexpr (std::is_void_v<returned>) {
      call_in_group(f, until, std::forward<A>(a)...);
      keep();
    } else if constexpr (is_result<plain>) {
      plain made = call_in_group(f, until, std::forward<A>(a)...);
      if (!made) {
        why = made.error();
        return false;
      }
      if constexpr (std::is_void_v<typename plain::value_type>) {
        keep();
      } else {
        keep(*std::move(made));
      }
    } else if constexpr (std::is_reference_v<returned>) {
      plain made(call_in_group(f, until, std::forward<A>(a)...));  // it may refer into what it was given
      keep(std::move(made));
    } else {
      keep(call_in_group(f, until, std::forward<A>(a)...));
    }
    return true;
#if TIDEOVER_EXCEPTIONS
  } catch (...) {
    if (thread_goes_away()) {
      why = {.code = errc::flight_abandoned};
      throw;
    }
    why = {.code = errc::computation_failed, .cause = std::current_exception()};
    return false;
  }
#endif
}

/// The place of one value.
template <class V>
struct parallel_slot {
  static_assert(std::is_move_constructible_v<V>,
                "tideover::parallel: what a function returns must be movable");
  std::optional<V> value{};
  failure why{};

  template <class F, class... A>
  bool fill(F& f, deadline const& until, A&&... a) {
    bool const good = call_and_keep([this](auto&&... v) { value.emplace(std::forward<decltype(v)>(v)...); },
                                    why, f, until, std::forward<A>(a)...);
    if (!good) value.reset();
    return good;
  }
  /// `otherwise` is for a call that was never made.
  result<V> take(std::error_code otherwise) {
    if (value) return result<V>(std::in_place, *std::move(value));
    if (!why.code) return failure{.code = otherwise};
    return why;
  }
};

/// The elements of a forward range by their number; the range stays where it is.
template <class Range>
class numbered {
 public:
  using iterator = decltype(std::begin(std::declval<Range&>()));
  static_assert(std::forward_iterator<iterator>,
                "tideover::parallel: the range must be one that can be gone through more than once");
  static constexpr bool by_index = std::random_access_iterator<iterator>;
  using reference = decltype(*std::declval<iterator const&>());

  explicit numbered(Range& range) : begin_(std::begin(range)) {
    auto const end = std::end(range);
    if constexpr (by_index) {
      size_ = static_cast<std::size_t>(end - begin_);
    } else {
      for (iterator i = begin_; i != end; ++i) places_.push_back(i);
      size_ = places_.size();
    }
  }
  std::size_t size() const noexcept { return size_; }
  reference operator[](std::size_t i) const {
    if constexpr (by_index) {
      return *(begin_ + static_cast<std::iter_difference_t<iterator>>(i));
    } else {
      return *places_[i];
    }
  }

 private:
  struct none {};
  iterator begin_;
  std::size_t size_ = 0;
  [[no_unique_address]] std::conditional_t<by_index, none, std::vector<iterator>> places_{};
};

/// One value for each item. `Call(item number, call)` makes the call with whatever it takes.
template <class V, bool TakesDeadline, class Call>
class slot_calls {
 public:
  static constexpr bool takes_deadline = TakesDeadline;
  using value_type = V;

  slot_calls(std::size_t items, Call call) : call_(std::move(call)), slots_(items) { values_.reserve(items); }

  bool operator()(parallel_unit unit, deadline const& until) {
    return call_(slots_[unit.item], unit.item, until);
  }
  failure why(std::size_t item) const { return slots_[item].why; }
  std::optional<std::size_t> first_without_value() const noexcept {
    for (std::size_t i = 0; i != slots_.size(); ++i) {
      if (!slots_[i].value) return i;
    }
    return std::nullopt;
  }
  std::vector<V> values() {
    for (auto& s : slots_) values_.push_back(*std::move(s.value));
    return std::move(values_);
  }
  std::vector<result<V>> results(std::error_code otherwise) {
    std::vector<result<V>> all;
    all.reserve(slots_.size());
    for (auto& s : slots_) all.push_back(s.take(otherwise));
    return all;
  }

 private:
  Call call_;
  std::vector<parallel_slot<V>> slots_;
  std::vector<V> values_;  // room for what is returned, taken before the first call
};

template <class V, bool TakesDeadline, class Call>
slot_calls<V, TakesDeadline, Call> make_slot_calls(std::size_t items, Call call) {
  return {items, std::move(call)};
}

/// Functions of any types, each with a place of its own.
template <class... F>
class gathered_calls {
 public:
  static constexpr bool takes_deadline = (takes_group_deadline<F> || ...);
  using values_type = std::tuple<kept<F>...>;

  explicit gathered_calls(F&... f) noexcept : functions_(f...) {}

  bool operator()(parallel_unit unit, deadline const& until) {
    return call(unit.item, until, std::index_sequence_for<F...>());
  }
  failure why(std::size_t item) const { return failure_of(item, std::index_sequence_for<F...>()); }
  std::optional<std::size_t> first_without_value() const noexcept {
    return first_empty(std::index_sequence_for<F...>());
  }
  values_type values() {
    return std::apply([](auto&... s) { return values_type(*std::move(s.value)...); }, slots_);
  }
  std::tuple<result<kept<F>>...> results(std::error_code otherwise) {
    return std::apply([&](auto&... s) { return std::tuple<result<kept<F>>...>(s.take(otherwise)...); },
                      slots_);
  }

 private:
  template <std::size_t... I>
  bool call(std::size_t item, deadline const& until, std::index_sequence<I...>) {
    bool good = false;
    static_cast<void>(
        ((item == I && ((good = std::get<I>(slots_).fill(std::get<I>(functions_), until)), true)) || ...));
    return good;
  }
  template <std::size_t... I>
  failure failure_of(std::size_t item, std::index_sequence<I...>) const {
    failure why;
    static_cast<void>(((item == I && ((why = std::get<I>(slots_).why), true)) || ...));
    return why;
  }
  template <std::size_t... I>
  std::optional<std::size_t> first_empty(std::index_sequence<I...>) const noexcept {
    std::size_t first = sizeof...(F);
    static_cast<void>(((!std::get<I>(slots_).value && ((first = I), true)) || ...));
    if (first == sizeof...(F)) return std::nullopt;
    return first;
  }

  std::tuple<F&...> functions_;
  std::tuple<parallel_slot<kept<F>>...> slots_{};
};

/// What the stages make of an `In`, one after the other.
template <class In, class... Stages>
struct stage_chain {
  using types = std::tuple<>;
  static constexpr bool fits = true;
  static constexpr bool takes_deadline = false;
};
template <class In, class First, class... Rest>
struct stage_chain<In, First, Rest...> {
  static_assert(is_parallel_call<First, In>,
                "tideover::pipeline: a stage cannot be called with what the stage before it returns");
  using made = kept<First, In>;
  using types = decltype(std::tuple_cat(std::declval<std::tuple<std::type_identity<made>>>(),
                                        std::declval<typename stage_chain<made&&, Rest...>::types>()));
  static constexpr bool takes_deadline =
      takes_group_deadline<First, In> || stage_chain<made&&, Rest...>::takes_deadline;
};

template <class Types>
struct variant_of;
template <class... T>
struct variant_of<std::tuple<std::type_identity<T>...>> {
  using type = std::variant<std::monostate, T...>;
};

/// Items on their way through the stages; each holds the value of the stage that it has passed.
template <class Range, class... Stages>
class staged_calls {
  using items_type = numbered<Range>;
  using chain = stage_chain<typename items_type::reference, Stages...>;
  using cell_value = typename variant_of<typename chain::types>::type;
  static constexpr std::size_t last = sizeof...(Stages);

 public:
  static constexpr bool takes_deadline = chain::takes_deadline;
  using value_type = std::variant_alternative_t<last, cell_value>;

  staged_calls(Range& range, std::tuple<Stages...>& stages)
      : items_(range), stages_(stages), cells_(items_.size()) {
    values_.reserve(items_.size());
  }
  std::size_t size() const noexcept { return items_.size(); }

  bool operator()(parallel_unit unit, deadline const& until) {
    return pass(unit, until, std::index_sequence_for<Stages...>());
  }
  failure why(std::size_t item) const { return cells_[item].why; }
  std::optional<std::size_t> first_without_value() const noexcept {
    for (std::size_t i = 0; i != cells_.size(); ++i) {
      if (cells_[i].value.index() != last) return i;
    }
    return std::nullopt;
  }
  std::vector<value_type> values() {
    for (auto& c : cells_) values_.push_back(std::get<last>(std::move(c.value)));
    return std::move(values_);
  }
  std::vector<result<value_type>> results(std::error_code otherwise) {
    std::vector<result<value_type>> all;
    all.reserve(cells_.size());
    for (auto& c : cells_) {
      if (c.value.index() == last) {
        all.emplace_back(std::in_place, std::get<last>(std::move(c.value)));
      } else if (c.why.code) {
        all.emplace_back(c.why);
      } else {
        all.emplace_back(failure{.code = otherwise});
      }
    }
    return all;
  }

 private:
  struct cell {
    cell_value value{};
    failure why{};
  };

  template <std::size_t... S>
  bool pass(parallel_unit unit, deadline const& until, std::index_sequence<S...>) {
    bool good = false;
    static_cast<void>(((unit.stage == S && ((good = pass_one<S>(unit.item, until)), true)) || ...));
    return good;
  }
  template <std::size_t S>
  bool pass_one(std::size_t item, deadline const& until) {
    cell& c = cells_[item];
    auto const keep = [&c](auto&&... v) { c.value.template emplace<S + 1>(std::forward<decltype(v)>(v)...); };
    bool good = false;
    if constexpr (S == 0) {
      good = call_and_keep(keep, c.why, std::get<S>(stages_), until, items_[item]);
    } else {
      good = call_and_keep(keep, c.why, std::get<S>(stages_), until, std::get<S>(std::move(c.value)));
    }
    if (!good) c.value.template emplace<0>();
    return good;
  }

  items_type items_;
  std::tuple<Stages...>& stages_;
  std::vector<cell> cells_;
  std::vector<value_type> values_;
};

}  // namespace tideover::inline v0::detail

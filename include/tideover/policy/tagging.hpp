// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// The tagging axis: whether entries carry names by which they are erased together: a tenant, a page, a table
/// that they were read from.
namespace tideover::inline v0 {

/// Names of tags. It owns them, so that options that are kept in a variable cannot outlive what they name, as
/// an initializer_list or views of temporary strings would. An empty one allocates nothing. Made of one name,
/// of several in braces, or of anything that can be iterated over and holds text.
class tag_list {
  /// One name in braces. Not a std::string: two C strings in double braces would pass for its iterators.
  struct given_name {
    template <class Text>
      requires std::convertible_to<Text const&, std::string_view>
    constexpr given_name(Text const& name) : text(name) {}
    std::string_view text;
  };

 public:
  using const_iterator = std::vector<std::string>::const_iterator;

  tag_list() noexcept = default;
  tag_list(std::initializer_list<given_name> names) {
    names_.reserve(names.size());
    for (given_name const& name : names) names_.emplace_back(name.text);
  }
  template <class Text>
    requires std::convertible_to<Text const&, std::string_view> tag_list(Text const& name)
        : tag_list({given_name(name)}) {}
    template <class Names>
      requires(!std::convertible_to<Names const&, std::string_view> && requires(Names const& names) {
        { *names.begin() } -> std::convertible_to<std::string_view>;
        names.begin() != names.end();
      })
    tag_list(Names const& names) {
      for (std::string_view const name : names) names_.emplace_back(name);
    }

    bool empty() const noexcept { return names_.empty(); }
    std::size_t size() const noexcept { return names_.size(); }
    const_iterator begin() const noexcept { return names_.begin(); }
    const_iterator end() const noexcept { return names_.end(); }
    void add(std::string_view name) { names_.emplace_back(name); }

    friend bool operator==(tag_list const&, tag_list const&) = default;

   private:
    std::vector<std::string> names_;
};

/// `tags` is false where entries have none; then nothing is paid for them.
template <class T>
concept tagging_policy = policy<T> && std::same_as<typename T::policy_axis, axis::tagging> && requires {
  { T::tags } -> std::convertible_to<bool>;
};

/// A policy that gives tags itself, besides those of the put. Asked once for each value, outside of every
/// lock, from many threads at once; it may throw.
template <class T, class Key, class Value>
concept tag_giving_policy = requires(T const& t, Key const& key, Value const& value) {
  { t.tags_of(key, value) } -> std::same_as<tag_list>;
};
/// One that can also say it of a key under which there is nothing (see `negative_results`).
template <class T, class Key>
concept key_tagging_policy = requires(T const& t, Key const& key) {
  { t.tags_of(key) } -> std::same_as<tag_list>;
};

/// Entries have no tags. To put with tags is an error.
struct untagged {
  using policy_axis = axis::tagging;
  static constexpr bool tags = false;
};

/// Entries have the tags of their put. What was computed has none: see `tagged_by`. 4 bytes an entry, 20 for
/// each tag of an entry, and about 50 and the name for each tag that is in use.
struct tagged {
  using policy_axis = axis::tagging;
  static constexpr bool tags = true;
};

/// Entries, put or computed, have the tags that `F(key, value)` gives, and those of their put besides. It
/// returns a `tag_list` or what one can be made of: a string, a vector of them. It is asked once for each
/// value, outside of every lock, from many threads at once; what it throws passes through and nothing is
/// stored. If it can be called with a key alone, it is asked so of keys under which there is nothing.
///
///     tideover::tagged_by by_tenant([](std::string const&, order const& o) { return o.tenant; });
///     tideover::ttl_cache<std::string, order, decltype(by_tenant)> orders({}, by_tenant);
///     orders.erase_tag("acme");
template <class F>
class tagged_by {
 public:
  using policy_axis = axis::tagging;
  static constexpr bool tags = true;

  tagged_by() requires std::is_default_constructible_v<F>
  = default;
  explicit tagged_by(F f) : f_(std::move(f)) {}

  template <class Key, class Value>
  tag_list tags_of(Key const& key, Value const& value) const {
    static_assert(std::is_invocable_v<F const&, Key const&, Value const&>,
                  "tideover::tagged_by: the function must be callable as F(Key const&, Value const&) const");
    static_assert(
        std::is_convertible_v<std::invoke_result_t<F const&, Key const&, Value const&>, tag_list>,
        "tideover::tagged_by: the function must return a tag_list, or what can be made one: text, or "
        "a range of texts");
    return std::invoke(f_, key, value);
  }
  template <class Key>
    requires std::is_invocable_r_v<tag_list, F const&, Key const&> tag_list tags_of(Key const& key)
  const { return std::invoke(f_, key); }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0

// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "key/model.hpp"

#include <tideover/cache_key.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// From the model to the library: builds the key of a model, in the order that the caller says.
namespace tideover_test {

/// Calls `use` with `value` as a program would have it: nullptr, text, a list of texts or a list of lists.
/// A list with a list in it must hold lists only.
template <class Use>
auto with_value(tree const& value, Use use) {
  using texts = std::vector<std::optional<std::string>>;
  auto const texts_of = [](tree const& list) {
    texts out;
    for (tree const& item : list.items) {
      out.push_back(item.is == tree::kind::null ? std::nullopt : std::optional(item.text));
    }
    return out;
  };
  if (value.is == tree::kind::null) return use(nullptr);
  if (value.is == tree::kind::text) return use(value.text);
  if (value.items.empty() || value.items.front().is != tree::kind::list) return use(texts_of(value));
  std::vector<texts> lists;
  for (tree const& item : value.items) lists.push_back(texts_of(item));
  return use(lists);
}

/// The bytes of a secret's digest, given as its digits.
struct digest_of_digits {
  std::string const& digits;
  tideover::digest128 operator()(std::string_view) const {
    tideover::digest128 made{};
    for (std::size_t i = 0; i < 32; ++i) {
      char const c = digits[i];
      auto const value = static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
      made[i / 2] = static_cast<unsigned char>(made[i / 2] * 16 + value);
    }
    return made;
  }
};

template <class Key>
void add_param(Key& key, std::string const& name, tree const& value) {
  if (value.is == tree::kind::secret) {
    key.secret(name, "whatever it is", digest_of_digits{value.text});
  } else {
    with_value(value, [&](auto const& v) { key.param(name, v); });
  }
}
template <class Key>
void add_segment(Key& key, tree const& value) {
  with_value(value, [&](auto const& v) { key.segment(v); });
}
template <class Key>
void add_tag(Key& key, tree const& value) {
  with_value(value, [&](auto const& v) { key.tag(v); });
}

/// One step of building: which verb, and which of the model's parts.
struct step {
  enum class verb { tag, generation, segment, param, version } is;
  std::size_t which;
};

/// The steps to the model's key. Segments stay in their order when they are shuffled (see `take`).
inline std::vector<step> steps_to(key_model const& model) {
  std::vector<step> steps;
  if (model.tag) steps.push_back({step::verb::tag, 0});
  if (model.generation) steps.push_back({step::verb::generation, 0});
  for (std::size_t i = 0; i < model.segments.size(); ++i) steps.push_back({step::verb::segment, i});
  for (std::size_t i = 0; i < model.params.size(); ++i) steps.push_back({step::verb::param, i});
  if (model.version != 1) steps.push_back({step::verb::version, 0});
  return steps;
}

template <class Key>
void take(Key& key, key_model const& model, step const& s) {
  switch (s.is) {
    case step::verb::tag:
      return add_tag(key, *model.tag);
    case step::verb::generation:
      key.generation(*model.generation);
      return;
    case step::verb::segment:
      return add_segment(key, model.segments[s.which]);
    case step::verb::version:
      key.version(model.version);
      return;
    case step::verb::param: {
      auto const& [name, value] = *std::next(model.params.begin(), static_cast<std::ptrdiff_t>(s.which));
      return add_param(key, name, value);
    }
  }
}

template <class Key = tideover::cache_key>
Key key_of(key_model const& model, tideover::cache_key_options options = {}) {
  Key key(model.name_space, options);
  for (step const& s : steps_to(model)) take(key, model, s);
  return key;
}

}  // namespace tideover_test

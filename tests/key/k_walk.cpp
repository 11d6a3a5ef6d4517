// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "key/random_model.hpp"
#include "support/environment.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Random walks: what a key says after any sequence of calls is what the model says.

namespace {

/// One key and its model, changed together.
class walker {
 public:
  walker(std::uint64_t seed, tideover::cache_key_options options)
      : make_(seed, 60), options_(options), key_("n", options) {}

  std::size_t refused() const { return refused_; }
  std::size_t digested() const { return digested_; }

  void start() {
    model_ = make_.model();
    model_ = {.name_space = model_.name_space};
    key_ = cache_key(model_.name_space, options_);
  }
  /// One call, or a few at the key itself; false if key and model differ then.
  bool step() {
    random_numbers& random = make_.random();
    switch (random.below(12)) {
      case 0:
      case 1: {
        tree const value = make_.value();
        model_.segments.push_back(value);
        add_segment(key_, value);
        break;
      }
      case 2:
      case 3:
      case 4: {
        std::string const name = make_.text();
        tree const value = make_.value(true);
        bool const fresh = model_.params.try_emplace(name, value).second;
        expect(fresh, [&] { add_param(key_, name, value); });
        break;
      }
      case 5: {
        tree const value = make_.value();
        bool const good = !model_.tag && encoded(value).size() <= 100 && !encoded(value).empty();
        if (good) model_.tag = value;
        expect(good, [&] { add_tag(key_, value); });
        break;
      }
      case 6: {
        std::uint64_t const n = random.next() >> random.below(64);
        bool const good = !model_.generation;
        if (good) model_.generation = n;
        expect(good, [&] { key_.generation(n); });
        break;
      }
      case 7:
        model_.version = random.next() >> random.below(64), key_.version(model_.version);
        break;
      case 8: {
        cache_key copy = key_;
        copy.segment("gone");
        key_ = std::as_const(key_);
        break;
      }
      case 9: {
        cache_key moved = std::move(key_);
        key_ = std::move(moved);
        break;
      }
      case 10: {
        // Views into the key itself.
        std::size_t const from = random.below(key_.size() + 1);
        std::string_view const part = key_.view().substr(from, random.below(20));
        model_.segments.push_back(tree::of(part));
        key_.segment(part);
        break;
      }
      default: {
        std::size_t const from = random.below(key_.size() + 1);
        std::string_view const part = key_.view().substr(from, random.below(20));
        std::string const name(part);
        std::string const all = key_.str();
        bool const fresh = model_.params.try_emplace(name, tree::of(all)).second;
        expect(fresh, [&] { key_.param(part, key_.view()); });
      }
    }
    if (random.one_in(3)) key_.hash();
    return agree();
  }
  std::string describe() const { return "is " + key_.str() + ", should be " + expected(); }

 private:
  template <class Call>
  void expect(bool good, Call call) {
    bool threw = false;
    try {
      call();
    } catch (tideover::error const&) {
      threw = true;
    }
    if (threw) ++refused_;
    as_expected_ = as_expected_ && threw != good;
  }
  std::string expected() const { return model_.text(xxh3_digits, options_.max_length); }
  bool agree() {
    std::string const full = model_.full();
    bool const longer = full.size() > options_.max_length;
    if (longer) ++digested_;
    if (!as_expected_ || key_.view() != expected() || key_.digested() != longer ||
        key_.name_space() != model_.name_space) {
      return false;
    }
    decoded_key const read = decode(key_.view(), options_.max_length);
    if (longer)
      return read.digest == xxh3_digits(full) && read.tag == model_.tag && read.version == model_.version;
    return read == model_.meaning();
  }

  model_maker make_;
  tideover::cache_key_options options_;
  key_model model_;
  cache_key key_;
  std::size_t refused_ = 0;
  std::size_t digested_ = 0;
  bool as_expected_ = true;
};

}  // namespace

TEST_CASE("100,000 random walks of the builder beside a model and a decoder", "[key][walk]") {
  std::size_t refused = 0, digested = 0, steps = 0;
  for (std::size_t const max_length :
       {std::size_t(96), std::size_t(121), std::size_t(200), std::size_t(250)}) {
    walker walk(run_seed() + max_length, {.max_length = max_length});
    random_numbers lengths(run_seed() ^ max_length);
    for (int i = 0; i < 25'000; ++i) {
      walk.start();
      for (std::size_t n = lengths.below(9); n != 0; --n, ++steps) {
        if (!walk.step()) FAIL("max_length " << max_length << ": " << walk.describe());
      }
    }
    refused += walk.refused();
    digested += walk.digested();
  }
  CHECK(steps > 300'000);
  CHECK(refused > 10'000);   // the walks do come to what is refused,
  CHECK(digested > 10'000);  // and to long keys
}

TEST_CASE("K1: one input makes one text in whatever order it is given", "[K1][walk]") {
  model_maker make(run_seed() + 1, 60);
  for (int i = 0; i < 20'000; ++i) {
    key_model const model = make.model();
    cache_key const first = key_of(model);
    cache_key second(model.name_space);
    for (step const& s : make.shuffled_steps(model)) {
      take(second, model, s);
      if (make.random().one_in(4)) second.hash();
    }
    if (observed(first) != observed(second) || first != second) {
      FAIL_CHECK("two texts: " << first.view() << " and " << second.view());
    }
    if (first.view() != model.text(xxh3_digits))
      FAIL_CHECK("is " << first.view() << ", should be " << model.full());
  }
}

TEST_CASE("K1: schema, builder and model make one text of random values", "[K1][walk]") {
  constexpr tideover::key_schema<"n", "b", ":", "a", ""> schema{.version = 7};
  model_maker make(run_seed() + 2, 60);
  std::size_t digested = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string const b = make.text(), colon = make.text(), none = make.text();
    auto const a = static_cast<std::int64_t>(make.random().next());
    key_model model;
    model.version = 7;
    model.params = {
        {"b", tree::of(b)}, {":", tree::of(colon)}, {"a", tree::of(std::to_string(a))}, {"", tree::of(none)}};
    cache_key const made = schema(b, colon, a, none);
    if (made.view() != model.text(xxh3_digits))
      FAIL_CHECK("is " << made.view() << ", should be " << model.full());
    cache_key const built = key_of(model);
    if (observed(made) != observed(built) || made != built)
      FAIL_CHECK("the builder differs: " << built.view());
    if (made.digested()) ++digested;
  }
  CHECK(digested > 100);
}

// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "key/random_model.hpp"
#include "support/environment.hpp"

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

/// Keys as they are joined by hand: every part as it is, with ':' between.
void joined(std::string& out, tree const& value) {
  if (value.is == tree::kind::null) out += "None";
  if (value.is == tree::kind::list) {
    out += '[';
    for (tree const& item : value.items) joined(out, item), out += ", ";
    out += ']';
  } else {
    out += value.text;
  }
}
std::string joined(key_model const& model) {
  std::string out;
  if (model.tag) joined(out += '{', *model.tag), out += "}:";
  out += model.name_space;
  if (model.generation) out += '@' + std::to_string(*model.generation);
  for (tree const& value : model.segments) joined(out += ':', value);
  for (auto const& [name, value] : model.params) joined(out += ':' + name + ':', value);
  return out + ":v" + std::to_string(model.version);
}

/// Which input made each text, and how often another one made it too.
class collisions {
 public:
  void add(std::string text, std::size_t input) {
    if (auto const [at, fresh] = made_.try_emplace(std::move(text), input); !fresh && at->second != input)
      ++count_;
  }
  std::size_t count() const { return count_; }

 private:
  std::unordered_map<std::string, std::size_t> made_;
  std::size_t count_ = 0;
};

}  // namespace

TEST_CASE("K4: 400,000 inputs made to collide do not, and each can be read back", "[K4]") {
  model_maker make(run_seed(), 12);
  std::unordered_map<std::string, std::size_t> inputs;
  collisions ours, by_hand;
  std::size_t wrong = 0, digested = 0;
  for (int i = 0; i < 400'000; ++i) {
    key_model const model = make.model();
    std::size_t const input = inputs.try_emplace(model.identity(), inputs.size()).first->second;
    cache_key const key = key_of(model);
    by_hand.add(joined(model), input);
    if (key.digested()) {
      ++digested;
      ours.add(key.str() + '#' + std::to_string(key.check()), input);
      continue;
    }
    ours.add(key.str(), input);
    if (decode(key.view()) != model.meaning() && ++wrong < 10)
      FAIL_CHECK("read back differently: " << key.view());
  }
  INFO(inputs.size() << " different inputs, " << digested << " digested, " << by_hand.count()
                     << " collisions when joined by hand");
  CHECK(ours.count() == 0);
  CHECK(wrong == 0);
  CHECK(inputs.size() > 100'000);  // different ones, that is
  CHECK(inputs.size() < 395'000);  // and the same ones again
  CHECK(by_hand.count() > 1'000);  // the inputs do collide where they can
  CHECK(digested < 40'000);
}

TEST_CASE("K4: what is alike only without separators", "[K4]") {
  auto const n = [] { return cache_key("n"); };
  // Each pair is one text when it is joined by hand.
  CHECK(n().param("a", "1:b:2") != n().param("a", 1).param("b", 2));
  CHECK(n().segment("a").segment("1") != n().param("a", 1));
  CHECK(n().segment("a=1") != n().param("a", 1));
  CHECK(n().segment("a:b") != n().segment("a").segment("b"));
  CHECK(n().segment("") != n());
  CHECK(n().segment("").segment("") != n().segment(":"));
  CHECK(n().segment("") != n().param("", ""));
  CHECK(n().segment("=") != n().param("", ""));
  CHECK(n().param("a", "=b") != n().param("a=", "b"));
  CHECK(n().segment(nullptr) != n().segment("~"));
  CHECK(n().segment(nullptr) != n().segment(""));
  CHECK(n().segment(nullptr) != n().segment("null"));
  CHECK(n().segment(std::vector<std::string>{}) != n().segment("()"));
  CHECK(n().segment(std::vector<std::string>{}) != n().segment(std::vector<std::string>{""}));
  CHECK(n().segment({"a"}) != n().segment("a"));
  CHECK(n().segment({"a", "b"}) != n().segment({"a,b"}));
  CHECK(n().segment({"a", "b"}) != n().segment("(a,b,)"));
  CHECK(n().segment({"a", "b"}) != n().segment({"a", "b", ""}));
  CHECK(n().segment(std::vector<std::vector<int>>{{1}, {2}}) !=
        n().segment(std::vector<std::vector<int>>{{1, 2}}));
  CHECK(n().segment({"(a,)"}) != n().segment(std::vector<std::vector<std::string>>{{"a"}}));
  CHECK(n().segment("v2") != n().version(2));
  CHECK(n().version(2).segment("v1") != n().segment("v2").version(1));
  CHECK(n().generation(1) != n().segment("@1"));
  CHECK(n().tag("t") != cache_key("t").segment("n"));
  CHECK(cache_key("n").tag("a}:b") != cache_key("b").tag("a"));
  CHECK(n().tag("a").view() != n().segment("{a}").view());
  CHECK(n().segment("%3A") != n().segment(":"));
  CHECK(n().segment("a\0b"sv) != n().segment("a"));
  std::string const digits(32, '0');
  CHECK(n().segment("~h" + digits) != n().segment(std::string(300, 'x')));
  CHECK(n().param("a", "~p" + digits) != n().secret("a", "x", digest_of_digits{digits}));
  CHECK(n().secret("a", "x", digest_of_digits{digits}).view() == "n:a=~p" + digits + ":v1");
  // One text on purpose: the type of a name is the program's affair.
  CHECK(n().segment(1) == n().segment("1"));
  CHECK(n().segment(1) == n().segment(1.0));
  CHECK(n().segment(true) == n().segment("true"));
}

TEST_CASE("K4: the decoder takes no other spelling", "[K4]") {
  // What the tests of injectivity rest on: a decoder that took these would prove less.
  for (std::string_view const bad : {"",
                                     "n",
                                     "n:",
                                     "n:v",
                                     "n:v01",
                                     "n:v-1",
                                     "n:v1 ",
                                     "n:v1:",
                                     ":v1",
                                     "n:1",
                                     "n:v18446744073709551616",
                                     "n@:v1",
                                     "n@01:v1",
                                     "n@1@2:v1",
                                     "n@x:v1",
                                     "n:%3a:v1",
                                     "n:%41:v1",
                                     "n:%3:v1",
                                     "n:%:v1",
                                     "n:%G0:v1",
                                     "n:a b:v1",
                                     "n:\xc3\xa9:v1",
                                     "n:a,b:v1",
                                     "n:(a):v1",
                                     "n:(a,:v1",
                                     "n:(a,))",
                                     "n:a):v1",
                                     "n:~x:v1",
                                     "n:(~x,):v1",
                                     "n:a=1:a=2:v1",
                                     "n:b=1:a=2:v1",
                                     "n:a=1:s:v1",
                                     "n:a=1=2:v1",
                                     "{}:n:v1",
                                     "{a:n:v1",
                                     "{a}n:v1",
                                     "{a}:{b}:n:v1",
                                     "n:{a}:v1",
                                     "n:~h0:v1",
                                     "n:~h0123456789ABCDEF0123456789abcdef:v1",
                                     "n:~h0123456789abcdef0123456789abcdef:x:v1",
                                     "n:x:~h0123456789abcdef0123456789abcdef:v1",
                                     "n:a=~p0:v1",
                                     "n:~p0123456789abcdef0123456789abcdef:v1",
                                     "n:a=~h0123456789abcdef0123456789abcdef:v1",
                                     "n:%3A=1:0=2:v1"}) {
    CHECK_THROWS_AS(decode(bad), decoding_failed);
  }
  CHECK_THROWS_AS(decode("n:" + std::string(200, 'x') + ":v1"), decoding_failed);
  CHECK_THROWS_AS(decode(std::string(65, 'n') + ":v1"), decoding_failed);
  CHECK(decode("{a%3A}:n@0:x::(~,(,),):0=:%3A=~:v0").segments.size() == 3);
}

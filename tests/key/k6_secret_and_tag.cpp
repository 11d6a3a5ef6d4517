// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "key/random_model.hpp"
#include "support/environment.hpp"

#include <tideover/openssl.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// The hash tag that Redis Cluster sees: between the first '{' and the first '}' behind it, if not empty.
std::string redis_tag(std::string_view key) {
  std::size_t const open = key.find('{');
  if (open == key.npos) return {};
  std::size_t const close = key.find('}', open + 1);
  if (close == key.npos) return {};
  return std::string(key.substr(open + 1, close - open - 1));
}

bool good_for_memcached(std::string_view key) {
  if (key.empty() || key.size() > 250) return false;
  for (char const c : key) {
    if (static_cast<unsigned char>(c) <= 32 || static_cast<unsigned char>(c) >= 127) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("K6: a secret shows a keyed digest and nothing of its value", "[K6]") {
  tideover::openssl::hmac_sha256 const pepper("k");
  cache_key const key = cache_key("user").secret("email", "a@b.com", pepper);
  // HMAC-SHA256("k", "a%40b.com"), 128 bits, by another implementation (Python's hmac).
  CHECK(key.view() == "user:email=~pcc9176b8cecb6f51aa0a6f2cd8376f86:v1");
  CHECK(cache_key("user").secret("email", "a@b.com", pepper) == key);
  CHECK(cache_key("user").secret("email", "a@b.con", pepper) != key);
  CHECK(cache_key("user").secret("email", "a@b.com", tideover::openssl::hmac_sha256("l")) != key);
  CHECK(cache_key("user").secret("mail", "a@b.com", pepper).view() ==
        "user:mail=~pcc9176b8cecb6f51aa0a6f2cd8376f86:v1");
  CHECK(cache_key("user")
            .param("b", 1)
            .secret("a", "x", pepper)
            .param("0", 2)
            .view()
            .starts_with("user:0=2:a=~p"));
}

TEST_CASE("K6: what is digested is the value as it would stand in the key", "[K6]") {
  std::vector<std::string> heard;
  auto const digest = [&](std::string_view text) {
    heard.emplace_back(text);
    return tideover::digest128{};
  };
  cache_key("n")
      .secret("a", "x:y", digest)
      .secret("b", nullptr, digest)
      .secret("c", std::vector{1, 2}, digest)
      .secret("d", 1e21, digest);
  CHECK(heard == std::vector<std::string>{"x%3Ay", "~", "(1,2,)", "1e21"});
  // So a secret null and a secret "~" differ, as they do where they can be read.
  cache_key("n").secret("a", "~", digest);
  CHECK(heard.back() == "%7E");
  cache_key("n").secret("a", std::string(10'000, ':'), digest);
  CHECK(heard.back().size() == 30'000);
}

TEST_CASE("K6: what a secret's digest throws passes through, and the key is as it was", "[K6]") {
  cache_key key("n");
  key.param("a", 1).segment("s");
  observed const before(key);
  auto const bad = [](std::string_view) -> tideover::digest128 { throw std::runtime_error("no pepper"); };
  CHECK_THROWS_AS(key.secret("b", "x", bad), std::runtime_error);
  CHECK_THROWS_AS(key.try_secret("b", "x", bad), std::runtime_error);
  CHECK(observed(key) == before);
  CHECK_THROWS_AS(tideover::openssl::hmac_sha256(""), tideover::error);
}

TEST_CASE("K6: logs show namespace and hash, and no data", "[K6]") {
  cache_key const key =
      cache_key("user").tag("acme").generation(17).segment("a@b.com").param("token", "hush");
  std::string const text = key.log_text();
  CHECK(text.starts_with("user#"));
  CHECK(text.size() == 5 + 16);
  CHECK(text.find_first_not_of("0123456789abcdef", 5) == text.npos);
  CHECK(text ==
        cache_key("user").tag("acme").generation(17).segment("a@b.com").param("token", "hush").log_text());
  CHECK(text !=
        cache_key("user").tag("acme").generation(17).segment("a@b.org").param("token", "hush").log_text());
  cache_key const digested = cache_key("user").segment(std::string(300, 'x'));
  CHECK(digested.log_text().starts_with("user#"));
  CHECK(digested.log_text().size() == 5 + 16);
}

TEST_CASE("K6: one tag, first, not empty, at most 100 bytes", "[K6]") {
  CHECK(cache_key("n").segment("s").tag("t").view() == "{t}:n:s:v1");
  CHECK(cache_key("n").tag(12).view() == "{12}:n:v1");
  CHECK(cache_key("n").tag(nullptr).view() == "{~}:n:v1");
  CHECK(cache_key("n").tag(std::vector{1, 2}).view() == "{(1,2,)}:n:v1");
  std::string const longest(100, 't');
  CHECK(cache_key("n").tag(longest).view() == '{' + longest + "}:n:v1");

  cache_key key("n");
  key.segment("s");
  observed const untagged(key);
  CHECK(says(refusal([&] { key.tag(""); }), "cache_key.tag"));
  CHECK(says(refusal([&] { key.tag(""); }), "empty"));
  CHECK(says(refusal([&] { key.tag(longest + 't'); }), "101"));
  CHECK(says(refusal([&] { key.tag(std::string(34, ':')); }), "102"));
  CHECK_FALSE(key.try_tag(""));
  CHECK(observed(key) == untagged);
  key.tag(std::string(33, ':'));  // 99 bytes as they stand in the key
  observed const tagged(key);
  CHECK(says(refusal([&] { key.tag("t"); }), "given twice"));
  CHECK(observed(key) == tagged);
  key.segment(std::string(300, 'x'));
  CHECK(key.digested());
  CHECK(says(refusal([&] { key.tag("t"); }), "given twice"));
  CHECK(redis_tag(key.view()) == escaped(std::string(33, ':')));
}

TEST_CASE("K6: every key has the tag it was given, and is good for memcached", "[K6]") {
  model_maker make(run_seed() + 6, 60);
  std::size_t tagged = 0;
  for (int i = 0; i < 20'000; ++i) {
    key_model const model = make.model();
    cache_key const key = key_of(model);
    if (!good_for_memcached(key.view())) FAIL_CHECK("not for memcached: " << key.view());
    std::string const expected = model.tag ? encoded(*model.tag) : std::string();
    if (redis_tag(key.view()) != expected) FAIL_CHECK("another tag: " << key.view());
    if (key.name_space() != model.name_space) FAIL_CHECK("another namespace: " << key.view());
    if (model.tag) ++tagged;
  }
  CHECK(tagged > 1000);
}

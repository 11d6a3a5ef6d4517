// SPDX-License-Identifier: BSL-1.0
// Three ways to leave old entries behind without looking for them: a version for what a program stores, a
// generation for what a namespace holds, a tag for where a tenant's keys live.
#include <tideover/cache_key.hpp>
#include <tideover/ttl_cache.hpp>

#include <cstdio>
#include <string>

using tideover::cache_key;

// Version 2 stores JSON where version 1 stored XML: old and new servers do not read each other's entries.
constexpr tideover::key_schema<"invoice", "id"> invoice_key{.version = 2};

cache_key price_key(std::string const& tenant, unsigned generation, int article) {
  return cache_key("price").tag(tenant).generation(generation).segment(article);
}

int main() {
  tideover::ttl_cache<cache_key, int> prices({});
  unsigned generation = 17;  // of the tenant's price list: one number, kept where all servers see it

  prices.put(price_key("acme", generation, 42), 1999);
  ++generation;  // a new price list: every older price is out of reach, and leaves when its time is up
  if (!prices.contains(price_key("acme", generation, 42))) std::puts("a new list, no price yet");

  std::puts(price_key("acme", generation, 42).str().c_str());
  std::puts(invoice_key(7).str().c_str());
}
// expect: a new list, no price yet
// expect: {acme}:price@18:42:v1
// expect: invoice:id=7:v2

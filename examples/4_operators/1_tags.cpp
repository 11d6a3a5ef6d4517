// SPDX-License-Identifier: BSL-1.0
// A tenant changes its plan: everything that was made from it is erased, whatever the keys are.
#include <tideover/ttl_cache.hpp>

#include <cstddef>
#include <cstdio>
#include <string>

struct page {
  std::string tenant;
  std::string html;
};

int main() {
  // Tags of a put:
  tideover::ttl_cache<std::string, std::string, tideover::tagged> fragments({});
  fragments.put("/acme/plan", "<b>basic</b>", {.tags = {"acme", "plans"}});
  fragments.put("/acme/logo", "<img>", {.tags = {"acme"}});
  fragments.put("/brown/plan", "<b>gold</b>", {.tags = {"brown", "plans"}});
  std::size_t const erased = fragments.erase_tag("acme");
  std::printf("%d erased, %d stays\n", static_cast<int>(erased), static_cast<int>(fragments.size()));

  // Tags that follow from the value, so that what is computed has them too:
  tideover::tagged_by by_tenant([](std::string const&, page const& p) { return p.tenant; });
  tideover::ttl_cache<std::string, page, decltype(by_tenant)> pages({}, by_tenant);
  auto const render = [](std::string const& path) { return page{path.substr(1, 4), "plan: basic"}; };
  pages.get_or_compute("/acme/plan", render);
  std::printf("%d erased\n", static_cast<int>(pages.erase_tag("acme")));

  // The tag is erased while a page is rendered from what was true before: it is delivered, and not kept.
  page const last = pages.get_or_compute("/acme/plan", [&](std::string const& path) {
    page const p = render(path);
    pages.erase_tag("acme");
    return p;
  });
  std::printf("%s, %s\n", last.html.c_str(), pages.contains("/acme/plan") ? "kept" : "not kept");
}
// expect: 2 erased, 1 stays
// expect: 1 erased
// expect: plan: basic, not kept

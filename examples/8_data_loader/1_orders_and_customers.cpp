// SPDX-License-Identifier: BSL-1.0
// N+1 queries become one: each order asks for its own customer, and the database is asked once for all of
// them.
#include <tideover/data_loader.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct order {
  int id;
  int customer;
};

/// A database that counts what it is asked.
class database {
 public:
  std::vector<order> orders() {
    ++queries;
    std::vector<order> all;
    for (int i = 0; i < 100; ++i) all.push_back({i, i % 8});
    return all;
  }
  std::optional<std::string> customer(int id) {
    ++queries;
    return find(id);
  }
  /// select name from customers where id in (...), in the order of the ids.
  std::vector<std::optional<std::string>> customers(std::span<int const> ids) {
    ++queries;
    std::vector<std::optional<std::string>> all;
    for (int id : ids) all.push_back(find(id));
    return all;
  }
  int queries = 0;

 private:
  static std::optional<std::string> find(int id) {
    static std::map<int, std::string> const names{{0, "Ann"}, {1, "Ben"}, {2, "Cho"}, {3, "Dee"},
                                                  {4, "Eve"}, {5, "Flo"}, {6, "Gus"}};
    auto const at = names.find(id);
    return at == names.end() ? std::nullopt : std::optional(at->second);
  }
};

}  // namespace

int main() {
  {
    database db;
    for (order const& o : db.orders()) static_cast<void>(db.customer(o.customer));
    std::printf("one by one: %d queries\n", db.queries);
  }

  database db;
  tideover::data_loader<int, std::string> customers(
      [&](std::span<int const> ids) { return db.customers(ids); }, {.max_items = 1'000, .ttl = 30s});
  // Each order asks for what it needs, and knows nothing of the others.
  struct line {
    order of;
    decltype(customers.later(0)) customer;
  };
  std::vector<line> page;
  for (order const& o : db.orders()) page.push_back({o, customers.later(o.customer)});

  int known = 0;
  for (line& l : page) known += l.customer.try_get() ? 1 : 0;
  std::printf("with a loader: %d queries, %d of %zu customers known\n", db.queries, known, page.size());
  std::printf("order 9 is by %s, that of order 7 is %s\n", page[9].customer.get().c_str(),
              page[7].customer.try_get().code() == tideover::errc::not_found ? "not found" : "there");

  // It is kept for a while, until somebody who has changed it says so.
  std::printf("again: %s, %d queries\n", customers.load(1).c_str(), db.queries);
  customers.clear(1);
  auto const after = customers.later(1).get();
  std::printf("cleared: %s, %d queries\n", after.c_str(), db.queries);
}
// expect: one by one: 101 queries
// expect: with a loader: 2 queries, 88 of 100 customers known
// expect: order 9 is by Ben, that of order 7 is not found
// expect: again: Ben, 2 queries
// expect: cleared: Ben, 3 queries

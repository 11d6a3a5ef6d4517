// SPDX-License-Identifier: BSL-1.0

// Row 1R: a hundred items one by one, and through a batch processor, against back-ends that are real: a
// SQLite file that waits for the disk at each commit; PostgreSQL and Redis where
// benchmarks/gains/with_servers has started them. The ratio is a property of the disk and the network under
// it, so it has a floor and is never exact.

#include "gains/backends.hpp"
#include "gains/table.hpp"

#include <tideover/batch_processor.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

namespace gains {

namespace {

[[maybe_unused]] std::string const payload(100, 'x');

row real(char const* id, char const* what, char const* documented, double at_least) {
  row r;
  r.id = id;
  r.claim = what;
  r.documented = documented;
  r.mode.assign(1, 'R');
  r.unit.assign(1, 'x');
  r.expected = at_least;
  r.at_least = true;
  r.ordinary = "one by one";
  r.inputs = {{"items", 100, "", 2, 1e5}};
  return r;
}

template <class Work>
[[maybe_unused]] double seconds(Work work) {
  auto const began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

/// From the first add until the last item is settled: nothing of what the batch processor costs is left out.
template <class Store>
[[maybe_unused]] double batched(Store& store, int items) {
  auto options = tideover::presets::batch::bulk_insert;
  options.max_pending = 1'000'000;
  tideover::batch_processor<int> rows([&](std::span<int> batch) { store.together(batch); }, options);
  static_cast<void>(rows.add(-1).has_value());  // its thread is there, as it is in a service
  rows.flush(std::chrono::minutes(1));
  bool good = true;
  double const took = seconds([&] {
    for (int i = 0; i != items; ++i) good = rows.add(i).has_value() && good;
    good = rows.flush(std::chrono::minutes(1)) && good;
  });
  auto const s = rows.stats();
  if (!good || s.failed != 0) throw std::runtime_error("row 1R: a batch was not delivered");
  return took;
}

/// One by one, by hand in one go, and through the batch processor, in turn; of each the median of three.
template <class Store>
[[maybe_unused]] sample compare(Store& store, int items) {
  std::array<double, 3> single{}, by_hand{}, through{};
  for (std::size_t i = 0; i != 3; ++i) {
    single[i] = seconds([&] {
      for (int n = 0; n != items; ++n) store.one(n);
    });
    by_hand[i] = seconds([&] { store.by_hand(items); });
    through[i] = batched(store, items);
  }
  auto const median = [](std::array<double, 3> all) {
    std::sort(all.begin(), all.end());
    return all[1];
  };
  return {median(single) / median(through), 1.0, median(single) / median(by_hand)};
}

#if TIDEOVER_GAINS_SQLITE
/// A file of its own in the folder of the report: a temporary one might lie in memory, where commits are
/// free.
class sqlite_file {
 public:
  sqlite_file() {
    std::error_code ignored;
    std::filesystem::create_directories("build", ignored);
    remove();
    if (sqlite3_open(path, &db_) != SQLITE_OK) fail();
    run("pragma journal_mode = wal");
    run("pragma synchronous = full");
    run("create table t (id integer, text text)");
    if (sqlite3_prepare_v2(db_, "insert into t values (?, ?)", -1, &insert_, nullptr) != SQLITE_OK) fail();
  }
  sqlite_file(sqlite_file const&) = delete;
  sqlite_file& operator=(sqlite_file const&) = delete;
  ~sqlite_file() {
    sqlite3_finalize(insert_);
    sqlite3_close(db_);
    remove();
  }
  void one(int id) {
    sqlite3_bind_int(insert_, 1, id);
    sqlite3_bind_text(insert_, 2, payload.data(), static_cast<int>(payload.size()), SQLITE_STATIC);
    if (sqlite3_step(insert_) != SQLITE_DONE) fail();
    sqlite3_reset(insert_);
  }
  void together(std::span<int const> ids) {
    run("begin");
    for (int id : ids) one(id);
    run("commit");
  }
  void by_hand(int items) {
    run("begin");
    for (int i = 0; i != items; ++i) one(i);
    run("commit");
  }

 private:
  static constexpr char const* path = "build/gains.sqlite";
  static void remove() {
    std::error_code ignored;
    for (char const* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(std::string(path).append(suffix), ignored);
    }
  }
  void run(char const* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
  }
  [[noreturn]] void fail() {
    throw std::runtime_error(fmt::format("row 1R, SQLite: {}", sqlite3_errmsg(db_)));
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
};
#endif

#if TIDEOVER_GAINS_POSTGRES
class postgres_table {
 public:
  explicit postgres_table(char const* where) : db_(PQconnectdb(where), &PQfinish) {
    if (PQstatus(db_.get()) != CONNECTION_OK) fail();
    run("set client_min_messages = warning");
    run("drop table if exists t");
    run("create table t (id integer, text text)");
  }
  void one(int id) { run(fmt::format("insert into t values ({}, '{}')", id, payload)); }
  /// One statement, as one writes it: a row for each item.
  void together(std::span<int const> ids) {
    std::string sql = "insert into t values ";
    for (int id : ids) sql += fmt::format("({}, '{}'),", id, payload);
    sql.pop_back();
    run(sql);
  }
  void by_hand(int items) {
    run("begin");
    for (int i = 0; i != items; ++i) one(i);
    run("commit");
  }

 private:
  void run(std::string const& sql) {
    std::unique_ptr<PGresult, decltype(&PQclear)> const r(PQexec(db_.get(), sql.c_str()), &PQclear);
    if (PQresultStatus(r.get()) != PGRES_COMMAND_OK) fail();
  }
  [[noreturn]] void fail() {
    throw std::runtime_error(fmt::format("row 1R, PostgreSQL: {}", PQerrorMessage(db_.get())));
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> db_;
};
#endif

#if TIDEOVER_GAINS_REDIS
class redis_keys {
 public:
  explicit redis_keys(int port) : redis_(redisConnect("127.0.0.1", port), &redisFree) {
    if (!redis_ || redis_->err != 0) fail();
  }
  void one(int id) { take(redisCommand(redis_.get(), "SET k%d %b", id, payload.data(), payload.size())); }
  void together(std::span<int const> ids) {
    for (int id : ids) append(id);
    for (std::size_t i = 0; i != ids.size(); ++i) receive();
  }
  void by_hand(int items) {
    for (int i = 0; i != items; ++i) append(i);
    for (int i = 0; i != items; ++i) receive();
  }

 private:
  void append(int id) {
    if (redisAppendCommand(redis_.get(), "SET k%d %b", id, payload.data(), payload.size()) != REDIS_OK)
      fail();
  }
  void receive() {
    void* reply = nullptr;
    if (redisGetReply(redis_.get(), &reply) != REDIS_OK) fail();
    take(reply);
  }
  void take(void* reply) {
    std::unique_ptr<redisReply, void (*)(redisReply*)> const r(static_cast<redisReply*>(reply),
                                                               [](redisReply* p) { freeReplyObject(p); });
    if (!r || r->type == REDIS_REPLY_ERROR) fail();
  }
  [[noreturn]] void fail() {
    throw std::runtime_error(fmt::format("row 1R, Redis: {}", redis_ ? redis_->errstr : "no memory"));
  }

  std::unique_ptr<redisContext, decltype(&redisFree)> redis_;
};
#endif

}  // namespace

void add_real_rows(table& t) {
  row sqlite =
      real("1R", "100 inserts as one transaction, SQLite, synchronous = full", "87x (once, one disk)", 10);
  sqlite.strong = "one transaction by hand; a pipeline by hand";
  sqlite.note =
      "a file with a write-ahead log; from the first add to the last item settled; at least the expected "
      "10x,\n"
      "the rest is the disk's: what a commit costs";
#if TIDEOVER_GAINS_SQLITE
  sqlite.measure = [](inputs const& in, run const&) {
    sqlite_file file;
    return compare(file, static_cast<int>(in["items"]));
  };
#else
  sqlite.missing = "libsqlite3-dev is not installed";
#endif
  t.add(std::move(sqlite));

  row postgres = real("1Rb", "100 inserts as one statement, PostgreSQL", "96x (once, one disk)", 10);
  postgres.strong = "one transaction by hand; a pipeline by hand";
#if TIDEOVER_GAINS_POSTGRES
  if (char const* const where = std::getenv("TIDEOVER_GAINS_POSTGRES"); where != nullptr) {
    postgres.measure = [where](inputs const& in, run const&) {
      postgres_table db(where);
      return compare(db, static_cast<int>(in["items"]));
    };
  }
#endif
  if (!postgres.measure) postgres.missing = "no server: benchmarks/run --full";
  t.add(std::move(postgres));

  row redis = real("1Rc", "100 writes as one pipeline, Redis", "25x (once)", 5);
  redis.strong = "one transaction by hand; a pipeline by hand";
#if TIDEOVER_GAINS_REDIS
  if (char const* const port = std::getenv("TIDEOVER_GAINS_REDIS"); port != nullptr) {
    redis.measure = [port](inputs const& in, run const&) {
      redis_keys keys(std::atoi(port));
      return compare(keys, static_cast<int>(in["items"]));
    };
  }
#endif
  if (!redis.measure) redis.missing = "no server: benchmarks/run --full";
  t.add(std::move(redis));
}

}  // namespace gains

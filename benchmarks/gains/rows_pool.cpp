// SPDX-License-Identifier: BSL-1.0

// What the pool is responsible for: how many agents there are while the load comes and goes (19), and what a
// connection costs that is not made again (20). Row 19 runs in virtual time with threads that really wait;
// row 20 against back-ends that are real.

#include "gains/backends.hpp"
#include "gains/table.hpp"

#include <tideover/connection_pool.hpp>
#include <tideover/policy/clock.hpp>

#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gains {

namespace {

using std::chrono::nanoseconds;

nanoseconds seconds(double s) { return nanoseconds(static_cast<std::int64_t>(s * 1e9)); }

template <class Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

// ---- 19: agents -------------------------------------------------------------------------------------------

struct agent {};

/// Takes its time, which is the clock's.
class agent_factory {
 public:
  using connection = agent;

  agent_factory(tideover::manual_clock clock, nanoseconds takes)
      : shared_(std::make_shared<shared>()), clock_(std::move(clock)), takes_(takes) {}

  agent connect(tideover::deadline const&) {
    auto const done = clock_.now() + takes_;
    std::unique_lock lock(shared_->mutex);
    auto const mine = shared_->ends.insert(done);
    while (clock_.now() < done) clock_.wait_until(shared_->changed, lock, done);
    shared_->ends.erase(mine);
    return {};
  }
  /// How many are being made, but those that are about to be ready.
  std::size_t making() const {
    std::lock_guard lock(shared_->mutex);
    auto const now = clock_.now();
    return static_cast<std::size_t>(
        std::count_if(shared_->ends.begin(), shared_->ends.end(), [&](auto end) { return end > now; }));
  }
  /// When the next one will be ready; there is one.
  tideover::instant next() const {
    std::lock_guard lock(shared_->mutex);
    return *shared_->ends.begin();
  }

 private:
  struct shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::multiset<tideover::instant> ends;
  };
  std::shared_ptr<shared> shared_;
  tideover::manual_clock clock_;
  nanoseconds takes_;
};

struct load_step {
  double most = 0;           ///< agents at any time
  double longest_first = 0;  ///< seconds that those waited for whom there were agents already
  double longest = 0;        ///< seconds that anybody waited
  double back = 0;           ///< seconds from the end of the load until no more than the fewest were there
  bool all_served = false;
};

/// As many clients as the row says come at once, stay for a while, and go.
load_step run_load(inputs const& in) {
  tideover::manual_clock const clock;
  agent_factory const factory(clock, seconds(in["creation"]));
  auto options = tideover::presets::pool::agents;
  options.min_size = static_cast<std::size_t>(in["least"]);
  options.max_size = std::max(options.min_size, static_cast<std::size_t>(in["most"]));
  options.max_idle_time = seconds(in["idle"]);
  options.acquire_timeout = seconds(in["creation"] * in["clients"] + in["stay"] * in["clients"] + 1);
  options.max_lifetime = nanoseconds(0);
  tideover::connection_pool<agent_factory, tideover::manual_clock> pool(factory, options, clock);
  load_step r;
  auto const look = [&] {
    auto const s = pool.stats();
    r.most = std::max(r.most, static_cast<double>(s.size()));
    return s;
  };
  auto const clients = static_cast<std::size_t>(in["clients"]);
  std::mutex mutex;
  std::vector<double> waited;
  std::vector<tideover::lease<agent>> held;
  std::size_t came = 0, settled = 0;
  // Time goes on when everybody waits for it: each agent is being made, each client has one or is in the
  // queue.
  auto const quiet = [&] {
    std::size_t gone = 0;
    {
      std::lock_guard lock(mutex);
      gone = settled;
    }
    auto const s = look();
    return gone + s.waiting == came && s.opening == factory.making() &&
           (s.waiting == 0 || s.opening != 0 || s.size() == options.max_size);
  };
  await([&] { return quiet() && (look().opening != 0 || look().idle >= options.min_size); });
  while (look().idle < options.min_size) {
    clock.set(factory.next());
    await([&] { return quiet() && (look().opening != 0 || look().idle >= options.min_size); });
  }

  auto const come = clock.now();
  std::vector<std::thread> threads;
  // Those for whom there is an agent: one after the other, so that it is known who they are.
  came = settled = std::min(clients, options.min_size);
  for (std::size_t i = 0; i < came; ++i) {
    held.push_back(pool.acquire());
    r.longest_first = std::max(r.longest_first, std::chrono::duration<double>(clock.now() - come).count());
  }
  for (; came < clients; ++came) {
    threads.emplace_back([&] {
      auto got = pool.try_acquire_for(options.acquire_timeout);
      std::lock_guard lock(mutex);
      ++settled;
      if (!got) return;
      waited.push_back(std::chrono::duration<double>(clock.now() - come).count());
      held.push_back(std::move(*got));
    });
  }
  std::size_t served = 0;
  tideover::instant end = clock.now();
  while (served < clients) {
    await(quiet);
    if (look().opening != 0) {
      clock.set(factory.next());
      continue;
    }
    clock.advance(seconds(in["stay"]));
    std::vector<tideover::lease<agent>> leaving;
    {
      std::lock_guard lock(mutex);
      leaving.swap(held);
    }
    if (leaving.empty()) break;
    served += leaving.size();
    leaving.clear();
    end = clock.now();
  }
  for (auto& t : threads) t.join();
  r.all_served = served == clients;
  for (double w : waited) r.longest = std::max(r.longest, w);

  // The end of the load lies anywhere between two looks of the maintenance.
  auto const look_each = seconds(in["check"]);
  clock.advance(look_each / 2);
  for (int looks = 0; look().size() > options.min_size && looks < 10'000; ++looks) {
    clock.advance(look_each);
    pool.tick();
  }
  r.back = std::chrono::duration<double>(clock.now() - end).count();
  return r;
}

row agents(char const* id, char const* claim, char const* documented, char const* unit, double expected) {
  row r;
  r.id = id;
  r.claim = claim;
  r.documented = documented;
  r.mode.assign(1, 'V');
  r.unit = unit;
  r.expected = expected;
  r.inputs = {{"least", 2, "agents", 0, 1'000}, {"most", 10, "agents", 1, 1'000},
              {"clients", 12, "", 1, 200},      {"creation", 0.5, "s", 1e-3, 1e3},
              {"stay", 30, "s", 1e-3, 1e4},     {"idle", 300, "s", 1e-3, 1e5},
              {"check", 60, "s", 1e-3, 1e4}};
  r.ordinary = "an agent made for each client";
  r.strong = "a semaphore and a vector: made when first needed, never fewer again";
  return r;
}

void add_agents(table& t) {
  row most = agents("19", "most agents when 12 clients come at once", "2..10", "agents", 10);
  most.digits = 0;
  most.measure = [](inputs const& in, run const&) {
    auto const r = run_load(in);
    if (!r.all_served) throw std::runtime_error("row 19: a client was not served");
    return sample{r.most, in["clients"], std::min(in["clients"], in["most"])};
  };
  t.add(std::move(most));

  row wait = agents("19b", "longest wait of the first two, made ahead", "0 s", "s", 0);
  wait.measure = [](inputs const& in, run const&) {
    return sample{run_load(in).longest_first, in["creation"], in["creation"]};
  };
  t.add(std::move(wait));

  row back = agents("19c", "back to two after the load", "idle 300 s, check 60 s", "s", 330);
  back.tolerance = 30;  // 300 to 360, as the load ends between two checks
  back.note =
      "after the idle time, at the next look: at most idle + check; it ends half a look before one. The "
      "baselines\nkeep none and keep all.";
  back.measure = [](inputs const& in, run const&) {
    return sample{run_load(in).back, std::nullopt, std::nullopt};
  };
  t.add(std::move(back));
}

// ---- 20: reuse --------------------------------------------------------------------------------------------

[[noreturn]] void fail(char const* what, std::string const& why) {
  throw std::runtime_error(fmt::format("row 20, {}: {}", what, why));
}

double median_of(std::vector<double>& v) {
  auto const middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

/// The median time of `connect, ask, close` over that of `acquire, ask, return`, in turns; beside it that of
/// one connection which is kept without a pool: as good as it can be.
template <class Factory>
[[maybe_unused]] sample reuse(Factory const& made_by, inputs const& in) {
  Factory factory = made_by;
  tideover::connection_pool<Factory> pool(
      made_by, {.min_size = 1, .max_size = 10, .validate_after_idle = std::chrono::nanoseconds(-1)});
  auto const no_deadline = tideover::deadline();
  auto kept = factory.connect(no_deadline);
  auto const time = [](auto f) {
    auto const began = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };
  { pool.acquire()->ask(); }
  std::vector<double> fresh, pooled, by_hand;
  constexpr int block = 10;
  for (int i = 0, n = static_cast<int>(in["calls"]); i < n; i += block) {
    for (int k = 0; k < block; ++k) fresh.push_back(time([&] { factory.connect(no_deadline).ask(); }));
    // What the other side does when a connection ends is not to be paid by those that are kept.
    for (int k = 0; k < 3 * block; ++k) kept.ask();
    for (int k = 0; k < block; ++k) {
      pooled.push_back(time([&] { pool.with([](auto& c) { c.ask(); }); }));
      by_hand.push_back(time([&] { kept.ask(); }));
    }
  }
  double const each_time = median_of(fresh);
  return {each_time / median_of(pooled), 1.0, each_time / median_of(by_hand)};
}

row reused(char const* id, char const* what, char const* documented) {
  row r;
  r.id = id;
  r.claim = what;
  r.documented = documented;
  r.mode.assign(1, 'R');
  r.unit.assign(1, 'x');
  r.expected = 3;
  r.at_least = true;
  r.ordinary = "a connection made for each call";
  r.strong = "one connection, kept by hand";
  r.inputs = {{"calls", 200, "", 10, 1e6}};
  return r;
}

/// A server in this process: greets, wants a password, and answers each byte. One thread for each connection,
/// which ends when the other side closes.
class small_server {
 public:
  small_server() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (socket_ < 0) fail("TCP", "no socket");
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    if (::bind(socket_, address, size) != 0 || ::listen(socket_, 64) != 0 ||
        ::getsockname(socket_, address, &size) != 0) {
      ::close(socket_);
      fail("TCP", "cannot listen on loopback");
    }
    port_ = at.sin_port;
    listener_ = std::thread([this] { serve(); });
  }
  small_server(small_server const&) = delete;
  small_server& operator=(small_server const&) = delete;
  ~small_server() {
    ::shutdown(socket_, SHUT_RDWR);
    listener_.join();
    ::close(socket_);
    for (auto& t : sessions_) t.join();
  }
  in_port_t port() const { return port_; }

 private:
  void serve() {
    for (;;) {
      int const s = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (s < 0) return;
      sessions_.emplace_back([s] {
        int const on = 1;
        ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        char byte = 'h';
        while (::send(s, &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(s, &byte, 1, 0) == 1) {
        }
        ::close(s);
      });
    }
  }
  int socket_;
  in_port_t port_ = 0;
  std::thread listener_;
  std::vector<std::thread> sessions_;
};

class tcp_connection {
 public:
  explicit tcp_connection(in_port_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = port;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int const on = 1;
    if (socket_ < 0 || ::connect(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
      if (socket_ >= 0) ::close(socket_);
      fail("TCP", "cannot connect");
    }
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    receive();  // its greeting
    ask();      // name and password
  }
  tcp_connection(tcp_connection const&) = delete;
  tcp_connection& operator=(tcp_connection const&) = delete;
  ~tcp_connection() { ::close(socket_); }
  void ask() {
    char const question = '?';
    if (::send(socket_, &question, 1, MSG_NOSIGNAL) != 1) fail("TCP", "the server has gone");
    receive();
  }

 private:
  void receive() {
    char answer = 0;
    if (::recv(socket_, &answer, 1, 0) != 1) fail("TCP", "no answer");
  }
  int socket_;
};
struct tcp_factory {
  using connection = tcp_connection;
  in_port_t port;
  tcp_connection connect(tideover::deadline const&) const { return tcp_connection(port); }
};

#if TIDEOVER_GAINS_SQLITE
/// A file with a table of some rows; what is asked for is one of them, by a statement that is prepared once
/// for each connection.
class sqlite_rows {
 public:
  sqlite_rows() {
    std::error_code ignored;
    std::filesystem::create_directories("build", ignored);
    std::filesystem::remove(path, ignored);
    sqlite3* db = nullptr;
    int const status = sqlite3_open(path, &db);
    char const* const sql =
        "create table t (id integer primary key, text text);"
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)"
        " insert into t select i, hex(randomblob(50)) from n";
    bool const good = status == SQLITE_OK && sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
    sqlite3_close(db);
    if (!good) fail("SQLite", "cannot make its file");
  }
  sqlite_rows(sqlite_rows const&) = delete;
  sqlite_rows& operator=(sqlite_rows const&) = delete;
  ~sqlite_rows() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  static constexpr char const* path = "build/gains_pool.sqlite";
};
class sqlite_connection {
 public:
  sqlite_connection() {
    if (sqlite3_open(sqlite_rows::path, &db_) != SQLITE_OK ||
        sqlite3_prepare_v2(db_, "select text from t where id = 500", -1, &select_, nullptr) != SQLITE_OK) {
      sqlite3_close(db_);
      fail("SQLite", "cannot open its file");
    }
  }
  sqlite_connection(sqlite_connection const&) = delete;
  sqlite_connection& operator=(sqlite_connection const&) = delete;
  ~sqlite_connection() {
    sqlite3_finalize(select_);
    sqlite3_close(db_);
  }
  void ask() {
    if (sqlite3_step(select_) != SQLITE_ROW) fail("SQLite", sqlite3_errmsg(db_));
    sqlite3_reset(select_);
  }

 private:
  sqlite3* db_ = nullptr;
  sqlite3_stmt* select_ = nullptr;
};
struct sqlite_factory {
  using connection = sqlite_connection;
  sqlite_connection connect(tideover::deadline const&) const { return {}; }
};
#endif

#if TIDEOVER_GAINS_POSTGRES
class postgres_connection {
 public:
  explicit postgres_connection(char const* where) : db_(PQconnectdb(where), &PQfinish) {
    if (PQstatus(db_.get()) != CONNECTION_OK) fail("PostgreSQL", PQerrorMessage(db_.get()));
  }
  void ask() {
    std::unique_ptr<PGresult, decltype(&PQclear)> const r(PQexec(db_.get(), "select 1"), &PQclear);
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) fail("PostgreSQL", PQerrorMessage(db_.get()));
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> db_;
};
struct postgres_factory {
  using connection = postgres_connection;
  char const* where;
  postgres_connection connect(tideover::deadline const&) const { return postgres_connection(where); }
};
#endif

#if TIDEOVER_GAINS_REDIS
class redis_connection {
 public:
  explicit redis_connection(int port) : redis_(redisConnect("127.0.0.1", port), &redisFree) {
    if (!redis_ || redis_->err != 0) fail("Redis", redis_ ? redis_->errstr : "no memory");
  }
  void ask() {
    void* const reply = redisCommand(redis_.get(), "GET k");
    if (reply == nullptr) fail("Redis", redis_->errstr);
    freeReplyObject(reply);
  }

 private:
  std::unique_ptr<redisContext, decltype(&redisFree)> redis_;
};
struct redis_factory {
  using connection = redis_connection;
  int port;
  redis_connection connect(tideover::deadline const&) const { return redis_connection(port); }
};
#endif

void add_reuse(table& t) {
  row sqlite = reused("20", "a query by a connection that is reused, SQLite", "reuse saves the connect");
  sqlite.note = "open the file, read its schema, prepare, read one row; medians. At least the expected 3x";
#if TIDEOVER_GAINS_SQLITE
  sqlite.measure = [](inputs const& in, run const&) {
    sqlite_rows const file;
    return reuse(sqlite_factory{}, in);
  };
#else
  sqlite.missing = "libsqlite3-dev is not installed";
#endif
  t.add(std::move(sqlite));

  row tcp = reused("20b", "the same over TCP on loopback", "reuse saves the connect");
  tcp.note =
      "connect, greeting, password, question; a server in this process with a thread for each connection.\n"
      "The distance is nothing and there is no TLS: over a real network it is a matter of round trips, 3 or "
      "4 "
      "to 1";
  tcp.measure = [](inputs const& in, run const&) {
    small_server const server;
    return reuse(tcp_factory{server.port()}, in);
  };
  t.add(std::move(tcp));

  row postgres = reused("20c", "the same, PostgreSQL", "280x (once, with SCRAM)");
  postgres.note = "a socket of the machine, no password: each connection is a process of the server";
#if TIDEOVER_GAINS_POSTGRES
  if (char const* const where = std::getenv("TIDEOVER_GAINS_POSTGRES"); where != nullptr) {
    postgres.measure = [where](inputs const& in, run const&) { return reuse(postgres_factory{where}, in); };
  }
#endif
  if (!postgres.measure) postgres.missing = "no server: benchmarks/run --full";
  t.add(std::move(postgres));

  row redis = reused("20d", "the same, Redis", "4.7x (once)");
#if TIDEOVER_GAINS_REDIS
  if (char const* const port = std::getenv("TIDEOVER_GAINS_REDIS"); port != nullptr) {
    redis.measure = [port](inputs const& in, run const&) {
      return reuse(redis_factory{std::atoi(port)}, in);
    };
  }
#endif
  if (!redis.measure) redis.missing = "no server: benchmarks/run --full";
  t.add(std::move(redis));
}

}  // namespace

void add_pool_rows(table& t) {
  add_agents(t);
  add_reuse(t);
}

}  // namespace gains

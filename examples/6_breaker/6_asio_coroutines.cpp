// SPDX-License-Identifier: BSL-1.0
// Asynchronous calls: the permit goes with the coroutine, and reports where the call ends. A coroutine that
// is destroyed, or left by an exception, drops its permit, which says nothing and gives a probe's place back.
#include <tideover/circuit_breaker.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdio>

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// What stands for a request: it takes a turn of the loop, and gives a status.
asio::awaitable<int> fetch(int status) {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  co_return status;
}

/// A guarded request: its status, or 0 if it was rejected.
asio::awaitable<int> guarded(tideover::shared_breaker<> api, int status) {
  auto permit = api.try_acquire();
  if (!permit) co_return 0;
  int const got = co_await fetch(status);
  got < 500 ? permit->succeed() : permit->fail();
  co_return got;
}

asio::awaitable<void> session(tideover::shared_breaker<> api) {
  for (int status : {200, 503, 503, 503, 200}) std::printf("%d\n", co_await guarded(api, status));
  std::printf("%s\n", to_string(api->state()));
}

int main() {
  asio::io_context loop;
  tideover::shared_breaker<> api({.failure_threshold = 3});
  asio::co_spawn(loop, session(api), asio::detached);
  loop.run();
}
// expect: 200
// expect: 503
// expect: 503
// expect: 503
// expect: 0
// expect: open

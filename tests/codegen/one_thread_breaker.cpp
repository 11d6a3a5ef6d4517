// SPDX-License-Identifier: BSL-1.0
// What a breaker for one thread compiles to; `check` reads the assembler. LOCKING is single_threaded, or
// one_mutex as the control that shows that the check can see atomics; its lock, which no breaker has, is
// added.
#include <tideover/circuit_breaker.hpp>

using namespace tideover;
using plain = circuit_breaker<LOCKING, steady>;
using rates = circuit_breaker<LOCKING, steady, failure_rate_in_last<100>, counting, ramp<3>>;
using timed = circuit_breaker<LOCKING, steady, failure_rate_over<>>;
using throttle = circuit_breaker<LOCKING, steady, adaptive_throttle>;

int call(plain& b, int (*f)()) { return b.call(f); }
int call(rates& b, int (*f)()) { return b.call(f); }
result<int> call(timed& b, int (*f)()) { return b.try_call(f); }
result<int> call(throttle& b, int (*f)()) { return b.try_call(f); }
void operate(plain& b) { b.reset(), b.observe(), b.reconfigure({}); }
void operate(rates& b) { b.reset(), b.observe(), b.reconfigure({}); }
breaker_stats stats(timed const& b) { return b.stats(); }
void control(LOCKING::mutex_type& m) {
  m.lock();
  m.unlock();
}

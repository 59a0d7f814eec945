/* SPDX-License-Identifier: MIT */
#include "telemetry/self.h"

#include "base/clock.h"
#include "base/duration.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

_Thread_local __attribute__((tls_model("initial-exec"))) struct self telemetry_self;
_Atomic unsigned self_forks;

static void in_child(void)
{
    atomic_fetch_add_explicit(&self_forks, 1, memory_order_relaxed);
}

static void watch(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* without memory for it: no guard */
}

void self_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch);
}

static uint64_t spread(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void self_seed(void)
{
    static _Atomic unsigned threads;
    self_watch_forks();
    telemetry_self.number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
    if (getrandom(telemetry_self.random, sizeof telemetry_self.random, GRND_NONBLOCK) !=
        sizeof telemetry_self.random) {
        /* So early that the kernel has none: what no other thread and no other process shares. */
        uint64_t state = (uint64_t)clock_real_now() ^ (uint64_t)(uintptr_t)&telemetry_self ^
                         (uint64_t)getpid() << 32 ^ telemetry_self.random[0];
        for (int i = 0; i < 4; i++)
            telemetry_self.random[i] = spread(&state);
    }
    telemetry_self.random[0] |= telemetry_self.random[1] == 0; /* all zero would stay so */
    telemetry_self.seeded = self_stamp() + 1;
}

int64_t self_look_at_clocks(int64_t monotonic_ns)
{
    telemetry_self.to_unix = clock_wall_offset();
    telemetry_self.to_unix_until = monotonic_ns + NS_PER_S;
    return telemetry_self.to_unix;
}

static void put_random(uint8_t *out)
{
    uint64_t word = self_random();
    memcpy(out, &word, sizeof word);
}

void self_trace_id(uint8_t out[16])
{
    uint64_t words[2];
    do {
        words[0] = self_random();
        words[1] = self_random();
    } while ((words[0] | words[1]) == 0);
    memcpy(out, words, sizeof words);
}

void self_span_id(uint8_t out[8])
{
    uint64_t word;
    do
        put_random(out);
    while (memcpy(&word, out, sizeof word), word == 0);
}

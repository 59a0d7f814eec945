/* SPDX-License-Identifier: MIT
 *
 * What each thread has of its own: random numbers, what is current, the clock it trusts, a few free
 * slots. One thread-local struct, so that a call looks for it once; and how often the process has
 * forked, for after a fork nothing here works but the ids.
 */
#ifndef TELEMETRY_SELF_H
#define TELEMETRY_SELF_H

#include <srun/propagation.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SELF_SLOTS 16
#define SELF_ATTACHED 16

struct self {
    unsigned seeded; /* at which count of forks, plus 1; 0: never */
    uint64_t random[4];
    unsigned number; /* of this thread; known once it is seeded */

    struct srun_span_context current;
    uint64_t serial; /* of the attach by which it is current; 0: of none */
    uint64_t last_serial;
    uint64_t attached[SELF_ATTACHED]; /* the serials of the first ones that are attached */
    unsigned depth;                   /* how many are */

    int64_t to_unix; /* Unix time minus the monotonic clock */
    int64_t to_unix_until;

    uint32_t slots[SELF_SLOTS]; /* free ones, see span_slots.h */
    unsigned slot_count;
    bool leaves; /* the end of this thread gives them back */

    bool exports_logs; /* what this thread logs is not exported */
};

extern _Thread_local __attribute__((tls_model("initial-exec"))) struct self telemetry_self;

extern _Atomic unsigned self_forks;

/* From now on forks are counted. */
void self_watch_forks(void);

static inline unsigned self_stamp(void)
{
    return atomic_load_explicit(&self_forks, memory_order_relaxed);
}

/* Slow parts of what follows. */
void self_seed(void);
int64_t self_look_at_clocks(int64_t monotonic_ns);

/* xoshiro256++ */
static inline uint64_t self_random(void)
{
    if (__builtin_expect(telemetry_self.seeded != self_stamp() + 1, 0))
        self_seed();
    uint64_t *s = telemetry_self.random, sum = s[0] + s[3];
    uint64_t result = (sum << 23 | sum >> 41) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

/* Never all zero. */
void self_trace_id(uint8_t out[16]);
void self_span_id(uint8_t out[8]);

/* Unix time for a time of the monotonic clock that is about now: the two are compared once a
 * second, so that it costs one clock, not two. */
static inline int64_t self_unix(int64_t monotonic_ns)
{
    int64_t to_unix = monotonic_ns < telemetry_self.to_unix_until
                          ? telemetry_self.to_unix
                          : self_look_at_clocks(monotonic_ns);
    return monotonic_ns + to_unix;
}

#endif

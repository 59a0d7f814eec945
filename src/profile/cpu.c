/* SPDX-License-Identifier: MIT
 *
 * The sessions do the work themselves: each wakes twenty times a second, takes what has come out of
 * the ring for all of them, and looks for new threads and new code.
 */
#include "profile/cpu.h"

#include "base/clock.h"
#include "base/duration.h"
#include "profile/gate.h"
#include "profile/ring.h"
#include "profile/timers.h"
#include "profile/unwind.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_NS (50 * NS_PER_MS)   /* for samples and new threads */
#define LOOK_SHARE 100             /* where there are so many that it takes long: a hundredth */
#define CODE_NS (1000 * NS_PER_MS) /* for code; at once when a sample met some that is new */

struct session {
    struct profile *profile;
    int64_t period_ns;
    int64_t cpu_ns; /* of the process, at the start */
    uint64_t sampled_ns, dropped;
    unsigned refused;
    struct session *next;
};

/* What the handler reads. */
static _Atomic(struct ring *) the_ring;
static _Atomic(struct modules *) the_modules;
static _Atomic int64_t period_ns;
static _Atomic bool met_new_code;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct session *sessions;
static struct ring *ring;
static struct modules *modules;
static struct timers timers;
static int64_t look_ns, code_ns; /* when to look at threads, when code was looked at */

/* --- in the handler -------------------------------------------------------------------------- */

void cpu_on_timer(const siginfo_t *info, const void *context)
{
    struct ring *to = atomic_load(&the_ring);
    struct modules *from = atomic_load(&the_modules);
    if (to == NULL || from == NULL)
        return;
    uint64_t ticket, hits = 1 + (uint64_t)(info->si_overrun > 0 ? info->si_overrun : 0);
    struct sample *sample = ring_claim(to, &ticket);
    if (sample == NULL) {
        atomic_fetch_add(&to->dropped, hits);
        return;
    }
    bool lost = false;
    sample->tid = gettid();
    sample->hits = hits;
    sample->ns = hits * (uint64_t)atomic_load(&period_ns);
    sample->depth =
        (uint32_t)unwind(atomic_load(&from->view), context, sample->frames, RING_FRAMES, &lost);
    ring_commit(to, ticket);
    if (lost)
        atomic_store(&met_new_code, true);
}

/* --- while sessions run ---------------------------------------------------------------------- */

static void drain_locked(void)
{
    uint64_t dropped = atomic_exchange(&ring->dropped, 0);
    for (struct session *session = sessions; session != NULL; session = session->next)
        session->dropped += dropped;
    const struct sample *sample;
    while ((sample = ring_peek(ring)) != NULL) {
        const struct stack_key key = {.name = timers_name(&timers, sample->tid),
                                      .frames = sample->frames,
                                      .depth = sample->depth};
        const uint64_t values[STACKS_VALUES] = {sample->hits, sample->ns};
        for (struct session *session = sessions; session != NULL; session = session->next) {
            session->sampled_ns += sample->ns;
            stacks_add(&session->profile->stacks, &key, values);
        }
        ring_release(ring);
    }
}

static void look_locked(int64_t now)
{
    drain_locked();
    if (now < look_ns)
        return;
    if (atomic_exchange(&met_new_code, false) || now - code_ns >= CODE_NS) {
        (void)modules_refresh(modules, gate_settle); /* else the view stays as it was */
        code_ns = now;
    }
    (void)timers_update(&timers); /* else at the next look */
    int64_t end = clock_real_now(), rest = (end - now) * LOOK_SHARE;
    look_ns = end + (rest > LOOK_NS ? rest : LOOK_NS - NS_PER_MS); /* the waits are as long */
    for (struct session *session = sessions; session != NULL; session = session->next)
        session->refused = timers.refused > session->refused ? timers.refused : session->refused;
}

/* The fastest of them. */
static void set_period_locked(void)
{
    int64_t shortest = INT64_MAX;
    for (struct session *session = sessions; session != NULL; session = session->next)
        shortest = session->period_ns < shortest ? session->period_ns : shortest;
    if (sessions == NULL || shortest == timers.period_ns)
        return;
    atomic_store(&period_ns, shortest);
    timers_set_period(&timers, shortest);
}

/* --- the first and the last ------------------------------------------------------------------ */

static void close_locked(void)
{
    timers_stop(&timers);
    atomic_store(&the_ring, NULL);
    atomic_store(&the_modules, NULL);
    gate_close();
    ring_free(ring);
    modules_free(modules);
    ring = NULL;
    modules = NULL;
}

static int open_locked(int64_t now, srun_err *err)
{
    int rc = gate_open(err);
    if (rc < 0)
        return rc;
    ring = ring_new();
    rc = ring != NULL ? modules_new(&modules) : -ENOMEM;
    if (rc == 0)
        rc = modules_refresh(modules, gate_settle);
    if (rc < 0) {
        close_locked();
        return srun_fail(err, rc, "profile: %s", srun_strerror(rc));
    }
    timers = (struct timers){.seed = (uint64_t)now};
    look_ns = code_ns = now;
    atomic_store(&the_ring, ring);
    atomic_store(&the_modules, modules);
    return 0;
}

static int join_locked(struct session *session, srun_err *err)
{
    int64_t now = clock_real_now();
    int rc = sessions == NULL ? open_locked(now, err) : 0;
    if (rc < 0)
        return rc;
    bool first = sessions == NULL;
    drain_locked(); /* what came before is not its */
    session->next = sessions;
    sessions = session;
    set_period_locked();
    session->profile->modules = modules;
    atomic_fetch_add(&modules->users, 1);
    if (first)
        (void)timers_update(&timers);
    session->refused = timers.refused;
    session->cpu_ns = clock_processor_now();
    return 0;
}

static void name_deaf_locked(struct buf *out)
{
    enum { SHOWN = 8 };
    unsigned deaf = 0;
    for (size_t i = 0; i < timers.count; i++) {
        if (!gate_is_blocked_by(timers.all[i].tid) || ++deaf > SHOWN)
            continue;
        buf_printf(out, "%s%s (%d)",
                   deaf == 1 ? "threads that block SIGPROF, and so are not seen: " : ", ",
                   timers.all[i].name, timers.all[i].tid);
    }
    if (deaf > SHOWN)
        buf_printf(out, " and %u more", deaf - SHOWN);
    if (deaf > 0)
        buf_text(out, "\n");
}

static void remark_locked(const struct session *session)
{
    struct buf *out = &session->profile->remarks;
    double taken = (double)(clock_processor_now() - session->cpu_ns) / 1e9;
    buf_fixed(out, (double)session->sampled_ns / 1e9, 2, 0);
    buf_text(out, "s of ");
    buf_fixed(out, taken, 2, 0);
    buf_printf(out, "s processor time was sampled, at %lld Hz\n",
               (long long)(NS_PER_S / session->period_ns));
    if (session->dropped + session->profile->stacks.lost > 0)
        buf_printf(out, "%" PRIu64 " samples were dropped: there was no room for them\n",
                   session->dropped + session->profile->stacks.lost);
    if (session->refused > 0)
        buf_printf(out, "%u threads have no timer, and are not seen: RLIMIT_SIGPENDING\n",
                   session->refused);
    name_deaf_locked(out);
}

static void leave_locked(struct session *session)
{
    drain_locked();
    remark_locked(session);
    session->profile->known = modules->known;
    struct session **at = &sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    if (sessions == NULL)
        close_locked();
    else
        set_period_locked();
}

/* --- a session ------------------------------------------------------------------------------- */

/* False: it is to end early. */
static bool wait_until(int64_t until, int cancel_fd)
{
    struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};
    int64_t left = (until - clock_real_now() + NS_PER_MS - 1) / NS_PER_MS;
    return poll(&cancel, 1, left > 0 ? (int)left : 0) <= 0;
}

static void last(const struct cpu_ask *ask, int64_t end)
{
    int64_t now = clock_real_now();
    while (now < end) {
        int64_t look = now + LOOK_NS;
        if (!wait_until(look < end ? look : end, ask->cancel_fd))
            return;
        now = clock_real_now();
        pthread_mutex_lock(&lock);
        look_locked(now);
        pthread_mutex_unlock(&lock);
    }
}

int cpu_profile(const struct cpu_ask *ask, struct profile *out, srun_err *err)
{
    *out = (struct profile){.start_ns = clock_wall_ns(), .period_ns = NS_PER_S / ask->hz};
    struct session session = {.profile = out, .period_ns = out->period_ns};
    pthread_mutex_lock(&lock);
    int64_t start = clock_real_now();
    int rc = join_locked(&session, err);
    pthread_mutex_unlock(&lock);
    if (rc < 0)
        return rc;
    last(ask, start + ask->span_ns);
    pthread_mutex_lock(&lock);
    leave_locked(&session);
    out->duration_ns = clock_real_now() - start;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* SPDX-License-Identifier: MIT */
#include "profiling.h"

#include "base/clock.h"
#include "base/gzip.h"
#include "fork.h"
#include "profile/cpu.h"
#include "profile/flame.h"
#include "profile/heap.h"
#include "profile/pprof.h"
#include "profile/text.h"
#include "profile/threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(srun_err *err)
{
    return srun_fail(err, -ENOMEM, "profile: out of memory");
}

/* --- forks ----------------------------------------------------------------------------------- */

#define COUNTED ((uint64_t)UINT32_MAX)

/* The stamp of the process in its upper half, how many are under way in the lower one. */
static _Atomic uint64_t under_way;

/* Locks, timers and the signal are as they should be when nobody was at it as the process forked;
 * otherwise the child has the state of a thread that it does not have. */
static int begin(srun_err *err)
{
    const uint64_t stamp = fork_stamp();
    uint64_t now = atomic_load(&under_way), next;
    do {
        bool inherited = now >> 32 != stamp;
        if (inherited && (now & COUNTED) > 0)
            return srun_fail(err, -ENOTSUP,
                             "no profiles in this child of a fork: its parent was taking one");
        next = (inherited ? stamp << 32 : now) + 1;
    } while (!atomic_compare_exchange_weak(&under_way, &now, next));
    return 0;
}

static int end(int rc)
{
    atomic_fetch_sub(&under_way, 1);
    return rc;
}

/* --- names ----------------------------------------------------------------------------------- */

/* Debug information takes much memory while it is read: one at a time does, of all runners. */
static pthread_mutex_t naming = PTHREAD_MUTEX_INITIALIZER;
static struct remembered remembered;

static int name_begin(struct names **out, const struct module *known, srun_err *err)
{
    pthread_mutex_lock(&naming);
    if (names_new(out, known, &remembered) == 0)
        return 0;
    pthread_mutex_unlock(&naming);
    return no_memory(err);
}

static void name_end(struct names *names)
{
    names_free(names);
    pthread_mutex_unlock(&naming);
}

/* --- what there is --------------------------------------------------------------------------- */

/* Packed, as Go's are: some collectors read nothing else. */
static void write_proto(struct buf *out, const struct profile *profile,
                        const struct pprof_kind *kind, struct names *names)
{
    auto_buf struct buf plain = {0};
    pprof_write(&plain, profile, kind, names);
    if (plain.failed || !gzip_add(out, &plain))
        buf_add(out, plain.data, plain.size);
    out->failed = out->failed || plain.failed;
}

static int write_profile(const struct profile *profile, const struct pprof_kind *kind,
                         enum admin_form form, struct buf *out, srun_err *err)
{
    struct names *names = NULL;
    int rc = name_begin(&names, profile->known, err);
    if (rc < 0)
        return rc;
    if (form == ADMIN_FOLDED)
        text_folded(out, profile, kind, names);
    else if (form == ADMIN_FLAME)
        flame_write(out, profile, kind, names);
    else if (form == ADMIN_PROTO)
        write_proto(out, profile, kind, names);
    else
        text_top(out, profile, kind, names);
    name_end(names);
    return out->failed ? no_memory(err) : 0;
}

static int take_cpu(const struct admin_profile_ask *ask, struct buf *out, srun_err *err)
{
    auto_profile struct profile profile = {0};
    const struct cpu_ask how = {
        .span_ns = ask->span_ns, .hz = ask->hz > 0 ? ask->hz : CPU_HZ, .cancel_fd = ask->cancel_fd};
    int rc = cpu_profile(&how, &profile, err);
    return rc < 0 ? rc : write_profile(&profile, &pprof_cpu, ask->form, out, err);
}

static int keep_cpu(const struct admin_profile_ask *ask, const char *why, struct buf *proto,
                    struct buf *top, srun_err *err)
{
    auto_profile struct profile profile = {0};
    struct names *names = NULL;
    const struct cpu_ask how = {.span_ns = ask->span_ns, .hz = CPU_HZ, .cancel_fd = ask->cancel_fd};
    int rc = cpu_profile(&how, &profile, err);
    rc = rc < 0 ? rc : name_begin(&names, profile.known, err);
    if (rc < 0)
        return rc;
    buf_printf(&profile.remarks, "%s\n", why);
    write_proto(proto, &profile, &pprof_cpu, names);
    text_top(top, &profile, &pprof_cpu, names);
    name_end(names);
    return proto->failed || top->failed ? no_memory(err) : 0;
}

static int keep_threads(size_t most, struct buf *out, srun_err *err)
{
    auto_threads struct threads threads = {0};
    struct names *names = NULL;
    size_t before = out->size;
    int rc = threads_ask(-1, &threads, err);
    rc = rc < 0 ? rc : name_begin(&names, threads.known, err);
    if (rc < 0)
        return rc;
    text_threads_each(out, &threads, names);
    if (!out->failed && out->size > most) {
        out->size = before;
        text_threads_grouped(out, &threads, names);
    }
    name_end(names);
    return out->failed ? no_memory(err) : 0;
}

static int take_threads(const struct admin_profile_ask *ask, struct buf *out, srun_err *err)
{
    auto_threads struct threads threads = {0};
    int rc = threads_ask(ask->cancel_fd, &threads, err);
    if (rc < 0)
        return rc;
    if (ask->form != ADMIN_TOP && ask->form != ADMIN_EACH) {
        auto_profile struct profile profile = {0};
        threads_to_profile(&threads, &profile);
        return write_profile(&profile, &pprof_threads, ask->form, out, err);
    }
    struct names *names = NULL;
    rc = name_begin(&names, threads.known, err);
    if (rc < 0)
        return rc;
    if (ask->form == ADMIN_EACH)
        text_threads_each(out, &threads, names);
    else
        text_threads_grouped(out, &threads, names);
    name_end(names);
    return out->failed ? no_memory(err) : 0;
}

static int take_heap(const struct admin_profile_ask *ask, struct buf *out, srun_err *err)
{
    auto_profile struct profile profile = {0};
    int rc = heap_profile(&profile, err);
    return rc < 0 ? rc : write_profile(&profile, &pprof_heap, ask->form, out, err);
}

/* A profile that cannot be had is an empty one that says why: who collects them regularly would
 * take an error for an outage. */
static int take_nothing(const struct admin_profile_ask *ask, const struct pprof_kind *kind,
                        const char *why, struct buf *out, srun_err *err)
{
    auto_profile struct profile profile = {.start_ns = clock_wall_ns()};
    buf_printf(&profile.remarks, "%s\n", why);
    return write_profile(&profile, kind, ask->form, out, err);
}

static int take(const struct admin_profile_ask *ask, struct buf *out, srun_err *err)
{
    switch (ask->what) {
    case ADMIN_CPU:
        return take_cpu(ask, out, err);
    case ADMIN_THREADS:
        return take_threads(ask, out, err);
    case ADMIN_HEAP:
        return take_heap(ask, out, err);
    case ADMIN_MUTEX:
        return take_nothing(ask, &pprof_contention,
                            "contention is not recorded: pthread locks keep no account of it; a "
                            "thread profile shows who waits for a lock now",
                            out, err);
    default:
        return take_nothing(ask, &pprof_births,
                            "where threads were started is not recorded; a thread profile shows "
                            "those that live now",
                            out, err);
    }
}

static int name_symbols(const char *addresses, struct buf *out, srun_err *err)
{
    struct modules *modules = NULL;
    struct names *names = NULL;
    int rc = modules_new(&modules);
    if (rc == 0)
        rc = modules_refresh(modules, NULL);
    bool named = rc == 0 && name_begin(&names, modules->known, err) == 0;
    if (rc == 0 && !named)
        rc = -ENOMEM;
    for (const char *at = addresses; rc == 0 && *at != '\0';) {
        char *end;
        uintptr_t address = strtoull(at, &end, 16);
        const struct named *found = end > at ? names_find(names, address) : NULL;
        if (found != NULL && found->module != NULL && found->count > 0)
            buf_printf(out, "%#lx %s\n", address, found->names[found->count - 1].function);
        at = end > at ? end : at + 1;
        at += strspn(at, "+ \r\n");
    }
    if (named)
        name_end(names);
    modules_free(modules);
    return rc < 0 ? srun_fail(err, rc, "symbols: %s", srun_strerror(rc)) : 0;
}

/* --- for others ------------------------------------------------------------------------------ */

int profiling_take(const struct admin_profile_ask *ask, struct buf *out, srun_err *err)
{
    int rc = begin(err);
    return rc < 0 ? rc : end(take(ask, out, err));
}

int profiling_symbols(const char *addresses, struct buf *out, srun_err *err)
{
    int rc = begin(err);
    return rc < 0 ? rc : end(name_symbols(addresses, out, err));
}

int profiling_keep_cpu(const struct admin_profile_ask *ask, const char *why, struct buf *proto,
                       struct buf *top, srun_err *err)
{
    int rc = begin(err);
    return rc < 0 ? rc : end(keep_cpu(ask, why, proto, top, err));
}

int profiling_keep_threads(size_t most, struct buf *out, srun_err *err)
{
    int rc = begin(err);
    return rc < 0 ? rc : end(keep_threads(most, out, err));
}

/* SPDX-License-Identifier: MIT */
#include "ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS 200000
#define TOUCHED 64 /* pages in each round: a copy-on-write fault would show */
#define PAGE 4096

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How long this thread has been ready and another one ran; 0 where the kernel does not count. */
static int64_t waited_ns(int schedstat)
{
    char text[128] = "";
    ssize_t got = schedstat < 0 ? -1 : pread(schedstat, text, sizeof text - 1, 0);
    const char *second = got > 0 ? strchr(text, ' ') : NULL;
    return second != NULL ? strtoll(second, NULL, 10) : 0;
}

int64_t ballast_longest(struct ballast *ballast)
{
    return atomic_exchange(&ballast->longest_ns, 0);
}

static void measure(struct ballast *ballast, srun_context *ctx, char *memory, size_t size)
{
    int schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    int64_t waited = waited_ns(schedstat), last = now_ns();
    size_t at = 0;
    while (!srun_cancelled(ctx)) {
        int64_t until = last + SPIN_NS, now;
        while ((now = now_ns()) < until) {
        }
        for (int i = 0; i < TOUCHED && size > 0; i++, at = (at + PAGE) % size)
            ((volatile char *)memory)[at]++;
        int64_t more = waited_ns(schedstat);
        now = now_ns();
        int64_t lost = now - last - SPIN_NS - (more - waited);
        if (lost > atomic_load(&ballast->longest_ns))
            atomic_store(&ballast->longest_ns, lost);
        waited = more;
        last = now;
    }
    if (schedstat >= 0)
        close(schedstat);
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct ballast *ballast = self;
    struct srun_run_info info;
    srun_runner_info(srun_context_runner(ctx), &info);
    size_t size = info.generation == 1 ? (size_t)ballast->mib << 20 : 0;
    char *memory = NULL;
    if (size > 0) {
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return srun_fail(err, -errno, "no memory");
        (void)madvise(memory, size, MADV_NOHUGEPAGE); /* the worst case for who copies tables */
        srun_extend_ms(ctx, 600000);
        memset(memory, 1, size);
    }
    srun_ready(ctx);
    if (size > 0)
        measure(ballast, ctx, memory, size);
    else
        while (srun_sleep_ms(ctx, 3600000) == 0) {
        }
    if (size > 0)
        munmap(memory, size);
    return 0;
}

const struct srun_service_ops ballast_ops = {.size = sizeof ballast_ops, .run = run};

/* SPDX-License-Identifier: MIT
 *
 * The short memory of how the process was doing, and what is read of it.
 */
#include "admin/process.h"
#include "admin/samples.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/proc.h"
#include "harness.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

START_TEST(keeps_the_newest_points_oldest_first)
    {
        struct samples_ring ring = {0};
        ck_assert_ptr_null(samples_at(&ring, 0));
        for (int64_t i = 0; i < SAMPLES_POINTS + 10; i++)
            samples_add(&ring, &(struct samples_point){.time_ms = i});
        ck_assert_uint_eq(ring.count, SAMPLES_POINTS);
        ck_assert_int_eq(samples_at(&ring, 0)->time_ms, 10);
        ck_assert_int_eq(samples_at(&ring, SAMPLES_POINTS - 1)->time_ms, SAMPLES_POINTS + 9);
        ck_assert_ptr_null(samples_at(&ring, SAMPLES_POINTS));
    }
END_TEST

START_TEST(tells_what_has_happened_between_two_looks)
    {
        struct process before = {.cpu_ns = NS_PER_S, .switches = 100};
        struct process now = {
            .cpu_ns = 2 * NS_PER_S, .switches = 120, .rss = 4096, .fds = 3, .threads = 2};
        struct samples_point point = samples_between(&before, &now, 4 * NS_PER_S, 77);
        ck_assert_int_eq(point.time_ms, 77);
        ck_assert_double_eq_tol(point.values[SAMPLES_CPU], 25, 1e-9);
        ck_assert_double_eq_tol(point.values[SAMPLES_SWITCHES], 5, 1e-9);
        ck_assert_double_eq(point.values[SAMPLES_RSS], 4096);
        ck_assert_double_eq(point.values[SAMPLES_FDS], 3);
        ck_assert_double_eq(point.values[SAMPLES_THREADS], 2);
    }
END_TEST

START_TEST(says_nothing_about_what_it_does_not_know)
    {
        struct process now = {.cpu_ns = 5, .fds = -1};
        struct samples_point first = samples_between(NULL, &now, 0, 1);
        ck_assert(isnan(first.values[SAMPLES_CPU]) && isnan(first.values[SAMPLES_FDS]));
        struct samples_point still = samples_between(&now, &now, 0, 1);
        ck_assert(isnan(still.values[SAMPLES_CPU]));
    }
END_TEST

START_TEST(looks_at_most_once_a_second)
    {
        struct samples *samples = samples_new();
        struct samples_ring ring;
        int64_t now = NS_PER_S;
        for (int i = 0; i < 100; i++)
            samples_look(samples, now + i * NS_PER_MS);
        samples_copy(samples, &ring);
        ck_assert_uint_eq(ring.count, 1);
        samples_look(samples, now + NS_PER_S);
        samples_copy(samples, &ring);
        ck_assert_uint_eq(ring.count, 2);
        ck_assert(samples_at(&ring, 0)->values[SAMPLES_RSS] > 0);
        ck_assert(samples_at(&ring, 1)->values[SAMPLES_CPU] >= 0);
        samples_free(samples);
    }
END_TEST

static void *look_often(void *arg)
{
    for (int i = 0; i < 200; i++)
        samples_look(arg, (int64_t)i * NS_PER_S);
    return NULL;
}

START_TEST(is_looked_at_by_many_at_once)
    {
        struct samples *samples = samples_new();
        struct samples_ring ring;
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, look_often, samples), 0);
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        samples_copy(samples, &ring);
        ck_assert_uint_ge(ring.count, 1);
        ck_assert_uint_le(ring.count, SAMPLES_POINTS);
        samples_free(samples);
    }
END_TEST

START_TEST(reads_this_process)
    {
        struct process process, more;
        process_read(&process);
        ck_assert_int_gt(process.cpu_ns, 0);
        ck_assert_int_gt(process.rss, 100000);
        ck_assert_int_ge(process.vsize, process.rss);
        ck_assert_int_ge(process.fds, 3);
        ck_assert_int_ge(process.threads, 1);
        ck_assert_int_ge(process.switches, 0);
        int64_t age = clock_wall_ms() - process.start_ms;
        ck_assert_msg(age > -1000 && age < 3600000, "started %lld ms ago", (long long)age);
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        process_read(&more);
        ck_assert_int_eq(more.fds, process.fds + 1);
        struct proc_list list;
        ck_assert_int_eq(proc_descriptors(&list), 0);
        ck_assert_int_eq(more.fds, (int64_t)list.count);
        proc_list_free(&list);
        (void)close(fd);
    }
END_TEST

START_TEST(reads_threads_whatever_they_are_called)
    {
        struct process_thread *threads = NULL;
        size_t count = 0, own = SIZE_MAX;
        ck_assert_int_eq(prctl(PR_SET_NAME, "a) R (b"), 0);
        ck_assert_int_eq(process_threads(&threads, &count), 0);
        for (size_t i = 0; i < count; i++)
            if (threads[i].tid == gettid())
                own = i;
        ck_assert_uint_lt(own, count);
        ck_assert_str_eq(threads[own].name, "a) R (b");
        ck_assert_int_eq(threads[own].state, 'R');
        ck_assert_int_ge(threads[own].cpu_ms, 0);
        free(threads);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_samples", keeps_the_newest_points_oldest_first,
                   tells_what_has_happened_between_two_looks,
                   says_nothing_about_what_it_does_not_know, looks_at_most_once_a_second,
                   is_looked_at_by_many_at_once, reads_this_process,
                   reads_threads_whatever_they_are_called);
}

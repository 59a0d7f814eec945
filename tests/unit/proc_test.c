/* SPDX-License-Identifier: MIT
 *
 * What the kernel says of this process.
 */
#include "base/proc.h"
#include "base/thread.h"
#include "cast.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

START_TEST(lists_open_descriptors_in_ascending_order_without_its_own)
    {
        struct proc_list before, with, after;
        ck_assert_int_eq(proc_descriptors(&before), 0);
        ck_assert_int_eq(proc_descriptor_count(), (int64_t)before.count);
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int high = fcntl(fd, F_DUPFD_CLOEXEC, 500);
        ck_assert_int_ge(high, 500);
        ck_assert_int_eq(proc_descriptors(&with), 0);
        ck_assert_uint_eq(with.count, before.count + 2);
        ck_assert(proc_list_has(&with, fd) && proc_list_has(&with, high));
        ck_assert(!proc_list_has(&before, fd) && !proc_list_has(&with, high + 1));
        for (size_t i = 1; i < with.count; i++)
            ck_assert_int_lt(with.numbers[i - 1], with.numbers[i]);
        (void)close(fd);
        (void)close(high);
        ck_assert_int_eq(proc_descriptors(&after), 0);
        ck_assert_uint_eq(after.count, before.count);
        proc_list_free(&before);
        proc_list_free(&with);
        proc_list_free(&after);
        ck_assert_uint_eq(after.count, 0);
        ck_assert(!proc_list_has(&after, 0));
        proc_list_free(&after);
    }
END_TEST

static atomic_int thread_id;

static void *named(void *gate)
{
    thread_name_self("a-name-that-is-far-too-long");
    atomic_store(&thread_id, gettid());
    gate_pass(gate);
    return NULL;
}

static bool has_a_name(void *arg)
{
    (void)arg;
    return atomic_load(&thread_id) != 0;
}

START_TEST(lists_threads_by_id_and_name)
    {
        struct proc_list list;
        struct gate gate = GATE_CLOSED;
        pthread_t thread;
        char name[32];
        ck_assert_int_eq(thread_start(&thread, 0, named, &gate), 0);
        ck_assert(harness_wait(has_a_name, NULL, 10000));
        ck_assert_int_eq(proc_threads(&list), 0);
        ck_assert(proc_list_has(&list, atomic_load(&thread_id)));
        ck_assert(proc_list_has(&list, gettid()));
        proc_list_free(&list);
        proc_thread_name(atomic_load(&thread_id), name, sizeof name);
        ck_assert_str_eq(name, "srun:a-name-tha");
        gate_open(&gate);
        ck_assert_int_eq(thread_join(thread, 10 * NS_PER_S), 0);
    }
END_TEST

START_TEST(says_what_a_descriptor_is)
    {
        char text[64], small[6];
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        proc_descriptor_name(fd, text, sizeof text);
        ck_assert_str_eq(text, "/dev/null");
        proc_descriptor_name(fd, small, sizeof small);
        ck_assert_str_eq(small, "/dev/");
        (void)close(fd);
    }
END_TEST

START_TEST(has_no_name_for_what_is_gone)
    {
        char text[64];
        proc_descriptor_name(12345, text, sizeof text);
        ck_assert_str_eq(text, "?");
        proc_thread_name(1, text, sizeof text); /* of another process */
        ck_assert_str_eq(text, "?");
    }
END_TEST

static atomic_bool may_rest;

static void *work_then_rest(void *gate)
{
    thread_name_self("busy");
    while (!atomic_load(&may_rest))
        ;
    gate_pass(gate);
    return NULL;
}

static bool works(void *names)
{
    return proc_works(names);
}

static bool rests(void *names)
{
    return !proc_works(names);
}

START_TEST(tells_whether_one_of_its_threads_is_at_work)
    {
        static char names[] = "srun:busy";
        struct gate gate = GATE_CLOSED;
        pthread_t thread;
        ck_assert(!proc_works(names));
        ck_assert_int_eq(thread_start(&thread, 0, work_then_rest, &gate), 0);
        ck_assert(harness_wait(works, names, 10000));
        ck_assert(!proc_works("srun:other"));
        atomic_store(&may_rest, true);
        ck_assert(harness_wait(rests, names, 10000));
        gate_open(&gate);
        ck_assert_int_eq(thread_join(thread, 10 * NS_PER_S), 0);
        (void)prctl(PR_SET_NAME, "srun:busy"); /* who asks does not count */
        ck_assert(!proc_works(names));
    }
END_TEST

static void join_many_groups(void)
{
    enum { GROUPS = 2000 };
    static gid_t groups[GROUPS];
    for (unsigned i = 0; i < GROUPS; i++)
        groups[i] = 1000000 + i;
    (void)setgroups(GROUPS, groups); /* root can; for others the list is a short one */
}

START_TEST(reads_the_status_of_a_thread_that_is_in_many_groups)
    {
        char text[PROC_STATUS_MAX];
        join_many_groups();
        proc_thread_status(gettid(), text);
        ck_assert_msg(strncmp(text, "Name:\t", 6) == 0, "%s", text);
        ck_assert_msg(strstr(text, "\nGroups:\n") != NULL, "%s", text);
        ck_assert_msg(strstr(text, "\nSigBlk:\t") != NULL, "%s", text);
        ck_assert_msg(strstr(text, "\nvoluntary_ctxt_switches:\t") != NULL, "%s", text);
        proc_thread_status(1, text); /* of another process */
        ck_assert_str_eq(text, "");
    }
END_TEST

START_TEST(joins_a_thread_in_time_or_says_that_it_does_not_end)
    {
        struct gate gate = GATE_CLOSED;
        pthread_t thread;
        ck_assert_int_eq(thread_start(&thread, 1, named, &gate), 0); /* the smallest stack */
        ck_assert_int_eq(thread_join(thread, 10 * NS_PER_MS), -ETIMEDOUT);
        gate_open(&gate);
        ck_assert_int_eq(thread_join(thread, 10 * NS_PER_S), 0);
    }
END_TEST

int main(void)
{
    return HARNESS("proc", lists_open_descriptors_in_ascending_order_without_its_own,
                   lists_threads_by_id_and_name, says_what_a_descriptor_is,
                   has_no_name_for_what_is_gone, tells_whether_one_of_its_threads_is_at_work,
                   reads_the_status_of_a_thread_that_is_in_many_groups,
                   joins_a_thread_in_time_or_says_that_it_does_not_end);
}

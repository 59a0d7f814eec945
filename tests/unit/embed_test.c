/* SPDX-License-Identifier: MIT
 *
 * A runner driven from an event loop of the program's own does what srun_runner_run does, and costs
 * nothing while nothing happens.
 */
#include "base/proc.h"
#include "cast.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

struct scene {
    srun_runner *runner;
    struct trace trace;
    struct actor a, b, job;
    int log;
};

static void scene_open(struct scene *scene)
{
    trace_init(&scene->trace);
    scene->log = memory_file();
    scene->a = (struct actor){.name = "a"};
    scene->b = (struct actor){.name = "b", .run = BACKGROUND, .polled = true, .not_yet = 1};
    scene->job = (struct actor){.name = "job", .run = FINISHES, .run_code = -EIO};
    ck_assert_int_eq(
        srun_runner_new(&scene->runner, SRUN_CONFIG(.log.fd_plus_one = scene->log + 1), NULL), 0);
    cast_add(scene->runner, &scene->a, &scene->trace, NULL);
    cast_add(scene->runner, &scene->b, &scene->trace, NULL);
    cast_add(scene->runner, &scene->job, &scene->trace, NULL);
}

static void scene_close(struct scene *scene)
{
    (void)srun_runner_free(scene->runner);
    trace_destroy(&scene->trace);
    (void)close(scene->log);
}

/* The loop of a program: one epoll descriptor, ours among others. */
static int run_embedded(srun_runner *runner)
{
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    ck_assert_int_eq(epoll_ctl(loop, EPOLL_CTL_ADD, srun_runner_fd(runner), &event), 0);
    ck_assert_int_eq(srun_runner_start(runner, NULL), 0);
    int alive = 1;
    while (alive > 0) {
        ck_assert_int_eq(epoll_wait(loop, &event, 1, (int)REAL_LIMIT_MS), 1);
        alive = srun_runner_dispatch(runner);
        ck_assert_int_ge(alive, 0);
    }
    (void)close(loop);
    return srun_runner_exit_code(runner);
}

START_TEST(does_in_a_loop_what_run_does)
    {
        static const char wanted[] = "a.init b.init job.init a.run b.run job.run job.stop b.stop "
                                     "a.stop a.cancelled";
        for (int i = 0; i < 100; i++) {
            static struct scene own, embedded;
            scene_open(&own);
            ck_assert_int_eq(srun_runner_run(own.runner), 1);
            scene_close(&own);
            scene_open(&embedded);
            ck_assert_int_eq(run_embedded(embedded.runner), 1);
            scene_close(&embedded);
            /* a is told to end and its stop is called at once: either may write first */
            static char texts[2][sizeof own.trace.text];
            const struct scene *scenes[2] = {&own, &embedded};
            for (int s = 0; s < 2; s++) {
                (void)snprintf(texts[s], sizeof texts[s], "%s", scenes[s]->trace.text);
                char *swapped = strstr(texts[s], "a.cancelled a.stop");
                if (swapped != NULL)
                    memcpy(swapped, "a.stop a.cancelled", 18);
                ck_assert_msg(strncmp(texts[s], wanted, sizeof wanted - 1) == 0, "%s", texts[s]);
            }
            ck_assert_str_eq(texts[0], texts[1]);
        }
    }
END_TEST

START_TEST(wakes_the_loop_when_it_has_ended_before_the_first_wait)
    {
        srun_runner *runner = NULL;
        int log = memory_file();
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        ck_assert_int_eq(run_embedded(runner), 0);
        (void)srun_runner_free(runner);
        (void)close(log);
    }
END_TEST

START_TEST(takes_a_signal_in_a_loop)
    {
        struct scene scene;
        scene_open(&scene);
        ck_assert_int_eq(raise(SIGTERM), 0);
        ck_assert_int_eq(run_embedded(scene.runner), 0);
        scene_close(&scene);
    }
END_TEST

/* How often any other thread of this process has gone to sleep by itself. */
static long sleeps_of_the_others(void)
{
    long sum = 0, number;
    char line[128], path[64];
    struct proc_list threads;
    ck_assert_int_eq(proc_threads(&threads), 0);
    for (size_t i = 0; i < threads.count; i++) {
        if (threads.numbers[i] == gettid())
            continue; /* the disk may make it wait, where it is slow */
        (void)snprintf(path, sizeof path, "/proc/self/task/%d/status", threads.numbers[i]);
        FILE *file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        while (fgets(line, sizeof line, file) != NULL)
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &number) == 1)
                sum += number;
        (void)fclose(file);
    }
    proc_list_free(&threads);
    return sum;
}

static bool one_thread_is_left(void *arg)
{
    struct proc_list threads;
    if (proc_threads(&threads) < 0)
        return false;
    size_t count = threads.count;
    proc_list_free(&threads);
    return count == *(const size_t *)arg;
}

/* Whoever was about to go to sleep has done so: nobody has since the last look. */
static bool nobody_moves(void *arg)
{
    long *last = arg, before = *last;
    (void)usleep(50000);
    *last = sleeps_of_the_others();
    return *last == before;
}

/* Also while a service blocks, promises nothing and is waited for. */
START_TEST(wakes_up_for_nothing_while_nothing_happens)
    {
        srun_runner *runner = NULL;
        struct trace trace;
        struct actor service = {.name = "service", .polled = true};
        int log = memory_file();
        struct proc_list threads;
        ck_assert_int_eq(proc_threads(&threads), 0);
        size_t wanted = threads.count + 1;
        proc_list_free(&threads);
        trace_init(&trace);
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        cast_add(runner, &service, &trace, NULL);
        ck_assert_int_eq(srun_runner_start(runner, NULL), 0);
        struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
        while (!srun_runner_is_ready(runner)) {
            ck_assert_int_eq(poll(&wait, 1, (int)REAL_LIMIT_MS), 1);
            ck_assert_int_eq(srun_runner_dispatch(runner), 1);
        }
        ck_assert(harness_wait(one_thread_is_left, &wanted, 10000)); /* the pool's have gone */
        while (poll(&wait, 1, 200) == 1) /* a timer set for the start may still fire, once */
            ck_assert_int_eq(srun_runner_dispatch(runner), 1);
        long before = -1;
        ck_assert(harness_slowness() > 1 || harness_wait(nobody_moves, &before, 10000));
        before = sleeps_of_the_others();
        ck_assert_int_eq(poll(&wait, 1, 1000), 0);
        ck_assert(harness_slowness() > 1 || /* a sanitizer has a thread of its own */
                  sleeps_of_the_others() == before);
        ck_assert_int_eq(srun_runner_shutdown(runner, 0, NULL), 0);
        while (srun_runner_dispatch(runner) > 0)
            (void)poll(&wait, 1, (int)REAL_LIMIT_MS);
        (void)srun_runner_free(runner);
        trace_destroy(&trace);
        (void)close(log);
    }
END_TEST

int main(void)
{
    return HARNESS("embed", does_in_a_loop_what_run_does,
                   wakes_the_loop_when_it_has_ended_before_the_first_wait, takes_a_signal_in_a_loop,
                   wakes_up_for_nothing_while_nothing_happens);
}

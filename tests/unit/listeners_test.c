/* SPDX-License-Identifier: MIT
 *
 * Listeners are told of every change of state, in order, and never in anybody's way.
 */
#include "cast.h"
#include "listeners.h"

struct ear {
    struct gate *gate;
    struct trace *trace;
    pthread_t thread;
    atomic_int calls;
    int64_t last_ms;
    bool backwards;
};

static void hear(void *user, const struct srun_transition *what)
{
    struct ear *ear = user;
    atomic_fetch_add(&ear->calls, 1);
    ear->thread = pthread_self();
    ear->backwards |= what->time_ms < ear->last_ms;
    ear->last_ms = what->time_ms;
    if (ear->trace != NULL)
        trace_add(ear->trace, what->service, srun_state_name(what->to));
    if (ear->gate != NULL)
        gate_pass(ear->gate);
}

START_TEST(tells_every_listener_every_transition_in_order)
    {
        struct stage stage;
        struct trace traces[2];
        struct ear ears[2] = {{.trace = &traces[0]}, {.trace = &traces[1]}};
        struct actor a = {.name = "a"}, b = {.name = "b", .run = BACKGROUND};
        stage_open(&stage, NULL);
        for (int i = 0; i < 2; i++) {
            trace_init(&traces[i]);
            ck_assert_int_eq(srun_runner_listen(stage.runner, hear, &ears[i], NULL), 0);
        }
        ck_assert_int_eq(srun_runner_listen(stage.runner, NULL, NULL, NULL), -EINVAL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_start(&stage);
        stage_wait(&stage, "b", SRUN_RUNNING);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
        for (int i = 0; i < 2; i++) {
            assert_trace(&traces[i],
                         "a.INITIATING a.INITIATED b.INITIATING b.INITIATED a.STARTING a.RUNNING "
                         "b.STARTING b.RUNNING b.SHUTTING_DOWN b.STOPPED a.SHUTTING_DOWN "
                         "a.STOPPED");
            ck_assert(!ears[i].backwards);
            ck_assert(!pthread_equal(ears[i].thread, pthread_self()));
            trace_destroy(&traces[i]);
        }
    }
END_TEST

static bool was_called(void *arg)
{
    struct ear *ear = arg;
    return atomic_load(&ear->calls) > 0;
}

/* One listener hangs while a group stops: each member has a thread to stop on all the same. */
START_TEST(delays_nobody_when_a_listener_is_slow)
    {
        struct stage stage;
        struct gate ear_gate = GATE_CLOSED, stop_gate = GATE_CLOSED;
        struct ear slow = {.gate = &ear_gate};
        struct actor a = {.name = "a", .stop = AT_THE_GATE, .gate = &stop_gate, .polled = true};
        struct actor b = {.name = "b", .stop = AT_THE_GATE, .gate = &stop_gate, .polled = true};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_listen(stage.runner, hear, &slow, NULL), 0);
        stage_add_with(&stage, &a, SRUN_OPTIONS(.group = "g"));
        stage_add_with(&stage, &b, SRUN_OPTIONS(.group = "g"));
        stage_start(&stage);
        stage_wait(&stage, "a", SRUN_RUNNING);
        stage_wait(&stage, "b", SRUN_RUNNING);
        stage_terminate(&stage);
        trace_wait(&stage.trace, "a.stop");
        trace_wait(&stage.trace, "b.stop");
        ck_assert(harness_wait(was_called, &slow, 10000));
        gate_open(&stop_gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(atomic_load(&slow.calls), 1);
        gate_open(&ear_gate);
        stage_close(&stage);
        ck_assert_int_eq(atomic_load(&slow.calls), 12); /* and it misses nothing */
    }
END_TEST

START_TEST(keeps_the_latest_and_counts_what_a_sleeping_listener_missed)
    {
        struct listeners listeners;
        struct pool *pool = NULL;
        struct gate gate = GATE_CLOSED;
        struct trace trace;
        struct ear slow = {.gate = &gate, .trace = &trace};
        char name[300][8];
        trace_init(&trace);
        ck_assert_int_eq(pool_new(&pool, 1), 0);
        listeners_init(&listeners, pool);
        listeners_tell(&listeners, &(struct srun_transition){.service = "nobody listens"});
        ck_assert_int_eq(listeners_add(&listeners, hear, &slow), 0);
        ck_assert_int_eq(listeners_prepare(&listeners, 1), 0);
        for (int i = 0; i < 300; i++) {
            (void)snprintf(name[i], sizeof name[i], "n%d", i);
            listeners_tell(&listeners, &(struct srun_transition){.service = name[i]});
            if (i == 0)
                trace_wait(&trace, "n0.STOPPED"); /* it hangs in the first one */
        }
        size_t kept = listeners.capacity;
        ck_assert_uint_eq(listeners.lost, 299 - kept);
        gate_open(&gate);
        trace_wait(&trace, "n299.STOPPED");
        ck_assert_ptr_null(pool_free(pool, 10 * NS_PER_S));
        ck_assert_uint_eq((size_t)atomic_load(&slow.calls), 1 + kept);
        listeners_destroy(&listeners);
        listeners_destroy(&listeners);
        trace_destroy(&trace);
    }
END_TEST

int main(void)
{
    return HARNESS("listeners", tells_every_listener_every_transition_in_order,
                   delays_nobody_when_a_listener_is_slow,
                   keeps_the_latest_and_counts_what_a_sleeping_listener_missed);
}

/* SPDX-License-Identifier: MIT
 *
 * Listening to spans as they end: which are heard, what is kept of them, and that nothing is left.
 */
#include "telemetry/tap.h"
#include "tracing.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void end_span(const char *name)
{
    srun_span span = srun_span_start(tracer, name, NULL);
    srun_span_end(&span);
}

static struct tap *opened(void)
{
    struct tap *tap = NULL;
    ck_assert_int_eq(tap_open(&tap), 0);
    return tap;
}

static size_t count_of(const struct tap *tap)
{
    size_t count = 0;
    for (size_t i = 0; i < TAP_SPANS; i++)
        count += tap_at(tap, i) != NULL;
    return count;
}

START_TEST(hears_what_ends_while_it_is_open)
    {
        open_default();
        end_span("before");
        struct tap *tap = opened();
        srun_span parent = srun_span_start(tracer, "parent", SRUN_SPAN(.kind = SRUN_SPAN_SERVER));
        srun_span child = srun_span_start(tracer, "child", SRUN_SPAN(.parent = &parent.context));
        srun_span_set_status(&child, SRUN_SPAN_ERROR, "why");
        srun_span_end(&child);
        srun_span_end(&parent);
        srun_span_end(&parent); /* has ended: is not heard again */
        tap_close(tap);
        end_span("after");
        ck_assert_uint_eq(count_of(tap), 2);
        ck_assert_uint_eq(tap_missed(tap), 0);
        const struct tap_span *first = tap_at(tap, 0), *second = tap_at(tap, 1);
        ck_assert_str_eq(first->name, "child");
        ck_assert_str_eq(first->scope, "test");
        ck_assert_int_eq(first->tid, gettid());
        ck_assert_uint_eq(first->status, SRUN_SPAN_ERROR);
        ck_assert_mem_eq(first->trace_id, parent.context.trace_id, 16);
        ck_assert_mem_eq(first->span_id, child.context.span_id, 8);
        ck_assert_mem_eq(first->parent_span_id, parent.context.span_id, 8);
        ck_assert_str_eq(second->name, "parent");
        ck_assert_uint_eq(second->kind, SRUN_SPAN_SERVER);
        ck_assert_uint_eq(second->number, 1);
        ck_assert_int_ge(second->end_ns, second->start_ns);
        flush();
        const struct kept_span *exported = find("parent");
        ck_assert_int_eq(second->start_ns, (int64_t)exported->start_ns);
        ck_assert_int_eq(second->end_ns, (int64_t)exported->end_ns);
        tap = tap_free(tap);
        close_all();
    }
END_TEST

START_TEST(keeps_the_last_and_counts_the_others)
    {
        open_default();
        struct tap *tap = opened();
        for (unsigned i = 0; i < TAP_SPANS + 100; i++)
            end_span(i < 100 ? "old" : "new");
        tap_close(tap);
        ck_assert_uint_eq(count_of(tap), TAP_SPANS);
        ck_assert_uint_eq(tap_missed(tap), 100);
        for (size_t i = 0; i < TAP_SPANS; i++)
            ck_assert_str_eq(tap_at(tap, i)->name, "new");
        tap = tap_free(tap);
        close_all();
    }
END_TEST

START_TEST(cuts_long_names_between_characters)
    {
        char name[TAP_NAME + 8] = "";
        open_default();
        struct tap *tap = opened();
        for (size_t i = 0; i + 3 < sizeof name; i += 3)
            memcpy(name + i, "\xe2\x82\xac", 3); /* the sign of the euro */
        end_span(name);
        memset(name, 'x', TAP_NAME - 1);
        name[TAP_NAME - 1] = '\0';
        end_span(name);
        tap_close(tap);
        ck_assert_uint_eq(strlen(tap_at(tap, 0)->name), (TAP_NAME - 1) / 3 * 3);
        ck_assert_str_eq(tap_at(tap, 1)->name, name);
        tap = tap_free(tap);
        close_all();
    }
END_TEST

START_TEST(has_room_for_a_few_at_once)
    {
        struct tap *taps[TAPS_MAX], *other = NULL;
        open_default();
        for (unsigned i = 0; i < TAPS_MAX; i++)
            taps[i] = opened();
        ck_assert_int_eq(tap_open(&other), -EBUSY);
        ck_assert_uint_eq(atomic_load(&taps_open), TAPS_MAX);
        end_span("one");
        tap_close(taps[1]);
        end_span("two");
        other = opened(); /* in its place */
        end_span("three");
        tap_close(other);
        ck_assert_uint_eq(count_of(taps[1]), 1);
        ck_assert_uint_eq(count_of(other), 1);
        ck_assert_str_eq(tap_at(other, 0)->name, "three");
        tap_free(taps[1]);
        taps[1] = other;
        for (unsigned i = 0; i < TAPS_MAX; i++) {
            if (i != 1)
                tap_close(taps[i]);
            ck_assert_uint_eq(count_of(taps[i]), i == 1 ? 1 : 3);
            tap_free(taps[i]);
        }
        ck_assert_uint_eq(atomic_load(&taps_open), 0);
        close_all();
    }
END_TEST

START_TEST(a_child_does_not_inherit_who_listens)
    {
        open_default();
        struct tap *tap = opened();
        pid_t child = fork();
        if (child == 0) {
            struct tap *own = NULL;
            bool good = tap_open(&own) == 0 && atomic_load(&taps_open) == 1;
            if (good)
                tap_close(own);
            _exit(good && atomic_load(&taps_open) == 0 ? 0 : 1);
        }
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        tap_close(tap);
        tap_free(tap);
        close_all();
    }
END_TEST

/* --- many threads ---------------------------------------------------------------------------- */

#define THREADS 4

static atomic_bool stop;
static _Atomic uint64_t ended;

static void *end_many(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        end_span("one of many");
        atomic_fetch_add(&ended, 1);
    }
    return NULL;
}

static void await_ended(uint64_t more)
{
    uint64_t wanted = atomic_load(&ended) + more;
    while (atomic_load(&ended) < wanted)
        (void)sched_yield();
}

START_TEST(opens_and_closes_while_spans_end)
    {
        pthread_t threads[THREADS];
        open_default();
        for (unsigned i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, end_many, NULL), 0);
        for (unsigned round = 0; round < 10; round++) {
            struct tap *one = opened(), *other = opened();
            await_ended(round * 50);
            tap_close(one);
            ck_assert_uint_le(count_of(one), TAP_SPANS);
            for (size_t i = 0; i < TAP_SPANS; i++) {
                const struct tap_span *span = tap_at(one, i);
                if (span == NULL)
                    continue;
                ck_assert_str_eq(span->name, "one of many");
                ck_assert_uint_eq(span->number % TAP_SPANS, i);
            }
            tap_free(one);
            tap_close(other);
            tap_free(other);
        }
        atomic_store(&stop, true);
        for (unsigned i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(atomic_load(&taps_open), 0);
        close_all();
    }
END_TEST

int main(void)
{
    return HARNESS("trace_tap", hears_what_ends_while_it_is_open,
                   keeps_the_last_and_counts_the_others, cuts_long_names_between_characters,
                   has_room_for_a_few_at_once, a_child_does_not_inherit_who_listens,
                   opens_and_closes_while_spans_end);
}

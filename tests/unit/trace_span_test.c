/* SPDX-License-Identifier: MIT
 *
 * Spans: what is recorded of them, their limits, their end, and what is current on a thread.
 */
#include "tracing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

START_TEST(records_what_it_is_told)
    {
        open_default();
        srun_span span = srun_span_start(
            tracer, "GET /items",
            SRUN_SPAN(.kind = SRUN_SPAN_SERVER, .attributes = SRUN_KVS(SRUN_STR("a", "x"))));
        ck_assert_int_eq(srun_span_is_recording(&span), 1);
        srun_span_set(&span,
                      SRUN_KVS(SRUN_INT("i", -1), SRUN_UINT("u", UINT64_MAX), SRUN_DOUBLE("d", 1.5),
                               SRUN_BOOL("b", 7), SRUN_TEXT("t", "abc", 2), SRUN_STR("n", NULL)));
        srun_span_event(&span, "miss", SRUN_KVS(SRUN_STR("key", "k")));
        srun_span_event(&span, "hit", NULL);
        srun_span_set_status(&span, SRUN_SPAN_ERROR, "gone");
        srun_span_end(&span);
        flush();
        const struct kept_span *got = find("GET /items");
        ck_assert_str_eq(got->attributes,
                         "a='x' i=-1 u=18446744073709551615 d=1.5 b=1 t='ab' n=null");
        ck_assert_str_eq(got->events, "miss{key='k'} hit{}");
        ck_assert_int_eq(got->kind, 2);
        ck_assert_int_eq(got->status, 2);
        ck_assert_str_eq(got->status_text, "gone");
        ck_assert_str_eq(got->scope, "test");
        ck_assert_mem_eq(got->trace_id, span.context.trace_id, 16);
        ck_assert_mem_eq(got->span_id, span.context.span_id, 8);
        ck_assert_uint_eq(got->flags, 0x103);
        close_all();
    }
END_TEST

START_TEST(counts_time_in_unix_nanoseconds)
    {
        open_default();
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        uint64_t before = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
        srun_span span = srun_span_start(tracer, "now", NULL);
        srun_span_event(&span, "e", NULL);
        srun_span_end(&span);
        srun_span given = srun_span_start(tracer, "given", SRUN_SPAN(.start_ns = 1000));
        srun_span_event_at(&given, "e", NULL, 1500);
        srun_span_end_at(&given, 2000);
        (void)clock_gettime(CLOCK_REALTIME, &now);
        uint64_t after = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
        flush();
        const struct kept_span *got = find("now");
        ck_assert_uint_ge(got->start_ns + 1000000, before); /* two clocks, read one after another */
        ck_assert_uint_le(got->end_ns, after + 1000000);
        ck_assert_uint_le(got->start_ns, got->first_event_ns);
        ck_assert_uint_le(got->first_event_ns, got->end_ns);
        got = find("given");
        ck_assert_uint_eq(got->start_ns, 1000);
        ck_assert_uint_eq(got->first_event_ns, 1500);
        ck_assert_uint_eq(got->end_ns, 2000);
        close_all();
    }
END_TEST

START_TEST(overwrites_an_attribute_of_the_same_key)
    {
        open_default();
        srun_span span = srun_span_start(tracer, "s", NULL);
        srun_span_set(&span, SRUN_KVS(SRUN_STR("k", "short"), SRUN_INT("other", 1)));
        for (int i = 0; i < 1000; i++)
            srun_span_set(&span, SRUN_KVS(SRUN_STR("k", "tiny")));
        srun_span_set(&span, SRUN_KVS(SRUN_STR("k", "much longer than what was there before")));
        srun_span_set(&span, SRUN_KVS(SRUN_INT("k", 5)));
        srun_span_end(&span);
        flush();
        ck_assert_str_eq(find("s")->attributes, "other=1 k=5");
        ck_assert_uint_eq(find("s")->dropped_attributes, 0);
        close_all();
    }
END_TEST

START_TEST(keeps_128_attributes_events_and_links_and_counts_the_rest)
    {
        open_default();
        struct srun_span_context to = {.trace_id = {1}, .span_id = {2}};
        srun_span span = srun_span_start(tracer, "s", NULL);
        for (int i = 0; i < 130; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "key.%d", i);
            srun_span_set(&span, SRUN_KVS(SRUN_STR(key, "value")));
            srun_span_event(&span, "event", SRUN_KVS(SRUN_INT("i", i)));
            srun_span_link(&span, &to, SRUN_KVS(SRUN_INT("i", i)));
        }
        srun_span_set(&span, SRUN_KVS(SRUN_STR("key.0", "again")));
        srun_span_end(&span);
        flush();
        const struct kept_span *got = find("s");
        ck_assert_uint_eq(got->attribute_count, 128);
        ck_assert_uint_eq(got->event_count, 128);
        ck_assert_uint_eq(got->link_count, 128);
        ck_assert_uint_eq(got->dropped_attributes, 2);
        ck_assert_uint_eq(got->dropped_events, 2);
        ck_assert_uint_eq(got->dropped_links, 2);
        ck_assert_ptr_nonnull(strstr(got->attributes, "key.0='again'"));
        ck_assert_ptr_null(strstr(got->attributes, "key.128"));
        close_all();
    }
END_TEST

START_TEST(keeps_the_limits_it_is_given)
    {
        struct traces_options options = traces_defaults();
        options.limits = (struct limits){2, 1, 1, 1, 1, 3};
        open_with(&options);
        struct srun_span_context to = {.trace_id = {1}, .span_id = {2}, .flags = 1};
        srun_span span = srun_span_start(tracer, "s", NULL);
        srun_span_set(&span, SRUN_KVS(SRUN_STR("a", "abcdef"),
                                      SRUN_STR("b", "\xc3\xa4\xe2\x82\xac"
                                                    "cd"),
                                      SRUN_INT("c", 123456)));
        srun_span_event(&span, "e", SRUN_KVS(SRUN_INT("x", 1), SRUN_INT("x", 2), SRUN_INT("y", 3)));
        srun_span_event(&span, "f", NULL);
        srun_span_link(&span, &to, SRUN_KVS(SRUN_INT("x", 1), SRUN_INT("y", 2)));
        srun_span_link(&span, &to, NULL);
        srun_span_end(&span);
        flush();
        const struct kept_span *got = find("s");
        ck_assert_str_eq(got->attributes, "a='abc' b='\xc3\xa4\xe2\x82\xac"
                                          "c'");
        ck_assert_str_eq(got->events, "e{x=2 -1}");
        ck_assert_str_eq(got->links, "0200000000000000/101{x=1 -1}");
        ck_assert_uint_eq(got->dropped_attributes, 1);
        ck_assert_uint_eq(got->dropped_events, 1);
        ck_assert_uint_eq(got->dropped_links, 1);
        close_all();
    }
END_TEST

START_TEST(drops_and_counts_what_exceeds_its_room)
    {
        open_default();
        static char large[40000], half[20000];
        memset(large, 'x', sizeof large - 1);
        memset(half, 'y', sizeof half - 1);
        srun_span span = srun_span_start(tracer, "s", NULL);
        srun_span_set(&span,
                      SRUN_KVS(SRUN_STR("large", large), SRUN_STR("", "no key"),
                               SRUN_STR("one", half), SRUN_STR("two", half), SRUN_INT("small", 1)));
        srun_span_event(&span, large, NULL);
        srun_span_rename(&span, large);
        srun_span_end(&span);
        flush();
        const struct kept_span *got = &kept.spans[0];
        ck_assert_uint_eq(strlen(got->name), 512);
        ck_assert_uint_eq(got->attribute_count, 2);
        ck_assert_uint_eq(got->dropped_attributes, 3);
        ck_assert_uint_eq(got->dropped_events, 1);
        ck_assert_ptr_nonnull(strstr(got->attributes, "small=1"));
        close_all();
    }
END_TEST

START_TEST(counts_a_name_and_a_status_for_which_there_is_no_room)
    {
        struct traces_options options = traces_defaults();
        options.limits.events = UINT32_MAX;
        open_with(&options);
        srun_span span = srun_span_start(tracer, "s", NULL);
        static char keys[4000][8];
        for (int i = 0; i < 4000; i++) { /* more than there is room for */
            (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
            srun_span_event(&span, keys[i], NULL);
        }
        srun_span_rename(&span, "another");
        srun_span_set_status(&span, SRUN_SPAN_ERROR, "it went wrong");
        srun_span_end(&span);
        flush();
        ck_assert_int_eq(find("s")->status, 2);
        ck_assert_str_eq(find("s")->status_text, "");
        ck_assert_uint_eq(find("s")->dropped_attributes, 2);
        close_all();
    }
END_TEST

START_TEST(does_nothing_after_its_end)
    {
        open_default();
        srun_span span = srun_span_start(tracer, "first", NULL);
        srun_span_end(&span);
        ck_assert_int_eq(srun_span_is_recording(&span), 0);
        srun_span_end(&span);
        srun_span_end_at(&span, 5);
        srun_span_set(&span, SRUN_KVS(SRUN_INT("late", 1)));
        srun_span_event(&span, "late", NULL);
        srun_span_rename(&span, "late");
        srun_span_error(&span, -EIO, "late");
        flush();
        ck_assert_uint_eq(kept.count, 1);
        /* Its slot serves others now, whom the old handle does not reach. */
        srun_span others[64];
        for (int i = 0; i < 64; i++)
            others[i] = srun_span_start(tracer, "other", NULL);
        srun_span_set(&span, SRUN_KVS(SRUN_INT("late", 1)));
        srun_span_end(&span);
        for (int i = 0; i < 64; i++) {
            ck_assert_int_eq(srun_span_is_recording(&others[i]), 1);
            srun_span_end(&others[i]);
        }
        flush();
        ck_assert_uint_eq(kept.count, 65);
        for (size_t i = 0; i < kept.count; i++)
            ck_assert_str_eq(kept.spans[i].attributes, "");
        close_all();
    }
END_TEST

START_TEST(survives_its_provider)
    {
        open_default();
        srun_span span = srun_span_start(tracer, "open", NULL);
        ck_assert_int_eq(traces_shutdown(traces, soon(10000)), -EIO);
        ck_assert_uint_eq(stats().lost_at_end, 1);
        ck_assert_int_eq(srun_span_is_recording(&span), 0);
        srun_span late = srun_span_start(tracer, "late", SRUN_SPAN(.parent = &span.context));
        ck_assert_mem_eq(&late.context, &span.context, sizeof span.context);
        close_all();
        srun_span_set(&span, SRUN_KVS(SRUN_INT("late", 1)));
        srun_span_end(&span);
    }
END_TEST

START_TEST(takes_nothing_for_everything)
    {
        open_default();
        srun_span none = {0};
        srun_span_set(NULL, NULL);
        srun_span_set(&none, NULL);
        srun_span_event(NULL, NULL, NULL);
        srun_span_link(NULL, NULL, NULL);
        srun_span_set_status(NULL, SRUN_SPAN_OK, NULL);
        srun_span_error(NULL, 0, NULL);
        srun_span_rename(NULL, NULL);
        srun_span_end(NULL);
        srun_span_leave(NULL);
        ck_assert_int_eq(srun_span_is_recording(NULL), 0);
        ck_assert_int_eq(srun_span_is_recording(&(srun_span){.slot = UINT32_MAX, .generation = 1}),
                         0);
        ck_assert_int_eq(srun_span_is_recording(&(srun_span){.slot = 4000, .generation = 1}), 0);
        srun_span span = srun_span_start(tracer, NULL, NULL);
        srun_span_set(&span, NULL);
        srun_span_link(&span, NULL, NULL);
        srun_span_event(&span, NULL, NULL);
        srun_span_end(&span);
        flush();
        ck_assert_str_eq(kept.spans[0].name, "");
        ck_assert_str_eq(kept.spans[0].events, "{}");
        close_all();
    }
END_TEST

START_TEST(hands_the_parent_on_without_a_tracer)
    {
        struct srun_span_context parent = {
            .trace_id = {1}, .span_id = {2}, .flags = 1, .baggage = 9};
        srun_span span = srun_span_start(NULL, "s", SRUN_SPAN(.parent = &parent));
        ck_assert_mem_eq(&span.context, &parent, sizeof parent);
        ck_assert_int_eq(srun_span_is_recording(&span), 0);
        span = srun_span_start(NULL, "s", NULL);
        ck_assert_int_eq(srun_span_context_is_valid(&span.context), 0);
        srun_span_end(&span);
    }
END_TEST

START_TEST(belongs_to_its_parent)
    {
        open_default();
        srun_span root = srun_span_start(tracer, "root", NULL);
        srun_span_end(&root); /* which may have ended */
        srun_span child = srun_span_start(tracer, "child", SRUN_SPAN(.parent = &root.context));
        struct srun_span_context remote = child.context;
        remote.flags |= SRUN_TRACE_REMOTE;
        srun_span far = srun_span_start(tracer, "far", SRUN_SPAN(.parent = &remote));
        struct srun_span_token token = srun_span_attach(&child.context);
        srun_span current = srun_span_start(tracer, "current", NULL);
        srun_span fresh = srun_span_start(tracer, "fresh", SRUN_SPAN(.root = 1));
        ck_assert_int_eq(srun_span_detach(&token), 0);
        srun_span_end(&child);
        srun_span_end(&far);
        srun_span_end(&current);
        srun_span_end(&fresh);
        flush();
        ck_assert_mem_eq(find("child")->trace_id, root.context.trace_id, 16);
        ck_assert_mem_eq(find("child")->parent_span_id, root.context.span_id, 8);
        ck_assert_mem_eq(find("current")->parent_span_id, child.context.span_id, 8);
        ck_assert_uint_eq(find("child")->flags, 0x103);
        ck_assert_uint_eq(find("far")->flags, 0x303);
        ck_assert_mem_eq(find("fresh")->parent_span_id, (uint8_t[8]){0}, 8);
        ck_assert_int_ne(memcmp(find("fresh")->trace_id, root.context.trace_id, 16), 0);
        close_all();
    }
END_TEST

START_TEST(keeps_ok_whatever_comes_later)
    {
        open_default();
        srun_span span = srun_span_start(tracer, "s", NULL);
        srun_span_set_status(&span, SRUN_SPAN_ERROR, "first");
        srun_span_set_status(&span, SRUN_SPAN_ERROR, "second");
        srun_span_set_status(&span, SRUN_SPAN_UNSET, NULL);
        srun_span_set_status(&span, (srun_span_status)7, NULL);
        srun_span other = srun_span_start(tracer, "ok", NULL);
        srun_span_error(&other, -ENOENT, "no such item");
        srun_span_set_status(&other, SRUN_SPAN_OK, "not shown");
        srun_span_set_status(&other, SRUN_SPAN_ERROR, "late");
        srun_span_end(&span);
        srun_span_end(&other);
        flush();
        ck_assert_int_eq(find("s")->status, 2);
        ck_assert_str_eq(find("s")->status_text, "second");
        ck_assert_int_eq(find("ok")->status, 1);
        ck_assert_str_eq(find("ok")->status_text, "");
        ck_assert_str_eq(find("ok")->events, "exception{exception.type='No such file or directory' "
                                             "exception.message='no such item'}");
        ck_assert_uint_eq(stats().misused, 1);
        close_all();
    }
END_TEST

static void *end_it(void *arg)
{
    srun_span_set(arg, SRUN_KVS(SRUN_INT("there", 1)));
    srun_span_end(arg);
    return NULL;
}

START_TEST(may_end_on_another_thread)
    {
        open_default();
        pthread_t thread;
        srun_span span = srun_span_start(tracer, "s", NULL);
        ck_assert_int_eq(pthread_create(&thread, NULL, end_it, &span), 0);
        (void)pthread_join(thread, NULL);
        flush();
        ck_assert_str_eq(find("s")->attributes, "there=1");
        close_all();
    }
END_TEST

START_TEST(ends_once_when_many_threads_end_it)
    {
        open_default();
        enum { ROUNDS = 200, THREADS = 4 };
        for (int i = 0; i < ROUNDS; i++) {
            pthread_t threads[THREADS];
            srun_span span = srun_span_start(tracer, "s", NULL);
            for (int t = 0; t < THREADS; t++)
                ck_assert_int_eq(pthread_create(&threads[t], NULL, end_it, &span), 0);
            for (int t = 0; t < THREADS; t++)
                (void)pthread_join(threads[t], NULL);
        }
        flush();
        ck_assert_uint_eq(kept.count, ROUNDS);
        close_all();
    }
END_TEST

START_TEST(is_current_until_it_is_detached)
    {
        struct srun_span_context one = {.trace_id = {1}, .span_id = {1}};
        struct srun_span_context two = {.trace_id = {2}, .span_id = {2}};
        ck_assert_int_eq(srun_span_context_is_valid(&(struct srun_span_context){0}), 0);
        struct srun_span_token first = srun_span_attach(&one), second = srun_span_attach(&two);
        struct srun_span_context now = srun_span_current();
        ck_assert_mem_eq(&now, &two, sizeof now);
        ck_assert_int_eq(srun_span_detach(&second), 0);
        now = srun_span_current();
        ck_assert_mem_eq(&now, &one, sizeof now);
        ck_assert_int_eq(srun_span_detach(&second), -EINVAL);
        struct srun_span_token nothing = srun_span_attach(NULL);
        now = srun_span_current();
        ck_assert_int_eq(srun_span_context_is_valid(&now), 0);
        ck_assert_int_eq(srun_span_detach(&nothing), 0);
        ck_assert_int_eq(srun_span_detach(&first), 0);
        now = srun_span_current();
        ck_assert_int_eq(srun_span_context_is_valid(&now), 0);
    }
END_TEST

START_TEST(a_token_counts_once_whatever_was_attached_since)
    {
        struct srun_span_context one = {.trace_id = {1}, .span_id = {1}};
        struct srun_span_context two = {.trace_id = {2}, .span_id = {2}};
        struct srun_span_token first = srun_span_attach(&one);
        ck_assert_int_eq(srun_span_detach(&first), 0);
        struct srun_span_token second = srun_span_attach(&two), third = srun_span_attach(&two);
        ck_assert_int_eq(srun_span_detach(&first), -EINVAL);
        struct srun_span_context now = srun_span_current();
        ck_assert_mem_eq(&now, &two, sizeof now);
        ck_assert_int_eq(srun_span_detach(&third), 0);
        ck_assert_int_eq(srun_span_detach(&third), -EINVAL);
        ck_assert_int_eq(srun_span_detach(&second), 0);
        struct srun_span_token many[100];
        for (int i = 0; i < 100; i++)
            many[i] = srun_span_attach(&one);
        for (int i = 99; i >= 60; i--)
            ck_assert_int_eq(srun_span_detach(&many[i]), 0);
        ck_assert_int_eq(srun_span_detach(&many[60]), -EINVAL);
        ck_assert_int_eq(srun_span_detach(&many[10]), -EBUSY);
        for (int i = 9; i >= 0; i--)
            ck_assert_int_eq(srun_span_detach(&many[i]), 0);
        ck_assert_int_eq(srun_span_detach(&many[0]), -EINVAL);
    }
END_TEST

START_TEST(recovers_from_detaches_in_the_wrong_order)
    {
        struct srun_span_context one = {.trace_id = {1}, .span_id = {1}};
        uint64_t before = atomic_load(&traces_misused);
        struct srun_span_token first = srun_span_attach(&one), second = srun_span_attach(&one);
        ck_assert_int_eq(srun_span_detach(&first), -EBUSY);
        struct srun_span_context now = srun_span_current();
        ck_assert_int_eq(srun_span_context_is_valid(&now), 0);
        ck_assert_int_eq(srun_span_detach(&second), -EINVAL);
        ck_assert_int_eq(srun_span_detach(NULL), -EINVAL);
        struct srun_span_token foreign = srun_span_attach(&one), copy = foreign;
        copy.thread = &one;
        ck_assert_int_eq(srun_span_detach(&copy), -EINVAL);
        ck_assert_int_eq(srun_span_detach(&foreign), 0);
        ck_assert_uint_eq(atomic_load(&traces_misused) - before, 4);
    }
END_TEST

static void load(void)
{
    SRUN_SPAN_SCOPE(outer, tracer, "outer");
    SRUN_SPAN_SCOPE(inner, tracer, "inner");
    srun_span_set(&inner, SRUN_KVS(SRUN_INT("i", 1)));
    srun_span_set(&outer, SRUN_KVS(SRUN_INT("o", 1)));
}

START_TEST(ends_with_its_scope)
    {
        open_default();
        load();
        struct srun_span_context now = srun_span_current();
        ck_assert_int_eq(srun_span_context_is_valid(&now), 0);
        flush();
        ck_assert_mem_eq(find("inner")->parent_span_id, find("outer")->span_id, 8);
        ck_assert_str_eq(find("outer")->attributes, "o=1");
        close_all();
    }
END_TEST

START_TEST(accepts_options_of_other_sizes)
    {
        open_default();
        struct srun_span_options options = {
            .size = sizeof(size_t) + sizeof(void *), .kind = SRUN_SPAN_CLIENT, .start_ns = 5};
        srun_span older = srun_span_start(tracer, "older", &options);
        options.size = 3;
        srun_span bad = srun_span_start(tracer, "bad", &options);
        srun_span_end(&older);
        srun_span_end(&bad);
        flush();
        ck_assert_int_eq(find("older")->kind, SRUN_SPAN_CLIENT);
        ck_assert_uint_gt(find("older")->start_ns, 5);
        ck_assert_int_eq(find("bad")->kind, SRUN_SPAN_INTERNAL);
        ck_assert_uint_eq(stats().misused, 1);
        close_all();
    }
END_TEST

START_TEST(gives_the_same_tracer_for_the_same_scope)
    {
        open_default();
        struct telemetry_scope scope = {.name = "lib", .version = "1"};
        srun_tracer *one = traces_tracer(traces, &scope);
        ck_assert_ptr_eq(one, traces_tracer(traces, &scope));
        scope.version = "2";
        ck_assert_ptr_ne(one, traces_tracer(traces, &scope));
        char name[16];
        for (int i = 0; i < TRACERS_MAX; i++) {
            (void)snprintf(name, sizeof name, "%d", i);
            scope.name = name;
            one = traces_tracer(traces, &scope);
        }
        ck_assert_ptr_null(one);
        close_all();
    }
END_TEST

int main(void)
{
    return HARNESS("trace_span", records_what_it_is_told, counts_time_in_unix_nanoseconds,
                   overwrites_an_attribute_of_the_same_key,
                   keeps_128_attributes_events_and_links_and_counts_the_rest,
                   keeps_the_limits_it_is_given, drops_and_counts_what_exceeds_its_room,
                   counts_a_name_and_a_status_for_which_there_is_no_room,
                   does_nothing_after_its_end, survives_its_provider, takes_nothing_for_everything,
                   hands_the_parent_on_without_a_tracer, belongs_to_its_parent,
                   keeps_ok_whatever_comes_later, may_end_on_another_thread,
                   ends_once_when_many_threads_end_it, is_current_until_it_is_detached,
                   a_token_counts_once_whatever_was_attached_since,
                   recovers_from_detaches_in_the_wrong_order, ends_with_its_scope,
                   accepts_options_of_other_sizes, gives_the_same_tracer_for_the_same_scope);
}

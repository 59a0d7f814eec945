/* SPDX-License-Identifier: MIT
 *
 * The exporter with a transport that answers from a list: requests, attempts, pauses and counts,
 * without a network. tests/integration/otlp_test.py has the network.
 */
#include "telemetry/exporter.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the receiver answers, one after the other; the last one for ever. */
struct script {
    struct transport_reply replies[8];
    unsigned count, loads, wakes;
    atomic_uint attempts;
    size_t sizes[64];
    bool hang; /* until interrupted */
    bool closed;
    char url[128];
    const atomic_bool *interrupted;
};

static struct script script;

static int fake_load(struct transport *transport, const void *body, size_t size)
{
    (void)transport;
    ck_assert_ptr_nonnull(body);
    ck_assert_uint_lt(script.loads, COUNT_OF(script.sizes));
    script.sizes[script.loads++] = size;
    return 0;
}

static bool is_interrupted(void *arg)
{
    (void)arg;
    return atomic_load(script.interrupted);
}

static void fake_attempt(struct transport *transport, int64_t deadline_ns,
                         struct transport_reply *out)
{
    (void)transport;
    ck_assert_int_gt(deadline_ns, 0);
    unsigned attempt = atomic_fetch_add(&script.attempts, 1);
    unsigned which = attempt < script.count ? attempt : script.count - 1;
    *out = script.replies[which];
    if (script.hang && harness_wait(is_interrupted, NULL, 20000)) {
        out->code = -ECANCELED;
        out->again = false;
        strcpy(out->text, "interrupted");
    }
}

static void fake_wake(struct transport *transport)
{
    (void)transport;
    script.wakes++;
}

static void fake_free(struct transport *transport)
{
    script.closed = true;
    free(transport);
}

static int fake_open(const struct transport_options *options, struct transport **out, char *text,
                     size_t size)
{
    if (strstr(options->url, "refused") != NULL) {
        snprintf(text, size, "no");
        return -ENOENT;
    }
    snprintf(script.url, sizeof script.url, "%s", options->url);
    script.interrupted = options->interrupted;
    *out = malloc(sizeof **out);
    **out = (struct transport){fake_load, fake_attempt, fake_wake, fake_free};
    return 0;
}

static const struct transport_plugin fake = {sizeof fake, SRUN_VERSION_TEXT, fake_open};

static struct transport_reply answered(int status)
{
    return (struct transport_reply){.http_status = status,
                                    .grpc_status = -1,
                                    .grpc_message = "",
                                    .grpc_details = "",
                                    .retry_after = ""};
}

static struct telemetry_exporter *opened(enum telemetry_signal signal, size_t request_max)
{
    struct telemetry_exporter *exporter = NULL;
    struct telemetry_exporter_options options = {
        .transport = &fake, .request_max = request_max, .endpoint = "http://c:1"};
    ck_assert_int_eq(telemetry_exporter_open(signal, &options, &exporter, NULL), 0);
    return exporter;
}

static int64_t in_ms(int64_t ms)
{
    return clock_real_now() + ms * NS_PER_MS;
}

static void expect(const struct telemetry_result *result, size_t accepted, size_t rejected,
                   size_t lost)
{
    ck_assert_msg(result->accepted == accepted && result->rejected == rejected &&
                      result->lost == lost,
                  "%zu %zu %zu %s", result->accepted, result->rejected, result->lost, result->text);
}

START_TEST(a_batch_is_one_request)
    {
        struct telemetry_span spans[3] = {0};
        struct telemetry_result result;
        script = (struct script){.replies = {answered(200)}, .count = 1};
        struct telemetry_exporter *exporter = opened(TELEMETRY_TRACES, 0);
        exporter->spans(exporter, spans, 3, in_ms(5000), &result);
        expect(&result, 3, 0, 0);
        ck_assert(script.loads == 1 && script.attempts == 1 && result.attempts == 1);
        ck_assert_str_eq(script.url, "http://c:1/v1/traces");
        exporter->free(exporter);
        ck_assert(script.closed);
    }
END_TEST

START_TEST(nothing_is_no_request)
    {
        struct telemetry_result result;
        script = (struct script){.replies = {answered(200)}, .count = 1};
        struct telemetry_exporter *exporter = opened(TELEMETRY_LOGS, 0);
        exporter->logs(exporter, NULL, 0, in_ms(5000), &result);
        expect(&result, 0, 0, 0);
        ck_assert_uint_eq(script.attempts, 0);
        exporter->free(exporter);
    }
END_TEST

START_TEST(metrics_are_counted_by_their_points)
    {
        struct telemetry_point points[5] = {0};
        struct telemetry_metric metrics[2] = {{.points = points, .point_count = 5},
                                              {.points = points, .point_count = 2}};
        struct telemetry_result result;
        static const char partial[] = "\x0a\x02\x08\x03";
        script = (struct script){.replies = {answered(200)}, .count = 1};
        script.replies[0].body = (const unsigned char *)partial;
        script.replies[0].size = 4;
        struct telemetry_exporter *exporter = opened(TELEMETRY_METRICS, 0);
        exporter->metrics(exporter, metrics, 2, in_ms(5000), &result);
        expect(&result, 4, 3, 0);
        ck_assert_str_eq(result.text, "rejected in part: no reason given");
        exporter->free(exporter);
    }
END_TEST

START_TEST(a_receiver_cannot_reject_more_than_it_got)
    {
        struct telemetry_span span = {0};
        struct telemetry_result result;
        static const char partial[] = "\x0a\x03\x08\xff\x7f";
        script = (struct script){.replies = {answered(200)}, .count = 1};
        script.replies[0].body = (const unsigned char *)partial;
        script.replies[0].size = 5;
        struct telemetry_exporter *exporter = opened(TELEMETRY_TRACES, 0);
        exporter->spans(exporter, &span, 1, in_ms(5000), &result);
        expect(&result, 0, 1, 0);
        exporter->free(exporter);
    }
END_TEST

START_TEST(what_is_too_big_is_halved_until_it_fits)
    {
        static struct telemetry_log logs[100];
        static char long_body[300];
        struct telemetry_result result;
        memset(long_body, 'x', sizeof long_body - 1);
        for (int i = 0; i < 100; i++)
            logs[i].body = i == 50 ? long_body : "ten bytes.";
        script = (struct script){.replies = {answered(200)}, .count = 1};
        struct telemetry_exporter *exporter = opened(TELEMETRY_LOGS, 200);
        exporter->logs(exporter, logs, 100, in_ms(5000), &result);
        expect(&result, 99, 0, 1);
        ck_assert_int_eq(result.code, -EMSGSIZE);
        ck_assert_uint_lt(script.loads, 50);
        for (unsigned i = 0; i < script.loads; i++)
            ck_assert_uint_le(script.sizes[i], 200);
        exporter->free(exporter);
    }
END_TEST

START_TEST(what_may_be_tried_again_is_tried_again)
    {
        struct telemetry_span spans[2] = {0};
        struct telemetry_result result;
        script = (struct script){.replies = {answered(503), answered(200)}, .count = 2};
        struct telemetry_exporter *exporter = opened(TELEMETRY_TRACES, 0);
        int64_t begin = clock_real_now();
        exporter->spans(exporter, spans, 2, in_ms(9000), &result);
        expect(&result, 2, 0, 0);
        ck_assert(result.attempts == 2 && result.code == 0 && script.loads == 1);
        ck_assert_int_ge(clock_real_now() - begin, 500 * NS_PER_MS);
        exporter->free(exporter);
    }
END_TEST

START_TEST(without_time_for_another_attempt_it_does_not_wait)
    {
        struct telemetry_span span = {0};
        struct telemetry_result result;
        script = (struct script){.replies = {answered(503)}, .count = 1};
        script.replies[0].retry_after = "3600";
        struct telemetry_exporter *exporter = opened(TELEMETRY_TRACES, 0);
        int64_t until = in_ms(30000); /* or its timeout, which is 10 s */
        exporter->spans(exporter, &span, 1, until, &result);
        expect(&result, 0, 0, 1);
        ck_assert_int_eq(result.code, -ETIMEDOUT);
        ck_assert_str_eq(result.text, "no time for another attempt: HTTP status 503");
        ck_assert_int_lt(clock_real_now(), until - 21 * NS_PER_S);
        exporter->free(exporter);
    }
END_TEST

START_TEST(a_receiver_that_wants_a_pause_gets_it_from_the_next_batch_too)
    {
        struct telemetry_span span = {0};
        struct telemetry_result result;
        script = (struct script){.replies = {answered(429), answered(200)}, .count = 2};
        script.replies[0].retry_after = "1";
        struct telemetry_exporter *exporter = opened(TELEMETRY_TRACES, 0);
        int64_t begin = clock_real_now();
        exporter->spans(exporter, &span, 1, begin + 900 * NS_PER_MS, &result);
        expect(&result, 0, 0, 1);
        exporter->spans(exporter, &span, 1, begin + 900 * NS_PER_MS, &result);
        expect(&result, 0, 0, 1);
        ck_assert_uint_le(script.attempts, 1); /* none, if the machine took too long for it */
        exporter->spans(exporter, &span, 1, in_ms(9000), &result);
        expect(&result, 1, 0, 0);
        ck_assert_int_ge(clock_real_now() - begin, NS_PER_S);
        exporter->free(exporter);
    }
END_TEST

START_TEST(what_must_not_be_tried_again_is_rejected_or_lost)
    {
        struct telemetry_span spans[4] = {0};
        struct telemetry_result result;
        script = (struct script){.replies = {answered(400), answered(200)}, .count = 2};
        script.replies[1].code = -EPROTO;
        strcpy(script.replies[1].text, "bad certificate");
        struct telemetry_exporter *exporter = opened(TELEMETRY_TRACES, 0);
        exporter->spans(exporter, spans, 4, in_ms(5000), &result);
        expect(&result, 0, 4, 0);
        ck_assert_int_eq(result.code, -EBADMSG);
        exporter->spans(exporter, spans, 4, in_ms(5000), &result);
        expect(&result, 0, 0, 4);
        ck_assert_int_eq(result.code, -EPROTO);
        ck_assert_str_eq(result.text, "bad certificate");
        exporter->free(exporter);
    }
END_TEST

struct call {
    struct telemetry_exporter *exporter;
    struct telemetry_result result;
};

static void *call_spans(void *arg)
{
    struct call *call = arg;
    static struct telemetry_span spans[4];
    call->exporter->spans(call->exporter, spans, 4, in_ms(60000), &call->result);
    return NULL;
}

static bool has_begun(void *arg)
{
    (void)arg;
    return atomic_load(&script.attempts) > 0;
}

static void interrupted_call(struct transport_reply reply, bool hang)
{
    pthread_t thread;
    script = (struct script){.replies = {reply}, .count = 1, .hang = hang};
    struct call call = {.exporter = opened(TELEMETRY_TRACES, 0)};
    int64_t begin = clock_real_now();
    ck_assert_int_eq(pthread_create(&thread, NULL, call_spans, &call), 0);
    ck_assert(harness_wait(has_begun, NULL, 10000));
    call.exporter->interrupt(call.exporter); /* during or between its attempts */
    pthread_join(thread, NULL);
    ck_assert_int_lt(clock_real_now() - begin, 10 * NS_PER_S);
    expect(&call.result, 0, 0, 4);
    ck_assert_int_eq(call.result.code, -ECANCELED);
    if (hang) {                                  /* else the next one has a pause to wait for */
        call.exporter->interrupt(call.exporter); /* it flies no more: nothing */
        script = (struct script){
            .replies = {answered(200)}, .count = 1, .interrupted = script.interrupted};
        call_spans(&call);
        expect(&call.result, 4, 0, 0);
    }
    call.exporter->free(call.exporter);
}

START_TEST(an_interrupt_ends_an_attempt_and_a_pause)
    {
        struct transport_reply later = answered(503);
        later.retry_after = "8"; /* its timeout is 10 s */
        for (int i = 0; i < 20; i++) {
            interrupted_call(answered(200), true);
            interrupted_call(later, false);
        }
    }
END_TEST

START_TEST(a_forked_child_touches_nothing)
    {
        struct telemetry_span span = {0};
        struct telemetry_result result;
        script = (struct script){.replies = {answered(200)}, .count = 1};
        struct telemetry_exporter *exporter = opened(TELEMETRY_TRACES, 0);
        pid_t child = fork();
        if (child == 0) {
            exporter->spans(exporter, &span, 1, in_ms(1000), &result);
            exporter->interrupt(exporter);
            exporter->free(exporter);
            _exit(result.lost == 1 && result.code == SRUN_EFORK && script.attempts == 0 &&
                          script.wakes == 0 && !script.closed
                      ? 0
                      : 1);
        }
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        exporter->free(exporter);
    }
END_TEST

START_TEST(an_error_of_the_start_says_where_and_no_password)
    {
        struct telemetry_exporter *exporter = NULL;
        struct telemetry_exporter_options options = {.transport = &fake,
                                                     .endpoint = "https://me:secret@refused:1"};
        srun_err err = {0};
        ck_assert_int_eq(telemetry_exporter_open(TELEMETRY_LOGS, &options, &exporter, &err),
                         -ENOENT);
        ck_assert_str_eq(err.text, "https://refused:1/v1/logs: no");
        ck_assert_ptr_null(exporter);
        options.headers = (const char *const[]){"a b", "c", NULL};
        ck_assert_int_eq(telemetry_exporter_open(TELEMETRY_LOGS, &options, &exporter, &err),
                         -EINVAL);
        options = (struct telemetry_exporter_options){.plugin = "srun/libsrun-otlp.so.0"};
        ck_assert_int_eq(telemetry_exporter_open(TELEMETRY_LOGS, &options, &exporter, &err),
                         -ELIBACC);
        options.plugin = "/nowhere/libsrun-otlp.so.0";
        ck_assert_int_eq(telemetry_exporter_open(TELEMETRY_LOGS, &options, &exporter, &err),
                         -ELIBACC);
        ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/libsrun-otlp.so.0"));
    }
END_TEST

int main(void)
{
    return HARNESS("exporter", a_batch_is_one_request, nothing_is_no_request,
                   metrics_are_counted_by_their_points, a_receiver_cannot_reject_more_than_it_got,
                   what_is_too_big_is_halved_until_it_fits, what_may_be_tried_again_is_tried_again,
                   without_time_for_another_attempt_it_does_not_wait,
                   a_receiver_that_wants_a_pause_gets_it_from_the_next_batch_too,
                   what_must_not_be_tried_again_is_rejected_or_lost,
                   an_interrupt_ends_an_attempt_and_a_pause, a_forked_child_touches_nothing,
                   an_error_of_the_start_says_where_and_no_password);
}

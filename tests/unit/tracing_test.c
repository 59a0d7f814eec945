/* SPDX-License-Identifier: MIT
 *
 * Traces of a runner: its own spans, the tracers of its services, what they are configured by, and
 * the ids in log records.
 */
#include "cast.h"
#include "kept_spans.h"
#include "log/log.h"
#include "runner.h"
#include "telemetry/meter.h"

#include <semaphore.h>
#include <srun/metrics.h>
#include <srun/trace.h>
#include <unistd.h>

static struct stage stage;
static struct actor db = {.name = "db"}, web = {.name = "web"};
static struct kept_spans kept;

static void open_stage(const struct srun_config *config)
{
    db = (struct actor){.name = "db"};
    web = (struct actor){.name = "web"};
    stage_open(&stage, config);
    kept_spans_init(&kept);
    stage.runner->tracing.exporter = &kept.exporter;
    stage_add(&stage, &db);
    stage_add(&stage, &web);
}

static void close_stage(void)
{
    stage_close(&stage);
    kept_spans_destroy(&kept);
}

static const struct kept_span *find(const char *name)
{
    const struct kept_span *span = kept_spans_find(&kept, name);
    ck_assert_msg(span != NULL, "there is no span %s", name);
    return span;
}

static void run_once(void)
{
    stage_start(&stage);
    stage_wait(&stage, "web", SRUN_RUNNING);
    stage_terminate(&stage);
    (void)stage_finish(&stage);
    stage_clear(&stage); /* which sends what is left */
}

START_TEST(traces_a_start_and_a_stop_with_each_phase)
    {
        open_stage(NULL);
        run_once();
        const struct kept_span *start = find("start"), *stop = find("stop");
        ck_assert_mem_eq(start->parent_span_id, (uint8_t[8]){0}, 8);
        ck_assert_mem_ne(start->trace_id, stop->trace_id, 16);
        ck_assert_str_eq(start->scope, "libsrun");
        ck_assert_str_eq(start->attributes, "srun.generation=1 srun.services=2");
        static const char *const up[] = {"init db", "init web", "ready db", "ready web"};
        for (size_t i = 0; i < 4; i++) {
            ck_assert_mem_eq(find(up[i])->trace_id, start->trace_id, 16);
            ck_assert_mem_eq(find(up[i])->parent_span_id, start->span_id, 8);
            ck_assert_uint_le(find(up[i])->start_ns, find(up[i])->end_ns);
        }
        ck_assert_str_eq(find("init db")->attributes, "srun.service='db' srun.phase='init'");
        ck_assert_mem_eq(find("stop db")->parent_span_id, stop->span_id, 8);
        ck_assert_mem_eq(find("stop web")->parent_span_id, stop->span_id, 8);
        ck_assert_ptr_nonnull(strstr(stop->attributes, "srun.cause='signal'"));
        ck_assert_ptr_nonnull(strstr(stop->attributes, "process.exit.code=0"));
        ck_assert_int_eq(stop->status, 0);
        ck_assert_uint_eq(kept.count, 8);
        ck_assert(atomic_load(&kept.freed));
        close_stage();
    }
END_TEST

START_TEST(says_in_a_trace_why_a_start_failed)
    {
        open_stage(NULL);
        web.init_code = -EIO;
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 1);
        stage_clear(&stage);
        ck_assert_int_eq(find("init web")->status, 2);
        ck_assert_str_eq(find("init web")->status_text, "init of web went wrong");
        ck_assert_int_eq(find("start")->status, 2);
        ck_assert_int_eq(find("stop")->status, 2);
        ck_assert_int_eq(find("init db")->status, 0);
        close_stage();
    }
END_TEST

START_TEST(gives_each_service_a_tracer_of_its_name)
    {
        open_stage(SRUN_CONFIG(.name = "shop", .version = "1.2"));
        ck_assert_ptr_null(srun_runner_tracer(stage.runner));
        stage_start(&stage);
        stage_wait(&stage, "web", SRUN_RUNNING);
        srun_tracer *tracer = srun_context_tracer(atomic_load(&db.ctx));
        ck_assert_ptr_nonnull(tracer);
        srun_span span = srun_span_start(tracer, "query", NULL);
        srun_span_end(&span);
        span = srun_span_start(srun_runner_tracer(stage.runner), "whole", NULL);
        srun_span_end(&span);
        span = srun_span_start(srun_library_tracer(stage.runner, "libpq", "15", ""), "lib", NULL);
        srun_span_end(&span);
        ck_assert_int_eq(srun_runner_flush_traces(stage.runner, 10000), 0);
        ck_assert_str_eq(find("query")->scope, "db");
        ck_assert_str_eq(find("whole")->scope, "shop");
        ck_assert_str_eq(find("lib")->scope, "libpq");
        struct srun_trace_stats stats;
        srun_runner_trace_stats(stage.runner, &stats);
        ck_assert_uint_ge(stats.exported, 3); /* the start may still be about to end */
        ck_assert_uint_eq(stats.lost_in_export + stats.lost_queue_full + stats.lost_no_slot, 0);
        stage_terminate(&stage);
        (void)stage_finish(&stage);
        close_stage();
    }
END_TEST

START_TEST(is_off_unless_an_exporter_is_configured)
    {
        db = (struct actor){.name = "db"};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_ptr_null(srun_context_tracer(atomic_load(&db.ctx)));
        ck_assert_ptr_null(srun_runner_tracer(stage.runner));
        ck_assert_ptr_null(srun_library_tracer(stage.runner, "lib", NULL, NULL));
        ck_assert_ptr_null(srun_context_tracer(NULL));
        ck_assert_ptr_null(srun_runner_tracer(NULL));
        ck_assert_int_eq(srun_runner_flush_traces(stage.runner, 0), 0);
        struct srun_trace_stats stats;
        srun_runner_trace_stats(stage.runner, &stats);
        ck_assert_uint_eq(stats.started, 0);
        stage_terminate(&stage);
        (void)stage_finish(&stage);
        stage_close(&stage);
    }
END_TEST

START_TEST(joins_the_trace_of_the_environment)
    {
        (void)setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 1);
        (void)setenv("TRACESTATE", "a=1", 1);
        open_stage(NULL);
        run_once();
        const struct kept_span *start = find("start");
        ck_assert_uint_eq(start->trace_id[0], 0x0a);
        ck_assert_uint_eq(start->parent_span_id[0], 0xb7);
        ck_assert_str_eq(start->tracestate, "a=1");
        ck_assert_uint_eq(start->flags & 0x300, 0x300);
        ck_assert_mem_ne(find("stop")->trace_id, start->trace_id, 16);
        close_stage();
    }
END_TEST

START_TEST(leaves_out_all_of_a_start_that_is_not_sampled)
    {
        (void)setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 1);
        open_stage(NULL);
        run_once();
        ck_assert_uint_eq(kept.count, 3);
        ck_assert_mem_eq(find("stop db")->parent_span_id, find("stop")->span_id, 8);
        ck_assert_mem_eq(find("stop web")->parent_span_id, find("stop")->span_id, 8);
        close_stage();
    }
END_TEST

START_TEST(obeys_the_variables_of_opentelemetry)
    {
        (void)setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
        (void)setenv("OTEL_BSP_MAX_QUEUE_SIZE", "many", 1);
        open_stage(NULL);
        run_once();
        ck_assert_uint_eq(kept.count, 0);
        assert_logged(&stage, "level=WARN msg=\"a variable of OpenTelemetry is wrong\" "
                              "variable=OTEL_BSP_MAX_QUEUE_SIZE what=\"is not a whole number\"");
        close_stage();
        open_stage(SRUN_CONFIG(.telemetry.sampler = SRUN_SAMPLER_PARENT_ON)); /* stands above */
        run_once();
        ck_assert_uint_eq(kept.count, 8);
        close_stage();
    }
END_TEST

static const char *attribute(const struct resource *resource, const char *key)
{
    for (const struct srun_kv *kv = resource->shown.attributes; kv->type != SRUN_KV_END; kv++)
        if (strcmp(kv->key, key) == 0)
            return kv->type == SRUN_KV_STR ? kv->value.str : "(number)";
    return NULL;
}

START_TEST(says_who_it_is)
    {
        struct otelenv *env = calloc(1, sizeof *env);
        struct resource one, other;
        ck_assert_int_eq(resource_make(&one, "shop", "1.2", env), 0);
        ck_assert_str_eq(attribute(&one, "service.name"), "shop");
        ck_assert_str_eq(attribute(&one, "service.version"), "1.2");
        ck_assert_str_eq(attribute(&one, "telemetry.sdk.name"), "libsrun");
        ck_assert_str_eq(attribute(&one, "telemetry.sdk.language"), "c");
        ck_assert_str_eq(attribute(&one, "process.pid"), "(number)");
        ck_assert_ptr_nonnull(attribute(&one, "process.executable.name"));
        const char *id = attribute(&one, "service.instance.id");
        ck_assert_uint_eq(strlen(id), 36);
        ck_assert_uint_eq(strspn(id, "0123456789abcdef-"), 36);
        ck_assert_int_eq(id[14], '4');
        ck_assert_ptr_nonnull(strchr("89ab", id[19]));

        env = calloc(1, sizeof *env);
        env->service_name = strdup("store");
        env->resource = calloc(4, sizeof *env->resource);
        env->resource[0] = SRUN_STR("service.name", "beaten");
        env->resource[1] = SRUN_STR("telemetry.sdk.name", "opentelemetry");
        env->resource[2] = SRUN_STR("zone", "a");
        env->resource[3] = SRUN_KV_END_;
        ck_assert_int_eq(resource_make(&other, "shop", "1.2", env), 0);
        ck_assert_str_eq(attribute(&other, "service.name"), "store");
        ck_assert_str_eq(attribute(&other, "telemetry.sdk.name"), "libsrun");
        ck_assert_str_eq(attribute(&other, "zone"), "a");
        ck_assert_str_ne(attribute(&other, "service.instance.id"), id);
        resource_free(&one);
        resource_free(&other);
    }
END_TEST

START_TEST(refuses_an_endpoint_that_is_none)
    {
        srun_err err = {0};
        stage_open(&stage, SRUN_CONFIG(.telemetry = {.trace_exporter = SRUN_EXPORTER_HTTP,
                                                     .trace_endpoint = "ftp://nowhere"}));
        ck_assert_int_eq(srun_test_start(stage.test, &err), SRUN_EUSAGE);
        ck_assert_ptr_nonnull(strstr(err.text, "trace_endpoint"));
        stage_close(&stage);
    }
END_TEST

START_TEST(sends_nothing_when_the_sdk_is_disabled)
    {
        (void)setenv("OTEL_SDK_DISABLED", "true", 1);
        stage_open(&stage, SRUN_CONFIG(.telemetry.trace_exporter = SRUN_EXPORTER_HTTP));
        db = (struct actor){.name = "db"};
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_ptr_null(srun_runner_tracer(stage.runner));
        stage_terminate(&stage);
        (void)stage_finish(&stage);
        stage_close(&stage);
    }
END_TEST

START_TEST(ends_in_time_when_nobody_takes_its_spans)
    {
        open_stage(NULL);
        kept_spans_close(&kept);
        stage_start(&stage);
        stage_wait(&stage, "web", SRUN_RUNNING);
        stage_terminate(&stage);
        (void)stage_finish(&stage);
        int64_t before = harness_now_ms();
        stage_clear(&stage);
        ck_assert_int_lt(harness_now_ms() - before, REAL_LIMIT_MS); /* else never */
        assert_logged(&stage, "msg=\"spans were lost\" lost=8");
        assert_logged(&stage, "msg=\"traces have ended\"");
        close_stage();
    }
END_TEST

static struct gate never = GATE_CLOSED;

static void end_stuck(void)
{
    open_stage(SRUN_CONFIG(.timeouts = {.stop_ms = 10, .stuck_grace_ms = 10}));
    web.run = DEAF;
    web.gate = &never;
    stage_start(&stage);
    stage_wait(&stage, "web", SRUN_RUNNING);
    stage_terminate(&stage);
    for (int i = 0; i < 300 && !stage_info(&stage, "web").stuck; i++)
        srun_test_advance_ms(stage.test, 10);
    ck_assert_int_eq(stage_finish(&stage), 4);
    ck_assert_uint_eq(srun_runner_stuck(stage.runner), 1);
    (void)srun_runner_free(stage.runner); /* which leaves it as it is */
    ck_assert_int_eq(find("stop")->status, 2);
    ck_assert_ptr_nonnull(strstr(find("stop")->attributes, "process.exit.code=4"));
}

START_TEST(sends_what_is_left_when_a_thread_is_stuck)
    {
        in_a_process_of_its_own(end_stuck);
    }
END_TEST

static void never_answer(void *user, srun_observer *observer)
{
    (void)observer;
    (void)sem_post(user);
    for (;;)
        (void)pause();
}

/* Until the callback hangs. Where the machine is busy it may not even have begun in time: then it
 * was taken back, and is asked again. */
static void collect_until_it_hangs(struct telemetry_reader *reader, sem_t *called)
{
    const struct telemetry_metric *metrics;
    struct timespec until;
    do {
        (void)telemetry_collect(reader, clock_real_now() + 10 * NS_PER_MS, &metrics);
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
    } while (sem_clockwait(called, CLOCK_MONOTONIC, &until) != 0);
}

static void end_with_a_callback_that_hangs(void)
{
    static sem_t called;
    struct telemetry_reader *reader;
    (void)sem_init(&called, 0, 0);
    open_stage(NULL);
    (void)srun_observable_gauge(srun_runner_meter(stage.runner), "g", NULL, never_answer, &called);
    ck_assert_int_eq(telemetry_reader_new(&reader, stage.runner->meters, NULL), 0);
    stage_start(&stage);
    stage_wait(&stage, "web", SRUN_RUNNING);
    collect_until_it_hangs(reader, &called);
    stage_terminate(&stage);
    ck_assert_int_eq(stage_finish(&stage), 0);
    ck_assert_ptr_null(srun_runner_free(stage.runner));
    ck_assert_uint_eq(kept_spans_count(&kept), 8);
    (void)find("stop");
}

START_TEST(sends_what_is_left_when_a_callback_hangs)
    {
        in_a_process_of_its_own(end_with_a_callback_that_hangs);
    }
END_TEST

START_TEST(leaves_the_ids_of_the_current_span_in_log_records)
    {
        stage_open(&stage, NULL);
        struct srun_span_context context = {0};
        ck_assert_int_eq(srun_traceparent_parse(
                             &context, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                         0);
        srun_logger *log = srun_runner_log(stage.runner);
        SRUN_INFO(log, "before", SRUN_INT("i", 1));
        struct srun_span_token token = srun_span_attach(&context);
        SRUN_INFO(log, "within", SRUN_INT("i", 2));
        log_configure(log, SRUN_LOG_JSON, SRUN_LEVEL_INFO);
        SRUN_INFO(log, "within", SRUN_INT("i", 3));
        (void)srun_span_detach(&token);
        SRUN_INFO(log, "after", SRUN_INT("i", 4));
        assert_logged(&stage, "msg=before i=1\n");
        assert_logged(&stage, "msg=within trace_id=0af7651916cd43dd8448eb211c80319c "
                              "span_id=b7ad6b7169203331 i=2\n");
        assert_logged(&stage,
                      "\"msg\":\"within\",\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\","
                      "\"span_id\":\"b7ad6b7169203331\",\"i\":3}\n");
        assert_logged(&stage, "\"msg\":\"after\",\"i\":4}\n");
        stage_close(&stage);
    }
END_TEST

START_TEST(gives_an_upgrade_the_ids_of_its_span)
    {
        open_stage(NULL);
        stage_start(&stage);
        stage_wait(&stage, "web", SRUN_RUNNING);
        char trace_id[33] = "", span_id[17] = "";
        tracing_upgrade(stage.runner, trace_id, span_id);
        tracing_upgraded(stage.runner, "it did not answer");
        tracing_upgrade(stage.runner, trace_id, span_id);
        tracing_upgraded(stage.runner, NULL);
        tracing_rolled_back(stage.runner, "it crashed");
        ck_assert_uint_eq(strlen(trace_id), 32);
        ck_assert_uint_eq(strlen(span_id), 16);
        stage_terminate(&stage);
        (void)stage_finish(&stage);
        stage_clear(&stage);
        ck_assert_int_eq(find("upgrade")->status, 2);
        ck_assert_str_eq(find("upgrade")->status_text, "it did not answer");
        struct srun_span_context context = {0};
        memcpy(context.trace_id, find("roll back")->trace_id, 16);
        memcpy(context.span_id, find("roll back")->parent_span_id, 8);
        char text[33];
        srun_trace_id_text(&context, text);
        ck_assert_str_eq(text, trace_id);
        srun_span_id_text(&context, text);
        ck_assert_str_eq(text, span_id);
        close_stage();
    }
END_TEST

START_TEST(starts_within_the_trace_of_the_upgrade_that_made_it)
    {
        open_stage(NULL);
        stage.runner->succession.joined = true;
        strcpy(stage.runner->succession.trace_id, "0af7651916cd43dd8448eb211c80319c");
        strcpy(stage.runner->succession.span_id, "b7ad6b7169203331");
        srun_err err = {0};
        ck_assert_int_eq(tracing_start(stage.runner, &err), 0);
        stage.runner->succession.joined = false;
        run_once();
        const struct kept_span *start = find("start");
        ck_assert_uint_eq(start->trace_id[0], 0x0a);
        ck_assert_uint_eq(start->parent_span_id[0], 0xb7);
        close_stage();
    }
END_TEST

int main(void)
{
    return HARNESS(
        "tracing", traces_a_start_and_a_stop_with_each_phase, says_in_a_trace_why_a_start_failed,
        gives_each_service_a_tracer_of_its_name, is_off_unless_an_exporter_is_configured,
        joins_the_trace_of_the_environment, leaves_out_all_of_a_start_that_is_not_sampled,
        obeys_the_variables_of_opentelemetry, says_who_it_is, refuses_an_endpoint_that_is_none,
        sends_nothing_when_the_sdk_is_disabled, ends_in_time_when_nobody_takes_its_spans,
        sends_what_is_left_when_a_thread_is_stuck, sends_what_is_left_when_a_callback_hangs,
        leaves_the_ids_of_the_current_span_in_log_records, gives_an_upgrade_the_ids_of_its_span,
        starts_within_the_trace_of_the_upgrade_that_made_it);
}

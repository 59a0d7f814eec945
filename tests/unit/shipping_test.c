/* SPDX-License-Identifier: MIT
 *
 * Log records of a runner on their way to a receiver: what they carry, what they are configured by,
 * and how they end.
 */
#include "cast.h"
#include "instruments.h"
#include "kept_logs.h"
#include "log/log.h"
#include "runner.h"

#include <srun/metrics.h>
#include <srun/trace.h>

static struct stage stage;
static struct actor db = {.name = "db"};
static struct kept_logs kept;

static void open_stage(const struct srun_config *config)
{
    db = (struct actor){.name = "db"};
    stage_open(&stage, config);
    kept_logs_init(&kept);
    stage.runner->shipping.exporter = &kept.exporter;
    stage_add(&stage, &db);
}

static void start(void)
{
    stage_start(&stage);
    stage_wait(&stage, "db", SRUN_RUNNING);
}

static void finish(void)
{
    stage_terminate(&stage);
    (void)stage_finish(&stage);
    stage_clear(&stage); /* which sends what is left */
}

static void close_stage(void)
{
    stage_close(&stage);
    kept_logs_destroy(&kept);
}

static void flush(void)
{
    ck_assert_int_eq(srun_runner_flush_logs(stage.runner, 10000 * harness_slowness()), 0);
}

static const struct kept_log *find(const char *text)
{
    const struct kept_log *log = kept_logs_find(&kept, text);
    ck_assert_msg(log != NULL, "there is no record %s", text);
    return log;
}

START_TEST(sends_records_with_all_that_they_carry)
    {
        open_stage(SRUN_CONFIG(.name = "shop", .version = "1.2"));
        start();
        srun_logger *log = srun_context_log(atomic_load(&db.ctx)), *request = NULL;
        ck_assert_int_eq(srun_logger_with(&request, log, SRUN_KVS(SRUN_STR("tenant", "x y")), NULL),
                         0);
        SRUN_WARN(request, "payment late", SRUN_EVENT("shop.payment.late"), SRUN_INT("cents", 1299),
                  SRUN_MS("took", 3), SRUN_STR("note", "none"));
        SRUN_INFO(srun_runner_log(stage.runner), "of the program");
        srun_log_write(log, SRUN_LEVEL_ERROR + 1, NULL, "between", NULL);
        SRUN_DEBUG(log, "below the level");
        srun_logger_free(request); /* its records do not need it */
        flush();
        const struct kept_log *is = find("payment late");
        ck_assert_str_eq(is->scope, "db");
        ck_assert_str_eq(is->version, "1.2");
        ck_assert_str_eq(is->attributes, "tenant='x y' cents=1299 took=3000000 note='none'");
        ck_assert_str_eq(is->event_name, "shop.payment.late");
        ck_assert_str_eq(is->severity_text, "WARN");
        ck_assert_int_eq(is->severity, 13);
        ck_assert_uint_eq(is->flags, 0);
        ck_assert_mem_eq(is->trace_id, (uint8_t[16]){0}, 16);
        int64_t age = clock_wall_ms() - (int64_t)(is->time_ns / 1000000);
        ck_assert_int_lt(age < 0 ? -age : age, 60000 * harness_slowness());
        ck_assert_uint_eq(is->observed_ns, is->time_ns);
        ck_assert_str_eq(find("of the program")->scope, "shop");
        ck_assert_int_eq(find("between")->severity, 18);
        ck_assert_str_eq(find("between")->severity_text, "ERROR+1");
        ck_assert_ptr_null(kept_logs_find(&kept, "below the level"));
        assert_logged(&stage, "msg=\"payment late\" logger_scope=db tenant=\"x y\" "
                              "event.name=shop.payment.late cents=1299 took=3ms note=none");
        finish();
        ck_assert(atomic_load(&kept.freed));
        (void)find("STOPPED"); /* what the runner says comes too */
        close_stage();
    }
END_TEST

START_TEST(sends_the_ids_of_the_current_span)
    {
        const struct srun_span_context context = {
            .trace_id = {1, 2, 3}, .span_id = {4, 5}, .flags = SRUN_TRACE_SAMPLED};
        open_stage(NULL);
        start();
        struct srun_span_token token = srun_span_attach(&context);
        SRUN_INFO(srun_runner_log(stage.runner), "within");
        (void)srun_span_detach(&token);
        flush();
        ck_assert_mem_eq(find("within")->trace_id, context.trace_id, 16);
        ck_assert_mem_eq(find("within")->span_id, context.span_id, 8);
        ck_assert_uint_eq(find("within")->flags, 1);
        finish();
        close_stage();
    }
END_TEST

START_TEST(sends_the_source_when_it_is_shown)
    {
        open_stage(SRUN_CONFIG(.log.source = 1));
        start();
        SRUN_INFO(srun_runner_log(stage.runner), "here", SRUN_INT("n", 1));
        srun_log_write(srun_runner_log(stage.runner), 0, NULL, "from a binding", NULL);
        flush();
        const char *is = find("here")->attributes;
        ck_assert_ptr_nonnull(strstr(is, "code.file.path='"));
        ck_assert_ptr_nonnull(strstr(is, "shipping_test.c' code.function.name='"));
        ck_assert_ptr_nonnull(strstr(is, " code.line.number="));
        ck_assert_str_eq(strstr(is, " n="), " n=1");
        ck_assert_str_eq(find("from a binding")->attributes, "");
        finish();
        close_stage();
    }
END_TEST

START_TEST(is_off_unless_an_exporter_is_configured)
    {
        db = (struct actor){.name = "db"};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        start();
        ck_assert_ptr_null(stage.runner->shipping.logs);
        ck_assert_int_eq(srun_runner_flush_logs(stage.runner, 0), 0);
        ck_assert_int_eq(srun_runner_flush_logs(NULL, 0), 0);
        stage_terminate(&stage);
        (void)stage_finish(&stage);
        stage_close(&stage);
    }
END_TEST

START_TEST(obeys_the_variables_of_opentelemetry)
    {
        (void)setenv("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "1", 1);
        (void)setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3", 1);
        (void)setenv("OTEL_BLRP_SCHEDULE_DELAY", "soon", 1);
        open_stage(NULL);
        start();
        SRUN_INFO(srun_runner_log(stage.runner), "limited", SRUN_STR("a", "12345"),
                  SRUN_INT("b", 1), SRUN_INT("c", 1));
        flush();
        ck_assert_str_eq(find("limited")->attributes, "a='123'");
        ck_assert_uint_eq(find("limited")->dropped_attributes, 2);
        assert_logged(&stage, "variable=OTEL_BLRP_SCHEDULE_DELAY what=\"is not a whole number\"");
        finish();
        close_stage();
    }
END_TEST

START_TEST(refuses_an_endpoint_that_is_none)
    {
        srun_err err = {0};
        stage_open(&stage, SRUN_CONFIG(.telemetry = {.log_exporter = SRUN_EXPORTER_HTTP,
                                                     .log_endpoint = "ftp://nowhere"}));
        ck_assert_int_eq(srun_test_start(stage.test, &err), SRUN_EUSAGE);
        ck_assert_ptr_nonnull(strstr(err.text, "log_endpoint"));
        stage_close(&stage);
    }
END_TEST

START_TEST(ends_in_time_when_nobody_takes_its_records)
    {
        open_stage(NULL);
        kept_logs_close(&kept);
        start();
        int64_t before = harness_now_ms();
        finish();
        ck_assert_int_lt(harness_now_ms() - before, REAL_LIMIT_MS); /* else never */
        assert_logged(&stage, "msg=\"log records were not sent\"");
        assert_logged(&stage, "msg=\"log export has ended\"");
        close_stage();
    }
END_TEST

START_TEST(counts_its_records_in_metrics)
    {
        struct buf text = {0};
        char type[128];
        open_stage(NULL);
        kept.reject = 1;
        start();
        SRUN_INFO(srun_runner_log(stage.runner), "one");
        (void)srun_runner_flush_logs(stage.runner, 10000 * harness_slowness());
        ck_assert_int_eq(instruments_expose(stage.runner, NULL, &text, type, sizeof type), 0);
        ck_assert_ptr_nonnull(strstr(text.data, "otel_sdk_log_created"));
        ck_assert_ptr_nonnull(strstr(text.data, "otel_sdk_processor_log_queue_size"));
        ck_assert_ptr_nonnull(strstr(text.data, "{error_type=\"queue_full\"} 0"));
        ck_assert_ptr_nonnull(strstr(text.data, "{error_type=\"rejected\"} 1"));
        buf_free(&text);
        finish();
        close_stage();
    }
END_TEST

static struct gate never = GATE_CLOSED;

static void end_stuck(void)
{
    open_stage(SRUN_CONFIG(.timeouts = {.stop_ms = 10, .stuck_grace_ms = 10}));
    db.run = DEAF;
    db.gate = &never;
    start();
    stage_terminate(&stage);
    for (int i = 0; i < 300 && !stage_info(&stage, "db").stuck; i++)
        srun_test_advance_ms(stage.test, 10);
    ck_assert_int_eq(stage_finish(&stage), 4);
    (void)srun_runner_free(stage.runner); /* which leaves it as it is */
    (void)find("stuck, given up");
}

START_TEST(sends_what_is_left_when_a_thread_is_stuck)
    {
        in_a_process_of_its_own(end_stuck);
    }
END_TEST

int main(void)
{
    return HARNESS("shipping", sends_records_with_all_that_they_carry,
                   sends_the_ids_of_the_current_span, sends_the_source_when_it_is_shown,
                   is_off_unless_an_exporter_is_configured, obeys_the_variables_of_opentelemetry,
                   refuses_an_endpoint_that_is_none, ends_in_time_when_nobody_takes_its_records,
                   counts_its_records_in_metrics, sends_what_is_left_when_a_thread_is_stuck);
}

/* SPDX-License-Identifier: MIT
 *
 * What is written for people and for scrapers when there is no memory: all of it, or it is said.
 */
#include "scenario.h"

#include "admin/columns.h"
#include "base/parse.h"
#include "base/wire.h"
#include "health/board.h"
#include "telemetry/otlpenv.h"
#include "telemetry/prometheus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A message fills the memory there is, and its length takes one byte more than was guessed. */
static void write_message(void *arg)
{
    static const char text[512];
    struct buf out = {0};
    (void)arg;
    scenario_arm();
    struct wire_mark mark = wire_open(&out, 1, 1);
    buf_add(&out, text, sizeof text - 1 - out.size);
    wire_close(&out, mark);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == out.failed, "%zu", out.size);
    buf_free(&out);
}

START_TEST(writes_a_message_or_says_that_it_failed)
    {
        scenario_each("message", FAULT_SYSTEM, write_message, NULL);
    }
END_TEST

/* A metric that has all that takes memory: a scope, a unit, bounds, labels, exemplars. */
static void write_metrics(void *arg)
{
    static const struct telemetry_scope scope = {"scope", "1", "url"};
    static const struct srun_kv labels[] = {SRUN_STR("key", "value"), SRUN_KV_END_};
    static const struct telemetry_exemplar exemplar = {.value = 1, .attributes = labels};
    static const double bounds[] = {1, 2};
    static const uint64_t buckets[] = {1, 0, 0};
    const struct telemetry_point point = {.attributes = labels,
                                          .count = 1,
                                          .has_sum = true,
                                          .buckets = buckets,
                                          .bucket_count = 3,
                                          .exemplars = &exemplar,
                                          .exemplar_count = 1};
    const struct telemetry_metric metric = {.scope = &scope,
                                            .name = "latency",
                                            .unit = "furlongs_",
                                            .help = "how long",
                                            .kind = TELEMETRY_HISTOGRAM,
                                            .bounds = bounds,
                                            .bound_count = 2,
                                            .points = &point,
                                            .point_count = 1};
    struct buf out = {0};
    (void)arg;
    scenario_arm();
    (void)prometheus_write(&out, &metric, 1, NULL, true);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == out.failed, "%zu", out.size);
    buf_free(&out);
}

START_TEST(writes_metrics_or_says_that_it_failed)
    {
        scenario_each("metrics text", FAULT_SYSTEM, write_metrics, NULL);
    }
END_TEST

static void write_table(void *arg)
{
    struct columns table = {0};
    struct buf out = {0};
    (void)arg;
    scenario_arm();
    columns_heads(&table, "NAME|VALUE");
    columns_addf(&table, "%d", 1);
    columns_add(&table, "x");
    columns_write(&table, &out);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == out.failed, "%zu", out.size);
    columns_free(&table);
    buf_free(&out);
}

START_TEST(writes_a_table_or_says_that_it_failed)
    {
        scenario_each("table", FAULT_SYSTEM, write_table, NULL);
    }
END_TEST

static void make_board(void *arg)
{
    const struct board_rules rules = {.name = "a"};
    (void)arg;
    scenario_arm();
    struct board *board = board_new(&rules, 1, 1);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == (board == NULL), "%u", failed);
    if (board != NULL)
        board_free(board);
}

START_TEST(makes_a_board_or_says_that_it_failed)
    {
        scenario_each("board", FAULT_SYSTEM, make_board, NULL);
    }
END_TEST

/* Without a locale of its own it writes in that of the program. */
static void write_double(void *arg)
{
    char out[PARSE_DOUBLE_TEXT_MAX];
    (void)arg;
    scenario_arm();
    (void)parse_double_text(out, 0.5);
    (void)scenario_disarm();
    SCENARIO_ASSERT(strcmp(out, "0.5") == 0, "%s", out);
}

START_TEST(writes_a_number_in_any_case)
    {
        scenario_each("number", FAULT_SYSTEM, write_double, NULL);
    }
END_TEST

static const char *get(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "OTEL_EXPORTER_OTLP_ENDPOINT") == 0 ? "http://collector:4318" : NULL;
}

static void warn(void *arg, const char *name, const char *what)
{
    (void)arg, (void)name, (void)what;
}

static void read_endpoint(void *arg)
{
    const struct otlpenv_source source = {get, warn, NULL, OTLPENV_PROTOCOL_UNSET};
    struct otlpenv env;
    (void)arg;
    scenario_arm();
    int rc = otlpenv_read(&env, TELEMETRY_TRACES, &source);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == (rc == -ENOMEM), "%d", rc);
    otlpenv_free(&env);
}

START_TEST(reads_an_endpoint_or_says_why_not)
    {
        scenario_each("endpoint", FAULT_SYSTEM, read_endpoint, NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.texts", writes_a_message_or_says_that_it_failed,
                   writes_metrics_or_says_that_it_failed, writes_a_table_or_says_that_it_failed,
                   makes_a_board_or_says_that_it_failed, writes_a_number_in_any_case,
                   reads_an_endpoint_or_says_why_not);
}

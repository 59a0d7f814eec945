/* SPDX-License-Identifier: MIT
 *
 * Measures what is hard to show: names that views change or that clash, one instrument as several
 * metrics, labels that want to break out, and measurements in spans of other processes, whose ids
 * are known. Then it waits for its end. metrics_test.py reads it.
 */
#include <srun/srun.h>

#include <stdlib.h>
#include <string.h>

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e473"

static const char *traceparent(void *carrier, const char *name, size_t index)
{
    return index == 0 && strcmp(name, "traceparent") == 0 ? carrier : NULL;
}

/* As in a request of a trace that its caller records; its last digit is the number. */
static void record_in_span(srun_instrument *histogram, double value, char number)
{
    char header[] = "00-" TRACE_ID "0-00f067aa0ba902b0-01";
    struct srun_span_context context;
    header[2 + sizeof TRACE_ID] = header[sizeof header - 5] = number;
    if (srun_trace_extract(&context, traceparent, header) != 1)
        abort();
    struct srun_span_token token = srun_span_attach(&context);
    srun_record(histogram, value,
                SRUN_KVS(SRUN_STR("route", "/a"), SRUN_STR("user", "\"\\\n\xff")));
    (void)srun_span_detach(&token);
}

static void count_in_span(srun_instrument *counter, char number)
{
    char header[] = "00-" TRACE_ID "0-00f067aa0ba902b0-01";
    struct srun_span_context context;
    header[2 + sizeof TRACE_ID] = header[sizeof header - 5] = number;
    if (srun_trace_extract(&context, traceparent, header) != 1)
        abort();
    struct srun_span_token token = srun_span_attach(&context);
    srun_add(counter, 1, NULL);
    (void)srun_span_detach(&token);
}

static void hostile(srun_meter *meter)
{
    char *large = malloc(65537);
    if (large == NULL)
        abort();
    memset(large, '"', 65536);
    large[65536] = '\0';
    srun_instrument *counter = srun_counter(
        meter, "hostile.labels", SRUN_INSTRUMENT(.help = "\\ \n \" \xff", .unit = "{\"}/s"));
    srun_add(counter, 1, SRUN_KVS(SRUN_STR("a", "\"} 1\n# EOF\n"), SRUN_STR("le", "0.5")));
    srun_add(counter, 2,
             SRUN_KVS(SRUN_STR("a", "\xff\xfe\xed\xa0\x80"), SRUN_TEXT("b", "x\0y", 3)));
    srun_add(counter, 3, SRUN_KVS(SRUN_STR("a", large)));
    srun_add(counter, 4, SRUN_KVS(SRUN_INT("a b", 1), SRUN_INT("a.b", 2), SRUN_INT("9", 3)));
    free(large);
}

/* Whatever comes second of these has no place in a page, in one format or in both. */
static void clash(srun_meter *meter)
{
    srun_add(srun_counter(meter, "clash", NULL), 1, NULL);
    srun_set(srun_gauge(meter, "clash", NULL), 2, NULL);
    srun_set(srun_gauge(meter, "clash_total", NULL), 3, NULL);
    srun_set(srun_gauge(meter, "clash.created", NULL), 4, NULL);
    srun_record(srun_histogram(meter, "sizes", NULL), 1, NULL);
    srun_add(srun_counter(meter, "sizes_count", NULL), 5, NULL);
    srun_set(srun_gauge(meter, "sizes_sum", NULL), 6, NULL);
    srun_set(srun_gauge(meter, "target_info", NULL), 7, NULL);
    srun_set(srun_gauge(meter, "target", NULL), 8, NULL);
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    static const double bounds[] = {1, 2};
    (void)self, (void)err;
    srun_meter *meter = srun_context_meter(ctx);
    srun_instrument *histogram = srun_histogram(
        meter, "took", SRUN_INSTRUMENT(.unit = "s", .bounds = bounds, .bound_count = 2));
    srun_instrument *counter = srun_counter(meter, "old.name", SRUN_INSTRUMENT(.help = "Old."));
    srun_record(histogram, 0.25, NULL);
    record_in_span(histogram, 0.5, '1');
    record_in_span(histogram, 1.5, '2');
    record_in_span(histogram, 99, '3');
    srun_add(counter, 1, NULL);
    count_in_span(counter, '4');
    hostile(meter);
    clash(meter);
    srun_ready(ctx);
    while (srun_sleep_ms(ctx, 1000000) == 0)
        ;
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static const char *const route[] = {"route", NULL}, *const none[] = {NULL};
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = run};
    const struct {
        const char *pattern;
        const struct srun_view *view;
    } views[] = {
        {"old.name", SRUN_VIEW(.name = "new.name", .help = "New.")},
        {"took", SRUN_VIEW(.keep = route)},
        {"took", SRUN_VIEW(.name = "took.all", .keep = none, .exponential = 1)},
    };
    (void)user;
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        int rc = srun_runner_view(runner, views[i].pattern, views[i].view, err);
        if (rc < 0)
            return rc;
    }
    return srun_runner_add(runner, "measures", &ops, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    return srun_main(argc, argv, SRUN_CONFIG(.name = "measures", .version = "1"), setup, NULL);
}

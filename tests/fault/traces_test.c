/* SPDX-License-Identifier: MIT
 *
 * Traces without memory or threads: a provider opens whole or not at all, and a span that cannot be
 * recorded is counted, never a failure of the program.
 */
#include "base/clock.h"
#include "base/duration.h"
#include "kept_spans.h"
#include "scenario.h"
#include "telemetry/traces.h"

#include <stdio.h>

#define SPANS 40

static int open_over(struct kept_spans *kept, struct traces **out, srun_err *err)
{
    struct traces_options options = traces_defaults();
    kept_spans_init(kept);
    kept->counts_only = true; /* what it keeps it would take from the library's memory */
    options.exporter = &kept->exporter;
    return traces_open(out, &options, err);
}

static void end(struct traces *traces)
{
    (void)traces_shutdown(traces, clock_real_now() + 10 * NS_PER_S * harness_slowness());
}

/* First here, since what all providers of a process share is made once. */
START_TEST(opens_again_once_there_is_room)
    {
        struct kept_spans kept;
        struct traces *traces = NULL;
        srun_err err = {0};
        fault_arm(FAULT_SYSTEM, 1, true);
        ck_assert_int_lt(open_over(&kept, &traces, &err), 0);
        ck_assert_uint_gt(fault_disarm(), 0);
        ck_assert_ptr_null(traces);
        ck_assert_str_ne(err.text, "");
        kept_spans_destroy(&kept);
        ck_assert_int_eq(open_over(&kept, &traces, &err), 0);
        end(traces);
        (void)traces_free(traces);
        kept_spans_destroy(&kept);
    }
END_TEST

static void make_spans(srun_tracer *tracer)
{
    for (int i = 0; i < SPANS; i++) {
        srun_span span =
            srun_span_start(tracer, "work", SRUN_SPAN(.attributes = SRUN_KVS(SRUN_INT("i", i))));
        srun_span_event(&span, "half", SRUN_KVS(SRUN_STR("how", "well")));
        srun_span_end(&span);
    }
}

static void use_all(void *arg)
{
    struct kept_spans kept;
    struct traces *traces = NULL;
    struct srun_trace_stats stats = {0};
    srun_err err = {0};
    (void)arg;
    scenario_arm();
    int rc = open_over(&kept, &traces, &err);
    srun_tracer *tracer =
        rc == 0 ? traces_tracer(traces, &(struct telemetry_scope){.name = "test"}) : NULL;
    make_spans(tracer);
    if (rc == 0) {
        end(traces);
        traces_stats(traces, &stats);
        (void)traces_free(traces);
    }
    (void)scenario_disarm();
    SCENARIO_ASSERT(rc == 0 || err.text[0] != '\0', "%d", rc);
    uint64_t known = stats.exported + stats.lost_no_slot + stats.lost_queue_full +
                     stats.lost_at_end + stats.lost_in_export + stats.rejected;
    SCENARIO_ASSERT(tracer == NULL || known == SPANS, "%llu", (unsigned long long)known);
    kept_spans_destroy(&kept);
}

START_TEST(without_memory_or_threads_all_spans_are_accounted_for)
    {
        scenario_each("traces", FAULT_SYSTEM, use_all, NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.traces", opens_again_once_there_is_room,
                   without_memory_or_threads_all_spans_are_accounted_for);
}

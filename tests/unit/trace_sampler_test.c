/* SPDX-License-Identifier: MIT
 *
 * Samplers: what they decide, held against OpenTelemetry for Go where ids are compared with a
 * ratio.
 */
#include "base/ensure.h"
#include "harness.h"
#include "telemetry/sampler.h"
#include "telemetry/self.h"
#include "tracing.h"

#include <math.h>

static bool decide(const char *name, double ratio, const struct srun_span_context *parent,
                   uint64_t word)
{
    struct sampler sampler;
    uint8_t id[16] = {1};
    for (int i = 0; i < 8; i++)
        id[8 + i] = (uint8_t)(word >> (56 - 8 * i));
    ck_assert_msg(sampler_named(&sampler, name, ratio), "%s", name);
    return sampler_decide(&sampler, parent, id);
}

/* Go: sampled when bytes 8 to 15, big endian, >> 1 are below ratio * 2^63. */
static const struct ratio_case {
    double ratio;
    uint64_t word;
    bool sampled;
} ratios[] = {
    {0, 0, false},
    {-1, 0, false},
    {NAN, 0, false},
    {1, UINT64_MAX, true},
    {2, UINT64_MAX, true},
    {0.5, 0, true},
    {0.5, UINT64_C(0x7fffffffffffffff), true},
    {0.5, UINT64_C(0x8000000000000000), false},
    {0.5, UINT64_MAX, false},
    {0.25, UINT64_C(0x3fffffffffffffff), true},
    {0.25, UINT64_C(0x4000000000000000), false},
    {0.125, UINT64_C(0x1fffffffffffffff), true},
    {0.125, UINT64_C(0x2000000000000000), false},
    {0.1, UINT64_C(0x199999999999999a), true}, /* uint64(0.1 * 2^63) = 0xccccccccccccd00 */
    {0.1, UINT64_C(0x1999999999999a00), false},
    {0.1, UINT64_C(0x19999999999999ff), true},
    {1e-19, 0, false}, /* uint64(0.92) */
    {2e-19, 0, true},
    {2e-19, 2, false},
};

START_TEST(decides_as_go_does)
    {
        for (size_t i = 0; i < COUNT_OF(ratios); i++) {
            const struct ratio_case *c = &ratios[i];
            ck_assert_msg(decide("traceidratio", c->ratio, NULL, c->word) == c->sampled, "%zu", i);
        }
    }
END_TEST

START_TEST(samples_with_a_higher_ratio_what_a_lower_one_samples)
    {
        static const double rising[] = {0, 1e-9, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999999, 1};
        unsigned sampled[COUNT_OF(rising)] = {0};
        enum { IDS = 20000 };
        for (int i = 0; i < IDS; i++) {
            uint8_t id[16];
            self_trace_id(id);
            bool before = false;
            for (size_t r = 0; r < COUNT_OF(rising); r++) {
                struct sampler sampler = sampler_make(SAMPLER_RATIO, false, rising[r]);
                bool now = sampler_decide(&sampler, NULL, id);
                ck_assert(now || !before);
                before = now;
                sampled[r] += now;
            }
        }
        ck_assert_uint_eq(sampled[0], 0);
        ck_assert_uint_eq(sampled[COUNT_OF(rising) - 1], IDS);
        ck_assert_uint_gt(sampled[5], IDS * 47 / 100); /* six sigmas and more */
        ck_assert_uint_lt(sampled[5], IDS * 53 / 100);
    }
END_TEST

START_TEST(follows_a_parent_only_when_it_is_based_on_it)
    {
        struct srun_span_context on = {.trace_id = {1}, .span_id = {1}, .flags = 1}, off = on;
        off.flags = 0;
        static const struct {
            const char *name;
            bool root, parent_on, parent_off;
        } cases[] = {
            {"always_on", true, true, true},
            {"always_off", false, false, false},
            {"traceidratio", false, false, false},
            {"parentbased_always_on", true, true, false},
            {"parentbased_always_off", false, true, false},
            {"parentbased_traceidratio", false, true, false},
            {"ParentBased_Always_ON", true, true, false},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            for (uint32_t remote = 0; remote <= SRUN_TRACE_REMOTE; remote += SRUN_TRACE_REMOTE) {
                on.flags = 1 | remote;
                off.flags = 2 | remote;
                ck_assert_int_eq(decide(cases[i].name, 0, NULL, 0), cases[i].root);
                ck_assert_int_eq(decide(cases[i].name, 0, &on, 0), cases[i].parent_on);
                ck_assert_int_eq(decide(cases[i].name, 0, &off, 0), cases[i].parent_off);
            }
        }
        struct sampler sampler;
        ck_assert(!sampler_named(&sampler, "", 1));
        ck_assert(!sampler_named(&sampler, "parentbased_", 1));
        ck_assert(!sampler_named(&sampler, "jaeger_remote", 1));
    }
END_TEST

START_TEST(gives_a_span_that_is_not_sampled_an_id_of_its_own)
    {
        struct traces_options options = traces_defaults();
        options.sampler = sampler_make(SAMPLER_OFF, false, 0);
        open_with(&options);
        struct srun_span_context parent = {
            .trace_id = {1}, .span_id = {2}, .flags = SRUN_TRACE_SAMPLED | SRUN_TRACE_RANDOM};
        ck_assert_int_eq(srun_tracestate_set(&parent, "a", "1"), 0);
        srun_span span = srun_span_start(tracer, "s", SRUN_SPAN(.parent = &parent));
        ck_assert_int_eq(srun_span_is_recording(&span), 0);
        ck_assert_mem_eq(span.context.trace_id, parent.trace_id, 16);
        ck_assert_mem_ne(span.context.span_id, parent.span_id, 8);
        ck_assert_int_eq(srun_span_context_is_valid(&span.context), 1);
        ck_assert_uint_eq(span.context.flags, SRUN_TRACE_RANDOM);
        ck_assert_uint_eq(span.context.tracestate, parent.tracestate);
        srun_span_set(&span, SRUN_KVS(SRUN_INT("i", 1)));
        srun_span_end(&span);
        flush();
        ck_assert_uint_eq(kept.count, 0);
        ck_assert_uint_eq(stats().started, 1);
        ck_assert_uint_eq(stats().sampled, 0);
        close_all();
    }
END_TEST

START_TEST(makes_ids_that_differ)
    {
        open_default();
        kept.counts_only = true;
        srun_span first = srun_span_start(tracer, "s", NULL);
        ck_assert_uint_eq(first.context.flags, SRUN_TRACE_SAMPLED | SRUN_TRACE_RANDOM);
        unsigned ones[128] = {0};
        for (int i = 0; i < 4000; i++) {
            uint8_t id[16];
            self_trace_id(id);
            for (int bit = 0; bit < 128; bit++)
                ones[bit] += id[bit / 8] >> bit % 8 & 1;
        }
        for (int bit = 0; bit < 128; bit++) {
            ck_assert_uint_gt(ones[bit], 1700);
            ck_assert_uint_lt(ones[bit], 2300);
        }
        srun_span_end(&first);
        close_all();
    }
END_TEST

int main(void)
{
    return HARNESS("trace_sampler", decides_as_go_does,
                   samples_with_a_higher_ratio_what_a_lower_one_samples,
                   follows_a_parent_only_when_it_is_based_on_it,
                   gives_a_span_that_is_not_sampled_an_id_of_its_own, makes_ids_that_differ);
}

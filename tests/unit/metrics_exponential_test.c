/* SPDX-License-Identifier: MIT
 *
 * Histograms whose buckets fit themselves: indices, growing coarser, differences.
 */
#include "metering.h"
#include "telemetry/exponential.h"

/* By multiplication in higher precision: base^i < value <= base^(i + 1). */
static bool lies_in(double value, int32_t index, int scale)
{
    long double exact = log2l((long double)value) * (long double)ldexp(1, scale);
    return exact > (long double)index - 1e-6L && exact <= (long double)index + 1 + 1e-6L;
}

START_TEST(exponential_indices_hold_their_values)
    {
        static const double values[] = {1,     2,    4,      0.5,    1.5,      1e-300,
                                        1e300, 1e-5, 123.45, 5e-324, 2.3e-308, 1.0001,
                                        7,     0.1,  1024,   1025,   1023.999, 3};
        for (int scale = -10; scale <= EXPONENTIAL_SCALE_MAX; scale++)
            for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
                ck_assert_msg(lies_in(values[i], exponential_index(values[i], scale), scale),
                              "%g at scale %d: %d", values[i], scale,
                              exponential_index(values[i], scale));
        for (int power = -1074; power <= 1023; power++) /* exact powers: the end of a bucket */
            for (int scale = 0; scale <= EXPONENTIAL_SCALE_MAX; scale++)
                ck_assert_int_eq(exponential_index(ldexp(1, power), scale),
                                 power * (1 << scale) - 1);
        ck_assert_int_eq(exponential_index(1, -1), -1);
        ck_assert_int_eq(exponential_index(2, -1), 0);
        ck_assert_int_eq(exponential_index(4, -1), 0);
        ck_assert_int_eq(exponential_index(4.1, -1), 1);
    }
END_TEST

START_TEST(exponential_buckets_keep_every_value_and_coarsen)
    {
        struct exponential histogram;
        exponential_init(&histogram);
        double value = 5e-324;
        uint64_t count = 0;
        for (; value < 1e308; value *= 1.7, count++)
            exponential_record(&histogram, value);
        exponential_record(&histogram, 0);
        uint64_t sum = 0;
        for (uint32_t i = 0; i < histogram.used; i++)
            sum += histogram.buckets[i];
        ck_assert_uint_eq(sum, count);
        ck_assert_uint_eq(histogram.zero_count, 1);
        ck_assert_uint_eq(histogram.count, count + 1);
        ck_assert_uint_le(histogram.used, EXPONENTIAL_BUCKETS);
        ck_assert_int_eq(histogram.scale, -4);
        exponential_init(&histogram);
        exponential_record(&histogram, 100);
        exponential_record(&histogram, 100.001);
        ck_assert_int_ge(histogram.scale, 19); /* two neighbours stay apart */
        ck_assert_uint_le(histogram.used, EXPONENTIAL_BUCKETS);
    }
END_TEST

START_TEST(exponential_differences_add_up)
    {
        struct metering m;
        uint64_t count = 0, zeros = 0;
        double sum = 0;
        metering_open(&m);
        srun_instrument *histogram =
            srun_histogram(m.meter, "h", SRUN_INSTRUMENT(.exponential = 1, .unit = "s"));
        for (int round = 1; round <= 12; round++) {
            srun_record(histogram, 0, NULL);
            for (int i = 1; i <= 50; i++)
                srun_record(histogram, ldexp((double)i, round * 4 - 20), NULL);
            (void)metering_collect(&m, m.deltas);
            const struct telemetry_point *point = metering_point(&m, "h", "");
            uint64_t inside = point->zero_count;
            for (size_t i = 0; i < point->positive_count; i++)
                inside += point->positive[i];
            ck_assert_uint_eq(inside, point->count);
            ck_assert_uint_eq(point->count, 51);
            count += point->count;
            zeros += point->zero_count;
            sum += point->sum;
        }
        (void)metering_collect(&m, m.reader);
        const struct telemetry_point *point = metering_point(&m, "h", "");
        ck_assert_int_eq(metering_metric(&m, "h")->kind, TELEMETRY_EXPONENTIAL_HISTOGRAM);
        ck_assert_uint_eq(point->count, count);
        ck_assert_uint_eq(point->zero_count, zeros);
        ck_assert_double_eq_tol(point->sum, sum, sum * 1e-12);
        ck_assert_double_eq(point->min, 0);
        ck_assert_double_eq(point->max, ldexp(50, 28));
        (void)metering_collect(&m, m.deltas);
        ck_assert_ptr_null(metering_metric(&m, "h"));
        metering_close(&m);
    }
END_TEST

START_TEST(exponential_sums_are_as_if_recorded_together)
    {
        static const double first[] = {1, 1.5, 2, 0, 1e-3}, second[] = {1e9, 3e9, 0.7, 1e-12};
        struct exponential together, one, other;
        exponential_init(&together);
        exponential_init(&one);
        exponential_init(&other);
        exponential_merge(&one, &other); /* of nothing */
        ck_assert_uint_eq(one.count, 0);
        for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
            exponential_record(&one, first[i]);
            exponential_record(&together, first[i]);
        }
        for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
            exponential_record(&other, second[i]);
            exponential_record(&together, second[i]);
        }
        exponential_merge(&one, &other);
        ck_assert_int_eq(one.scale, together.scale);
        ck_assert_int_eq(one.offset, together.offset);
        ck_assert_uint_eq(one.used, together.used);
        ck_assert_mem_eq(one.buckets, together.buckets, sizeof one.buckets);
        ck_assert_uint_eq(one.count, 9);
        ck_assert_uint_eq(one.zero_count, 1);
        ck_assert_double_eq(one.min, 0);
        ck_assert_double_eq(one.max, 3e9);
        ck_assert_double_eq_tol(one.sum, together.sum, 1);
    }
END_TEST

int main(void)
{
    return HARNESS("metrics_exponential", exponential_indices_hold_their_values,
                   exponential_buckets_keep_every_value_and_coarsen, exponential_differences_add_up,
                   exponential_sums_are_as_if_recorded_together);
}

/* SPDX-License-Identifier: MIT
 *
 * What the histogram answers, held against the sorted values themselves.
 */
#include "harness.h"
#include "histogram.h"

#include <stdlib.h>
#include <string.h>

#define VALUES 100000

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed;
}

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

START_TEST(answers_within_one_percent_of_any_value)
    {
        static struct histogram histogram;
        uint64_t seed = 1;
        for (int i = 0; i < VALUES; i++) {
            uint64_t value = next(&seed) >> (next(&seed) >> 58);
            memset(&histogram, 0, sizeof histogram);
            histogram_add(&histogram, value);
            histogram.max = UINT64_MAX; /* which would hide the error */
            uint64_t told = histogram_quantile(&histogram, 0.5);
            ck_assert_msg(told >= value && told - value <= value / 128, "%llu told as %llu",
                          (unsigned long long)value, (unsigned long long)told);
            i += 50; /* clearing it takes longer than all the rest */
        }
    }
END_TEST

START_TEST(has_buckets_for_the_smallest_and_the_largest)
    {
        static struct histogram histogram;
        const uint64_t edges[] = {0,         1, 127, 128, 129, 255, 256, UINT32_MAX, UINT64_MAX / 2,
                                  UINT64_MAX};
        for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
            memset(&histogram, 0, sizeof histogram);
            histogram_add(&histogram, edges[i]);
            ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), edges[i]);
            ck_assert_uint_eq(histogram_quantile(&histogram, 1), edges[i]);
        }
    }
END_TEST

START_TEST(finds_each_quantile_of_many_values)
    {
        static struct histogram histogram;
        static uint64_t values[VALUES];
        const double parts[] = {0.001, 0.5, 0.9, 0.99, 0.999, 0.99999};
        uint64_t seed = 7;
        double sum = 0;
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = 50000 + (next(&seed) >> (40 + (next(&seed) >> 60)));
            sum += (double)values[i];
            histogram_add(&histogram, values[i]);
        }
        qsort(values, VALUES, sizeof values[0], ascending);
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            uint64_t exact = values[(size_t)(parts[i] * VALUES + 0.9999) - 1];
            uint64_t told = histogram_quantile(&histogram, parts[i]);
            ck_assert_msg(told >= exact && told - exact <= exact / 100, "%g: %llu told as %llu",
                          parts[i], (unsigned long long)exact, (unsigned long long)told);
        }
        ck_assert_uint_eq(histogram_quantile(&histogram, 1), values[VALUES - 1]);
        ck_assert_double_eq_tol(histogram_mean(&histogram), sum / VALUES, 1);
    }
END_TEST

START_TEST(merges_into_what_one_would_have_counted)
    {
        static struct histogram one, two, both;
        uint64_t seed = 3;
        for (int i = 0; i < 1000; i++) {
            uint64_t value = next(&seed) >> 30;
            histogram_add(i % 3 == 0 ? &one : &two, value);
            histogram_add(&both, value);
        }
        histogram_merge(&one, &two);
        ck_assert(memcmp(one.buckets, both.buckets, sizeof one.buckets) == 0);
        ck_assert_uint_eq(one.count, both.count);
        ck_assert_uint_eq(one.max, both.max);
    }
END_TEST

START_TEST(answers_zero_when_empty)
    {
        static struct histogram histogram;
        ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 0);
        ck_assert_uint_eq(histogram_quantile(&histogram, 1), 0);
        ck_assert_double_eq(histogram_mean(&histogram), 0);
    }
END_TEST

int main(void)
{
    return HARNESS("load.histogram", answers_within_one_percent_of_any_value,
                   has_buckets_for_the_smallest_and_the_largest, finds_each_quantile_of_many_values,
                   merges_into_what_one_would_have_counted, answers_zero_when_empty);
}

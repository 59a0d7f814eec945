/* SPDX-License-Identifier: MIT */
#include "telemetry/exponential.h"

#include <math.h>
#include <string.h>

void exponential_init(struct exponential *histogram)
{
    *histogram = (struct exponential){.scale = EXPONENTIAL_SCALE_MAX};
}

/* The first `bits` binary digits of the logarithm of a number in [1, 2), by squaring: what exceeds
 * 2 is a digit. The error doubles each time, and stays far below the width of a bucket. */
static int32_t log2_digits(double number, int bits)
{
    int32_t digits = 0;
    for (int i = 0; i < bits; i++) {
        number *= number;
        int digit = number >= 2;
        digits = digits * 2 + digit;
        number = digit ? number / 2 : number;
    }
    return digits;
}

/* An exact power of two is the upper, inclusive end of its bucket. */
int32_t exponential_index(double value, int scale)
{
    int exponent;
    double fraction = frexp(value, &exponent); /* in [0.5, 1) */
    int power = exponent - 1;                  /* value = 2^power * [1, 2) */
    int exact = fraction == 0.5;
    if (scale <= 0)
        return (power - exact) >> -scale;
    int32_t base = power * (1 << scale);
    return exact ? base - 1 : base + log2_digits(2 * fraction, scale);
}

static void halve(struct exponential *histogram)
{
    int32_t offset = histogram->offset >> 1;
    uint64_t merged[EXPONENTIAL_BUCKETS] = {0};
    for (uint32_t i = 0; i < histogram->used; i++)
        merged[((histogram->offset + (int32_t)i) >> 1) - offset] += histogram->buckets[i];
    if (histogram->used > 0)
        histogram->used =
            (uint32_t)(((histogram->offset + (int32_t)histogram->used - 1) >> 1) - offset) + 1;
    memcpy(histogram->buckets, merged, sizeof merged);
    histogram->offset = offset;
    histogram->scale--;
}

/* Halves the resolution until the scale is at most this one. */
static void coarsen(struct exponential *histogram, int scale)
{
    while (histogram->scale > scale)
        halve(histogram);
}

/* So that the bucket is one of ours; false: it does not fit in at this scale. */
static int make_room(struct exponential *histogram, int32_t index)
{
    if (histogram->used == 0) {
        histogram->offset = index;
        histogram->used = 1;
        return 1;
    }
    int64_t low = index < histogram->offset ? index : histogram->offset;
    int64_t high = (int64_t)histogram->offset + histogram->used - 1;
    high = index > high ? index : high;
    if (high - low >= EXPONENTIAL_BUCKETS)
        return 0;
    uint32_t shift = (uint32_t)(histogram->offset - low);
    if (shift > 0) {
        memmove(histogram->buckets + shift, histogram->buckets,
                histogram->used * sizeof histogram->buckets[0]);
        memset(histogram->buckets, 0, shift * sizeof histogram->buckets[0]);
    }
    histogram->offset = (int32_t)low;
    histogram->used = (uint32_t)(high - low) + 1;
    return 1;
}

void exponential_record(struct exponential *histogram, double value)
{
    histogram->min = histogram->count == 0 || value < histogram->min ? value : histogram->min;
    histogram->max = histogram->count == 0 || value > histogram->max ? value : histogram->max;
    histogram->count++;
    histogram->sum += value;
    if (value == 0) {
        histogram->zero_count++;
        return;
    }
    int32_t index = exponential_index(value, histogram->scale);
    while (!make_room(histogram, index)) {
        halve(histogram);
        index = exponential_index(value, histogram->scale);
    }
    histogram->buckets[index - histogram->offset]++;
}

void exponential_merge(struct exponential *sum, struct exponential *other)
{
    if (other->count == 0)
        return;
    coarsen(sum, other->scale);
    coarsen(other, sum->scale);
    while (other->used > 0 && !(make_room(sum, other->offset) &&
                                make_room(sum, other->offset + (int32_t)other->used - 1))) {
        halve(sum);
        halve(other);
    }
    for (uint32_t i = 0; i < other->used; i++)
        sum->buckets[other->offset + (int32_t)i - sum->offset] += other->buckets[i];
    sum->min = sum->count == 0 || other->min < sum->min ? other->min : sum->min;
    sum->max = sum->count == 0 || other->max > sum->max ? other->max : sum->max;
    sum->count += other->count;
    sum->zero_count += other->zero_count;
    sum->sum += other->sum;
}

void exponential_subtract(struct exponential *now, struct exponential *before)
{
    coarsen(before, now->scale);
    for (uint32_t i = 0; i < before->used; i++) {
        int64_t at = (int64_t)before->offset + i - now->offset;
        if (at >= 0 && at < now->used)
            now->buckets[at] -= before->buckets[i];
    }
    now->count -= before->count;
    now->zero_count -= before->zero_count;
    now->sum -= before->sum;
}

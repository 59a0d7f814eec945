/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <math.h>

#define LINEAR (UINT64_C(1) << HISTOGRAM_BITS)

/* Values below 128 have a bucket each; of a larger one the seven bits after its highest choose. */
static size_t bucket_of(uint64_t value)
{
    if (value < LINEAR)
        return (size_t)value;
    unsigned shift = 63 - HISTOGRAM_BITS - (unsigned)__builtin_clzll(value);
    return (size_t)(((uint64_t)shift << HISTOGRAM_BITS) + (value >> shift));
}

static uint64_t highest_in(size_t bucket)
{
    if (bucket < 2 * LINEAR)
        return bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_BITS) - 1;
    uint64_t lead = (bucket & (LINEAR - 1)) + LINEAR;
    return (lead << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += (double)value;
    if (value > histogram->max)
        histogram->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_quantile(const struct histogram *histogram, double part)
{
    double rank = ceil(part * (double)histogram->count);
    uint64_t wanted = rank < 1 ? 1 : (uint64_t)rank, seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            uint64_t value = highest_in(i);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? histogram->sum / (double)histogram->count : 0;
}

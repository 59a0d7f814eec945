/* SPDX-License-Identifier: MIT
 *
 * How often each duration was seen, for percentiles: log-linear, 128 buckets for each power of two,
 * so that what it answers is never below the value that was meant and at most 1/128 above it. Fixed
 * size, no allocation. Threads: one writer; merge them afterwards. PURE.
 */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS 7
#define HISTOGRAM_BUCKETS ((size_t)(64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* Zero is empty. */
struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count, max;
    double sum;
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that this part of all (0 to 1) do not exceed; 0 when there is none. */
uint64_t histogram_quantile(const struct histogram *histogram, double part);
double histogram_mean(const struct histogram *histogram);

#endif

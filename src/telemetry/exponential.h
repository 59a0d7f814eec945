/* SPDX-License-Identifier: MIT
 *
 * A histogram whose buckets fit themselves, as OpenTelemetry defines it: bucket i counts values in
 * (base^i, base^(i+1)], base = 2^(2^-scale). It starts as fine as can be, and halves its resolution
 * when the values no longer fit in. Values are not negative. PURE.
 */
#ifndef TELEMETRY_EXPONENTIAL_H
#define TELEMETRY_EXPONENTIAL_H

#include <stddef.h>
#include <stdint.h>

#define EXPONENTIAL_BUCKETS 160
#define EXPONENTIAL_SCALE_MAX 20

struct exponential {
    int scale;
    int32_t offset; /* of buckets[0] */
    uint32_t used;  /* buckets from offset on; 0: none */
    uint64_t count, zero_count;
    double sum, min, max; /* min and max: once count > 0 */
    uint64_t buckets[EXPONENTIAL_BUCKETS];
};

void exponential_init(struct exponential *histogram);

/* value: finite, not negative. */
void exponential_record(struct exponential *histogram, double value);

/* The bucket of a positive value. */
int32_t exponential_index(double value, int scale);

/* Adds what another one has, which is made as coarse as the sum has to be. */
void exponential_merge(struct exponential *sum, struct exponential *other);

/* Takes away what was there at an earlier time (which is made as coarse). min and max stay. */
void exponential_subtract(struct exponential *now, struct exponential *before);

#endif

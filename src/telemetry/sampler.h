/* SPDX-License-Identifier: MIT
 *
 * Which spans are recorded. A sampler is a value: what it does with a root, and whether a parent's
 * decision comes first. PURE.
 */
#ifndef TELEMETRY_SAMPLER_H
#define TELEMETRY_SAMPLER_H

#include <srun/propagation.h>
#include <stdbool.h>

enum sampler_kind { SAMPLER_ON, SAMPLER_OFF, SAMPLER_RATIO };

struct sampler {
    enum sampler_kind kind;
    bool parent_based;
    uint64_t threshold; /* of SAMPLER_RATIO */
};

/* ratio counts for SAMPLER_RATIO alone: of all traces, the same in each program; what is sampled
 * with a ratio is sampled with each higher one. */
struct sampler sampler_make(enum sampler_kind kind, bool parent_based, double ratio);

/* "always_on", "always_off", "traceidratio", and each after "parentbased_". False: another name. */
bool sampler_named(struct sampler *out, const char *name, double ratio);

/* parent NULL: a root. Bytes 8 to 15 of the id, without the highest bit, as OpenTelemetry for Go
 * reads them: programs of both in one trace agree. */
static inline bool sampler_decide(const struct sampler *sampler,
                                  const struct srun_span_context *parent,
                                  const uint8_t trace_id[16])
{
    if (sampler->parent_based && parent != NULL)
        return (parent->flags & SRUN_TRACE_SAMPLED) != 0;
    if (sampler->kind != SAMPLER_RATIO)
        return sampler->kind == SAMPLER_ON;
    uint64_t word;
    __builtin_memcpy(&word, trace_id + 8, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word >> 1 < sampler->threshold;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * What a series has to tell to a reader. Threads: the one that has the turn.
 */
#ifndef TELEMETRY_POINT_H
#define TELEMETRY_POINT_H

#include "telemetry/arena.h"
#include "telemetry/series.h"

struct telemetry_reader {
    struct telemetry_meters *meters;
    struct telemetry_reader_options options;
    size_t index; /* among the readers, and in srun_series.last */
    struct arena arena;
    uint64_t before_ns, now_ns; /* of the collect before, of this one */
    uint64_t turn;
};

/* Does this reader get differences of it? */
bool point_is_delta(const struct telemetry_reader *reader,
                    const struct srun_instrument *instrument);

/* False: there is nothing to tell. The series of an observed instrument: with the lock. */
bool point_fill(struct telemetry_reader *reader, struct srun_series *series,
                struct telemetry_point *point);

#endif

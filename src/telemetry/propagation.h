/* SPDX-License-Identifier: MIT
 *
 * The private side of srun/propagation.h: which headers are read and sent.
 */
#ifndef TELEMETRY_PROPAGATION_H
#define TELEMETRY_PROPAGATION_H

#include <srun/propagation.h>

enum { PROPAGATE_TRACE = 1, PROPAGATE_BAGGAGE = 2, PROPAGATE_ALL = 3 };

/* For the whole process, as the environment says. Threads: any. */
void propagation_choose(unsigned which);

/* From an environment; NULL: the process's own. */
int propagation_from_environment(struct srun_span_context *out, char *(*getenv_fn)(const char *));

#endif

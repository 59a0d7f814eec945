/* SPDX-License-Identifier: MIT
 *
 * The spans that end within a time, as events of a Chrome trace. Threads: any.
 */
#ifndef TAPPING_H
#define TAPPING_H

#include "base/json.h"

#include <srun/runner.h>

/* As in struct admin_host. */
int tapping_take(srun_runner *runner, int64_t span_ns, int cancel_fd, struct json *events,
                 uint64_t *missed, srun_err *err);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Watches, as the checkup makes and reads them: see srun_health_subscribe. Threads: any.
 */
#ifndef CHECKUP_WATCH_H
#define CHECKUP_WATCH_H

#include "checkup.h"

/* Errors as srun_health_subscribe, but that it does not look whether health is on. */
int watch_new(struct srun_health_watch **out, srun_runner *runner, struct service *owner,
              const char *const *names, bool is_verb, srun_err *err);

/* The next news for the on_health of the service. */
bool watch_next_for_verb(struct service *service, struct srun_health *out);

#endif

/* SPDX-License-Identifier: MIT
 *
 * How the call of an exporter ends that has been waited for long enough. Threads: any.
 */
#ifndef TELEMETRY_INTERRUPT_H
#define TELEMETRY_INTERRUPT_H

#include "base/duration.h"
#include "telemetry/export.h"

#include <pthread.h>

#define INTERRUPT_EVERY (20 * NS_PER_MS)

/* For an exporter that was interrupted, in ns: so many ms, or for 0 what is usual. */
int64_t interrupt_limit(int64_t last_words_ms);

/* The call in flight, if there is one. */
void interrupt_call(struct telemetry_exporter *exporter);

/* Interrupts again and again, since one that comes too early does nothing, until *ended, for so
 * long. The lock, which guards ended, is left for each; who sets it tells changed. Returns *ended.
 */
bool interrupt_until_locked(struct telemetry_exporter *exporter, pthread_mutex_t *lock,
                            pthread_cond_t *changed, const bool *ended, int64_t limit_ns);

#endif

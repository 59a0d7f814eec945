/* SPDX-License-Identifier: MIT */
#include "telemetry/interrupt.h"

#include "base/clock.h"
#include "base/thread.h"

#define USUAL_MS 200

int64_t interrupt_limit(int64_t last_words_ms)
{
    return (last_words_ms > 0 ? last_words_ms : USUAL_MS) * NS_PER_MS;
}

void interrupt_call(struct telemetry_exporter *exporter)
{
    if (exporter->interrupt != NULL)
        exporter->interrupt(exporter);
}

bool interrupt_until_locked(struct telemetry_exporter *exporter, pthread_mutex_t *lock,
                            pthread_cond_t *changed, const bool *ended, int64_t limit_ns)
{
    int64_t limit = clock_real_now() + limit_ns;
    while (!*ended && clock_real_now() < limit) {
        pthread_mutex_unlock(lock);
        interrupt_call(exporter);
        pthread_mutex_lock(lock);
        if (!*ended)
            (void)thread_cond_wait_until(changed, lock, clock_real_now() + INTERRUPT_EVERY);
    }
    return *ended;
}

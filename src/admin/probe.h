/* SPDX-License-Identifier: MIT
 *
 * How a verdict is told: status code, headers, text as Kubernetes does it, JSON. Threads: any.
 */
#ifndef ADMIN_PROBE_H
#define ADMIN_PROBE_H

#include "admin/exchange.h"
#include "admin/verdict.h"

/* only: the name of one service, or "" for the program. 0 or a negative code. */
int probe_answer(srun_admin_exchange *exchange, const struct survey *survey,
                 enum verdict_question question, const char *only);

#endif

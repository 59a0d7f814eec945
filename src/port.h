/* SPDX-License-Identifier: MIT
 *
 * The admin port, as the runner has it: a service before all others, and what it may see of the
 * runner beyond the public API. Threads: before run, but for what the port calls back.
 */
#ifndef PORT_H
#define PORT_H

#include "runner.h"

/* Adds the service, unless it is off or this is a test. 0, -ENOMEM, or as srun_runner_add. */
int port_prepare(srun_runner *runner, srun_err *err);

/* After the services have been destroyed. */
void port_free(srun_runner *runner);

#endif

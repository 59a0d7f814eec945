/* SPDX-License-Identifier: MIT
 *
 * libsrun: everything main() needs to be a production service. Start with docs/lifecycle.md, or
 * with examples/hello.c. testing.h is not included here: tests include it themselves.
 */
#ifndef SRUN_SRUN_H
#define SRUN_SRUN_H

#include <srun/admin.h>
#include <srun/config.h>
#include <srun/context.h>
#include <srun/error.h>
#include <srun/flags.h>
#include <srun/health.h>
#include <srun/log.h>
#include <srun/metrics.h>
#include <srun/propagation.h>
#include <srun/runner.h>
#include <srun/service.h>
#include <srun/trace.h>
#include <srun/upgrade.h>
#include <srun/version.h>

#endif

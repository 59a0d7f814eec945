/* SPDX-License-Identifier: MIT
 *
 * The plugin's transport, which is opened by the first body that it is to send: no program waits at
 * its start until libcurl is mapped. That the plugin is there has been looked at by then; what is
 * wrong with it beyond that is the answer of each attempt, and the next body tries anew.
 * Threads: as transport.h.
 */
#ifndef TELEMETRY_LATE_H
#define TELEMETRY_LATE_H

#include "telemetry/transport.h"

#include <srun/error.h>

/* plugin: as plugin_load takes it. Options are copied, but for user_agent and interrupted. 0;
 * -ELIBACC: the plugin is not there; -ENOMEM. */
int late_open(const struct transport_options *options, const char *plugin, struct transport **out,
              srun_err *err);

#endif

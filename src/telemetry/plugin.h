/* SPDX-License-Identifier: MIT
 *
 * Loads libsrun-otlp.so.0 when an exporter needs it: a program without one maps neither libcurl nor
 * a TLS library. Where it is looked for: base/plugin.h. Never unloaded. Threads: any.
 */
#ifndef TELEMETRY_PLUGIN_H
#define TELEMETRY_PLUGIN_H

#include "telemetry/transport.h"

#include <srun/error.h>

/* Whether there is one that can be read; cheap, nothing is mapped. Arguments and errors as
 * plugin_load, but for what only loading can show. */
int plugin_check(const char *path, srun_err *err);

/* path: an absolute one, instead of the usual places; NULL for those. 0; -ELIBACC: it is not there
 * or does not load, -ELIBBAD: it is of another version. */
int plugin_load(const char *path, const struct transport_plugin **out, srun_err *err);

#endif

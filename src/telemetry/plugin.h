/* SPDX-License-Identifier: MIT
 *
 * Finds libsrun-otlp.so.0 and loads it, when an exporter needs it: a program without one maps
 * neither libcurl nor a TLS library. Looked for in the folder srun/ beside libsrun.so.0 itself,
 * then in the one it was installed to: never in the working directory, never in what a variable or
 * the search path names. Never unloaded. Threads: any.
 */
#ifndef TELEMETRY_PLUGIN_H
#define TELEMETRY_PLUGIN_H

#include "telemetry/transport.h"

#include <srun/error.h>

/* Whether there is one that can be read; cheap, nothing is mapped. Arguments and errors as
 * plugin_load, but for what only loading can show. */
int plugin_find(const char *path, srun_err *err);

/* path: an absolute one, instead of the usual places; NULL for those. 0; -ELIBACC: it is not there
 * or does not load, -ELIBBAD: it is of another version. */
int plugin_load(const char *path, const struct transport_plugin **out, srun_err *err);

#endif

/* SPDX-License-Identifier: MIT
 *
 * A plugin that comes from another version of the library.
 */
#include "telemetry/transport.h"

extern const struct transport_plugin srun_otlp_plugin;

const struct transport_plugin srun_otlp_plugin = {.size = sizeof srun_otlp_plugin,
                                                  .version = "0.0.0"};

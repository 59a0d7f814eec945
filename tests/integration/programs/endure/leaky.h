/* SPDX-License-Identifier: MIT
 *
 * What a careless library does to a process: descriptors that survive exec, changed signals,
 * limits, folder, umask and environment, a forgotten thread, and a forked helper that holds a copy
 * of every descriptor.
 */
#ifndef ENDURE_LEAKY_H
#define ENDURE_LEAKY_H

#include <srun/srun.h>

extern const struct srun_service_ops leaky_ops;

/* What can be seen from inside of how this process was started, into the file `name` of the working
 * directory. */
void leaky_tell_start(const char *name, int argc, char **argv);

/* The mask of this thread without SIGHUP, which a new generation starts with. */
unsigned long long leaky_mask(void);

#endif

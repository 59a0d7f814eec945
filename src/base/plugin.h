/* SPDX-License-Identifier: MIT
 *
 * Finds a library of ours that is loaded only when it is needed. Looked for in the folder srun/
 * beside libsrun.so.0 itself, then in the one it was installed to: never in the working directory,
 * never in what a variable or the search path names. Never unloaded. Threads: any.
 */
#ifndef BASE_PLUGIN_H
#define BASE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether there is a file to load; cheap, nothing is mapped. Arguments as those of plugin_find;
 * false: why not. */
bool plugin_is_there(const char *library, const char *path, char *why, size_t why_size);

/* The symbol of a library, such as "libsrun-otlp.so.0". path: an absolute one, instead of the usual
 * places; NULL for those. NULL: it is not there or does not load, and why. */
const void *plugin_find(const char *library, const char *path, const char *symbol, char *why,
                        size_t why_size);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Key-values that outlive the call: copied with all their texts into memory of the caller. The
 * scope of a logger, a string under the key logger_scope, is none of them: it is kept by itself.
 * PURE.
 */
#ifndef LOG_OWN_H
#define LOG_OWN_H

#include <srun/log.h>

struct own_size {
    size_t kvs, bytes; /* bytes: of their texts */
};

/* What a copy needs. kvs may be NULL, here and below. */
struct own_size own_size(const struct srun_kv *kvs);

/* Copies to *at and *text, and moves both behind it; SRUN_KV_END is the caller's to write. */
void own_copy(struct srun_kv **at, char **text, const struct srun_kv *kvs);

/* The last scope among them; NULL: there is none. */
const char *own_scope(const struct srun_kv *kvs);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Key-values that outlive the call: copied with all their texts into memory of the caller. PURE.
 */
#ifndef LOG_OWN_H
#define LOG_OWN_H

#include <srun/log.h>

/* The key under which a service's logger says whose it is. */
#define OWN_SCOPE "logger_scope"

struct own_size {
    size_t kvs, bytes; /* bytes: of their texts */
};

/* What a copy needs. kvs may be NULL. */
struct own_size own_size(const struct srun_kv *kvs);

/* Copies to *at and *text, and moves both behind it; SRUN_KV_END is the caller's to write. */
void own_copy(struct srun_kv **at, char **text, const struct srun_kv *kvs);

/* The last value of OWN_SCOPE, which has to be a string; NULL: there is none. */
const char *own_scope(const struct srun_kv *kvs);

#endif

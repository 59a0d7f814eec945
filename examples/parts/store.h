/* SPDX-License-Identifier: MIT
 *
 * The service store: keys and values in memory, bounded in every direction. It is degraded before
 * it refuses anything. Threads: any, between init and destroy.
 */
#ifndef STORE_H
#define STORE_H

#include <pthread.h>
#include <srun/srun.h>

#define STORE_ID_MAX 64           /* bytes in an id */
#define STORE_VALUE_MAX (1 << 16) /* bytes in a value */
#define STORE_ITEMS_MAX 100000    /* what --store.items may ask for */

struct item;

struct store {
    int64_t limit;        /* a flag */
    pthread_mutex_t lock; /* guards what follows */
    struct item **buckets;
    int64_t count;
};

/* Adds the service and its flag. */
int store_add(srun_runner *runner, struct store *store, srun_err *err);

/* 1 to 64 letters, digits, '.', '_' or '-'. */
int store_id_is_valid(const char *id);

/* Keeps a copy. 1: a new item; 0: replaced; -ENOSPC: full; -EFBIG: too large; -EINVAL: no
 * valid id; -ENOMEM. */
int store_put(struct store *store, const char *id, const void *value, size_t size);

/* Hands out a copy that the caller frees. -ENOENT, -ENOMEM. */
int store_get(struct store *store, const char *id, void **value, size_t *size);

/* 0 or -ENOENT. */
int store_delete(struct store *store, const char *id);

#endif

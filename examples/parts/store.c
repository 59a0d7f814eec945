/* SPDX-License-Identifier: MIT
 *
 * A hash table with one lock, held for the time of a look-up and a copy of at most 64 KiB. As a
 * service it has no run: it is there from its init on, and the memory goes in destroy.
 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096 /* a power of two */

struct item {
    struct item *next;
    char id[STORE_ID_MAX + 1];
    size_t size;
    char value[];
};

int store_id_is_valid(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(id);
    return length > 0 && length <= STORE_ID_MAX && strspn(id, allowed) == length;
}

static size_t hash(const char *id)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *id != '\0'; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)(h ^ h >> 32) & (BUCKETS - 1);
}

/* The link that points to the item, or the one at the end of its chain. */
static struct item **find_locked(struct store *store, const char *id)
{
    struct item **link = &store->buckets[hash(id)];
    while (*link != NULL && strcmp((*link)->id, id) != 0)
        link = &(*link)->next;
    return link;
}

int store_put(struct store *store, const char *id, const void *value, size_t size)
{
    if (!store_id_is_valid(id))
        return -EINVAL;
    if (size > STORE_VALUE_MAX)
        return -EFBIG;
    struct item *item = malloc(sizeof *item + size);
    if (item == NULL)
        return -ENOMEM;
    *item = (struct item){.size = size};
    memcpy(item->id, id, strlen(id) + 1);
    if (size > 0)
        memcpy(item->value, value, size);

    pthread_mutex_lock(&store->lock);
    struct item **link = find_locked(store, id);
    struct item *discarded = *link;
    int rc = discarded == NULL;
    if (discarded == NULL && store->count == store->limit) {
        discarded = item;
        rc = -ENOSPC;
    } else {
        item->next = discarded != NULL ? discarded->next : NULL;
        *link = item;
        store->count += rc;
    }
    pthread_mutex_unlock(&store->lock);

    free(discarded);
    return rc;
}

int store_get(struct store *store, const char *id, void **value, size_t *size)
{
    pthread_mutex_lock(&store->lock);
    const struct item *item = *find_locked(store, id);
    void *copy = item != NULL ? malloc(item->size + 1) : NULL;
    int rc = item == NULL ? -ENOENT : copy == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        memcpy(copy, item->value, item->size);
        *value = copy;
        *size = item->size;
    }
    pthread_mutex_unlock(&store->lock);
    return rc;
}

int store_delete(struct store *store, const char *id)
{
    pthread_mutex_lock(&store->lock);
    struct item **link = find_locked(store, id);
    struct item *item = *link;
    if (item != NULL) {
        *link = item->next;
        store->count--;
    }
    pthread_mutex_unlock(&store->lock);
    free(item);
    return item != NULL ? 0 : -ENOENT;
}

static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct store *store = self;
    if (store->limit < 1 || store->limit > STORE_ITEMS_MAX)
        return srun_fail(err, -EINVAL, "--store.items=%lld: accepted are 1 to %d",
                         (long long)store->limit, STORE_ITEMS_MAX);
    store->buckets = calloc(BUCKETS, sizeof(struct item *));
    if (store->buckets == NULL)
        return srun_fail(err, -ENOMEM, "table: out of memory");
    pthread_mutex_init(&store->lock, NULL);
    SRUN_INFO(srun_context_log(ctx), "store open", SRUN_INT("limit", store->limit));
    return 0;
}

static int stop(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    struct store *store = self;
    SRUN_INFO(srun_context_log(ctx), "store closed", SRUN_INT("items", store->count));
    return 0;
}

/* A store that is nearly full says so before it refuses anything. */
static int health(void *self, srun_context *ctx, srun_err *err)
{
    struct store *store = self;
    (void)ctx;
    pthread_mutex_lock(&store->lock);
    int64_t count = store->count;
    pthread_mutex_unlock(&store->lock);
    if (count * 10 >= store->limit * 9)
        return srun_fail(err, SRUN_HEALTH_DEGRADED, "%lld of %lld items", (long long)count,
                         (long long)store->limit);
    return 0;
}

static void destroy(void *self)
{
    struct store *store = self;
    if (store->buckets == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (store->buckets[i] != NULL) {
            struct item *item = store->buckets[i];
            store->buckets[i] = item->next;
            free(item);
        }
    }
    free(store->buckets);
    store->buckets = NULL;
    pthread_mutex_destroy(&store->lock);
}

int store_add(srun_runner *runner, struct store *store, srun_err *err)
{
    static const struct srun_service_ops ops = {
        .size = sizeof ops,
        .init = init,
        .stop = stop,
        .destroy = destroy,
        .health = health,
    };
    int rc = srun_flag_int(runner, &store->limit, "store.items", 1024,
                           "how many items the store holds", err);
    return rc == 0 ? srun_runner_add(runner, "store", &ops, store, NULL, err) : rc;
}

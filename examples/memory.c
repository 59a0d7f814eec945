/* SPDX-License-Identifier: MIT
 *
 * Where has the memory gone? A program that uses jemalloc, and lets it sample, can be asked:
 *
 *   go tool pprof -top http://127.0.0.1:8778/debug/pprof/heap
 *
 * Two kinds of entries go into a cache of a fixed size, the oldest makes room for the next. Of the
 * bytes in use three quarters are in parcels, one is in letters, and so the profile says.
 */
#include <srun/srun.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 1024
#define UNIT ((size_t)16 << 10)

/* jemalloc reads it before main: sample, one byte in 512 KiB, and count what was freed too. */
extern const char *malloc_conf
    __attribute__((visibility("default"))); /* also with -fvisibility=hidden */
const char *malloc_conf = "prof:true,lg_prof_sample:19,prof_accum:true";

struct cache {
    int64_t entries; /* --cache.entries */
    char *all[ENTRIES_MAX];
    size_t next;
};

__attribute__((noinline)) static char *make_letter(void)
{
    return memset(malloc(UNIT), 'l', UNIT);
}

__attribute__((noinline)) static char *make_parcel(void)
{
    return memset(malloc(3 * UNIT), 'p', 3 * UNIT);
}

static void put(struct cache *cache, char *entry)
{
    size_t place = cache->next++ % (size_t)cache->entries;
    free(cache->all[place]);
    cache->all[place] = entry;
}

static int cache_init(void *self, srun_context *ctx, srun_err *err)
{
    const struct cache *cache = self;
    (void)ctx;
    if (cache->entries < 2 || cache->entries > ENTRIES_MAX)
        return srun_fail(err, -EINVAL, "--cache.entries=%lld: accepted are 2 to %d",
                         (long long)cache->entries, ENTRIES_MAX);
    return 0;
}

static int cache_run(void *self, srun_context *ctx, srun_err *err)
{
    struct cache *cache = self;
    (void)err;
    for (int64_t i = 0; i < cache->entries; i++)
        put(cache, i % 2 == 0 ? make_letter() : make_parcel());
    srun_ready(ctx);
    SRUN_INFO(srun_context_log(ctx), "the cache is full", SRUN_INT("entries", cache->entries));
    while (srun_sleep_ms(ctx, 100) == 0) {
        put(cache, make_letter());
        put(cache, make_parcel());
    }
    return 0;
}

static void cache_destroy(void *self)
{
    struct cache *cache = self;
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        free(cache->all[i]);
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct cache *cache = user;
    static const struct srun_service_ops ops = {
        .size = sizeof ops, .init = cache_init, .run = cache_run, .destroy = cache_destroy};
    int rc = srun_flag_int(runner, &cache->entries, "cache.entries", 1000,
                           "entries of the cache, 2 to 1024", err);
    return rc < 0 ? rc : srun_runner_add(runner, "cache", &ops, cache, NULL, err);
}

int main(int argc, char **argv)
{
    struct cache cache = {0};
    return srun_main(argc, argv, SRUN_CONFIG(.name = "memory", .version = "1.0.0"), setup, &cache);
}

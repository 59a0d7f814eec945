/* SPDX-License-Identifier: MIT */
#include "sites.h"

#include "harness.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SITES_MAX = 4096, OFFERS = 5 };

struct site {
    _Atomic(uintptr_t) at; /* 0: free */
    const char *_Atomic name;
    _Atomic unsigned reached, failed; /* how often, in the whole suite */
    _Atomic unsigned point;           /* 1 + the one at which this scenario reached it first */
    _Atomic unsigned offered;
};

static struct table {
    struct site sites[SITES_MAX];
    _Atomic unsigned points;
    _Atomic bool some_only;
} * table;

extern const char __executable_start;

static struct site *find(uintptr_t at)
{
    for (size_t i = at * 0x9E3779B97F4A7C15ULL >> 52;; i = (i + 1) % SITES_MAX) {
        struct site *site = &table->sites[i];
        uintptr_t found = 0;
        if (atomic_compare_exchange_strong(&site->at, &found, at) || found == at)
            return site;
    }
}

void sites_reached(uintptr_t at, const char *name, unsigned point)
{
    int before = errno;
    struct site *site = find(at);
    unsigned none = 0;
    atomic_store(&site->name, name);
    atomic_fetch_add(&site->reached, 1);
    (void)atomic_compare_exchange_strong(&site->point, &none, 1 + point);
    errno = before;
}

void sites_failed(uintptr_t at, const char *name)
{
    struct site *site = find(at);
    atomic_store(&site->name, name);
    atomic_fetch_add(&site->failed, 1);
}

void sites_tried(void)
{
    atomic_fetch_add(&table->points, 1);
}

void sites_some_only(void)
{
    atomic_store(&table->some_only, true);
}

void sites_begin(void)
{
    for (size_t i = 0; i < SITES_MAX; i++) {
        atomic_store(&table->sites[i].point, 0);
        atomic_store(&table->sites[i].offered, 0);
    }
}

bool sites_spared(uintptr_t *at, unsigned *point)
{
    for (size_t i = 0; i < SITES_MAX; i++) {
        struct site *site = &table->sites[i];
        if (site->point == 0 || site->failed > 0 || site->offered == OFFERS)
            continue;
        atomic_fetch_add(&site->offered, 1);
        *at = site->at;
        *point = site->point - 1;
        return true;
    }
    return false;
}

/* --- at the end ------------------------------------------------------------------------------ */

static void write_down(const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        printf("fault: %s: %m\n", path);
        return;
    }
    (void)fprintf(file, "points %u %s\n", table->points, table->some_only ? "some" : "all");
    for (size_t i = 0; i < SITES_MAX; i++) {
        const struct site *site = &table->sites[i];
        if (site->at != 0)
            (void)fprintf(file, "%#jx %s %u %u\n",
                          (uintmax_t)(site->at - (uintptr_t)&__executable_start), site->name,
                          site->reached, site->failed);
    }
    (void)fclose(file); /* what is missing is found missing */
}

static void tell(bool all)
{
    unsigned failed = 0, spared = 0;
    for (size_t i = 0; i < SITES_MAX; i++) {
        failed += table->sites[i].failed > 0;
        spared += table->sites[i].failed == 0 && table->sites[i].reached > 0;
    }
    if (table->points > 0)
        printf("summary: %s: %u points in %u places; %u more were passed, and failed in none\n",
               program_invocation_short_name, table->points, failed, spared);
    const char *path = getenv("FAULT_RECORD");
    if (path != NULL && all)
        write_down(path);
}

__attribute__((constructor)) static void prepare(void)
{
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        abort();
    harness_at_end(tell);
}

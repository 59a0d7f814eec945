/* SPDX-License-Identifier: MIT
 *
 * Runs that are in order are merged, two by two, until there is one.
 */
#include "base/sort.h"

#include "base/pages.h"

#include <string.h>

struct sorting {
    size_t count, size;
    int (*compare)(const void *, const void *);
};

static size_t run_end(const struct sorting *what, const char *from, size_t start)
{
    size_t at = start + 1;
    while (at < what->count &&
           what->compare(from + (at - 1) * what->size, from + at * what->size) <= 0)
        at++;
    return at < what->count ? at : what->count;
}

static void merge(const struct sorting *what, const char *from, size_t start, size_t middle,
                  size_t end, char *to)
{
    size_t left = start, right = middle, size = what->size;
    for (size_t at = start; at < end; at++) {
        bool takes_left =
            right == end ||
            (left < middle && what->compare(from + left * size, from + right * size) <= 0);
        size_t next = takes_left ? left++ : right++;
        memcpy(to + at * size, from + next * size, size);
    }
}

/* How many runs there are now. */
static size_t merge_all(const struct sorting *what, const char *from, char *to)
{
    size_t runs = 0;
    for (size_t start = 0, end; start < what->count; start = end) {
        size_t middle = run_end(what, from, start);
        end = middle < what->count ? run_end(what, from, middle) : middle;
        merge(what, from, start, middle, end, to);
        runs++;
    }
    return runs;
}

bool sort_runs(void *all, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    const struct sorting what = {count, size, compare};
    if (count < 2 || run_end(&what, all, 0) == count)
        return true;
    char *room = pages_resize(NULL, 0, count * size);
    if (room == NULL)
        return false;
    char *from = all, *to = room;
    size_t runs;
    do {
        runs = merge_all(&what, from, to);
        char *merged = to;
        to = from;
        from = merged;
    } while (runs > 1);
    if (from != all)
        memcpy(all, from, count * size);
    pages_free(room, count * size);
    return true;
}

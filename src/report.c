/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "base/duration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED 3

/* Keeps the slowest member of each unit and phase; returns how many there are. */
static size_t keep_slowest(struct report_part *parts, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].took_ns < 0)
            continue;
        struct report_part *last = kept > 0 ? &parts[kept - 1] : NULL;
        if (last == NULL || last->unit != parts[i].unit || strcmp(last->phase, parts[i].phase) != 0)
            parts[kept++] = parts[i];
        else if (parts[i].took_ns > last->took_ns)
            *last = parts[i];
    }
    return kept;
}

static int longest_first(const void *a, const void *b)
{
    const struct report_part *left = a, *right = b;
    if (left->took_ns != right->took_ns)
        return left->took_ns < right->took_ns ? 1 : -1;
    return left->unit < right->unit ? -1 : left->unit > right->unit;
}

/* 1.234567ms is noise: keeps microseconds below a second, milliseconds above. */
static int64_t rounded(int64_t ns)
{
    int64_t to = ns < NS_PER_S ? NS_PER_US : NS_PER_MS;
    return (ns + to / 2) / to * to;
}

static size_t add_part(char *out, size_t size, size_t used, const char *what, int64_t took,
                       int64_t total)
{
    char text[DURATION_TEXT_MAX];
    (void)duration_format(text, rounded(took));
    int percent = total > 0 ? (int)((took * 100 + total / 2) / total) : 100;
    int length = snprintf(out + used, size - used, "%s%s %s %d%%", used > 0 ? ", " : "", what, text,
                          percent);
    size_t sum = used + (length > 0 ? (size_t)length : 0);
    return sum < size ? sum : size - 1;
}

void report_critical_path(struct report_part *parts, size_t count, char *out, size_t size)
{
    size_t kept = keep_slowest(parts, count), used = 0;
    int64_t total = 0, rest = 0;
    for (size_t i = 0; i < kept; i++)
        total += parts[i].took_ns;
    qsort(parts, kept, sizeof parts[0], longest_first);
    (void)snprintf(out, size, "nothing");
    for (size_t i = 0; i < kept; i++) {
        char what[280];
        if (i >= NAMED) {
            rest += parts[i].took_ns;
            continue;
        }
        (void)snprintf(what, sizeof what, "%s %s", parts[i].service, parts[i].phase);
        used = add_part(out, size, used, what, parts[i].took_ns, total);
    }
    if (kept > NAMED) {
        char what[32];
        (void)snprintf(what, sizeof what, "%zu more", kept - NAMED);
        (void)add_part(out, size, used, what, rest, total);
    }
}

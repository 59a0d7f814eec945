/* SPDX-License-Identifier: MIT */
#include "profile/text.h"

#include "profile/locks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP_MAX 60 /* functions shown */

/* --- names ----------------------------------------------------------------------------------- */

#define SHOWN_MAX 256

static const char *module_name(const struct module *module)
{
    const char *slash = module != NULL ? strrchr(module->path, '/') : NULL;
    return module == NULL ? "?" : slash != NULL ? slash + 1 : module->path;
}

/* One of the functions at an address, the innermost at 0; without a name: [its module]. */
static const char *function_at(char out[SHOWN_MAX], const struct named *named, size_t index)
{
    if (named != NULL && index < named->count)
        return named->names[index].function;
    (void)snprintf(out, SHOWN_MAX, "[%s]", module_name(named != NULL ? named->module : NULL));
    return out;
}

static size_t count_at(const struct named *named)
{
    return named != NULL && named->count > 0 ? named->count : 1;
}

/* --- top ------------------------------------------------------------------------------------- */

struct row {
    char *name; /* owned */
    uint64_t flat, cum;
    size_t seen; /* the last stack it was found in, plus one: counted once though it recurs */
};

struct rows {
    struct row *all;
    size_t count, capacity;
    uint32_t *index;
    size_t slots;
    bool failed;
};

static const char *unit_of(const struct pprof_kind *kind)
{
    return kind->values[pprof_values(kind) - 1].unit;
}

static uint64_t value_of(const struct stack *stack, const struct pprof_kind *kind)
{
    return stack->values[pprof_values(kind) - 1];
}

static size_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return (size_t)(hash ^ hash >> 32);
}

static bool grow(struct rows *rows)
{
    if ((rows->count + 1) * 2 <= rows->slots)
        return true;
    size_t slots = rows->slots > 0 ? rows->slots * 2 : 256;
    uint32_t *index = calloc(slots, sizeof index[0]);
    struct row *all = realloc(rows->all, slots / 2 * sizeof all[0]);
    if (all != NULL)
        rows->all = all;
    if (all == NULL || index == NULL) {
        free(index);
        return false;
    }
    for (size_t i = 0; i < rows->count; i++) {
        size_t at = hash_of(all[i].name) & (slots - 1);
        while (index[at] != 0)
            at = (at + 1) & (slots - 1);
        index[at] = (uint32_t)i + 1;
    }
    free(rows->index);
    rows->index = index;
    rows->slots = slots;
    return true;
}

/* NULL: out of memory. */
static struct row *row_of(struct rows *rows, const char *name)
{
    if (rows->failed || !grow(rows))
        return NULL;
    size_t at = hash_of(name) & (rows->slots - 1);
    for (; rows->index[at] != 0; at = (at + 1) & (rows->slots - 1))
        if (strcmp(rows->all[rows->index[at] - 1].name, name) == 0)
            return &rows->all[rows->index[at] - 1];
    struct row *row = &rows->all[rows->count];
    *row = (struct row){.name = strdup(name)};
    if (row->name == NULL)
        return NULL;
    rows->index[at] = (uint32_t)++rows->count;
    return row;
}

static void count_stack(struct rows *rows, const struct stacks *stacks, size_t number,
                        uint64_t value, struct names *names)
{
    const struct stack *stack = &stacks->all[number];
    char shown[SHOWN_MAX];
    for (size_t i = 0; i < stack->depth; i++) {
        const struct named *named = names_find(names, stacks_frames(stacks, stack)[i]);
        for (size_t j = 0; j < count_at(named); j++) {
            struct row *row = row_of(rows, function_at(shown, named, j));
            if (row == NULL) {
                rows->failed = true;
                return;
            }
            row->flat += i == 0 && j == 0 ? value : 0;
            row->cum += row->seen != number + 1 ? value : 0;
            row->seen = number + 1;
        }
    }
}

static int by_flat(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    if (left->flat != right->flat)
        return left->flat > right->flat ? -1 : 1;
    if (left->cum != right->cum)
        return left->cum > right->cum ? -1 : 1;
    return strcmp(left->name, right->name);
}

static void put_measure(struct buf *out, double value, int width, const char *unit)
{
    buf_fixed(out, value, 2, width);
    buf_text(out, unit);
}

static void put_value(struct buf *out, uint64_t value, const char *unit)
{
    if (strcmp(unit, "nanoseconds") == 0)
        put_measure(out, (double)value / 1e9, 9, "s");
    else if (strcmp(unit, "bytes") == 0)
        put_measure(out, (double)value / (1 << 20), 7, " MB");
    else
        buf_printf(out, "%10" PRIu64, value);
}

static void put_percent(struct buf *out, uint64_t part, uint64_t all)
{
    buf_text(out, " ");
    buf_fixed(out, all > 0 ? 100.0 * (double)part / (double)all : 0, 1, 5);
    buf_text(out, "%");
}

static void put_rows(struct buf *out, const struct rows *rows, uint64_t total, const char *unit)
{
    uint64_t sum = 0;
    buf_text(out, "      FLAT  FLAT%   SUM%        CUM   CUM%  FUNCTION\n");
    for (size_t i = 0; i < rows->count && i < TOP_MAX; i++) {
        const struct row *row = &rows->all[i];
        sum += row->flat;
        put_value(out, row->flat, unit);
        put_percent(out, row->flat, total);
        put_percent(out, sum, total);
        buf_text(out, " ");
        put_value(out, row->cum, unit);
        put_percent(out, row->cum, total);
        buf_printf(out, "  %s\n", row->name);
    }
    if (rows->count > TOP_MAX)
        buf_printf(out, "and %zu more\n", rows->count - TOP_MAX);
}

void text_top(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
              struct names *names)
{
    struct rows rows = {0};
    uint64_t total = 0;
    for (size_t i = 0; i < profile->stacks.count; i++) {
        uint64_t value = value_of(&profile->stacks.all[i], kind);
        total += value;
        count_stack(&rows, &profile->stacks, i, value, names);
    }
    if (rows.count > 0)
        qsort(rows.all, rows.count, sizeof rows.all[0], by_flat);
    if (profile->remarks.data != NULL)
        buf_printf(out, "%s\n", profile->remarks.data);
    put_rows(out, &rows, total, unit_of(kind));
    out->failed |= rows.failed;
    for (size_t i = 0; i < rows.count; i++)
        free(rows.all[i].name);
    free(rows.all);
    free(rows.index);
}

/* --- folded ---------------------------------------------------------------------------------- */

/* A name may hold what separates names. */
static void put_folded(struct buf *out, const char *name)
{
    size_t at = out->size;
    buf_text(out, name);
    for (; out->data != NULL && at < out->size; at++)
        if (out->data[at] == ';' || out->data[at] == '\n')
            out->data[at] = ',';
}

void text_folded(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
                 struct names *names)
{
    char shown[SHOWN_MAX];
    const struct stacks *stacks = &profile->stacks;
    for (size_t i = 0; i < stacks->count; i++) {
        const struct stack *stack = &stacks->all[i];
        put_folded(out, stacks->names[stack->name]);
        for (size_t j = stack->depth; j-- > 0;) {
            const struct named *named = names_find(names, stacks_frames(stacks, stack)[j]);
            for (size_t k = count_at(named); k-- > 0;) {
                buf_text(out, ";");
                put_folded(out, function_at(shown, named, k));
            }
        }
        buf_printf(out, " %" PRIu64 "\n", value_of(stack, kind));
    }
}

/* --- threads --------------------------------------------------------------------------------- */

static void put_place(struct buf *out, const struct named *named, size_t index)
{
    if (named == NULL)
        return;
    if (index < named->count && named->names[index].file != NULL)
        buf_printf(out, "\t%s:%d", named->names[index].file, named->names[index].line);
    else
        buf_printf(out, "\t%s+0x%" PRIxPTR, module_name(named->module),
                   named->module != NULL ? named->address - named->module->start : named->address);
}

struct member {
    const struct thread_stack *stack;
};

static int by_stack(const void *a, const void *b)
{
    const struct thread_stack *left = ((const struct member *)a)->stack;
    const struct thread_stack *right = ((const struct member *)b)->stack;
    if ((left->silent != NULL) != (right->silent != NULL))
        return left->silent != NULL ? 1 : -1;
    if (left->silent != NULL && strcmp(left->silent, right->silent) != 0)
        return strcmp(left->silent, right->silent);
    if (left->depth != right->depth)
        return left->depth < right->depth ? -1 : 1;
    int order = memcmp(left->frames, right->frames, left->depth * sizeof left->frames[0]);
    return order != 0 ? order : left->tid < right->tid ? -1 : left->tid > right->tid;
}

static bool same_stack(const struct thread_stack *left, const struct thread_stack *right)
{
    if (left->silent != NULL || right->silent != NULL)
        return left->silent != NULL && right->silent != NULL &&
               strcmp(left->silent, right->silent) == 0;
    return left->depth == right->depth &&
           memcmp(left->frames, right->frames, left->depth * sizeof left->frames[0]) == 0;
}

enum { SHOWN = 20 }; /* members of a group that are named */

struct group {
    const struct member *first;
    size_t count;
};

static int by_count(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return left->first < right->first ? -1 : left->first > right->first;
}

static size_t make_groups(const struct threads *threads, struct member *order, struct group *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < threads->count; i++)
        order[i].stack = &threads->all[i];
    qsort(order, threads->count, sizeof order[0], by_stack);
    for (size_t i = 0; i < threads->count; i++) {
        if (i > 0 && same_stack(order[i - 1].stack, order[i].stack))
            groups[count - 1].count++;
        else
            groups[count++] = (struct group){&order[i], 1};
    }
    qsort(groups, count, sizeof groups[0], by_count);
    return count;
}

static void put_wait(struct buf *out, const struct threads *threads, const struct locks *locks,
                     size_t waiter)
{
    const struct lock_wait *wait = &locks->all[waiter];
    const struct thread_stack *holder = &threads->all[wait->holder];
    if (wait->mutex == 0)
        buf_text(out, "waits for a mutex");
    else if (wait->holder == waiter)
        buf_printf(out, "waits for the mutex 0x%" PRIxPTR " held by itself", wait->mutex);
    else
        buf_printf(out, "waits for the mutex 0x%" PRIxPTR " held by thread %d \"%s\"", wait->mutex,
                   holder->tid, holder->name);
}

/* Round, and back to the one that it began with. */
static void put_deadlock(struct buf *out, const struct threads *threads, const struct locks *locks,
                         size_t number)
{
    size_t first = 0, at;
    while (locks->all[first].cycle != number)
        first++;
    at = first;
    buf_printf(out, "deadlock: %d \"%s\"", threads->all[at].tid, threads->all[at].name);
    do {
        at = locks->all[at].holder;
        buf_printf(out, " -> %d \"%s\"", threads->all[at].tid, threads->all[at].name);
    } while (at != first);
    buf_text(out, "\n");
}

/* before: stands at the beginning of each line. */
static void put_deadlocks(struct buf *out, const char *before, const struct threads *threads,
                          const struct locks *locks)
{
    for (size_t number = 1; number <= locks->cycles; number++) {
        buf_text(out, before);
        put_deadlock(out, threads, locks, number);
    }
}

static void put_members(struct buf *out, const struct group *group)
{
    buf_text(out, "# threads:");
    for (size_t i = 0; i < group->count && i < SHOWN; i++)
        buf_printf(out, "%s %d \"%s\"", i > 0 ? "," : "", group->first[i].stack->tid,
                   group->first[i].stack->name);
    if (group->count > SHOWN)
        buf_printf(out, " and %zu more", group->count - SHOWN);
    buf_text(out, "\n");
}

/* Those whose mutex is known. */
static void put_waits(struct buf *out, const struct group *group, const struct threads *threads,
                      const struct locks *locks)
{
    for (size_t i = 0; i < group->count && i < SHOWN; i++) {
        size_t waiter = (size_t)(group->first[i].stack - threads->all);
        if (locks->all[waiter].mutex == 0)
            continue;
        buf_printf(out, "# thread %d ", threads->all[waiter].tid);
        put_wait(out, threads, locks, waiter);
        buf_text(out, "\n");
    }
}

static void put_group(struct buf *out, const struct group *group, const struct threads *threads,
                      const struct locks *locks, struct names *names)
{
    const struct thread_stack *stack = group->first[0].stack;
    char shown[SHOWN_MAX];
    buf_printf(out, "%zu @", group->count);
    for (size_t i = 0; i < stack->depth; i++)
        buf_printf(out, " 0x%" PRIxPTR, stack->frames[i] + (i > 0)); /* as return addresses */
    if (stack->depth == 0)
        buf_printf(out, " 0x%x", STACK_SILENT);
    buf_text(out, "\n");
    put_members(out, group);
    put_waits(out, group, threads, locks);
    if (stack->silent != NULL)
        buf_printf(out, "# no stack: %s\n", stack->silent);
    for (size_t i = 0; i < stack->depth; i++) {
        const struct named *named = names_find(names, stack->frames[i]);
        for (size_t j = 0; j < count_at(named); j++) {
            buf_printf(out, "#\t0x%" PRIxPTR "\t%s", stack->frames[i],
                       function_at(shown, named, j));
            put_place(out, named, j);
            buf_text(out, "\n");
        }
    }
    buf_text(out, "\n");
}

void text_threads_grouped(struct buf *out, const struct threads *threads, struct names *names)
{
    size_t room = threads->count > 0 ? threads->count : 1;
    struct member *order = calloc(room, sizeof order[0]);
    struct group *groups = calloc(room, sizeof groups[0]);
    struct locks locks = {0};
    if (order != NULL && groups != NULL && locks_find(&locks, threads, names) == 0) {
        size_t count = make_groups(threads, order, groups);
        put_deadlocks(out, "# ", threads, &locks);
        buf_printf(out, "threads profile: total %zu\n", threads->count);
        for (size_t i = 0; i < count; i++)
            put_group(out, &groups[i], threads, &locks, names);
    } else {
        out->failed = true;
    }
    free(order);
    free(groups);
    locks_free(&locks);
}

static const char *state_name(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'S':
        return "sleeping";
    case 'D':
        return "waiting for a device";
    case 'T':
    case 't':
        return "stopped";
    default:
        return "unknown";
    }
}

void text_threads_each(struct buf *out, const struct threads *threads, struct names *names)
{
    char shown[SHOWN_MAX];
    struct locks locks;
    if (locks_find(&locks, threads, names) < 0) {
        out->failed = true;
        return;
    }
    if (locks.waiting > 0) {
        buf_printf(out, "%zu thread%s for a mutex\n", locks.waiting,
                   locks.waiting == 1 ? " waits" : "s wait");
        put_deadlocks(out, "", threads, &locks);
        buf_text(out, "\n");
    }
    for (size_t i = 0; i < threads->count; i++) {
        const struct thread_stack *stack = &threads->all[i];
        buf_printf(out, "thread %d \"%s\" [%s", stack->tid, stack->name, state_name(stack->state));
        if (locks.all[i].waits) {
            buf_text(out, ", ");
            put_wait(out, threads, &locks, i);
        }
        buf_text(out, "]:\n");
        if (stack->silent != NULL)
            buf_printf(out, "no stack: %s%s%s\n", stack->silent,
                       stack->waits_in[0] != '\0' ? "; the kernel has it in " : "",
                       stack->waits_in);
        for (size_t j = 0; j < stack->depth; j++) {
            const struct named *named = names_find(names, stack->frames[j]);
            for (size_t k = 0; k < count_at(named); k++) {
                buf_printf(out, "%s\n", function_at(shown, named, k));
                put_place(out, named, k);
                buf_text(out, "\n");
            }
        }
        buf_text(out, "\n");
    }
    locks_free(&locks);
}

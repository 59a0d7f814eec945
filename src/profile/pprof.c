/* SPDX-License-Identifier: MIT */
#include "profile/pprof.h"

#include "base/wire.h"

#include <stdlib.h>
#include <string.h>

const struct pprof_kind pprof_cpu = {.values = {{"samples", "count"}, {"cpu", "nanoseconds"}},
                                     .period = {"cpu", "nanoseconds"}};
const struct pprof_kind pprof_threads = {.values = {{"threads", "count"}},
                                         .period = {"threads", "count"}};
const struct pprof_kind pprof_heap = {.values = {{"alloc_objects", "count"},
                                                 {"alloc_space", "bytes"},
                                                 {"inuse_objects", "count"},
                                                 {"inuse_space", "bytes"}},
                                      .period = {"space", "bytes"}};
const struct pprof_kind pprof_contention = {
    .values = {{"contentions", "count"}, {"delay", "nanoseconds"}},
    .period = {"contentions", "count"}};
const struct pprof_kind pprof_births = {.values = {{"threadcreate", "count"}},
                                        .period = {"threadcreate", "count"}};

/* Field numbers. */
enum {
    PROFILE_TYPE = 1,
    PROFILE_SAMPLE,
    PROFILE_MAPPING,
    PROFILE_LOCATION,
    PROFILE_FUNCTION,
    PROFILE_STRING,
    PROFILE_TIME = 9,
    PROFILE_DURATION,
    PROFILE_PERIOD_TYPE,
    PROFILE_PERIOD,
    PROFILE_COMMENT
};
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET, MAPPING_FILE, MAPPING_BUILD };
enum { MAPPING_FUNCTIONS = 7, MAPPING_FILES, MAPPING_LINES, MAPPING_INLINES };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME, FUNCTION_FILE, FUNCTION_START };

struct entry {
    uint64_t hash;
    const void *a, *b;
    uint64_t extra; /* of a function: the line where it begins */
};

/* A table in which equal keys have the same number, from 1 in the order they came. */
struct numbers {
    struct entry *all;
    uint32_t *index;
    size_t count, slots;
    bool texts; /* a and b are texts (b may be NULL), else what they point to does not matter */
};

struct writer {
    struct buf *out;
    struct names *names;
    struct numbers strings, functions, locations, mappings;
    bool failed;
};

/* --- numbers --------------------------------------------------------------------------------- */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash * UINT64_C(0x100000001b3);
}

static uint64_t hash_of(const struct numbers *numbers, const void *a, const void *b)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (numbers->texts)
        return hash_text(hash_text(hash, a), b);
    hash = (hash ^ (uintptr_t)a) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static bool equal_texts(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool equal(const struct numbers *numbers, const struct entry *entry, const void *a,
                  const void *b)
{
    if (!numbers->texts)
        return entry->a == a;
    return equal_texts(entry->a, a) && equal_texts(entry->b, b);
}

static bool grow(struct numbers *numbers)
{
    if ((numbers->count + 1) * 2 <= numbers->slots)
        return true;
    size_t slots = numbers->slots > 0 ? numbers->slots * 2 : 256;
    uint32_t *index = calloc(slots, sizeof index[0]);
    struct entry *all = realloc(numbers->all, slots / 2 * sizeof all[0]);
    if (all != NULL)
        numbers->all = all;
    if (index == NULL || all == NULL) {
        free(index);
        return false;
    }
    for (size_t i = 0; i < numbers->count; i++) {
        size_t at = all[i].hash & (slots - 1);
        while (index[at] != 0)
            at = (at + 1) & (slots - 1);
        index[at] = (uint32_t)i + 1;
    }
    free(numbers->index);
    numbers->index = index;
    numbers->slots = slots;
    return true;
}

/* From 1; 0: out of memory, which is remembered. */
static uint64_t number(struct writer *writer, struct numbers *numbers, const void *a, const void *b,
                       bool *is_new)
{
    *is_new = false;
    if (writer->failed || !grow(numbers)) {
        writer->failed = true;
        return 0;
    }
    uint64_t hash = hash_of(numbers, a, b);
    size_t at = hash & (numbers->slots - 1);
    for (; numbers->index[at] != 0; at = (at + 1) & (numbers->slots - 1)) {
        const struct entry *entry = &numbers->all[numbers->index[at] - 1];
        if (entry->hash == hash && equal(numbers, entry, a, b))
            return numbers->index[at];
    }
    numbers->all[numbers->count++] = (struct entry){hash, a, b, 0};
    numbers->index[at] = (uint32_t)numbers->count;
    *is_new = true;
    return numbers->count;
}

static void free_numbers(struct numbers *numbers)
{
    free(numbers->all);
    free(numbers->index);
}

/* Of a text that outlives the writer. The table begins with "", whose number is 0. */
static uint64_t string(struct writer *writer, const char *text)
{
    bool is_new;
    uint64_t found = number(writer, &writer->strings, text != NULL ? text : "", NULL, &is_new);
    return found > 0 ? found - 1 : 0;
}

/* --- messages -------------------------------------------------------------------------------- */

static void put_type(struct writer *writer, uint32_t field, const struct pprof_type *type)
{
    struct wire_mark mark = wire_open(writer->out, field, 1);
    wire_uint(writer->out, 1, string(writer, type->type));
    wire_uint(writer->out, 2, string(writer, type->unit));
    wire_close(writer->out, mark);
}

size_t pprof_values(const struct pprof_kind *kind)
{
    size_t count = 0;
    while (count < STACKS_VALUES && kind->values[count].type != NULL)
        count++;
    return count;
}

static uint64_t location(struct writer *writer, uintptr_t address)
{
    bool is_new;
    return number(writer, &writer->locations, (const void *)address, NULL, &is_new);
}

static void put_sample(struct writer *writer, const struct stacks *stacks,
                       const struct stack *stack, size_t values)
{
    uint64_t ids[256];
    const uintptr_t *frames = stacks_frames(stacks, stack);
    size_t depth = stack->depth < 256 ? stack->depth : 256;
    for (size_t i = 0; i < depth; i++)
        ids[i] = location(writer, frames[i]);
    struct wire_mark sample = wire_open(writer->out, PROFILE_SAMPLE, 1);
    wire_packed_uint(writer->out, 1, ids, depth);
    wire_packed_uint(writer->out, 2, stack->values, values);
    struct wire_mark label = wire_open(writer->out, 3, 1);
    wire_uint(writer->out, 1, string(writer, "thread"));
    wire_uint(writer->out, 2, string(writer, stacks->names[stack->name]));
    wire_close(writer->out, label);
    wire_close(writer->out, sample);
}

static void put_lines(struct writer *writer, const struct named *named)
{
    for (size_t i = 0; i < named->count; i++) {
        const struct name *name = &named->names[i];
        bool is_new;
        uint64_t id = number(writer, &writer->functions, name->function, name->file, &is_new);
        if (is_new && name->start_line > 0)
            writer->functions.all[id - 1].extra = (uint64_t)name->start_line;
        struct wire_mark mark = wire_open(writer->out, LOCATION_LINE, 1);
        wire_uint(writer->out, 1, id);
        wire_uint(writer->out, 2, name->line > 0 ? (uint64_t)name->line : 0);
        wire_close(writer->out, mark);
    }
}

/* Locations grow with the samples, so they are numbered when those have been written. */
static void put_locations(struct writer *writer)
{
    bool is_new;
    for (size_t i = 0; i < writer->locations.count; i++) {
        uintptr_t address = (uintptr_t)writer->locations.all[i].a;
        const struct named *named = names_find(writer->names, address);
        if (named == NULL) {
            writer->failed = true;
            return;
        }
        struct wire_mark mark = wire_open(writer->out, PROFILE_LOCATION, 1);
        wire_uint(writer->out, LOCATION_ID, i + 1);
        if (named->module != NULL)
            wire_uint(writer->out, LOCATION_MAPPING,
                      number(writer, &writer->mappings, named->module, NULL, &is_new));
        wire_uint(writer->out, LOCATION_ADDRESS, address);
        put_lines(writer, named);
        wire_close(writer->out, mark);
    }
}

struct knowledge {
    bool functions, lines, inlines;
};

static struct knowledge known_of(struct writer *writer, const struct module *module)
{
    struct knowledge known = {0};
    for (size_t i = 0; i < writer->locations.count; i++) {
        const struct named *named =
            names_find(writer->names, (uintptr_t)writer->locations.all[i].a);
        if (named == NULL || named->module != module)
            continue;
        known.functions |= named->count > 0;
        known.inlines |= named->count > 1;
        known.lines |= named->count > 0 && named->names[0].line > 0;
    }
    return known;
}

/* A build id as text outlives nothing here, so it is kept where the module's number is. */
static void hex(char *out, const struct module *module)
{
    for (size_t i = 0; i < module->build_id_size; i++) {
        *out++ = "0123456789abcdef"[module->build_id[i] >> 4];
        *out++ = "0123456789abcdef"[module->build_id[i] & 15];
    }
    *out = '\0';
}

struct build_ids {
    char (*all)[2 * MODULE_BUILD_ID_MAX + 1];
};

static void put_mappings(struct writer *writer, struct build_ids *ids)
{
    size_t count = writer->mappings.count;
    ids->all = calloc(count > 0 ? count : 1, sizeof ids->all[0]);
    if (ids->all == NULL) {
        writer->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct module *module = writer->mappings.all[i].a;
        struct knowledge known = known_of(writer, module);
        hex(ids->all[i], module);
        struct wire_mark mark = wire_open(writer->out, PROFILE_MAPPING, 1);
        wire_uint(writer->out, MAPPING_ID, i + 1);
        wire_uint(writer->out, MAPPING_START, module->code_start);
        wire_uint(writer->out, MAPPING_LIMIT, module->code_end);
        wire_uint(writer->out, MAPPING_OFFSET, module->code_offset);
        wire_uint(writer->out, MAPPING_FILE, string(writer, module->path));
        wire_uint(writer->out, MAPPING_BUILD, string(writer, ids->all[i]));
        wire_uint(writer->out, MAPPING_FUNCTIONS, known.functions);
        wire_uint(writer->out, MAPPING_FILES, known.lines);
        wire_uint(writer->out, MAPPING_LINES, known.lines);
        wire_uint(writer->out, MAPPING_INLINES, known.inlines);
        wire_close(writer->out, mark);
    }
}

static void put_functions(struct writer *writer)
{
    for (size_t i = 0; i < writer->functions.count; i++) {
        const struct entry *entry = &writer->functions.all[i];
        struct wire_mark mark = wire_open(writer->out, PROFILE_FUNCTION, 1);
        wire_uint(writer->out, FUNCTION_ID, i + 1);
        wire_uint(writer->out, FUNCTION_NAME, string(writer, entry->a));
        wire_uint(writer->out, FUNCTION_SYSTEM_NAME, string(writer, entry->a));
        wire_uint(writer->out, FUNCTION_FILE, string(writer, entry->b));
        wire_uint(writer->out, FUNCTION_START, entry->extra);
        wire_close(writer->out, mark);
    }
}

/* Each line of the remarks is a comment. They are kept as texts of their own until the end. */
static char *put_comments(struct writer *writer, const struct buf *remarks)
{
    char *text = strdup(remarks->data != NULL ? remarks->data : "");
    char *rest = text, *line;
    writer->failed |= text == NULL;
    while (text != NULL && (line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '\0')
            wire_uint(writer->out, PROFILE_COMMENT, string(writer, line));
    return text;
}

/* The first mapping is taken for the program, which is the module that was found first. */
static void number_program(struct writer *writer, const struct module *known)
{
    bool is_new;
    while (known != NULL && known->next != NULL)
        known = known->next;
    if (known != NULL)
        (void)number(writer, &writer->mappings, known, NULL, &is_new);
}

static void put_strings(struct writer *writer)
{
    for (size_t i = 0; i < writer->strings.count; i++) {
        const char *text = writer->strings.all[i].a;
        wire_text_always(writer->out, PROFILE_STRING, text, strlen(text));
    }
}

void pprof_write(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
                 struct names *names)
{
    struct writer writer = {.out = out, .names = names};
    struct build_ids ids = {0};
    size_t values = pprof_values(kind);
    writer.strings.texts = writer.functions.texts = true;
    (void)string(&writer, "");
    number_program(&writer, profile->known);
    for (size_t i = 0; i < values; i++)
        put_type(&writer, PROFILE_TYPE, &kind->values[i]);
    for (size_t i = 0; i < profile->stacks.count; i++)
        put_sample(&writer, &profile->stacks, &profile->stacks.all[i], values);
    put_locations(&writer);
    put_mappings(&writer, &ids);
    put_functions(&writer);
    wire_uint(out, PROFILE_TIME, (uint64_t)profile->start_ns);
    wire_uint(out, PROFILE_DURATION, (uint64_t)profile->duration_ns);
    put_type(&writer, PROFILE_PERIOD_TYPE, &kind->period);
    wire_uint(out, PROFILE_PERIOD, profile->period_ns > 0 ? (uint64_t)profile->period_ns : 1);
    char *comments = put_comments(&writer, &profile->remarks);
    put_strings(&writer);
    out->failed |= writer.failed;
    free(comments);
    free(ids.all);
    free_numbers(&writer.strings);
    free_numbers(&writer.functions);
    free_numbers(&writer.locations);
    free_numbers(&writer.mappings);
}

/* SPDX-License-Identifier: MIT
 *
 * jemalloc is met by name only: a weak symbol, which is there when the program is linked with it or
 * has it preloaded.
 */
#include "profile/heap.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/libc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DUMP_MAX ((off_t)256 << 20)
#define FRAMES_MAX 256

extern int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t value_size)
    __attribute__((weak));

/* --- its text -------------------------------------------------------------------------------- */

/* 1 - e^-x, for x >= 0: a series where x is small, and doubled from there. */
static double sampled_part(double x)
{
    unsigned doubled = 0;
    if (x > 50)
        return 1;
    while (x > 0.25) {
        x /= 2;
        doubled++;
    }
    double term = -x, sum = 0; /* e^-x - 1 */
    for (int i = 2; i < 12; i++) {
        sum += term;
        term *= -x / i;
    }
    for (; doubled > 0; doubled--)
        sum *= 2 + sum;
    return -sum;
}

/* Rounded; what is too large for it is the largest. */
static uint64_t whole(double value)
{
    return value < 0x1p64 ? (uint64_t)(value + 0.5) : UINT64_MAX;
}

/* A byte is sampled once in `rate`: an object the more likely the larger it is. */
static void scale(double rate, uint64_t *objects, uint64_t *bytes)
{
    if (*objects == 0 || *bytes == 0)
        return;
    double seen = sampled_part((double)*bytes / (double)*objects / rate);
    *objects = whole((double)*objects / seen);
    *bytes = whole((double)*bytes / seen);
}

static bool is_in(const struct module *module, uintptr_t address)
{
    return module != NULL && address >= module->start && address < module->end;
}

/* Without the allocator's own, innermost. */
static size_t parse_frames(const char *line, const struct module *allocator,
                           uintptr_t frames[FRAMES_MAX])
{
    size_t depth = 0;
    while (depth < FRAMES_MAX) {
        char *end;
        uintptr_t address = strtoull(line, &end, 16);
        if (end == line || address == 0)
            break;
        line = end;
        if (depth > 0 || !is_in(allocator, address - 1))
            frames[depth++] = address - 1; /* within the call */
    }
    return depth;
}

/* What stands before a number, and the number. False: something else does. */
static bool take_number(const char **at, const char *before, uint64_t *out)
{
    size_t size = strlen(before);
    char *end;
    if (strncmp(*at, before, size) != 0)
        return false;
    *out = strtoull(*at + size, &end, 10);
    bool taken = end > *at + size;
    *at = end;
    return taken;
}

/* "  t*: 13: 6688 [20: 9000]": in use, and asked for altogether (when jemalloc counts that). */
static bool parse_values(const char *line, double rate, uint64_t values[STACKS_VALUES])
{
    line += strspn(line, " ");
    if (!take_number(&line, "t*: ", &values[2]) || !take_number(&line, ": ", &values[3]) ||
        !take_number(&line, " [", &values[0]) || !take_number(&line, ": ", &values[1]))
        return false;
    scale(rate, &values[2], &values[3]);
    scale(rate, &values[0], &values[1]);
    if (values[1] < values[3]) {
        values[0] = values[2];
        values[1] = values[3];
    }
    return true;
}

bool heap_parse(char *text, const struct module *allocator, struct stacks *out)
{
    static const char head[] = "heap_v2/";
    uintptr_t frames[FRAMES_MAX];
    struct stack_key key = {.name = "", .frames = frames};
    char *rest = text, *line = strsep(&rest, "\n");
    if (strncmp(line, head, sizeof head - 1) != 0)
        return false;
    double rate = (double)strtoull(line + sizeof head - 1, NULL, 10);
    bool open = false; /* a stack whose values are to come */
    while ((line = strsep(&rest, "\n")) != NULL && strncmp(line, "MAPPED_LIBRARIES", 16) != 0) {
        uint64_t values[STACKS_VALUES];
        if (line[0] == '@') {
            key.depth = parse_frames(line + 1, allocator, frames);
            open = key.depth > 0;
        } else if (open && parse_values(line, rate, values)) {
            stacks_add(out, &key, values);
            open = false;
        }
    }
    return rate > 0;
}

/* --- jemalloc -------------------------------------------------------------------------------- */

static bool is_on(const char *name)
{
    bool on = false;
    size_t size = sizeof on;
    return mallctl(name, &on, &size, NULL, 0) == 0 && on;
}

/* It writes to a file only; one in memory is one. Owned; NULL: errno. */
static char *dump(void)
{
    char path[32];
    const char *name = path;
    struct stat now;
    auto_close int fd = memfd_create("heap", MFD_CLOEXEC);
    if (fd < 0)
        return NULL;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = mallctl("prof.dump", NULL, NULL, &name, sizeof name);
    if (rc != 0) {
        errno = rc;
        return NULL;
    }
    if (fstat(fd, &now) < 0 || now.st_size > DUMP_MAX)
        return NULL;
    size_t size = (size_t)now.st_size, done = 0;
    char *text = malloc(size + 1);
    while (text != NULL && done < size) {
        ssize_t got = pread(fd, text + done, size - done, (off_t)done);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    if (text != NULL)
        text[done] = '\0';
    return text;
}

/* NULL too where it is a part of the program: then it is not known which frames are its own. */
static const struct module *find_allocator(const struct module *known)
{
    const struct module *found = modules_find(known, (uintptr_t)&mallctl);
    return found != modules_find(known, (uintptr_t)getauxval(AT_ENTRY)) ? found : NULL;
}

static int take(struct profile *out, srun_err *err)
{
    int rc = modules_new(&out->modules);
    if (rc == 0)
        rc = modules_refresh(out->modules, NULL);
    if (rc < 0)
        return srun_fail(err, rc, "heap: %s", srun_strerror(rc));
    out->known = out->modules->known;
    errno = ENOMEM;
    auto_free char *text = dump();
    if (text == NULL)
        return srun_fail(err, -errno, "heap: jemalloc's dump: %m");
    if (!heap_parse(text, find_allocator(out->known), &out->stacks))
        return srun_fail(err, -EPROTO, "heap: jemalloc's dump is of another version");
    if (!is_on("prof.active"))
        buf_text(&out->remarks, "jemalloc's samples are paused: prof.active is false\n");
    if (!is_on("opt.prof_accum"))
        buf_text(&out->remarks,
                 "jemalloc keeps no account of what was freed (prof_accum:true would): "
                 "alloc_* is what is in use\n");
    return 0;
}

static void describe_libc(struct buf *out)
{
    struct libc_heap heap;
    if (libc_heap(&heap))
        buf_printf(out,
                   "in use: %zu bytes; free, and kept for later: %zu; mapped by themselves: %zu\n",
                   heap.used, heap.kept, heap.mapped);
}

int heap_profile(struct profile *out, srun_err *err)
{
    *out = (struct profile){.start_ns = clock_wall_ns()};
    if (mallctl == NULL) {
        buf_text(&out->remarks, "the program's allocator keeps no samples; jemalloc does: "
                                "LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=prof:true\n");
        describe_libc(&out->remarks);
        return 0;
    }
    if (!is_on("opt.prof")) {
        buf_text(&out->remarks,
                 is_on("config.prof")
                     ? "jemalloc takes no samples: start with MALLOC_CONF=prof:true\n"
                     : "this jemalloc was built without profiling\n");
        return 0;
    }
    int rc = take(out, err);
    if (rc < 0)
        profile_free(out);
    return rc;
}

/* SPDX-License-Identifier: MIT
 *
 * Functions, inlined ones too, and lines, by elfutils' libdw. Not by its libdwfl, which would ask
 * the servers in DEBUGINFOD_URLS: a daemon does not connect to anybody because it is profiled.
 */
#include "find.h"
#include "image.h"

#include "base/auto.h"
#include "profile/naming.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <setjmp.h>
#include <srun/version.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A unit of compilation has code in these places. */
struct range {
    Dwarf_Addr start, end;
    Dwarf_Off unit;
};

struct module {
    int debug_fd; /* -1: the module's own file has it all */
    struct image image, common_image;
    Dwarf *dwarf, *common; /* what it shares with other files, or NULL */
    bool broken;           /* it had no memory, and is in no state to be asked, or ended */
    Dwarf_Aranges *table;  /* the file's own, or NULL */
    bool all_read;         /* into these, for what is not in the table */
    struct range *ranges;  /* by start */
    size_t count, capacity;
    Dwarf_Die *scopes; /* of the look-up that is under way */
};

/* --- without memory -------------------------------------------------------------------------- */

/* libdw ends the program when it has no memory, unless it is given another way out. */
static _Thread_local jmp_buf *way_out;

__attribute__((noreturn)) static void leave_libdw(void)
{
    longjmp(*way_out, 1);
}

/* False: there was no memory. What body has taken by then, it has to have put into the module. */
static bool ask_libdw(struct module *module, void (*body)(struct module *module, void *arg),
                      void *arg)
{
    jmp_buf here;
    if (module->broken)
        return false;
    way_out = &here;
    if (setjmp(here) == 0)
        body(module, arg);
    else
        module->broken = true;
    way_out = NULL;
    return !module->broken;
}

/* --- units ----------------------------------------------------------------------------------- */

static bool add_range(struct module *module, struct range range)
{
    if (module->count == module->capacity) {
        size_t capacity = module->capacity > 0 ? module->capacity * 2 : 256;
        void *grown = realloc(module->ranges, capacity * sizeof range);
        if (grown == NULL)
            return false;
        module->ranges = grown;
        module->capacity = capacity;
    }
    module->ranges[module->count++] = range;
    return true;
}

static bool add_unit(struct module *module, Dwarf_Die *unit)
{
    Dwarf_Addr base, start, end;
    ptrdiff_t at = 0;
    while ((at = dwarf_ranges(unit, at, &base, &start, &end)) > 0)
        if (end > start && start > 0 &&
            !add_range(module, (struct range){start, end, dwarf_dieoffset(unit)}))
            return false;
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct range *left = a, *right = b;
    return left->start < right->start ? -1 : left->start > right->start;
}

static void read_units(struct module *module)
{
    Dwarf_Off at = 0, next;
    size_t head;
    while (dwarf_nextcu(module->dwarf, at, &next, &head, NULL, NULL, NULL) == 0) {
        Dwarf_Die unit;
        if (dwarf_offdie(module->dwarf, at + head, &unit) != NULL && !add_unit(module, &unit))
            break;
        at = next;
    }
    if (module->count > 0)
        qsort(module->ranges, module->count, sizeof module->ranges[0], by_start);
    module->all_read = true;
}

static const struct range *find_range(const struct module *module, Dwarf_Addr address)
{
    size_t low = 0, high = module->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (module->ranges[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < module->ranges[low - 1].end ? &module->ranges[low - 1] : NULL;
}

/* Compilers that write a table of all addresses spare us a look at each unit, which takes time and
 * memory. A file may be of several. */
static bool find_unit(struct module *module, Dwarf_Addr address, Dwarf_Die *out)
{
    Dwarf_Off unit;
    Dwarf_Arange *found =
        module->table != NULL ? dwarf_getarange_addr(module->table, address) : NULL;
    if (found != NULL && dwarf_getarangeinfo(found, NULL, NULL, &unit) == 0)
        return dwarf_offdie(module->dwarf, unit, out) != NULL;
    if (!module->all_read)
        read_units(module);
    const struct range *range = find_range(module, address);
    return range != NULL && dwarf_offdie(module->dwarf, range->unit, out) != NULL;
}

/* --- opening --------------------------------------------------------------------------------- */

/* One that is broken is left as it is. */
static void end_dwarf(struct module *module)
{
    if (module->dwarf != NULL && !module->broken)
        (void)dwarf_end(module->dwarf);
    if (module->common != NULL && !module->broken)
        (void)dwarf_end(module->common);
    module->dwarf = module->common = NULL;
    image_free(&module->image);
    image_free(&module->common_image);
}

static void close_module(void *handle)
{
    struct module *module = handle;
    end_dwarf(module);
    if (module->debug_fd >= 0)
        (void)close(module->debug_fd);
    free(module->scopes);
    free(module->ranges);
    free(module);
}

static void look_for_units(struct module *module, void *arg)
{
    bool *out = arg;
    Dwarf_Off next;
    size_t head, count;
    *out = dwarf_nextcu(module->dwarf, 0, &next, &head, NULL, NULL, NULL) == 0;
    if (*out && dwarf_getaranges(module->dwarf, &module->table, &count) != 0)
        module->table = NULL;
}

/* Where it names a file that there is not, libdw would look for it by itself, and map what it
 * finds: so the name, which lies in our image, is cut. */
static void open_common(struct module *module)
{
    const char *name;
    const void *id;
    ssize_t size = dwelf_dwarf_gnu_debugaltlink(module->dwarf, &name, &id);
    if (size <= 0)
        return;
    auto_close int fd = find_common_file(name, id, (size_t)size);
    if (fd >= 0 && image_read(fd, &module->common_image))
        module->common = dwarf_begin_elf(module->common_image.elf, DWARF_C_READ, NULL);
    if (module->common != NULL) {
        (void)dwarf_new_oom_handler(module->common, leave_libdw);
        dwarf_setalt(module->dwarf, module->common);
    } else {
        memset((void *)(uintptr_t)name, 0, (size_t)((const char *)id + size - name));
    }
}

/* dwarf_begin_elf is content with less than .debug_info. */
static bool open_dwarf(struct module *module, int fd)
{
    module->broken = false;
    if (image_read(fd, &module->image))
        module->dwarf = dwarf_begin_elf(module->image.elf, DWARF_C_READ, NULL);
    if (module->dwarf != NULL) {
        bool has_units = false;
        (void)dwarf_new_oom_handler(module->dwarf, leave_libdw);
        open_common(module);
        if (ask_libdw(module, look_for_units, &has_units) && has_units)
            return true;
    }
    end_dwarf(module);
    return false;
}

static void *open_module(const struct naming_file *file)
{
    struct module *module = calloc(1, sizeof *module);
    if (module == NULL || elf_version(EV_CURRENT) == EV_NONE) {
        free(module);
        return NULL;
    }
    module->debug_fd = -1;
    if (open_dwarf(module, file->fd))
        return module;
    module->debug_fd = find_debug_file(file);
    if (module->debug_fd >= 0) /* its symbols are worth having also without the rest */
        (void)open_dwarf(module, module->debug_fd);
    if (module->debug_fd >= 0)
        return module;
    close_module(module);
    return NULL;
}

static int debug_fd_of(void *handle)
{
    return ((struct module *)handle)->debug_fd;
}

/* --- finding --------------------------------------------------------------------------------- */

static const char *text_of(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

static int number_of(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    if (dwarf_formudata(dwarf_attr_integrate(die, name, &attribute), &value) != 0 ||
        value > INT32_MAX)
        return 0;
    return (int)value;
}

/* Of C++ and Rust the name that the linker knows, which all tools can make readable; in C another
 * one there is what a header has renamed it to. */
static const char *function_name(Dwarf_Die *die)
{
    const char *name = text_of(die, DW_AT_linkage_name);
    bool coded = name != NULL && (strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0);
    return coded ? name : text_of(die, DW_AT_name);
}

static bool is_function(Dwarf_Die *die)
{
    int tag = dwarf_tag(die);
    return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

struct place {
    const char *file;
    int line;
};

static struct place place_of(Dwarf_Die *unit, Dwarf_Addr address)
{
    struct place place = {0};
    Dwarf_Line *line = dwarf_getsrc_die(unit, address);
    if (line != NULL && dwarf_lineno(line, &place.line) == 0)
        place.file = dwarf_linesrc(line, NULL, NULL);
    return place;
}

/* Where an inlined function was called. */
static struct place call_of(Dwarf_Die *unit, Dwarf_Die *inlined)
{
    struct place place = {.line = number_of(inlined, DW_AT_call_line)};
    Dwarf_Files *files;
    size_t count;
    int number = number_of(inlined, DW_AT_call_file);
    if (dwarf_getsrcfiles(unit, &files, &count) == 0 && (size_t)number < count)
        place.file = dwarf_filesrc(files, (size_t)number, NULL, NULL);
    return place;
}

/* From the innermost scope outwards, up to the function that has code of its own. */
static size_t walk(Dwarf_Die *unit, Dwarf_Die *scopes, int count, struct place place,
                   struct name *out, size_t max)
{
    size_t found = 0;
    for (int i = 0; i < count && found < max; i++) {
        if (!is_function(&scopes[i]))
            continue;
        const char *name = function_name(&scopes[i]);
        out[found++] = (struct name){.function = name != NULL ? name : "?",
                                     .file = place.file,
                                     .line = place.line,
                                     .start_line = number_of(&scopes[i], DW_AT_decl_line)};
        if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram)
            break;
        place = call_of(unit, &scopes[i]);
    }
    return found;
}

struct wanted {
    uint64_t address;
    struct name *out;
    size_t max, found;
};

static void look_up(struct module *module, void *arg)
{
    struct wanted *wanted = arg;
    Dwarf_Die unit, innermost;
    if (!find_unit(module, wanted->address, &unit))
        return;
    int count = dwarf_getscopes(&unit, wanted->address, &module->scopes);
    if (count <= 0)
        return;
    /* What comes behind it is where it was written, not where it was called. */
    innermost = module->scopes[0];
    free(take_ptr(module->scopes));
    count = dwarf_getscopes_die(&innermost, &module->scopes);
    wanted->found = walk(&unit, module->scopes, count, place_of(&unit, wanted->address),
                         wanted->out, wanted->max);
}

static size_t find_names(void *handle, uint64_t address, struct name *out, size_t max)
{
    struct module *module = handle;
    struct wanted wanted = {.address = address, .out = out, .max = max};
    bool whole = ask_libdw(module, look_up, &wanted);
    free(take_ptr(module->scopes));
    return whole ? wanted.found : 0;
}

__attribute__((visibility("default"))) extern const struct naming_plugin srun_symbols_plugin;

const struct naming_plugin srun_symbols_plugin = {
    .size = sizeof srun_symbols_plugin,
    .version = SRUN_VERSION_TEXT,
    .open = open_module,
    .debug_fd = debug_fd_of,
    .find = find_names,
    .close = close_module,
};

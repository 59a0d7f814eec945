/* SPDX-License-Identifier: MIT */
#include "profile/modules.h"

#include "base/auto.h"
#include "base/buf.h"
#include "base/buildid.h"
#include "base/pages.h"
#include "base/peek.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULES_MAX 4096 /* that were ever seen */
#define HEADERS_MAX 64
#define NOTES_MAX 4096
#define FRAMES_MAX ((size_t)64 << 20) /* bytes of one .eh_frame */
#define PAGE_MASK (~(uintptr_t)4095)
#define READ_BYTES ((size_t)64 * 1024)

/* --- /proc/self/maps ------------------------------------------------------------------------- */

struct mapping {
    uintptr_t start, end;
    uint64_t offset, device, inode;
    bool executable;
    const char *path; /* "" when it has none */
};

static int read_maps(struct buf *out)
{
    auto_close int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (;;) {
        if (!buf_reserve(out, READ_BYTES))
            return -ENOMEM;
        ssize_t got = read(fd, out->data + out->size, READ_BYTES);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        out->size += got > 0 ? (size_t)got : 0;
    }
    out->data[out->size] = '\0';
    return 0;
}

static uint64_t take_number(const char **at, int base)
{
    char *end;
    uint64_t value = strtoull(*at, &end, base);
    *at = end + (*end != '\0'); /* and what ends it */
    return value;
}

/* "55d0-55d1 r-xp 00001000 08:01 123   /usr/bin/x". */
static bool parse_mapping(const char *line, struct mapping *out)
{
    enum { RIGHTS = 5 }; /* and a blank */
    out->start = take_number(&line, 16);
    out->end = take_number(&line, 16);
    if (strnlen(line, RIGHTS) < RIGHTS)
        return false;
    out->executable = line[2] == 'x';
    line += RIGHTS;
    out->offset = take_number(&line, 16);
    out->device = take_number(&line, 16) << 32;
    out->device |= take_number(&line, 16);
    out->inode = take_number(&line, 10);
    out->path = line + strspn(line, " ");
    return out->end > out->start;
}

/* --- a module -------------------------------------------------------------------------------- */

struct image {
    uintptr_t start; /* where its first byte is mapped */
    ElfW(Ehdr) head;
    ElfW(Phdr) headers[HEADERS_MAX];
    size_t count;
};

static bool read_image(uintptr_t start, struct image *out)
{
    out->start = start;
    if (peek_copy(&out->head, start, sizeof out->head) != sizeof out->head ||
        memcmp(out->head.e_ident, ELFMAG, SELFMAG) != 0 ||
        out->head.e_ident[EI_CLASS] != ELFCLASS64 ||
        out->head.e_phentsize != sizeof out->headers[0])
        return false;
    out->count = out->head.e_phnum < HEADERS_MAX ? out->head.e_phnum : HEADERS_MAX;
    size_t size = out->count * sizeof out->headers[0];
    return peek_copy(out->headers, start + out->head.e_phoff, size) == size;
}

static const ElfW(Phdr) * find_header(const struct image *image, uint32_t type)
{
    for (size_t i = 0; i < image->count; i++)
        if (image->headers[i].p_type == type)
            return &image->headers[i];
    return NULL;
}

/* The segment that begins the file says where all of it was meant to lie. */
static bool find_bias(const struct image *image, uintptr_t *out)
{
    for (size_t i = 0; i < image->count; i++) {
        const ElfW(Phdr) *header = &image->headers[i];
        if (header->p_type != PT_LOAD || (header->p_offset & PAGE_MASK) != 0)
            continue;
        *out = image->start - (header->p_vaddr & PAGE_MASK);
        return true;
    }
    return false;
}

static void read_build_id(const struct image *image, struct module *module)
{
    unsigned char notes[NOTES_MAX];
    for (size_t i = 0; i < image->count && module->build_id_size == 0; i++) {
        const ElfW(Phdr) *header = &image->headers[i];
        if (header->p_type != PT_NOTE)
            continue;
        size_t size = header->p_memsz < sizeof notes ? header->p_memsz : sizeof notes;
        size = peek_copy(notes, module->bias + header->p_vaddr, size);
        size_t found;
        const unsigned char *id = buildid_find(notes, size, &found);
        if (id == NULL || found > sizeof module->build_id)
            continue;
        memcpy(module->build_id, id, found);
        module->build_id_size = found;
    }
}

/* .eh_frame_hdr begins with where .eh_frame is, which ends where its segment does, or before. */
static void read_rows(const struct image *image, struct module *module)
{
    enum { PC_RELATIVE_4 = 0x1b }; /* what every linker writes */
    struct {
        unsigned char version, encoding, unused[2];
        int32_t distance;
    } head;
    const ElfW(Phdr) *header = find_header(image, PT_GNU_EH_FRAME);
    uintptr_t at = header != NULL ? module->bias + header->p_vaddr : 0;
    if (header == NULL || peek_copy(&head, at, sizeof head) != sizeof head || head.version != 1 ||
        head.encoding != PC_RELATIVE_4)
        return;
    uintptr_t frames = at + 4 + (uintptr_t)(intptr_t)head.distance;
    size_t size = 0;
    for (size_t i = 0; i < image->count; i++) {
        const ElfW(Phdr) *load = &image->headers[i];
        uintptr_t offset = frames - module->bias - load->p_vaddr;
        if (load->p_type == PT_LOAD && offset < load->p_memsz)
            size = load->p_memsz - offset;
    }
    size = size < FRAMES_MAX ? size : FRAMES_MAX;
    unsigned char *data = pages_resize(NULL, 0, size);
    if (data == NULL)
        return;
    const struct cfi_section section = {.data = data,
                                        .size = peek_copy(data, frames, size),
                                        .address = frames,
                                        .base = module->start};
    cfi_read(&section, &module->rows);
    pages_free(data, size);
}

static void free_module(struct module *module)
{
    cfi_free(&module->rows);
    free(module->path);
    free(module);
}

/* NULL: it is none, or there are too many, or out of memory. */
static struct module *make_module(const struct mapping *first, uintptr_t end)
{
    struct image image;
    struct module *module = read_image(first->start, &image) ? calloc(1, sizeof *module) : NULL;
    if (module == NULL)
        return NULL;
    module->start = first->start;
    module->end = end;
    module->device = first->device;
    module->inode = first->inode;
    module->path = strdup(first->path);
    if (module->path == NULL || !find_bias(&image, &module->bias)) {
        free_module(module);
        return NULL;
    }
    read_build_id(&image, module);
    if (CFI_HERE)
        read_rows(&image, module);
    return module;
}

static bool is_of(const struct module *module, const struct mapping *first, uintptr_t end)
{
    return module->start == first->start && module->end == end && module->device == first->device &&
           module->inode == first->inode && strcmp(module->path, first->path) == 0;
}

static const struct module *module_of(struct modules *modules, const struct mapping *first,
                                      uintptr_t end, const struct code *code)
{
    for (const struct module *module = modules->known; module != NULL; module = module->next)
        if (is_of(module, first, end))
            return module;
    struct module *module = modules->count < MODULES_MAX ? make_module(first, end) : NULL;
    if (module == NULL)
        return NULL;
    module->code_start = code->start;
    module->code_end = code->end;
    module->code_offset = code->offset;
    module->next = modules->known;
    modules->known = module;
    modules->count++;
    return module;
}

/* --- the view -------------------------------------------------------------------------------- */

/* Consecutive mappings of one file; one that begins anew begins another module. */
struct group {
    struct mapping first;
    uintptr_t end;
    size_t first_code; /* of the view */
};

static bool belongs(const struct group *group, const struct mapping *mapping)
{
    return mapping->inode != 0 && mapping->inode == group->first.inode &&
           mapping->device == group->first.device && mapping->offset != 0;
}

static void close_group(struct modules *modules, const struct group *group, struct view *view)
{
    if (group->first_code == view->count || group->first.path == NULL ||
        (group->first.inode == 0 && strcmp(group->first.path, "[vdso]") != 0))
        return;
    const struct module *module =
        module_of(modules, &group->first, group->end, &view->code[group->first_code]);
    for (size_t i = group->first_code; i < view->count; i++)
        view->code[i].module = module;
}

static size_t count_lines(const struct buf *text)
{
    size_t count = 1;
    for (const char *at = text->data; at != NULL && (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

static struct view *make_view(struct modules *modules, struct buf *text)
{
    struct view *view = malloc(sizeof *view + count_lines(text) * sizeof view->code[0]);
    if (view == NULL)
        return NULL;
    view->count = 0;
    struct group group = {0};
    struct mapping mapping;
    char *rest = text->data, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (!parse_mapping(line, &mapping))
            continue;
        if (!belongs(&group, &mapping)) {
            close_group(modules, &group, view);
            group = (struct group){.first = mapping, .first_code = view->count};
        }
        group.end = mapping.end;
        if (mapping.executable)
            view->code[view->count++] =
                (struct code){.start = mapping.start, .end = mapping.end, .offset = mapping.offset};
    }
    close_group(modules, &group, view);
    return view;
}

static bool same(const struct view *a, const struct view *b)
{
    if (a == NULL || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->code[i].start != b->code[i].start || a->code[i].end != b->code[i].end ||
            a->code[i].module != b->code[i].module)
            return false;
    return true;
}

int modules_refresh(struct modules *modules, void (*settle)(void))
{
    auto_buf struct buf text = {0};
    int rc = read_maps(&text);
    if (rc < 0)
        return rc;
    struct view *view = make_view(modules, &text);
    if (view == NULL)
        return -ENOMEM;
    const struct view *before = atomic_load(&modules->view);
    if (same(before, view)) {
        free(view);
        return 0;
    }
    atomic_store(&modules->view, view);
    if (settle != NULL)
        settle();
    free((void *)before);
    return 0;
}

const struct code *view_find(const struct view *view, uintptr_t address)
{
    size_t low = 0, high = view->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view->code[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < view->code[low - 1].end ? &view->code[low - 1] : NULL;
}

const struct module *modules_find(const struct module *known, uintptr_t address)
{
    while (known != NULL && (address < known->start || address >= known->end))
        known = known->next;
    return known;
}

int modules_new(struct modules **out)
{
    struct modules *modules = calloc(1, sizeof *modules);
    if (modules == NULL)
        return -ENOMEM;
    atomic_init(&modules->users, 1);
    *out = modules;
    return 0;
}

void modules_free(struct modules *modules)
{
    if (modules == NULL || atomic_fetch_sub(&modules->users, 1) > 1)
        return;
    while (modules->known != NULL) {
        struct module *module = (struct module *)modules->known;
        modules->known = module->next;
        free_module(module);
    }
    free((void *)atomic_load(&modules->view));
    free(modules);
}

/* SPDX-License-Identifier: MIT */
#include "profile/symtab.h"

#include "base/auto.h"
#include "base/buildid.h"
#include "base/pages.h"
#include "base/peek.h"
#include "base/read.h"
#include "base/sort.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_MAX ((uint64_t)256 << 20)
#define NOTES_MAX 65536

/* Owned; NULL: it is empty, too large, or not there. With a NUL behind it. */
static void *read_part(int fd, uint64_t offset, uint64_t size)
{
    char *data = size > 0 && size <= TABLE_MAX ? calloc(1, size + 1) : NULL;
    if (data == NULL)
        return NULL;
    if (read_at(fd, data, size, offset))
        return data;
    free(data);
    return NULL;
}

/* --- is it the file that is mapped ----------------------------------------------------------- */

static bool notes_hold(const unsigned char *notes, size_t size, const struct module *module)
{
    size_t found;
    const unsigned char *id = buildid_find(notes, size, &found);
    return id != NULL && found == module->build_id_size && memcmp(id, module->build_id, found) == 0;
}

static bool has_build_id(int fd, const struct module *module)
{
    ElfW(Ehdr) head;
    if (!read_at(fd, &head, sizeof head, 0) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(ElfW(Phdr)))
        return false;
    auto_free ElfW(Phdr) *headers =
        read_part(fd, head.e_phoff, (uint64_t)head.e_phnum * sizeof *headers);
    for (size_t i = 0; headers != NULL && i < head.e_phnum; i++) {
        if (headers[i].p_type != PT_NOTE || headers[i].p_filesz > NOTES_MAX)
            continue;
        auto_free unsigned char *notes = read_part(fd, headers[i].p_offset, headers[i].p_filesz);
        if (notes != NULL && notes_hold(notes, headers[i].p_filesz, module))
            return true;
    }
    return false;
}

/* Without a build id the number of the file has to do. */
static bool is_that(int fd, const struct module *module)
{
    struct stat now;
    if (module->build_id_size > 0)
        return has_build_id(fd, module);
    return fstat(fd, &now) == 0 && now.st_ino == module->inode;
}

static int try_open(const char *path, const struct module *module)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && is_that(fd, module))
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* What the kernel brings has no file: a copy in memory is one as well. */
static int copy_of_vdso(const struct module *module)
{
    size_t size = module->end - module->start;
    auto_free char *data = size <= TABLE_MAX ? malloc(size) : NULL;
    auto_close int fd = memfd_create("vdso", MFD_CLOEXEC);
    if (data == NULL || fd < 0 || peek_copy(data, module->start, size) != size ||
        write(fd, data, size) != (ssize_t)size)
        return -1;
    return take_fd(&fd);
}

/* The kernel keeps ways to files that have lost their name: to the program for everybody, to the
 * others for who may. */
int symtab_open(const struct module *module)
{
    char path[64];
    if (module->inode == 0)
        return copy_of_vdso(module);
    int fd = try_open("/proc/self/exe", module);
    if (fd < 0 && module->path[0] == '/')
        fd = try_open(module->path, module);
    (void)snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", module->code_start,
                   module->code_end);
    return fd >= 0 ? fd : try_open(path, module);
}

/* --- the tables ------------------------------------------------------------------------------ */

static int by_start(const void *a, const void *b)
{
    const struct symtab_function *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    return left->rank > right->rank ? -1 : left->rank < right->rank;
}

/* snprintf goes before __snprintf, and both before a name without a size. */
static uint32_t rank_of(const ElfW(Sym) * symbol, const char *name)
{
    return (symbol->st_size == 0 ? 100 : 0) + (uint32_t)strspn(name, "_");
}

static bool is_function(const ElfW(Sym) * symbol, uint64_t names_size)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    return symbol->st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_GNU_IFUNC) &&
           symbol->st_name < names_size;
}

/* As read_part, but it can be large: to be given back by pages_free, with one byte more. */
static void *read_table(int fd, uint64_t offset, uint64_t size)
{
    char *data = size > 0 && size <= TABLE_MAX ? pages_resize(NULL, 0, size + 1) : NULL;
    if (data == NULL || read_at(fd, data, size, offset))
        return data;
    pages_free(data, size + 1);
    return NULL;
}

static void take_symbols(const ElfW(Sym) * symbols, size_t count, struct symtab *out)
{
    out->all = pages_resize(NULL, 0, count * sizeof out->all[0]);
    out->capacity = out->all != NULL ? count : 0;
    for (size_t i = 0; i < out->capacity; i++)
        if (is_function(&symbols[i], out->names_size))
            out->all[out->count++] = (struct symtab_function){
                symbols[i].st_value, symbols[i].st_size, symbols[i].st_name,
                rank_of(&symbols[i], out->names + symbols[i].st_name)};
    if (!sort_runs(out->all, out->count, sizeof out->all[0], by_start))
        out->count = 0;
}

static void take_table(int fd, const ElfW(Shdr) * table, const ElfW(Shdr) * strings,
                       struct symtab *out)
{
    size_t count = table->sh_size / sizeof(ElfW(Sym)), size = count * sizeof(ElfW(Sym));
    ElfW(Sym) *symbols = read_table(fd, table->sh_offset, size);
    out->names = read_table(fd, strings->sh_offset, strings->sh_size);
    out->names_size = out->names != NULL ? strings->sh_size : 0;
    if (symbols != NULL && out->names != NULL)
        take_symbols(symbols, count, out);
    pages_free(symbols, size + 1);
}

/* The whole table when there is one, else that of what is exported. */
static const ElfW(Shdr) * choose(const ElfW(Shdr) * sections, size_t count)
{
    const ElfW(Shdr) *found = NULL;
    for (size_t i = 0; i < count; i++) {
        uint32_t type = sections[i].sh_type;
        bool wanted = type == SHT_SYMTAB || (type == SHT_DYNSYM && found == NULL);
        if (wanted && sections[i].sh_entsize == sizeof(ElfW(Sym)) && sections[i].sh_link < count)
            found = &sections[i];
    }
    return found;
}

void symtab_read(int fd, struct symtab *out)
{
    ElfW(Ehdr) head;
    *out = (struct symtab){0};
    if (fd < 0 || !read_at(fd, &head, sizeof head, 0) || head.e_shnum == 0 ||
        head.e_shentsize != sizeof(ElfW(Shdr)))
        return;
    auto_free ElfW(Shdr) *sections =
        read_part(fd, head.e_shoff, (uint64_t)head.e_shnum * sizeof *sections);
    const ElfW(Shdr) *table = sections != NULL ? choose(sections, head.e_shnum) : NULL;
    if (table != NULL)
        take_table(fd, table, &sections[table->sh_link], out);
}

const char *symtab_find(const struct symtab *symtab, uint64_t at)
{
    size_t low = 0, high = symtab->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symtab->all[middle].start <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const struct symtab_function *function = &symtab->all[low - 1];
    return at - function->start < function->size ? symtab->names + function->name : NULL;
}

void symtab_free(struct symtab *symtab)
{
    pages_free(symtab->all, symtab->capacity * sizeof symtab->all[0]);
    pages_free(symtab->names, symtab->names_size + 1);
    *symtab = (struct symtab){0};
}

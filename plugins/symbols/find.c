/* SPDX-License-Identifier: MIT */
#include "find.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/usr/lib/debug"

static bool has_build_id(int fd, const struct naming_file *file)
{
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    const void *id = NULL;
    ssize_t size = elf != NULL ? dwelf_elf_gnu_build_id(elf, &id) : -1;
    bool same = size > 0 && (size_t)size == file->build_id_size &&
                memcmp(id, file->build_id, file->build_id_size) == 0;
    (void)elf_end(elf);
    return same;
}

/* It is read within the program, so it has to be from who may change the program, or is it. */
static bool is_trusted(int fd)
{
    struct stat now;
    return fstat(fd, &now) == 0 && S_ISREG(now.st_mode) &&
           (now.st_uid == 0 || now.st_uid == geteuid());
}

static int try_path(const char *path, const struct naming_file *file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && is_trusted(fd) && has_build_id(fd, file))
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* /usr/lib/debug/.build-id/ab/cdef....debug, where packages put it. */
static int by_build_id(const struct naming_file *file)
{
    char path[PATH_MAX], id[2 * 64 + 1] = "";
    for (size_t i = 0; i < file->build_id_size && i < 64; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", file->build_id[i]);
    (void)snprintf(path, sizeof path, FOLDER "/.build-id/%.2s/%s.debug", id, id + 2);
    return try_path(path, file);
}

/* The name that strip or objcopy have left, beside the file, below .debug/, or in the folder for
 * all of them. */
static int by_link(const struct naming_file *file)
{
    static const char *const places[][2] = {{"", "/"}, {"", "/.debug/"}, {FOLDER, "/"}};
    char path[PATH_MAX], name[NAME_MAX + 1] = "";
    GElf_Word crc;
    Elf *elf = elf_begin(file->fd, ELF_C_READ, NULL);
    const char *link = elf != NULL ? dwelf_elf_gnu_debuglink(elf, &crc) : NULL;
    if (link != NULL && strchr(link, '/') == NULL)
        (void)snprintf(name, sizeof name, "%s", link);
    (void)elf_end(elf);
    const char *slash = strrchr(file->path, '/');
    if (name[0] == '\0' || slash == NULL || file->path[0] != '/')
        return -1;
    int fd = -1;
    for (size_t i = 0; i < sizeof places / sizeof places[0] && fd < 0; i++) {
        (void)snprintf(path, sizeof path, "%s%.*s%s%s", places[i][0], (int)(slash - file->path),
                       file->path, places[i][1], name);
        fd = try_path(path, file);
    }
    return fd;
}

int find_debug_file(const struct naming_file *file)
{
    if (file->build_id_size < 2)
        return -1;
    int fd = by_build_id(file);
    return fd >= 0 ? fd : by_link(file);
}

int find_common_file(const char *name, const void *build_id, size_t size)
{
    const struct naming_file common = {.fd = -1, .build_id = build_id, .build_id_size = size};
    if (size < 2)
        return -1;
    int fd = by_build_id(&common);
    return fd < 0 && name[0] == '/' ? try_path(name, &common) : fd;
}

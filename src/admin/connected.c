/* SPDX-License-Identifier: MIT
 *
 * /proc/PID/fd names the sockets by inode, /proc/PID/net/tcp and tcp6 say which of the network
 * namespace are established. Both are bounded: beyond 65536 descriptors or 16 MiB nobody counts.
 */
#include "admin/connected.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKETS_MAX 65536
#define LINES_MAX 100000
#define ESTABLISHED 1

struct inodes {
    uint64_t *list;
    size_t count, capacity;
};

static bool add(struct inodes *inodes, uint64_t inode)
{
    if (inodes->count == inodes->capacity) {
        size_t capacity = inodes->capacity > 0 ? inodes->capacity * 2 : 64;
        void *grown =
            capacity <= SOCKETS_MAX ? realloc(inodes->list, capacity * sizeof inode) : NULL;
        if (grown == NULL)
            return false;
        inodes->list = grown;
        inodes->capacity = capacity;
    }
    inodes->list[inodes->count++] = inode;
    return true;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static bool read_sockets(int pid, struct inodes *out)
{
    char path[64], link[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    bool good = true;
    const struct dirent *entry;
    while (good && (errno = 0, entry = readdir(folder)) != NULL) {
        uint64_t inode;
        ssize_t size = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
        link[size > 0 ? size : 0] = '\0';
        // NOLINTNEXTLINE(cert-err34-c): the number is the kernel's, and fits
        if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
            good = add(out, inode);
    }
    good = good && errno == 0;
    (void)closedir(folder);
    if (out->count > 0)
        qsort(out->list, out->count, sizeof out->list[0], compare);
    return good;
}

static bool is_ours(const struct inodes *inodes, uint64_t inode)
{
    return inodes->count > 0 &&
           bsearch(&inode, inodes->list, inodes->count, sizeof inodes->list[0], compare) != NULL;
}

/* The established ones of a table; what is no line of it counts nothing. */
static int64_t count_in(int pid, const char *table, const struct inodes *inodes)
{
    char path[64], line[256];
    int64_t count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/net/%s", pid, table);
    FILE *file = fopen(path, "re");
    for (int i = 0; file != NULL && i < LINES_MAX && fgets(line, sizeof line, file) != NULL; i++) {
        unsigned state;
        uint64_t inode;
        // NOLINTNEXTLINE(cert-err34-c): the same
        if (sscanf(line, "%*d: %*s %*s %x %*s %*s %*s %*d %*d %" SCNu64, &state, &inode) == 2)
            count += state == ESTABLISHED && is_ours(inodes, inode);
    }
    if (file != NULL)
        (void)fclose(file);
    return count;
}

int64_t connected_count(int pid)
{
    struct inodes inodes = {0};
    bool known = read_sockets(pid, &inodes);
    int64_t count = known ? count_in(pid, "tcp", &inodes) + count_in(pid, "tcp6", &inodes) : -1;
    free(inodes.list);
    return count;
}

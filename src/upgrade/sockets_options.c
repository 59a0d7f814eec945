/* SPDX-License-Identifier: MIT
 *
 * Options that belong to the socket itself, which all generations share: only the one in office
 * changes them, and what was so before is given back when it fails.
 */
#include "upgrade/sockets_entry.h"

#include <stdio.h>
#include <string.h>

static struct sockets_entry *next_due_locked(const struct sockets *sockets, const char *only,
                                             size_t *at)
{
    bool any = sockets->in_office && sockets->due > 0;
    for (; any && *at < sockets->count; (*at)++) {
        struct sockets_entry *entry = sockets->entries[*at];
        if (entry->due && (only == NULL || strcmp(entry->as.name, only) == 0))
            return entry;
    }
    return NULL;
}

/* A backlog is set at once, a mode by the file system: from a copy, without the lock. */
static bool apply_to_next(struct sockets *sockets, const char *only, size_t *at,
                          char name[HANDOVER_NAME_MAX], const char **refused)
{
    struct sockets_entry copy;
    int rc = 0;
    pthread_mutex_lock(&sockets->lock);
    struct sockets_entry *entry = next_due_locked(sockets, only, at);
    if (entry != NULL) {
        entry->due = false;
        sockets->due--;
        rc = bind_set_backlog(entry->fd, &entry->bound, entry->backlog);
        copy = *entry;
    }
    pthread_mutex_unlock(&sockets->lock);
    if (entry == NULL)
        return false;
    const char *option = rc < 0 ? "backlog" : NULL;
    const struct bind_path path = {.device = copy.as.device, .inode = copy.as.inode};
    if (bind_set_mode(&copy.bound, &path, copy.mode) < 0)
        option = "mode";
    if (option != NULL) {
        *refused = option;
        (void)snprintf(name, HANDOVER_NAME_MAX, "%s", copy.as.name);
    }
    return true;
}

const char *sockets_apply(struct sockets *sockets, const char *only, char name[HANDOVER_NAME_MAX])
{
    const char *refused = NULL;
    bool any;
    do { /* again from the start: what was closed meanwhile may have made one slip past */
        size_t at = 0;
        for (any = false; apply_to_next(sockets, only, &at, name, &refused); any = true) {
        }
    } while (any);
    return refused;
}

void sockets_note_options(struct sockets_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct handover_entry *as = &snapshot->entries[i];
        const struct bind_path path = {.device = as->device, .inode = as->inode};
        struct sockets_shared *shared = &snapshot->shared[i];
        shared->mode = bind_mode(&shared->bound, &path);
    }
}

void sockets_restore(const struct sockets_snapshot *snapshot)
{
    for (size_t i = 0; snapshot != NULL && i < snapshot->count; i++) {
        const struct handover_entry *as = &snapshot->entries[i];
        const struct bind_path path = {.device = as->device, .inode = as->inode};
        const struct sockets_shared *shared = &snapshot->shared[i];
        if (as->kind != HANDOVER_LISTENER)
            continue;
        /* What the one before was allowed to change can be changed back; else it stays. */
        (void)bind_set_backlog(snapshot->fds[i], &shared->bound, shared->backlog);
        (void)bind_set_mode(&shared->bound, &path, shared->mode);
    }
}

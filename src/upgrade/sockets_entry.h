/* SPDX-License-Identifier: MIT
 *
 * What the files of sockets share. Functions that end in _locked want the lock.
 */
#ifndef UPGRADE_SOCKETS_ENTRY_H
#define UPGRADE_SOCKETS_ENTRY_H

#include "upgrade/sockets.h"

enum sockets_state {
    CAME_IN, /* from the generation before or from outside, and nobody has asked for it yet */
    CLAIMED, /* a call of sockets_listen looks at it; it may go back */
    OURS     /* asked for, opened or kept here: it is handed on */
};

struct sockets_entry {
    struct handover_entry as; /* what a new generation is told */
    struct address asked;     /* as.address; family 0 when it cannot be read */
    struct address bound;     /* of a listener; family 0 when it is no socket that we know */
    enum sockets_state state;
    bool activated; /* from the service manager; no generation before has asked for it, or the last
                       one has not */
    bool made;      /* by this process */
    bool handed_on; /* another generation may have it */
    bool let_go;
    bool due;          /* came in, and what follows has not been applied to it yet */
    int backlog, mode; /* as bind_set_backlog and bind_set_mode take them */
    int fd;
    int gate;                   /* or -1: nobody has asked for it */
    struct sockets_entry *next; /* in its chain */
    const char *origin;         /* "made", "handed over", "activated" */
};

#define SOCKETS_PAGE 1024

/* Descriptors to entries. Pages come and stay, so that a reader needs no lock. */
struct sockets_page {
    _Atomic(struct sockets_entry *) slots[SOCKETS_PAGE];
};

/* The listener of this number, or NULL. Without the lock the answer is yes or no: the entry itself
 * may go any time. */
static inline struct sockets_entry *sockets_find(struct sockets *sockets, int fd)
{
    if (fd < 0 || fd >= SOCKETS_PAGES * SOCKETS_PAGE)
        return NULL;
    struct sockets_page *page =
        atomic_load_explicit(&sockets->pages[fd / SOCKETS_PAGE], memory_order_acquire);
    return page == NULL
               ? NULL
               : atomic_load_explicit(&page->slots[fd % SOCKETS_PAGE], memory_order_acquire);
}

/* An entry of no descriptor, or NULL. */
struct sockets_entry *sockets_entry_new(const struct handover_entry *as);

/* Closes, and frees; unlinks the path before that if told so. Without the lock: the file system may
 * be slow. */
void sockets_dispose(struct sockets_entry *entry, bool with_path);

/* Room for so many more, which sockets_append_locked then uses up. 0 or -ENOMEM. */
int sockets_reserve_locked(struct sockets *sockets, size_t more);
void sockets_append_locked(struct sockets *sockets, struct sockets_entry *entry);
void sockets_remove_locked(struct sockets *sockets, struct sockets_entry *entry);

/* Gives one that was appended another name. */
void sockets_rename_locked(struct sockets *sockets, struct sockets_entry *entry, const char *name,
                           uint32_t index);

/* The listeners of this name and index: the first one (after: NULL), and the next. Or NULL. */
struct sockets_entry *sockets_named_locked(const struct sockets *sockets, const char *name,
                                           uint32_t index, const struct sockets_entry *after);

/* Makes sockets_index_locked possible. 0, -ENOMEM, -EMFILE: a number beyond all reason. */
int sockets_index_reserve_locked(struct sockets *sockets, int fd);
void sockets_index_locked(struct sockets *sockets, int fd, struct sockets_entry *entry);

/* The modes of paths; without the lock. */
void sockets_note_options(struct sockets_snapshot *snapshot);

/* Closes what was kept, and what the service manager opened and nobody asked for. */
void sockets_drop_handed_on(struct sockets *sockets);

/* May this generation unlink its path? */
bool sockets_owns_path_locked(const struct sockets *sockets, const struct sockets_entry *entry);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Everything that has a name and may be handed over: listeners with their gate, kept descriptors,
 * and what came from the generation before (or the service manager) and was not asked for yet.
 * No call of the program and no log under a lock. Threads: any, unless said otherwise.
 */
#ifndef UPGRADE_SOCKETS_H
#define UPGRADE_SOCKETS_H

#include "upgrade/address.h"
#include "upgrade/bind.h"
#include "upgrade/handover.h"

#include <pthread.h>
#include <srun/error.h>
#include <srun/upgrade.h>
#include <stdatomic.h>
#include <stdbool.h>

struct sockets_entry; /* in sockets_entry.h */
struct sockets_page;

#define SOCKETS_PAGES 1024 /* of 1024 descriptors each */
#define SOCKETS_CHAINS 256 /* a power of two */

struct sockets {
    pthread_mutex_t turn; /* one sockets_listen or _close at a time, which may wait for the file
                             system. Taken before the lock, never after; by nobody else */
    pthread_mutex_t lock; /* guards what follows; never held for long */
    struct sockets_entry **entries;
    size_t count, capacity;
    struct sockets_entry *chains[SOCKETS_CHAINS]; /* listeners by name and index */
    size_t due;                                   /* how many wait for sockets_apply */
    bool any_outside;                             /* something came from the service manager */
    _Atomic bool open;                            /* the gate; written under the lock */
    bool in_office; /* this generation serves, so it may unlink paths */
    bool copied;    /* a new generation has copies: what was opened now it would not get */
    bool let_go;    /* it serves for good */
    int dead;       /* a socket of no use, made at the first listen, or -1 */
    _Atomic(struct sockets_page *) pages[SOCKETS_PAGES]; /* listeners by descriptor; read without
                                                            the lock */
};

void sockets_init(struct sockets *sockets);

/* Closes all that is left; removes paths of its own when in office, and in any case those that it
 * has made and never handed on: a new generation that failed leaves nothing behind. */
void sockets_destroy(struct sockets *sockets);

/* As srun_listen_with; *found, which may be NULL, says for the log where the first one comes from,
 * "made", "handed over", "activated"; and an option that cannot be changed any more, or NULL. Looks
 * among those of this name that are open already, then among what was handed over with this name
 * and address (port 0 is port 0), then among what the service manager opened: by name, with or
 * without ".socket", else by address. What comes in is believed only when it is such a socket, and
 * gets its options from sockets_apply. Of a unix address there is one socket only. */
struct sockets_found {
    const char *origin, *fixed;
};
int sockets_listen(struct sockets *sockets, const char *name, const char *address,
                   const struct srun_listen_options *options, int *fds, unsigned count,
                   struct sockets_found *found, srun_err *err);
int sockets_close(struct sockets *sockets, const char *name);

/* As srun_gate_fd, srun_accept_now, srun_listen_address. */
int sockets_gate_fd(struct sockets *sockets, int fd);
int sockets_accept(struct sockets *sockets, int fd, struct sockaddr *peer, socklen_t *length);
int sockets_address(struct sockets *sockets, int fd, char *out, size_t size);

/* The gate of all listeners at once. */
void sockets_open(struct sockets *sockets);
void sockets_shut(struct sockets *sockets);
void sockets_set_office(struct sockets *sockets, bool in_office);

/* In office, gives what came in the backlog and mode that were asked for here, once: all, or those
 * of one name. Not in office it does nothing: they would change for the generation that serves.
 * NULL, or an option that the system refuses, and whose. May wait for the file system. */
const char *sockets_apply(struct sockets *sockets, const char *only, char name[HANDOVER_NAME_MAX]);

/* As srun_upgrade_keep (fd is copied; kind KEPT or STATE), forget, take. */
int sockets_keep(struct sockets *sockets, const char *name, int fd, enum handover_kind kind,
                 srun_err *err);
int sockets_forget(struct sockets *sockets, const char *name);
int sockets_take(struct sockets *sockets, const char *name, enum handover_kind *kind, int *fd);

/* A descriptor that came from the generation before; or, when its address is "", from the service
 * manager, by way of a generation before or not. Owned from here on, also on an error, when it is
 * closed. 0 or -ENOMEM. */
int sockets_adopt(struct sockets *sockets, const struct handover_entry *entry, int fd);

/* What a new generation gets: entries and copies of their descriptors (close-on-exec), so that what
 * happens meanwhile does not matter. What came in and was not asked for is not handed on, unless
 * the service manager opened it: it has the address for ever, so who wants to listen there some day
 * has to have this socket. */
struct sockets_snapshot {
    size_t count;
    struct handover_entry *entries;
    int *fds;
    struct sockets_shared { /* of a listener: what the new generation may change, as it is now */
        struct address bound;
        int backlog, mode;
    } * shared;
};
/* How many that would be now. */
size_t sockets_to_hand_over(struct sockets *sockets);
/* 0, -ENOMEM, -EMFILE. */
int sockets_snapshot(struct sockets *sockets, struct sockets_snapshot **out);
struct sockets_snapshot *sockets_snapshot_free(struct sockets_snapshot *snapshot);

/* In office again: backlogs and modes as they were when this was handed over. snapshot may be NULL.
 */
void sockets_restore(const struct sockets_snapshot *snapshot);

/* From a snapshot on nothing new is opened (-EBUSY), and the path of what is closed stays, since
 * the new generation may have the socket. That generation has failed: until the next snapshot all
 * is as before, and in office the paths go of what was closed. snapshot may be NULL. */
void sockets_thaw(struct sockets *sockets, const struct sockets_snapshot *snapshot);

/* What the generation before had and this one has not asked for; or, activated, what the service
 * manager opened and neither has. How many, and their names ("a, a#1, b"; one without a name by its
 * address), whole ones only, with dots when not all fit. */
size_t sockets_unclaimed(struct sockets *sockets, bool activated, char *names, size_t size);

/* Closes what came in and was not asked for, with the paths of listeners; not what the service
 * manager opened. */
void sockets_drop_unclaimed(struct sockets *sockets);

/* The successor serves for good: lets go of the listeners without freeing their numbers, which the
 * program may still use: each becomes a socket that nothing can connect to and that is never
 * readable; but one of datagrams stays, for answers, until it is closed. The gate is shut, and
 * stays so. What was kept, and what the service manager opened and nobody asked for, is closed:
 * nobody gets it from here any more, and as long as a copy is open its other end does not hear that
 * the successor has closed. */
void sockets_let_go(struct sockets *sockets);

#endif

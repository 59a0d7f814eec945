/* SPDX-License-Identifier: MIT
 *
 * Which of the things that somebody watches have changed since he last looked: each once, in the
 * order in which they changed first. So it never fills up, and marking never waits. What they have
 * changed to is looked up when it is taken, and is never old; a change that was seen that way
 * before it was marked is not told again. PURE, no locks: the owner has one.
 */
#ifndef HEALTH_MAILBOX_H
#define HEALTH_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

struct mailbox {
    unsigned sources; /* how many there are in the world, by index */
    unsigned watched, first, waiting;
    uint64_t missed; /* changes overtaken by a newer one of the same source */
    unsigned *ring;  /* of as many as are watched */
    uint64_t *seen;  /* of each source: its changes when it was taken last */
    unsigned char *flags;
};

/* 0 or -ENOMEM. */
int mailbox_init(struct mailbox *box, unsigned sources);
void mailbox_free(struct mailbox *box);

/* Before the first mark. Twice is the same as once. */
void mailbox_watch(struct mailbox *box, unsigned source);
bool mailbox_watches(const struct mailbox *box, unsigned source);

/* It has changed, so often by now; nothing when it is not watched, or was seen like that. True when
 * the box was empty and is not any more. */
bool mailbox_mark(struct mailbox *box, unsigned source, uint64_t changes);
void mailbox_mark_all(struct mailbox *box); /* seen or not */

/* The next one; false when there is none. Who looks it up says how often it had changed. */
bool mailbox_take(struct mailbox *box, unsigned *source);
void mailbox_saw(struct mailbox *box, unsigned source, uint64_t changes);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Which of the things that somebody watches have changed since he last looked: each once, in the
 * order in which they changed first. So it never fills up, and marking never waits. What they have
 * changed to is looked up when it is taken, and is never old. PURE, no locks: the owner has one.
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
    unsigned char *flags;
};

/* 0 or -ENOMEM. */
int mailbox_init(struct mailbox *box, unsigned sources);
void mailbox_free(struct mailbox *box);

/* Before the first mark. Twice is the same as once. */
void mailbox_watch(struct mailbox *box, unsigned source);
bool mailbox_watches(const struct mailbox *box, unsigned source);

/* It has changed; nothing when it is not watched. True when the box was empty. */
bool mailbox_mark(struct mailbox *box, unsigned source);
void mailbox_mark_all(struct mailbox *box);

/* The next one; false when there is none. */
bool mailbox_take(struct mailbox *box, unsigned *source);

#endif

/* SPDX-License-Identifier: MIT */
#include "health/mailbox.h"

#include <errno.h>
#include <stdlib.h>

enum { WATCHED = 1, MARKED = 2 };

int mailbox_init(struct mailbox *box, unsigned sources)
{
    *box = (struct mailbox){.sources = sources};
    box->ring = calloc((size_t)sources + 1, sizeof *box->ring);
    box->seen = calloc((size_t)sources + 1, sizeof *box->seen);
    box->flags = calloc((size_t)sources + 1, sizeof *box->flags);
    if (box->ring != NULL && box->seen != NULL && box->flags != NULL)
        return 0;
    mailbox_free(box);
    return -ENOMEM;
}

void mailbox_free(struct mailbox *box)
{
    free(box->ring);
    free(box->seen);
    free(box->flags);
    *box = (struct mailbox){0};
}

void mailbox_watch(struct mailbox *box, unsigned source)
{
    if (source >= box->sources || mailbox_watches(box, source))
        return;
    box->flags[source] |= WATCHED;
    box->watched++;
}

bool mailbox_watches(const struct mailbox *box, unsigned source)
{
    return source < box->sources && (box->flags[source] & WATCHED) != 0;
}

static bool is_marked(const struct mailbox *box, unsigned source)
{
    return (box->flags[source] & MARKED) != 0;
}

static bool mark(struct mailbox *box, unsigned source)
{
    box->flags[source] |= MARKED;
    box->ring[(box->first + box->waiting++) % box->watched] = source;
    return box->waiting == 1;
}

bool mailbox_mark(struct mailbox *box, unsigned source, uint64_t changes)
{
    if (!mailbox_watches(box, source) || box->seen[source] == changes)
        return false;
    if (is_marked(box, source)) {
        box->missed++;
        return false;
    }
    return mark(box, source);
}

void mailbox_mark_all(struct mailbox *box)
{
    for (unsigned source = 0; source < box->sources; source++)
        if (mailbox_watches(box, source) && !is_marked(box, source))
            (void)mark(box, source);
}

bool mailbox_take(struct mailbox *box, unsigned *source)
{
    if (box->waiting == 0)
        return false;
    *source = box->ring[box->first];
    box->first = (box->first + 1) % box->watched;
    box->waiting--;
    box->flags[*source] &= (unsigned char)~MARKED;
    return true;
}

void mailbox_saw(struct mailbox *box, unsigned source, uint64_t changes)
{
    box->seen[source] = changes;
}

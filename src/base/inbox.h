/* SPDX-License-Identifier: MIT
 *
 * Messages from many threads to one owner, in order of arrival. Items are embedded in what they
 * tell of, so posting never allocates and never fails; an item is posted again only after it was
 * taken. The descriptor becomes readable (edge) when the inbox was empty.
 * Threads: post from any that the owner outwaits before it destroys the inbox; take from the owner.
 */
#ifndef BASE_INBOX_H
#define BASE_INBOX_H

#include <pthread.h>

struct inbox_item {
    struct inbox_item *next;
    unsigned kind; /* the owner's: what the item is part of */
};

struct inbox {
    pthread_mutex_t lock;
    struct inbox_item *first, **end;
    int event;
};

/* 0 or a negative errno. */
int inbox_init(struct inbox *inbox);
void inbox_destroy(struct inbox *inbox);

void inbox_post(struct inbox *inbox, struct inbox_item *item);

/* All that has come so far, as a list, oldest first. Read item->next before handling an item. */
struct inbox_item *inbox_take(struct inbox *inbox);

#endif

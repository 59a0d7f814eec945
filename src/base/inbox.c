/* SPDX-License-Identifier: MIT */
#include "base/inbox.h"

#include "base/fd.h"

#include <stddef.h>
#include <unistd.h>

int inbox_init(struct inbox *inbox)
{
    inbox->event = fd_event_new();
    if (inbox->event < 0)
        return inbox->event;
    (void)pthread_mutex_init(&inbox->lock, NULL); /* cannot fail with default attributes */
    inbox->first = NULL;
    inbox->end = &inbox->first;
    return 0;
}

void inbox_destroy(struct inbox *inbox)
{
    if (inbox->event < 0)
        return;
    (void)close(inbox->event);
    inbox->event = -1;
    (void)pthread_mutex_destroy(&inbox->lock);
}

void inbox_post(struct inbox *inbox, struct inbox_item *item)
{
    item->next = NULL;
    pthread_mutex_lock(&inbox->lock);
    int was_empty = inbox->first == NULL;
    *inbox->end = item;
    inbox->end = &item->next;
    pthread_mutex_unlock(&inbox->lock);
    if (was_empty) /* without the lock, which the owner wants as soon as it wakes */
        fd_event_raise(inbox->event);
}

struct inbox_item *inbox_take(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    struct inbox_item *first = inbox->first;
    inbox->first = NULL;
    inbox->end = &inbox->first;
    pthread_mutex_unlock(&inbox->lock);
    return first;
}

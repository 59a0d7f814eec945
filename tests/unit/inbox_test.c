/* SPDX-License-Identifier: MIT
 *
 * Messages from many threads to one owner: none is lost, and each sender's keep their order.
 */
#include "base/fd.h"
#include "base/inbox.h"
#include "cast.h"

#include <poll.h>

enum { POSTERS = 16, MESSAGES = 2000 };

struct message {
    struct inbox_item item;
    int poster, number;
};

static struct inbox inbox;
static struct message messages[POSTERS][MESSAGES];

static void *post_all(void *arg)
{
    struct message *own = arg;
    for (int i = 0; i < MESSAGES; i++)
        inbox_post(&inbox, &own[i].item);
    return NULL;
}

START_TEST(loses_nothing_and_keeps_the_order_of_each_poster)
    {
        pthread_t threads[POSTERS];
        int next[POSTERS] = {0}, taken = 0;
        uint32_t tag;
        ck_assert_int_eq(inbox_init(&inbox), 0);
        int poller = fd_poller_new();
        ck_assert_int_eq(fd_poller_add(poller, inbox.event, 7, true), 0);
        for (int p = 0; p < POSTERS; p++) {
            for (int i = 0; i < MESSAGES; i++)
                messages[p][i] = (struct message){.poster = p, .number = i};
            ck_assert_int_eq(pthread_create(&threads[p], NULL, post_all, messages[p]), 0);
        }
        while (taken < POSTERS * MESSAGES) {
            /* told once for each time that it was empty: a missed edge would end here */
            ck_assert_int_eq(fd_poller_wait(poller, &tag, 1, (int)REAL_LIMIT_MS), 1);
            ck_assert_uint_eq(tag, 7);
            struct inbox_item *item = inbox_take(&inbox), *following;
            for (; item != NULL; item = following) {
                const struct message *message = (struct message *)(void *)item;
                following = item->next;
                ck_assert_int_eq(message->number, next[message->poster]++);
                taken++;
            }
        }
        for (int p = 0; p < POSTERS; p++)
            ck_assert_int_eq(pthread_join(threads[p], NULL), 0);
        ck_assert_ptr_null(inbox_take(&inbox));
        (void)close(poller);
        inbox_destroy(&inbox);
    }
END_TEST

START_TEST(takes_an_item_again_after_it_was_taken)
    {
        struct inbox_item item = {.kind = 3};
        ck_assert_int_eq(inbox_init(&inbox), 0);
        for (int i = 0; i < 3; i++) {
            inbox_post(&inbox, &item);
            ck_assert_ptr_eq(inbox_take(&inbox), &item);
            ck_assert_ptr_null(item.next);
            ck_assert_uint_eq(item.kind, 3);
            ck_assert_ptr_null(inbox_take(&inbox));
        }
        inbox_destroy(&inbox);
        inbox_destroy(&inbox); /* and twice is once */
    }
END_TEST

START_TEST(wakes_its_owner_only_when_it_was_empty)
    {
        struct inbox_item first = {0}, second = {0};
        uint32_t tag;
        ck_assert_int_eq(inbox_init(&inbox), 0);
        int poller = fd_poller_new();
        ck_assert_int_eq(fd_poller_add(poller, inbox.event, 1, true), 0);
        ck_assert_int_eq(fd_poller_wait(poller, &tag, 1, 0), 0);
        inbox_post(&inbox, &first);
        ck_assert_int_eq(fd_poller_wait(poller, &tag, 1, 0), 1);
        inbox_post(&inbox, &second);
        ck_assert_int_eq(fd_poller_wait(poller, &tag, 1, 0), 0);
        ck_assert_ptr_eq(inbox_take(&inbox), &first);
        inbox_post(&inbox, &first);
        ck_assert_int_eq(fd_poller_wait(poller, &tag, 1, 0), 1);
        (void)close(poller);
        inbox_destroy(&inbox);
    }
END_TEST

int main(void)
{
    return HARNESS("inbox", loses_nothing_and_keeps_the_order_of_each_poster,
                   takes_an_item_again_after_it_was_taken, wakes_its_owner_only_when_it_was_empty);
}

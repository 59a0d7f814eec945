/* SPDX-License-Identifier: MIT
 *
 * Mailboxes of those who watch: what has changed, each once, in order.
 */
#include "harness.h"
#include "health/mailbox.h"

#include <stdlib.h>

static void assert_takes(struct mailbox *box, unsigned wanted)
{
    unsigned source = 99;
    ck_assert(mailbox_take(box, &source));
    ck_assert_uint_eq(source, wanted);
}

static void assert_empty(struct mailbox *box)
{
    unsigned source;
    ck_assert(!mailbox_take(box, &source));
    ck_assert_uint_eq(box->waiting, 0);
}

static void open_box(struct mailbox *box, unsigned sources)
{
    ck_assert_int_eq(mailbox_init(box, sources), 0);
}

/* One change more. */
static bool mark(struct mailbox *box, unsigned source)
{
    static uint64_t changes;
    return mailbox_mark(box, source, ++changes);
}

static void watch_all(struct mailbox *box)
{
    for (unsigned i = 0; i < box->sources; i++)
        mailbox_watch(box, i);
}

START_TEST(gives_each_change_once_in_the_order_of_the_first)
    {
        struct mailbox box;
        open_box(&box, 4);
        watch_all(&box);
        assert_empty(&box);
        ck_assert(mark(&box, 2));
        ck_assert(!mark(&box, 0));
        ck_assert(!mark(&box, 2));
        ck_assert(!mark(&box, 3));
        assert_takes(&box, 2);
        assert_takes(&box, 0);
        ck_assert(!mark(&box, 2)); /* again, behind the others */
        assert_takes(&box, 3);
        assert_takes(&box, 2);
        assert_empty(&box);
        ck_assert(mark(&box, 1));
        mailbox_free(&box);
    }
END_TEST

START_TEST(counts_what_was_overtaken)
    {
        struct mailbox box;
        open_box(&box, 2);
        watch_all(&box);
        for (int i = 0; i < 10; i++)
            (void)mark(&box, 1);
        (void)mark(&box, 0);
        ck_assert_uint_eq(box.missed, 9);
        assert_takes(&box, 1);
        (void)mark(&box, 1);
        ck_assert_uint_eq(box.missed, 9);
        mailbox_free(&box);
    }
END_TEST

START_TEST(hears_only_of_what_it_watches)
    {
        struct mailbox box;
        open_box(&box, 3);
        mailbox_watch(&box, 1);
        mailbox_watch(&box, 1);
        mailbox_watch(&box, 3); /* there is none */
        ck_assert_uint_eq(box.watched, 1);
        ck_assert(mailbox_watches(&box, 1));
        ck_assert(!mailbox_watches(&box, 0));
        ck_assert(!mailbox_watches(&box, 3));
        ck_assert(!mark(&box, 0));
        ck_assert(!mark(&box, 3));
        ck_assert(mark(&box, 1));
        assert_takes(&box, 1);
        assert_empty(&box);
        ck_assert_uint_eq(box.missed, 0);
        mailbox_free(&box);
    }
END_TEST

START_TEST(marks_all_for_a_snapshot_and_counts_none_as_overtaken)
    {
        struct mailbox box;
        open_box(&box, 4);
        for (unsigned i = 1; i < 4; i++)
            mailbox_watch(&box, i);
        (void)mark(&box, 2);
        mailbox_mark_all(&box);
        mailbox_mark_all(&box);
        ck_assert_uint_eq(box.waiting, 3);
        ck_assert_uint_eq(box.missed, 0);
        assert_takes(&box, 2);
        assert_takes(&box, 1);
        assert_takes(&box, 3);
        assert_empty(&box);
        mailbox_free(&box);
    }
END_TEST

START_TEST(tells_no_change_that_was_seen_before_it_was_marked)
    {
        struct mailbox box;
        open_box(&box, 2);
        watch_all(&box);
        ck_assert(mailbox_mark(&box, 0, 1));
        assert_takes(&box, 0);
        mailbox_saw(&box, 0, 3); /* two more, of which nobody has told yet */
        ck_assert(!mailbox_mark(&box, 0, 3));
        assert_empty(&box);
        ck_assert_uint_eq(box.missed, 0);
        ck_assert(mailbox_mark(&box, 1, 3)); /* another one */
        ck_assert(!mailbox_mark(&box, 0, 4));
        assert_takes(&box, 1);
        assert_takes(&box, 0);
        mailbox_saw(&box, 0, 4);
        mailbox_mark_all(&box); /* a snapshot has all */
        ck_assert_uint_eq(box.waiting, 2);
        mailbox_free(&box);
    }
END_TEST

START_TEST(can_watch_nothing)
    {
        struct mailbox box;
        open_box(&box, 0);
        mailbox_mark_all(&box);
        ck_assert(!mark(&box, 0));
        assert_empty(&box);
        mailbox_free(&box);
        open_box(&box, 5);
        mailbox_mark_all(&box);
        assert_empty(&box);
        mailbox_free(&box);
    }
END_TEST

/* Beside a plain list. */
START_TEST(keeps_the_order_however_marks_and_takes_mix)
    {
        enum { SOURCES = 7 };
        struct mailbox box;
        unsigned list[SOURCES], count = 0;
        uint64_t random = 1, missed = 0;
        open_box(&box, SOURCES);
        watch_all(&box);
        for (int step = 0; step < 20000; step++) {
            random = random * UINT64_C(6364136223846793005) + 1;
            unsigned source = (unsigned)(random >> 40) % SOURCES, taken = 0, at = 0;
            if ((random >> 60) % 2 == 0) {
                while (at < count && list[at] != source)
                    at++;
                bool first = mark(&box, source);
                if (first != (count == 0))
                    ck_abort_msg("it was empty, or was not");
                missed += at < count;
                if (at == count)
                    list[count++] = source;
            } else if (mailbox_take(&box, &taken) != (count > 0) ||
                       (count > 0 && taken != list[0])) {
                ck_abort_msg("takes %u", taken);
            } else if (count > 0) {
                count--;
                for (unsigned i = 0; i < count; i++)
                    list[i] = list[i + 1];
            }
        }
        ck_assert_uint_eq(box.missed, missed);
        ck_assert_uint_eq(box.waiting, count);
        mailbox_free(&box);
    }
END_TEST

int main(void)
{
    return HARNESS("mailbox", gives_each_change_once_in_the_order_of_the_first,
                   counts_what_was_overtaken, hears_only_of_what_it_watches,
                   marks_all_for_a_snapshot_and_counts_none_as_overtaken,
                   tells_no_change_that_was_seen_before_it_was_marked, can_watch_nothing,
                   keeps_the_order_however_marks_and_takes_mix);
}

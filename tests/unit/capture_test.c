/* SPDX-License-Identifier: MIT
 *
 * When a profile is worth keeping, and how many are kept.
 */
#include "base/duration.h"
#include "harness.h"
#include "profile/kept.h"
#include "profile/trigger.h"

#include <errno.h>
#include <string.h>

/* --- the trigger ----------------------------------------------------------------------------- */

struct play {
    struct trigger trigger;
    int64_t time_ns, cpu_ns;
    unsigned busy; /* of the last shot */
    unsigned shots;
};

static void begin(struct play *play, unsigned percent, int64_t after_ns)
{
    *play = (struct play){.time_ns = 1000 * NS_PER_S, .cpu_ns = 7 * NS_PER_S};
    trigger_init(&play->trigger, percent, after_ns);
    ck_assert(!trigger_sample(&play->trigger, play->time_ns, play->cpu_ns, &play->busy));
}

/* So much time with so much load, looked at as the thread does. */
static void spend(struct play *play, int64_t span_ns, unsigned percent)
{
    int64_t step = trigger_interval(&play->trigger);
    for (int64_t end = play->time_ns + span_ns; play->time_ns < end;) {
        play->time_ns += step;
        play->cpu_ns += step / 100 * percent;
        play->shots += trigger_sample(&play->trigger, play->time_ns, play->cpu_ns, &play->busy);
    }
}

START_TEST(a_process_that_stays_busy_is_taken_once)
    {
        struct play play;
        begin(&play, 90, 10 * NS_PER_S);
        spend(&play, 7500 * NS_PER_MS, 120);
        ck_assert_uint_eq(play.shots, 0);
        spend(&play, 2500 * NS_PER_MS, 120);
        ck_assert_uint_eq(play.shots, 1);
        ck_assert_uint_eq(play.busy, 120);
        spend(&play, 3600 * NS_PER_S, 300); /* it has not fallen below */
        ck_assert_uint_eq(play.shots, 1);
    }
END_TEST

START_TEST(a_process_that_is_busy_for_moments_is_left_alone)
    {
        struct play play;
        begin(&play, 90, 10 * NS_PER_S);
        for (int i = 0; i < 100; i++) {
            spend(&play, 7500 * NS_PER_MS, 400);
            spend(&play, 2500 * NS_PER_MS, 89);
        }
        spend(&play, 3600 * NS_PER_S, 89);
        ck_assert_uint_eq(play.shots, 0);
    }
END_TEST

START_TEST(it_is_taken_again_after_it_was_idle_and_after_a_pause)
    {
        struct play play;
        begin(&play, 50, 1 * NS_PER_S);
        spend(&play, 2 * NS_PER_S, 60);
        ck_assert_uint_eq(play.shots, 1);
        spend(&play, 1 * NS_PER_S, 0);
        spend(&play, 200 * NS_PER_S, 60); /* within the pause */
        ck_assert_uint_eq(play.shots, 1);
        spend(&play, 200 * NS_PER_S, 60); /* still busy when it is over */
        ck_assert_uint_eq(play.shots, 2);
        spend(&play, 1000 * NS_PER_S, 60);
        ck_assert_uint_eq(play.shots, 2);
    }
END_TEST

START_TEST(a_clock_that_stands_still_is_no_load)
    {
        struct play play;
        begin(&play, 1, 10 * NS_PER_MS);
        for (int i = 0; i < 10; i++)
            ck_assert(!trigger_sample(&play.trigger, play.time_ns, play.cpu_ns + i * NS_PER_S,
                                      &play.busy));
    }
END_TEST

START_TEST(looks_are_four_in_the_span_but_never_too_rare_or_too_many)
    {
        static const int64_t spans[][2] = {
            {1, 10 * NS_PER_MS}, {10 * NS_PER_S, 2500 * NS_PER_MS}, {INT64_MAX / 4, 5 * NS_PER_S}};
        for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
            struct trigger trigger;
            trigger_init(&trigger, 1, spans[i][0]);
            ck_assert_int_eq(trigger_interval(&trigger), spans[i][1]);
        }
    }
END_TEST

START_TEST(a_service_seems_to_hang_when_three_quarters_of_its_limit_are_over)
    {
        ck_assert_int_eq(trigger_hang_at(100, 500), 400);
        ck_assert_int_eq(trigger_hang_at(100, 100), 100);
        ck_assert_int_eq(trigger_hang_at(100, 50), 50);
        ck_assert(trigger_hang_at(100, TRIGGER_NEVER) == TRIGGER_NEVER);
        ck_assert_int_lt(trigger_hang_at(0, TRIGGER_NEVER - 1), TRIGGER_NEVER - 1);
    }
END_TEST

START_TEST(services_that_hang_together_are_one_look_and_the_same_one_waits)
    {
        int64_t now = 1000 * NS_PER_S;
        ck_assert(trigger_hang(now, TRIGGER_NEVER, TRIGGER_NEVER));
        ck_assert(!trigger_hang(now + 9 * NS_PER_S, now, TRIGGER_NEVER));
        ck_assert(trigger_hang(now + 10 * NS_PER_S, now, TRIGGER_NEVER));
        ck_assert(!trigger_hang(now + 299 * NS_PER_S, now + 10 * NS_PER_S, now));
        ck_assert(trigger_hang(now + 300 * NS_PER_S, now + 10 * NS_PER_S, now));
    }
END_TEST

/* --- what is kept ---------------------------------------------------------------------------- */

static int add(struct kept *kept, size_t size)
{
    static char text[KEPT_EACH + 1];
    struct kept_item item = {.time_ms = (int64_t)size, .why = "a test"};
    buf_add(&item.body, text, size);
    int rc = kept_add(kept, &item);
    ck_assert_ptr_null(item.body.data); /* taken, or freed */
    return rc;
}

START_TEST(the_last_ones_are_kept_and_their_numbers_go_on)
    {
        struct kept kept = {0};
        ck_assert_ptr_null(kept_find(&kept, 0));
        ck_assert_ptr_null(kept_find(&kept, 1));
        for (size_t i = 1; i <= 2 * KEPT_MAX; i++) {
            ck_assert_int_eq(add(&kept, i), 0);
            ck_assert_uint_eq(kept.items[kept.count - 1].number, i);
        }
        ck_assert_uint_eq(kept.count, KEPT_MAX);
        ck_assert_ptr_null(kept_find(&kept, KEPT_MAX));
        const struct kept_item *oldest = kept_find(&kept, KEPT_MAX + 1);
        ck_assert_ptr_eq(oldest, &kept.items[0]);
        ck_assert_uint_eq(oldest->body.size, KEPT_MAX + 1);
        kept_free(&kept);
        ck_assert_uint_eq(kept.bytes, 0);
    }
END_TEST

START_TEST(no_more_bytes_are_kept_than_said)
    {
        struct kept kept = {0};
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(add(&kept, KEPT_EACH - 1), 0);
            ck_assert_uint_le(kept.bytes, KEPT_ALL);
        }
        ck_assert_uint_eq(kept.count, KEPT_ALL / KEPT_EACH);
        ck_assert_int_eq(add(&kept, KEPT_EACH), -E2BIG);
        ck_assert_uint_eq(kept.count, KEPT_ALL / KEPT_EACH);
        ck_assert_int_eq(add(&kept, 10), 0); /* one makes room */
        ck_assert_uint_eq(kept.count, KEPT_ALL / KEPT_EACH);
        kept_free(&kept);
    }
END_TEST

START_TEST(room_to_grow_is_given_back_and_the_table_counts)
    {
        struct kept kept = {0};
        struct kept_item item = {.cpu = true};
        buf_text(&item.body, "profile");
        buf_text(&item.top, "table");
        ck_assert_int_eq(kept_add(&kept, &item), 0);
        ck_assert_uint_eq(item.number, 1);
        ck_assert_uint_eq(kept.bytes, sizeof "profile" + sizeof "table");
        ck_assert_str_eq(kept_find(&kept, 1)->top.data, "table");
        struct kept_item failed = {.body = {.failed = true}};
        ck_assert_int_eq(kept_add(&kept, &failed), -ENOMEM);
        kept_free(&kept);
    }
END_TEST

int main(void)
{
    return HARNESS("capture", a_process_that_stays_busy_is_taken_once,
                   a_process_that_is_busy_for_moments_is_left_alone,
                   it_is_taken_again_after_it_was_idle_and_after_a_pause,
                   a_clock_that_stands_still_is_no_load,
                   looks_are_four_in_the_span_but_never_too_rare_or_too_many,
                   a_service_seems_to_hang_when_three_quarters_of_its_limit_are_over,
                   services_that_hang_together_are_one_look_and_the_same_one_waits,
                   the_last_ones_are_kept_and_their_numbers_go_on, no_more_bytes_are_kept_than_said,
                   room_to_grow_is_given_back_and_the_table_counts);
}

/* SPDX-License-Identifier: MIT
 *
 * How long a connection may stay as it is, and who has to go for a new one.
 */
#include "admin/connections.h"
#include "base/ensure.h"
#include "harness.h"

#include <string.h>

static struct connections all;

#define AT(seconds) ((int64_t)((seconds)*1e9))

static void reset(void)
{
    all = (struct connections){0};
}

static void fill(enum connection_state state)
{
    reset();
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        int slot = connections_open(&all, 100 + i, AT(i * 0.001));
        ck_assert_int_eq(slot, i);
        connections_enter(&all, slot, state, AT(i * 0.001));
    }
    ck_assert_int_eq(connections_open(&all, 99, AT(1)), -1);
}

START_TEST(gives_each_state_its_limit)
    {
        static const struct {
            enum connection_state state;
            double limit;
        } cases[] = {{CONNECTION_HEAD, 5},
                     {CONNECTION_BODY, 10},
                     {CONNECTION_WRITING, 30},
                     {CONNECTION_IDLE, 75},
                     {CONNECTION_LINGER, 5}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            reset();
            int slot = connections_open(&all, 7, AT(1));
            connections_enter(&all, slot, cases[i].state, AT(2));
            int64_t limit = AT(2 + cases[i].limit);
            ck_assert_int_eq(connections_next(&all, AT(2)), limit);
            ck_assert_int_eq(connections_overdue(&all, limit - 1), -1);
            ck_assert_int_eq(connections_overdue(&all, limit), slot);
            connections_leave(&all, slot);
            ck_assert_int_eq(connections_overdue(&all, AT(1000)), -1);
            ck_assert_int_eq(connections_next(&all, AT(2)), INT64_MAX);
            connections_close(&all, slot);
        }
    }
END_TEST

START_TEST(has_nothing_to_watch_without_connections)
    {
        reset();
        ck_assert_int_eq(connections_next(&all, AT(1)), INT64_MAX);
        ck_assert_int_eq(connections_overdue(&all, AT(1)), -1);
        ck_assert_int_eq(connections_victim(&all, AT(1)), -1);
    }
END_TEST

START_TEST(gives_a_busy_one_all_the_time_and_looks_at_it_now_and_then)
    {
        reset();
        int slot = connections_open(&all, 7, AT(0));
        connections_enter(&all, slot, CONNECTION_BUSY, AT(1));
        ck_assert_int_eq(connections_next(&all, AT(2)), AT(31));
        ck_assert_int_eq(connections_next(&all, AT(31)), AT(61)); /* never in the past */
        ck_assert_int_eq(connections_overdue(&all, AT(100000)), -1);
        ck_assert_uint_eq(connections_at_work(&all), 1);
    }
END_TEST

START_TEST(counts_a_write_from_its_last_progress)
    {
        reset();
        int slot = connections_open(&all, 7, AT(0));
        connections_enter(&all, slot, CONNECTION_WRITING, AT(1));
        connections_enter(&all, slot, CONNECTION_WRITING, AT(20));
        ck_assert_int_eq(connections_overdue(&all, AT(49)), -1);
        ck_assert_int_eq(connections_overdue(&all, AT(50)), slot);
    }
END_TEST

START_TEST(lets_the_oldest_that_waits_go)
    {
        fill(CONNECTION_HEAD);
        ck_assert_int_eq(connections_victim(&all, AT(1)), 0);
        connections_enter(&all, 0, CONNECTION_BUSY, AT(1));
        ck_assert_int_eq(connections_victim(&all, AT(1)), 1);
        connections_enter(&all, 1, CONNECTION_IDLE, AT(0.5)); /* younger than the heads */
        ck_assert_int_eq(connections_victim(&all, AT(1)), 2);
        connections_enter(&all, 2, CONNECTION_BODY, AT(0.0001));
        ck_assert_int_eq(connections_victim(&all, AT(1)), 2);
        connections_enter(&all, 3, CONNECTION_LINGER, AT(0.00001));
        ck_assert_int_eq(connections_victim(&all, AT(1)), 3);
    }
END_TEST

START_TEST(gives_each_new_one_its_chance_before_it_has_to_go)
    {
        fill(CONNECTION_HEAD); /* one a millisecond, the last one at 0.063 */
        ck_assert_int_eq(connections_victim(&all, AT(0.0049)), -1);
        ck_assert_int_eq(connections_room_at(&all, AT(0.0049)), CONNECTIONS_GRACE_NS);
        ck_assert_int_eq(connections_victim(&all, CONNECTIONS_GRACE_NS), 0);
        ck_assert_int_eq(connections_room_at(&all, CONNECTIONS_GRACE_NS), CONNECTIONS_GRACE_NS);
        for (int i = 16; i < CONNECTIONS_MAX; i++)
            connections_enter(&all, i, CONNECTION_BUSY, 0);
        ck_assert_int_eq(connections_victim(&all, AT(0.0999)), -1); /* few are no flood */
        ck_assert_int_eq(connections_room_at(&all, AT(0.0999)), CONNECTIONS_LONG_GRACE_NS);
        ck_assert_int_eq(connections_victim(&all, CONNECTIONS_LONG_GRACE_NS), 0);
        fill(CONNECTION_HEAD);
        connections_enter(&all, 9, CONNECTION_IDLE, 0); /* that one had its chance */
        ck_assert_int_eq(connections_victim(&all, AT(0.001)), 9);
        ck_assert_int_eq(connections_room_at(&all, AT(0.001)), AT(0.001));
        fill(CONNECTION_BUSY);
        ck_assert_int_eq(connections_room_at(&all, AT(1)), INT64_MAX);
    }
END_TEST

START_TEST(lets_nobody_go_while_all_are_busy)
    {
        fill(CONNECTION_BUSY);
        ck_assert_int_eq(connections_victim(&all, AT(1000)), -1);
        ck_assert_uint_eq(connections_at_work(&all), CONNECTIONS_MAX);
    }
END_TEST

START_TEST(lets_a_slow_reader_go_when_nobody_waits)
    {
        fill(CONNECTION_WRITING);
        connections_enter(&all, 3, CONNECTION_WRITING, AT(4)); /* progress does not help */
        ck_assert_int_eq(connections_victim(&all, AT(4.9)), -1);
        ck_assert_int_eq(connections_victim(&all, AT(5.1)), 0);
        connections_enter(&all, 9, CONNECTION_IDLE, AT(5));
        ck_assert_int_eq(connections_victim(&all, AT(5.1)), 9);
    }
END_TEST

START_TEST(has_room_again_as_soon_as_one_was_told_to_leave)
    {
        fill(CONNECTION_IDLE);
        connections_leave(&all, 5);
        connections_leave(&all, 5);
        connections_enter(&all, 5, CONNECTION_BUSY, AT(1)); /* stays so */
        ck_assert_int_eq(all.slots[5].state, CONNECTION_LEAVING);
        int slot = connections_open(&all, 99, AT(1));
        ck_assert_int_eq(slot, CONNECTIONS_MAX); /* 5 is not free yet */
        ck_assert_int_eq(connections_open(&all, 99, AT(1)), -1);
        connections_close(&all, 5);
        ck_assert_int_eq(connections_open(&all, 99, AT(1)), -1);
        connections_close(&all, slot);
        ck_assert_int_eq(connections_open(&all, 99, AT(1)), 5);
    }
END_TEST

START_TEST(has_no_room_while_too_many_are_on_their_way_out)
    {
        reset();
        for (int i = 0; i < CONNECTIONS_SLOTS; i++)
            connections_leave(&all, connections_open(&all, i, AT(1)));
        ck_assert_uint_eq(all.count, 0);
        ck_assert_int_eq(connections_room_at(&all, AT(1)), INT64_MAX);
        ck_assert_int_eq(connections_open(&all, 99, AT(1)), -1);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "admin_connections", gives_each_state_its_limit, has_nothing_to_watch_without_connections,
        gives_a_busy_one_all_the_time_and_looks_at_it_now_and_then,
        counts_a_write_from_its_last_progress, lets_the_oldest_that_waits_go,
        gives_each_new_one_its_chance_before_it_has_to_go, lets_nobody_go_while_all_are_busy,
        lets_a_slow_reader_go_when_nobody_waits, has_room_again_as_soon_as_one_was_told_to_leave,
        has_no_room_while_too_many_are_on_their_way_out);
}

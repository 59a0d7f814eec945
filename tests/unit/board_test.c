/* SPDX-License-Identifier: MIT
 *
 * The board of health, story by story: whom it asks and when, and what it believes. What it
 * shows: board_shown_test.c; random orders of events: board_walk_test.c.
 */
#include "board_play.h"

enum { A, B };

/* --- asking ---------------------------------------------------------------------------------- */

START_TEST(asks_as_soon_as_a_service_is_up)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        play_until(&play, 1000);
        board_begin(play.board, A);
        play_until(&play, 2000);
        ck_assert_uint_eq(play.players[A].checks, 0);
        board_up(play.board, A, play_ns(&play));
        play_until(&play, 2000);
        ck_assert_uint_eq(play.players[A].checks, 1);
        play_close(&play);
    }
END_TEST

START_TEST(asks_once_before_a_service_is_up_when_it_is_told_to)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        board_begin(play.board, A);
        board_ask(play.board, A, play_ns(&play));
        play_until(&play, 100);
        ck_assert_uint_eq(play.players[A].checks, 1);
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        assert_own(&play, A, SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        board_up(play.board, A, play_ns(&play));
        play_until(&play, 26900); /* the first check was that one */
        ck_assert_uint_eq(play.players[A].checks, 1);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        play_until(&play, 33100);
        ck_assert_uint_eq(play.players[A].checks, 2);
        play_close(&play);
    }
END_TEST

START_TEST(asks_nothing_of_a_service_without_a_check)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].has_check = false;
        play_open(&play);
        board_begin(play.board, A);
        board_ask(play.board, A, 0);
        play_up(&play, A);
        ck_assert_int_eq(board_wake(play.board), BOARD_NEVER);
        ck_assert_int_eq(board_view(play.board, A)->next_at, BOARD_NEVER);
        assert_shown(&play, A, SRUN_HEALTH_UNKNOWN);
        play_close(&play);
    }
END_TEST

START_TEST(asks_again_after_an_interval_give_or_take_a_tenth)
    {
        static struct play play;
        int64_t least = INT64_MAX, most = 0, sum = 0;
        play_cast(&play, 1);
        play.players[A].takes = 3;
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 1000 * INT64_C(30000));
        const struct player *player = &play.players[A];
        for (unsigned i = 1; i < player->checks; i++) {
            int64_t gap = player->checked_at[i] - player->checked_at[i - 1];
            least = gap < least ? gap : least;
            most = gap > most ? gap : most;
            sum += gap;
        }
        ck_assert_int_ge(least, 27000);
        ck_assert_int_le(most, 33001);  /* the clock of the play has whole milliseconds */
        ck_assert_int_lt(least, 27200); /* all of the room is used */
        ck_assert_int_gt(most, 32800);
        int64_t mean = sum / (player->checks - 1);
        ck_assert_int_gt(mean, 29700);
        ck_assert_int_lt(mean, 30300);
        play_close(&play);
    }
END_TEST

START_TEST(does_not_ask_all_at_the_same_time)
    {
        static struct play play;
        play_cast(&play, 20);
        play_open(&play);
        play_all_up(&play);
        play_until(&play, 33001);
        int64_t least = INT64_MAX, most = 0;
        for (unsigned i = 0; i < play.count; i++) {
            int64_t second = play.players[i].checked_at[1];
            least = second < least ? second : least;
            most = second > most ? second : most;
        }
        ck_assert_int_gt(most - least, 2000);
        play_close(&play);
    }
END_TEST

START_TEST(says_when_it_will_ask_next)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        play_up(&play, A);
        for (unsigned i = 1; i < 50; i++) {
            int64_t next = board_view(play.board, A)->next_at;
            play_until(&play, next / NS_PER_MS + 1);
            ck_assert_uint_eq(play.players[A].checks, i + 1);
            ck_assert_int_le(play.players[A].checked_at[i] - next / NS_PER_MS, 1);
        }
        play_close(&play);
    }
END_TEST

START_TEST(never_asks_a_service_twice_at_once)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].timeout_ns = 1000000 * NS_PER_MS;
        play.players[A].takes = 100000; /* more than three intervals */
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 99999);
        ck_assert_uint_eq(play.players[A].checks, 1);
        ck_assert(board_is_checking(play.board, A));
        play_until(&play, 100000);
        ck_assert(!board_is_checking(play.board, A));
        play_until(&play, 133001);
        ck_assert_uint_eq(play.players[A].checks, 2);
        play_close(&play);
    }
END_TEST

START_TEST(tries_again_soon_when_it_could_not_ask)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].cannot = true;
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 10000);
        ck_assert_uint_gt(play.players[A].checks, 10);
        ck_assert_uint_lt(play.players[A].checks, 1000); /* but not as fast as it can */
        assert_shown(&play, A, SRUN_HEALTH_UNKNOWN);
        ck_assert_uint_eq(board_history(play.board, A, 0, NULL, 0), 0);
        play_close(&play);
    }
END_TEST

/* --- checks that take long ------------------------------------------------------------------- */

START_TEST(turns_a_service_unhealthy_when_its_check_has_not_answered_in_time)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        play_up(&play, A);
        play.players[A].takes = -1;
        play_until(&play, 33001);
        int64_t asked = play.players[A].checked_at[1];
        play_until(&play, asked + 4999);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        ck_assert_uint_eq(play.players[A].hung, 0);
        play_until(&play, asked + 5000);
        ck_assert_uint_eq(play.players[A].hung, 1);
        ck_assert_int_eq(play.players[A].changed_at, play.now);
        assert_shown(&play, A, SRUN_HEALTH_UNHEALTHY);
        assert_own(&play, A, SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_HUNG);
        ck_assert_str_ne(board_view(play.board, A)->note, "");
        play_until(&play, 3600000); /* it is told once, and nobody asks again */
        ck_assert_uint_eq(play.players[A].hung, 1);
        ck_assert_uint_eq(play.players[A].checks, 2);
        play_close(&play);
    }
END_TEST

START_TEST(takes_a_hung_first_check_for_unhealthy_before_the_service_is_up)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].takes = -1;
        play_open(&play);
        board_begin(play.board, A);
        board_ask(play.board, A, 0);
        play_until(&play, 4999);
        assert_own(&play, A, SRUN_HEALTH_UNKNOWN, SRUN_HEALTH_LIFECYCLE);
        play_until(&play, 5000);
        ck_assert_uint_eq(play.players[A].hung, 1);
        assert_own(&play, A, SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_HUNG);
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        play_close(&play);
    }
END_TEST

START_TEST(believes_the_answer_that_comes_after_its_time)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].takes = 7000;
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 6999);
        assert_shown(&play, A, SRUN_HEALTH_UNHEALTHY);
        play_until(&play, 7000);
        assert_own(&play, A, SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        ck_assert_int_eq(board_view(play.board, A)->took_ms, 7000);
        play_until(&play, 40001);
        ck_assert_uint_eq(play.players[A].checks, 2);
        play_close(&play);
    }
END_TEST

START_TEST(lets_a_push_speak_while_a_check_hangs)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].takes = -1;
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 6000);
        play_push(&play, A, SRUN_HEALTH_DEGRADED, "on foot");
        assert_own(&play, A, SRUN_HEALTH_DEGRADED, SRUN_HEALTH_PUSHED);
        ck_assert_uint_eq(play.players[A].checks, 1);
        play_close(&play);
    }
END_TEST

START_TEST(tells_of_a_slow_check_each_100_ms_until_it_is_set_aside)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].takes = 2000;
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 99);
        ck_assert_uint_eq(play.players[A].slow, 0);
        play_until(&play, 100);
        ck_assert_uint_eq(play.players[A].slow, 1);
        play_until(&play, 1050);
        ck_assert_uint_eq(play.players[A].slow, 10);
        play.players[A].aside = true;
        play_until(&play, 2000);
        ck_assert_uint_eq(play.players[A].slow, 11);
        play_until(&play, 35500); /* the next check is a new one */
        ck_assert_uint_eq(play.players[A].checks, 2);
        ck_assert_uint_eq(play.players[A].slow, 12);
        play_close(&play);
    }
END_TEST

START_TEST(does_not_call_a_check_slow_that_answers_within_100_ms)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].takes = 99;
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 3600000);
        ck_assert_uint_gt(play.players[A].checks, 100);
        ck_assert_uint_eq(play.players[A].slow, 0);
        play_close(&play);
    }
END_TEST

START_TEST(lets_no_hung_check_change_when_others_are_asked)
    {
        static struct play play;
        play_cast(&play, 21);
        play.players[A].takes = -1;
        for (unsigned i = 1; i < 21; i++)
            play.players[i].takes = 1;
        play_open(&play);
        play_all_up(&play);
        play_until(&play, 600000);
        for (unsigned i = 1; i < 21; i++) {
            const struct player *player = &play.players[i];
            ck_assert_uint_ge(player->checks, 18);
            for (unsigned n = 1; n < player->checks; n++) {
                int64_t gap = player->checked_at[n] - player->checked_at[n - 1];
                ck_assert_int_ge(gap, 27000);
                ck_assert_int_le(gap, 33001);
            }
            assert_shown(&play, i, SRUN_HEALTH_HEALTHY);
        }
        play_close(&play);
    }
END_TEST

/* --- what counts ----------------------------------------------------------------------------- */

static void play_rounds(struct play *play, unsigned service, unsigned rounds)
{
    unsigned wanted = play->players[service].checks + rounds;
    while (play->players[service].checks < wanted)
        play_until(play, play_next(play));
    play_until(play, play->now + play->players[service].takes);
}

START_TEST(takes_the_first_result_of_a_life_as_it_is)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].fall = play.rules[A].rise = 5;
        play.players[A].status = SRUN_HEALTH_UNHEALTHY;
        play_open(&play);
        play_up(&play, A);
        assert_shown(&play, A, SRUN_HEALTH_UNHEALTHY);
        board_down(play.board, A, play_ns(&play));
        play.players[A].status = SRUN_HEALTH_DEGRADED;
        play_up(&play, A);
        assert_shown(&play, A, SRUN_HEALTH_DEGRADED);
        play_close(&play);
    }
END_TEST

START_TEST(keeps_what_it_shows_when_results_alternate)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].fall = 3;
        play.rules[A].rise = 2;
        play_open(&play);
        play_up(&play, A);
        unsigned changes = play.players[A].changes;
        for (unsigned i = 0; i < 100; i++) {
            play.players[A].status = i % 2 == 0 ? SRUN_HEALTH_UNHEALTHY : SRUN_HEALTH_HEALTHY;
            play_rounds(&play, A, 1);
            assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        }
        ck_assert_uint_eq(play.players[A].changes, changes);
        play_close(&play);
    }
END_TEST

START_TEST(turns_once_after_three_failures_in_a_row_and_back_after_two_passes)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].fall = 3;
        play.rules[A].rise = 2;
        play_open(&play);
        play_up(&play, A);
        unsigned changes = play.players[A].changes;
        play.players[A].status = SRUN_HEALTH_UNHEALTHY;
        play_rounds(&play, A, 2);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        play_rounds(&play, A, 1);
        assert_shown(&play, A, SRUN_HEALTH_UNHEALTHY);
        play_rounds(&play, A, 10);
        ck_assert_uint_eq(play.players[A].changes, changes + 1);
        play.players[A].status = SRUN_HEALTH_HEALTHY;
        play_rounds(&play, A, 1);
        assert_shown(&play, A, SRUN_HEALTH_UNHEALTHY);
        play_rounds(&play, A, 1);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        ck_assert_uint_eq(play.players[A].changes, changes + 2);
        play_close(&play);
    }
END_TEST

START_TEST(takes_a_push_at_once_whatever_rise_and_fall_say)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].fall = play.rules[A].rise = 5;
        play_open(&play);
        play_up(&play, A);
        play_push(&play, A, SRUN_HEALTH_UNHEALTHY, "disk full");
        assert_own(&play, A, SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_PUSHED);
        ck_assert_str_eq(board_view(play.board, A)->note, "disk full");
        ck_assert_int_eq(board_view(play.board, A)->took_ms, -1);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        assert_own(&play, A, SRUN_HEALTH_HEALTHY, SRUN_HEALTH_PUSHED);
        play_close(&play);
    }
END_TEST

START_TEST(begins_to_count_anew_when_the_status_is_confirmed)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].fall = 2;
        play_open(&play);
        play_up(&play, A);
        play.players[A].status = SRUN_HEALTH_UNHEALTHY;
        play_rounds(&play, A, 1);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        play_rounds(&play, A, 1);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        play_rounds(&play, A, 1);
        assert_shown(&play, A, SRUN_HEALTH_UNHEALTHY);
        play_close(&play);
    }
END_TEST

START_TEST(tells_of_a_change_once_and_of_the_same_again_never)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        play_up(&play, A);
        unsigned changes = play.players[A].changes, overalls = play.overalls;
        play_rounds(&play, A, 10);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "still");
        ck_assert_uint_eq(play.players[A].changes, changes);
        ck_assert_uint_eq(play.overalls, overalls);
        play_push(&play, A, SRUN_HEALTH_DEGRADED, "less so");
        ck_assert_uint_eq(play.players[A].changes, changes + 1);
        ck_assert_uint_eq(play.overalls, overalls + 1);
        play_close(&play);
    }
END_TEST

START_TEST(cuts_a_long_note_to_fit)
    {
        static struct play play;
        char note[1000];
        memset(note, 'x', sizeof note - 1);
        note[sizeof note - 1] = '\0';
        play_cast(&play, 1);
        play_open(&play);
        play_up(&play, A);
        play_push(&play, A, SRUN_HEALTH_DEGRADED, note);
        ck_assert_uint_eq(strlen(board_view(play.board, A)->note), SRUN_HEALTH_NOTE_MAX - 1);
        memcpy(note + SRUN_HEALTH_NOTE_MAX - 2, "\xe2\x82\xac",
               3); /* of which one byte would fit */
        play_push(&play, A, SRUN_HEALTH_DEGRADED, note);
        ck_assert_uint_eq(strlen(board_view(play.board, A)->note), SRUN_HEALTH_NOTE_MAX - 2);
        struct srun_health_result last;
        ck_assert_uint_gt(board_history(play.board, A, 0, &last, 1), 0);
        ck_assert_uint_eq(strlen(last.note), SRUN_HEALTH_NOTE_MAX - 2);
        play_close(&play);
    }
END_TEST

/* --- what is too old ------------------------------------------------------------------------- */

START_TEST(believes_a_push_for_as_long_as_it_may_count)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].has_check = false;
        play.rules[A].push_ttl_ns = 200 * NS_PER_MS;
        play_open(&play);
        play_up(&play, A);
        play.now = 1000;
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        play_until(&play, 1150);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, ""); /* again, and for as long again */
        play_until(&play, 1349);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        play_until(&play, 1350);
        assert_own(&play, A, SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_STALE);
        ck_assert_str_ne(board_view(play.board, A)->note, "");
        ck_assert_int_eq(board_wake(play.board), BOARD_NEVER);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        play_close(&play);
    }
END_TEST

START_TEST(believes_a_push_without_an_end_until_the_next_result)
    {
        static struct play play;
        play_cast(&play, 2);
        play.rules[A].has_check = false;
        play_open(&play);
        play_all_up(&play);
        play_push(&play, A, SRUN_HEALTH_DEGRADED, "");
        play_push(&play, B, SRUN_HEALTH_DEGRADED, "");
        play_until(&play, 10000000);
        assert_own(&play, A, SRUN_HEALTH_DEGRADED, SRUN_HEALTH_PUSHED);
        assert_own(&play, B, SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        play_close(&play);
    }
END_TEST

START_TEST(believes_a_check_for_three_intervals)
    {
        static struct play play;
        play_cast(&play, 1);
        play.rules[A].timeout_ns = 1000000 * NS_PER_MS;
        play_open(&play);
        play_up(&play, A);
        play.players[A].takes = -1; /* within its limit for long */
        play_until(&play, 89999);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        play_until(&play, 90000);
        assert_own(&play, A, SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_STALE);
        play_close(&play);
    }
END_TEST

START_TEST(does_not_call_stale_what_nobody_was_awake_to_ask_for)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        play_up(&play, A);
        play_until(&play, 1000);
        unsigned before = play.players[A].checks, changes = play.players[A].changes;
        play.now = 500000; /* the container was frozen */
        play_turn(&play);
        ck_assert_uint_eq(play.players[A].checks, before + 1);
        assert_shown(&play, A, SRUN_HEALTH_HEALTHY);
        play_answer(&play, A);
        play_until(&play, 600000);
        ck_assert_uint_eq(play.players[A].changes, changes);
        play.players[A].takes = -1; /* and now it is its own fault */
        play.now = 1000000;
        play_turn(&play);
        play_until(&play, 1005000);
        assert_own(&play, A, SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_HUNG);
        play_close(&play);
    }
END_TEST

START_TEST(does_not_call_a_check_late_that_nobody_has_begun)
    {
        struct board_action action = {0};
        const struct board_rules rules = {.name = "db",
                                          .has_check = true,
                                          .interval_ns = 30 * NS_PER_S,
                                          .timeout_ns = 300 * NS_PER_MS,
                                          .rise = 1,
                                          .fall = 1};
        struct board *board = board_new(&rules, 1, 1);
        int64_t now = NS_PER_S;
        board_begin(board, 0);
        board_up(board, 0, now);
        while (board_next(board, now, &action))
            continue;
        ck_assert_int_eq(action.kind, BOARD_CHECK);
        for (int i = 0; i < 20; i++) { /* two seconds in a queue */
            now += BOARD_SLOW_NS;
            ck_assert(board_next(board, now, &action));
            ck_assert_int_eq(action.kind, BOARD_SLOW);
            board_not_begun(board, 0, now);
        }
        board_set_aside(board, 0); /* it runs at last */
        now += rules.timeout_ns;
        ck_assert(!board_next(board, now - 1, &action));
        bool hung = false;
        while (board_next(board, now, &action))
            hung |= action.kind == BOARD_HUNG;
        ck_assert(hung);
        (void)board_free(board);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "board", asks_as_soon_as_a_service_is_up,
        asks_once_before_a_service_is_up_when_it_is_told_to,
        asks_nothing_of_a_service_without_a_check,
        asks_again_after_an_interval_give_or_take_a_tenth, does_not_ask_all_at_the_same_time,
        says_when_it_will_ask_next, never_asks_a_service_twice_at_once,
        tries_again_soon_when_it_could_not_ask,
        turns_a_service_unhealthy_when_its_check_has_not_answered_in_time,
        takes_a_hung_first_check_for_unhealthy_before_the_service_is_up,
        believes_the_answer_that_comes_after_its_time, lets_a_push_speak_while_a_check_hangs,
        tells_of_a_slow_check_each_100_ms_until_it_is_set_aside,
        does_not_call_a_check_slow_that_answers_within_100_ms,
        does_not_call_stale_what_nobody_was_awake_to_ask_for,
        does_not_call_a_check_late_that_nobody_has_begun,
        lets_no_hung_check_change_when_others_are_asked, takes_the_first_result_of_a_life_as_it_is,
        keeps_what_it_shows_when_results_alternate,
        turns_once_after_three_failures_in_a_row_and_back_after_two_passes,
        takes_a_push_at_once_whatever_rise_and_fall_say,
        begins_to_count_anew_when_the_status_is_confirmed,
        tells_of_a_change_once_and_of_the_same_again_never, cuts_a_long_note_to_fit,
        believes_a_push_for_as_long_as_it_may_count,
        believes_a_push_without_an_end_until_the_next_result, believes_a_check_for_three_intervals);
}

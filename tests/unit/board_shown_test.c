/* SPDX-License-Identifier: MIT
 *
 * What the board of health shows: what a dependency makes of a service, the whole program, what is
 * remembered, and how lives begin and end.
 */
#include "board_play.h"

enum { A, B, C, D };

/* --- dependencies ---------------------------------------------------------------------------- */

/* a, and each depends on the one before it: d -> c -> b -> a. */
static void cast_chain(struct play *play, unsigned count)
{
    static const unsigned before[] = {0, 1, 2, 3, 4, 5, 6};
    play_cast(play, count);
    for (unsigned i = 0; i < count; i++) {
        play->rules[i].has_check = false;
        play->rules[i].depends = i > 0 ? &before[i - 1] : NULL;
        play->rules[i].depend_count = i > 0;
    }
}

START_TEST(shows_no_service_better_than_what_it_depends_on)
    {
        static struct play play;
        cast_chain(&play, 4);
        play_open(&play);
        play_all_up(&play);
        for (unsigned i = 0; i < 4; i++)
            play_push(&play, i, SRUN_HEALTH_HEALTHY, "");
        play_push(&play, A, SRUN_HEALTH_UNHEALTHY, "");
        for (unsigned i = 0; i < 4; i++)
            assert_shown(&play, i, SRUN_HEALTH_UNHEALTHY);
        assert_own(&play, D, SRUN_HEALTH_HEALTHY, SRUN_HEALTH_PUSHED);
        assert_path(&play, A, "");
        assert_path(&play, B, "a");
        assert_path(&play, C, "b -> a");
        assert_path(&play, D, "c -> b -> a");
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        for (unsigned i = 0; i < 4; i++) {
            assert_shown(&play, i, SRUN_HEALTH_HEALTHY);
            assert_path(&play, i, "");
        }
        play_close(&play);
    }
END_TEST

START_TEST(passes_on_what_a_service_says_that_knows_nothing_of_itself)
    {
        static struct play play;
        cast_chain(&play, 3);
        play_open(&play);
        play_all_up(&play);
        assert_shown(&play, C, SRUN_HEALTH_UNKNOWN);
        play_push(&play, A, SRUN_HEALTH_DEGRADED, "");
        assert_shown(&play, B, SRUN_HEALTH_DEGRADED);
        assert_shown(&play, C, SRUN_HEALTH_DEGRADED);
        assert_path(&play, C, "b -> a");
        assert_own(&play, C, SRUN_HEALTH_UNKNOWN, SRUN_HEALTH_LIFECYCLE);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, ""); /* which says nothing of the others */
        assert_shown(&play, C, SRUN_HEALTH_UNKNOWN);
        play_close(&play);
    }
END_TEST

START_TEST(tells_of_a_change_of_the_path_alone)
    {
        static const unsigned on_a[] = {A}, on_both[] = {B, C};
        static struct play play;
        cast_chain(&play, 4);
        play.rules[B].depends = on_a;
        play.rules[C].depends = on_a;
        play.rules[D].depends = on_both;
        play.rules[D].depend_count = 2;
        play_open(&play);
        play_all_up(&play);
        for (unsigned i = 0; i < 4; i++)
            play_push(&play, i, SRUN_HEALTH_HEALTHY, "");
        play_push(&play, B, SRUN_HEALTH_UNHEALTHY, "");
        assert_path(&play, D, "b");
        unsigned changes = play.players[D].changes;
        play_push(&play, A, SRUN_HEALTH_UNHEALTHY, ""); /* b is so by itself */
        assert_path(&play, D, "b");
        assert_path(&play, C, "a");
        play_push(&play, B, SRUN_HEALTH_HEALTHY, "");
        assert_shown(&play, D, SRUN_HEALTH_UNHEALTHY);
        assert_path(&play, D, "b -> a");
        ck_assert_uint_eq(play.players[D].changes, changes + 1);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        assert_shown(&play, D, SRUN_HEALTH_HEALTHY);
        assert_path(&play, D, "");
        play_close(&play);
    }
END_TEST

START_TEST(names_the_worse_of_two_dependencies)
    {
        static const unsigned on_both[] = {A, B};
        static struct play play;
        cast_chain(&play, 3);
        play.rules[B].depend_count = 0;
        play.rules[C].depends = on_both;
        play.rules[C].depend_count = 2;
        play_open(&play);
        play_all_up(&play);
        play_push(&play, A, SRUN_HEALTH_DEGRADED, "");
        assert_path(&play, C, "a");
        play_push(&play, B, SRUN_HEALTH_UNHEALTHY, "");
        assert_shown(&play, C, SRUN_HEALTH_UNHEALTHY);
        assert_path(&play, C, "b");
        play_close(&play);
    }
END_TEST

START_TEST(counts_an_optional_dependency_as_degraded_at_worst)
    {
        static struct play play;
        cast_chain(&play, 3);
        play.rules[A].optional = true;
        play_open(&play);
        play_all_up(&play);
        for (unsigned i = 0; i < 3; i++)
            play_push(&play, i, SRUN_HEALTH_HEALTHY, "");
        play_push(&play, A, SRUN_HEALTH_UNHEALTHY, "");
        assert_shown(&play, A, SRUN_HEALTH_UNHEALTHY);
        assert_shown(&play, B, SRUN_HEALTH_DEGRADED);
        assert_shown(&play, C, SRUN_HEALTH_DEGRADED);
        assert_path(&play, C, "b -> a");
        board_down(play.board, A, play_ns(&play));
        play_turn(&play);
        assert_shown(&play, C, SRUN_HEALTH_DEGRADED);
        play_close(&play);
    }
END_TEST

START_TEST(takes_a_dependency_that_is_stopped_for_unhealthy)
    {
        static struct play play;
        cast_chain(&play, 2);
        play_open(&play);
        play_all_up(&play);
        play_push(&play, B, SRUN_HEALTH_HEALTHY, "");
        board_down(play.board, A, play_ns(&play));
        play_turn(&play);
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        assert_shown(&play, B, SRUN_HEALTH_UNHEALTHY);
        assert_path(&play, B, "a");
        play_up(&play, A);
        assert_shown(&play, B, SRUN_HEALTH_HEALTHY);
        play_close(&play);
    }
END_TEST

START_TEST(cuts_a_long_path_to_fit)
    {
        static struct play play;
        char path[8];
        cast_chain(&play, 8);
        play_open(&play);
        play_all_up(&play);
        play_push(&play, A, SRUN_HEALTH_UNHEALTHY, "");
        board_path(play.board, 7, path, sizeof path);
        ck_assert_str_eq(path, "g -> f ");
        play_close(&play);
    }
END_TEST

/* --- the whole program ----------------------------------------------------------------------- */

START_TEST(shows_the_worst_of_the_critical_services_for_all)
    {
        static struct play play;
        cast_chain(&play, 3);
        for (unsigned i = 0; i < 3; i++)
            play.rules[i].depend_count = 0;
        play_open(&play);
        assert_overall(&play, SRUN_HEALTH_UNKNOWN);
        play_all_up(&play);
        assert_overall(&play, SRUN_HEALTH_UNKNOWN);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        assert_overall(&play, SRUN_HEALTH_HEALTHY); /* of the others nothing is known */
        play_push(&play, B, SRUN_HEALTH_DEGRADED, "");
        assert_overall(&play, SRUN_HEALTH_DEGRADED);
        play_push(&play, C, SRUN_HEALTH_UNHEALTHY, "");
        assert_overall(&play, SRUN_HEALTH_UNHEALTHY);
        ck_assert_uint_eq(play.overalls, 3);
        play_push(&play, C, SRUN_HEALTH_HEALTHY, "");
        play_push(&play, B, SRUN_HEALTH_HEALTHY, "");
        assert_overall(&play, SRUN_HEALTH_HEALTHY);
        play_close(&play);
    }
END_TEST

START_TEST(lets_an_optional_service_make_all_degraded_at_worst)
    {
        static struct play play;
        cast_chain(&play, 2);
        play.rules[A].optional = true;
        play.rules[B].depend_count = 0;
        play_open(&play);
        play_all_up(&play);
        play_push(&play, B, SRUN_HEALTH_HEALTHY, "");
        play_push(&play, A, SRUN_HEALTH_UNHEALTHY, "");
        assert_overall(&play, SRUN_HEALTH_DEGRADED);
        play_push(&play, B, SRUN_HEALTH_UNHEALTHY, "");
        assert_overall(&play, SRUN_HEALTH_UNHEALTHY);
        play_close(&play);
    }
END_TEST

START_TEST(tells_of_the_whole_after_the_change_that_made_it)
    {
        static struct play play;
        struct board_action action;
        cast_chain(&play, 3);
        play_open(&play);
        play_all_up(&play);
        board_pushed(play.board, A,
                     &(struct board_result){.status = SRUN_HEALTH_UNHEALTHY,
                                            .source = SRUN_HEALTH_PUSHED,
                                            .took_ms = -1,
                                            .note = ""},
                     0);
        ck_assert_int_le(board_wake(play.board), 0);
        for (unsigned i = 0; i < 3; i++) {
            ck_assert(board_next(play.board, 0, &action));
            ck_assert_int_eq((int)action.kind, BOARD_CHANGED);
            ck_assert_uint_eq(action.service, i);
        }
        ck_assert(board_next(play.board, 0, &action));
        ck_assert_int_eq((int)action.kind, BOARD_OVERALL);
        ck_assert(!board_next(play.board, 0, &action));
        play_close(&play);
    }
END_TEST

/* --- history --------------------------------------------------------------------------------- */

START_TEST(remembers_the_last_sixteen_results_in_order)
    {
        static struct play play;
        struct srun_health_result list[SRUN_HEALTH_HISTORY + 1];
        play_cast(&play, 1);
        play.rules[A].has_check = false;
        play_open(&play);
        play_up(&play, A);
        for (int i = 0; i < 40; i++) {
            char note[8];
            (void)snprintf(note, sizeof note, "%d", i);
            ck_assert_uint_eq(board_history(play.board, A, 0, list, 17),
                              (unsigned)(i < 16 ? i : 16));
            play_until(&play, i * INT64_C(1000));
            play_push(&play, A, i % 2 == 0 ? SRUN_HEALTH_HEALTHY : SRUN_HEALTH_DEGRADED, note);
        }
        ck_assert_uint_eq(board_history(play.board, A, 500, list, 17), 16);
        for (int i = 0; i < 16; i++) {
            ck_assert_int_eq(atoi(list[i].note), 24 + i);
            ck_assert_int_eq(list[i].time_ms, (24 + i) * INT64_C(1000) + 500);
            ck_assert_int_eq((int)list[i].source, SRUN_HEALTH_PUSHED);
            ck_assert_int_eq((int)list[i].status,
                             i % 2 == 0 ? SRUN_HEALTH_HEALTHY : SRUN_HEALTH_DEGRADED);
        }
        ck_assert_uint_eq(board_history(play.board, A, 0, list, 3), 16); /* the newest three */
        ck_assert_int_eq(atoi(list[0].note), 37);
        ck_assert_int_eq(atoi(list[2].note), 39);
        play_close(&play);
    }
END_TEST

START_TEST(remembers_results_that_were_not_shown)
    {
        static struct play play;
        struct srun_health_result list[SRUN_HEALTH_HISTORY];
        play_cast(&play, 1);
        play.rules[A].fall = 3;
        play_open(&play);
        play_up(&play, A);
        play.players[A].status = SRUN_HEALTH_UNHEALTHY;
        play_until(&play, 33001);
        play.players[A].takes = -1;
        play_until(&play, 90000);
        ck_assert_uint_eq(board_history(play.board, A, 0, list, 16), 3);
        ck_assert_int_eq((int)list[0].status, SRUN_HEALTH_HEALTHY);
        ck_assert_int_eq((int)list[1].status, SRUN_HEALTH_UNHEALTHY);
        ck_assert_int_eq((int)list[1].source, SRUN_HEALTH_CHECKED);
        ck_assert_int_eq((int)list[2].source, SRUN_HEALTH_HUNG);
        play_close(&play);
    }
END_TEST

/* --- lives ----------------------------------------------------------------------------------- */

START_TEST(shows_a_service_as_stopped_until_it_is_up)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        ck_assert_int_eq(board_wake(play.board), BOARD_NEVER);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, ""); /* before its life: heard by nobody */
        ck_assert_uint_eq(board_history(play.board, A, 0, NULL, 0), 0);
        board_begin(play.board, A);
        play_push(&play, A, SRUN_HEALTH_DEGRADED, "cold caches");
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        ck_assert_uint_eq(play.players[A].changes, 0);
        board_up(play.board, A, 0);
        play_turn(&play);
        assert_shown(&play, A, SRUN_HEALTH_DEGRADED);
        ck_assert_uint_eq(play.players[A].changes, 1);
        play_close(&play);
    }
END_TEST

START_TEST(forgets_a_life_when_it_is_down)
    {
        static struct play play;
        play_cast(&play, 1);
        play_open(&play);
        play_up(&play, A);
        board_down(play.board, A, play_ns(&play));
        play_turn(&play);
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        ck_assert_int_eq(board_wake(play.board), BOARD_NEVER);
        ck_assert_int_eq(board_view(play.board, A)->next_at, BOARD_NEVER);
        play_push(&play, A, SRUN_HEALTH_HEALTHY, "");
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        play.now = 1000;
        board_begin(play.board, A);
        assert_own(&play, A, SRUN_HEALTH_UNKNOWN, SRUN_HEALTH_LIFECYCLE);
        board_up(play.board, A, play_ns(&play));
        play_until(&play, 1000);
        ck_assert_uint_eq(play.players[A].checks, 2);
        play_close(&play);
    }
END_TEST

START_TEST(takes_the_answer_of_a_service_that_is_down_for_nothing)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].takes = 300;
        play.players[A].status = SRUN_HEALTH_UNHEALTHY;
        play_open(&play);
        play_up(&play, A);
        board_down(play.board, A, play_ns(&play));
        play_until(&play, 299);
        ck_assert(board_is_checking(play.board, A));
        play_until(&play, 10000000);
        ck_assert(!board_is_checking(play.board, A));
        ck_assert_uint_eq(play.players[A].hung, 0);
        ck_assert_uint_eq(play.players[A].slow, 0); /* who waits for its end watches over it */
        ck_assert_uint_eq(board_history(play.board, A, 0, NULL, 0), 0);
        assert_own(&play, A, SRUN_HEALTH_STOPPED, SRUN_HEALTH_LIFECYCLE);
        play_close(&play);
    }
END_TEST

START_TEST(takes_an_answer_from_an_earlier_life_for_nothing)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].takes = 300;
        play.players[A].status = SRUN_HEALTH_UNHEALTHY;
        play_open(&play);
        play_up(&play, A);
        board_down(play.board, A, play_ns(&play));
        play.now = 10;
        board_begin(play.board, A);
        board_ask(play.board, A, play_ns(&play));
        play_until(&play, 300);
        assert_own(&play, A, SRUN_HEALTH_UNKNOWN, SRUN_HEALTH_LIFECYCLE);
        play.players[A].status = SRUN_HEALTH_HEALTHY;
        play_until(&play, 900); /* it is asked soon, as it was to be */
        ck_assert_uint_eq(play.players[A].checks, 2);
        assert_own(&play, A, SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        ck_assert_uint_eq(board_history(play.board, A, 0, NULL, 0), 1);
        play_close(&play);
    }
END_TEST

START_TEST(keeps_what_was_found_out_of_a_service_that_never_was_up)
    {
        static struct play play;
        play_cast(&play, 1);
        play.players[A].status = SRUN_HEALTH_UNHEALTHY;
        play_open(&play);
        board_begin(play.board, A);
        board_ask(play.board, A, 0);
        play_until(&play, 0);
        board_down(play.board, A, 0);
        play_until(&play, 100000);
        assert_shown(&play, A, SRUN_HEALTH_STOPPED);
        assert_own(&play, A, SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_CHECKED);
        ck_assert_uint_eq(play.players[A].checks, 1);
        play_close(&play);
    }
END_TEST

START_TEST(can_be_empty)
    {
        struct board_action action;
        struct board *board = board_new(NULL, 0, 0);
        ck_assert_ptr_nonnull(board);
        ck_assert(!board_next(board, 0, &action));
        ck_assert_int_eq(board_wake(board), BOARD_NEVER);
        ck_assert_int_eq((int)board_overall(board), SRUN_HEALTH_UNKNOWN);
        ck_assert_ptr_null(board_free(board));
        ck_assert_ptr_null(board_free(NULL));
    }
END_TEST
int main(void)
{
    return HARNESS("board_shown", shows_no_service_better_than_what_it_depends_on,
                   passes_on_what_a_service_says_that_knows_nothing_of_itself,
                   tells_of_a_change_of_the_path_alone, names_the_worse_of_two_dependencies,
                   counts_an_optional_dependency_as_degraded_at_worst,
                   takes_a_dependency_that_is_stopped_for_unhealthy, cuts_a_long_path_to_fit,
                   shows_the_worst_of_the_critical_services_for_all,
                   lets_an_optional_service_make_all_degraded_at_worst,
                   tells_of_the_whole_after_the_change_that_made_it,
                   remembers_the_last_sixteen_results_in_order,
                   remembers_results_that_were_not_shown, shows_a_service_as_stopped_until_it_is_up,
                   forgets_a_life_when_it_is_down,
                   takes_the_answer_of_a_service_that_is_down_for_nothing,
                   takes_an_answer_from_an_earlier_life_for_nothing,
                   keeps_what_was_found_out_of_a_service_that_never_was_up, can_be_empty);
}

/* SPDX-License-Identifier: MIT
 *
 * A board with services that answer as they are told to, played on a clock of plain numbers: what
 * the suites of the board are written with. Times are in ms.
 */
#ifndef TESTS_UNIT_BOARD_PLAY_H
#define TESTS_UNIT_BOARD_PLAY_H

#include "base/duration.h"
#include "harness.h"
#include "health/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAY_MAX = 64, PLAY_CHECKS = 4096 };

struct player {
    srun_health_status status; /* what a check finds */
    int64_t takes;             /* how long it needs; -1: for ever */
    bool cannot;               /* it cannot be asked */
    bool aside;                /* set aside as soon as it is slow */

    bool asked; /* and has not answered */
    int64_t answers_at;
    unsigned checks, slow, hung, changes;
    int64_t checked_at[PLAY_CHECKS], slow_at, hung_at, changed_at;
};

struct play {
    struct board *board;
    unsigned count, overalls;
    int64_t now;
    struct board_rules rules[PLAY_MAX];
    struct player players[PLAY_MAX];
};

/* Services of the same kind: checked each 30 s, with 5 s for the answer. Change rules before
 * play_open. */
static inline void play_cast(struct play *play, unsigned count)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    memset(play, 0, sizeof *play);
    play->count = count;
    for (unsigned i = 0; i < count; i++) {
        play->rules[i] = (struct board_rules){.name = names[i % 8],
                                              .has_check = true,
                                              .interval_ns = 30000 * NS_PER_MS,
                                              .timeout_ns = 5000 * NS_PER_MS,
                                              .rise = 1,
                                              .fall = 1};
        play->players[i].status = SRUN_HEALTH_HEALTHY;
    }
}

static inline void play_open(struct play *play)
{
    play->board = board_new(play->rules, play->count, 42);
    ck_assert_ptr_nonnull(play->board);
}

static inline void play_close(struct play *play)
{
    play->board = board_free(play->board);
    ck_assert_ptr_null(play->board);
}

static inline int64_t play_ns(const struct play *play)
{
    return play->now * NS_PER_MS;
}

static inline void play_act(struct play *play, const struct board_action *action)
{
    if (action->kind == BOARD_OVERALL) {
        play->overalls++;
        return;
    }
    ck_assert_uint_lt(action->service, play->count);
    struct player *player = &play->players[action->service];
    switch (action->kind) {
    case BOARD_CHECK:
        ck_assert_msg(!player->asked, "asked twice at once");
        player->asked = true;
        player->answers_at = player->takes < 0 ? INT64_MAX : play->now + player->takes;
        ck_assert_uint_lt(player->checks, PLAY_CHECKS);
        player->checked_at[player->checks++] = play->now;
        break;
    case BOARD_SLOW:
        player->slow++;
        player->slow_at = play->now;
        if (player->aside)
            board_set_aside(play->board, action->service);
        break;
    case BOARD_HUNG:
        player->hung++;
        player->hung_at = play->now;
        break;
    default:
        player->changes++;
        player->changed_at = play->now;
    }
}

/* Carries out what is due now. */
static inline void play_turn(struct play *play)
{
    struct board_action action;
    for (unsigned i = 0; board_next(play->board, play_ns(play), &action); i++) {
        ck_assert_msg(i < 10000, "it finds no end");
        play_act(play, &action);
    }
    ck_assert_msg(board_wake(play->board) > play_ns(play), "there is nothing to do, yet it is due");
}

static inline void play_answer(struct play *play, unsigned service)
{
    struct player *player = &play->players[service];
    const struct board_result result = {.status = player->status,
                                        .source = SRUN_HEALTH_CHECKED,
                                        .took_ms = player->takes,
                                        .note = ""};
    player->asked = false;
    board_answered(play->board, service, player->cannot ? NULL : &result, play_ns(play));
}

/* The next time at which anything happens, in whole ms. */
static inline int64_t play_next(const struct play *play)
{
    int64_t wake = board_wake(play->board);
    int64_t next = wake == BOARD_NEVER ? INT64_MAX : (wake + NS_PER_MS - 1) / NS_PER_MS;
    for (unsigned i = 0; i < play->count; i++)
        if (play->players[i].asked && play->players[i].answers_at < next)
            next = play->players[i].answers_at;
    return next;
}

/* Lets time pass, with all that happens by then, and at that time. */
static inline void play_until(struct play *play, int64_t until)
{
    for (;;) {
        play_turn(play);
        int64_t next = play_next(play);
        if (next > until)
            break;
        play->now = next > play->now ? next : play->now;
        for (unsigned i = 0; i < play->count; i++)
            if (play->players[i].asked && play->players[i].answers_at <= play->now)
                play_answer(play, i);
    }
    play->now = until;
    play_turn(play);
}

static inline void play_up(struct play *play, unsigned service)
{
    board_begin(play->board, service);
    board_up(play->board, service, play_ns(play));
    play_until(play, play->now);
}

static inline void play_all_up(struct play *play)
{
    for (unsigned i = 0; i < play->count; i++)
        play_up(play, i);
}

static inline void play_push(struct play *play, unsigned service, srun_health_status status,
                             const char *note)
{
    board_pushed(play->board, service,
                 &(struct board_result){
                     .status = status, .source = SRUN_HEALTH_PUSHED, .took_ms = -1, .note = note},
                 play_ns(play));
    play_until(play, play->now);
}

static inline void assert_shown(const struct play *play, unsigned service,
                                srun_health_status status)
{
    ck_assert_str_eq(srun_health_status_name(board_view(play->board, service)->status),
                     srun_health_status_name(status));
}

static inline void assert_own(const struct play *play, unsigned service, srun_health_status status,
                              srun_health_source source)
{
    const struct board_view *view = board_view(play->board, service);
    ck_assert_str_eq(srun_health_status_name(view->own), srun_health_status_name(status));
    ck_assert_str_eq(srun_health_source_name(view->source), srun_health_source_name(source));
}

static inline void assert_path(const struct play *play, unsigned service, const char *wanted)
{
    char path[SRUN_HEALTH_NOTE_MAX];
    board_path(play->board, service, path, sizeof path);
    ck_assert_str_eq(path, wanted);
}

static inline void assert_overall(const struct play *play, srun_health_status status)
{
    ck_assert_str_eq(srun_health_status_name(board_overall(play->board)),
                     srun_health_status_name(status));
}

#endif

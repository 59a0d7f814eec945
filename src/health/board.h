/* SPDX-License-Identifier: MIT
 *
 * What is known of the health of all services, and whom to ask next: intervals with jitter, limits
 * of checks, rise and fall, expiry, what a dependency makes of a dependent, the overall status.
 * PURE: no clock, no I/O, no threads, no allocation after board_new; time is a parameter, used as
 * in sequence.h: tell it what happened, take actions until there are none, wake when it says so.
 *
 * Promises, for every order of events (board_walk_test.c walks random ones beside an oracle):
 *  1. At most one check of a service is asked for at a time; the next only after the answer.
 *  2. A check that has not answered within its limit makes its service unhealthy, at that moment.
 *  3. The first result of a life counts at once, and so does a push; else it takes `fall` results
 *     in a row that are worse than the present status, or `rise` that are better.
 *  4. A result is believed for three intervals, a push for push_ttl; then it is stale: unhealthy.
 *     If nobody woke up to ask for a check, by an interval or more, it is believed for longer.
 *  5. A service is never shown better than what it depends on; an optional one of these counts as
 *     degraded at worst.
 *  6. BOARD_CHANGED comes for each change of what is shown, BOARD_OVERALL for each of the overall
 *     status, after it.
 */
#ifndef HEALTH_BOARD_H
#define HEALTH_BOARD_H

#include <srun/health.h>
#include <stdbool.h>

#define BOARD_NEVER INT64_MAX
#define BOARD_NOBODY UINT32_MAX
#define BOARD_SLOW_NS (INT64_C(100) * 1000 * 1000) /* a check that takes longer gets in the way */

struct board_rules {
    const char *name; /* borrowed */
    bool has_check, optional;
    int64_t interval_ns, timeout_ns;
    int64_t push_ttl_ns;     /* 0: until the next result */
    unsigned rise, fall;     /* at least 1 */
    const unsigned *depends; /* indices below its own; borrowed */
    unsigned depend_count;
};

struct board_result {
    srun_health_status status;
    srun_health_source source;
    int64_t took_ms;  /* -1: it was no check */
    const char *note; /* copied, cut to fit; never NULL */
};

enum board_action_kind {
    BOARD_CHECK, /* ask the service; answer board_answered, once */
    BOARD_SLOW,  /* its check is still being waited for; told each 100 ms, or half its limit if that
                    is less, until board_set_aside. One that has not begun yet: board_not_begun */
    BOARD_HUNG,  /* its limit has passed, and it is unhealthy now; the answer still counts */
    BOARD_CHANGED, /* what is shown of the service */
    BOARD_OVERALL  /* the overall status */
};

struct board_action {
    enum board_action_kind kind;
    unsigned service;
};

/* What is shown of a service. */
struct board_view {
    srun_health_status status, own;
    srun_health_source source;
    int64_t at;      /* of the last result, BOARD_NEVER: there is none */
    int64_t next_at; /* of the next check, or BOARD_NEVER */
    int64_t took_ms;
    unsigned via;     /* the dependency that makes it worse, or BOARD_NOBODY */
    uint64_t changes; /* of what is shown: a BOARD_CHANGED for each, or for several at once */
    char note[SRUN_HEALTH_NOTE_MAX];
};

struct board;

/* Copies the rules, but for what they point to. NULL when out of memory. free takes NULL, returns
 * NULL. */
struct board *board_new(const struct board_rules *rules, unsigned count, uint64_t seed);
struct board *board_free(struct board *board);

/* A life: begin (it may be asked and may push; shown as stopped still), up (it is RUNNING: shown,
 * and checked from now on), down. begin with ask: check it at once, before it is up; else the first
 * check comes with up. */
void board_begin(struct board *board, unsigned service);
void board_ask(struct board *board, unsigned service, int64_t now);
void board_up(struct board *board, unsigned service, int64_t now);
void board_down(struct board *board, unsigned service, int64_t now);

/* The answer to a CHECK. NULL: it could not be asked; it is tried again a little later. False
 * then, and when the service is in no life, or in another one than that in which it was asked. */
bool board_answered(struct board *board, unsigned service, const struct board_result *result,
                    int64_t now);
void board_pushed(struct board *board, unsigned service, const struct board_result *result,
                  int64_t now);

/* The check in flight delays nobody any more: no further BOARD_SLOW. */
void board_set_aside(struct board *board, unsigned service);

/* Nobody has had time for the check in flight: its limit counts from now on. */
void board_not_begun(struct board *board, unsigned service, int64_t now);

bool board_next(struct board *board, int64_t now, struct board_action *out);
int64_t board_wake(const struct board *board);

/* For snapshots. */
const struct board_view *board_view(const struct board *board, unsigned service);
srun_health_status board_overall(const struct board *board);
bool board_is_checking(const struct board *board, unsigned service);
/* "ledger -> postgres", or "" when it is not a dependency that makes it worse. */
void board_path(const struct board *board, unsigned service, char *out, size_t size);
/* Oldest first, up to capacity of the newest; how many there are. wall_offset_ms: what is to be
 * added to the clock of the board to have Unix time. */
size_t board_history(const struct board *board, unsigned service, int64_t wall_offset_ms,
                     struct srun_health_result *out, size_t capacity);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Random orders of events on the board of health, beside an oracle that knows its promises and
 * nothing of how they are kept: it walks through all services each time, and remembers all results.
 */
#include "base/duration.h"
#include "harness.h"
#include "health/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 40, DEPENDS = 3, STEPS = 100000, WALKS = 100 };

/* Check's own assertions write to a pipe each time: too slow for millions. */
#define MUST(truth, ...)                                                                           \
    do {                                                                                           \
        if (!(truth))                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

#define HOLDS(truth) MUST(truth, "does not hold: %s", #truth)

#define MS(n) ((int64_t)(n)*NS_PER_MS)

struct believer {
    struct board_rules is;
    unsigned depends[DEPENDS];
    bool alive, up, known;
    bool asked, of_this_life, hung, aside; /* a check in flight */
    bool wanted;                           /* asked for, and not begun */
    int64_t asked_at, slow_from, expires;
    int64_t earliest, latest; /* when the next check may come, and when it must */
    int64_t promised;         /* when the board said that it comes */
    srun_health_status own;
    unsigned better, worse;

    /* As far as the walk was told. */
    srun_health_status told;
    unsigned told_via, results;
    char name[12], told_path[SRUN_HEALTH_NOTE_MAX];
};

static int64_t slow_span(const struct believer *it)
{
    return it->is.timeout_ns / 2 < BOARD_SLOW_NS ? it->is.timeout_ns / 2 + 1 : BOARD_SLOW_NS;
}

struct walk {
    uint64_t random;
    int64_t now;
    struct board *board;
    unsigned count;
    srun_health_status told_overall;
    struct believer all[MANY];
    struct board_rules rules[MANY];
};

static unsigned draw(struct walk *walk, unsigned below)
{
    walk->random = walk->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((walk->random >> 33) % below);
}

/* --- what ought to be shown ------------------------------------------------------------------ */

struct shown {
    srun_health_status status;
    unsigned via;
};

static int rank(srun_health_status status)
{
    return status == SRUN_HEALTH_UNKNOWN ? 99 : (int)status;
}

/* From the first to the last: what it depends on stands before it. */
static void oracle_show(const struct walk *walk, struct shown out[MANY])
{
    for (unsigned i = 0; i < walk->count; i++) {
        const struct believer *it = &walk->all[i];
        out[i] = (struct shown){it->up ? it->own : SRUN_HEALTH_STOPPED, BOARD_NOBODY};
        for (unsigned d = 0; it->up && d < it->is.depend_count; d++) {
            unsigned on = it->depends[d];
            srun_health_status cap = out[on].status;
            if (cap == SRUN_HEALTH_STOPPED)
                cap = SRUN_HEALTH_UNHEALTHY;
            if (cap == SRUN_HEALTH_UNHEALTHY && walk->all[on].is.optional)
                cap = SRUN_HEALTH_DEGRADED;
            if (cap != SRUN_HEALTH_HEALTHY && rank(cap) < rank(out[i].status))
                out[i] = (struct shown){cap, on};
        }
    }
}

static srun_health_status oracle_overall(const struct walk *walk, const struct shown shown[MANY])
{
    srun_health_status worst = SRUN_HEALTH_UNKNOWN;
    for (unsigned i = 0; i < walk->count; i++) {
        srun_health_status status = shown[i].status;
        if (status == SRUN_HEALTH_STOPPED)
            continue;
        if (status == SRUN_HEALTH_UNHEALTHY && walk->all[i].is.optional)
            status = SRUN_HEALTH_DEGRADED;
        if (rank(status) < rank(worst))
            worst = status;
    }
    return worst;
}

static void oracle_result(struct believer *it, srun_health_status status, bool at_once)
{
    it->results++;
    it->better = it->known && rank(status) > rank(it->own) ? it->better + 1 : 0;
    it->worse = it->known && rank(status) < rank(it->own) ? it->worse + 1 : 0;
    if (!at_once && it->known && status != it->own && it->better < it->is.rise &&
        it->worse < it->is.fall)
        return;
    it->own = status;
    it->known = true;
    it->better = it->worse = 0;
}

/* When the board has to wake at the latest. */
static int64_t oracle_wake(const struct walk *walk)
{
    int64_t wake = BOARD_NEVER;
    for (unsigned i = 0; i < walk->count; i++) {
        const struct believer *it = &walk->all[i];
        int64_t due = it->expires;
        if (it->asked && it->of_this_life && !it->hung && it->asked_at + it->is.timeout_ns < due)
            due = it->asked_at + it->is.timeout_ns;
        if (it->asked && it->of_this_life && !it->aside && it->slow_from + slow_span(it) < due)
            due = it->slow_from + slow_span(it);
        if (!it->asked && it->wanted && it->latest < due)
            due = it->latest;
        wake = due < wake ? due : wake;
    }
    return wake;
}

/* --- what the board does --------------------------------------------------------------------- */

static void on_check(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    MUST(!it->asked, "%u is asked twice at once", service);
    MUST(it->alive && it->is.has_check && it->wanted, "%u is asked for nothing", service);
    MUST(walk->now >= it->earliest, "%u is asked too soon", service);
    it->asked = it->of_this_life = true;
    it->hung = it->aside = false;
    it->asked_at = it->slow_from = walk->now;
    if (it->expires != BOARD_NEVER && walk->now - it->promised >= it->is.interval_ns)
        it->expires += walk->now - it->promised;
    it->earliest = walk->now + it->is.interval_ns - it->is.interval_ns / 10;
    it->latest = walk->now + it->is.interval_ns + it->is.interval_ns / 10;
}

static void on_slow(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    HOLDS(it->asked && it->of_this_life && !it->aside);
    HOLDS(walk->now >= it->slow_from + slow_span(it));
    it->slow_from = walk->now;
    unsigned what = draw(walk, 3);
    if (what == 0) {
        it->aside = true;
        board_set_aside(walk->board, service);
    } else if (what == 1 && !it->hung) { /* it was still in a queue */
        it->asked_at = walk->now;
        board_not_begun(walk->board, service, walk->now);
    }
}

static void on_hung(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    HOLDS(it->asked && it->of_this_life && !it->hung);
    HOLDS(walk->now >= it->asked_at + it->is.timeout_ns);
    it->hung = true;
    it->expires = BOARD_NEVER;
    oracle_result(it, SRUN_HEALTH_UNHEALTHY, true);
    HOLDS((int)board_view(walk->board, service)->own == SRUN_HEALTH_UNHEALTHY);
}

/* What has expired by now; the board tells of it by what it shows alone. A check that is overdue
 * as well may be told of before or after. */
static void expire(struct walk *walk)
{
    for (unsigned i = 0; i < walk->count; i++) {
        struct believer *it = &walk->all[i];
        if (walk->now < it->expires)
            continue;
        it->expires = BOARD_NEVER;
        oracle_result(it, SRUN_HEALTH_UNHEALTHY, true);
    }
}

static void act(struct walk *walk, const struct board_action *action)
{
    struct shown shown[MANY];
    switch (action->kind) {
    case BOARD_CHECK:
        on_check(walk, action->service);
        break;
    case BOARD_SLOW:
        on_slow(walk, action->service);
        break;
    case BOARD_HUNG:
        on_hung(walk, action->service);
        break;
    case BOARD_CHANGED:
        walk->all[action->service].told = board_view(walk->board, action->service)->status;
        walk->all[action->service].told_via = board_view(walk->board, action->service)->via;
        board_path(walk->board, action->service, walk->all[action->service].told_path,
                   SRUN_HEALTH_NOTE_MAX);
        break;
    case BOARD_OVERALL:
        walk->told_overall = board_overall(walk->board);
        oracle_show(walk, shown);
        for (unsigned i = 0; i < walk->count; i++) /* after the change that made it */
            HOLDS((int)walk->all[i].told == (int)board_view(walk->board, i)->status);
    }
}

static void compare(struct walk *walk)
{
    struct shown shown[MANY];
    oracle_show(walk, shown);
    for (unsigned i = 0; i < walk->count; i++) {
        const struct board_view *view = board_view(walk->board, i);
        const struct believer *it = &walk->all[i];
        MUST(view->status == shown[i].status, "%u: %s instead of %s", i,
             srun_health_status_name(view->status), srun_health_status_name(shown[i].status));
        MUST(it->told == view->status && it->told_via == view->via, "%u: a change was not told", i);
        char path[SRUN_HEALTH_NOTE_MAX];
        board_path(walk->board, i, path, sizeof path);
        MUST(strcmp(path, it->told_path) == 0, "%u: the path %s was not told", i, path);
        if (view->via != BOARD_NOBODY) /* one of those that are as bad */
            HOLDS((int)view->status != (int)it->own);
        else
            HOLDS(view->via == shown[i].via);
        if (it->alive)
            HOLDS((int)view->own == (int)it->own);
        HOLDS(board_is_checking(walk->board, i) == it->asked);
        unsigned remembered = it->results < 16 ? it->results : 16;
        HOLDS(board_history(walk->board, i, 0, NULL, 0) == remembered);
    }
    HOLDS((int)board_overall(walk->board) == (int)oracle_overall(walk, shown));
    HOLDS((int)walk->told_overall == (int)board_overall(walk->board));
}

/* All that is due now; how much it was. */
static unsigned settle(struct walk *walk)
{
    struct board_action action;
    unsigned count = 0;
    for (unsigned i = 0; i < walk->count; i++)
        walk->all[i].promised = board_view(walk->board, i)->next_at;
    while (board_next(walk->board, walk->now, &action)) {
        MUST(++count < 10 * MANY, "it finds no end");
        act(walk, &action);
    }
    expire(walk);
    compare(walk);
    int64_t wake = board_wake(walk->board);
    MUST(wake > walk->now, "it is due with nothing to do");
    MUST(wake <= oracle_wake(walk), "it would wake too late");
    return count;
}

/* --- what happens to it ---------------------------------------------------------------------- */

static void begin(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    board_begin(walk->board, service);
    it->alive = true;
    it->known = it->wanted = it->of_this_life = false;
    it->own = SRUN_HEALTH_UNKNOWN;
    it->better = it->worse = 0;
}

static void want(struct walk *walk, struct believer *it)
{
    if (!it->is.has_check || it->wanted)
        return;
    it->wanted = true;
    it->earliest = it->latest = walk->now;
}

static void up(struct walk *walk, unsigned service)
{
    board_up(walk->board, service, walk->now);
    walk->all[service].up = true;
    want(walk, &walk->all[service]);
}

static void down(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    board_down(walk->board, service, walk->now);
    it->alive = it->up = it->wanted = it->of_this_life = false;
    it->expires = BOARD_NEVER;
}

static struct board_result result_of(struct walk *walk, srun_health_source source)
{
    static const char *const notes[] = {"", "so so", "disk full"};
    return (struct board_result){.status =
                                     (srun_health_status)(SRUN_HEALTH_UNHEALTHY + draw(walk, 3)),
                                 .source = source,
                                 .took_ms = -1,
                                 .note = notes[draw(walk, 3)]};
}

static void answer(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    if (!it->asked)
        return;
    bool cannot = draw(walk, 10) == 0;
    struct board_result result = result_of(walk, SRUN_HEALTH_CHECKED);
    bool counts = board_answered(walk->board, service, cannot ? NULL : &result, walk->now);
    HOLDS(counts == (it->of_this_life && !cannot));
    it->asked = false;
    if (it->of_this_life && cannot) { /* "a little later" */
        it->earliest = walk->now;
        it->latest = walk->now + it->is.interval_ns;
    } else if (it->of_this_life) {
        int64_t latest = walk->now + it->is.interval_ns + it->is.interval_ns / 10;
        if (walk->now >= it->earliest) /* it may have taken longer than the interval */
            it->latest = latest;
        it->expires = walk->now + 3 * it->is.interval_ns;
        oracle_result(it, result.status, false);
    }
    it->of_this_life = false;
}

static void push(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    struct board_result result = result_of(walk, SRUN_HEALTH_PUSHED);
    board_pushed(walk->board, service, &result, walk->now);
    if (!it->alive)
        return;
    it->expires = it->is.push_ttl_ns > 0 ? walk->now + it->is.push_ttl_ns : BOARD_NEVER;
    oracle_result(it, result.status, true);
}

static void happen(struct walk *walk)
{
    unsigned service = draw(walk, walk->count);
    const struct believer *it = &walk->all[service];
    switch (draw(walk, 12)) {
    case 0:
    case 1:
        push(walk, service);
        break;
    case 2:
        if (it->alive && draw(walk, 3) == 0)
            down(walk, service);
        break;
    case 3:
        if (it->alive && !it->up && !it->wanted) {
            board_ask(walk->board, service, walk->now);
            want(walk, &walk->all[service]);
        }
        break;
    case 4:
    case 5:
        if (!it->alive)
            begin(walk, service);
        else if (!it->up)
            up(walk, service);
        break;
    default:
        answer(walk, service);
    }
}

/* To when it wants to be woken, or sooner, or later than it asked for. */
static void pass_time(struct walk *walk)
{
    int64_t wake = board_wake(walk->board);
    unsigned how = draw(walk, 4);
    if (how == 0 && wake != BOARD_NEVER) {
        walk->now = wake;
        unsigned results = 0, after = 0;
        for (unsigned i = 0; i < walk->count; i++)
            results += walk->all[i].results;
        unsigned done = settle(walk);
        for (unsigned i = 0; i < walk->count; i++)
            after += walk->all[i].results;
        MUST(done > 0 || after > results, "it woke for nothing");
        return;
    }
    walk->now += how == 1 ? MS(draw(walk, 5)) : how == 2 ? MS(draw(walk, 100)) : draw(walk, 1000);
    if (draw(walk, 200) == 0)
        walk->now += MS(draw(walk, 20000)); /* the machine slept */
}

static void deal(struct walk *walk, unsigned service)
{
    struct believer *it = &walk->all[service];
    (void)snprintf(it->name, sizeof it->name, "%u", service);
    it->is = (struct board_rules){.name = it->name,
                                  .has_check = draw(walk, 5) > 0,
                                  .optional = draw(walk, 4) == 0,
                                  .interval_ns = MS(1 + draw(walk, 2000)),
                                  .timeout_ns = MS(1 + draw(walk, 1000)),
                                  .push_ttl_ns = draw(walk, 2) == 0 ? MS(1 + draw(walk, 500)) : 0,
                                  .rise = 1 + draw(walk, 3),
                                  .fall = 1 + draw(walk, 3),
                                  .depends = it->depends};
    while (service > 0 && it->is.depend_count < DEPENDS && draw(walk, 2) == 0)
        it->depends[it->is.depend_count++] = draw(walk, service);
    it->expires = BOARD_NEVER;
    it->own = it->told = SRUN_HEALTH_STOPPED;
    it->told_via = BOARD_NOBODY;
    walk->rules[service] = it->is;
}

static void walk_on(uint64_t seed, unsigned steps)
{
    static struct walk walk;
    memset(&walk, 0, sizeof walk);
    walk.random = seed;
    walk.count = 1 + draw(&walk, MANY);
    for (unsigned i = 0; i < walk.count; i++)
        deal(&walk, i);
    walk.board = board_new(walk.rules, walk.count, seed);
    ck_assert_ptr_nonnull(walk.board);
    for (unsigned i = 0; i < steps; i++) {
        for (unsigned n = draw(&walk, 4); n > 0; n--)
            happen(&walk);
        (void)settle(&walk);
        pass_time(&walk);
    }
    (void)board_free(walk.board);
}

START_TEST(keeps_its_promises_in_every_order_of_events)
    {
        for (uint64_t seed = 1; seed <= WALKS; seed++)
            walk_on(seed, STEPS / WALKS);
    }
END_TEST

START_TEST(keeps_its_promises_for_a_long_time)
    {
        walk_on(4711, STEPS);
    }
END_TEST

int main(void)
{
    return HARNESS("board_walk", keeps_its_promises_in_every_order_of_events,
                   keeps_its_promises_for_a_long_time);
}

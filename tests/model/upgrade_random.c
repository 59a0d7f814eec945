/* SPDX-License-Identifier: MIT
 *
 * Seeded random orders for the machine of an upgrade, under random limits and with a clock that
 * runs: long chains of generations, which the exploration cuts short, and limits in numbers. Each
 * order has a seed of its own, so that one can be played alone; one that breaks a promise is made
 * smaller by dropping steps as long as it still fails:
 *
 *     model_upgrade_random [RUNS] [--seed=N] [--first=INDEX]
 *
 * RUNS is also read from SRUN_MODEL_RUNS.
 */
#include "upgrade_lineage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE 10 /* orders here are longer than those of the sequence */

struct random {
    uint64_t state;
};

static uint64_t next_random(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned below(struct random *r, unsigned limit)
{
    return (unsigned)(next_random(r) % limit);
}

static bool chance(struct random *r, unsigned percent)
{
    return below(r, 100) < percent;
}

static struct machine_limits make_limits(struct random *r)
{
    return (struct machine_limits){.handshake_ns = 1 + below(r, 50),
                                   .start_ns = 1 + below(r, 100),
                                   .start_max_ns = 1 + below(r, 300),
                                   .barrier_ns = 1 + below(r, 50),
                                   .probation_ns = chance(r, 30) ? 0 : 1 + below(r, 200),
                                   .probe_ns = 1 + below(r, 30),
                                   .takes_over = chance(r, 60)};
}

/* How likely each kind is, beside the others that are possible; unlucky: so are misfortunes. */
static unsigned weight(const struct step *step, unsigned unlucky)
{
    static const unsigned char natural[STEP_KINDS] = {
        [STEP_SPAWNED] = 100, [STEP_READ] = 100,  [STEP_GONE] = 60,     [STEP_HELLO] = 60,
        [STEP_STARTED] = 40,  [STEP_PASSED] = 40, [STEP_OBEY] = 60,     [STEP_ENDED] = 40,
        [STEP_EXIT] = 60,     [STEP_TIME] = 8,    [STEP_PROGRESS] = 20, [STEP_ASK] = 6,
        [STEP_SAY] = 2,
    };
    if (step->kind == STEP_HELLO && step->variant > 0)
        return unlucky;
    return natural[step->kind] > 0 ? 20U * natural[step->kind] : unlucky;
}

static struct step pick(struct random *r, const struct step *choices, unsigned n, unsigned unlucky)
{
    unsigned sum = 0, i = 0;
    for (i = 0; i < n; i++)
        sum += weight(&choices[i], unlucky);
    unsigned mark = sum == 0 ? 0 : below(r, sum);
    for (i = 0; i + 1 < n && mark >= weight(&choices[i], unlucky); i++)
        mark -= weight(&choices[i], unlucky);
    return choices[i];
}

/* Until then, but no machine sleeps over its wake; and none does anything before it. */
static void let_pass(struct lineage *l, int64_t until)
{
    struct machine_action action;
    for (unsigned p = 0; p < 2; p++) {
        const struct facts *f = &l->processes[p].facts;
        if (f->alive && !f->mad && machine_wake(&l->processes[p].machine) <= until)
            until = machine_wake(&l->processes[p].machine) - 1;
    }
    l->now = until > l->now ? until : l->now;
    for (unsigned p = 0; p < 2; p++)
        if (l->processes[p].facts.alive && !l->processes[p].facts.mad &&
            machine_next(&l->processes[p].machine, l->now, &action))
            oracle_violated(l, p, "does something before its wake");
}

/* --- an order, which can be replayed and made smaller ---------------------------------------- */

#define MOVES 400

struct move {
    int64_t until, extend_ns; /* the clock before the step; and what PROGRESS asks for in it */
    struct step step;
};

struct order {
    struct machine_limits limits;
    enum lineage_cast cast;
    bool hung; /* the new process, at last */
    unsigned count;
    struct move moves[MOVES];
};

static void begin(const struct order *order, struct lineage *l, bool aloud)
{
    lineage_begin(l, &order->limits, order->cast);
    l->aloud = aloud;
    l->clocked = true;
}

static void do_move(struct lineage *l, const struct move *move)
{
    l->asks_left = 5;
    l->progress_left = 2;
    l->extend_ns = move->extend_ns;
    lineage_step(l, &move->step);
}

static void play(struct random r, struct order *order, struct lineage *l)
{
    struct step choices[LINEAGE_CHOICES];
    order->limits = make_limits(&r);
    unsigned kind = below(&r, 8), unlucky = chance(&r, 50) ? 1 : 1 + below(&r, 200);
    unsigned length = 20 + below(&r, MOVES - 20);
    order->cast = kind > 1 ? LINEAGE_PAIR : (enum lineage_cast)(1 + kind);
    order->count = 0;
    begin(order, l, false);
    while (order->count < length && l->violation[0] == '\0') {
        struct move *move = &order->moves[order->count];
        l->asks_left = 5;
        l->progress_left = 2;
        if (chance(&r, 40))
            let_pass(l, l->now + below(&r, 60));
        unsigned n = lineage_choices(l, choices);
        if (n == 0)
            break;
        *move = (struct move){l->now, below(&r, 200), pick(&r, choices, n, unlucky)};
        move->step.cut = below(&r, 1000) < unlucky ? (unsigned char)(1 + below(&r, 4)) : 0;
        do_move(l, move);
        order->count++;
    }
    order->hung = l->processes[1].facts.mad || chance(&r, 30);
    if (l->violation[0] == '\0')
        lineage_quiet(l, order->hung);
}

static bool is_possible(const struct lineage *l, const struct step *step)
{
    struct step choices[LINEAGE_CHOICES];
    unsigned n = lineage_choices(l, choices);
    for (unsigned i = 0; i < n; i++)
        if (choices[i].kind == step->kind && choices[i].process == step->process &&
            choices[i].variant == step->variant)
            return true;
    return false;
}

/* True when it keeps the promises. Steps that are not possible any more are passed over. */
static bool replay(const struct order *order, struct lineage *l, bool aloud)
{
    begin(order, l, aloud);
    for (unsigned i = 0; i < order->count && l->violation[0] == '\0'; i++) {
        l->asks_left = 5;
        l->progress_left = 2;
        let_pass(l, order->moves[i].until);
        if (l->violation[0] == '\0' && is_possible(l, &order->moves[i].step))
            do_move(l, &order->moves[i]);
    }
    if (aloud && l->violation[0] == '\0')
        (void)printf("    rest%s:\n", order->hung ? ", and the new process hangs" : "");
    if (l->violation[0] == '\0')
        lineage_quiet(l, order->hung);
    return l->violation[0] == '\0';
}

/* Drops each step without which it still fails; and each death in the middle of one. */
static bool drop(struct order *order, struct lineage *l)
{
    static struct order less;
    bool dropped = false;
    for (unsigned i = order->count; i-- > 0;) {
        less = *order;
        less.count--;
        memmove(&less.moves[i], &less.moves[i + 1], (less.count - i) * sizeof less.moves[0]);
        if (replay(&less, l, false)) {
            less = *order;
            less.moves[i].step.cut = 0;
            if (order->moves[i].step.cut == 0 || replay(&less, l, false))
                continue;
        }
        *order = less;
        dropped = true;
    }
    return dropped;
}

static void explain(struct order *order, struct lineage *l, uint64_t number, uint64_t seed)
{
    (void)printf("VIOLATION: %s\n", l->violation);
    if (!replay(order, l, false))
        while (drop(order, l))
            continue;
    (void)printf("  the smallest order found that fails, %u steps:\n", order->count);
    (void)replay(order, l, true);
    (void)printf("  VIOLATION: %s\n", l->violation);
    (void)printf("  again: model_upgrade_random 1 --seed=%" PRIu64 " --first=%" PRIu64 "\n", seed,
                 number);
}

int main(int argc, char **argv)
{
    static struct lineage lineage;
    static struct order order;
    const char *text = getenv("SRUN_MODEL_RUNS");
    uint64_t runs = text == NULL ? 1000000 : strtoull(text, NULL, 10);
    uint64_t seed = 1, first = 0, i = 0;
    unsigned most = 0;
    unsigned long long generations = 0;
    runs /= SHARE;
    for (int k = 1; k < argc; k++) {
        if (strncmp(argv[k], "--seed=", 7) == 0)
            seed = strtoull(argv[k] + 7, NULL, 10);
        else if (strncmp(argv[k], "--first=", 8) == 0)
            first = strtoull(argv[k] + 8, NULL, 10);
        else
            runs = strtoull(argv[k], NULL, 10);
    }
    (void)printf("seed %" PRIu64 ", %" PRIu64 " orders\n", seed, runs);
    bool ok = true;
    for (i = first; i < first + runs && ok; i++) {
        struct random r = {.state = seed ^ i * UINT64_C(0xd6e8feb86659fd93)};
        play(r, &order, &lineage);
        ok = lineage.violation[0] == '\0';
        generations += lineage.generations;
        most = lineage.generations > most ? lineage.generations : most;
        if (!ok)
            explain(&order, &lineage, i, seed);
    }
    (void)printf("%" PRIu64 " orders, %llu successions, at most %u in one\n", i - first,
                 generations, most);
    (void)printf("model.upgrade_random: %d passed, %d failed\n", ok, !ok);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

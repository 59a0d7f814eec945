/* SPDX-License-Identifier: MIT
 *
 * Seeded random orders for the machine of an upgrade, under random limits and with a clock that
 * runs: long chains of generations, which the exploration cuts short, and limits in numbers. Each
 * order has a seed of its own, so that one can be played alone:
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

/* Some time, but no machine sleeps over its wake; and none does anything before it. */
static void let_pass(struct random *r, struct lineage *l)
{
    struct machine_action action;
    int64_t until = l->now + below(r, 60);
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

static void play(struct random r, struct lineage *l, bool aloud)
{
    struct step choices[LINEAGE_CHOICES];
    struct machine_limits limits = make_limits(&r);
    unsigned kind = below(&r, 8), unlucky = chance(&r, 50) ? 1 : 1 + below(&r, 200);
    unsigned length = 20 + below(&r, 380);
    lineage_begin(l, &limits, kind > 1 ? LINEAGE_PAIR : (enum lineage_cast)(1 + kind));
    l->aloud = aloud;
    l->clocked = true;
    for (unsigned i = 0; i < length && l->violation[0] == '\0'; i++) {
        l->asks_left = 5;
        l->progress_left = 2;
        l->extend_ns = below(&r, 200);
        if (chance(&r, 40))
            let_pass(&r, l);
        unsigned n = lineage_choices(l, choices);
        if (n == 0)
            break;
        struct step step = pick(&r, choices, n, unlucky);
        lineage_step(l, &step);
    }
    bool hung = l->processes[1].facts.mad || chance(&r, 30);
    if (l->violation[0] == '\0')
        lineage_quiet(l, hung);
}

int main(int argc, char **argv)
{
    static struct lineage lineage;
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
        play(r, &lineage, false);
        ok = lineage.violation[0] == '\0';
        generations += lineage.generations;
        most = lineage.generations > most ? lineage.generations : most;
        if (!ok) {
            (void)printf("VIOLATION: %s\n  order %" PRIu64 " of seed %" PRIu64 ":\n",
                         lineage.violation, i, seed);
            play(r, &lineage, true);
        }
    }
    (void)printf("%" PRIu64 " orders, %llu successions, at most %u in one\n", i - first,
                 generations, most);
    (void)printf("model.upgrade_random: %d passed, %d failed\n", ok, !ok);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

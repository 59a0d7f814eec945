/* SPDX-License-Identifier: MIT
 *
 * Every order of events for the machine of an upgrade, by breadth: each state is visited once, so
 * the first order that breaks a promise is a shortest one. First each role alone with another
 * process that says anything at any time, then both, over generations. A process may die at any
 * moment, between two actions of one step too. From each state the world is also left to itself, to
 * see that it comes to rest.
 *
 * SRUN_MODEL_SCALE (or the first argument) is the number of states in percent of 800000.
 */
#include "upgrade_lineage.h"

#include "base/auto.h"
#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATES_MAX (1U << 20)
#define SLOTS (1U << 21)
#define FINDINGS 24

struct node {
    uint32_t before;
    struct step step;
};

struct search {
    struct machine_limits limits;
    enum lineage_cast cast;
    uint64_t *seen; /* hashes */
    struct node *nodes;
    unsigned char *states; /* packed, size bytes each, in the order of nodes: [from, count) */
    unsigned size, from, count, most;
    struct finding {
        char text[160];
    } findings[FINDINGS];
    unsigned found;
    unsigned most_actions;
};

static uint64_t hash(const unsigned char *bytes, unsigned n)
{
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, n - i < 8 ? n - i : 8);
        h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    return h | 1;
}

static bool is_new(struct search *s, uint64_t h)
{
    unsigned slot = (unsigned)(h >> 40) & (SLOTS - 1);
    for (; s->seen[slot] != 0; slot = (slot + 1) & (SLOTS - 1))
        if (s->seen[slot] == h)
            return false;
    s->seen[slot] = h;
    return true;
}

/* Plays the order that led to a node, aloud. */
static void replay(const struct search *s, struct lineage *l, uint32_t node, bool aloud)
{
    unsigned char bytes[LINEAGE_BYTES];
    uint32_t way[256];
    unsigned n = 0;
    for (; node != 0 && n < 256; node = s->nodes[node].before)
        way[n++] = node;
    lineage_begin(l, &s->limits, s->cast);
    l->aloud = aloud;
    while (n-- > 0) {
        (void)lineage_pack(l, bytes);
        lineage_step(l, &s->nodes[way[n]].step);
    }
    (void)lineage_pack(l, bytes);
}

/* Keeps the first order for each promise. rest: 0 the last step breaks it, 1 rest does, 2 rest with
 * a new process that hangs. */
static void report(struct search *s, const char *text, uint32_t node, const struct step *last,
                   unsigned rest)
{
    static struct lineage l;
    for (unsigned i = 0; i < s->found; i++)
        if (strcmp(s->findings[i].text, text) == 0)
            return;
    if (s->found == FINDINGS)
        return;
    memcpy(s->findings[s->found++].text, text, sizeof s->findings[0].text);
    (void)printf("VIOLATION: %s\n", text);
    replay(s, &l, node, true);
    if (last != NULL)
        lineage_step(&l, last);
    if (rest > 0) {
        (void)printf("    rest%s:\n", rest == 2 ? ", and the new process hangs" : "");
        lineage_quiet(&l, rest == 2);
    }
}

static void visit(struct search *s, struct lineage *l, uint32_t before, const struct step *step)
{
    unsigned char bytes[LINEAGE_BYTES] = {0};
    if (l->violation[0] != '\0') {
        report(s, l->violation, before, step, 0);
        return;
    }
    s->size = lineage_pack(l, bytes);
    if (s->count >= s->most || !is_new(s, hash(bytes, s->size)))
        return;
    memcpy(s->states + (size_t)s->count * s->size, bytes, s->size);
    s->nodes[s->count] = (struct node){.before = before, .step = *step};
    s->count++;
}

static void look_at_rest(struct search *s, struct lineage *l, uint32_t node)
{
    for (unsigned hung = 0; hung < 2; hung++) {
        if (hung == 0 && s->cast == LINEAGE_OLD_ALONE)
            continue; /* the mad one never does as expected */
        lineage_unpack(l, s->states + (size_t)node * s->size);
        lineage_quiet(l, hung != 0);
        if (l->violation[0] != '\0')
            report(s, l->violation, node, NULL, 1 + hung);
    }
}

/* A step from the present state; and the same with a death between any two of its actions. */
static void try(struct search *s, struct lineage *l, struct step step)
{
    unsigned actions = 1;
    for (; step.cut < actions; step.cut++) {
        lineage_unpack(l, s->states + (size_t)s->from * s->size);
        lineage_step(l, &step);
        actions = step.cut == 0 ? l->taken : actions;
        visit(s, l, s->from, &step);
    }
}

static bool explore(struct search *s)
{
    static struct lineage l;
    struct step choices[LINEAGE_CHOICES];
    const struct step none = {0};
    s->count = s->found = 0;
    memset(s->seen, 0, SLOTS * sizeof *s->seen);
    lineage_begin(&l, &s->limits, s->cast);
    visit(s, &l, 0, &none);
    for (s->from = 0; s->from < s->count && s->found < FINDINGS; s->from++) {
        lineage_unpack(&l, s->states + (size_t)s->from * s->size);
        unsigned n = lineage_choices(&l, choices);
        ENSURE(n <= LINEAGE_CHOICES);
        for (unsigned i = 0; i < n; i++)
            try(s, &l, choices[i]);
        look_at_rest(s, &l, s->from);
    }
    s->most_actions = l.most_actions > s->most_actions ? l.most_actions : s->most_actions;
    return s->found == 0;
}

/* When nothing goes wrong: one request leads to the next generation, and two to the one after. */
static bool is_upgraded(const struct machine_limits *limits, unsigned requests)
{
    static const struct step started = {.kind = STEP_STARTED}, ask = {.kind = STEP_ASK};
    static struct lineage l;
    lineage_begin(&l, limits, LINEAGE_PAIR);
    lineage_step(&l, &started);
    for (unsigned i = 0; i < requests; i++)
        lineage_step(&l, &ask);
    lineage_quiet(&l, false);
    if (l.violation[0] == '\0' && l.generations == requests)
        return true;
    (void)printf("VIOLATION: %u requests in a quiet world, %u generations; %s\n", requests,
                 l.generations, l.violation);
    return false;
}

int main(int argc, char **argv)
{
    static const char *const casts[] = {"both", "old alone", "new alone"};
    static struct search search;
    const char *text = argc > 1 ? argv[1] : getenv("SRUN_MODEL_SCALE");
    unsigned long long scale = text == NULL ? 100 : strtoull(text, NULL, 10);
    auto_free uint64_t *seen = malloc(SLOTS * sizeof *seen);
    auto_free struct node *nodes = malloc(STATES_MAX * sizeof *nodes);
    auto_free unsigned char *states = malloc((size_t)STATES_MAX * LINEAGE_BYTES);
    ENSURE(seen != NULL && nodes != NULL && states != NULL);
    search = (struct search){.seen = seen, .nodes = nodes, .states = states};
    search.most = (unsigned)(scale >= 100 ? STATES_MAX : 1000 + 8000 * scale);
    unsigned passed = 0, broken = 0;
    for (unsigned i = 0; i < 12; i++) {
        search.cast = (enum lineage_cast)(2 - i / 4);
        search.limits = (struct machine_limits){.handshake_ns = 30,
                                                .start_ns = 50,
                                                .start_max_ns = 500,
                                                .barrier_ns = 50,
                                                .probation_ns = i % 2 == 0 ? 50 : 0,
                                                .probe_ns = 10,
                                                .takes_over = i % 4 < 2};
        bool ok = is_upgraded(&search.limits, 1) && is_upgraded(&search.limits, 2);
        ok = explore(&search) && ok;
        ok = ok && (scale < 100 || search.count < search.most); /* else it was not everything */
        (void)printf("%-6s %-9s %-12s %-10s: %u states%s\n", ok ? "ok" : "FAILED",
                     casts[search.cast], i % 2 == 0 ? "probation" : "",
                     i % 4 < 2 ? "takes over" : "", search.count,
                     search.count >= search.most ? ", not all" : "");
        (void)fflush(stdout);
        passed += ok;
        broken += !ok;
    }
    (void)printf("at most %u actions at once\n", search.most_actions);
    (void)printf("model.upgrade_explore: %u passed, %u failed\n", passed, broken);
    return broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

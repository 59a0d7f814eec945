/* SPDX-License-Identifier: MIT
 *
 * Every order of events for three services. An order is a string of choices; the sequence is
 * opaque, so each string is played from the start, and the next one differs in its last choice.
 * Two searches, each deepened until the budget of its case is used up: all choices at the first D
 * forks, and up to K departures from the natural course anywhere.
 *
 * SRUN_MODEL_SCALE (or the first argument) is the budget in percent.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORKS 96
#define ENDS 65536 /* slots of the set of distinct ends, a power of two */

enum since { SINCE_START, SINCE_INITIATED, SINCE_RUNNING, SINCE_SHUTDOWN };

/* A word for each service: i init, r run, y ready verb, s stop, e ready on entry, a auxiliary,
 * g together with the one before, f restart on failure, l restart always, h gate. */
struct example {
    const char *services;
    int drain_ms, deadline_ms, graceful_ms;
};

static const struct example examples[] = {
    {"irs irs irs", 0, 0, 50},
    {"irs irs irs", 20, 0, 200},
    {"irys irys irys", 0, 0, 50},
    {"ires ires ires", 0, 0, 90},
    {"is irs rs", 0, 0, 50},
    {"i ys ir", 0, 0, 50},
    {"irs irs girs", 0, 0, 50},
    {"irs girs irs", 5, 0, 50},
    {"irys girs irsa", 0, 0, 50},
    {"iresa ires ires", 0, 0, 50},
    {"irs irs irs", 0, 60, 50},
    {"ires girys irs", 10, 150, 50},
    {"irs iresf ires", 0, 0, 8},
    {"iresl irysl irs", 0, 0, 50},
    {"iresf giryf ires", 7, 0, 50},
    {"ires ires iresf", 0, 90, 100},
    {"rsa rsa irs", 0, 0, 50},
    {"s y ysa", 0, 0, 50},
    {"", 0, 0, 50},
    {"irsh irsh irs", 0, 0, 50},
    {"iryshf giresh irs", 5, 120, 50},
    {"hs ireshl iryh", 0, 0, 50},
    {"iresa irsa", 0, 0, 50},
    {"iresf irysf ires", 4, 0, 90},
};

struct search {
    struct model_setup setup;
    enum world_manner manner;
    enum since since;
    unsigned depth, departures; /* the bounds */
    unsigned choice[FORKS], width[FORKS], length;
    unsigned long long orders, budget;
};

static uint64_t ends[ENDS];
static unsigned distinct_ends;

static void count_end(const struct world *w)
{
    uint64_t end = w->digest;
    end = (end ^ (uint64_t)w->model.outcome.cause) * UINT64_C(0x100000001b3);
    end = (end ^ (uint64_t)w->model.outcome.exit_code) * UINT64_C(0x100000001b3);
    end =
        (end ^ w->model.outcome.stuck ^ (uint64_t)w->model.started << 8) * UINT64_C(0x100000001b3) |
        1;
    size_t slot = end >> 40 & (ENDS - 1);
    for (size_t tries = 0; tries < ENDS && ends[slot] != end; tries++) {
        if (ends[slot] == 0) {
            ends[slot] = end;
            distinct_ends++;
            return;
        }
        slot = (slot + 1) & (ENDS - 1);
    }
}

static void add_service(struct model_setup *setup, const char *letters)
{
    struct sequence_service *s = &setup->services[setup->count];
    *s = (struct sequence_service){.init_ns = 40 * MODEL_MS,
                                   .ready_ns = 30 * MODEL_MS,
                                   .stop_ns = 20 * MODEL_MS,
                                   .unit = setup->count};
    s->restart.backoff_min_ns = 4 * MODEL_MS;
    s->restart.backoff_max_ns = 10 * MODEL_MS;
    s->restart.window_ns = 1000 * MODEL_MS;
    s->restart.limit = 1;
    for (; *letters != '\0' && *letters != ' '; letters++) {
        s->has_init = s->has_init || *letters == 'i';
        s->has_run = s->has_run || *letters == 'r';
        s->has_ready = s->has_ready || *letters == 'y';
        s->has_stop = s->has_stop || *letters == 's';
        s->has_gate = s->has_gate || *letters == 'h';
        s->ready_on_entry = s->ready_on_entry || *letters == 'e';
        s->auxiliary = s->auxiliary || *letters == 'a';
        if (*letters == 'f')
            s->restart.when = SRUN_RESTART_ON_FAILURE;
        if (*letters == 'l')
            s->restart.when = SRUN_RESTART_ALWAYS;
        if (*letters == 'g')
            s->unit = s[-1].unit;
    }
    setup->count++;
}

static void read_example(struct model_setup *setup, const struct example *example)
{
    memset(setup, 0, sizeof *setup);
    setup->limits = (struct sequence_limits){.graceful_ns = example->graceful_ms * MODEL_MS,
                                             .deadline_ns = example->deadline_ms * MODEL_MS,
                                             .drain_ns = example->drain_ms * MODEL_MS,
                                             .stuck_grace_ns = 10 * MODEL_MS,
                                             .seed = 7};
    const char *word = example->services;
    while (word != NULL && *word != '\0') {
        add_service(setup, word);
        word = strchr(word, ' ');
        word = word == NULL ? NULL : word + 1;
    }
}

/* Has the natural course brought it to where the search begins? */
static bool is_reached(const struct world *w, enum since since)
{
    if (since == SINCE_START)
        return true;
    if (since == SINCE_SHUTDOWN)
        return w->asked;
    for (unsigned i = 0; i < w->setup->count; i++)
        if (!w->model.services[i].inited ||
            (since == SINCE_RUNNING && w->model.services[i].state != SRUN_RUNNING))
            return false;
    return true;
}

/* Plays the present string of choices and notes how wide each fork was. */
static bool play(struct search *search, struct world *w)
{
    struct step choices[WORLD_CHOICES];
    bool reached = false;
    unsigned forks = 0;
    if (!world_begin(w, &search->setup, false))
        return false;
    while (!world_is_over(w)) {
        reached = reached || is_reached(w, search->since);
        unsigned chosen = 0;
        unsigned width = world_choices(w, reached ? search->manner : WORLD_ANSWERS, choices);
        if (width == 0) {
            model_violated(&w->model, "nothing can happen any more, but it is not DONE");
            break;
        }
        if (reached && forks < FORKS) {
            chosen = forks < search->length ? search->choice[forks] : 0;
            search->choice[forks] = chosen;
            search->width[forks++] = width;
        }
        world_step(w, &choices[chosen]);
    }
    search->length = forks;
    if (w->model.violation[0] == '\0') {
        count_end(w);
        world_after(w);
    }
    world_end(w);
    search->orders++;
    return w->model.violation[0] == '\0';
}

/* The next string within the bounds: false when that was the last one. */
static bool advance(struct search *search)
{
    unsigned departed = 0, last = search->length;
    if (last > search->depth)
        last = search->depth;
    for (unsigned i = 0; i < last; i++)
        departed += search->choice[i] != 0;
    while (last-- > 0) {
        departed -= search->choice[last] != 0;
        if (search->choice[last] + 1 < search->width[last] && departed < search->departures) {
            search->choice[last]++;
            search->length = last + 1;
            return true;
        }
    }
    return false;
}

/* All strings within the bounds; *ok tells of violations. False when the budget ended first. */
static bool sweep(struct search *search, struct world *w, unsigned long long most, bool *ok)
{
    search->length = 0;
    search->orders = 0;
    do {
        *ok = play(search, w);
        if (!*ok)
            return false;
        if (search->orders > most)
            return false;
    } while (advance(search));
    return true;
}

/* Deepens one bound for as long as the next sweep fits the budget. */
static bool deepen(struct search *search, struct world *w, unsigned *bound, unsigned *complete,
                   unsigned long long *total)
{
    unsigned long long before = 1, spent = 0;
    bool ok = true;
    for (*bound = 1; *bound < FORKS; ++*bound) {
        bool all = sweep(search, w, search->budget, &ok);
        *total += search->orders;
        spent += search->orders;
        if (!ok || !all)
            break;
        *complete = *bound;
        if (search->orders == before && *bound > 1) {
            *complete = FORKS; /* nothing new: that was everything */
            break;
        }
        if (spent + search->orders * search->orders / before > search->budget)
            break;
        before = search->orders;
    }
    return ok;
}

static bool explore(const struct example *example, struct world *w, unsigned long long budget,
                    unsigned long long *total)
{
    unsigned least_depth = FORKS, least_departures = FORKS;
    unsigned long long orders = 0;
    bool ok = true;
    for (unsigned kind = 0; kind < 8 && ok; kind++) {
        struct search search = {.manner = (enum world_manner)(kind % 2),
                                .since = (enum since)(kind / 2),
                                .budget = budget};
        unsigned complete = 0;
        read_example(&search.setup, example);
        search.departures = FORKS;
        ok = deepen(&search, w, &search.depth, &complete, &orders);
        least_depth = complete < least_depth ? complete : least_depth;
        if (!ok)
            world_explain(w);
        search.depth = FORKS;
        complete = 0;
        bool departing = !ok || deepen(&search, w, &search.departures, &complete, &orders);
        least_departures = complete < least_departures ? complete : least_departures;
        if (!departing)
            world_explain(w);
        ok = ok && departing;
    }
    (void)printf("%-6s %-17s drain %2d deadline %3d graceful %3d: %7llu orders, all to "
                 "depth %2u, all with %2u departures\n",
                 ok ? "ok" : "FAILED", example->services, example->drain_ms, example->deadline_ms,
                 example->graceful_ms, orders, least_depth, least_departures);
    *total += orders;
    return ok;
}

int main(int argc, char **argv)
{
    static struct world world;
    const char *text = argc > 1 ? argv[1] : getenv("SRUN_MODEL_SCALE");
    unsigned long long scale = text == NULL ? 100 : strtoull(text, NULL, 10);
    unsigned long long orders = 0, budget = 300 * scale;
    unsigned passed = 0, broken = 0;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        bool ok = explore(&examples[i], &world, budget < 20 ? 20 : budget, &orders);
        passed += ok;
        broken += !ok;
    }
    (void)printf("%llu orders, %u distinct ends\n", orders, distinct_ends);
    (void)printf("model.explore: %u passed, %u failed\n", passed, broken);
    return broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

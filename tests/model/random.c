/* SPDX-License-Identifier: MIT
 *
 * Seeded random orders: one to eight random services under random limits, an environment that
 * mostly answers and sometimes fails, hangs, is late or talks nonsense. Each order has a seed of
 * its own, so that one can be played alone:
 *
 *     model_random [RUNS] [--seed=N] [--first=INDEX]
 *
 * RUNS is also read from SRUN_MODEL_RUNS.
 */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* Mostly some milliseconds, sometimes more, sometimes next to nothing. */
static int64_t some_time(struct random *r)
{
    unsigned kind = below(r, 8);
    if (kind == 0)
        return 1 + below(r, 3000);
    if (kind == 1)
        return MODEL_MS * (1 + below(r, 600));
    return MODEL_MS * (1 + below(r, 60));
}

static void make_service(struct random *r, struct model_setup *setup)
{
    struct sequence_service *s = &setup->services[setup->count];
    *s = (struct sequence_service){.has_init = chance(r, 70),
                                   .has_run = chance(r, 80),
                                   .has_ready = chance(r, 30),
                                   .has_stop = chance(r, 80),
                                   .has_gate = chance(r, 25),
                                   .auxiliary = chance(r, 20),
                                   .init_ns = some_time(r),
                                   .ready_ns = some_time(r),
                                   .stop_ns = some_time(r)};
    s->ready_on_entry = s->has_run && chance(r, 25);
    if (setup->count > 0)
        s->unit = s[-1].unit + (chance(r, 25) ? 0 : 1 + below(r, 2));
    s->restart.when = chance(r, 60) ? SRUN_RESTART_NEVER : (srun_restart)below(r, 3);
    s->restart.backoff_min_ns = 1 + some_time(r) / (1 + below(r, 10));
    s->restart.backoff_max_ns = s->restart.backoff_min_ns * (1 + below(r, 8));
    s->restart.window_ns = some_time(r) * (1 + below(r, 10));
    s->restart.limit = 1 + below(r, 4);
    setup->count++;
}

static void make_setup(struct random *r, struct model_setup *setup)
{
    memset(setup, 0, sizeof *setup);
    unsigned count = 1 + below(r, chance(r, 80) ? 4 : MODEL_SERVICES);
    while (setup->count < count)
        make_service(r, setup);
    setup->asked_early = chance(r, 2);
    setup->limits = (struct sequence_limits){.graceful_ns = some_time(r) * (1 + below(r, 8)),
                                             .deadline_ns = chance(r, 15) ? some_time(r) * 4 : 0,
                                             .drain_ns = chance(r, 30) ? some_time(r) : 0,
                                             .stuck_grace_ns = chance(r, 5) ? 0 : some_time(r),
                                             .seed = next_random(r)};
}

/* What nobody asked for: late and doubled returns, READY and EXTEND at any time, more signals. */
static struct step nonsense(struct random *r, const struct world *w)
{
    static const int codes[] = {0, -EIO, -ECANCELED, SRUN_RUN_BACKGROUND};
    static const srun_cause_kind causes[] = {SRUN_CAUSE_SIGNAL, SRUN_CAUSE_REQUEST,
                                             SRUN_CAUSE_UPGRADE, SRUN_CAUSE_UNHEALTHY};
    struct step step = {.event = {.kind = (enum sequence_event_kind)below(r, 7),
                                  .service = below(r, w->setup->count),
                                  .code = codes[below(r, 3)]}};
    if (chance(r, 12))
        step.event = (struct sequence_event){.kind = SEQUENCE_SHUTDOWN,
                                             .service = SEQUENCE_NOBODY,
                                             .cause = causes[below(r, 4)],
                                             .code = -(int)below(r, 3),
                                             .signo = chance(r, 50) ? SIGTERM : SIGINT};
    if (step.event.kind == SEQUENCE_RUN_RETURNED)
        step.event.code = codes[below(r, 4)];
    if (step.event.kind == SEQUENCE_EXTEND)
        step.event.extend_ns = chance(r, 90) ? some_time(r) : -(int64_t)below(r, 3);
    return step;
}

static struct step pass(struct random *r, const struct world *w)
{
    struct step step = {.kind = STEP_PASS, .pass_ns = some_time(r)};
    int64_t left = w->model.wake - w->now;
    if (w->model.wake != SEQUENCE_NEVER && chance(r, 80) && step.pass_ns >= left && left > 1)
        step.pass_ns = 1 + (int64_t)(next_random(r) % (uint64_t)(left - 1));
    return step;
}

static bool play(struct world *w, struct model_setup *setup, uint64_t seed)
{
    static const unsigned wild[] = {2, 8, 20, 45};
    struct random r = {.state = seed};
    struct step choices[WORLD_CHOICES];
    make_setup(&r, setup);
    unsigned chaos = wild[below(&r, 4)], length = 10 + below(&r, 80);
    enum world_manner manner = chance(&r, 75) ? WORLD_ANSWERS : WORLD_IS_SILENT;
    if (!world_begin(w, setup, false))
        return false;
    bool hesitates = chance(&r, 5); /* ready is "not yet" for long */
    while (!world_is_over(w)) {
        unsigned count = world_choices(w, manner, choices);
        if (count == 0) {
            model_violated(&w->model, "nothing can happen any more, but it is not DONE");
            break;
        }
        struct step step = choices[0];
        if (w->count < length && chance(&r, chaos)) {
            unsigned kind = below(&r, 10);
            step = choices[below(&r, count)];
            if (kind < 2)
                step = pass(&r, w);
            else if (kind < 5)
                step = nonsense(&r, w);
        } else if (chance(&r, 50) && step.kind == STEP_FEED) {
            /* Any of the natural answers, not always that of the first service. */
            unsigned other = below(&r, count);
            if (choices[other].kind == STEP_FEED && choices[other].event.code == 0 &&
                choices[other].event.kind == step.event.kind)
                step = choices[other];
        }
        if (hesitates && step.event.kind == SEQUENCE_READY_RETURNED && step.kind == STEP_FEED)
            step.event.code = -EAGAIN;
        else if (hesitates && step.event.kind == SEQUENCE_READY && chance(&r, 90))
            step = (struct step){.kind = STEP_WAKE};
        world_step(w, &step);
    }
    if (w->model.violation[0] == '\0')
        world_after(w);
    world_end(w);
    return w->model.violation[0] == '\0';
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static struct world world;
    static struct model_setup setup;
    const char *text = getenv("SRUN_MODEL_RUNS");
    uint64_t runs = text == NULL ? 1000000 : strtoull(text, NULL, 10);
    uint64_t seed = 1, first = 0, i = 0;
    unsigned long long events = 0, actions = 0;
    for (int k = 1; k < argc; k++) {
        if (strncmp(argv[k], "--seed=", 7) == 0)
            seed = strtoull(argv[k] + 7, NULL, 10);
        else if (strncmp(argv[k], "--first=", 8) == 0)
            first = strtoull(argv[k] + 8, NULL, 10);
        else
            runs = strtoull(argv[k], NULL, 10);
    }
    (void)printf("seed %" PRIu64 ", %" PRIu64 " orders\n", seed, runs);
    double began = seconds();
    bool ok = true;
    for (i = first; i < first + runs && ok; i++) {
        struct random r = {.state = seed ^ i * UINT64_C(0xd6e8feb86659fd93)};
        ok = play(&world, &setup, next_random(&r));
        events += world.events;
        actions += world.actions;
    }
    double took = seconds() - began;
    if (!ok) {
        (void)printf("order %" PRIu64 " of seed %" PRIu64 ":\n", i - 1, seed);
        world_explain(&world);
        (void)printf("  again: model_random 1 --seed=%" PRIu64 " --first=%" PRIu64 "\n", seed,
                     i - 1);
    }
    (void)printf("%" PRIu64 " orders, %llu events, %llu actions, %.0f orders/s\n", i - first,
                 events, actions, took > 0 ? (double)(i - first) / took : 0.0);
    (void)printf("model.random: %d passed, %d failed\n", ok, !ok); /* all orders are one test */
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT
 *
 * Feeds a sequence, takes its actions, moves the clock, and lets the oracle watch. On a violation
 * the order is made smaller by dropping steps as long as it still fails, and printed.
 */
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tell_action(const struct sequence_action *a)
{
    static const char *const names[] = {"STATE",     "CALL_INIT", "CALL_RUN",   "CALL_READY",
                                        "CALL_STOP", "CALL_GATE", "CANCEL",     "OVERRUN",
                                        "GIVE_UP",   "REMIND",    "RESTARTING", "STARTED",
                                        "DRAINING",  "STOPPING",  "DONE"};
    static const char *const states[] = {"STOPPED",  "INITIATING", "INITIATED",
                                         "STARTING", "RUNNING",    "SHUTTING_DOWN"};
    (void)printf("        -> %s", names[a->kind]);
    if (a->kind < SEQUENCE_STARTED)
        (void)printf(" service %u", a->service);
    if (a->kind == SEQUENCE_STATE)
        (void)printf(" %s -> %s", states[a->from], states[a->to]);
    if (a->kind == SEQUENCE_CANCEL)
        (void)printf(" because of cause %d", (int)a->reason);
    if (a->kind == SEQUENCE_RESTARTING || a->kind == SEQUENCE_REMIND)
        (void)printf(" %.3f ms", (double)a->elapsed_ns / (double)MODEL_MS);
    (void)putchar('\n');
}

static void tell_step(const struct world *w, const struct step *step)
{
    static const char *const names[] = {"INIT_RETURNED", "READY",  "READY_RETURNED", "RUN_RETURNED",
                                        "STOP_RETURNED", "EXTEND", "GATE_RETURNED",  "SHUTDOWN"};
    const struct sequence_event *e = &step->event;
    (void)printf("    %10.3f ms  ", (double)(w->now - w->model.began) / (double)MODEL_MS);
    if (step->kind == STEP_WAKE)
        (void)printf("the wake, in %.3f ms\n", (double)(w->model.wake - w->now) / (double)MODEL_MS);
    else if (step->kind == STEP_PASS)
        (void)printf("%.3f ms have passed\n", (double)step->pass_ns / (double)MODEL_MS);
    else if (e->kind == SEQUENCE_SHUTDOWN)
        (void)printf("SHUTDOWN cause %d, signal %d\n", (int)e->cause, e->signo);
    else if (e->kind == SEQUENCE_EXTEND)
        (void)printf("EXTEND service %u by %.3f ms\n", e->service,
                     (double)e->extend_ns / (double)MODEL_MS);
    else
        (void)printf("%s service %u: %d\n", names[e->kind], e->service, e->code);
}

static void mix(struct world *w, unsigned value)
{
    w->digest = (w->digest ^ value) * UINT64_C(0x100000001b3);
}

static void take_actions(struct world *w)
{
    struct sequence_action action;
    unsigned taken = 0;
    while (w->model.violation[0] == '\0') {
        memset(&action, 0, sizeof action);
        if (!sequence_next(w->seq, w->now, &action))
            break;
        if (w->aloud)
            tell_action(&action);
        model_took(&w->model, &action, w->now);
        if (action.kind == SEQUENCE_GIVE_UP || action.kind == SEQUENCE_CALL_STOP ||
            (action.kind == SEQUENCE_STATE && action.to == SRUN_STOPPED))
            mix(w, (unsigned)action.kind * MODEL_SERVICES + action.service);
        if (++taken > 64 * (w->setup->count + 1))
            model_violated(&w->model, "more than %u actions at once", taken);
    }
    w->actions += taken;
    if (w->model.violation[0] == '\0')
        model_quiet(&w->model, w->seq, w->now);
    if (w->model.violation[0] == '\0' && sequence_next(w->seq, w->now, &action))
        model_violated(&w->model, "one more action after there was none");
}

bool world_begin(struct world *w, const struct model_setup *setup, bool aloud)
{
    static const struct sequence_event early = {
        .kind = SEQUENCE_SHUTDOWN, .cause = SRUN_CAUSE_SIGNAL, .signo = SIGTERM};
    w->setup = setup;
    w->now = 1000 * MODEL_MS;
    w->aloud = aloud;
    w->asked = false;
    w->digest = UINT64_C(0xcbf29ce484222325);
    w->events = w->actions = 0;
    w->count = 0;
    w->seq = sequence_new(setup->services, setup->count, &setup->limits);
    if (w->seq == NULL)
        return false;
    model_begin(&w->model, setup, w->now);
    if (setup->asked_early) {
        w->asked = true;
        model_fed(&w->model, &early, w->now);
        sequence_feed(w->seq, &early, w->now);
    }
    sequence_start(w->seq, w->now);
    take_actions(w);
    return true;
}

void world_end(struct world *w)
{
    w->seq = sequence_free(w->seq);
}

static void to_the_wake(struct world *w)
{
    struct sequence_action action;
    int64_t wake = w->model.wake;
    if (wake == SEQUENCE_NEVER)
        return;
    if (wake > w->now + 1) {
        w->now = wake - 1;
        if (sequence_next(w->seq, w->now, &action))
            model_violated(&w->model, "action %d before the wake", (int)action.kind);
    }
    if (w->now < wake)
        w->now = wake;
    unsigned long long before = w->actions;
    take_actions(w);
    if (w->actions == before && w->model.wake <= wake)
        model_violated(&w->model, "woken, but nothing happens");
}

void world_step(struct world *w, const struct step *step)
{
    w->steps[w->count++] = *step;
    if (w->aloud)
        tell_step(w, step);
    if (step->kind == STEP_WAKE) {
        to_the_wake(w);
    } else if (step->kind == STEP_PASS) {
        w->now += step->pass_ns;
    } else {
        w->events++;
        w->asked = w->asked || step->event.kind == SEQUENCE_SHUTDOWN;
        model_fed(&w->model, &step->event, w->now);
        sequence_feed(w->seq, &step->event, w->now);
        take_actions(w);
    }
}

bool world_is_over(struct world *w)
{
    if (w->count >= WORLD_STEPS - 8)
        model_violated(&w->model, "no end after %u steps", w->count);
    return w->model.done || w->model.violation[0] != '\0';
}

void world_after(struct world *w)
{
    static const struct step late[] = {
        {.event = {.kind = SEQUENCE_SHUTDOWN, .cause = SRUN_CAUSE_SIGNAL, .signo = SIGINT}},
        {.event = {.kind = SEQUENCE_RUN_RETURNED, .code = -EIO}},
        {.event = {.kind = SEQUENCE_INIT_RETURNED}},
        {.event = {.kind = SEQUENCE_READY}}};
    for (size_t i = 0; i < sizeof late / sizeof late[0]; i++)
        if (w->model.violation[0] == '\0' && w->setup->count > 0)
            world_step(w, &late[i]);
}

static unsigned add(struct step *out, unsigned n, enum sequence_event_kind kind, unsigned service,
                    int code)
{
    out[n] = (struct step){.event = {.kind = kind, .service = service, .code = code}};
    return n + 1;
}

static unsigned natural_choices(const struct world *w, struct step *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->setup->count; i++) {
        const struct model_service *s = &w->model.services[i];
        if (s->given_up)
            continue;
        if (s->flying[MODEL_INIT])
            n = add(out, n, SEQUENCE_INIT_RETURNED, i, 0);
        if (s->state == SRUN_STARTING && s->flying[MODEL_RUN] && !s->flying[MODEL_READY] &&
            !s->ready)
            n = add(out, n, SEQUENCE_READY, i, 0);
        if (s->flying[MODEL_READY])
            n = add(out, n, SEQUENCE_READY_RETURNED, i, 0);
        if (s->flying[MODEL_GATE])
            n = add(out, n, SEQUENCE_GATE_RETURNED, i, 0);
        if (s->flying[MODEL_RUN] && s->cancelled)
            n = add(out, n, SEQUENCE_RUN_RETURNED, i, 0);
        if (s->flying[MODEL_STOP])
            n = add(out, n, SEQUENCE_STOP_RETURNED, i, 0);
    }
    return n;
}

static unsigned other_choices(const struct world *w, struct step *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->setup->count; i++) {
        const struct model_service *s = &w->model.services[i];
        if (s->given_up)
            continue;
        int error = s->cancelled ? -ECANCELED : -EIO;
        if (s->flying[MODEL_INIT])
            n = add(out, n, SEQUENCE_INIT_RETURNED, i, error);
        if (s->flying[MODEL_READY])
            n = add(out, n, SEQUENCE_READY_RETURNED, i, -EAGAIN);
        if (s->flying[MODEL_GATE])
            n = add(out, n, SEQUENCE_GATE_RETURNED, i, error);
        if (s->flying[MODEL_RUN]) {
            n = add(out, n, SEQUENCE_RUN_RETURNED, i, error);
            n = add(out, n, SEQUENCE_RUN_RETURNED, i, SRUN_RUN_BACKGROUND);
            if (!s->cancelled)
                n = add(out, n, SEQUENCE_RUN_RETURNED, i, 0);
        }
        if (s->flying[MODEL_STOP])
            n = add(out, n, SEQUENCE_STOP_RETURNED, i, -EIO);
    }
    return n;
}

unsigned world_choices(const struct world *w, enum world_manner manner, struct step *out)
{
    static const struct step shutdown = {
        .event = {.kind = SEQUENCE_SHUTDOWN, .cause = SRUN_CAUSE_SIGNAL, .signo = SIGTERM}};
    static const struct step wake = {.kind = STEP_WAKE};
    bool wakes = w->model.wake != SEQUENCE_NEVER;
    unsigned n = 0;
    if (manner == WORLD_IS_SILENT && wakes)
        out[n++] = wake;
    if (manner == WORLD_IS_SILENT && !w->asked)
        out[n++] = shutdown;
    n += natural_choices(w, out + n);
    if (manner == WORLD_ANSWERS && wakes)
        out[n++] = wake;
    if (manner == WORLD_ANSWERS && !w->asked)
        out[n++] = shutdown;
    return n + other_choices(w, out + n);
}

bool world_replay(struct world *w, const struct model_setup *setup, const struct step *steps,
                  unsigned count, bool aloud)
{
    struct step choices[WORLD_CHOICES];
    if (!world_begin(w, setup, aloud)) {
        model_violated(&w->model, "out of memory");
        return false;
    }
    for (unsigned i = 0; i < count && w->model.violation[0] == '\0'; i++)
        world_step(w, &steps[i]);
    while (!world_is_over(w)) {
        if (world_choices(w, WORLD_IS_SILENT, choices) > 0)
            world_step(w, &choices[0]);
        else
            model_violated(&w->model, "nothing can happen any more, but it is not DONE");
    }
    if (w->model.violation[0] == '\0')
        world_after(w);
    world_end(w);
    return w->model.violation[0] == '\0';
}

static bool drop_steps(struct world *trial, const struct model_setup *setup, struct step *steps,
                       unsigned *count)
{
    struct step shorter[WORLD_STEPS];
    bool dropped = false;
    for (unsigned i = *count; i-- > 0;) {
        memcpy(shorter, steps, i * sizeof *steps);
        memcpy(shorter + i, steps + i + 1, (*count - i - 1) * sizeof *steps);
        if (world_replay(trial, setup, shorter, *count - 1, false))
            continue;
        memcpy(steps, shorter, --*count * sizeof *steps);
        dropped = true;
    }
    return dropped;
}

static void tell_setup(const struct model_setup *setup)
{
    const struct sequence_limits *l = &setup->limits;
    for (unsigned i = 0; i < setup->count; i++) {
        const struct sequence_service *s = &setup->services[i];
        (void)printf("    service %u: unit %u%s%s%s%s%s%s%s restart %d limit %u; init %lld, ready "
                     "%lld, stop %lld ms\n",
                     i, s->unit, s->has_init ? " init" : "", s->has_run ? " run" : "",
                     s->has_ready ? " ready" : "", s->has_stop ? " stop" : "",
                     s->has_gate ? " gate" : "", s->ready_on_entry ? " ready-on-entry" : "",
                     s->auxiliary ? " auxiliary" : "", (int)s->restart.when, s->restart.limit,
                     (long long)(s->init_ns / MODEL_MS), (long long)(s->ready_ns / MODEL_MS),
                     (long long)(s->stop_ns / MODEL_MS));
    }
    (void)printf("    %sgraceful %lld, deadline %lld, drain %lld, stuck grace %lld ms\n",
                 setup->asked_early ? "SHUTDOWN before the start, " : "",
                 (long long)(l->graceful_ns / MODEL_MS), (long long)(l->deadline_ns / MODEL_MS),
                 (long long)(l->drain_ns / MODEL_MS), (long long)(l->stuck_grace_ns / MODEL_MS));
}

void world_explain(const struct world *w)
{
    static struct world trial;
    static struct step steps[WORLD_STEPS];
    unsigned count = w->count;
    memcpy(steps, w->steps, count * sizeof *steps);
    (void)printf("VIOLATION: %s\n", w->model.violation);
    if (!world_replay(&trial, w->setup, steps, count, false))
        while (drop_steps(&trial, w->setup, steps, &count))
            continue;
    (void)printf("  the smallest order found that fails, %u steps, then silence:\n", count);
    tell_setup(w->setup);
    (void)world_replay(&trial, w->setup, steps, count, true);
    (void)printf("  VIOLATION: %s\n", trial.model.violation);
}

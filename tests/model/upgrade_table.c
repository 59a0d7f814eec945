/* SPDX-License-Identifier: MIT
 *
 * What the machine of an upgrade does with each event in each state that can be reached by feeding
 * it any event at any time, one line each:
 *
 *     LIMITS STATE FLAGS EVENT -> STATE FLAGS ACTION DETAIL ...
 *
 * in the names of machine.pml; promela_test.py compares it with what that model does.
 */
#include "upgrade/machine.h"

#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_AT 10
#define DEADLINE 100
#define STATES_MAX 4096
#define FLAGS 9

static const char *const state_names[MACHINE_STATES] = {
    "IN_IDLE",      "IN_SPAWN", "IN_HELLO", "IN_HANDOVER", "IN_INIT",  "IN_BARRIER", "IN_COMMIT",
    "IN_PROBATION", "IN_DRAIN", "IN_REAP",  "IN_JOIN",     "IN_OFFER", "IN_HEIR"};

static const char *const action_names[] = {
    "LAUNCH",        "SEND",        "HAND_OVER",  "PRESENT", "OPEN",  "TAKE_OFFICE",
    "YIELD",         "RECLAIM",     "RETIRE",     "DO_STOP", "CLEAR", "SUCCEEDED",
    "REPORT_FAILED", "ROLLED_BACK", "SUCCESSION", "SIGNAL",  "FORGET"};

static const char *const reason_names[] = {
    "BECAUSE_REFUSED",      "BECAUSE_TIME",   "BECAUSE_GONE",     "BECAUSE_SAID", "BECAUSE_GARBLED",
    "BECAUSE_UNACCEPTABLE", "BECAUSE_ENDING", "BECAUSE_ORPHANED", "BECAUSE_TOLD"};

static const struct occurrence {
    const char *name;
    struct machine_event event;
    int64_t time; /* not 0: no event, but what was waited for until then */
} occurrences[] = {
    {"ASKED", {.kind = MACHINE_ASKED}, 0},
    {"REFUSED", {.kind = MACHINE_REFUSED}, 0},
    {"SPAWNED", {.kind = MACHINE_SPAWNED}, 0},
    {"GARBLED", {.kind = MACHINE_GARBLED}, 0},
    {"GONE", {.kind = MACHINE_GONE}, 0},
    {"PASSED", {.kind = MACHINE_PASSED}, 0},
    {"STARTED", {.kind = MACHINE_STARTED}, 0},
    {"ENDING", {.kind = MACHINE_ENDING, .intent = true}, 0},
    {"BREAKS", {.kind = MACHINE_ENDING}, 0},
    {"ENDED", {.kind = MACHINE_ENDED}, 0},
    {"TIME", {0}, DEADLINE},
    {"PROBE", {0}, PROBE_AT},
    {"HELLO", {.kind = MACHINE_SAID, .type = HANDOVER_HELLO}, 0},
    {"BAD_HELLO", {.kind = MACHINE_SAID, .type = HANDOVER_HELLO, .code = -1}, 0},
    {"ACK", {.kind = MACHINE_SAID, .type = HANDOVER_ACK}, 0},
    {"ACK_ALL", {.kind = MACHINE_SAID, .type = HANDOVER_ACK, .last = true}, 0},
    {"PROGRESS", {.kind = MACHINE_SAID, .type = HANDOVER_PROGRESS, .extend_ns = 50}, 0},
    {"READY", {.kind = MACHINE_SAID, .type = HANDOVER_READY}, 0},
    {"SERVING", {.kind = MACHINE_SAID, .type = HANDOVER_SERVING}, 0},
    {"FAILED", {.kind = MACHINE_SAID, .type = HANDOVER_FAILED}, 0},
    {"STOPPING", {.kind = MACHINE_SAID, .type = HANDOVER_STOPPING}, 0},
    {"RELEASE", {.kind = MACHINE_SAID, .type = HANDOVER_RELEASE}, 0},
    {"PONG", {.kind = MACHINE_SAID, .type = HANDOVER_PONG}, 0},
    {"WELCOME", {.kind = MACHINE_SAID, .type = HANDOVER_WELCOME}, 0},
    {"BATCH", {.kind = MACHINE_SAID, .type = HANDOVER_BATCH}, 0},
    {"COMMIT", {.kind = MACHINE_SAID, .type = HANDOVER_COMMIT}, 0},
    {"PING", {.kind = MACHINE_SAID, .type = HANDOVER_PING}, 0},
    {"AGAIN", {.kind = MACHINE_SAID, .type = HANDOVER_AGAIN}, 0},
    {"RETIRED", {.kind = MACHINE_SAID, .type = HANDOVER_RETIRED}, 0},
    {"STOP", {.kind = MACHINE_SAID, .type = HANDOVER_STOP}, 0},
};
#define OCCURRENCES (sizeof occurrences / sizeof occurrences[0])

/* The name of what the other process says, as above; HELLO and ACK have two. */
static const char *message_name(enum handover_type type)
{
    for (size_t i = 0; i < OCCURRENCES; i++)
        if (occurrences[i].event.kind == MACHINE_SAID && occurrences[i].event.type == type)
            return occurrences[i].name;
    return "?";
}

/* --- states, reached and to be visited ------------------------------------------------------- */

struct state {
    enum machine_state state;
    unsigned flags; /* a bit each, in the order of flag_of */
};

static struct state reached[STATES_MAX];
static unsigned reached_count;

static bool *flag_of(struct machine *m, unsigned i)
{
    bool *const flags[FLAGS] = {&m->asked,  &m->started, &m->ending,  &m->spawned, &m->answered,
                                &m->leaves, &m->alone,   &m->settled, &m->unclear};
    return flags[i];
}

static struct state take_state(struct machine *m)
{
    struct state state = {.state = m->state};
    for (unsigned i = 0; i < FLAGS; i++)
        state.flags |= *flag_of(m, i) ? 1U << i : 0;
    return state;
}

/* The machine in a state: what it waits for follows from that, as in the model. */
static void put_state(struct machine *m, const struct state *s, const struct machine_limits *limits)
{
    *m = (struct machine){.limits = *limits, .state = s->state, .deadline_max = 10 * DEADLINE};
    for (unsigned i = 0; i < FLAGS; i++)
        *flag_of(m, i) = (s->flags >> i & 1) != 0;
    bool timed = (s->state >= MACHINE_SPAWN && s->state <= MACHINE_PROBATION) ||
                 (s->state == MACHINE_REAP && m->spawned);
    m->deadline = timed ? DEADLINE : MACHINE_NEVER;
    m->probe_at = s->state == MACHINE_PROBATION ? PROBE_AT : MACHINE_NEVER;
}

static void reach(const struct state *state)
{
    for (unsigned i = 0; i < reached_count; i++)
        if (reached[i].state == state->state && reached[i].flags == state->flags)
            return;
    ENSURE(reached_count < STATES_MAX);
    reached[reached_count++] = *state;
}

/* --- telling --------------------------------------------------------------------------------- */

static void tell_state(const struct state *s)
{
    (void)printf(" %s ", state_names[s->state]);
    for (unsigned i = 0; i < FLAGS; i++)
        (void)putchar((s->flags >> i & 1) != 0 ? '1' : '0');
}

static void tell_action(const struct machine_action *a)
{
    const char *detail = "NOTHING";
    if (a->kind == MACHINE_SEND)
        detail = message_name(a->type);
    else if (a->kind == MACHINE_SIGNAL)
        detail = a->signal == MACHINE_KILL ? "KILL" : "TERM";
    else if (a->kind == MACHINE_FAILED || a->kind == MACHINE_ROLLED_BACK || a->kind == MACHINE_STOP)
        detail = reason_names[a->reason];
    (void)printf(" %s %s", action_names[a->kind], detail);
}

static void happen(const struct machine_limits *limits, unsigned from,
                   const struct occurrence *occurrence)
{
    struct machine machine;
    struct machine_action action;
    put_state(&machine, &reached[from], limits);
    if ((occurrence->time == DEADLINE && machine.deadline == MACHINE_NEVER) ||
        (occurrence->time == PROBE_AT && machine.probe_at == MACHINE_NEVER))
        return; /* it is not waited for */
    if (occurrence->time == 0)
        machine_feed(&machine, &occurrence->event, 0);
    (void)printf("%d%d", limits->takes_over, limits->probation_ns > 0);
    tell_state(&reached[from]);
    (void)printf(" %s ->", occurrence->name);
    struct machine_action actions[2 * MACHINE_ACTIONS_MAX];
    unsigned count = 0;
    while (machine_next(&machine, occurrence->time, &action)) {
        ENSURE(count < 2 * MACHINE_ACTIONS_MAX);
        actions[count++] = action;
    }
    struct state to = take_state(&machine);
    tell_state(&to);
    for (unsigned i = 0; i < count; i++)
        tell_action(&actions[i]);
    (void)putchar('\n');
    struct machine expected; /* else the model does not know what is waited for */
    put_state(&expected, &to, limits);
    ENSURE((machine.deadline == MACHINE_NEVER) == (expected.deadline == MACHINE_NEVER));
    ENSURE((machine.probe_at == MACHINE_NEVER) == (expected.probe_at == MACHINE_NEVER));
    reach(&to);
}

static void walk(const struct machine_limits *limits)
{
    reached_count = 0;
    for (unsigned joins = 0; joins < 2; joins++) {
        struct machine machine;
        machine_init(&machine, limits, joins != 0);
        struct state first = take_state(&machine);
        reach(&first);
    }
    for (unsigned from = 0; from < reached_count; from++)
        for (size_t i = 0; i < OCCURRENCES; i++)
            happen(limits, from, &occurrences[i]);
}

int main(void)
{
    for (unsigned i = 0; i < 4; i++)
        walk(&(struct machine_limits){.handshake_ns = 30,
                                      .start_ns = 50,
                                      .start_max_ns = 500,
                                      .barrier_ns = 50,
                                      .probation_ns = i % 2 == 0 ? 0 : 50,
                                      .probe_ns = 10,
                                      .takes_over = i / 2 != 0});
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

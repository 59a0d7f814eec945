/* SPDX-License-Identifier: MIT
 *
 * The world of an upgrade: what may happen next, and carrying it out as the comments on the actions
 * say.
 */
#include "upgrade_lineage.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* What a queue or a mad peer may hold beside the types of handover.h. */
enum item { ITEM_ACK_LAST = 100, ITEM_HELLO_BAD, ITEM_GARBAGE };

static const unsigned char sayings[] = {
    HANDOVER_HELLO, ITEM_HELLO_BAD,   HANDOVER_ACK,    ITEM_ACK_LAST,     HANDOVER_PROGRESS,
    HANDOVER_READY, HANDOVER_SERVING, HANDOVER_FAILED, HANDOVER_STOPPING, HANDOVER_RELEASE,
    HANDOVER_PONG,  HANDOVER_WELCOME, HANDOVER_BATCH,  HANDOVER_COMMIT,   HANDOVER_PING,
    HANDOVER_AGAIN, HANDOVER_RETIRED, HANDOVER_STOP,   ITEM_GARBAGE,
};
#define SAYINGS (sizeof sayings / sizeof sayings[0])

static const char *const kind_names[] = {
    "LAUNCH", "SEND",        "HAND_OVER",  "PRESENT", "OPEN",   "TAKE_OFFICE",
    "YIELD",  "RECLAIM",     "RETIRE",     "STOP",    "CLEAR",  "SUCCEEDED",
    "FAILED", "ROLLED_BACK", "SUCCESSION", "SIGNAL",  "FORGET",
};

static const char *type_name(unsigned type)
{
    static const char *const by_new[] = {"?",       "HELLO",  "ACK",      "PROGRESS", "READY",
                                         "SERVING", "FAILED", "STOPPING", "RELEASE",  "PONG"};
    static const char *const by_old[] = {"WELCOME", "BATCH",   "COMMIT", "PING",
                                         "AGAIN",   "RETIRED", "STOP"};
    static const char *const others[] = {"ACK of all", "unacceptable HELLO", "garbage"};
    if (type >= ITEM_ACK_LAST)
        return others[type - ITEM_ACK_LAST];
    return type >= HANDOVER_WELCOME ? by_old[type - HANDOVER_WELCOME] : by_new[type];
}

/* --- one process ------------------------------------------------------------------------------ */

static void die(struct lineage *l, unsigned p, bool in_order);

static void drain(struct lineage *l, unsigned p)
{
    struct machine *m = &l->processes[p].machine;
    struct machine_action action;
    l->most_actions = m->count > l->most_actions ? m->count : l->most_actions;
    for (unsigned i = 0; i < 100; i++) {
        if (!machine_next(m, l->now, &action))
            return;
        if (l->aloud)
            (void)printf("        %u: %s %s%s\n", p, kind_names[action.kind],
                         action.kind == MACHINE_SEND ? type_name(action.type) : "",
                         action.kind != MACHINE_SIGNAL   ? ""
                         : action.signal == MACHINE_KILL ? "KILL"
                                                         : "TERM");
        oracle_took(l, p, &action);
        if (++l->taken == l->cut) {
            die(l, p, false);
            return;
        }
    }
    oracle_violated(l, p, "acts without end");
}

static void feed(struct lineage *l, unsigned p, struct machine_event event)
{
    machine_feed(&l->processes[p].machine, &event, l->now);
    drain(l, p);
}

static void begin_process(struct lineage *l, unsigned p, bool joins)
{
    memset(&l->processes[p], 0, sizeof l->processes[p]);
    machine_init(&l->processes[p].machine, &l->limits, joins);
    l->processes[p].facts =
        (struct facts){.alive = 1, .joined = joins, .peer = joins, .handed = !joins};
}

static void begin_mad(struct lineage *l, unsigned p)
{
    memset(&l->processes[p], 0, sizeof l->processes[p]);
    l->processes[p].facts = (struct facts){.alive = 1, .mad = 1};
}

void lineage_begin(struct lineage *l, const struct machine_limits *limits, enum lineage_cast cast)
{
    memset(l, 0, sizeof *l);
    l->limits = *limits;
    l->progress_left = 1;
    l->due = MACHINE_NEVER;
    l->extend_ns = 50;
    if (cast == LINEAGE_NEW_ALONE) {
        begin_mad(l, 0);
        begin_process(l, 1, true);
        l->processes[1].facts.hello = l->processes[1].facts.handed = 1;
    } else {
        begin_process(l, 0, false);
        l->processes[1].facts.mad = cast == LINEAGE_OLD_ALONE;
    }
    l->asks_left = cast == LINEAGE_PAIR ? 2 : 3;
}

static void post(struct lineage *l, unsigned p, unsigned item)
{
    struct facts *f = &l->processes[p].facts;
    if (!f->alive || f->mad)
        return;
    if (f->unread < LINEAGE_INBOX)
        f->inbox[f->unread++] = (unsigned char)item;
    else
        oracle_violated(l, p, "is told more than it can hold");
}

/* A message reaches a process, or what stands for it in the glue of a new one. */
static void hear(struct lineage *l, unsigned p, unsigned item, unsigned variant)
{
    static const unsigned order[] = {HANDOVER_HELLO, ITEM_ACK_LAST, HANDOVER_READY};
    struct facts *f = &l->processes[p].facts;
    struct machine_event event = {.kind = MACHINE_SAID, .type = (enum handover_type)item};
    if (item == ITEM_GARBAGE) {
        feed(l, p, (struct machine_event){.kind = MACHINE_GARBLED});
        return;
    }
    if (item == ITEM_HELLO_BAD)
        event = (struct machine_event){.kind = MACHINE_SAID, .type = HANDOVER_HELLO, .code = -1};
    if (item == ITEM_ACK_LAST)
        event = (struct machine_event){.kind = MACHINE_SAID, .type = HANDOVER_ACK, .last = true};
    event.extend_ns = item == HANDOVER_PROGRESS ? l->extend_ns : 0;
    bool old = f->peer && !f->joined;
    f->stopping_read |= old && item == HANDOVER_STOPPING;
    f->said = (unsigned char)(f->said + (old && f->said < 3 && item == order[f->said]));
    f->serving_read |= old && item == HANDOVER_SERVING && f->commit_sent;
    f->commit_read |= f->joined && item == HANDOVER_COMMIT;
    f->owed |= f->joined && item == HANDOVER_AGAIN;
    if (item == HANDOVER_BATCH && f->joined && !f->handed) {
        f->handed = variant == 0;
        post(l, 1 - p, variant == 0 ? ITEM_ACK_LAST : HANDOVER_ACK);
    }
    feed(l, p, event);
}

static void read_message(struct lineage *l, unsigned p, unsigned variant)
{
    struct facts *f = &l->processes[p].facts;
    unsigned item = f->inbox[0];
    f->unread--;
    memmove(f->inbox, f->inbox + 1, f->unread);
    f->inbox[f->unread] = 0;
    hear(l, p, item, variant);
}

static void answer_launch(struct lineage *l, unsigned p, bool spawned)
{
    struct facts *f = &l->processes[p].facts;
    f->answering = 0;
    if (!spawned) {
        feed(l, p, (struct machine_event){.kind = MACHINE_REFUSED});
        return;
    }
    bool mad = l->processes[1].facts.mad;
    f->peer = 1;
    if (mad)
        begin_mad(l, 1);
    else
        begin_process(l, 1, true);
    feed(l, p, (struct machine_event){.kind = MACHINE_SPAWNED});
}

static void say_hello(struct lineage *l, unsigned p, unsigned variant)
{
    static const unsigned char hellos[] = {HANDOVER_HELLO, ITEM_HELLO_BAD, ITEM_GARBAGE};
    l->processes[p].facts.hello = 1;
    post(l, 1 - p, hellos[variant]);
}

static void die(struct lineage *l, unsigned p, bool in_order)
{
    struct facts *f = &l->processes[p].facts;
    if (in_order)
        oracle_left(l, p);
    else if (!f->joined)
        l->processes[1].facts.doomed = 0; /* it could not say so */
    bool mad = f->mad;
    memset(&l->processes[p], 0, sizeof l->processes[p]);
    l->processes[p].facts.mad = mad;
}

static void end(struct lineage *l, unsigned p, bool intent, bool operator)
{
    struct facts *f = &l->processes[p].facts, *other = &l->processes[1 - p].facts;
    f->obeys = 0;
    f->ending = 1;
    if (operator&& f->peer && !f->joined && !f->retired && other->alive && !other->mad)
        other->doomed = 1;
    feed(l, p, (struct machine_event){.kind = MACHINE_ENDING, .intent = intent});
}

static void pass(struct lineage *l, unsigned p, unsigned variant)
{
    struct machine *m = &l->processes[p].machine;
    int64_t at = variant == 0 ? machine_wake(m) : m->deadline;
    l->now = at > l->now ? at : l->now;
    drain(l, p);
}

static void carry_out(struct lineage *l, const struct step *step)
{
    unsigned p = step->process;
    struct facts *f = &l->processes[p].facts;
    switch ((enum step_kind)step->kind) {
    case STEP_DIE:
    case STEP_EXIT:
        die(l, p, step->kind == STEP_EXIT);
        break;
    case STEP_SPAWNED:
    case STEP_REFUSED:
        answer_launch(l, p, step->kind == STEP_SPAWNED);
        break;
    case STEP_READ:
        read_message(l, p, step->variant);
        break;
    case STEP_GONE:
        f->gone = 1;
        f->doomed = f->unread == 0 && f->doomed; /* it may not have read STOP */
        f->obeys |= !f->handed && !f->ending;    /* no descriptors, and none will come */
        feed(l, p, (struct machine_event){.kind = MACHINE_GONE});
        break;
    case STEP_HELLO:
        say_hello(l, p, step->variant);
        break;
    case STEP_STARTED:
        f->started = 1;
        feed(l, p, (struct machine_event){.kind = MACHINE_STARTED});
        break;
    case STEP_PASSED:
        f->presenting = 0;
        feed(l, p, (struct machine_event){.kind = MACHINE_PASSED});
        break;
    case STEP_OBEY:
    case STEP_TERM:
    case STEP_FAIL:
        end(l, p, step->kind != STEP_FAIL, step->kind == STEP_TERM);
        break;
    case STEP_ENDED:
        f->ended = 1;
        f->office = 0;
        feed(l, p, (struct machine_event){.kind = MACHINE_ENDED});
        break;
    case STEP_TIME:
        pass(l, p, step->variant);
        break;
    case STEP_PROGRESS:
        l->progress_left--;
        post(l, 1 - p, HANDOVER_PROGRESS);
        break;
    case STEP_ASK:
        l->asks_left--;
        f->owed = 1;
        feed(l, p, (struct machine_event){.kind = MACHINE_ASKED});
        break;
    case STEP_SAY:
        hear(l, p, sayings[step->variant], 0);
        break;
    default:
        break;
    }
}

/* Slot 0 is over, and slot 1 knows: it moves up. What slot 1 was and slot 0 knows of is wiped. */
static void move_up(struct lineage *l)
{
    struct process *old = &l->processes[0], *new = &l->processes[1];
    if (!old->facts.alive && new->facts.alive && !new->facts.mad && !new->facts.peer) {
        bool mad = old->facts.mad;
        l->generations++;
        *old = *new;
        memset(new, 0, sizeof *new);
        new->facts.mad = mad;
    }
}

void lineage_step(struct lineage *l, const struct step *step)
{
    if (l->aloud)
        lineage_tell(l, step);
    l->passes = step->kind == STEP_TIME;
    l->cut = step->cut;
    l->taken = 0;
    carry_out(l, step);
    move_up(l);
    if (l->violation[0] == '\0')
        oracle_look(l);
}

/* --- what may happen -------------------------------------------------------------------------- */

static void add(struct step *out, unsigned *n, enum step_kind kind, unsigned p, unsigned variant)
{
    out[(*n)++] = (struct step){.kind = (unsigned char)kind,
                                .process = (unsigned char)p,
                                .variant = (unsigned char)variant};
}

static void add_talk(const struct lineage *l, struct step *out, unsigned *n, unsigned p)
{
    const struct facts *f = &l->processes[p].facts, *other = &l->processes[1 - p].facts;
    if (f->unread > 0) {
        add(out, n, STEP_READ, p, 0);
        if (f->inbox[0] == HANDOVER_BATCH)
            add(out, n, STEP_READ, p, 1);
    }
    if (f->peer && !other->alive && !f->gone)
        add(out, n, STEP_GONE, p, 0);
    if (f->joined && !f->hello)
        for (unsigned variant = 0; variant < 3; variant++)
            add(out, n, STEP_HELLO, p, variant);
    if (f->joined && f->handed && !f->started && l->progress_left > 0 && !other->mad)
        add(out, n, STEP_PROGRESS, p, 0);
    for (unsigned i = 0; i < SAYINGS && other->mad && !f->gone; i++)
        add(out, n, STEP_SAY, p, i);
}

static void add_life(const struct lineage *l, struct step *out, unsigned *n, unsigned p)
{
    const struct process *process = &l->processes[p];
    const struct facts *f = &process->facts;
    if (f->answering) {
        add(out, n, STEP_SPAWNED, p, 0);
        add(out, n, STEP_REFUSED, p, 0);
    }
    if (!f->started && !f->ending && f->handed)
        add(out, n, STEP_STARTED, p, 0);
    if (f->presenting)
        add(out, n, STEP_PASSED, p, 0);
    if (f->obeys && !f->ending)
        add(out, n, STEP_OBEY, p, 0);
    if (f->ending && !f->ended)
        add(out, n, STEP_ENDED, p, 0);
    if (f->ended)
        add(out, n, STEP_EXIT, p, 0);
    if (machine_wake(&process->machine) != MACHINE_NEVER)
        add(out, n, STEP_TIME, p, 0);
    if (machine_wake(&process->machine) < process->machine.deadline &&
        process->machine.deadline != MACHINE_NEVER)
        add(out, n, STEP_TIME, p, 1);
    if (l->asks_left > 0)
        add(out, n, STEP_ASK, p, 0);
    if (!f->ending) {
        add(out, n, STEP_TERM, p, 0);
        add(out, n, STEP_FAIL, p, 0);
    }
}

unsigned lineage_choices(const struct lineage *l, struct step *out)
{
    unsigned n = 0;
    for (unsigned p = 0; p < 2; p++) {
        const struct facts *f = &l->processes[p].facts;
        if (f->alive)
            add(out, &n, STEP_DIE, p, 0);
        if (f->alive && !f->mad) {
            add_talk(l, out, &n, p);
            add_life(l, out, &n, p);
        }
    }
    return n;
}

/* --- rest ------------------------------------------------------------------------------------- */

/* Must it happen, when nothing else does? A mad old process ends at last, a mad new one hangs. */
static bool is_due(const struct lineage *l, const struct step *step, bool hung)
{
    const struct facts *f = &l->processes[step->process].facts;
    if (step->kind == STEP_DIE)
        return f->killed || (f->mad && step->process == 0);
    if (step->kind >= STEP_QUIET_KINDS || (hung && step->process == 1 && f->joined))
        return false;
    return step->variant == 0;
}

void lineage_quiet(struct lineage *l, bool hung)
{
    struct step choices[LINEAGE_CHOICES];
    l->rests = true;
    l->hangs = hung;
    for (unsigned steps = 0; steps < 2000 && l->violation[0] == '\0'; steps++) {
        const struct step *next = NULL;
        unsigned n = lineage_choices(l, choices);
        for (unsigned i = 0; i < n; i++) {
            if (is_due(l, &choices[i], hung) && (next == NULL || choices[i].kind < next->kind))
                next = &choices[i];
        }
        if (next == NULL) {
            oracle_end(l, hung);
            return;
        }
        lineage_step(l, next);
    }
    if (l->violation[0] == '\0')
        oracle_violated(l, 0, "goes on without end");
}

/* --- bytes ------------------------------------------------------------------------------------ */

#define MACHINE_FROM offsetof(struct machine, state)
#define MACHINE_SIZE (offsetof(struct machine, actions) - MACHINE_FROM)

_Static_assert(2 * (MACHINE_SIZE + sizeof(struct facts)) + 2 <= LINEAGE_BYTES, "it has room");

unsigned lineage_pack(struct lineage *l, unsigned char *bytes)
{
    unsigned n = 0;
    l->now = 0;
    l->due = MACHINE_NEVER;
    bytes[n++] = l->asks_left;
    bytes[n++] = l->progress_left;
    for (unsigned p = 0; p < 2; p++) {
        struct machine *m = &l->processes[p].machine;
        if (l->processes[p].facts.alive && !l->processes[p].facts.mad) {
            m->deadline = m->deadline == MACHINE_NEVER ? MACHINE_NEVER : 100;
            m->probe_at = m->probe_at == MACHINE_NEVER ? MACHINE_NEVER : 10;
            m->deadline_max = m->state == MACHINE_INIT ? 1000 : 0;
        }
        memcpy(bytes + n, (const unsigned char *)m + MACHINE_FROM, MACHINE_SIZE);
        n += (unsigned)MACHINE_SIZE;
        memcpy(bytes + n, &l->processes[p].facts, sizeof(struct facts));
        n += (unsigned)sizeof(struct facts);
    }
    return n;
}

void lineage_unpack(struct lineage *l, const unsigned char *bytes)
{
    unsigned n = 0;
    l->now = 0;
    l->due = MACHINE_NEVER;
    l->rests = l->hangs = false;
    l->violation[0] = '\0';
    l->asks_left = bytes[n++];
    l->progress_left = bytes[n++];
    for (unsigned p = 0; p < 2; p++) {
        struct machine *m = &l->processes[p].machine;
        memset(m, 0, sizeof *m);
        m->limits = l->limits;
        memcpy((unsigned char *)m + MACHINE_FROM, bytes + n, MACHINE_SIZE);
        n += (unsigned)MACHINE_SIZE;
        memcpy(&l->processes[p].facts, bytes + n, sizeof(struct facts));
        n += (unsigned)sizeof(struct facts);
    }
}

void lineage_tell(const struct lineage *l, const struct step *step)
{
    static const char *const names[STEP_KINDS] = {
        [STEP_DIE] = "dies",
        [STEP_SPAWNED] = "SPAWNED",
        [STEP_READ] = "reads",
        [STEP_GONE] = "GONE",
        [STEP_HELLO] = "says HELLO",
        [STEP_STARTED] = "STARTED",
        [STEP_PASSED] = "PASSED",
        [STEP_OBEY] = "ENDING, as told",
        [STEP_ENDED] = "ENDED",
        [STEP_EXIT] = "exits",
        [STEP_TIME] = "time passes",
        [STEP_REFUSED] = "REFUSED",
        [STEP_PROGRESS] = "says PROGRESS",
        [STEP_ASK] = "ASKED",
        [STEP_TERM] = "ENDING, the operator's wish",
        [STEP_FAIL] = "ENDING by failure",
        [STEP_SAY] = "is told",
    };
    const struct process *process = &l->processes[step->process];
    const char *what = "";
    if (step->kind == STEP_READ)
        what = type_name(process->facts.inbox[0]);
    if (step->kind == STEP_SAY)
        what = type_name(sayings[step->variant]);
    (void)printf("    %u (%s): %s %s%s", step->process,
                 process->facts.mad ? "mad" : machine_state_name(process->machine.state),
                 names[step->kind], what, step->variant > 0 && step->kind != STEP_SAY ? " *" : "");
    if (step->cut > 0)
        (void)printf(", and dies after action %u", step->cut);
    (void)putchar('\n');
}

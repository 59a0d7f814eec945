/* SPDX-License-Identifier: MIT
 *
 * The oracle, first half: what an event makes true, and which actions are right at all. The other
 * half, quiet.c, asks whether anything is missing once there is nothing left to do.
 */
#include "model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void model_violated(struct model *m, const char *format, ...)
{
    if (m->violation[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(m->violation, sizeof m->violation, format, args); /* a cut text will do */
    va_end(args);
}

bool model_flies(const struct model_service *s)
{
    return s->flying[MODEL_INIT] || s->flying[MODEL_RUN] || s->flying[MODEL_READY] ||
           s->flying[MODEL_STOP] || s->flying[MODEL_GATE];
}

/* How long after a "not yet" ready is asked again: 1, 2, 4, ... 50 ms. */
static int64_t gap_after(const struct model_service *s)
{
    return s->asks >= 1 && s->asks <= 6 ? MODEL_MS << (s->asks - 1) : 50 * MODEL_MS;
}

bool model_ended(const struct model_service *s)
{
    return s->given_up || (s->state == SRUN_STOPPED && !model_flies(s));
}

bool model_turn(const struct model *m, unsigned service)
{
    for (unsigned i = 0; i < m->setup->count; i++)
        if (m->setup->services[i].unit > m->setup->services[service].unit &&
            !model_ended(&m->services[i]))
            return false;
    return true;
}

void model_look(struct model *m, int64_t now)
{
    if (now <= m->wake)
        return;
    m->overslept_ns += now - m->wake;
    m->wake = now;
}

void model_begin(struct model *m, const struct model_setup *setup, int64_t now)
{
    memset(m, 0, sizeof *m);
    m->setup = setup;
    m->began = now;
    m->wake = SEQUENCE_NEVER;
    m->expected.service = SEQUENCE_NOBODY;
    for (unsigned i = 0; i < setup->count; i++)
        m->services[i].limit = SEQUENCE_NEVER;
}

/* The program has to stop from now on, and this is the cause if it is the first. */
static void ask(struct model *m, srun_cause_kind cause, unsigned service, const char *phase,
                const struct sequence_event *event, int64_t now)
{
    if (service != SEQUENCE_NOBODY)
        m->drains = false; /* a failure may cut the drain short */
    if (m->asked)
        return;
    m->drains = cause == SRUN_CAUSE_SIGNAL || cause == SRUN_CAUSE_REQUEST;
    m->asked = true;
    m->asked_at = now;
    m->expected = (struct sequence_outcome){.cause = cause,
                                            .service = service,
                                            .phase = phase,
                                            .code = event->code,
                                            .signo = event->signo};
}

/* A failure that is not answered by a restart. */
static void failed(struct model *m, unsigned service, const char *phase,
                   const struct sequence_event *event, int64_t now)
{
    bool gate = event->kind == SEQUENCE_GATE_RETURNED;
    struct model_service *s = &m->services[service];
    m->bad = m->bad || !s->cancelled || event->code != -ECANCELED;
    if (s->cancelled)
        return; /* it was told to end, so an error is an answer */
    s->failed = true;
    bool restarts = m->setup->services[service].restart.when != SRUN_RESTART_NEVER;
    if (restarts && s->ever_running)
        return;
    ask(m, gate ? SRUN_CAUSE_UNHEALTHY : SRUN_CAUSE_SERVICE_ERROR, service, phase, event, now);
    if (m->exit_least < (gate ? 5 : 1))
        m->exit_least = gate ? 5 : 1;
}

static void run_returned(struct model *m, const struct sequence_event *event, int64_t now)
{
    struct model_service *s = &m->services[event->service];
    if (event->code < 0) {
        failed(m, event->service, "run", event, now);
        return;
    }
    s->finished = event->code == 0;
    s->background = event->code == SRUN_RUN_BACKGROUND;
    if (s->state == SRUN_STARTING && !m->setup->services[event->service].has_ready)
        s->ready = true;
}

static void returned(struct model *m, const struct sequence_event *event, enum model_verb verb,
                     int64_t now)
{
    struct model_service *s = &m->services[event->service];
    bool expected = s->flying[verb];
    s->flying[verb] = false;
    if (!expected || s->given_up)
        return;
    switch (verb) {
    case MODEL_INIT:
        if (event->code == 0)
            s->inited = true;
        else
            failed(m, event->service, "init", event, now);
        break;
    case MODEL_READY:
        s->not_ready_at = now;
        if (event->code == 0 && s->state == SRUN_STARTING)
            s->ready = true;
        break;
    case MODEL_GATE:
        s->passed = event->code >= 0;
        if (event->code < 0)
            failed(m, event->service, "health", event, now);
        break;
    case MODEL_STOP:
        if (event->code < 0) {
            m->bad = true;
            if (!s->lone && m->exit_least < 1)
                m->exit_least = 1;
        }
        break;
    default:
        run_returned(m, event, now);
    }
}

void model_fed(struct model *m, const struct sequence_event *event, int64_t now)
{
    model_look(m, now);
    m->late = now >= m->wake;
    if (m->done)
        return;
    struct model_service *s = &m->services[event->service % MODEL_SERVICES];
    switch (event->kind) {
    case SEQUENCE_INIT_RETURNED:
        returned(m, event, MODEL_INIT, now);
        break;
    case SEQUENCE_READY_RETURNED:
        returned(m, event, MODEL_READY, now);
        break;
    case SEQUENCE_RUN_RETURNED:
        returned(m, event, MODEL_RUN, now);
        break;
    case SEQUENCE_STOP_RETURNED:
        returned(m, event, MODEL_STOP, now);
        break;
    case SEQUENCE_GATE_RETURNED:
        returned(m, event, MODEL_GATE, now);
        break;
    case SEQUENCE_READY:
        if (s->state == SRUN_STARTING && !s->given_up)
            s->ready = true;
        break;
    case SEQUENCE_EXTEND:
        if (s->limit != SEQUENCE_NEVER && event->extend_ns > 0 && !s->overrun) {
            m->extended_ns += event->extend_ns;
            if (now + event->extend_ns > s->limit)
                s->limit = now + event->extend_ns;
        }
        break;
    case SEQUENCE_SHUTDOWN:
        if (event->cause == SRUN_CAUSE_UNHEALTHY || event->code < 0)
            m->bad = true;
        ask(m, event->cause, SEQUENCE_NOBODY, "", event, now);
        break;
    }
}

/* The arrows as the seed draws them, written down a second time on purpose. */
static bool edge_is_drawn(srun_state from, srun_state to)
{
    switch (to) {
    case SRUN_INITIATING:
        return from == SRUN_STOPPED;
    case SRUN_INITIATED:
        return from == SRUN_INITIATING;
    case SRUN_STARTING:
        return from == SRUN_INITIATED;
    case SRUN_RUNNING:
        return from == SRUN_STARTING;
    case SRUN_SHUTTING_DOWN:
        return from == SRUN_INITIATING || from == SRUN_INITIATED || from == SRUN_STARTING ||
               from == SRUN_RUNNING;
    case SRUN_STOPPED:
        return from == SRUN_SHUTTING_DOWN;
    }
    return false;
}

static void begin_life(struct model *m, unsigned service, int64_t now)
{
    struct model_service *s = &m->services[service];
    const struct sequence_service *spec = &m->setup->services[service];
    if (m->asked || m->draining || m->stopping)
        model_violated(m, "service %u begins a life although the program stops", service);
    for (unsigned i = 0; i < service && s->lives == 0; i++) {
        bool same_unit = m->setup->services[i].unit == spec->unit; /* they start together */
        if (m->services[i].lives == 0 || !(m->services[i].inited || same_unit))
            model_violated(m, "service %u is initiated before service %u was", service, i);
    }
    for (unsigned i = 0; i < m->setup->count && s->lives == 0; i++)
        if (m->services[i].called[MODEL_RUN] || m->services[i].ever_running)
            model_violated(m, "service %u is initiated after service %u ran", service, i);
    if (s->lives > 0 && (!s->restart_due || now < s->restart_at))
        model_violated(m, "service %u starts again unannounced or too early", service);

    memset(s->called, 0, sizeof s->called);
    s->inited = !spec->has_init;
    s->passed = false;
    s->ready = s->failed = s->finished = s->background = s->cancelled = s->lone = s->overrun =
        false;
    s->restart_due = false;
    s->overruns = s->asks = 0;
    s->stop_from = 0;
    s->limit = now + spec->init_ns;
    s->lives++;
}

static void may_start(struct model *m, unsigned service)
{
    if (m->asked || m->draining || m->stopping)
        model_violated(m, "service %u is started although the program stops", service);
    for (unsigned i = 0; i < m->setup->count; i++) {
        const struct model_service *other = &m->services[i];
        if (!other->inited && !other->ever_running)
            model_violated(m, "service %u is started before service %u is initiated", service, i);
        if (m->setup->services[i].unit < m->setup->services[service].unit && !other->ever_running)
            model_violated(m, "service %u is started before service %u was RUNNING", service, i);
    }
}

/* The least a stop is owed: its own stop_ns if all of them fit into the graceful period, even when
 * each is in init and has to be given up; else its fair part of what is left of the period. */
static int64_t stop_share(const struct model *m, unsigned service, int64_t now)
{
    const struct sequence_limits *limits = &m->setup->limits;
    int64_t own = m->setup->services[service].stop_ns, sum = m->extended_ns + m->overslept_ns;
    for (unsigned i = 0; i < m->setup->count; i++)
        sum += m->setup->services[i].init_ns + m->setup->services[i].stop_ns +
               2 * limits->stuck_grace_ns;
    if (!m->asked || sum <= limits->graceful_ns)
        return own;
    int64_t left = m->asked_at + limits->graceful_ns - now;
    return left <= 0 ? 0 : (int64_t)((double)own * (double)left / (double)sum) - 1;
}

static void begin_stop(struct model *m, unsigned service, int64_t now)
{
    struct model_service *s = &m->services[service];
    if (s->stop_from != 0)
        return;
    s->stop_from = now;
    int64_t limit = now + stop_share(m, service, now);
    s->limit = s->flying[MODEL_INIT] && s->limit < limit ? s->limit : limit;
}

static void end_life(struct model *m, unsigned service)
{
    struct model_service *s = &m->services[service];
    if (model_flies(s))
        model_violated(m, "service %u is STOPPED with a call in flight", service);
    if (s->inited && m->setup->services[service].has_stop && !s->called[MODEL_STOP])
        model_violated(m, "service %u is STOPPED, and its stop was never called", service);
    s->limit = SEQUENCE_NEVER;
}

static void took_state(struct model *m, const struct sequence_action *a, int64_t now)
{
    struct model_service *s = &m->services[a->service];
    const struct sequence_service *spec = &m->setup->services[a->service];
    if (a->from != s->state || !edge_is_drawn(a->from, a->to))
        model_violated(m, "service %u: %d -> %d is no edge from state %d", a->service, (int)a->from,
                       (int)a->to, (int)s->state);
    s->state = a->to;
    switch (a->to) {
    case SRUN_INITIATING:
        begin_life(m, a->service, now);
        break;
    case SRUN_INITIATED:
        if (!s->inited)
            model_violated(m, "service %u is INITIATED without a good init", a->service);
        s->limit = SEQUENCE_NEVER;
        break;
    case SRUN_STARTING:
        may_start(m, a->service);
        s->ready = !spec->has_run && !spec->has_ready;
        s->limit = now + spec->ready_ns;
        s->not_ready_at = now;
        break;
    case SRUN_RUNNING:
        if (!s->ready || s->failed || s->passed != spec->has_gate)
            model_violated(m, "service %u is RUNNING, but not ready, or failed, or not let in",
                           a->service);
        s->ever_running = true;
        s->limit = SEQUENCE_NEVER;
        break;
    case SRUN_SHUTTING_DOWN:
        if (!s->lone && !s->failed && !model_turn(m, a->service) &&
            !(s->ever_running && spec->restart.when != SRUN_RESTART_NEVER && !m->asked))
            model_violated(m, "service %u is SHUTTING_DOWN before its turn", a->service);
        begin_stop(m, a->service, now);
        break;
    case SRUN_STOPPED:
        end_life(m, a->service);
        break;
    }
}

static void took_call(struct model *m, unsigned service, enum model_verb verb, int64_t now)
{
    static const srun_state needed[] = {[MODEL_INIT] = SRUN_INITIATING,
                                        [MODEL_RUN] = SRUN_STARTING,
                                        [MODEL_READY] = SRUN_STARTING,
                                        [MODEL_STOP] = SRUN_SHUTTING_DOWN,
                                        [MODEL_GATE] = SRUN_STARTING};
    const struct sequence_service *spec = &m->setup->services[service];
    const bool has[] = {spec->has_init, spec->has_run, spec->has_ready, spec->has_stop,
                        spec->has_gate};
    struct model_service *s = &m->services[service];
    if (!has[verb] || s->flying[verb] || s->state != needed[verb])
        model_violated(m, "service %u: verb %d is called in state %d, or is none, or twice at once",
                       service, (int)verb, (int)s->state);
    if (s->called[verb] && verb != MODEL_READY)
        model_violated(m, "service %u: verb %d is called twice in a life", service, (int)verb);
    if (verb != MODEL_INIT && (s->flying[MODEL_INIT] || !s->inited))
        model_violated(m, "service %u: verb %d is called without a good init", service, (int)verb);
    if (verb != MODEL_STOP && s->cancelled)
        model_violated(m, "service %u: verb %d is called after cancel", service, (int)verb);
    if ((verb == MODEL_INIT || verb == MODEL_RUN) && (m->draining || m->stopping || m->asked))
        model_violated(m, "service %u: verb %d is called while stopping", service, (int)verb);
    if (verb == MODEL_READY && spec->has_run && !s->called[MODEL_RUN])
        model_violated(m, "service %u: ready is asked before run", service);
    if (verb == MODEL_GATE && !s->ready)
        model_violated(m, "service %u: the gate is asked before it is ready", service);
    if (verb == MODEL_STOP && !s->cancelled && (s->called[MODEL_INIT] || s->called[MODEL_RUN]))
        model_violated(m, "service %u: stop is called before cancel", service);
    if (verb == MODEL_STOP && !s->lone && !(model_turn(m, service) && m->stopping))
        model_violated(m, "service %u: stop is called before its turn", service);
    if (verb == MODEL_READY && s->asks++ > 0 && now < s->not_ready_at + s->gap)
        model_violated(m, "service %u: ready is asked again too soon", service);
    s->gap = gap_after(s);
    if (verb == MODEL_RUN && spec->ready_on_entry)
        s->ready = true;
    if (verb == MODEL_STOP) { /* an init that came back late does not cost the stop its time */
        s->limit = now + stop_share(m, service, now);
        s->overrun = false;
    }
    s->called[verb] = s->flying[verb] = true;
}

static bool may_restart(const struct model *m, unsigned service)
{
    return m->services[service].ever_running && !m->draining && !m->stopping &&
           m->setup->services[service].restart.when != SRUN_RESTART_NEVER;
}

static void took_cancel(struct model *m, const struct sequence_action *a, int64_t now)
{
    struct model_service *s = &m->services[a->service];
    if (s->state == SRUN_STOPPED || s->cancelled || s->called[MODEL_STOP])
        model_violated(m, "service %u is cancelled twice, after stop, or outside of a life",
                       a->service);
    if (a->reason == SRUN_CAUSE_NONE)
        model_violated(m, "service %u is cancelled for no reason", a->service);
    if (a->reason == SRUN_CAUSE_RESTART) {
        s->lone = true;
        if (!may_restart(m, a->service))
            model_violated(m, "service %u is cancelled for a restart it has not", a->service);
    } else if (!model_turn(m, a->service)) {
        model_violated(m, "service %u is cancelled before its turn", a->service);
    } else if (!m->stopping && !s->failed && now < s->limit) {
        model_violated(m, "service %u is cancelled before STOPPING", a->service);
    }
    begin_stop(m, a->service, now);
    s->cancelled = true;
}

static void took_overrun(struct model *m, unsigned service, int64_t now)
{
    struct model_service *s = &m->services[service];
    int64_t limit = s->limit;
    if (m->asked && s->stop_from != 0 && m->asked_at + m->setup->limits.graceful_ns < limit)
        limit = m->asked_at + m->setup->limits.graceful_ns;
    if (s->state == SRUN_STOPPED || limit == SEQUENCE_NEVER || now < limit)
        model_violated(m, "service %u has not overrun its limit", service);
    if (++s->overruns > 3)
        model_violated(m, "service %u overruns without end", service);
    int least = s->inited && s->stop_from != 0 && s->stop_from < now ? 4 : 3;
    if (!may_restart(m, service) && m->exit_least < least)
        m->exit_least = least;
    m->bad = true;
    if (s->stop_from == 0)
        s->failed = true;
    s->overrun = true;
    s->overrun_at = now;
}

static void took_give_up(struct model *m, unsigned service, int64_t now)
{
    struct model_service *s = &m->services[service];
    if (!model_flies(s))
        model_violated(m, "service %u is given up with no call in flight", service);
    const struct sequence_limits *limits = &m->setup->limits;
    int64_t grace_over = s->overrun_at + limits->stuck_grace_ns;
    int64_t all_over = m->asked_at + limits->graceful_ns + limits->stuck_grace_ns;
    if (m->asked && all_over < grace_over)
        grace_over = all_over;
    if (s->overruns == 0 || now < grace_over)
        model_violated(m, "service %u is given up before its grace is over", service);
    if (s->inited && m->setup->services[service].has_stop && !s->called[MODEL_STOP])
        model_violated(m, "service %u is given up, and its stop was never called", service);
    int least = s->inited ? 4 : 3;
    if (m->exit_least < least)
        m->exit_least = least;
    s->given_up = true;
    m->stuck++;
}

static void took_restarting(struct model *m, const struct sequence_action *a, int64_t now)
{
    struct model_service *s = &m->services[a->service];
    const struct sequence_service *spec = &m->setup->services[a->service];
    if (s->state != SRUN_STOPPED || s->restart_due || !may_restart(m, a->service) || m->asked)
        model_violated(m, "service %u must not restart now", a->service);
    if (a->elapsed_ns < spec->restart.backoff_min_ns - spec->restart.backoff_min_ns / 10 - 1 ||
        a->elapsed_ns > spec->restart.backoff_max_ns + spec->restart.backoff_max_ns / 10 + 1)
        model_violated(m, "service %u restarts in %lld ns: out of bounds", a->service,
                       (long long)a->elapsed_ns);
    unsigned recent = 1;
    for (unsigned i = 0; i < MODEL_RESTARTS && i < s->restarts; i++)
        recent += s->stop_from - s->restarted[i] < spec->restart.window_ns;
    if (recent > spec->restart.limit)
        model_violated(m, "service %u restarts %u times in a window of %u", a->service, recent,
                       spec->restart.limit);
    s->restarted[s->restarts++ % MODEL_RESTARTS] = s->stop_from; /* when it failed */
    s->restart_due = true;
    s->restart_at = now + a->elapsed_ns;
}

static void took_milestone(struct model *m, enum sequence_action_kind kind, int64_t now)
{
    bool ok = true;
    if (kind == SEQUENCE_STARTED) {
        ok = !m->started && !m->draining && !m->stopping;
        for (unsigned i = 0; i < m->setup->count; i++)
            ok = ok && m->services[i].state == SRUN_RUNNING;
        m->started = true;
    } else if (kind == SEQUENCE_DRAINING) {
        ok = !m->draining && !m->stopping;
        m->draining = true;
    } else if (kind == SEQUENCE_STOPPING) {
        ok = !m->stopping && !(m->drains && m->started && !m->late &&
                               now < m->asked_at + m->setup->limits.drain_ns);
        m->stopping = true;
    } else {
        for (unsigned i = 0; i < m->setup->count; i++)
            ok = ok && model_ended(&m->services[i]);
        m->done = true;
    }
    if (!ok)
        model_violated(m, "action %d comes twice, too early or too late", (int)kind);
    if (!m->asked && kind != SEQUENCE_STARTED)
        m->asked_at = now; /* a limit has passed: no event told the oracle */
    m->asked = m->asked || kind != SEQUENCE_STARTED;
}

void model_took(struct model *m, const struct sequence_action *a, int64_t now)
{
    model_look(m, now);
    if (m->done)
        model_violated(m, "action %d after DONE", (int)a->kind);
    if (a->kind >= SEQUENCE_STARTED) {
        took_milestone(m, a->kind, now);
        return;
    }
    if (a->service >= m->setup->count) {
        model_violated(m, "action %d of service %u, which is none", (int)a->kind, a->service);
        return;
    }
    if (m->services[a->service].given_up)
        model_violated(m, "action %d of service %u, which was given up", (int)a->kind, a->service);
    switch (a->kind) {
    case SEQUENCE_STATE:
        took_state(m, a, now);
        break;
    case SEQUENCE_CANCEL:
        took_cancel(m, a, now);
        break;
    case SEQUENCE_OVERRUN:
        took_overrun(m, a->service, now);
        break;
    case SEQUENCE_GIVE_UP:
        took_give_up(m, a->service, now);
        break;
    case SEQUENCE_RESTARTING:
        took_restarting(m, a, now);
        break;
    case SEQUENCE_REMIND:
        if (a->elapsed_ns <= 0 || m->services[a->service].state == SRUN_STOPPED)
            model_violated(m, "service %u: a reminder of nothing", a->service);
        break;
    default:
        took_call(m, a->service, (enum model_verb)(a->kind - SEQUENCE_CALL_INIT), now);
    }
}

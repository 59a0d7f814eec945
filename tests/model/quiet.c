/* SPDX-License-Identifier: MIT
 *
 * The oracle, second half: when there is nothing left to do, is anything missing? Services that
 * should have moved on, a wake that never comes, an outcome that does not fit what happened.
 */
#include "model.h"

#include <string.h>

/* The drain, then all stops inside the graceful period, then the grace of what is stuck. */
static int64_t longest_stop(const struct model *m)
{
    const struct sequence_limits *limits = &m->setup->limits;
    return limits->drain_ns + limits->graceful_ns + limits->stuck_grace_ns + m->overslept_ns;
}

static bool is_one_of(const char *text, const char *const *names)
{
    while (*names != NULL && strcmp(*names, text) != 0)
        names++;
    return *names != NULL;
}

static int exit_code_of(const struct model *m, const struct sequence_outcome *o)
{
    switch (o->cause) {
    case SRUN_CAUSE_REQUEST:
        return o->code < 0 ? 1 : 0;
    case SRUN_CAUSE_SERVICE_ERROR:
        return 1;
    case SRUN_CAUSE_INIT_TIMEOUT:
    case SRUN_CAUSE_READY_TIMEOUT:
        return 3;
    case SRUN_CAUSE_STOP_TIMEOUT:
        return 4;
    case SRUN_CAUSE_UNHEALTHY:
        return 5;
    case SRUN_CAUSE_DEADLINE:
        return m->started ? 0 : 3;
    default:
        return 0;
    }
}

/* must = false: may it be said that all have exited? true: must it? A service without a run
 * neither keeps the program alive for certain nor ends it for certain. */
static bool all_exited(const struct model *m, bool must)
{
    for (unsigned i = 0; i < m->setup->count; i++) {
        const struct model_service *s = &m->services[i];
        const struct sequence_service *spec = &m->setup->services[i];
        bool finished = s->finished && s->ever_running && spec->restart.when != SRUN_RESTART_ALWAYS;
        if (spec->auxiliary)
            continue;
        if (spec->has_run ? !finished : must)
            return false;
    }
    return true;
}

/* A cause that no event forced: is there a reason for it? */
static bool is_plausible(const struct model *m, const struct sequence_outcome *o, int64_t now)
{
    const struct model_service *s = o->service < m->setup->count ? &m->services[o->service] : NULL;
    switch (o->cause) {
    case SRUN_CAUSE_DEADLINE:
        return m->setup->limits.deadline_ns > 0 && now >= m->began + m->setup->limits.deadline_ns;
    case SRUN_CAUSE_ALL_EXITED:
        return all_exited(m, false);
    case SRUN_CAUSE_INIT_TIMEOUT:
        return s != NULL && strcmp(o->phase, "init") == 0 && s->called[MODEL_INIT];
    case SRUN_CAUSE_READY_TIMEOUT:
        return s != NULL && strcmp(o->phase, "ready") == 0 && s->state != SRUN_RUNNING;
    case SRUN_CAUSE_UNHEALTHY: /* in a start that was a restart */
        return m->late || (s != NULL && strcmp(o->phase, "health") == 0 && s->failed);
    case SRUN_CAUSE_STOP_TIMEOUT:
        return s != NULL && s->lone && s->overruns > 0;
    case SRUN_CAUSE_SERVICE_ERROR:
        return s != NULL &&
               (s->failed || (s->finished &&
                              m->setup->services[o->service].restart.when == SRUN_RESTART_ALWAYS));
    default:
        return m->late; /* the event and a limit at once: either may be first */
    }
}

static bool same_cause(const struct sequence_outcome *a, const struct sequence_outcome *b)
{
    return a->cause == b->cause && a->service == b->service && a->code == b->code &&
           a->signo == b->signo && strcmp(a->phase, b->phase) == 0;
}

static void check_exit_code(struct model *m, const struct sequence_outcome *now)
{
    if (now->exit_code < m->outcome.exit_code)
        model_violated(m, "the exit code falls from %d to %d", m->outcome.exit_code,
                       now->exit_code);
    if (now->exit_code < m->exit_least)
        model_violated(m, "exit code %d, but at least %d is due", now->exit_code, m->exit_least);
    if (!m->bad && now->exit_code > m->exit_least)
        model_violated(m, "exit code %d, but nothing worse than %d happened", now->exit_code,
                       m->exit_least);
    if (now->exit_code < 0 || now->exit_code > 5 || now->exit_code == 2)
        model_violated(m, "exit code %d is in no table", now->exit_code);
}

static void check_outcome(struct model *m, const struct sequence *seq, int64_t now)
{
    static const char *const phases[] = {"init", "run", "ready", "health", "stop", "", NULL};
    struct sequence_outcome outcome = sequence_outcome(seq);
    if (outcome.phase == NULL || !is_one_of(outcome.phase, phases)) {
        model_violated(m, "the outcome has no phase that has a name");
        return;
    }
    if (m->outcome.cause == SRUN_CAUSE_NONE && outcome.cause != SRUN_CAUSE_NONE) {
        bool forced = m->expected.cause != SRUN_CAUSE_NONE && !m->late;
        if (forced && !same_cause(&m->expected, &outcome))
            model_violated(m, "cause %d of service %d (%s, %d, %d), not %d of %d (%s, %d, %d)",
                           (int)outcome.cause, (int)outcome.service, outcome.phase, outcome.code,
                           outcome.signo, (int)m->expected.cause, (int)m->expected.service,
                           m->expected.phase, m->expected.code, m->expected.signo);
        if (!forced &&
            !(m->expected.cause != SRUN_CAUSE_NONE && same_cause(&m->expected, &outcome)) &&
            !is_plausible(m, &outcome, now))
            model_violated(m, "cause %d of service %d (%s): there is no reason for it",
                           (int)outcome.cause, (int)outcome.service, outcome.phase);
        if (outcome.cause == SRUN_CAUSE_DEADLINE && !m->started)
            m->bad = true;
        if (exit_code_of(m, &outcome) > m->exit_least)
            m->exit_least = exit_code_of(m, &outcome);
    } else if (m->outcome.cause != SRUN_CAUSE_NONE && !same_cause(&m->outcome, &outcome)) {
        model_violated(m, "the first cause, %d, was changed to %d", (int)m->outcome.cause,
                       (int)outcome.cause);
    }
    if (m->asked && outcome.cause == SRUN_CAUSE_NONE)
        model_violated(m, "the program stops without a cause");
    check_exit_code(m, &outcome);
    if (outcome.stuck != m->stuck)
        model_violated(m, "%u are stuck, but %u were given up", outcome.stuck, m->stuck);
    m->outcome = outcome;
}

/* What the sequence tells the owner about a service. */
static void check_snapshot(struct model *m, const struct sequence *seq, unsigned i)
{
    static const char *const phases[] = {"init", "run", "ready", "health", "stop", "", NULL};
    const struct model_service *s = &m->services[i];
    const char *phase = sequence_phase(seq, i);
    if (sequence_state(seq, i) != s->state)
        model_violated(m, "service %u is said to be in state %d, but %d was reported", i,
                       (int)sequence_state(seq, i), (int)s->state);
    if (sequence_is_stuck(seq, i) != s->given_up)
        model_violated(m, "service %u: stuck and given up are not the same", i);
    if (phase == NULL || !is_one_of(phase, phases))
        model_violated(m, "service %u: the phase has no name", i);
    unsigned restarts = sequence_restarts(seq, i);
    if (restarts > s->restarts || (s->lives > 0 && restarts < s->lives - 1))
        model_violated(m, "service %u: %u restarts are counted", i, restarts);
    bool limited = s->flying[MODEL_INIT] || s->state == SRUN_STARTING || s->flying[MODEL_STOP];
    if (limited && !s->given_up && sequence_deadline(seq, i) == SEQUENCE_NEVER)
        model_violated(m, "service %u has no deadline in state %d", i, (int)s->state);
    if (s->state == SRUN_RUNNING && sequence_deadline(seq, i) != SEQUENCE_NEVER)
        model_violated(m, "service %u is RUNNING against a deadline", i);
}

/* Nothing has gone wrong: is the start held up for no reason? */
static void check_progress(struct model *m, unsigned i)
{
    const struct model_service *s = &m->services[i];
    bool inited = true, earlier_inited = true, earlier_running = true;
    for (unsigned k = 0; k < m->setup->count; k++) {
        const struct model_service *other = &m->services[k];
        bool has = other->lives > 0 && (other->inited || other->ever_running);
        inited = inited && has;
        earlier_inited = earlier_inited && (k >= i || has);
        if (m->setup->services[k].unit < m->setup->services[i].unit)
            earlier_running = earlier_running && other->state == SRUN_RUNNING;
    }
    if (s->lives == 0 && earlier_inited)
        model_violated(m, "service %u could be initiated, and is not", i);
    if (s->state == SRUN_INITIATING && !model_flies(s))
        model_violated(m, "service %u: init has returned, and nothing follows", i);
    if (s->state == SRUN_INITIATED && inited && earlier_running)
        model_violated(m, "service %u could be started, and is not", i);
    bool let_in = !m->setup->services[i].has_gate || s->passed;
    if (s->state == SRUN_STARTING && s->ready && !let_in && !s->flying[MODEL_GATE] && !s->failed)
        model_violated(m, "service %u is ready, and its gate is not asked", i);
    if (s->state == SRUN_STARTING && s->ready && let_in)
        model_violated(m, "service %u is ready, but not RUNNING", i);
    if (s->state == SRUN_RUNNING && s->finished &&
        m->setup->services[i].restart.when == SRUN_RESTART_ALWAYS)
        model_violated(m, "service %u has finished, and is not started again", i);
    if (s->failed && s->state != SRUN_SHUTTING_DOWN && s->state != SRUN_STOPPED)
        model_violated(m, "service %u has failed, and nothing follows", i);
    if (s->flying[MODEL_INIT] && s->stop_from == 0 && s->overruns == 0 && m->wake > s->limit)
        model_violated(m, "service %u: nobody wakes up when init overruns", i);
    if (s->state == SRUN_STARTING && m->wake > s->limit)
        model_violated(m, "service %u: nobody wakes up when it is not ready in time", i);
    if (s->state == SRUN_STARTING && m->setup->services[i].has_ready && !s->ready &&
        !s->flying[MODEL_READY] &&
        m->wake > s->not_ready_at + (s->asks > 0 ? s->gap : 50 * MODEL_MS))
        model_violated(m, "service %u: ready is not asked again in time", i);
}

static void check_stopping(struct model *m, unsigned i)
{
    const struct model_service *s = &m->services[i];
    bool turn = model_turn(m, i);
    if (m->stopping && turn && s->state != SRUN_STOPPED && s->state != SRUN_SHUTTING_DOWN)
        model_violated(m, "service %u: its turn to stop has come, and nothing follows", i);
    if (s->state == SRUN_SHUTTING_DOWN && !model_flies(s) && !s->given_up && (turn || s->lone))
        model_violated(m, "service %u has ended, but is not STOPPED", i);
}

static bool is_steady(const struct model *m)
{
    for (unsigned i = 0; i < m->setup->count; i++)
        if (m->services[i].state != SRUN_RUNNING)
            return false;
    return !m->asked;
}

static void check_wake(struct model *m, int64_t now)
{
    int64_t deadline = m->setup->limits.deadline_ns;
    deadline = deadline > 0 ? m->began + deadline : SEQUENCE_NEVER;
    if (m->wake <= now)
        model_violated(m, "the wake lies %lld ns in the past", (long long)(now - m->wake));
    if (!m->asked && m->wake > deadline)
        model_violated(m, "nobody wakes up at the deadline");
    if (m->done && m->wake != SEQUENCE_NEVER)
        model_violated(m, "a wake after DONE");
    if (!m->done && !is_steady(m) && m->wake == SEQUENCE_NEVER)
        model_violated(m, "not at rest, but no wake");
    if (!m->done && is_steady(m) && m->wake != deadline)
        model_violated(m, "at rest, but woken for nothing");
}

void model_quiet(struct model *m, const struct sequence *seq, int64_t now)
{
    model_look(m, now);
    m->wake = sequence_wake(seq);
    check_outcome(m, seq, now);
    for (unsigned i = 0; i < m->setup->count; i++) {
        check_snapshot(m, seq, i);
        if (m->outcome.cause == SRUN_CAUSE_NONE)
            check_progress(m, i);
        check_stopping(m, i);
    }
    if (is_steady(m) && m->outcome.cause == SRUN_CAUSE_NONE) {
        if (!m->started)
            model_violated(m, "all are RUNNING, but STARTED was not reported");
        if (all_exited(m, true))
            model_violated(m, "all have finished, and nothing follows");
    }
    check_wake(m, now);
    if (m->asked && !m->stopping && !m->done && now >= m->asked_at + m->setup->limits.drain_ns)
        model_violated(m, "the drain is over, but the stop has not begun");
    if (m->asked && now > m->asked_at + longest_stop(m))
        model_violated(m, "the stop takes longer than all its limits together");
    bool ended = true;
    for (unsigned i = 0; i < m->setup->count; i++)
        ended = ended && model_ended(&m->services[i]);
    if (m->asked && ended && m->stopping && !m->done)
        model_violated(m, "all have ended, but DONE was not reported");
    m->late = false;
}

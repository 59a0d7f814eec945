/* SPDX-License-Identifier: MIT
 *
 * Health, carried out. The board is written by the control thread alone, under the lock; so the
 * control thread reads it without, everybody else with it. Verbs are called by the pool of their
 * own, so that no check ever waits for a start or a stop, nor the other way round.
 */
#include "checkup.h"

#include "base/auto.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/fd.h"
#include "base/text.h"
#include "capture.h"
#include "checkup_watch.h"
#include "outcome.h"
#include "runner.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_WIDTH 2
#define POOL_MORE 14        /* threads at most for checks that would have to wait for over 100 ms */
#define ASIDE_MAX 64        /* checks that are slow and have a thread of their own */
#define TELL_PAUSE NS_PER_S /* between two records of changes of one service */

static struct checkup *of(srun_runner *runner)
{
    return &runner->checkup;
}

static struct checkup_entry *entry_of(srun_runner *runner, const struct service *service)
{
    return &of(runner)->entries[service->id];
}

static void lock(struct checkup *checkup)
{
    pthread_mutex_lock(&checkup->lock);
}

static void unlock(struct checkup *checkup)
{
    pthread_mutex_unlock(&checkup->lock);
}

/* --- the gate -------------------------------------------------------------------------------- */

static void answer_gate(srun_runner *runner, struct checkup_entry *entry, int code)
{
    entry->gate = false;
    sequence_feed(runner->seq,
                  &(struct sequence_event){
                      .kind = SEQUENCE_GATE_RETURNED, .service = entry->service->id, .code = code},
                  clock_now(&runner->clock));
    outcome_fix_cause(runner);
}

static void judge_gate(srun_runner *runner, struct checkup_entry *entry, srun_health_status status,
                       const char *note, int code)
{
    bool refused = status == SRUN_HEALTH_UNHEALTHY;
    if (!entry->gate)
        return;
    if (refused)
        outcome_failed(runner, entry->service, "health", note, code);
    answer_gate(runner, entry, refused ? code : 0);
}

void checkup_gate(srun_runner *runner, struct service *service, int64_t now)
{
    struct checkup *checkup = of(runner);
    entry_of(runner, service)->gate = true;
    lock(checkup);
    board_ask(checkup->board, service->id, now);
    unlock(checkup);
}

/* --- what happens ---------------------------------------------------------------------------- */

static void begin_to_hear(srun_runner *runner, struct checkup_entry *entry)
{
    if (entry->verb == NULL)
        return;
    lock(of(runner));
    mailbox_mark_all(&entry->verb->box);
    unlock(of(runner));
    entry->hears = true;
    service_tell_health(entry->service);
}

static bool has_gone(const srun_runner *runner, unsigned id)
{
    return sequence_state(runner->seq, id) == SRUN_STOPPED || sequence_is_stuck(runner->seq, id);
}

static bool all_have_gone(const srun_runner *runner, const struct srun_health_watch *watch)
{
    for (unsigned i = 0; i < runner->checkup.count; i++)
        if (mailbox_watches(&watch->box, i) && !has_gone(runner, i))
            return false;
    return true;
}

/* It has something to say. */
static void rouse_locked(struct srun_health_watch *watch)
{
    if (watch->event >= 0)
        fd_event_raise(watch->event);
    pthread_cond_broadcast(&watch->changed);
}

static void close_watches(srun_runner *runner)
{
    struct checkup *checkup = of(runner);
    if (sequence_outcome(runner->seq).cause == SRUN_CAUSE_NONE)
        return; /* it may be started again */
    lock(checkup);
    for (struct srun_health_watch *watch = checkup->watches; watch != NULL; watch = watch->next)
        if (!watch->closed && all_have_gone(runner, watch)) {
            watch->closed = true;
            rouse_locked(watch);
        }
    unlock(checkup);
}

void checkup_state(srun_runner *runner, const struct sequence_action *action, int64_t now)
{
    struct checkup *checkup = of(runner);
    if (checkup->board == NULL)
        return;
    struct checkup_entry *entry = &checkup->entries[action->service];
    lock(checkup);
    if (action->to == SRUN_STARTING)
        board_begin(checkup->board, action->service);
    if (action->to == SRUN_RUNNING)
        board_up(checkup->board, action->service, now);
    if (action->to == SRUN_SHUTTING_DOWN)
        board_down(checkup->board, action->service, now);
    unlock(checkup);
    if (action->to == SRUN_RUNNING)
        begin_to_hear(runner, entry);
    if (action->to == SRUN_SHUTTING_DOWN)
        entry->hears = false;
    checkup->thinned |= action->to == SRUN_STOPPED;
}

void checkup_cancelled(srun_runner *runner, struct service *service)
{
    struct checkup *checkup = of(runner);
    if (checkup->board == NULL)
        return;
    lock(checkup);
    for (struct srun_health_watch *watch = checkup->watches; watch != NULL; watch = watch->next)
        if (watch->owner == service)
            rouse_locked(watch);
    unlock(checkup);
    if (entry_of(runner, service)->gate)
        answer_gate(runner, entry_of(runner, service), -ECANCELED);
}

/* What a verb answered, as a status. */
static srun_health_status status_of(int code)
{
    if (code == 0 || code == SRUN_HEALTH_HEALTHY)
        return SRUN_HEALTH_HEALTHY;
    return code == SRUN_HEALTH_DEGRADED ? SRUN_HEALTH_DEGRADED : SRUN_HEALTH_UNHEALTHY;
}

static const char *note_of(const struct service_side *side, char out[SRUN_HEALTH_NOTE_MAX])
{
    if (side->err.text[0] != '\0')
        text_copy(out, SRUN_HEALTH_NOTE_MAX, side->err.text);
    else if (side->code < 0)
        (void)snprintf(out, SRUN_HEALTH_NOTE_MAX, "%s", srun_strerror(side->code));
    else if (side->code > SRUN_HEALTH_HEALTHY || side->code == SRUN_HEALTH_STOPPED)
        (void)snprintf(out, SRUN_HEALTH_NOTE_MAX, "health answered %d, which is no status",
                       side->code);
    else
        out[0] = '\0';
    return out;
}

void checkup_take_answer(srun_runner *runner, struct service *service)
{
    struct checkup *checkup = of(runner);
    struct checkup_entry *entry = entry_of(runner, service);
    struct service_side *side = &service->check.side;
    char note[SRUN_HEALTH_NOTE_MAX];
    const struct board_result result = {.status = status_of(side->code),
                                        .source = SRUN_HEALTH_CHECKED,
                                        .took_ms = service->check.took / NS_PER_MS,
                                        .note = note_of(side, note)};
    bool skipped = service->check.skipped;
    side->busy = false;
    checkup->aside -= entry->aside;
    entry->aside = false;
    lock(checkup);
    bool counts = board_answered(checkup->board, service->id, skipped ? NULL : &result,
                                 clock_now(&runner->clock));
    unlock(checkup);
    if (counts)
        judge_gate(runner, entry, result.status, result.note, side->code < 0 ? side->code : -EIO);
}

void checkup_take_heard(srun_runner *runner, struct service *service)
{
    struct checkup_entry *entry = entry_of(runner, service);
    struct service_side *side = &service->hear.side;
    side->busy = false;
    bool told_to = srun_cancelled(&service->life) != 0;
    if (side->code < 0 && !told_to && !service_side_outlived(service, side)) {
        SRUN_WARN(service->log, "on_health failed, and is told no more",
                  SRUN_STR("error",
                           side->err.text[0] != '\0' ? side->err.text : srun_strerror(side->code)));
        entry->hears = false;
        return;
    }
    lock(of(runner));
    bool more = entry->verb->box.waiting > 0;
    unlock(of(runner));
    if (more && entry->hears)
        service_tell_health(service);
}

void checkup_take_push(srun_runner *runner, struct inbox_item *item)
{
    struct checkup *checkup = of(runner);
    struct checkup_entry *entry =
        (struct checkup_entry *)(void *)((char *)item - offsetof(struct checkup_entry, push.item));
    lock(checkup);
    entry->push.posted = false;
    board_pushed(checkup->board, entry->service->id,
                 &(struct board_result){.status = entry->push.status,
                                        .source = SRUN_HEALTH_PUSHED,
                                        .took_ms = -1,
                                        .note = entry->push.note},
                 clock_now(&runner->clock));
    unlock(checkup);
}

/* --- telling people -------------------------------------------------------------------------- */

static void log_change(srun_runner *runner, struct checkup_entry *entry, int64_t now)
{
    const struct board_view *view = board_view(of(runner)->board, entry->service->id);
    bool better = view->status == SRUN_HEALTH_HEALTHY;
    bool first = better && entry->told == SRUN_HEALTH_UNKNOWN;
    char path[SRUN_HEALTH_NOTE_MAX];
    struct srun_kv kvs[8];
    size_t count = 0;
    board_path(of(runner)->board, entry->service->id, path, sizeof path);
    kvs[count++] = SRUN_STR("status", srun_health_status_name(view->status));
    kvs[count++] = SRUN_STR("was", srun_health_status_name(entry->told));
    kvs[count++] = SRUN_STR("source", srun_health_source_name(view->source));
    if (view->note[0] != '\0')
        kvs[count++] = SRUN_STR("note", view->note);
    if (path[0] != '\0')
        kvs[count++] = SRUN_STR("via", path);
    if (entry->untold > 1)
        kvs[count++] = SRUN_UINT("changes", entry->untold);
    kvs[count] = SRUN_KV_END_;
    int level = first ? SRUN_LEVEL_DEBUG : better ? SRUN_LEVEL_INFO : SRUN_LEVEL_WARN;
    const struct srun_source source = {.file = __FILE__, .function = __func__, .line = __LINE__};
    if (srun_log_enabled(entry->service->log, level))
        srun_log_write(entry->service->log, level, &source, "health", kvs);
    entry->told = view->status;
    entry->told_at = first ? entry->told_at : now; /* that all is well, hardly anybody sees */
    entry->untold = 0;
}

/* At most one record a second for each service: the first change at once, later ones together. */
static void tell_change(srun_runner *runner, struct checkup_entry *entry, int64_t now)
{
    struct checkup *checkup = of(runner);
    const struct board_view *view = board_view(checkup->board, entry->service->id);
    if (view->status == SRUN_HEALTH_UNKNOWN || view->status == SRUN_HEALTH_STOPPED) {
        entry->told = SRUN_HEALTH_UNKNOWN; /* the life cycle has a record of it */
        entry->untold = 0;
        return;
    }
    entry->untold++;
    if (now >= entry->told_at + TELL_PAUSE) {
        log_change(runner, entry, now);
        return;
    }
    if (entry->told_at + TELL_PAUSE < checkup->tell_at)
        checkup->tell_at = entry->told_at + TELL_PAUSE;
}

static void tell_the_rest(srun_runner *runner, int64_t now)
{
    struct checkup *checkup = of(runner);
    if (now < checkup->tell_at)
        return;
    checkup->tell_at = SEQUENCE_NEVER;
    for (unsigned i = 0; i < checkup->count; i++) {
        struct checkup_entry *entry = &checkup->entries[i];
        if (entry->untold > 0 && now >= entry->told_at + TELL_PAUSE)
            log_change(runner, entry, now);
        else if (entry->untold > 0 && entry->told_at + TELL_PAUSE < checkup->tell_at)
            checkup->tell_at = entry->told_at + TELL_PAUSE;
    }
}

/* --- acting ---------------------------------------------------------------------------------- */

static void check(srun_runner *runner, struct checkup_entry *entry)
{
    lock(of(runner));
    entry->patient = false;
    unlock(of(runner));
    service_call_check(entry->service);
}

static void running(void *arg, pthread_t thread, int tid)
{
    (void)arg, (void)thread, (void)tid;
}

/* All threads are taken: there is one more for those that wait. */
static void hire(srun_runner *runner, const struct checkup_entry *entry, int64_t now)
{
    struct checkup *checkup = of(runner);
    if (checkup->width < checkup->width_max)
        pool_widen(checkup->pool, ++checkup->width);
    lock(checkup);
    board_not_begun(checkup->board, entry->service->id, now);
    unlock(checkup);
}

/* It runs for longer than others can wait: its thread is replaced, and counts no more. */
static void set_aside(srun_runner *runner, struct checkup_entry *entry, int64_t now)
{
    struct checkup *checkup = of(runner);
    struct pool_job *job = &entry->service->check.side.job;
    if (!pool_with_thread(checkup->pool, job, running, NULL)) {
        hire(runner, entry, now);
        return;
    }
    if (checkup->aside >= ASIDE_MAX)
        return;
    pool_lose(checkup->pool, job);
    entry->aside = true;
    checkup->aside++;
    lock(checkup);
    board_set_aside(checkup->board, entry->service->id);
    unlock(checkup);
}

static void on_hung(srun_runner *runner, struct checkup_entry *entry, int64_t now)
{
    char stack[2048];
    const struct board_view *view = board_view(of(runner)->board, entry->service->id);
    service_describe_stack(entry->service, stack, sizeof stack);
    SRUN_WARN(entry->service->log, "the health check hangs", SRUN_STR("note", view->note),
              SRUN_STR("stack", stack));
    capture_hang(runner, entry->service, "its health check hangs", now);
    judge_gate(runner, entry, SRUN_HEALTH_UNHEALTHY, view->note, -ETIMEDOUT);
}

/* Marks it for all who watch it. True when some service with on_health has to be told. */
static bool pass_on(srun_runner *runner, unsigned id)
{
    struct checkup *checkup = of(runner);
    bool verbs = false;
    lock(checkup);
    const struct board_view *view = board_view(checkup->board, id);
    atomic_store_explicit(&checkup->entries[id].status, view->status, memory_order_release);
    for (struct srun_health_watch *watch = checkup->watches; watch != NULL; watch = watch->next) {
        if (watch->closed || !mailbox_mark(&watch->box, id, view->changes)) /* the end is the end */
            continue;
        if (watch->is_verb)
            checkup->entries[watch->owner->id].due = verbs = true;
        rouse_locked(watch);
    }
    unlock(checkup);
    return verbs;
}

static void on_changed(srun_runner *runner, struct checkup_entry *entry, int64_t now)
{
    struct checkup *checkup = of(runner);
    bool verbs = pass_on(runner, entry->service->id);
    for (unsigned i = 0; verbs && i < checkup->count; i++) {
        struct checkup_entry *other = &checkup->entries[i];
        if (other->due && other->hears)
            service_tell_health(other->service);
        other->due = false;
    }
    tell_change(runner, entry, now);
}

static void on_overall(srun_runner *runner)
{
    struct checkup *checkup = of(runner);
    srun_health_status before = (srun_health_status)atomic_load(&checkup->overall),
                       now = board_overall(checkup->board);
    atomic_store(&checkup->overall, now);
    SRUN_DEBUG(runner->log, "overall health", SRUN_STR("status", srun_health_status_name(now)),
               SRUN_STR("was", srun_health_status_name(before)));
}

static bool next_action(struct checkup *checkup, int64_t now, struct board_action *out)
{
    lock(checkup);
    bool any = board_next(checkup->board, now, out);
    unlock(checkup);
    return any;
}

bool checkup_turn(srun_runner *runner, int64_t now)
{
    struct checkup *checkup = of(runner);
    struct board_action action;
    bool fed = false;
    while (checkup->board != NULL && next_action(checkup, now, &action)) {
        struct checkup_entry *entry =
            action.service != BOARD_NOBODY ? &checkup->entries[action.service] : NULL;
        ENSURE(entry != NULL || action.kind == BOARD_OVERALL);
        switch (action.kind) {
        case BOARD_CHECK:
            check(runner, entry);
            break;
        case BOARD_SLOW:
            set_aside(runner, entry, now);
            break;
        case BOARD_HUNG:
            fed |= entry->gate;
            on_hung(runner, entry, now);
            break;
        case BOARD_CHANGED:
            on_changed(runner, entry, now);
            break;
        case BOARD_OVERALL:
            on_overall(runner);
        }
    }
    if (checkup->board != NULL)
        tell_the_rest(runner, now);
    if (checkup->thinned) /* and they have been told that it did */
        close_watches(runner);
    checkup->thinned = false;
    return fed;
}

int64_t checkup_wake(const srun_runner *runner)
{
    const struct checkup *checkup = &runner->checkup;
    if (checkup->board == NULL)
        return SEQUENCE_NEVER;
    int64_t wake = board_wake(checkup->board);
    return checkup->tell_at < wake ? checkup->tell_at : wake;
}

/* --- for tests ------------------------------------------------------------------------------- */

static void take_tid(void *arg, pthread_t thread, int tid)
{
    (void)thread;
    *(int *)arg = tid;
}

bool checkup_is_busy(srun_runner *runner, bool patience_over)
{
    struct checkup *checkup = of(runner);
    bool busy = false;
    for (unsigned i = 0; checkup->board != NULL && i < checkup->count; i++) {
        struct checkup_entry *entry = &checkup->entries[i];
        int tid = 0;
        lock(checkup);
        bool awaited = board_is_checking(checkup->board, i) && !entry->patient;
        entry->patient |= awaited && patience_over;
        unlock(checkup);
        if (!awaited)
            continue;
        (void)pool_with_thread(checkup->pool, &entry->service->check.side.job, take_tid, &tid);
        busy |= tid == 0 || !context_has_sleeper(&entry->service->life, tid);
    }
    return busy;
}

/* --- beginning and end ----------------------------------------------------------------------- */

static int64_t ns_or(int64_t ms, int64_t fallback_ms)
{
    int64_t chosen = ms > 0 ? ms : fallback_ms;
    return chosen > INT64_MAX / NS_PER_MS / 4 ? INT64_MAX / 4 : chosen * NS_PER_MS;
}

static int describe_rules(const srun_runner *runner, struct checkup_entry *entry,
                          struct board_rules *out)
{
    const struct service *service = entry->service;
    const struct srun_config *config = &runner->config.value;
    unsigned count = 0;
    while (service->depends[count] != NULL)
        count++;
    entry->depends = calloc(count + 1, sizeof *entry->depends);
    if (entry->depends == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        entry->depends[i] = runner_find(runner, service->depends[i])->id;
    *out = (struct board_rules){
        .name = service->name,
        .has_check = service->ops.health != NULL,
        .optional = service->options.health.optional != 0,
        .interval_ns = ns_or(service->options.health.interval_ms, config->health.interval_ms),
        .timeout_ns = ns_or(service->options.health.timeout_ms, config->health.timeout_ms),
        .push_ttl_ns = ns_or(service->options.health.push_ttl_ms, 0),
        .rise = service->options.health.rise > 0 ? service->options.health.rise : 1,
        .fall = service->options.health.fall > 0 ? service->options.health.fall : 1,
        .depends = entry->depends,
        .depend_count = count,
    };
    return 0;
}

static int make_board(srun_runner *runner)
{
    struct checkup *checkup = of(runner);
    auto_free struct board_rules *rules = calloc(checkup->count + 1, sizeof *rules);
    int rc = rules == NULL ? -ENOMEM : 0;
    for (unsigned i = 0; i < checkup->count && rc == 0; i++) {
        checkup->entries[i].service = runner->active[i];
        checkup->entries[i].push.item.kind = ITEM_PUSH;
        checkup->entries[i].told_at = INT64_MIN / 2;
        atomic_init(&checkup->entries[i].status, SRUN_HEALTH_STOPPED);
        rc = describe_rules(runner, &checkup->entries[i], &rules[i]);
    }
    if (rc < 0)
        return rc;
    struct board *board = board_new(rules, checkup->count, (uint64_t)clock_real_now());
    lock(checkup); /* somebody may be asking already */
    checkup->board = board;
    unlock(checkup);
    return board == NULL ? -ENOMEM : 0;
}

static int make_verbs(srun_runner *runner, unsigned *verbs, srun_err *err)
{
    struct checkup *checkup = of(runner);
    for (unsigned i = 0; i < checkup->count; i++) {
        struct checkup_entry *entry = &checkup->entries[i];
        if (entry->service->ops.on_health == NULL)
            continue;
        const char *const *names = (const char *const *)entry->service->watch.items;
        int rc = watch_new(&entry->verb, runner, entry->service, names, true, err);
        if (rc < 0)
            return rc;
        entry->service->hear.next = watch_next_for_verb;
        ++*verbs;
    }
    return 0;
}

int checkup_prepare(srun_runner *runner, srun_err *err)
{
    struct checkup *checkup = of(runner);
    if (runner->config.value.health.enabled == 0 || runner->active != runner->services)
        return 0; /* off, or a test function takes the place of the services */
    unsigned verbs = 0;
    checkup_destroy(runner); /* of a start that failed later on */
    checkup->count = runner->active_count;
    checkup->tell_at = SEQUENCE_NEVER;
    checkup->entries = calloc(checkup->count + 1, sizeof *checkup->entries);
    int rc = checkup->entries == NULL ? -ENOMEM : make_board(runner);
    rc = rc < 0 ? rc : pool_new(&checkup->pool, POOL_WIDTH);
    if (rc < 0)
        return srun_fail(err, rc, "health: %s", srun_strerror(rc));
    rc = make_verbs(runner, &verbs, err);
    checkup->width = POOL_WIDTH + verbs;
    checkup->width_max = checkup->width + POOL_MORE;
    pool_widen(checkup->pool, checkup->width); /* who is slow to hear is in nobody's way */
    runner->home.side_pool = checkup->pool;
    return rc;
}

void checkup_destroy(srun_runner *runner)
{
    struct checkup *checkup = of(runner);
    if (checkup->entries == NULL)
        return;
    lock(checkup);
    checkup->board = board_free(checkup->board);
    unlock(checkup); /* from now on nobody looks at what is left */
    for (unsigned i = 0; i < checkup->count; i++) {
        free(checkup->entries[i].depends);
        (void)srun_health_watch_free(checkup->entries[i].verb);
    }
    (void)pool_free(checkup->pool, 0); /* of a start that failed: nobody was ever called */
    free(checkup->entries);
    lock(checkup); /* who asks looks at the board */
    memset(checkup, 0, offsetof(struct checkup, overall));
    unlock(checkup);
    runner->home.side_pool = NULL;
}

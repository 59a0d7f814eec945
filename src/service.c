/* SPDX-License-Identifier: MIT */
#include "service.h"

#include "base/duration.h"
#include "base/stack.h"
#include "base/thread.h"
#include "crash.h"
#include "fork.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOIN_LIMIT (1 * NS_PER_S)

/* --- telling the control thread -------------------------------------------------------------- */

static srun_err *message_err(struct service *service, enum sequence_event_kind kind)
{
    srun_err *err = &service->messages[kind].err;
    *err = (srun_err){0};
    return err;
}

static void tell(struct service *service, enum sequence_event_kind kind, int code)
{
    struct service_message *message = &service->messages[kind];
    message->code = code;
    inbox_post(service->home->inbox, &message->item);
}

int service_push_ready(struct service *service)
{
    if (forked_since(service->home->birth))
        return SRUN_EFORK;
    struct service_view now;
    service_view(service, &now);
    if (now.state != SRUN_STARTING)
        return now.state == SRUN_RUNNING ? 0 : SRUN_ESTATE;
    if (!atomic_exchange(&service->messages[SEQUENCE_READY].posted, true))
        inbox_post(service->home->inbox, &service->messages[SEQUENCE_READY].item);
    return 0;
}

void service_push_extend(struct service *service, int64_t extend_ns)
{
    struct service_message *message = &service->messages[SEQUENCE_EXTEND];
    int64_t longest = atomic_load(&message->extend_ns); /* of those not heard yet */
    while (longest < extend_ns &&
           !atomic_compare_exchange_weak(&message->extend_ns, &longest, extend_ns))
        ;
    if (!atomic_exchange(&message->posted, true))
        inbox_post(service->home->inbox, &service->messages[SEQUENCE_EXTEND].item);
}

/* --- the thread of init and run -------------------------------------------------------------- */

static int call_init(struct service *service)
{
    crash_set_place(service->name, "init");
    srun_err *err = message_err(service, SEQUENCE_INIT_RETURNED);
    int code = service->ops.init(service->self, &service->life, err);
    crash_set_place(service->name, NULL);
    tell(service, SEQUENCE_INIT_RETURNED, code);
    return code;
}

static enum service_order wait_for_order(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    while (service->order == SERVICE_WAIT)
        (void)pthread_cond_wait(&service->ordered, &service->lock); /* bounded by the sequence */
    enum service_order order = service->order;
    pthread_mutex_unlock(&service->lock);
    return order;
}

static void call_run(struct service *service)
{
    crash_set_place(service->name, "run");
    srun_err *err = message_err(service, SEQUENCE_RUN_RETURNED);
    int code = service->ops.run(service->self, &service->life, err);
    crash_set_place(service->name, NULL);
    tell(service, SEQUENCE_RUN_RETURNED, code);
}

static void *init_then_run(void *arg)
{
    struct service *service = arg;
    if (call_init(service) >= 0 && service->ops.run != NULL &&
        wait_for_order(service) == SERVICE_RUN)
        call_run(service);
    return NULL;
}

static void *only_run(void *arg)
{
    call_run(arg);
    return NULL;
}

static void *thread_main(void *arg)
{
    struct service *service = arg;
    thread_name_self(service->name);
    crash_thread_enter();
    __atomic_store_n(&service->tid, gettid(), __ATOMIC_RELEASE);
    void *result = service->ops.init != NULL ? init_then_run(service) : only_run(service);
    crash_thread_leave();
    return result;
}

/* Starts the thread; when that fails, the call is answered with the reason. */
static void start_thread(struct service *service, enum sequence_event_kind answer)
{
    int rc = thread_start(&service->thread, service->options.stack_bytes, thread_main, service);
    service->has_thread = rc == 0;
    if (rc < 0) {
        srun_err *err = message_err(service, answer);
        tell(service, answer, srun_fail(err, rc, "thread: %s", srun_strerror(rc)));
    }
}

/* The first order stands: a thread that was told to run will run, if only to see that it is
 * cancelled, and say that it has returned. */
static void give_order(struct service *service, enum service_order order)
{
    pthread_mutex_lock(&service->lock);
    if (service->order == SERVICE_WAIT)
        service->order = order;
    pthread_mutex_unlock(&service->lock);
    pthread_cond_signal(&service->ordered);
}

void service_call_init(struct service *service)
{
    start_thread(service, SEQUENCE_INIT_RETURNED);
}

void service_call_run(struct service *service)
{
    srun_heartbeat(&service->life);
    if (service->has_thread)
        give_order(service, SERVICE_RUN);
    else
        start_thread(service, SEQUENCE_RUN_RETURNED);
}

/* --- the jobs of ready and stop -------------------------------------------------------------- */

static struct service *service_of_ready(struct pool_job *job)
{
    return (struct service *)((char *)job - offsetof(struct service, ready_job));
}

static struct service *service_of_stop(struct pool_job *job)
{
    return (struct service *)((char *)job - offsetof(struct service, stop_job));
}

/* The pool's threads know nothing of crashes; a verb has a stack for their report while it runs. */
static void enter_verb(const struct service *service, const char *verb)
{
    crash_thread_enter();
    crash_set_place(service->name, verb);
}

static void leave_verb(void)
{
    crash_set_place(NULL, NULL);
    crash_thread_leave();
}

static void run_ready(struct pool_job *job)
{
    struct service *service = service_of_ready(job);
    enter_verb(service, "ready");
    srun_err *err = message_err(service, SEQUENCE_READY_RETURNED);
    service->messages[SEQUENCE_READY_RETURNED].code =
        service->ops.ready(service->self, &service->life, err);
    leave_verb();
}

static void ready_done(struct pool_job *job)
{
    struct service *service = service_of_ready(job);
    inbox_post(service->home->inbox, &service->messages[SEQUENCE_READY_RETURNED].item);
}

/* --- verbs beside the life cycle ------------------------------------------------------------- */

/* One that waited in the queue for so long that the service has been restarted meanwhile is not
 * called: nothing may be initiated yet. */
static bool enter_side(struct service *service, const struct service_side *side, const char *verb)
{
    pthread_mutex_lock(&service->lock);
    bool may = !service->barred && side->life == service->life_number;
    service->beside += may;
    pthread_mutex_unlock(&service->lock);
    if (may)
        enter_verb(service, verb);
    return may;
}

static void leave_side(struct service *service)
{
    leave_verb();
    pthread_mutex_lock(&service->lock);
    service->beside--;
    pthread_cond_broadcast(&service->ordered);
    pthread_mutex_unlock(&service->lock);
}

/* From here on none of them is called; those that are still running are waited for. False when that
 * took so long that the service was given up: those that it needs may have been stopped by now. */
static bool bar_sides(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    service->barred = true;
    while (service->beside > 0)
        (void)pthread_cond_wait(&service->ordered, &service->lock);
    bool in_time = !service->abandoned;
    pthread_mutex_unlock(&service->lock);
    return in_time;
}

static struct service *service_of_drain(struct pool_job *job)
{
    return (struct service *)((char *)job - offsetof(struct service, drain.side.job));
}

static void run_drain(struct pool_job *job)
{
    struct service *service = service_of_drain(job);
    struct service_side *side = &service->drain.side;
    side->err = (srun_err){0};
    side->code = 0;
    service->drain.told = atomic_load(&service->drain.wanted);
    if (!enter_side(service, side, "on_drain"))
        return;
    side->code =
        service->ops.on_drain(service->self, &service->life, service->drain.told, &side->err);
    leave_side(service);
}

static void drain_done(struct pool_job *job)
{
    struct service *service = service_of_drain(job);
    inbox_post(service->home->inbox, &service->drain.side.item);
}

static struct service *service_of_check(struct pool_job *job)
{
    return (struct service *)((char *)job - offsetof(struct service, check.side.job));
}

static void run_check(struct pool_job *job)
{
    struct service *service = service_of_check(job);
    struct service_side *side = &service->check.side;
    side->err = (srun_err){0};
    side->code = 0;
    service->check.skipped = !enter_side(service, side, "health");
    if (service->check.skipped)
        return;
    int64_t began = clock_now(service->home->clock);
    side->code = service->ops.health(service->self, &service->life, &side->err);
    service->check.took = clock_now(service->home->clock) - began;
    leave_side(service);
}

static void check_done(struct pool_job *job)
{
    struct service *service = service_of_check(job);
    inbox_post(service->home->inbox, &service->check.side.item);
}

static struct service *service_of_hear(struct pool_job *job)
{
    return (struct service *)((char *)job - offsetof(struct service, hear.side.job));
}

static void run_hear(struct pool_job *job)
{
    struct service *service = service_of_hear(job);
    struct service_side *side = &service->hear.side;
    struct srun_health health;
    side->err = (srun_err){0};
    side->code = 0;
    bool any = true;
    while (any && side->code >= 0 && enter_side(service, side, "on_health")) {
        any = service->hear.next(service, &health);
        if (any)
            side->code = service->ops.on_health(service->self, &service->life, &health, &side->err);
        leave_side(service);
    }
}

static void hear_done(struct pool_job *job)
{
    struct service *service = service_of_hear(job);
    inbox_post(service->home->inbox, &service->hear.side.item);
}

void service_tell_drain(struct service *service, bool draining)
{
    atomic_store(&service->drain.wanted, draining);
    if (service->ops.on_drain == NULL || service->drain.side.busy)
        return;
    service->drain.side.busy = true;
    service->drain.side.life = service->life_number;
    pool_queue(service->home->pool, &service->drain.side.job);
}

void service_drain_told(struct service *service)
{
    struct service_side *side = &service->drain.side;
    side->busy = false;
    if (side->code < 0)
        SRUN_WARN(service->log, "on_drain failed",
                  SRUN_STR("error",
                           side->err.text[0] != '\0' ? side->err.text : srun_strerror(side->code)));
    bool unheard = service_side_outlived(service, side) && service->view.state == SRUN_RUNNING;
    if (service->drain.told != atomic_load(&service->drain.wanted) || unheard)
        service_tell_drain(service, atomic_load(&service->drain.wanted));
}

void service_call_check(struct service *service)
{
    service->check.side.busy = true;
    service->check.side.life = service->life_number;
    pool_queue(service->home->side_pool, &service->check.side.job);
}

void service_tell_health(struct service *service)
{
    if (service->hear.side.busy)
        return;
    service->hear.side.busy = true;
    service->hear.side.life = service->life_number;
    pool_queue(service->home->side_pool, &service->hear.side.job);
}

bool service_side_outlived(const struct service *service, const struct service_side *side)
{
    return side->life != service->life_number;
}

/* --- stop ------------------------------------------------------------------------------------ */

bool service_has_stop(const struct service *service)
{
    bool asked = service->home->side_pool != NULL &&
                 (service->ops.health != NULL || service->ops.on_health != NULL);
    return service->ops.stop != NULL || service->ops.on_drain != NULL || asked;
}

static void run_stop(struct pool_job *job)
{
    struct service *service = service_of_stop(job);
    srun_err *err = message_err(service, SEQUENCE_STOP_RETURNED);
    service->messages[SEQUENCE_STOP_RETURNED].code = 0;
    if (!bar_sides(service) || service->ops.stop == NULL)
        return;
    enter_verb(service, "stop");
    service->messages[SEQUENCE_STOP_RETURNED].code =
        service->ops.stop(service->self, &service->stopping, err);
    leave_verb();
}

static void stop_done(struct pool_job *job)
{
    struct service *service = service_of_stop(job);
    inbox_post(service->home->inbox, &service->messages[SEQUENCE_STOP_RETURNED].item);
}

/* Without a thread for it, it is not ready yet, and will be asked again. */
void service_call_ready(struct service *service)
{
    int rc = pool_submit(service->home->pool, &service->ready_job);
    if (rc < 0) {
        srun_err *err = message_err(service, SEQUENCE_READY_RETURNED);
        tell(service, SEQUENCE_READY_RETURNED, srun_fail(err, rc, "thread: %s", srun_strerror(rc)));
    }
}

/* What was initiated has to be stopped: without a thread for it now, then when there is one. */
void service_call_stop(struct service *service)
{
    pool_queue(service->home->pool, &service->stop_job);
}

/* --- ending ---------------------------------------------------------------------------------- */

void service_cancel(struct service *service, const srun_cause *cause)
{
    pthread_mutex_lock(&service->lock);
    service->barred = true; /* it is no longer RUNNING */
    pthread_mutex_unlock(&service->lock);
    context_cancel(&service->life, cause);
    give_order(service, SERVICE_QUIT);
}

static void interrupt_thread(void *arg, pthread_t thread, int tid)
{
    (void)arg, (void)tid;
    stack_interrupt(thread);
}

enum { JOBS = 5 };

/* Its jobs, those whose stack tells most first: what stop waits for, then stop itself. */
static struct pool_job *job_at(struct service *service, unsigned index, struct pool **pool)
{
    struct pool_job *jobs[JOBS] = {&service->check.side.job, &service->hear.side.job,
                                   &service->drain.side.job, &service->stop_job,
                                   &service->ready_job};
    *pool = index < 2 ? service->home->side_pool : service->home->pool;
    return jobs[index];
}

static bool with_job(struct service *service, unsigned index,
                     void (*then)(void *arg, pthread_t thread, int tid), void *arg)
{
    struct pool *pool;
    struct pool_job *job = job_at(service, index, &pool);
    return pool != NULL && pool_with_thread(pool, job, then, arg);
}

void service_interrupt(struct service *service)
{
    if (service->has_thread)
        stack_interrupt(service->thread);
    for (unsigned i = 0; i < JOBS; i++)
        (void)with_job(service, i, interrupt_thread, NULL);
}

struct description {
    char *out;
    size_t size;
};

static void describe_thread(void *arg, pthread_t thread, int tid)
{
    const struct description *description = arg;
    stack_describe(thread, tid, description->out, description->size);
}

void service_describe_stack(struct service *service, char *out, size_t size)
{
    struct description description = {out, size};
    (void)strncpy(out, "none", size);
    for (unsigned i = 0; i < JOBS; i++)
        if (with_job(service, i, describe_thread, &description))
            return;
    if (service->has_thread)
        stack_describe(service->thread, __atomic_load_n(&service->tid, __ATOMIC_ACQUIRE), out,
                       size);
}

static void note_tid(void *arg, pthread_t thread, int tid)
{
    int *out = arg;
    (void)thread;
    *out = tid;
}

int service_tid(struct service *service)
{
    int tid = 0;
    for (unsigned i = 0; i < JOBS; i++)
        if (with_job(service, i, note_tid, &tid))
            return tid;
    return service->has_thread ? __atomic_load_n(&service->tid, __ATOMIC_ACQUIRE) : 0;
}

void service_abandon(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    service->abandoned = true;
    pthread_mutex_unlock(&service->lock);
    for (unsigned i = 0; i < JOBS; i++) {
        struct pool *pool;
        struct pool_job *job = job_at(service, i, &pool);
        if (pool != NULL)
            pool_lose(pool, job);
    }
}

int service_join(struct service *service)
{
    if (!service->has_thread)
        return 0;
    int rc = thread_join(service->thread, JOIN_LIMIT);
    service->has_thread = rc != 0;
    return rc;
}

void service_leave_thread(struct service *service)
{
    (void)pthread_detach(service->thread);
    service->has_thread = false;
}

/* --- its life as an object ------------------------------------------------------------------- */

void service_reset(struct service *service)
{
    context_reset(&service->life);
    context_reset(&service->stopping);
    pthread_mutex_lock(&service->lock);
    service->order = SERVICE_WAIT;
    service->barred = false;
    service->life_number++;
    pthread_mutex_unlock(&service->lock);
}

struct service *service_free(struct service *service)
{
    if (service == NULL)
        return NULL;
    context_destroy(&service->life);
    context_destroy(&service->stopping);
    (void)srun_logger_free(service->log);
    (void)pthread_cond_destroy(&service->ordered);
    (void)pthread_mutex_destroy(&service->lock);
    free(service->group);
    free(service->depends);
    text_list_free(&service->watch);
    free(service->name);
    free(service);
    return NULL;
}

struct service *service_new(const char *name, const struct srun_service_ops *ops, void *self,
                            const struct srun_service_options *options,
                            const struct service_home *home)
{
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return NULL;
    service->home = home;
    service->ops = *ops;
    service->self = self;
    service->options = *options;
    service->ready_job = (struct pool_job){.run = run_ready, .done = ready_done};
    service->stop_job = (struct pool_job){.run = run_stop, .done = stop_done};
    service->drain.side.job = (struct pool_job){.run = run_drain, .done = drain_done};
    service->drain.side.item.kind = home->drain_kind;
    service->check.side.job = (struct pool_job){.run = run_check, .done = check_done};
    service->check.side.item.kind = home->check_kind;
    service->hear.side.job = (struct pool_job){.run = run_hear, .done = hear_done};
    service->hear.side.item.kind = home->hear_kind;
    service->view = (struct service_view){
        .since = clock_now(home->clock), .init_ns = -1, .ready_ns = -1, .stop_ns = -1};
    for (unsigned kind = 0; kind < SERVICE_MESSAGES; kind++) {
        service->messages[kind].service = service;
        service->messages[kind].kind = kind;
    }
    (void)pthread_mutex_init(&service->lock, NULL);
    int rc = thread_cond_init(&service->ordered);
    rc = rc < 0 ? rc : context_init(&service->life, service, home->clock);
    rc = rc < 0 ? rc : context_init(&service->stopping, service, home->clock);
    service->name = strdup(name);
    return rc < 0 || service->name == NULL ? service_free(service) : service;
}

void service_view(struct service *service, struct service_view *out)
{
    pthread_mutex_lock(&service->lock);
    *out = service->view;
    pthread_mutex_unlock(&service->lock);
}

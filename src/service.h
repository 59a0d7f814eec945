/* SPDX-License-Identifier: MIT
 *
 * A service at work: its thread for init and run, its jobs on the pool for ready and stop, and the
 * messages by which these tell the control thread what happened. Decides nothing.
 * Threads: control, but for service_push_*, which any thread may call.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "base/inbox.h"
#include "base/pool.h"
#include "base/text.h"
#include "context.h"
#include "sequence.h"

#include <pthread.h>
#include <srun/health.h>
#include <srun/service.h>
#include <srun/trace.h>

/* What a service needs of the place it lives in. */
struct service_home {
    srun_runner *runner;
    void *user;
    const struct clock *clock;
    struct inbox *inbox;
    struct pool *pool;
    unsigned birth;         /* fork_stamp */
    struct pool *side_pool; /* for health and on_health; NULL: they are not called */
    unsigned drain_kind, check_kind, hear_kind; /* of the inbox items by which these answer */
};

/* A verb beside the life cycle: never beside stop, which waits for it. */
struct service_side {
    struct pool_job job;
    struct inbox_item item; /* told by the job when it is done */
    bool busy;              /* the job is on its pool; control's alone */
    unsigned life;          /* in which it was asked for */
    srun_err err;
    int code;
};

/* Told to the control thread. Each exists once per service: there is at most one of a kind on its
 * way. */
struct service_message {
    struct inbox_item item;
    struct service *service;
    enum sequence_event_kind kind;
    int code;
    _Atomic int64_t extend_ns;
    _Atomic bool posted; /* in the inbox; for the kinds that anybody may repeat */
    srun_err err;
};

enum { SERVICE_MESSAGES = SEQUENCE_EXTEND + 1 };

/* What the rest of the world may know; copied under the lock. */
struct service_view {
    srun_state state;
    bool failed, stuck, background, heartbeat_missed;
    unsigned restarts;
    int64_t since; /* clock time of the last change of state, or of being added */
    int64_t init_ns, ready_ns, stop_ns; /* what the phases took, -1 = has not happened */
    char error[252];
};

struct service {
    char *name;
    unsigned id;
    const struct service_home *home;
    struct srun_service_ops ops;
    void *self;
    struct srun_service_options options; /* resolved; its pointers are not kept */
    bool ready_on_entry;
    char *group;            /* owned, may be NULL */
    const char **depends;   /* owned, NULL-ended; the names are those of the other services */
    struct text_list watch; /* what on_health is told of; empty: all others */
    bool organ;             /* one of the runner's own */
    unsigned unit;
    srun_logger *log;
    srun_tracer *tracer; /* NULL: tracing is off */
    struct srun_context life, stopping;
    struct service_message messages[SERVICE_MESSAGES];
    _Atomic int64_t heartbeat;

    pthread_mutex_t lock; /* guards order and view */
    pthread_cond_t ordered;
    enum service_order { SERVICE_WAIT, SERVICE_RUN, SERVICE_QUIT } order;
    struct service_view view;

    pthread_t thread; /* for init and run */
    bool has_thread;
    int tid;
    struct pool_job ready_job, stop_job;

    struct {
        struct service_side side;
        _Atomic bool wanted; /* the newest that on_drain has to hear */
        bool told;           /* what it was called with last */
    } drain;
    struct {
        struct service_side side;
        bool skipped; /* it could not be asked */
        int64_t took; /* the last check, on the runner's clock */
    } check;
    struct {
        struct service_side side;
        bool (*next)(struct service *service, struct srun_health *out);
    } hear;
    unsigned beside;      /* side verbs that are running; guarded by lock */
    bool barred;          /* it is to stop: no more of them; guarded by lock */
    bool abandoned;       /* it was given up; guarded by lock */
    unsigned life_number; /* so many resets; guarded by lock, written by control */
};

/* Copies name and ops; options is copied, but for its pointers. NULL when out of memory. */
struct service *service_new(const char *name, const struct srun_service_ops *ops, void *self,
                            const struct srun_service_options *options,
                            const struct service_home *home);
struct service *service_free(struct service *service);

/* The calls. Each is answered by exactly one message to the inbox, also when it cannot be made. */
void service_call_init(struct service *service);
void service_call_run(struct service *service);
void service_call_ready(struct service *service);
void service_call_stop(struct service *service);

/* Tells on_drain, as soon as it has returned from the call before; drain_told: the control thread
 * has got the answer. */
void service_tell_drain(struct service *service, bool draining);
void service_drain_told(struct service *service);

/* Calls health; the answer is in check. Nobody else may have asked. */
void service_call_check(struct service *service);

/* Calls on_health with each that hear.next gives, until it gives none or is answered negatively. */
void service_tell_health(struct service *service);

/* Was it asked for in an earlier life? Control's alone. */
bool service_side_outlived(const struct service *service, const struct service_side *side);

/* Is there anything that stop has to do or to wait for? */
bool service_has_stop(const struct service *service);

/* Cancels the life and lets a thread go that waits for run. */
void service_cancel(struct service *service, const srun_cause *cause);

/* Interrupts the blocking calls of its threads. */
void service_interrupt(struct service *service);

/* Describes the stack of the call in flight that matters: stop's, else ready's, else init's and
 * run's. */
void service_describe_stack(struct service *service, char *out, size_t size);

/* The thread of that call; 0: there is none. */
int service_tid(struct service *service);

/* Its calls in flight will not be waited for; a stop that has not begun is not called any more. */
void service_abandon(struct service *service);

/* Joins the thread, which has nothing left to do; -ETIMEDOUT when it does not end. */
int service_join(struct service *service);

/* Joins it no more: another life gets a thread of its own. */
void service_leave_thread(struct service *service);

/* Makes it as new for another life. */
void service_reset(struct service *service);

/* Any thread. ready: 0, SRUN_ESTATE, SRUN_EFORK. */
int service_push_ready(struct service *service);
void service_push_extend(struct service *service, int64_t extend_ns);

void service_view(struct service *service, struct service_view *out);

#endif

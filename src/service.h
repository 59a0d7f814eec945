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
#include "context.h"
#include "sequence.h"

#include <pthread.h>
#include <srun/service.h>

/* What a service needs of the place it lives in. */
struct service_home {
    srun_runner *runner;
    void *user;
    const struct clock *clock;
    struct inbox *inbox;
    struct pool *pool;
    unsigned birth;      /* fork_stamp */
    unsigned drain_kind; /* of the inbox item by which on_drain answers */
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
    char *group; /* owned, may be NULL */
    unsigned unit;
    srun_logger *log;
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
        struct pool_job job;
        struct inbox_item item; /* told by the job when it is done */
        _Atomic bool wanted;    /* the newest that on_drain has to hear */
        bool busy;              /* the job is on the pool; control's alone */
        bool told;              /* what it was called with last */
        bool running, barred;   /* guarded by lock; barred: it is to stop */
        srun_err err;
        int code;
    } drain;
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

/* Cancels the life and lets a thread go that waits for run. */
void service_cancel(struct service *service, const srun_cause *cause);

/* Interrupts the blocking calls of its threads. */
void service_interrupt(struct service *service);

/* Describes the stack of the call in flight that matters: stop's, else ready's, else init's and
 * run's. */
void service_describe_stack(struct service *service, char *out, size_t size);

/* Its calls in flight will not be waited for. */
void service_abandon(struct service *service);

/* Joins the thread, which has nothing left to do; -ETIMEDOUT when it does not end. */
int service_join(struct service *service);

/* Makes it as new for another life. */
void service_reset(struct service *service);

/* Any thread. ready: 0, SRUN_ESTATE, SRUN_EFORK. */
int service_push_ready(struct service *service);
void service_push_extend(struct service *service, int64_t extend_ns);

void service_view(struct service *service, struct service_view *out);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The admin port as a service: what the runner gives it, and how its parts fit together.
 *
 *     service  admin: where to listen                       place token
 *     watch    accepts, and watches over connections        connections head
 *     server   a request: who asks, what may they           access routes exchange mhd
 *     views    what is shown and done: probes, tables, the page, writes       survey samples
 *
 * It sees the runner through the public API and struct admin_host alone. Threads: the service's
 * own accepts and watches; each connection has a thread, on which views run; nothing here runs on
 * the control thread.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <srun/admin.h>
#include <srun/config.h>
#include <srun/context.h>
#include <srun/runner.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADMIN_SERVICE "srun.admin" /* its name among the services */
#define ADMIN_ADDRESS "127.0.0.1:8778"

/* A setting of the runner, for /config. */
struct admin_setting {
    const char *group, *key; /* in the file: "log", "level" */
    const char *variable;    /* "SRUN_LOG_LEVEL" */
    const char *origin;      /* "default", "code", "file" or "environment" */
    char value[128], fallback[64];
};

/* A flag of the command line, for /flags. */
struct admin_flag {
    const char *name;
    char value[256]; /* as text; several with commas between */
    bool given;      /* on the command line */
};

/* A profile that somebody asks for. */
enum admin_profile {
    ADMIN_CPU,
    ADMIN_THREADS,
    ADMIN_HEAP,
    ADMIN_MUTEX, /* contention; block is the same */
    ADMIN_BIRTHS /* of threads */
};

enum admin_form {
    ADMIN_PROTO,  /* profile.proto */
    ADMIN_TOP,    /* the functions with the most */
    ADMIN_FOLDED, /* a line per stack */
    ADMIN_FLAME,  /* a picture */
    ADMIN_EACH    /* ADMIN_THREADS: each by itself */
};

struct admin_profile_ask {
    enum admin_profile what;
    enum admin_form form;
    int64_t span_ns; /* ADMIN_CPU */
    unsigned hz;
    int cancel_fd; /* readable: it is to end early */
};

/* A profile that was kept by itself. */
struct admin_capture {
    uint64_t number;  /* from 1 */
    int64_t time_ms;  /* Unix time */
    bool cpu;         /* else the stacks of all threads */
    char service[64]; /* "": of the whole process */
    char why[160];
    size_t size;
};

struct buf;
struct json;

struct admin_host {
    srun_runner *runner;
    const struct srun_config *config; /* resolved; admin.address and the like are NULL when nobody
                                         has set them */
    int64_t patience_ms; /* that all places are busy, before a new client is told so; 0: 500 */
    /* By index from 0; false: there is no such one. Threads: any. */
    bool (*setting)(const srun_runner *runner, size_t index, struct admin_setting *out);
    bool (*flag)(const srun_runner *runner, size_t index, struct admin_flag *out);
    /* The last changes of state, oldest first; up to capacity; how many. Threads: any. */
    size_t (*timeline)(srun_runner *runner, struct srun_transition *out, size_t capacity);
    /* All metrics, in the format that an Accept header (or NULL) asks for, and its Content-Type. 0,
     * -ENOMEM, -EBUSY. NULL: there are none. Threads: any. */
    int (*metrics)(srun_runner *runner, const char *accept, struct buf *out, char *type,
                   size_t size);
    /* Takes its time. 0; -EBUSY: the program uses what it needs, -ENOTSUP: not in this build,
     * -ECANCELED, -ENOMEM, ..., with a text. NULL: there are none. Threads: any. */
    int (*profile)(const struct admin_profile_ask *ask, struct buf *out, srun_err *err);
    /* The names of addresses: "0x12+0x34", as pprof asks, a line for each. Threads: any. */
    int (*symbols)(const char *addresses, struct buf *out, srun_err *err);
    /* Takes a time, less when cancel_fd becomes readable: the spans that end within it, as events
     * of a Chrome trace, into an array that is open; missed: how many more there were. 0, or as
     * profile, with nothing written. NULL: there are none. Threads: any. */
    int (*spans)(srun_runner *runner, int64_t span_ns, int cancel_fd, struct json *events,
                 uint64_t *missed, srun_err *err);
    /* What was kept, oldest first; up to capacity; how many. NULL: never anything. Threads: any. */
    size_t (*captures)(srun_runner *runner, struct admin_capture *out, size_t capacity);
    /* One of them: ADMIN_PROTO or ADMIN_TOP of processor time, ADMIN_EACH of stacks. 0; -EINVAL:
     * not in this form, but about is filled in; -ENOENT, -ENOMEM. Threads: any. */
    int (*capture)(srun_runner *runner, uint64_t number, enum admin_form form,
                   struct admin_capture *about, struct buf *out);
};

/* From worst to best trusted; each may what those before it may. */
enum admin_right {
    ADMIN_NOTHING,
    ADMIN_PROBE, /* health, ready, metrics */
    ADMIN_READ,
    ADMIN_WRITE
};

struct admin;

/* Made before the start. 0 or -ENOMEM. host is copied. free takes NULL, returns NULL. */
int admin_new(struct admin **out, const struct admin_host *host);
struct admin *admin_free(struct admin *admin);

/* The verbs, whose self is the struct admin. */
extern const struct srun_service_ops admin_ops;

/* Behind srun_admin_route, srun_admin_address and srun_admin_socket. */
int admin_add_route(struct admin *admin, const char *method, const char *path,
                    srun_admin_handler *handler, void *user, srun_err *err);
int admin_address(struct admin *admin, char *out, size_t size);
int admin_socket(struct admin *admin, char *out, size_t size);

/* Those of the program, or NULL. */
struct routes_user;
const struct routes_user *admin_routes(const struct admin *admin);

const struct admin_host *admin_host(const struct admin *admin);

/* For views that take their time: once srun_cancelled(ctx), to be polled by srun_cancel_fd, they
 * have to come to an end. Threads: a view's. */
srun_context *admin_context(const struct admin *admin);

/* What the port has seen so far. Threads: any. */
struct admin_traffic {
    uint64_t connections, requests; /* taken; answered */
    uint64_t refused;            /* 4xx by the port itself: host, right, site, malformed, limits */
    uint64_t failed_auth;        /* who lacked the right, or had a wrong token */
    uint64_t evicted, timed_out; /* connections that had to make room; that were too slow */
    unsigned open;               /* now */
};
void admin_traffic(struct admin *admin, struct admin_traffic *out);
/* What the views keep from one request to the next: points of the charts, and the log level that
 * is to come back (whose timer the service's thread watches). Never NULL. */
struct samples *admin_samples(struct admin *admin);
struct revert *admin_revert(struct admin *admin);

#endif

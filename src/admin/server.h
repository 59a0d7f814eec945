/* SPDX-License-Identifier: MIT
 *
 * A request: what libmicrohttpd makes of it, who asks and what for, and the response. One daemon of
 * libmicrohttpd that listens nowhere: connections are given to it. Threads: start, add and stop by
 * the service; the rest is the connections'.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include "admin/mhd.h"
#include "admin/routes.h"
#include "admin/slots.h"
#include "admin/token.h"

#include <stdatomic.h>

#define SERVER_JOBS_MAX 4

struct server {
    struct admin *admin;
    srun_context *ctx;
    srun_logger *log;
    const struct mhd *mhd;
    const struct routes_user *routes; /* the program's */
    const char *allowed_hosts;        /* or NULL */
    struct token *token;
    int64_t patience_ns; /* that all are busy, before a new one is told so */
    struct slots slots;
    struct MHD_Daemon *daemon;
    _Atomic bool closing;      /* each response is the last one of its connection */
    _Atomic unsigned jobs;     /* that run now */
    _Atomic int64_t warned_ms; /* the last line about who was not let in */
    _Atomic unsigned unwarned; /* those since then */
};

int server_start(struct server *server, srun_err *err);

/* A connection whose request head is complete. False: it is closed, for want of a thread. */
bool server_add(struct server *server, int slot, const struct head *head);

/* Tells the log of the views that run, whose threads server_stop waits for, however long they take.
 */
void server_name_busy(struct server *server);

/* Shuts what is left down and waits for the threads: views have to have ended. */
void server_stop(struct server *server);

#endif

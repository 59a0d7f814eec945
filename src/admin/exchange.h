/* SPDX-License-Identifier: MIT
 *
 * A request and the response that grows to it: the inside of srun_admin_exchange. Filled by the
 * server before a view is called. Threads: the connection's.
 */
#ifndef ADMIN_EXCHANGE_H
#define ADMIN_EXCHANGE_H

#include "admin/admin.h"
#include "base/buf.h"

#define EXCHANGE_BODY_MAX 65536

struct exchange_pair {
    char *name, *value; /* owned */
    struct exchange_pair *next;
};

struct srun_admin_exchange {
    struct admin *admin;
    const char *method, *path; /* borrowed for the call; path is decoded */
    const char *rest;          /* of the path behind a route that ends in a slash, else "" */
    const char *peer;          /* for the log: "127.0.0.1:4711", "uid 1000 pid 12" */
    enum admin_right right;    /* of who asks */

    /* How to look things up; NULL when it is not there. cookie is the server's, or a test's. */
    const char *(*query)(void *cookie, const char *name, unsigned index); /* from 0 */
    const char *(*header)(void *cookie, const char *name);
    void *cookie;

    struct buf body; /* of the request */

    unsigned status; /* of the response, 200 at first */
    char type[96];
    struct buf out;
    struct exchange_pair *headers;
    bool failed; /* out of memory */
};

void exchange_init(struct srun_admin_exchange *exchange);
void exchange_free(struct srun_admin_exchange *exchange);

/* As srun_admin_query, of several with this name the one at index. */
const char *exchange_query(const srun_admin_exchange *exchange, const char *name, unsigned index);

/* Does the client want JSON: ?format=json, or an Accept that names application/json before
 * text/plain, text/html and anything. ?format=text says no. */
bool exchange_wants_json(const srun_admin_exchange *exchange);

/* Sets the type to application/json, starts over with an empty body and opens an object in it that
 * begins with "v":1. To be closed by json_close. */
struct json;
void exchange_json(srun_admin_exchange *exchange, struct json *json);

/* Starts over with a status and one line of text ("bad request: ..."), as text or as
 * {"v":1,"error":"..."}, whatever the client wants. Returns 0, for a view's last line. */
int exchange_refuse(srun_admin_exchange *exchange, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

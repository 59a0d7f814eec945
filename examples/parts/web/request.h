/* SPDX-License-Identifier: MIT
 *
 * One request, from its headers to its last byte: what all routes share. It finds the route, keeps
 * the body, and makes of each request a span and a measurement. Threads: the one of the connection;
 * a route may block.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "server.h"

#include <microhttpd.h>

enum { GET = 1, PUT = 2, DELETE = 4 }; /* GET: HEAD too */

struct request {
    struct server *server;
    struct MHD_Connection *connection;
    unsigned method;
    const char *rest; /* of the path, after the route's */
    char *body;       /* no NUL at its end */
    size_t size;

    double started; /* seconds; this and what follows is private */
    srun_span span;
    const char *verb, *path; /* for the span: of the request, of its route */
    unsigned status;         /* 0: not answered */
};

struct route {
    const char *path; /* one that ends in a slash (but the root) is a prefix */
    unsigned methods;
    const char *allow; /* the same for people */
    enum MHD_Result (*respond)(struct request *request);
};

/* A route ends with one of these; no response hangs up. The text is JSON in one line; in an error,
 * what needs no escaping. Texts of more than 511 bytes are cut. The bytes, of malloc, are given
 * away. */
enum MHD_Result request_answer(struct request *request, unsigned status,
                               struct MHD_Response *response);
enum MHD_Result request_answer_json(struct request *request, unsigned status, const char *format,
                                    ...) __attribute__((format(printf, 3, 4)));
enum MHD_Result request_answer_error(struct request *request, unsigned status, const char *what);
enum MHD_Result request_answer_bytes(struct request *request, void *data, size_t size);

/* The text given as ?name=, or NULL. */
const char *request_argument(const struct request *request, const char *name);

/* For libmicrohttpd; cls is the struct server. */
enum MHD_Result request_on_data(void *cls, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **state);
void request_on_completed(void *cls, struct MHD_Connection *connection, void **state,
                          enum MHD_RequestTerminationCode why);

#endif

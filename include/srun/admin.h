/* SPDX-License-Identifier: MIT
 *
 * The admin port: /health, /ready, /metrics and the operator's page on 127.0.0.1:8778 and on a unix
 * socket. It is there by itself; here is what a program adds to it. docs/admin.md is the whole
 * story: all routes, who may do what, how to show it to kubelet and Prometheus.
 */
#ifndef SRUN_ADMIN_H
#define SRUN_ADMIN_H

#include <srun/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A request and its response; borrowed for the call of the handler. */
typedef struct srun_admin_exchange srun_admin_exchange;

/* Answers a request: 0; or a negative code: status 500 with the text of err. Runs on a thread of
 * the connection, so it may take its time; four at once at most, a fifth is told 429. */
typedef int srun_admin_handler(void *user, srun_admin_exchange *exchange, srun_err *err);

/* Adds a route. method: "GET" (answers HEAD too; needs the right to read), or "POST", "PUT",
 * "DELETE" (need the right to write). path begins with a slash; one that ends in a slash stands for
 * all below it. -EINVAL: method or path, with what is accepted; -EEXIST: it is there, or one of
 * ours; -ENOMEM; SRUN_ESTATE: after the start. Threads: before run. */
SRUN_API int srun_admin_route(srun_runner *runner, const char *method, const char *path,
                              srun_admin_handler *handler, void *user, srun_err *err);

/* What was asked. Strings are borrowed for the call; query and header: NULL when it is not there. A
 * query without a value is "". body: at most 64 KiB. Threads: the handler's. */
SRUN_API const char *srun_admin_method(const srun_admin_exchange *exchange);
SRUN_API const char *srun_admin_path(const srun_admin_exchange *exchange);
SRUN_API const char *srun_admin_query(const srun_admin_exchange *exchange, const char *name);
SRUN_API const char *srun_admin_header(const srun_admin_exchange *exchange, const char *name);
SRUN_API const void *srun_admin_body(const srun_admin_exchange *exchange, size_t *size);

/* The response: status [200], type [text/plain; charset=utf-8], and a body that grows. Out of
 * memory shows as status 500. Headers and the type are copied. Left out is what is empty or holds a
 * control character, and what says where a response ends: Connection, Content-Length, Keep-Alive,
 * Trailer, Transfer-Encoding, Upgrade. Threads: the handler's. */
SRUN_API void srun_admin_status(srun_admin_exchange *exchange, unsigned status);
SRUN_API void srun_admin_type(srun_admin_exchange *exchange, const char *type);
SRUN_API void srun_admin_add_header(srun_admin_exchange *exchange, const char *name,
                                    const char *value);
SRUN_API void srun_admin_write(srun_admin_exchange *exchange, const void *data, size_t size);
SRUN_API void srun_admin_printf(srun_admin_exchange *exchange, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The address of the port ("tcp://127.0.0.1:40123") or of the unix socket ("unix:///run/..."), once
 * it listens. 0; -ENOENT: there is none; -ENOSPC. Threads: any. */
SRUN_API int srun_admin_address(const srun_runner *runner, char *out, size_t size);
SRUN_API int srun_admin_socket(const srun_runner *runner, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT
 *
 * A load of HTTP/1 requests on one server, and what became of each of them. Nothing is tried again:
 * every request ends as one answer or as one error of a known kind.
 *
 * Closed loop (rate 0): each client sends the next request when it has the answer to the last; the
 * latency counts from the moment the request was begun, a connect included. Open loop: requests are
 * due at fixed times, whatever the server does, and take the client that has been idle longest; the
 * latency counts from the time a request was due, so that a stalled server is not spared the
 * waiting of the requests that could not be sent.
 *
 * After an error a client pauses for 10 ms, so that an outage counts its clients and its length,
 * and not the speed of a loop of refusals.
 */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include "histogram.h"

#include <srun/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* X(name, what it is) */
#define LOAD_ERRORS(X)                                                                             \
    X(connect_refused, "nobody listened")                                                          \
    X(connect_reset, "reset while connecting")                                                     \
    X(connect_timeout, "not connected in time")                                                    \
    X(connect_other, "another error of connect")                                                   \
    X(no_port, "no free port for the client: says nothing of the server")                          \
    X(closed_new, "closed before the first byte, on a new connection")                             \
    X(closed_reused, "closed before the first byte, on a connection used before")                  \
    X(closed_middle, "closed in the middle of a response")                                         \
    X(reset_new, "reset before the first byte, on a new connection")                               \
    X(reset_reused, "reset before the first byte, on a connection used before")                    \
    X(reset_middle, "reset in the middle of a response")                                           \
    X(malformed, "not an HTTP/1 response")                                                         \
    X(wrong_status, "a complete answer with another status than 200")                              \
    X(timeout, "no complete answer in time")                                                       \
    X(not_sent, "due, but no client was free until the end")                                       \
    X(io_other, "another error of a system call")

enum load_error {
#define X(name, what) LOAD_##name,
    LOAD_ERRORS(X)
#undef X
        LOAD_ERROR_COUNT
};

const char *load_error_name(enum load_error error);
const char *load_error_text(enum load_error error);

/* How an error of connect(2) counts. */
enum load_error load_connect_error(int error);

#define LOAD_CLIENTS_MAX 4096
#define LOAD_THREADS_MAX 8
#define LOAD_PROCESSES_MAX 4096

struct load_config {
    const char *address; /* "IP:PORT", "[IP]:PORT" */
    const char *unix_path;
    const char *path; /* of the request ["/"] */
    unsigned clients, threads;
    double rate; /* requests per second, 0: closed loop */
    bool reuse;  /* keep connections alive */
    bool http10;
    uint64_t requests;   /* at most; 0: no limit */
    uint64_t at_least;   /* stop has no effect before so many were sent */
    int64_t duration_ns; /* at most */
    int64_t timeout_ns;  /* of one request; the whole ends this long after the duration at most */
    const atomic_bool *stop; /* set: no more requests. May be NULL. */
    /* A process that answers for the first time, and an error; may be NULL. Threads: any. */
    void (*on_process)(void *user, int64_t at_ns, uint64_t pid, uint64_t generation);
    void (*on_error)(void *user, int64_t at_ns, enum load_error error);
    void *user;
};

/* Answers of one process, told apart by X-Pid and X-Generation. */
struct load_process {
    uint64_t pid, generation, answers;
    int64_t first_ns, last_ns; /* monotonic */
};

struct load_result {
    uint64_t requests, answers, lost; /* requests = answers + lost */
    uint64_t errors[LOAD_ERROR_COUNT];
    int first_errno;    /* of the first connect_other or io_other, or 0 */
    char malformed[64]; /* what the first malformed response broke, or "" */
    uint64_t connections;
    uint64_t told_to_close; /* responses on kept-alive connections that said Connection: close */
    uint64_t idle_closed;   /* closed by the server, seen before the next request: no error */
    uint64_t left_open;     /* connections that the server should have closed, and did not in 1 s */
    uint64_t connect_waits; /* a unix socket's queue was full, where a blocking client would wait */
    int64_t started_ns, ended_ns;
    int64_t longest_gap_ns;   /* without an answer */
    struct histogram latency; /* ns, of answers */
    unsigned process_count;
    uint64_t other_answers; /* of processes beyond those that have room here */
    struct load_process processes[LOAD_PROCESSES_MAX];
};

/* Runs it to its end. The result is large: allocate it. 0, or -EINVAL for the address or a number,
 * or what the system said. Threads: any. */
int load_run(const struct load_config *config, struct load_result *result, srun_err *err);

#endif

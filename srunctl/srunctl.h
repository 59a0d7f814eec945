/* SPDX-License-Identifier: MIT
 *
 * srunctl, the operator's command: an HTTP client for the admin port of a program. What it shows is
 * the program's own text, what it passes on is the program's own JSON; so `curl --unix-socket` can
 * do all of it as well. man/srunctl.1 is the whole story. Threads: one.
 */
#ifndef SRUNCTL_H
#define SRUNCTL_H

#include "base/buf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit codes. */
enum answer {
    YES,
    NO,    /* not ready, failed, not in time */
    USAGE, /* the command line makes no sense */
    UNREACHABLE,
    FORBIDDEN
};

struct options {
    const char *socket, *address, *name, *token_file, *ca_file; /* where; NULL: not said */
    const char *argument;                                       /* of the command, or NULL */
    const char *span;                                           /* --for */
    const char *seconds, *output;                               /* of profile, captures */
    const char *folder;                                         /* of new; NULL: as the name says */
    int64_t timeout_ms;                                         /* -1: not said */
    int64_t frames;                                             /* of top; 0: until it is ended */
    int probe; /* of wait: r(eady), l(ive), (h)e(althy), g(one) */
    bool json, wait, off;
};

/* --- http.c: one request --------------------------------------------------------------------- */

struct reply {
    long status; /* 0: there was no answer */
    int error;   /* the errno when nobody could be asked, ETIMEDOUT: none answered in time; or 0 */
    int pid;     /* of who listens on the unix socket, or 0 */
    struct buf body;
    char why[384]; /* one line; "" when the answer is YES */
};

#define ASK_MS 5000

/* Asks for "GET /path", until a monotonic time in ns. The answer says what to exit with; everything
 * but YES has its reason in the reply, which starts over. */
int ask(struct options *options, const char *request, int64_t until, struct reply *reply);

/* Nobody listens there. */
static inline bool is_gone(const struct reply *reply)
{
    return reply->error == ENOENT || reply->error == ECONNREFUSED;
}

/* The end of this command; and of a request that begins now and is one of several, the last of
 * which has a second more. */
int64_t deadline_of(const struct options *options, int64_t default_ms);
int64_t request_deadline(int64_t until);

void reply_free(struct reply *reply);

#define auto_reply __attribute__((cleanup(reply_free)))

/* --- find.c: where the program listens ------------------------------------------------------- */

/* Sets the socket, unless the options say where. YES, or what to exit with, and why, in the reply.
 */
int find_program(struct options *options, struct reply *reply);

/* --- show.c: what reaches the terminal ------------------------------------------------------- */

/* Prints "srunctl: ..." and returns the code. */
int fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds the text to out, clean and, on a terminal, in colour; rows: as a frame of a screen that has
 * so many, or 0. */
void show_text(struct buf *out, struct buf *text, unsigned rows);

/* Prints a text, clean and in colour; or JSON, as it is but on a terminal. YES, or NO: it failed.
 */
int show_print(struct buf *text, bool json);

/* The first value of a key of a JSON text that we know the form of: true when there is one. */
bool json_find(const struct buf *json, const char *key, char *out, size_t size);

/* --- the commands ---------------------------------------------------------------------------- */

/* Adds what status shows. */
int status_text(struct options *options, struct buf *out, int64_t until, struct reply *reply);

/* Asks and prints what is answered: request as "GET /path". */
int run_request(struct options *options, const char *request);

int run_status(struct options *options);
int run_health(struct options *options);
int run_history(struct options *options);
int run_log_level(struct options *options);
int run_drain(struct options *options);
int run_wait(struct options *options);
int run_upgrade(struct options *options);
int run_stop(struct options *options);
int run_top(struct options *options);
int run_profile(struct options *options);
int run_new(struct options *options);
int run_captures(struct options *options);

#endif

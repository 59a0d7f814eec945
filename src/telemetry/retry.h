/* SPDX-License-Identifier: MIT
 *
 * Try again, or not, and when: the rules of the OTLP specification. A receiver that names a time
 * is obeyed (Retry-After in seconds or as a date, RetryInfo); without one the wait doubles from 1 s
 * to 30 s, spread by chance, so that many senders do not come back at once. PURE: clock and chance
 * are passed in.
 */
#ifndef TELEMETRY_RETRY_H
#define TELEMETRY_RETRY_H

#include "telemetry/transport.h"

/* Room for the longest name of a status and a text of the receiver: nothing is cut within a rune.
 */
#define RETRY_TEXT_MAX 168

enum retry_verdict {
    RETRY_DONE,  /* the receiver has it, but for what it rejected */
    RETRY_AGAIN, /* the same bytes once more, later */
    RETRY_LOST   /* never again */
};

struct retry_answer {
    enum retry_verdict verdict;
    int code; /* a negative errno unless done */
    uint64_t rejected;
    int64_t after_ns; /* the receiver wants to be left alone for so long; -1: it named no time */
    char text[RETRY_TEXT_MAX]; /* "" when all is well */
};

/* wall_s: Unix time, for Retry-After as a date. */
void retry_judge(const struct transport_reply *reply, bool grpc, int64_t wall_s,
                 struct retry_answer *out);

/* How long to wait after the so manieth attempt (from 1), at least what the receiver asked for.
 * chance: any number. */
int64_t retry_wait_ns(unsigned attempt, int64_t after_ns, uint32_t chance);

/* Seconds to wait from now, or -1: it is neither a number nor an HTTP date. */
int64_t retry_after_s(const char *text, int64_t wall_s);

#endif

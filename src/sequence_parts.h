/* SPDX-License-Identifier: MIT
 *
 * What sequence.c (what to do next) and sequence_feed.c (what happened) share. PURE.
 */
#ifndef SEQUENCE_PARTS_H
#define SEQUENCE_PARTS_H

#include "member.h"
#include "sequence.h"

enum phase { IDLE, INITIATING, STARTING, PLATEAU, DRAINING, STOPPING, FINISHED };

struct sequence {
    struct sequence_limits limits;
    enum phase phase;
    bool started; /* SEQUENCE_STARTED was told */
    bool tell_draining, tell_stopping;
    bool look_for_keepers; /* a run has returned: is anybody left? */
    unsigned begin, end;   /* the unit the cursor stands on: members [begin, end) */
    unsigned restarting;   /* members that are */
    int64_t deadline;      /* of the whole run */
    int64_t drain_until;
    int64_t grace_until; /* of the whole stop */
    __int128 stop_need;  /* what the units still to be stopped may ask for in sum */
    int64_t unit_need;   /* the part of the unit at the cursor */
    uint64_t random;
    struct sequence_outcome outcome;
    unsigned count;
    struct member members[];
};

/* sequence.c: from now on in reverse order. */
void begin_stopping(struct sequence *seq, int64_t now);

/* sequence_feed.c */
bool is_ending(const struct sequence *seq);
void raise_exit_code(struct sequence *seq, int code);
void set_restart(struct sequence *seq, struct member *m, enum restart_step step);

/* The end begins, unless it has: then the first cause stays, and a worse one raises the code. */
void begin_end(struct sequence *seq, struct sequence_outcome why, int64_t now);
void end_by_member(struct sequence *seq, const struct member *m, srun_cause_kind cause,
                   const char *phase, int code, int64_t now);

/* A restart if it may have one, else the end. */
void fail(struct sequence *seq, struct member *m, srun_cause_kind cause, const char *phase,
          int code, int64_t now);
void fail_if_late(struct sequence *seq, struct member *m, int64_t now);
void fail_if_always(struct sequence *seq, struct member *m, int64_t now);

#endif

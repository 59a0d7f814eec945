/* SPDX-License-Identifier: MIT
 *
 * Two generations of one program, as far as the machine of an upgrade can tell: two processes with
 * a queue to each of them, what the world does to them (steps), and an oracle that keeps the
 * simplest record of what must be true and names the first promise of machine.h that is broken. It
 * shares no code with the machine. Slot 0 has no parent; once it is over, slot 1 moves up, so that
 * a chain of generations may go on for ever.
 */
#ifndef TESTS_UPGRADE_LINEAGE_H
#define TESTS_UPGRADE_LINEAGE_H

#include "upgrade/machine.h"

#define LINEAGE_INBOX 10
#define LINEAGE_CHOICES 96
#define LINEAGE_BYTES 256

/* What the oracle knows of a process: bytes only, so that two worlds can be compared. */
struct facts {
    unsigned char alive;
    unsigned char mad;    /* no machine: says anything at any time */
    unsigned char joined; /* has a parent, and has not let go of it */
    unsigned char orphan; /* has lost its parent before it was started */
    unsigned char hello, handed;
    unsigned char started, ending, ended;
    unsigned char obeys;  /* was told to stop by an action or SIGTERM, and has not begun to */
    unsigned char killed; /* SIGKILL is under way */
    unsigned char doomed; /* the operator stopped its parent, and so both */
    unsigned char owed;   /* a request was made here and has found no end */
    unsigned char launched, answering; /* LAUNCH without its report; without its answer */
    unsigned char peer, gone;          /* there is another process; it was told of its end */
    unsigned char offered; /* COMMIT was sent, and all may think that the new one serves */
    unsigned char presenting, presented, commit_sent, serving_read, commit_read;
    unsigned char said; /* by the new process, in order: HELLO, ACK of all, READY */
    unsigned char stopping_read;
    unsigned char taken, office, succeeded, retired;
    unsigned char unread, inbox[LINEAGE_INBOX];
};

struct process {
    struct machine machine;
    struct facts facts;
};

enum step_kind { /* in the order in which a quiet world does them */
                 STEP_DIE,
                 STEP_SPAWNED,
                 STEP_READ, /* variant 1: a batch that is not the last */
                 STEP_GONE,
                 STEP_HELLO, /* variant 1: unacceptable, 2: no message at all */
                 STEP_STARTED,
                 STEP_PASSED,
                 STEP_OBEY, /* ENDING with intent, as told */
                 STEP_ENDED,
                 STEP_EXIT,
                 STEP_TIME, /* variant 0: the next wake, 1: the deadline, whatever probes there were
                             */
                 STEP_QUIET_KINDS,
                 STEP_REFUSED = STEP_QUIET_KINDS,
                 STEP_PROGRESS,
                 STEP_ASK,
                 STEP_TERM, /* the operator's */
                 STEP_FAIL, /* a service */
                 STEP_SAY,  /* by a mad peer; variant: which */
                 STEP_KINDS
};

struct step {
    unsigned char kind, process, variant;
    unsigned char cut; /* not 0: the process dies after so many actions of this step */
};

struct lineage {
    struct process processes[2];
    struct machine_limits limits;
    int64_t now, extend_ns;
    int64_t due; /* the report of the LAUNCH, at the latest */
    unsigned char asks_left, progress_left;
    bool aloud;
    bool clocked; /* times are numbers, not "not yet": a probation may end before its first probe */
    bool rests, hangs, passes; /* in lineage_quiet; and so does the new process; time does */
    unsigned cut, taken;       /* of this step; actions */
    unsigned most_actions, generations;
    char violation[160]; /* "" = none */
};

enum lineage_cast { LINEAGE_PAIR, LINEAGE_OLD_ALONE, LINEAGE_NEW_ALONE };

void lineage_begin(struct lineage *l, const struct machine_limits *limits, enum lineage_cast cast);
unsigned lineage_choices(const struct lineage *l, struct step *out);
void lineage_step(struct lineage *l, const struct step *step);

/* Nothing happens any more but what must; hung: and the new process does nothing at all. */
void lineage_quiet(struct lineage *l, bool hung);

/* Times become "not yet", and all that decides the future becomes bytes; and back. */
unsigned lineage_pack(struct lineage *l, unsigned char *bytes);
void lineage_unpack(struct lineage *l, const unsigned char *bytes);

void lineage_tell(const struct lineage *l, const struct step *step);

/* The oracle. */
void oracle_violated(struct lineage *l, unsigned process, const char *text);
void oracle_took(struct lineage *l, unsigned process, const struct machine_action *action);
void oracle_look(struct lineage *l);                   /* after each step */
void oracle_left(struct lineage *l, unsigned process); /* it exits in good order */
void oracle_end(struct lineage *l, bool hung);         /* after quiet */

#endif

/* SPDX-License-Identifier: MIT
 *
 * The machine of an upgrade, src/upgrade/machine.c, written once more, in Promela. Time is only
 * "what was armed runs out", TIME for the deadline and PROBE for the next PING, so that every order
 * of timers is one of the orders of events.
 *
 * It is the same machine: promela_test.py has both walk through all that can be reached by feeding
 * any event at any time, and compares what they do, line by line.
 *
 * Who feeds it has two variables: `me`, the index of its machine, and `why`, 0.
 */
mtype = { IN_IDLE, IN_SPAWN, IN_HELLO, IN_HANDOVER, IN_INIT, IN_BARRIER, IN_COMMIT, IN_PROBATION,
          IN_DRAIN, IN_REAP, IN_JOIN, IN_OFFER, IN_HEIR };

/* What happens to a process, beside what the other one says. BREAKS: it stops, and nobody wanted it
 * to. */
mtype = { ASKED, REFUSED, SPAWNED, GARBLED, GONE, PASSED, STARTED, ENDING, BREAKS, ENDED, TIME,
          PROBE };

/* Messages: of the new process, then of the old one. */
mtype = { HELLO, BAD_HELLO, ACK, ACK_ALL, PROGRESS, READY, SERVING, FAILED, STOPPING, RELEASE, PONG,
          WELCOME, BATCH, COMMIT, PING, AGAIN, RETIRED, STOP };

/* Actions, and what goes with them. */
mtype = { LAUNCH, SEND, HAND_OVER, PRESENT, OPEN, TAKE_OFFICE, YIELD, RECLAIM, RETIRE, DO_STOP,
          CLEAR, SUCCEEDED, REPORT_FAILED, ROLLED_BACK, SUCCESSION, SIGNAL, FORGET };
mtype = { NOTHING, BECAUSE_REFUSED, BECAUSE_TIME, BECAUSE_GONE, BECAUSE_SAID, BECAUSE_GARBLED,
          BECAUSE_UNACCEPTABLE, BECAUSE_ENDING, BECAUSE_ORPHANED, BECAUSE_TOLD, TERM, KILL };

typedef Machine {
    mtype state;
    bit asked, started, ending, spawned, answered, leaves, alone, settled, unclear
};

Machine m[2];
chan todo[2] = [12] of { mtype, mtype }; /* actions that have not been carried out */
bit takes_over, probation;               /* limits */

/* Deviations, to see that they are found: -DDEFECT=1, 2, ... */
#ifndef DEFECT
#define DEFECT 0
#endif

#define is(x) (m[me].state == x)
#define has_parent(s) (m[s].state == IN_JOIN || m[s].state == IN_OFFER || m[s].state == IN_HEIR)
#define is_before_init (is(IN_SPAWN) || is(IN_HELLO) || is(IN_HANDOVER))
#define is_before_end_of_commit (is(IN_INIT) || is(IN_BARRIER) || is(IN_COMMIT))
#define is_talking (is(IN_HELLO) || is(IN_HANDOVER) || is_before_end_of_commit)
#define is_timed(s) ((m[s].state == IN_REAP && m[s].spawned) || m[s].state == IN_SPAWN || \
                     m[s].state == IN_HELLO || m[s].state == IN_HANDOVER || \
                     m[s].state == IN_INIT || m[s].state == IN_BARRIER || \
                     m[s].state == IN_COMMIT || m[s].state == IN_PROBATION)

inline enter(next) { m[me].state = next }
inline act(action) { todo[me]!action, NOTHING }
inline act_with(action, detail) { todo[me]!action, detail }
inline say(message) { todo[me]!SEND, message }

/* --- the old process --- */

inline become_idle() {
    act(FORGET);
    m[me].spawned = 0;
    enter(IN_IDLE)
}

/* The new one has failed. What comes of it is in one place, fall(), so that pan is small. */
inline fail(reason) { why = reason }

inline fall() {
    m[me].leaves = (why == BECAUSE_SAID);
    if
    :: is(IN_COMMIT) -> act(RECLAIM)
    :: else
    fi;
    act_with(REPORT_FAILED, why);
    if
    :: why == BECAUSE_GONE || why == BECAUSE_REFUSED -> become_idle()
    :: else ->
        if
        :: !m[me].spawned || why == BECAUSE_SAID
        :: else -> act_with(SIGNAL, ((is(IN_INIT) || is(IN_BARRIER)) -> TERM : KILL))
        fi;
        enter(IN_REAP)
    fi;
    why = 0
}

inline roll_back(reason) {
    if
    :: DEFECT != 5 -> act(RECLAIM)
    :: else
    fi;
    act_with(ROLLED_BACK, reason);
    m[me].leaves = (reason == BECAUSE_SAID);
    if
    :: reason == BECAUSE_GONE -> become_idle()
    :: reason == BECAUSE_TIME -> act_with(SIGNAL, KILL); enter(IN_REAP)
    :: else -> enter(IN_REAP)
    fi
}

inline retire() {
    if
    :: m[me].asked -> say(AGAIN)
    :: else
    fi;
    m[me].asked = 0;
    say(RETIRED);
    act(RETIRE);
    enter(IN_DRAIN)
}

inline commit() {
    say(COMMIT);
    if
    :: DEFECT == 2 -> act(YIELD) /* before the new one serves */
    :: else
    fi;
    enter(IN_COMMIT)
}

inline on_serving() {
    if
    :: DEFECT != 1 && DEFECT != 2 -> act(YIELD)
    :: else /* goes on serving, or has stopped already */
    fi;
    act(SUCCEEDED);
    if
    :: m[me].asked || m[me].ending || !probation -> retire()
    :: else ->
        m[me].answered = 1;
        enter(IN_PROBATION)
    fi
}

inline child_said(x) {
    if
    :: is(IN_PROBATION) ->
        if
        :: x == FAILED -> roll_back(BECAUSE_SAID)
        :: x == STOPPING || x == RELEASE -> retire()
        :: x == PONG -> m[me].answered = 1
        :: else
        fi
    :: is_talking ->
        if
        :: x == FAILED || x == STOPPING -> fail(BECAUSE_SAID)
        :: is(IN_HELLO) && x == HELLO ->
            say(WELCOME);
            act(HAND_OVER);
            enter(IN_HANDOVER)
        :: is(IN_HELLO) && x == BAD_HELLO -> fail(BECAUSE_UNACCEPTABLE)
        :: is(IN_HANDOVER) && x == ACK -> act(HAND_OVER)
        :: is(IN_HANDOVER) && x == ACK_ALL -> enter(IN_INIT)
        :: is(IN_INIT) && x == READY ->
            act(PRESENT);
            enter(IN_BARRIER)
        :: is(IN_COMMIT) && x == SERVING -> on_serving()
        :: x == PROGRESS /* the deadline of INIT moves, up to a limit */
        :: else -> fail(BECAUSE_GARBLED)
        fi
    :: else
    fi
}

inline on_spawn_answer(x) {
    if
    :: is(IN_SPAWN) && x == SPAWNED -> m[me].spawned = 1; enter(IN_HELLO)
    :: is(IN_SPAWN) && x == REFUSED -> m[me].spawned = 0; fail(BECAUSE_REFUSED)
    :: is(IN_REAP) && x == SPAWNED -> m[me].spawned = 1; act_with(SIGNAL, KILL)
    :: is(IN_REAP) && x == REFUSED -> m[me].spawned = 0; become_idle()
    :: else
    fi
}

inline on_time() {
    if
    :: is(IN_COMMIT) && DEFECT == 4 /* waits for ever */
    :: is_before_init || is(IN_INIT) || (is(IN_COMMIT) && DEFECT != 4) -> fail(BECAUSE_TIME)
    :: is(IN_BARRIER) -> commit()
    :: is(IN_PROBATION) -> retire()
    :: is(IN_REAP) -> act_with(SIGNAL, KILL)
    :: else
    fi
}

inline on_probe() {
    if
    :: m[me].answered -> m[me].answered = 0; say(PING)
    :: else -> roll_back(BECAUSE_TIME)
    fi
}

/* --- the new process --- */

inline take_office() { act(TAKE_OFFICE) }

inline parent_said(x) {
    if
    :: x == COMMIT && is(IN_OFFER) && !m[me].ending ->
        take_office();
        say(SERVING);
        if
        :: m[me].asked -> say(RELEASE)
        :: else
        fi;
        enter(IN_HEIR)
    :: x == PING -> say(PONG)
    :: x == AGAIN -> m[me].asked = 1
    :: x == STOP && !m[me].ending -> act_with(DO_STOP, BECAUSE_TOLD)
    :: x == RETIRED && is(IN_HEIR) -> m[me].settled = 1; act(CLEAR)
    :: else
    fi
}

#define goes_on (is(IN_HEIR) || takes_over)

inline parent_gone() {
    if
    :: goes_on && !is(IN_HEIR) -> act(OPEN)
    :: else
    fi;
    if
    :: goes_on && !is(IN_HEIR) && m[me].started && !m[me].ending -> take_office()
    :: else
    fi;
    m[me].unclear = (goes_on && !m[me].started);
    if
    :: goes_on && m[me].started -> act(CLEAR)
    :: else
    fi;
    if
    :: is(IN_HEIR) -> act(SUCCESSION)
    :: else
    fi;
    if
    :: !goes_on && !m[me].ending ->
        act_with(DO_STOP, BECAUSE_ORPHANED);
        m[me].ending = 1
    :: else
    fi;
    become_idle()
}

inline on_started() {
    if
    :: m[me].started
    :: else ->
        m[me].started = 1;
        if
        :: is(IN_JOIN) ->
            say(READY);
            if
            :: DEFECT == 3 -> take_office() /* without COMMIT */
            :: else
            fi;
            enter(IN_OFFER)
        :: else ->
            take_office();
            if
            :: m[me].unclear -> act(CLEAR)
            :: else
            fi
        fi
    fi
}

/* --- both --- */

inline on_asked() {
    if
    :: is(IN_PROBATION) -> m[me].asked = 1; retire()
    :: is(IN_DRAIN) && m[me].alone ->
        m[me].asked = 0;
        act_with(REPORT_FAILED, BECAUSE_ENDING)
    :: is(IN_DRAIN) && !m[me].alone -> m[me].asked = 0; say(AGAIN)
    :: is(IN_HEIR) && !m[me].asked && !m[me].ending -> m[me].asked = 1; say(RELEASE)
    :: else -> m[me].asked = 1
    fi
}

inline on_ending(intent) {
    if
    :: m[me].ending
    :: else ->
        m[me].ending = 1;
        if
        :: has_parent(me) && intent -> say(STOPPING)
        :: has_parent(me) && !intent -> say(FAILED)
        :: is(IN_PROBATION) && intent -> say(STOP); retire()
        :: is(IN_PROBATION) && !intent -> retire()
        :: intent && (is_before_init || is(IN_INIT)) -> fail(BECAUSE_ENDING)
        :: intent && (is(IN_BARRIER) || is(IN_COMMIT)) -> say(STOP)
        :: else
        fi
    fi
}

inline on_ended() {
    if
    :: is(IN_INIT) -> act(PRESENT)
    :: is_before_init -> fail(BECAUSE_ENDING)
    :: is(IN_REAP) && m[me].spawned && !m[me].leaves -> act_with(SIGNAL, KILL)
    :: else
    fi
}

inline on_gone() {
    if
    :: has_parent(me) -> parent_gone()
    :: is(IN_PROBATION) -> roll_back(BECAUSE_GONE)
    :: is(IN_REAP) -> become_idle()
    :: is(IN_DRAIN) -> m[me].alone = 1; act(FORGET)
    :: is_before_init || is_before_end_of_commit -> fail(BECAUSE_GONE)
    :: else
    fi
}

inline on_garbled() {
    if
    :: is_talking -> fail(BECAUSE_GARBLED)
    :: else
    fi
}

/* A process that stops launches nothing; the one that may take over from it can. */
inline look_asked() {
    if
    :: m[me].asked && m[me].ending && is_before_init /* not decided yet */
    :: m[me].asked && m[me].ending && is_before_end_of_commit -> m[me].asked = 0; say(AGAIN)
    :: m[me].asked && m[me].ending && !is_before_init && !is_before_end_of_commit ->
        m[me].asked = 0;
        act_with(REPORT_FAILED, BECAUSE_ENDING)
    :: m[me].asked && !m[me].ending && is(IN_IDLE) && m[me].started ->
        m[me].asked = 0;
        if
        :: DEFECT == 7 -> act(YIELD) /* to nobody */
        :: else
        fi;
        act(LAUNCH);
        enter(IN_SPAWN)
    :: else
    fi
}

inline feed(x) {
    if
    :: x == ASKED -> on_asked()
    :: x == REFUSED || x == SPAWNED -> on_spawn_answer(x)
    :: x == GARBLED -> on_garbled()
    :: x == GONE -> on_gone()
    :: x == PASSED ->
        if
        :: is(IN_BARRIER) -> commit()
        :: else
        fi
    :: x == STARTED -> on_started()
    :: x == ENDING || x == BREAKS -> on_ending((x == ENDING))
    :: x == ENDED -> on_ended()
    :: x == TIME -> on_time()
    :: x == PROBE -> on_probe()
    :: else ->
        if
        :: has_parent(me) -> parent_said(x)
        :: else -> child_said(x)
        fi
    fi;
    if
    :: why != 0 -> fall()
    :: else
    fi;
    look_asked()
}

inline begin_machine(s, first) {
    m[s].state = first;
    m[s].asked = 0;
    m[s].started = 0;
    m[s].ending = 0;
    m[s].spawned = 0;
    m[s].answered = 0;
    m[s].leaves = 0;
    m[s].alone = 0;
    m[s].settled = 0;
    m[s].unclear = 0
}

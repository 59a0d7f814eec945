/* SPDX-License-Identifier: MIT
 *
 * An upgrade as two processes, what they say to each other, and what may go wrong, for spin. The
 * machine is that of machine.pml; here is the world around it, as the comments on the actions in
 * machine.h and src/succession*.c have it:
 *
 *  - a socket keeps the order of messages; a process that ends leaves what it has said, and what
 *    was said to it is lost; with LOSSY a message may be lost at any time, as when the kernel has no
 *    memory or the receiver no descriptor left: sender or receiver learns that, and nothing more;
 *  - the end of the other process is noticed at any time later, when all it said has been read;
 *  - a process may die at any moment, between two actions too: the old, the new, both;
 *  - the new one may hang at any moment; timers run out in every order.
 *
 * Generations take turns in two slots: who is left launches the next one into the other slot.
 *
 * Bounds: ASKS requests, TROUBLES misfortunes (a death, a hang, a wish to stop, a failure).
 */
#include "machine.pml"

#ifndef ASKS
#define ASKS 1
#endif
#ifndef TROUBLES
#define TROUBLES 2
#endif
#ifndef BATCHES
#define BATCHES 2 /* of descriptors */
#endif

mtype = { BORN, GREETED, WELCOMED, RUNS }; /* of a new process, before it has a machine */

typedef Process {
    mtype stage;
    bit alive, hung, killed;
    bit obeys;  /* was told to stop, and has not begun to */
    bit breaks; /* a service has failed, and it has not begun to stop */
    bit ended;  /* all its services have stopped */
    bit rings;  /* its timer has run out */
    bit asked;  /* a request is on its way to the machine */
    bit gate;   /* it serves */
    bit peer;   /* there is another process, or was until it is told */
    bit gone;   /* it was told */
    bit answering, presenting; /* LAUNCH without its answer, PRESENT without PASSED */
    bit offered;               /* COMMIT was sent: all may think that the new one serves */
    bit presented, launched, succeeded, taken, committed, retired;
    byte sent, took /* batches */
};

Process p[2];
chan inbox[2] = [8] of { mtype };
byte asks = ASKS, troubles = TROUBLES;

#define other (1 - me)
#define serves(s) (p[s].alive && p[s].gate && !m[s].ending && !p[s].obeys && !p[s].killed)
#define is_idle (p[me].alive && !p[me].hung && p[me].stage == RUNS && empty(todo[me]))
#define is_bereft (len(inbox[me]) == 0 && p[me].peer && !p[other].alive && !p[me].gone)

/* For once a timer may be quicker than what there is to hear; but not for ever. */
#ifdef LIVENESS
#define is_busy (len(inbox[me]) > 0 || is_bereft)
#else
#define is_busy false
#endif

/* --- beginning and end of a process --- */

inline begin_process(s) {
    p[s].hung = 0;
    p[s].killed = 0;
    p[s].obeys = 0;
    p[s].breaks = 0;
    p[s].ended = 0;
    p[s].rings = 0;
    p[s].asked = 0;
    p[s].gate = 0;
    p[s].peer = 0;
    p[s].gone = 0;
    p[s].answering = 0;
    p[s].presenting = 0;
    p[s].offered = 0;
    p[s].presented = 0;
    p[s].launched = 0;
    p[s].succeeded = 0;
    p[s].taken = 0;
    p[s].committed = 0;
    p[s].retired = 0;
    p[s].sent = 0;
    p[s].took = 0;
    begin_machine(s, IN_IDLE)
}

inline die(s) {
    p[s].alive = 0;
    begin_process(s);
    do
    :: nempty(todo[s]) -> todo[s]?_, _
    :: nempty(inbox[s]) -> inbox[s]?_
    :: empty(todo[s]) && empty(inbox[s]) -> break
    od
}

/* Into the other slot, with me as its parent. */
inline bear() {
    assert(!p[other].alive);
    p[other].alive = 1;
    p[other].stage = BORN;
    p[other].peer = 1;
    m[other].state = IN_JOIN;
    p[me].peer = 1;
    p[me].sent = 0
}

/* --- what is said --- */

/* To who has ended it makes no difference, and does no harm. */
inline send(message) {
    if
    :: p[other].alive -> assert(nfull(inbox[other])); inbox[other]!message
    :: else
    fi
}

/* What cannot be sent is as if the other one had said nonsense: say() in succession_peer.c. */
inline post(message) {
    assert(p[me].peer && !p[me].gone);
    if
    :: send(message)
#ifdef LOSSY
    :: x = GARBLED
#endif
    fi
}

/* --- the actions, and which are right at all --- */

inline perform(action, detail) {
    if
    :: action == LAUNCH ->
        assert(!p[me].peer && !p[me].launched && !p[me].answering);
        assert(p[me].gate && m[me].started && !m[me].ending);
        p[me].launched = 1;
        p[me].answering = 1;
        p[me].succeeded = 0;
        p[me].presented = 0
    :: action == SEND && detail == COMMIT ->
        assert(p[other].took == BATCHES || !p[other].alive); /* it has all it needs */
        p[me].offered = 1;
        post(COMMIT)
    :: action == SEND && detail != COMMIT -> post(detail)
    :: action == HAND_OVER ->
        if
        :: p[me].sent < BATCHES -> p[me].sent++; post(BATCH)
        :: else
        fi
    :: action == PRESENT ->
        assert(p[me].peer && !p[me].gone);
        p[me].presenting = 1;
        p[me].presented = 1
    :: action == OPEN ->
        assert(p[me].gone && !p[me].gate); /* nobody else serves */
        p[me].gate = 1
    :: action == TAKE_OFFICE ->
        assert(!p[me].taken && m[me].started && !p[me].ended);
        assert(!p[me].peer || p[me].committed || p[me].gone);
        p[me].taken = 1;
        p[me].gate = 1
    :: action == YIELD ->
        assert(p[other].taken || !p[other].alive); /* it said so, and has done it */
        p[me].gate = 0
    :: action == RECLAIM ->
        assert(p[me].taken && !p[me].retired);
        p[me].offered = 0;
        p[me].gate = 1
    :: action == RETIRE ->
        assert(p[me].succeeded && !p[me].retired && !p[me].gate);
        p[me].retired = 1;
        p[me].obeys = !m[me].ending
    :: action == DO_STOP -> p[me].obeys = !p[me].ended
    :: action == SUCCEEDED ->
        assert(p[me].launched);
        p[me].offered = 0;
        p[me].launched = 0;
        p[me].succeeded = 1
    :: action == REPORT_FAILED ->
        assert(p[me].gate || m[me].ending || p[me].retired); /* it still serves */
        assert(!p[me].offered); /* and says so again where it had named the new one */
        p[me].launched = 0
    :: action == ROLLED_BACK ->
        assert(p[me].succeeded && p[me].gate);
        p[me].succeeded = 0
    :: action == SIGNAL ->
        assert(p[me].peer && !p[me].gone && !p[me].retired);
        if
        :: detail == KILL -> p[other].killed = p[other].alive
        :: else -> p[other].obeys = (p[other].alive && !m[other].ending)
        fi
    :: action == FORGET ->
        assert(!p[me].peer || p[me].gone);
        p[me].peer = 0;
        p[me].gone = 0;
        p[me].presenting = 0
    :: action == CLEAR -> assert(m[me].started)
    :: action == SUCCESSION -> assert(p[me].gone && p[me].taken)
    fi
}

/* --- a process --- */

#define joins(at) (p[me].alive && !p[me].hung && p[me].stage == at)

/* The next batch of descriptors, and each of them once. */
inline take_batch() {
    inbox[me]?BATCH;
    p[me].took++;
    assert(p[me].took <= BATCHES && (!p[other].alive || p[me].took <= p[other].sent));
    if
    :: p[me].took < BATCHES && DEFECT != 6 -> send(ACK)
    :: else ->
        send(ACK_ALL);
        p[me].stage = RUNS
    fi
}

inline leave() {
    assert(!p[me].launched || (p[me].presented && is_before_end_of_commit));
    assert(!m[me].asked);
    die(me)
}

proctype Life(byte me)
{
    mtype x, action, detail, why;
end:
    do
    :: atomic { p[me].alive && p[me].killed -> die(me) }
    :: atomic { is_idle && p[me].ended -> leave() }
    /* Before it has a machine: src/upgrade/inherit.c. SIGTERM ends it, and so does a surprise. */
    :: atomic { joins(BORN) -> send(HELLO); p[me].stage = GREETED }
    :: atomic { joins(BORN) -> send(BAD_HELLO); p[me].stage = GREETED }
    :: atomic { joins(BORN) -> send(GARBLED); p[me].stage = GREETED }
    :: atomic { joins(GREETED) && inbox[me]?[WELCOME] -> inbox[me]?WELCOME; p[me].stage = WELCOMED }
    :: atomic { joins(WELCOMED) && inbox[me]?[BATCH] -> take_batch() }
    :: atomic {
        (joins(GREETED) && nempty(inbox[me]) && !inbox[me]?[WELCOME]) ||
        (joins(WELCOMED) && nempty(inbox[me]) && !inbox[me]?[BATCH]) ->
        send(FAILED);
        die(me)
    }
    :: atomic { (joins(GREETED) || joins(WELCOMED)) && is_bereft -> die(me) }
    :: atomic { p[me].alive && !p[me].hung && p[me].stage != RUNS && p[me].obeys -> die(me) }
    /* What its control thread does: one action, or one event. */
    :: atomic {
        if
        :: p[me].alive && !p[me].hung && nempty(todo[me]) ->
            todo[me]?action, detail;
            printf("%d: %e %e\n", me, action, detail);
            perform(action, detail);
            action = 0;
            detail = 0
        :: is_idle && nempty(inbox[me]) ->
            inbox[me]?x;
            assert(x != BATCH); /* it has all */
            p[me].committed = p[me].committed || x == COMMIT
#ifdef LOSSY
        :: is_idle && nempty(inbox[me]) -> inbox[me]?_; x = GARBLED
#endif
        :: is_idle && is_bereft ->
            p[me].gone = 1;
            x = GONE
        :: is_idle && p[me].answering -> p[me].answering = 0; bear(); x = SPAWNED
        :: is_idle && p[me].answering -> p[me].answering = 0; x = REFUSED
        :: is_idle && p[me].presenting -> p[me].presenting = 0; x = PASSED
        :: is_idle && !m[me].started && !m[me].ending -> x = STARTED
        :: is_idle && p[me].asked -> p[me].asked = 0; x = ASKED
        :: is_idle && p[me].obeys && !m[me].ending -> p[me].obeys = 0; x = ENDING
        :: is_idle && p[me].breaks && !m[me].ending ->
            p[me].breaks = 0;
            p[me].gate = p[me].gate && (!is(IN_HEIR) || m[me].settled); /* it resigns */
            x = BREAKS
        :: is_idle && m[me].ending && !p[me].ended ->
            p[me].ended = 1;
            p[me].obeys = 0;
            p[me].gate = 0;
            x = ENDED
        :: is_idle && is(IN_PROBATION) && !p[me].rings && !is_busy -> x = PROBE
        :: is_idle && p[me].rings && !is_busy ->
            p[me].rings = 0;
            x = (is_timed(me) -> TIME : 0)
        fi;
        if
        :: x != 0 ->
            printf("%d: %e in %e\n", me, x, m[me].state);
            feed(x)
        :: else
        fi;
        x = 0
    }
    od
}

/* A timer that is armed runs out: of its own, so that it cannot be put off for ever. */
proctype Clock(byte me)
{
end:
    do
    :: atomic { p[me].alive && is_timed(me) && !p[me].rings -> p[me].rings = 1 }
    od
}

/* What nobody has to do, and may leave off at any time. */
proctype World()
{
    byte s;
    do
    :: atomic {
        asks > 0 ->
        select(s : 0 .. 1);
        if
        :: p[s].alive && p[s].stage == RUNS && !p[s].ended && !p[s].asked -> p[s].asked = 1; asks--
        :: else
        fi;
        s = 0
    }
    :: atomic {
        troubles > 0 ->
        select(s : 0 .. 1);
        if
        :: p[s].alive -> die(s); troubles--; printf("%d dies\n", s)
        :: p[s].alive && !m[s].ending && !p[s].obeys ->
            p[s].obeys = 1;
            troubles--;
            printf("%d is told to stop\n", s)
        :: p[s].alive && p[s].stage == RUNS && !m[s].ending && !p[s].breaks ->
            p[s].breaks = 1;
            troubles--;
            printf("%d breaks\n", s)
        :: p[s].alive && !p[s].hung && (p[s].stage != RUNS || has_parent(s)) ->
            p[s].hung = 1;
            troubles--;
            printf("%d hangs\n", s)
        :: else
        fi;
        s = 0
    }
    :: break
    od
}

/* --- what must be true between any two steps --- */

/* What a process has said or is about to say, and the other one has not heard. When SERVING is
 * lost, the old one learns nothing before COMMIT ends; when FAILED is, not before the end. */
#ifdef LOSSY
#define serving_unheard(s) (m[s].state == IN_COMMIT)
#define end_unheard(s) (m[s].ending)
#else
#define serving_unheard(s) (inbox[s]?[SERVING])
#define end_unheard(s) (p[s].ended)
#endif

/* Two serve at once only from TAKE_OFFICE of the one to YIELD of the other. */
#define both_serve (serves(0) && serves(1) && len(todo[0]) == 0 && len(todo[1]) == 0 && \
                    !serving_unheard(0) && !serving_unheard(1))

/* Who has nothing to do and nothing to learn does not look on while nobody serves. */
#define looks_on(s) (p[s].alive && !p[s].hung && p[s].stage == RUNS && m[s].started && \
                     !m[s].ending && !p[s].obeys && !p[s].killed && len(todo[s]) == 0 && \
                     len(inbox[s]) == 0 && \
                     (!p[s].peer || (p[1 - s].alive && !end_unheard(1 - s) && \
                                     len(todo[1 - s]) == 0)))
#define nobody_serves (!(p[0].alive && p[0].gate) && !(p[1].alive && p[1].gate))

proctype Monitor()
{
end:
    if
    :: atomic { both_serve -> assert(false) }
    :: atomic { nobody_serves && (looks_on(0) || looks_on(1)) -> assert(false) }
    fi
}

/* Each attempt ends, and so does each process that was told to; who is left serves. A new process
 * that hangs may do so for ever once it serves. */
#define rests(s) (!p[s].alive || p[s].hung || \
                  (m[s].state == IN_IDLE && !p[s].peer && !p[s].launched && p[s].gate && \
                   m[s].started && !m[s].ending))

#ifdef LIVENESS
ltl comes_to_rest { <>[] (rests(0) && rests(1)) }
#endif

init {
    atomic {
        if :: takes_over = 0 :: takes_over = 1 fi;
        if :: probation = 0 :: probation = 1 fi;
        p[0].alive = 1;
        p[0].stage = RUNS;
        p[0].gate = 1;
        m[0].state = IN_IDLE;
        m[1].state = IN_IDLE;
        run Life(0);
        run Life(1);
        run Clock(0);
        run Clock(1);
        run World();
        run Monitor()
    }
}

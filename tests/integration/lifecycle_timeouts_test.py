# SPDX-License-Identifier: MIT
"""What has a limit, what happens when it passes, and which service is named."""
import signal
import sys

sys.dont_write_bytecode = True
from scripted import (PATIENT, STEADY, ends, events, has_stack, in_order, ms, never, only, open_gate, script,
                      states, stop, stops, with_message)  # noqa: E402
from support import LIMIT, Suite, check, equal  # noqa: E402

suite = Suite("lifecycle_timeouts")


def seconds(text):
    """Of a duration below a minute, as Go prints it."""
    for unit, factor in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if text.endswith(unit):
            return float(text[:-len(unit)]) * factor
    raise ValueError(text)


def stuck_line(process, service, phase):
    """Where the service was given up: the phase is named, and there is a stack."""
    line = only(process, "stuck, given up", service)
    equal((line["level"], line["phase"]), ("ERROR", phase), "what is stuck")
    has_stack(line["stack"])
    return line


# Init


@suite.test
def an_init_that_hangs_is_given_up(folder):
    with script(folder, f"a init=say:i {STEADY} {PATIENT}", f"b init=hang:sleep {STEADY}",
                f"c {STEADY}", SRUN_INIT_TIMEOUT="1s", SRUN_STUCK_GRACE="100ms") as process:
        last = ends(process, 3, "init_timeout")
        check("service b: init has not returned after" in last["why"], last["why"])
        equal(last["stuck"], "1", "stuck")
        line = stuck_line(process, "b", "init")
        check(seconds(line["elapsed"]) >= 1.1 * 0.99, f"elapsed since init: {line['elapsed']}")
        in_order(process, "a INITIATED", "b enter init", "b SHUTTING_DOWN", "a SHUTTING_DOWN",
                 "a STOPPED")
        never(process, "b STOPPED", "a enter run", "c enter run")
        equal(with_message(process, "destroyed"), [], "destroyed in spite of a stuck thread")


@suite.test
def an_init_that_ends_when_cancelled_is_late_but_not_stuck(folder):
    with script(folder, f"a {STEADY} {PATIENT}", f"b init=block,cancelled {STEADY} stop=say:s",
                SRUN_INIT_TIMEOUT="300ms", SRUN_STUCK_GRACE="1m") as process:
        last = ends(process, 3, "init_timeout")
        check("stuck" not in last, "nothing is stuck")
        never(process, "b enter stop")
        equal(states(process)[-4:], stops("b", "a"), "states")


@suite.test
def an_init_may_ask_for_more_time(folder):
    with script(folder, f"a init=extend:1m,sleep:4s {STEADY}",
                SRUN_INIT_TIMEOUT="3s") as process:
        stop(process)
        line = only(process, "takes longer", "a")
        equal((line["phase"], line["asked_for"]), ("init", "1m0s"))


@suite.test
def a_service_may_have_a_limit_of_its_own(folder):
    with script(folder, f"a init=hang:sleep init-ms=100ms {STEADY}",
                SRUN_INIT_TIMEOUT="1h", SRUN_STUCK_GRACE="50ms") as process:
        ends(process, 3, "init_timeout")


# Ready


@suite.test
def a_service_that_never_says_ready_is_named_with_its_last_answer(folder):
    with script(folder, f"a {STEADY} {PATIENT}", "b run=block ready=if:index", f"c {STEADY}",
                SRUN_READY_TIMEOUT=ms(3000)) as process:
        last = ends(process, 3, "ready_timeout")
        check(last["why"].startswith("service b: not ready after "), last["why"])
        check(last["why"].endswith(": index is not there"), last["why"])
        never(process, "b RUNNING", "c enter run")
        equal(states(process)[-6:], stops("c", "b", "a"), "stop")


@suite.test
def a_service_that_never_calls_srun_ready_is_told_so(folder):
    with script(folder, "a run=block", SRUN_READY_TIMEOUT="300ms") as process:
        last = ends(process, 3, "ready_timeout")
        check(last["why"].endswith(": srun_ready was not called"), last["why"])


@suite.test
def a_ready_verb_that_hangs_is_given_up(folder):
    with script(folder, f"a {STEADY} {PATIENT}", "b run=block ready=hang:sleep",
                SRUN_READY_TIMEOUT="1s", SRUN_STOP_TIMEOUT="1s", SRUN_STUCK_GRACE="100ms"
                ) as process:
        ends(process, 4, "ready_timeout")
        stuck_line(process, "b", "ready")
        in_order(process, "b cancelled run", "a SHUTTING_DOWN", "a STOPPED")


@suite.test
def a_slow_start_is_spoken_of_while_it_lasts(folder):
    with script(folder, "a run=block ready=if:index", SRUN_READY_TIMEOUT="10m") as process:
        process.wait_for("msg=\"still waiting\"", limit=LIMIT + 5)
        line = only(process, "still waiting", "a")
        equal((line["phase"], line["last_answer"]), ("ready", "index is not there"))
        open_gate(folder, "index")
        stop(process)


# Stop


def stop_hangs(kind, folder):
    """The middle one of three never leaves stop."""
    with script(folder, f"a {STEADY} stop=say:s {PATIENT}", f"b {STEADY} stop=hang:{kind}",
                f"c {STEADY} stop=say:s {PATIENT}", SRUN_STOP_TIMEOUT=ms(2000),
                SRUN_STUCK_GRACE="100ms") as process:
        last = stop(process, 4)
        equal(last["also"], "service b: stop: stuck", "also")
        equal(last["stuck"], "1", "stuck")
        stuck_line(process, "b", "stop")
        in_order(process, "c STOPPED", "b enter stop", "a SHUTTING_DOWN", "a enter stop",
                 "a STOPPED")
        never(process, "b STOPPED")
        equal(only(process, "leaving with stuck threads")["exit_code"], "4")
        equal(with_message(process, "destroyed"), [], "destroyed in spite of a stuck thread")


@suite.test
def a_stop_that_spins_does_not_hold_up_the_others(folder):
    stop_hangs("cpu", folder)


@suite.test
def a_stop_that_waits_for_a_dead_mutex_does_not_hold_up_the_others(folder):
    stop_hangs("mutex", folder)


@suite.test
def a_stop_that_reads_for_ever_does_not_hold_up_the_others(folder):
    stop_hangs("read", folder)


@suite.test
def a_stop_that_sleeps_for_ever_does_not_hold_up_the_others(folder):
    stop_hangs("sleep", folder)


def run_hangs(kind, folder):
    with script(folder, f"a {STEADY} stop=say:s {PATIENT}",
                f"b run=ready,hang:{kind} stop=say:s", f"c {STEADY} {PATIENT}",
                SRUN_STOP_TIMEOUT=ms(2000), SRUN_STUCK_GRACE="100ms") as process:
        last = stop(process, 4)
        equal(last["also"], "service b: run: stuck", "also")
        stuck_line(process, "b", "run")
        in_order(process, "b enter stop", "b leave stop", "a SHUTTING_DOWN", "a STOPPED")


@suite.test
def a_run_that_spins_is_given_up(folder):
    run_hangs("cpu", folder)


@suite.test
def a_run_that_waits_for_a_dead_mutex_is_given_up(folder):
    run_hangs("mutex", folder)


@suite.test
def a_run_that_reads_for_ever_is_given_up(folder):
    run_hangs("read", folder)


@suite.test
def a_run_that_sleeps_for_ever_is_given_up(folder):
    run_hangs("sleep", folder)


@suite.test
def a_read_that_honours_eintr_is_woken_at_the_limit(folder):
    with script(folder, f"a {STEADY} {PATIENT}", "b run=ready,read-until-interrupted stop=say:s",
                SRUN_STOP_TIMEOUT=ms(1000), SRUN_STUCK_GRACE="1m") as process:
        last = stop(process, 4)
        check("stuck" not in last, "nothing is stuck")
        equal(only(process, "overruns its limit", "b")["phase"], "run")
        check(last["also"].startswith("service b: run: "),
              f"the last line says why the exit code is 4: also={last['also']}")
        equal(states(process)[-4:], stops("b", "a"), "states")
        equal(len(with_message(process, "destroyed")), 2, "destroyed")


@suite.test
def a_stop_may_ask_for_more_time(folder):
    with script(folder, f"a {STEADY} stop=extend:1m,sleep:4s", SRUN_STOP_TIMEOUT="3s"
                ) as process:
        stop(process)
        equal(only(process, "takes longer", "a")["phase"], "stop")


@suite.test
def a_stop_that_fails_is_not_waited_for(folder):
    with script(folder, f"a {STEADY} stop=say:s", f"b {STEADY} stop=fail:disk_full",
                SRUN_STOP_TIMEOUT="10m") as process:
        last = stop(process, 1)
        check(last["why"].startswith("SIGTERM from pid "), last["why"])
        equal(last["also"], "service b: stop: disk_full", "also")
        in_order(process, "b leave stop", "b STOPPED", "a enter stop", "a STOPPED")


@suite.test
def two_causes_keep_the_first_and_the_worse_code(folder):
    with script(folder, f"a {STEADY} stop=hang:sleep",
                f"b run=ready,running,fail:lost {PATIENT}", SRUN_STOP_TIMEOUT=ms(2000),
                SRUN_STUCK_GRACE="50ms") as process:
        last = ends(process, 4, "service_error")
        equal(last["why"], "service b: run: lost", "why")
        equal(last["also"], "service a: stop: stuck", "also")


@suite.test
def a_short_graceful_period_starves_nobody(folder):
    services = [f"{name} {STEADY} stop=hang:sleep" for name in "abcd"]
    with script(folder, *services, SRUN_STOP_TIMEOUT="10m", SRUN_GRACEFUL_TIMEOUT=ms(2000),
                SRUN_STUCK_GRACE="50ms") as process:
        last = stop(process, 4)
        equal(last["stuck"], "4", "stuck")
        in_order(process, "d enter stop", "c enter stop", "b enter stop", "a enter stop")


@suite.test
def time_that_is_not_used_is_there_for_the_next(folder):
    with script(folder, f"a {STEADY} stop=sleep:1500ms", f"b {STEADY} stop=say:s",
                f"c {STEADY} stop=say:s", f"d {STEADY} stop=say:s", SRUN_STOP_TIMEOUT="10m",
                SRUN_GRACEFUL_TIMEOUT="4s") as process:
        stop(process)


@suite.test
def an_exit_hook_is_told_of_a_stuck_service(folder):
    with script(folder, f"a {STEADY} stop=hang:sleep", SRUN_STOP_TIMEOUT="300ms",
                SRUN_STUCK_GRACE="50ms") as process:
        stop(process, 4)
        equal(only(process, "exit hook")["exit_code"], "4")


# Drain and deadline


@suite.test
def services_go_on_working_while_the_program_drains(folder):
    with script(folder, "a run=ready,tick", SRUN_DRAIN_TIMEOUT="3s") as process:
        process.wait_for("msg=tick .*is_ready=1")
        process.signal(signal.SIGTERM)
        ends(process, 0, "signal")
        words = [(r["msg"], r.get("is_ready")) for r in process.records]
        draining = [word for word, _ in words].index("draining")
        stopping = [word for word, _ in words].index("stopping")
        drained = [ready for word, ready in words[draining:stopping] if word == "tick"]
        check(len(drained) >= 3, f"ticks while draining: {drained}")
        equal(set(drained[1:]), {"0"}, "readiness while draining")
        equal(only(process, "draining")["cause"], "signal")
        equal(only(process, "draining")["for"], "3s")


@suite.test
def a_failure_does_not_drain(folder):
    with script(folder, "a run=ready,running,fail:x", SRUN_DRAIN_TIMEOUT="10m") as process:
        ends(process, 1, "service_error")
        equal(with_message(process, "draining"), [])


@suite.test
def a_stop_during_the_start_does_not_drain(folder):
    with script(folder, "a run=block", SRUN_DRAIN_TIMEOUT="10m") as process:
        process.wait_for("msg=enter logger_scope=a phase=run")
        process.signal(signal.SIGTERM)
        ends(process, 0, "signal")


@suite.test
def a_service_that_fails_while_draining_raises_the_code(folder):
    with script(folder, f"a {STEADY}", "b run=ready,gate:go,fail:lost", SRUN_DRAIN_TIMEOUT="5s"
                ) as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=draining")
        open_gate(folder, "go")
        last = ends(process, 1, "signal")
        equal(last["also"], "service b: run: lost", "also")


@suite.test
def the_deadline_of_a_running_program_is_a_clean_stop(folder):
    with script(folder, f"a {STEADY}", f"b {STEADY}", SRUN_DEADLINE_TIMEOUT=ms(4000)) as process:
        last = ends(process, 0, "deadline")
        equal(last["why"], "the deadline of the run has come")
        equal(states(process)[-4:], stops("b", "a"), "states")


@suite.test
def a_deadline_that_comes_during_the_start_is_a_failure(folder):
    with script(folder, f"a {STEADY}", "b run=block", SRUN_DEADLINE_TIMEOUT=ms(1000)) as process:
        ends(process, 3, "deadline")
        never(process, "b RUNNING")
        equal(states(process)[-4:], stops("b", "a"), "states")


# Heartbeats


@suite.test
def a_missed_heartbeat_is_told_once_and_so_is_its_return(folder):
    with script(folder, f"a {STEADY}", f"b run=ready,sleep:6s,beat heartbeat=3s") as process:
        process.wait_for("msg=\"heartbeat back\" logger_scope=b")
        stop(process)
        equal(only(process, "heartbeat missed", "b")["level"], "WARN")
        equal(len(with_message(process, "heartbeat back")), 1)
        check("b RUNNING" in events(process), "b runs on")


@suite.test
def a_heartbeat_that_is_missed_is_not_back_because_the_service_stops(folder):
    with script(folder, f"a {STEADY}", f"b run=ready,block stop=sleep:400ms heartbeat=100ms"
                ) as process:
        process.wait_for("msg=\"heartbeat missed\" logger_scope=b")
        stop(process)
        equal(with_message(process, "heartbeat back"), [])


@suite.test
def a_heartbeat_that_is_kept_is_not_spoken_of(folder):
    with script(folder, "a run=ready,beat:500ms heartbeat=5s") as process:
        ends(process, 0, "all_exited")
        equal(with_message(process, "heartbeat missed"), [])


suite.main(at_once=4)

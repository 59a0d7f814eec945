# SPDX-License-Identifier: MIT
"""Signals at every moment of a program's life."""
import os
import signal
import sys

sys.dont_write_bytecode = True
from endure import eventually  # noqa: E402
from scripted import (PROGRAM, STEADY, ends, events, has_stack, in_order, never, only, open_gate,
                      script, states, stop, stops, whole_life, with_message)  # noqa: E402
from support import Process, Suite, check, equal  # noqa: E402

suite = Suite("signals")
NAMES = {signal.SIGTERM: "sigterm", signal.SIGINT: "sigint", signal.SIGQUIT: "sigquit"}


def stopped_by(process, signo, code=0):
    """It ends because of this signal, and says from whom it came."""
    last = ends(process, code, "signal")
    equal(last["why"], f"{NAMES[signo].upper()} from pid {os.getpid()}", "why")
    return last


# One signal in each phase


def during_registration(signo, folder):
    with script(folder, f"a {STEADY}", f"b {STEADY}", flags=["--register=signal"]) as process:
        process.wait_for("msg=registering")
        process.signal(signo)
        stopped_by(process, signo)
        equal(states(process), [], "states")


def during_init(signo, folder):
    with script(folder, f"a init=say:i {STEADY} stop=say:s",
                f"b init=block,cancelled {STEADY} stop=say:s", f"c init=say:i {STEADY}") as process:
        process.wait_for("msg=enter logger_scope=b phase=init")
        process.signal(signo)
        stopped_by(process, signo)
        equal(states(process), ["a INITIATING", "a INITIATED", "b INITIATING", *stops("b", "a")])
        in_order(process, "b cancelled init", "b leave init", "b STOPPED", "a enter stop")
        never(process, "b enter stop", "c enter init", "a enter run")
        equal(with_message(process, "failed"), [], "failures")


def during_start(signo, folder):
    with script(folder, f"a {STEADY} stop=say:s", "b run=block stop=say:s", f"c {STEADY}") as process:
        process.wait_for("msg=enter logger_scope=b phase=run")
        process.signal(signo)
        stopped_by(process, signo)
        equal(states(process)[-6:], stops("c", "b", "a"), "stop")
        in_order(process, "b cancelled run", "b STOPPED", "a cancelled run", "a STOPPED")
        never(process, "b RUNNING", "c STARTING", "c enter run")


def during_run(signo, folder):
    with script(folder, f"a {STEADY} stop=say:s", f"b {STEADY}", f"c {STEADY}") as process:
        process.wait_for("msg=started ")
        process.signal(signo)
        stopped_by(process, signo)
        equal(states(process), whole_life("a", "b", "c"), "states")


def during_stop(signo, folder):
    with script(folder, f"a {STEADY} stop=say:s", f"b {STEADY} stop=gate:go", f"c {STEADY}"
                ) as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=enter logger_scope=b phase=stop")
        process.signal(signo)
        process.wait_for("msg=\"already stopping\"")
        open_gate(folder, "go")
        stopped_by(process, signal.SIGTERM)
        line = only(process, "already stopping")
        equal((line["level"], line["signal"]), ("WARN", NAMES[signo].upper()))
        equal(states(process), whole_life("a", "b", "c"), "states")


def add_cells():
    for phase, body in (("registration", during_registration), ("init", during_init),
                        ("start", during_start), ("run", during_run), ("stop", during_stop)):
        for signo, name in NAMES.items():
            def cell(folder, body=body, signo=signo):
                body(signo, folder)
            cell.__name__ = f"a_{name}_during_{phase}_ends_in_a_clean_stop"
            suite.test(cell)


add_cells()


@suite.test
def a_signal_between_new_and_run_is_honoured(folder):
    for _ in range(10):
        with script(folder, SCRIPT_DRIVE="raise") as process:
            last = ends(process, 0, "signal")
            equal(last["why"], f"SIGTERM from pid {process.pid}", "why")
            equal(states(process), [], "states")


@suite.test
def an_init_that_succeeds_in_spite_of_the_signal_is_stopped_too(folder):
    with script(folder, f"a {STEADY}", f"b init=block {STEADY} stop=say:s") as process:
        process.wait_for("msg=enter logger_scope=b phase=init")
        process.signal(signal.SIGTERM)
        stopped_by(process, signal.SIGTERM)
        in_order(process, "b leave init", "b enter stop", "b STOPPED", "a SHUTTING_DOWN")


# More than one


def twice_forces(signo, folder):
    with script(folder, f"a {STEADY} stop=say:s", f"b {STEADY} stop=hang:sleep") as process:
        process.wait_for("msg=started ")
        process.signal(signo)
        process.wait_for("msg=enter logger_scope=b phase=stop")
        process.signal(signo)
        equal(process.finish(), 128 + signo, "exit code")
        line = only(process, "in the way of the end", "b")
        equal((line["state"], line["phase"]), ("SHUTTING_DOWN", "stop"))
        has_stack(line["stack"])
        equal(only(process, "forced")["exit_code"], str(128 + signo))
        never(process, "a enter stop")


@suite.test
def a_second_sigint_forces_the_end(folder):
    twice_forces(signal.SIGINT, folder)


@suite.test
def a_second_sigquit_forces_the_end(folder):
    twice_forces(signal.SIGQUIT, folder)


@suite.test
def a_second_sigterm_is_only_warned_of(folder):
    with script(folder, f"a {STEADY}", f"b {STEADY} stop=gate:go") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=enter logger_scope=b phase=stop")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=\"already stopping\"")
        open_gate(folder, "go")
        stopped_by(process, signal.SIGTERM)
        equal(only(process, "already stopping")["signal"], "SIGTERM")
        equal(states(process)[-4:], stops("b", "a"), "states")


@suite.test
def two_sigints_after_a_sigterm_force_the_end(folder):
    with script(folder, f"a {STEADY} stop=hang:sleep") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=enter logger_scope=a phase=stop")
        process.signal(signal.SIGINT)
        process.wait_for("msg=\"already stopping\"")
        process.signal(signal.SIGINT)
        equal(process.finish(), 130, "exit code")


@suite.test
def a_second_sigint_forces_while_the_program_drains(folder):
    with script(folder, f"a {STEADY}", SRUN_DRAIN_TIMEOUT="10m") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGINT)
        process.wait_for("msg=draining")
        process.signal(signal.SIGINT)
        equal(process.finish(), 130, "exit code")


@suite.test
def a_second_sigint_forces_while_an_init_hangs(folder):
    with script(folder, f"a init=hang:read {STEADY}") as process:
        process.wait_for("msg=enter logger_scope=a phase=init")
        process.signal(signal.SIGINT)
        process.wait_for("msg=stopping")
        process.signal(signal.SIGINT)
        equal(process.finish(), 130, "exit code")
        has_stack(only(process, "in the way of the end", "a")["stack"])


# Other signals


def hangup_is_ignored(folder, why, **env):
    with script(folder, f"a {STEADY}", **env) as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGHUP)
        process.wait_for("msg=\"SIGHUP ignored\"")
        process.signal(signal.SIGHUP)
        process.signal(signal.SIGTERM)
        stopped_by(process, signal.SIGTERM)
        line = only(process, "SIGHUP ignored")
        equal((line["level"], line["why"]), ("WARN", why))


@suite.test
def a_sighup_is_ignored_with_one_warning_when_upgrades_are_disabled_in_the_code(folder):
    hangup_is_ignored(folder, "upgrades are disabled", SCRIPT_UPGRADE="0")


@suite.test
def a_sighup_is_ignored_with_one_warning_when_upgrades_are_disabled_by_the_operator(folder):
    hangup_is_ignored(folder, "upgrades are disabled", SRUN_UPGRADE="false")


# Runs what follows with the terminal as its controlling one; the process leads a session already.
TAKE_TERMINAL = ("import fcntl, os, sys, termios\n"
                 "fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)\n"
                 "fcntl.ioctl(fd, termios.TIOCSCTTY, 0)\n"
                 "os.close(fd)\n"
                 "os.execv(sys.argv[2], sys.argv[2:])\n")


def on_terminal(folder, terminal, *services):
    return Process([sys.executable, "-c", TAKE_TERMINAL, os.ttyname(terminal), PROGRAM,
                    *(f"--service={service}" for service in services)], folder,
                   {"SRUN_LOG_LEVEL": "debug"})


@suite.test
def a_terminal_that_vanishes_is_a_clean_stop(folder):
    ours, theirs = os.openpty()
    try:
        with on_terminal(folder, theirs, f"a {STEADY}", f"b {STEADY} stop=say:s") as process:
            process.wait_for("msg=started ")
            os.close(theirs)
            os.close(ours)
            ours = theirs = -1
            last = ends(process, 0, "signal")
            equal(last["why"], "SIGHUP: the terminal has gone")
            equal(states(process), whole_life("a", "b"), "states")
    finally:
        for fd in (ours, theirs):
            if fd >= 0:
                os.close(fd)


@suite.test
def a_sighup_from_a_person_is_no_stop_while_the_terminal_is_there(folder):
    ours, theirs = os.openpty()
    try:
        with on_terminal(folder, theirs, f"a {STEADY}") as process:
            process.wait_for("msg=started ")
            process.signal(signal.SIGHUP)
            process.wait_for("msg=\"upgrade requested\"")
            process.signal(signal.SIGTERM)
            process.wait()
            eventually(lambda: not process.family(), "the end of the new process, if there is one")
            stopped_by(process, signal.SIGTERM)
    finally:
        os.close(theirs)
        os.close(ours)


@suite.test
def control_c_on_the_terminal_is_a_clean_stop(folder):
    ours, theirs = os.openpty()
    try:
        with on_terminal(folder, theirs, f"a {STEADY}") as process:
            process.wait_for("msg=started ")
            os.write(ours, b"\x03")
            ends(process, 0, "signal")
            equal(states(process), whole_life("a"), "states")
    finally:
        os.close(theirs)
        os.close(ours)


@suite.test
def a_write_that_nobody_reads_is_an_error_not_the_end(folder):
    with script(folder, "a run=ready,sigpipe,block") as process:
        process.wait_for("msg=\"nobody reads\"")
        stop(process)
        equal(only(process, "nobody reads")["errno"], "EPIPE")


@suite.test
def a_sigpipe_from_outside_is_ignored(folder):
    with script(folder, f"a {STEADY}") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGPIPE)
        stop(process)


@suite.test
def many_signals_at_once_are_one_stop(folder):
    with script(folder, *(f"{name} {STEADY} stop=say:s" for name in "abc")) as process:
        process.wait_for("msg=started ")
        for _ in range(50):
            try:
                process.signal(signal.SIGTERM)
            except ProcessLookupError:
                break
        stopped_by(process, signal.SIGTERM)
        verbs = [event for event in events(process) if event.endswith("enter stop")]
        equal(verbs, ["c enter stop", "b enter stop", "a enter stop"])


@suite.test
def the_test_function_that_hangs_is_stopped_by_a_signal(folder):
    with script(folder, f"a {STEADY}", flags=["--test"], SCRIPT_TEST="hang:sleep",
                SRUN_STOP_TIMEOUT="300ms", SRUN_STUCK_GRACE="100ms") as process:
        process.wait_for("msg=enter .*phase=test")
        process.signal(signal.SIGTERM)
        stopped_by(process, signal.SIGTERM, code=4)
        never(process, "a INITIATING")


suite.main()

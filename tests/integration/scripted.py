# SPDX-License-Identifier: MIT
"""The program whose services are described on its command line, and what its log says.

    with script(folder, "db init=sleep:5ms run=ready,block", "web run=ready,block") as process:
        process.wait_for("msg=started")
        process.signal(signal.SIGTERM)
        ends(process, 0, "signal")
        equal(states(process), whole_life("db", "web"))

programs/scripted.c says what a description may hold. Lines of one thread are in order, and so is
what one thread does because of another; that is all that is ever compared.
"""
import os
import signal

from support import BUILD_DIR, SANITIZE, Process, check, equal

PROGRAM = os.path.join(BUILD_DIR, "tests", "integration", "scripted")
STATES = ("STOPPED", "INITIATING", "INITIATED", "STARTING", "RUNNING", "SHUTTING_DOWN")
VERBS = ("enter", "leave", "cancelled")

STEADY = "run=ready,block"

# Limits are short for the service that is meant to overrun them, and these for all others: a busy
# machine must not make them late.
PATIENT = "init-ms=1m ready-ms=1m stop-ms=1m"


def ms(number):
    """A duration in which something has to happen: a sanitizer takes longer for it."""
    return f"{number * (3 if SANITIZE else 1)}ms"


def script(folder, *services, flags=(), **env):
    """Starts the program; names of env are variables."""
    return Process([PROGRAM, *(f"--service={service}" for service in services), *flags], folder,
                   {"SRUN_LOG_LEVEL": "debug", **env})


def open_gate(folder, name):
    """Lets the steps gate:NAME and if:NAME pass."""
    with open(os.path.join(folder, name), "w", encoding="utf-8"):
        pass


def states(process):
    """["db INITIATING", ...]: what the library logged of its services."""
    return [f"{r['logger_scope']} {r['msg']}" for r in process.records
            if r.get("msg") in STATES and "logger_scope" in r]


def events(process):
    """The same, with "db enter init", "db leave run" and "db cancelled run" in between."""
    found = []
    for record in process.records:
        scope, what = record.get("logger_scope"), record.get("msg")
        if scope is None:
            continue
        if what in STATES:
            found.append(f"{scope} {what}")
        elif what in VERBS:
            found.append(f"{scope} {what} {record['phase']}")
    return found


def whole_life(*names):
    """The states of services that all start and all stop."""
    up = [f"{name} {state}" for name in names for state in ("INITIATING", "INITIATED")]
    run = [f"{name} {state}" for name in names for state in ("STARTING", "RUNNING")]
    return up + run + stops(*reversed(names))


def stops(*names):
    """The states of services that stop, in this order."""
    return [f"{name} {state}" for name in names for state in ("SHUTTING_DOWN", "STOPPED")]


def in_order(process, *wanted):
    """These events are there, each once, in this order; others may stand in between."""
    found = events(process)
    for event in wanted:
        equal(found.count(event), 1, f"how often there is {event!r} in {found}")
    equal([event for event in found if event in wanted], list(wanted), "order")


def never(process, *unwanted):
    """None of these events is there."""
    equal([event for event in events(process) if event in unwanted], [], "unexpected events")


def with_message(process, message, scope=None):
    """All records with this message."""
    return [record for record in process.records if record.get("msg") == message
            and (scope is None or record.get("logger_scope") == scope)]


def only(process, message, scope=None):
    """The one record with this message, but for those of a later generation, which say that they are:
    where one was asked for, it may have come to its own end as well."""
    found = [record for record in with_message(process, message, scope) if "generation" not in record]
    equal(len(found), 1, f"records that say {message!r} in\n" + "\n".join(process.lines))
    return found[0]


def ends(process, code, cause):
    """Waits for the end: this exit code, this cause, in the last line and in the exit hook.
    Returns the last line."""
    equal(process.finish(), code, "exit code")
    last, hook = only(process, "stopped"), only(process, "exit hook")
    equal((last["exit_code"], last["cause"]), (str(code), cause), "what the last line says")
    equal((hook["exit_code"], hook["cause"]), (str(code), cause), "what the exit hook was told")
    equal(hook["text"], last["why"], "the cause in words")
    return last


def stop(process, code=0):
    """Waits until all runs, stops it with SIGTERM, and waits for the end."""
    process.wait_for("msg=started ")
    process.signal(signal.SIGTERM)
    return ends(process, code, "signal")


def has_stack(text, frames=3):
    """At least so many stack frames."""
    check(len([part for part in text.replace("\n", " ").split() if "0x" in part]) >= frames,
          f"fewer than {frames} stack frames: {text!r}")

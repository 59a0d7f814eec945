# SPDX-License-Identifier: MIT
"""SIGTERM to one of the two, and SIGHUP again, wherever an upgrade is."""
import contextlib
import os
import re
import signal

from generations import LONG, PATIENT, PROGRAM, Family, cell, eventually, read
from support import Suite, check, equal

suite = Suite("upgrade_signals")
FROM_READY = ("sent:READY", "receive:COMMIT", "send:SERVING")
STORM = 1000  # as fast as they can be sent


def term(pid):
    os.kill(pid, signal.SIGTERM)


def at(place, **how):
    """A family; one that is to be in the barrier stays there until its manager answers."""
    family = Family(binary=PATIENT if place == "sent:READY" else PROGRAM, **how)
    family.manager.patient = place == "sent:READY"
    return family


def nothing_is_left(family, *pids):
    """Both have ended in order."""
    family.over(*pids)
    check(not os.path.exists(family.pid_file), "the PID file is left")
    check(not os.path.exists(family.path), "the path is left")


# SIGTERM to the old process


@suite.test
def term_to_the_old_process_in_spawn_ends_both(folder):
    orders = [("call:posix_spawn", "hold:gate"), ("stop", "hold:late")]
    with Family(folder, orders=orders) as family:
        release, release_stop = family.gate("gate"), family.gate("late")
        family.hup()
        family.wait("msg=fault at=call:posix_spawn")
        family.quiet()
        term(family.first)
        family.wait('msg="upgrade failed" .*this process stops')
        release()
        release_stop()  # or the thread that is held would be late, and left alone with all there is
        nothing_is_left(family, family.first)


def term_to_old(folder, place):
    with at(place, folder=folder) as family:
        hold = family.hold(2, place)
        family.hup()
        new = hold.wait()
        family.quiet()
        term(family.first)
        family.wait("msg=stopping .*cause=signal")
        hold.release()
        # Before it is ready the old one need not wait for it.
        codes = (None, 0) if place in FROM_READY else (None, 0, -signal.SIGKILL)
        check(family.ended(new) in codes, "exit code of the new process")
        nothing_is_left(family, family.first)


for words, place in {"the_start_of_the_new_one": "start", "hello": "send:HELLO",
                     "handover": "receive:BATCH", "init": "init", "run": "run",
                     "ready": "send:READY", "the_barrier": "sent:READY",
                     "commit": "receive:COMMIT", "serving": "send:SERVING"}.items():
    cell(suite, f"term_to_the_old_process_in_{words}_ends_both", term_to_old, place)


@suite.test
def term_to_the_old_process_in_probation_ends_both(folder):
    with Family(folder, probation=LONG) as family:
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.serves(new)
        family.quiet()
        term(family.first)
        check(family.ended(new) in (None, 0), "exit code of the new process")
        nothing_is_left(family, family.first)


@suite.test
def term_to_the_old_process_in_drain_leaves_the_new_one_serving(folder):
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop ")
        term(family.first)
        family.wait('msg="already stopping"')
        release()
        equal(family.ended(family.first), 0, "exit code of the old process")
        family.survives(new, 2)


# SIGTERM to the new process


def term_to_new(folder, place):
    with at(place, folder=folder) as family:
        hold = family.hold(2, place)
        family.hup()
        new = hold.wait()
        term(new)
        hold.release()
        family.wait('msg="upgrade failed"')
        check(family.ended(new) in (None, 0), "exit code of the new process")
        family.manager.answer()
        family.survives(family.first)


for words, place in {"spawn": "start", "hello": "send:HELLO", "handover": "receive:BATCH",
                     "init": "init", "run": "run", "the_barrier": "sent:READY"}.items():
    cell(suite, f"term_to_the_new_process_in_{words}_leaves_the_old_one_serving", term_to_new,
         place)


def term_to_new_at_commit(folder, place):
    """It is the one that serves by then, and somebody wants it to stop."""
    with Family(folder) as family:
        hold = family.hold(2, place)
        family.hup()
        new = hold.wait()
        family.quiet()
        term(new)
        hold.release()
        check(family.ended(new) in (None, 0), "exit code of the new process")
        nothing_is_left(family, family.first)
        check(not any("rolled back" in line for line in family.process.lines), "rolled back")


for words, place in {"commit": "receive:COMMIT", "serving": "send:SERVING"}.items():
    cell(suite, f"term_to_the_new_process_in_{words}_is_meant_for_both", term_to_new_at_commit,
         place)


@suite.test
def term_to_the_new_process_in_probation_is_no_reason_to_roll_back(folder):
    with Family(folder, probation=LONG) as family:
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.serves(new)
        family.quiet()
        term(new)
        check(family.ended(new) in (None, 0), "exit code of the new process")
        nothing_is_left(family, family.first)
        check(not any("rolled back" in line for line in family.process.lines), "rolled back")


@suite.test
def term_to_the_new_process_in_drain_ends_it_while_the_old_one_finishes(folder):
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop ")
        family.serves(new)
        family.quiet()
        term(new)
        family.ended(new)
        release()
        nothing_is_left(family, family.first)


# SIGHUP again


def hups(pid, count):
    """The process may end meanwhile; else it has taken the last one, which might be a request of
    its own if it came later."""
    with contextlib.suppress(ProcessLookupError):
        for _ in range(count):
            os.kill(pid, signal.SIGHUP)
    eventually(lambda: not hup_is_pending(pid), "SIGHUP is not taken")


def hup_is_pending(pid):
    try:
        status = read(f"/proc/{pid}/status")
    except ProcessLookupError:
        return False
    found = re.search(r"^State:\s*[^ZX].*^ShdPnd:\s*(\w+)", status, flags=re.M | re.S)
    return found and int(found.group(1), 16) >> (signal.SIGHUP - 1) & 1


def runs_once_more(family):
    """However often it was asked for."""
    second = family.took_over(2)
    third = family.took_over(3)
    family.ended(family.first)
    family.ended(second)
    family.survives(third, 3)


def hup_again(folder, count, place, state):
    orders = [(place, "hold:gate")] if place == "call:posix_spawn" else []
    with at(place, folder=folder, orders=orders) as family:
        release = family.gate("gate") if orders else None
        hold = None if orders else family.hold(2, place)
        family.hup()
        family.wait(rf"msg=fault at={place} ")
        hups(family.first, count)
        family.wait(rf'msg="upgrade requested" .* state=({state})')
        (release or hold.release)()
        family.manager.answer()
        runs_once_more(family)


def hup_in_probation(folder, count, to_new):
    with Family(folder, probation=LONG, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        hups(new if to_new else family.first, count)
        family.wait("msg=fault at=stop ")
        family.watch.wait(new)
        release()
        third = family.took_over(3)
        family.ended(family.first)
        family.end(family.next_upgrade(third, 4))


def hup_in_drain(folder, count, to_new):
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop ")
        hups(new if to_new else family.first, count)
        family.wait(rf'msg="upgrade requested" .* state={"heir" if to_new else "drain"}')
        family.watch.wait(new)
        release()
        runs_once_more(family)


for what, count in {"second_hup": 1, "storm_of_hups": STORM}.items():
    for words, place, state in (("spawn", "call:posix_spawn", "spawn"),
                                ("hello", "send:HELLO", "spawn|hello"),
                                ("handover", "receive:BATCH", "handover"),
                                ("init", "init", "init"),
                                ("the_barrier", "sent:READY", "init|barrier"),
                                ("commit", "receive:COMMIT", "commit"),
                                ("serving", "send:SERVING", "commit")):
        cell(suite, f"{what}_in_{words}_runs_once_more", hup_again, count, place, state)
    for to, to_new in {"to_the_old_process": False, "to_the_new_process": True}.items():
        cell(suite, f"{what}_{to}_in_probation_ends_it_and_runs_once_more", hup_in_probation,
             count, to_new)
        cell(suite, f"{what}_{to}_in_drain_runs_when_that_is_over", hup_in_drain, count, to_new)


@suite.test
def hup_to_a_new_process_that_does_not_serve_yet_is_told_when_it_begins(folder):
    with Family(folder, orders=[("send:COMMIT", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        family.wait("msg=fault at=send:COMMIT ")
        family.hup(family.begun(2))
        family.wait('msg="upgrade requested" generation=2 ')
        release()
        new = family.took_over(3)
        family.serves(new)
        equal(family.manager.texts.count("RELOADING=1"), 2, "upgrades that the manager was told of")
        family.survives(new, 3)


suite.main(at_once=6)

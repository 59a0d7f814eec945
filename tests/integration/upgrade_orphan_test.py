# SPDX-License-Identifier: MIT
"""The old process is killed, wherever an upgrade is."""
import os
import signal

from generations import LONG, Family, cell
from support import Suite, check, equal

suite = Suite("upgrade_orphan")


def kill_first(family):
    """The requests in its hands are lost with it."""
    family.ends_with, family.may_cut = -signal.SIGKILL, 2
    os.kill(family.first, signal.SIGKILL)
    equal(family.ended(family.first), -signal.SIGKILL, "exit code of the old process")


@suite.test
def old_process_killed_in_spawn_starts_no_new_one(folder):
    with Family(folder, orders=[("call:posix_spawn", "hold:gate")]) as family:
        family.hup()
        family.wait("msg=fault at=call:posix_spawn")
        family.quiet()
        kill_first(family)
        family.over(family.first, code=-signal.SIGKILL)
        check(not any("generation=2 pid=" in line for line in family.process.lines),
              "there is a second generation")


def takes_new_one_along(folder, place):
    with Family(folder) as family:
        hold = family.hold(2, place)
        family.hup()
        new = hold.wait()
        family.quiet()
        kill_first(family)
        hold.release()
        check(family.ended(new) not in (0, -signal.SIGSEGV, -signal.SIGABRT), "exit code")
        family.over(family.first, code=-signal.SIGKILL)


for words, place in {"the_start_of_the_new_one": "start", "hello": "send:HELLO",
                     "handover": "receive:WELCOME", "the_batch_of_descriptors": "receive:BATCH",
                     "the_last_acknowledgement": "send:ACK"}.items():
    cell(suite, f"old_process_killed_in_{words}_ends_the_new_one", takes_new_one_along, place)


def is_followed(folder, place):
    with Family(folder) as family:
        hold = family.hold(2, place)
        family.hup()
        new = hold.wait()
        kill_first(family)
        hold.release()
        equal(family.took_over(2), new, "the process that took over")
        family.survives(new, 2)


for words, place in {"init": "init", "run": "run", "ready": "send:READY",
                     "commit": "receive:COMMIT", "serving": "send:SERVING"}.items():
    cell(suite, f"old_process_killed_in_{words}_is_followed_by_the_new_one", is_followed, place)


@suite.test
def old_process_killed_in_the_barrier_is_followed_by_the_new_one(folder):
    with Family(folder) as family:
        family.manager.patient = True
        hold = family.hold(2, "sent:READY")
        family.hup()
        new = hold.wait()
        kill_first(family)
        hold.release()
        family.manager.answer()
        equal(family.took_over(2), new, "the process that took over")
        family.survives(new, 2)


@suite.test
def old_process_killed_in_init_ends_a_new_one_that_is_not_to_take_over(folder):
    with Family(folder, env={"SRUN_UPGRADE_ORPHAN": "exit"}) as family:
        hold = family.hold(2, "init")
        family.hup()
        new = hold.wait()
        family.quiet()
        kill_first(family)
        family.wait("msg=stopping .*the old process died before it handed over")
        hold.release()
        equal(family.ended(new), 1, "exit code of the new process")
        family.over(family.first, code=-signal.SIGKILL)


def fails_in(folder, place):
    """It stops by itself, in order, and leaves the one that is nearly ready in peace."""
    with Family(folder) as family:
        family.manager.patient = place == "sent:READY"
        hold = family.hold(2, place)
        family.hup()
        new = hold.wait()
        family.ends_with = 1
        family.tell(family.first, "fail")
        family.wait("msg=stopping cause=service_error")
        equal(family.ended(family.first), 1, "exit code of the old process")
        hold.release()
        family.manager.answer()
        equal(family.took_over(2), new, "the process that took over")
        check("STOPPING=1" not in family.manager.texts, "the manager was told that the unit ends")
        family.survives(new, 2)


for words, place in {"init": "init", "run": "run", "the_barrier": "sent:READY",
                     "commit": "receive:COMMIT"}.items():
    cell(suite, f"old_process_that_fails_in_{words}_is_followed_by_the_new_one", fails_in, place)


@suite.test
def old_process_that_fails_in_probation_leaves_the_new_one_alone(folder):
    with Family(folder, probation=LONG) as family:
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.ends_with = 1
        family.tell(family.first, "fail")
        family.wait('msg="the old generation has ended"')
        family.survives(new, 2)


@suite.test
def old_process_killed_in_probation_leaves_the_new_one_alone(folder):
    with Family(folder, probation=LONG) as family:
        family.hup()
        new = family.took_over(2)
        family.serves(new)
        kill_first(family)
        family.wait('msg="the old generation has ended"')
        family.survives(new, 2)


@suite.test
def old_process_killed_in_drain_leaves_the_new_one_alone(folder):
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop ")
        family.serves(new)
        kill_first(family)
        family.wait('msg="the old generation has ended"')
        family.survives(new, 2)


suite.main(at_once=6)

# SPDX-License-Identifier: MIT
"""The new process dies or hangs, wherever it is in an upgrade."""
import os
import signal

from generations import LONG, SHORT_MS, Family, cell
from support import Suite, check, equal

suite = Suite("upgrade_death")

# Where the new process is, until it serves: in words, and as a place of programs/generations/faults.h.
PLACES = {
    "spawn": "start",
    "hello": "send:HELLO",
    "handover": "receive:WELCOME",
    "the_batch_of_descriptors": "receive:BATCH",
    "the_last_acknowledgement": "send:ACK",
    "init": "init",
    "run": "run",
    "ready": "send:READY",
    "the_barrier": "sent:READY",
    "commit": "receive:COMMIT",
    "serving": "send:SERVING",
}
COLUMNS = ("spawn", "handover", "init", "commit")
DEATHS = {"killed": "kill", "that_crashes": "segv", "that_exits_with_0": "exit:0",
          "that_exits_with_1": "exit:1"}


def dies(folder, place, action):
    with Family(folder) as family:
        family.may_cut = 2 if place == "send:SERVING" else 0  # it may have accepted some
        family.order(2, place, action)
        family.hup()
        family.wait(rf"msg=fault at={place} action={action} ")
        family.wait('msg="upgrade failed"')
        family.survives(family.first)


for words, place in PLACES.items():
    for how, action in DEATHS.items():
        if how == "killed" or words in COLUMNS:
            cell(suite, f"new_process_{how}_in_{words}_leaves_the_old_one_serving", dies, place,
                 action)


def dies_in_probation(folder, action):
    with Family(folder, probation=LONG) as family:
        family.may_cut = 2
        family.hup()
        new = family.took_over(2)
        family.serves(new)
        family.tell(new, action)
        family.wait('msg="rolled back"')
        family.survives(family.first)


@suite.test
def new_process_that_fails_in_probation_is_rolled_back(folder):
    with Family(folder, probation=LONG) as family:
        family.hup()
        new = family.took_over(2)
        family.serves(new)
        family.tell(new, "fail")
        family.wait('msg="rolled back" error=".*ordered to fail')
        family.serves(family.first)
        family.alone(family.first)
        check("STOPPING=1" not in family.manager.texts,
              f"the manager was told of a stop: {family.manager.texts}")
        family.survives(family.first)


@suite.test
def new_process_that_fails_in_probation_takes_along_the_path_that_it_made(folder):
    added = os.path.join(folder, "added.sock")
    with Family(folder, probation=LONG) as family:
        family.listeners(added=f"unix://{added} 0")
        family.hup()
        new = family.took_over(2)
        family.serves(new)
        check(os.path.exists(added), "it is not there")
        family.listeners()
        family.tell(new, "fail")
        family.wait('msg="rolled back" error=".*ordered to fail')
        family.alone(family.first)
        check(not os.path.exists(added), "the path is left")
        family.survives(family.first)


def dies_in_drain(folder, action):
    """The old process finishes what it has begun; a supervisor would start anew."""
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop action=hold:gate")
        family.serves(new)
        family.quiet()
        family.tell(new, action)
        family.ended(new)
        release()
        family.over(family.first)
        family.wait("msg=stopped exit_code=0 cause=upgrade")


for how, action in DEATHS.items():
    cell(suite, f"new_process_{how}_in_probation_is_rolled_back", dies_in_probation, action)
    cell(suite, f"new_process_{how}_in_drain_lets_the_old_one_finish", dies_in_drain, action)


def hangs(folder, place):
    with Family(folder, handshake=f"{SHORT_MS}ms", start=f"{2 * SHORT_MS}ms") as family:
        family.may_cut = 2 if place == "send:SERVING" else 0
        family.tries = 5
        family.hup_to(place, "stop")
        family.wait('msg="upgrade failed".*does not answer')
        family.survives(family.first)


for words, place in PLACES.items():
    cell(suite, f"new_process_that_hangs_in_{words}_leaves_the_old_one_serving", hangs, place)


@suite.test
def new_process_that_hangs_in_probation_is_rolled_back(folder):
    with Family(folder, probation=LONG, handshake=f"{5 * SHORT_MS}ms") as family:
        family.tries, family.may_cut = 5, 2
        new = family.upgrade(family.first, 2)
        family.serves(new)
        os.kill(new, signal.SIGSTOP)
        family.wait('msg="rolled back".*does not answer')
        family.survives(family.first)


@suite.test
def new_process_that_hangs_in_drain_lets_the_old_one_finish(folder):
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop action=hold:gate")
        os.kill(new, signal.SIGSTOP)
        release()
        equal(family.ended(family.first), 0, "exit code of the old process")
        os.kill(new, signal.SIGCONT)
        family.survives(new, 2)


suite.main(at_once=6)

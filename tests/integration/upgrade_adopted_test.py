# SPDX-License-Identifier: MIT
"""How a new process, once the old one has ended, has its service manager look anew whose child it is:
another process is the main one for a moment."""
import contextlib
import os
import signal
import sys

sys.dont_write_bytecode = True
from support import Suite, check, equal  # noqa: E402
from upgraded import PLAN, Manager, build, is_alive, running, until  # noqa: E402

suite = Suite("upgrade_adopted")
PATIENT = [build("upgraded_patient")]  # with a manager that a slow machine lets answer late
ANEW = "the service manager has looked at this process anew"
NOT_ANEW = "the service manager may not wait for the end of this process"


def parent(pid):
    """Of a process that lives or waits to be reaped."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


class Looking(Manager):
    """Looks at each main process in the moment in which it is named, before it answers anything."""

    def __init__(self, folder, hold=False):
        self.parents = {}
        self.then = lambda text: None
        super().__init__(folder, hold)

    def look(self, text):
        """Its parent then; a process that has gone has none."""
        for line in text.splitlines():
            if line.startswith("MAINPID="):
                pid = int(line.split("=")[1])
                self.parents[pid] = parent(pid) if is_alive(pid) else None
        self.then(text)

    def main_pids(self, since=0):
        """(who said so, which process)"""
        return [(one.pid, int(line.split("=")[1])) for one in self.told[since:]
                for line in one.text.splitlines() if line.startswith("MAINPID=")]


@contextlib.contextmanager
def managed(folder, plan=PLAN, hold=False, **more):
    """The manager and the program."""
    env = {"NOTIFY_SOCKET": os.path.join(folder, "notify"), **more.pop("env", {})}
    with Looking(folder, hold) as manager, running(folder, plan, env=env, **more) as program:
        manager.wait_for(r"^READY=1")
        yield manager, program


def adopted(program, count=1):
    """So many generations have been looked at anew."""
    program.logged(ANEW, count)


@suite.test
def another_process_is_the_main_one_for_a_moment(folder):
    with managed(folder, argv=PATIENT) as (manager, program):
        old = program.upgrade()
        new = program.office
        adopted(program)
        (_, named), (says, other), (again, last) = manager.main_pids()
        equal((named, says, again, last), (new, new, other, new), "who names whom")
        check(other not in (old, new), "another process")
        equal(manager.parents[new], parent(new), "the parent of the new process when it was named last")
        equal(manager.parents[other], parent(new), "the other one is a child of the same")
        check(not is_alive(other), "the other one has ended")
        check(parent(new) != old, "it has another parent")
        equal(program.family(), [new], "what is left")
        program.serves(new)
        program.stop()


@suite.test
def each_generation_does_so_before_the_next_one_is_named(folder):
    with managed(folder, argv=PATIENT) as (manager, program):
        for count in range(1, 5):
            program.upgrade()
            program.upgraded(program.hup())  # begins as soon as it can
            adopted(program, 2 * count)
        generations = [int(one["own_pid"]) for one in program.logged("begins")]
        told = manager.main_pids()
        equal([pid for _, pid in told if pid in generations],
              [pid for pid in generations[1:] for _ in range(2)], "named twice, each in its turn")
        equal(len(told), 3 * 8)
        program.stop()


@suite.test
def a_new_process_that_was_named_by_one_that_died_does_so_too(folder):
    with managed(folder, hold=True, argv=PATIENT) as (manager, program):
        old = program.office
        place = program.hup()
        new = int(manager.wait_for(r"^MAINPID=", pid=old).text.split("=")[1])
        manager.wait_for("^BARRIER=1", pid=old)
        manager.hold = False
        os.kill(old, signal.SIGKILL)
        program.wait_for('msg="took over"', since=place)
        adopted(program)
        _, (_, itself), (_, other), (says, last) = manager.main_pids()
        equal((itself, says, last), (new, other, new))
        program.office = new
        program.serves(new)
        os.kill(new, signal.SIGTERM)
        program.gone(new)


@suite.test
def a_manager_that_answers_no_barrier_is_not_told_and_delays_nothing(folder):
    with managed(folder, hold=True) as (manager, program):
        program.upgrade()
        program.upgrade()
        program.logged(NOT_ANEW, 2)
        equal(program.logged(ANEW), [])
        equal([pid for _, pid in manager.main_pids()],
              [int(one["own_pid"]) for one in program.logged("begins")[1:]], "named")
        program.serves(program.office)
        program.stop()


@suite.test
def a_stop_does_not_wait_for_the_manager(folder):
    with managed(folder) as (manager, program):
        manager.hold = True
        program.upgrade()
        manager.wait_for("^BARRIER=1", pid=program.office)
        program.stop()
        manager.wait_for("^STOPPING=1")
        equal(program.logged(ANEW), [])


@suite.test
def a_new_process_that_dies_ends_the_one_that_stands_in_for_it(folder):
    with managed(folder, argv=PATIENT) as (manager, program):
        def hold_the_last(_):
            manager.hold = len(manager.parents) == 2
        manager.then = hold_the_last
        program.upgrade()
        other = int(manager.wait_for("^MAINPID=", 2).text.split("=")[1])
        manager.wait_for("^BARRIER=1", pid=other)
        check(is_alive(other), "it waits for the answer")
        os.kill(program.office, signal.SIGKILL)
        program.gone(other)
        until(lambda: not program.family(), "the end of all")


@suite.test
def without_a_manager_there_is_nothing_to_tell(folder):
    with running(folder) as program:
        program.upgrade()
        until(lambda: program.info()["state"] == "idle", "idle")
        program.stop()
        equal([one for one in program.records if one.get("msg") in (ANEW, NOT_ANEW)], [])


suite.main(at_once=3)

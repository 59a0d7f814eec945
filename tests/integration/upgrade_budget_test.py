# SPDX-License-Identifier: MIT
"""Limits of descriptors: too low a one is named, and the old process serves on."""
import os
import resource
import sys

sys.dont_write_bytecode = True
from support import Suite, check, equal, run  # noqa: E402
from upgraded import PLAN, build, running, until  # noqa: E402

suite = Suite("upgrade_budget")


def limit_to(soft):
    """To be called in the new process."""
    def before():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, 4096))
    return before


def set_soft(pid, soft):
    """The limit of another process."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def descriptors(pid):
    """How many it has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def descriptors_at_rest(program):
    """The same, when the gates have been made and no client is there."""
    program.serves(program.office)
    return descriptors(program.office)


@suite.test
def more_listeners_than_the_limit_do_not_start(folder):
    with open(os.path.join(folder, "plan"), "w", encoding="utf-8") as file:
        file.write("many 300\nnofile 256\n")
    code, _, log = run([build("upgraded_v1")], folder, {"PLAN": os.path.join(folder, "plan")})
    equal(code, 1)
    check("Too many open files" in log, log[-500:])


@suite.test
def more_listeners_than_a_lower_limit_are_refused_before_the_start(folder):
    plan = PLAN + "\nmany 300"
    with running(folder, plan, before=limit_to(4096)) as program:
        before = descriptors_at_rest(program)
        set_soft(program.office, before + 100)
        program.fails(rf"no room for 309 descriptors beside {before} that are open: "
                      rf"the limit is {before + 100}",
                      "spawn")
        equal(len(program.logged("begins")), 1, "generations that began")
        set_soft(program.office, 4096)
        equal(descriptors(program.office), before, "descriptors")
        program.upgrade()
        program.stop()


@suite.test
def a_new_version_that_has_no_room_refuses_before_it_takes(folder):
    plan = PLAN + "\nmany 300"
    with running(folder, plan, before=limit_to(4096)) as program:
        before = descriptors_at_rest(program)
        program.plan(plan + "\nnofile 256")
        program.fails(r"no room for 301 descriptors beside \d+ that are open: the limit is 256",
                      "handover")
        equal(descriptors(program.office), before, "descriptors")
        program.plan(plan)
        program.upgrade()
        program.stop()


@suite.test
def new_listeners_beyond_the_limit_leave_the_old_process_serving(folder):
    with running(folder, PLAN, before=limit_to(256)) as program:
        program.plan(PLAN + "\nmany 300")
        program.fails(r'listener ."many-\d+.": .*Too many open files', "init")
        program.plan(PLAN + "\nmany 3")
        program.upgrade()
        program.stop()


@suite.test
def a_thousand_listeners_keep_their_names(folder):
    plan = PLAN + "\nmany 1000"
    with running(folder, plan, before=limit_to(4096)) as program:
        names = program.ask("names")
        equal(len(set(names.splitlines())), 1001, "different names and addresses")
        for _ in range(2):
            program.upgrade()
            equal(program.ask("names"), names, "names and addresses")
            equal(program.logged("not taken over"), [])
        equal(program.info()["generation"], "3")
        program.stop()


@suite.test
def every_room_that_is_too_small_is_survived(folder):
    # Down to the last descriptor: whatever call fails for want of one, the old process serves.
    plan = PLAN + "\nmany 5"
    with running(folder, plan, before=limit_to(4096)) as program:
        program.serves(program.office)
        for room in range(0, 15):
            old = program.office
            set_soft(old, descriptors(old) + room)
            since = program.hup()
            said = program.wait_for('msg="upgrade failed".*|msg="took over"', since=since).group(0)
            set_soft(old, 4096) if "failed" in said else program.upgraded(since)
            check("failed" in said or room > 10, f"with room for {room}: {said}")
            if "failed" in said:  # and what it took has been given back
                until(lambda: program.info()["state"] == "idle", "idle again")
            program.serves(program.office)
        program.upgrade()
        program.stop()


@suite.test
def every_limit_of_a_new_process_is_survived(folder):
    plan = PLAN + "\nmany 40"
    with running(folder, plan, before=limit_to(4096)) as program:
        before = descriptors_at_rest(program)
        for limit in (8, 12, 16, 20, 30, 40, 45):
            program.plan(plan + f"\nnofile {limit}")
            program.fails("descriptors|Too many|exited with")
            equal(descriptors(program.office), before, f"descriptors after the limit {limit}")
        program.plan(plan)
        program.upgrade()
        program.stop()


suite.main(at_once=3)

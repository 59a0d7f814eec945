# SPDX-License-Identifier: MIT
"""Two builds that speak different versions of the conversation: the upgrade works, or is refused
before anything has been handed over."""
import os
import shutil
import sys

sys.dont_write_bytecode = True
from upgraded import build, running  # noqa: E402
from support import Suite, check, equal  # noqa: E402

suite = Suite("upgrade_skew")
RANGES = ((1, 1), (1, 2), (2, 2))
PLAN = "listen web tcp://127.0.0.1:0\nkeep"


def name_of(pair):
    """The build that speaks these versions."""
    return f"upgraded_speaks_{pair[0]}_{pair[1]}"


def from_to(folder, old, new):
    """A program of the old build, whose file is the new one's by now."""
    path = os.path.join(folder, "program")
    shutil.copy(build(old), path)
    context = running(folder, PLAN, argv=[path])
    shutil.copy(build(new), path + ".new")
    return path, context


def replace(path):
    """The deployment."""
    os.rename(path + ".new", path)


def works(folder, old, new):
    """That upgrade, and one back, hand over what there is."""
    path, context = from_to(folder, old, new)
    with context as program:
        address = program.address()
        replace(path)
        program.upgrade()
        shutil.copy(build(old), path + ".new")
        replace(path)
        program.upgrade()
        program.wait_for("msg=taken .*state=0 counter=2 pipe=0")
        equal(program.ask("id", address).split()[2], "3", "the generation")
        equal(program.logged("the other process is not understood"), [])
        program.stop()


def is_refused(folder, old, new):
    """Before anything is handed over, with both ranges in the text; the old one can be upgraded to
    its own build."""
    path, context = from_to(folder, name_of(old), name_of(new))
    with context as program:
        replace(path)
        program.fails(f"no common version: it speaks {new[0]} to {new[1]}, "
                      f"this process {old[0]} to {old[1]}", "hello")
        equal(len(program.logged("begins")), 1, "generations that began")
        shutil.copy(build(name_of(old)), path + ".new")
        replace(path)
        program.upgrade()
        program.stop()


def add(old, new):
    """One test for that pair."""
    common = max(old[0], new[0]) <= min(old[1], new[1])

    def test(folder):
        if common:
            works(folder, name_of(old), name_of(new))
        else:
            is_refused(folder, old, new)
    verb = "hands_over_to" if common else "refuses"
    test.__name__ = f"a_speaker_of_{old[0]}_to_{old[1]}_{verb}_one_of_{new[0]}_to_{new[1]}"
    suite.test(test)


for first in RANGES:
    for second in RANGES:
        add(first, second)


@suite.test
def what_a_future_build_says_besides_is_skipped(folder):
    works(folder, "upgraded_v1", "upgraded_future")


@suite.test
def a_future_build_hands_over_to_one_of_today(folder):
    works(folder, "upgraded_future", "upgraded_v2")


@suite.test
def two_future_builds_understand_each_other(folder):
    works(folder, "upgraded_future", "upgraded_future")


@suite.test
def a_future_build_that_fails_is_heard(folder):
    path, context = from_to(folder, "upgraded_v1", "upgraded_future")
    with context as program:
        replace(path)
        program.plan(PLAN + "\nfail no more paper")
        text = program.fails("no more paper", "init")
        check("service server: init" in text, text)
        program.plan(PLAN)
        program.upgrade()
        program.stop()


# One at a time: a process that starts holds for a moment what another test writes, which then
# cannot be run.
suite.main()

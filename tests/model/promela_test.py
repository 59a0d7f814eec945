# SPDX-License-Identifier: MIT
"""The upgrade as a Promela model: it is the machine in C, and keeps the promises of machine.h.

What takes seconds is the suite model.promela; with --deep, which ./dev spin gives, bounds are wider
and messages get lost.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from support import BUILD_DIR, Suite, check, equal  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
UPGRADE = os.path.join(HERE, "upgrade.pml")
TABLE = os.path.join(HERE, "table.pml")
DEEP = "--deep" in sys.argv
sys.argv = [word for word in sys.argv if word != "--deep"]

suite = Suite("promela_deep" if DEEP else "promela", "model")


def run(folder, *command):
    """What it prints; a failure when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


# --- the same machine --------------------------------------------------------------------------


def model_table(folder, *defines):
    """What the machine of the model does: STATE and EVENT to what comes of it."""
    run(folder, "spin", "-a", *defines, TABLE)
    run(folder, "gcc", "-O0", "-w", "-DSAFETY", "-DPRINTF", "-DNOREDUCE", "-DMEMLIM=200",
        "-o", "pan", "pan.c")
    return table(run(folder, "./pan", "-m10000", "-w18"))


def table(text):
    """The lines of a table; each of them stands there once."""
    lines = re.findall(r"^([01]{2} IN_\w+ [01]{9} \w+) -> (.*)$", text, re.MULTILINE)
    equal(len(lines), len(dict(lines)), "lines with a state and event of their own")
    return dict(lines)


def differences(model, code):
    """For people: each state and event of which one says what the other does not."""
    names = "asked started ending spawned answered leaves alone settled unclear".split()
    out = []
    for key in sorted(model.keys() | code.keys()):
        if model.get(key) == code.get(key):
            continue
        limits, state, flags, event = key.split()
        on = [name for name, flag in zip(names, flags) if flag == "1"]
        out.append(f"{state} ({' '.join(on)}), {'takes over' if limits[0] == '1' else 'gives up'}, "
                   f"{'probation' if limits[1] == '1' else 'no probation'}, {event}:\n"
                   f"    machine.pml: {model.get(key, 'is never there')}\n"
                   f"    machine.c:   {code.get(key, 'is never there')}")
    return out


def code_table():
    """The same of src/upgrade/machine.c."""
    return table(run(".", os.path.join(BUILD_DIR, "tests", "model", "upgrade_table")))


@suite.test
def is_the_machine_of_the_library(folder):
    model, code = model_table(folder), code_table()
    wrong = differences(model, code)
    check(not wrong, f"{len(wrong)} of {len(code)} differ:\n" + "\n".join(wrong[:10]))
    check(len(code) > 20000, f"only {len(code)} states and events")


@suite.test
def tells_in_which_state_and_event_the_two_differ(folder):
    wrong = differences(model_table(folder, "-DDEFECT=3"), code_table())
    check(wrong, "nothing differs")
    for text in wrong:
        check(re.match(r"IN_JOIN \(.*\), [\w ]+, [\w ]+, STARTED:\n"
                       r"    machine.pml: IN_OFFER .*TAKE_OFFICE.*\n"
                       r"    machine.c:   IN_OFFER (?!.*TAKE_OFFICE)", text), text)


# --- its promises ------------------------------------------------------------------------------


class Search:
    """All that can happen within the bounds, by spin."""

    def __init__(self, folder, *defines, live=False, memory=1000, optimize="-O0"):
        self._folder = folder
        self._defines = [f"-D{define}" for define in defines] + ["-DLIVENESS"] * live
        run(folder, "spin", "-a", *self._defines, UPGRADE)
        run(folder, "gcc", optimize, "-w", f"-DMEMLIM={memory}", "-o", "pan", "pan.c",
            *(["-DNFAIR=3"] if live else ["-DSAFETY"]))
        text = run(folder, "./pan", "-m200000", "-w20", *(["-a", "-f"] if live else []))
        summary = re.search(r"errors: (\d+)\s+(\d+) states, stored", text)
        check(summary, text)
        self.errors, self.states = int(summary[1]), int(summary[2])
        self.complete = not re.search(r"max search depth too small|not completed|MEMLIM", text)
        self._text = text

    def trail(self):
        """How it comes to the first error, and what that is."""
        path = os.path.join(self._folder, "upgrade.pml.trail")
        check(os.path.exists(path), "there is no trail")
        done = subprocess.run(["spin", "-t", "-k", path, *self._defines, UPGRADE], text=True,
                              cwd=self._folder, capture_output=True, check=False)
        lines = re.findall(r"^ *((?:[01][: ].*|<<<<<START OF CYCLE.*))$", done.stdout, re.MULTILINE)
        what = re.search(r"^pan:1: (.*) \(at depth", self._text, re.MULTILINE)
        return "\n".join(lines) + "\n" + (what[1] if what else self._text)

    def must_pass(self):
        """Fails with the order of events that breaks a promise."""
        check(self.errors == 0, "broken:\n" + (self.trail() if self.errors else ""))
        check(self.complete, "not all was searched:\n" + self._text)
        print(f"{self.states} states")

    def must_fail(self, what):
        """It was made to break a promise: and spin tells how."""
        check(self.errors > 0, f"the defect is not found in {self.states} states")
        text = self.trail()
        check(re.search(what, text.splitlines()[-1]), f"another one than {what}:\n{text}")
        check(re.search(r"^[01]: LAUNCH", text, re.MULTILINE), f"no order of events:\n{text}")


if DEEP:
    @suite.test
    def keeps_its_promises_in_a_chain_of_generations(folder):
        Search(folder, "ASKS=2", "TROUBLES=2", optimize="-O1").must_pass()

    @suite.test
    def keeps_its_promises_whatever_goes_wrong_in_one_upgrade(folder):
        Search(folder, "TROUBLES=5", optimize="-O1").must_pass()

    @suite.test
    def keeps_its_promises_when_messages_are_lost(folder):
        Search(folder, "LOSSY", "TROUBLES=3", optimize="-O1").must_pass()

    @suite.test
    def comes_to_rest_after_two_misfortunes(folder):
        Search(folder, "TROUBLES=2", live=True, optimize="-O1").must_pass()

    @suite.test
    def comes_to_rest_when_messages_are_lost(folder):
        Search(folder, "LOSSY", "TROUBLES=1", live=True, optimize="-O1").must_pass()
else:
    @suite.test
    def keeps_its_promises_with_two_misfortunes_at_any_point(folder):
        search = Search(folder, "TROUBLES=2")
        search.must_pass()
        check(search.states > 100000, f"only {search.states} states")

    @suite.test
    def comes_to_rest_in_a_world_where_nothing_goes_wrong(folder):
        Search(folder, "TROUBLES=0", live=True).must_pass()

    @suite.test
    def finds_an_old_process_that_serves_on_beside_the_new_one(folder):
        Search(folder, "DEFECT=1").must_fail("assertion violated.*retired.*gate")

    @suite.test
    def finds_an_old_process_that_lets_go_before_the_new_one_serves(folder):
        Search(folder, "DEFECT=2").must_fail("assertion violated.*taken")

    @suite.test
    def finds_a_new_process_that_serves_without_being_told_to(folder):
        Search(folder, "DEFECT=3").must_fail("assertion violated.*committed")

    @suite.test
    def finds_an_attempt_without_end(folder):
        Search(folder, "DEFECT=4", "TROUBLES=1", live=True).must_fail("acceptance cycle")

    @suite.test
    def finds_a_roll_back_that_leaves_nobody_serving(folder):
        Search(folder, "DEFECT=5").must_fail("assertion violated.*succeeded.*gate")

    @suite.test
    def finds_a_new_process_that_has_not_got_all_descriptors(folder):
        Search(folder, "DEFECT=6").must_fail("assertion violated.*took")

    @suite.test
    def finds_an_old_process_that_stops_serving_to_start_a_new_one(folder):
        Search(folder, "DEFECT=7").must_fail("assertion violated.*gate")

suite.main()

# SPDX-License-Identifier: MIT
"""Threads that start children, open, log, allocate, accept, keep and forget during upgrades. This
is for the thread sanitizer in the first place."""
import contextlib
import os
import sys

sys.dont_write_bytecode = True
from endure import PROGRAMS, clients, full, server, spread, tell  # noqa: E402
from support import SANITIZE, Suite, check, equal  # noqa: E402

suite = Suite("upgrade_busy")
THREADS = 16
LISTENERS = 3


@suite.test
def busy_threads_and_their_children_are_left_alone(folder):
    took = []
    child = os.path.join(PROGRAMS, "endure_show_fds")
    upgrades = full(8 if SANITIZE else 20, 200)
    with server(folder, f"--busy={THREADS}", f"--child={child}", probation="0s") as served, \
            contextlib.ExitStack() as stack:
        loads = [stack.enter_context(clients(served.address(f"busy-{i}"), 4, 0, 30))
                 for i in range(LISTENERS)]
        for _ in range(upgrades):
            took.append(served.upgrade(ended=True))
            loads[0].answers(1)
        numbers = [load.end() for load in loads]
        equal(served.stop(), 0, "exit code")
        served.complains("bad child", "no child", "inherited", "not kept", "bad state", "bad info",
                         "bad accept", "bad address", "level=ERROR")
    answers = sum(number["answered"] for number in numbers)
    tell("busy threads", f"{THREADS}, upgrades in ms: {spread(took)}; {answers} answers")
    check(answers >= upgrades, f"{answers} answers")


suite.main()

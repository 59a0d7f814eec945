# SPDX-License-Identifier: MIT
"""How long an upgrade takes, and how little it disturbs a process with much memory. What the machine
has to do besides makes some of them longer; what the upgrade itself waits for is in the shortest."""
import os
import signal
import sys

sys.dont_write_bytecode = True
from endure import SLOW, full, server, spread, tell  # noqa: E402
from support import Suite, check, equal  # noqa: E402

suite = Suite("upgrade_time")
SMALL_MIB = 1


@suite.test
def an_idle_upgrade_takes_milliseconds(folder):
    with server(folder, probation="0s") as served:
        took = [served.upgrade(ended=True) for _ in range(full(30, 200))]
        tell("from SIGHUP to serving, ms", spread(took))
        check(min(took) < 150 * SLOW, f"{spread(took)} ms")
        equal(served.stop(), 0, "exit code")


@suite.test
def a_request_that_is_passed_on_counts_from_then(folder):
    with server(folder, probation="10m") as served:
        served.upgrade()
        since = served.mark_now()
        served.ask(served.pid)  # it drains now, and leaves the upgrade to its successor
        took = served.taken_over(since)
        equal(served.generation, 3, "generation")
        check(took < 30000 * SLOW, f"it took {took} ms")
        equal(served.stop(), 0, "exit code")


def stalls(folder, mib, times):
    """(ms from SIGHUP to serving, ms for which a busy thread stood still), for each upgrade. The
    new generation dies each time, so that the big one serves again."""
    took, stood = [], []
    with server(folder, f"--ballast={mib}", probation="10m") as served:
        for _ in range(times):
            since = served.mark_now()
            took.append(served.upgrade())
            stood.append(int(served.wait_for(r"msg=stall ns=(\d+)", since=since).group(1)) / 1e6)
            os.kill(served.pids[-1], signal.SIGKILL)
            served.wait_for('msg="rolled back"', since=since)
        equal(served.stop(), 0, "exit code")
    return took, stood


def free_gib():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 20
    return 0


@suite.test
def much_memory_neither_delays_it_nor_stops_other_threads(folder):
    mib = full(256, 8192 if free_gib() > 12 else 1024)
    times = full(5, 20)
    small, _ = stalls(folder, SMALL_MIB, times)
    big, stood = stalls(folder, mib, times)
    tell("from SIGHUP to serving with little memory, ms", spread(small))
    tell(f"the same with {mib} MiB", spread(big))
    tell("another thread stood still for, ms", spread(stood))
    check(min(stood) < 50 * SLOW, f"it stood still for {spread(stood)} ms")
    check(min(big) < min(small) + 100 * SLOW,
          f"{spread(big)} ms, and {spread(small)} with little memory")


suite.main()

# SPDX-License-Identifier: MIT
"""The new process dies after it has taken over, while the old one could serve again."""
import collections
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
from endure import SLOW, clients, eventually, full, server, spread, tell  # noqa: E402
from support import LIMIT, Failure, Suite, check, equal  # noqa: E402

suite = Suite("upgrade_crash")
CLIENTS = 16
MOMENTS = full((0.0, 0.01, 0.1, 0.3, 1.2), (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
                                            1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.5))
PROBATION = full("10m", "10s")  # a slow machine must not be too late for it


def crash(served, load, delay):
    """(ms for which nobody answered, requests lost)"""
    since = served.mark_now()
    served.ask()
    new = int(served.wait_for(r"msg=upgraded .*new_pid=(\d+)", since=since).group(1))
    threading.Event().wait(delay)  # not for anything: this is the moment
    before = load.measure()
    os.kill(new, signal.SIGKILL)
    served.wait_for('msg="rolled back"', since=since)
    load.answers(50)
    after = load.measure()
    equal(after["pid"], served.pid, "who answers")
    equal(served.served_by(), served.pid, "whom the PID file names")
    return after["gap_us"] / 1000, after["lost"] - before["lost"]


@suite.test
def the_old_process_serves_again_at_once(folder):
    gaps, lost = [], []
    with server(folder, probation=PROBATION) as served:
        with clients(served.address(), count=CLIENTS, kept=CLIENTS // 2) as load:
            load.answers(100)
            for delay in MOMENTS:
                gap, cut = crash(served, load, delay)
                gaps.append(gap)
                lost.append(cut)
                check(cut <= CLIENTS, f"{cut} requests lost of {CLIENTS} clients")
            tell("nobody answered for, ms", spread(gaps))
            tell("requests lost in each crash", spread(lost))
            # No limit is waited for. On a machine that has others to serve, once is enough.
            check(min(gaps) < 3000 * SLOW, f"nobody answered for {spread(gaps)} ms")
            served.upgrade()
            load.answers(50)
            load.end(lost=CLIENTS * len(MOMENTS))
        equal(served.stop(), 0, "exit code")


def switched(served):
    """Looks without a pause until the PID file, which is written at the switch, names another."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        pid = served.served_by()
        if pid != served.pid:
            return pid
    raise Failure("no other process takes over")


@suite.test
def a_crash_right_at_the_switch_is_one_too(folder):
    times, gaps = full(5, 40), []
    with server(folder, probation=PROBATION) as served:
        with clients(served.address(), count=CLIENTS, kept=CLIENTS // 2) as load:
            load.answers(100)
            for i in range(times):
                since = served.mark_now()
                served.ask()
                pid = switched(served)
                load.measure()
                os.kill(pid, signal.SIGKILL)
                served.wait_for('msg="(rolled back|upgrade failed)"', since=since)
                load.answers(20)
                after = load.measure()
                gaps.append(after["gap_us"] / 1000)
                equal((after["pid"], served.served_by()), (served.pid, served.pid), f"crash {i}")
            tell("nobody answered for, ms", spread(gaps))
            served.upgrade()
            load.answers(50)
            load.end(lost=CLIENTS * times)
        equal(served.stop(), 0, "exit code")


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@suite.test
def a_crash_at_any_moment_from_its_start_on_costs_no_connection(folder):
    times, found = full(20, 300), collections.Counter()
    with server(folder, "--init-ms=10", "--sockets=4", probation="10m") as served:
        before = open_descriptors(served.pid)
        with clients(served.address(), count=CLIENTS, kept=CLIENTS // 2) as load:
            load.answers(100)
            for i in range(times):
                since = served.mark_now()
                served.ask(served.pid)
                new = eventually(lambda: [p for p in served.family() if p != served.pid],
                                 "a new process")
                threading.Event().wait(random.random() * 0.03 * SLOW)  # until the moment
                os.kill(new[0], signal.SIGKILL)
                match = served.wait_for(r'msg="(rolled back|upgrade failed)"(?: phase=(\w+))?',
                                        since=since)
                found[match.group(2) or match.group(1)] += 1
                equal(served.served_by(), served.pid, f"whom the PID file names after crash {i}")
            load.answers(50)
            load.end(lost=CLIENTS * times)
        tell("crashes", dict(found))
        eventually(lambda: open_descriptors(served.pid) == before, "as many descriptors as before")
        served.upgrade()
        equal(served.stop(), 0, "exit code")


suite.main()

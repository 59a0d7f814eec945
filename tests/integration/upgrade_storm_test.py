# SPDX-License-Identifier: MIT
"""SIGHUP a thousand times a second."""
import os
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
from endure import Server, clients, eventually, full, server, tell, time_of  # noqa: E402
from support import LIMIT, SANITIZE, Suite, check, equal, has_program, program  # noqa: E402

suite = Suite("upgrade_storm")
RATE = 1000
PROBATION = full("500ms", "10s")


class Census(threading.Thread):
    """Counts again and again how many processes there are."""

    def __init__(self, served):
        super().__init__(daemon=True)
        self._served, self._over = served, threading.Event()
        self.most = self.counts = 0
        self.start()

    def run(self):
        while not self._over.wait(0.005):
            self.most = max(self.most, len(self._served.family()))
            self.counts += 1

    def end(self):
        self._over.set()
        self.join(LIMIT)


def hang_up(served, first):
    """One SIGHUP to whoever serves, and one to the first process while it lives. A pid is looked
    up and used at once, and the PID file never names a process that has long gone."""
    try:
        served.ask()
    except (ProcessLookupError, FileNotFoundError, ValueError):
        pass
    try:
        signal.pidfd_send_signal(first, signal.SIGHUP)
    except ProcessLookupError:
        pass


def hang_up_for_sure(served):
    """One SIGHUP to a process that serves while it comes."""
    while True:
        before = served.served_by()
        at = time.time()
        try:
            served.ask(before)
        except ProcessLookupError:
            continue
        if served.served_by() == before:
            return at


def storm(served, address, hups):
    pause, first = threading.Event(), os.pidfd_open(served.pid)
    try:
        with clients(address, rate=500) as load:
            load.answers(100)
            census = Census(served)
            began = time.monotonic()
            for i in range(hups):
                hang_up(served, first)
                left = began + i / RATE - time.monotonic()
                if left > 0:
                    pause.wait(left)  # the rate
            took = time.monotonic() - began
            last = hang_up_for_sure(served)

            # A generation that began after it serves, and then it is quiet.
            def honoured():
                began_after = [r["generation"] for r in served.with_message("upgrade begins")
                               if time_of(r) >= last - 0.001]
                return any(r["generation"] in began_after
                           for r in served.with_message("took over"))
            eventually(honoured, "a generation that was begun after the last SIGHUP", 2 * LIMIT)
            eventually(lambda: len(served.family()) == 1, "the end of all old generations",
                       2 * LIMIT)
            load.answers(200)
            census.end()
            numbers = load.end()
    finally:
        os.close(first)
    generations = len(served.with_message("took over"))
    tell("storm", f"{hups} SIGHUPs in {took:.1f} s, {generations} generations, "
         f"{numbers['answered']} answers, slowest {numbers['slowest_us'] / 1000:.1f} ms, "
         f"at most {census.most} processes in {census.counts} counts")
    # The leak sanitizer looks on from a process of its own.
    check(census.most <= 2 or "address" in SANITIZE, f"{census.most} processes at once")
    equal(len(served.with_message("upgrade failed")), 0, "failed upgrades")
    equal(numbers["pid"], served.served_by(), "who answered last, and whom the PID file names")
    equal(served.stop(), 0, "exit code of the first process")


@suite.test
def a_storm_of_sighups_harms_nobody_and_the_last_is_honoured(folder):
    with server(folder, probation=PROBATION) as served:
        storm(served, served.address(), full(2000, 10000))


@suite.test
def a_storm_without_probation_is_no_different(folder):
    with server(folder, probation="0s") as served:
        storm(served, served.address(), full(1000, 10000))


@suite.test
def the_http_example_stands_it_too(folder):
    if not has_program("http"):
        return
    with Server([program("http"), "--http.address=127.0.0.1:0"], folder,
                probation=PROBATION) as served:
        storm(served, served.address("http"), full(1000, 10000))


suite.main()

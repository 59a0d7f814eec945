# SPDX-License-Identifier: MIT
"""SIGHUP a thousand times a second."""
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
from endure import (PID_FILE, SLOW, Server, clients, eventually, full, server, tell,  # noqa: E402
                    time_of)
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


def stop_in_a_storm(folder, moment, probation):
    """SIGTERM to whoever serves, in the middle of it all."""
    os.mkdir(folder)
    over = threading.Event()

    def hang_up_again_and_again(served, first):
        while not over.wait(1 / RATE):
            hang_up(served, first)
    with server(folder, probation=probation) as served:
        first = os.pidfd_open(served.pid)
        storm_of = threading.Thread(target=hang_up_again_and_again, args=(served, first))
        storm_of.start()
        try:
            served.wait_for('msg="took over"')
            threading.Event().wait(moment)  # not for anything: this is the moment
            told = 0

            def ended():
                # One that has just been succeeded ends alone; then its successor is told.
                nonlocal told
                try:
                    pid = served.served_by()
                except (FileNotFoundError, ValueError):
                    return not served.family()
                if pid != told:
                    told = pid
                    try:
                        os.kill(pid, signal.SIGTERM)
                    except ProcessLookupError:
                        pass
                return not served.family()
            eventually(ended, "the end of all generations")
        finally:
            over.set()
            storm_of.join(LIMIT)
            os.close(first)
        served.complains()
        equal(served.finish(), 0, "exit code of the first process")
        check(not os.path.exists(os.path.join(folder, PID_FILE)), "the PID file is left")


@suite.test
def a_stop_in_a_storm_stops_all(folder):
    times = full(8, 100)
    for i in range(times):
        stop_in_a_storm(os.path.join(folder, str(i)), random.random() * 0.1 * SLOW,
                        "0s" if i % 2 == 0 else "10s")


@suite.test
def the_http_example_stands_it_too(folder):
    if not has_program("http"):
        return
    with Server([program("http"), "--http.address=127.0.0.1:0"], folder,
                probation=PROBATION) as served:
        storm(served, served.address("http"), full(1000, 10000))


suite.main()

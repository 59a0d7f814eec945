# SPDX-License-Identifier: MIT
"""The program that is upgraded again and again, the clients that count what they lose, and what
both say. programs/endure/main.c and load.c are the programs.

    with server(folder) as served, clients(served.address()) as load:
        load.answers(100)
        served.upgrade()
        load.end(served)        # nothing refused, lost, late or wrong

SRUN_TEST_FULL=1 runs the suites that use this at full length.
"""
import os
import re
import signal
import statistics
import threading
import time

from support import BUILD_DIR, LIMIT, SANITIZE, Process, check, equal

FULL = os.environ.get("SRUN_TEST_FULL", "") not in ("", "0")
PROGRAMS = os.path.join(BUILD_DIR, "tests", "integration")
PID_FILE = "served.pid"
SLOW = int(os.environ.get("SRUN_TEST_SLOWNESS", 3 if SANITIZE else 1))

_UNITS = {"ns": 1e-6, "µs": 1e-3, "us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_PART = re.compile(r"([\d.]+)(ns|µs|us|ms|s|m|h)")


def full(usual, whole):
    """How often or how much: usually, and with SRUN_TEST_FULL=1."""
    return whole if FULL else usual


def milliseconds(text):
    """A duration of the log as a number."""
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def spread(values):
    """For people: the middle, the 99th percentile, the worst."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return (f"n={len(ordered)} median={statistics.median(ordered):.2f} p99={high:.2f} "
            f"max={ordered[-1]:.2f}")


def tell(name, text):
    """A figure: ctest shows it with -V, or when the suite fails."""
    print(f"    {name}: {text}", flush=True)


def eventually(condition, what, limit=LIMIT):
    """Asks until it is so. For what gives no event: the state of other processes in /proc."""
    deadline, pause = time.monotonic() + limit, threading.Event()
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"not within {limit:g} s: {what}")
        pause.wait(0.002)


class Server(Process):
    """A program that is upgraded; records of all its generations come in one log."""

    def __init__(self, argv, folder, env=None, probation="10s"):
        self.folder = folder
        self.seen = 0  # lines that were looked at
        self.generation = 1
        self.pids = []  # of all generations, the first one first
        super().__init__(argv, folder, {"SRUN_PID_FILE": os.path.join(folder, PID_FILE),
                                        "SRUN_UPGRADE_PROBATION": probation, **(env or {})})
        self.wait_for("msg=started ")
        self.pids.append(self.pid)
        eventually(lambda: os.path.exists(os.path.join(folder, PID_FILE)), "a PID file")

    def address(self, name="answer"):
        """IP:PORT of a listener."""
        return self.wait_for(rf"msg=listening .*name={name} address=\w+://(\S+)").group(1)

    def served_by(self):
        """Who serves, as the PID file says."""
        with open(os.path.join(self.folder, PID_FILE), encoding="ascii") as file:
            return int(file.read())

    def ask(self, pid=None):
        """One SIGHUP."""
        os.kill(pid or self.served_by(), signal.SIGHUP)

    def taken_over(self, since, limit=LIMIT):
        """Waits for a generation that takes over, and for its predecessor to know: ms it took."""
        match = self.wait_for(r'msg=upgraded .*new_generation=(\d+) new_pid=(\d+) .*took=(\S+)|'
                              'msg="upgrade (?:failed|refused)"', limit, since)
        check(match.group(1), match.string)
        self.generation = int(match.group(1))
        self.pids.append(int(match.group(2)))
        return milliseconds(match.group(3))

    def upgrade(self, ended=False):
        """One upgrade, to its success; ended: and to the end of the old generation. Its ms."""
        since = self.mark_now()
        self.ask()
        took = self.taken_over(since)
        if ended:
            self.wait_for('msg="the old generation has ended"', since=since)
        return took

    def with_message(self, message):
        """All records that say so."""
        return [record for record in self.records if record.get("msg") == message]

    def stop(self):
        """Whoever serves is told to stop; nothing may be left."""
        os.kill(self.served_by(), signal.SIGTERM)
        code = self.wait()
        self.complains()
        eventually(lambda: not self.family(), "the end of all generations")
        self.finish()
        check(not os.path.exists(os.path.join(self.folder, PID_FILE)), "the PID file is left")
        return code

    def complains(self, *words):
        """Fails when a line holds one of these, or comes from a sanitizer."""
        words += ("WARNING: ThreadSanitizer", "ERROR: AddressSanitizer", "runtime error:",
                  "ERROR: LeakSanitizer")
        found = [line for line in self.lines if any(word in line for word in words)]
        check(not found, "\n".join(found[:5]))


def server(folder, *flags, env=None, probation="10s"):
    """The program of programs/endure/main.c."""
    return Server([os.path.join(PROGRAMS, "endure"), *flags], folder, env, probation)


_COUNTED = re.compile(r"(\w+)=(\d+)")


class Clients(Process):
    """programs/endure/load.c."""

    def __init__(self, argv):
        self._marks = self._counts = 0
        super().__init__(argv, "/")
        self.wait_for("^progress")

    @staticmethod
    def _numbers(match):
        return {key: int(value) for key, value in _COUNTED.findall(match.string)}

    def _last(self):
        for line in reversed(self.lines):
            if line.startswith("progress"):
                return {key: int(value) for key, value in _COUNTED.findall(line)}
        raise AssertionError("no progress")

    def answers(self, more, limit=LIMIT):
        """Waits until that many more answers have come in, from now on."""
        deadline, since = time.monotonic() + limit, self.mark_now()
        self._counts += 1
        self.signal(signal.SIGUSR2)
        now = self._numbers(self.wait_for(rf"^count {self._counts} ", limit, since))
        wanted = now["answered"] + more
        while self._last()["answered"] < wanted:
            self.wait_for("^progress", max(0.001, deadline - time.monotonic()), since)
            since = self.mark_now()

    def measure(self):
        """The numbers now; gaps are measured anew from here on."""
        self._marks += 1
        self.signal(signal.SIGUSR1)
        return self._numbers(self.wait_for(rf"^mark {self._marks} "))

    def sum(self):
        """Ends the clients: the numbers of all."""
        self.signal(signal.SIGTERM)
        match = self.wait_for("^sum ")
        equal(self.finish(), 0, "exit code of the clients")
        return self._numbers(match)

    def end(self, lost=0):
        """As sum; nothing may have gone wrong but for the requests that may be lost."""
        numbers = self.sum()
        wrong = {key: numbers[key] for key in ("refused", "late", "wrong")}
        errors = [line for line in self.lines if line.startswith("error")]
        equal(wrong, {"refused": 0, "late": 0, "wrong": 0}, f"requests; {errors}")
        check(numbers["lost"] <= lost, f"{numbers['lost']} requests lost, not {lost}: {errors}")
        return numbers


def clients(address, count=16, kept=8, rate=1000):
    """So many clients, some of which keep their connection; requests a second of all together."""
    return Clients([os.path.join(PROGRAMS, "endure_load"), address, str(count), str(kept),
                    str(rate)])


def datagrams(address, rate):
    """Sends datagrams to an echo server and counts those that come back."""
    return Clients([os.path.join(PROGRAMS, "endure_load"), "udp", address, str(rate)])


def time_of(record):
    """Of a log record, in seconds since 1970, to the millisecond."""
    text = record["time"]
    whole, fraction = text.rstrip("Z").split(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + \
        float("0." + fraction)

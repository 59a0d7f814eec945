# SPDX-License-Identifier: MIT
"""Every system call of an upgrade fails once: those of the old process, and of the new one from its
execve on. An upgrade is watched by strace, which yields the points (a call, the how many-th in its
thread); then for each point a server is upgraded while strace lets that call fail. Whatever fails,
clients lose nothing, the upgrade works or is refused with a reason, one process is left with the
descriptors that it had, and the next upgrade works.

strace counts per thread: a point is the n-th such call of each thread, so two may fail at once.
Spared are the calls of which the server's own code makes some in the old process, since these end
the server by rights (FAULTS has no error for what cannot fail). SRUN_TEST_FULL=1 tries all points,
otherwise some of them, evenly spread.
"""
import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

from generations import Family, children, descriptors, eventually
from support import LIMIT, SANITIZE, Suite, check

suite = Suite("upgrade_syscalls")

FULL = os.environ.get("SRUN_TEST_FULL") == "1"
SOME = 24  # points, unless all

# An error that fits. What is not here cannot fail like that (the C library crashes when brk does, and
# aborts for rseq), or gives something back (close), or is no request to the system (a futex).
FAULTS = {
    "access": "EIO", "bind": "ENOMEM", "clone3": "EAGAIN", "connect": "EAGAIN",
    "dup2": "EMFILE", "dup3": "EMFILE", "epoll_create1": "EMFILE", "epoll_ctl": "ENOMEM",
    "eventfd2": "EMFILE", "execve": "ENOMEM", "faccessat2": "EIO", "fchmod": "EPERM",
    "fcntl": "EMFILE", "getcwd": "ENOMEM", "getdents64": "EIO", "getrandom": "EAGAIN",
    "getsockname": "ENOBUFS", "getsockopt": "ENOBUFS", "ioctl": "EIO", "listen": "ENOMEM",
    "lseek": "EIO", "mkdir": "EPERM", "mmap": "ENOMEM", "mprotect": "ENOMEM", "mremap": "ENOMEM",
    "newfstatat": "EIO", "openat": "EMFILE", "pidfd_open": "EMFILE",
    "pidfd_send_signal": "EPERM", "pipe2": "EMFILE", "poll": "ENOMEM", "prctl": "EPERM",
    "pread64": "EIO", "prlimit64": "EPERM", "pwritev2": "EIO", "read": "EIO", "readlink": "EIO",
    "recvmsg": "ENOMEM", "rename": "EIO", "sendmsg": "ENOMEM", "sendto": "ENOMEM",
    "setsockopt": "ENOMEM", "sigaltstack": "ENOMEM", "signalfd4": "EMFILE", "socket": "EMFILE",
    "socketpair": "EMFILE", "timerfd_create": "EMFILE", "timerfd_settime": "ENOMEM",
    "unlink": "EPERM", "waitid": "EAGAIN", "write": "EIO",
}
REFUSED = re.compile(r'msg="(?:upgrade failed|upgrade refused|rolled back)".* '
                     r'(?:error|why)=(".*?[^\\]"|\S+)')


class Tracer:
    """strace, at a process and all that it starts, until the end of the `with`."""

    def __init__(self, pid, path, *options):
        self.path = path
        self._process = subprocess.Popen(
            ["strace", "-f", "-Y", "-y", "-o", path, *options, "-p", str(pid)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = self._process.stderr.readline()
        self.attached = "attached" in self.said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGINT)
        self._process.stderr.read()
        self._process.wait()
        self._process.stderr.close()


class Server:
    """One family, upgraded again and again."""

    def __init__(self, family):
        self.family, self.pid, self.generation = family, family.first, 1
        self.usual = None

    def lines(self):
        with self.family.process._more:  # pylint: disable=protected-access
            return self.family.process.lines[self.family._mark:]  # pylint: disable=protected-access

    def is_over(self, quiet):
        """One process is left, and has said so. quiet: a log record may be what failed."""
        family = self.family.process.family()
        check(not self.family.process._ended,  # pylint: disable=protected-access
              f"nobody is left: {self.lines()}")
        if len(family) != 1:
            return False
        said = REFUSED if family[0] == self.pid else re.compile(rf'msg="took over".* pid={family[0]} ')
        return quiet or any(said.search(line) for line in self.lines())

    def upgrade(self, quiet=False):
        """Tries one: None, or why it was refused."""
        family = self.family
        family.mark()
        heard = len(family.manager.texts)
        family.hup(self.pid)
        eventually(lambda: self.is_over(quiet and "READY=1" in family.manager.texts[heard:]),
                   lambda: f"it is not over: {self.lines()}, {family.process.family()}")
        before, self.pid = self.pid, family.process.family()[0]
        if self.pid != before:
            self.generation += 1
            family.ended(before)
        family.watch.wait(self.pid)
        family.lossless()
        if self.pid != before:
            return None
        for line in self.lines():
            why = REFUSED.search(line)
            if why:
                self.died_by_itself(why.group(1))
                return why.group(1)
        check(quiet, f"refused without a reason: {self.lines()}")
        return "(its record was what failed)"

    def died_by_itself(self, why):
        """No signal ends a new process once it is in its main; before, it is the loader's affair."""
        begun = any(f"msg=begins generation={self.generation + 1} " in line for line in self.lines())
        check(not (begun and "killed by" in why), f"the new process crashes: {why}")

    def is_clean(self):
        """Alone, and with the descriptors that it had."""
        eventually(lambda: not children(self.pid), lambda: f"children: {children(self.pid)}")
        if self.usual is None:
            self.usual = descriptors(self.pid)
        eventually(lambda: not descriptors(self.pid) - self.usual,
                   lambda: f"pid {self.pid} has more: {descriptors(self.pid) - self.usual}")


def record(server, path):
    """The calls of an upgrade that works: {thread: [its name, is it of the old process, calls]}."""
    old = {int(name) for name in os.listdir(f"/proc/{server.pid}/task")}
    first = server.pid
    with Tracer(server.pid, path):
        check(server.upgrade() is None, "the upgrade that is watched fails")
    threads = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = re.match(r"(\d+)<([^>]*)> +(\w+)\((.*)", line)
            if found:
                tid, name, call, rest = found.groups()
                entry = threads.setdefault(int(tid), [name, int(tid) in old or int(tid) == first, []])
                entry[0] = name if name != entry[0] and name.startswith("srun:") else entry[0]
                entry[2].append((call, rest))
    return threads


def points_of(threads):
    """([(call, n)], the calls that are spared)."""
    own = {call for name, is_old, calls in threads.values()
           if is_old and name in ("srun:first", "srun:web", "srun:last") for call, _ in calls}
    most, wakes = collections.Counter(), set()
    for _, _, calls in threads.values():
        count = collections.Counter()
        for call, rest in calls:
            count[call] += 1
            if call == "write" and "eventfd" in rest:
                wakes.add((call, count[call]))  # which cannot fail
        for call, times in count.items():
            most[call] = max(most[call], times)
    return ([(call, n) for call in sorted(FAULTS) if call not in own
             for n in range(1, most[call] + 1) if (call, n) not in wakes],
            sorted(own & set(FAULTS)))


def try_point(server, folder, call, n):
    """The n-th such call fails: (was it made?, None or why the upgrade was refused)."""
    path = os.path.join(folder, "strace")
    with Tracer(server.pid, path, "-e", f"trace={call}", "-e",
                f"inject={call}:error={FAULTS[call]}:when={n}") as tracer:
        check(tracer.attached, tracer.said)
        why = server.upgrade(quiet=call in ("pwritev2", "sendmsg"))
    with open(path, encoding="utf-8", errors="replace") as file:
        made = "(INJECTED)" in file.read()
    for left in (2, 1, 0):  # one that takes too long is refused by rights
        again = server.upgrade()
        if again is None:
            break
        check(left and "does not answer" in again, f"the next upgrade is refused: {again}")
    server.is_clean()
    return made, why


def reason_to_skip(pid, folder):
    """None when strace can be used."""
    if SANITIZE:
        return "strace and what the sanitizers trace exclude each other"
    if shutil.which("strace") is None:
        return "there is no strace"
    with Tracer(pid, os.path.join(folder, "strace")) as tracer:
        return None if tracer.attached else f"strace may not trace: {tracer.said.strip()}"


@contextlib.contextmanager
def a_server(folder):
    """One that is upgraded, and stopped in the end. None: there is no strace, and it is said why.
    Limits that no upgrade comes near, but for one whose message failed: that takes so long."""
    with Family(folder, probation="20ms", handshake="5s", start="10s") as family:
        why = reason_to_skip(family.first, folder)
        server = Server(family)
        if why is None:
            check(server.upgrade() is None, "an upgrade without a failure")
            server.is_clean()
        else:
            print(f"summary: upgrade_syscalls: skipped, no point tried: {why}")
        yield server if why is None else None
        family.end(server.pid)


@suite.test
def upgrade_works_or_is_refused_whatever_system_call_fails(folder):
    with a_server(folder) as server:
        if server is None:
            return
        points, spared = points_of(record(server, os.path.join(folder, "record")))
        chosen = points if FULL else points[::max(1, len(points) // SOME)]
        refused = made = 0
        for call, n in chosen:
            began = time.monotonic()
            try:
                was_made, why = try_point(server, folder, call, n)
            except AssertionError as error:
                raise AssertionError(f"{call}, number {n}: {FAULTS[call]}: {error}") from error
            made += was_made
            refused += why is not None
            if os.environ.get("SRUN_TEST_TELL") == "1":
                print(f"    {call} {n} {FAULTS[call]}: {'' if was_made else 'not made, '}"
                      f"{why or 'worked'} ({time.monotonic() - began:.1f} s)", flush=True)
        print(f"summary: upgrade_syscalls: {len(chosen)} of {len(points)} points tried, "
              f"{made} calls failed, {refused} upgrades refused, {len(chosen) - refused} worked; not tried, since the "
              f"server's own code makes them too: {', '.join(spared)}")
        check(made, "no call failed")


@suite.test
def process_that_does_not_know_its_start_does_not_take_over(folder):
    """It could never be upgraded itself."""
    with a_server(folder) as server:
        if server is not None:
            made, why = try_point(server, folder, "prlimit64", 7)
            check(made and why is not None and "cannot learn the resource limits" in why, f"{why}")


suite.main()

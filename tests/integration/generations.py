# SPDX-License-Identifier: MIT
"""A server that is upgraded, something that goes wrong on the way, and what has to hold then.

    with Family(folder) as family:
        family.order(2, "send:READY", "kill")     # programs/generations/faults.h says what can be ordered
        family.hup()
        family.wait('msg="upgrade failed"')
        family.survives(family.first)

A client asks on a new connection every few milliseconds, over TCP and over a unix path in turn;
survives() checks that none of its requests was lost, and what else makes a process the one that
serves: PID file, service manager, path, descriptors, no process beside it; and that it can be
upgraded, and stopped.
"""
import array
import collections
import contextlib
import ctypes
import itertools
import os
import re
import resource
import select
import signal
import socket
import threading
import time

from support import BUILD_DIR, LIMIT, SANITIZE, Failure, Process, check, equal

PROGRAM = os.path.join(BUILD_DIR, "tests", "integration", "programs", "generations",
                       "upgrade_server")
# Waits for a service manager until it answers, and not for a second at most.
PATIENT = PROGRAM + "_patient"

# For a limit that a test lets pass: long enough that nothing else exceeds it.
SHORT_MS = 3000 if SANITIZE else 1000
LONG = "10m"
PAUSE = 0.003  # of the client, between two requests

_PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # an orphan's exit code is ours to see


def eventually(condition, text):
    """Waits for what no event tells: the state of a process. text() says how it stayed."""
    deadline, never = time.monotonic() + LIMIT, threading.Event()
    while not condition():
        check(time.monotonic() < deadline, text() if callable(text) else text)
        never.wait(0.002)


def descriptors(pid):
    """What stands behind each descriptor of a process, without the numbers that differ."""
    found = collections.Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found[re.sub(r":\[\d+\]|\.\d+$", "", os.readlink(f"/proc/{pid}/fd/{name}"))] += 1
    return found


def children(pid):
    """The children of a process, dead ones that nobody has waited for among them."""
    found = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children",
                                                    encoding="ascii") as file:
                found.update(map(int, file.read().split()))
    return found


def cell(suite, name, function, *args):
    """Adds a test: function(folder, *args)."""
    def test(folder):
        function(folder, *args)
    test.__name__ = name
    suite.test(test)


def read(path):
    """A file's text, or "" when there is none."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        return file.read()
    return ""


class Manager:
    """The service manager at the other end of NOTIFY_SOCKET: which process is the main one, and
    whether a reload is going on. patient: barriers are not answered; deaf: nothing is read."""

    def __init__(self, path):
        self.path = path
        self.main_pid = None
        self.reloading = False
        self.texts = []
        self.patient = False
        self._kept = []
        self._hears = threading.Event()
        self._hears.set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while True:
            self._hears.wait()
            data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(64))
            fds = array.array("i")
            for _, _, value in ancillary:
                fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
            if data == b"quit":
                return
            if self.patient:
                self._kept.extend(fds)
            else:
                for fd in fds:
                    os.close(fd)
            for line in data.decode().splitlines():
                self._take(line)

    def _take(self, line):
        self.texts.append(line)
        if line.startswith("MAINPID="):
            self.main_pid = int(line[8:])
        elif line == "RELOADING=1":
            self.reloading = True
        elif line == "READY=1":
            self.reloading = False

    def deaf(self):
        """Reads nothing any more, but for one message that it waits for already."""
        self._hears.clear()

    def fill(self):
        """As when the manager is busy: nothing is read, and there is no room for more."""
        self.deaf()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, \
                contextlib.suppress(BlockingIOError):
            other.setblocking(False)
            other.connect(self.path)
            while True:
                other.send(b"STATUS=of somebody else")

    def hear(self):
        """Reads again."""
        self._hears.set()

    def answer(self):
        """Is patient no longer."""
        self.patient = False
        while self._kept:
            os.close(self._kept.pop())

    def vanish(self):
        """As when the manager has ended."""
        os.unlink(self.path)

    def close(self):
        """Ends it."""
        self._hears.set()
        self.answer()
        with contextlib.suppress(OSError), \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.setblocking(False)
            last.connect(self.path)
            last.send(b"quit")


class Watch:
    """The client that must never notice anything."""

    def __init__(self, targets):
        self.refused, self.cut = [], []
        self._targets = targets
        self._answers = collections.Counter()
        self._more = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask_all, daemon=True)
        self._thread.start()

    def _ask_all(self):
        for name in itertools.cycle(self._targets):
            if self._stopping.wait(PAUSE):
                return
            asked = time.monotonic()
            try:
                client = dial(self._targets[name])
            except OSError as error:
                self.refused.append(f"{name}: {error!r}")
                continue
            with client:
                try:
                    answer = who(client)
                except OSError as error:
                    self.cut.append(f"{name}: {error!r}")
                    continue
            with self._more:
                self._answers[name, answer.pid] = asked
                self._more.notify_all()

    def wait(self, pid):
        """Until a request of each kind that was made from now on is answered by this process. One that
        is in the hands of a process that was killed, while a helper holds its connection, takes LIMIT."""
        since = time.monotonic()
        with self._more:
            done = self._more.wait_for(
                lambda: all(self._answers[name, pid] >= since for name in self._targets),
                2 * LIMIT)
        check(done, f"pid {pid} does not answer; refused: {self.refused[-3:]}, "
                    f"cut: {self.cut[-3:]}, answers: {self._answers}")

    def stop(self):
        """The last request is answered."""
        self._stopping.set()
        self._thread.join(LIMIT)
        check(not self._thread.is_alive(), "the client waits for an answer")


Answer = collections.namedtuple("Answer", "pid generation keep")


def dial(target):
    """A connection to (host, port) or to a path."""
    client = socket.socket(socket.AF_UNIX if isinstance(target, str) else socket.AF_INET)
    client.settimeout(LIMIT)
    try:
        client.connect(target)
    except OSError:
        client.close()
        raise
    return client


def who(client, asks=b"who\n"):
    """Asks, or reads what was asked before (b""): the process and the generation that answers."""
    if asks:
        client.sendall(asks)
    text = b""
    while not text.endswith(b"\n"):
        more = client.recv(100)
        if not more:
            raise ConnectionResetError(f"cut off after {text!r}")
        text += more
    pid, generation, how = text.split()
    return Answer(int(pid), int(generation), how == b"keep")


class Hold:
    """A place at which a generation waits."""

    def __init__(self, family, generation, place):
        self._family, self._place, self._generation = family, place, generation
        self._name = f"hold.{next(family.numbers)}"
        os.mkfifo(os.path.join(family.folder, self._name))
        family.order(generation, place, f"hold:{self._name}")

    def wait(self):
        """Until it is there: its pid."""
        return int(self._family.wait(
            rf"msg=fault at={re.escape(self._place)} action=hold:{re.escape(self._name)} "
            rf"generation={self._generation} pid=(\d+)", since=0).group(1))

    def release(self):
        """It goes on, now or when it comes there."""
        self._family.open.append(
            os.open(os.path.join(self._family.folder, self._name), os.O_RDWR | os.O_CLOEXEC))


class Family:
    """All generations of one server. orders: (place, action) for the first; env: variables;
    path_mode, spare: the mode of its path, one path more, in the first generation only;
    named_elsewhere: its pids are those of another name space."""

    def __init__(self, folder, orders=(), binary=PROGRAM, argv=None, probation="50ms",
                 handshake=LONG, start=LONG, env=None, named_elsewhere=False, path_mode=0,
                 spare=None):
        self.folder = folder
        self.numbers = itertools.count(1)
        self.open = []
        self.path = os.path.join(folder, "web.sock")
        self.pid_file = os.path.join(folder, "server.pid")
        self.may_cut = 0      # requests, in the hands of a process that is killed
        self.managed = True   # what the manager knows counts
        self.tries = 1        # of an upgrade that is to work: more where limits are short
        self.ends_with = 0
        self.listeners(path_mode, spare=spare and f"unix://{spare} 0")
        for place, action in orders:
            self.order(1, place, action)
            if action.startswith("hold:"):
                os.mkfifo(os.path.join(folder, action[5:]))
        self.manager = Manager(os.path.join(folder, "notify"))
        self.watch = None
        self.process = Process(argv or [binary], folder, {
            "SRUN_UPGRADE_PROBATION": probation, "SRUN_UPGRADE_HANDSHAKE": handshake,
            "SRUN_UPGRADE_START": start, "SRUN_UPGRADE_ANY_BINARY": "1",
            "SRUN_STOP_TIMEOUT": LONG, "SRUN_GRACEFUL_TIMEOUT": LONG,
            "SRUN_PID_FILE": self.pid_file, "NOTIFY_SOCKET": self.manager.path, **(env or {})})
        self._mark = 0
        self._named_elsewhere = named_elsewhere
        self._helpers = []

    def __enter__(self):
        self.process.__enter__()
        try:
            self.wait("msg=started ")
            self.first = int(self.wait(r"msg=begins generation=1 pid=(\d+)", since=0).group(1))
            self.manager.main_pid = self.first
            self.port = int(self.wait(r"address=tcp://127.0.0.1:(\d+)", since=0).group(1))
            eventually(lambda: "READY=1" in self.manager.texts, "the manager hears no READY=1")
            self.usual = None if self._named_elsewhere else descriptors(self.first)
            self.watch = Watch({"tcp": self.address, "unix": self.path})
            self.watch.wait(self.first)
            self.listeners()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        if self.watch is not None and kind is not None:
            print(f"    refused: {self.watch.refused[:3]}, cut: {self.watch.cut[:3]}, "
                  f"manager: {self.manager.texts[-8:]}")
        for pid in self._helpers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            return self.process.__exit__(kind, error, trace)
        finally:
            if self.watch is not None:
                self.watch.stop()
            self.manager.close()
            for fd in self.open:
                os.close(fd)
            self._reap()

    def _reap(self):
        """Orphans that have come to us."""
        for match in map(re.compile(r"msg=(?:begins|helper) .*pid=(\d+)").search,
                         self.process.lines):
            if match and int(match.group(1)) != self.process.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(int(match.group(1)), os.WNOHANG)

    # What happens

    @property
    def address(self):
        """Where TCP clients go."""
        return ("127.0.0.1", self.port)

    def listeners(self, path_mode=0, **more):
        """What generations listen to that begin from now on. name=address, or None."""
        rows = {"web": "tcp://127.0.0.1:0 0", "path": f"unix://{self.path} {path_mode:o}"}
        rows.update(more)
        with open(os.path.join(self.folder, "listeners"), "w", encoding="utf-8") as file:
            file.writelines(f"{name} {row}\n" for name, row in rows.items() if row)

    def order(self, generation, place, action):
        """What goes wrong in the next process of that generation."""
        with open(os.path.join(self.folder, f"faults.{generation}"), "a", encoding="utf-8") as file:
            file.write(f"{place} {action}\n")

    def tell(self, pid, order):
        """To do at once."""
        fd = os.open(os.path.join(self.folder, f"orders.{pid}"), os.O_WRONLY | os.O_CLOEXEC)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(order + "\n")

    def hold(self, generation, place):
        """The next process of that generation will wait there."""
        return Hold(self, generation, place)

    def wait(self, pattern, since=None):
        """For a line that was logged since the last mark."""
        return self.process.wait_for(pattern, since=self._mark if since is None else since)

    def mark(self):
        """Lines from now on."""
        self._mark = self.process.mark_now()

    def hup(self, pid=None):
        """Asks for an upgrade: the first process unless told otherwise."""
        os.kill(pid or self.first, signal.SIGHUP)

    def hup_to(self, place, action):
        """Asks for an upgrade whose new process does that there. Where limits are short, a slow
        machine may not let it come so far: then again."""
        for _ in range(self.tries):
            self.order(2, place, action)
            self.mark()
            self.hup()
            if self.wait(rf'(msg=fault) at={place} action={action} |msg="upgrade failed"').group(1):
                return
            self.alone(self.first)
            with contextlib.suppress(FileNotFoundError):  # if the process did not read it
                os.unlink(os.path.join(self.folder, "faults.2"))
        raise Failure(f"no new process comes to {place}")

    def begun(self, generation):
        """The last process of that generation, which was started since the mark."""
        self.wait(rf"msg=begins generation={generation} pid=\d+")
        with self.process._more:  # pylint: disable=protected-access
            lines = self.process.lines[self._mark:]
        return [int(match.group(1)) for match in
                map(re.compile(rf"msg=begins generation={generation} pid=(\d+)").search, lines)
                if match][-1]

    def took_over(self, generation):
        """Waits until that generation serves: its pid."""
        self.wait(rf'msg="took over" generation={generation} ')
        return self.begun(generation)

    def upgrade(self, pid, generation):
        """An upgrade that works: the pid of the new process of that generation."""
        for attempt in range(self.tries):
            self.mark()
            self.hup(pid)
            done = self.wait(rf'msg="(took over)" generation={generation} |msg="(upgrade failed)"')
            if done.group(1):
                break
            check(attempt + 1 < self.tries, "the next upgrade fails")
        return self.begun(generation)

    def ended(self, pid):
        """Waits for the end of a process. Its exit code or minus its signal, None when its parent
        has waited for it."""
        if pid == self.process.pid:
            return self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                check(poll.poll(LIMIT * 1000), f"pid {pid} is still alive")
            finally:
                os.close(fd)
        with contextlib.suppress(ChildProcessError):
            found, status = os.waitpid(pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if found else None
        return None

    def outside(self):
        """The pid of the first process, if it is the only child of the one that was started."""
        return children(self.process.pid).pop()

    def limit_descriptors(self, pid, more):
        """The process may have so many more than it has. To be undone by free_descriptors."""
        names = [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
        free = (number for number in itertools.count() if number not in names)
        soft = next(itertools.islice(free, more, None))
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))

    def free_descriptors(self, pid):
        """As many as it likes."""
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(hard, 1024), hard))

    def gate(self, name):
        """A place at which the first process waits: hold:NAME was ordered when it was started.
        Returns what lets it go on."""
        path = os.path.join(self.folder, name)
        return lambda: self.open.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def helper(self, since=None):
        """The pid of a helper process, which is ended with the test."""
        pid = int(self.wait(r"msg=helper pid=(\d+)", since).group(1))
        self._helpers.append(pid)
        return pid

    def end_helpers(self):
        """Before one looks what is left."""
        for pid in self._helpers:
            os.kill(pid, signal.SIGKILL)
        while self._helpers:
            self.ended(self._helpers.pop())

    # What has to hold

    def serves(self, pid):
        """New connections, PID file, service manager and path: all are this process's."""
        self.watch.wait(pid)
        eventually(lambda: read(self.pid_file) == f"{pid}\n",
                   lambda: f"the PID file says {read(self.pid_file)!r} instead of {pid}")
        if self.managed:
            eventually(lambda: self.manager.main_pid == pid,
                       lambda: f"MAINPID is {self.manager.main_pid} instead of {pid}")
            eventually(lambda: not self.manager.reloading, "the reload is not answered")
        self.lossless()

    def lossless(self):
        """No request was lost so far."""
        check(not self.watch.refused, f"refused: {self.watch.refused[:3]}")
        check(len(self.watch.cut) <= self.may_cut,
              f"{len(self.watch.cut)} cut, {self.may_cut} may be: {self.watch.cut[:3]}")

    def alone(self, pid):
        """No other process, dead or alive, and as many descriptors as in the beginning. Between two
        clients, that is."""
        self.end_helpers()
        eventually(lambda: self.process.family() == [pid],
                   lambda: f"there are {self.process.family()}, not only {pid}")
        eventually(lambda: not children(pid), lambda: f"pid {pid} has children: {children(pid)}")
        eventually(lambda: not descriptors(pid) - self.usual,
                   lambda: f"pid {pid} has more descriptors: {descriptors(pid) - self.usual}")

    def survives(self, pid, generation=1):
        """This process serves, alone; and the next upgrade works. Then all ends."""
        self.serves(pid)
        self.alone(pid)
        self.end(self.next_upgrade(pid, generation + 1))

    def next_upgrade(self, pid, generation):
        """Works: the process that serves then."""
        new = self.upgrade(pid, generation)
        self.serves(new)
        return new

    def quiet(self):
        """No more clients. None has lost anything."""
        self.watch.stop()
        self.lossless()

    def end(self, pid):
        """Stops the process that serves, and with it all of them."""
        self.quiet()
        os.kill(pid, signal.SIGTERM)
        self.over(pid)
        check(not os.path.exists(self.pid_file), "the PID file is left")
        check(not os.path.exists(self.path), "the path is left")

    def over(self, *pids, code=0):
        """These end in order, with this code if anybody is told; and nobody is left."""
        for pid in pids:
            check(self.ended(pid) in (None, code, self.ends_with), f"exit code of pid {pid}")
        eventually(lambda: self.process.family() == [],
                   lambda: f"left behind: {self.process.family()}")
        equal(self.process.finish(), self.ends_with, "exit code of the first process")

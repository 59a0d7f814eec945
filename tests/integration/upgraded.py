# SPDX-License-Identifier: MIT
"""A program that is upgraded, as one process after the other.

    with Program(folder, "version 1\\nlisten web tcp://127.0.0.1:0") as program:
        program.plan("version 2\\nlisten web tcp://127.0.0.1:0")
        program.upgrade()
        equal(program.ask("id").split()[0], "2")
        program.stop()

programs/upgraded/plan.h says what a plan may hold, upgraded.c what can be asked.
"""
import array
import collections
import contextlib
import os
import re
import signal
import socket
import threading
import time

from support import BUILD_DIR, LIMIT, Process, check, equal

PLAN = "listen web tcp://127.0.0.1:0"
POLL = 0.02


def build(name):
    """The path of one of the builds of the program."""
    return os.path.join(BUILD_DIR, "tests", "integration", "programs", "upgraded", name)


def until(condition, what, limit=LIMIT):
    """Asks again and again; for what no descriptor tells. Answers what the condition did."""
    deadline = time.monotonic() + limit
    while True:
        found = condition()
        if found:
            return found
        check(time.monotonic() < deadline, f"not in {limit:g} s: {what}")
        time.sleep(POLL)


def is_alive(pid):
    """A zombie is dead, once its last thread has ended too."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            words = file.read().rsplit(")", 1)[1].split()
            return words[0] not in "ZX" or int(words[17]) > 1
    except OSError:
        return False


def connect_to(address):
    """A socket connected to one of our addresses."""
    kind, rest = address.split("://", 1)
    if kind == "tcp":
        host, port = rest.rsplit(":", 1)
        return socket.create_connection((host.strip("[]"), int(port)), LIMIT)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if "seqpacket" in kind
                           else socket.SOCK_STREAM)
    client.settimeout(LIMIT)
    client.connect("\0" + rest[1:] if rest.startswith("@") else rest)
    return client


def read_all(client):
    """Until the end of the connection."""
    parts = []
    with contextlib.closing(client):
        while True:
            part = client.recv(65536)
            if not part:
                return b"".join(parts).decode()
            parts.append(part)


class Program(Process):
    """All its generations; their logs are one. pid is the first one's, office whose turn it is."""

    def __init__(self, folder, plan=PLAN, argv=None, env=None, before=None):
        self.folder = folder
        self.plan(plan)
        self.office = None
        self.generation = 1
        # Whatever the machine's load, only the test that means it meets the limit of a step.
        limits = {"SRUN_UPGRADE_HANDSHAKE": "30s", "SRUN_UPGRADE_PROBATION": "0s",
                  "SRUN_LOG_LEVEL": "debug", "PLAN": os.path.join(folder, "plan"), **(env or {})}
        super().__init__(argv or [build("upgraded_v1")], folder, limits, before)
        self._began = 0

    def plan(self, text):
        """What the next generation is to do."""
        with open(os.path.join(self.folder, "plan"), "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def touch(self, name, text=""):
        """A file in its folder."""
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def started(self):
        """Waits until the first generation serves."""
        self.wait_for("msg=started ")
        self.office = int(self.wait_for(r"msg=begins .*own_pid=(\d+)").group(1))
        return self

    def __enter__(self):
        super().__enter__()
        return self

    def address(self, name="web"):
        """What the listener is bound to."""
        return self.wait_for(rf"msg=listening .*name={name} address=(\S+)").group(1)

    def ask(self, line, address=None):
        """The whole answer to one line."""
        client = connect_to(address or self.address())
        client.sendall(line.encode() + b"\n")
        return read_all(client)

    def send(self, line, address=None):
        """A connection on which that was asked."""
        client = connect_to(address or self.address())
        client.sendall(line.encode() + b"\n")
        return client

    def held(self, address=None):
        """A client with a request that takes until there is a file named release."""
        client = self.send("hold", address)
        equal(client.recv(5), b"held\n"[:5], "the answer")
        return client

    def info(self, address=None):
        """srun_upgrade_info of the one that serves."""
        return dict(line.split("=", 1) for line in self.ask("info", address).splitlines())

    def hup(self, pid=None):
        """Asks for an upgrade; the place in the log from which on to look."""
        since = self.mark_now()
        os.kill(pid or self.office, signal.SIGHUP)
        return since

    def upgraded(self, since=0):
        """Waits until the upgrade has succeeded, and the new generation has said so."""
        found = self.wait_for(r'msg=upgraded .*generation=(\d+) new_pid=(\d+)', since=since)
        self.generation, self.office = int(found.group(1)), int(found.group(2))
        self.wait_for(r'msg="took over".*generation=' + str(self.generation), since=since)
        return self.office

    def upgrade(self):
        """One upgrade that succeeds; with probation off it waits until the old one has ended."""
        old, since = self.office, self.hup()
        self.upgraded(since)
        check(self.office != old, "the same process")
        return old

    def fails(self, reason, phase=None, pid=None):
        """One upgrade that fails, for that reason (a pattern); the old one serves on."""
        since = self.hup(pid)
        text = self.wait_for(r'msg="upgrade (?:failed|refused)".*', since=since).group(0)
        check(re.search(reason, text), f"the reason: {text}, expected {reason}")
        if phase:
            check(f"phase={phase} " in text, f"the phase: {text}, expected {phase}")
        until(lambda: self.info()["state"] == "idle", "idle again")
        self.serves(self.office)
        return text

    def serves(self, pid, address=None):
        """This process answers."""
        equal(int(self.ask("id", address).split()[1]), pid, "who answers")

    def gone(self, pid):
        """Waits for its end."""
        until(lambda: not is_alive(pid), f"the end of {pid}")

    def stop(self):
        """Stops the one that serves; nothing may be left, but may take its time to end."""
        os.kill(self.office, signal.SIGTERM)
        self.gone(self.office)
        until(lambda: not self.family(), "the end of all generations")
        equal(self.finish(), 0, "exit code of the first generation")
        equal([line for line in self.lines if "Sanitizer" in line], [], "reports")

    def logged(self, message, count=0):
        """All records with this message; waits for so many, as the log is read by a thread."""
        if count > 0:
            until(lambda: len(self.logged(message)) >= count, f"{count} times {message!r}")
        return [record for record in self.records if record.get("msg") == message]


@contextlib.contextmanager
def running(folder, plan=PLAN, **more):
    """A program whose first generation serves."""
    with Program(folder, plan, **more) as program:
        yield program.started()


Told = collections.namedtuple("Told", "pid text fds at")


class Manager:
    """A socket as NOTIFY_SOCKET names it: each message, who sent it, and what came with it.
    Descriptors (of a barrier) stay open while hold is set."""

    def __init__(self, folder, hold=False):
        self.address = os.path.join(folder, "notify")
        self.hold = hold
        self._more = threading.Condition()
        self._told = []
        self._marks = self._marked = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(self.address)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        while True:
            text, control, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(12) +
                                                       socket.CMSG_SPACE(4 * 16))
            if not text:
                return
            pid, fds = 0, array.array("i")
            for level, kind, data in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid = int.from_bytes(data[:4], "little")
                elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(data[:len(data) - len(data) % 4])
            if text.startswith(b"MARK="):
                with self._more:
                    self._marked = int(text[5:])
                    self._more.notify_all()
                continue
            self.look(text.decode())
            with self._more:
                self._told.append(Told(pid, text.decode(), len(fds), time.monotonic()))
                self._more.notify_all()
            for fd in fds if not self.hold else ():
                os.close(fd)

    def look(self, text):
        """For who wants to see how things are when this arrives."""

    def close(self):
        """What was sent before is there then."""
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as last:
            last.sendto(b"", self.address)
        self._reader.join(LIMIT)
        self._socket.close()

    def caught_up(self):
        """How many there are, once all that was sent until now has been read."""
        self._marks += 1
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as other:
            other.sendto(b"MARK=%d" % self._marks, self.address)
        with self._more:
            check(self._more.wait_for(lambda: self._marks == self._marked, LIMIT), "nobody reads")
            return len(self._told)

    @property
    def told(self):
        """All so far."""
        with self._more:
            return list(self._told)

    def wait_for(self, pattern, count=1, pid=None):
        """The last of so many that match."""
        def found():
            return [told for told in self._told
                    if re.search(pattern, told.text) and pid in (None, told.pid)]
        with self._more:
            check(self._more.wait_for(lambda: len(found()) >= count, LIMIT),
                  f"not {count} times {pattern!r}: {self._told}")
            return found()[count - 1]

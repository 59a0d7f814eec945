# SPDX-License-Identifier: MIT
"""Clients that are in the middle of something, wherever an upgrade is: none of them notices."""
import resource
import threading

from generations import LONG, Family, cell, dial, who
from support import SANITIZE, Suite, check, equal

suite = Suite("upgrade_clients")
LIMITS = {"SRUN_STOP_TIMEOUT": "30m", "SRUN_GRACEFUL_TIMEOUT": "1h", "SERVER_LINGER_MS": "1200000"}

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))
ROOM = HARD if HARD != resource.RLIM_INFINITY else 1 << 20
MANY = max(100, min(2000 if SANITIZE else 10000, ROOM - 4000))
ONE_AT_A_TIME = threading.Lock()  # of those with MANY connections


class Idle:
    """Kept alive: asks, is idle, and asks again, on a new connection if it was told so."""

    def __init__(self, family):
        self._family = family
        self._first, self._second = self._dial(), dial(family.path)
        who(self._second)

    def _dial(self):
        client = dial(self._family.address)
        who(client)
        return client

    def during(self):
        if not who(self._first).keep:
            equal(self._first.recv(1), b"", "what follows the last answer")
            self._first.close()
            self._first = self._dial()

    def after(self):
        for client in (self._first, self._second):
            who(client)
            client.close()


class HalfOpen:
    """Has connected and said nothing, or half of something."""

    def __init__(self, family):
        self._family = family
        self._silent, self._half, self._quarter = (dial(family.address) for _ in range(3))
        self._half.sendall(b"wh")
        self._quarter.sendall(b"w")
        with dial(family.address) as last:  # is accepted after these, so they were, and by the old one
            equal(who(last).pid, family.first, "who answers")

    def during(self):
        equal(who(self._half, b"o\n").pid, self._family.first, "who answers")
        self._quarter.sendall(b"h")

    def after(self):
        who(self._quarter, b"o\n")
        who(self._silent)
        for client in (self._silent, self._half, self._quarter):
            client.close()


class SlowUpload:
    """Says what it has to say bit by bit."""

    SIZE = 3000000

    def __init__(self, family):
        self._family = family
        self._client = dial(family.address)
        who(self._client)  # or it could be the new process that accepts it
        self._client.sendall(b"take %d\n" % self.SIZE)
        self._send()

    def _send(self):
        self._client.sendall(bytes(self.SIZE // 3))

    def during(self):
        self._send()

    def after(self):
        self._send()
        equal(who(self._client, b"").pid, self._family.first, "who answers")
        self._client.close()


class Download:
    """Reads a gigabyte, with pauses."""

    SIZE = (1 << 28) if SANITIZE else (1 << 30)

    def __init__(self, family):
        self._family = family
        self._left = self.SIZE
        self._room = memoryview(bytearray(1 << 20))
        self._client = dial(family.address)
        self._client.sendall(b"give %d\n" % self.SIZE)
        self._read(self.SIZE * 2 // 3)

    def _read(self, until):
        while self._left > until:
            size = self._client.recv_into(self._room[:min(len(self._room), self._left - until)])
            check(size > 0, f"cut off, {self._left} bytes are missing")
            self._left -= size

    def during(self):
        self._read(self.SIZE // 3)

    def after(self):
        self._read(0)
        equal(who(self._client, b"").pid, self._family.first, "who answers")
        self._client.close()


class Many:
    """As many connections at once as are told of, each with a question in each phase."""

    def __init__(self, family):
        self._family = family
        self._clients = [dial(family.address) for _ in range(MANY)]
        self._ask()

    def _ask(self):
        for client in self._clients:
            client.sendall(b"who\n")
        kept = []
        for client in self._clients:
            if who(client, b"").keep:
                kept.append(client)
            else:
                client.close()
        self._clients = kept

    def during(self):
        self._ask()

    def after(self):
        self._ask()
        for client in self._clients:
            client.close()


def through(folder, kind, place):
    """While the new process waits there."""
    with Family(folder, env=LIMITS) as family:
        clients = kind(family)
        hold = family.hold(2, place)
        family.hup()
        hold.wait()
        clients.during()
        hold.release()
        new = family.took_over(2)
        clients.after()
        equal(family.ended(family.first), 0, "exit code of the old process")
        family.survives(new, 2)


def through_probation(folder, kind):
    with Family(folder, env=LIMITS, probation=LONG) as family:
        clients = kind(family)
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.serves(new)
        clients.during()
        clients.after()
        family.end(family.next_upgrade(new, 3))


def through_drain(folder, kind):
    with Family(folder, env=LIMITS) as family:
        clients = kind(family)
        family.hup()
        new = family.took_over(2)
        family.wait("msg=STOPPED logger_scope=last")  # and web goes on, for them
        clients.during()
        clients.after()
        equal(family.ended(family.first), 0, "exit code of the old process")
        family.survives(new, 2)


def one_at_a_time(folder, function, *args):
    with ONE_AT_A_TIME:
        function(folder, *args)


for words, kind in {"idle_connection": Idle, "half_open_connection": HalfOpen,
                    "slow_upload": SlowUpload, "download_of_a_gigabyte": Download,
                    "ten_thousand_connections": Many}.items():
    are = "outlive" if kind is Many else "outlives"
    heavy = (one_at_a_time,) if kind in (Many, Download) else ()
    for phase, place in {"hello": "send:HELLO", "handover": "receive:BATCH", "init": "init",
                         "commit": "receive:COMMIT"}.items():
        if phase != "hello" or kind not in (Many, Download):
            cell(suite, f"{words}_{are}_{phase}", *heavy, through, kind, place)
    cell(suite, f"{words}_{are}_probation", *heavy, through_probation, kind)
    cell(suite, f"{words}_{are}_drain", *heavy, through_drain, kind)


suite.main(at_once=4)

# SPDX-License-Identifier: MIT
"""The admin port under attack: clients that say nothing, that say a byte a second, that ask and never
read. Probes are answered all the same, and none of the attackers stays."""
import contextlib
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
from admin import admin_server  # noqa: E402
from admin_attackers import Attack, more_descriptors  # noqa: E402
from endure import SLOW, eventually  # noqa: E402
from stopwatch import starved  # noqa: E402
from support import Suite, ask, check, connect, equal  # noqa: E402

suite = Suite("admin_attack")
HALF_OPEN, DRIPPING = 500, 200
CLOSED_WITHIN = 6.0  # seconds, from the connection
GRACE_MS = 5  # for the head of a request, while there is no room


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def probe(server):
    """How long an answer took, in ms, without what the server and we waited for a processor; None: this
    machine was so busy that nothing was asked in time."""
    waited, began = starved(server.pid), time.monotonic()
    try:
        with contextlib.closing(connect(server.admin)) as connection:
            equal(ask(connection, "GET", "/ready").status, 200)
    except ConnectionError as error:
        lasted = (time.monotonic() - began) * 1e3
        check(lasted >= GRACE_MS, f"a probe was cut after {lasted:.1f} ms: {error}")
        return None
    return (time.monotonic() - began - (starved(server.pid) - waited)) * 1e3


@suite.test
def probes_are_answered_while_silent_and_dripping_clients_come_and_go(folder):
    more_descriptors()
    with admin_server(folder) as server:
        equal(server.get("/ready").status, 200)
        before = rss_kib(server.pid)
        waited = starved(server.pid)
        attack = Attack(server.admin, HALF_OPEN, DRIPPING)
        probes = []
        while attack.left > 0 and len(probes) < 3000:
            probes.append(probe(server))
            threading.Event().wait(0.005)
        left = attack.left
        waited = starved(server.pid) - waited
        attack.stop()
        took = sorted(one for one in probes if one is not None)
        print(f"    {len(took)} probes: median {took[len(took) // 2]:.1f} ms, p99 "
              f"{took[len(took) * 99 // 100]:.1f} ms, slowest {took[-1]:.1f} ms; attackers lasted at "
              f"most {max(attack.lasted):.2f} s; RSS {before} -> {rss_kib(server.pid)} KiB")
        check(len(took) >= len(probes) * 99 // 100, f"{len(probes) - len(took)} of {len(probes)} probes were cut")
        equal(left, 0, "attackers that are still connected")
        check(max(attack.lasted) <= CLOSED_WITHIN + 2 * SLOW + waited, f"one lasted {max(attack.lasted):.1f} s")
        check(took[len(took) * 95 // 100] <= 200 * SLOW, f"probes take {took[-1]:.0f} ms")
        equal(server.stop(), 0, "exit code")


@suite.test
def who_asks_and_never_reads_is_let_go(folder):
    with admin_server(folder, {"SRUN_STOP_TIMEOUT": "10s"}) as server:
        host, port = server.admin.rsplit(":", 1)
        clients = []
        for _ in range(8):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            client.sendall(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            clients.append(client)
        equal(server.get("/ready").status, 200)
        equal(server.stop(), 0, "exit code: nobody holds up the stop")
        for client in clients:
            client.close()


@suite.test
def more_connections_than_there_is_room_for_push_out_the_idle_ones(folder):
    more_descriptors()
    with admin_server(folder) as server:
        with contextlib.ExitStack() as stack:
            idle = []
            for _ in range(100):
                connection = stack.enter_context(contextlib.closing(connect(server.admin)))
                equal(ask(connection, "GET", "/health").status, 200)
                idle.append(connection)
            equal(server.get("/ready").status, 200)

            def closed():
                gone = 0
                for connection in idle:
                    connection.sock.setblocking(False)
                    with contextlib.suppress(BlockingIOError, OSError):
                        gone += connection.sock.recv(1, socket.MSG_PEEK) == b""
                return gone
            eventually(lambda: closed() >= 36, "the oldest ones closed")
        equal(server.stop(), 0, "exit code")


suite.main()

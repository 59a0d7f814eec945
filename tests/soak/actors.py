# SPDX-License-Identifier: MIT
"""Who does what to the program during a soak: each in a thread of its own, again and again, until it
is told to end. What went wrong is kept; how often what happened is counted."""
import collections
import contextlib
import http.client
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

from admin_attackers import Attack
from support import BUILD_DIR, Process, ask, connect, held_port, program

ENOUGH = 20  # of what went wrong is kept; the rest is counted
LOADGEN = os.path.join(BUILD_DIR, "tests", "load", "loadgen")
PROFILES = ("profile?seconds=1", "goroutine", "threads?debug=2", "heap", "mutex", "profile?seconds=1&hz=250",
            "trace?seconds=1")


class Actor:
    """Does turn() until it is told to end."""

    name = "nobody"

    def __init__(self):
        self.did, self.wrong = collections.Counter(), []
        self.random = random.Random(self.name)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def turn(self):
        raise NotImplementedError

    def blame(self, text):
        self.did["wrong"] += 1
        if len(self.wrong) < ENOUGH:
            self.wrong.append(f"{time.strftime('%T')} {text}")

    def pause(self, seconds):
        """The pace of the load: true when it is time to end."""
        return self._ending.wait(seconds)

    @property
    def ending(self):
        return self._ending.is_set()

    def _run(self):
        while not self.ending:
            try:
                self.turn()
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.blame(repr(error))
                self.pause(0.1)

    def end(self):
        self._ending.set()
        self._thread.join(120)
        if self._thread.is_alive():
            self.blame("it hangs")

    def __str__(self):
        counted = " ".join(f"{key}={count}" for key, count in sorted(self.did.items()))
        return f"{self.name}: {counted or 'nothing'}"


class Asker(Actor):
    """Asks with limits: an answer that is late or of the wrong kind is wrong."""

    LIMIT = 30

    def ask(self, address, method, path, allowed, body=None, headers=None):
        with contextlib.closing(connect(address, self.LIMIT)) as connection:
            response = ask(connection, method, path, body, headers)
        self.did[str(response.status)] += 1
        if response.status not in allowed:
            self.blame(f"{method} {path}: {response.status} {response.body[:100]}")
        return response


class Writer(Asker):
    """Items come and go: the store is nearly full, then empty again, and its health follows."""

    name = "writer"
    ITEMS = 20

    def __init__(self, address):
        super().__init__()
        self.address = address

    def turn(self):
        for i in range(self.ITEMS):
            self.ask(self.address, "PUT", f"/items/{i}", (200, 201, 204, 507), b"x" * self.random.randrange(4096))
            if self.pause(0.02):
                return
        self.pause(0.5)
        for i in range(self.ITEMS):
            self.ask(self.address, "DELETE", f"/items/{i}", (200, 204, 404))


class Slow(Asker):
    """Requests that are under way when the next generation comes."""

    name = "slow requests"

    def __init__(self, address):
        super().__init__()
        self.address = address

    def turn(self):
        self.ask(self.address, "GET", f"/slow?ms={self.random.randrange(50, 1500)}", (200,))


class Streams(Asker):
    """Answers of several MiB, whole."""

    name = "streams"

    def __init__(self, address):
        super().__init__()
        self.address = address

    def turn(self):
        wanted = self.random.randrange(1, 9)
        got = len(self.ask(self.address, "GET", f"/stream?mb={wanted}", (200,)).body)
        if got != wanted << 20:
            self.blame(f"{got} bytes of {wanted} MiB")
        self.pause(0.2)


class Relayed(Asker):
    """What the server has to ask its upstream for, which comes and goes."""

    name = "relayed requests"

    def __init__(self, address):
        super().__init__()
        self.address = address

    def turn(self):
        self.ask(self.address, "GET", "/items/elsewhere", (404, 502, 504))
        self.pause(0.05)


class Prober(Asker):
    """A scraper and a prober, through all upgrades."""

    name = "probes"

    def __init__(self, admin):
        super().__init__()
        self.admin = admin

    def turn(self):
        self.ask(self.admin, "GET", "/health", (200,))
        self.ask(self.admin, "GET", "/ready", (200, 503))
        metrics = self.ask(self.admin, "GET", "/metrics", (200,))
        if b"srun_" not in metrics.body:
            self.blame("/metrics without metrics")
        page = self.ask(self.admin, "GET", "/status.json", (200,))
        json.loads(page.body)
        self.pause(0.2)


class Profiler(Asker):
    """As collectors of profiles do. The program may be busy with others', or end meanwhile."""

    name = "profiles"

    def __init__(self, admin):
        super().__init__()
        self.admin = admin

    def turn(self):
        path = "/debug/pprof/" + self.random.choice(PROFILES)
        self.ask(self.admin, "GET", path, (200, 429, 501, 503))


class Attacker(Actor):
    """Half heads, dripping clients, and garbage."""

    name = "attackers"
    GARBAGE = (b"\x16\x03\x01\x02\x00\x01", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
               b"POST /admin/stop HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"A" * 70000)

    def __init__(self, admin):
        super().__init__()
        self.admin = admin

    def turn(self):
        attack = Attack(self.admin, 30, 15)  # fewer than there is room for: nobody has to go for them
        self.did["attack"] += 1
        for data in self.GARBAGE:
            host, port = self.admin.rsplit(":", 1)
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 5) as client:
                client.sendall(data)
                client.recv(4096)
            self.did["garbage"] += 1
        self.pause(6)
        attack.stop()


class Collector(Actor):
    """An OTLP receiver that is there, is not, fails, and is slow."""

    name = "collector"

    def __init__(self):
        super().__init__()
        self._held = held_port()
        self.port = self._held.getsockname()[1]
        self.mood = "there"

    def _handler(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.did[outer.mood] += 1
                if outer.mood == "slow":
                    outer.pause(2)
                self.send_response(503 if outer.mood == "failing" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler

    def turn(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # a program that ends resets its connection
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for self.mood in ("there", "failing", "slow"):
            self.pause(3)
        server.shutdown()
        server.server_close()
        thread.join()
        self.did["down"] += 1
        self.pause(3)


class Upstream(Actor):
    """Another server of the kind, on which requests depend: it ends, is killed, hangs."""

    name = "upstream"

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self._held = held_port()
        self.address = "127.0.0.1:%d" % self._held.getsockname()[1]

    def turn(self):
        with Process([program("http"), "--http.address=" + self.address], self.folder) as server:
            server.wait_for("msg=started ")
            self.pause(2)
            server.signal(signal.SIGSTOP)
            self.pause(3)
            server.signal(signal.SIGCONT)
            self.pause(1)
            how = self.random.choice((signal.SIGTERM, signal.SIGKILL))
            server.signal(how)
            server.finish()
            self.did[signal.Signals(how).name] += 1
        self.pause(2)


class Database(Actor):
    """A PostgreSQL that stops, freezes and is back."""

    name = "database"

    def __init__(self, postgres):
        super().__init__()
        self.postgres = postgres

    def turn(self):
        if self.pause(4):
            return
        self.postgres.stop()
        self.did["stopped"] += 1
        self.pause(2)
        self.postgres.start()
        self.pause(4)
        with self.postgres.frozen():
            self.did["frozen"] += 1
            self.pause(3)

    def end(self):
        """It is there again; a server ends with the thread that started it, so this one starts it."""
        super().end()
        self.postgres.stop()
        self.postgres.start()


class Payer(Asker):
    """Transfers, each asked for again until it is booked; refused ones say so at once."""

    name = "payments"

    def __init__(self, address):
        super().__init__()
        self.address = address
        self.number = 0

    def turn(self):
        self.number += 1
        path = f"/transfers/soak{self.number}?from=bank&to=a{self.random.randrange(9)}&cents=1"
        while not self.ending and self.ask(self.address, "PUT", path, (200, 201, 503, 504)).status > 201:
            self.pause(0.2)


class Load(Actor):
    """loadgen, from now to the end: no request may be lost."""

    def __init__(self, address, mode, rate, seconds):
        self.name = f"load, {mode}"
        super().__init__()
        self._process = subprocess.Popen(
            [LOADGEN, "--address=" + address, f"--mode={mode}", "--clients=16", f"--rate={rate}",
             f"--seconds={seconds + 600}", "--timeout=30", "--json"], stdout=subprocess.PIPE, text=True)

    def turn(self):
        if self._process.poll() is not None:
            self.blame(f"it ended: {self._process.returncode}")
        self.pause(1)

    def end(self):
        super().end()
        self._process.send_signal(signal.SIGTERM)
        report = json.loads(self._process.communicate(timeout=60)[0].splitlines()[-1])
        self.did.update(answers=report["answers"], lost=report["lost"])
        if report["lost"] > 0 or report["answers"] == 0:
            self.blame(str(report))

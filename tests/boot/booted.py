# SPDX-License-Identifier: MIT
"""The http example as a unit of the systemd that runs here, and the journal.

    with unit() as http:
        http.systemctl("reload")
        equal(http.show("NRestarts"), "0")
"""
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from endure import eventually  # noqa: E402
from support import LIMIT, Load, ask, connect, equal  # noqa: E402

VERSION = int(os.environ["SYSTEMD"])
RELOADS = VERSION >= 253  # systemctl reload waits for the upgrade
NAME = "srun-http.service"
SOCKET = "srun-http.socket"
ADDRESS = "127.0.0.1:8080"
PROGRAM = "/usr/local/bin/srun-http"
DROP_IN = f"/run/systemd/system/{NAME}.d/test.conf"


def run(*argv, limit=LIMIT):
    """The output of a command that has to succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=limit, check=False)
    equal(done.returncode, 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


class Unit:
    """A unit of systemd, and where its part of the journal begins."""

    def __init__(self, name=NAME):
        self.name = name
        # Show prints what it has not shown; the newest entry may be of another unit.
        self.cursor = run("journalctl", "-n", "0", "--show-cursor").rpartition("cursor: ")[2].strip()

    def systemctl(self, verb):
        return run("systemctl", verb, self.name)

    def show(self, name):
        return run("systemctl", "show", "-P", name, self.name).strip()

    @property
    def pid(self):
        return int(self.show("MainPID"))

    def entries(self, *matches):
        """What this unit has told since, oldest first."""
        text = run("journalctl", "-u", self.name, "-o", "json", "--all", "--no-pager",
                   "--after-cursor", self.cursor, *matches)
        return [json.loads(line) for line in text.splitlines()]

    def wait_entry(self, message, **fields):
        """The first entry with this message, and these fields."""
        def found():
            for entry in self.entries():
                if entry.get("MESSAGE") == message and all(
                        entry.get(key) == value for key, value in fields.items()):
                    return entry
            return None
        return eventually(found, f"an entry {message!r} {fields}")

    def wait(self, name, value):
        eventually(lambda: self.show(name) == value, f"{name}={value}")


@contextlib.contextmanager
def unit(*settings, socket=False):
    """The unit, started, with these settings of [Service] beside those of the file; or its socket
    alone. Stopped and as it was at the end."""
    os.makedirs(os.path.dirname(DROP_IN), exist_ok=True)
    with open(DROP_IN, "w", encoding="ascii") as file:
        file.write("\n".join(["[Service]", *settings]) + "\n")
    kept = PROGRAM + ".kept"
    shutil.copy2(PROGRAM, kept)
    run("systemctl", "daemon-reload")
    served = Unit()
    try:
        run("systemctl", "start", SOCKET if socket else NAME)
        yield served
    except Exception:
        print(run("systemctl", "status", "--no-pager", "-l", "-n", "40", NAME) if
              served.show("ActiveState") == "active" else served.show("Result"))
        raise
    finally:
        for name in (SOCKET, NAME):
            subprocess.run(["systemctl", "stop", name], check=False, timeout=LIMIT)
            subprocess.run(["systemctl", "reset-failed", name], check=False, timeout=LIMIT,
                           capture_output=True)
        os.replace(kept, PROGRAM)
        os.unlink(DROP_IN)
        run("systemctl", "daemon-reload")


def put(path):
    """Another file takes the place of the program, at once, as a package would do it."""
    shutil.copy2(path, PROGRAM + ".new")
    os.replace(PROGRAM + ".new", PROGRAM)


def get(path="/"):
    """Asked once: no second try."""
    connection = connect(ADDRESS)
    with contextlib.closing(connection):
        return ask(connection, "GET", path)


class Strict(Load):
    """Clients for whom a refused connection is a loss too."""

    def __init__(self, clients=8):
        self.before = time.monotonic()
        super().__init__(ADDRESS, clients)

    def dial(self):
        connection = super().dial()
        plain = connection.connect

        def dialled():
            try:
                plain()
            except (OSError, http.client.HTTPException) as error:
                self.cut.append(f"connect: {error!r}")
                raise
        connection.connect = dialled
        return connection

    def more(self, answers=200):
        self.wait(self.answered + answers)

    def end(self):
        self.stop()
        print(f"    {self.answered} answers, {len(self.cut)} lost, generations {dict(self.generations)}")
        equal(self.cut, [], "lost")
        equal(set(self.statuses), {200}, "answers")

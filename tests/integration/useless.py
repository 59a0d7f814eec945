# SPDX-License-Identifier: MIT
"""Receivers of no use to who sends to them, and how long a program takes to end all the same.

    with black_hole() as endpoint:
        end = ending(folder, "http", endpoint, ["TRACE", "METRIC"])
        end.seconds, end.records
"""
import collections
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys

from stopwatch import Stopwatch
from support import BUILD_DIR, Process, equal, program, run

LOAD = os.path.join(BUILD_DIR, "tests", "integration", "telemetry_load")
NAMELESS = "http://collector.invalid.example:4318"
Ending = collections.namedtuple("Ending", "seconds records")


@contextlib.contextmanager
def black_hole():
    """An endpoint whose packets are dropped: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as full:
        for _ in range(4):
            one = full.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def hanging():
    """An endpoint that takes connections, and never reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


# Keeps the port of name servers, and says nothing; what stands behind it takes its place.
SILENT = """import os, socket, sys
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port.bind(("127.0.0.1", 53))
port.set_inheritable(True)
os.execv(sys.argv[1], sys.argv[1:])
"""


def nameless(folder):
    """Words before a command: it runs where no name server answers. None where that cannot be made."""
    inside = subprocess.run(["unshare", "-mn", "true"], capture_output=True, check=False)
    if inside.returncode != 0 or not shutil.which("ip"):
        return None
    resolv, order = os.path.join(folder, "resolv.conf"), os.path.join(folder, "nsswitch.conf")
    with open(resolv, "w", encoding="ascii") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:5 attempts:5\n")
    with open(order, "w", encoding="ascii") as file:
        file.write("hosts: dns\n")
    script = (f"ip link set lo up && mount --bind {resolv} /etc/resolv.conf && "
              f"mount --bind {order} /etc/nsswitch.conf && exec \"$@\"")
    return ["unshare", "-mn", "sh", "-c", script, "sh", sys.executable, "-c", SILENT]


def offered():
    """The kinds of telemetry that programs can send."""
    told = run([program("hello"), "--help"], os.path.dirname(LOAD))[1]
    return [kind for kind in ("TRACE", "METRIC", "LOG") if f"SRUN_OTEL_{kind}_EXPORTER" in told]


def exporters(protocol, endpoint, kinds):
    """The environment in which a program sends these kinds there."""
    env = {}
    for kind in kinds:
        env[f"SRUN_OTEL_{kind}_EXPORTER"] = protocol
        env[f"SRUN_OTEL_{kind}_EXPORTER_ENDPOINT"] = endpoint
    return env


def ending(folder, protocol, endpoint, kinds, before=()):
    """Runs a program with a thousand spans to send, and tells it to stop: how long that takes."""
    with Process([*before, LOAD, "--spans=1000", "--threads=2"], folder, exporters(protocol, endpoint, kinds)) as load:
        load.wait_for("all spans have ended")
        with Stopwatch(load.pid) as watch:
            load.signal(signal.SIGTERM)
            code = load.finish()
        equal(code, 0, "exit code")
        return Ending(watch.seconds, load.records)

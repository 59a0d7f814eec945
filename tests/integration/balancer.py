# SPDX-License-Identifier: MIT
"""A HAProxy before several programs, with the configuration of deploy/haproxy."""
import contextlib
import os
import re
import shutil
import signal
import socket

from endure import eventually
from support import LIMIT, SOURCE_DIR, Process, check

HAPROXY = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
CONFIGURATION = os.path.join(SOURCE_DIR, "deploy", "haproxy", "haproxy.cfg")


def fitted(folder, servers, stats):
    """The configuration with addresses of ours, and checks that come ten times as often."""
    with open(CONFIGURATION, encoding="utf-8") as file:
        text = file.read()

    def change(pattern, put):
        nonlocal text
        text, count = re.subn(pattern, lambda _: put, text, flags=re.M)
        check(count > 0, f"nothing matches {pattern!r} in {CONFIGURATION}")
    lines = []
    for i, server in enumerate(servers):
        port = server.admin.rsplit(":", 1)[1]
        lines.append(f"    server s{i} {server.address('http')} check port {port}")
    change(r"^global$", f"global\n    stats socket {stats} level admin")
    change(r"maxconn \d+", "maxconn 512")
    change(r"bind \S+", f"bind unix@{os.path.join(folder, 'front.sock')}")
    change(r"inter 1s fastinter 500ms downinter 1s", "inter 100ms fastinter 50ms downinter 50ms")
    change(r"timeout check \S+", "timeout check 10s")
    change(r"(?:^    server .*\n)+", "\n".join(lines) + "\n")
    return text


class Balancer(Process):
    """Asks the admin ports of the programs whether they are ready; serves on front.sock."""

    def __init__(self, folder, servers):
        self.stats = os.path.join(folder, "haproxy.sock")
        path = os.path.join(folder, "haproxy.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.write(fitted(folder, servers, self.stats))
        super().__init__([HAPROXY, "-db", "-f", path], folder)
        eventually(lambda: self.command("show info"), "HAProxy")

    def command(self, text):
        """A line to the stats socket; what it answers."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT)
            connection.connect(self.stats)
            connection.sendall(text.encode() + b"\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer.decode()
        return ""

    def status(self, name):
        """UP, DOWN, ... of a server."""
        for line in self.command("show stat").splitlines():
            words = line.split(",")
            if words[0] == "srun-http" and words[1] == name:
                return words[17]
        return ""

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.finish()

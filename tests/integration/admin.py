# SPDX-License-Identifier: MIT
"""A program with its admin port, and who asks there.

    with admin_server(folder) as server:
        equal(server.get("/ready").status, 200)
        equal(server.post("/admin/drain").status, 200)      # over the unix socket
"""
import contextlib
import json
import os
import socket

from endure import Server
from support import LIMIT, Response, UnixConnection, ask, connect, program

PATIENT = {"SRUN_STOP_TIMEOUT": "10m", "SRUN_GRACEFUL_TIMEOUT": "20m"}


class AdminServer(Server):
    """A program that is upgraded, with an admin port."""

    def __init__(self, argv, folder, env=None, probation="0s"):
        self.socket = os.path.join(folder, "admin.sock")
        self.address_tcp = None
        super().__init__(argv, folder, {
            **PATIENT, "SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "127.0.0.1:0",
            "SRUN_ADMIN_SOCKET": self.socket, **(env or {})}, probation)

    @property
    def admin(self):
        """IP:PORT of the admin port."""
        if self.address_tcp is None:
            self.address_tcp = self.address("srun.admin")
        return self.address_tcp

    def get(self, path, headers=None):
        """Over TCP, on a connection of its own."""
        with contextlib.closing(connect(self.admin)) as connection:
            return ask(connection, "GET", path, headers=headers)

    def json(self, path):
        """The same as JSON."""
        return json.loads(self.get(path, {"Accept": "application/json"}).body)

    def unix(self, method, path, headers=None, body=None):
        """Over the unix socket."""
        with contextlib.closing(UnixConnection(self.socket)) as connection:
            return ask(connection, method, path, body, headers)

    def post(self, path, headers=None):
        """A write, as srunctl does it."""
        return self.unix("POST", path, {"X-Srun-Admin": "1", **(headers or {})})


def admin_server(folder, env=None, flags=(), probation="0s"):
    """The http example."""
    return AdminServer([program("http"), "--http.address=127.0.0.1:0", *flags], folder, env,
                       probation)


def raw(address, data, limit=LIMIT):
    """Sends bytes as they are; what comes back until the other side closes, as a Response. No bytes:
    status 0."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=limit) as connection:
        connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
    return Response(status, dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line),
                    body)

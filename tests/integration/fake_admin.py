# SPDX-License-Identifier: MIT
"""An admin port that answers by a script: what srunctl does with each answer is seen without a
program behind it.

    with Fake(path) as fake:
        fake.routes["GET /readyz"] = [(503, "starting"), (200, "OK")]   # one after the other, the
        fake.requests                                                   # last one again and again
An answer is (status, text), bytes that are sent as they are, or a function of (connection, text of
the request) that sends whatever it wants.
"""
import contextlib
import os
import socket
import threading

from support import LIMIT, check

STATUS = ('{"v":1,"name":"ledger","version":"1.2.3","libsrun":"0.1.0","pid":%d,"generation":3,'
          '"state":"running","ready":true,"not_ready":null,"live":true,"overall":"healthy",'
          '"not_healthy":null,"started_ms":1000,"now_ms":3724000,"log_level":"debug",'
          '"log_level_reverts_in_ms":59000,"services":[{"name":"db","state":"RUNNING"}]}\n')
SERVICES = "NAME  STATE    HEALTH\ndb    RUNNING  healthy\nhttp  RUNNING  unhealthy\n"
METRICS = ("# HELP process_cpu_seconds_total seconds\n# TYPE process_cpu_seconds_total counter\n"
           "process_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 4194304\n"
           "process_open_fds 12\nprocess_threads 5\nprocess_start_time_seconds 1000\n"
           'srun_service_state{service="db",state="RUNNING"} 1\n'
           'srun_service_state{service="http",state="RUNNING"} 1\n')


def http(status, text, headers=""):
    body = text.encode()
    return (f"HTTP/1.1 {status} Text\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
            + body)


class Fake:
    """On a unix socket, or on a free port of 127.0.0.1 when path is None; tls: an SSLContext."""

    def __init__(self, path=None, tls=None):
        self.requests = []
        self.tls = tls
        self.routes = {
            "GET /build": (200, '{"v":1,"libsrun":"0.1.0"}\n'),
            "GET /status.json": (200, STATUS % os.getpid()),
            "GET /services": (200, SERVICES),
            "GET /metrics": (200, METRICS),
        }
        self.threads = []
        self.path = path
        if path is None:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
            self.socket.listen(16)
        self.open = True
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()
        for thread in self.threads:
            thread.join(LIMIT)
            check(not thread.is_alive(), "the fake still answers somebody")

    def close(self):
        """As a program that ends: nobody listens any more, the path stays."""
        if self.open:
            self.open = False
            self.socket.shutdown(socket.SHUT_RDWR)
            self.acceptor.join(LIMIT)
            self.socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _answer(self, key):
        answer = self.routes.get(key, (404, f"no such page: {key}\n"))
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    def _serve(self, connection):
        with contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            try:
                if self.tls is not None:
                    connection = stack.enter_context(
                        self.tls.wrap_socket(connection, server_side=True))
                text = b""
                while b"\r\n\r\n" not in text:
                    more = connection.recv(65536)
                    if not more:
                        return
                    text += more
                text = text.decode()
                self.requests.append(text)
                answer = self._answer(text.split(" HTTP/")[0].split("?")[0])
                if callable(answer):
                    answer(connection, text)
                else:
                    connection.sendall(answer if isinstance(answer, bytes) else http(*answer))
            except OSError:
                pass  # srunctl had enough

    def lines(self):
        """The request lines so far."""
        return [text.partition("\r\n")[0] for text in self.requests]

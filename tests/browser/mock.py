# SPDX-License-Identifier: MIT
"""An admin port that plays: it serves the page as the library composed and rendered it, and says
that the program is in whatever state a test asks for.

    with Mock() as mock:
        mock.state = "unhealthy"
        ... mock.url ...
        mock.posts          what was asked of it: (path, headers)

As a program it serves until Ctrl-C: mock.py [STATE]; ?state=NAME at /play changes the state.
"""
import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
sys.dont_write_bytecode = True
from states import status  # noqa: E402
from support import BUILD_DIR, held_port  # noqa: E402

SAMPLE = os.path.join(BUILD_DIR, "tests", "browser", "page_sample")
TOKEN = "open-sesame"


def sample(services=10):
    """(policy, page) as the library makes them for a program of so many services."""
    done = subprocess.run([SAMPLE, str(services)], capture_output=True, check=True)
    policy, _, page = done.stdout.partition(b"\n")
    return policy.decode(), page


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def setup(self):
        super().setup()
        self.server.connections.append(self.connection)

    def answer(self, code, kind, body, **headers):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        mock, url = self.server.mock, urllib.parse.urlsplit(self.path)
        if url.path == "/":
            self.answer(200, "text/html; charset=utf-8", mock.page,
                        Content_Security_Policy=mock.policy)
        elif url.path == "/play":
            mock.state = urllib.parse.parse_qs(url.query)["state"][0]
            self.answer(200, "text/plain", b"ok\n")
        elif url.path == "/status.json":
            given = self.headers.get("Authorization")
            if given not in (None, "Bearer " + TOKEN):
                self.answer(401, "text/plain", b"unauthorized\n")
                return
            mock.asked += 1
            if mock.broken is not None:
                self.answer(200, "application/json", mock.broken)
                return
            shown = status(mock.state, int(time.time() * 1000))
            if given:
                shown["right"] = "write"
            self.answer(200, "application/json", json.dumps({**shown, **mock.also}).encode())
        else:
            self.answer(404, "text/plain", b"not found\n")

    def do_POST(self):
        mock = self.server.mock
        mock.posts.append((self.path, dict(self.headers)))
        if mock.refuse:
            self.answer(409, "text/plain", mock.refuse.encode())
            return
        mock.state = mock.after.get(self.path, mock.state)
        self.answer(200, "text/plain", f"did {self.path}\n".encode())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments):  # a client that goes away is no error
        pass


class Mock:
    def __init__(self, state="healthy", port=0):
        self.state, self.also, self.asked, self.posts = state, {}, 0, []
        self.after, self.refuse, self.broken = {}, "", None
        self.policy, self.page = sample()
        self._held = held_port() if port == 0 else None  # nobody else gets it while we are away
        self._open(self._held.getsockname()[1] if self._held else port)

    def _open(self, port):
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.mock, self._server.connections = self, []
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,),
                                        daemon=True)
        self._thread.start()
        self.port = self._server.server_address[1]

    def go_away(self):
        """Nobody listens any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self._server.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def come_back(self):
        self._open(self.port)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.go_away()
        if self._held:
            self._held.close()
        return False


if __name__ == "__main__":
    with Mock(*sys.argv[1:2], port=8799) as running:
        print(running.url, flush=True)
        threading.Event().wait()

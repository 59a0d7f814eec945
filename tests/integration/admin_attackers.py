# SPDX-License-Identifier: MIT
"""Clients that mean harm: some say nothing at all, some a byte a second. For suites and benchmarks."""
import contextlib
import resource
import selectors
import socket
import threading
import time

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Padding: " + b"x" * 500 + b"\r\n\r\n"


def more_descriptors(wanted=2048):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


class Attack:
    """All at once: half-open clients, and clients that drip. Counts how long each one lasts."""

    def __init__(self, address, half_open, dripping):
        host, port = address.rsplit(":", 1)
        self.lasted, self.left = [], half_open + dripping
        self._target = (host, int(port))
        self._counts = half_open, dripping
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        selector = selectors.DefaultSelector()
        half_open, dripping = self._counts
        drips = []
        for i in range(half_open + dripping):
            client = socket.socket()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(self._target)
            selector.register(client, selectors.EVENT_READ, time.monotonic())
            if i >= half_open:
                drips.append(client)
        sent, next_drip = 0, time.monotonic() + 0.5
        while self.left > 0 and not self._stopping:
            for key, _ in selector.select(0.05):
                with contextlib.suppress(OSError):
                    if key.fileobj.recv(4096) != b"":
                        continue  # told why; the end follows
                self.lasted.append(time.monotonic() - key.data)
                self.left -= 1
                selector.unregister(key.fileobj)
                key.fileobj.close()
            if time.monotonic() >= next_drip:
                next_drip += 1
                for client in drips:
                    with contextlib.suppress(OSError):
                        client.send(HEAD[sent:sent + 1])
                sent += 1
        for key in list(selector.get_map().values()):
            key.fileobj.close()
        selector.close()

    def stop(self):
        self._stopping = True
        self._thread.join(60)

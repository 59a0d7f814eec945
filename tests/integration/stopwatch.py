# SPDX-License-Identifier: MIT
"""How long a process takes to its end, whatever else the machine has to do meanwhile.

    with Stopwatch(server.pid) as watch:
        server.signal(signal.SIGTERM)
        server.finish()
    check(watch.seconds < 4, "two seconds for all kinds")

What its threads, and ours, waited for a processor does not count, as far as the kernel tells it.
"""
import contextlib
import os
import threading
import time


def _waited(path):
    """Nanoseconds that a thread wanted a processor and had none; 0 when it has gone."""
    with contextlib.suppress(OSError, IndexError):
        with open(path, encoding="ascii") as file:
            return int(file.read().split()[1])
    return 0


def starved(pid):
    """Seconds that the threads of a process, and the one that asks, have waited for a processor so far."""
    waited = _waited("/proc/thread-self/schedstat")
    with contextlib.suppress(OSError):
        waited += sum(_waited(f"/proc/{pid}/task/{task}/schedstat") for task in os.listdir(f"/proc/{pid}/task"))
    return waited / 1e9


class Stopwatch:
    """Reads now and then until the process has ended: what it waited last is not told afterwards."""

    def __init__(self, pid):
        self.seconds = self.starved = 0.0
        self._folder, self._waits, self._ended = f"/proc/{pid}/task", {}, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _look(self):
        with contextlib.suppress(OSError):
            for task in os.listdir(self._folder):
                path = os.path.join(self._folder, task, "schedstat")
                self._waits[task] = max(self._waits.get(task, 0), _waited(path))

    def _watch(self):
        while not self._ended.wait(0.01):
            self._look()

    def __enter__(self):
        self._look()
        self._before = sum(self._waits.values()) + _waited("/proc/thread-self/schedstat")
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_):
        took = time.monotonic() - self._begun
        self._ended.set()
        self._thread.join()
        self.starved = (sum(self._waits.values()) + _waited("/proc/thread-self/schedstat") - self._before) / 1e9
        self.seconds = took - self.starved

# SPDX-License-Identifier: MIT
"""What a service manager is told, on a socket of the test's own."""
import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
import uuid

sys.dont_write_bytecode = True
from scripted import (STEADY, ends, ms, only, open_gate, script, states, stop, stops,
                      with_message)  # noqa: E402
from support import LIMIT, Suite, check, equal  # noqa: E402

suite = Suite("systemd")


class Manager:
    """A socket as NOTIFY_SOCKET names it; keeps each message with the time at which it came."""

    def __init__(self, folder, abstract=False):
        if abstract:
            name = "srun-test-" + uuid.uuid4().hex
            self.address, bound = "@" + name, "\0" + name
        else:
            self.address = bound = os.path.join(folder, "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(bound)
        self._more = threading.Condition()
        self._got = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            text = self._socket.recv(65536)
            if not text:
                return
            with self._more:
                self._got.append((time.monotonic(), text.decode()))
                self._more.notify_all()

    def close(self):
        """Ends the reader; what was sent before is there then."""
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join(LIMIT)
        self._socket.close()

    @property
    def messages(self):
        with self._more:
            return [text for _, text in self._got]

    @property
    def times(self):
        """Of each ping of the watchdog."""
        with self._more:
            return [at for at, text in self._got if text == "WATCHDOG=1"]

    def wait_for(self, pattern, count=1):
        """Until that many messages match."""
        regex = re.compile(pattern)
        with self._more:
            check(self._more.wait_for(
                lambda: sum(1 for _, text in self._got if regex.search(text)) >= count, LIMIT),
                f"not {count} times {pattern!r} in {LIMIT:g} s: {[t for _, t in self._got]}")

    def index(self, pattern):
        """Where the one message that matches stands."""
        found = [number for number, text in enumerate(self.messages) if re.search(pattern, text)]
        equal(len(found), 1, f"how often {pattern!r} was told: {self.messages}")
        return found[0]


@contextlib.contextmanager
def managed(folder, *services, abstract=False, **env):
    """The manager and the program it watches."""
    manager = Manager(folder, abstract)
    try:
        with script(folder, *services, NOTIFY_SOCKET=manager.address, **env) as process:
            yield manager, process
    finally:
        manager.close()


def told_of_a_life(folder, abstract):
    with managed(folder, f"a {STEADY}", "b run=block ready=if:go", abstract=abstract
                 ) as (manager, process):
        manager.wait_for(r"^STATUS=starting b \(2 of 2\)", 2)
        process.wait_for("msg=enter logger_scope=b phase=run")
        equal([text for text in manager.messages if "READY=1" in text], [], "ready too early")
        open_gate(folder, "go")
        manager.wait_for("^READY=1$|^READY=1\n")
        process.wait_for("msg=RUNNING logger_scope=b")
        stop(process)
        manager.wait_for("^STATUS=stopping a")
    ready, stopping = manager.index(r"^READY=1\b"), manager.index(r"^STOPPING=1\b")
    check(ready < stopping, "order")
    equal([text for text in manager.messages[stopping:] if "READY=1" in text], [])
    reason, *steps = manager.messages[stopping + 1:]
    check(reason.startswith("STATUS=stopping: SIGTERM"), reason)
    equal(steps, ["STATUS=stopping b", "STATUS=stopping a"], "what comes after STOPPING=1")


@suite.test
def ready_is_told_after_the_last_service_and_stopping_first(folder):
    told_of_a_life(folder, abstract=False)


@suite.test
def an_abstract_socket_is_told_the_same(folder):
    told_of_a_life(folder, abstract=True)


@suite.test
def the_status_says_what_is_being_started(folder):
    with managed(folder, f"db init=gate:go {STEADY}", f"web {STEADY}") as (manager, process):
        manager.wait_for(r"^STATUS=starting db \(1 of 2\)$")
        open_gate(folder, "go")
        stop(process)
    statuses = [text for text in manager.messages if text.startswith("STATUS=starting")]
    equal(statuses, ["STATUS=starting db (1 of 2)", "STATUS=starting web (2 of 2)"] * 2)


@suite.test
def the_status_is_running_again_after_a_restart(folder):
    with managed(folder, f"a {STEADY}", "b run=ready,running,gate:go,fails:1,block "
                 "restart=on-failure backoff=1ms") as (manager, process):
        manager.wait_for("^STATUS=running$")
        open_gate(folder, "go")
        manager.wait_for("^STATUS=running$", 2)
        stop(process)
    first = manager.index("^READY=1$")
    told = manager.messages[first + 1:manager.index("^STOPPING=1$")]
    equal(told, ["STATUS=running", "STATUS=stopping b", "STATUS=starting b (2 of 2)",
                 "STATUS=running"])


@suite.test
def a_start_that_fails_is_never_told_to_be_ready(folder):
    with managed(folder, f"a {STEADY}", "b run=fail:port_in_use") as (manager, process):
        ends(process, 1, "service_error")
    equal([text for text in manager.messages if "READY=1" in text], [])
    check("port_in_use" in manager.messages[manager.index("^STOPPING=1") + 1], "why it stops")


@suite.test
def a_drain_is_told_as_stopping(folder):
    with managed(folder, f"a {STEADY}", SRUN_DRAIN_TIMEOUT="100ms") as (manager, process):
        stop(process)
    text = manager.messages[manager.index("^STOPPING=1") + 1]
    check(text.startswith("STATUS=draining"), text)


@suite.test
def an_extension_is_told_in_microseconds(folder):
    with managed(folder, f"a init=extend:90s {STEADY} stop=extend:2m") as (manager, process):
        stop(process)
    check(manager.index("^EXTEND_TIMEOUT_USEC=90000000$") < manager.index("^READY=1"), "order")
    check(manager.index("^EXTEND_TIMEOUT_USEC=120000000$") > manager.index("^STOPPING=1"), "order")


@suite.test
def a_stuck_service_is_named_in_the_status(folder):
    with managed(folder, f"a {STEADY} stop=hang:sleep", SRUN_STOP_TIMEOUT=ms(800),
                 SRUN_STUCK_GRACE="50ms") as (manager, process):
        stop(process, 4)
        manager.wait_for("^STATUS=a is stuck in stop$")


@suite.test
def the_watchdog_is_fed_twice_per_interval(folder):
    with managed(folder, f"a {STEADY}", WATCHDOG_USEC="600000") as (manager, process):
        manager.wait_for("^WATCHDOG=1$", 12)
        stop(process)
    times = manager.times
    best = min(late - early for early, late in zip(times, times[4:]))
    check(best <= 4 * 0.3, f"four pings took {best:g} s at best")


@suite.test
def the_watchdog_is_fed_during_a_long_start(folder):
    with managed(folder, f"a init=gate:go {STEADY}", WATCHDOG_USEC="100000") as (manager, process):
        manager.wait_for("^WATCHDOG=1$", 5)
        open_gate(folder, "go")
        manager.wait_for("^READY=1")
        stop(process)


@suite.test
def the_watchdog_starves_while_a_heartbeat_is_missed(folder):
    with managed(folder, f"a {STEADY}", "b run=ready,beat:500ms,sleep:7s,beat heartbeat=3s",
                 WATCHDOG_USEC="600000") as (manager, process):
        process.wait_for("msg=\"heartbeat missed\" logger_scope=b")
        process.wait_for("msg=\"heartbeat back\" logger_scope=b")
        seen = len(manager.times)
        manager.wait_for("^WATCHDOG=1$", seen + 3)
        stop(process)
    missed = manager.index("^STATUS=the heartbeat of b is missed$")
    back = next(number for number, text in enumerate(manager.messages)
                if number > missed and text.startswith("STATUS=running"))
    equal(manager.messages[missed + 1:back], [], "what was told in between")
    check("WATCHDOG=1" in manager.messages[:missed], "pings before")


@suite.test
def the_watchdog_of_another_process_is_left_alone(folder):
    with managed(folder, "a run=ready,beat:300ms heartbeat=100ms",
                 WATCHDOG_USEC="20000", WATCHDOG_PID="1") as (manager, process):
        ends(process, 0, "all_exited")
    equal(manager.times, [], "pings")


@suite.test
def a_watchdog_without_sense_is_left_alone(folder):
    for usec in ("0", "-5", "soon", ""):
        with contextlib.ExitStack() as stack:
            inner = os.path.join(folder, uuid.uuid4().hex)
            os.mkdir(inner)
            manager, process = stack.enter_context(
                managed(inner, "a run=ready,sleep:50ms", WATCHDOG_USEC=usec))
            ends(process, 0, "all_exited")
        equal(manager.times, [], f"pings with WATCHDOG_USEC={usec!r}")


@suite.test
def a_manager_that_has_gone_does_no_harm(folder):
    with script(folder, f"a {STEADY}", NOTIFY_SOCKET=os.path.join(folder, "nobody")) as process:
        stop(process)
        equal(states(process)[-2:], stops("a"))


@suite.test
def an_address_without_sense_is_warned_of(folder):
    with script(folder, f"a {STEADY}", NOTIFY_SOCKET="relative/path") as process:
        stop(process)
        found = [r for r in process.records if "NOTIFY_SOCKET" in r.get("why", "")]
        equal([r["level"] for r in found], ["WARN"])


@suite.test
def without_a_manager_nothing_is_told(folder):
    with script(folder, f"a {STEADY}") as process:
        stop(process)
        equal([line for line in process.lines if "NOTIFY" in line or "STATUS=" in line], [])
        equal(with_message(process, "heartbeat missed"), [])


@suite.test
def a_second_sigterm_is_not_told_twice(folder):
    with managed(folder, f"a {STEADY} stop=gate:go") as (manager, process):
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=enter logger_scope=a phase=stop")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=\"already stopping\"")
        open_gate(folder, "go")
        ends(process, 0, "signal")
        equal(only(process, "stopping")["cause"], "signal")
    manager.index("^STOPPING=1")


suite.main(at_once=4)

# SPDX-License-Identifier: MIT
"""The admin port while its program is upgraded: no probe fails, keep-alive clients move on, and a
load balancer that asks it for health sends no request into the void."""
import contextlib
import http.client
import os
import shutil
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
from admin import AdminServer, admin_server  # noqa: E402
from balancer import HAPROXY, Balancer  # noqa: E402
from endure import eventually, full  # noqa: E402
from support import (LIMIT, SANITIZE, Load, Process, Suite, ask, check, connect,  # noqa: E402
                     equal, program)

suite = Suite("admin_upgrade")
UPGRADES = full(3 if SANITIZE else 8, 60)


class Prober:
    """Asks /ready a hundred times a second, each time on a new connection, until stop()."""

    def __init__(self, address, path="/ready"):
        self.statuses, self.errors, self.asked, self.slowest = {}, [], 0, 0.0
        self._address, self._path = address, path
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.wait(0.01):
            began = time.monotonic()
            try:
                with contextlib.closing(connect(self._address)) as connection:
                    status = ask(connection, "GET", self._path).status
                self.statuses[status] = self.statuses.get(status, 0) + 1
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self):
        self._stopping.set()
        self._thread.join(LIMIT)


@suite.test
def no_probe_fails_while_the_program_is_upgraded(folder):
    with admin_server(folder) as server:
        prober = Prober(server.admin)
        for _ in range(UPGRADES):
            before = prober.asked
            server.upgrade(ended=True)
            eventually(lambda: prober.asked > before + 3, "more probes")
        prober.stop()
        print(f"    {prober.asked} probes, {UPGRADES} upgrades, slowest {prober.slowest * 1e3:.1f} ms")
        equal(prober.errors, [], "failed probes")
        equal(set(prober.statuses), {200}, "answers")
        equal(server.stop(), 0, "exit code")


@suite.test
def a_client_that_keeps_its_connection_moves_to_the_new_process(folder):
    with admin_server(folder, probation="10s") as server:
        with contextlib.closing(connect(server.admin)) as connection:
            equal(ask(connection, "GET", "/ready").status, 200)
            server.upgrade()
            answer = ask(connection, "GET", "/ready")  # of the old one, and its last word
            check(answer.headers.get("Connection") == "close" or connection.sock is None,
                  "the old process does not let go")
            status = ask(connection, "GET", "/status.json")
            check(b'"generation":2' in status.body, "not the new process")
        equal(server.stop(), 0, "exit code")


@suite.test
def who_has_connected_to_the_old_process_has_a_second_to_ask(folder):
    with admin_server(folder, {"SRUN_LOG_LEVEL": "debug"}) as server:
        with contextlib.closing(connect(server.admin)) as connection:
            connection.connect()
            server.upgrade()
            stopped = server.wait_for(r"msg=STOPPED logger_scope=srun\.admin .*after=([\d.]+)s$")
        check(float(stopped.group(1)) >= 1, stopped.group(0))
        equal(server.stop(), 0, "exit code")


@suite.test
def the_unix_socket_belongs_to_whoever_serves(folder):
    with admin_server(folder) as server:
        for generation in range(2, 5):
            server.upgrade(ended=True)
            body = server.unix("GET", "/status.json").body
            check(b'"generation":%d' % generation in body, "another generation answers")
        equal(server.stop(), 0, "exit code")
        check(not os.path.exists(server.socket), "the socket is left")


@suite.test
def an_upgrade_by_post_is_waited_for(folder):
    with admin_server(folder) as server:
        answer = server.post("/admin/upgrade?wait=60s")
        equal(answer.status, 200, answer.body.decode())
        check(b'"generation":2' in server.unix("GET", "/status.json").body, "no new generation")
        eventually(lambda: len(server.family()) == 1, "the end of the old process")
        equal(server.stop(), 0, "exit code")


@suite.test
def a_refused_upgrade_says_why(folder):
    with admin_server(folder, {"SRUN_SUPERVISED": "true"}) as server:
        answer = server.post("/admin/upgrade?wait=60s")
        equal(answer.status, 409, "status")
        check(b"SRUN_SUPERVISED" in answer.body, answer.body.decode())
        equal(server.get("/ready").status, 200)
        equal(server.stop(), 0, "exit code")


def copies(folder, count):
    """Several copies of the example, each in a folder of its own, stopped at the end."""
    stack = contextlib.ExitStack()
    servers = []
    for i in range(count):
        own = os.path.join(folder, f"copy{i}")
        os.mkdir(own)
        servers.append(stack.enter_context(admin_server(
            own, {"SRUN_DRAIN_TIMEOUT": "5s", "SRUN_STOP_TIMEOUT": "30s"})))
    return stack, servers


@suite.test
def a_balancer_that_asks_the_admin_port_loses_nothing(folder):
    if HAPROXY is None:
        print("    not run: there is no haproxy here")
        return
    stack, servers = copies(folder, 2)
    with stack, Balancer(folder, servers) as balancer:
        eventually(lambda: balancer.status("s0") == balancer.status("s1") == "UP", "both UP")
        load = Load(os.path.join(folder, "front.sock"), 8)

        def more():
            load.wait(load.answered + 200)
        more()
        servers[0].upgrade(ended=True)
        more()
        equal(servers[1].post("/admin/drain").status, 200)
        eventually(lambda: balancer.status("s1").startswith("DOWN"), "s1 DOWN")
        more()
        equal(servers[1].post("/admin/drain?off").status, 200)
        eventually(lambda: balancer.status("s1") == "UP", "s1 UP")
        more()
        equal(servers[1].stop(), 0, "exit code of the one that is drained")
        more()
        load.stop()
        print(f"    {load.answered} answers: {dict(load.statuses)}")
        equal(load.cut, [], "requests that were cut")
        equal(set(load.statuses), {200}, "answers at the front")
        balancer.stop()
        equal(servers[0].stop(), 0, "exit code")


@suite.test
def a_stop_answers_who_waits_for_an_upgrade_and_who_has_queued_behind_it(folder):
    path = os.path.join(folder, "http")
    shutil.copy(program("http"), path)
    with AdminServer([path, "--http.address=127.0.0.1:0"], folder,
                     {"SRUN_STOP_TIMEOUT": "10s"}) as server:
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexec sleep 1000\n")
        os.chmod(path + ".new", 0o755)
        os.rename(path + ".new", path)
        answers = []
        waiting = [threading.Thread(
            target=lambda: answers.append(server.post("/admin/upgrade?wait=10m").status))
            for _ in range(2)]
        waiting[0].start()
        eventually(lambda: server.json("/status.json")["upgrade"]["state"] != "idle", "an attempt")
        waiting[1].start()
        eventually(lambda: server.json("/status.json")["upgrade"]["queued"], "the second one queued")
        equal(server.stop(), 0, "exit code")
        for thread in waiting:
            thread.join(LIMIT)
        equal(answers, [409, 409], "what they were told")


suite.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""srunctl against a program as it is: the http example, its admin port and its upgrades."""
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import sys

sys.dont_write_bytecode = True
from endure import Server, eventually  # noqa: E402
from srunctl import SRUNCTL, Terminal  # noqa: E402
from support import LIMIT, Suite, ask, check, equal, has_program, program, run  # noqa: E402

suite = Suite("srunctl_real")


class Http(Server):
    """The http example from a file of its own, and its admin socket."""

    def __init__(self, folder, env=None):
        self.file = os.path.join(folder, "http")
        self.socket = os.path.join(folder, "admin.sock")
        shutil.copy(program("http"), self.file)
        super().__init__([self.file, "--http.address=127.0.0.1:0"], folder,
                         {"SRUN_ADMIN": "true", "SRUN_ADMIN_SOCKET": self.socket,
                          "SRUN_ADMIN_ADDRESS": "127.0.0.1:0", **(env or {})}, probation="0s")

    def replace(self, file):
        """As an installation does: the new file takes the place of the old one at once."""
        shutil.copy(file, self.file + ".new")
        os.rename(self.file + ".new", self.file)

    def ctl(self, *words, env=None):
        return run([SRUNCTL, "-s", self.socket, *words], self.folder, env)

    def done(self, *words):
        """Its output; it must be able to do that."""
        code, out, err = self.ctl(*words)
        equal((code, err), (0, ""), words)
        return out

    def ended(self):
        """After a stop: nothing may be left of any generation."""
        code = self.wait()
        eventually(lambda: not self.family(), "the end of all generations")
        self.finish()
        self.complains()
        return code


@suite.test
def what_a_program_tells_is_shown(folder):
    with Http(folder) as server:
        equal(server.done("wait", "--ready"), "")
        equal(server.done("wait", "--live"), "")
        equal(server.done("wait", "--healthy", "-t", "30s"), "")
        check(re.match(rf"http 1\.0\.0  pid {server.pid}  generation 1  running  ready  health "
                       r"healthy  up \S+\n\nNAME .*\nstore +RUNNING .*\nhttp +RUNNING ",
                       server.done("status")), server.done("status"))
        for command, text in (("services", "store +RUNNING"), ("health", r"\[\+\]store ok"),
                              ("history", "store .*healthy"), ("threads", f"{server.pid} +http"),
                              ("timeline", "http +STARTING +RUNNING"), ("version", "libsrun"),
                              ("config", "log.level +info"), ("flags", "--?http.address"),
                              ("generations", f"1 +{server.pid} +serving"),
                              ("metrics", "process_open_fds "), ("log-level", "^info$")):
            out = server.done(command)
            check(re.search(text, out, re.M), f"{command}: {out}")
        check("[+]store ok" in server.done("health", "store"), "one service")
        equal(server.ctl("health", "nobody")[0], 1)
        server.done("stop", "--wait")
        equal(server.ended(), 0)


@suite.test
def json_is_json(folder):
    with Http(folder) as server:
        for command in ("status", "services", "health", "history", "threads", "timeline", "version",
                        "config", "flags", "generations", "drain", "stop"):
            equal(json.loads(server.done(command, "--json"))["v"], 1, command)
        equal(server.ended(), 0)


@suite.test
def any_other_client_gets_the_same(folder):
    with Http(folder) as server:
        connection = http.client.HTTPConnection("localhost", timeout=LIMIT)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(server.socket)
        with contextlib.closing(connection):
            answer = ask(connection, "GET", "/config")
        equal((answer.status, answer.body.decode()), (200, server.done("config")))
        server.done("stop", "--wait")
        equal(server.ended(), 0)


@suite.test
def a_program_is_found_by_its_name(folder):
    with Http(folder, {"SRUN_ADMIN_SOCKET": "", "XDG_RUNTIME_DIR": folder,
                       "RUNTIME_DIRECTORY": ""}) as server:
        server.socket = os.path.join(folder, "http.sock")
        server.wait_for('msg=listening .*name=srun.admin.unix .*http.sock')
        environment = {"XDG_RUNTIME_DIR": folder, "SRUNCTL_SOCKET": "", "RUNTIME_DIRECTORY": ""}
        code, out, err = run([SRUNCTL, "-n", "http", "status"], folder, environment)
        equal((code, err), (0, ""))
        check(f"pid {server.pid} " in out, out)
        server.done("stop", "--wait")
        equal(server.ended(), 0)


@suite.test
def a_drained_program_is_healthy_and_not_ready(folder):
    with Http(folder) as server:
        server.done("drain")
        code, _, err = server.ctl("wait", "--ready", "-t", "200ms")
        equal(code, 1)
        check("waited 200ms for ready: GET /readyz: 503 " in err, err)
        server.done("health")
        check("not ready: " in server.done("status"), "no reason")
        server.done("drain", "--off")
        server.done("wait", "--ready")
        server.done("stop", "--wait")
        equal(server.ended(), 0)


@suite.test
def a_log_level_comes_and_goes(folder):
    with Http(folder) as server:
        check("debug" in server.done("log-level", "debug", "--for", "10m"), "level")
        check(re.fullmatch(r"debug \(for .* more\)\n", server.done("log-level")), "shown")
        server.done("log-level", "debug", "--for", "1s")
        eventually(lambda: server.done("log-level") == "info\n", "info again")
        code, _, err = server.ctl("log-level", "loud")
        equal(code, 1)
        check("debug, info, warn, error" in err, err)
        server.done("stop", "--wait")
        equal(server.ended(), 0)


@suite.test
def an_upgrade_is_done_when_the_old_process_has_ended(folder):
    with Http(folder) as server:
        for generation in (2, 3):
            old = server.served_by()
            server.replace(program("http"))
            out = server.done("upgrade", "--wait", "-t", "60")
            new = server.served_by()
            equal(out, f"generation {generation}, pid {new}, is ready; pid {old} has ended\n")
            check(new != old and not os.path.exists(f"/proc/{old}/exe"), "the old process lives")
            server.done("wait", "-t", "0")
        server.done("stop", "--wait")
        equal(server.ended(), 0)


@suite.test
def a_broken_file_leaves_the_old_process_ready(folder):
    with Http(folder) as server:
        server.replace("/bin/false")
        code, out, err = server.ctl("upgrade", "--wait", "-t", "60")
        equal((code, out), (1, ""))
        check(re.match(r"srunctl: POST /admin/upgrade: 409 upgrade: .+", err), err)
        server.done("wait", "-t", "0")
        check(f"pid {server.pid}  generation 1  running  ready" in server.done("status"), "status")
        server.done("stop", "--wait")
        equal(server.ended(), 0)


@suite.test
def stop_returns_when_the_process_has_ended(folder):
    with Http(folder) as server:
        server.done("stop", "--wait", "-t", "60s")
        with contextlib.suppress(OSError), open(f"/proc/{server.pid}/stat", encoding="ascii") as file:
            equal(file.read().rpartition(")")[2].split()[0], "Z", "state")
        server.done("wait", "--gone")
        equal(server.ctl("status")[0], 3)
        equal(server.ended(), 0)


@suite.test
def top_shows_the_new_process(folder):
    with Http(folder) as server, Terminal("-s", server.socket, "top", columns=200) as terminal:
        terminal.wait_for(rf"pid {server.pid}  generation 1 ")
        server.done("upgrade", "--wait", "-t", "60")
        terminal.wait_for(rf"pid {server.served_by()}  generation 2 ")
        server.done("stop", "--wait")
        terminal.wait_for("no answer: ")
        os.write(terminal.master, b"q")
        equal(terminal.finish(), 0)
        equal(server.ended(), 0)


@suite.test
def writes_over_tcp_need_the_token(folder):
    token = os.path.join(folder, "token")
    with open(os.open(token, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write("a-token-for-this-test-only\n")
    with Http(folder, {"SRUN_ADMIN_TOKEN_FILE": token}) as server:
        address = server.address("srun.admin")

        def over_tcp(*words):
            return run([SRUNCTL, "-a", address, *words], folder)
        equal(over_tcp("config"), (0, server.done("config"), ""))
        code, out, err = over_tcp("stop")
        equal((code, out), (4, ""), err)
        equal(over_tcp("drain", "--token-file", token)[0], 0)
        with open(token, "w", encoding="ascii") as file:
            file.write("not-the-token-of-the-program\n")
        server.done("stop", "--wait")
        equal(server.ended(), 0)


if not has_program("http"):  # it needs a library that is not here
    print("integration.srunctl_real: 0 passed, 0 failed")
    sys.exit(0)
suite.main()

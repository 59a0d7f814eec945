#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The commands of srunctl that wait: wait, stop --wait, upgrade --wait."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from fake_admin import STATUS, Fake, http  # noqa: E402
from srunctl import SRUNCTL, Terminal, ask, call, fake  # noqa: E402
from support import LIMIT, Suite, check, equal  # noqa: E402

suite = Suite("srunctl_wait")


@suite.test
def wait_polls_until_it_is_so(folder):
    with fake(folder) as server:
        for option, path in (("--ready", "/readyz"), ("--live", "/livez"), ("--healthy", "/healthz")):
            server.routes["GET " + path] = [(503, "starting\n"), (500, "bad\n"), (200, "OK\n")]
            equal(ask(folder, "wait", option), (0, "", ""))
        server.routes["GET /readyz"] = (200, "OK\n")
        equal(ask(folder, "wait", "-t", "0"), (0, "", ""))


@suite.test
def wait_says_in_time_what_it_waited_for(folder):
    with fake(folder) as server:
        server.routes["GET /readyz"] = (503, "db is STARTING\n")
        equal(ask(folder, "wait", "-t", "250ms"),
              (1, "", "srunctl: waited 250ms for ready: GET /readyz: 503 db is STARTING"))
        server.routes["GET /readyz"] = (403, "no\n")
        equal(ask(folder, "wait")[0], 4)


@suite.test
def wait_outlasts_a_program_that_is_not_there_yet(folder):
    path = os.path.join(folder, "late.sock")
    with subprocess.Popen([SRUNCTL, "-n", "late", "wait", "--ready", "-t", "60"],
                          env={"XDG_RUNTIME_DIR": folder}) as process:
        with Fake(path) as server:
            server.routes["GET /readyz"] = (200, "OK\n")
            equal(process.wait(LIMIT), 0)
    code, _, err = call(folder, "-n", "never", "wait", "-t", "200ms")
    equal(code, 1)
    check("waited 200ms for ready: never: no admin socket is" in err, err)


@suite.test
def wait_gone_ends_when_nobody_listens(folder):
    equal(ask(folder, "wait", "--gone"), (0, "", ""))
    with fake(folder) as server:
        server.routes["GET /livez"] = (200, "OK\n")
        code, _, err = ask(folder, "wait", "--gone", "-t", "200ms")
        equal((code, err), (1, "srunctl: waited 200ms for gone: it still answers"))

        def last(connection, _):
            connection.sendall(http(200, "OK\n"))
            server.close()
        server.routes["GET /livez"] = last
        equal(ask(folder, "wait", "--gone"), (0, "", ""))


@suite.test
def stop_waits_until_nobody_listens(folder):
    with fake(folder) as server:
        server.routes["GET /status.json"] = (200, STATUS % 1)  # not the one that listens
        server.routes["POST /admin/stop"] = (202, "stopping\n")
        polls = []

        def live(connection, _):
            connection.sendall(http(200, "OK\n"))
            polls.append(1)
            if len(polls) == 2:
                server.close()
        server.routes["GET /livez"] = live
        equal(ask(folder, "stop", "--wait"), (0, "", ""))
        equal(len(polls), 2)


@suite.test
def stop_waits_until_the_process_has_ended(folder):
    """The tests' own process listens, and lives on."""
    with fake(folder) as server:
        def stop(connection, _):
            connection.sendall(http(202, "stopping\n"))
            server.close()
        server.routes["POST /admin/stop"] = stop
        code, _, err = ask(folder, "stop", "--wait", "-t", "300ms")
        equal((code, err),
              (1, "srunctl: waited 300ms for its end: nobody listens, but the process lives"))


@suite.test
def stop_that_is_refused_does_not_wait(folder):
    with fake(folder) as server:
        server.routes["POST /admin/stop"] = (403, "no\n")
        equal(ask(folder, "stop", "--wait"), (4, "", "srunctl: POST /admin/stop: 403 no"))


HEADING = "GENERATION  PID  STATE    SINCE  CONNECTIONS\n"
OLD = HEADING + "         1   10  serving  1h     3\n"
BOTH = HEADING + "         1   10  draining 1h     3\n         2   20  serving  1s     1\n"
NEW = HEADING + "         2   20  serving  1s     1\n"


@suite.test
def upgrade_waits_until_the_new_generation_is_alone_and_ready(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), (200, BOTH), (200, NEW)]
        server.routes["GET /readyz"] = [(503, "db is STARTING\n"), (200, "OK\n")]
        server.routes["POST /admin/upgrade"] = (200, "done\n")
        equal(ask(folder, "upgrade", "--wait", "-t", "30"),
              (0, "generation 2, pid 20, is ready; pid 10 has ended\n", ""))
        wait = [line for line in server.lines() if line.startswith("POST")]
        check(re.fullmatch(r"POST /admin/upgrade\?wait=\d+ms HTTP/1.1", wait[0]), wait)


@suite.test
def upgrade_during_another_attempt_waits_for_the_generation_that_it_is_told_of(folder):
    starting = OLD + "         2   20  starting 1s     0\n"
    third = HEADING + "         3   30  serving  1s     1\n"
    with fake(folder) as server:
        server.routes["GET /readyz"] = (200, "OK\n")
        server.routes["GET /generations"] = [(200, starting), (200, NEW), (200, third)]
        server.routes["POST /admin/upgrade"] = (202, "upgrade: passed on to generation 2\n")
        equal(ask(folder, "upgrade", "--wait")[:2],
              (0, "generation 3, pid 30, is ready; pid 20 has ended\n"))
        server.routes["GET /generations"] = [(200, starting), (200, NEW.replace("20", "30"))]
        server.routes["POST /admin/upgrade"] = (200, "generation 2 serves, pid 30\n")
        equal(ask(folder, "upgrade", "--wait")[:2],
              (0, "generation 2, pid 30, is ready; pid 20 has ended\n"))


@suite.test
def upgrade_outlasts_an_old_process_that_ends_before_its_answer(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), b"", (200, NEW)]
        server.routes["GET /readyz"] = (200, "OK\n")
        server.routes["POST /admin/upgrade"] = b""
        equal(ask(folder, "upgrade", "--wait")[0], 0)


@suite.test
def upgrade_that_fails_says_why(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = (200, OLD)
        server.routes["POST /admin/upgrade"] = (409, "upgrade: init: db: no such host\n")
        equal(ask(folder, "upgrade", "--wait"),
              (1, "", "srunctl: POST /admin/upgrade: 409 upgrade: init: db: no such host"))


@suite.test
def upgrade_needs_to_know_the_generations(folder):
    with fake(folder) as server:
        for text in ("", "\n\n", HEADING):
            server.routes["GET /generations"] = (200, text)
            equal(ask(folder, "upgrade", "--wait"),
                  (1, "", "srunctl: GET /generations: there is none in it"))


@suite.test
def upgrade_that_is_rolled_back_fails(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), (200, BOTH), (200, OLD)]
        server.routes["POST /admin/upgrade"] = (200, "done\n")
        equal(ask(folder, "upgrade", "--wait"),
              (1, "", "srunctl: upgrade: the new process did not stay; generation 1, pid 10, "
                      "serves"))


@suite.test
def upgrade_whose_old_generation_stays_is_too_late(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), (200, BOTH)]
        server.routes["POST /admin/upgrade"] = (200, "done\n")
        equal(ask(folder, "upgrade", "--wait", "-t", "400ms"),
              (1, "", "srunctl: waited 400ms for the new generation: generation 2, pid 20, is "
                      "there; 1 before it still live"))


@suite.test
def wait_tells_a_terminal_each_new_reason(folder):
    with fake(folder) as server:
        server.routes["GET /readyz"] = [(503, "one\n"), (503, "one\n"), (503, "two\n"), (200, "OK\n")]
        with Terminal("-s", server.path, "wait") as terminal:
            equal(terminal.finish(), 0)
            equal(terminal.text(), "srunctl: waits for ready: GET /readyz: 503 one\n"
                                   "srunctl: waits for ready: GET /readyz: 503 two\n")


suite.main(4)

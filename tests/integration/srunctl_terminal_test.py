#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""srunctl on a terminal: colours, what the terminal would obey, and top."""
import os
import re
import signal
import sys
import termios
import threading

sys.dont_write_bytecode = True
from fake_admin import METRICS, SERVICES, STATUS, Fake  # noqa: E402
from srunctl import Terminal, ask, fake  # noqa: E402
from support import LIMIT, Suite, check, equal  # noqa: E402

suite = Suite("srunctl_terminal")


@suite.test
def colour_is_for_terminals_alone(folder):
    with fake(folder) as server:
        def shown(*words, **env):
            with Terminal("-s", server.path, *words, env=env) as terminal:
                equal(terminal.finish(), 0)
                return terminal.text()
        coloured = SERVICES.replace("RUNNING", "\033[32mRUNNING\033[m")
        coloured = re.sub(r"\bhealthy", "\033[32mhealthy\033[m", coloured)
        coloured = coloured.replace("unhealthy", "\033[31munhealthy\033[m")
        equal(shown("services"), coloured)
        equal(shown("services", NO_COLOR="1"), SERVICES)
        equal(shown("services", TERM="dumb"), SERVICES)
        equal(ask(folder, "services")[1], SERVICES)


@suite.test
def what_a_terminal_would_obey_is_shown_as_a_question_mark(folder):
    evil = "a\033[2Jb\x07c\x9bd\u009b31me\tf\r\x7f\né\n"
    body = evil.replace("\x9b", "", 1).encode().replace(b"c", b"c\x9b", 1)
    plain = "a?[2Jb?c?d??31me\tf??\né\n"
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + body
    with fake(folder) as server:
        server.routes["GET /threads"] = answer
        equal(ask(folder, "threads")[1], plain)
        for words in (["threads"], ["threads", "--json"]):
            with Terminal("-s", server.path, *words, env={"NO_COLOR": "1"}) as terminal:
                equal(terminal.finish(), 0)
                equal(terminal.text(), plain)
        server.routes["GET /threads"] = (409, "\033]0;title\007\n")
        equal(ask(folder, "threads")[2], "srunctl: GET /threads: 409 ?]0;title?")


# top


FRAME = (r"cpu \S+( %)?  memory 4\.0 MiB  descriptors 12  threads 5.*"
         r"ledger 1\.2\.3  pid \d+  generation 3.*NAME +STATE")


@suite.test
def top_follows_frame_by_frame_without_a_terminal(folder):
    with fake(folder) as server:
        server.routes["GET /metrics"] = [
            (200, METRICS), (200, METRICS.replace("total 1.5", "total 2.0"))]
        code, out, err = ask(folder, "top", "--count", "2", "-t", "30")
    equal((code, err), (0, ""))
    check(re.search(FRAME, out, re.S), out)
    equal(out.count("ledger 1.2.3"), 2)
    check("\033" not in out, out)
    first, second = re.findall(r"^cpu (\S+)", out, re.M)
    equal(first, "-")
    check(0 < float(second) < 5000, second)  # half a second of a second, which may be a short one


@suite.test
def top_draws_on_the_terminal_until_q(folder):
    with fake(folder) as server:
        with Terminal("-s", server.path, "top", "-t", "30", columns=30, rows=5) as terminal:
            terminal.wait_for(r"\033\[H.*\033\[J.*\033\[H.*\033\[J")
            os.write(terminal.master, b"xq")
            equal(terminal.finish(), 0)
            equal(termios.tcgetattr(terminal.slave), terminal.before, "terminal")
            check(terminal.output.rstrip().endswith(b"\033[?7h\033[?25h"), terminal.output[-20:])
            before, frame = terminal.text().split("\033[H")[:2]
            check("\033[?7l" in before, "long lines would wrap")
            equal(frame.split("\033[J")[0].count("\n"), 4)


@suite.test
def top_gives_the_terminal_back_after_a_signal(folder):
    with fake(folder) as server:
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with Terminal("-s", server.path, "top") as terminal:
                terminal.wait_for(r"ledger")
                terminal.process.send_signal(signo)
                equal(terminal.finish(), 0)
                equal(termios.tcgetattr(terminal.slave), terminal.before, "terminal")
                check(terminal.output.rstrip().endswith(b"\033[?7h\033[?25h"), terminal.output[-20:])


@suite.test
def top_gives_the_terminal_back_while_it_is_stopped(folder):
    with fake(folder) as server:
        with Terminal("-s", server.path, "top", job=True) as terminal:
            terminal.wait_for(r"\033\[H.*\033\[J")
            for _ in range(2):
                terminal.process.send_signal(signal.SIGTSTP)
                terminal.wait_until_stopped()
                equal(termios.tcgetattr(terminal.slave), terminal.before, "terminal")
                check(terminal.output.endswith(b"\033[?7h\033[?25h"), terminal.output[-20:])
                since = len(terminal.output)
                terminal.process.send_signal(signal.SIGCONT)
                terminal.wait_for(r"\033\[2J\033\[\?7l\033\[\?25l\033\[H.*ledger.*\033\[J", since)
                check(termios.tcgetattr(terminal.slave) != terminal.before, "the keys are shown")
            os.write(terminal.master, b"q")
            equal(terminal.finish(), 0)
            equal(termios.tcgetattr(terminal.slave), terminal.before, "terminal")


@suite.test
def top_outlasts_its_program(folder):
    path = os.path.join(folder, "a.sock")
    with Terminal("-s", path, "top") as terminal:
        terminal.wait_for("no answer: .*No such file")
        with Fake(path) as server:
            server.routes["GET /status.json"] = (200, STATUS % 111)
            terminal.wait_for("pid 111 ")
        os.unlink(path)
        since = len(terminal.output)
        terminal.wait_for("no answer", since)
        with Fake(path) as server:
            server.routes["GET /status.json"] = (200, STATUS % 222)
            terminal.wait_for("pid 222 ")
            os.write(terminal.master, b"q")
            equal(terminal.finish(), 0)


@suite.test
def top_ends_while_nobody_answers(folder):
    done, asked = threading.Event(), threading.Event()

    def hang(*_):
        asked.set()
        done.wait(LIMIT)
    with fake(folder) as server:
        server.routes["GET /status.json"] = hang
        with Terminal("-s", server.path, "top") as terminal:
            check(asked.wait(LIMIT), "nothing was asked")
            os.write(terminal.master, b"\003")
            terminal.process.send_signal(signal.SIGINT)
            equal(terminal.finish(), 0)
        done.set()


@suite.test
def top_ends_when_it_is_not_allowed(folder):
    with fake(folder) as server:
        server.routes["GET /status.json"] = (403, "no\n")
        equal(ask(folder, "top"), (4, "", "srunctl: GET /status.json: 403 no"))


@suite.test
def top_that_is_counted_says_at_last_whether_it_was_answered(folder):
    code, out, err = ask(folder, "top", "-c", "1")
    equal((code, err), (3, ""))
    check("no answer: " in out, out)


suite.main(4)

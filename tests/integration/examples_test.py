# SPDX-License-Identifier: MIT
"""Runs each example as its reader would, and compares what it logs with examples/<name>.expect.
UPDATE_EXPECT=1 writes those files anew; read the difference before you commit it. What only some of
them do is in examples_*_test.py, and ledger, which needs a database, in ledger_test.py."""
import os
import re
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True
from examples import expect_file, listening  # noqa: E402
from support import (LIMIT, Process, Suite, check, equal, expect,  # noqa: E402
                     has_program, normalise, parse_line, program, run)

suite = Suite("examples")
ALL = [name for name in ("hello", "http", "echo", "worker", "dependent_health", "embed-epoll",
                         "embed-uv", "embed-glib", "embed-libevent", "subscriber", "memory", "ledger")
       if has_program(name)]


# All


@suite.test
def all_are_built(folder):
    for name in ("hello", "http", "echo", "worker", "dependent_health", "embed-epoll"):
        check(name in ALL, f"{program(name)} is not there")


@suite.test
def help_names_the_flags(folder):
    wanted = {"http": "--http.address", "echo": "--echo.address", "worker": "--job.ms",
              "dependent_health": "--outage", "embed-epoll": "--tick", "embed-uv": "--tick",
              "embed-glib": "--need", "embed-libevent": "--address", "subscriber": "--broker",
              "hello": "--config", "memory": "--cache.entries", "ledger": "--postgres.url"}
    for name in ALL:
        code, out, _ = run([program(name), "--help"], folder)
        equal(code, 0, f"{name} --help")
        check(wanted[name] in out, f"{name} --help does not mention {wanted[name]}:\n{out}")


@suite.test
def version_prints_the_version(folder):
    for name in ALL:
        code, out, _ = run([program(name), "--version"], folder)
        equal((code, out.strip()), (0, "v1.0.0"), f"{name} --version")


@suite.test
def an_unknown_flag_is_a_usage_error(folder):
    for name in ALL:
        code, _, log = run([program(name), "--no-such-flag"], folder)
        equal(code, 2, f"{name} --no-such-flag")
        check("no-such-flag" in log, f"{name}: the error does not name the flag:\n{log}")


STARTED_HERE = (("http", "--http.address=127.0.0.1:0"), ("echo", "--echo.address=127.0.0.1:0"),
                ("embed-epoll",))


def with_a_signal_pending():
    """A blocked signal waits through exec: it is there before main is."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.kill(os.getpid(), signal.SIGTERM)


@suite.test
def a_signal_that_came_before_main_stops_them(folder):
    for name, *flags in STARTED_HERE:
        with Process([program(name), *flags], folder, before=with_a_signal_pending) as started:
            equal(started.finish(), 0, f"exit code of {name}")
            check(not any("msg=started" in line for line in started.lines), f"{name} was started")


@suite.test
def a_signal_at_any_moment_of_the_start_stops_them(folder):
    for name, *flags in STARTED_HERE:
        for step in range(60):
            with Process([program(name), *flags], folder) as started:
                time.sleep(0.002 + step * 0.0001)
                started.signal(signal.SIGTERM)
                code = started.finish()
                # Before the runner exists, a signal does what it does to any program.
                check(code == 0 or code == -signal.SIGTERM and not started.lines,
                      f"{name}: exit code {code}, signal {step}")


# hello


@suite.test
def hello_logs_what_is_expected(folder):
    with Process([program("hello")], folder) as hello:
        hello.wait_for("msg=tick")
        hello.wait_for("msg=started ")
        hello.signal(signal.SIGTERM)
        equal(hello.finish(), 0, "exit code")
        ticks = [line for line in hello.lines if "msg=tick" in line]
        rest = [line for line in hello.lines if line not in ticks[1:]]
        expect(rest, expect_file("hello"), anywhere="tick")


@suite.test
def hello_stops_at_once_on_sigint(folder):
    with Process([program("hello")], folder, {"SRUN_LOG_FORMAT": "json"}) as hello:
        hello.wait_for('"tick"')
        hello.signal(signal.SIGINT)
        equal(hello.finish(limit=LIMIT), 0, "exit code")
        for line in hello.lines:
            check(parse_line(line) is not None, f"not a JSON record: {line}")


# memory


if has_program("memory"):
    @suite.test
    def memory_logs_what_is_expected(folder):
        with Process([program("memory")], folder) as memory:
            memory.wait_for("msg=started")
            memory.signal(signal.SIGTERM)
            equal(memory.finish(), 0, "exit code")
            expect(memory.lines, expect_file("memory"), anywhere="the cache is full")

    @suite.test
    def memory_says_what_a_number_of_entries_is(folder):
        code, _, log = run([program("memory"), "--cache.entries=1"], folder)
        equal(code, 1, "exit code")
        check("--cache.entries=1: accepted are 2 to 1024" in log, log)


# worker


@suite.test
def worker_logs_what_is_expected(folder):
    with Process([program("worker"), "--jobs=20", "--job.ms=1", "--workers=2", "--report=1h"],
                 folder) as worker:
        equal(worker.finish(), 0, "exit code")
        worker.wait_for('msg="all told" .*accepted=20 done=20 left=0')
        expect(worker.lines, expect_file("worker"), anywhere="no more jobs")


@suite.test
def worker_finishes_what_it_accepted(folder):
    with Process([program("worker"), "--report=50ms", "--job.ms=5"], folder) as worker:
        worker.wait_for(r"msg=report .*done=[1-9]")
        worker.signal(signal.SIGTERM)
        equal(worker.finish(), 0, "exit code")
        told = worker.wait_for(r'msg="all told".* accepted=(\d+) done=(\d+) left=(\d+)')
        equal(told.group(1), told.group(2), "accepted and done")
        equal(told.group(3), "0", "left")


@suite.test
def worker_tells_what_it_left(folder):
    with Process([program("worker"), "--workers=1", "--job.ms=60000", "--report=20ms"], folder,
                 {"SRUN_STOP_TIMEOUT": "4s"}) as worker:
        worker.wait_for("waiting=[1-9]")
        worker.signal(signal.SIGTERM)
        equal(worker.finish(), 1, "exit code")
        told = worker.wait_for(r'msg="all told".* accepted=(\d+) done=0 left=(\d+)')
        equal(told.group(1), told.group(2), "accepted and left")


@suite.test
def worker_restarts_what_fails(folder):
    with Process([program("worker"), "--report=400ms", "--fail.every=3"], folder) as worker:
        worker.wait_for("report 3 was not taken")
        seen = worker.mark_now()
        worker.wait_for("msg=report ", since=seen)  # and before the next one that fails
        worker.signal(signal.SIGTERM)
        equal(worker.finish(), 0, "exit code")


@suite.test
def worker_refuses_bad_numbers(folder):
    for flag in ("--workers=0", "--workers=65", "--jobs=-1", "--job.ms=3600001", "--report=0s"):
        code, _, log = run([program("worker"), flag], folder)
        equal(code, 1, f"exit code of {flag}")
        check(flag.split("=")[0] in log, log)


# dependent_health


@suite.test
def an_outage_is_heard_at_the_end_of_the_chain(folder):
    with Process([program("dependent_health")], folder) as bank:
        bank.wait_for("msg=\"refusing payments\" .*because=\"cannot book: no postgres\"")
        equal(bank.finish(), 0, "exit code")
        expect(bank.lines, expect_file("dependent_health"), anywhere="msg=health|payments|msg=started")


@suite.test
def payments_are_refused_during_an_outage_alone(folder):
    with Process([program("dependent_health"), "--up=1s", "--outage=2s", "--outages=2"], folder,
                 {"SRUN_LOG_LEVEL": "debug"}) as bank:
        equal(bank.finish(), 0, "exit code")
        told = bank.wait_for(r'msg="all told".* accepted=(\d+) refused=(\d+)')
        check(int(told.group(1)) > 0 and int(told.group(2)) > 0, told.group(0))
        equal(sum("refusing payments" in line for line in bank.lines), 2, "outages that were heard")


@suite.test
def outages_that_are_overtaken_before_they_are_heard_of_do_not_hold_up_the_end(folder):
    with Process([program("dependent_health"), "--up=1ms", "--outage=1ms", "--outages=200"], folder) as bank:
        equal(bank.finish(), 0, "exit code")


@suite.test
def a_signal_ends_who_listens(folder):
    with Process([program("dependent_health"), "--outages=0", "--up=20ms", "--outage=20ms"],
                 folder) as bank:
        bank.wait_for("refusing payments")
        bank.signal(signal.SIGTERM)
        equal(bank.finish(), 0, "exit code")


# embed


def embedded_stops(folder, name, event, signo):
    with Process([program(name), "--tick=20ms"], folder) as embed:
        embed.wait_for(event)
        embed.wait_for("msg=started ")
        embed.signal(signo)
        equal(embed.finish(), 0, "exit code")
        seen, once = set(), []
        for line in map(normalise, embed.lines):  # ticks come as often as they come
            line = re.sub(r"\bcount=\d+", "count=<count>", line)
            if "tick" not in line or line not in seen:
                once.append(line)
            seen.add(line)
        expect(once, expect_file(name), anywhere="tick")


@suite.test
def embed_epoll_logs_what_is_expected(folder):
    embedded_stops(folder, "embed-epoll", "msg=tick .*count=2", signal.SIGTERM)


@suite.test
def embed_uv_logs_what_is_expected(folder):
    if "embed-uv" in ALL:
        embedded_stops(folder, "embed-uv", 'msg="tick of the loop"', signal.SIGINT)


@suite.test
def embed_glib_logs_what_is_expected(folder):
    if "embed-glib" in ALL:
        embedded_stops(folder, "embed-glib", "msg=tick .*count=2", signal.SIGTERM)


def need_goes(process, path):
    """The loop sees it, and says so."""
    os.unlink(path)
    process.wait_for('msg=health .*scope=counter status=degraded was=healthy source=pushed '
                     'note="what it needs is not there"')
    with open(path, "x", encoding="ascii"):
        pass
    process.wait_for("msg=health .*scope=counter status=healthy was=degraded")


@suite.test
def embed_glib_tells_in_its_loop_how_the_service_is(folder):
    if "embed-glib" not in ALL:
        return
    need = os.path.join(folder, "need")
    with open(need, "x", encoding="ascii"):
        pass
    with Process([program("embed-glib"), "--tick=20ms", f"--need={need}"], folder) as embed:
        embed.wait_for("msg=tick .*count=2")
        need_goes(embed, need)
        embed.signal(signal.SIGTERM)
        equal(embed.finish(), 0, "exit code")


def greeting(address):
    """What a client of embed-libevent is told."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), LIMIT) as client:
        return client.makefile("rb").read()


@suite.test
def embed_libevent_logs_what_is_expected(folder):
    if "embed-libevent" not in ALL:
        return
    with Process([program("embed-libevent"), "--address=127.0.0.1:0", "--busy=1"],
                 folder) as embed:
        equal(greeting(listening(embed)), b"welcome to generation 1\n", "the greeting")
        embed.wait_for("status=healthy was=degraded")
        embed.signal(signal.SIGTERM)
        equal(embed.finish(), 0, "exit code")
        told = [line for line in embed.lines if "msg=health" not in line]  # by its clock
        expect(told, expect_file("embed-libevent"))


suite.main()

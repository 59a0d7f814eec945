# SPDX-License-Identifier: MIT
"""Runs each example as its reader would, and compares what it logs with examples/<name>.expect.
UPDATE_EXPECT=1 writes those files anew; read the difference before you commit it. What ledger does,
which needs a database, is in ledger_test.py."""
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from support import (LIMIT, SOURCE_DIR, Load, Process, Suite, ask, check, connect, equal,
                     expect, has_program, normalise, parse_line, program, request, run)  # noqa: E402

suite = Suite("examples")
ALL = [name for name in ("hello", "http", "echo", "worker", "dependent_health", "embed-epoll",
                         "embed-uv", "embed-glib", "embed-libevent", "subscriber", "memory", "ledger")
       if has_program(name)]


def expect_file(name):
    return os.path.join(SOURCE_DIR, "examples", name + ".expect")


def http(folder, *flags, env=None):
    return Process([program("http"), "--http.address=127.0.0.1:0", *flags], folder, env)


# An idle connection may ask once more: a client that is slow to do so is not cut.
PATIENT = f"--http.linger={int(LIMIT)}s"


def listening(process):
    """The address, as soon as somebody accepts there."""
    address = process.wait_for(r"msg=listening .*address=tcp://(\S+)").group(1)
    process.wait_for("msg=started ")
    return address


def drained(process):
    """What the http example said at its end: a dict of strings."""
    records = [r for r in process.records if r.get("msg") == "drained"]
    equal(len(records), 1, "lines that say drained")
    return records[0]


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


# http


@suite.test
def http_logs_what_is_expected(folder):
    with http(folder) as server:
        address = listening(server)
        equal(request(address, "GET", "/").status, 200, "status")
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")
        # A response is read a moment before the server has counted it.
        counted = re.compile(r"\b(connections|requests|answered|idle_closed)=\d+")
        expect([counted.sub(r"\1=<count>", line) for line in server.lines], expect_file("http"))


@suite.test
def http_keeps_items(folder):
    with http(folder) as server:
        address = listening(server)
        with contextlib.closing(connect(address)) as connection:
            equal(ask(connection, "GET", "/items/a").status, 404)
            equal(ask(connection, "PUT", "/items/a", b"one\0two").status, 201)
            equal(ask(connection, "PUT", "/items/a", b"three").status, 200)
            equal(ask(connection, "GET", "/items/a").body, b"three")
            equal(ask(connection, "PUT", "/items/empty", b"").status, 201)
            equal(ask(connection, "GET", "/items/empty").body, b"")
            equal(ask(connection, "DELETE", "/items/a").status, 200)
            equal(ask(connection, "DELETE", "/items/a").status, 404)
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")


@suite.test
def http_says_who_answers(folder):
    with http(folder) as server:
        address = listening(server)
        for path in ("/", "/nowhere", "/slow?ms=0", "/stream?mb=0", "/items/x"):
            headers = request(address, "GET", path).headers
            equal(headers.get("X-Pid"), str(server.pid), f"X-Pid of {path}")
            equal(headers.get("X-Generation"), "1", f"X-Generation of {path}")
        body = request(address, "GET", "/").body.decode()
        check(re.fullmatch(r'{"name":"http","version":"1.0.0","pid":%d,"generation":1,'
                           r'"uptime_ms":\d+}\n' % server.pid, body), body)
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")


@suite.test
def http_refuses_what_it_cannot_do(folder):
    with http(folder, "--store.items=1") as server:
        address = listening(server)
        for method, path, body, status in (
                ("GET", "/nowhere", None, 404), ("GET", "/items", None, 404),
                ("GET", "/items/", None, 400), ("GET", "/items/a%2fb", None, 400),
                ("GET", "/items/" + "a" * 65, None, 400), ("POST", "/items/a", b"x", 405),
                ("PUT", "/", b"x", 405), ("GET", "/slow", None, 400),
                ("GET", "/slow?ms=-1", None, 400), ("GET", "/slow?ms=60001", None, 400),
                ("GET", "/slow?ms=99999999999999999999", None, 400),
                ("GET", "/stream?mb=1025", None, 400), ("GET", "/stream?mb=x", None, 400),
                ("PUT", "/items/a", b"x" * 65537, 413), ("PUT", "/items/a", b"x" * 65536, 201),
                ("PUT", "/items/b", b"x", 507), ("HEAD", "/", None, 200)):
            equal(request(address, method, path, body).status, status, f"{method} {path[:40]}")
        equal(request(address, "DELETE", "/").headers["Allow"], "GET, HEAD", "Allow")
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")


@suite.test
def http_serves_curl(folder):
    if shutil.which("curl") is None:
        return
    curl = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(int(LIMIT))]
    with http(folder) as server:
        base = "http://" + listening(server)
        big = os.path.join(folder, "big")
        with open(big, "wb") as file:
            file.write(b"x" * (2 << 20))
        put = subprocess.run([*curl, "-T", "-", base + "/items/greeting"], input=b"good day",
                             capture_output=True, check=True)
        equal(put.stdout, b'{"created":true}\n', "PUT")
        got = subprocess.run([*curl, base + "/items/greeting"], capture_output=True, check=True)
        equal(got.stdout, b"good day", "GET")
        early = subprocess.run([*curl, "-o", "/dev/null", "-w", "%{http_code}", "-T", big,
                                base + "/items/big"], capture_output=True, check=False)
        equal(early.stdout, b"413", "PUT of 2 MB")
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")


@suite.test
def http_stands_slow_clients(folder):
    with http(folder) as server:
        address = listening(server)
        with contextlib.closing(connect(address)) as slow:
            slow.request("GET", "/slow?ms=1000")
            load = Load(address, clients=2)
            load.wait(20)
            load.stop()
            equal(load.cut, [], "cut requests")
            equal(slow.getresponse().status, 200, "the slow one")
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")


@suite.test
def http_finishes_open_requests(folder):
    with http(folder, env={"SRUN_LOG_LEVEL": "debug"}) as server:
        address = listening(server)
        with contextlib.closing(connect(address)) as slow:
            slow.request("GET", "/slow?ms=2500")
            server.wait_for("path=/slow")
            server.signal(signal.SIGTERM)
            server.wait_for("msg=draining .*requests=1")
            response = slow.getresponse()
            equal(response.status, 200, "status")
            equal(response.headers.get("Connection"), "close", "Connection")
            response.read()
        equal(server.finish(), 0, "exit code")
        equal(drained(server)["answered"], "1", "answered while draining")


@suite.test
def http_finishes_an_upload(folder):
    with http(folder) as server:
        address = listening(server)
        with contextlib.closing(connect(address)) as connection:
            connection.putrequest("PUT", "/items/a")
            connection.putheader("Content-Length", "8")
            connection.endheaders(b"good")
            server.signal(signal.SIGTERM)
            server.wait_for("msg=draining .*connections=1")
            connection.send(b" day")
            equal(connection.getresponse().status, 201, "status")
        equal(server.finish(), 0, "exit code")


@suite.test
def http_finishes_a_stream(folder):
    with http(folder) as server:
        address = listening(server)
        with contextlib.closing(connect(address)) as connection:
            connection.request("GET", "/stream?mb=5")
            response = connection.getresponse()
            size = len(response.read(100000))
            server.signal(signal.SIGTERM)
            server.wait_for("msg=draining")
            size += len(response.read())
            equal(size, 5 << 20, "size")
        equal(server.finish(), 0, "exit code")
        equal(drained(server)["cut"], "0", "cut")


@suite.test
def http_answers_an_idle_connection_before_it_closes_it(folder):
    with http(folder, PATIENT) as server:
        address = listening(server)
        with contextlib.closing(connect(address)) as idle:
            equal(ask(idle, "GET", "/").headers.get("Connection"), None, "Connection")
            server.signal(signal.SIGTERM)
            server.wait_for("msg=draining .*connections=1")
            equal(ask(idle, "GET", "/").headers.get("Connection"), "close", "Connection")
        equal(server.finish(), 0, "exit code")


@suite.test
def http_answers_what_lies_in_the_backlog(folder):
    """Connections that the kernel has accepted, but the program not yet, are served."""
    with http(folder) as server:
        address = listening(server)
        server.signal(signal.SIGSTOP)
        clients = [connect(address) for _ in range(8)]
        for client in clients:
            client.request("GET", "/")
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        for client in clients:
            equal(client.getresponse().status, 200, "status")
            client.close()
        equal(server.finish(), 0, "exit code")


@suite.test
def http_cuts_no_request_when_stopped_under_load(folder):
    with http(folder, PATIENT) as server:
        load = Load(listening(server), clients=16)
        load.wait(300)
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")
        load.join()
        equal(load.cut, [], "cut requests")
        equal(set(load.statuses), {200}, "statuses")
        equal(drained(server)["cut"], "0", "cut, as the server sees it")


@suite.test
def http_holds_wrk(folder):
    if shutil.which("wrk") is None:
        return
    with http(folder) as server:
        url = "http://" + listening(server) + "/"
        done = subprocess.run(["wrk", "-t1", "-c64", "-d1s", "--timeout", "10s", url],
                              capture_output=True, text=True, check=True)
        check("Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout)
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")


@suite.test
def http_cuts_nothing_of_wrk(folder):
    if shutil.which("wrk") is None:
        return
    with http(folder, PATIENT) as server:
        address = listening(server)
        wrk = subprocess.Popen(["wrk", "-t1", "-c16", "-d2s", "http://" + address + "/"],
                               stdout=subprocess.PIPE, text=True)
        with wrk:
            load = Load(address, clients=1)
            load.wait(50)  # wrk is well under way too
            server.signal(signal.SIGTERM)
            equal(server.finish(), 0, "exit code")
            out = wrk.communicate(timeout=LIMIT)[0]
            load.join()
        equal(load.cut, [], "cut requests")
        # Connections to the port that has gone show as connect and write errors.
        errors = re.search(r"read (\d+), write \d+, timeout (\d+)", out)
        check(errors is None or errors.groups() == ("0", "0"), out)
        check("Non-2xx" not in out, out)


@suite.test
def http_gives_up_when_time_is_over(folder):
    with http(folder, env={"SRUN_STOP_TIMEOUT": "4s", "SRUN_LOG_LEVEL": "debug"}) as server:
        address = listening(server)
        with contextlib.closing(connect(address)) as slow:
            slow.request("GET", "/slow?ms=60000")
            server.wait_for("path=/slow")
            server.signal(signal.SIGTERM)
            equal(server.finish(), 1, "exit code")
            equal(drained(server)["cut"], "1", "cut")
        server.wait_for("1 requests were still open")


@suite.test
def http_says_that_the_address_is_in_use(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        code, _, log = run([program("http"), "--http.address=" + address], folder)
        equal(code, 1, "exit code")
        check(f"{address}: bind: {os.strerror(errno.EADDRINUSE)}" in log, log)
        equal(os.listdir(folder), [], "files left behind")


@suite.test
def http_says_which_addresses_it_takes(folder):
    for text in ("", "8080", ":8080", "localhost:80", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                 "[::1]", "[127.0.0.1]:80", "127.0.0.1:+8", "1" * 200 + ":80"):
        code, _, log = run([program("http"), "--http.address=" + text], folder)
        equal(code, 2, f"exit code for {text!r}")
        check("tcp://127.0.0.1:80" in log, log)


@suite.test
def http_listens_on_ipv6(folder):
    try:
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    except OSError:
        return  # this machine has none
    with Process([program("http"), "--http.address=[::1]:0"], folder) as server:
        address = listening(server)
        check(re.fullmatch(r"\[::1\]:\d+", address), address)
        equal(request(address, "GET", "/").status, 200, "status")
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")


@suite.test
def http_listens_on_a_unix_path(folder):
    path = os.path.join(folder, "http.sock")
    with Process([program("http"), f"--http.address=unix://{path}"], folder) as server:
        server.wait_for(rf"msg=listening .*address=unix://{re.escape(path)} ")
        server.wait_for("msg=started ")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT)
            client.connect(path)
            client.sendall(b"GET /stream?mb=1 HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
            check(answer.startswith(b"HTTP/1.1 200 ") and len(answer) > 1 << 20, answer[:100])
        equal([line for line in server.lines if "WARN" in line], [], "warnings")
        server.signal(signal.SIGTERM)
        equal(server.finish(), 0, "exit code")
        equal(os.listdir(folder), [], "files left behind")


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
    with Process([program("worker"), "--report=20ms", "--fail.every=3"], folder) as worker:
        worker.wait_for("report 3 was not taken")
        seen = worker.mark_now()
        worker.wait_for("msg=report ", since=seen)
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
    with Process([program("dependent_health"), "--up=100ms", "--outage=100ms", "--outages=3"], folder,
                 {"SRUN_LOG_LEVEL": "debug"}) as bank:
        equal(bank.finish(), 0, "exit code")
        told = bank.wait_for(r'msg="all told".* accepted=(\d+) refused=(\d+)')
        check(int(told.group(1)) > 0 and int(told.group(2)) > 0, told.group(0))
        equal(sum("refusing payments" in line for line in bank.lines), 3, "outages that were heard")


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

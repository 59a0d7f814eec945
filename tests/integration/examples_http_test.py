# SPDX-License-Identifier: MIT
"""The http example as its clients see it: what it answers, and what it finishes when it is stopped."""
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
from examples import expect_file, listening  # noqa: E402
from support import (LIMIT, Load, Process, Suite, ask, check, connect,  # noqa: E402
                     equal, expect, program, request, run)

suite = Suite("examples_http")


def http(folder, *flags, env=None):
    return Process([program("http"), "--http.address=127.0.0.1:0", *flags], folder, env)


# An idle connection may ask once more: a client that is slow to do so is not cut.
PATIENT = f"--http.linger={int(LIMIT)}s"


def drained(process):
    """What the http example said at its end: a dict of strings."""
    records = [r for r in process.records if r.get("msg") == "drained"]
    equal(len(records), 1, "lines that say drained")
    return records[0]


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
            slow.request("GET", "/slow?ms=10000")
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
        done = subprocess.run(["wrk", "-t1", "-c64", "-d1s", "--timeout", f"{LIMIT:g}s", url],
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
        wrk = subprocess.Popen(["wrk", "-t1", "-c16", "-d2s", "--timeout", f"{LIMIT:g}s", "http://" + address + "/"],
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


suite.main()

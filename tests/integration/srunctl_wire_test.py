#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What srunctl makes of each answer on the wire: in pieces, cut off, without end, or none."""
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from fake_admin import Fake, http  # noqa: E402
from srunctl import SRUNCTL, ask, call, fake  # noqa: E402
from support import LIMIT, Suite, check, equal  # noqa: E402

suite = Suite("srunctl_wire")


def chunked(parts, trailer=b""):
    body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts)
    return (b"HTTP/1.1 200 OK\r\ntransfer-ENCODING: chunked\r\n\r\n" + body + b"0\r\n" + trailer
            + b"\r\n")


@suite.test
def chunks_are_put_together(folder):
    with fake(folder) as server:
        server.routes["GET /threads"] = chunked([b"one ", b"two\n", b"x" * 70000 + b"\n"], b"A: b\r\n")
        equal(ask(folder, "threads"), (0, "one two\n" + "x" * 70000 + "\n", ""))


@suite.test
def an_answer_may_come_byte_by_byte(folder):
    def dribble(connection, _):
        for byte in chunked([b"slow\n"]):
            connection.sendall(bytes([byte]))
    with fake(folder) as server:
        server.routes["GET /threads"] = dribble
        equal(ask(folder, "threads"), (0, "slow\n", ""))


@suite.test
def an_answer_without_a_length_ends_with_the_connection(folder):
    with fake(folder) as server:
        server.routes["GET /threads"] = b"HTTP/1.0 200 OK\r\n\r\nto the end\n"
        equal(ask(folder, "threads"), (0, "to the end\n", ""))
        server.routes["GET /threads"] = b"HTTP/1.1 204 No Content\r\n\r\n"
        equal(ask(folder, "threads"), (0, "", ""))


@suite.test
def a_kept_connection_is_not_waited_for(folder):
    done = threading.Event()

    def keep(connection, _):
        connection.sendall(http(200, "here\n"))
        check(done.wait(LIMIT), "srunctl did not end")
    with fake(folder) as server:
        server.routes["GET /threads"] = keep
        equal(ask(folder, "threads"), (0, "here\n", ""))
        done.set()


@suite.test
def what_is_no_http_is_refused(folder):
    head = b"HTTP/1.1 200 OK\r\n"
    with fake(folder) as server:
        for answer in (b"hello\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
                       b"\0" * 5000, head + b"no colon\r\n\r\n",
                       head + b"Content-Length: -1\r\n\r\n",
                       head + b"Transfer-Encoding: gzip\r\n\r\nthis is none",
                       head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
                       head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"):
            server.routes["GET /threads"] = answer
            code, out, err = ask(folder, "threads")
            equal((code, out), (3, ""), answer[:60])
            check("the answer is no HTTP" in err, f"{answer[:60]}: {err}")


@suite.test
def an_answer_that_is_cut_off_is_refused(folder):
    head = b"HTTP/1.1 200 OK\r\n"
    with fake(folder) as server:
        for answer in (b"", b"HTTP/1.1 2", head, head + b"A: b\r\n", b"HTTP/1.1 100 Go\r\n\r\n",
                       b"HTTP/1.1 100 Go\r\n\r\n" + head, http(200, "hello\n")[:-1],
                       chunked([b"a"])[:-7], chunked([b"a" * 100])[:-60]):
            server.routes["GET /threads"] = answer
            code, out, err = ask(folder, "threads")
            equal((code, out), (3, ""), answer)
            check("the answer is cut off" in err, f"{answer}: {err}")


@suite.test
def a_path_is_asked_for_as_it_is(folder):
    with fake(folder) as server:
        equal(ask(folder, "health", "..")[0], 1)
        equal(server.lines(), ["GET /healthz/..?verbose&format=text HTTP/1.1"])


@suite.test
def what_is_set_up_for_other_clients_has_no_part(folder):
    """A proxy, a .netrc, and a redirect to where it may lead."""
    with open(os.path.join(folder, ".netrc"), "w", encoding="ascii") as file:
        file.write("default login somebody password secret\n")
    with Fake() as server, Fake() as other:
        server.routes["GET /threads"] = http(302, "", f"Location: http://{other.address}/\r\n")
        proxy = "http://" + other.address
        code, _, err = call(folder, "-a", server.address, "threads", env={
            "http_proxy": proxy, "all_proxy": proxy, "HOME": folder})
        equal((code, err), (1, "srunctl: GET /threads: 302 "))
        check("Authorization" not in server.requests[0], server.requests)
        equal(other.requests, [])


@suite.test
def an_answer_without_end_is_refused(folder):
    def endless(head, part):
        def send(connection, _):
            connection.sendall(head)
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(part)
        return send
    with fake(folder) as server:
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
                       endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
                       endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                               b"8000\r\n" + b"x" * 0x8000 + b"\r\n")):
            server.routes["GET /threads"] = answer
            code, out, err = ask(folder, "threads", "-t", "60")
            equal((code, out), (3, ""))
            check("larger than 16 MiB" in err, err)


@suite.test
def a_program_that_does_not_answer_is_left_in_time(folder):
    done = threading.Event()

    def drip(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nA: ")
        with contextlib.suppress(OSError):
            while not done.wait(0.05):
                connection.sendall(b"x")
    with fake(folder) as server:
        for answer in (drip, lambda *_: done.wait(LIMIT)):
            server.routes["GET /threads"] = answer
            begin = time.monotonic()
            code, _, err = ask(folder, "threads", "-t", "300ms")
            equal(code, 3)
            check("no answer within 300ms" in err, err)
            check(time.monotonic() - begin >= 0.3, "it did not wait")
        done.set()


@suite.test
def a_full_queue_is_waited_for_in_time(folder):
    path = os.path.join(folder, "a.sock")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(path)
        code, _, err = ask(folder, "threads", "-t", "200ms")
        equal(code, 3)
        check("no answer within 200ms" in err, err)


@suite.test
def signals_end_a_request(folder):
    asked, done = threading.Event(), threading.Event()

    def hang(*_):
        asked.set()
        done.wait(LIMIT)
    with fake(folder) as server:
        server.routes["GET /threads"] = hang
        with subprocess.Popen([SRUNCTL, "-s", server.path, "threads"]) as process:
            check(asked.wait(LIMIT), "nothing was asked")
            process.send_signal(signal.SIGINT)
            equal(process.wait(LIMIT), -signal.SIGINT)
        done.set()


suite.main(4)

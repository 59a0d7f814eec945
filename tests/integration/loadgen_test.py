# SPDX-License-Identifier: MIT
"""The load generator against servers that do one thing wrong: each error is counted as what it is,
and what is no error is not."""
import contextlib
import itertools
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
from support import BUILD_DIR, LIMIT, Process, Suite, check, equal, run  # noqa: E402

suite = Suite("loadgen")
LOADGEN = os.path.join(BUILD_DIR, "tests", "load", "loadgen")


def response(body=b"hello", status="200 OK", headers=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(connection):
    """Closes it by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_request(connection):
    """One request, or b"" at the end."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    return data


class Server:
    """Calls serve(connection, number) in a thread for each connection. On TCP, or at a unix path."""

    def __init__(self, serve, path=None, family=socket.AF_INET):
        self._serve, self.threads = serve, []
        self._listener = socket.socket(socket.AF_UNIX if path else family)
        self._listener.bind(path or ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(512)
        self.where = f"--unix={path}" if path else "--address=" + address_of(self._listener)

    def _one(self, connection, number):
        try:
            self._serve(connection, number)
        except OSError:
            pass  # the client has gone
        finally:
            connection.close()

    def _accept(self):
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(LIMIT)
            thread = threading.Thread(target=self._one, args=(connection, number), daemon=True)
            thread.start()
            self.threads.append(thread)
            number += 1

    def __enter__(self):
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *failure):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(LIMIT)
        self._listener.close()


def address_of(listener):
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def load(folder, where, *options):
    code, out, log = run([LOADGEN, where, "--json", *options], folder)
    equal(code, 0, f"exit code ({log})")
    report = json.loads(out.splitlines()[-1])
    equal(report["answers"] + report["lost"], report["requests"], "answers and lost")
    equal(sum(report["errors"].values()), report["lost"], "the sum of errors")
    return report


def errors(report):
    return {kind: count for kind, count in report["errors"].items() if count}


def one_client(folder, serve, requests, *options):
    with Server(serve) as server:
        return load(folder, server.where, "--clients=1", f"--requests={requests}", *options)


def good(connection, number):
    while read_request(connection):
        connection.sendall(response())


def answered_then(end):
    """Answers the first request of each connection, and ends the second one in some way."""
    def serve(connection, number):
        read_request(connection)
        connection.sendall(response())
        read_request(connection)
        end(connection)
    return serve


# No error


@suite.test
def counts_answers_on_every_kind_of_socket(folder):
    servers = [Server(good), Server(good, path=os.path.join(folder, "s"))]
    with contextlib.suppress(OSError):
        servers.append(Server(good, family=socket.AF_INET6))
    for server in servers:
        with server:
            report = load(folder, server.where, "--clients=4", "--threads=2", "--requests=101")
            equal((report["answers"], report["connections"]), (101, 4), server.where)


@suite.test
def asks_as_it_was_told(folder):
    seen = []

    def serve(connection, number):
        request = read_request(connection)
        seen.append(request.decode().split("\r\n"))
        connection.sendall(response(headers=["Connection: close"]))
    for options in ([], ["--mode=new"], ["--http10"], ["--http10", "--mode=new", "--path=/a?b"]):
        equal(errors(one_client(folder, serve, 1, *options)), {}, "errors")
    equal([(lines[0], [line for line in lines if line.startswith("Connection")]) for lines in seen],
          [("GET / HTTP/1.1", []), ("GET / HTTP/1.1", ["Connection: close"]),
           ("GET / HTTP/1.0", ["Connection: keep-alive"]),
           ("GET /a?b HTTP/1.0", ["Connection: close"])], "requests")


@suite.test
def takes_a_connection_per_request(folder):
    def serve(connection, number):
        read_request(connection)
        connection.sendall(response())
    report = one_client(folder, serve, 20, "--mode=new")
    equal((errors(report), report["answers"], report["connections"]), ({}, 20, 20), "report")


@suite.test
def reconnects_when_told_that_the_connection_closes(folder):
    def serve(connection, number):
        for headers in ([], [], ["Connection: close"]):
            read_request(connection)
            connection.sendall(response(headers=headers))
    report = one_client(folder, serve, 9)
    equal((errors(report), report["connections"], report["told_to_close"]), ({}, 3, 3), "report")


@suite.test
def sees_that_an_idle_connection_was_closed(folder):
    def serve(connection, number):
        read_request(connection)
        connection.sendall(response())
    report = one_client(folder, serve, 3, "--rate=0.5")  # the end has two seconds to be seen
    equal((errors(report), report["connections"]), ({}, 3), "report")
    check(report["idle_closed"] >= 2, report)  # the last one may come after the end


@suite.test
def closes_what_a_server_leaves_open(folder):
    def serve(connection, number):
        read_request(connection)
        connection.sendall(response(headers=["Connection: close"]))
        connection.recv(1)
    report = one_client(folder, serve, 2)
    equal((errors(report), report["left_open"]), ({}, 1), "report")


@suite.test
def reads_slow_and_chunked_answers(folder):
    def serve(connection, number):
        read_request(connection)
        text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        for at in range(len(text)):
            connection.sendall(text[at:at + 1])
            time.sleep(0.001)
    report = one_client(folder, serve, 1)
    equal(errors(report), {}, "errors")
    check(report["latency_us"]["p50"] >= len("abc") * 1000, report)


@suite.test
def tells_processes_and_generations_apart(folder):
    def serve(connection, number):
        for generation in (1, 1, 1, 2, 2):
            read_request(connection)
            connection.sendall(
                response(headers=[f"X-Pid: {70 + generation}", f"X-Generation: {generation}"]))
    report = one_client(folder, serve, 5, "--events")
    equal([(p["pid"], p["generation"], p["answers"]) for p in report["processes"]],
          [(71, 1, 3), (72, 2, 2)], "processes")


# Errors


@suite.test
def calls_a_port_without_a_listener_refused(folder):
    with contextlib.closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        report = load(folder, "--address=" + address_of(bound), "--clients=2", "--requests=6")
    equal(errors(report), {"connect_refused": 6}, "errors")


@suite.test
def names_the_error_of_a_path_that_is_not_there(folder):
    report = load(folder, f"--unix={folder}/none", "--clients=1", "--requests=1")
    equal((errors(report), report["first_error"]),
          ({"connect_other": 1}, "No such file or directory"), "report")


@suite.test
def calls_a_connect_that_nobody_answers_a_timeout(folder):
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(contextlib.closing(socket.socket()))
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # one gets into the queue
            filler = stack.enter_context(contextlib.closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        report = load(folder, "--address=" + address_of(full), "--clients=1", "--requests=1",
                      "--timeout=0.2")
    equal(errors(report), {"connect_timeout": 1}, "errors")


@suite.test
def waits_at_a_unix_socket_whose_queue_is_full(folder):
    path = os.path.join(folder, "s")
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
        full.bind(path)
        full.listen(0)
        filler = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
        filler.connect(path)
        report = load(folder, f"--unix={path}", "--clients=1", "--requests=1", "--timeout=0.2")
    equal((errors(report), report["connect_waits"]), ({"connect_timeout": 1}, 1), "report")


@suite.test
def tells_the_ends_of_a_new_connection_apart(folder):
    def ends(end):
        def serve(connection, number):
            read_request(connection)
            end(connection)
        return errors(one_client(folder, serve, 3))
    equal(ends(socket.socket.close), {"closed_new": 3}, "closed")
    equal(ends(reset), {"reset_new": 3}, "reset")


@suite.test
def tells_the_keep_alive_race(folder):
    for end, kind in ((socket.socket.close, "closed_reused"), (reset, "reset_reused")):
        report = one_client(folder, answered_then(end), 6)
        equal((errors(report), report["answers"]), ({kind: 3}, 3), "report")


@suite.test
def tells_the_keep_alive_race_on_a_unix_socket(folder):
    with Server(answered_then(socket.socket.close), path=os.path.join(folder, "s")) as server:
        report = load(folder, server.where, "--clients=1", "--requests=6")
    equal(errors(report), {"closed_reused": 3}, "errors")


@suite.test
def tells_how_a_response_was_cut(folder):
    def cuts(end, text):
        def serve(connection, number):
            read_request(connection)
            connection.sendall(text)
            end(connection)
        return errors(one_client(folder, serve, 2))
    for text in (b"H", response()[:30], response()[:-1],
                 b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"):
        equal(cuts(socket.socket.close, text), {"closed_middle": 2}, repr(text))
        equal(cuts(reset, text), {"reset_middle": 2}, repr(text))


@suite.test
def tells_garbage_and_other_statuses(folder):
    def always(text):
        def serve(connection, number):
            while read_request(connection):
                connection.sendall(text)
        return one_client(folder, serve, 2)
    report = always(b"SSH-2.0-OpenSSH_9.2\r\n")
    equal((errors(report), report["malformed"]), ({"malformed": 2}, "status line"), "garbage")
    report = always(response() + b"x")
    equal((errors(report), report["malformed"]), ({"malformed": 2}, "bytes after the response"),
          "too much")
    equal(errors(always(response(status="503 Busy"))), {"wrong_status": 2}, "status")


@suite.test
def gives_up_on_an_answer_that_does_not_come(folder):
    def serve(connection, number):
        read_request(connection)
        connection.sendall(response()[:20])
        connection.recv(1)
    report = one_client(folder, serve, 2, "--timeout=0.1")
    equal(errors(report), {"timeout": 2}, "errors")


@suite.test
def counts_each_error_among_many(folder):
    def serve(connection, number):
        if read_request(connection) and number % 3 != 0:
            connection.sendall(response())
    with Server(serve) as server:
        report = load(folder, server.where, "--mode=new", "--clients=8", "--requests=300")
    equal(set(errors(report)), {"closed_new"}, "kinds")
    equal(report["lost"], 100, "lost")


# Open loop


def stalls(stalled_for):
    """Answers at once, but for one pause of the whole server, before its 60th answer."""
    lock, answers = threading.Lock(), itertools.count(1)

    def serve(connection, number):
        while read_request(connection):
            with lock:
                if next(answers) == 60:
                    time.sleep(stalled_for)
                connection.sendall(response())
    return serve


@suite.test
def an_open_loop_counts_the_wait_of_a_stalled_server(folder):
    report = one_client(folder, stalls(0.5), 200, "--rate=200", f"--seconds={LIMIT:g}")
    equal((errors(report), report["answers"]), ({}, 200), "report")
    latency = report["latency_us"]
    # 100 of the 200 were due while it stalled: they waited from 500 ms down to none.
    check(latency["max"] >= 490e3, latency)
    check(latency["p90"] >= 300e3, latency)
    check(report["longest_gap_us"] >= 490e3, report)


@suite.test
def a_closed_loop_sees_the_same_stall_once(folder):
    report = one_client(folder, stalls(0.5), 1000, f"--seconds={LIMIT:g}")
    equal(report["answers"], 1000, report)
    check(report["latency_us"]["max"] >= 490e3, report)
    check(report["latency_us"]["p90"] < 100e3, report)


@suite.test
def an_open_loop_counts_what_it_could_not_send(folder):
    def serve(connection, number):
        read_request(connection)
        connection.recv(1)
    report = one_client(folder, serve, 50, "--rate=100", "--timeout=0.2", "--seconds=0.5")
    equal(report["requests"], 50, "requests")
    equal(set(errors(report)), {"timeout", "not_sent"}, "kinds")


@suite.test
def an_open_loop_keeps_its_rate(folder):
    with Server(good) as server:
        report = load(folder, server.where, "--clients=4", "--threads=2", "--rate=100", "--seconds=1")
    check(99 <= report["requests"] <= 101, report)


# The program


@suite.test
def ends_early_on_sigterm_and_reports(folder):
    answered = threading.Event()

    def serve(connection, number):
        while read_request(connection):
            connection.sendall(response())
            if read_request(connection):  # it has taken the first answer
                answered.set()
                connection.sendall(response())
    with Server(serve) as server, Process([LOADGEN, server.where, "--json", "--events",
                                           "--clients=1", "--seconds=600"], folder) as generator:
        check(answered.wait(LIMIT), "it asks only once")
        generator.signal(signal.SIGTERM)
        equal(generator.finish(), 0, "exit code")
        lines = [json.loads(line) for line in generator.stdout.splitlines()]
    equal((lines[0]["event"], lines[0]["pid"]), ("process", 0), "event")
    equal((errors(lines[-1]), lines[-1]["answers"] > 0), ({}, True), "report")


@suite.test
def sends_at_least_so_many(folder):
    started, generator = threading.Event(), None

    def serve(connection, number):
        started.wait(LIMIT)
        generator.signal(signal.SIGTERM)
        good(connection, number)
    with Server(serve) as server, Process(
            [LOADGEN, server.where, "--json", "--clients=1", "--at-least=500", "--seconds=600"],
            folder) as generator:
        started.set()
        equal(generator.finish(), 0, "exit code")
        equal(json.loads(generator.stdout)["requests"], 500, "requests")


@suite.test
def refuses_what_it_does_not_understand(folder):
    for options in ([], ["--address=localhost"], ["--address=127.0.0.1:1", "--unix=/x"],
                    ["--address=127.0.0.1:1", "--mode=often"],
                    ["--address=127.0.0.1:1", "--seconds=0"],
                    ["--address=127.0.0.1:1", "--seconds=nan"],
                    ["--address=127.0.0.1:1", "--clients=1.5"],
                    ["--address=127.0.0.1:1", "--clients=5000"],
                    ["--address=127.0.0.1:1", "--path=x"], ["--address=127.0.0.1:1", "more"]):
        code, out, log = run([LOADGEN, *options], folder)
        check(code in (1, 2) and out == "" and log != "", f"{options}: {code} {log}")


suite.main()

# SPDX-License-Identifier: MIT
"""The examples are upgraded as their readers would do it: what clients of the http and of the echo
server notice. upgrade_*_test.py have what these examples do not do."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sys
import threading

sys.dont_write_bytecode = True
from endure import Server, eventually, full  # noqa: E402
from support import (BUILD_DIR, LIMIT, SANITIZE, Process, Suite, UnixConnection, ask, check,
                     connect, equal, has_program, program, request)  # noqa: E402

suite = Suite("upgrade_examples")
LOADGEN = os.path.join(BUILD_DIR, "tests", "load", "loadgen")
UPGRADES = full(6 if SANITIZE else 20, 200)

# Who is waited for is never cut by the time to stop; who is to be cut has a short one.
PATIENT = {"SRUN_STOP_TIMEOUT": "10m", "SRUN_GRACEFUL_TIMEOUT": "20m"}
SOON = {"SRUN_STOP_TIMEOUT": "10s"}  # of which the examples leave a tenth for the end


def http_server(folder, address="127.0.0.1:0", probation="0s", env=None):
    return Server([program("http"), "--http.address=" + address], folder, {**PATIENT, **(env or {})},
                  probation)


def echo_server(folder, probation="0s", env=None):
    return Server([program("echo"), "--echo.address=127.0.0.1:0"], folder,
                  {**PATIENT, **(env or {})}, probation)


def old_one_ends(server, since):
    server.wait_for('msg="the old generation has ended"', since=since)


def is_answered_by(response, server, generation, body=None):
    """The headers and, for the root page, the body name this generation and its process."""
    pid = server.pids[generation - 1]
    equal(response.status, 200, "status")
    equal((response.headers["X-Generation"], response.headers["X-Pid"]),
          (str(generation), str(pid)), "who answers")
    if body:
        told = json.loads(body)
        equal((told["generation"], told["pid"]), (generation, pid), "who answers, in the body")


def counts_up(server, dial):
    """Three upgrades; each generation answers on a new connection."""
    for generation in range(1, 5):
        with contextlib.closing(dial()) as connection:
            answer = ask(connection, "GET", "/")
            is_answered_by(answer, server, generation, answer.body)
        if generation < 4:
            server.upgrade(ended=True)
    equal(server.stop(), 0, "exit code")


# http


@suite.test
def http_counts_its_generations(folder):
    with http_server(folder) as server:
        address = server.address("http")
        counts_up(server, lambda: connect(address))


@suite.test
def http_keeps_its_unix_path(folder):
    path = os.path.join(folder, "http.sock")
    with http_server(folder, f"unix://{path}") as server:
        before = os.stat(path).st_ino

        def dial_path():
            equal(os.stat(path).st_ino, before, "the path's file")
            return UnixConnection(path)
        counts_up(server, dial_path)
        check(not os.path.exists(path), "the path is left")
        equal({record["level"] for record in server.records} - {"INFO"}, set(), "complaints")


@suite.test
def http_keeps_its_ipv6_address(folder):
    try:
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    except OSError:
        return  # this machine has none
    with http_server(folder, "[::1]:0") as server:
        address = server.address("http")
        counts_up(server, lambda: connect(address))


def raw(address, *headers):
    """A connection on which a request of HTTP/1.0 was sent."""
    host, port = address.rsplit(":", 1)
    client = socket.create_connection((host, int(port)), LIMIT)
    send10(client, *headers)
    return client


def send10(client, *headers):
    client.sendall("\r\n".join(["GET / HTTP/1.0", *headers, "", ""]).encode())


def answer_of(client):
    """One response with a length: (headers, body)."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536) or b"\r\n\r\n"
    head, body = data.split(b"\r\n\r\n", 1)
    size = int(re.search(rb"(?i)\ncontent-length: *(\d+)", head).group(1))
    while len(body) < size:
        more = client.recv(65536)
        check(more, "cut in the middle")
        body += more
    return head.decode().lower(), body


@suite.test
def http10_clients_notice_nothing(folder):
    with http_server(folder) as server:
        address = server.address("http")
        with raw(address, "Connection: keep-alive") as kept:
            head, _ = answer_of(kept)
            check("connection: keep-alive" in head, head)
            for generation in (1, 2):
                with raw(address) as once:
                    check(f"x-generation: {generation}" in answer_of(once)[0], "who answers")
                    equal(once.recv(1), b"", "the end")
                if generation == 1:
                    since = server.mark_now()
                    server.upgrade()
            send10(kept, "Connection: keep-alive")
            head, body = answer_of(kept)
            check("x-generation: 1" in head and "connection: keep-alive" not in head, head)
            equal(json.loads(body)["generation"], 1, "who answers")
            equal(kept.recv(1), b"", "the end")
        old_one_ends(server, since)
        equal(server.stop(), 0, "exit code")


def stays_idle(folder, probation):
    with http_server(folder, probation=probation) as server:
        with contextlib.closing(connect(server.address("http"))) as idle:
            equal(ask(idle, "GET", "/").headers.get("Connection"), None, "Connection")
            since = server.mark_now()
            server.upgrade()
            if probation == "0s":
                server.wait_for("msg=draining .*connections=1", since=since)
            answer = ask(idle, "GET", "/")  # http.client would connect again if it were closed
            is_answered_by(answer, server, 1)
            equal(answer.headers.get("Connection"), "close", "Connection")
            is_answered_by(ask(idle, "GET", "/"), server, 2)
        if probation == "0s":
            old_one_ends(server, since)
        equal(server.stop(), 0, "exit code")
        if probation == "0s":
            told = server.with_message("drained")[0]
            equal((told["cut"], told["idle_closed"]), ("0", "0"), "what the old one ended")


@suite.test
def http_tells_an_idle_client_to_come_back(folder):
    stays_idle(folder, "0s")


@suite.test
def http_tells_an_idle_client_to_come_back_in_the_probation(folder):
    stays_idle(folder, "10m")


@suite.test
def http_leaves_an_idle_client_alone_until_the_time_is_over(folder):
    with http_server(folder, env=SOON) as server:
        with contextlib.closing(connect(server.address("http"))) as idle:
            ask(idle, "GET", "/")
            since = server.mark_now()
            server.upgrade()
            old_one_ends(server, since)
            equal(idle.sock.recv(1), b"", "the end, and no reset")
        equal(server.with_message("drained")[0]["idle_closed"], "1", "idle connections closed")
        equal(server.stop(), 0, "exit code")


@suite.test
def http_answers_a_slow_request_over_the_switch(folder):
    with http_server(folder, env={"SRUN_LOG_LEVEL": "debug"}) as server:
        address = server.address("http")
        with contextlib.closing(connect(address)) as slow:
            slow.request("GET", "/slow?ms=10000")  # longer than any upgrade takes
            server.wait_for("path=/slow")
            since = server.mark_now()
            server.upgrade()
            is_answered_by(request(address, "GET", "/"), server, 2)
            answer = slow.getresponse()
            is_answered_by(answer, server, 1)
            equal(answer.headers.get("Connection"), "close", "Connection")
            answer.read()
        old_one_ends(server, since)
        equal(server.stop(), 0, "exit code")


@suite.test
def http_finishes_a_stream_over_the_switch(folder):
    with http_server(folder) as server:
        with contextlib.closing(connect(server.address("http"))) as connection:
            connection.request("GET", "/stream?mb=64")  # more than all buffers on the way hold
            response = connection.getresponse()
            size = len(response.read(100000))
            since = server.mark_now()
            server.upgrade()
            server.wait_for("msg=draining .*requests=1", since=since)
            size += len(response.read())
            equal(size, 64 << 20, "size")
            is_answered_by(response, server, 1)
        old_one_ends(server, since)
        equal(server.with_message("drained")[0]["cut"], "0", "cut")
        equal(server.stop(), 0, "exit code")


@suite.test
def http_takes_an_upload_over_the_switch(folder):
    with http_server(folder) as server:
        with contextlib.closing(connect(server.address("http"))) as connection:
            ask(connection, "GET", "/")  # so that it was accepted
            connection.putrequest("PUT", "/items/a")
            connection.putheader("Content-Length", "8")
            connection.endheaders(b"good")
            since = server.mark_now()
            server.upgrade()
            connection.send(b" day")
            answer = connection.getresponse()
            equal((answer.status, answer.headers["X-Generation"]), (201, "1"), "the answer")
            answer.read()
        old_one_ends(server, since)
        equal(server.stop(), 0, "exit code")


@suite.test
def http_begins_with_an_empty_store(folder):
    """docs/examples.md says so."""
    with http_server(folder) as server:
        address = server.address("http")
        equal(request(address, "PUT", "/items/a", b"one").status, 201, "PUT")
        server.upgrade(ended=True)
        equal(request(address, "GET", "/items/a").status, 404, "GET")
        equal(request(address, "PUT", "/items/a", b"two").status, 201, "PUT again")
        equal(server.stop(), 0, "exit code")


@suite.test
def http_answers_what_waits_in_the_backlog(folder):
    """Nobody accepts when the old process has stopped in its tracks; who waits is answered after."""
    with http_server(folder) as server:
        address = server.address("http")
        server.signal(signal.SIGSTOP)
        waiting = [connect(address) for _ in range(16)]
        for connection in waiting:
            connection.request("GET", "/")
        since = server.mark_now()
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGCONT)
        server.taken_over(since)
        for connection in waiting:
            equal(connection.getresponse().status, 200, "status")
            connection.close()
        old_one_ends(server, since)
        equal(server.stop(), 0, "exit code")


@suite.test
def http_keeps_its_clients_when_the_new_generation_dies(folder):
    with http_server(folder, probation="10m") as server:
        address = server.address("http")
        with contextlib.closing(connect(address)) as kept:
            ask(kept, "GET", "/")
            since = server.mark_now()
            server.upgrade()
            os.kill(server.pids[-1], signal.SIGKILL)
            server.wait_for('msg="rolled back"', since=since)
            answer = ask(kept, "GET", "/")
            is_answered_by(answer, server, 1)
            equal(answer.headers.get("Connection"), None, "Connection")
            is_answered_by(request(address, "GET", "/"), server, 1)
        equal(server.stop(), 0, "exit code")


# http under load


def keeps_all_requests(folder, address, where, *mode):
    with http_server(folder, address) as server:
        idle = threads_of(server.pid)
        with Process([LOADGEN, where(server), "--json", "--clients=8", "--seconds=600", *mode],
                     folder) as load:
            eventually(lambda: threads_of(server.pid) > idle, "a connection")
            for _ in range(UPGRADES):
                server.upgrade(ended=True)
            eventually(lambda: threads_of(server.pids[-1]) > idle, "a connection of the last")
            load.signal(signal.SIGTERM)
            equal(load.finish(), 0, "exit code of loadgen")
        report = json.loads(load.stdout.splitlines()[-1])
        lost = {kind: count for kind, count in report["errors"].items() if count}
        equal((lost, report["lost"]), ({}, 0), "lost requests")
        equal(report["other_answers"], 0, "answers of nobody")
        answered = {process["generation"] for process in report["processes"]}
        check({1, UPGRADES + 1} <= answered <= set(range(1, UPGRADES + 2)), f"who: {answered}")
        equal(server.stop(), 0, "exit code")
        told = server.with_message("drained")
        equal(({record["cut"] for record in told}, len(told)), ({"0"}, UPGRADES + 1), "cut")


def threads_of(pid):
    """Each connection has one."""
    return len(os.listdir(f"/proc/{pid}/task"))


def on_tcp(server):
    return "--address=" + server.address("http")


@suite.test
def http_loses_no_request_on_new_connections(folder):
    keeps_all_requests(folder, "127.0.0.1:0", on_tcp, "--mode=new")


@suite.test
def http_loses_no_request_on_kept_connections(folder):
    keeps_all_requests(folder, "127.0.0.1:0", on_tcp, "--mode=keepalive")


@suite.test
def http_loses_no_request_on_a_unix_path(folder):
    path = os.path.join(folder, "http.sock")
    keeps_all_requests(folder, f"unix://{path}", lambda _: f"--unix={path}", "--mode=new",
                       "--http10")


# echo


def dial(server, name="echo"):
    """A socket connected to a listener: echo is TCP, echo-udp is UDP."""
    host, port = server.address(name).rsplit(":", 1)
    client = socket.socket(type=socket.SOCK_DGRAM if name == "echo-udp" else socket.SOCK_STREAM)
    client.settimeout(LIMIT)
    client.connect((host, int(port)))
    return client


def received(client, size):
    """So many bytes, or fewer at the end."""
    data = b""
    while len(data) < size:
        more = client.recv(65536)
        if not more:
            break
        data += more
    return data


def echoes(client, data):
    client.sendall(data)
    equal(received(client, len(data)), data, "what came back")


@suite.test
def echo_keeps_a_client_until_it_leaves(folder):
    with echo_server(folder) as server:
        with dial(server) as staying:
            echoes(staying, b"before")
            since = server.mark_now()
            server.upgrade()
            server.wait_for('msg="seeing off" .*clients=1', since=since)
            with dial(server) as newcomer:
                echoes(newcomer, b"new here")
                echoes(staying, b"after")
                staying.shutdown(socket.SHUT_WR)
                equal(staying.recv(1), b"", "the end")
                old_one_ends(server, since)
                echoes(newcomer, b"still here")
        equal(server.with_message("seen off")[0]["cut"], "0", "clients cut")
        equal(server.stop(), 0, "exit code")


@suite.test
def echo_cuts_a_client_when_the_time_is_over(folder):
    with echo_server(folder, env=SOON) as server:
        with dial(server) as staying:
            echoes(staying, b"before")
            since = server.mark_now()
            server.upgrade()
            old_one_ends(server, since)
            equal(staying.recv(1), b"", "the end")
        equal(server.with_message("seen off")[0]["cut"], "1", "clients cut")
        equal(server.stop(), 0, "exit code")


@suite.test
def echo_sends_back_what_a_client_left_over_the_switch(folder):
    """It sends, closes its side, and reads only when the new generation serves."""
    data = os.urandom(8 << 20)
    with echo_server(folder) as server:
        with dial(server) as client:
            sender = threading.Thread(target=lambda: (client.sendall(data),
                                                      client.shutdown(socket.SHUT_WR)))
            sender.start()
            first = client.recv(1)
            since = server.mark_now()
            server.upgrade()
            server.wait_for('msg="seeing off" .*clients=1', since=since)
            check(first + received(client, len(data)) == data, "what came back")
            sender.join(LIMIT)
            equal(client.recv(1), b"", "the end")
        old_one_ends(server, since)
        equal(server.stop(), 0, "exit code")


@suite.test
def echo_answers_every_datagram(folder):
    upgrades = full(5, 50)
    with echo_server(folder) as server, dial(server, "echo-udp") as client:
        done, lost = threading.Event(), []

        def ask_on():
            number = 0
            while not done.is_set():
                number += 1
                client.send(b"%d" % number)
                try:
                    if client.recv(65536) != b"%d" % number:
                        lost.append(f"{number}: another one came back")
                except OSError as error:
                    lost.append(f"{number}: {error}")
                    return
        asking = threading.Thread(target=ask_on)
        asking.start()
        for _ in range(upgrades):
            server.upgrade(ended=True)
        done.set()
        asking.join(LIMIT)
        equal(lost, [], "datagrams")
        equal(server.stop(), 0, "exit code")


@suite.test
def echo_is_upgraded_again_when_the_last_client_has_left(folder):
    """There are never more than two generations; the second request is remembered."""
    with echo_server(folder) as server:
        with dial(server) as staying:
            echoes(staying, b"before")
            server.upgrade()
            since = server.mark_now()
            server.ask()
            server.wait_for('msg="upgrade requested" .*state=heir', since=since)
            echoes(staying, b"still the first")
        server.taken_over(since)
        equal(server.generation, 3, "generation")
        with dial(server) as client:
            echoes(client, b"the third")
        server.wait_for('msg="the old generation has ended" generation=3', since=since)
        equal(server.stop(), 0, "exit code")


# embeddings


@suite.test
def embed_glib_hands_its_work_over(folder):
    if not has_program("embed-glib"):
        return
    with Server([program("embed-glib"), "--tick=20ms"], folder) as server:
        server.wait_for("msg=tick ")
        server.upgrade()
        since = server.mark_now()
        server.wait_for("msg=tick generation=2 .*count=10", since=since)
        late = [line for line in server.lines[since:]
                if "msg=tick " in line and "generation=2" not in line]
        check(len(late) <= 1, f"the old one works on in its probation: {late}")
        equal(server.stop(), 0, "exit code")


@suite.test
def embed_libevent_greets_everybody(folder):
    if not has_program("embed-libevent"):
        return
    with Server([program("embed-libevent"), "--address=127.0.0.1:0"], folder,
                probation="0s") as server:
        for generation in range(1, 5):
            with dial(server, "greeter") as client:
                equal(client.makefile().read(), f"welcome to generation {generation}\n", "greeting")
            if generation < 4:
                server.upgrade(ended=True)
        equal(server.stop(), 0, "exit code")


suite.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exporters against what a network does at its worst: silence, refusal, lies about who one is. A
call ends by its deadline, whatever the other side does."""
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

from otlp import PATIENT_MS, Certificates, Peers, Sender
from support import LIMIT, SANITIZE, Suite, check, equal, held_port

SUITE = Suite("otlp_hostile")
PEERS = Peers()
LATE = 1500 if SANITIZE else 300  # ms after its deadline by which a call has to be back, on a processor


@contextlib.contextmanager
def listener(backlog=16):
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield server, f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def serving(serve):
    """Calls serve(connection) in a thread for each connection, until the end."""
    stopping, threads = threading.Event(), []

    def accept(server):
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
            threads[-1].start()

    def one(connection):
        with connection, contextlib.suppress(OSError):
            serve(connection, stopping)
    with listener() as (server, address):
        loop = threading.Thread(target=accept, args=(server,), daemon=True)
        loop.start()
        try:
            yield address
        finally:
            stopping.set()
            server.shutdown(socket.SHUT_RDWR)
            loop.join()
            for thread in threads:
                thread.join()


def expect_lost_in_time(sender, count=5, deadline_ms=1000):
    result = sender.export(count, deadline_ms)
    equal((result["accepted"], result["rejected"], result["lost"]), (0, 0, count), f"{result}")
    check(result["took_ms"] - result["starved_ms"] <= deadline_ms + LATE, f"late: {result}")
    check(result["code"] < 0 and result["text"] != "", f"{result}")
    took = sender.end()
    check(took <= LATE, f"freeing took {took} ms")
    return result


def ways(address):
    """The senders by protocol and by TLS."""
    for protocol in ("http", "grpc"):
        for scheme in ("http", "https"):
            yield f"{protocol} {scheme}", Sender(protocol, f"{scheme}://{address}")


@SUITE.test
def a_server_that_never_accepts_costs_the_deadline(folder):
    with listener() as (_, address):
        for what, sender in ways(address):
            result = expect_lost_in_time(sender)
            check(result["took_ms"] >= 900, f"{what}: {result}")


@SUITE.test
def packets_that_are_dropped_cost_the_deadline(folder):
    with listener(backlog=0) as (_, address):
        host, port = address.split(":")
        full = [socket.socket() for _ in range(4)]
        for one in full:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect((host, int(port)))
        for _, sender in ways(address):
            expect_lost_in_time(sender)
        for one in full:
            one.close()


@SUITE.test
def a_server_that_hangs_after_the_request_costs_the_deadline(folder):
    peers = [("http", PEERS.get("node-http"))] + [("grpc", peer) for _, peer in PEERS.grpc()]
    for protocol, peer in peers:
        if peer is not None:
            result = expect_lost_in_time(Sender(protocol, f"http://127.0.0.1:{peer.port}", do="hang=1"))
            equal(result["attempts"], 1, "attempts")


@SUITE.test
def an_answer_that_drips_costs_the_deadline(folder):
    def drip(connection, stopping):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not stopping.wait(0.05):
            connection.sendall(b"x")
    with serving(drip) as address:
        expect_lost_in_time(Sender("http", f"http://{address}"))


@SUITE.test
def what_is_no_http_is_not_asked_again(folder):
    def babble(connection, stopping):
        connection.recv(10)
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        stopping.wait(5)
    with serving(babble) as address:
        result = Sender("http", f"http://{address}")
        told = expect_lost_in_time(result)
        equal(told["attempts"], 1, f"{told}")


@SUITE.test
def an_answer_that_comes_before_the_request_is_read_counts(folder):
    def refuse(connection, _):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    with serving(refuse) as address, Sender("http", f"http://{address}") as sender:
        result = sender.export(20000)
        equal((result["rejected"], result["attempts"], result["text"]), (20000, 1, "HTTP status 413"), f"{result}")


@SUITE.test
def heads_without_end_are_refused(folder):
    def pour(connection, stopping):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stopping.is_set():
            connection.sendall(b"X-Field: " + b"y" * 8000 + b"\r\n")
    with serving(pour) as address:
        result = expect_lost_in_time(Sender("http", f"http://{address}"), deadline_ms=PATIENT_MS)
        equal((result["attempts"], result["text"]), (1, "the reply is too big"), f"{result}")


@SUITE.test
def bodies_without_end_are_refused(folder):
    def pour(connection, stopping):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stopping.is_set():
            connection.sendall(b"y" * 65536)
    with serving(pour) as address:
        result = expect_lost_in_time(Sender("http", f"http://{address}"), deadline_ms=PATIENT_MS)
        equal((result["attempts"], result["text"]), (1, "the reply is too big"), f"{result}")


@SUITE.test
def nobody_there_is_tried_again_until_the_deadline(folder):
    with held_port() as nobody:
        for _, sender in ways("127.0.0.1:%d" % nobody.getsockname()[1]):
            result = expect_lost_in_time(sender, deadline_ms=3000)
            check(2 <= result["attempts"] <= 5, f"{result}")


@SUITE.test
def data_flows_again_when_the_receiver_is_back(folder):
    with held_port() as nobody:
        port = nobody.getsockname()[1]
        with Sender("http", f"http://127.0.0.1:{port}") as sender:
            equal(sender.export(5, 300)["lost"], 5, "nobody there")
            with socket.create_server(("127.0.0.1", port)) as again:
                sender.begin(5)
                connection, _ = again.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    result = sender.result()
            equal((result["accepted"], result["lost"]), (5, 0), f"{result}")


@SUITE.test
def a_kept_connection_that_was_closed_meanwhile_costs_no_attempt(folder):
    closed = threading.Semaphore(0)

    def answer_once(connection, _):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_RDWR)
        closed.release()
    with serving(answer_once) as address, Sender("http", f"http://{address}") as sender:
        for _ in range(5):
            result = sender.export(1)
            equal((result["accepted"], result["attempts"]), (1, 1), f"{result}")
            check(closed.acquire(timeout=LIMIT), "the connection was not closed")


def inherited_connections(pid):
    """Descriptors of TCP connections that a program started by this one would have."""
    with open(f"/proc/{pid}/net/tcp", encoding="utf-8") as file:
        inodes = {line.split()[9] for line in file.readlines()[1:]}
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            name = os.readlink(f"/proc/{pid}/fd/{fd}")
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8") as file:
                flags = int(next(line for line in file if line.startswith("flags:")).split()[1], 8)
            if name.startswith("socket:[") and name[8:-1] in inodes:
                found.append(bool(flags & os.O_CLOEXEC))
    return found


@SUITE.test
def connections_are_closed_in_programs_that_are_started(folder):
    for protocol in ("http", "grpc"):
        with listener() as (server, address), Sender(protocol, f"http://{address}") as sender:
            sender.begin(1)
            connection, _ = server.accept()
            with connection:
                equal(inherited_connections(sender.process.pid), [True], "close-on-exec")
                sender.say("interrupt")
                sender.result()


@SUITE.test
def an_interrupt_ends_a_call_wherever_it_is(folder):
    with listener() as (_, hanging), held_port() as nobody:
        for address in (hanging, "127.0.0.1:%d" % nobody.getsockname()[1]):  # in an attempt; in a pause
            for protocol in ("http", "grpc"):
                with Sender(protocol, f"http://{address}") as sender:
                    sender.begin(5)
                    started = time.monotonic()
                    result = sender.interrupt()
                    check(time.monotonic() - started < LIMIT / 2, f"{result}")
                    equal((result["lost"], result["code"]), (5, -125), f"{result}")
                    # The next call is a new one.
                    equal(sender.export(5, 200)["code"], -110, "the next one")


@SUITE.test
def a_name_that_no_server_answers_for_costs_the_deadline(folder):
    inside = subprocess.run(["unshare", "-mn", "true"], capture_output=True, check=False)
    if inside.returncode != 0 or not shutil.which("ip"):
        print("    not run: no name spaces can be made here")
        return
    resolv, hosts = os.path.join(folder, "resolv.conf"), os.path.join(folder, "nsswitch.conf")
    with open(resolv, "w", encoding="utf-8") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:5 attempts:5\n")
    with open(hosts, "w", encoding="utf-8") as file:
        file.write("hosts: dns\n")
    silent = ("import socket,subprocess,sys\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "s.bind(('127.0.0.1', 53))\n"
              "sys.exit(subprocess.call(sys.argv[1:]))\n")
    script = (f"ip link set lo up && mount --bind {resolv} /etc/resolv.conf && "
              f"mount --bind {hosts} /etc/nsswitch.conf && exec \"$@\"")
    for protocol in ("http", "grpc"):
        with Sender(protocol, "http://collector.invalid.example:4318",
                    before=["unshare", "-mn", "sh", "-c", script, "sh", sys.executable, "-c", silent]) as sender:
            result = expect_lost_in_time(sender, deadline_ms=2000)
            check(result["took_ms"] >= 1900 and result["text"] == "no answer in time", f"{result}")


@SUITE.test
def certificates_have_to_fit(folder):
    made = Certificates(folder)
    for name, kind in (("node-http", "http"), ("node-grpc", "grpc"), ("core", "grpc"), ("go", "grpc")):
        for which, good in (("good", True), ("other", False), ("expired", False), ("self", False)):
            peer = PEERS.get(name, *made.pair(which))
            if peer is None:
                continue
            for host in ("localhost", "127.0.0.1"):
                with Sender(kind, f"https://{host}:{peer.port}", ca=made.path("ca.pem")) as sender:
                    result = sender.export(3)
                    equal((result["accepted"], result["lost"], result["attempts"]),
                          (3, 0, 1) if good else (0, 3, 1), f"{name} {which}: {result}")
        peer = PEERS.get(name, *made.pair("good"))
        if peer is not None:
            with Sender(kind, f"https://localhost:{peer.port}") as sender:
                equal(sender.export(3, 5000)["lost"], 3, f"{name}: the system knows no such authority")


@SUITE.test
def clients_show_their_certificate(folder):
    made = Certificates(folder)
    cert, key = made.pair("client")
    for name, kind in (("node-http", "http"), ("node-grpc", "grpc"), ("core", "grpc")):
        peer = PEERS.get(name, *made.pair("good"), made.path("ca.pem"))
        if peer is None:
            continue
        for options, wanted, deadline_ms in (({"cert": cert, "key": key}, 3, PATIENT_MS), ({}, 0, 1500)):
            with Sender(kind, f"https://localhost:{peer.port}", ca=made.path("ca.pem"), **options) as sender:
                equal(sender.export(3, deadline_ms)["accepted"], wanted, f"{name} {options}")


@SUITE.test
def a_kept_connection_of_tls_serves_many_calls(folder):
    made = Certificates(folder)
    for name, kind in (("node-http", "http"), ("node-grpc", "grpc"), ("core", "grpc"), ("go", "grpc")):
        peer = PEERS.get(name, *made.pair("good"))
        if peer is None:
            continue
        with Sender(kind, f"https://localhost:{peer.port}", ca=made.path("ca.pem"), gzip=1) as sender:
            for _ in range(30):
                result = sender.export(20)
                equal((result["accepted"], result["attempts"]), (20, 1), f"{name}: {result}")
            equal(len({line["peer"] for line in peer.got(sender.key, 30)}), 1, f"{name}: connections")


if __name__ == "__main__":
    try:
        SUITE.main(at_once=4)
    finally:
        PEERS.close()

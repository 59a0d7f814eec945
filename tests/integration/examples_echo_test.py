# SPDX-License-Identifier: MIT
"""The echo server as its clients see it; examples_test.py has what all examples have in common."""
import contextlib
import errno
import os
import resource
import signal
import socket
import struct
import sys
import threading

sys.dont_write_bytecode = True
from examples import expect_file  # noqa: E402
from support import LIMIT, Process, Suite, check, equal, expect, program, run  # noqa: E402

suite = Suite("examples_echo")


@contextlib.contextmanager
def echo(folder, address="127.0.0.1:0", before=None):
    with Process([program("echo"), "--echo.address=" + address], folder, before=before) as server:
        server.wait_for("msg=started ")
        yield server


def dial(server, name="echo"):
    """A socket connected to a listener: echo is TCP, echo-udp is UDP."""
    address = server.wait_for(rf"msg=listening .*name={name} address=\w+://(\S+)").group(1)
    host, port = address.rsplit(":", 1)
    client = socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET,
                           socket.SOCK_DGRAM if name == "echo-udp" else socket.SOCK_STREAM)
    client.settimeout(LIMIT)
    client.connect((host.strip("[]"), int(port)))
    return client


def received(client, size=None):
    """So many bytes, or all until the end."""
    parts, left = [], size
    while left is None or left > 0:
        part = client.recv(min(left or 65536, 65536))
        if not part:
            break
        parts.append(part)
        left = left and left - len(part)
    return b"".join(parts)


def echoes(client, data):
    """Sends, and gets the same back; a datagram in one piece."""
    client.sendall(data)
    equal(received(client, len(data)), data, "what came back")


def seen_off(server):
    """How many clients echo left at its end."""
    return server.wait_for(r'msg="seen off" .*cut=(\d+)').group(1)


def ends_well(server):
    server.signal(signal.SIGTERM)
    equal(server.finish(), 0, "exit code")


@suite.test
def logs_what_is_expected(folder):
    with echo(folder) as server:
        with dial(server) as client:
            echoes(client, b"good day")
            client.shutdown(socket.SHUT_WR)
            equal(client.recv(1), b"", "the end")
        ends_well(server)
        expect(server.lines, expect_file("echo"))


@suite.test
def answers_many_clients(folder):
    with echo(folder) as server:
        clients = [dial(server) for _ in range(200)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.sendall(b"%d of turn %d" % (number, turn))
            for number, client in enumerate(clients):
                wanted = b"%d of turn %d" % (number, turn)
                equal(received(client, len(wanted)), wanted, "what came back")
        for client in clients:
            client.close()
        ends_well(server)


@suite.test
def answers_datagrams(folder):
    with echo(folder) as server, dial(server, "echo-udp") as client:
        for size in (1, 512, 9000, 65507):
            data = bytes(number % 251 for number in range(size))
            client.send(data)
            equal(client.recv(65536), data, f"a datagram of {size} bytes")
        client.send(b"")
        equal(client.recv(65536), b"", "an empty datagram")
        ends_well(server)


@suite.test
def listens_on_ipv6(folder):
    try:
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    except OSError:
        return  # this machine has none
    with echo(folder, "[::1]:0") as server:
        with dial(server) as client, dial(server, "echo-udp") as datagrams:
            echoes(client, b"one")
            echoes(datagrams, b"two")
        ends_well(server)


@suite.test
def finishes_with_a_client_that_has_closed_its_side(folder):
    data = b"0123456789" * 100000
    with echo(folder) as server:
        with dial(server) as client:
            sender = threading.Thread(target=lambda: (client.sendall(data),
                                                      client.shutdown(socket.SHUT_WR)))
            sender.start()
            equal(received(client), data, "what came back until the end")
            sender.join(LIMIT)
        ends_well(server)
        equal(seen_off(server), "0", "clients left")


def fill(client):
    """Sends until nothing more is taken: what was sent."""
    sent = 0
    client.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.send(pattern(sent, 65536))
    client.settimeout(LIMIT)
    return sent


def pattern(begin, size):
    """A part of an endless sequence, in which no place looks like its neighbours."""
    block = b"".join(number.to_bytes(4, "big") for number in range(1 << 14))
    begin %= len(block)
    return (block * 2)[begin:begin + size]


@suite.test
def keeps_no_client_waiting_for_a_slow_reader(folder):
    with echo(folder) as server:
        with dial(server) as slow, dial(server) as other:
            sent = 0
            while True:  # until all buffers on the way are full
                more = fill(slow)
                sent += more
                echoes(other, b"and you?")
                if more == 0:
                    break
            equal(len(received(slow, sent)), sent, "bytes that came back")
            echoes(slow, b"at last")
        ends_well(server)


@suite.test
def stops_while_clients_are_connected(folder):
    with echo(folder) as server:
        clients = [dial(server) for _ in range(3)]
        for client in clients:
            echoes(client, b"good day")
        ends_well(server)
        equal(seen_off(server), "3", "clients left")
        for client in clients:
            equal(client.recv(1), b"", "the end")
            client.close()


@suite.test
def takes_what_lies_in_the_backlog_before_it_stops(folder):
    with echo(folder) as server:
        server.signal(signal.SIGSTOP)
        clients = [dial(server) for _ in range(4)]
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        equal(server.finish(), 0, "exit code")
        equal(seen_off(server), "4", "clients left")
        for client in clients:
            equal(client.recv(1), b"", "the end, and no reset")
            client.close()


@suite.test
def stands_clients_that_reset(folder):
    with echo(folder) as server, dial(server) as witness:
        for _ in range(20):
            with dial(server) as client:
                client.sendall(b"x" * 100000)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            echoes(witness, b"still there?")
        ends_well(server)


@suite.test
def goes_on_when_descriptors_were_scarce(folder):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    with echo(folder, before=few) as server:
        clients = [dial(server) for _ in range(60)]
        server.wait_for("msg=accept ")
        echoes(clients[0], b"here is room")
        for client in clients[1:50]:
            client.close()
        for client in clients[50:]:
            echoes(client, b"now too")
            client.close()
        clients[0].close()
        check(sum("msg=accept " in line for line in server.lines) < 200, "it complains at every turn")
        ends_well(server)


@suite.test
def says_that_the_address_is_in_use(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        code, _, log = run([program("echo"), "--echo.address=" + address], folder)
        equal(code, 1, "exit code")
        check(f"{address}: bind: {os.strerror(errno.EADDRINUSE)}" in log, log)


@suite.test
def says_which_addresses_it_takes(folder):
    for text in ("", "7007", ":7007", "localhost:80", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                 "[::1]", "127.0.0.1:+8", "tcp://127.0.0.1:80", "1" * 200 + ":80"):
        code, _, log = run([program("echo"), "--echo.address=" + text], folder)
        equal(code, 2, f"exit code for {text!r}")
        check("tcp://127.0.0.1:80" in log, log)


suite.main()

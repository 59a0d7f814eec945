# SPDX-License-Identifier: MIT
"""What waits in a socket at the switch, and who takes it: connections, datagrams; and an old
process that lets its clients go takes nothing, and sleeps."""
import contextlib
import os
import re
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
from endure import SLOW, Server, datagrams, eventually, full, server, tell  # noqa: E402
from support import LIMIT, Suite, check, equal, program  # noqa: E402

suite = Suite("upgrade_queue")
PARKED = 64
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def connection(stack, address, first=b""):
    host, port = address.rsplit(":", 1)
    client = stack.enter_context(socket.create_connection((host, int(port)), LIMIT))
    client.sendall(first)
    return client


def parked(folder, sockets, probation):
    """Connections that the first generation never accepts are answered by the second."""
    with server(folder, "--accept-from=2", f"--sockets={sockets}", probation=probation) as served, \
            contextlib.ExitStack() as stack:
        waiting = [connection(stack, served.address(), REQUEST) for _ in range(PARKED)]
        served.upgrade()
        answers = [client.recv(4096) for client in waiting]
        equal([a for a in answers if b"\r\nX-Generation: 2\r\n" not in a], [], "bad answers")
        for client in waiting:
            client.close()
        equal(served.stop(), 0, "exit code")


@suite.test
def connections_that_wait_to_be_accepted_are_not_reset(folder):
    parked(folder, 1, "0s")


@suite.test
def nor_are_they_in_a_group_of_sockets(folder):
    parked(folder, 4, "0s")


@suite.test
def nor_while_the_old_process_lives_on(folder):
    parked(folder, 4, "10s")


def echo(folder, probation="0s"):
    return Server([program("echo"), "--echo.address=127.0.0.1:0"], folder, None, probation)


# UDP


def dropped(port):
    """Datagrams for which there was no room, in the sockets that have this port."""
    total = 0
    with open("/proc/net/udp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            words = line.split()
            if words[1].split(":")[1] == f"{port:04X}":
                total += int(words[-1])
    return total


def datagrams_lost(served, rate, seconds, upgrades):
    """(sent or more, lost, of which for want of room)"""
    address = served.address("echo-udp")
    port = int(address.rsplit(":", 1)[1])
    before = dropped(port)
    with datagrams(address, rate) as load:
        for _ in range(upgrades):
            served.upgrade(ended=True)
            load.answers(rate // 20)
        load.answers(int(rate * seconds) if upgrades == 0 else 1)
        numbers = load.sum()
    no_room = numbers["dropped"] + dropped(port) - before
    return numbers["answered"] + numbers["lost"], numbers["lost"], no_room


@suite.test
def datagrams_are_not_lost(folder):
    rate, upgrades = full(2000, 20000), full(12, 100)
    with echo(folder) as served:
        quiet = datagrams_lost(served, rate, 1, 0)
        busy = datagrams_lost(served, rate, 1, upgrades)
        tell("datagrams sent, lost, for want of room, without and with upgrades",
             f"{quiet}, {busy}")
        check(busy[1] <= busy[2], f"{busy[1]} of {busy[0]} lost, {busy[2]} for want of room")
        equal(served.stop(), 0, "exit code")


# Letting go


def ran_ns(pid):
    """How long a process has had a processor."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), \
                open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def sockets_of(pid):
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sorted(name for name in names if name.startswith("socket:"))


def echoes(client, text=b"hello\n"):
    client.sendall(text)
    equal(client.recv(100), text, "what an echo server said")


def come_and_go(address, times):
    """So many clients, one after the other."""
    for _ in range(times):
        with contextlib.ExitStack() as stack:
            echoes(connection(stack, address))


def rests(pid, address, what):
    """Clients come and go; the process takes none of them, and hardly runs."""
    before, ran, began = sockets_of(pid), ran_ns(pid), time.monotonic()
    times = 0
    while times == 0 or time.monotonic() < began + 1:  # or what it has to finish counts for much
        come_and_go(address, full(500, 20000))
        times += full(500, 20000)
    share = (ran_ns(pid) - ran) / 1e9 / (time.monotonic() - began)
    rate = times / (time.monotonic() - began)
    tell(f"an old process {what}", f"ran for {100 * share:.2f} % while {rate:.0f} clients came "
         "each second")
    equal(sockets_of(pid), before, f"sockets of an old process {what}")
    check(share < 0.05, f"an old process {what} ran for {100 * share:.1f} % of the time")


@suite.test
def an_old_process_with_clients_takes_no_more_and_sleeps(folder):
    with echo(folder, probation="10m") as served, contextlib.ExitStack() as stack:
        address, old = served.address("echo"), served.pid
        staying = [connection(stack, address) for _ in range(10)]
        for client in staying:
            echoes(client)
        served.upgrade()
        rests(old, address, "that could serve again")
        since = served.mark_now()
        served.ask()  # ends the probation; waits for the old process
        served.wait_for('msg="seeing off" .*clients=10', since=since)
        rests(old, address, "that lets its clients go")
        for client in staying:
            echoes(client)
            client.close()
        served.wait_for('msg="the old generation has ended"', since=since)
        served.taken_over(since)
        come_and_go(address, 10)
        equal(served.generation, 3, "generation")
        equal(served.stop(), 0, "exit code")


@suite.test
def clients_that_leave_while_a_process_is_started_are_gone(folder):
    wrong, over = [], threading.Event()

    def visit(address):
        while not over.is_set():
            try:
                come_and_go(address, 20)
            except (OSError, AssertionError) as error:
                wrong.append(repr(error))
                return
    with echo(folder) as served:
        threads = [threading.Thread(target=visit, args=(served.address("echo"),))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(full(30, 300)):
                served.upgrade(ended=True)
        finally:
            over.set()
            for thread in threads:
                thread.join(LIMIT)
        equal(wrong, [], "what went wrong")
        equal(served.stop(), 0, "exit code")


suite.main()

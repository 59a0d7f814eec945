# SPDX-License-Identifier: MIT
"""What a service manager is told of upgrades, in which order, and by which process."""
import contextlib
import os
import re
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True
from support import LIMIT, Suite, check, equal  # noqa: E402
from upgraded import PLAN, Manager, build, read_all, running, until  # noqa: E402

suite = Suite("upgrade_notify")
PATIENT = [build("upgraded_patient")]  # with a manager that a slow machine lets answer late


@contextlib.contextmanager
def managed(folder, plan=PLAN, hold=False, **more):
    """The manager and the program."""
    env = {"NOTIFY_SOCKET": os.path.join(folder, "notify"), **more.pop("env", {})}
    with Manager(folder, hold) as manager, running(folder, plan, env=env, **more) as program:
        manager.wait_for(r"^READY=1")
        yield manager, program


def essence(told, names):
    """Who said what, without statuses; pids by name."""
    said = []
    for one in told:
        for line in one.text.splitlines():
            key, value = line.split("=", 1)
            if key in ("STATUS", "WATCHDOG"):
                continue
            if key == "MAINPID":
                line = "MAINPID=" + names.get(int(value), value)
            said.append((names.get(one.pid, one.pid), "MONOTONIC_USEC" if key == "MONOTONIC_USEC"
                         else line))
    return said


@suite.test
def an_upgrade_is_told_in_order(folder):
    with managed(folder, argv=PATIENT) as (manager, program):
        old, since = program.office, manager.caught_up()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        program.upgrade()
        new = program.office
        other = manager.wait_for("^BARRIER=1", 3).pid  # upgrade_adopted_test.py is about that one
        told = manager.told[since:]
        names = {old: "old", new: "new", other: "other"}
        equal(essence(told, names),
              [("old", "RELOADING=1"), ("old", "MONOTONIC_USEC"), ("old", "MAINPID=new"),
               ("old", "BARRIER=1"), ("new", "READY=1"),
               ("new", "BARRIER=1"), ("new", "MAINPID=other"), ("other", "MAINPID=new"),
               ("other", "BARRIER=1")])
        usec = int(re.search(r"MONOTONIC_USEC=(\d+)", " ".join(one.text for one in told)).group(1))
        check(before <= usec <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, "the time")
        equal([one.fds for one in told if one.text == "BARRIER=1"], [1] * 3, "descriptors")
        program.stop()
        manager.wait_for("^STOPPING=1", pid=new)
        equal([one for one in manager.told if "STOPPING" in one.text and one.pid == old], [])


@suite.test
def a_barrier_that_is_held_delays_for_a_second_at_most(folder):
    with managed(folder, hold=True) as (manager, program):
        old, begun = program.office, time.monotonic()
        program.upgrade()
        barrier = manager.wait_for("^BARRIER=1", pid=old)
        ready = manager.wait_for("^READY=1", pid=program.office)
        told = manager.told
        check(told.index(barrier) < told.index(ready), f"{told}")
        check(0.9 <= ready.at - begun <= 20, f"READY=1 came after {ready.at - begun:g} s")
        program.stop()


@suite.test
def a_failure_is_told_so_that_no_reload_hangs(folder):
    with managed(folder) as (manager, program):
        since = manager.caught_up()
        program.plan(PLAN + "\nfail no more paper")
        program.fails("no more paper", "init")
        manager.wait_for("^STATUS=upgrade failed: .*no more paper", pid=program.office)
        names = {program.office: "old"}
        equal(essence(manager.told[since:], names),
              [("old", "RELOADING=1"), ("old", "MONOTONIC_USEC"), ("old", "READY=1")])
        program.plan(PLAN)
        program.upgrade()
        program.stop()


@suite.test
def a_failure_after_the_new_process_was_named_takes_that_back(folder):
    with managed(folder, hold=True, argv=PATIENT) as (manager, program):
        old, since = program.office, manager.caught_up()
        place = program.hup()
        new = int(manager.wait_for(r"^MAINPID=").text.split("=")[1])
        os.kill(new, signal.SIGKILL)
        program.wait_for('msg="upgrade failed".*killed by SIGKILL', since=place)
        manager.wait_for("^STATUS=upgrade failed: .*killed by SIGKILL", pid=old)
        equal(essence(manager.told[since:], {old: "old", new: "new"}),
              [("old", "RELOADING=1"), ("old", "MONOTONIC_USEC"), ("old", "MAINPID=new"),
               ("old", "BARRIER=1"), ("old", "MAINPID=old"), ("old", "READY=1")])
        program.serves(old)
        manager.hold = False
        program.upgrade()
        program.stop()


@suite.test
def a_rollback_names_the_old_process_again(folder):
    with managed(folder, env={"SRUN_UPGRADE_PROBATION": "300s"}) as (manager, program):
        old = program.office
        new = program.upgraded(program.hup())
        manager.wait_for("^READY=1", pid=new)
        since = manager.caught_up()
        os.kill(new, signal.SIGKILL)
        program.wait_for('msg="rolled back"')
        manager.wait_for("^STATUS=rolled back: .*killed by SIGKILL", pid=old)
        manager.wait_for("^STATUS=running|^STATUS=rolled", pid=old)
        told = [one for one in essence(manager.told[since:], {old: "old"}) if one[0] == "old"]
        equal(told, [("old", "MAINPID=old"), ("old", "READY=1")])
        program.serves(old)
        program.office = old
        program.stop()
        manager.wait_for("^STOPPING=1", pid=old)


@suite.test
def of_many_requests_only_the_one_that_is_remembered_is_told_and_again_when_it_begins(folder):
    with managed(folder) as (manager, program):
        first, since = program.office, manager.caught_up()
        program.plan(PLAN + "\nwait go\nfail no more paper")
        place = program.hup()
        program.wait_for("msg=begins", since=place)
        for count in range(2, 7):
            program.hup()
            until(lambda: len(program.logged("upgrade requested")) == count, "the request")
        equal([one["level"] for one in program.logged("upgrade requested")],
              ["INFO"] * 2 + ["DEBUG"] * 4)
        program.touch("go")
        until(lambda: len(program.logged("upgrade failed")) == 2, "both failed")
        reloading = [("old", "RELOADING=1"), ("old", "MONOTONIC_USEC")]
        expected = [*reloading, *reloading, ("old", "READY=1"), *reloading, ("old", "READY=1")]

        def told():
            return essence(manager.told[since:], {first: "old"})
        until(lambda: len(told()) >= len(expected), "both answers")
        equal(told(), expected)
        program.stop()


@suite.test
def a_refusal_is_told_as_ready(folder):
    with managed(folder, env={"SRUN_SUPERVISED": "true"}) as (manager, program):
        since = manager.caught_up()
        program.fails("SRUN_SUPERVISED: somebody counts on this very process")
        manager.wait_for("^STATUS=upgrade failed: SRUN_SUPERVISED")
        equal(essence(manager.told[since:], {program.office: "old"}),
              [("old", "RELOADING=1"), ("old", "MONOTONIC_USEC"), ("old", "READY=1")])
        program.stop()


@suite.test
def more_time_for_the_new_process_is_asked_for_by_the_old_one(folder):
    with managed(folder) as (manager, program):
        old = program.office
        program.plan(PLAN + "\nextend 90000")
        program.upgrade()
        manager.wait_for("^READY=1", pid=program.office)
        told = [one for one in manager.told if "EXTEND_TIMEOUT_USEC" in one.text]
        equal([(one.pid, one.text) for one in told], [(old, "EXTEND_TIMEOUT_USEC=90000000")])
        program.stop()


@suite.test
def the_new_process_is_silent_until_it_serves(folder):
    with managed(folder) as (manager, program):
        program.plan(PLAN + "\nwait go")
        place = program.hup()
        new = int(program.wait_for(r"msg=begins .*own_pid=(\d+)", since=place).group(1))
        manager.wait_for("^STATUS=upgrading: starting server")
        equal([one for one in manager.told if one.pid == new], [], "told by the new process")
        program.touch("go")
        program.upgraded(place)
        program.stop()


@suite.test
def a_manager_that_has_gone_does_not_keep_an_upgrade(folder):
    path = os.path.join(folder, "notify")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(path)
        with running(folder, env={"NOTIFY_SOCKET": path}) as program:
            manager.close()
            program.upgrade()
            os.unlink(path)
            program.upgrade()
            program.stop()


@suite.test
def a_manager_that_does_not_listen_delays_for_a_moment_only(folder):
    path = os.path.join(folder, "notify")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as deaf:
        deaf.bind(path)
        env = {"NOTIFY_SOCKET": path, "SRUN_UPGRADE_HANDSHAKE": "5s"}
        with running(folder, env=env) as program:
            keep_busy(path)
            begun = time.monotonic()
            program.gone(program.upgrade())
            took = time.monotonic() - begun
            check(took <= 30, f"the upgrade took {took:g} s")
            program.stop()


def keep_busy(path):
    """The manager takes nothing any more until it has read something."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as noise:
        noise.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                noise.sendto(b"STATUS=noise", path)


@contextlib.contextmanager
def busy(folder):
    """A manager that was busy since the start of the program, and reads when it is told to."""
    path = os.path.join(folder, "notify")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.bind(path)
        manager.settimeout(LIMIT)
        with running(folder, env={"NOTIFY_SOCKET": path}) as program:
            def wait_for(wanted, pid):
                text, sender = "", 0
                while (text, sender) != (wanted, pid):
                    data, control, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(12))
                    text, sender = data.decode(), int.from_bytes(control[0][2][:4], "little")
            wait_for("READY=1", program.office)
            keep_busy(path)
            yield wait_for, program


@suite.test
def the_old_process_does_not_end_before_a_busy_manager_knows_the_new_one(folder):
    with busy(folder) as (wait_for, program):
        old, place = program.office, program.hup()
        new = program.upgraded(place)
        program.wait_for("msg=stopped .*cause=upgrade", since=place)
        wait_for(f"MAINPID={new}", old)  # or its end would be the end of the unit
        program.stop()


@suite.test
def nor_does_it_when_it_fails(folder):
    with busy(folder) as (wait_for, program):
        program.plan(PLAN + "\nwait go")
        old, place = program.office, program.hup()
        new = int(program.wait_for(r"msg=begins .*own_pid=(\d+)", since=place).group(1))
        program.ask("fail")
        program.wait_for("msg=stopped .*cause=service_error", since=place)
        wait_for(f"MAINPID={new}", old)
        equal(program.wait(LIMIT), 1)
        program.touch("go")
        program.wait_for('msg="took over"', since=place)
        program.serves(new)
        os.kill(new, signal.SIGTERM)
        program.gone(new)
        program.finish()


@suite.test
def the_watchdog_is_fed_by_the_one_in_office(folder):
    env = {"WATCHDOG_USEC": "100000", "SRUN_UPGRADE_PROBATION": "300s"}
    with managed(folder, env=env) as (manager, program):
        old = program.office
        manager.wait_for("^WATCHDOG=1", 2, pid=old)
        program.plan(PLAN + "\nwait go")
        place = program.hup()
        new = int(program.wait_for(r"msg=begins .*own_pid=(\d+)", since=place).group(1))
        fed = sum(one.text == "WATCHDOG=1" for one in manager.told)
        manager.wait_for("^WATCHDOG=1", fed + 3, pid=old)
        equal([one for one in manager.told if one.pid == new], [], "told by the new process")
        program.touch("go")
        program.upgraded(place)
        manager.wait_for("^READY=1", pid=new)
        program.wait_for("msg=\"told to drain\"")
        since = manager.caught_up()
        manager.wait_for("^WATCHDOG=1", 4, pid=new)
        equal([one for one in manager.told[since:] if one.pid == old], [], "told by the old one")
        since = manager.caught_up()
        os.kill(new, signal.SIGKILL)
        program.wait_for('msg="rolled back"')
        fed = sum(one.text == "WATCHDOG=1" and one.pid == old for one in manager.told)
        manager.wait_for("^WATCHDOG=1", fed + 2, pid=old)
        program.office = old
        program.stop()


# Activation


LAUNCH = """
import os, socket, sys
web = socket.create_server(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
unix.bind(sys.argv[1])
unix.listen()
high = [os.dup2(one.fileno(), at) for at, one in ((100, web), (101, unix))]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="web.socket:control")
os.execv(sys.argv[2], sys.argv[2:])
"""


NOT_ASKED_FOR = "sockets of the service manager that nobody has asked for"


def activated(folder, path, plan=None):
    """The program, started with two sockets as a service manager does."""
    return running(folder, plan or f"listen web tcp://127.0.0.1:0\nlisten control unix://{path}",
                   argv=[sys.executable, "-c", LAUNCH, path, build("upgraded_v1")])


def origins(program):
    """Where the two sockets of the newest generation came from."""
    return [one["socket"] for one in program.logged("listening")[-2:]]


@suite.test
def sockets_of_the_manager_are_kept_over_upgrades(folder):
    path = os.path.join(folder, "control")
    with activated(folder, path) as program:
        address = program.address()
        equal(origins(program), ["activated"] * 2)
        inode = os.stat(path).st_ino
        for _ in range(3):
            program.upgrade()
            equal(origins(program), ["handed over"] * 2)
            program.serves(program.office, address)
            program.serves(program.office, f"unix://{path}")
        with open(f"/proc/{program.office}/environ", "rb") as file:
            equal([word for word in file.read().split(b"\0") if word.startswith(b"LISTEN_")], [])
        program.stop()
        equal(os.stat(path).st_ino, inode, "the path, which is the manager's")


@suite.test
def a_path_of_the_manager_stays_when_a_new_version_does_not_want_it(folder):
    path = os.path.join(folder, "control")
    with activated(folder, path) as program:
        program.upgrade()
        program.plan("listen web tcp://127.0.0.1:0")
        old = program.upgrade()
        program.gone(old)
        equal([one["names"] for one in program.logged("not taken over")], ["control"])
        program.upgrade()
        program.plan(f"listen web tcp://127.0.0.1:0\nlisten control unix://{path}")
        program.upgrade()
        equal(origins(program), ["handed over", "activated"])
        program.serves(program.office, f"unix://{path}")
        equal(len(program.logged("not taken over")), 1, "not taken over")
        program.stop()
        check(os.path.exists(path), "the path was removed")


@suite.test
def a_socket_of_the_manager_that_nobody_asked_for_is_there_for_a_later_version(folder):
    path, plan = os.path.join(folder, "control"), "listen web tcp://127.0.0.1:0"
    with activated(folder, path, plan) as program:
        inode, early = os.stat(path).st_ino, program.send("id", f"unix://{path}")
        for _ in range(2):
            program.gone(program.upgrade())
        equal([(one["count"], one["names"]) for one in program.logged(NOT_ASKED_FOR)],
              [("1", "control")] * 3)
        equal(program.logged("not taken over"), [])
        program.plan(f"{plan}\nlisten control unix://{path}")
        program.upgrade()
        equal(origins(program), ["handed over", "activated"])
        equal(int(read_all(early).split()[1]), program.office, "who answers who came first")
        program.serves(program.office, f"unix://{path}")
        program.upgrade()
        equal(origins(program), ["handed over"] * 2)
        program.serves(program.office, f"unix://{path}")
        equal(len(program.logged(NOT_ASKED_FOR)), 3, "not asked for")
        program.stop()
        equal(os.stat(path).st_ino, inode, "the path, which is the manager's")


suite.main(at_once=3)

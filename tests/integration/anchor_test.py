# SPDX-License-Identifier: MIT
"""The anchor: a first process that stays while generations come and go below it."""
import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time

sys.dont_write_bytecode = True
from endure import eventually  # noqa: E402
from scripted import PROGRAM, STEADY, only, open_gate, with_message  # noqa: E402
from support import (LIMIT, SANITIZE, Load, Process, Suite, check, equal, program, request)  # noqa: E402

suite = Suite("anchor")
ANCHOR = {"SRUN_ANCHOR": "true", "SRUN_LOG_LEVEL": "debug", "SRUN_UPGRADE_PROBATION": "50ms"}
LONG = {"SRUN_UPGRADE_PROBATION": "10m"}


def anchored(folder, *services, before=None, flags=(), **env):
    return Process([PROGRAM, *(f"--service={service}" for service in services), *flags], folder,
                   {**ANCHOR, **env}, before)


def web(folder, *before, **env):
    return Process([*before, program("http"), "--http.address=127.0.0.1:0",
                    f"--http.linger={int(LIMIT)}s"], folder, {**ANCHOR, **env})


def generations(process):
    return [pid for pid in process.family() if pid != process.pid]


def only_generation(process):
    pids = generations(process)
    equal(len(pids), 1, f"generations of {process.pid}: {pids}")
    return pids[0]


def status_of(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return re.search(rf"^{name}:\s*(.*)$", file.read(), re.M).group(1)


def await_end(pid):
    """Of a process that is not ours: dead, if not yet reaped."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            check(poller.poll(LIMIT * 1000), f"{pid} does not end")
        finally:
            os.close(fd)


def await_reaped(pid):
    """The kernel tells nobody but the parent; so one has to look."""
    deadline = time.monotonic() + LIMIT
    while os.path.exists(f"/proc/{pid}"):
        check(time.monotonic() < deadline, f"{pid} is not reaped")
        time.sleep(0.002)


def upgrade(process, number):
    """From generation number - 1, by SIGHUP to the anchor, until the old one has ended."""
    since = process.mark_now()
    process.signal(signal.SIGHUP)
    process.wait_for(rf'msg="took over" generation={number} ', since=since)
    process.wait_for('msg="the old generation has ended"', since=since)


def last_words(process):
    return with_message(process, "stopped")[-1]


def stop(process, code=0):
    process.signal(signal.SIGTERM)
    equal(process.finish(), code, "exit code")


# Upgrades


@suite.test
def the_pid_stays_while_five_generations_answer_every_request(folder):
    with web(folder) as server:
        address = server.wait_for(r"msg=listening .*address=tcp://(\S+)").group(1)
        server.wait_for("msg=started ")
        load = Load(address, clients=4)
        for number in range(2, 6):
            load.wait(load.answered + 50)
            upgrade(server, number)
        load.wait(load.answered + 50)
        load.stop()
        equal(load.cut, [], "cut requests")
        equal(set(load.statuses), {200}, "statuses")
        equal(set(load.generations), {"1", "2", "3", "4", "5"}, "who answered")
        last = request(address, "GET", "/").headers
        equal(int(last["X-Pid"]), only_generation(server), "the last generation")
        equal(status_of(last["X-Pid"], "PPid"), str(server.pid), "its parent")
        stop(server)


@suite.test
def all_generations_get_the_same_environment(folder):
    def environment(process):
        with open(f"/proc/{only_generation(process)}/environ", "rb") as file:
            return sorted(entry for entry in file.read().split(b"\0")
                          if not entry.startswith(b"SRUN_HANDOVER="))
    with anchored(folder, f"a {STEADY}") as process:
        process.wait_for("msg=started ")
        first = environment(process)
        check(f"SRUN_ANCHORED={process.pid}".encode() in first, f"{first}")
        upgrade(process, 2)
        upgrade(process, 3)
        equal(environment(process), first, "environment of generation 3")
        stop(process)


@suite.test
def supervised_is_no_obstacle(folder):
    with anchored(folder, f"a {STEADY}", SRUN_SUPERVISED="true") as process:
        process.wait_for("msg=started ")
        upgrade(process, 2)
        stop(process)


@suite.test
def an_upgrade_that_fails_leaves_the_old_one_in_office(folder):
    open_gate(folder, "good")
    with anchored(folder, f"a init=if:good {STEADY}") as process:
        process.wait_for("msg=started ")
        first = only_generation(process)
        os.unlink(os.path.join(folder, "good"))
        process.signal(signal.SIGHUP)
        await_end(int(process.wait_for(r'msg="upgrade failed" .*new_pid=(\d+)').group(1)))
        equal(only_generation(process), first, "who is left")
        stop(process)


@suite.test
def after_a_rollback_signals_go_to_the_old_one(folder):
    with anchored(folder, f"a {STEADY}", **LONG) as process:
        process.wait_for("msg=started ")
        first = only_generation(process)
        process.signal(signal.SIGHUP)
        process.wait_for("msg=upgraded ")
        second = [pid for pid in generations(process) if pid != first]
        os.kill(second[0], signal.SIGKILL)
        process.wait_for('msg="rolled back"')
        stop(process)
        equal(last_words(process)["why"], f"SIGTERM from pid {os.getpid()}")


def orphaned(folder, policy):
    """A generation 2 that waits in its init, and has lost generation 1."""
    open_gate(folder, "go")
    process = anchored(folder, f"a init=gate:go {STEADY}", SRUN_UPGRADE_ORPHAN=policy)
    process.wait_for("msg=started ")
    first = only_generation(process)
    os.unlink(os.path.join(folder, "go"))
    since = process.mark_now()
    process.signal(signal.SIGHUP)
    process.wait_for(r"msg=enter (?:generation=\d+ )?logger_scope=a phase=init", since=since)
    os.kill(first, signal.SIGKILL)
    await_reaped(first)
    return process


@suite.test
def an_orphan_takes_over_below_the_anchor(folder):
    with orphaned(folder, "takeover") as process:
        open_gate(folder, "go")
        process.wait_for('msg="took over" generation=2 ')
        equal(status_of(only_generation(process), "PPid"), str(process.pid), "its parent")
        upgrade(process, 3)
        stop(process)


@suite.test
def an_orphan_that_ends_does_not_hide_why(folder):
    with orphaned(folder, "exit") as process:
        open_gate(folder, "go")
        equal(process.finish(), -signal.SIGKILL, "exit code")


# Signals and exit codes


@suite.test
def the_exit_code_is_that_of_the_new_one_though_the_old_one_ends_later(folder):
    with anchored(folder, f"a {STEADY} stop=gate:go", **LONG) as process:
        process.wait_for("msg=started ")
        first = only_generation(process)
        process.signal(signal.SIGHUP)
        process.wait_for("msg=upgraded ")
        process.wait_for('msg="took over"')
        second = [pid for pid in generations(process) if pid != first][0]
        process.signal(signal.SIGTERM)
        stop_entered = process.wait_for(r"msg=enter (?:generation=\d+ )?logger_scope=a phase=stop")
        process.wait_for(r"msg=enter (?:generation=\d+ )?logger_scope=a phase=stop", since=1 + process.lines.index(
            stop_entered.string))
        os.kill(second, signal.SIGKILL)
        await_end(second)
        process.signal(signal.SIGWINCH)  # the anchor looks around
        open_gate(folder, "go")
        equal(process.finish(), -signal.SIGKILL, "exit code")


@suite.test
def signals_reach_the_one_in_office_with_their_sender(folder):
    for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        with anchored(folder, f"a {STEADY}", **LONG) as process:
            process.wait_for("msg=started ")
            process.signal(signal.SIGHUP)
            process.wait_for("msg=upgraded ")
            process.wait_for('msg="took over"')
            process.signal(signo)
            equal(process.finish(), 0, "exit code")
            check(any(record["why"] == f"{signo.name} from pid {os.getpid()}"
                      for record in with_message(process, "stopped")), "why")


@suite.test
def signals_that_kill_the_program_kill_the_anchor_too(folder):
    for signo in (signal.SIGUSR1, signal.SIGUSR2):
        with anchored(folder, f"a {STEADY}") as process:
            process.wait_for("msg=started ")
            process.signal(signal.SIGWINCH)  # nothing comes of it
            process.signal(signo)
            equal(process.finish(), -signo, "exit code")


@suite.test
def a_signal_that_came_before_main_stops_it(folder):
    def pending():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)
    with anchored(folder, f"a {STEADY}", before=pending) as process:
        equal(process.finish(), 0, "exit code")
        equal(only(process, "stopped")["cause"], "signal")


@suite.test
def it_ends_as_the_program_ends(folder):
    for service, flags, code in (("a run=ready", (), 0), ("a init=fail:disk_full", (), 1),
                                 (f"a {STEADY}", ("--no-such-flag",), 2),
                                 (f"a {STEADY}", ("--version",), 0),
                                 ("a run=ready,running,crash:abort", (), -signal.SIGABRT)):
        with anchored(folder, service, flags=flags) as process:
            equal(process.finish(), code, f"exit code of {service} {flags}")


@suite.test
def a_killed_program_kills_it_likewise(folder):
    with anchored(folder, f"a {STEADY}") as process:
        process.wait_for("msg=started ")
        os.kill(only_generation(process), signal.SIGKILL)
        equal(process.finish(), -signal.SIGKILL, "exit code")


@suite.test
def a_forced_end_keeps_its_exit_code(folder):
    with anchored(folder, f"a {STEADY} stop=hang:sleep") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGINT)
        process.wait_for(r"msg=enter (?:generation=\d+ )?logger_scope=a phase=stop")
        process.signal(signal.SIGINT)
        equal(process.finish(), 128 + signal.SIGINT, "exit code")


@suite.test
def the_program_goes_on_without_its_anchor(folder):
    with web(folder) as server:
        address = server.wait_for(r"msg=listening .*address=tcp://(\S+)").group(1)
        server.wait_for("msg=started ")
        first = only_generation(server)
        server.signal(signal.SIGKILL)
        equal(server.wait(), -signal.SIGKILL)
        since = server.mark_now()
        os.kill(first, signal.SIGHUP)
        server.wait_for('msg="the old generation has ended"', since=since)
        second = request(address, "GET", "/").headers
        equal(second["X-Generation"], "2", "generation")
        os.kill(int(second["X-Pid"]), signal.SIGTERM)
        await_end(int(second["X-Pid"]))


# A terminal


@contextlib.contextmanager
def on_a_terminal(folder):
    """The process, as the leader of a terminal's session, and what is typed there."""
    master, slave = os.openpty()
    with open(master, "wb", buffering=0) as keyboard:
        with open(slave, "rb", buffering=0) as terminal:
            process = anchored(folder, f"a {STEADY}", before=lambda: fcntl.ioctl(
                terminal.fileno(), termios.TIOCSCTTY, 0))
        with process:
            process.wait_for("msg=started ")
            yield process, keyboard


@suite.test
def what_the_terminal_sends_to_all_is_not_sent_twice(folder):
    for key in (b"\x03", b"\x1c"):
        with on_a_terminal(folder) as (process, keyboard):
            keyboard.write(key)
            equal(process.finish(), 0, "exit code")
            equal(with_message(process, "forced"), [], "forced ends")


@suite.test
def a_lost_terminal_stops_it(folder):
    with on_a_terminal(folder) as (process, keyboard):
        keyboard.close()
        equal(process.finish(), 0, "exit code")
        equal(only(process, "stopped")["why"], "SIGHUP: the terminal has gone")


# Around it


ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("port %d" % listener.getsockname()[1], file=sys.stderr, flush=True)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.argv[1], sys.argv[1:])
"""


@suite.test
def sockets_of_the_service_manager_reach_the_program(folder):
    with web(folder, sys.executable, "-c", ACTIVATE) as server:
        port = server.wait_for(r"^port (\d+)").group(1)
        server.wait_for(rf"msg=listening .*address=tcp://127.0.0.1:{port} socket=activated")
        server.wait_for("msg=started ")
        equal(request(f"127.0.0.1:{port}", "GET", "/").headers["X-Generation"], "1")
        upgrade(server, 2)
        equal(request(f"127.0.0.1:{port}", "GET", "/").headers["X-Generation"], "2")
        stop(server)


@suite.test
def the_service_manager_hears_the_generations(folder):
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(os.path.join(folder, "notify"))
        manager.settimeout(LIMIT)

        def heard(word):
            while True:
                text, controls, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(4))
                for _, _, data in controls:
                    os.close(int.from_bytes(data[:4], sys.byteorder))
                if word in text.decode().split("\n"):
                    return
        with anchored(folder, f"a {STEADY}", NOTIFY_SOCKET=os.path.join(folder, "notify")
                      ) as process:
            heard("READY=1")
            first = only_generation(process)
            process.signal(signal.SIGHUP)
            process.wait_for("msg=upgraded ")
            process.wait_for('msg="the old generation has ended"')
            second = only_generation(process)
            check(second != first, "the same process")
            heard(f"MAINPID={second}")
            stop(process)


@suite.test
def it_sleeps_while_the_program_works(folder):
    with web(folder) as server:
        address = server.wait_for(r"msg=listening .*address=tcp://(\S+)").group(1)
        server.wait_for("msg=started ")
        load = Load(address, clients=2)
        load.wait(20)
        eventually(lambda: status_of(server.pid, "State").startswith("S"), "it has gone to sleep after the start")
        before = status_of(server.pid, "voluntary_ctxt_switches")
        load.wait(200)
        equal(status_of(server.pid, "voluntary_ctxt_switches"), before, "wake-ups")
        load.stop()
        equal(SANITIZE or status_of(server.pid, "Threads"), SANITIZE or "1", "threads")
        left = [os.readlink(f"/proc/{server.pid}/fd/{fd}")
                for fd in os.listdir(f"/proc/{server.pid}/fd") if int(fd) > 2]
        equal(left, ["anon_inode:[pidfd]"], "what it holds open")
        stop(server)


@suite.test
def it_reaps_strangers(folder):
    with anchored(folder, "a run=stranger,ready,block") as process:
        stranger = int(process.wait_for(r"msg=stranger .*pid=(\d+)").group(1))
        process.wait_for("msg=started ")
        equal(status_of(stranger, "PPid"), str(process.pid), "parent of the stranger")
        os.kill(stranger, signal.SIGKILL)
        await_reaped(stranger)
        stop(process)


@suite.test
def strangers_do_not_keep_it(folder):
    with anchored(folder, "a run=stranger,ready,block") as process:
        stranger = int(process.wait_for(r"msg=stranger .*pid=(\d+)").group(1))
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        equal(process.wait(), 0, "exit code")
        equal(process.family(), [stranger], "what is left")
        os.kill(stranger, signal.SIGKILL)
        await_end(stranger)


@suite.test
def the_file_is_too_late_to_ask_for_it(folder):
    path = os.path.join(folder, "srun.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("srun:\n  upgrade:\n    anchor: true\n")
    with anchored(folder, f"a {STEADY}", flags=[f"--config={path}"], SRUN_ANCHOR="") as process:
        process.wait_for("msg=started ")
        check("SRUN_ANCHOR" in only(process, "there is no anchor")["hint"], "hint")
        equal(generations(process), [], "other processes")
        stop(process)


def refused(process):
    process.signal(signal.SIGHUP)
    why = process.wait_for('msg="upgrade refused" why="([^"]*)"').group(1)
    check("SRUN_ANCHOR=true" in why, why)
    return why


@suite.test
def without_it_the_refusal_names_it(folder):
    with anchored(folder, f"a {STEADY}", SRUN_ANCHOR="false", SRUN_SUPERVISED="true") as process:
        process.wait_for("msg=started ")
        check("SRUN_SUPERVISED" in refused(process), "why")
        stop(process)


# PID 1


UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_unshare():
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        print("    skipped: no PID namespace here: " + tried.stderr.strip())
    return tried.returncode == 0


class Container:
    """The same process as PID 1 of a namespace. Process.signal would reach unshare."""

    def __init__(self, process):
        self.process = process
        process.wait_for("msg=started ")
        self.init = self.outer(1)

    def outer(self, inner):
        for pid in self.process.family():
            if status_of(pid, "NSpid").split()[1:] == [str(inner)]:
                return pid
        raise AssertionError(f"no process {inner} inside")

    def signal(self, signo):
        os.kill(self.init, signo)


def contained(folder, *services, **env):
    return Process([*UNSHARE, PROGRAM, *(f"--service={service}" for service in services)], folder,
                   {**ANCHOR, **env})


@suite.test
def as_pid_1_it_upgrades_reaps_strangers_and_stops(folder):
    if not can_unshare():
        return
    with contained(folder, "a run=stranger,ready,block") as process:
        container = Container(process)
        inner = process.wait_for(r"msg=stranger .*pid=(\d+)").group(1)
        stranger = container.outer(inner)
        equal(status_of(stranger, "PPid"), str(container.init), "parent of the stranger")
        os.kill(stranger, signal.SIGKILL)
        await_reaped(stranger)
        for number in (2, 3):
            since = process.mark_now()
            container.signal(signal.SIGHUP)
            process.wait_for(rf'msg="took over" generation={number} ', since=since)
            process.wait_for('msg="the old generation has ended"', since=since)
        container.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")


@suite.test
def as_pid_1_it_answers_for_a_crash(folder):
    if not can_unshare():
        return
    for signo in (signal.SIGKILL, signal.SIGUSR1):
        with contained(folder, f"a {STEADY}") as process:
            container = Container(process)
            first = [pid for pid in process.family() if pid not in (process.pid, container.init)]
            os.kill(first[0], signo)
            equal(process.finish(), 128 + signo, "exit code")


@suite.test
def pid_1_without_it_is_told_of_it(folder):
    if not can_unshare():
        return
    with contained(folder, f"a {STEADY}", SRUN_ANCHOR="") as process:
        container = Container(process)
        container.signal(signal.SIGHUP)
        why = process.wait_for('msg="upgrade refused" why="([^"]*)"').group(1)
        check("PID 1" in why and "SRUN_ANCHOR=true" in why, why)
        container.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")


suite.main(at_once=4)

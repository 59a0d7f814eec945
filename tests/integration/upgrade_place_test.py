# SPDX-License-Identifier: MIT
"""Where a program stands: as process 1, under somebody who counts on it, at a terminal."""
import contextlib
import os
import pty
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
from support import Suite, check, equal  # noqa: E402
from upgraded import Program, build, connect_to, read_all, running  # noqa: E402

suite = Suite("upgrade_place")


def may_unshare():
    """Some containers do not let us."""
    return subprocess.run(["unshare", "--pid", "--fork", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


@suite.test
def process_one_is_not_upgraded(folder):
    if not may_unshare():
        print("    skipped: no PID namespace can be made here")
        return
    argv = ["unshare", "--pid", "--fork", "--kill-child", build("upgraded_v1")]
    with Program(folder, argv=argv) as program:
        program.wait_for("msg=started ")
        inner = next(pid for pid in program.family() if pid != program.pid)
        program.office = inner
        since = program.hup(inner)
        program.wait_for('msg="upgrade refused" why="this process is PID 1', since=since)
        client = connect_to(program.address())
        client.sendall(b"info\n")
        told = read_all(client)
        check("last_text=this process is PID 1" in told and "state=idle" in told, told)
        os.kill(inner, signal.SIGTERM)
        equal(program.finish(), 0)


@suite.test
def a_supervised_process_is_not_upgraded(folder):
    with running(folder, env={"SRUN_SUPERVISED": "1"}) as program:
        program.fails("SRUN_SUPERVISED: somebody counts on this very process")
        answer = program.ask("ask 60000")
        check(re.match(r"-1\d{3} upgrade: idle: SRUN_SUPERVISED", answer), answer)
        program.stop()


@suite.test
def upgrades_that_are_switched_off_are_warned_of_once(folder):
    with running(folder, env={"SRUN_UPGRADE": "false"}) as program:
        for _ in range(2):
            os.kill(program.office, signal.SIGHUP)
        program.wait_for('msg="SIGHUP ignored"')
        program.serves(program.office)
        program.stop()
        equal(len(program.logged("SIGHUP ignored")), 1)


# The leader of the session does not catch SIGHUP: its end takes the terminal from the others.
LEADER = """
import fcntl, os, signal, subprocess, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.close(terminal)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
subprocess.Popen(sys.argv[2:])
signal.pause()
"""


@contextlib.contextmanager
def at_terminal(folder):
    """The program in the foreground of a terminal; and the terminal's other end."""
    outer, inner = pty.openpty()
    argv = [sys.executable, "-c", LEADER, os.ttyname(inner), build("upgraded_v1")]
    try:
        with Program(folder, argv=argv) as program:
            program.started()
            yield program, outer
    finally:
        for fd in (outer, inner):
            with contextlib.suppress(OSError):
                os.close(fd)


def vanishes(folder, upgrades):
    """After so many upgrades the terminal goes, and the program with it."""
    with at_terminal(folder) as (program, outer):
        for _ in range(upgrades):
            program.gone(program.upgrade())
        equal(program.info()["generation"], str(1 + upgrades))
        os.close(outer)
        program.wait_for('msg=stopping .*cause=signal why="SIGHUP: the terminal has gone"')
        program.gone(program.office)
        equal(program.finish(), -signal.SIGHUP, "how the leader ended")
        equal(len(program.logged("upgraded")), upgrades, "upgrades")


@suite.test
def a_terminal_that_vanishes_is_a_stop(folder):
    vanishes(folder, 0)


@suite.test
def a_terminal_that_vanishes_is_a_stop_in_a_later_generation_too(folder):
    vanishes(folder, 2)


suite.main(at_once=3)

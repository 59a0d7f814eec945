# SPDX-License-Identifier: MIT
"""srunctl, called as a person does: in a folder, against a program that answers by a script, or on a
terminal of its own.

    with fake(folder) as server:
        server.routes["GET /threads"] = (200, "one\\n")
        equal(ask(folder, "threads"), (0, "one\\n", ""))      # exit code, stdout, stderr
"""
import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from fake_admin import Fake
from support import BUILD_DIR, LIMIT, check, run

SRUNCTL = os.path.join(BUILD_DIR, "srunctl")


def call(folder, *words, env=None):
    """(exit code, stdout, stderr); without a target that the tests' own environment names."""
    environment = {"XDG_RUNTIME_DIR": folder, "SRUNCTL_SOCKET": "", "SRUNCTL_ADDRESS": "",
                   "RUNTIME_DIRECTORY": "", **(env or {})}
    return run([SRUNCTL, *words], folder, environment)


def ask(folder, *words, env=None):
    return call(folder, "-s", os.path.join(folder, "a.sock"), *words, env=env)


def fake(folder):
    """The program that ask() asks."""
    return Fake(os.path.join(folder, "a.sock"))


class Terminal:
    """srunctl on a terminal of its own; job: as a job that can be stopped, which one without anybody in
    its session who could let it go on cannot."""

    def __init__(self, *words, env=None, columns=80, rows=24, job=False):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [SRUNCTL, *words], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=not job, process_group=0 if job else None,
            env={"TERM": "xterm", "PATH": os.environ["PATH"], **(env or {})})
        self.output = b""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)

    def read(self):
        """What is there within a moment; False: nothing."""
        if not select.select([self.master], [], [], 0.05)[0]:
            return False
        try:
            self.output += os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        return True

    def wait_for(self, pattern, since=0):
        deadline = time.monotonic() + LIMIT
        while not re.search(pattern, self.output[since:].decode(errors="replace"), re.S):
            check(time.monotonic() < deadline, f"no {pattern!r} in {self.output!r}")
            self.read()

    def wait_until_stopped(self):
        deadline = time.monotonic() + LIMIT
        while os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG) is None:
            check(time.monotonic() < deadline, "it does not stop")
            self.read()
        while self.read():
            pass

    def finish(self):
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            check(time.monotonic() < deadline, "it does not end")
            self.read()
        while self.read():
            pass
        return self.process.returncode

    def text(self):
        return self.output.decode().replace("\r\n", "\n")

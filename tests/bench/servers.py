# SPDX-License-Identifier: MIT
"""The servers of bench_upgrade: how each is started, told to replace itself, and ended.

This process is the reaper of all that they leave behind (nginx and libsrun change their main
process, so that a new generation has lost its parent), and signals only its own descendants.
"""
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
LIMIT = 60.0
BODY = "x" * 95 + "\\n"  # as long as what http answers


class Failed(Exception):
    """What a server did not do; the text says what."""


def become_reaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl")


ended = {}  # pid: exit code, of what has been reaped


def reap():
    """Collects every descendant that has ended and is ours to collect."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        ended[pid] = os.waitstatus_to_exitcode(status)


def spawn(argv, folder, env=None, stdout=None, stderr=None):
    """Starts argv, its stderr in a file of the folder if not given: (pid, path of that file)."""
    log = os.path.join(folder, os.path.basename(argv[0]) + ".log")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SRUN_")}
    clean["SRUN_ADMIN"] = "false"  # nobody asks; and several run side by side
    with open(log, "ab") as errors, open(os.devnull, "r+b") as null:
        actions = [(os.POSIX_SPAWN_DUP2, null.fileno(), 0),
                   (os.POSIX_SPAWN_DUP2, (stdout or null).fileno(), 1),
                   (os.POSIX_SPAWN_DUP2, (stderr or errors).fileno(), 2)]
        pid = os.posix_spawn(argv[0], argv, {**clean, **(env or {})}, file_actions=actions)
    ended.pop(pid, None)
    return pid, log


def wait_until(probe, what, limit=LIMIT, step=0.001):
    """What probe answers, once it is true."""
    deadline = time.monotonic() + limit
    while True:
        reap()
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {limit:g} s")
        time.sleep(step)


def wait_end(pid, what, limit=LIMIT):
    wait_until(lambda: pid in ended, what, limit)
    return ended[pid]


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            found = [int(child) for child in file.read().split()]
    except OSError:
        return []
    return [child for child in found if child not in ended]


def descendants(pid):
    found = children(pid)
    for child in list(found):
        found += descendants(child)
    return found


def end_all():
    """Whatever is left of what this process started."""
    for signo in (signal.SIGTERM, signal.SIGKILL):
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signo)
            except ProcessLookupError:
                pass
        try:
            wait_until(lambda: not descendants(os.getpid()), "the end of all", 5)
            return
        except Failed:
            continue


def status_of(pid, field, base=10):
    """A number of /proc/PID/status; 0 when the process has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{field}:\s+(\w+)", file.read(), re.M).group(1), base)
    except (OSError, AttributeError):
        return 0


def memory_kib(pid):
    return status_of(pid, "VmRSS")


def catches(pid, signo):
    """Whether it has a handler for the signal, and does not block it."""
    return bool(status_of(pid, "SigCgt", 16) & ~status_of(pid, "SigBlk", 16) & 1 << signo - 1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def installed(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def version_of(argv, pattern):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "?"


class Server:
    """One of them. `folder` is private to it. swap(pid) begins a replacement of the process that
    answers as `pid`; settle() waits until the next swap is possible."""

    name = ""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.address, self.main, self.old, self._held = "", 0, 0, None

    def settle(self):
        """Most can be told again at once."""

    def all_memory_kib(self, load):
        """Of all processes of the server; load: the one that is not."""
        return sum(memory_kib(pid) for pid in descendants(os.getpid()) if pid != load)

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _hold_a_port(self):
        """One that nobody else gets before the server has it, nor when it goes."""
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._held.getsockname()[1]}"

    def _listening(self):
        host, port = self.address.split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0


class Srun(Server):
    """examples/http: SIGHUP."""

    name = "libsrun"

    @classmethod
    def missing(cls, options):
        program = os.path.join(options.build, "examples", "http")
        return None if os.access(program, os.X_OK) else "examples/http was not built"

    @classmethod
    def version(cls, options):
        return version_of([os.path.join(options.build, "examples", "http"), "--version"],
                          r"(\d+\.\d+\.\d+)")

    def start(self):
        program = os.path.join(self.options.build, "examples", "http")
        pid, log = spawn([program, "--http.address=127.0.0.1:0"], self.folder,
                         {"SRUN_UPGRADE_PROBATION": self.options.probation})

        def listening():
            if pid in ended:
                raise Failed(f"http ended with {ended[pid]}")
            with open(log, encoding="utf-8") as file:
                return re.search(r"msg=listening .*address=(?:tcp://)?(\S+)", file.read())
        self.address = wait_until(listening, "http listens").group(1)

    def swap(self, pid):
        os.kill(pid, signal.SIGHUP)

    def is_new(self, before, process):
        return process["generation"] > before["generation"]


class Nginx(Server):
    """USR2 to the master; QUIT to it when the new one has its workers, as nginx's manual says."""

    name = "nginx"
    workers = 2
    more = 0  # listeners, on unix sockets that nobody uses

    @classmethod
    def missing(cls, options):
        return None if installed("nginx") else "nginx is not installed"

    @classmethod
    def version(cls, options):
        return version_of([installed("nginx"), "-v"], r"nginx/(\S+)")

    def start(self):
        self._hold_a_port()
        user = "user root root;" if os.geteuid() == 0 else ""
        paths = "".join(f"{kind}_temp_path {self.folder}/{kind};"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        more = "".join(f"listen unix:{self.folder}/listener-{number};" for number in range(self.more))
        # A daemon: nginx ignores USR2 while its first parent lives.
        config = self._write("nginx.conf", f"""
            {user} worker_processes {self.workers}; daemon on; pid {self.folder}/pid;
            error_log {self.folder}/error.log; worker_shutdown_timeout 10s;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; keepalive_requests 1000000000; {paths}
                server {{
                    listen {self.address} backlog=4096; {more}
                    location / {{
                        default_type application/json; add_header X-Pid $pid;
                        return 200 "{BODY}";
                    }}
                }}
            }}
        """)
        launcher, _ = spawn([installed("nginx"), "-p", self.folder, "-c", config,
                             "-e", os.path.join(self.folder, "error.log")], self.folder)
        if wait_end(launcher, "nginx starts") != 0:
            raise Failed("nginx did not start")
        self.main = wait_until(self._pid_in_file, "nginx writes its pid")
        wait_until(lambda: len(children(self.main)) == self.workers, "nginx has its workers")
        wait_until(self._listening, "nginx listens")

    def _pid_in_file(self):
        try:
            with open(os.path.join(self.folder, "pid"), encoding="ascii") as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    def swap(self, pid):
        old = self.main
        os.kill(old, signal.SIGUSR2)
        self.main = wait_until(lambda: self._pid_in_file() not in (0, old) and self._pid_in_file(),
                               "a new master")
        wait_until(lambda: len(children(self.main)) == self.workers, "its workers")
        os.kill(old, signal.SIGQUIT)
        self.old = old

    def settle(self):
        """USR2 is ignored until the old master has gone."""
        if self.old != 0:
            wait_end(self.old, "the end of the old master")

    def is_new(self, before, process):
        return process["pid"] in children(self.main)


class Haproxy(Server):
    """Master and worker: USR2 to the master."""

    name = "haproxy"
    option = ""

    @classmethod
    def missing(cls, options):
        return None if installed("haproxy") else "haproxy is not installed"

    @classmethod
    def version(cls, options):
        return version_of([installed("haproxy"), "-v"], r"version (\d+\.\d+\.\d+)")

    def start(self):
        self._hold_a_port()
        config = self._write("haproxy.cfg", f"""
global
    maxconn 4000
    stats socket {self.folder}/stats level admin expose-fd listeners
    hard-stop-after 10s
    mworker-max-reloads 50
defaults
    mode http
    timeout client 30s
    timeout connect 5s
    timeout server 30s
frontend bench
    bind {self.address} backlog 4096
    {self.option}
    http-after-response set-header X-Pid %pid
    http-request return status 200 content-type application/json string "{BODY}"
""")
        self.main, _ = spawn([installed("haproxy"), "-W", "-db", "-f", config], self.folder)
        wait_until(lambda: self.main in ended or self._listening(), "haproxy listens")
        if self.main in ended:
            raise Failed(f"haproxy ended with {ended[self.main]}")

    def settle(self):
        """The master ignores USR2 from its exec until some time after the new worker serves."""
        wait_until(lambda: catches(self.main, signal.SIGUSR2), "a master that can be told")

    def swap(self, pid):
        self._workers = children(self.main)
        os.kill(self.main, signal.SIGUSR2)

    def is_new(self, before, process):
        return process["pid"] not in self._workers


class HaproxyIdleClose(Haproxy):
    """The same, with the option that makes a reload wait for idle connections."""

    name = "haproxy, idle-close"
    option = "option idle-close-on-response"


ALL = {"srun": Srun, "nginx": Nginx, "haproxy": Haproxy, "haproxy-idle": HaproxyIdleClose}


def complain(text):
    print(f"{os.path.basename(sys.argv[0]).removesuffix('.py')}: {text}", file=sys.stderr, flush=True)

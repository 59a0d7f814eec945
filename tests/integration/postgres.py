# SPDX-License-Identifier: MIT
"""A PostgreSQL server of a suite's own: in a private folder, on a unix socket alone, without root and
without fsync.

    with Postgres() as postgres:
        url = postgres.database("accounts")     # a fresh one
        postgres.stop()                         # at once, as a crash does
        postgres.start()
        with postgres.frozen(): ...             # it lives, and does nothing
"""
import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from endure import eventually
from support import LIMIT, Process, check

USER = "tester"


def binaries():
    """The folder of the newest server that is installed, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if found:
        return os.path.dirname(max(found, key=lambda path: int(path.split("/")[4])))
    path = shutil.which("initdb")
    return os.path.dirname(os.path.realpath(path)) if path else None


class Postgres:
    """It ends with its `with`, or with the test's process."""

    def __init__(self):
        self.binaries = binaries()  # the folder of its programs
        check(self.binaries, "there is no initdb")
        self.folder = tempfile.mkdtemp(prefix="srun-pg-")  # short: a socket's path has an end
        self._data = os.path.join(self.folder, "data")
        self._as = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:  # which PostgreSQL refuses
            owner = pwd.getpwnam("nobody")
            self._as += ["--reuid", str(owner.pw_uid), "--regid", str(owner.pw_gid), "--clear-groups"]
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._process = None
        self._count = 0

    def __enter__(self):
        try:
            subprocess.run([*self._as, os.path.join(self.binaries, "initdb"), "-D", self._data, "-U", USER,
                            "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"],
                           cwd="/", check=True, capture_output=True, timeout=3 * LIMIT)  # it works hard
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Until it accepts clients."""
        settings = ("listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off",
                    "full_page_writes=off", "max_connections=40",
                    "shared_buffers=16MB", "logging_collector=off", "log_destination=stderr")
        argv = [*self._as, os.path.join(self.binaries, "postgres"), "-D", self._data]
        self._process = Process(argv + [part for one in settings for part in ("-c", one)], "/",
                                {"LC_ALL": "C"})
        self._process.wait_for("ready to accept connections")

    def stop(self, how=signal.SIGQUIT):
        """SIGQUIT: every backend leaves at once. SIGINT: it ends their transactions first."""
        with self._process:
            self._thaw()
            self._process.signal(how)
            self._process.wait()
        self._process = None

    def _pids(self):
        """The postmaster and its children."""
        found = [self._process.pid]
        for path in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
                pid, rest = file.read().split(" ", 1)
                if int(rest.rsplit(")", 1)[1].split()[1]) == self._process.pid:
                    found.append(int(pid))
        return found

    def _freeze(self):
        for pid in self._pids():  # the postmaster first: no child comes after
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def _thaw(self):
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self):
        """Nobody hears of it: its sockets stay open, and are silent."""
        self._freeze()
        try:
            yield
        finally:
            self._thaw()

    def url(self, name, **more):
        """For libpq."""
        words = {"host": self.folder, "user": USER, **more}
        return f"postgresql:///{name}?" + "&".join(f"{key}={value}" for key, value in words.items())

    def database(self):
        """A fresh one: its name."""
        self._count += 1
        name = f"test{self._count}"
        self.query("postgres", f"CREATE DATABASE {name}")
        return name

    def query(self, name, *statements):
        """What they answer, a list of lines: columns are separated by '|'."""
        commands = [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run([os.path.join(self.binaries, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1",
                               "-d", self.url(name), *commands], capture_output=True, text=True,
                              timeout=LIMIT, check=False)
        check(done.returncode == 0, done.stderr)
        return done.stdout.splitlines()

    def backends(self, name):
        """How many clients are connected to this database."""
        return int(self.query("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                              f"'{name}' AND backend_type = 'client backend'")[0])

    def left(self, name):
        """Waits until no client is."""
        eventually(lambda: self.backends(name) == 0, f"no client of {name}")

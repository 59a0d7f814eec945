# SPDX-License-Identifier: MIT
"""What integration suites are written with: real processes, waited for by event, with a limit.

    from support import Process, Suite, equal, program

    suite = Suite("hello")

    @suite.test
    def stops_on_sigterm(folder):
        with Process([program("hello")], folder) as hello:
            hello.wait_for("msg=tick")
            hello.signal(signal.SIGTERM)
            equal(hello.finish(), 0)

    suite.main()

A test is a function that takes a fresh private folder and raises when something is wrong. A process
that still lives at the end of its `with`, or that left a child behind, fails the test. Only the
standard library is used. `NAME_test.py -v WORD` runs the tests whose name contains WORD, --list
prints their names.
"""
import collections
import concurrent.futures
import contextlib
import difflib
import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid

SOURCE_DIR = os.environ.get(
    "SRUN_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD_DIR = os.environ.get("SRUN_BUILD_DIR", os.path.join(SOURCE_DIR, "build", "dev"))
SANITIZE = os.environ.get("SRUN_SANITIZE", "")

# Seconds that anything may take before a test fails. Never how long a test takes when all is well.
LIMIT = 120.0 if SANITIZE else 60.0
MARK = "TEST_PROCESS_MARK"
_PF_EXITING = 4


class Failure(AssertionError):
    """A test found something wrong; the text says what."""


def check(condition, text):
    """Fails with text unless condition holds."""
    if not condition:
        raise Failure(text)


def equal(actual, expected, what="value"):
    """Fails unless both are equal."""
    check(actual == expected, f"{what}: {actual!r}, expected {expected!r}")


def cached(name):
    """A value of the configured build."""
    with open(os.path.join(BUILD_DIR, "CMakeCache.txt"), encoding="utf-8") as file:
        found = re.search(rf"^{name}:\w+=(.*)$", file.read(), flags=re.M)
    return found[1] if found else ""


def program(name):
    """The path of an example that the build made."""
    return os.path.join(BUILD_DIR, "examples", name)


def has_program(name):
    """Some examples need a library that may be missing; then they are not built."""
    return os.access(program(name), os.X_OK)


# Log lines


_PAIR = re.compile(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|\S*)(?: |$)')
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquote(text):
    def plain(match):
        code = match.group(1) or match.group(2) or match.group(3)
        return chr(int(code, 16)) if code else _PLAIN.get(match.group(4), match.group(4))
    return _ESCAPE.sub(plain, text[1:-1]) if text.startswith('"') else text


def parse_line(line):
    """One log record, text or JSON, as a dict; text values are strings. None if it is neither."""
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None
    record, end = {}, 0
    for match in _PAIR.finditer(line):
        if match.start() != end:
            return None
        record[match.group(1)] = _unquote(match.group(2))
        end = match.end()
    return record if record and end == len(line) else None


_VARIABLE = (
    (re.compile(r"\btime=\S+"), "time=<time>"),
    (re.compile(r"\bpid([= ])\d+"), r"pid\1<pid>"),
    (re.compile(r'\bcritical_path="[^"]*"'), "critical_path=<path>"),
    (re.compile(r"(127\.0\.0\.1|\[::1\]):\d+"), r"\1:<port>"),
    (re.compile(r"(?<==)-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+(?=\s|$)"), "<duration>"),
    (re.compile(r"\b\d+(\.\d+)?(ns|us|µs|ms|s)\b"), "<duration>"),
)


def normalise(line):
    """The line without what differs from run to run: times, pids, ports, durations."""
    for pattern, replacement in _VARIABLE:
        line = pattern.sub(replacement, line)
    return line


def expect(lines, path, anywhere="$."):
    """Compares normalised lines with the file; with UPDATE_EXPECT=1 writes the file instead.
    Lines in which the pattern `anywhere` is found come from a thread of their own: they have to be
    there, but among the others they may stand anywhere."""
    actual = [normalise(line) for line in lines]
    if os.environ.get("UPDATE_EXPECT") == "1":
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in actual)
        return
    with open(path, encoding="utf-8") as file:
        wanted = file.read().splitlines()

    def arranged(some):
        free = [line for line in some if re.search(anywhere, line)]
        return [line for line in some if line not in free] + sorted(free)
    difference = list(difflib.unified_diff(arranged(wanted), arranged(actual), path,
                                           "what was logged", lineterm=""))
    check(not difference, "\n".join(difference))


# Processes


def _make_roomy(pipe):
    """Records are dropped when a pipe stays full for 50 ms, which a reader on a busy machine cannot rule
    out: an upgrade would look as if it had never ended."""
    with contextlib.suppress(PermissionError):  # who is not root may have so many
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


class Process:
    """A started program. Its stderr is read line by line as it comes, its stdout is kept.

    argv    the command
    folder  its working directory
    env     added to an environment without any SRUN_* variable but SRUN_ADMIN=false
    before  called in the new process, before the program takes its place
    """

    def __init__(self, argv, folder, env=None, before=None):
        self.name = os.path.basename(argv[0])
        self.mark = uuid.uuid4().hex
        self.lines = []
        self.stdout = ""
        self._more = threading.Condition()
        self._ended = False
        self._code = None
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SRUN_")}
        environment["SRUN_ADMIN"] = "false"  # many run at once; its own tests turn it on
        environment.update(env or {})
        environment[MARK] = self.mark
        try:
            self._process = subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
                errors="replace", start_new_session=True, preexec_fn=before)
        except OSError as error:
            raise Failure(f"cannot start it: {error}") from None
        _make_roomy(self._process.stderr)
        self._readers = [threading.Thread(target=self._read_stderr, daemon=True),
                         threading.Thread(target=self._read_stdout, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_stderr(self):
        for line in self._process.stderr:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def _read_stdout(self):
        self.stdout = self._process.stdout.read()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        left = self.family()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()
        if kind is None:
            check(not left, f"{self.name}: still alive at the end of the test: {left}")
        else:
            print("\n".join(["    the log of " + self.name + ":"] + self.lines[-40:]))
        return False

    @property
    def pid(self):
        return self._process.pid

    @property
    def records(self):
        """All log lines so far that are records, as dicts."""
        with self._more:
            lines = list(self.lines)
        return [record for record in map(parse_line, lines) if record is not None]

    def mark_now(self):
        """How many lines there are: pass it as `since` to wait for something new."""
        with self._more:
            return len(self.lines)

    def wait_for(self, pattern, limit=LIMIT, since=0):
        """The match of the first line, from `since` on, in which the pattern is found."""
        regex, deadline = re.compile(pattern), time.monotonic() + limit
        with self._more:
            while True:
                for line in self.lines[since:]:
                    match = regex.search(line)
                    if match:
                        return match
                since = len(self.lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "it ended" if self._ended else f"waited {limit:g} s"
                    raise Failure(f"{self.name}: no line matches {pattern!r} ({why})")
                self._more.wait(left)

    def signal(self, signo):
        """To this process only."""
        os.kill(self.pid, signo)

    def family(self):
        """The pids, of this process and of all that it started, that are alive."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    variables = file.read()
                if wanted in variables.split(b"\0") or not variables and self._is_in_exec(pid):
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def _is_in_exec(self, pid):
        """Who is just being executed has no environment for a moment; neither has who ends."""
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            words = file.read().rsplit(")", 1)[1].split()
        state, session, flags = words[0], int(words[3]), int(words[6])
        return session == self.pid and state not in "ZX" and not flags & _PF_EXITING

    def wait(self, limit=LIMIT):
        """The exit code, or minus the signal that ended it. Children may live on."""
        try:
            self._code = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name}: still alive after {limit:g} s") from None
        return self._code

    def finish(self, limit=LIMIT):
        """As wait, but nothing may be left of it: no child, nobody who holds its output open."""
        code = self.wait(limit)
        left = self.family()
        check(not left, f"{self.name}: left processes behind: {left}")
        for reader in self._readers:
            reader.join(limit)
            check(not reader.is_alive(), f"{self.name}: somebody holds its output open")
        for stream in (self._process.stdout, self._process.stderr):
            stream.close()
        return code


def run(argv, folder, env=None, limit=LIMIT):
    """Runs a command to its end: (exit code, stdout, stderr)."""
    with Process(argv, folder, env) as process:
        code = process.finish(limit)
        return code, process.stdout, "\n".join(process.lines)


# HTTP


Response = collections.namedtuple("Response", "status headers body")


def held_port():
    """A socket whose port nobody else gets while the server that it is for is down."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def connect(address, limit=LIMIT):
    """A connection to "IP:PORT"; close it, or use it in a `with contextlib.closing(...)`."""
    host, port = address.rsplit(":", 1)
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=limit)


class UnixConnection(http.client.HTTPConnection):
    """As HTTPConnection, to a path."""

    def __init__(self, path, limit=LIMIT):
        super().__init__("localhost", timeout=limit)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(connection, method, path, body=None, headers=None):
    """One request on an open connection."""
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    return Response(response.status, response.headers, response.read())


def request(address, method, path, body=None, headers=None):
    """One request on a connection of its own."""
    connection = connect(address)
    try:
        return ask(connection, method, path, body, headers)
    finally:
        connection.close()


class Load:
    """Clients that ask on kept-alive connections without a pause, each in a thread, until stop()
    or until the port refuses them. A request that was sent and not answered in full counts as cut;
    a refused connection does not.

        load = Load(address, clients=8)
        load.wait(200)          # answers, from all clients together
        ...
        load.stop()
        equal(load.cut, [])

    address is "IP:PORT", or the path of a unix socket. reconnect=False ends a client when the server closes its connection."""

    def __init__(self, address, clients=8, path="/", reconnect=True):
        self.answered = 0
        self.statuses = collections.Counter()
        self.generations = collections.Counter()
        self.cut = []
        self._address, self._path, self._reconnect = address, path, reconnect
        self._stopping = False
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def dial(self):
        """A connection that is not open yet."""
        address = self._address
        return UnixConnection(address) if address.startswith("/") else connect(address)

    def _client(self):
        while not self._stopping:
            connection = self.dial()
            try:
                connection.connect()
            except ConnectionRefusedError:
                return
            try:
                self._keep_asking(connection)
            except (OSError, http.client.HTTPException) as error:
                with self._more:
                    self.cut.append(repr(error))
                return
            finally:
                connection.close()
            if not self._reconnect:
                return

    def _keep_asking(self, connection):
        while connection.sock is not None and not self._stopping:
            response = ask(connection, "GET", self._path)
            with self._more:
                self.answered += 1
                self.statuses[response.status] += 1
                self.generations[response.headers.get("X-Generation")] += 1
                self._more.notify_all()

    def wait(self, answers, limit=LIMIT):
        """Until that many answers have come in."""
        with self._more:
            check(self._more.wait_for(lambda: self.answered >= answers, limit),
                  f"{self.answered} of {answers} answers in {limit:g} s; cut: {self.cut[:3]}")

    def join(self, limit=LIMIT):
        """Until every client has ended by itself."""
        for thread in self._threads:
            thread.join(limit)
            check(not thread.is_alive(), "a client still waits for its answer")

    def stop(self, limit=LIMIT):
        """Lets each client finish its request."""
        self._stopping = True
        self.join(limit)


# Suites


class Suite:
    """The tests of one file."""

    def __init__(self, name, kind="integration"):
        self.name = f"{kind}.{name}"
        self._tests = []

    def test(self, function):
        """Decorator: this function is a test."""
        self._tests.append(function)
        return function

    def _run(self, test, verbose):
        folder = tempfile.mkdtemp(prefix="srun-test-")
        started = time.monotonic()
        try:
            test(folder)
        except Exception as error:  # whatever it is, it is this test that failed
            print(f"FAILED {self.name}.{test.__name__}")
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            print("    " + text.replace("\n", "\n    "), flush=True)
            return False
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if verbose:
            print(f"passed {self.name}.{test.__name__} ({time.monotonic() - started:.2f} s)")
        return True

    def main(self, at_once=1):
        """Runs the tests, some of them at once if they do little but wait. Prints the tally as the
        last line, and leaves with 0 or 1."""
        if "--list" in sys.argv[1:]:
            print("\n".join(f"{self.name}.{test.__name__}" for test in self._tests))
            sys.exit(0)
        words = [word for word in sys.argv[1:] if word != "-v"]
        chosen = [test for test in self._tests
                  if not words or any(word in test.__name__ for word in words)]
        with concurrent.futures.ThreadPoolExecutor(at_once) as runners:
            passed = sum(runners.map(lambda test: self._run(test, "-v" in sys.argv), chosen))
        failed = len(chosen) - passed
        print(f"{self.name}: {passed} passed, {failed} failed")
        sys.exit(1 if failed or not chosen else 0)

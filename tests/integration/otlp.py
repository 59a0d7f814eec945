# SPDX-License-Identifier: MIT
"""What the suites otlp_* are written with: an exporter that does what it is told (otlp_send), and
receivers that others made. A receiver that is not here is named as not run."""
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import threading
import time

from support import BUILD_DIR, LIMIT, SOURCE_DIR, check

SEND = os.path.join(BUILD_DIR, "tests", "integration", "otlp_send")
PLUGIN = os.path.join(BUILD_DIR, "srun", "libsrun-otlp.so.0")
PEERS = os.path.join(SOURCE_DIR, "tests", "integration", "otlp_peers")
MODULES = os.path.join(SOURCE_DIR, "build", "npm", "node_modules")
PACKAGES = ["@opentelemetry/otlp-transformer@0.214.0", "@grpc/grpc-js@1.14.7"]
PATIENT_MS = int(LIMIT * 800)  # for a call that is not meant to be late; its result is waited for LIMIT
_keys = itertools.count(1)
_lock = threading.Lock()


class Lines:
    """A process whose stdout is JSON lines; it ends when its stdin does."""

    def __init__(self, argv, env=None):
        self.lines, self.ended = [], False
        self._more = threading.Condition()
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=env)
        self._errors = []
        self._threads = [threading.Thread(target=self._read, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for thread in self._threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            with self._more:
                self.lines.append(json.loads(line))
                self._more.notify_all()
        with self._more:
            self.ended = True
            self._more.notify_all()

    def _read_errors(self):
        for line in self.process.stderr:
            self._errors.append(line)

    @property
    def errors(self):
        return "".join(self._errors)

    def wait_for(self, wanted, limit=LIMIT):
        """The first line that `wanted` takes."""
        deadline = time.monotonic() + limit
        with self._more:
            while True:
                for line in self.lines:
                    if wanted(line):
                        return line
                left = deadline - time.monotonic()
                check(not self.ended and left > 0, f"no such line: {self.lines[-3:]} {self.errors}")
                self._more.wait(left)

    def close(self):
        """Ends it and answers its exit code."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for thread in self._threads:
            thread.join(LIMIT)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Peer(Lines):
    """A receiver in a process of its own."""

    def __init__(self, argv):
        super().__init__(argv)
        self.port = self.wait_for(lambda line: "port" in line)["port"]

    def got(self, key, least=1):
        """The requests with this key, of which there have to be so many."""
        def mine():
            return [line for line in list(self.lines) if line.get("key") == key]
        if least > 0:
            self.wait_for(lambda _: len(mine()) >= least)
        return mine()


class Sender(Lines):
    """An exporter. do: what the receiver is to answer. Options as otlp_send takes them. An attempt has all
    the time of its call, unless timeout_ms says otherwise."""

    def __init__(self, protocol, endpoint, signal="traces", do="", before=(), **options):
        with _lock:
            self.key = f"k{next(_keys)}"
        words = [f"{name}={value}" for name, value in {"timeout_ms": PATIENT_MS, **options}.items()]
        words += [f"@x-key={self.key}"] + ([f"@x-do={do}"] if do else [])
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith(("SRUN_", "OTEL_")) and not k.lower().endswith("_proxy")}
        environment["OTLP_PLUGIN"] = PLUGIN
        super().__init__([*before, SEND, signal, protocol, endpoint, *words], environment)
        self._count = 0

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def begin(self, count, deadline_ms=PATIENT_MS):
        self.say(f"export {count} {deadline_ms}")
        self._count += 1

    def result(self, limit=LIMIT):
        """Of the export that was begun last."""
        self.wait_for(lambda _: len([one for one in self.lines if "attempts" in one]) >= self._count, limit)
        return [line for line in self.lines if "attempts" in line][self._count - 1]

    def interrupt(self):
        """Ends the export that was begun last. Before it is in flight an interrupt does nothing, so
        it is said again until there is a result."""
        while len([one for one in list(self.lines) if "attempts" in one]) < self._count and not self.ended:
            self.say("interrupt")
            with self._more:
                self._more.wait(0.01)
        return self.result()

    def export(self, count, deadline_ms=PATIENT_MS):
        self.begin(count, deadline_ms)
        return self.result()

    def __exit__(self, kind, *_):
        code = self.close()  # what a sanitizer found is told by it
        check(kind is not None or code == 0, f"otlp_send ended with {code}: {self.errors}")

    def end(self):
        """Milliseconds that it took to free the exporter."""
        check(self.close() == 0, f"otlp_send failed: {self.errors}")
        return [line for line in self.lines if "free_ms" in line][0]["free_ms"]


# Receivers


@contextlib.contextmanager
def _alone():
    """Suites that run at once install and build one after the other."""
    os.makedirs(os.path.join(SOURCE_DIR, "build"), exist_ok=True)
    with open(os.path.join(SOURCE_DIR, "build", "otlp_peers.lock"), "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _installed():
    if os.path.isdir(os.path.join(MODULES, "@grpc", "grpc-js")):
        return True
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    folder = os.path.dirname(MODULES)
    os.makedirs(folder, exist_ok=True)
    return subprocess.run(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent",
                           "--fetch-retries=1", "--fetch-timeout=30000", *PACKAGES], capture_output=True, timeout=300, check=False).returncode == 0


def _built():
    program = os.path.join(SOURCE_DIR, "build", "otlp_peer_go")
    source = os.path.join(PEERS, "peer.go")
    if os.path.exists(program) and os.path.getmtime(program) > os.path.getmtime(source):
        return program
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None or not os.path.isdir("/usr/share/gocode/src/google.golang.org/grpc"):
        return None
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
           "GOCACHE": os.path.join(SOURCE_DIR, "build", "go-cache")}
    done = subprocess.run([go, "build", "-o", program, source], env=env, capture_output=True,
                          timeout=LIMIT * 5, check=False)
    return program if done.returncode == 0 else None


def _has_core():
    return os.access("/usr/bin/python3", os.X_OK) and subprocess.run(
        ["/usr/bin/python3", "-c", "import grpc"], capture_output=True, check=False).returncode == 0


class Peers:
    """Receivers by name, started when first asked for. One that cannot be had is said once."""

    def __init__(self):
        self._peers, self._missing = {}, {}
        self._lock = threading.Lock()

    def _argv(self, name, files):
        if name.startswith("node"):
            kind = name.split("-")[1]
            return _installed() and ["node", os.path.join(PEERS, "node.js"), MODULES, kind, *files]
        if name == "core":
            return _has_core() and ["/usr/bin/python3", os.path.join(PEERS, "core.py"), *files]
        program = _built()
        return program and [program, *files]

    def get(self, name, *files):
        """The receiver, or None."""
        with self._lock:
            if name in self._missing:
                return None
            if (name, files) not in self._peers:
                with _alone():
                    argv = self._argv(name, files)
                if not argv:
                    check(not os.environ.get("SRUN_ALL_PEERS"), f"the receiver {name} is not here")
                    self._missing[name] = True
                    print(f"    not run: the receiver {name} is not here", flush=True)
                    return None
                self._peers[name, files] = Peer(argv)
            return self._peers[name, files]

    def grpc(self, *files):
        """All independent receivers of gRPC that are here."""
        found = [(name, self.get(name, *files)) for name in ("node-grpc", "core", "go")]
        return [(name, peer) for name, peer in found if peer is not None]

    def close(self):
        for peer in self._peers.values():
            peer.close()


# Certificates


def _openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    check(done.returncode == 0, done.stderr)


class Certificates:
    """An authority, and certificates by it: good, of another name, expired, of a client; and one
    that signed itself."""

    def __init__(self, folder):
        self.folder = folder
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=test authority", "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))
        self._make("good", "DNS:localhost,IP:127.0.0.1")
        self._make("other", "DNS:example.org")
        self._make("client", "DNS:client")
        self._make("expired", "DNS:localhost,IP:127.0.0.1", days="-1")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                 "-keyout", self.path("self.key"), "-out", self.path("self.pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def pair(self, name):
        return self.path(name + ".pem"), self.path(name + ".key")

    def _make(self, name, names, days="2"):
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", f"/CN={name}", "-keyout", self.path(name + ".key"), "-out", self.path(name + ".csr"))
        with open(self.path(name + ".ext"), "w", encoding="utf-8") as file:
            file.write(f"subjectAltName={names}\n")
        _openssl("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path("ca.pem"), "-CAkey",
                 self.path("ca.key"), "-CAcreateserial", "-days", days, "-extfile", self.path(name + ".ext"),
                 "-out", self.path(name + ".pem"))

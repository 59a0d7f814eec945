# SPDX-License-Identifier: MIT
"""Programs that are made of Go modules, in build/NAME: what ./dev interop, and nothing else, reads and
sends things with.

Go and the modules are looked for once; a Go that is too old fetches a newer one as a module. What was
made stays until its source or its modules change. Suites run with what was made.
"""
import contextlib
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time

from support import LIMIT, SOURCE_DIR

GO_FOLDER = os.path.join(SOURCE_DIR, "build", "go")
DOWNLOAD_LIMIT, BUILD_LIMIT, QUIET = 600, 1500, 5.0  # seconds: of each, and between two lines of progress


class Unavailable(Exception):
    """Why there is no such program."""


def _environment():
    return {**os.environ, "GO111MODULE": "on", "GOTOOLCHAIN": "local", "GOPATH": GO_FOLDER, "GOFLAGS": "-modcacherw",
            "GOMODCACHE": os.path.join(GO_FOLDER, "mod"), "CGO_ENABLED": "0",
            "GOCACHE": os.path.join(SOURCE_DIR, "build", "go-cache")}


def _version(go):
    said = subprocess.run([go, "version"], env=_environment(), capture_output=True, text=True, timeout=LIMIT,
                          check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


class GoProgram:
    """One of them.

    name     of its folder in build/, and of its file there
    source   main.go
    modules  path: version
    least    the oldest Go that these build with
    """

    def __init__(self, name, source, modules, least=(1, 26, 0)):
        self.name, self._source, self._modules, self._least = name, source, modules, least
        self._folder = os.path.join(SOURCE_DIR, "build", name)
        self.path = os.path.join(self._folder, os.path.basename(name))
        self._stamp = os.path.join(self._folder, "stamp.json")

    def _say(self, text):
        print(f"{self.name}: {text}", flush=True)

    def _run(self, what, argv, folder, limit):
        """Runs a command of Go, and tells now and then how far it is. Its output."""
        lines, begun, told = [], time.monotonic(), time.monotonic()
        with subprocess.Popen(argv, cwd=folder, env=_environment(), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, start_new_session=True) as process:
            stop = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
            stop.daemon = True
            stop.start()
            for line in process.stdout:
                lines.append(line.rstrip())
                if time.monotonic() - told > QUIET:
                    told = time.monotonic()
                    fetched = sum("downloading" in one for one in lines)
                    self._say(f"{what}: {told - begun:.0f} s, {fetched} modules, {len(lines) - fetched} packages")
            code = process.wait()
            stop.cancel()
        if code == -signal.SIGKILL:
            raise Unavailable(f"{what} took more than {limit} s")
        if code != 0:
            raise Unavailable(f"{what} failed: " + " | ".join(lines[-3:]))
        return "\n".join(lines)

    def _go(self):
        """A Go that is new enough: one that is installed, else the one that is a module."""
        found = [path for path in (shutil.which("go"), "/usr/local/go/bin/go", "/usr/bin/go")
                 if path is not None and os.access(path, os.X_OK)]
        if not found:
            raise Unavailable("Go is not installed")
        best = max(found, key=_version)
        if _version(best) >= self._least:
            return best
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        wanted = f"golang.org/toolchain@v0.0.1-go{'.'.join(map(str, self._least))}.linux-{machine}"
        self._say(f"Go {'.'.join(map(str, _version(best)))} is too old; fetching {wanted}")
        # Not in its folder: an old Go cannot read the go.mod that a new one needs.
        answer = self._run("fetching Go", [best, "mod", "download", "-json", wanted], GO_FOLDER, DOWNLOAD_LIMIT)
        place = json.loads(answer[answer.index("{"):])["Dir"]
        for path in glob.glob(place + "/bin/*") + glob.glob(place + "/pkg/tool/*/*"):
            os.chmod(path, 0o755)  # modules have no programs
        return os.path.join(place, "bin", "go")

    def _wanted(self):
        with open(self._source, "rb") as file:
            return {"modules": self._modules, "source": hashlib.sha256(file.read()).hexdigest()}

    def made(self):
        """Is there one, of this source and these modules?"""
        try:
            with open(self._stamp, encoding="ascii") as file:
                return json.load(file) == self._wanted() and os.access(self.path, os.X_OK)
        except (OSError, ValueError):
            return False

    def make(self):
        """Makes it, unless there is one. Raises Unavailable."""
        if self.made():
            return
        os.makedirs(self._folder, exist_ok=True)
        os.makedirs(GO_FOLDER, exist_ok=True)
        go = self._go()
        shutil.copy(self._source, self._folder)
        with open(os.path.join(self._folder, "go.mod"), "w", encoding="ascii") as file:
            file.write(f"module {os.path.basename(self.name)}\n\ngo {'.'.join(map(str, self._least))}\n\nrequire (\n")
            file.writelines(f"\t{path} {version}\n" for path, version in self._modules.items())
            file.write(")\n")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._folder, "go.sum"))
        self._say("making it of Go modules; the first time takes some minutes")
        jobs = os.environ.get("DEV_JOBS") or str(os.cpu_count() or 1)
        argv = [go, "build", "-mod=mod", "-v", "-trimpath", "-ldflags=-s -w", "-p", jobs, "-o", self.path, "."]
        self._run("building", argv, self._folder, BUILD_LIMIT)
        with open(self._stamp, "w", encoding="ascii") as file:
            json.dump(self._wanted(), file)

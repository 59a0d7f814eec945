# SPDX-License-Identifier: MIT
"""An OpenTelemetry Collector: made of Go modules in build/collector, and started.

    python3 collector.py        makes it, and says how far it is; what it lacks, if it cannot

Go and the modules are looked for once; a Go that is too old fetches a newer one as a module. Only
./dev interop does so: the suite that needs the collector runs with what was made.
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
import sys
import tempfile
import threading
import time

from support import LIMIT, SOURCE_DIR, Process, check, equal

SOURCE = os.path.join(SOURCE_DIR, "tests", "integration", "otlp_peers", "collector", "main.go")
FOLDER = os.path.join(SOURCE_DIR, "build", "collector")
GO_FOLDER = os.path.join(SOURCE_DIR, "build", "go")
PROGRAM = os.path.join(FOLDER, "collector")
STAMP = os.path.join(FOLDER, "stamp.json")
VERSION = "v0.165.0"
GO = (1, 26, 0)  # the least that this version builds with
CORE = "go.opentelemetry.io/collector/"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib/"
MODULES = [CORE + name for name in (
    "otelcol", "service", "receiver/otlpreceiver", "exporter/debugexporter",
    "processor/batchprocessor", "processor/memorylimiterprocessor")] + [CONTRIB + "exporter/fileexporter"]
DOWNLOAD_LIMIT, BUILD_LIMIT, QUIET = 600, 1500, 5.0  # seconds: of each, and between two lines of progress


class Unavailable(Exception):
    """Why there is no collector."""


def _environment():
    return {**os.environ, "GO111MODULE": "on", "GOTOOLCHAIN": "local", "GOPATH": GO_FOLDER, "GOFLAGS": "-modcacherw",
            "GOMODCACHE": os.path.join(GO_FOLDER, "mod"), "CGO_ENABLED": "0",
            "GOCACHE": os.path.join(SOURCE_DIR, "build", "go-cache")}


def _run(what, argv, folder, limit):
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
                print(f"collector: {what}: {told - begun:.0f} s, {fetched} modules, "
                      f"{len(lines) - fetched} packages", flush=True)
        code = process.wait()
        stop.cancel()
    if code == -signal.SIGKILL:
        raise Unavailable(f"{what} took more than {limit} s")
    if code != 0:
        raise Unavailable(f"{what} failed: " + " | ".join(lines[-3:]))
    return "\n".join(lines)


def _version(go):
    said = subprocess.run([go, "version"], env=_environment(), capture_output=True, text=True, timeout=LIMIT,
                          check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def _go():
    """A Go that is new enough: one that is installed, else the one that is a module."""
    found = [path for path in (shutil.which("go"), "/usr/local/go/bin/go", "/usr/bin/go")
             if path is not None and os.access(path, os.X_OK)]
    if not found:
        raise Unavailable("Go is not installed")
    best = max(found, key=_version)
    if _version(best) >= GO:
        return best
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    wanted = f"golang.org/toolchain@v0.0.1-go{'.'.join(map(str, GO))}.linux-{machine}"
    print(f"collector: Go {'.'.join(map(str, _version(best)))} is too old; fetching {wanted}", flush=True)
    # Not in FOLDER: an old Go cannot read the go.mod that a new one needs.
    answer = _run("fetching Go", [best, "mod", "download", "-json", wanted], GO_FOLDER, DOWNLOAD_LIMIT)
    place = json.loads(answer[answer.index("{"):])["Dir"]
    for path in glob.glob(place + "/bin/*") + glob.glob(place + "/pkg/tool/*/*"):
        os.chmod(path, 0o755)  # modules have no programs
    return os.path.join(place, "bin", "go")


def _wanted():
    with open(SOURCE, "rb") as file:
        return {"version": VERSION, "source": hashlib.sha256(file.read()).hexdigest()}


def made():
    """Is there one, of this source and these modules?"""
    try:
        with open(STAMP, encoding="ascii") as file:
            return json.load(file) == _wanted() and os.access(PROGRAM, os.X_OK)
    except (OSError, ValueError):
        return False


def make():
    """Makes it, unless there is one. Raises Unavailable."""
    if made():
        return
    os.makedirs(FOLDER, exist_ok=True)
    os.makedirs(GO_FOLDER, exist_ok=True)
    go = _go()
    shutil.copy(SOURCE, FOLDER)
    with open(os.path.join(FOLDER, "go.mod"), "w", encoding="ascii") as file:
        file.write(f"module collector\n\ngo {'.'.join(map(str, GO))}\n\nrequire (\n")
        file.writelines(f"\t{name} {VERSION}\n" for name in MODULES)
        file.write(")\n")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(FOLDER, "go.sum"))
    print(f"collector: making {VERSION} of Go modules; the first time takes some minutes", flush=True)
    jobs = os.environ.get("DEV_JOBS") or str(os.cpu_count() or 1)
    _run("building", [go, "build", "-mod=mod", "-v", "-trimpath", "-ldflags=-s -w", "-p", jobs, "-o", PROGRAM, "."],
         FOLDER, BUILD_LIMIT)
    with open(STAMP, "w", encoding="ascii") as file:
        json.dump(_wanted(), file)


# Running it


CONFIGURATION = """receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:0", max_recv_msg_size_mib: 64}
      http: {endpoint: "127.0.0.1:0"}
exporters:
  debug: {verbosity: basic}
  file/traces: {path: FOLDER/traces.json}
  file/metrics: {path: FOLDER/metrics.json}
  file/logs: {path: FOLDER/logs.json}
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    traces: {receivers: [otlp], exporters: [file/traces, debug]}
    metrics: {receivers: [otlp], exporters: [file/metrics, debug]}
    logs: {receivers: [otlp], exporters: [file/logs, debug]}
"""


class Collector(Process):
    """One that runs. What it got is there when it has ended."""

    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(dir=folder)
        path = os.path.join(self.folder, "config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.replace("FOLDER", self.folder))
        super().__init__([PROGRAM, "--config=" + path], self.folder)
        self.wait_for("Everything is ready")

    def url(self, protocol):
        """Where it listens, for "http" or "grpc"."""
        return "http://" + self.wait_for(rf'Starting {protocol.upper()} server.*"endpoint": ?"([^"]+)"').group(1)

    def end(self):
        """Stops it. Nothing may have been amiss."""
        self.signal(signal.SIGTERM)
        equal(self.finish(), 0, "the collector's exit code")
        amiss = [line for line in self.lines if "\terror\t" in line or "\twarn\t" in line]
        check(not amiss, "\n".join(amiss))

    def requests(self, signal_name):
        """All that came, a request each, as OTLP's JSON says it."""
        with open(os.path.join(self.folder, signal_name + ".json"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]


def main():
    try:
        make()
        print(f"collector: {VERSION} is in build/collector")
    except Unavailable as error:
        print(f"collector: not run: {error}")


if __name__ == "__main__":
    sys.exit(main())

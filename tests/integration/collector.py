# SPDX-License-Identifier: MIT
"""An OpenTelemetry Collector: made of Go modules in build/collector, and started.

    python3 collector.py        makes it, and says how far it is; what it lacks, if it cannot

Only ./dev interop does so: the suite that needs the collector runs with what was made.
"""
import json
import os
import signal
import sys
import tempfile

from goprogram import GoProgram, Unavailable
from support import SOURCE_DIR, Process, check, equal

VERSION = "v0.165.0"
CORE = "go.opentelemetry.io/collector/"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib/"
MODULES = [CORE + name for name in (
    "otelcol", "service", "receiver/otlpreceiver", "exporter/debugexporter",
    "processor/batchprocessor", "processor/memorylimiterprocessor")] + [CONTRIB + "exporter/fileexporter"]
MADE = GoProgram("collector", os.path.join(SOURCE_DIR, "tests", "integration", "otlp_peers", "collector", "main.go"),
                 {name: VERSION for name in MODULES})


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
        super().__init__([MADE.path, "--config=" + path], self.folder)
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
        MADE.make()
        print(f"collector: {VERSION} is in build/collector")
    except Unavailable as error:
        print(f"collector: not run: {error}")


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""What docs/security.md claims of a whole program, with everything on."""
import contextlib
import os
import re
import socket
import sys

sys.dont_write_bytecode = True
from admin import admin_server  # noqa: E402
from support import SANITIZE, Suite, check, connect, equal  # noqa: E402

suite = Suite("security")
O_CLOEXEC = 0o2000000


def everything(folder):
    """All that opens something. The receiver and the journal are sockets of our own, which say nothing."""
    return {"SRUN_HEALTH": "true", "SRUN_CAPTURE": "true",
            "SRUN_CRASH_FILE": os.path.join(folder, "crash"), "SRUN_LOG_JOURNAL": os.path.join(folder, "journal"),
            "SRUN_OTEL_TRACE_EXPORTER": "http", "SRUN_OTEL_METRIC_EXPORTER": "http",
            "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT": "http://127.0.0.1:9",
            "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT": "http://127.0.0.1:9",
            "UNRELATED": "hunter2 of the environment"}


def kept_over_exec(pid):
    """The descriptors but the standard ones that a program which this process starts would get."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            what = os.readlink(f"/proc/{pid}/fd/{number}")
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
                flags = int(re.search(r"^flags:\s*([0-7]+)", file.read(), re.M)[1], 8)
            if int(number) > 2 and not flags & O_CLOEXEC:
                found.append(f"{number}: {what}")
    return found


@suite.test
def every_descriptor_is_closed_in_programs_that_are_started(folder):
    """Of both generations, while clients of all kinds are connected."""
    with admin_server(folder, everything(folder), probation="10m") as server, \
            contextlib.closing(connect(server.admin)) as kept:
        first = server.pid
        kept.request("GET", "/health")
        equal(kept.getresponse().read(), b"OK", "health")
        host, port = server.address("http").rsplit(":", 1)
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET /slow?ms=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            check(client.recv(100), "no answer")
            wanted = 501 if "thread" in SANITIZE else 200  # profiles are refused there
            equal(server.get("/debug/pprof/profile?seconds=0.1").status, wanted)
            equal(kept_over_exec(first), [], "descriptors of the first generation")
            answer = server.post("/admin/upgrade?wait=60s")
            equal(answer.status, 200, answer.body)
            second = server.served_by()
            check(second != first, "the same process serves")
            equal(kept_over_exec(first), [], "descriptors of the old generation")
            equal(kept_over_exec(second), [], "descriptors of the new generation")
        equal(server.stop(), 0, "exit code")


@suite.test
def the_environment_is_shown_nowhere(folder):
    with admin_server(folder, everything(folder)) as server:
        shown = server.get("/help").body.decode()
        paths = sorted(set(re.findall(r"^ *(?:GET )? *(/[\w./-]*)", shown, re.M)))
        check(len(paths) > 10, shown)
        slow = re.compile("/(profile|trace)$")
        for path in [*paths, "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline"]:
            answer = server.unix("GET", path + ("?seconds=0.1" if slow.search(path) else ""))
            check(b"hunter2" not in answer.body, f"{path} shows the environment")
        equal(server.stop(), 0, "exit code")
        check(not any("hunter2" in line for line in server.lines), "the log shows the environment")


suite.main()

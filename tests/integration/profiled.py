# SPDX-License-Identifier: MIT
"""A program that knows where its processor time went (programs/profiled), and who profiles it.

    with served(folder, "spin") as server:
        found = profile(server)
        check_sum(found, 3, "the sum")
"""
import contextlib
import glob
import json
import math
import os
import re
import shutil
import subprocess

from admin import AdminServer
from endure import eventually, full
from pprof import Profile
from support import BUILD_DIR, SANITIZE, ask, check, connect, equal

PROGRAM = os.path.join(BUILD_DIR, "tests", "integration", "profiled")
HAS_GO = shutil.which("go") is not None
HELD_BACK = "thread" in SANITIZE  # its signals wait until it suits the sanitizer
SECONDS = full(3, 10)
TRACED = {"SRUN_OTEL_TRACE_EXPORTER": "http", "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT": "http://127.0.0.1:9"}


def served(folder, plan, program=PROGRAM, env=None):
    return AdminServer([program], folder, {"PROFILED": plan, **(env or {})})


def get(server, path, limit=120):
    """A body with status 200, however long it takes."""
    with contextlib.closing(connect(server.admin, limit)) as connection:
        response = ask(connection, "GET", path)
    equal(response.status, 200, f"{path}: {response.body[:200]}")
    return response.body


def profile(server, seconds=SECONDS, hz=250, path="profile"):
    body = get(server, f"/debug/pprof/{path}?seconds={seconds}&hz={hz}")
    equal(body[:2], b"\x1f\x8b", "gzip")
    found = Profile(body)
    found.check()
    return found


def profile_with(server, function):
    """A profile in which the function is the innermost of a sample: a busy machine may need several."""
    def sampled():
        found = profile(server, 1)
        return found if found.by_function()[function] > 0 else None
    return eventually(sampled, f"{function} is sampled")


def truth(server):
    return json.loads(get(server, "/truth"))


def near(part, wanted, points, what):
    check(abs(part - wanted) <= points, f"{what}: {part:.1f} %, and in truth {wanted:.1f} %")


def same_share(part, wanted, found, what):
    """Within 3 points; or, while there are too few samples for that, what chance may do: four times the
    deviation of as many samples as the kernel's clock (250 Hz) can have taken."""
    samples = max(1, min(found.total(0), found.total() / 4e6))
    chance = 4 * math.sqrt(max(wanted, 5) * (100 - wanted) / samples)
    near(part, wanted, max(3, chance), what)


def check_sum(found, percent, what):
    """How much of the processor time was sampled, which the profile says itself. A few periods at its
    ends are a matter of chance."""
    sampled, spent = map(float, re.match(r"([\d.]+)s of ([\d.]+)s", found.comments[0]).groups())
    check(abs(sampled - spent) <= max(spent * percent / 100, 0.1),
          f"{what}: sampled {sampled} s of {spent} s")


def tests(suite):
    """Its decorator, for tests of what is refused under the thread sanitizer."""
    return lambda function: function if HELD_BACK else suite.test(function)


def go_tool(folder, *arguments):
    """Debian's, which is there as a program; another Go would compile it first."""
    built = sorted(glob.glob("/usr/lib/go-*/pkg/tool/*/pprof"))
    command = built[-1:] or ["go", "tool", "pprof"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=600,
                          check=False, env={**os.environ, "PPROF_TMPDIR": folder})
    equal(done.returncode, 0, done.stdout + done.stderr)
    return done.stdout

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""srunctl profile, against a program that knows what it does."""
import json
import os
import re
import sys

sys.dont_write_bytecode = True
from admin import AdminServer  # noqa: E402
from pprof import Profile  # noqa: E402
from srunctl import SRUNCTL  # noqa: E402
from support import BUILD_DIR, SANITIZE, Suite, check, equal, run  # noqa: E402

suite = Suite("srunctl_profile")
PROGRAM = os.path.join(BUILD_DIR, "tests", "integration", "profiled")
HELD_BACK = "thread" in SANITIZE


def served(folder, plan="spin"):
    return AdminServer([PROGRAM], folder, {"PROFILED": plan})


def ctl(server, folder, *words):
    return run([SRUNCTL, "-s", server.socket, *words], folder)


def test(function):
    return function if HELD_BACK else suite.test(function)


@test
def shows_where_processor_time_goes(folder):
    with served(folder) as server:
        code, out, err = ctl(server, folder, "profile", "--seconds", "1")
        equal((code, err), (0, ""))
        lines = [line.split()[-1] for line in out.splitlines() if "%" in line and "spin_" in line]
        check("spin_long" in lines, out)
        check(re.search(r"^ +FLAT +FLAT% +SUM% +CUM +CUM% +FUNCTION$", out, re.M), out)
        equal(server.stop(), 0, "exit code")


@test
def shows_what_threads_do(folder):
    with served(folder, "idle=20") as server:
        code, out, err = ctl(server, folder, "profile", "threads")
        equal((code, err), (0, ""))
        check(re.search(r"^18 @ .*\n# threads: .*\"idle\"", out, re.M), out)
        equal(server.stop(), 0, "exit code")


@suite.test
def says_why_there_is_no_memory_profile(folder):
    with served(folder, "") as server:
        code, out, err = ctl(server, folder, "profile", "heap")
        equal((code, err), (0, ""))
        check("the program's allocator keeps no samples" in out or SANITIZE, out)
        equal(server.stop(), 0, "exit code")


@test
def writes_a_file_for_other_tools(folder):
    with served(folder) as server:
        path = os.path.join(folder, "cpu.pb")
        equal(ctl(server, folder, "profile", "cpu", "--seconds=2", "-o", path), (0, "", ""))
        with open(path, "rb") as file:
            found = Profile(file.read())
        found.check()
        check(found.by_function()["spin_long"] > 0, str(found.by_function()))
        code, _, err = ctl(server, folder, "profile", "threads", "-o", "/dev/full")
        equal(code, 1)
        check("--output /dev/full: No space left" in err, err)
        equal(server.stop(), 0, "exit code")


@test
def shows_and_fetches_what_was_captured(folder):
    env = {"PROFILED": "spin mute", "SRUN_CAPTURE": "true", "SRUN_CAPTURE_CPU": "5",
           "SRUN_CAPTURE_AFTER": "100ms", "SRUN_CAPTURE_FOR": "500ms"}
    with AdminServer([PROGRAM], folder, env) as server:
        cpu = server.wait_for(r'msg="a CPU profile was captured" .*path=\S+/(\d+)').group(1)
        stacks = server.wait_for(r'threads were captured" .*path=\S+/(\d+)').group(1)
        code, out, err = ctl(server, folder, "captures")
        equal((code, err), (0, ""))
        check(re.search(rf"^ *{cpu} .* cpu +- ", out, re.M), out)
        check(re.search(rf"^ *{stacks} .* stacks +load .*its heartbeat is missed$", out, re.M), out)
        equal({one["number"] for one in json.loads(ctl(server, folder, "captures", "-j")[1])["captures"]},
              {int(cpu), int(stacks)})
        check("FLAT%" in ctl(server, folder, "captures", cpu)[1], "a table")
        check("load_run" in ctl(server, folder, "captures", stacks)[1], "the stacks")
        path = os.path.join(folder, "cpu.pb")
        equal(ctl(server, folder, "captures", cpu, "-o", path), (0, "", ""))
        with open(path, "rb") as file:
            Profile(file.read()).check()
        equal(ctl(server, folder, "captures", stacks, "-o", path), (0, "", ""))
        with open(path, encoding="utf-8") as file:
            check(file.read().startswith("service load: "), "the stacks in the file")
        code, out, err = ctl(server, folder, "captures", "4711")
        equal((code, out), (1, ""))
        check("there is no such capture" in err, err)
        equal(server.stop(), 0, "exit code")


@suite.test
def says_what_is_accepted_of_captures(folder):
    with served(folder, "") as server:
        code, out, err = ctl(server, folder, "captures")
        equal((code, err), (0, ""))
        check("SRUN_CAPTURE=true" in out, out)
        for words, wanted in (
                (["x"], '"x": a number; srunctl captures lists them'),
                (["-1"], "unknown option"), (["1/../2"], "a number"), (["9" * 19], "a number"),
                (["-o", "file"], "--output: which one? srunctl captures lists them"),
                (["1", "-j"], "--json: a capture is no JSON, only their list")):
            code, out, err = ctl(server, folder, "captures", *words)
            equal((code, out), (2, ""), words)
            check(wanted in err, err)
        equal(server.stop(), 0, "exit code")


@suite.test
def says_what_is_accepted(folder):
    with served(folder, "handler") as server:
        for words, wanted in (
                (["bogus"], '"bogus": accepted are cpu, heap, threads'),
                (["cpu", "--seconds", "x"], '--seconds "x": a number up to 300'),
                (["cpu", "--seconds", "301"], '--seconds "301": a number up to 300'),
                (["heap", "--seconds", "3"], "--seconds: profile heap takes none")):
            code, _, err = ctl(server, folder, "profile", *words)
            equal(code, 2, words)
            check(wanted in err, err)
        code, _, err = ctl(server, folder, "profile")
        equal(code, 1)
        check(HELD_BACK or "409 SIGPROF is taken" in err, err)
        equal(server.stop(), 0, "exit code")


suite.main(1 if SANITIZE else 4)

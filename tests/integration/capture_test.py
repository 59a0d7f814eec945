# SPDX-License-Identifier: MIT
"""Profiles that are kept without being asked for, of a real program (programs/profiled) that is busy, or
hangs."""
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from admin import AdminServer  # noqa: E402
from endure import eventually  # noqa: E402
from pprof import Profile  # noqa: E402
from support import BUILD_DIR, SANITIZE, Suite, check, equal  # noqa: E402

suite = Suite("capture")
PROGRAM = os.path.join(BUILD_DIR, "tests", "integration", "profiled")
HELD_BACK = "thread" in SANITIZE  # no profiles, as profile_test.py says
SOON = {"SRUN_CAPTURE": "true", "SRUN_CAPTURE_CPU": "5", "SRUN_CAPTURE_AFTER": "200ms",
        "SRUN_CAPTURE_FOR": "3s"}  # in less a busy machine may give it no processor at all
NEVER_BUSY = {"SRUN_CAPTURE": "true", "SRUN_CAPTURE_CPU": "100000"}


def served(folder, plan, env):
    return AdminServer([PROGRAM], folder, {"PROFILED": plan, **env})


def captures(server):
    answer = server.json("/debug/captures")
    check(answer["captures_enabled"], "they are off")
    return answer["captures"]


def first(server, log):
    """The first capture, once the log says that it was kept."""
    path = server.wait_for(rf'msg="{log}" .*path=(/debug/captures/\d+)').group(1)
    found = captures(server)[0]
    equal(found["path"], path)
    check(0 < found["bytes"] <= 1 << 20, f"{found}")
    return found


def get(server, path):
    response = server.get(path)
    equal(response.status, 200, f"{path}: {response.body[:200]}")
    return response.body


def threads(server):
    names = []
    for tid in os.listdir(f"/proc/{server.pid}/task"):
        try:
            with open(f"/proc/{server.pid}/task/{tid}/comm", encoding="utf-8") as file:
                names.append(file.read().strip())
        except OSError:
            pass  # it has just ended
    return names


@suite.test
def off_it_is_nothing(folder):
    with served(folder, "spin", {}) as server:
        equal(server.json("/debug/captures"), {"v": 1, "captures_enabled": False, "captures": []})
        check(b"SRUN_CAPTURE=true" in get(server, "/debug/captures"), "it does not say how")
        check("srun:capture" not in threads(server), "there is a thread")
        equal(server.get("/debug/captures/1").status, 404)
        equal(server.stop(), 0, "exit code")


@suite.test
def a_program_that_is_not_busy_is_left_alone(folder):
    with served(folder, "", NEVER_BUSY) as server:
        eventually(lambda: "srun:capture" in threads(server), "a thread that looks")
        equal(captures(server), [])
        check(b"Nothing was captured" in get(server, "/debug/captures"), "the text")
        equal(server.stop(), 0, "exit code")


def a_busy_program_has_a_profile_of_it(folder):
    with served(folder, "spin", SOON) as server:
        capture = first(server, "a CPU profile was captured")
        equal((capture["kind"], capture["service"]), ("cpu", ""))
        check(re.fullmatch(r"\d+% of a processor for \S+", capture["why"]), capture["why"])
        found = Profile(get(server, capture["path"]))
        found.check()
        flat = found.by_function()
        check(flat["spin_long"] + flat["spin_short"] > 0.5 * found.total(), str(flat))
        check(capture["why"] in found.comments, str(found.comments))
        check(not any("block SIGPROF" in line for line in found.comments), str(found.comments))
        top = get(server, capture["path"] + "?format=top").decode()
        check("spin_" in top, top)
        equal(server.get(capture["path"] + "?format=flame").status, 400)
        check(b"  cpu   " in get(server, "/debug/captures"), "the table")
        equal(len(captures(server)), 1, "captures while it stays busy")
        equal(server.stop(), 0, "exit code")


def a_profile_gives_way_to_the_end(folder):
    with served(folder, "spin", {**SOON, "SRUN_CAPTURE_FOR": "10m"}) as server:
        eventually(lambda: caught(server.pid), "SIGPROF is taken")
        equal(server.stop(), 0, "exit code")


def caught(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        mask = int(re.search(r"^SigCgt:\s*(\w+)", file.read(), re.M)[1], 16)
    return bool(mask & 1 << (signal.SIGPROF - 1))


def a_service_that_hangs_in_its_stop_is_seen_before_it_is_given_up(folder):
    env = {**NEVER_BUSY, "SRUN_STOP_TIMEOUT": "2s", "SRUN_STUCK_GRACE": "10m"}
    with served(folder, "hang", env) as server:
        os.kill(server.pid, signal.SIGTERM)
        capture = first(server, "the stacks of all threads were captured")
        equal((capture["kind"], capture["service"]), ("stacks", "load"))
        match = re.fullmatch(r"run takes (\S+)s of 2s, in thread (\d+)", capture["why"])
        check(match is not None, capture["why"])
        check(float(match[1]) >= 1.5, capture["why"])
        text = get(server, capture["path"]).decode()
        check(text.startswith(f"service load: {capture['why']}\n"), text[:200])
        check(re.search(rf'^thread {match[2]} "[^"]*" \[sleeping\]:\n(?:.+\n)*?hang_for_good',
                        text, re.M), text)
        os.kill(server.pid, signal.SIGKILL)  # it would take ten minutes
        server.wait()


def hanging_comes_before_what_is_being_taken(folder):
    env = {**SOON, "SRUN_CAPTURE_FOR": "10m", "SRUN_STOP_TIMEOUT": "2s",
           "SRUN_STUCK_GRACE": "10m"}
    with served(folder, "spin hang", env) as server:
        eventually(lambda: caught(server.pid), "SIGPROF is taken")
        os.kill(server.pid, signal.SIGTERM)
        server.wait_for('msg="the stacks of all threads were captured"')
        equal([one["kind"] for one in captures(server)], ["cpu", "stacks"])
        os.kill(server.pid, signal.SIGKILL)
        server.wait()


def a_heartbeat_that_is_missed_is_a_service_that_hangs(folder):
    with served(folder, "mute", NEVER_BUSY) as server:
        capture = first(server, "the stacks of all threads were captured")
        equal((capture["service"], capture["why"]), ("load", "its heartbeat is missed"))
        check("load_run" in get(server, capture["path"]).decode(), "the stack of the service")
        equal(server.stop(), 0, "exit code")


def a_health_check_that_hangs_is_a_service_that_hangs(folder):
    env = {**NEVER_BUSY, "SRUN_HEALTH": "true", "SRUN_HEALTH_INTERVAL": "50ms",
           "SRUN_HEALTH_TIMEOUT": "200ms"}
    with served(folder, "ill", env) as server:
        capture = first(server, "the stacks of all threads were captured")
        equal((capture["service"], capture["why"]), ("load", "its health check hangs"))
        check("check_for_long" in get(server, capture["path"]).decode(), "the stack of the check")
        equal(server.json("/status.json")["captures"], captures(server), "in status.json")
        equal(server.stop(), 0, "exit code")


@suite.test
def what_cannot_be_taken_is_told(folder):
    with served(folder, "handler mute", NEVER_BUSY) as server:
        why = "thread sanitizer" if HELD_BACK else "SIGPROF is taken"
        server.wait_for(rf'msg="nothing was captured" kind=stacks .*error=".*{why}')
        equal(captures(server), [])
        equal(server.stop(), 0, "exit code")


@suite.test
def without_the_admin_port_there_is_nothing_to_get(folder):
    with served_without_port(folder) as server:
        server.wait_for('msg="nothing is captured"')
        check("srun:capture" not in threads(server), "there is a thread")
        equal(server.stop(), 0, "exit code")


def files(folder):
    try:
        return sorted(os.listdir(os.path.join(folder, "kept")))
    except OSError:
        return []


def read(folder, name):
    path = os.path.join(folder, "kept", name)
    equal(os.stat(path).st_mode & 0o777, 0o600, name)
    with open(path, "rb") as file:
        return file.read()


def in_files(folder, **env):
    return {**NEVER_BUSY, "SRUN_CAPTURE_DIRECTORY": os.path.join(folder, "kept"), **env}


def a_file_outlives_a_process_that_is_killed(folder):
    with served(folder, "spin", in_files(folder, **SOON)) as server:
        path = server.wait_for(r'msg="a CPU profile was captured" .*file=(\S+)').group(1)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
    equal([os.path.basename(path)], files(folder))
    check(re.fullmatch(rf"profiled-\d{{8}}T\d{{6}}\.\d{{3}}Z-{server.pid}\.cpu\.pb", files(folder)[0]), path)
    found = Profile(read(folder, files(folder)[0]))
    found.check()
    check("spin_long" in found.by_function(), str(found.by_function()))


def what_hangs_in_its_stop_is_in_a_file_when_the_process_has_left(folder):
    env = in_files(folder, SRUN_STOP_TIMEOUT="400ms", SRUN_STUCK_GRACE="1ms")
    with served(folder, "hang circle=2", env) as server:
        os.kill(server.pid, signal.SIGTERM)
        server.wait()
        server.wait_for('msg="leaving with stuck threads"')
    equal(len(files(folder)), 1, files(folder))
    text = read(folder, files(folder)[0]).decode()
    check(re.match(r"service load: run takes \S+ of 400ms, in thread \d+\n\n\d+ threads wait for a mutex\n"
                   r'deadlock: \d+ "round-', text), text[:300])
    check("hang_for_good" in text, text)


def both_generations_of_an_upgrade_write_files(folder):
    with served(folder, "mute", in_files(folder, SRUN_UPGRADE_PROBATION="100ms")) as server:
        old = server.pid
        server.wait_for(rf'threads were captured" .*file=\S+-{old}\.stacks\.txt')
        os.kill(old, signal.SIGHUP)
        line = server.wait_for(rf'threads were captured" .*file=\S+-(?!{old}\.)(\d+)\.stacks\.txt')
        new = int(line.group(1))
        equal(len(files(folder)), 2, files(folder))
        equal(server.wait(), 0, "exit code of the old one")  # it is over with the probation
        os.kill(new, signal.SIGTERM)
        eventually(lambda: not os.path.exists(f"/proc/{new}"), "both have ended")
    equal(len(files(folder)), 2, files(folder))


def without_the_admin_port_there_are_files(folder):
    with served(folder, "mute", in_files(folder, SRUN_ADMIN="false")) as server:
        line = server.wait_for('msg="the stacks of all threads were captured" .*').group(0)
        check(" path=" not in line and " file=" in line, line)
        equal(server.stop(), 0, "exit code")
    equal(len(files(folder)), 1, files(folder))


def a_folder_that_cannot_be_used_is_told_once(folder):
    with open(os.path.join(folder, "kept"), "w", encoding="ascii"):
        pass
    with served(folder, "spin mute", in_files(folder, **SOON)) as server:
        server.wait_for('msg="captures are not written to files" .*error=".*kept: Not a directory"')
        server.wait_for('msg="the stacks of all threads were captured"')
        server.wait_for('msg="a CPU profile was captured"')
        equal(len(captures(server)), 2, "those in memory")
        equal(server.stop(), 0, "exit code")
        told = [line for line in server.lines if "captures are not written to files" in line]
        equal(len(told), 1, str(told))


def served_without_port(folder):
    return served(folder, "", {**NEVER_BUSY, "SRUN_ADMIN": "false"})


if not HELD_BACK:
    for test in (a_busy_program_has_a_profile_of_it, a_profile_gives_way_to_the_end,
                 a_service_that_hangs_in_its_stop_is_seen_before_it_is_given_up,
                 hanging_comes_before_what_is_being_taken,
                 a_heartbeat_that_is_missed_is_a_service_that_hangs,
                 a_health_check_that_hangs_is_a_service_that_hangs,
                 a_file_outlives_a_process_that_is_killed,
                 what_hangs_in_its_stop_is_in_a_file_when_the_process_has_left,
                 both_generations_of_an_upgrade_write_files, without_the_admin_port_there_are_files,
                 a_folder_that_cannot_be_used_is_told_once):
        suite.test(test)

suite.main(at_once=1 if SANITIZE else 2)

# SPDX-License-Identifier: MIT
"""./dev, in a folder of its own in which nothing is built or installed: what it runs for that is
played by scripts."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import sys
import termios

sys.dont_write_bytecode = True
from support import (SOURCE_DIR, Process, Suite, check, connect, equal, has_program, program,
                     request, run)  # noqa: E402

suite = Suite("dev_script")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)


def tree(folder, installed="printf '%s=installed\\n' \"$@\""):
    """A copy of what ./dev needs; the environment to run it in."""
    play = os.path.join(folder, "play")
    os.makedirs(os.path.join(folder, "packaging"))
    shutil.copy(os.path.join(SOURCE_DIR, "dev"), folder)
    shutil.copy(os.path.join(SOURCE_DIR, "packaging", "debian-12.packages"),
                os.path.join(folder, "packaging"))
    os.makedirs(os.path.join(folder, "build", "dev", "examples"))
    if has_program("http"):
        os.symlink(program("http"), os.path.join(folder, "build", "dev", "examples", "http"))
    write(os.path.join(folder, "build", "dev", "tests", "bench", "bench_upgrade"), "exit 0\n")
    write(os.path.join(play, "cmake"), "exit 0\n")
    write(os.path.join(play, "dpkg-query"), installed + "\n")
    write(os.path.join(play, "sudo"), 'exec "$@"\n')
    write(os.path.join(play, "apt-get"), """\
{ echo "$@"; "$DEV_POLICY" nginx start; echo "policy $?"; } >>"$APT_LOG" 2>&1
case " $* " in *" update "*) exit 0 ;; esac
exit "${APT_STATUS:-0}"
""")
    return {"PATH": play + ":" + os.environ["PATH"], "APT_LOG": os.path.join(folder, "apt.log"),
            "DEV_POLICY": os.path.join(folder, "policy-rc.d")}


# run


@contextlib.contextmanager
def on_a_terminal(folder):
    """./dev run in the foreground; what is written to the keyboard is typed."""
    env = {**tree(folder), "SRUN_UPGRADE_PROBATION": "50ms", "SRUN_LOG_LEVEL": "debug"}
    master, slave = os.openpty()
    with open(master, "wb", buffering=0) as keyboard:
        with open(slave, "rb", buffering=0) as terminal:
            running = Process(["./dev", "run", "--http.address=127.0.0.1:0"], folder, env,
                              lambda: fcntl.ioctl(terminal.fileno(), termios.TIOCSCTTY, 0))
        with running:
            address = running.wait_for(r"msg=listening .*address=tcp://(\S+)").group(1)
            running.wait_for("msg=started ")
            yield running, address, keyboard


def answered_by(address):
    return request(address, "GET", "/").headers["X-Generation"]


@suite.test
def run_says_what_to_try(folder):
    if not has_program("http"):
        return
    with on_a_terminal(folder) as (running, _, keyboard):
        keyboard.write(b"\x03")
        equal(running.finish(), 0, "exit code")
        check(f"kill -HUP {running.pid};" in running.stdout, running.stdout)
        check("curl http://127.0.0.1:0/\n" in running.stdout, running.stdout)


@suite.test
def ctrl_c_stops_what_an_upgrade_has_started(folder):
    if not has_program("http"):
        return
    with on_a_terminal(folder) as (running, address, keyboard):
        for generation in (2, 3):
            since = running.mark_now()
            running.signal(signal.SIGHUP)
            running.wait_for(f'msg="took over" generation={generation} ', since=since)
            running.wait_for('msg="the old generation has ended"', since=since)
            equal(answered_by(address), str(generation), "who answers")
        check(running.pid in running.family(), "the process in the foreground is gone")
        with contextlib.closing(connect(address)) as slow:
            slow.request("GET", "/slow?ms=500")
            running.wait_for("path=/slow")
            keyboard.write(b"\x03")
            equal(slow.getresponse().status, 200, "the request that was open")
        equal(running.finish(), 0, "exit code")


@suite.test
def ctrl_c_stops_both_generations_of_an_upgrade(folder):
    if not has_program("http"):
        return
    with on_a_terminal(folder) as (running, _, keyboard):
        running.signal(signal.SIGHUP)
        running.wait_for('msg="took over"')
        keyboard.write(b"\x03")
        equal(running.finish(), 0, "exit code")


# what is installed


def installed(folder, *arguments, missing="nginx|haproxy", **more):
    """What apt-get was asked for while these packages were missing: (exit code, its log)."""
    env = {**tree(folder, f'for p in "$@"; do case $p in {missing}) ;; *) echo "$p=installed" ;;'
                          " esac; done"), **more}
    code, _, _ = run(["./dev", *arguments], folder, env)
    with contextlib.suppress(FileNotFoundError):
        with open(env["APT_LOG"], encoding="utf-8") as file:
            return code, file.read()
    return code, ""


@suite.test
def services_of_packages_are_not_started(folder):
    code, log = installed(folder, "bench", "upgrade")
    equal(code, 0, "exit code")
    check(re.search(r"install --no-install-recommends nginx\npolicy 101\n$", log), log)
    check(not os.path.exists(os.path.join(folder, "policy-rc.d")), "the policy is left")


@suite.test
def the_policy_goes_when_nothing_could_be_installed(folder):
    code, log = installed(folder, "bench", "upgrade", APT_STATUS="100")
    check(code != 0 and "policy 101" in log, f"{code} {log}")
    check(not os.path.exists(os.path.join(folder, "policy-rc.d")), "the policy is left")


@suite.test
def a_policy_of_the_machine_stays(folder):
    path = os.path.join(folder, "policy-rc.d")
    write(path, "exit 7\n")
    code, log = installed(folder, "bench", "upgrade")
    check(code == 0 and log.endswith("policy 7\n"), f"{code} {log}")
    check(os.path.exists(path), "it was removed")


@suite.test
def other_servers_are_installed_only_to_be_measured(folder):
    for number, (wanted, *arguments) in enumerate((
            (True, "upgrade"), (True, "upgrade", "--servers=srun,haproxy-idle"),
            (True, "upgrade", "--servers", "nginx"), (False, "upgrade", "--servers", "srun"),
            (False, "upgrade", "--idle"), (False, "upgrade", "--idle=http"),
            (False, "upgrade", "--json", "--servers=srun"), (False,))):
        below = os.path.join(folder, str(number))
        os.mkdir(below)
        code, log = installed(below, "bench", *arguments)
        equal((code, "nginx" in log), (0, wanted), f"bench {arguments}: {log}")


suite.main()

# SPDX-License-Identifier: MIT
"""The units of deploy/systemd under a real systemd: what it believes of the program, and what it
does when the program says nothing."""
import contextlib
import os
import signal
import subprocess
import sys
from http.client import HTTPException

sys.dont_write_bytecode = True
from booted import (ADDRESS, NAME, RELOADS, Strict, equal, eventually, get, put,
                    run, unit)  # noqa: E402
from support import LIMIT, Suite, ask, check, connect  # noqa: E402

suite = Suite("units", kind="boot")
SHORT = "Environment=SRUN_UPGRADE_PROBATION=500ms"
LONG = "Environment=SRUN_UPGRADE_PROBATION=60s"


def settled(http, pid):
    """The upgrade is over, for systemd too; the old process has ended."""
    eventually(lambda: http.pid != pid, "another main process")
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the old process")
    new = int(get().headers["X-Pid"])
    http.wait_entry("the service manager has looked at this process anew", _PID=str(new))
    equal(http.pid, new, "main process")
    equal((http.show("ActiveState"), http.show("SubState")), ("active", "running"), "state")
    equal((http.show("NRestarts"), http.show("Result")), ("0", "success"), "restarts")
    return new


@suite.test
def start_returns_when_it_serves(folder):
    del folder
    with unit() as http:
        answer = get()
        equal(answer.status, 200)
        equal(int(answer.headers["X-Pid"]), http.pid, "main process")
        equal((http.show("ActiveState"), http.show("StatusText")), ("active", "running"))


@suite.test
def a_start_that_fails_is_a_failure_with_its_reason(folder):
    del folder
    with unit() as http:
        http.systemctl("stop")
        put("/bin/false")
        done = subprocess.run(["systemctl", "start", NAME], capture_output=True, timeout=LIMIT, check=False)
        check(done.returncode != 0, "systemctl start says so")


@suite.test
def what_the_hardening_says_is_so(folder):
    del folder
    with unit() as http:
        with open(f"/proc/{http.pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
        equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "no new privileges, a filter")
        equal({value.strip("0") for name, value in status.items() if name.startswith("Cap")}, {""}, "capabilities")
        check(int(status["Uid"].split()[0]) >= 61184, "a user of its own: " + status["Uid"])
        for path, why in (("/etc/mine", "read-only"), ("/usr/mine", "read-only")):
            done = subprocess.run(["nsenter", "-t", str(http.pid), "-m", "touch", path],
                                  capture_output=True, text=True, check=False)
            check(why in done.stderr.lower(), f"{path}: {done.stderr}")


@suite.test
def a_credential_is_the_token_of_the_admin_port(folder):
    """It belongs to the program's user, or to root: then an access control list lets the user read it, and
    looks like a right of the group."""
    token = "0123456789abcdef" * 2
    source = os.path.join(folder, "token")
    with open(source, "w", encoding="ascii") as file:
        file.write(token + "\n")
    os.chmod(source, 0o600)
    with unit(f"LoadCredential=admin-token:{source}",
              "Environment=SRUN_ADMIN_TOKEN_FILE=%d/admin-token") as http:
        path = f"/run/credentials/{NAME}/admin-token"
        told = run("nsenter", "-t", str(http.pid), "-m", "stat", "-c", "%a %u", path)
        print(f"    mode and owner {told.strip()}")
        for sent, status in (({}, 401), ({"Authorization": "Bearer " + token[1:] + "x"}, 403),
                             ({"Authorization": "Bearer " + token}, 200)):
            with contextlib.closing(connect("127.0.0.1:8778")) as connection:
                answer = ask(connection, "POST", "/admin/log-level?level=debug&for=1m",
                             headers={"X-Srun-Admin": "1", **sent})
            equal(answer.status, status, str(sent))


@suite.test
def root_speaks_to_it_by_its_name(folder):
    del folder
    with unit() as http:
        told = run("srunctl", "-n", "srun-http", "status")
        check(str(http.pid) in told and "running" in told, told)
        run("srunctl", "-n", "srun-http", "wait", "--ready", "-t", "0")


def sampled():
    """A profile of a second, if there was anything in it."""
    table = run("srunctl", "-n", "srun-http", "profile", "--seconds", "1")
    return table if "libc" in table or "libmicrohttpd" in table else None


@suite.test
def it_is_profiled_below_the_hardening(folder):
    del folder
    with unit():
        load = Strict(2)
        table = eventually(sampled, "samples")
        threads = run("srunctl", "-n", "srun-http", "profile", "threads")
        load.end()
        print("\n".join("    " + line for line in table.splitlines()[:6]))
        check("poll" in threads, threads)


@suite.test
def reload_upgrades_and_loses_nothing(folder):
    del folder
    with unit(SHORT) as http:
        load = Strict()
        load.more()
        for generation in (2, 3, 4):
            pid = http.pid
            http.systemctl("reload")
            check(http.pid != pid, "reload has waited for the new process")
            settled(http, pid)
            eventually(lambda: str(generation) in load.generations, f"generation {generation}")  # noqa: B023
            http.wait("StatusText", "running")
            load.more()
        load.end()
        equal(int(get().headers["X-Pid"]), http.pid, "who answers is the main process")


@suite.test
def the_pid_file_names_who_serves(folder):
    del folder
    place = "/run/srun-http/pid"
    with unit(SHORT, f"Environment=SRUN_PID_FILE={place}") as http:
        pid = http.pid
        http.systemctl("reload")
        settled(http, pid)
        with open(place, encoding="ascii") as file:
            equal(int(file.read()), http.pid, place)


@suite.test
def a_reload_that_fails_leaves_the_old_one_and_says_why(folder):
    del folder
    with unit(SHORT) as http:
        load, pid = Strict(2), http.pid
        put("/bin/false")
        done = subprocess.run(["systemctl", "reload", NAME], capture_output=True, timeout=LIMIT, check=False)
        equal(done.returncode, 0 if RELOADS else 1, "the exit code of reload")
        eventually(lambda: http.show("StatusText").startswith("upgrade failed"), "the status")
        print("    " + http.show("StatusText"))
        equal((http.pid, http.show("ActiveState"), http.show("NRestarts")), (pid, "active", "0"))
        load.more()
        load.end()
        equal(http.wait_entry("upgrade failed")["PRIORITY"], "3", "an error")


@suite.test
def a_plain_hangup_upgrades_too(folder):
    del folder
    with unit(SHORT) as http:
        pid = http.pid
        os.kill(pid, signal.SIGHUP)
        settled(http, pid)
        http.wait("StatusText", "running")


@suite.test
def srunctl_upgrades_below_systemd(folder):
    del folder
    with unit(SHORT) as http:
        pid = http.pid
        run("srunctl", "-n", "srun-http", "upgrade", "--wait")
        settled(http, pid)
        put("/bin/false")
        done = subprocess.run(["srunctl", "-n", "srun-http", "upgrade", "--wait"], capture_output=True,
                              text=True, timeout=LIMIT, check=False)
        equal(done.returncode, 1, done.stderr)
        check(done.stderr != "", "why")


@suite.test
def a_death_in_the_probation_gives_the_service_back(folder):
    del folder
    with unit(LONG) as http:
        load, old = Strict(2), http.pid
        run("systemctl", "reload", "--no-block", NAME)
        eventually(lambda: http.pid != old, "another main process")
        http.wait_entry("upgraded")
        load.stop()  # a connection of the new one dies with it
        os.kill(http.pid, signal.SIGKILL)
        http.wait_entry("rolled back")
        eventually(lambda: http.pid == old, "the old main process")
        http.wait("ActiveState", "active")  # the reload has ended too
        equal((http.show("ActiveState"), http.show("NRestarts")), ("active", "0"))
        equal(int(get().headers["X-Pid"]), old)


@suite.test
def the_socket_is_there_before_the_service(folder):
    del folder
    with unit(SHORT, socket=True) as http:
        equal(http.show("ActiveState"), "inactive", "before")
        equal(get().status, 200)  # starts it
        equal(http.show("ActiveState"), "active", "after")
        entry = http.wait_entry("listening", NAME="http")
        check(ADDRESS in entry["ADDRESS"], str(entry))
        pid = http.pid
        http.systemctl("reload")
        settled(http, pid)
        equal(get().headers["X-Generation"], "2")


@suite.test
def with_its_socket_a_restart_refuses_nobody(folder):
    del folder
    with unit(SHORT, socket=True) as http:
        load = Strict(4)
        load.more()
        for _ in range(3):
            pid = http.pid
            http.systemctl("restart")
            check(http.pid != pid, "another process")
            load.more()
        load.stop()
        refused = [text for text in load.cut if "connect" in text]
        equal(refused, [], "refused")


@suite.test
def a_crash_is_told_and_followed_by_a_restart(folder):
    del folder
    with unit("RestartSec=0") as http:
        pid = http.pid
        os.kill(pid, signal.SIGSEGV)
        http.wait("NRestarts", "1")
        http.wait("ActiveState", "active")
        check(http.pid != pid, "another process")
        equal(get().headers["X-Generation"], "1", "a first generation")
        lines = [entry["MESSAGE"] for entry in http.entries(f"_PID={pid}") if isinstance(entry["MESSAGE"], str)]
        check(any("SIGSEGV" in line for line in lines), "the report: " + "\n".join(lines[-20:]))


@suite.test
def an_upgraded_one_that_crashes_is_restarted_too(folder):
    del folder
    with unit(SHORT, "RestartSec=0") as http:
        pid = http.pid
        http.systemctl("reload")
        second = settled(http, pid)
        os.kill(second, signal.SIGSEGV)
        http.wait("NRestarts", "1")
        http.wait("ActiveState", "active")
        equal(get().headers["X-Generation"], "1")


@suite.test
def the_watchdog_ends_what_does_not_move(folder):
    del folder
    with unit("WatchdogSec=1s", "RestartSec=0", "TimeoutAbortSec=2s") as http:
        pid = http.pid
        os.kill(pid, signal.SIGSTOP)
        http.wait("NRestarts", "1")
        http.wait("ActiveState", "active")
        check(http.pid != pid, "another process")
        check(any("Watchdog timeout" in str(entry["MESSAGE"]) for entry in http.entries("_PID=1") or
              http.entries()), "systemd says so")
        equal(get().status, 200)


@suite.test
def the_watchdog_is_fed_through_upgrades(folder):
    del folder
    with unit(SHORT, "WatchdogSec=1s") as http:
        for _ in range(3):
            pid = http.pid
            http.systemctl("reload")
            settled(http, pid)
        first = http.show("WatchdogTimestampMonotonic")
        eventually(lambda: int(http.show("WatchdogTimestampMonotonic")) > int(first) + 2000000, "two seconds of it")
        equal((http.show("NRestarts"), http.show("ActiveState")), ("0", "active"))


@suite.test
def stop_answers_what_is_under_way_in_reverse_order(folder):
    del folder
    with unit() as http:
        stops_well(http)


@suite.test
def an_upgraded_one_stops_as_well(folder):
    del folder
    with unit(SHORT) as http:
        pid = http.pid
        http.systemctl("reload")
        settled(http, pid)
        stops_well(http)


@suite.test
def an_upgraded_one_stops_as_well_without_srunctl(folder):
    """The other ExecStop= of docs/upgrade.md."""
    del folder
    with unit(SHORT, "ExecStop=", "ExecStop=-/bin/sh -c 'kill -TERM $MAINPID; exec tail --pid=$MAINPID -f /dev/null'"
              ) as http:
        pid = http.pid
        http.systemctl("reload")
        settled(http, pid)
        stops_well(http)


def upgraded_without_exec_stop(*settings):
    """systemd has not started its main process, and waits for it all the same."""
    with unit(SHORT, "ExecStop=", *settings) as http:
        for _ in range(2):
            pid = http.pid
            http.systemctl("reload")
            settled(http, pid)
        strangers = [entry["MESSAGE"] for entry in http.entries() if "not our child" in str(entry["MESSAGE"])]
        equal(len(strangers), 2, f"one for each new process: {strangers}")
        stops_well(http)


@suite.test
def without_exec_stop_an_upgraded_one_stops_as_well(folder):
    del folder
    upgraded_without_exec_stop()


@suite.test
def so_it_does_when_only_its_main_process_is_sent_the_signal(folder):
    del folder
    upgraded_without_exec_stop("KillMode=mixed")


@suite.test
def so_it_does_when_only_its_main_process_is_believed(folder):
    del folder
    upgraded_without_exec_stop("NotifyAccess=main")


@suite.test
def while_the_old_one_lives_a_stop_without_exec_stop_kills(folder):
    """Why it has to be there. When this fails, systemd or libsrun has become better: say so in docs/upgrade.md."""
    del folder
    with unit(LONG, "ExecStop=", "KillMode=mixed") as http:
        old = http.pid
        os.kill(old, signal.SIGHUP)  # the srunctl of ExecReload= would be waited for
        eventually(lambda: http.pid != old, "another main process")
        http.wait_entry("upgraded")
        equal(stopped_during_a_slow_request(http), "cut", "the slow one")


def stopped_during_a_slow_request(http):
    """Stops the unit; what became of a request that was under way."""
    connection = connect(ADDRESS)
    with contextlib.closing(connection):
        equal(ask(connection, "GET", "/").status, 200)  # accepted
        connection.request("GET", "/slow?ms=1500")
        run("srunctl", "-n", "srun-http", "status")
        http.systemctl("stop")
        try:
            return connection.getresponse().status
        except (OSError, HTTPException):
            return "cut"


def stops_well(http):
    pid = http.pid
    equal(stopped_during_a_slow_request(http), 200, "the slow one")
    equal((http.show("ActiveState"), http.show("Result"), http.show("ExecMainStatus")), ("inactive", "success", "0"))
    check(not os.path.exists(f"/proc/{pid}") and not os.path.exists("/run/srun-http"), "nothing is left")
    stopped = [entry["LOGGER_SCOPE"] for entry in http.entries(f"_PID={pid}") if entry["MESSAGE"] == "STOPPED"]
    equal([name for name in stopped if name in ("http", "store")], ["http", "store"], "order")


@suite.test
def stop_ends_both_generations(folder):
    del folder
    with unit(LONG) as http:
        old = http.pid
        run("systemctl", "reload", "--no-block", NAME)
        eventually(lambda: http.pid != old, "another main process")
        http.wait_entry("upgraded")
        new = http.pid
        http.systemctl("stop")
        equal([pid for pid in (old, new) if os.path.exists(f"/proc/{pid}")], [], "left")
        equal((http.show("ActiveState"), http.show("Result")), ("inactive", "success"))


suite.main()

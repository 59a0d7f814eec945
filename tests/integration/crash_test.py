# SPDX-License-Identifier: MIT
"""What is told of a crash, and that the crash stays one. Sanitizers report crashes themselves and
in their own way, so under them there is nothing of ours to see."""
import os
import re
import signal
import stat
import subprocess
import sys

sys.dont_write_bytecode = True
from generations import eventually  # noqa: E402
from scripted import PROGRAM, STEADY, script  # noqa: E402
from support import LIMIT, SANITIZE, Suite, check, equal  # noqa: E402

suite = Suite("crash")


def crash_test(function):
    """A test that is left out, and says so, under a sanitizer."""
    if not SANITIZE:
        return suite.test(function)
    def left_out(folder):
        print(f"left out under {SANITIZE}: {function.__name__}")
    left_out.__name__ = function.__name__
    return suite.test(left_out)


def check_report(text, name, service, phase):
    """One report: what, who, doing what, and a stack."""
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if ": crashed with " in line]
    equal(len(heads), 1, "reports in\n" + text)
    head = lines[heads[0]]
    check(re.match(rf"scripted: crashed with {name}( at address 0x[0-9a-f]+)? "
                   rf"in service {re.escape(service)}, phase {re.escape(phase)}, pid \d+, thread \d+$",
                   head), head)
    frames = [line for line in lines[heads[0] + 1:] if re.search(r"\[0x[0-9a-f]+\]$", line)]
    check(len(frames) >= 3, f"{len(frames)} stack frames in\n{text}")
    return frames


def crashes(folder, how, signo, verb, phase):
    """The wait status is the signal's, the report is on stderr and in the file."""
    steps = f"ready,crash:{how}" if verb == "run" else f"crash:{how}"
    description = f"b {verb}={steps}" + ("" if verb == "run" else f" {STEADY}")
    with script(folder, f"a {STEADY}", description,
                SRUN_CRASH_FILE="reports") as process:
        if verb == "stop":
            process.wait_for("msg=started ")
            process.signal(signal.SIGTERM)
        equal(process.finish(), -signo, "wait status")
        check_report("\n".join(process.lines), signo.name, "b", phase)
        path = os.path.join(folder, "reports")
        with open(path, encoding="utf-8", errors="replace") as file:
            check_report(file.read(), signo.name, "b", phase)
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the file")


@crash_test
def a_segmentation_fault_in_run_names_the_service(folder):
    crashes(folder, "segv", signal.SIGSEGV, "run", "run")


@crash_test
def a_segmentation_fault_in_init_names_the_phase(folder):
    crashes(folder, "segv", signal.SIGSEGV, "init", "init")


@crash_test
def a_segmentation_fault_in_ready_names_the_phase(folder):
    with script(folder, "b run=block ready=crash:segv") as process:
        equal(process.finish(), -signal.SIGSEGV, "wait status")
        check_report("\n".join(process.lines), "SIGSEGV", "b", "ready")


@crash_test
def a_segmentation_fault_in_stop_names_the_phase(folder):
    crashes(folder, "segv", signal.SIGSEGV, "stop", "stop")


@crash_test
def an_abort_names_the_service(folder):
    crashes(folder, "abort", signal.SIGABRT, "run", "run")


@crash_test
def a_stack_overflow_is_reported_on_a_stack_of_its_own(folder):
    crashes(folder, "overflow", signal.SIGSEGV, "run", "run")


@crash_test
def a_stack_overflow_in_stop_is_reported(folder):
    crashes(folder, "overflow", signal.SIGSEGV, "stop", "stop")


@crash_test
def a_crash_on_a_thread_of_the_library_is_reported(folder):
    """Which leaves other signals to the program: here one that asks the callbacks of metrics."""
    with script(folder, "b init=crash:callback run=block", SRUN_OTEL_METRIC_EXPORTER="http",
                SRUN_OTEL_METRIC_EXPORTER_ENDPOINT="http://127.0.0.1:9",
                OTEL_METRIC_EXPORT_INTERVAL="10") as process:
        equal(process.finish(), -signal.SIGSEGV, "wait status")
        check_report("\n".join(process.lines), "SIGSEGV", "(none)", "(none)")


@crash_test
def reports_are_appended_to_the_file(folder):
    for _ in range(2):
        with script(folder, "b run=crash:abort", SRUN_CRASH_FILE="reports") as process:
            equal(process.finish(), -signal.SIGABRT, "wait status")
    with open(os.path.join(folder, "reports"), encoding="utf-8", errors="replace") as file:
        equal(file.read().count("crashed with SIGABRT"), 2, "reports in the file")


@crash_test
def files_are_found_though_a_service_has_gone_elsewhere(folder):
    files = {"SRUN_CRASH_FILE": "reports", "SRUN_PID_FILE": "pid"}
    with script(folder, "b run=go:/,ready,block", **files) as process:
        eventually(lambda: os.path.exists(os.path.join(folder, "pid")), "there is no PID file")
        process.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")
        check(not os.path.exists(os.path.join(folder, "pid")), "the PID file is left")
    with script(folder, "b run=go:/,crash:abort", **files) as process:
        equal(process.finish(), -signal.SIGABRT, "wait status")
        check(os.path.exists(os.path.join(folder, "reports")), "there is no report")


@crash_test
def a_long_path_is_not_cut(folder):
    place = os.path.join(*["f" * 250] * 6)
    os.makedirs(os.path.join(folder, place))
    with script(folder, "b run=crash:abort", SRUN_CRASH_FILE=os.path.join(place, "reports")) as process:
        equal(process.finish(), -signal.SIGABRT, "wait status")
    check(os.path.exists(os.path.join(folder, place, "reports")), "there is no report")


@crash_test
def a_report_does_not_follow_a_link_that_somebody_put_there(folder):
    target = os.path.join(folder, "target")
    os.symlink(target, os.path.join(folder, "reports"))
    with script(folder, "b run=crash:abort", SRUN_CRASH_FILE="reports") as process:
        equal(process.finish(), -signal.SIGABRT, "wait status")
        check_report("\n".join(process.lines), "SIGABRT", "b", "run")
    check(not os.path.exists(target), "it wrote through the link")


@crash_test
def a_report_is_for_us_alone(folder):
    with script(folder, "b run=crash:abort", SRUN_CRASH_FILE="reports") as process:
        equal(process.finish(), -signal.SIGABRT, "wait status")
    equal(os.stat(os.path.join(folder, "reports")).st_mode & 0o777, 0o600, "mode")


@crash_test
def a_report_waits_for_no_pipe(folder):
    os.mkfifo(os.path.join(folder, "reports"))
    with script(folder, "b run=crash:abort", SRUN_CRASH_FILE="reports") as process:
        equal(process.finish(), -signal.SIGABRT, "wait status")


@crash_test
def a_reader_that_does_not_read_keeps_no_crash_from_its_end(folder):
    """Whoever restarts it would wait for ever. What there is no room for is in the file."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writer, True)
    environment = {**os.environ, "SRUN_CRASH_FILE": "reports", "SRUN_ADMIN": "false"}
    program = subprocess.Popen([PROGRAM, "--service=b run=crash:abort"], cwd=folder, env=environment,
                               stdin=subprocess.DEVNULL, stderr=writer)
    try:
        equal(program.wait(LIMIT), -signal.SIGABRT, "wait status")
    finally:
        program.kill()
        program.wait()
        os.close(reader)
        os.close(writer)
    with open(os.path.join(folder, "reports"), encoding="utf-8", errors="replace") as file:
        check_report(file.read(), "SIGABRT", "b", "run")


@crash_test
def a_report_is_not_added_to_a_file_of_somebody_else(folder):
    """Nor to one that has another name, which may be that of any file."""
    reports, other = os.path.join(folder, "reports"), os.path.join(folder, "other")
    for change in [lambda: os.link(reports, other), lambda: os.chown(reports, 65534, 65534)]:
        with open(reports, "w", encoding="utf-8"):
            pass
        if os.geteuid() != 0 and os.path.exists(other):
            break  # only root gives files away
        change()
        with script(folder, "b run=crash:abort", SRUN_CRASH_FILE="reports") as process:
            equal(process.finish(), -signal.SIGABRT, "wait status")
        equal(os.stat(reports).st_size, 0, "bytes added")
        os.remove(reports)


@crash_test
def a_crash_sent_by_somebody_else_is_a_crash_too(folder):
    with script(folder, f"a {STEADY}") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGSEGV)
        equal(process.finish(), -signal.SIGSEGV, "wait status")
        check("crashed with SIGSEGV" in "\n".join(process.lines), "no report")


suite.main()

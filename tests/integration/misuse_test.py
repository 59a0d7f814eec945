# SPDX-License-Identifier: MIT
"""Command lines, files, variables and calls that are wrong, and those that are just right."""
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from scripted import (PROGRAM, STEADY, ends, in_order, ms, never, only, open_gate, script, states, stop,
                      whole_life, with_message)  # noqa: E402
from support import SANITIZE, Process, Suite, check, equal, parse_line, run  # noqa: E402
from upgraded import until  # noqa: E402

suite = Suite("misuse")


def refused(folder, code, *words, services=(f"a {STEADY}",), flags=(), **env):
    """Nothing is started; the one line that is no record has all the words."""
    with script(folder, *services, flags=flags, **env) as process:
        equal(process.finish(), code, "exit code")
        equal(states(process), [], "states")
        plain = [line for line in process.lines if parse_line(line) is None]
        equal(len(plain), 1, f"lines that say what is wrong: {plain}")
        check(plain[0].startswith("scripted: "), plain[0])
        for word in words:
            check(word in plain[0], f"{word!r} is not in {plain[0]!r}")
        return plain[0]


def config_file(folder, text):
    path = os.path.join(folder, "scripted.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return f"--config={path}"


# Flags


@suite.test
def version_is_printed_and_nothing_is_started(folder):
    equal(run([PROGRAM, "--version", f"--service=a {STEADY}"], folder)[:2], (0, "v7.8.9\n"))


@suite.test
def help_names_our_flags_and_those_of_the_library(folder):
    code, out, err = run([PROGRAM, "--help"], folder)
    equal(code, 0, "exit code")
    for word in ("--config", "--feature.enable", "--version", "--help", "--service", "--register",
                 "SRUN_STOP_TIMEOUT"):
        check(word in out, f"{word} is not in the help:\n{out}{err}")


@suite.test
def an_unknown_flag_is_named(folder):
    refused(folder, 2, "--servce", "did you mean --service?", flags=["--servce=x"])


@suite.test
def an_argument_that_nobody_asked_for_is_named(folder):
    refused(folder, 2, "oops", flags=["oops"])


@suite.test
def a_flag_without_its_value_is_named(folder):
    refused(folder, 2, "--register", flags=["--register"])


@suite.test
def a_flag_that_is_a_variable_is_told_so(folder):
    refused(folder, 2, "--log-level: no such flag: set SRUN_LOG_LEVEL", flags=["--log-level=debug"])


# Variables and the file


@suite.test
def a_misspelt_variable_is_told_of_and_is_no_error(folder):
    with script(folder, f"a {STEADY}", SRUN_STOP_TIMEOUTS="5s", SRUN_OF_ANOTHER_TOOL="x") as process:
        stop(process)
        told = with_message(process, "no such variable")
        equal([(r["level"], r["name"], r["did_you_mean"]) for r in told],
              [("WARN", "SRUN_STOP_TIMEOUTS", "SRUN_STOP_TIMEOUT")], "what is told")


@suite.test
def a_bad_variable_is_named_with_what_is_accepted(folder):
    for name, value, accepted in (("SRUN_STOP_TIMEOUT", "5", "300ms"),
                                  ("SRUN_STOP_TIMEOUT", "0s", "1ms"),
                                  ("SRUN_INIT_TIMEOUT", "-1s", "1ms"),
                                  ("SRUN_DRAIN_TIMEOUT", "soon", "300ms"),
                                  ("SRUN_LOG_LEVEL", "loud", "debug, info, warn, error"),
                                  ("SRUN_LOG_FORMAT", "xml", "text, json"),
                                  ("SRUN_LEAKS", "maybe", "true, false"),
                                  ("SRUN_UPGRADE", "2", "true, false")):
        refused(folder, 2, name, f'"{value}"', accepted, **{name: value})


@suite.test
def an_empty_variable_counts_as_not_set(folder):
    with script(folder, f"a {STEADY}", SRUN_STOP_TIMEOUT="", SRUN_LOG_FORMAT="") as process:
        stop(process)


@suite.test
def the_file_is_below_the_environment(folder):
    flag = config_file(folder, "srun:\n  log:\n    format: json\n    level: error\n"
                               f"  timeouts:\n    deadline: {ms(4000)}\n")
    with script(folder, f"a {STEADY}", flags=[flag]) as process:
        equal(process.finish(), 0, "exit code")
        record = only(process, "stopped")
        equal((record["cause"], record["level"]), ("deadline", "INFO"))
        check(process.lines[-1].startswith("{"), "the format of the file")


@suite.test
def a_bad_value_in_the_file_is_named_with_its_line(folder):
    flag = config_file(folder, "own: 1\nsrun:\n  timeouts:\n    stop: 5\n")
    refused(folder, 2, "scripted.yaml:4: srun.timeouts.stop: ", '"5"', flags=[flag])


@suite.test
def an_unknown_key_in_the_file_is_named_with_its_line(folder):
    flag = config_file(folder, "srun:\n  timeouts:\n    stpo: 5s\n")
    refused(folder, 2, "scripted.yaml:3: srun.timeouts: ", '"stpo"', "did you mean stop?",
            flags=[flag])


@suite.test
def sections_of_others_in_the_file_are_left_alone(folder):
    flag = config_file(folder, "postgres:\n  stpo: [1, {two: 3}]\n")
    with script(folder, f"a {STEADY}", flags=[flag]) as process:
        stop(process)


@suite.test
def a_file_that_is_missing_is_named(folder):
    refused(folder, 2, "nowhere.yaml", "No such file", flags=["--config=nowhere.yaml"])


@suite.test
def a_file_that_is_no_yaml_is_named_with_its_line(folder):
    flag = config_file(folder, "srun:\n  log: {format: json\n")
    text = refused(folder, 2, "scripted.yaml:", flags=[flag])
    check(re.search(r"scripted\.yaml:\d+: ", text), text)


# Registration


@suite.test
def a_name_that_is_taken_is_refused(folder):
    refused(folder, 1, '"a"', "taken", services=[f"a {STEADY}", f"b {STEADY}", f"a {STEADY}"])


@suite.test
def a_service_without_any_verb_is_refused(folder):
    refused(folder, 1, "service a", "none of init, run, ready, stop", services=["a"])


@suite.test
def a_name_beyond_255_bytes_is_refused(folder):
    refused(folder, 1, "1 to 255 bytes", services=[f"{'n' * 256} {STEADY}"])
    with script(folder, f"{'n' * 255} {STEADY}") as process:
        stop(process)
        equal(states(process), whole_life("n" * 255), "states")


@suite.test
def a_dependency_that_is_not_there_yet_is_refused(folder):
    refused(folder, 1, "service web", '"postgers"', "did you mean postgres?",
            services=[f"postgres {STEADY}", f"web {STEADY} depends=postgers"])


@suite.test
def a_group_that_was_closed_is_refused(folder):
    refused(folder, 1, "service c", "group g was closed by service b",
            services=[f"a {STEADY} group=g", f"b {STEADY}", f"c {STEADY} group=g"])


@suite.test
def a_negative_time_in_the_options_is_refused(folder):
    refused(folder, 1, "service a", "stop_ms", services=[f"a {STEADY} stop-ms=-5ms"])


@suite.test
def what_belongs_before_the_start_is_refused_after_it(folder):
    with script(folder, flags=["--wrong=late-add"]) as process:
        ends(process, 0, "all_exited")
        line = only(process, "too late")
        equal([line[key] for key in ("add", "listen", "start", "flag")], ["-1001"] * 4)
        check("service late: added after the start" in line["text"], line["text"])


# The test function


@suite.test
def a_test_function_that_passes_is_exit_code_0(folder):
    with script(folder, f"a {STEADY}", flags=["--test"], SCRIPT_TEST="say:fine") as process:
        ends(process, 0, "all_exited")
        never(process, "a INITIATING")


@suite.test
def a_test_function_that_fails_is_exit_code_1(folder):
    with script(folder, f"a {STEADY}", flags=["--test"], SCRIPT_TEST="fail:no_database") as process:
        last = ends(process, 1, "service_error")
        check(last["why"].endswith(": no_database"), last["why"])
        never(process, "a INITIATING")


@suite.test
def a_test_function_that_blocks_ends_with_the_signal(folder):
    with script(folder, f"a {STEADY}", flags=["--test"], SCRIPT_TEST="block") as process:
        process.wait_for("msg=enter .*phase=test")
        process.signal(signal.SIGTERM)
        ends(process, 0, "signal")


@suite.test
def the_test_flag_without_a_function_is_a_usage_error(folder):
    refused(folder, 2, "--test", flags=["--test"])


# Forks and leaks


@suite.test
def descriptors_that_are_closed_at_the_start_lead_nowhere(folder):
    """Else what comes first would take their place, and get what is printed."""
    def close():
        for fd in (0, 1, 2):
            os.close(fd)
    with Process([PROGRAM, f"--service=a {STEADY}"], folder, {"SRUN_PID_FILE": os.path.join(folder, "pid")},
                 before=close) as process:
        until(lambda: os.path.exists(os.path.join(folder, "pid")), "it serves")
        for fd in (0, 1, 2):
            equal(os.readlink(f"/proc/{process.pid}/fd/{fd}"), "/dev/null", f"descriptor {fd}")
        process.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")


@suite.test
def in_a_forked_child_every_call_is_refused(folder):
    options = os.environ.get("TSAN_OPTIONS", "") + ":die_after_fork=0"
    for verbs in (f"init=fork {STEADY}", "run=fork,ready,block", f"stop=fork {STEADY}",
                  "run=ready,gate:go,fork,block"):
        with script(folder, f"a {STEADY}", f"b {verbs}", TSAN_OPTIONS=options) as process:
            process.wait_for("msg=started ")
            if "gate" in verbs:
                open_gate(folder, "go")
            if verbs.startswith("run="):
                process.wait_for("msg=\"the child has ended\"")
            stop(process)
            equal(only(process, "the child has ended", "b")["status"], "0",
                  f"how many answers were wrong, times 256, in a child of {verbs}")
            equal(states(process), whole_life("a", "b"), "states")


@suite.test
def a_descriptor_that_is_left_is_told_with_its_service(folder):
    with script(folder, f"a init=say:i {STEADY}", f"b init=leak {STEADY}", "c run=ready,leak,block",
                SRUN_LEAKS="true") as process:
        process.wait_for("msg=opened logger_scope=c")
        stop(process)
        opened = {r["logger_scope"]: r["fd"] for r in with_message(process, "opened")}
        leaks = {r["opened_in"]: r["fd"] for r in with_message(process, "leaked descriptor")}
        equal(leaks, {"b": opened["b"], "(after init)": opened["c"]}, "leaks")
        equal(with_message(process, "nothing leaked"), [])


@suite.test
def a_clean_program_says_that_nothing_leaked(folder):
    with script(folder, f"a init=say:i {STEADY} stop=say:s", f"b run=block ready=say:r",
                SRUN_LEAKS="true") as process:
        stop(process)
        equal(with_message(process, "leaked descriptor"), [])
        if SANITIZE != "thread":  # which has a thread of its own
            only(process, "nothing leaked")


# What the log looks like


@suite.test
def every_json_line_parses_and_names_its_service(folder):
    with script(folder, f"a init=say:i {STEADY} stop=fail:\"quoted\\", f"b {STEADY}",
                SRUN_LOG_FORMAT="json") as process:
        process.wait_for('"msg":"started"')
        process.signal(signal.SIGTERM)
        equal(process.finish(), 1, "exit code")
        records = [parse_line(line) for line in process.lines]
        own = [r for r in records if r is not None and r["msg"] != "registering"]
        check(None not in [r for line, r in zip(process.lines, records) if line.startswith("{")],
              "a line that begins as JSON does not parse")
        equal(len(own), len([line for line in process.lines if "registering" not in line]),
              "lines that parse")
        for record in own:
            check({"time", "level", "msg"} <= set(record), f"keys of {record}")
        equal(states(process), whole_life("a", "b"), "states")
        equal({r["logger_scope"] for r in own if "from" in r}, {"a", "b"}, "scopes")
        in_order(process, "a enter init", "a leave init", "a enter stop", "a leave stop")


@suite.test
def info_shows_running_and_stopped_and_debug_shows_all_states(folder):
    with script(folder, f"a {STEADY}", SRUN_LOG_LEVEL="info") as process:
        stop(process)
        equal(states(process), ["a RUNNING", "a STOPPED"], "at info")
    with script(folder, f"a {STEADY}", SRUN_LOG_LEVEL="debug") as process:
        stop(process)
        equal(states(process), whole_life("a"), "at debug")


@suite.test
def the_level_error_keeps_a_clean_run_silent(folder):
    with script(folder, f"a run=ready,sleep:10ms", SRUN_LOG_LEVEL="error") as process:
        equal(process.finish(), 0, "exit code")
        equal([line for line in process.lines if "registering" not in line], [], "lines")


@suite.test
def a_reader_of_the_log_that_goes_away_does_not_hold_up_the_end(folder):
    argv = ["sh", "-c", 'exec "$0" "$@" 2>&1 >/dev/null | head -n 1 >&2', PROGRAM,
            "--service=a run=ready,sleep:50ms", "--service=b run=ready,sleep:20ms"]
    with Process(argv, folder, {"SRUN_LOG_LEVEL": "debug"}) as process:
        process.finish()
        check(len(process.lines) >= 1 or SANITIZE, "no line came through")


suite.main()

# SPDX-License-Identifier: MIT
"""What a real journal makes of our entries: the fields of docs/logs.md, whatever a record holds."""
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from booted import Unit, equal, run, unit  # noqa: E402
from support import Suite, check  # noqa: E402

suite = Suite("journal", kind="boot")


def text(value):
    """A field; journalctl shows one with control bytes as a list of numbers."""
    return bytes(value).decode() if isinstance(value, list) else value


class Told:
    """The entries of tests/boot/talk.c, run once as a unit of its own."""
    kept = None

    @classmethod
    def entries(cls):
        if cls.kept is None:
            talk = Unit("talk.service")
            run("systemd-run", "--wait", "--unit=talk", "-p", "Type=notify", "-p", "NotifyAccess=all",
                "-E", "SRUN_LOG_LEVEL=debug", "-E", "SRUN_ADMIN=false", "/usr/local/bin/talk")
            talk.wait_entry("the last one")
            cls.kept = talk.entries()
        return cls.kept

    @classmethod
    def only(cls, begin):
        found = [entry for entry in cls.entries() if text(entry["MESSAGE"]).startswith(begin)]
        equal(len(found), 1, f"entries {begin!r}")
        return found[0]


@suite.test
def a_life_is_told_in_entries_with_fields(folder):
    del folder
    with unit() as http:
        entry = http.wait_entry("started")
        pid = str(http.pid)
        want = {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "http", "_PID": pid, "_SYSTEMD_UNIT": "srun-http.service",
                "_TRANSPORT": "journal", "_COMM": "srun-http"}
        equal({key: entry.get(key) for key in want}, want, "fields")
        for key in ("CODE_FILE", "CODE_LINE", "CODE_FUNC"):
            check(entry.get(key), f"{key}: {entry}")
        listening = http.wait_entry("listening", NAME="http")
        equal(listening["LOGGER_SCOPE"], "http")
        lines = [entry for entry in http.entries(f"_PID={pid}") if entry["_TRANSPORT"] == "stdout"]
        print(f"    before the configuration was read: {[text(line['MESSAGE']) for line in lines]}")


@suite.test
def all_generations_are_of_the_unit(folder):
    del folder
    with unit("Environment=SRUN_UPGRADE_PROBATION=100ms") as http:
        pid = http.pid
        http.systemctl("reload")
        entry = http.wait_entry("took over")
        equal(entry["GENERATION"], "2")
        equal(entry["OLD_PID"], str(pid))
        equal(entry["_PID"], entry["PID"], "who says so")
        ended = http.wait_entry("the old generation has ended")
        equal((ended["_SYSTEMD_UNIT"], ended["_TRANSPORT"]), ("srun-http.service", "journal"))
        begins = http.wait_entry("upgrade begins")
        equal(len(begins["X_TRACE_ID"]), 32, "a trace id")
        equal(begins["X_TRACE_ID"], entry["X_TRACE_ID"], "of both")


@suite.test
def levels_are_priorities(folder):
    del folder
    for begin, priority in (("at debug", "7"), ("at info", "6"), ("at warn", "4"), ("at error", "3")):
        entry = Told.only(begin)
        equal(entry["PRIORITY"], priority, begin)
        equal((entry["SYSLOG_IDENTIFIER"], entry["CODE_FUNC"]), ("talk", "talk"))
        check(entry["CODE_FILE"].endswith("talk.c"), entry["CODE_FILE"])


@suite.test
def values_are_written_as_in_text(folder):
    del folder
    entry = Told.only("values")
    want = {"TEXT": "two words", "COUNT": "-3", "BIG": "18446744073709551615", "RATIO": "0.1", "TRUE": "true",
            "TOOK": "1.5s", "CODE": "timed out", "EVENT_NAME": "talk.values", "LOGGER_SCOPE": "talk"}
    equal({key: entry.get(key) for key in want}, want, "fields")


@suite.test
def no_value_forges_a_field(folder):
    del folder
    entry = Told.only("a forger")
    equal(text(entry["TEXT"]), "x\nPRIORITY=0\nMESSAGE=forged\n", "kept as it was")
    equal(entry["PRIORITY"], "6")
    equal(text(entry["MESSAGE"]), "a forger\nMESSAGE=two", "a message of two lines")
    check(not [other for other in Told.entries() if text(other["MESSAGE"]) == "forged"], "no other entry")


@suite.test
def no_key_forges_a_field(folder):
    del folder
    entry = Told.only("odd keys")
    want = {"X_PRIORITY": "0", "X__UID": "0", "LOWER_CASE": "1", "X_9NINE": "2", "X_MESSAGE": "mine"}
    equal({key: entry.get(key) for key in want}, want, "fields")
    equal((entry["PRIORITY"], entry["_UID"]), ("6", "0"))


@suite.test
def a_record_of_60_kib_arrives_whole(folder):
    del folder
    entry = Told.only("long")
    equal(text(entry["TEXT"]), "y" * 60000, "the value")
    check("TRUNCATED" not in entry, "whole")


@suite.test
def one_that_is_too_long_is_cut_and_says_so(folder):
    del folder
    entry = Told.only("too")
    equal(entry.get("TRUNCATED"), "true")


@suite.test
def each_of_a_thousand_records_arrives_once(folder):
    del folder
    numbers = [int(entry["N"]) for entry in Told.entries() if entry["MESSAGE"] == "one of many"]
    check(numbers == sorted(numbers), "order")
    # What a busy journal has not taken within 50 ms is a line on the stream that it reads as well.
    lines = [int(found.group(1)) for entry in Told.entries() if entry["_TRANSPORT"] == "stdout"
             for found in [re.search(r'msg="one of many" .*\bn=(\d+)', text(entry["MESSAGE"]))] if found]
    if lines:
        print(f"    {len(lines)} of 1000 came as lines")
    check(sorted(numbers + lines) == list(range(1000)), f"{len(numbers)} entries and {len(lines)} lines")


@suite.test
def a_refused_upgrade_is_a_warning(folder):
    del folder
    with unit("Environment=SRUN_SUPERVISED=true") as http:
        os.kill(http.pid, signal.SIGHUP)
        entry = http.wait_entry("upgrade refused")
        equal(entry["PRIORITY"], "4")
        check("SRUN_SUPERVISED" in entry["WHY"], entry["WHY"])


suite.main()

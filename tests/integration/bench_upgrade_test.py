# SPDX-License-Identifier: MIT
"""The benchmark of upgrades does what it says, in small; that nothing is left running is checked by
the end of each process here."""
import json
import os
import shutil
import sys

sys.dont_write_bytecode = True
from support import BUILD_DIR, LIMIT, Suite, check, equal, has_program, run  # noqa: E402

suite = Suite("bench_upgrade")
BENCH = os.path.join(BUILD_DIR, "tests", "bench", "bench_upgrade")
SMALL = ["--upgrades=2", "--gap=20", "--seconds=2", "--clients=4", "--rate=200"]


def bench(folder, *options):
    code, out, log = run([BENCH, "--json", *SMALL, *options], folder, limit=3 * LIMIT)
    equal(code, 0, f"exit code ({out} {log})")
    return json.loads(out)


def swaps_twice(folder, name, *loads):
    told = bench(folder, "--servers=" + name, "--loads=" + ",".join(loads))["servers"][0]
    equal([load["load"] for load in told["loads"]], list(loads), "loads")
    for load in told["loads"]:
        equal(load["first_answer_ms"]["count"], 2, "swaps")
        check(load["first_answer_ms"]["max"] > 0, load)
        check(load["swaps"]["processes"] >= 3, load)
        check(load["rest"]["answers"] > 0 and load["memory"]["serving_kib"] > 0, load)
        equal(load["rest"]["lost"], 0, "lost at rest")
        yield load["swaps"]


@suite.test
def swaps_the_example_and_loses_nothing(folder):
    if has_program("http"):
        for swaps in swaps_twice(folder, "srun", "new", "keepalive", "open"):
            equal(swaps["errors"], {}, "errors")


@suite.test
def swaps_nginx(folder):
    if shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        check(list(swaps_twice(folder, "nginx", "new")), "swaps")


@suite.test
def swaps_haproxy(folder):
    if shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"):
        check(list(swaps_twice(folder, "haproxy", "new")), "swaps")
        check(list(swaps_twice(folder, "haproxy-idle", "keepalive")), "swaps")


@suite.test
def tells_which_server_it_skips(folder):
    told = bench(folder, "--servers=srun", f"--build={folder}")["servers"][0]
    equal((told["skipped"], told["loads"]), ("examples/http was not built", []), "result")


@suite.test
def measures_upgrades_without_load(folder):
    told = bench(folder, "--idle")
    equal((told["idle"], told["took_over_ms"]["count"]), ("hello", 2), "result")
    check(0 < told["took_over_ms"]["p50"] <= told["took_over_ms"]["max"], told)


@suite.test
def measures_upgrades_by_the_number_of_listeners(folder):
    rows = bench(folder, "--listeners=1,50")["listeners"]
    equal([row["listeners"] for row in rows], [1, 50], "rows")
    for row in rows:
        equal(row["took_over_ms"]["count"], 2, "upgrades")
        check(0 < row["took_over_ms"]["p50"] <= row["took_over_ms"]["max"], row)
        check(("nginx_ms" in row) != ("skipped" in row), row)
    few, many = (row["descriptors"] for row in rows)
    equal(many["last"] - few["last"], 49, "descriptors for 49 listeners more")
    check(abs(many["last"] - many["first"]) < 10, many)


@suite.test
def tells_when_there_is_no_room_for_the_listeners(folder):
    code, out, _ = run([BENCH, "--json", *SMALL, "--listeners=1,2000000000"], folder, limit=3 * LIMIT)
    equal(code, 1, "exit code")
    rows = json.loads(out)["listeners"]
    check("took_over_ms" in rows[0] and "RLIMIT_NOFILE" in rows[1]["failure"], rows)


@suite.test
def refuses_names_it_does_not_know(folder):
    for options in (["--servers=apache"], ["--loads=some"], ["--upgrades=0"], ["--gap=-1"], ["--listeners=0"]):
        code, _, log = run([BENCH, *options], folder)
        equal(code, 2, f"exit code of {options}")
        check("bench_upgrade: error" in log, log)


suite.main()

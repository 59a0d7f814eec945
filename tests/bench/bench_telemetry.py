# SPDX-License-Identifier: MIT
"""What telemetry costs, in one run: measurements, spans, log records and scrapes, by one, two and
four threads, beside the floors that nothing gets below and beside libraries that others made; what an
exporter adds to a start, what an idle program does, how long an end takes when no receiver answers.

The figures of ours are those of bench metrics, traces, log and start. Those of others are told by
programs in rivals/, made of what Debian has. With --rounds all run in turn, and of each the best counts.
"""
import argparse
import collections
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "integration"))
import useless  # noqa: E402

RIVALS = os.path.join(HERE, "rivals")
GOCODE = "/usr/share/gocode"
LIMIT = 300  # seconds for a program, and for making one
THREADS = (1, 2, 4)


class Missing(Exception):
    """Why a rival cannot run."""


class Broken(Exception):
    """What a program that was measured said when it failed."""


# Making rivals


def make(argv, env=None):
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode != 0:
        raise Missing("it cannot be made: " + " ".join(done.stderr.split())[-200:])


def make_go(options, name, package):
    go = next((path for path in ("/usr/bin/go", shutil.which("go")) if path and os.access(path, os.X_OK)), None)
    if go is None or not os.path.isdir(os.path.join(GOCODE, "src", package)):
        raise Missing(f"Go, or {package}, is not installed")
    made = os.path.join(options.folder, name)
    cache = os.path.join(os.path.dirname(options.build), "go-cache")
    make([go, "build", "-o", made, os.path.join(RIVALS, "pieces.go"), os.path.join(RIVALS, name + ".go")],
         {**os.environ, "GO111MODULE": "off", "GOPATH": GOCODE, "GOFLAGS": "", "GOCACHE": cache})
    return [made]


def make_client_golang(options):
    return make_go(options, "client_golang", "github.com/prometheus/client_golang")


def make_opentelemetry_go(options):
    return make_go(options, "opentelemetry_go", "go.opentelemetry.io/otel/sdk/trace")


def make_spdlog(options):
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "spdlog"], capture_output=True, text=True,
                           check=False)
    if flags.returncode != 0 or not shutil.which("c++"):
        raise Missing("spdlog, or a C++ compiler, is not installed")
    made = os.path.join(options.folder, "spdlog")
    make(["c++", "-O2", "-std=c++17", "-I", HERE, os.path.join(RIVALS, "spdlog.cpp"), "-o", made,
          os.path.join(options.build, "tests", "bench", "libbench_pieces.a"), *shlex.split(flags.stdout)])
    return [made]


OURS = ("metrics", "traces", "log")
OTHERS = {"client_golang": make_client_golang, "opentelemetry_go": make_opentelemetry_go, "spdlog": make_spdlog}


# Measuring


def tell(options, text):
    if not options.json:
        print(text, file=sys.stderr, flush=True)


def figures(argv, env=None):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise Broken(f"{os.path.basename(argv[0])} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def keep_best(best, told):
    """The lower of two runs: what it costs when nobody else wants the processor."""
    for name, value in told.items():
        best[name] = min(best[name], value) if isinstance(value, (int, float)) and name in best else value


def ours(options, name, *words):
    return [os.path.join(options.build, "tests", "bench", "bench_" + name), "--json", *words]


def programs(options):
    """All that runs, by name; what cannot, by name with its reason."""
    found, missing = {name: ours(options, name) for name in OURS}, {}
    found["metrics"].append("--rounds=1")
    for name, maker in OTHERS.items():
        try:
            found[name] = maker(options)
        except (Missing, OSError, subprocess.TimeoutExpired) as error:
            missing[name] = str(error)
            tell(options, f"not run: {name}: {error}")
    return found, missing


def measure_calls(options):
    found, missing = programs(options)
    result = {name: {} for name in found}
    begun = time.monotonic()
    for number in range(options.rounds):
        if number > 0 and time.monotonic() - begun > options.seconds:
            break
        for name, argv in list(found.items()):
            tell(options, f"round {number + 1} of {options.rounds}: {name}")
            try:
                keep_best(result[name], figures(argv, {"PIECES_ROUNDS": "1"} if options.quick else None))
            except (Broken, subprocess.TimeoutExpired) as error:
                if name in OURS:
                    raise
                missing[name] = str(error)
                del found[name]
    return {name: told for name, told in result.items() if told}, missing


def measure_starts(options):
    """hello from exec to RUNNING, without an exporter and with all three; what it does while idle."""
    quiet = {"SRUN_ADMIN": "false"}
    with_exporters = {**quiet, **useless.exporters("http", "http://127.0.0.1:1", ["TRACE", "METRIC", "LOG"])}
    off, on = {}, {}
    for number in range(options.rounds + 1):
        tell(options, f"starts: round {number + 1}")
        for best, env in ((off, quiet), (on, with_exporters)):
            keep_best(best, figures(ours(options, "start", "--idle-only", "--idle-seconds=0"), env)["hello"])
    tell(options, "an idle program, ten seconds")
    idle = figures(ours(options, "start", "--idle-only", f"--idle-seconds={1 if options.quick else 10}"), {"SRUN_ADMIN_ADDRESS": "127.0.0.1:0",
                                                           "SRUN_ADMIN_SOCKET": "none"})["idle"]
    return {"off_ms": off["exec_to_running_us"] / 1e3, "on_ms": on["exec_to_running_us"] / 1e3,
            "off_rss_kib": off["rss_kib"], "on_rss_kib": on["rss_kib"], "idle_wake_ups": idle["wake_ups"],
            "idle_seconds": idle["seconds"]}


def measure_ends(options):
    """Seconds from SIGTERM until a program has gone whose receivers are of no use."""
    told, kinds, before = {}, useless.offered(), useless.nameless(options.folder)
    for protocol in ("http",) if options.quick else ("http", "grpc"):
        tell(options, f"ends, {protocol}")
        for name, made in (("dropped packets", useless.black_hole), ("hanging", useless.hanging)):
            with made() as endpoint:
                told[f"{name}, {protocol}"] = useless.ending(options.folder, protocol, endpoint, kinds).seconds
        if before is not None:
            told[f"no name server, {protocol}"] = useless.ending(options.folder, protocol, useless.NAMELESS, kinds,
                                                                 before).seconds
    return {"kinds": [kind.lower() for kind in kinds], "seconds": told}


# Telling


ROWS = (
    ("an atomic addition", "metrics", "raw"),
    ("counter, bound", "metrics", "counter_bound"),
    ("  client_golang", "client_golang", "counter_bound"),
    ("counter, three labels looked up", "metrics", "counter_3_labels"),
    ("  client_golang, WithLabelValues", "client_golang", "counter_3_labels"),
    ("histogram, bound, 14 bounds", "metrics", "histogram_bound"),
    ("  client_golang", "client_golang", "histogram_bound"),
    ("two looks at the clock", "traces", "two_clocks"),
    ("span, 1 attribute, sampled, batched", "traces", "span"),
    ("  OpenTelemetry Go", "opentelemetry_go", "span"),
    ("span, not sampled", "traces", "not_sampled"),
    ("  OpenTelemetry Go", "opentelemetry_go", "not_sampled"),
    ("span without a tracer", "traces", "no_tracer"),
    ("  OpenTelemetry Go, noop", "opentelemetry_go", "no_tracer"),
    ("write(2) of the JSON line", "log", "json_bare"),
    ("log record, JSON, 5 attributes", "log", "json"),
    ("write(2) of the text line", "log", "text_bare"),
    ("log record, text, 5 attributes", "log", "text"),
    ("  spdlog, flushed", "spdlog", "text"),
    ("  spdlog, buffered", "spdlog", "buffered"),
    ("log record below the level", "log", "disabled"),
    ("  spdlog", "spdlog", "disabled"),
)

Target = collections.namedtuple("Target", "what value most unit")


def targets(calls, starts, ends):
    """What was to be reached, and what was; None where a part of it could not be measured."""
    def get(who, name):
        return calls.get(who, {}).get(name)

    def ratio(who, name, other, of):
        above, below = get(who, name), get(other, of)
        return None if above is None or below is None else above / below
    return [
        Target("bound addition of an atomic one", ratio("metrics", "counter_bound_1_ns", "metrics", "raw_1_ns"),
               1.6, "x"),
        Target("bound addition, each of 2 threads of one",
               ratio("metrics", "counter_bound_2_ns", "metrics", "counter_bound_1_ns"), 1.3, "x"),
        Target("three labels of client_golang's",
               ratio("metrics", "counter_3_labels_1_ns", "client_golang", "counter_3_labels_1_ns"), 0.5, "x"),
        Target("the same, 2 threads",
               ratio("metrics", "counter_3_labels_2_ns", "client_golang", "counter_3_labels_2_ns"), 0.5, "x"),
        Target("scrape of 2000 series", get("metrics", "scrape_2000_ms"), 0.3, "ms"),
        Target("the same, of client_golang's", ratio("metrics", "scrape_2000_ms", "client_golang", "scrape_2000_ms"),
               0.2, "x"),
        Target("span of two looks at the clock", ratio("traces", "span_1_ns", "traces", "two_clocks_1_ns"), 5, "x"),
        Target("span, not sampled", get("traces", "not_sampled_1_ns"), 25, "ns"),
        Target("JSON record of a bare write", ratio("log", "json_1_ns", "log", "json_bare_1_ns"), 1.5, "x"),
        Target("text record of spdlog's, flushed", ratio("log", "text_1_ns", "spdlog", "text_1_ns"), 1, "x"),
        Target("record below the level", get("log", "disabled_1_ns"), 1, "ns"),
        Target("what exporters add to a start", starts and starts["on_ms"] - starts["off_ms"], 1, "ms"),
        Target("wake-ups of an idle program", starts and starts["idle_wake_ups"], 0, ""),
        Target("the slowest end without a receiver", ends and max(ends["seconds"].values()), 2.3, "s"),
    ]


def number(value):
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def show_calls(calls, missing):
    print(f"{'ns for each, threads:':38}" + "".join(f"{threads:>9}" for threads in THREADS))
    for what, who, name in ROWS:
        if who in calls:
            print(f"{what:38}" + "".join(f"{number(calls[who].get(f'{name}_{threads}_ns')):>9}" for threads in THREADS))
    print(f"\n{'of 2000 and 100 000 series:':38}{'scrape, ms':>18}{'bytes of memory for each':>30}")
    for what, who in (("libsrun", "metrics"), ("client_golang", "client_golang")):
        if who in calls:
            print(f"{what:38}" + "".join(
                f"{number(calls[who][f'{name}_{series}{unit}']):>{width}}"
                for name, unit, width in (("scrape", "_ms", 9), ("memory_of_series", "", 15))
                for series in (2000, 100000)))
    for what, why in missing.items():
        print(f"not run: {what}: {why}")
    if not calls["metrics"]["ran_together"]:
        print("(threads hardly ran at the same time: a line that all write to did not slow them)")


def show_starts(starts, ends):
    print(f"\nhello, exec to RUNNING: {starts['off_ms']:.2f} ms, with exporters {starts['on_ms']:.2f} ms; "
          f"memory {starts['off_rss_kib']} and {starts['on_rss_kib']} KiB")
    for what, seconds in ends["seconds"].items():
        print(f"the end, {what + ':':28}{seconds:.2f} s for {' and '.join(ends['kinds'])}")


def show(result, reached):
    if "calls" in result:
        show_calls(result["calls"], result["not_run"])
    if "starts" in result:
        show_starts(result["starts"], result["ends"])
    print(f"\n{'':42}{'reached':>10}{'at most':>10}")
    for one in reached:
        verdict = "not run" if one.value is None else "" if one.value <= one.most else "NOT REACHED"
        print(f"{one.what:42}{number(one.value):>10}{one.most:>10} {one.unit:3}{verdict}")


def arguments():
    parser = argparse.ArgumentParser(prog="bench_telemetry", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true", help="one object")
    parser.add_argument("--rounds", type=int, default=1, help="of all programs in turn [1]")
    parser.add_argument("--seconds", type=float, default=math.inf, help="no further round once so many have passed")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter looks")
    parser.add_argument("--only", choices=("calls", "starts"), help="of these: the calls; the starts and ends")
    options = parser.parse_args()
    options.build = os.path.abspath(os.environ.get("SRUN_BUILD_DIR", "build/dev"))
    return options


def main():
    options = arguments()
    result = {"bench": "telemetry"}
    try:
        with tempfile.TemporaryDirectory(prefix="srun-bench-") as options.folder:
            if options.only != "starts":
                result["calls"], result["not_run"] = measure_calls(options)
            if options.only != "calls":
                result["starts"], result["ends"] = measure_starts(options), measure_ends(options)
    except (Broken, subprocess.TimeoutExpired) as error:
        print(f"bench_telemetry: {error}", file=sys.stderr)
        return 1
    reached = targets(result.get("calls", {}), result.get("starts"), result.get("ends"))
    if options.only:
        reached = [one for one in reached if one.value is not None]
    result["targets"] = [one._asdict() for one in reached]
    print(json.dumps(result)) if options.json else show(result, reached)
    return 0


if __name__ == "__main__":
    sys.exit(main())

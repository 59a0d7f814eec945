# SPDX-License-Identifier: MIT
"""What clients notice of an upgrade: the http example beside nginx and haproxy, with the same load,
the same number of swaps, in the same run.

For each server, started anew each time, three loads: a connection per request and kept-alive ones
(closed loop, all the clients at once), and a fixed rate on kept-alive ones (open loop, latency from
when a request was due). Each load is run at rest, then while the server is replaced again and
again: the next swap begins a gap after the new process has answered for the first time. A request
that got no complete answer 200 is lost; nothing is tried again. tests/load/load.h says how requests
are counted.

With --idle: no load; the time from the signal to the line `msg="took over"` of the new generation.
With --listeners: the same of a program with so many of them, which are handed over, and of nginx with as
many: to the moment when its new master has workers, on which the old one is told to end.
"""
import argparse
import contextlib
import fcntl
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import servers  # noqa: E402
from servers import Failed, complain, memory_kib, reap, spawn, wait_until  # noqa: E402

HARD_LIMIT = 1200  # seconds that a load may take, whatever was asked for
LATENCIES = ("p50", "p99", "p999", "max")


def arguments():
    parser = argparse.ArgumentParser(prog="bench_upgrade", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one object")
    parser.add_argument("--full", action="store_true",
                        help="200 swaps, and at least 500000 requests on new connections and "
                             "1000000 on kept ones")
    parser.add_argument("--idle", nargs="?", const="hello", metavar="EXAMPLE",
                        help="the time of an upgrade without load [hello]")
    parser.add_argument("--listeners", nargs="?", const="1,10,100,1000", metavar="N,...",
                        help="the same by the number of listeners [1,10,100,1000]")
    parser.add_argument("--upgrades", type=int,
                        help="swaps per load [20; 100 with --idle, 20 with --listeners]")
    parser.add_argument("--gap", type=int, default=250, metavar="MS", help="between swaps [250]")
    parser.add_argument("--seconds", type=float, default=3, help="of each load at rest [3]")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rate", type=int, default=5000, help="of the open loop [5000]")
    parser.add_argument("--probation", default="0s", help="SRUN_UPGRADE_PROBATION [0s]")
    parser.add_argument("--servers", default=",".join(servers.ALL), metavar="NAME,...",
                        help="of " + ", ".join(servers.ALL))
    parser.add_argument("--loads", default="new,keepalive,open", metavar="NAME,...")
    parser.add_argument("--build", default=os.environ.get("SRUN_BUILD_DIR", "build/dev"),
                        help="the folder with the examples and loadgen")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    try:
        options.listeners = [int(word) for word in (options.listeners or "").split(",") if word]
    except ValueError:
        parser.error("--listeners: numbers, with commas between them")
    options.servers, options.loads = options.servers.split(","), options.loads.split(",")
    unknown = set(options.servers) - set(servers.ALL) | set(options.loads) - set(LOADS)
    if unknown:
        parser.error("unknown: " + ", ".join(sorted(unknown)))
    if options.upgrades is None:
        options.upgrades = 100 if options.idle else 200 if options.full else 20
    if min(options.upgrades, options.gap + 1, options.clients, options.rate, *options.listeners) < 1:
        parser.error("numbers are positive")
    return options


# Load


LOADS = {
    "new": lambda options: ["--mode=new", f"--clients={options.clients}"],
    "keepalive": lambda options: ["--mode=keepalive", f"--clients={options.clients}"],
    "open": lambda options: ["--mode=keepalive", f"--clients={options.clients}",
                             f"--rate={options.rate}"],
}
AT_LEAST = {"new": 500000, "keepalive": 1000000, "open": 0}


class Load:
    """loadgen at work on an address. Its events are read as they come."""

    def __init__(self, options, folder, address, arguments_):
        self.report, self.processes, self._folder = None, [], folder
        self._more = threading.Condition()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(writing, "wb") as out:
            self.pid, self._log = spawn(
                [os.path.join(options.build, "tests", "load", "loadgen"), "--address=" + address,
                 "--json", "--events", *arguments_], folder, stdout=out)
        self._reader = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self._reader.start()

    def _read(self, reading):
        with os.fdopen(reading, encoding="ascii") as lines:
            for line in lines:
                record = json.loads(line)
                with self._more:
                    if record.get("event") == "process":
                        self.processes.append(record)
                    elif "event" not in record:
                        self.report = record
                    self._more.notify_all()

    def wait_process(self, is_wanted, since, what, limit=servers.LIMIT):
        """The first process that answered, from the event `since` on, and is wanted."""
        deadline = time.monotonic() + limit
        with self._more:
            while True:
                for process in self.processes[since:]:
                    if is_wanted(process):
                        return process
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"{what}: not within {limit:g} s")
                self._more.wait(left)

    def end(self, limit=HARD_LIMIT):
        """Lets it finish, and answers its report."""
        servers.wait_end(self.pid, "the end of the load", limit)
        self._reader.join(servers.LIMIT)
        if self.report is None:
            with open(self._log, encoding="utf-8") as file:
                raise Failed("loadgen: " + file.read().strip())
        return self.report

    def stop(self):
        if self.pid not in servers.ended:
            os.kill(self.pid, signal.SIGTERM)
        return self.end()


def rest(server, options, load):
    running = Load(options, server.folder, server.address,
                   LOADS[load](options) + [f"--seconds={options.seconds}"])
    process = running.wait_process(lambda _: True, 0, "a first answer")
    wait_until(lambda: running.pid in servers.ended or
               time.monotonic_ns() - process["at_ns"] > options.seconds * 0.8e9, "the load",
               options.seconds + servers.LIMIT, 0.05)
    memory = {"serving_kib": memory_kib(process["pid"]),
              "all_kib": server.all_memory_kib(running.pid)}
    return running.end(), memory


def swap_once(server, running, current):
    """One swap: the process that serves now, and the ms until its first answer."""
    server.settle()
    since, told = len(running.processes), time.monotonic_ns()
    server.swap(current["pid"])
    new = running.wait_process(lambda process: server.is_new(current, process), since,
                               "an answer of the new process")
    return new, (new["at_ns"] - told) / 1e6


def swap_many(server, options, load):
    """As often as asked for, or until one fails: (report, times, why it failed)."""
    at_least = AT_LEAST[load] if options.full else 0
    running = Load(options, server.folder, server.address,
                   LOADS[load](options) + [f"--seconds={HARD_LIMIT}", f"--at-least={at_least}"])
    times, failure = [], None
    try:
        current = running.wait_process(lambda _: True, 0, "a first answer")
        for _ in range(options.upgrades):
            time.sleep(options.gap / 1e3)
            current, took = swap_once(server, running, current)
            times.append(took)
        time.sleep(options.gap / 1e3)
    except (Failed, ProcessLookupError) as error:
        failure = f"swap {len(times) + 1}: {error}"
    return running.stop(), times, failure


# Without load


class Told:
    """What a program and its successors log, line by line."""

    def __init__(self, reading):
        self._fd, self._rest = reading, b""
        os.set_blocking(reading, False)

    def wait(self, pattern, limit=servers.LIMIT):
        """The match of the next line in which it is found, and when the line came (ns)."""
        deadline = time.monotonic() + limit
        while True:
            line, newline, rest_ = self._rest.partition(b"\n")
            if newline:
                self._rest = rest_
                found = re.search(pattern, line.decode(errors="replace"))
                if found:
                    return found, self._at
                continue
            if not select.select([self._fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Failed(f"no line {pattern!r} within {limit:g} s")
            self._at = time.monotonic_ns()
            more = os.read(self._fd, 65536)
            if not more:
                raise Failed("it ended")
            self._rest += more


def idle(options, folder):
    """Milliseconds from each signal to the line of the new generation."""
    program = os.path.join(options.build, "examples", options.idle)
    arguments_ = ["--http.address=127.0.0.1:0"] if options.idle == "http" else []
    return replaced([program, *arguments_], {}, options, folder)[0]


def descriptors(pid):
    """What it holds for good: the fewest of some looks, because the last upgrade may still have one or two."""
    looks = []
    for _ in range(20):
        looks.append(len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.01)
    return min(looks)


def replaced(argv, env, options, folder):
    """The times, and how many descriptors the first and the last process had."""
    if not os.access(argv[0], os.X_OK):
        raise Failed(f"{argv[0]} is not there")
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(PermissionError):  # records are dropped when it is full for 50 ms
        fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 1 << 20)
    with os.fdopen(writing, "wb") as errors:
        pid, _ = spawn(argv, folder, {"SRUN_UPGRADE_PROBATION": options.probation, **env},
                       stderr=errors)
    log, times = Told(reading), []
    log.wait("msg=started ")
    first = descriptors(pid)
    for _ in range(options.upgrades):
        time.sleep(options.gap / 1e3)
        told = time.monotonic_ns()
        os.kill(pid, signal.SIGHUP)
        _, at = log.wait('msg="took over" ')
        times.append((at - told) / 1e6)
        old, pid = pid, int(successor(pid))
        servers.wait_end(old, "the end of the old process")
        log.wait('msg="the old generation has ended"')  # soon it gives up what that took
    counts = first, descriptors(pid)
    os.kill(pid, signal.SIGTERM)
    servers.wait_end(pid, "the end of the last process")
    os.close(reading)
    return times, counts


def successor(pid):
    """Its child, or, when it has ended, ours: nobody else descends from us here."""
    return wait_until(lambda: [other for other in servers.descendants(os.getpid())
                               if other != pid], "a successor")[0]


# Many listeners


def room_for(listeners):
    """Descriptors for the listeners, and for what else a process has."""
    wanted = listeners + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Failed(f"they need {wanted} descriptors, and RLIMIT_NOFILE is {hard}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def replaced_nginx(listeners, options, folder):
    nginx = servers.Nginx(folder, options)
    nginx.more, times = listeners - 1, []  # it has one already
    nginx.start()
    for _ in range(options.upgrades):
        nginx.settle()
        time.sleep(options.gap / 1e3)
        told = time.monotonic_ns()
        nginx.swap(nginx.main)
        times.append((time.monotonic_ns() - told) / 1e6)
    return times


def in_a_folder(measure_, *arguments_):
    folder = tempfile.mkdtemp(prefix="srun-bench-")
    try:
        return measure_(*arguments_, folder)
    finally:
        servers.end_all()
        shutil.rmtree(folder, ignore_errors=True)


def with_listeners(listeners, options):
    def ours(folder):
        env = {"LISTENERS": str(listeners), "LISTENERS_FOLDER": folder}
        program = os.path.join(options.build, "tests", "bench", "listening")
        return replaced([program], env, options, folder)

    told = {"listeners": listeners}
    try:
        room_for(listeners)
        times, counts = in_a_folder(ours)
        told |= {"took_over_ms": times_of(times),
                 "descriptors": {"first": counts[0], "last": counts[1]}}
        why = servers.Nginx.missing(options)
        if why:
            told["skipped"] = why
        else:
            told["nginx_ms"] = times_of(in_a_folder(replaced_nginx, listeners, options))
    except Failed as error:
        told["failure"] = str(error)
    return told


# Telling


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def times_of(values):
    return {"p50": round(quantile(values, 0.5), 3), "p99": round(quantile(values, 0.99), 3),
            "max": round(max(values, default=0), 3), "count": len(values)}


def shown(report):
    """What of loadgen's report is told."""
    names = ("requests", "answers", "lost", "seconds", "per_second", "latency_us",
             "longest_gap_us", "connections", "told_to_close", "idle_closed", "left_open")
    told = {name: report[name] for name in names}
    told["errors"] = {kind: count for kind, count in report["errors"].items() if count}
    told["processes"] = len(report["processes"])
    return told


def measure(name, options):
    kind = servers.ALL[name]
    told = {"server": kind.name, "loads": []}
    why = kind.missing(options)
    if why:
        return {**told, "skipped": why}
    told["version"] = kind.version(options)
    for load in options.loads:
        folder = tempfile.mkdtemp(prefix="srun-bench-")
        try:
            server = kind(folder, options)
            server.start()
            at_rest, memory = rest(server, options, load)
            swapping, times, failure = swap_many(server, options, load)
            told["loads"].append({"load": load, "rest": shown(at_rest), "swaps": shown(swapping),
                                  "first_answer_ms": times_of(times), "memory": memory,
                                  "failure": failure})
        except Failed as error:
            told["loads"].append({"load": load, "failure": str(error)})
        finally:
            servers.end_all()
            shutil.rmtree(folder, ignore_errors=True)
    return told


def print_phase(server, load, phase, told):
    latency = told["latency_us"]
    print(f"{server:20} {load:10} {phase:10} {told['requests']:9} {told['lost']:6} "
          + " ".join(f"{latency[name] / 1e3:8.2f}" for name in LATENCIES)
          + f" {told['longest_gap_us'] / 1e3:8.1f}")


def print_server(told):
    server = told["server"]
    if "skipped" in told:
        print(f"{server:20} skipped: {told['skipped']}")
        return
    server = f"{server} {told['version']}" if len(server) < 14 else server
    for load in told["loads"]:
        if "rest" in load:
            print_phase(server, load["load"], "at rest", load["rest"])
            times, memory = load["first_answer_ms"], load["memory"]
            print_phase("", "", f"{times['count']} swaps", load["swaps"])
            print(f"{'':20} {'':10} first answer of the new process: p50 {times['p50']:.1f}, p99 "
                  f"{times['p99']:.1f}, max {times['max']:.1f} ms; memory "
                  f"{memory['serving_kib'] / 1024:.1f} MiB, all processes "
                  f"{memory['all_kib'] / 1024:.1f}")
            for phase in ("rest", "swaps"):
                for kind, count in load[phase]["errors"].items():
                    print(f"{'':20} {'':10} lost ({phase}): {count} {kind}")
        if load["failure"]:
            print(f"{server:20} {load['load']:10} FAILED: {load['failure']}")


def run_idle(options):
    folder = tempfile.mkdtemp(prefix="srun-bench-")
    try:
        times = times_of(idle(options, folder))
    finally:
        servers.end_all()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps({"bench": "upgrade", "idle": options.idle, "took_over_ms": times}))
    else:
        print(f"{options.idle}, idle, {times['count']} upgrades: from the signal until the new "
              f"generation took over p50 {times['p50']:.2f}, p99 {times['p99']:.2f}, max "
              f"{times['max']:.2f} ms")


def run_listeners(options):
    rows = [with_listeners(listeners, options) for listeners in options.listeners]
    if options.json:
        print(json.dumps({"bench": "upgrade", "upgrades": options.upgrades, "listeners": rows}))
        return any("failure" in row for row in rows)
    print(f"{'listeners':>9} {'took over, ms: p50':>20} {'p99':>7} {'descriptors':>12} {'nginx, ms: p50':>16}")
    for row in rows:
        if "took_over_ms" in row:
            times, counts = row["took_over_ms"], row["descriptors"]
            nginx = f"{row['nginx_ms']['p50']:16.2f}" if "nginx_ms" in row else row.get("skipped", "")
            print(f"{row['listeners']:9} {times['p50']:20.2f} {times['p99']:7.2f} "
                  f"{counts['first']:5}, {counts['last']:5} {nginx}")
        if "failure" in row:
            print(f"{row['listeners']:9} FAILED: {row['failure']}")
    return any("failure" in row for row in rows)


def run_loads(options):
    results = []
    if not options.json:
        print(f"{options.upgrades} swaps {options.gap} ms apart, {options.clients} clients, open "
              f"loop {options.rate}/s; latencies in ms; gap: the longest without any answer")
        print(f"{'server':20} {'load':10} {'phase':10} {'requests':>9} {'lost':>6} "
              + " ".join(f"{name:>8}" for name in ("p50", "p99", "p99.9", "max", "gap")))
    for name in options.servers:
        results.append(measure(name, options))
        if not options.json:
            print_server(results[-1])
            sys.stdout.flush()
    if options.json:
        print(json.dumps({"bench": "upgrade", "upgrades": options.upgrades, "gap_ms": options.gap,
                          "clients": options.clients, "rate": options.rate,
                          "probation": options.probation, "servers": results}))
    return any(load["failure"] for told in results for load in told["loads"])


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda signo, frame: sys.exit(1))
    servers.become_reaper()
    try:
        if options.idle:
            run_idle(options)
            return 0
        if options.listeners:
            return 1 if run_listeners(options) else 0
        return 1 if run_loads(options) else 0
    except (Failed, OSError) as error:
        complain(error)
        return 1
    finally:
        reap()
        servers.end_all()


sys.exit(main())

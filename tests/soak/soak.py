# SPDX-License-Identifier: MIT
"""The http example for a long time, with everything that happens to a server: mixed load, an upgrade
every second, health that flaps, a collector and an upstream that come and go, profiles, attackers.

    ./dev soak [30m] [PRESET]

Beside it, where PostgreSQL is there, the ledger example on a database that comes and goes, upgraded now
and then.

Nothing may be lost, and what the program holds (memory, descriptors, threads) may not grow: neither
from one generation to the next, nor in the last one, which lives for the last fifth of the time.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import actors  # noqa: E402
import postgres as databases  # noqa: E402
from admin import AdminServer  # noqa: E402
from support import BUILD_DIR, SANITIZE, Failure, check, equal, has_program, program  # noqa: E402

LOG = os.path.join(BUILD_DIR, "soak.log")  # of all generations, for who wants to know why
STACKS = os.path.join(BUILD_DIR, "soak.stacks")
UNITS = {"s": 1, "m": 60, "h": 3600, "": 1}
CALM = 0.2  # of the time, at the end
LONG = 120  # seconds: less of calm is all warming up, and tells nothing
EVERY, EVERY_LEDGER, TOLD = 1.0, 20.0, 30.0  # between two upgrades; between two lines for who waits
GROWTH_KIB = 4 << 10  # of a process that is profiled and attacked
MORE = 16  # descriptors and threads that requests under way may have


def seconds(text):
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if found is None or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is how long, as 90s, 30m, 2h")
    return int(found[1]) * UNITS[found[2]]


class Held:
    """What a process holds."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            text = file.read()
        self.rss = int(re.search(r"VmRSS:\s+(\d+)", text)[1])
        self.threads = int(re.search(r"Threads:\s+(\d+)", text)[1])
        self.fds = len(os.listdir(f"/proc/{pid}/fd"))

    def __str__(self):
        return f"{self.rss} KiB, {self.fds} descriptors, {self.threads} threads"


class Samples:
    """What was held over time; told: does it grow?"""

    def __init__(self):
        self.all = []

    def take(self, pid):
        self.all.append(Held(pid))

    def growth(self, what):
        """The middle of the last third, less that of the second: the first is for warming up."""
        third = len(self.all) // 3
        if third == 0:
            return 0
        parts = [statistics.median(getattr(one, what) for one in part)
                 for part in (self.all[third:2 * third], self.all[2 * third:])]
        return parts[1] - parts[0]

    def spread(self, what):
        values = [getattr(one, what) for one in self.all]
        return f"{min(values)}..{max(values)}"


class Soak:
    def __init__(self, folder, span):
        self.folder, self.span = folder, span
        self.between, self.within = Samples(), Samples()
        self.upgrades, self.longest_ms, self.failed = 0, 0.0, []
        self.postgres = self.ledger = None

    def start(self):
        collector, upstream = actors.Collector(), actors.Upstream(self.folder)
        endpoint = f"http://127.0.0.1:{collector.port}"
        self.server = AdminServer(
            [program("http"), "--http.address=127.0.0.1:0", "--http.upstream=http://" + upstream.address,
             f"--store.items={actors.Writer.ITEMS}"], self.folder,
            {"SRUN_HEALTH": "true", "SRUN_HEALTH_INTERVAL": "1s", "SRUN_CAPTURE": "true",
             "SRUN_OTEL_TRACE_EXPORTER": "http", "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT": endpoint,
             "SRUN_OTEL_METRIC_EXPORTER": "http", "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT": endpoint,
             "SRUN_OTEL_LOG_EXPORTER": "http", "SRUN_OTEL_LOG_EXPORTER_ENDPOINT": endpoint,
             "OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_METRIC_EXPORT_INTERVAL": "1000",
             "SRUN_UPGRADE_HANDSHAKE": "30s"})  # whatever the machine's load
        address = self.server.wait_for(r"msg=listening logger_scope=http .*address=tcp://(\S+)").group(1)
        self.actors = [
            collector, upstream, actors.Writer(address), actors.Slow(address), actors.Streams(address),
            actors.Relayed(address), actors.Prober(self.server.admin), actors.Profiler(self.server.admin),
            actors.Attacker(self.server.admin), actors.Load(address, "keepalive", 300, self.span),
            actors.Load(address, "new", 100, self.span)]
        if has_program("ledger") and databases.binaries():
            self.start_ledger()
        for actor in self.actors:
            actor.start()

    def start_ledger(self):
        self.postgres = databases.Postgres()
        self.postgres.__enter__()
        self.database = self.postgres.database()
        folder = os.path.join(self.folder, "ledger")
        os.mkdir(folder)
        self.ledger = AdminServer(
            [program("ledger"), "--http.address=127.0.0.1:0", "--postgres.timeout=1s",
             "--postgres.url=" + self.postgres.url(self.database)], folder, {"SRUN_HEALTH_INTERVAL": "1s"})
        self.actors += [actors.Database(self.postgres), actors.Payer(self.ledger.address("http"))]

    def upgrade(self):
        begun = time.monotonic()
        self.longest_ms = max(self.longest_ms, self.server.upgrade())
        self.upgrades += 1
        return begun

    @staticmethod
    def pause(span):
        """The pace of the soak."""
        time.sleep(max(0.0, span))

    def tell(self):
        """A line from time to time."""
        if time.monotonic() - self.told >= TOLD:
            self.told = time.monotonic()
            print(f"    {self.upgrades} upgrades, {Held(self.server.served_by())}", flush=True)

    def run(self):
        end = time.monotonic() + self.span
        self.told = ledger = time.monotonic()
        while time.monotonic() < end - CALM * self.span:
            begun = self.upgrade()
            self.pause(begun + EVERY - time.monotonic())
            self.between.take(self.server.served_by())
            if self.ledger is not None and begun - ledger >= EVERY_LEDGER:
                self.ledger.ask()  # refused when the database is away
                ledger = begun
            self.tell()
        while time.monotonic() < end:
            self.pause(1)
            self.within.take(self.server.served_by())
            self.tell()

    def stop(self):
        for actor in self.actors:
            actor.end()
        self.code = self.server.stop()
        if self.ledger is not None:
            self.stop_ledger()

    def stop_ledger(self):
        """The database is there again; every transfer that was said to be booked is, once."""
        with self.ledger:
            self.ledger_code = self.ledger.stop()
        self.sums = self.postgres.query(self.database, "SELECT coalesce(sum(cents), 0) FROM accounts",
                                        "SELECT count(*) FROM transfers")
        self.postgres.__exit__()

    def keep_log(self):
        with open(LOG, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in self.server.lines)

    def keep_stacks(self):
        """Of all processes that live when it ends early: who hangs?"""
        with open(STACKS, "w", encoding="utf-8") as file:
            for pid in self.server.family():
                subprocess.run(["gdb", "-batch", "-p", str(pid), "-ex", "info inferiors", "-ex", "thread apply all bt"],
                               check=False, stdout=file, stderr=file, timeout=60)
        print(f"it ended early: {LOG}, {STACKS}", flush=True)

    # What must be so

    def the_books_are_in_order(self):
        equal(self.ledger_code, 0, "exit code of the ledger")
        payer = next(actor for actor in self.actors if actor.name == "payments")
        equal(self.sums[0], "0", "sum of all balances")
        check(payer.number - 1 <= int(self.sums[1]) <= payer.number,
              f"{self.sums[1]} transfers are booked, {payer.number} were asked for")

    def each_end_is_clean(self):
        equal(self.code, 0, "exit code of the last generation")
        wrong = [line for line in self.server.lines
                 if re.search(r"level=ERROR|Sanitizer|runtime error|leak", line)]
        equal(wrong[:20], [], "lines of the log")

    def nothing_went_wrong(self, actor):
        equal(actor.wrong, [], f"{actor.did['wrong']} things of {actor.name}")

    def upgrades_came_as_they_were_asked_for(self):
        least = max(1, int(self.span * (1 - CALM) / 10))
        check(self.upgrades >= least, f"{self.upgrades} upgrades, and not {least}")
        equal(len(self.server.with_message("upgraded")), self.upgrades, "generations")

    def generations_hold_the_same(self):
        check(self.between.growth("rss") <= GROWTH_KIB, f"memory: {self.between.spread('rss')} KiB")
        check(self.between.growth("fds") <= MORE, f"descriptors: {self.between.spread('fds')}")
        check(self.between.growth("threads") <= MORE, f"threads: {self.between.spread('threads')}")

    def the_last_generation_does_not_grow(self):
        if self.span * CALM < LONG:
            print("    too short to tell whether the last generation grows")
            return
        most_of = {"rss": GROWTH_KIB, "fds": MORE, "threads": MORE}
        if "address" in SANITIZE:
            print("    memory is not judged: the sanitizer keeps what was freed, and a part of each thread; "
                  "leaks it tells at each end")
            del most_of["rss"]
        for what, most in most_of.items():
            grown = self.within.growth(what)
            check(grown <= most, f"{what} by {grown}: {self.within.spread(what)}")

    def summary(self):
        print(f"\n{self.span} s, {self.upgrades} upgrades, the longest took {self.longest_ms:.0f} ms")
        print(f"held: {self.between.spread('rss')} KiB, {self.between.spread('fds')} descriptors, "
              f"{self.between.spread('threads')} threads")
        for actor in self.actors:
            print(f"    {actor}")
        checks = [(f"nothing went wrong: {actor.name}", lambda actor=actor: self.nothing_went_wrong(actor))
                  for actor in self.actors]
        checks += [(test.__name__.replace("_", " "), test)
                   for test in (self.upgrades_came_as_they_were_asked_for, self.generations_hold_the_same,
                                self.the_last_generation_does_not_grow, self.each_end_is_clean)]
        if self.ledger is not None:
            checks.append(("the books are in order", self.the_books_are_in_order))
        for name, test in checks:
            try:
                test()
            except Failure as failure:
                self.failed.append(name)
                print(f"FAILED {name}\n    {failure}")
        print(f"soak: {len(checks) - len(self.failed)} passed, {len(self.failed)} failed")
        return len(self.failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("span", nargs="?", type=seconds, default="30m", help="how long: 90s, 30m, 2h")
    options = parser.parse_args()
    print(f"soak: {options.span} s{', ' + SANITIZE if SANITIZE else ''}", flush=True)
    with tempfile.TemporaryDirectory(prefix="srun-soak-") as folder:
        soak = Soak(folder, options.span)
        soak.start()
        with soak.server:
            try:
                soak.run()
                soak.stop()
            except Exception:
                soak.keep_stacks()
                raise
            finally:
                soak.keep_log()
        sys.exit(1 if soak.summary() else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Telemetry of whole programs, end to end: every span is accounted for, an end that no receiver can
delay, an upgrade that nobody who scrapes notices, an idle program that sleeps."""
import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading

from admin import PATIENT, admin_server
from endure import eventually, tell
from otlp import Peers
from support import (LIMIT, SANITIZE, Load, Process, Suite, UnixConnection, ask, check, equal, has_program,
                     program)
from traces_test import Receiver
from useless import LOAD, NAMELESS, black_hole, ending, exporters, hanging, nameless, offered

SUITE = Suite("telemetry_end")
PEERS = Peers()
SPANS = 100000
OWN = 4  # spans of the runner: start, ready load, stop, stop load
_keys = itertools.count(1)


# Every span is accounted for


def fate_of_spans(records):
    """How many there were and how many left, as the end tells; how many were lost, as warnings do, and how
    many of these without an answer: they may have arrived."""
    told, = [record for record in records if record["msg"] == "traces have ended"]
    warnings = [record for record in records if record["msg"] == "spans were lost"]
    lost = sum(int(record["lost"]) for record in warnings)
    return int(told["spans"]), int(told["exported"]), lost, int(warnings[-1]["so_far_in_export"]) if warnings else 0


def expect_all(folder, protocol, name, peer, flags, before_the_end, wanted_lost):
    """Ends SPANS spans from eight threads, and finds each of them. The end, for which there are two
    seconds, comes when so many have been received."""
    key = f"end{next(_keys)}"  # by which the receiver knows them
    env = {**PATIENT, **exporters(protocol, f"http://127.0.0.1:{peer.port}", ["TRACE"]),
           "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={key}", "SRUN_LOG_LEVEL": "debug"}
    with Process([LOAD, f"--spans={SPANS}", "--threads=8", *flags], folder, env) as load:
        def received():
            return [one for line in peer.got(key, 0) for one in line["ids"]]
        load.wait_for("all spans have ended", 3 * LIMIT)
        eventually(lambda: len(received()) >= before_the_end, f"{name}: what was sent while it ran")
        load.signal(signal.SIGTERM)
        equal(load.finish(), 0, "exit code")
        spans, exported, lost, unanswered = fate_of_spans(load.records)
        equal(spans, SPANS + OWN, f"{name}: spans")
        eventually(lambda: len(received()) >= exported, f"{name}: all that was sent is told of")
        ids = received()
        tell(name, f"{len(ids)} received, {lost} said to be lost")
        equal(len(set(ids)), len(ids), f"{name}: none comes twice")
        check(SPANS + OWN <= len(ids) + lost <= SPANS + OWN + unanswered,
              f"{name}: received {len(ids)}, and {lost} said to be lost, {unanswered} of these without an answer")
        check(wanted_lost(lost - unanswered), f"{name}: {lost} were lost")


def receivers():
    found = [("http", "node-http", PEERS.get("node-http"))]
    return [one for one in found + [("grpc", name, peer) for name, peer in PEERS.grpc()] if one[2] is not None]


@SUITE.test
def spans_that_come_faster_than_they_leave_are_received_or_counted(folder):
    for protocol, name, peer in receivers():
        expect_all(folder, protocol, name, peer, [], 1, lambda lost: lost < SPANS)


@SUITE.test
def no_span_is_lost_while_there_is_room_for_them(folder):
    for protocol, name, peer in receivers():
        expect_all(folder, protocol, name, peer, ["--flush-every=250"], SPANS, lambda lost: lost == 0)


# The end


def expect_timely_end(folder, what, endpoint, before=()):
    """A program whose receiver is of no use ends in time, and says what it has lost."""
    kinds = offered()
    for protocol in ("http", "grpc"):
        end = ending(folder, protocol, endpoint, kinds, before)
        tell(f"{what}, {protocol}", f"{end.seconds:.2f} s for {' '.join(kinds).lower()}")
        check(end.seconds < (20 if SANITIZE else 5), f"{what}: the end took {end.seconds:.2f} s")
        equal(fate_of_spans(end.records)[:3], (1000 + OWN, 0, 1000 + OWN), f"{what}: spans, sent, lost")
        for kind, message in (("METRIC", "metrics have ended"), ("LOG", "log export has ended")):
            lost = [int(record["lost"]) for record in end.records if record["msg"] == message]
            check(kind not in kinds or lost and lost[0] > 0, f"{what}: {message!r} tells of losses: {end.records}")


@SUITE.test
def packets_that_are_dropped_do_not_delay_the_end(folder):
    with black_hole() as endpoint:
        expect_timely_end(folder, "dropped packets", endpoint)


@SUITE.test
def a_receiver_that_hangs_does_not_delay_the_end(folder):
    with hanging() as endpoint:
        expect_timely_end(folder, "hanging", endpoint)


@SUITE.test
def a_name_that_nobody_answers_for_does_not_delay_the_end(folder):
    before = nameless(folder)
    if before is None:
        print("    not run: no name spaces can be made here")
        return
    expect_timely_end(folder, "no name", NAMELESS, before)


# Upgrades, while somebody scrapes


class Scraper:
    """Asks for /metrics again and again, on a connection of its own each time, until the end."""

    def __init__(self, server):
        self.pages, self.failed = [], []
        self._server, self._stopping = server, threading.Event()
        self._thread = threading.Thread(target=self._scrape, daemon=True)
        self._thread.start()

    def _scrape(self):
        while not self._stopping.wait(0.02):
            try:
                answer = self._server.get("/metrics")
                self.pages.append(answer.body.decode())
                if answer.status != 200:
                    self.failed.append(answer)
            except OSError as error:
                self.failed.append(error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join(LIMIT)


SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$", re.M)


def growing(page):
    """The samples of a page that may only grow: those of counters, and of histograms."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
    for name, labels, value in SAMPLE.findall(page):
        family = re.sub(r"_(bucket|count|sum)$", "", name)
        if kinds.get(name) == "counter" or kinds.get(family) == "histogram":
            yield (name, labels), float(value)


@SUITE.test
def who_scrapes_through_upgrades_misses_nothing(folder):
    upgrades = 3
    with Receiver() as receiver, admin_server(folder, receiver.environment()) as server:
        load = Load(server.address("http"), clients=2)
        with Scraper(server) as scraper:
            for _ in range(upgrades):
                before = len(scraper.pages)
                eventually(lambda before=before: len(scraper.pages) > before + 3, "scrapes")
                server.upgrade(ended=True)
            before = len(scraper.pages)
            eventually(lambda: len(scraper.pages) > before + 3, "scrapes of the last one")
        load.stop()
        equal(server.stop(), 0, "exit code")
        equal((scraper.failed, load.cut), ([], []), "scrapes that failed, requests that were cut")
        last, order = {}, []
        for page in scraper.pages:
            who = re.search(r'service_instance_id="([^"]+)"', page)[1]
            if who not in order:
                order.append(who)
            for key, value in growing(page):
                check(value >= last.get((who, key), 0), f"{who} {key}: {last.get((who, key))}, then {value}")
                last[who, key] = value
        equal(len(order), upgrades + 1, "instances that were scraped")
        check(len(last) > 100, f"{len(last)} samples that grow")
        tell("scrapes", f"{len(scraper.pages)} of {upgrades + 1} processes, {len(last)} samples that grow")
        pairs = 0
        for upgrade in receiver.find(lambda span: span["name"] == "upgrade", "upgrade"):
            mine = [span for span in receiver.spans if span["trace"] == upgrade["trace"]]
            who = {span["resource"]["service.instance.id"] for span in mine}
            equal((len(who), who <= set(order)), (2, True), "processes in the trace of an upgrade")
            pairs += 1
        equal(pairs, upgrades, "upgrades traced")


# At rest


def switches(pid):
    """How often each of its threads went to sleep of its own."""
    told = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that has just ended
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
                told[task] = int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])
    return told


def expect_rest(pid, what):
    """Some two seconds come in which no thread wakes up; whatever wakes up regularly spoils each."""
    window, seen = threading.Event(), []
    for _ in range(10):
        seen.append(switches(pid))
        window.wait(2)
        if switches(pid) == seen[-1]:
            return
    check(False, f"{what}: a thread woke up in each of ten times two seconds: {seen}")


@SUITE.test
def who_is_scraped_sleeps_in_between(folder):
    if SANITIZE == "thread":
        print("    not run: this sanitizer has a thread of its own that wakes up")
        return
    socket_path = os.path.join(folder, "admin.sock")
    env = {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "none", "SRUN_ADMIN_SOCKET": socket_path}
    with Process([LOAD, "--spans=1000"], folder, env) as load:
        load.wait_for("all spans have ended")
        expect_rest(load.pid, "never scraped")
        with contextlib.closing(UnixConnection(socket_path)) as connection:
            check(b"load_spans_total" in ask(connection, "GET", "/metrics").body, "the page")
        expect_rest(load.pid, "scraped")
        load.signal(signal.SIGTERM)
        equal(load.finish(), 0, "exit code")


@SUITE.test
def a_program_that_exports_nothing_maps_no_exporter(folder):
    with Process([program("hello")], folder) as hello:
        hello.wait_for("msg=started")
        with open(f"/proc/{hello.pid}/maps", encoding="utf-8") as file:
            mapped = set(re.findall(r"/(lib[\w+-]+)\.so", file.read()))
        check("libsrun" in mapped, f"{mapped}")
        equal({name for name in mapped if re.match(r"lib(curl|ssl|crypto|z|nghttp2|srun-otlp)$", name)}, set(),
              "what only exporters need")
        hello.signal(signal.SIGTERM)
        equal(hello.finish(), 0, "exit code")
    linked = subprocess.run(["ldd", program("hello")], capture_output=True, text=True, check=True).stdout
    check("libsrun" in linked and "curl" not in linked and "ssl" not in linked, linked)


if __name__ == "__main__":
    if not has_program("http"):
        print("    not run: the http example was not built")
        print("integration.telemetry_end: 0 passed, 0 failed")
        sys.exit(0)
    try:
        SUITE.main(at_once=2)
    finally:
        PEERS.close()
        sys.stdout.flush()

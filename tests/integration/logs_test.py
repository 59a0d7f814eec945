#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Log records of whole programs, as receivers that others made decode them; and as the journal gets
them."""
import array
import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
from endure import eventually  # noqa: E402
from otlp import Peers  # noqa: E402
from stopwatch import Stopwatch  # noqa: E402
from support import (LIMIT, SANITIZE, Process, Suite, check, equal, has_program, held_port, parse_line,  # noqa: E402
                     program, request)

SUITE = Suite("logs")
PEERS = Peers()
HTTP = [program("http"), "--http.address=tcp://127.0.0.1:0"]


def environment(peer, key, protocol="http", **more):
    return {"SRUN_OTEL_LOG_EXPORTER": protocol, "OTEL_BLRP_SCHEDULE_DELAY": "20",
            "SRUN_OTEL_LOG_EXPORTER_ENDPOINT": f"http://127.0.0.1:{peer.port}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={key}", **more}


def start(server):
    """Its address, when it serves."""
    server.wait_for("msg=started")
    return server.wait_for(r"address=tcp://(\S+)").group(1)


def stop(server):
    server.signal(signal.SIGTERM)
    equal(server.finish(), 0, "exit code")


def records(peer, key):
    return [record for line in peer.got(key, 0) for record in line.get("records") or []]


def await_record(peer, key, body, wanted=lambda record: True):
    """The first record with this message."""
    def has_it(line):
        return line.get("key") == key and any(
            record["body"] == body and wanted(record) for record in line.get("records") or [])
    peer.wait_for(has_it)
    return next(record for record in records(peer, key) if record["body"] == body and wanted(record))


def in_text(value):
    """As the line writes it."""
    return value and value[1]


# --- to a receiver of OTLP -------------------------------------------------------------------------

def compare_with_the_line(peer, key, server):
    sent = await_record(peer, key, "request", lambda record: record["attributes"].get("path") == ["stringValue", "/items/x"])
    line = parse_line(server.wait_for("msg=request .*path=/items/x").string)
    equal((sent["trace"], sent["span"], sent["flags"] & 1), (line["trace_id"], line["span_id"], 1), "the current span")
    equal((sent["scope"], sent["severity"]), (line["logger_scope"], [5, "DEBUG"]), "scope and severity")
    known = {key: in_text(value) for key, value in sent["attributes"].items() if key != "took"}
    theirs = {key: value for key, value in line.items()
              if key not in ("time", "level", "msg", "logger_scope", "trace_id", "span_id", "took")}
    equal(known, theirs, "attributes")
    check(abs(int(sent["time"]) / 1e9 - time.time()) < 600, "the time of the record")


def exchange(folder, peer, protocol, key):
    env = environment(peer, key, protocol, SRUN_LOG_LEVEL="debug", SRUN_OTEL_TRACE_EXPORTER=protocol,
                      SRUN_OTEL_TRACE_EXPORTER_ENDPOINT=f"http://127.0.0.1:{peer.port}")
    with Process(HTTP, folder, env=env) as server:
        address = start(server)
        equal(request(address, "GET", "/items/x").status, 404, "status")
        compare_with_the_line(peer, key, server)
        stop(server)
    await_record(peer, key, "traces have ended")  # the last one; what has arrived is told of a moment later
    logs = [line for line in peer.got(key) if line.get("records")]
    for line in logs:
        equal((line.get("error"), line["again"]), (None, True), "decoded, and encoded again")
        equal(line["resource"]["service.name"], ["stringValue", "http"], "resource")
    bodies = [record["body"] for record in records(peer, key)]
    check("stopped" in " ".join(bodies), f"the last words: {bodies[-10:]}")


@SUITE.test
def records_arrive_as_they_were_written(folder):
    for name, protocol in (("node-http", "http"), ("node-grpc", "grpc")):
        peer = PEERS.get(name)
        if peer is not None:
            exchange(folder, peer, protocol, f"whole-{protocol}")


@SUITE.test
def every_grpc_server_takes_all_records(folder):
    for name, peer in PEERS.grpc():
        key = f"every-{name}"
        with Process(HTTP, folder, env=environment(peer, key, "grpc", OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="4")) as server:
            start(server)
            stop(server)
        messages = [record["msg"] for record in server.records]
        sent = messages[messages.index("store open"):]  # the first one after the start of the export

        def taken():
            return sum(line["items"] for line in peer.got(key, 0))
        eventually(lambda: taken() >= len(sent), f"{name} takes {len(sent)} records")
        equal(taken(), len(sent), name)


@SUITE.test
def a_program_that_asks_for_nothing_sends_nothing(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    env = environment(peer, "off", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{peer.port}")
    for more in ({"SRUN_OTEL_LOG_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "otlp"},
                 {"SRUN_OTEL_LOG_EXPORTER": "", "OTEL_LOGS_EXPORTER": "console"},
                 {"OTEL_SDK_DISABLED": "true"}):
        with Process(HTTP, folder, env={**env, **more}) as server:
            start(server)
            stop(server)
    equal(peer.got("off", 0), [], "requests")
    env["SRUN_OTEL_LOG_EXPORTER"] = ""
    del env["SRUN_OTEL_LOG_EXPORTER_ENDPOINT"]
    with Process(HTTP, folder, env={**env, "OTEL_LOGS_EXPORTER": "console,otlp"}) as server:
        start(server)
        await_record(peer, "off", "started")
        stop(server)


@SUITE.test
def each_process_of_an_upgrade_sends_its_own(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    with Process(HTTP, folder, env=environment(peer, "both", SRUN_UPGRADE_PROBATION="0s")) as server:
        start(server)
        server.signal(signal.SIGHUP)
        server.wait_for("msg=started.* generation=2")
        equal(server.wait(), 0, "exit code of the old one")
        await_record(peer, "both", "started", lambda record: record["attributes"].get("generation") == ["intValue", "2"])
        lines = [line for line in peer.got("both") if line.get("records")]
        for generation in ("1", "2"):
            ids = {line["resource"]["service.instance.id"][1] for line in lines for record in line["records"]
                   if in_text(record["attributes"].get("generation") or ["", "1"]) == generation}
            equal(len(ids), 1, f"instances of generation {generation}")
        pid = next(int(line["resource"]["process.pid"][1]) for line in lines
                   if any("generation" in record["attributes"] for record in line["records"]))
        os.kill(pid, signal.SIGTERM)
        await_record(peer, "both", "STOPPED", lambda record: "generation" in record["attributes"])
        end = time.monotonic() + LIMIT
        while server.family():  # it has sent its last record, and is about to end
            check(time.monotonic() < end, "the new one does not end")
            time.sleep(0.01)


@SUITE.test
def receivers_that_say_nothing_hold_the_end_up_once(folder):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # connects, and is never read
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {f"SRUN_OTEL_{kind}_EXPORTER{end}": value for kind in ("TRACE", "METRIC", "LOG")
               for end, value in (("", "http"), ("_ENDPOINT", url))}
        with Process(HTTP, folder, env=env) as server:
            start(server)
            with Stopwatch(server.pid) as watch:
                stop(server)
            check(watch.seconds < (15 if SANITIZE else 4), f"two seconds for all kinds: {watch.seconds:.1f}")
            for message in ("metrics have ended", "traces have ended", "log export has ended"):
                told = next(record for record in server.records if record["msg"] == message)
                check(int(told["lost"]) > 0, f"{told}")


@SUITE.test
def a_receiver_that_is_not_there_is_told_of_once_and_not_to_itself(folder):
    env = {"SRUN_OTEL_LOG_EXPORTER": "http", "SRUN_LOG_LEVEL": "debug", "OTEL_BLRP_SCHEDULE_DELAY": "1",
           "OTEL_BLRP_EXPORT_TIMEOUT": "500", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "2"}
    with held_port() as nobody, Process(HTTP, folder, env={
            **env, "SRUN_OTEL_LOG_EXPORTER_ENDPOINT": f"http://127.0.0.1:{nobody.getsockname()[1]}"}) as server:
        start(server)
        server.wait_for("log records were not sent")
        stop(server)
        ended = next(record for record in server.records if record["msg"] == "log export has ended")
        told = [record for record in server.records if record["msg"] == "log records were not sent"]
        equal(ended["exported"], "0", "exported")
        equal(sum(int(record["records"]) for record in told), int(ended["lost"]), "the losses that were told")
        check("connect" in told[-1]["last"], f"why: {told[-1]}")
        check(len(told) <= 3, f"at most every ten seconds, and at the end: {told}")


# --- to the journal --------------------------------------------------------------------------------

def read_entry(data):
    """The fields of an entry, as a strict reader takes them: name -> values."""
    found, at = {}, 0
    while at < len(data):
        end = min(i for i in (data.find(b"=", at), data.find(b"\n", at)) if i >= 0)
        name, binary = data[at:end].decode("ascii"), data[end:end + 1] == b"\n"
        check(name[:1].isalpha() and name.isupper() and name.replace("_", "").isalnum() and len(name) <= 64, name)
        at = end + 1
        if binary:
            size, = struct.unpack("<Q", data[at:at + 8])
            value, at = data[at + 8:at + 8 + size], at + 8 + size
            equal(data[at:at + 1], b"\n", "what ends a value")
        else:
            value, at = data[at:data.index(b"\n", at)], data.index(b"\n", at)
        at += 1
        found.setdefault(name, []).append(value.decode())
    return found


class Journal:
    """Receives entries, each with the number of the process that sent it. overrun: so many lay there at once
    that there may have been no room for more; what finds none for 50 ms is written as a line instead."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "journal")
        self.entries, self._changed = [], threading.Condition()
        with open("/proc/sys/net/unix/max_dgram_qlen", encoding="ascii") as file:
            self._room = int(file.read())
        self.overrun = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(self.path)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _receive(self):
        """The next one, and whether it lay there already."""
        try:
            return self._socket.recvmsg(1 << 18, 1024, socket.MSG_DONTWAIT)[:2], True
        except BlockingIOError:
            return self._socket.recvmsg(1 << 18, 1024)[:2], False

    def _read(self):
        in_a_row = 0
        while True:
            (data, control), lay_there = self._receive()
            in_a_row = in_a_row + 1 if lay_there else 1
            self.overrun |= in_a_row >= self._room
            if data == b"end":
                return
            pid = 0
            for _, kind, value in control:
                if kind == socket.SCM_CREDENTIALS:
                    pid, _, _ = struct.unpack("iII", value)
                else:
                    fds = array.array("i", value)
                    with open(fds[0], "rb") as file:
                        data = os.pread(file.fileno(), 1 << 18, 0)
            with self._changed:
                self.entries.append((pid, read_entry(data)))
                self._changed.notify_all()

    def wait_for(self, message, wanted=lambda entry: True):
        end = time.monotonic() + LIMIT
        with self._changed:
            while True:
                for pid, entry in self.entries:
                    if entry["MESSAGE"] == [message] and wanted(entry):
                        return pid, entry
                left = end - time.monotonic()
                check(left > 0, f"no entry {message} in {self.entries[-5:]}")
                self._changed.wait(left)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender:
            sender.sendto(b"end", self.path)
        self._thread.join()
        self._socket.close()


@SUITE.test
def the_journal_gets_entries_of_both_processes_of_an_upgrade(folder):
    with Journal(folder) as journal, Process(
            HTTP, folder, env={"SRUN_LOG_JOURNAL": journal.path, "SRUN_UPGRADE_PROBATION": "0s"}) as server:
        old, entry = journal.wait_for("started")
        equal((old, entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]), (server.pid, ["6"], ["http"]), "the first")
        check(entry["CODE_FILE"][0].endswith(".c") and int(entry["CODE_LINE"][0]) > 0, "where it comes from")
        equal(journal.wait_for("RUNNING", lambda one: one.get("LOGGER_SCOPE") == ["http"])[0], old, "of a service")
        server.signal(signal.SIGHUP)
        new, _ = journal.wait_for("started", lambda one: one.get("GENERATION") == ["2"])
        check(new != old, "a process of its own")
        equal(server.wait(), 0, "exit code of the old one")
        os.kill(new, signal.SIGTERM)
        end = time.monotonic() + LIMIT
        while server.family():
            check(time.monotonic() < end, "the new one does not end")
            time.sleep(0.01)
    if not journal.overrun:  # which is known when all has been read
        journal.wait_for("STOPPED", lambda one: one.get("GENERATION") == ["2"] and one.get("LOGGER_SCOPE") == ["store"])
        equal([line for line in server.lines if "level=" in line], [], "lines beside the entries")


@SUITE.test
def without_its_journal_a_program_writes_lines(folder):
    env = {"SRUN_LOG_JOURNAL": os.path.join(folder, "nobody")}
    with Process(HTTP, folder, env=env) as server:
        start(server)
        stop(server)
    env = {"SRUN_LOG_JOURNAL": "/" + "long/" * 40}
    with Process(HTTP, folder, env=env) as server:
        server.wait_for("msg=\"the journal gets lines, not entries\"")
        start(server)
        stop(server)


if __name__ == "__main__":
    if has_program("http"):
        try:
            SUITE.main()
        finally:
            PEERS.close()
            sys.stdout.flush()
    print("integration.logs: 0 passed, 0 failed")

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Traces of whole programs, as a receiver of OTLP gets them: requests, starts, stops, upgrades."""
import http.server
import os
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
from stopwatch import Stopwatch  # noqa: E402
from support import (LIMIT, SANITIZE, Process, Suite, check, equal, has_program, parse_line, program,  # noqa: E402
                     request)

SUITE = Suite("traces")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


# --- a receiver that reads just enough of protobuf ------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of a message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = int.from_bytes(data[at:at + 8], "little"), at + 8
        elif key & 7 == 5:
            value, at = int.from_bytes(data[at:at + 4], "little"), at + 4
        else:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def attributes(values):
    found = {}
    for value in values:
        pair = dict(fields(value))
        any_value = dict(fields(pair.get(2, b"")))
        found[pair[1].decode()] = any_value[1].decode() if 1 in any_value else next(iter(any_value.values()), None)
    return found


def all_of(message, number):
    return [value for at, value in fields(message) if at == number]


def spans_of(body):
    for part in all_of(body, 1):
        resource = attributes(all_of(all_of(part, 1)[0], 1))
        for scope_spans in all_of(part, 2):
            scope = dict(fields(all_of(scope_spans, 1)[0]))
            for span in all_of(scope_spans, 2):
                told = dict(fields(span))
                yield {"resource": resource, "scope": scope.get(1, b"").decode(),
                       "trace": told[1].hex(), "id": told[2].hex(), "parent": told.get(4, b"").hex(),
                       "name": told[5].decode(), "kind": told.get(6), "start": told[7], "end": told[8],
                       "attributes": attributes(all_of(span, 9)),
                       "status": dict(fields(told.get(15, b""))).get(3, 0)}


class Receiver:
    """delay: seconds that it takes for an answer."""

    def __init__(self, delay=0.0):
        self.spans, self.changed, self.ending = [], threading.Condition(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.ending.wait(delay)
                with outer.changed:
                    outer.spans += spans_of(body)
                    outer.changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a program that ends resets its connection
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def environment(self, **more):
        return {"SRUN_OTEL_TRACE_EXPORTER": "http", "OTEL_BSP_SCHEDULE_DELAY": "50",
                "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}",
                **more}

    def find(self, wanted, what):
        """The spans for which it is true, of which there has to be one."""
        end = time.monotonic() + LIMIT
        with self.changed:
            while True:
                found = [span for span in self.spans if wanted(span)]
                if found:
                    return found
                left = end - time.monotonic()
                check(left > 0, f"no span {what} in {[span['name'] for span in self.spans]}")
                self.changed.wait(left)

    def named(self, name):
        return self.find(lambda span: span["name"] == name, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def serve(folder, receiver, *flags, **more):
    return Process([program("http"), "--http.address=tcp://127.0.0.1:0", *flags], folder,
                   env=receiver.environment(no_proxy="127.0.0.1", **more))


def start(server):
    """Its address, when it serves."""
    server.wait_for("msg=started")
    return server.wait_for(r"address=tcp://(\S+)").group(1)


def stop(server):
    server.signal(signal.SIGTERM)
    equal(server.finish(), 0, "exit code")


def ended(server, message):
    """The record that says so."""
    return next(record for record in server.records if record["msg"] == message)


# --- tests ----------------------------------------------------------------------------------------

@SUITE.test
def a_request_is_a_span_in_the_trace_of_its_sender(folder):
    with Receiver() as receiver, serve(folder, receiver, SRUN_LOG_LEVEL="debug") as server:
        address = start(server)
        equal(request(address, "GET", "/items/nothing", headers={"traceparent": PARENT}).status, 404, "status")
        span = receiver.named("GET /items/")[0]
        equal(span["trace"], PARENT.split("-")[1], "trace")
        equal(span["parent"], PARENT.split("-")[2], "parent")
        equal((span["kind"], span["scope"], span["status"]), (2, "http", 0), "span")
        equal(span["attributes"], {"http.request.method": "GET", "url.scheme": "http", "url.path": "/items/nothing",
                                   "http.route": "/items/", "http.response.status_code": 404}, "attributes")
        line = parse_line(server.wait_for("msg=request ").string)
        equal((line["trace_id"], line["span_id"]), (span["trace"], span["id"]), "the ids in the log")
        request(address, "GET", "/")
        equal(receiver.named("GET /")[0]["parent"], "", "a trace of its own")
        stop(server)


@SUITE.test
def a_call_to_an_upstream_carries_the_trace_on(folder):
    with Receiver() as receiver, serve(folder, receiver, OTEL_SERVICE_NAME="behind") as behind:
        url = "http://" + start(behind)
        with serve(folder, receiver, f"--http.upstream={url}/", OTEL_SERVICE_NAME="front") as front:
            address = start(front)
            equal(request("127.0.0.1:" + url.rpartition(":")[2], "PUT", "/items/a", b"good day").status, 201, "PUT")
            headers = {"traceparent": PARENT, "baggage": "user=7", "tracestate": "other=1"}
            answer = request(address, "GET", "/items/a", headers=headers)
            equal((answer.status, answer.body), (200, b"good day"), "from the upstream")
            equal(request(address, "GET", "/items/b").status, 404, "neither has it")
            mine = PARENT.split("-")[1]

            def one(service, kind):
                return receiver.find(lambda span: span["trace"] == mine and span["kind"] == kind
                                     and span["resource"]["service.name"] == service, f"of {service}")[0]
            came, call, served = one("front", 2), one("front", 3), one("behind", 2)
            equal([call["parent"], served["parent"]], [came["id"], call["id"]], "parents")
            equal(call["attributes"],
                  {"http.request.method": "GET", "url.full": f"{url}/items/a", "server.address": "127.0.0.1",
                   "server.port": int(url.rpartition(":")[2]), "http.response.status_code": 200}, "attributes")
            stop(front)
        stop(behind)


@SUITE.test
def an_upstream_that_fails_is_an_error_of_the_call(folder):
    with Receiver() as receiver, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        flag = f"--http.upstream=http://127.0.0.1:{nobody.getsockname()[1]}"
        with serve(folder, receiver, flag) as front:
            equal(request(start(front), "GET", "/items/a").status, 502, "status")
            call = receiver.find(lambda span: span["kind"] == 3, "of the call")[0]
            equal(call["status"], 2, "an error")
            stop(front)


@SUITE.test
def what_is_left_is_sent_at_the_end(folder):
    with Receiver() as receiver:
        with serve(folder, receiver, OTEL_BSP_SCHEDULE_DELAY="3600000",
                   TRACEPARENT=PARENT, OTEL_SERVICE_NAME="shop",
                   OTEL_RESOURCE_ATTRIBUTES="zone=a") as server:
            start(server)
            stop(server)
        came, went = receiver.named("start")[0], receiver.named("stop")[0]
        equal((came["trace"], came["parent"]), tuple(PARENT.split("-")[1:3]), "from the environment")
        check(went["trace"] != came["trace"], "a stop is a trace of its own")
        for name in ("ready http", "init store"):
            equal(receiver.named(name)[0]["parent"], came["id"], name)
        for name in ("stop http", "stop store"):
            equal(receiver.named(name)[0]["parent"], went["id"], name)
        resource = came["resource"]
        equal((resource["service.name"], resource["zone"], resource["telemetry.sdk.name"]),
              ("shop", "a", "libsrun"), "resource")
        equal(len(resource["service.instance.id"]), 36, "a UUID")


@SUITE.test
def an_upgrade_is_one_trace_of_two_processes(folder):
    with Receiver() as receiver, serve(folder, receiver, SRUN_UPGRADE_PROBATION="0s") as server:
        start(server)
        server.signal(signal.SIGHUP)
        upgrade = receiver.named("upgrade")[0]
        came = receiver.find(lambda span: span["name"] == "start" and span["parent"] != "", "start of the new")[0]
        equal((came["trace"], came["parent"]), (upgrade["trace"], upgrade["id"]), "the new process")
        went = receiver.named("stop")[0]
        equal((went["trace"], went["parent"]), (upgrade["trace"], upgrade["id"]), "the old process")
        ids = {span["resource"]["service.instance.id"] for span in (upgrade, came, went)}
        equal(len(ids), 2, "instances")
        equal(upgrade["resource"]["service.instance.id"], went["resource"]["service.instance.id"], "the old one")
        os.kill(came["resource"]["process.pid"], signal.SIGTERM)
        receiver.find(lambda span: span["name"] == "stop" and span["parent"] == "", "stop of the new")
        equal(server.wait(), 0, "exit code of the old one")
        end = time.monotonic() + LIMIT
        while server.family():  # the new one has sent its last span, and is about to end
            check(time.monotonic() < end, "the new one does not end")
            time.sleep(0.01)


@SUITE.test
def receivers_that_say_nothing_hold_the_end_up_once(folder):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # connects, and is never read
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {"SRUN_OTEL_TRACE_EXPORTER": "http", "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT": url,
               "SRUN_OTEL_METRIC_EXPORTER": "http", "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT": url}
        with Process([program("http"), "--http.address=tcp://127.0.0.1:0"], folder, env=env) as server:
            start(server)
            with Stopwatch(server.pid) as watch:
                stop(server)
            check(watch.seconds < (15 if SANITIZE else 3.5), f"two seconds for both kinds: {watch.seconds:.1f}")
            for message in ("traces have ended", "metrics have ended"):
                check(int(ended(server, message)["lost"]) > 0, message)


@SUITE.test
def a_receiver_that_hangs_takes_no_time_from_another(folder):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, Receiver(delay=0.5) as slow:
        env = slow.environment(OTEL_BSP_SCHEDULE_DELAY="3600000", SRUN_LOG_LEVEL="debug",
                               SRUN_OTEL_METRIC_EXPORTER="http",
                               SRUN_OTEL_METRIC_EXPORTER_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with Process([program("http"), "--http.address=tcp://127.0.0.1:0"], folder, env=env) as server:
            start(server)
            stop(server)
            equal(ended(server, "traces have ended")["lost"], "0", "lost spans")
            check(int(ended(server, "metrics have ended")["lost"]) > 0, "lost points")


if __name__ == "__main__":
    if has_program("http"):
        SUITE.main()
    print("integration.traces: 0 passed, 0 failed")

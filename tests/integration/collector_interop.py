#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What an OpenTelemetry Collector has understood, item by item, of what was sent. A suite of ./dev
interop: collector.py makes the collector."""
import collections
import contextlib
import os
import re
import signal
import subprocess

import collector
from admin import admin_server
from collector import Collector
from endure import eventually
from otlp import Sender
from support import LIMIT, SOURCE_DIR, Suite, ask, check, connect, equal, program, run

SUITE = Suite("collector", "interop")
ITEMS = 512
WAYS = [(protocol, gzip) for protocol in ("http", "grpc") for gzip in (0, 1)]
LEVELS = {"traces": ("resourceSpans", "scopeSpans", "spans"),
          "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
          "logs": ("resourceLogs", "scopeLogs", "logRecords")}


# Reading what the collector wrote


def attributes(of):
    """Attributes as a dict of values of Python."""
    told = {}
    for pair in of.get("attributes", []):
        (kind, value), = pair["value"].items()
        check(pair["key"] not in told, f"{pair['key']} is there twice")
        told[pair["key"]] = int(value) if kind == "intValue" else value
    return told


def items(requests, signal_name):
    """(resource, scope with its schema, item) of all."""
    resources, scopes, leaves = LEVELS[signal_name]
    return [(one, {**part.get("scope", {}), "schema": part.get("schemaUrl", "")}, item)
            for request in requests for one in request[resources] for part in one[scopes] for item in part[leaves]]


def points(metric):
    """(kind, data, points) of a metric."""
    kind = next(name for name in ("gauge", "sum", "histogram", "exponentialHistogram") if name in metric)
    return kind, metric[kind], metric[kind]["dataPoints"]


# What otlp_send sends: programs/otlp/batch.c


ATTRIBUTES = {"http.request.method": "GET", "http.response.status_code": 200, "negative": -1, "ratio": 0.25,
              "cached": True, "took": 1500000, "error": "No such file or directory", "raw": "//4=",
              "bad": "a\ufffdb", "url.path": "/café"}
SCOPES = [{"name": "one", "version": "1.0", "schema": "https://example.com/one"},
          {"name": "two", "schema": ""}, {"name": "three", "version": "3", "schema": ""}]


def number_id(size, number):
    """number_id of batch.c: the number at the end, never zero at the start."""
    told = bytearray([0xab] * (size - 8) + list(number.to_bytes(8, "big")))
    told[0] |= 1
    return told.hex()


def expect_span(span, number):
    for key, wanted in {"traceId": number_id(16, number), "spanId": number_id(8, number),
                        "parentSpanId": number_id(8, number + 1000000), "traceState": "vendor=1",
                        "flags": 0x101, "name": "GET /items", "kind": 2,
                        "status": {"code": 2, "message": "broken"}}.items():
        equal(span[key], wanted, f"span {number}: {key}")
    equal(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]), 1000000, "duration")
    equal(attributes(span), ATTRIBUTES, "attributes")
    (event,), (link,) = span["events"], span["links"]
    equal((event["name"], attributes(event), event["timeUnixNano"]),
          ("exception", {"n": 1}, span["startTimeUnixNano"]), "event")
    equal((link["traceId"], link["spanId"], link["traceState"], link["flags"]),
          (number_id(16, 7), number_id(8, 7), "a=b", 0x301), "link")


def expect_metric(metric, number):
    equal((metric["name"], metric["unit"], metric["description"]), ("test.metric", "By", "bytes"), "metric")
    kind, data, (point,) = points(metric)
    equal(kind, ["gauge", "sum", "histogram", "exponentialHistogram"][number % 4], f"kind of {number}")
    equal(attributes(point), ATTRIBUTES, "attributes")
    check(0 < int(point["startTimeUnixNano"]) < int(point["timeUnixNano"]) or kind == "gauge", f"times: {point}")
    if kind == "sum":
        equal((data["isMonotonic"], data["aggregationTemporality"]), (True, 2), "sum")
    if kind in ("gauge", "sum"):
        equal(int(point["asInt"]), number, kind)
        return
    equal((int(point["count"]), point["sum"], point["min"], point["max"], data["aggregationTemporality"]),
          (6, 1.5, 0.1, 9, 2), kind)
    if kind == "histogram":
        equal((point["bucketCounts"], point["explicitBounds"]), (["1", "2", "3"], [0.5, 1]), kind)
    else:
        equal((point["scale"], point["positive"]), (3, {"offset": -2, "bucketCounts": ["1", "2", "3"]}), kind)


def expect_log(log, number):
    equal((log["spanId"], log["traceId"], log["flags"]), (number_id(8, number), number_id(16, 1), 1), "ids")
    equal((log["severityNumber"], log["severityText"], log["body"]), (9, "INFO", {"stringValue": "payment settled"}),
          f"record {number}")
    check(int(log["timeUnixNano"]) > 0 and int(log["observedTimeUnixNano"]) > 0, f"times: {log}")
    equal(attributes(log), ATTRIBUTES, "attributes")


EXPECT = {"traces": expect_span, "metrics": expect_metric, "logs": expect_log}


def number_of(signal_name, scope, item, before):
    """Which of those that were sent it is. Metrics have no id: they stand by scope, in their order."""
    if signal_name != "metrics":
        return int(item["spanId"][2:], 16)
    first = 1 + [one["name"] for one in SCOPES].index(scope["name"])
    return first + 3 * sum(number % 3 == first % 3 for number in before)


def send_all(running):
    """Each signal each way; what otlp_send says of it."""
    for signal_name in LEVELS:
        for protocol, gzip in WAYS:
            with Sender(protocol, running.url(protocol), signal_name, gzip=gzip) as sender:
                result = sender.export(ITEMS)
                equal([result[key] for key in ("accepted", "rejected", "lost", "attempts")], [ITEMS, 0, 0, 1],
                      f"{signal_name} {protocol} gzip={gzip}: {result}")


@SUITE.test
def every_item_of_every_signal_arrives_as_it_was_sent(folder):
    with Collector(folder) as running:
        send_all(running)
        running.end()
        for signal_name in LEVELS:
            requests = running.requests(signal_name)
            equal(len(requests), len(WAYS), f"requests of {signal_name}")
            for request in requests:
                found = items([request], signal_name)
                equal(len(found), ITEMS, signal_name)
                numbers = []
                for resource, scope, item in found:
                    equal((attributes(resource["resource"]), resource.get("schemaUrl")),
                          ({"service.name": "otlp-test", "bad": "caf\ufffd", "process.pid": 42},
                           "https://opentelemetry.io/schemas/1.26.0"), "resource")
                    check(scope in SCOPES, f"scope {scope}")
                    numbers.append(number_of(signal_name, scope, item, numbers))
                    EXPECT[signal_name](item, numbers[-1])
                equal(sorted(numbers), list(range(1, ITEMS + 1)), f"which {signal_name}")


@SUITE.test
def nothing_is_lost_and_nothing_comes_twice(folder):
    with Collector(folder) as running:
        for protocol, gzip in WAYS:
            with Sender(protocol, running.url(protocol), gzip=gzip) as sender:
                for _ in range(20):
                    equal(sender.export(1000)["accepted"], 1000, protocol)
        running.end()
        ids = collections.Counter(span["spanId"] for _, _, span in items(running.requests("traces"), "traces"))
        equal((len(ids), set(ids.values())), (20000, {len(WAYS)}), "spans, and how often each came")


# A real program


def environment(running, protocol, gzip):
    env = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "100",
           "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip" if gzip else "none"}
    kinds = ["TRACE", "METRIC"]
    if "SRUN_OTEL_LOG_EXPORTER" in run([program("http"), "--help"], running.folder)[1]:
        kinds.append("LOG")
    for kind in kinds:
        env[f"SRUN_OTEL_{kind}_EXPORTER"] = protocol
        env[f"SRUN_OTEL_{kind}_EXPORTER_ENDPOINT"] = running.url(protocol)
    return env, "LOG" in kinds


def traffic(server):
    """What a client does to the http example, as (route, status): how often."""
    wanted = {("/", 200): 10, ("/items/", 404): 7, ("none", 404): 1}
    with contextlib.closing(connect(server.address("http"))) as connection:
        for (route, status), times in wanted.items():
            path = {"/items/": "/items/nothing", "none": "/nowhere"}.get(route, route)
            for _ in range(times):
                equal(ask(connection, "GET", path).status, status, path)
    eventually(lambda: b'route="none"' in server.get("/metrics").body, "the last one is counted")
    return wanted


def last_value(requests, name):
    """The last points of a metric, each set of attributes: its point."""
    told = {}
    for _, _, metric in items(requests, "metrics"):
        if metric["name"] == name:
            for point in points(metric)[2]:
                told[tuple(sorted(attributes(point).items()))] = point
    return told


def expect_metrics(requests, wanted, text):
    told = last_value(requests, "http.server.requests")
    equal({(dict(key)["route"], int(dict(key)["code"])): int(point["asInt"]) for key, point in told.items()},
          wanted, "http.server.requests")
    for key, point in last_value(requests, "http.server.request.duration").items():
        route = dict(key)["route"]
        equal(int(point["count"]), sum(map(int, point["bucketCounts"])), f"the count of {route} is that of its buckets")
        equal(int(point["count"]), sum(times for (at, _), times in wanted.items() if at == route), route)
    states = last_value(requests, "srun.service.state")
    equal({dict(key)["service"] for key in states} >= {"http", "store"}, True, "services")
    page = set(re.findall(r"^# TYPE (\w+) ", text, re.M)) - {"target_info"}
    names = {metric["name"] for _, _, metric in items(requests, "metrics")}
    equal(len(page), len(names), f"as many metrics as on /metrics: {sorted(names)}, {sorted(page)}")


@SUITE.test
def a_program_s_telemetry_arrives_whole(folder):
    for protocol, gzip in WAYS:
        place = os.path.join(folder, f"{protocol}{gzip}")
        os.mkdir(place)
        with Collector(folder) as running:
            env, has_logs = environment(running, protocol, gzip)
            with admin_server(place, env) as server:
                wanted = traffic(server)
                text = server.get("/metrics").body.decode()
                equal(server.stop(), 0, "exit code")
            running.end()
            spans = items(running.requests("traces"), "traces")
            names = collections.Counter(span["name"] for _, _, span in spans)
            equal({name: names[name] for name in ("GET /", "GET /items/", "start", "stop", "init store", "stop http")},
                  {"GET /": 10, "GET /items/": 7, "start": 1, "stop": 1, "init store": 1, "stop http": 1},
                  f"spans {names}")
            equal(len({span["spanId"] for _, _, span in spans}), len(spans), "different ids")
            known = {span["spanId"] for _, _, span in spans}
            check(all(span.get("parentSpanId", "") in known | {""} for _, _, span in spans), "parents are there")
            expect_metrics(running.requests("metrics"), wanted, text)
            kinds = ("traces", "metrics", "logs") if has_logs else ("traces", "metrics")
            who = {attributes(resource["resource"])["service.instance.id"]
                   for kind in kinds for resource, _, _ in items(running.requests(kind), kind)}
            equal(len(who), 1, "one process")
            if has_logs:
                expect_logs(items(running.requests("logs"), "logs"), server)
    if not has_logs:
        print("    not run: log records of a program; this library sends none")


def expect_logs(found, server):
    """Each record of the log that was written once the exporter was there has come once."""
    bodies = collections.Counter(log["body"]["stringValue"] for _, _, log in found)
    written = collections.Counter(record["msg"] for record in server.records)
    for message in ("listening", "started"):
        equal(bodies[message], written[message], f"records {message!r}: {bodies}")


# The configuration that we offer


@SUITE.test
def the_configuration_in_deploy_is_valid(folder):
    with open(os.path.join(SOURCE_DIR, "deploy", "otel-collector", "config.yaml"), encoding="utf-8") as file:
        text = file.read()

    def validate(name, content):
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        done = subprocess.run([collector.MADE.path, "validate", "--config=" + path], capture_output=True, text=True,
                              timeout=LIMIT, check=False)
        return done.returncode, done.stderr
    code, said = validate("whole.yaml", text)
    if code != 0:
        check('unknown type: "prometheus"' in said and "processors" not in said and "exporters" not in said, said)
        print("    not run: the receiver prometheus is not in this collector; all else is looked at")
        text = re.sub(r"(?ms)^  # Scraped metrics.*?(?=^processors:)", "", text)
        text = re.sub(r"(?ms)^    metrics/scraped:.*\Z", "", text)
        equal(validate("rest.yaml", text), (0, ""), "validate")
    broken = text.replace("exporters: [debug]", "exporters: [nowhere]")
    check(validate("broken.yaml", broken)[0] != 0, "what is wrong is found")


if __name__ == "__main__":
    if collector.MADE.made():
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        SUITE.main()
    print("    not run: there is no collector; python3 tests/integration/collector.py says why")
    print("interop.collector: 0 passed, 0 failed")

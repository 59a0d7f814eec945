# SPDX-License-Identifier: MIT
"""/metrics of a real program, read by those who read such pages: Prometheus and its promtool, and the
strict OpenMetrics parser of python3-prometheus-client (Debian's Python has it)."""
import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

sys.dont_write_bytecode = True
from admin import AdminServer, admin_server  # noqa: E402
from endure import eventually  # noqa: E402
from otlp import Peers  # noqa: E402
from support import (BUILD_DIR, LIMIT, SANITIZE, Process, Suite, ask, check, connect,  # noqa: E402
                     equal)

suite = Suite("metrics")
PEERS = Peers()
MEASURES = os.path.join(BUILD_DIR, "tests", "integration", "measures")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e473", "00f067aa0ba902b"
PYTHON = "/usr/bin/python3"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TEXT = "text/plain; version=0.0.4; charset=utf-8"

# Prints each sample as the parser understands it.
PARSE = """
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
for family in parse(sys.stdin.read()):
    for sample in family.samples:
        labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
        with_it = sample.exemplar
        of = "" if with_it is None else " " + ",".join(
            [f"{k}={v}" for k, v in with_it.labels.items()] + [str(with_it.value)])
        print(family.type, family.name, sample.name, labels.encode("unicode_escape").decode(),
              str(float(sample.value)) + of.encode("unicode_escape").decode())
"""


def run(argv, text, env=None):
    return subprocess.run(argv, input=text, capture_output=True, timeout=LIMIT, check=False,
                          env={**os.environ, **(env or {})})


def lint(text):
    """What promtool has against it; a hint on names is not against it."""
    done = run(["promtool", "check", "metrics"], text)
    said = (done.stdout + done.stderr).decode()
    check(done.returncode in (0, 3), said)
    return said


def parsed(text):
    done = run([PYTHON, "-c", PARSE], text)
    equal((done.returncode, done.stderr.decode()), (0, ""), "the parser")
    return done.stdout.decode()


def traffic(server):
    """21 requests of three kinds; the server counts one when the client may have its answer already."""
    with contextlib.closing(connect(server.address("http"))) as connection:
        for _ in range(10):
            equal(ask(connection, "GET", "/").status, 200)
            equal(ask(connection, "GET", "/items/nothing").status, 404)
        equal(ask(connection, "GET", "/nowhere").status, 404)
    eventually(lambda: b'route="none"' in server.get("/metrics").body, "the last one is counted")


def value(text, name, labels=""):
    found = re.search(rf"^{re.escape(name)}{re.escape(labels)} (\S+)$", text, re.M)
    check(found is not None, f"{name}{labels} is not in\n{text}")
    return float(found[1])


@suite.test
def promtool_has_nothing_against_the_text(folder):
    with admin_server(folder) as server:
        traffic(server)
        equal(lint(server.get("/metrics").body), "", "promtool")
        equal(server.stop(), 0, "exit code")


@suite.test
def the_strict_parser_reads_openmetrics(folder):
    with admin_server(folder) as server:
        traffic(server)
        answer = server.get("/metrics", {"Accept": OPENMETRICS})
        equal(answer.headers["Content-Type"],
              "application/openmetrics-text; version=1.0.0; charset=utf-8")
        check(answer.body.endswith(b"\n# EOF\n"), answer.body[-100:])
        samples = parsed(answer.body)
        for line in (
                "counter http_server_requests http_server_requests_total "
                "code=200,otel_scope_name=http,route=/ 10.0",
                "counter http_server_requests http_server_requests_total "
                "code=404,otel_scope_name=http,route=/items/ 10.0",
                "counter http_server_requests http_server_requests_total "
                "code=404,otel_scope_name=http,route=none 1.0",
                "histogram http_server_request_duration_seconds "
                "http_server_request_duration_seconds_count otel_scope_name=http,route=/ 10.0",
                "gauge srun_ready srun_ready  1.0",
                "gauge srun_service_state srun_service_state service=store,state=RUNNING 1.0"):
            check(line in samples, f"{line} is not in\n{samples}")
        equal(server.stop(), 0, "exit code")


@suite.test
def both_formats_tell_the_same(folder):
    with admin_server(folder) as server:
        traffic(server)
        text = server.get("/metrics").body.decode()
        strict = parsed(server.get("/metrics", {"Accept": OPENMETRICS}).body)
        names = re.findall(r"^(\w+)", text, re.M)
        told = {line.split()[2] for line in strict.splitlines()}
        equal(sorted(set(names)), sorted(told), "names")
        equal(server.stop(), 0, "exit code")


@suite.test
def who_asks_for_nothing_gets_text(folder):
    with admin_server(folder) as server:
        for accept in (None, "*/*", "text/html", "application/openmetrics-text;version=9",
                       "text/plain;q=1," + OPENMETRICS + ";q=0.5"):
            answer = server.get("/metrics", {"Accept": accept} if accept else None)
            equal(answer.headers["Content-Type"], TEXT, accept)
        equal(server.stop(), 0, "exit code")


@suite.test
def the_runner_tells_of_itself(folder):
    with admin_server(folder, {"SRUN_HEALTH": "true"}) as server:
        text = server.get("/metrics").body.decode()
        equal(value(text, "srun_ready"), 1)
        equal(value(text, "srun_generation"), 1)
        equal(value(text, "srun_feature_flags"), 0)
        equal(value(text, "srun_log_records_lost_total"), 0)
        equal(value(text, "srun_upgrade_attempts_total"), 0)
        equal(value(text, "srun_service_restarts_total", '{service="http"}'), 0)
        check(value(text, "srun_service_start_seconds", '{phase="init",service="http"}') >= 0, text)
        check(value(text, "srun_health_status", '{service="store"}') in (0, 4), text)
        check(value(text, "process_start_time_seconds") > 1e9, text)
        check(value(text, "process_cpu_seconds_total") > 0, text)
        target = re.search(r"^target_info{(.*)} 1$", text, re.M)[1]
        for part in ('service_name="http",service_version="1.0.0"', 'service_instance_id="',
                     'telemetry_sdk_name="libsrun"'):
            check(part in target, target)
        check(value(server.get("/metrics").body.decode(), "srun_admin_requests_total") >= 1, text)
        equal(server.stop(), 0, "exit code")


@suite.test
def status_json_has_all_of_them(folder):
    with admin_server(folder) as server:
        traffic(server)
        metrics = {entry["name"]: entry["value"] for entry in server.json("/status.json")["metrics"]}
        name = 'http_server_requests_total{otel_scope_name="http",code="200",route="/"}'
        equal(metrics[name], 10)
        equal(metrics["srun_ready"], 1)
        equal(server.stop(), 0, "exit code")


@suite.test
def a_locale_with_commas_changes_nothing(folder):
    with admin_server(folder, {"LC_ALL": "de_DE.UTF-8"}) as server:
        traffic(server)
        text = server.get("/metrics").body
        equal(lint(text), "", "promtool")
        check(not re.search(rb" \d+,\d", text), text)
        equal(server.stop(), 0, "exit code")


def measures(folder, env=None):
    """The program that measures what is hard to show; see measures.c."""
    return AdminServer([MEASURES], folder, env)


def brief(text):
    """Without the large label."""
    return re.sub(r'"{1000,}', "...", text)


@suite.test
def pages_of_hostile_programs_are_valid(folder):
    with measures(folder) as server:
        text = server.get("/metrics").body
        lint(text)
        strict = parsed(server.get("/metrics", {"Accept": OPENMETRICS}).body)
        for line in (
                "counter new_name new_name_total otel_scope_name=measures 2.0",
                "counter clash clash_total otel_scope_name=measures 1.0",
                "histogram sizes sizes_count otel_scope_name=measures 1.0",
                "histogram took_seconds took_seconds_count otel_scope_name=measures,route=/a 3.0",
                "histogram took_all_seconds took_all_seconds_count otel_scope_name=measures 4.0",
                'counter hostile_labels_per_second hostile_labels_per_second_total '
                'a="} 1\\n# EOF\\n,exported_le=0.5,otel_scope_name=measures 1.0'):
            check(line in strict, f"{line} is not in\n{brief(strict)}")
        for name in ("old_name", " clash_created", "gauge sizes", "counter sizes", "gauge target"):
            check(name not in strict, f"{name} is in the page")
        hostile = re.search(rb'^hostile_labels_per_second_total{[^\n]*a="(\S{100000,})"} 3$', text, re.M)
        equal(hostile[1], b'\\"' * 65536, "the large label")
        equal(len(server.with_message("two metrics have one name")), 1, "clashes that are told")
        equal(len(server.with_message("/metrics cannot show all metrics")), 1, "left out")
        equal(server.stop(), 0, "exit code")


@suite.test
def the_strict_parser_finds_exemplars(folder):
    with measures(folder) as server:
        strict = parsed(server.get("/metrics", {"Accept": OPENMETRICS}).body)
        scope = "otel_scope_name=measures"
        user = r',user="\\\n\ufffd'
        for line in (
                f"took_seconds_bucket le=1.0,{scope},route=/a 1.0 "
                f"trace_id={TRACE}1,span_id={SPAN}1{user},0.5",
                f"took_seconds_bucket le=2.0,{scope},route=/a 2.0 "
                f"trace_id={TRACE}2,span_id={SPAN}2{user},1.5",
                f"took_seconds_bucket le=+Inf,{scope},route=/a 3.0 "
                f"trace_id={TRACE}3,span_id={SPAN}3{user},99",
                f"new_name_total {scope} 2.0 trace_id={TRACE}4,span_id={SPAN}4,1"):
            check(line in strict, f"{line} is not in\n{brief(strict)}")
        check("trace_id" not in server.get("/metrics").body.decode(), "the text format has none")
        equal(server.stop(), 0, "exit code")


@suite.test
def the_filter_of_exemplars_is_opentelemetry_s(folder):
    for value, wanted, warnings in (("always_off", 0, 0), ("always_on", 2, 0), ("trace_based", 1, 0),
                                    ("sometimes", 1, 1)):
        with measures(folder, {"OTEL_METRICS_EXEMPLAR_FILTER": value}) as server:
            body = server.get("/metrics", {"Accept": OPENMETRICS}).body.decode()
            lines = [line for line in body.splitlines() if line.startswith("took_seconds_bucket")]
            without = [line for line in lines if " # {} 0.25 " in line]
            told = [line for line in lines if f'trace_id="{TRACE}' in line]
            equal((len(told) > 0) + (len(without) > 0), wanted, value)
            equal(len(server.with_message("a variable of OpenTelemetry is wrong")), warnings, value)
            equal(server.stop(), 0, "exit code")


@suite.test
def opentelemetry_s_own_decoder_finds_exemplars(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    env = {"SRUN_OTEL_METRIC_EXPORTER": "http", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=exemplars",
           "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT": f"http://127.0.0.1:{peer.port}"}
    with measures(folder, env) as server:
        equal(server.stop(), 0, "exit code")
    told = peer.got("exemplars")[-1]
    equal(told.get("error"), None, "decoder")
    check(told["again"], "the decoder did not understand all of it")
    found = {(one["metric"], one["trace"], one["span"], one["kind"], one["value"])
             for one in told["exemplars"]}
    for metric, number, kind, amount in (("took", 1, "asDouble", 0.5), ("took", 3, "asDouble", 99),
                                         ("took.all", 2, "asDouble", 1.5), ("new.name", 4, "asInt", 1)):
        check((metric, f"{TRACE}{number}", f"{SPAN}{number}", kind, amount) in found,
              f"{metric} {number} is not in {found}")
    kept = [one["attributes"] for one in told["exemplars"] if one["metric"] == "took.all"]
    check({"route": ["stringValue", "/a"], "user": ["stringValue", '"\\\n\ufffd']} in kept, kept)


CONFIGURATION = """global: {scrape_interval: 3s, scrape_timeout: 3s}
scrape_configs:
- job_name: http
  static_configs:
  - targets: ["%s"]
"""


class Prometheus(Process):
    """The real one, which scrapes an admin port every three seconds; what takes longer is a scrape that failed."""

    def __init__(self, target, folder):
        path = os.path.join(folder, "prometheus.yml")
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIGURATION % target)
        super().__init__(["prometheus", "--config.file=" + path,
                          "--storage.tsdb.path=" + os.path.join(folder, "tsdb"),
                          "--enable-feature=exemplar-storage",
                          "--web.listen-address=127.0.0.1:0"], folder)
        self.api = self.wait_for(r'msg="Listening on" address=(\S+)').group(1)
        self.wait_for("Server is ready to receive web requests")

    def asked(self, path):
        """What its API answers."""
        with contextlib.closing(connect(self.api)) as connection:
            return json.loads(ask(connection, "GET", "/api/v1/" + path).body)["data"]

    def query(self, text):
        """The value of one series, or None."""
        found = self.asked("query?query=" + urllib.parse.quote(text))["result"]
        return float(found[0]["value"][1]) if found else None

    def exemplars(self, text):
        """The ids of traces that it has found at some series in the last hour."""
        now = time.time()
        found = self.asked(f"query_exemplars?query={urllib.parse.quote(text)}"
                           f"&start={now - 3600}&end={now + 3600}")
        return {one["labels"].get("trace_id") for series in found for one in series["exemplars"]}

    def await_value(self, text, wanted):
        """Asks until it has it."""
        eventually(lambda: self.query(text) == wanted, f"{text} = {wanted}")


@suite.test
def prometheus_misses_no_scrape_in_an_upgrade(folder):
    with admin_server(folder) as server, Prometheus(server.admin, folder) as prometheus:
        prometheus.await_value("up", 1)
        traffic(server)
        prometheus.await_value('http_server_requests_total{code="200",route="/"}', 10)
        prometheus.await_value('http_server_request_duration_seconds_count{route="/items/"}', 10)
        prometheus.await_value('count(srun_service_state{service="http"})', 6)
        server.upgrade(ended=True)
        prometheus.await_value("srun_generation", 2)
        equal(prometheus.query("min_over_time(up[1h])"), 1, "the worst scrape")
        lines = server.get("/metrics").body.decode().splitlines()
        prometheus.await_value("scrape_samples_scraped",
                               sum(not line.startswith("#") for line in lines))
        prometheus.signal(signal.SIGTERM)
        equal(prometheus.finish(), 0, "prometheus")
        equal(server.stop(), 0, "exit code")


@suite.test
def prometheus_keeps_exemplars_and_takes_hostile_pages(folder):
    with measures(folder) as server, Prometheus(server.admin, folder) as prometheus:
        prometheus.await_value("up", 1)
        prometheus.await_value('took_seconds_count{route="/a"}', 3)
        prometheus.await_value("new_name_total", 2)
        wanted = {f"{TRACE}{number}" for number in (1, 2, 3)}
        eventually(lambda: prometheus.exemplars("took_seconds_bucket") >= wanted, "exemplars")
        equal(prometheus.exemplars("new_name_total"), {f"{TRACE}4"}, "of the counter")
        equal(prometheus.query("min_over_time(up[1h])"), 1, "the worst scrape")
        prometheus.signal(signal.SIGTERM)
        equal(prometheus.finish(), 0, "prometheus")
        equal(server.stop(), 0, "exit code")


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what is posted, and keeps it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver.Handler)
        self.posted = []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers an empty ExportMetricsServiceResponse."""

        def do_POST(self):  # pylint: disable=invalid-name
            """One export."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.posted.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):  # pylint: disable=arguments-differ
            """Says nothing."""


@suite.test
def metrics_are_pushed_on_the_interval_and_at_the_end(folder):
    with Receiver() as receiver:
        env = {"SRUN_OTEL_METRIC_EXPORTER": "http", "OTEL_METRIC_EXPORT_INTERVAL": "50",
               "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT": "http://127.0.0.1:%d" % receiver.server_port}
        with admin_server(folder, env) as server:
            eventually(lambda: len(receiver.posted) >= 2, "two exports")
            traffic(server)
            equal(server.stop(), 0, "exit code")
        paths = {(path, kind) for path, kind, _ in receiver.posted}
        equal(paths, {("/v1/metrics", "application/x-protobuf")}, "requests")
        last = receiver.posted[-1][2]
        for text in (b"http.server.requests", b"http.server.request.duration", b"service.instance.id",
                     b"srun.ready", b"/items/"):
            check(text in last, f"{text} is not in the last export")


@suite.test
def a_receiver_that_is_not_there_is_told_once_and_delays_no_stop(folder):
    env = {"SRUN_OTEL_METRIC_EXPORTER": "http", "OTEL_METRIC_EXPORT_INTERVAL": "20",
           "OTEL_METRIC_EXPORT_TIMEOUT": "100",
           "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT": "http://127.0.0.1:1"}
    with admin_server(folder, env) as server:
        server.wait_for("metrics are not exported")
        before = time.monotonic()
        equal(server.stop(), 0, "exit code")
        check(time.monotonic() - before < 10 * (5 if SANITIZE else 1), "the stop took too long")
        equal(len(server.with_message("metrics are not exported")), 1, "warnings")


try:
    suite.main()
finally:
    PEERS.close()

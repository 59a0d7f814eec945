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
from admin import admin_server  # noqa: E402
from endure import eventually  # noqa: E402
from support import LIMIT, SANITIZE, Process, Suite, ask, check, connect, equal  # noqa: E402

suite = Suite("metrics")
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
        print(family.type, family.name, sample.name, labels, float(sample.value))
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


CONFIGURATION = """global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
- job_name: http
  static_configs:
  - targets: ["%s"]
"""


class Prometheus(Process):
    """The real one, which scrapes an admin port twice a second."""

    def __init__(self, target, folder):
        path = os.path.join(folder, "prometheus.yml")
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIGURATION % target)
        super().__init__(["prometheus", "--config.file=" + path,
                          "--storage.tsdb.path=" + os.path.join(folder, "tsdb"),
                          "--web.listen-address=127.0.0.1:0"], folder)
        self.api = self.wait_for(r'msg="Listening on" address=(\S+)').group(1)
        self.wait_for("Server is ready to receive web requests")

    def query(self, text):
        """The value of one series, or None."""
        with contextlib.closing(connect(self.api)) as connection:
            answer = ask(connection, "GET", "/api/v1/query?query=" + urllib.parse.quote(text))
        found = json.loads(answer.body)["data"]["result"]
        return float(found[0]["value"][1]) if found else None

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


suite.main()

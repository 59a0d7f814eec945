# SPDX-License-Identifier: MIT
"""The admin port of a real program: what probes, people and tools get, who may do what, and what is
refused."""
import contextlib
import json
import os
import re
import signal
import socket
import stat
import sys

sys.dont_write_bytecode = True
from admin import admin_server, raw  # noqa: E402
from endure import eventually  # noqa: E402
from support import (SOURCE_DIR, Failure, Process, Suite, check, connect, ask, equal,  # noqa: E402
                     program)

suite = Suite("admin")
PAGES = ("/", "/status.json", "/services", "/health/history?service=store", "/config", "/flags",
         "/build", "/generations", "/threads", "/timeline", "/help", "/debug/", "/metrics",
         "/health", "/ready", "/healthz?verbose", "/livez?verbose", "/readyz?verbose")


@suite.test
def probes_answer_ok_in_a_kibibyte(folder):
    with admin_server(folder) as server:
        for path in ("/health", "/ready", "/livez", "/readyz", "/healthz"):
            answer = server.get(path)
            equal((answer.status, answer.body.strip()), (200, b"OK"), path)
            equal(answer.headers["Cache-Control"], "no-store", path)
        equal(server.stop(), 0, "exit code")


@suite.test
def the_verbose_form_has_a_line_for_each_service_and_json_a_version(folder):
    with admin_server(folder) as server:
        text = server.get("/readyz?verbose").body.decode()
        check(re.search(r"^\[\+\]store ok", text, re.M), text)
        check(re.search(r"^\[\+\]http ok", text, re.M), text)
        check(text.rstrip().endswith("readyz check passed"), text)
        equal(server.json("/readyz")["v"], 1, "version")
        equal(server.get("/readyz/store").status, 200)
        equal(server.get("/readyz/nobody").status, 404)
        equal(server.stop(), 0, "exit code")


@suite.test
def every_page_has_text_and_json_at_the_same_address(folder):
    with admin_server(folder) as server:
        for path in PAGES:
            equal(server.get(path).status, 200, path)
            if path not in ("/", "/metrics", "/debug/"):
                answer = server.get(path, {"Accept": "application/json"})
                equal(json.loads(answer.body)["v"], 1, path)
                equal(answer.headers["Content-Type"], "application/json", path)
        equal(server.stop(), 0, "exit code")


@suite.test
def head_is_get_without_a_body(folder):
    with admin_server(folder) as server:
        with contextlib.closing(connect(server.admin)) as connection:
            for path in ("/health", "/services", "/"):
                answer = ask(connection, "HEAD", path)
                equal((answer.status, answer.body), (200, b""), path)
        equal(server.stop(), 0, "exit code")


@suite.test
def a_foreign_host_header_is_misdirected(folder):
    with admin_server(folder, {"SRUN_ADMIN_HOSTS": "ledger.example"}) as server:
        for host, status in (("evil.example", 421), ("localhost", 200), ("127.0.0.1:1", 200),
                             ("[::1]", 200), ("ledger.example", 200), ("ledger.example:8778", 200),
                             ("localhost.evil.example", 421), ("xledger.example", 421)):
            equal(server.get("/health", {"Host": host}).status, status, host)
        equal(server.stop(), 0, "exit code")


@suite.test
def writes_need_the_right_the_header_and_no_foreign_origin(folder):
    with admin_server(folder) as server:
        with contextlib.closing(connect(server.admin)) as tcp:
            for path in ("/admin/stop", "/admin/drain", "/admin/upgrade", "/admin/log-level"):
                check(ask(tcp, "POST", path, headers={"X-Srun-Admin": "1"}).status in (401, 403), path)
                equal(ask(tcp, "GET", path).status, 405, path)
        equal(server.unix("POST", "/admin/stop").status, 403, "without the header")
        equal(server.post("/admin/stop", {"Origin": "http://evil.example"}).status, 403, "Origin")
        equal(server.post("/admin/stop", {"Sec-Fetch-Site": "cross-site"}).status, 403, "fetch")
        equal(server.get("/ready").status, 200, "it still runs")
        equal(server.post("/admin/log-level?level=loud").status, 400, "a level that is none")
        equal(server.stop(), 0, "exit code")


@suite.test
def a_token_gives_the_right_to_write_over_tcp(folder):
    token = os.path.join(folder, "token")
    with open(token, "w", encoding="ascii") as file:
        file.write("0123456789abcdef0123\n")
    os.chmod(token, 0o600)
    with admin_server(folder, {"SRUN_ADMIN_TOKEN_FILE": token}) as server:
        with contextlib.closing(connect(server.admin)) as tcp:
            head = {"X-Srun-Admin": "1"}
            equal(ask(tcp, "POST", "/admin/log-level?level=debug", headers=head).status, 401)
            head["Authorization"] = "Bearer wrong-wrong-wrong-wrong"
            check(ask(tcp, "POST", "/admin/log-level?level=debug", headers=head).status in (401, 403),
                  "a wrong token")
            head["Authorization"] = "Bearer 0123456789abcdef0123"
            equal(ask(tcp, "POST", "/admin/log-level?level=debug", headers=head).status, 200)
        equal(server.stop(), 0, "exit code")


@suite.test
def a_token_that_others_can_read_fails_the_start(folder):
    token = os.path.join(folder, "token")
    with open(token, "w", encoding="ascii") as file:
        file.write("0123456789abcdef0123\n")
    os.chmod(token, 0o644)
    env = {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "127.0.0.1:0", "SRUN_ADMIN_SOCKET": "none",
           "SRUN_ADMIN_TOKEN_FILE": token}
    with Process([program("http"), "--http.address=127.0.0.1:0"], folder, env) as process:
        equal(process.finish(), 1, "exit code")
        check(any("token" in line for line in process.lines), "no word about the token")


@suite.test
def a_bind_to_all_addresses_has_probes_only(folder):
    with admin_server(folder, {"SRUN_ADMIN_ADDRESS": "0.0.0.0:0"}) as server:
        server.address_tcp = "127.0.0.1:" + server.admin.rsplit(":", 1)[1]
        for path in ("/health", "/ready", "/metrics", "/readyz?verbose"):
            equal(server.get(path).status, 200, path)
        for path in ("/", "/config", "/status.json", "/services", "/threads", "/debug/"):
            check(server.get(path).status in (401, 403), path)
        equal(server.stop(), 0, "exit code")


@suite.test
def secrets_are_shown_nowhere(folder):
    token = os.path.join(folder, "hunter2-token")
    with open(token, "w", encoding="ascii") as file:
        file.write("hunter2hunter2hunter2\n")
    os.chmod(token, 0o600)
    with admin_server(folder, {"SRUN_ADMIN_TOKEN_FILE": token}) as server:
        for path in PAGES:
            for headers in ({}, {"Accept": "application/json"}):
                body = server.get(path, headers).body
                check(b"hunter2hunter2" not in body, path)
        equal(server.stop(), 0, "exit code")


@suite.test
def the_unix_socket_is_ours_alone_and_goes_with_the_program(folder):
    with admin_server(folder) as server:
        equal(stat.S_IMODE(os.stat(server.socket).st_mode), 0o600, "mode")
        equal(server.unix("GET", "/ready").status, 200)
        equal(server.stop(), 0, "exit code")
        check(not os.path.exists(server.socket), "the socket is left")


@suite.test
def the_default_socket_lies_in_the_runtime_directory(folder):
    with admin_server(folder, {"SRUN_ADMIN_SOCKET": "", "RUNTIME_DIRECTORY": folder}) as server:
        equal(server.unix("GET", "/ready").status, 200)
        equal(server.stop(), 0, "exit code")


@suite.test
def a_configured_address_in_use_fails_the_start(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        env = {"SRUN_ADMIN": "true", "SRUN_ADMIN_SOCKET": "none",
               "SRUN_ADMIN_ADDRESS": f"127.0.0.1:{other.getsockname()[1]}"}
        with Process([program("http"), "--http.address=127.0.0.1:0"], folder, env) as process:
            equal(process.finish(), 1, "exit code")
            check(any("127.0.0.1" in line and "in use" in line for line in process.lines),
                  "no word about the address")


@suite.test
def a_bad_address_is_a_usage_error_that_names_the_variable(folder):
    env = {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "everywhere"}
    with Process([program("http"), "--http.address=127.0.0.1:0"], folder, env) as process:
        equal(process.finish(), 2, "exit code")
        check(any("SRUN_ADMIN_ADDRESS" in line and "everywhere" in line for line in process.lines),
              "the variable and the value are not named")


MALFORMED = (
    b"GET /health HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
    b"FOO /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /health%00x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"POST /admin/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
    b"GET /health HTTP/9.9\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: 1\r\n" * 2000 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST /admin/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
)


@suite.test
def malformed_requests_are_refused_and_harm_nobody(folder):
    with admin_server(folder) as server:
        for data in MALFORMED:
            answer = raw(server.admin, data)
            check(answer.status == 0 or 400 <= answer.status < 600, f"{answer.status}: {data[:80]}")
        equal(server.get("/ready").status, 200, "after them")
        equal(server.stop(), 0, "exit code")


@suite.test
def no_path_leads_to_a_file(folder):
    up = ("..", "%2e%2e", "%2E.", "..%2f..", "%252e%252e", "..\\\\..")
    below = ("", "debug/", "debug/pprof/", "debug/captures/", "readyz/", "admin/")
    with admin_server(folder) as server:
        paths = [f"/{start}{'/'.join([step] * 12)}/etc/passwd" for start in below for step in up]
        for path in [*paths, "//etc/passwd", "/./etc/passwd", "/%2fetc%2fpasswd", "/etc/passwd"]:
            answer = raw(server.admin, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                         "Connection: close\r\n\r\n".encode())
            check(400 <= answer.status < 500 and b"root:" not in answer.body,
                  f"{path}: {answer.status} {answer.body[:80]}")
        equal(server.stop(), 0, "exit code")


@suite.test
def nothing_behind_a_request_starts_a_process(folder):
    found = []
    for name in os.listdir(os.path.join(SOURCE_DIR, "src", "admin")):
        path = os.path.join(SOURCE_DIR, "src", "admin", name)
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found += [name for word in ("popen(", "system(", "execl", "execv", "posix_spawn", "fork(")
                  if word in text]
    equal(found, [], "files that could start a process")


@suite.test
def liveness_stays_and_readiness_goes_before_anything_stops(folder):
    with admin_server(folder, {"SRUN_DRAIN_TIMEOUT": "10m"}) as server:
        address = server.address("http")
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: server.get("/ready").status == 503, "503")
        answer = server.get("/ready")
        equal(answer.headers["X-Srun-State"], "draining")
        equal(answer.headers["x-envoy-immediate-health-check-fail"], "true")
        equal([server.get(path).status for path in ("/health", "/livez", "/metrics")], [200] * 3)
        with contextlib.closing(connect(address)) as connection:
            equal(ask(connection, "GET", "/").status, 200, "it still serves")
        os.kill(server.pid, signal.SIGINT)
        server.wait_for("already stopping")
        os.kill(server.pid, signal.SIGINT)
        equal(server.wait(), 130, "forced")
        server.finish()
        for path in (server.socket, os.path.join(folder, "served.pid")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


@suite.test
def an_operators_drain_is_undone(folder):
    with admin_server(folder) as server:
        equal(server.post("/admin/drain").status, 200)
        eventually(lambda: server.get("/ready").status == 503, "503")
        equal(server.get("/health").status, 200)
        equal(server.json("/status.json")["state"], "withdrawn")
        equal(server.post("/admin/drain?off").status, 200)
        eventually(lambda: server.get("/ready").status == 200, "200")
        equal(server.stop(), 0, "exit code")


@suite.test
def a_stop_by_post_ends_the_program_cleanly(folder):
    with admin_server(folder) as server:
        equal(server.post("/admin/stop").status, 202)
        equal(server.finish(), 0, "exit code")
        check(any(record.get("msg") == "stopped" and record.get("cause") == "request"
                  for record in server.records), "no last line")


@suite.test
def the_log_level_changes_and_comes_back(folder):
    with admin_server(folder) as server:
        since = server.mark_now()
        equal(server.post("/admin/log-level?level=debug&for=10m").status, 200)
        with contextlib.closing(connect(server.address("http"))) as connection:
            ask(connection, "GET", "/")
        server.wait_for("level=DEBUG .*msg=request", since=since)
        equal(server.post("/admin/log-level?level=debug&for=300ms").status, 200)
        eventually(lambda: server.json("/status.json")["log_level"] == "info", "info again")
        since = server.mark_now()
        with contextlib.closing(connect(server.address("http"))) as connection:
            ask(connection, "GET", "/")
        try:
            server.wait_for("level=DEBUG .*msg=request", limit=0.2, since=since)
        except Failure:
            pass
        else:
            raise Failure("debug records after the level came back")
        equal(server.stop(), 0, "exit code")


@suite.test
def a_store_that_is_nearly_full_shows_as_degraded(folder):
    env = {"SRUN_HEALTH_INTERVAL": "50ms"}
    with admin_server(folder, env, ["--store.items=10"]) as server:
        with contextlib.closing(connect(server.address("http"))) as connection:
            for item in range(9):
                ask(connection, "PUT", f"/items/{item}", b"x")
            eventually(lambda: server.json("/healthz")["status"] == "degraded", "degraded")
            eventually(lambda: (answer := server.get("/health")).status == 200 and
                       answer.headers["x-envoy-degraded"] == "true", "degraded, for Envoy")
            eventually(lambda: server.get("/health?degraded=429").status == 429, "for Consul")
            ask(connection, "DELETE", "/items/1")
            eventually(lambda: server.get("/health").headers["x-envoy-degraded"] is None, "healthy")
        equal(server.stop(), 0, "exit code")


suite.main()

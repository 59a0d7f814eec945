#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What srunctl asks for, what it shows of the answer, and its exit codes."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
from fake_admin import METRICS, SERVICES, STATUS, Fake  # noqa: E402
from srunctl import SRUNCTL, ask, call, fake  # noqa: E402
from support import SOURCE_DIR, Suite, check, equal  # noqa: E402

suite = Suite("srunctl")


# What is asked, and what is shown


PAGES = {
    "services": "/services", "timeline": "/timeline", "threads": "/threads", "config": "/config",
    "flags": "/flags", "captures": "/debug/captures", "generations": "/generations", "version": "/build",
    "history": "/health/history"}


@suite.test
def each_page_is_printed_as_it_is(folder):
    with fake(folder) as server:
        for command, path in PAGES.items():
            server.routes["GET " + path] = (200, f"the page of {command}\nA  B\n")
            equal(ask(folder, command), (0, f"the page of {command}\nA  B\n", ""), command)
            equal(server.lines()[-1], f"GET {path}?format=text HTTP/1.1")


@suite.test
def json_is_passed_through(folder):
    body = '{"v":1,"x":"\\u001b[31m"}\n'
    with fake(folder) as server:
        for command, path in {**PAGES, "status": "/status.json"}.items():
            server.routes["GET " + path] = (200, body)
            equal(ask(folder, command, "--json"), (0, body, ""), command)
            equal(server.lines()[-1], f"GET {path}?format=json HTTP/1.1")


@suite.test
def json_of_a_refusal_is_passed_through_with_its_exit_code(folder):
    with fake(folder) as server:
        server.routes["GET /config"] = (403, '{"v":1,"error":"no"}\n')
        equal(ask(folder, "config", "--json"), (4, '{"v":1,"error":"no"}\n', ""))


@suite.test
def status_is_a_line_and_the_services(folder):
    with fake(folder):
        code, out, err = ask(folder, "status")
    equal((code, err), (0, ""))
    equal(out, f"ledger 1.2.3  pid {os.getpid()}  generation 3  running  ready  health healthy  "
               "up 1h2m3s\n\n" + SERVICES)


@suite.test
def status_says_why_it_is_not_ready(folder):
    with fake(folder) as server:
        server.routes["GET /status.json"] = (200, (STATUS % 7).replace(
            '"ready":true,"not_ready":null', '"ready":false,"not_ready":"db waits for \\"x\\""'))
        code, out, _ = ask(folder, "status")
    equal(code, 0)
    check('  not ready  ' in out and '\nnot ready: db waits for "x"\n' in out, out)


@suite.test
def health_shows_failed_checks_and_exits_with_one(folder):
    with fake(folder) as server:
        server.routes["GET /healthz"] = [(200, "[+]db ok\nhealthz check passed\n"),
                                         (500, "[-]db failed: x\nhealthz check failed\n")]
        equal(ask(folder, "health"), (0, "[+]db ok\nhealthz check passed\n", ""))
        equal(ask(folder, "health"), (1, "[-]db failed: x\nhealthz check failed\n", ""))
        equal(server.lines()[0], "GET /healthz?verbose&format=text HTTP/1.1")


@suite.test
def names_are_encoded_in_urls(folder):
    with fake(folder) as server:
        server.routes["GET /healthz/a%20b%2F%C3%A9"] = (200, "ok\n")
        server.routes["GET /health/history"] = (200, "ok\n")
        equal(ask(folder, "health", "a b/é"), (0, "ok\n", ""))
        equal(ask(folder, "history", "a&b"), (0, "ok\n", ""))
        equal(server.lines()[-1], "GET /health/history?service=a%26b&format=text HTTP/1.1")


@suite.test
def metrics_are_printed_as_they_are(folder):
    with fake(folder):
        equal(ask(folder, "metrics"), (0, METRICS, ""))


@suite.test
def log_level_is_shown_and_set(folder):
    with fake(folder) as server:
        server.routes["POST /admin/log-level"] = (200, "debug, for 10m\n")
        equal(ask(folder, "log-level"), (0, "debug (for 59s more)\n", ""))
        equal(ask(folder, "log-level", "debug", "--for", "5s"), (0, "debug, for 10m\n", ""))
        equal(server.lines()[-1],
              "POST /admin/log-level?level=debug&for=5s&format=text HTTP/1.1")
        server.routes["POST /admin/log-level"] = (400, 'level "loud": debug, info, warn, error\n')
        equal(ask(folder, "log-level", "loud")[::2],
              (1, 'srunctl: POST /admin/log-level: 400 level "loud": debug, info, warn, error'))


@suite.test
def writes_are_posts_with_the_header(folder):
    with fake(folder) as server:
        for path in ("drain", "upgrade", "stop"):
            server.routes["POST /admin/" + path] = (202, path + "\n")
            equal(ask(folder, path), (0, path + "\n", ""))
        equal(ask(folder, "drain", "--off")[0], 0)
        equal(server.lines()[-1], "POST /admin/drain?off&format=text HTTP/1.1")
        for text in server.requests:
            check("\r\nX-Srun-Admin: 1\r\n" in text and "\r\nContent-Length: 0\r\n" in text, text)


# Exit codes


@suite.test
def refusals_have_their_exit_codes(folder):
    with fake(folder) as server:
        for status, code in ((401, 4), (403, 4), (404, 1), (409, 1), (429, 1), (500, 1), (503, 1)):
            server.routes["POST /admin/stop"] = (status, "because\nof this\n")
            equal(ask(folder, "stop"),
                  (code, "", f"srunctl: POST /admin/stop: {status} because"), status)


@suite.test
def nobody_listens_is_three(folder):
    path = os.path.join(folder, "a.sock")
    equal(ask(folder, "services"), (3, "", f"srunctl: {path}: nobody listens: No such file or directory"))
    Fake(path).close()
    equal(ask(folder, "services"), (3, "", f"srunctl: {path}: nobody listens: Connection refused"))
    equal(call(folder, "-s", "x" * 200, "services")[0], 3)


@suite.test
def a_socket_of_somebody_else_is_four(folder):
    if os.getuid() != 0:
        return  # only root can become somebody
    with fake(folder):
        os.chmod(folder, 0o755)
        os.chmod(os.path.join(folder, "a.sock"), 0o600)
        program = shutil.copy(SRUNCTL, os.path.join(folder, "srunctl"))
        done = subprocess.run([program, "-s", os.path.join(folder, "a.sock"), "services"],
                              user=65534, capture_output=True, text=True, check=False)
        equal((done.returncode, done.stdout), (4, ""), done.stderr)
        check("Permission denied" in done.stderr, done.stderr)


@suite.test
def usage_errors_say_what_is_accepted(folder):
    for words, text in (
            ([], "a command is missing; srunctl help lists them"),
            (["stauts"], '"stauts": no such command; did you mean status?'),
            (["xyzzy"], '"xyzzy": no such command; srunctl help lists them'),
            (["help", "upgrad"], '"upgrad": no such command; did you mean upgrade?'),
            (["status", "x"], '"x": status takes no argument'),
            (["health", "a", "b"], '"b": health takes one argument'),
            (["status", "--wait"],
             "--wait: status does not take it; srunctl help status lists what it takes"),
            (["--frob"], '"--frob": unknown option; srunctl help lists what there is'),
            (["status", "--adress=x"], '"--adress=x": no such option; did you mean --address?'),
            (["status", "-t", "soon"],
             '--timeout "soon": a time such as 30s or 500ms, or a number of seconds'),
            (["top", "--count", "0"], '--count "0": a number from 1'),
            (["status", "--timeout"],
             '"--timeout": missing argument; srunctl help lists what there is'),
            (["-s", "x", "-a", "1:2", "status"], "--socket, --address, --name: one of them"),
            (["-a", "localhost", "status"], "--address: HOST:PORT, such as 127.0.0.1:8778"),
            (["log-level", "--for", "5s"], "log-level: --json and --for go with a LEVEL")):
        equal(call(folder, *words), (2, "", "srunctl: " + text), words)


@suite.test
def a_full_disk_is_an_error(folder):
    if not os.path.exists("/dev/full"):
        return
    with fake(folder) as server, open("/dev/full", "w", encoding="ascii") as full:
        for words in (["services"], ["services", "--json"], ["status"], ["help"], ["--version"]):
            done = subprocess.run([SRUNCTL, "-s", server.path, *words], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
            equal((done.returncode, done.stderr),
                  (1, "srunctl: standard output: No space left on device\n"), words)


@suite.test
def help_names_each_command_and_option(folder):
    code, out, err = call(folder, "help")
    equal((code, err), (0, ""))
    equal(call(folder, "--help")[1], out)
    page = open(os.path.join(SOURCE_DIR, "man", "srunctl.1"), encoding="utf-8").read()
    commands = re.findall(r"^  ([a-z-]+) +(?:\[?[A-Z]+\]? +)?[a-z]", out, flags=re.M)
    check(len(commands) >= 18, out)
    for command in commands:
        check(f".It Cm {command}" in page, f"man/srunctl.1 leaves out {command}")
        code, more, _ = call(folder, "help", command)
        equal(code, 0)
        equal(call(folder, command, "--help")[1], more)
        for option in re.findall(r"--([a-z-]+)", more):
            check(re.search(f"(Fl|,) -{option}\\b", page), f"man/srunctl.1 leaves out --{option}")
    check(re.fullmatch(r"srunctl \d+\.\d+\.\d+\n", call(folder, "--version")[1]), "version")


suite.main(4)

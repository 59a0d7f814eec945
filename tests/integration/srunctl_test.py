#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""srunctl against an admin port that answers by a script (fake_admin.py)."""
import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import termios
import threading
import time

from fake_admin import METRICS, SERVICES, STATUS, Fake, http
from support import BUILD_DIR, LIMIT, SOURCE_DIR, Suite, check, equal, run

SRUNCTL = os.path.join(BUILD_DIR, "srunctl")
COMPLETION = os.path.join(SOURCE_DIR, "packaging", "completion", "srunctl.bash")

suite = Suite("srunctl")


def call(folder, *words, env=None):
    """(exit code, stdout, stderr); without a target that the tests' own environment names."""
    environment = {"XDG_RUNTIME_DIR": folder, "SRUNCTL_SOCKET": "", "SRUNCTL_ADDRESS": "",
                   "RUNTIME_DIRECTORY": "", **(env or {})}
    return run([SRUNCTL, *words], folder, environment)


def ask(folder, *words, env=None):
    return call(folder, "-s", os.path.join(folder, "a.sock"), *words, env=env)


def fake(folder):
    """The program that ask() asks."""
    return Fake(os.path.join(folder, "a.sock"))


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


# The answer on the wire


def chunked(parts, trailer=b""):
    body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts)
    return (b"HTTP/1.1 200 OK\r\ntransfer-ENCODING: chunked\r\n\r\n" + body + b"0\r\n" + trailer
            + b"\r\n")


@suite.test
def chunks_are_put_together(folder):
    with fake(folder) as server:
        server.routes["GET /threads"] = chunked([b"one ", b"two\n", b"x" * 70000 + b"\n"], b"A: b\r\n")
        equal(ask(folder, "threads"), (0, "one two\n" + "x" * 70000 + "\n", ""))


@suite.test
def an_answer_may_come_byte_by_byte(folder):
    def dribble(connection, _):
        for byte in chunked([b"slow\n"]):
            connection.sendall(bytes([byte]))
    with fake(folder) as server:
        server.routes["GET /threads"] = dribble
        equal(ask(folder, "threads"), (0, "slow\n", ""))


@suite.test
def an_answer_without_a_length_ends_with_the_connection(folder):
    with fake(folder) as server:
        server.routes["GET /threads"] = b"HTTP/1.0 200 OK\r\n\r\nto the end\n"
        equal(ask(folder, "threads"), (0, "to the end\n", ""))
        server.routes["GET /threads"] = b"HTTP/1.1 204 No Content\r\n\r\n"
        equal(ask(folder, "threads"), (0, "", ""))


@suite.test
def a_kept_connection_is_not_waited_for(folder):
    done = threading.Event()

    def keep(connection, _):
        connection.sendall(http(200, "here\n"))
        check(done.wait(LIMIT), "srunctl did not end")
    with fake(folder) as server:
        server.routes["GET /threads"] = keep
        equal(ask(folder, "threads"), (0, "here\n", ""))
        done.set()


@suite.test
def what_is_no_http_is_refused(folder):
    head = b"HTTP/1.1 200 OK\r\n"
    with fake(folder) as server:
        for answer in (b"hello\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
                       b"\0" * 5000, head + b"no colon\r\n\r\n",
                       head + b"Content-Length: -1\r\n\r\n",
                       head + b"Transfer-Encoding: gzip\r\n\r\nthis is none",
                       head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
                       head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"):
            server.routes["GET /threads"] = answer
            code, out, err = ask(folder, "threads")
            equal((code, out), (3, ""), answer[:60])
            check("the answer is no HTTP" in err, f"{answer[:60]}: {err}")


@suite.test
def an_answer_that_is_cut_off_is_refused(folder):
    head = b"HTTP/1.1 200 OK\r\n"
    with fake(folder) as server:
        for answer in (b"", b"HTTP/1.1 2", head, head + b"A: b\r\n", b"HTTP/1.1 100 Go\r\n\r\n",
                       b"HTTP/1.1 100 Go\r\n\r\n" + head, http(200, "hello\n")[:-1],
                       chunked([b"a"])[:-7], chunked([b"a" * 100])[:-60]):
            server.routes["GET /threads"] = answer
            code, out, err = ask(folder, "threads")
            equal((code, out), (3, ""), answer)
            check("the answer is cut off" in err, f"{answer}: {err}")


@suite.test
def a_path_is_asked_for_as_it_is(folder):
    with fake(folder) as server:
        equal(ask(folder, "health", "..")[0], 1)
        equal(server.lines(), ["GET /healthz/..?verbose&format=text HTTP/1.1"])


@suite.test
def what_is_set_up_for_other_clients_has_no_part(folder):
    """A proxy, a .netrc, and a redirect to where it may lead."""
    with open(os.path.join(folder, ".netrc"), "w", encoding="ascii") as file:
        file.write("default login somebody password secret\n")
    with Fake() as server, Fake() as other:
        server.routes["GET /threads"] = http(302, "", f"Location: http://{other.address}/\r\n")
        proxy = "http://" + other.address
        code, _, err = call(folder, "-a", server.address, "threads", env={
            "http_proxy": proxy, "all_proxy": proxy, "HOME": folder})
        equal((code, err), (1, "srunctl: GET /threads: 302 "))
        check("Authorization" not in server.requests[0], server.requests)
        equal(other.requests, [])


@suite.test
def an_answer_without_end_is_refused(folder):
    def endless(head, part):
        def send(connection, _):
            connection.sendall(head)
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(part)
        return send
    with fake(folder) as server:
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
                       endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
                       endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                               b"8000\r\n" + b"x" * 0x8000 + b"\r\n")):
            server.routes["GET /threads"] = answer
            code, out, err = ask(folder, "threads", "-t", "60")
            equal((code, out), (3, ""))
            check("larger than 16 MiB" in err, err)


@suite.test
def a_program_that_does_not_answer_is_left_in_time(folder):
    done = threading.Event()

    def drip(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nA: ")
        with contextlib.suppress(OSError):
            while not done.wait(0.05):
                connection.sendall(b"x")
    with fake(folder) as server:
        for answer in (drip, lambda *_: done.wait(LIMIT)):
            server.routes["GET /threads"] = answer
            begin = time.monotonic()
            code, _, err = ask(folder, "threads", "-t", "300ms")
            equal(code, 3)
            check("no answer within 300ms" in err, err)
            check(time.monotonic() - begin >= 0.3, "it did not wait")
        done.set()


@suite.test
def a_full_queue_is_waited_for_in_time(folder):
    path = os.path.join(folder, "a.sock")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(path)
        code, _, err = ask(folder, "threads", "-t", "200ms")
        equal(code, 3)
        check("no answer within 200ms" in err, err)


@suite.test
def signals_end_a_request(folder):
    asked, done = threading.Event(), threading.Event()

    def hang(*_):
        asked.set()
        done.wait(LIMIT)
    with fake(folder) as server:
        server.routes["GET /threads"] = hang
        with subprocess.Popen([SRUNCTL, "-s", server.path, "threads"]) as process:
            check(asked.wait(LIMIT), "nothing was asked")
            process.send_signal(signal.SIGINT)
            equal(process.wait(LIMIT), -signal.SIGINT)
        done.set()


# TCP and tokens


@suite.test
def tcp_takes_a_token_from_a_file(folder):
    token = os.path.join(folder, "token")
    with open(token, "w", encoding="ascii") as file:
        file.write("s3cret-of-16-bytes\n")
    with Fake() as server:
        server.routes["POST /admin/stop"] = (202, "stopping\n")
        for where in (server.address, "tcp://" + server.address,
                      "localhost:" + server.address.split(":")[1]):
            equal(call(folder, "-a", where, "--token-file", token, "stop"), (0, "stopping\n", ""))
            check("\r\nAuthorization: Bearer s3cret-of-16-bytes\r\n" in server.requests[-1], "token")
            check(f"\r\nHost: {where.replace('tcp://', '')}\r\n" in server.requests[-1], "host")
        equal(call(folder, "stop", env={"SRUNCTL_ADDRESS": server.address,
                                        "SRUN_ADMIN_TOKEN_FILE": token})[0], 0)
        check("Bearer s3cret" in server.requests[-1], "token of the environment")
        equal(call(folder, "-a", server.address, "stop")[0], 0)
        check("Authorization" not in server.requests[-1], "no token")


@suite.test
def a_certificate_is_asked_for_over_https(folder):
    if shutil.which("openssl") is None:
        return
    cert, key = os.path.join(folder, "cert"), os.path.join(folder, "key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-out", cert, "-keyout", key],
                   check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with Fake(tls=tls) as server:
        where = "https://" + server.address
        equal(call(folder, "-a", where, "--ca-file", cert, "services"), (0, SERVICES, ""))
        for words, text in (((where,), "certificate"), ((where, "--ca-file", key), "certificate"),
                            ((server.address,), "the answer is ")):
            code, out, err = call(folder, "services", "-a", *words)
            equal((code, out), (3, ""), words)
            check(text in err, err)
        equal(len(server.requests), 1)


@suite.test
def a_token_never_goes_to_a_unix_socket(folder):
    with fake(folder) as server:
        equal(ask(folder, "services", env={"SRUN_ADMIN_TOKEN_FILE": "/nowhere"})[0], 0)
        check("Authorization" not in server.requests[-1], "token")


@suite.test
def bad_token_files_are_refused(folder):
    token = os.path.join(folder, "token")
    for content in (None, "", "\n", "a\x01b\n", "x" * 600 + "\n"):
        if content is not None:
            with open(token, "w", encoding="ascii") as file:
                file.write(content)
        equal(call(folder, "-a", "127.0.0.1:9", "--token-file", token, "stop"),
              (2, "", f"srunctl: --token-file {token}: a readable file whose first line is a token"))


@suite.test
def a_closed_port_is_three(folder):
    with Fake() as server:
        address = server.address
    code, _, err = call(folder, "-a", address, "services")
    equal((code, err), (3, f"srunctl: {address}: nobody listens: Connection refused"))


# Finding the program


@suite.test
def the_environment_names_the_target(folder):
    with fake(folder) as server:
        equal(call(folder, "services", env={"SRUNCTL_SOCKET": server.path})[0], 0)
        equal(call(folder, "services", env={"SRUNCTL_SOCKET": "unix://" + server.path})[0], 0)
        equal(call(folder, "-s", server.path, "services",
                   env={"SRUNCTL_SOCKET": "/nowhere"})[0], 0)


@suite.test
def a_name_is_looked_for_in_the_usual_places(folder):
    with Fake(os.path.join(folder, "ledger.sock")) as server:
        equal(call(folder, "-n", "ledger", "services"), (0, SERVICES, ""))
        equal(server.lines(), ["GET /build?format=json HTTP/1.1",
                               "GET /services?format=text HTTP/1.1"])
        equal(server.lines()[2:], [])
        code, _, err = call(folder, "-n", "other", "services")
        equal(code, 3)
        check(err.startswith("srunctl: other: no admin socket is in the usual places"), err)
    with Fake(os.path.join(folder, "a_b_c.sock")):
        equal(call(folder, "-n", "a/b*c", "services")[0], 0)
    os.mkdir(os.path.join(folder, "unit"), 0o700)
    with Fake(os.path.join(folder, "unit", "admin.sock")):
        equal(call(folder, "-n", "unit", "services")[0], 0)
        equal(call(folder, "-n", "whatever", "services", env={
            "RUNTIME_DIRECTORY": os.path.join(folder, "unit") + ":/other"})[0], 0)


@suite.test
def a_folder_of_somebody_else_in_tmp_is_not_trusted(folder):
    name = f"srun-ctl-{os.getpid()}"
    place = f"/tmp/{name}-{os.getuid()}"
    os.mkdir(place, 0o700)
    try:
        with Fake(os.path.join(place, "admin.sock")):
            equal(call(folder, "-n", name, "services")[0], 0)
            os.chmod(place, 0o755)
            equal(call(folder, "-n", name, "services")[0], 3)
            os.chmod(place, 0o700)
            if os.getuid() == 0:
                os.chown(place, 65534, 65534)
                equal(call(folder, "-n", name, "services")[0], 3)
            moved = os.path.join(folder, "moved")
            os.rename(place, moved)
            os.symlink(moved, place)
            equal(call(folder, "-n", name, "services")[0], 3)
            os.unlink(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def alone(folder, *words):
    """As call, with nothing in /run and /tmp but the folder, which is XDG_RUNTIME_DIR. None where
    the system does not allow it."""
    inside = "/run/inside"
    script = (f"mount -t tmpfs none /run && mkdir {inside} && mount --bind {folder} {inside} && "
              f"cp {SRUNCTL} /run/srunctl && mount -t tmpfs none /tmp && exec /run/srunctl \"$@\"")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", *words],
                          capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": inside})
    return None if "unshare" in done.stderr or "mount" in done.stderr else (
        done.returncode, done.stdout, done.stderr)


@suite.test
def the_only_program_needs_no_name(folder):
    with Fake(os.path.join(folder, "one.sock")):
        with Fake(os.path.join(folder, "other.sock")) as other:  # somebody else's, not of libsrun
            other.routes = {"GET /build": (200, "nginx")}
            Fake(os.path.join(folder, "dead.sock")).close()
            found = alone(folder, "services")
            if found is None:
                return  # no namespaces here
            equal(found, (0, SERVICES, ""))
        code, out, err = alone(folder, "-n", "dead", "services")
        equal((code, out), (3, ""))
        check("no admin socket answers" in err, err)
    code, out, err = alone(folder, "services")
    equal((code, out), (3, ""))
    check("any program: no admin socket answers in the usual places; -s PATH" in err, err)


@suite.test
def of_several_programs_one_has_to_be_named(folder):
    with Fake(os.path.join(folder, "one.sock")), Fake(os.path.join(folder, "two.sock")):
        code, out, err = call(folder, "services")
        equal((code, out), (2, ""))
        check("programs answer; pick one with -n NAME or -s:" in err, err)
        check("/one.sock" in err and "/two.sock" in err, err)


# Waiting


@suite.test
def wait_polls_until_it_is_so(folder):
    with fake(folder) as server:
        for option, path in (("--ready", "/readyz"), ("--live", "/livez"), ("--healthy", "/healthz")):
            server.routes["GET " + path] = [(503, "starting\n"), (500, "bad\n"), (200, "OK\n")]
            equal(ask(folder, "wait", option), (0, "", ""))
        server.routes["GET /readyz"] = (200, "OK\n")
        equal(ask(folder, "wait", "-t", "0"), (0, "", ""))


@suite.test
def wait_says_in_time_what_it_waited_for(folder):
    with fake(folder) as server:
        server.routes["GET /readyz"] = (503, "db is STARTING\n")
        equal(ask(folder, "wait", "-t", "250ms"),
              (1, "", "srunctl: waited 250ms for ready: GET /readyz: 503 db is STARTING"))
        server.routes["GET /readyz"] = (403, "no\n")
        equal(ask(folder, "wait")[0], 4)


@suite.test
def wait_outlasts_a_program_that_is_not_there_yet(folder):
    path = os.path.join(folder, "late.sock")
    with subprocess.Popen([SRUNCTL, "-n", "late", "wait", "--ready", "-t", "60"],
                          env={"XDG_RUNTIME_DIR": folder}) as process:
        with Fake(path) as server:
            server.routes["GET /readyz"] = (200, "OK\n")
            equal(process.wait(LIMIT), 0)
    code, _, err = call(folder, "-n", "never", "wait", "-t", "200ms")
    equal(code, 1)
    check("waited 200ms for ready: never: no admin socket is" in err, err)


@suite.test
def wait_gone_ends_when_nobody_listens(folder):
    equal(ask(folder, "wait", "--gone"), (0, "", ""))
    with fake(folder) as server:
        server.routes["GET /livez"] = (200, "OK\n")
        code, _, err = ask(folder, "wait", "--gone", "-t", "200ms")
        equal((code, err), (1, "srunctl: waited 200ms for gone: it still answers"))

        def last(connection, _):
            connection.sendall(http(200, "OK\n"))
            server.close()
        server.routes["GET /livez"] = last
        equal(ask(folder, "wait", "--gone"), (0, "", ""))


@suite.test
def stop_waits_until_nobody_listens(folder):
    with fake(folder) as server:
        server.routes["GET /status.json"] = (200, STATUS % 1)  # not the one that listens
        server.routes["POST /admin/stop"] = (202, "stopping\n")
        polls = []

        def live(connection, _):
            connection.sendall(http(200, "OK\n"))
            polls.append(1)
            if len(polls) == 2:
                server.close()
        server.routes["GET /livez"] = live
        equal(ask(folder, "stop", "--wait"), (0, "", ""))
        equal(len(polls), 2)


@suite.test
def stop_waits_until_the_process_has_ended(folder):
    """The tests' own process listens, and lives on."""
    with fake(folder) as server:
        def stop(connection, _):
            connection.sendall(http(202, "stopping\n"))
            server.close()
        server.routes["POST /admin/stop"] = stop
        code, _, err = ask(folder, "stop", "--wait", "-t", "300ms")
        equal((code, err),
              (1, "srunctl: waited 300ms for its end: nobody listens, but the process lives"))


@suite.test
def stop_that_is_refused_does_not_wait(folder):
    with fake(folder) as server:
        server.routes["POST /admin/stop"] = (403, "no\n")
        equal(ask(folder, "stop", "--wait"), (4, "", "srunctl: POST /admin/stop: 403 no"))


HEADING = "GENERATION  PID  STATE    SINCE  CONNECTIONS\n"
OLD = HEADING + "         1   10  serving  1h     3\n"
BOTH = HEADING + "         1   10  draining 1h     3\n         2   20  serving  1s     1\n"
NEW = HEADING + "         2   20  serving  1s     1\n"


@suite.test
def upgrade_waits_until_the_new_generation_is_alone_and_ready(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), (200, BOTH), (200, NEW)]
        server.routes["GET /readyz"] = [(503, "db is STARTING\n"), (200, "OK\n")]
        server.routes["POST /admin/upgrade"] = (200, "done\n")
        equal(ask(folder, "upgrade", "--wait", "-t", "30"),
              (0, "generation 2, pid 20, is ready; pid 10 has ended\n", ""))
        wait = [line for line in server.lines() if line.startswith("POST")]
        check(re.fullmatch(r"POST /admin/upgrade\?wait=\d+ms HTTP/1.1", wait[0]), wait)


@suite.test
def upgrade_outlasts_an_old_process_that_ends_before_its_answer(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), b"", (200, NEW)]
        server.routes["GET /readyz"] = (200, "OK\n")
        server.routes["POST /admin/upgrade"] = b""
        equal(ask(folder, "upgrade", "--wait")[0], 0)


@suite.test
def upgrade_that_fails_says_why(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = (200, OLD)
        server.routes["POST /admin/upgrade"] = (409, "upgrade: init: db: no such host\n")
        equal(ask(folder, "upgrade", "--wait"),
              (1, "", "srunctl: POST /admin/upgrade: 409 upgrade: init: db: no such host"))


@suite.test
def upgrade_needs_to_know_the_generations(folder):
    with fake(folder) as server:
        for text in ("", "\n\n", HEADING):
            server.routes["GET /generations"] = (200, text)
            equal(ask(folder, "upgrade", "--wait"),
                  (1, "", "srunctl: GET /generations: there is none in it"))


@suite.test
def upgrade_that_is_rolled_back_fails(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), (200, BOTH), (200, OLD)]
        server.routes["POST /admin/upgrade"] = (200, "done\n")
        equal(ask(folder, "upgrade", "--wait"),
              (1, "", "srunctl: upgrade: the new process did not stay; generation 1, pid 10, "
                      "serves"))


@suite.test
def upgrade_whose_old_generation_stays_is_too_late(folder):
    with fake(folder) as server:
        server.routes["GET /generations"] = [(200, OLD), (200, BOTH)]
        server.routes["POST /admin/upgrade"] = (200, "done\n")
        equal(ask(folder, "upgrade", "--wait", "-t", "400ms"),
              (1, "", "srunctl: waited 400ms for the new generation: generation 2, pid 20, is "
                      "there; 1 before it still live"))


@suite.test
def wait_tells_a_terminal_each_new_reason(folder):
    with fake(folder) as server:
        server.routes["GET /readyz"] = [(503, "one\n"), (503, "one\n"), (503, "two\n"), (200, "OK\n")]
        with Terminal("-s", server.path, "wait") as terminal:
            equal(terminal.finish(), 0)
            equal(terminal.text(), "srunctl: waits for ready: GET /readyz: 503 one\n"
                                   "srunctl: waits for ready: GET /readyz: 503 two\n")


# The terminal


class Terminal:
    """srunctl on a terminal of its own."""

    def __init__(self, *words, env=None, columns=80, rows=24):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [SRUNCTL, *words], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={"TERM": "xterm", "PATH": os.environ["PATH"], **(env or {})})
        self.output = b""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)

    def read(self):
        """What is there within a moment; False: nothing."""
        if not select.select([self.master], [], [], 0.05)[0]:
            return False
        try:
            self.output += os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        return True

    def wait_for(self, pattern, since=0):
        deadline = time.monotonic() + LIMIT
        while not re.search(pattern, self.output[since:].decode(errors="replace"), re.S):
            check(time.monotonic() < deadline, f"no {pattern!r} in {self.output!r}")
            self.read()

    def finish(self):
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            check(time.monotonic() < deadline, "it does not end")
            self.read()
        while self.read():
            pass
        return self.process.returncode

    def text(self):
        return self.output.decode().replace("\r\n", "\n")


@suite.test
def colour_is_for_terminals_alone(folder):
    with fake(folder) as server:
        def shown(*words, **env):
            with Terminal("-s", server.path, *words, env=env) as terminal:
                equal(terminal.finish(), 0)
                return terminal.text()
        coloured = SERVICES.replace("RUNNING", "\033[32mRUNNING\033[m")
        coloured = re.sub(r"\bhealthy", "\033[32mhealthy\033[m", coloured)
        coloured = coloured.replace("unhealthy", "\033[31munhealthy\033[m")
        equal(shown("services"), coloured)
        equal(shown("services", NO_COLOR="1"), SERVICES)
        equal(shown("services", TERM="dumb"), SERVICES)
        equal(ask(folder, "services")[1], SERVICES)


@suite.test
def what_a_terminal_would_obey_is_shown_as_a_question_mark(folder):
    evil = "a\033[2Jb\x07c\x9bd\u009b31me\tf\r\x7f\né\n"
    body = evil.replace("\x9b", "", 1).encode().replace(b"c", b"c\x9b", 1)
    plain = "a?[2Jb?c?d??31me\tf??\né\n"
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + body
    with fake(folder) as server:
        server.routes["GET /threads"] = answer
        equal(ask(folder, "threads")[1], plain)
        for words in (["threads"], ["threads", "--json"]):
            with Terminal("-s", server.path, *words, env={"NO_COLOR": "1"}) as terminal:
                equal(terminal.finish(), 0)
                equal(terminal.text(), plain)
        server.routes["GET /threads"] = (409, "\033]0;title\007\n")
        equal(ask(folder, "threads")[2], "srunctl: GET /threads: 409 ?]0;title?")


# top


FRAME = (r"cpu \S+( %)?  memory 4\.0 MiB  descriptors 12  threads 5.*"
         r"ledger 1\.2\.3  pid \d+  generation 3.*NAME +STATE")


@suite.test
def top_follows_frame_by_frame_without_a_terminal(folder):
    with fake(folder) as server:
        server.routes["GET /metrics"] = [
            (200, METRICS), (200, METRICS.replace("total 1.5", "total 2.0"))]
        code, out, err = ask(folder, "top", "--count", "2")
    equal((code, err), (0, ""))
    check(re.search(FRAME, out, re.S), out)
    equal(out.count("ledger 1.2.3"), 2)
    check("\033" not in out, out)
    first, second = re.findall(r"^cpu (\S+)", out, re.M)
    equal(first, "-")
    check(0 < float(second) < 5000, second)  # half a second of a second, which may be a short one


@suite.test
def top_draws_on_the_terminal_until_q(folder):
    with fake(folder) as server:
        with Terminal("-s", server.path, "top", columns=30, rows=5) as terminal:
            terminal.wait_for(r"\033\[H.*\033\[J.*\033\[H.*\033\[J")
            os.write(terminal.master, b"xq")
            equal(terminal.finish(), 0)
            equal(termios.tcgetattr(terminal.slave), terminal.before, "terminal")
            check(terminal.output.rstrip().endswith(b"\033[?7h\033[?25h"), terminal.output[-20:])
            before, frame = terminal.text().split("\033[H")[:2]
            check("\033[?7l" in before, "long lines would wrap")
            equal(frame.split("\033[J")[0].count("\n"), 4)


@suite.test
def top_gives_the_terminal_back_after_a_signal(folder):
    with fake(folder) as server:
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with Terminal("-s", server.path, "top") as terminal:
                terminal.wait_for(r"ledger")
                terminal.process.send_signal(signo)
                equal(terminal.finish(), 0)
                equal(termios.tcgetattr(terminal.slave), terminal.before, "terminal")
                check(terminal.output.rstrip().endswith(b"\033[?7h\033[?25h"), terminal.output[-20:])


@suite.test
def top_outlasts_its_program(folder):
    path = os.path.join(folder, "a.sock")
    with Terminal("-s", path, "top") as terminal:
        terminal.wait_for("no answer: .*No such file")
        with Fake(path) as server:
            server.routes["GET /status.json"] = (200, STATUS % 111)
            terminal.wait_for("pid 111 ")
        os.unlink(path)
        since = len(terminal.output)
        terminal.wait_for("no answer", since)
        with Fake(path) as server:
            server.routes["GET /status.json"] = (200, STATUS % 222)
            terminal.wait_for("pid 222 ")
            os.write(terminal.master, b"q")
            equal(terminal.finish(), 0)


@suite.test
def top_ends_while_nobody_answers(folder):
    done, asked = threading.Event(), threading.Event()

    def hang(*_):
        asked.set()
        done.wait(LIMIT)
    with fake(folder) as server:
        server.routes["GET /status.json"] = hang
        with Terminal("-s", server.path, "top") as terminal:
            check(asked.wait(LIMIT), "nothing was asked")
            os.write(terminal.master, b"\003")
            terminal.process.send_signal(signal.SIGINT)
            equal(terminal.finish(), 0)
        done.set()


@suite.test
def top_ends_when_it_is_not_allowed(folder):
    with fake(folder) as server:
        server.routes["GET /status.json"] = (403, "no\n")
        equal(ask(folder, "top"), (4, "", "srunctl: GET /status.json: 403 no"))


@suite.test
def top_that_is_counted_says_at_last_whether_it_was_answered(folder):
    code, out, err = ask(folder, "top", "-c", "1")
    equal((code, err), (3, ""))
    check("no answer: " in out, out)


# Completion


def complete(*words):
    """What bash offers for the last of the words."""
    script = (f"source {COMPLETION}; complete -p srunctl >/dev/null || exit 9; "
              'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _srunctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", "srunctl", *words],
                          capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ""), "bash")
    return done.stdout.split()


@suite.test
def completion_knows_commands_and_options(folder):
    _, out, _ = call(folder, "help")
    commands = re.findall(r"^  ([a-z-]+) +(?:\[?[A-Z]+\]? +)?[a-z]", out, flags=re.M)
    equal(sorted(complete("")), sorted(commands))
    equal(complete("up"), ["upgrade"])
    equal(complete("-s", "x", "se"), ["services"])
    equal(complete("log-level", "d"), ["debug"])
    equal(complete("help", "dr"), ["drain"])
    for command in commands:
        _, out, _ = call(folder, "help", command)
        equal(sorted(complete(command, "--")), sorted(set(re.findall(r"--[a-z-]+", out))), command)


@suite.test
def completion_finds_names_of_programs(folder):
    with Fake(os.path.join(folder, "ledger.sock")):
        os.environ["XDG_RUNTIME_DIR"], before = folder, os.environ.get("XDG_RUNTIME_DIR")
        try:
            equal(complete("-n", "led"), ["ledger"])
        finally:
            os.environ.pop("XDG_RUNTIME_DIR")
            if before is not None:
                os.environ["XDG_RUNTIME_DIR"] = before


if __name__ == "__main__":
    suite.main(4)

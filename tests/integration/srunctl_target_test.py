#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whom srunctl asks: over TCP with a token, over https, or by a name in the usual places."""
import contextlib
import os
import shutil
import ssl
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
from fake_admin import SERVICES, Fake  # noqa: E402
from srunctl import SRUNCTL, ask, call, fake  # noqa: E402
from support import LIMIT, Suite, check, equal, held_port  # noqa: E402

suite = Suite("srunctl_target")


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
    with held_port() as nobody:
        address = "127.0.0.1:%d" % nobody.getsockname()[1]
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


@suite.test
def one_that_has_no_time_is_not_passed_over(folder):
    """Nothing is done to a program because another one, which may be meant, is busy."""
    done = threading.Event()

    def hang(*_):
        done.wait(LIMIT)
    with Fake(os.path.join(folder, "busy.sock")) as busy, \
            Fake(os.path.join(folder, "one.sock")) as one, contextlib.ExitStack() as at_end:
        at_end.callback(done.set)
        one.routes["POST /admin/stop"] = (202, "stopping\n")
        for answer in (hang, (503, "too many connections\n")):
            busy.routes["GET /build"] = answer
            found = alone(folder, "stop")
            if found is None:
                return  # no namespaces here
            code, out, err = found
            equal((code, out), (2, ""), err)
            check("/busy.sock has no time to say who it is; pick one with -n NAME or -s: " in err, err)
            check("/one.sock" in err, err)
        check(not any("POST" in line for line in one.lines() + busy.lines()), "it was stopped")
        busy.routes["GET /build"] = hang
        equal(alone(folder, "-n", "one", "stop"), (0, "stopping\n", ""))
        one.close()
        code, out, err = alone(folder, "services")
        equal((code, out), (3, ""), err)
        check("/busy.sock has no time to say who it is; -n NAME or -s PATH asks it still" in err, err)
        equal(alone(folder, "-n", "busy", "services"), (0, SERVICES, ""))


suite.main(4)

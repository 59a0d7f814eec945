#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""srunctl new: what it writes is built against an installed libsrun, tests itself, runs, and is
upgraded without losing its socket."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys

sys.dont_write_bytecode = True
from endure import eventually  # noqa: E402
from srunctl import SRUNCTL  # noqa: E402
from support import (BUILD_DIR, LIMIT, SOURCE_DIR, Process, Suite, cached, check, equal,  # noqa: E402
                     run)

TEMPLATE = os.path.join(SOURCE_DIR, "srunctl", "template")
suite = Suite("srunctl_new")


def tree(folder):
    """All files below a folder, by their relative paths."""
    return sorted(os.path.relpath(os.path.join(above, name), folder)
                  for above, _, names in os.walk(folder) for name in names)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def new(folder, *words):
    """A new program, which must be there then."""
    code, out, err = run([SRUNCTL, "new", *words], folder)
    equal((code, err), (0, ""), words)
    return out


def refuse(folder, code, text, *words):
    before = tree(folder)
    equal(run([SRUNCTL, "new", *words], folder), (code, "", "srunctl: " + text), words)
    equal(tree(folder), before, "files")


def installed(folder, name="prefix"):
    """The built tree, installed below a folder: the environment in which pkg-config finds it."""
    prefix = os.path.join(folder, name)
    subprocess.run(["cmake", "--install", BUILD_DIR, "--prefix", prefix], check=True,
                   stdout=subprocess.DEVNULL)
    found = [os.path.join(above, "srun.pc") for above, _, names in os.walk(prefix)
             if "srun.pc" in names]
    equal(len(found), 1, "srun.pc")
    text = re.sub(r"^prefix=.*", "prefix=" + prefix, read(found[0]), flags=re.M)
    with open(found[0], "w", encoding="utf-8") as file:
        file.write(text)
    return {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(found[0]),
            "CFLAGS": sanitizer(), "CC": cached("CMAKE_C_COMPILER")}


def sanitizer():
    """What a program is compiled with that uses the library as it was built."""
    return f"-fsanitize={cached('SRUN_SANITIZE')}" if cached("SRUN_SANITIZE") else ""


def built(folder, source, env):
    """Configures and builds; warnings are errors. The folder of the build."""
    build = os.path.join(source, "build")
    flags = "-DCMAKE_C_FLAGS=-Werror " + sanitizer()
    for step in (["cmake", "-S", source, "-B", build, "-G", "Ninja", flags],
                 ["cmake", "--build", build, "-j", "2"],
                 ["ctest", "--test-dir", build, "--output-on-failure"]):
        done = subprocess.run(step, env=env, cwd=folder, capture_output=True, text=True, check=False)
        equal(done.returncode, 0, " ".join(step) + "\n" + done.stdout + done.stderr)
    return build


def ask(port, question="hello"):
    with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
        client.sendall(question.encode() + b"\n")
        return b"".join(iter(lambda: client.recv(4096), b"")).decode()


def answer_of(port):
    """The generation that answers; somebody must."""
    text = ask(port)
    found = re.fullmatch(r"tea-pot, generation ([12]): hello\n", text)
    check(found, f"answered: {text!r}")
    return found[1]


@suite.test
def the_template_passes_its_own_test(folder):
    code, out, err = run([os.path.join(BUILD_DIR, "tests", "integration", "mydaemon_test")], folder)
    equal((code, out), (0, "2 passed, 0 failed\n"), err)


@suite.test
def what_it_writes_builds_passes_its_tests_and_is_upgraded(folder):
    out = new(folder, "tea-pot", "--dir=pot")
    check("cmake -S pot -B pot/build" in out and "pot/build/tea-pot\n" in out, out)
    build = built(folder, os.path.join(folder, "pot"), installed(folder))
    env = {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "none",
           "SRUN_ADMIN_SOCKET": os.path.join(folder, "admin.sock")}
    with Process([os.path.join(build, "tea-pot"), "--listen=tcp://127.0.0.1:0"], folder,
                 env) as pot:
        port = int(pot.wait_for(r"msg=listening .*address=tcp://127\.0\.0\.1:(\d+)").group(1))
        pot.wait_for("msg=started")
        equal(ask(port), "tea-pot, generation 1: hello\n")
        ctl = [SRUNCTL, "-s", env["SRUN_ADMIN_SOCKET"]]
        code, metrics, err = run([*ctl, "metrics"], folder)
        equal((code, err), (0, ""), "metrics")
        check(re.search(r'^tea_pot_questions_total\{.*result="answered"\} 1$', metrics, re.M), metrics)
        equal(run([*ctl, "wait", "--healthy"], folder), (0, "", ""))

        with socket.create_connection(("127.0.0.1", port), LIMIT) as early:
            early.sendall(b"not ")  # accepted by the old generation, which sees it to its end
            pot.signal(signal.SIGHUP)
            eventually(lambda: answer_of(port) == "2", "an answer of the next generation")
            early.sendall(b"lost\n")
            text = b"".join(iter(lambda: early.recv(4096), b"")).decode()
        check(re.fullmatch(r"tea-pot, generation [12]: not lost\n", text), text)
        equal(ask(port), "tea-pot, generation 2: hello\n")
        equal(run([*ctl, "stop", "--wait"], folder)[0], 0, "stop")
        equal(pot.wait(), 0, "exit code")
        eventually(lambda: not pot.family(), "the end of all generations")
        pot.finish()


@suite.test
def a_signal_ends_it_with_exit_code_0(folder):
    with Process([os.path.join(BUILD_DIR, "tests", "integration", "mydaemon"),
                  "--listen=tcp://127.0.0.1:0"], folder) as daemon:
        daemon.wait_for("msg=started")
        daemon.signal(signal.SIGTERM)
        equal(daemon.finish(), 0, "exit code")


@suite.test
def every_file_is_written_under_the_new_name(folder):
    new(folder, "ledger")
    renamed = sorted(name.replace("mydaemon", "ledger") for name in tree(TEMPLATE))
    equal(tree(os.path.join(folder, "ledger")), renamed, "files")
    for name in tree(TEMPLATE):
        text = read(folder, "ledger", name.replace("mydaemon", "ledger"))
        equal(text, read(TEMPLATE, name).replace("mydaemon", "ledger"), name)
    equal(os.listdir(folder), ["ledger"], "what else is there")


@suite.test
def permissions_are_what_the_umask_says(folder):
    code, _, err = run(["sh", "-c", f"umask 027 && exec '{SRUNCTL}' new ledger"], folder)
    equal((code, err), (0, ""))
    for name, mode in (("ledger", 0o750), ("ledger/src", 0o750), ("ledger/README.md", 0o640)):
        found = os.stat(os.path.join(folder, name))
        equal(oct(stat.S_IMODE(found.st_mode)), oct(mode), name)


@suite.test
def an_empty_folder_is_taken(folder):
    os.mkdir(os.path.join(folder, "here"))
    new(folder, "ledger", "--dir", "here/")
    check("ledger.service" in os.listdir(os.path.join(folder, "here")), "no ledger.service")


@suite.test
def what_is_there_is_left_alone(folder):
    os.makedirs(os.path.join(folder, "full", ".git"))
    refuse(folder, 1, "full: is there already, and not empty", "full")
    with open(os.path.join(folder, "file"), "w", encoding="utf-8"):
        pass
    refuse(folder, 1, "file: is there already, and no folder", "file")
    os.symlink("full", os.path.join(folder, "link"))
    refuse(folder, 1, "link: is there already, and no folder", "link")


@suite.test
def all_is_written_or_nothing(folder):
    refuse(folder, 1, "no/where: No such file or directory", "ledger", "--dir=no/where")
    # A file that may not grow fails in the middle of the work.
    code, out, err = run(["bash", "-c", f"ulimit -f 1; trap '' XFSZ; exec '{SRUNCTL}' new ledger"],
                         folder)
    equal((code, out, err), (1, "", "srunctl: ledger: File too large"))
    equal(os.listdir(folder), [], "what is left")


@suite.test
def a_bad_name_is_told_with_what_is_accepted(folder):
    for name in ("", "Ledger", "1st", "-x-", "a_b", "a/b", "a-", "é", "x" * 33, ".."):
        refuse(folder, 2, f'new "{name}": a name is a letter and up to 31 letters, digits and -, '
               "all in lower case, the last one no -", "--", name)
    for name in ("test", "all", "install"):
        refuse(folder, 2, f'new "{name}": CMake has a target of this name; take another one', name)
    new(folder, "x" * 32)
    refuse(folder, 2, "new: a NAME is missing, which the program will have")
    for path in (".", "..", "a/.", "/", ""):
        refuse(folder, 2, f'--dir "{path}": the path of a new or empty folder, which does not end '
               "in . or ..", "ledger", "--dir", path)


@suite.test
def it_asks_no_program(folder):
    refuse(folder, 2, "--socket: new does not take it; srunctl help new lists what it takes",
           "ledger", "-s", "x.sock")
    out = run([SRUNCTL, "help", "new"], folder)[1]
    equal(sorted(set(re.findall(r"--[a-z-]+", out))), ["--dir", "--help", "--version"], out)


@suite.test
def systemd_understands_the_unit(folder):
    if shutil.which("systemd-analyze") is None:
        return
    new(folder, "ledger")
    unit = os.path.join(folder, "ledger", "ledger.service")
    text = re.sub("/usr/local/bin/(ledger|srunctl)", "/bin/true", read(unit))  # none is installed
    with open(unit, "w", encoding="utf-8") as file:
        file.write(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                          text=True, check=False)
    equal((done.returncode, done.stdout + done.stderr), (0, ""), "systemd-analyze")


if __name__ == "__main__":
    suite.main()

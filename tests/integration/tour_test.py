#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/tour.md does what it says: its commands are run, one after the other in one bash, and print
what the page shows. Times, pids, numbers and ids may differ; a line of "..." stands for any lines.

Two things are not as on the page. Ports are free ones; and ./dev install installs what is built
already."""
import os
import random
import re
import socket
import sys

sys.dont_write_bytecode = True
from endure import eventually  # noqa: E402
from support import (LIMIT, SANITIZE, SOURCE_DIR, Failure, Process, Suite, check,  # noqa: E402
                     equal, normalise)
from srunctl_new_test import cached, installed, sanitizer  # noqa: E402

PAGE = os.path.join(SOURCE_DIR, "docs", "tour.md")
PORTS = ("7000", "8778", "4318")
MARK = "== block"
suite = Suite("tour")


def blocks():
    """(commands, what they print or None, line of the page), in order."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    found = []
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", text, flags=re.S | re.M):
        line = text.count("\n", 0, block.start()) + 1
        if block[1] == "sh":
            found.append([block[2], None, line])
        else:
            equal((block[1], found[-1][1]), ("text", None), f"the block in line {line}")
            found[-1][1] = block[2]
    if SANITIZE == "thread":  # which holds the signals back that profiles are made of
        found = [part for part in found if "srunctl -n tally profile" not in part[0]]
    return found


def free_ports():
    """Outside of what the kernel gives to those who ask for port 0: no other test gets them."""
    found = []
    for port in random.sample(range(10000, 30000), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(str(port))
        if len(found) == len(PORTS):
            return found
    raise Failure("no free ports")


def plain(line):
    """Without what differs from run to run."""
    line = re.sub(r"\b(healthy|unknown)\b", "<health>", normalise(line))  # not told of yet
    line = re.sub(r"^(\[\+\]answer ok) .*", r"\1", line)
    if " RUNNING " in line:
        return re.sub(r" +", " ", line)
    return re.sub(r"^ +\d+ ", "<count> ", line).rstrip()


def same(shown, printed):
    """Do the lines agree?"""
    pattern = "".join("(?:.*\n)*" if line == "..." else re.escape(plain(line)) + "\n"
                      for line in shown.splitlines())
    return re.fullmatch(pattern, "".join(plain(line) + "\n" for line in printed.splitlines()))


def script(parts):
    """All blocks as one program, which ends where a block fails."""
    text = "exec >../printed 2>&1\n"
    for index, (commands, _, _) in enumerate(parts):
        text += f"{commands}status=$?; printf '\\n{MARK} {index} %s\\n' $status\n"
        text += "[ $status -eq 0 ] || { kill $(jobs -p); exit 1; }\n"
    for port, free in zip(PORTS, free_ports()):
        text = re.sub(rf"\b{port}\b", free, text)
    return text


@suite.test
def the_page_does_what_it_says(folder):
    home, tree = os.path.join(folder, "home"), os.path.join(folder, "tree")
    os.makedirs(home)
    os.makedirs(tree)
    env = installed(home, "libsrun")
    os.symlink(os.path.join(SOURCE_DIR, "tools"), os.path.join(tree, "tools"))
    with open(os.path.join(tree, "dev"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexit 0\n")
    os.chmod(os.path.join(tree, "dev"), 0o755)
    parts = blocks()
    text = script(parts)
    with open(os.path.join(folder, "tour.sh"), "w", encoding="utf-8") as file:
        file.write(text)
    admin = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", text)[1]
    with Process(["bash", "--norc", os.path.join(folder, "tour.sh")], tree,
                 {"HOME": home, "XDG_RUNTIME_DIR": folder, "CC": env["CC"], "CFLAGS": sanitizer(),
                  "SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "127.0.0.1:" + admin}) as tour:
        code = tour.wait(3 * LIMIT)
        with open(os.path.join(folder, "printed"), encoding="utf-8") as file:
            compare(parts, file.read())
        eventually(lambda: not tour.family(), "the end of all that it started")
        equal((code, tour.finish()), (0, 0), "exit code")


def compare(parts, printed):
    for index, (commands, shown, line) in enumerate(parts):
        output, mark, rest = printed.partition(f"\n{MARK} {index} ")
        where = f"docs/tour.md:{line}: "
        check(mark, where + "did not come to its end:\n" + commands + printed)
        status, _, printed = rest.partition("\n")
        equal(status, "0", where + "status of the last command\n" + output)
        check(same(shown or "", output), f"{where}prints\n{output}\n    instead of\n{shown}")


@suite.test
def differences_are_seen(folder):
    check(same("a pid 1\n...\nb\n", "a pid 22\nx\ny\nb\n"), "lines that are left out")
    check(not same("a\n...\nb\n", "a\nx\n"), "a line that is missing")
    check(not same("", "a\n"), "a line too many")


suite.main()

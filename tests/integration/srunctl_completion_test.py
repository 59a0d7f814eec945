#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What bash offers for a line that begins with srunctl."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from fake_admin import Fake  # noqa: E402
from srunctl import call  # noqa: E402
from support import SOURCE_DIR, Suite, equal  # noqa: E402

suite = Suite("srunctl_completion")
COMPLETION = os.path.join(SOURCE_DIR, "packaging", "completion", "srunctl.bash")


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


suite.main()

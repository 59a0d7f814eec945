#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The manual pages as they are installed: `man CALL` finds each call."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from support import BUILD_DIR, SOURCE_DIR, Suite, check  # noqa: E402

suite = Suite("man")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


@suite.test
def each_call_leads_to_its_page(folder):
    subprocess.run(["cmake", "--install", BUILD_DIR, "--prefix", folder], check=True,
                   stdout=subprocess.DEVNULL)
    man = os.path.join(folder, "share", "man")
    calls = re.findall(r"^\s*(srun_\w+);", read(SOURCE_DIR, "src", "libsrun.map"), flags=re.M)
    check(len(calls) > 100, f"{len(calls)} calls")
    for call in calls:
        text = read(man, "man3", call + ".3")
        link = re.fullmatch(r"\.so (man3/\w+\.3)\n", text)
        check(f".Fo {call}\n" in (read(man, link[1]) if link else text), f"man {call}: {text[:80]}")


@suite.test
def each_page_of_the_tree_is_installed(folder):
    subprocess.run(["cmake", "--install", BUILD_DIR, "--prefix", folder], check=True,
                   stdout=subprocess.DEVNULL)
    for page in os.listdir(os.path.join(SOURCE_DIR, "man")):
        path = os.path.join(folder, "share", "man", "man" + page[-1], page)
        check(os.path.exists(path), f"{page} is not installed")


suite.main()

# SPDX-License-Identifier: MIT
"""What the check-* scripts share: named cases, each with the list of what is wrong.

    suite = Suite("layers")
    suite.case("every_file_has_a_layer", problems)   # problems: lines "file:line: what"; none = passed
    suite.finish()                                   # prints "docs.layers: N passed, N failed"
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Suite:
    def __init__(self, name):
        self.name = "docs." + name
        self.listing = "--list" in sys.argv[1:]
        self.passed = self.failed = 0

    def case(self, name, problems):
        """problems is a list, or a function that makes one (not called by --list)."""
        if self.listing:
            print(f"{self.name}.{name}")
            return
        found = problems() if callable(problems) else problems
        if found:
            self.failed += 1
            print(f"FAILED {self.name}.{name}")
            for line in found:
                print("    " + line)
        else:
            self.passed += 1

    def finish(self):
        if not self.listing:
            print(f"{self.name}: {self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def files(*suffixes, under=""):
    """The files of the project, relative to its root, sorted; not what git ignores."""
    try:
        listed = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or no git
        listed = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [f for f in folders if f not in (".git", "build", "__pycache__")]
            listed += [os.path.relpath(os.path.join(folder, n), ROOT) for n in names]
    return sorted(name for name in set(listed)
                  if name and name.startswith(under) and os.path.isfile(os.path.join(ROOT, name))
                  and (not suffixes or name.endswith(suffixes)))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def run(*command):
    """What the command printed when it failed, as lines; nothing when it did not fail."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).splitlines() or [f"{command[0]}: status {done.returncode}"]

# SPDX-License-Identifier: MIT
"""What a careless library does to its process does not reach the next generations."""
import collections
import contextlib
import os
import re
import signal
import statistics
import sys

sys.dont_write_bytecode = True
from endure import eventually, full, server, spread, tell  # noqa: E402
from support import SANITIZE, Suite, check, equal  # noqa: E402

suite = Suite("upgrade_leak")
# The thread sanitizer waits a second for a thread that was forgotten.
UPGRADES = full(12 if SANITIZE else 40, 1000)
OURS = b"SRUN_HANDOVER="


def read(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def status(pid, *names):
    text = read(pid, "status").decode()
    return {name: re.search(rf"^{name}:\s*(.*)$", text, re.M).group(1) for name in names}


def descriptors(pid):
    """How many there are of each name."""
    names = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # it has just been closed
            name = os.readlink(f"/proc/{pid}/fd/{fd}")
            names[re.sub(r":\[(\d+)\]$", "", name)] += 1
    return dict(names)


def threads(pid):
    """The name of each thread and what it blocks."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            name = read(pid, f"task/{task}/comm").decode().strip()
            found.append((name, status(f"{pid}/task/{task}", "SigBlk")["SigBlk"]))
        except OSError:
            pass  # it has just ended
    return sorted(found)


def started_with(pid):
    """What exec was given, without the one variable that is the library's."""
    variables = [v for v in read(pid, "environ").split(b"\0") if not v.startswith(OURS)]
    return read(pid, "cmdline"), variables


def signals(pid):
    """What is ignored, caught and pending. 32 and 33 are the C library's own; its posix_spawn may
    start a process with them ignored, and nobody else can change that."""
    sets = status(pid, "SigIgn", "SigCgt", "ShdPnd", "SigPnd")
    return {name: hex(int(bits, 16) & ~(3 << 31)) for name, bits in sets.items()}


def seen(pid):
    """All that has to be the same in each generation."""
    return {"descriptors": descriptors(pid), "threads": threads(pid),
            "signals": signals(pid),
            "limits": read(pid, "limits"), "umask": status(pid, "Umask"),
            "folder": os.readlink(f"/proc/{pid}/cwd"), "start": started_with(pid)}


def settled(pid):
    """The same, when no thread is just being started, until which all its signals are blocked, and
    those have ended that the library has for what takes a moment."""
    def calm():
        now = seen(pid)
        return None if any(mask.startswith("ffffffff") or name == "srun:ops"
                           for name, mask in now["threads"]) else now
    return eventually(calm, "threads that have started")


def same(pid, expected, what):
    """It comes to be so: threads that have had their use end a moment later."""
    eventually(lambda: not [k for k, v in seen(pid).items() if v != expected[k]] or None,
               what)


def check_same(pid, expected, what):
    try:
        same(pid, expected, what)
    except AssertionError:
        now = seen(pid)
        different = {k: (now[k], v) for k, v in expected.items() if now[k] != v}
        raise AssertionError(f"{what}: now, and expected: {different}") from None


def end_helper(pid):
    """The helper of a generation that has gone: it has outlived it."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def helper_since(served, since):
    return int(served.wait_for(r"msg=helper .*helper_pid=(\d+)", since=since).group(1))


def zombies(served):
    """Children of the process that nobody has waited for."""
    pid, found = served.served_by(), []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):  # a thread or a child that has just ended
            for child in read(pid, f"task/{task}/children").split():
                if status(int(child), "State")["State"].startswith("Z"):
                    found.append(child)
    return found


def resident_kib(pid):
    return int(status(pid, "VmRSS")["VmRSS"].split()[0])


def equal_starts(folder, last):
    """What the program itself saw of its start: arguments, environment, limits, ..."""
    texts = []
    for generation in (1, 2, last):
        with open(os.path.join(folder, f"start.{generation}"), encoding="utf-8") as file:
            texts.append(file.read().splitlines())
    check(len(texts[0]) > 60, "the program told too little of its start")
    equal(texts[1], texts[0], "the start of the second generation")
    equal(texts[2], texts[0], "the start of the last generation")


@suite.test
def a_careless_library_with_a_helper_leaves_nothing_to_later_generations(folder):
    took, resident = [], []
    with server(folder, "--leaky=1", "--child", "", "--child=a %s\n\xff", env={"TEST_TELL": "1"},
                probation="0s") as served:
        expected = settled(served.pid)
        helpers = [helper_since(served, 0)]
        for generation in range(2, UPGRADES + 2):
            since = served.mark_now()
            took.append(served.upgrade(ended=True))
            helpers.append(helper_since(served, since))
            resident.append(resident_kib(served.served_by()))
            if generation == 2:
                check_same(served.served_by(), expected, "the second generation")
            if generation > 2:
                end_helper(helpers.pop(0))
        equal(served.generation, UPGRADES + 1, "generation")
        check_same(served.served_by(), expected, "the last generation")
        equal(zombies(served), [], "zombies")
        equal_starts(folder, UPGRADES + 1)
        for helper in helpers:
            end_helper(helper)
        equal(served.stop(), 0, "exit code")
        masks = [re.sub(r"generation=\d+ ", "", line) for line in served.lines
                 if line.startswith("masks ")]
        equal((len(masks), len(set(masks))), (UPGRADES + 1, 1), "masks of the main thread")
    early = statistics.median(resident[:10])
    late = statistics.median(resident[-10:])
    tell("upgrades, ms", spread(took))
    tell("resident, KiB", f"generations 2 to 11: {early:.0f}, the last ten: {late:.0f}")
    if not SANITIZE:
        check(abs(late - early) <= early * 0.02 + 64, f"resident: {early} KiB, then {late}")


suite.main()

# SPDX-License-Identifier: MIT
"""What the suites of fault tests have tried, all together: no call that they passed was spared, and
each call in the source of the library, of srunctl and of the plugins was passed by one of them, or is
excused in sites.excused.

A site is a line of the source and the name that is called there. Each suite leaves behind which
addresses it saw (sites.c); binutils say what they are.
"""
import collections
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from support import BUILD_DIR, SOURCE_DIR, Suite, check  # noqa: E402

FOLDER = os.path.join(BUILD_DIR, "tests", "fault")
EXCUSED = os.path.join(SOURCE_DIR, "tests", "fault", "sites.excused")
# So often at least is reached what was offered to fail a few times and then was not there: chance.
CHANCE = 10
# Whose result nobody looks at, since they give something back.
RELEASES = {"free"}

suite = Suite("sites", "fault")


def output(*command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def lines_of(program, addresses):
    """{address: "src/file.c:12"}, or below srunctl/ or plugins/."""
    addresses = sorted(addresses)
    told = output(os.environ.get("ADDR2LINE", "addr2line"), "-e", program,
                  text="".join(f"{address:#x}\n" for address in addresses)).splitlines()
    return {address: re.sub(r"^.*/(src|srunctl|plugins)/", r"\1/", line.split(" ")[0])
            for address, line in zip(addresses, told)}


class Static:
    """Every call of a wrapper in a program, by address of the instruction."""

    def __init__(self, program):
        self.calls, direct, jumps = {}, collections.defaultdict(set), collections.defaultdict(set)
        function = None
        for line in output(os.environ.get("OBJDUMP", "objdump"), "-d", "--no-show-raw-insn",
                           program).splitlines():
            head = re.match(r"[0-9a-f]+ <(.*)>:$", line)
            if head:
                function = head.group(1)
                continue
            found = re.match(r" *([0-9a-f]+):\t(?:addr32 )?(call|jmp) +[0-9a-f]+ <([^+>]+)>", line)
            if not found or (function or "").startswith("__wrap_") or function == "fault_free":
                continue
            address, verb, target = int(found.group(1), 16), found.group(2), found.group(3)
            if target.startswith("__wrap_"):
                self.calls[address] = target[len("__wrap_"):]
                if verb == "jmp":
                    jumps[function].add(address)
            elif verb == "call":
                direct[target].add(address)
        where = lines_of(program, set(self.calls) | {a for some in direct.values() for a in some})
        self.sites = {(where[address], name) for address, name in self.calls.items()
                      if name not in RELEASES}
        # Behind a jump at the end of a function stands who called that function.
        self.behind = collections.defaultdict(set)
        for function, ends in jumps.items():
            for caller in direct[function]:
                for end in ends:
                    self.behind[where[caller], self.calls[end]].add((where[end], self.calls[end]))


def read_record(subject, static, seen):
    """Adds to seen: {site: [reached, failed]}. The number of points."""
    program = os.path.join(FOLDER, "fault_" + subject)
    with open(program + ".sites", encoding="utf-8") as file:
        points, extent = file.readline().split()[1:]
        check(extent == "all", f"fault.{subject} has not tried every point")
        records = [(int(at, 16), name, int(reached), int(failed))
                   for at, name, reached, failed in map(str.split, file)]
    where = lines_of(program, {at - 1 for at, *_ in records})
    for at, name, reached, failed in records:
        site = where[at - 1], name
        for one in (static.behind[site] if site not in static.sites else ()) or {site}:
            seen[one][0] += reached
            seen[one][1] += failed
    return int(points)


def read_excuses():
    """{(file, name): reason}; lines "src/file.c name   reason"."""
    excuses = {}
    with open(EXCUSED, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                path, name, reason = line.split(None, 2)
                excuses[path, name] = reason.strip()
    return excuses


class World:
    """Read once."""

    def __init__(self):
        self.seen = collections.defaultdict(lambda: [0, 0])
        self.points, self.sites = 0, set()
        # Suites of the library have the same code in them; each of the others has its own.
        for group in (os.environ["FAULT_SUBJECTS"].split(","),
                      *([one] for one in os.environ["FAULT_CLIENTS"].split(",") if one)):
            static = Static(os.path.join(FOLDER, "fault_" + group[0]))
            self.sites |= static.sites
            self.points += sum(read_record(subject, static, self.seen) for subject in group)
        self.excuses = read_excuses()
        failed = {site for site, (_, times) in self.seen.items() if times}
        print(f"summary: fault, all suites: {self.points} points in {len(self.sites & failed)} call "
              f"sites, of {len(self.sites)} that library, srunctl and plugins have")
        if os.environ.get("FAULT_TELL"):
            print(f"fault: not found in the source: {listed(failed - self.sites)}")


world = []


def the_world():
    if not world:
        world.append(World())
    return world[0]


def listed(sites):
    return "".join(f"\n    {place} {name}" for (place, name) in sorted(sites))


@suite.test
def spares_no_call_that_was_passed(folder):
    del folder
    now = the_world()
    spared = [(place, name) for (place, name), (reached, failed) in now.seen.items()
              if reached > CHANCE and not failed and (place.split(":")[0], name) not in now.excuses]
    check(not spared, f"passed, but never made to fail:{listed(spared)}")


@suite.test
def passes_every_call_or_excuses_it(folder):
    del folder
    now = the_world()
    missed = [site for site in now.sites if not now.seen.get(site, (0, 0))[1]]
    open_ones = [(place, name) for place, name in missed
                 if (place.split(":")[0], name) not in now.excuses]
    check(not open_ones, f"never made to fail, and not excused:{listed(open_ones)}")


@suite.test
def excuses_nothing_that_is_tried(folder):
    del folder
    now = the_world()
    missed = {(place.split(":")[0], name) for place, name in now.sites
              if not now.seen.get((place, name), (0, 0))[1]}
    idle = [excuse for excuse, reason in now.excuses.items()
            if excuse not in missed and not reason.startswith("by chance")]
    check(not idle, f"excused, and yet made to fail (or gone):{listed(idle)}")


suite.main()

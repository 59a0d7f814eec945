# SPDX-License-Identifier: MIT
"""What the functions in a profile are called, wherever their names are found."""
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
from pprof import Profile  # noqa: E402
from profiled import PROGRAM, get, profile, profile_with, served, tests  # noqa: E402
from support import BUILD_DIR, SANITIZE, Suite, check, equal  # noqa: E402

suite = Suite("profile_names")
test = tests(suite)


# --- names


@test
def names_survive_that_the_file_is_replaced(folder):
    program = os.path.join(folder, "profiled")
    shutil.copy(PROGRAM, program)
    with served(folder, "spin", program) as server:
        fresh = os.path.join(folder, "fresh")
        shutil.copy("/bin/true", fresh)
        os.rename(fresh, program)
        profile_with(server, "spin_long")  # static functions have names
        equal(server.stop(), 0, "exit code")


@test
def a_stripped_program_has_its_build_id(folder):
    program = os.path.join(folder, "profiled")
    subprocess.run(["strip", "-o", program, PROGRAM], check=True)
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True)
    wanted = re.search(r"Build ID: (\w+)", notes.stdout)
    with served(folder, "spin", program) as server:
        found = profile_with(server, "[profiled]")
        equal(list(found.build_ids())[0], program, "the first mapping")
        if wanted is not None:
            equal(found.build_ids()[program], wanted[1], "build id")
        equal(server.stop(), 0, "exit code")


PLUGIN = os.path.exists(os.path.join(BUILD_DIR, "srun", "libsrun-symbols.so.0"))


@test
def names_in_a_file_that_several_share_are_found(folder):
    """What dwz has moved into a file of its own, as Debian's -dbgsym packages have it."""
    program, other, common = (os.path.join(folder, name) for name in ("profiled", "other", "common"))
    for copy in (program, other):
        subprocess.run(["objcopy", "--decompress-debug-sections", PROGRAM, copy], check=True)
    done = subprocess.run(["dwz", "-m", common, "-M", common, program, other], stderr=subprocess.PIPE, text=True,
                          check=False)
    if "Unknown debugging section .debug_addr" in done.stderr:
        print("    skipped: Debian 12's dwz does not know what clang writes")
        return
    equal(done.returncode, 0, done.stderr)
    with served(folder, "spin", program) as server:
        found = profile_with(server, "spin_long")
        places = {name: place for number in found.locations
                  for name, place in zip(found.names(number), found.places(number))}
        for name in ("spin_long", "turn_spin", "work"):
            check(re.search(r"main\.c:[1-9]\d*$", places[name]), f"{name}: {places[name]}")
        equal(server.stop(), 0, "exit code")
    os.remove(common)
    with served(folder, "", program) as server:
        Profile(get(server, "/debug/pprof/threads")).check()
        equal(server.stop(), 0, "exit code")


@test
def lines_and_inlined_functions_are_named_by_the_plugin(folder):
    check(PLUGIN, "the plugin was not built: libdw-dev is missing")
    with served(folder, "spin") as server:
        found = profile_with(server, "spin_long")
        places = {name: place for number in found.locations
                  for name, place in zip(found.names(number), found.places(number))}
        source = re.escape(os.path.join("programs", "profiled", "main.c"))
        for name in ("spin_long", "turn_spin", "work"):
            check(re.search(source + r":[1-9]\d*$", places[name]), f"{name}: {places[name]}")
        equal(server.stop(), 0, "exit code")


def debug_apart(folder, *options):
    """A program without debug information, and the file beside it that has it."""
    program = os.path.join(folder, "profiled")
    debug = os.path.join(folder, ".debug", "profiled.debug")
    os.mkdir(os.path.dirname(debug))
    subprocess.run(["objcopy", "--only-keep-debug", *options, PROGRAM, debug], check=True)
    subprocess.run(["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", PROGRAM, program],
                   check=True)
    return program, debug


@test
def debug_information_may_be_compressed(folder):
    program, debug = debug_apart(folder, "--compress-debug-sections=zlib")
    sections = subprocess.run(["readelf", "-SW", debug], capture_output=True, text=True, check=True)
    check(re.search(r"\.debug_info .* C ", sections.stdout), "nothing is compressed")
    with served(folder, "", program) as server:
        found = Profile(get(server, "/debug/pprof/threads"))
        places = [place for number in found.locations for place in found.places(number)]
        check(any(re.search(r"profiled/main\.c:[1-9]", place) for place in places), str(places))
        equal(server.stop(), 0, "exit code")


@test
def debug_information_that_is_damaged_does_no_harm(folder):
    program, debug = debug_apart(folder, "--compress-debug-sections=zlib")
    sections = subprocess.run(["readelf", "-SW", debug], capture_output=True, text=True, check=True)
    wanted = re.findall(r"\] (\.debug_\w+) +PROGBITS +\w+ (\w+) (\w+)", sections.stdout)
    check(len(wanted) >= 4, sections.stdout)
    with open(debug, "r+b") as file:
        for _, offset, size in wanted:
            file.seek(int(offset, 16) + int(size, 16) // 2)
            file.write(b"\xff" * 16)
    with served(folder, "", program) as server:
        Profile(get(server, "/debug/pprof/threads")).check()
        equal(server.stop(), 0, "exit code")
    os.truncate(debug, os.path.getsize(debug) // 2)
    with served(folder, "", program) as server:
        Profile(get(server, "/debug/pprof/threads")).check()
        equal(server.stop(), 0, "exit code")


@test
def debug_information_is_found_beside_the_program_and_nobody_is_asked(folder):
    program, _ = debug_apart(folder)
    asked = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{listener.server_port}/"
        with served(folder, "spin libc", program, {"DEBUGINFOD_URLS": url}) as server:
            profile_with(server, "spin_long")
            equal(server.stop(), 0, "exit code")
        listener.shutdown()
    equal(asked, [], "requests for debug information")


@test
def debug_information_of_somebody_else_is_not_read(folder):
    if os.geteuid() != 0:
        print("    skipped: only root gives files away")
        return
    program, debug = debug_apart(folder)
    os.chown(debug, 65534, 65534)
    with served(folder, "spin libc", program) as server:
        found = profile(server, 1)
        check("spin_long" not in found.by_function(), str(found.by_function()))
        equal(server.stop(), 0, "exit code")


suite.main(at_once=1 if SANITIZE else 2)

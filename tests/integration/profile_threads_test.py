# SPDX-License-Identifier: MIT
"""What all threads of a program do, and who waits for whom."""
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from endure import eventually  # noqa: E402
from pprof import Profile  # noqa: E402
from profiled import TRACED, get, profile, served, tests  # noqa: E402
from support import SANITIZE, Suite, check, equal  # noqa: E402

suite = Suite("profile_threads")
test = tests(suite)


# --- threads


@test
def a_thousand_threads_say_what_they_do(folder):
    threads = 200 if SANITIZE else 1000
    with served(folder, f"idle={threads}") as server:
        def told():
            """How many have answered, and how many block the signal; they take their time to get there."""
            each = get(server, "/debug/pprof/goroutine?debug=2").decode()
            return [len(re.findall(pattern, each, re.M)) for pattern in (
                r'^thread \d+ "idle" \[sleeping\]:\npause',
                r'^thread \d+ "deaf" \[sleeping\]:\nno stack: it blocks SIGPROF')]
        eventually(lambda: told() == [threads * 9 // 10, threads // 10], "all are there")
        grouped = get(server, "/debug/pprof/threads?debug=1").decode()
        check(f"\n{threads * 9 // 10} @ 0x" in grouped, grouped[:500])
        found = Profile(get(server, "/debug/pprof/goroutine"))
        found.check()
        equal(found.by_function()["pause"], threads * 9 // 10, "in profile.proto")
        equal(found.by_function()["(no stack)"], threads // 10, "those without a stack")
        os.kill(server.pid, signal.SIGKILL)  # nobody joins so many threads
        server.wait()


MARK = r'^thread (\d+) "(.*)" \[sleeping, waits for the mutex (0x\w+) held by (?:thread (\d+) "(.*)"|(itself))\]:$'


def stacks(server):
    return get(server, "/debug/pprof/goroutine?debug=2").decode()


def waits(server, count):
    """{name: (tid, mutex, holder's tid, holder's name or itself)}, once so many are known."""
    found = []

    def seen():
        found[:] = re.findall(MARK, stacks(server), re.M)
        return len(found) == count
    eventually(seen, f"{count} threads wait for somebody")
    return {one[1]: (one[0], one[2], one[3], one[4] or one[5]) for one in found}


def killed(server):
    os.kill(server.pid, signal.SIGKILL)  # they wait for ever
    server.wait()


@test
def threads_that_wait_for_a_mutex_are_marked_and_counted(folder):
    with served(folder, "stuck=5 idle=10 spin") as server:
        def stuck():
            text = stacks(server)
            return text if text.startswith("5 threads wait for a mutex\n\n") else None
        eventually(stuck, "five are counted")
        text = stuck()
        equal(len(re.findall(r'^thread \d+ "stuck" \[sleeping, waits for (?:a|the) mutex.*\]:$', text, re.M)), 5, text)
        equal(len(re.findall(r"waits for (?:a|the) mutex", text)), 5, text)
        killed(server)


@test
def a_thread_that_waits_for_a_mutex_says_who_has_it(folder):
    with served(folder, "stuck=3") as server:
        found = waits(server, 3)
        equal(found["stuck"][2:], (str(server.pid), "profiled"))
        grouped = get(server, "/debug/pprof/threads?debug=1").decode()
        lines = re.findall(rf'^# thread \d+ waits for the mutex 0x\w+ held by thread {server.pid} "profiled"$',
                           grouped, re.M)
        equal(len(lines), 3, grouped)
        check("deadlock" not in grouped + stacks(server), "there is none")
        killed(server)


@test
def a_deadlock_is_shown_from_thread_to_thread(folder):
    for count in (2, 5):
        with served(folder, f"circle={count} stuck=1") as server:
            found = waits(server, count + 1)
            names = [f"round-{chr(97 + i)}" for i in range(count)]
            for name, after in zip(names, names[1:] + names[:1]):
                equal(found[name][2:], (found[after][0], after), name)
            text = stacks(server)
            chain = re.match(rf"{count + 1} threads wait for a mutex\ndeadlock: (.*)\n\n", text)
            check(chain, text)
            shown = re.findall(r'\d+ "([^"]*)"', chain[1])
            equal(len(shown), count + 1, chain[1])
            first = names.index(shown[0])
            equal(shown, (names[first:] + names[:first] + [shown[0]]), chain[1])
            grouped = get(server, "/debug/pprof/threads?debug=1").decode()
            check(grouped.startswith("# deadlock: " + chain[1] + "\nthreads profile: total "), grouped)
            killed(server)


@test
def a_thread_that_locks_a_mutex_twice_waits_for_itself(folder):
    with served(folder, "twice") as server:
        tid, _, _, holder = waits(server, 1)["twice"]
        equal(holder, "itself")
        check(f'deadlock: {tid} "twice" -> {tid} "twice"\n' in stacks(server), stacks(server))
        killed(server)


@test
def mutexes_of_all_kinds_say_who_has_them(folder):
    # What waits for the last two is a function that a C library without debug information does not name.
    with served(folder, "kinds") as server:
        def known():
            found = {one[1]: one for one in re.findall(MARK, stacks(server), re.M)}
            return found if len(found) >= 4 else None
        found = eventually(known, "four kinds")
        check({"plain", "recursive", "errorcheck", "adaptive"} <= set(found), str(found))
        for one in found.values():
            equal(one[4], "keeper", one)
        equal(len({one[2] for one in found.values()}), len(found), "mutexes")
        killed(server)


@test
def who_waits_for_something_else_does_not_wait_for_a_mutex(folder):
    with served(folder, "others") as server:
        eventually(lambda: all(f'"{name}" [sleeping]:' in stacks(server) for name in ("condition", "reader")),
                   "both wait")
        check(not re.search("for (a|the) mutex", stacks(server)), stacks(server))
        killed(server)


@test
def the_threads_that_export_are_seen(folder):
    with served(folder, "spans", env=TRACED) as server:
        def exporting():
            text = get(server, "/debug/pprof/goroutine?debug=2").decode()
            return re.search(r'^thread \d+ "srun:spans" .*:\n(.*)$', text, re.M)
        stack = eventually(exporting, "there is a thread that exports spans")[1]
        check(not stack.startswith("no stack"), stack)
        found = profile(server, 1)
        check(not any("srun:" in comment for comment in found.comments), str(found.comments))
        equal(server.stop(), 0, "exit code")

suite.main(at_once=1 if SANITIZE else 2)

# SPDX-License-Identifier: MIT
"""Profiles of a real program. Shares are compared with what the program has measured itself, so that a
busy machine does not matter."""
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import sys
import time
import xml.etree.ElementTree

sys.dont_write_bytecode = True
from admin import AdminServer  # noqa: E402
from endure import eventually, full  # noqa: E402
from pprof import Profile  # noqa: E402
from profiled import (HAS_GO, HELD_BACK, PROGRAM, TRACED, check_sum, get, go_tool, near, profile,  # noqa: E402
                      profile_with, same_share, served, tests, truth)
from support import BUILD_DIR, SANITIZE, Suite, ask, check, connect, equal  # noqa: E402

suite = Suite("profile")
test = tests(suite)


# --- processor time


@test
def the_two_hottest_functions_have_their_share(folder):
    with served(folder, "spin") as server:
        before = truth(server)["functions"]
        found = profile(server)
        after = truth(server)["functions"]
        spent = {name: after[name] - before[name] for name in after}
        flat = found.by_function()
        for name, ns in spent.items():
            same_share(100 * flat[name] / sum(flat[one] for one in spent),
                       100 * ns / sum(spent.values()), found, name)
        equal(found.types, [("samples", "count"), ("cpu", "nanoseconds")])
        equal(server.stop(), 0, "exit code")


@test
def each_thread_has_its_share_and_all_have_their_sum(folder):
    with served(folder, "shares") as server:
        before = truth(server)
        found = profile(server, full(4, 10))
        after = truth(server)
        spent = {name: after["threads"][name]["cpu"] - before["threads"][name]["cpu"]
                 for name in after["threads"]}
        seen = found.by_thread()
        for name, ns in spent.items():
            same_share(100 * seen[name] / sum(seen[one] for one in spent),
                       100 * ns / sum(spent.values()), found, name)
        check_sum(found, full(8, 3), "the sum")
        equal(server.stop(), 0, "exit code")


@test
def stacks_reach_the_start_of_the_thread_without_frame_pointers(folder):
    with served(folder, "libc") as server:
        found = profile(server)
        whole = deep = 0
        for ids, values, labels in found.samples:
            if labels["thread"] == "libc":
                whole += values[0]
                deep += values[0] if "work" in found.stack(ids) else 0
        check(whole > 50, f"{whole} samples")
        check(deep >= 0.95 * whole, f"{deep} of {whole} samples have the function of the thread")
        equal(server.stop(), 0, "exit code")


@test
def code_that_lies_about_its_frame_does_no_harm(folder):
    with served(folder, "liar") as server:
        found = profile(server)
        check(found.by_function()["lying"] > 0.8 * found.total(), str(found.by_function()))
        get(server, "/debug/pprof/goroutine?debug=2")
        equal(server.stop(), 0, "exit code")


@test
def threads_that_begin_and_end_are_seen(folder):
    with served(folder, "born") as server:
        found = profile(server)
        check(found.by_thread()["born"] > 0.4 * found.total(), str(found.by_thread()))
        equal(server.stop(), 0, "exit code")


@test
def profiles_that_overlap_do_not_disturb_each_other(folder):
    with served(folder, "spin") as server, \
            concurrent.futures.ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(profile, server, seconds, hz)
                 for seconds, hz in ((1, 100), (2, 250), (3, 100))]
        found = [one.result() for one in asked]
        for one, seconds in zip(found, (1, 2, 3)):
            check(one.duration >= 0.95e9 * seconds, f"{one.duration} ns")
            check_sum(one, 12, f"within {seconds} s")
        equal(server.stop(), 0, "exit code")


@test
def libraries_come_and_go_meanwhile(folder):
    """dlopen, dlclose and dl_iterate_phdr without a pause: where other unwinders hang."""
    with served(folder, "loader spin") as server:
        end = time.monotonic() + full(3, 120)
        before = truth(server)["threads"]
        while time.monotonic() < end:
            with concurrent.futures.ThreadPoolExecutor(2) as clients:
                asked = [clients.submit(profile, server, 1, hz) for hz in (250, 1000)]
                for one in asked:
                    one.result()
            get(server, "/debug/pprof/goroutine?debug=2")
            after = truth(server)["threads"]
            for name in after:
                check(after[name]["turns"] > before[name]["turns"], f"{name} hangs")
            before = after
        equal(server.stop(), 0, "exit code")


@test
def an_upgrade_meanwhile_ends_well(folder):
    with served(folder, "spin") as server:
        with concurrent.futures.ThreadPoolExecutor(1) as clients:
            old = server.admin
            asked = clients.submit(profile, server, 60, 250)
            eventually(lambda: has_handler(server.pid), "SIGPROF is taken")
            server.upgrade()
            found = asked.result()  # it ends early, with what there was
            check(found.duration < 60e9, f"{found.duration} ns")
            equal(server.admin, old, "address")
        profile_with(server, "spin_long")  # of the new process
        equal(server.stop(), 0, "exit code")


def has_handler(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        caught = int(re.search(r"^SigCgt:\s*(\w+)", file.read(), re.M)[1], 16)
    return bool(caught & 1 << (signal.SIGPROF - 1))


@test
def nothing_is_left_when_nobody_profiles(folder):
    with served(folder, "spin") as server:
        truth(server)
        check(not has_handler(server.pid), "before: SIGPROF is taken")
        with open(f"/proc/{server.pid}/timers", encoding="ascii") as file:
            equal(file.read(), "", "timers before")
        profile(server, 0.1)
        check(not has_handler(server.pid), "after: SIGPROF is taken")
        with open(f"/proc/{server.pid}/timers", encoding="ascii") as file:
            equal(file.read(), "", "timers after")
        equal(server.stop(), 0, "exit code")


@suite.test
def a_program_that_uses_the_signal_itself_is_left_alone(folder):
    with served(folder, "handler") as server:
        for path in ("profile?seconds=1", "goroutine"):
            response = server.get(f"/debug/pprof/{path}")
            if HELD_BACK:
                equal(response.status, 501, path)
            else:
                equal(response.status, 409, path)
                check(b"SIGPROF is taken" in response.body, str(response.body))
        equal(server.stop(), 0, "exit code")


@test
def a_stop_does_not_wait_for_a_profile(folder):
    with served(folder, "spin") as server:
        with concurrent.futures.ThreadPoolExecutor(1) as clients:
            asked = clients.submit(profile, server, 300)
            eventually(lambda: has_handler(server.pid), "SIGPROF is taken")
            equal(server.stop(), 0, "exit code")
            check(asked.result().duration < 100e9, "it did not end early")


# --- memory


JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"


def with_jemalloc(folder, conf):
    check(os.path.exists(JEMALLOC), "libjemalloc2 is not installed")
    return served(folder, "keep=64", env={"LD_PRELOAD": JEMALLOC, "MALLOC_CONF": conf})


def memory_is_counted_by_jemalloc(folder):
    with with_jemalloc(folder, "prof:true,lg_prof_sample:12") as server:
        found = Profile(get(server, "/debug/pprof/heap"))
        found.check()
        equal(found.types[2:], [("inuse_objects", "count"), ("inuse_space", "bytes")])
        near(100 * found.by_function()["keep"] / (64 << 20), 100, 10, "bytes in use")
        for name, part in (("keep_much", 75), ("keep_little", 25)):
            of_it = sum(values[3] for ids, values, _ in found.samples if name in found.stack(ids))
            near(100 * of_it / (64 << 20), part, 8, name)
        equal(server.stop(), 0, "exit code")


def jemalloc_without_samples_says_how_to_get_them(folder):
    with with_jemalloc(folder, "prof:false") as server:
        found = Profile(get(server, "/debug/pprof/allocs"))
        equal(found.comments, ["jemalloc takes no samples: start with MALLOC_CONF=prof:true"])
        equal(server.stop(), 0, "exit code")


MEMORY = os.path.join(BUILD_DIR, "examples", "memory")


def the_example_says_who_has_its_memory(folder):
    with served(folder, "", MEMORY, {"MALLOC_CONF": "lg_prof_sample:12"}) as server:
        path = "/debug/pprof/heap"
        found = Profile(get(server, path)).by_function()
        for name, part in (("make_parcel", 75), ("make_letter", 25)):
            near(100 * found[name] / (1000 * (32 << 10)), part, 8, name)
        if HAS_GO:
            top = go_tool(folder, "-top", f"http://{server.admin}{path}")
            check(re.search(r"\d%\s+make_parcel\n.*\n?.*\d%\s+make_letter\n", top), top)
        equal(server.stop(), 0, "exit code")


if not SANITIZE:  # which brings an allocator of its own
    if os.path.exists(MEMORY):
        suite.test(the_example_says_who_has_its_memory)
    suite.test(memory_is_counted_by_jemalloc)
    suite.test(jemalloc_without_samples_says_how_to_get_them)


# --- what is always there


@suite.test
def what_cannot_be_had_is_empty_and_says_why(folder):
    with served(folder, "") as server:
        for name in ("heap", "allocs", "mutex", "block", "threadcreate"):
            for path in (f"/debug/pprof/{name}", f"/debug/{name}"):
                found = Profile(get(server, path))
                found.check()
                equal(found.samples, [], path)
                check(found.comments, f"{path} does not say why")
        equal(server.stop(), 0, "exit code")


@suite.test
def the_command_line_is_shown_without_secrets(folder):
    argv = [PROGRAM, "--db.password=correct horse battery", "--api-key", "two words", "--db.password="]
    with AdminServer(argv, folder) as server:
        equal(get(server, "/debug/pprof/cmdline").decode().split("\0"),
              [PROGRAM, "--db.password=***", "--api-key", "***", "--db.password="])
        equal(server.stop(), 0, "exit code")


@suite.test
def the_trace_has_a_bar_for_each_state(folder):
    with served(folder, "") as server:
        events = json.loads(get(server, "/debug/pprof/trace"))["traceEvents"]
        names = [event["args"]["name"] for event in events if event["ph"] == "M"]
        check("load" in names, str(names))
        check(any(event["name"] == "RUNNING" for event in events), str(events))
        equal(server.stop(), 0, "exit code")


# Nobody has to receive them.
def check_rows(events):
    """What Perfetto demands of bars: those of a row lie within or beside each other."""
    ends = {}
    for event in events:
        inside = ends.setdefault(event["tid"], [])
        while inside and inside[-1] <= event["ts"]:
            inside.pop()
        end = event["ts"] + event["dur"]
        check(not inside or end <= inside[-1], f"{event} overlaps with another one of its row")
        inside.append(end)


def spans_in(trace):
    """Those of the service, after a look at what all events have."""
    named = set()
    for event in trace["traceEvents"]:
        check(event["ph"] in ("M", "X") and isinstance(event["pid"], int), str(event))
        if event["ph"] == "M":
            equal(event["name"], "thread_name")
            named.add(event["tid"])
        else:
            check(event["tid"] in named, f"{event} has a row without a name")
            check(isinstance(event["ts"], int) and isinstance(event["dur"], int), str(event))
            check(event["dur"] >= 0, str(event))
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X" and event["cat"] != "service"]
    times = [span["ts"] for span in spans]
    equal(times, sorted(times), "the order of the spans")
    check_rows(spans)
    for span in spans:
        check(re.fullmatch("[0-9a-f]{32}", span["args"]["trace_id"]), str(span))
        check(re.fullmatch("[0-9a-f]{16}", span["args"]["span_id"]), str(span))
    return [span for span in spans if span["cat"] == "load"]


def rows_in(trace):
    return {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"}


@suite.test
def a_trace_has_the_spans_that_end_meanwhile(folder):
    with served(folder, "spans", env=TRACED) as server:
        eventually(lambda: truth(server)["threads"]["spans-1"]["turns"] > 0, "spans end")
        def traced():
            """Both threads have to get to their spans: a busy machine may need several."""
            begun = time.time_ns() // 1000
            trace = json.loads(get(server, "/debug/pprof/trace?seconds=0.5"))
            ended = time.time_ns() // 1000
            names = [span["name"] for span in spans_in(trace)]
            return (begun, ended, trace) if min(map(names.count, ("spans-0", "spans-1"))) > 1 else None
        begun, ended, trace = eventually(traced, "spans of both threads")
        spans, rows = spans_in(trace), rows_in(trace)
        for span in spans:
            check(begun - 1000 <= span["ts"] + span["dur"] <= ended + 1000, f"{begun} {span} {ended}")
        by_id = {span["args"]["span_id"]: span for span in spans}
        inner = [span for span in spans if span["name"] == "spans-0"]
        parents = [by_id[span["args"]["parent_span_id"]] for span in inner
                   if span["args"]["parent_span_id"] in by_id]
        check(parents, f"{len(spans)} spans, none with its parent")
        for span, parent in zip(inner, parents):
            equal(parent["name"], 'outer "\\</script>\x01\n\ufffd')
            equal(span["args"]["status"], "error")
        threads = {span["args"]["thread"] for span in spans}
        equal({rows[thread] for thread in threads}, {"spans-0", "spans-1"}, "threads")
        equal({rows[span["tid"]] for span in spans},
              {"spans-0", "spans-0 (2)", "spans-1", "spans-1 (2)"}, "rows")
        check(any(event.get("cat") == "service" for event in trace["traceEvents"]), "no services")
        check(trace["otherData"]["spansMissed"] >= 0, "missed")
        equal(spans_in(json.loads(get(server, "/debug/pprof/trace"))), [], "spans that nobody asked for")
        equal(server.stop(), 0, "exit code")


@test
def traces_overlap_and_end_with_the_program(folder):
    with served(folder, "spans", env=TRACED) as server, \
            concurrent.futures.ThreadPoolExecutor(1) as clients:
        long = clients.submit(get, server, "/debug/pprof/trace?seconds=300")
        eventually(lambda: b"tapping_take" in get(server, "/debug/pprof/goroutine?debug=2"), "it listens")
        eventually(lambda: spans_in(json.loads(get(server, "/debug/pprof/trace?seconds=0.3"))), "spans")
        equal(server.stop(), 0, "exit code")
        check(spans_in(json.loads(long.result())), "no spans in the long one")


@suite.test
def spans_are_refused_where_none_are_recorded(folder):
    with served(folder, "spans") as server:
        response = server.get("/debug/pprof/trace?seconds=1")
        equal(response.status, 501)
        check(b"tracing is off" in response.body, str(response.body))
        equal(server.get("/debug/pprof/trace?seconds=301").status, 400)
        equal(server.stop(), 0, "exit code")


@test
def names_are_told_by_post_without_the_right_to_write(folder):
    with served(folder, "spin") as server:
        found = profile_with(server, "spin_long")
        address = next(location.number(3) for number, location in found.locations.items()
                       if found.names(number) == ["spin_long"])
        with contextlib.closing(connect(server.admin)) as connection:
            response = ask(connection, "POST", "/debug/pprof/symbol", f"{address:#x}+0x1")
        equal(response.status, 200, "status")
        equal(response.body.decode(), f"num_symbols: 1\n{address:#x} spin_long\n", "names")
        equal(server.stop(), 0, "exit code")


@test
def a_collector_may_ask_for_all_at_once(folder):
    """As Parca does by default, every ten seconds there."""
    paths = ("allocs", "block", "goroutine", "mutex", "profile?seconds=1")
    with served(folder, "spin") as server, \
            concurrent.futures.ThreadPoolExecutor(len(paths)) as clients:
        grown = []
        for _ in range(full(3, 60)):
            for body in clients.map(lambda path: get(server, "/debug/pprof/" + path), paths):
                Profile(body).check()
            with open(f"/proc/{server.pid}/statm", encoding="ascii") as file:
                grown.append(int(file.read().split()[1]) * 4096)
        third = len(grown) // 3
        middle, last = sorted(grown[third:2 * third]), sorted(grown[2 * third:])
        check(SANITIZE or third < 20 or last[third // 2] - middle[third // 2] <= 2 << 20, f"it grows: {grown}")
        equal(server.stop(), 0, "exit code")


@test
def a_flame_graph_is_a_picture_without_scripts(folder):
    with served(folder, "spin") as server:
        def shown():
            """What the picture names; on a busy machine, where the program got no time to be seen, it is empty."""
            response = server.get("/debug/pprof/profile?seconds=1&format=flame")
            equal(response.headers["Content-Type"], "image/svg+xml")
            picture = xml.etree.ElementTree.fromstring(response.body)
            titles = {title.text.rpartition(" ")[0] for title in picture.iter() if title.tag.endswith("title")}
            return response if {"all", "spin_long"} <= titles else None
        response = eventually(shown, "the hottest function is in it")
        check(not any(word in response.body for word in (b"<script", b"style=", b"href")), "active")
        equal(server.stop(), 0, "exit code")


# --- go tool pprof


@test
def go_tool_pprof_finds_all_by_itself(folder):
    if not HAS_GO:
        check("SRUN_ALL_PEERS" not in os.environ, "there is no go")
        return
    with served(folder, "spin") as server:
        top = go_tool(folder, "-top", "-seconds", "2", f"http://{server.admin}")
        found = re.findall(r"([\d.]+)%\s+[\d.]+%\s+\S+\s+[\d.]+%\s+(spin_\w+)", top)
        equal([name for _, name in found], ["spin_long", "spin_short"], top)
        for name in ("heap", "allocs", "mutex", "block", "threadcreate", "goroutine", "threads"):
            go_tool(folder, "-top", f"http://{server.admin}/debug/pprof/{name}")
        text = os.path.join(folder, "threads.txt")
        with open(text, "wb") as file:
            file.write(get(server, "/debug/pprof/goroutine?debug=1"))
        check("Type: threads" in go_tool(folder, "-top", text), "debug=1")
        equal(server.stop(), 0, "exit code")


suite.main(at_once=1 if SANITIZE else 2)

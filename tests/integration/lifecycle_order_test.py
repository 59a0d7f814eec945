# SPDX-License-Identifier: MIT
"""In which order services start, are cancelled, stop, and are destroyed."""
import signal
import sys
import time

sys.dont_write_bytecode = True
from scripted import (STEADY, ends, events, in_order, never, only, open_gate, script, states,
                      stop, stops, whole_life, with_message)  # noqa: E402
from support import LIMIT, Suite, check, equal  # noqa: E402

suite = Suite("lifecycle_order")


def index_of(process, text):
    return next(number for number, line in enumerate(process.lines) if text in line)


@suite.test
def fifty_services_start_in_order_and_stop_in_exact_reverse(folder):
    names = [f"s{number:02}" for number in range(50)]
    services = [f"{name} init=say:i {STEADY} stop=say:s" for name in names]
    with script(folder, *services) as process:
        stop(process)
        equal(states(process), whole_life(*names), "states")
        verbs = [event for event in events(process) if " enter " in event]
        equal(verbs, [f"{name} enter init" for name in names] +
              [f"{name} enter run" for name in names] +
              [f"{name} enter stop" for name in reversed(names)], "calls")


@suite.test
def all_inits_have_returned_before_any_run_is_entered(folder):
    services = [f"{name} init=sleep:20ms run=ready,block" for name in "abc"]
    with script(folder, *services) as process:
        stop(process)
        in_order(process, "a enter init", "a leave init", "b enter init", "b leave init",
                 "c enter init", "c leave init", "a enter run", "b enter run", "c enter run")


@suite.test
def a_service_starts_only_when_the_one_before_is_ready(folder):
    with script(folder, "a run=gate:go,ready,block", f"b {STEADY}") as process:
        process.wait_for("msg=enter logger_scope=a phase=run")
        open_gate(folder, "go")
        stop(process)
        in_order(process, "a enter run", "a RUNNING", "b STARTING", "b enter run", "b RUNNING")


@suite.test
def a_service_starts_only_when_the_ready_verb_before_says_yes(folder):
    with script(folder, "a run=block ready=if:go", f"b {STEADY}") as process:
        process.wait_for("msg=enter logger_scope=a phase=run")
        open_gate(folder, "go")
        stop(process)
        equal(states(process), whole_life("a", "b"), "states")


@suite.test
def cancellation_comes_in_reverse_too(folder):
    for _ in range(10):
        with script(folder, *(f"{name} {STEADY} stop=say:s" for name in "abc")) as process:
            stop(process)
            in_order(process, "c cancelled run", "c STOPPED", "b cancelled run", "b STOPPED",
                     "a cancelled run", "a STOPPED")


@suite.test
def a_service_works_on_while_a_later_one_takes_its_time_to_stop(folder):
    with script(folder, "a run=ready,tick", f"b {STEADY} stop=touch:in_stop,gate:go") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=enter logger_scope=b phase=stop")
        process.wait_for("msg=tick logger_scope=a", since=process.mark_now())
        process.wait_for("msg=tick logger_scope=a", since=process.mark_now())
        open_gate(folder, "go")
        ends(process, 0, "signal")
        in_order(process, "b STOPPED", "a SHUTTING_DOWN", "a leave run", "a STOPPED")


@suite.test
def stopped_means_that_both_stop_and_run_have_returned(folder):
    with script(folder, "a run=ready,block,gate:run stop=say:quick",
                f"b {STEADY} stop=gate:stop") as process:
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        process.wait_for("msg=leave logger_scope=b phase=run")
        open_gate(folder, "stop")
        process.wait_for("msg=leave logger_scope=a phase=stop")
        open_gate(folder, "run")
        ends(process, 0, "signal")
        in_order(process, "b leave run", "b leave stop", "b STOPPED",
                 "a leave stop", "a leave run", "a STOPPED")


@suite.test
def a_failing_init_stops_only_what_was_initiated(folder):
    services = [f"{name} init={'fail:no_disk' if name == 'c' else 'say:i'} {STEADY} stop=say:s"
                for name in "abcde"]
    began = time.monotonic()
    with script(folder, *services) as process:
        last = ends(process, 1, "service_error")
        equal(last["why"], "service c: init: no_disk", "why")
        equal(states(process), ["a INITIATING", "a INITIATED", "b INITIATING", "b INITIATED",
                                "c INITIATING", *stops("c", "b", "a")], "states")
        never(process, "c enter stop", "d enter init", "d enter stop", "e enter init", "a enter run",
              "b enter run", "c enter run")
        in_order(process, "c STOPPED", "b enter stop", "a enter stop", "a STOPPED")
    check(time.monotonic() - began < LIMIT / 2, "it took long")


@suite.test
def a_run_that_fails_before_ready_keeps_later_ones_from_running(folder):
    with script(folder, f"a {STEADY}", "b run=fail:port_in_use ready=if:never", f"c {STEADY}",
                f"d {STEADY}") as process:
        last = ends(process, 1, "service_error")
        equal(last["why"], "service b: run: port_in_use", "why")
        never(process, "c enter run", "d enter run", "b RUNNING", "c STARTING")
        equal(states(process)[-8:], stops("d", "c", "b", "a"), "stop")


@suite.test
def a_run_that_fails_later_stops_the_program(folder):
    with script(folder, f"a {STEADY}", "b run=ready,running,fail:lost_database", f"c {STEADY}"
                ) as process:
        last = ends(process, 1, "service_error")
        equal(last["why"], "service b: run: lost_database", "why")
        equal(only(process, "failed", "b")["error"], "lost_database")
        in_order(process, "b SHUTTING_DOWN", "b STOPPED", "a SHUTTING_DOWN", "a STOPPED")


@suite.test
def services_without_a_blocking_run_stay_until_the_signal(folder):
    services = [f"{name} run=background stop=say:s" for name in "abc"]
    with script(folder, *services) as process:
        stop(process)
        equal(states(process), whole_life("a", "b", "c"), "states")
        in_order(process, "c enter stop", "b enter stop", "a enter stop")


@suite.test
def a_job_that_is_done_ends_the_program(folder):
    with script(folder, "a run=ready,sleep:20ms", "b run=ready,sleep:40ms stop=say:s") as process:
        last = ends(process, 0, "all_exited")
        equal(last["why"], "every service has finished")
        equal(states(process), whole_life("a", "b"), "states")


@suite.test
def auxiliary_services_do_not_keep_the_program_alive(folder):
    with script(folder, f"metrics {STEADY} auxiliary=1", "job run=ready,sleep:20ms",
                "admin run=background auxiliary=1") as process:
        ends(process, 0, "all_exited")
        equal(states(process), whole_life("metrics", "job", "admin"), "states")


@suite.test
def services_with_only_an_init_run_it_and_end(folder):
    with script(folder, "a init=say:once stop=say:s", "b init=say:once") as process:
        ends(process, 0, "all_exited")
        equal(states(process), whole_life("a", "b"), "states")
        equal(len(with_message(process, "says", "a")), 2)


@suite.test
def an_init_only_service_beside_a_running_one_stops_in_its_turn(folder):
    with script(folder, "a init=say:once stop=say:s", f"b {STEADY}") as process:
        stop(process)
        in_order(process, "a RUNNING", "b STARTING", "b STOPPED", "a enter stop", "a STOPPED")


@suite.test
def a_program_without_services_says_so_and_ends(folder):
    with script(folder) as process:
        ends(process, 0, "all_exited")
        equal(only(process, "no service was added")["level"], "WARN")
        equal(states(process), [])


@suite.test
def a_request_from_a_service_is_a_clean_stop(folder):
    with script(folder, f"a {STEADY}", "b run=ready,running,request:0,block") as process:
        last = ends(process, 0, "request")
        equal(last["why"], "work_is_done")
        equal(states(process), whole_life("a", "b"), "states")


@suite.test
def a_request_with_a_negative_code_is_a_failure(folder):
    with script(folder, f"a {STEADY}", "b run=ready,running,request:-5,block") as process:
        ends(process, 1, "request")


@suite.test
def services_are_destroyed_in_reverse_after_all_have_stopped(folder):
    with script(folder, f"a {STEADY}", f"b {STEADY}", f"c {STEADY}") as process:
        stop(process)
        destroyed = [record["service"] for record in with_message(process, "destroyed")]
        equal(destroyed, ["c", "b", "a"])
        lines = [record["msg"] for record in process.records]
        check(lines.index("stopped") < lines.index("destroyed"), "destroyed before the end")


@suite.test
def members_of_a_group_start_and_stop_together_and_neighbours_wait(folder):
    def member(name, other):
        meet = f"touch:{name}_%s,gate:{other}_%s"
        return (f"{name} group=g run={meet % ('run', 'run')},ready,block "
                f"init={meet % ('init', 'init')} stop={meet % ('stop', 'stop')}")
    with script(folder, f"before {STEADY}", member("left", "right"), member("right", "left"),
                f"after {STEADY}") as process:
        stop(process)
        found = events(process)
        for verb, entered, left in (("init", "before INITIATED", "after INITIATING"),
                                    ("run", "before RUNNING", "after STARTING"),
                                    ("stop", "after STOPPED", "before SHUTTING_DOWN")):
            inside = found[found.index(entered):found.index(left)]
            for name in ("left", "right"):
                check(f"{name} enter {verb}" in inside, f"{name} {verb} is not between: {inside}")
        equal([s for s in states(process) if s.endswith("STOPPED")][0], "after STOPPED")
        equal([s for s in states(process) if s.endswith("STOPPED")][-1], "before STOPPED")


@suite.test
def a_failing_member_of_a_group_takes_its_neighbour_along(folder):
    with script(folder, f"before {STEADY}", "left group=g run=ready,running,fail:broken",
                f"right group=g {STEADY}") as process:
        ends(process, 1, "service_error")
        equal(set(states(process)[-6:-2]), set(stops("left", "right")), "the group stops first")
        equal(states(process)[-2:], stops("before"), "then its neighbour")


@suite.test
def a_service_is_restarted_until_it_heals(folder):
    with script(folder, f"a {STEADY}", "b run=ready,running,fails:2,block restart=on-failure "
                "backoff=5ms limit=5 stop=say:s", f"c {STEADY}") as process:
        process.wait_for("msg=RUNNING logger_scope=c")
        process.wait_for("msg=restarting logger_scope=b .*restart=2")
        process.wait_for("msg=RUNNING logger_scope=b", since=index_of(process, "restart=2"))
        process.signal(signal.SIGTERM)
        ends(process, 0, "signal")
        life = ["b INITIATING", "b INITIATED", "b STARTING", "b RUNNING", *stops("b")]
        equal([s for s in states(process) if s[0] == "b"], 3 * life, "states of b")
        equal([s for s in states(process) if s[0] != "b"], whole_life("a", "c"), "of the others")
        equal(events(process).count("b enter stop"), 3, "stops of b")


@suite.test
def a_service_that_fails_too_often_stops_the_program(folder):
    with script(folder, f"a {STEADY}", "b run=ready,running,fail:again restart=on-failure "
                "backoff=1ms limit=3") as process:
        last = ends(process, 1, "service_error")
        equal(last["why"], "service b: run: again", "why")
        equal([r["restart"] for r in with_message(process, "restarting")], ["1", "2", "3"])
        equal(states(process)[-2:], stops("a"), "end")


@suite.test
def a_service_restarted_always_does_not_end_the_program(folder):
    with script(folder, "a run=ready,running restart=always backoff=1ms limit=30") as process:
        process.wait_for("msg=restarting .*restart=3")
        process.signal(signal.SIGTERM)
        ends(process, 0, "signal")


@suite.test
def a_start_that_fails_is_not_tried_again(folder):
    with script(folder, "a run=fail:bad_config restart=on-failure backoff=1ms") as process:
        ends(process, 1, "service_error")
        equal(with_message(process, "restarting"), [])


@suite.test
def a_stop_during_the_pause_before_a_restart_is_clean(folder):
    with script(folder, f"a {STEADY}", "b run=ready,running,fail:x restart=on-failure backoff=10m"
                ) as process:
        process.wait_for("msg=restarting logger_scope=b")
        process.signal(signal.SIGTERM)
        ends(process, 0, "signal")
        equal(states(process)[-2:], stops("a"), "end")


@suite.test
def listeners_are_told_every_transition_in_order(folder):
    with script(folder, f"a init=say:i {STEADY}", f"b {STEADY} stop=say:s",
                flags=["--listen"]) as process:
        stop(process)
        told = [f"{r['service']} {r['to']}" for r in with_message(process, "transition")]
        equal(told, whole_life("a", "b"), "what the listener was told")
        life = {name: "STOPPED" for name in "ab"}
        for record in with_message(process, "transition"):
            equal(record["from"], life[record["service"]], "from")
            life[record["service"]] = record["to"]


@suite.test
def the_first_state_lasted_no_time_before_the_program_began(folder):
    with script(folder, f"a {STEADY}") as process:
        stop(process)
        equal(only(process, "INITIATING", "a")["after"], "0s")


@suite.test
def the_line_of_the_end_names_the_slowest_stop(folder):
    with script(folder, f"a {STEADY}", f"b {STEADY} stop=sleep:3s", f"c init=sleep:3s {STEADY}"
                ) as process:
        last = stop(process)
        check(last["critical_path"].startswith("b stop"), last["critical_path"])
        check(only(process, "started")["critical_path"].startswith("c init"), "start")


suite.main()

# SPDX-License-Identifier: MIT
"""Long requests, deadlines, requests in line, what is handed over, and who is told what."""
import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
from support import LIMIT, Process, Suite, check, connect, equal, has_program  # noqa: E402
from support import program as example  # noqa: E402
from upgraded import PLAN, connect_to, is_alive, read_all, running, until  # noqa: E402

suite = Suite("upgrade_drain")
PROBATION = {"SRUN_UPGRADE_PROBATION": "300s"}


def hooks(program, pid):
    """The steps that this process was told."""
    return [one["step"] for one in program.logged("hook") if one["own_pid"] == str(pid)]


def drains(program, pid):
    """What its service was told: (draining, drain descriptor readable, flag)."""
    return [(one["draining"], one["readable"], one["flag"])
            for one in program.logged("told to drain") if one["own_pid"] == str(pid)]


@suite.test
def what_began_before_is_finished_by_the_old_process(folder):
    with running(folder) as program:
        old = program.office
        clients = [program.held() for _ in range(5)]
        program.upgraded(program.hup())
        program.serves(program.office)
        until(lambda: program.info()["state"] == "heir", "heir")
        check(is_alive(old), "the old process has ended")
        program.touch("release")
        equal([read_all(client) for client in clients], [f"released {old}\n"] * 5)
        program.gone(old)
        until(lambda: program.info()["state"] == "idle", "idle")
        ends = [one for one in program.logged("ends", 1) if one["own_pid"] == str(old)]
        equal([one["cut"] for one in ends], ["0"])
        program.stop()


@suite.test
def a_second_request_waits_until_the_old_process_has_drained(folder):
    with running(folder) as program:
        first, client = program.office, program.held()
        second = program.upgraded(program.hup())
        since = program.hup()
        until(lambda: program.info()["queued"] == "1", "queued")
        equal(len(program.logged("begins")), 2, "generations that began")
        program.touch("release")
        equal(read_all(client), f"released {first}\n")
        program.upgraded(since)
        equal((program.ask("id").split()[2], program.office != second), ("3", True))
        program.gone(second)
        program.stop()


@suite.test
def a_second_request_to_the_old_process_is_passed_on(folder):
    with running(folder) as program:
        first, client = program.office, program.held()
        program.upgraded(program.hup())
        since = program.hup(first)
        until(lambda: program.info()["queued"] == "1", "queued")
        program.touch("release")
        read_all(client)
        program.upgraded(since)
        equal(program.ask("id").split()[2], "3")
        check(not re.search(r"\dh", program.logged("upgraded")[-1]["took"]), "took hours")
        program.stop()


@suite.test
def a_request_during_a_start_is_remembered_once(folder):
    with running(folder) as program:
        program.plan(PLAN + "\nwait go")
        since = program.hup()
        program.wait_for("msg=begins", since=since)
        place = program.mark_now()
        for number in range(3):
            program.hup()
            until(lambda: len(program.logged("upgrade requested")) >= 2 + number, "the request")
        info = program.info()
        equal((info["state"], info["queued"]), ("init", "1"))
        program.touch("go")
        program.upgraded(place)
        until(lambda: program.ask("id").split()[2] == "3", "the third generation")
        program.office = int(program.ask("id").split()[1])
        until(lambda: program.info()["state"] == "idle", "idle")
        equal(len(program.logged("begins", 3)), 3, "generations")
        program.stop()


@suite.test
def a_datagram_is_answered_by_the_process_that_received_it(folder):
    with running(folder, PLAN + "\nlisten questions udp://127.0.0.1:0") as program, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        first = program.office
        host, port = program.address("questions").removeprefix("udp://").rsplit(":", 1)
        client.settimeout(LIMIT)
        client.connect((host, int(port)))
        client.send(b"?")
        program.wait_for(f"msg=datagram .*own_pid={first}")
        second = program.upgraded(program.hup())
        client.send(b"?")
        program.wait_for(f"msg=datagram .*own_pid={second}")
        program.touch("release")
        equal({client.recv(64).decode() for _ in range(2)},
              {f"released {first}", f"released {second}"}, "answers")
        program.gone(first)
        program.stop()
        equal(program.logged("not answered"), [])


@suite.test
def the_time_to_stop_ends_a_drain(folder):
    with running(folder, env={"SRUN_STOP_TIMEOUT": "3s"}) as program:
        old, clients = program.office, [program.held() for _ in range(8)]
        begun = time.monotonic()
        program.upgraded(program.hup())
        program.gone(old)  # though its clients stay
        took = time.monotonic() - begun
        check(took >= 1.9, f"the old process ended after {took:g} s")
        equal([read_all(client) for client in clients], [""] * 8, "answers")
        equal([one["cut"] for one in program.logged("ends", 1)], ["8"])
        program.serves(program.office)
        program.stop()


@suite.test
def a_server_of_http_counts_what_it_cuts(folder):
    if not has_program("http"):
        print("    skipped: the http example was not built")
        return
    env = {"SRUN_STOP_TIMEOUT": "5s", "SRUN_UPGRADE_PROBATION": "0s"}
    argv = [example("http"), "--http.address=tcp://127.0.0.1:0"]
    with Process(argv, folder, env) as process, contextlib.ExitStack() as stack:
        address = process.wait_for(r"msg=listening .*address=tcp://(\S+)").group(1)
        process.wait_for("msg=started ")
        clients = [stack.enter_context(contextlib.closing(connect(address))) for _ in range(8)]
        for client in clients:  # who begins to listen to a long answer, and then does not
            client.request("GET", "/stream?mb=512")
            equal(client.getresponse().status, 200, "status")
        begun = time.monotonic()
        process.signal(signal.SIGHUP)
        new = int(process.wait_for(r"msg=upgraded .*new_pid=(\d+)").group(1))
        equal(process.wait(LIMIT) in (0, 1, 4), True, "exit code")  # though its clients stay
        took = time.monotonic() - begun
        check(took >= 4, f"the old process ended after {took:g} s")
        process.wait_for(r"msg=drained .*cut=8\b")
        os.kill(new, signal.SIGTERM)
        until(lambda: not is_alive(new), "the end")
        process.finish()


@suite.test
def state_and_descriptors_are_taken_by_each_generation(folder):
    with running(folder, PLAN + "\nkeep") as program:
        first = program.logged("taken")[0]
        check(first["state"] != "0" and first["pipe"] != "0", "the first one has taken something")
        for number in range(1, 5):
            old = program.office
            program.gone(program.upgrade())
            taken = program.logged("taken")[-1]
            equal((taken["state"], taken["counter"], taken["pipe"], taken["text"]),
                  ("0", str(number), "0", f"from {old}"))
        program.stop()


@suite.test
def what_nobody_takes_is_told_and_closed(folder):
    with running(folder, PLAN + "\nkeep") as program:
        program.serves(program.office)
        before = len(os.listdir(f"/proc/{program.office}/fd"))
        program.plan(PLAN)
        program.gone(program.upgrade())
        until(lambda: program.info()["state"] == "idle", "idle")
        equal([one["names"] for one in program.logged("not taken over")], ["counter, pipe"])
        until(lambda: len(os.listdir(f"/proc/{program.office}/fd")) <= before, "the descriptors")
        program.stop()


@suite.test
def the_steps_are_told_in_order(folder):
    with running(folder, env=PROBATION) as program:
        first = program.office
        program.plan(PLAN + "\nfail no more paper")
        program.fails("no more paper")
        program.plan(PLAN)
        second = program.upgraded(program.hup())
        program.wait_for('msg="told to drain".*draining=1')
        os.kill(second, signal.SIGKILL)
        program.wait_for("msg=hook .*step=rolled_back")
        program.wait_for('msg="told to drain".*draining=0')
        program.office = first
        third = program.upgraded(program.hup())
        program.wait_for(f"msg=hook .*step=committed own_pid={first} peer={third}")
        program.hup(first)  # ends the probation, and is done by the third one
        program.wait_for(f"msg=hook .*step=drained own_pid={third} peer={first}")
        equal(hooks(program, first), ["before", "failed", "before", "committed", "rolled_back",
                                      "before", "committed"])
        told = [one for one in program.logged("hook") if one["own_pid"] == str(first)]
        check("no more paper" in told[1]["text"] and "SIGKILL" in told[4]["text"], f"{told}")
        equal([one["peer"] for one in told[3:]],
              [str(second), str(second), "0", str(third)], "the other processes")
        equal(drains(program, first)[:2], [("1", "1", "1"), ("0", "0", "0")])
        program.wait_for(r'msg="took over".*generation=3')
        program.office = until(lambda: of_generation(program, 3), "the third generation")
        until(lambda: program.info()["state"] == "heir", "heir")
        os.kill(program.office, signal.SIGTERM)
        program.gone(program.office)
        equal(program.wait(LIMIT), 0)
        until(lambda: not program.family(), "the end of all")
        equal(program.finish(), 0)


def of_generation(program, number):
    """The process that serves, once it is of this generation."""
    _, pid, generation = program.ask("id").split()
    return int(pid) if int(generation) == number else None


@suite.test
def the_program_may_refuse(folder):
    with running(folder) as program:
        program.touch("refuse", "the tide is high")
        program.fails("the tide is high", "spawn")
        until(lambda: hooks(program, program.office) == ["before", "failed"], "the hooks")
        equal(len(program.logged("begins")), 1, "generations that began")
        os.unlink(os.path.join(folder, "refuse"))
        program.upgrade()
        program.stop()


@suite.test
def what_was_given_up_before_it_began_does_not_begin(folder):
    with running(folder, env={"SRUN_UPGRADE_START": "3s"}) as program:  # the first one begins in time
        program.touch("slow")
        program.touch("refuse", "not now")
        program.hup()
        until(lambda: hooks(program, program.office) == ["before", "failed"], "the hooks")
        text = program.wait_for(r'msg="upgrade failed".*', since=program.hup()).group(0)
        check("no new process was started within" in text, text)
        os.unlink(os.path.join(folder, "slow"))
        until(lambda: program.info()["state"] == "idle", "idle")
        equal(hooks(program, program.office), ["before", "failed", "failed"], "the hooks")
        program.stop()


@suite.test
def a_hook_that_is_late_hears_of_the_failure_when_it_has_returned(folder):
    with running(folder, env={"SRUN_UPGRADE_START": "2s"}) as program:
        program.touch("tarry")
        since = program.hup()
        until(lambda: hooks(program, program.office) == ["before"], "the hook")
        program.wait_for('msg="upgrade failed".*no new process was started within', since=since)
        equal(program.info()["state"], "reap", "the state")
        equal(hooks(program, program.office), ["before"], "the hooks")
        os.unlink(os.path.join(folder, "tarry"))
        until(lambda: hooks(program, program.office) == ["before", "failed"], "the hooks")
        equal([one["others"] for one in program.logged("hook")], ["0", "0"], "at the same time")
        until(lambda: program.info()["state"] == "idle", "idle")
        program.stop()


@suite.test
def who_asks_waits_for_success(folder):
    with running(folder) as program:
        equal(program.ask("ask 60000"), "0 \n")
        program.upgraded()
        program.serves(program.office)
        program.stop()


@suite.test
def who_asks_hears_why_it_failed(folder):
    with running(folder) as program:
        program.plan(PLAN + "\nfail no more paper")
        answer = program.ask("ask 60000")
        check(re.match(r"-1\d{3} upgrade: init: .*no more paper\n$", answer), answer)
        info = program.info()
        equal((info["failed"], info["last_phase"]), ("1", "init"))
        check("no more paper" in info["last_text"], info["last_text"])
        program.stop()


@suite.test
def who_asks_does_not_wait_longer_than_wanted(folder):
    with running(folder) as program:
        program.plan(PLAN + "\nwait go")
        answer = program.ask("ask 200")
        check(re.match(r"-110 upgrade: not decided yet: \w+\n$", answer), answer)
        equal(program.ask("ask 0"), "0 \n")
        program.touch("go")
        program.upgraded()
        until(lambda: of_generation(program, 3), "the one that was asked for besides")
        program.office = of_generation(program, 3)
        program.stop()


@suite.test
def who_asks_the_old_process_hears_that_it_was_passed_on(folder):
    with running(folder) as program:
        asker, client = connect_to(program.address()), program.held()  # accepted in this order
        program.upgraded(program.hup())
        place = program.mark_now()
        asker.sendall(b"ask 60000\n")
        equal(read_all(asker), "-115 upgrade: passed on to generation 2\n")
        program.touch("release")
        read_all(client)
        program.upgraded(place)
        equal(program.ask("id").split()[2], "3")
        program.stop()


@suite.test
def who_asks_once_more_is_not_told_of_the_attempt_that_had_begun(folder):
    with running(folder) as program:
        program.plan(PLAN + "\nwait go")
        since, first = program.mark_now(), program.send("ask 60000")
        program.wait_for("msg=begins", since=since)
        second = program.send("ask 60000")
        program.logged("upgrade requested", 2)
        program.touch("go")
        equal(read_all(first), "0 \n")
        equal(read_all(second), "-115 upgrade: passed on to generation 2\n")
        program.office = until(lambda: of_generation(program, 3), "the third generation")
        program.stop()


@suite.test
def who_asks_before_the_start_is_told_so(folder):
    with running(folder, PLAN + "\nearly") as program:
        equal([one["estate"] for one in program.logged("asked early")], ["1"])
        program.upgrade()
        program.stop()


@suite.test
def many_who_ask_at_once_all_hear_of_a_result(folder):
    with running(folder, PLAN + "\nlisten more tcp://127.0.0.1:0") as program:
        program.plan(PLAN + "\nfail no more paper")
        address, answers = program.address(), []
        threads = [threading.Thread(target=lambda: answers.append(
            program.ask("ask 60000", address))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        equal(len(answers), 8, "answers")
        equal([answer for answer in answers if "no more paper" not in answer], [])
        program.plan(PLAN)
        program.upgrade()
        program.stop()


@suite.test
def services_that_finish_when_they_are_to_let_go_do_not_end_the_new_process(folder):
    with running(folder, PLAN + "\nfinish", env=PROBATION) as program:
        for generation in range(2, 4):
            old = program.office
            program.upgraded(program.hup())
            program.wait_for("msg=stopped " + ("" if generation == 2 else f"generation={generation - 1} ") +
                             "exit_code=0 cause=all_exited")
            program.gone(old)
            until(lambda: program.info()["state"] == "idle", "idle")
            program.serves(program.office)
        program.stop()


@suite.test
def a_start_of_many_steps_is_followed_by_an_old_process_that_reads_late(folder):
    with running(folder) as program:
        program.plan(PLAN + "\nwait go\nservices 250")  # two messages each; a channel holds fewer
        old, since = program.office, program.hup()
        program.wait_for("msg=begins", since=since)
        os.kill(old, signal.SIGSTOP)
        program.touch("go")
        program.wait_for("msg=started ", since=since)
        os.kill(old, signal.SIGCONT)
        program.upgraded(since)
        program.gone(old)
        program.stop()


class Queue:
    """Items, of which there are always some to be worked off while one looks."""

    def __init__(self, folder):
        self.folder, self.count = os.path.join(folder, "queue"), 0
        os.mkdir(self.folder)
        self.has(300)

    def left(self):
        return [name for name in os.listdir(self.folder) if "-" not in name]

    def has(self, least=50):
        for _ in range(least - len(self.left())):
            with open(os.path.join(self.folder, str(self.count)), "w", encoding="utf-8"):
                self.count += 1
        return True


def worked(program):
    """(item, process), in the order of the log."""
    return [(int(one["item"]), int(one["own_pid"])) for one in program.logged("worked")]


@suite.test
def no_item_of_a_queue_is_worked_twice(folder):
    queue = Queue(folder)
    with running(folder, PLAN + f"\nqueue {queue.folder}", env=PROBATION) as program:
        first = program.office

        def works(pid, more=10):
            """It works off so many more."""
            before = sum(who == pid for _, who in worked(program))
            until(lambda: queue.has() and
                  sum(who == pid for _, who in worked(program)) >= before + more,
                  f"{more} items of pid {pid}")
        works(first)
        second = program.upgraded(program.hup())
        program.wait_for('msg="told to drain".*draining=1')
        paused = worked(program)
        works(second)
        late = [pid for _, pid in worked(program)[len(paused):] if pid == first]
        check(len(late) <= 1, f"the old process went on: {len(late)} items")
        os.kill(second, signal.SIGKILL)
        program.wait_for('msg="rolled back"')
        program.office = first
        works(first)
        program.upgraded(program.hup())
        until(lambda: not queue.left(), "the end of the queue")
        names = os.listdir(queue.folder)
        equal(sorted(int(name.split("-")[0]) for name in names), list(range(queue.count)), "items")
        until(lambda: len(worked(program)) >= queue.count - 1, "what was worked")
        items = [item for item, _ in worked(program)]
        equal(len(items), len(set(items)), "items that were worked")
        check(queue.count - len(set(items)) <= 1, "items that died with the process")
        program.stop()
        program.gone(first)


suite.main(at_once=4)

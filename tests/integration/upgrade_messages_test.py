# SPDX-License-Identifier: MIT
"""One of the two says what nobody can understand, twice, too much or nothing; or cannot take what
it is handed."""
import signal
import time

from generations import LONG, SHORT_MS, Family, cell, eventually
from support import Suite, equal

suite = Suite("upgrade_messages")
BROKEN = {"garbled": "garble", "cut_short": "short", "with_a_descriptor_too_many": "extra"}
STRANGE = {**BROKEN, "said_twice": "twice"}


# By the new process


def fails(folder, message, action):
    with Family(folder, probation=LONG) as family:
        family.may_cut = 2 if message == "SERVING" else 0  # it may have accepted some
        family.order(2, f"send:{message}", action)
        family.hup()
        family.wait(f"msg=fault at=send:{message} ")
        family.wait('msg="upgrade failed"')
        family.survives(family.first)


def works(folder, message, action, order_of=2):
    orders = [(f"send:{message}", action)] if order_of == 1 else []
    with Family(folder, orders=orders) as family:
        if order_of == 2:
            family.order(2, f"send:{message}", action)
        family.hup()
        family.wait(f"msg=fault at=send:{message} ")
        new = family.took_over(2)
        family.ended(family.first)
        family.survives(new, 2)


for words, action in STRANGE.items():
    for message in ("HELLO", "ACK", "PROGRESS", "READY", "SERVING"):
        harmless = action == "twice" and message in ("PROGRESS", "SERVING")
        cell(suite, f"{message.lower()}_{words}_" +
             ("does_no_harm" if harmless else "leaves_the_old_process_serving"),
             works if harmless else fails, message, action)


def in_probation(folder, action):
    """It is logged, and the probation goes on."""
    with Family(folder, probation=LONG) as family:
        family.may_cut = 2
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.tell(new, action)
        family.wait(f"msg=fault at=orders action={action} ")
        if action != "twice":
            family.wait('msg="the other process is not understood"')
        family.serves(new)
        family.tell(new, "kill")
        family.wait('msg="rolled back"')
        family.survives(family.first)


def in_drain(folder, action):
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop ")
        family.tell(new, action)
        family.wait(f"msg=fault at=orders action={action} ")
        if action != "twice":
            family.wait('msg="the other process is not understood"')
        family.serves(new)
        release()
        equal(family.ended(family.first), 0, "exit code of the old process")
        family.survives(new, 2)


for words, action in STRANGE.items():
    cell(suite, f"message_{words}_in_probation_changes_nothing", in_probation, action)
    cell(suite, f"message_{words}_in_drain_changes_nothing", in_drain, action)


# By the old process


def fails_by_old(folder, message, action):
    with Family(folder, orders=[(f"send:{message}", action)]) as family:
        family.hup()
        family.wait(f"msg=fault at=send:{message} ")
        family.wait('msg="upgrade failed"')
        family.survives(family.first)


for words, action in STRANGE.items():
    for message in ("WELCOME", "BATCH"):
        harmless = (message, action) == ("BATCH", "twice")
        cell(suite, f"{message.lower()}_{words}_" +
             ("does_no_harm" if harmless else "ends_the_new_process"),
             *((works, message, action, 1) if harmless else (fails_by_old, message, action)))
cell(suite, "commit_said_twice_does_no_harm", works, "COMMIT", "twice", 1)


# Nothing is said, or nothing that is understood


def not_heard(folder, generation, message, action):
    with Family(folder, orders=[(f"send:{message}", action)] if generation == 1 else [],
                handshake=f"{SHORT_MS}ms", start=f"{2 * SHORT_MS}ms") as family:
        family.tries = 5
        family.may_cut = 2 if message == "SERVING" else 0
        if generation == 2:
            family.order(2, f"send:{message}", action)
        family.hup()
        family.wait('msg="upgrade failed"')
        family.survives(family.first)


for message in ("HELLO", "ACK", "READY", "SERVING"):
    cell(suite, f"{message.lower()}_never_said_leaves_the_old_process_serving", not_heard, 2,
         message, "drop")
for message in ("WELCOME", "BATCH", "COMMIT"):
    cell(suite, f"{message.lower()}_never_said_leaves_the_old_process_serving", not_heard, 1,
         message, "drop")
for words, action in BROKEN.items():
    cell(suite, f"commit_{words}_leaves_the_old_process_serving", not_heard, 1, "COMMIT", action)


@suite.test
def what_was_said_in_time_counts_though_it_is_read_late(folder):
    with Family(folder, orders=[("receive:PROGRESS", "hold:gate")],
                start=f"{5 * SHORT_MS}ms") as family:
        release, ready = family.gate("gate"), family.hold(2, "sent:READY")
        family.hup()
        family.wait("msg=fault at=receive:PROGRESS ")
        begun = time.monotonic()
        ready.wait()
        ready.release()
        eventually(lambda: time.monotonic() > begun + 5.5 * SHORT_MS / 1000, "the limit passes")
        release()
        new = family.took_over(2)
        family.ended(family.first)
        family.tries = 5
        family.survives(new, 2)


# No descriptor is left in the new process


def starved(folder, place, more, phase):
    with Family(folder) as family:
        hold = family.hold(2, place)
        family.hup()
        family.limit_descriptors(hold.wait(), more)
        hold.release()
        family.wait(f'msg="upgrade failed" phase={phase} ')
        family.survives(family.first)


cell(suite, "new_process_without_descriptors_in_hello_leaves_the_old_one_serving", starved,
     "send:HELLO", 0, "handover")
cell(suite, "new_process_without_descriptors_in_handover_leaves_the_old_one_serving", starved,
     "send:HELLO", 1, "handover")
cell(suite, "new_process_without_descriptors_in_init_leaves_the_old_one_serving", starved, "init",
     0, "init")


@suite.test
def new_process_without_descriptors_in_the_barrier_leaves_the_old_one_serving(folder):
    with Family(folder) as family:
        family.manager.patient = True
        hold = family.hold(2, "send:READY")
        family.hup()
        new = hold.wait()
        family.limit_descriptors(new, 0)
        family.tell(new, "open")
        family.wait(f"msg=starved pid={new}")
        hold.release()
        family.wait('msg="upgrade failed" .*Too many open files')
        family.manager.answer()
        family.survives(family.first)


@suite.test
def new_process_without_descriptors_in_probation_is_rolled_back_when_it_says_so(folder):
    with Family(folder, probation=LONG) as family:
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.serves(new)
        family.limit_descriptors(new, 0)
        family.tell(new, "open")
        family.wait('msg="rolled back" .*Too many open files')
        family.survives(family.first)


@suite.test
def new_process_without_descriptors_in_drain_lets_clients_wait(folder):
    with Family(folder, orders=[("stop", "hold:gate")]) as family:
        release = family.gate("gate")
        family.hup()
        new = family.took_over(2)
        family.wait("msg=fault at=stop ")
        family.limit_descriptors(new, 0)
        family.wait(f"msg=starved pid={new}")
        release()
        equal(family.ended(family.first), 0, "exit code of the old process")
        family.free_descriptors(new)
        family.survives(new, 2)


suite.main(at_once=6)

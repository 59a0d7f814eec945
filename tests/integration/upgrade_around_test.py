# SPDX-License-Identifier: MIT
"""What stands around an upgrade: the PID file, the service manager, listeners that come and go,
helper processes."""
import os
import signal
import socket
import stat

from generations import LONG, Family, cell, descriptors, dial, eventually, who
from support import Suite, check, equal

suite = Suite("upgrade_around")


# The PID file


def pid_file_fails(folder, error):
    """It serves all the same, and the next one writes it."""
    with Family(folder) as family:
        family.order(2, "call:pidfile_write", f"error:{error}")
        family.hup()
        family.wait('msg="the PID file is not written"')
        new = family.took_over(2)
        family.watch.wait(new)
        equal(family.ended(family.first), 0, "exit code of the old process")
        family.watch.wait(new)
        family.wait('msg="the old generation has ended"')
        family.alone(new)
        family.end(family.next_upgrade(new, 3))


cell(suite, "pid_file_in_a_folder_to_read_only_is_an_error_in_the_log", pid_file_fails, "EROFS")
cell(suite, "pid_file_on_a_full_disk_is_an_error_in_the_log", pid_file_fails, "ENOSPC")


# The service manager


@suite.test
def service_manager_that_has_gone_stops_nobody(folder):
    with Family(folder) as family:
        hold = family.hold(2, "send:READY")
        family.hup()
        hold.wait()
        family.manager.vanish()
        family.managed = False
        hold.release()
        new = family.took_over(2)
        family.ended(family.first)
        family.survives(new, 2)


@suite.test
def service_manager_that_is_slow_is_waited_for_no_longer_than_a_second(folder):
    with Family(folder) as family:
        family.manager.patient = True
        family.hup()
        new = family.took_over(2)
        family.manager.answer()
        family.ended(family.first)
        family.survives(new, 2)


@suite.test
def service_manager_that_reads_nothing_stops_nobody(folder):
    with Family(folder, handshake="10s") as family:  # so long the old one tries to tell it
        family.manager.deaf()
        family.managed = False
        family.hup()
        new = family.took_over(2)
        family.ended(family.first)
        family.survives(new, 2)


@suite.test
def service_manager_that_is_busy_learns_of_the_new_process_later(folder):
    with Family(folder, probation=LONG) as family:
        family.manager.fill()
        family.hup()
        new = family.took_over(2)
        family.manager.hear()
        eventually(lambda: family.manager.main_pid == new, "the manager does not learn of it")
        family.quiet()
        os.kill(family.first, signal.SIGTERM)  # both are to end
        family.ended(new)
        family.over(family.first)


# Listeners


@suite.test
def listener_that_cannot_be_added_leaves_the_old_process_serving(folder):
    with Family(folder) as family, socket.create_server(("127.0.0.1", 0)) as other:
        family.listeners(more=f"tcp://127.0.0.1:{other.getsockname()[1]} 0")
        family.hup()
        family.wait('msg="upgrade failed" phase=init .*in use')
        family.listeners()
        family.survives(family.first)


@suite.test
def listener_that_is_added_is_served_by_the_new_process(folder):
    with Family(folder) as family:
        path = os.path.join(folder, "more.sock")
        family.listeners(more=f"unix://{path} 0")
        family.hup()
        new = family.took_over(2)
        with dial(path) as client:
            equal(who(client).pid, new, "who serves it")
        family.ended(family.first)
        family.usual.update(descriptors(new))
        family.survives(new, 2)
        check(not os.path.exists(path), "its path is left")


@suite.test
def listener_that_is_added_is_gone_when_the_upgrade_fails(folder):
    with Family(folder) as family:
        path = os.path.join(folder, "more.sock")
        family.listeners(more=f"unix://{path} 0")
        family.order(2, "run", "error:EIO")
        family.hup()
        family.wait('msg="upgrade failed"')
        family.listeners()
        family.survives(family.first)
        check(not os.path.exists(path), "its path is left")


def with_spare(folder, **how):
    """A family with one path more, in the first generation only."""
    spare = os.path.join(folder, "spare.sock")
    return Family(folder, spare=spare, **how), spare


def serves_spare(spare, pid):
    with dial(spare) as client:
        equal(who(client).pid, pid, "who serves the path")


@suite.test
def path_that_is_dropped_is_removed_after_the_probation(folder):
    family, spare = with_spare(folder, probation=LONG)
    with family:
        serves_spare(spare, family.first)
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.serves(new)
        check(os.path.exists(spare), "it is removed in the probation")
        family.hup()  # the end of the probation
        third = family.took_over(3)
        check(not os.path.exists(spare), "it is left after the probation")
        family.ended(family.first)
        family.end(third)


@suite.test
def path_that_is_dropped_is_still_there_after_a_rollback(folder):
    family, spare = with_spare(folder, probation=LONG)
    with family:
        family.may_cut = 2
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.tell(new, "kill")
        family.wait('msg="rolled back"')
        serves_spare(spare, family.first)
        family.survives(family.first)


def dropped_and_failed(folder, place, action):
    family, spare = with_spare(folder)
    with family:
        family.may_cut = 2 if place == "send:SERVING" else 0
        family.order(2, place, action)
        family.hup()
        family.wait('msg="upgrade failed"')
        serves_spare(spare, family.first)
        family.survives(family.first)


for words, place in {"ready": "send:READY", "commit": "receive:COMMIT",
                     "serving": "send:SERVING"}.items():
    cell(suite, f"path_that_is_dropped_is_still_there_when_the_upgrade_fails_in_{words}",
         dropped_and_failed, place, "kill")


@suite.test
def path_that_is_dropped_is_removed_by_an_orphan(folder):
    family, spare = with_spare(folder)
    with family:
        family.ends_with, family.may_cut = -signal.SIGKILL, 2
        hold = family.hold(2, "init")
        family.hup()
        new = hold.wait()
        os.kill(family.first, signal.SIGKILL)
        family.ended(family.first)
        hold.release()
        equal(family.took_over(2), new, "the process that took over")
        family.serves(new)
        eventually(lambda: not os.path.exists(spare), "it is left")
        family.survives(new, 2)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@suite.test
def mode_that_is_changed_is_the_new_one_when_the_new_process_serves(folder):
    with Family(folder) as family:
        family.listeners(path_mode=0o600)
        family.hup()
        new = family.took_over(2)
        family.serves(new)
        equal(oct(mode_of(family.path)), "0o600", "the mode")
        family.ended(family.first)
        family.survives(new, 2)


# A helper process that has a copy of every descriptor


def helper_of_new(folder, place, dies_at):
    with Family(folder) as family:
        family.order(2, place, "helper")
        family.order(2, dies_at, "kill")
        family.hup()
        family.helper()
        family.wait('msg="upgrade failed"')
        family.survives(family.first)


cell(suite, "helper_of_the_new_process_in_init_does_not_hide_its_death", helper_of_new, "init",
     "run")
cell(suite, "helper_of_the_new_process_in_ready_does_not_hide_its_death", helper_of_new,
     "send:READY", "receive:COMMIT")


@suite.test
def helper_of_the_new_process_in_probation_does_not_hide_its_death(folder):
    with Family(folder, probation=LONG) as family:
        family.may_cut = 2
        family.hup()
        new = family.took_over(2)
        family.wait("msg=upgraded ")
        family.tell(new, "helper")
        family.helper()
        family.tell(new, "kill")
        family.wait('msg="rolled back"')
        family.survives(family.first)


@suite.test
def helper_of_the_old_process_in_drain_does_not_hide_its_end(folder):
    with Family(folder, orders=[("stop", "helper")]) as family:
        family.hup()
        new = family.took_over(2)
        family.helper()
        family.wait('msg="the old generation has ended"')
        family.survives(new, 2)


@suite.test
def helper_of_the_old_process_in_init_does_not_hide_its_death(folder):
    with Family(folder, orders=[("sent:BATCH", "helper")]) as family:
        family.ends_with, family.may_cut = -signal.SIGKILL, 2
        hold = family.hold(2, "init")
        family.hup()
        new = hold.wait()
        family.helper()
        os.kill(family.first, signal.SIGKILL)
        family.ended(family.first)
        hold.release()
        equal(family.took_over(2), new, "the process that took over")
        family.survives(new, 2)


@suite.test
def helper_of_the_new_process_does_not_keep_the_upgrade_from_its_end(folder):
    with Family(folder) as family:
        family.order(2, "init", "helper")
        family.hup()
        new = family.took_over(2)
        family.helper()
        family.wait('msg="the old generation has ended"')
        family.survives(new, 2)


suite.main(at_once=6)

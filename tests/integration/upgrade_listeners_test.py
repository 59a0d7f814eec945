# SPDX-License-Identifier: MIT
"""A new version that listens elsewhere, or otherwise; and what becomes of ports and paths."""
import contextlib
import errno
import os
import signal
import socket
import stat
import sys

sys.dont_write_bytecode = True
from support import LIMIT, Suite, check, equal  # noqa: E402
from upgraded import PLAN, connect_to, is_alive, read_all, running, until  # noqa: E402

suite = Suite("upgrade_listeners")
PROBATION = {"SRUN_UPGRADE_PROBATION": "300s"}


def refuses(address):
    """Nobody listens there."""
    try:
        connect_to(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except ConnectionResetError:  # it was closed while we came: the next one will know
        return refuses(address)
    return False


def inode_of(path):
    """The file itself, whatever its name."""
    return os.stat(path).st_ino


@suite.test
def a_free_port_stays_the_same(folder):
    with running(folder, PLAN + "\nlisten other tcp://127.0.0.1:0") as program:
        names = program.ask("names")
        for generation in range(2, 7):
            program.upgrade()
            equal(program.ask("names"), names, "names and addresses")
            equal(program.ask("id").split()[2], str(generation))
        program.stop()


@suite.test
def every_kind_is_handed_over(folder):
    path, packets = os.path.join(folder, "stream"), os.path.join(folder, "packets")
    hidden = f"srun-test-{os.getpid()}-{os.path.basename(folder)}"
    kinds = {"six": "tcp://[::1]:0", "path": f"unix://{path}", "hidden": f"unix://@{hidden}",
             "packets": f"unix-seqpacket://{packets}", "hidden-packets":
             f"unix-seqpacket://@{hidden}-packets"}
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        print("    without IPv6, which this system does not have")
        del kinds["six"]
    plan = "\n".join([PLAN, *(f"listen {name} {address}" for name, address in kinds.items())])
    with running(folder, plan) as program:
        files = inode_of(path), inode_of(packets)
        addresses = [line.split()[1] for line in program.ask("names").splitlines()]
        equal(len(addresses), len(kinds) + 1)
        for _ in range(3):
            program.gone(program.upgrade())
            for address in addresses:
                client = connect_to(address)
                client.send(b"id\n")
                equal(int(read_all(client).split()[1]), program.office, f"who answers at {address}")
        equal((inode_of(path), inode_of(packets)), files, "the paths")
        program.stop()
        check(not os.path.exists(path) and not os.path.exists(packets), "the paths are left")


@suite.test
def a_dropped_one_goes_when_there_is_no_way_back(folder):
    path = os.path.join(folder, "dropped")
    with running(folder, PLAN + f"\nlisten more tcp://127.0.0.1:0\nlisten path unix://{path}",
                 env=PROBATION) as program:
        more, old = program.address("more"), program.office
        program.plan(PLAN)
        program.upgraded(program.hup())
        equal([one["names"] for one in program.logged("not taken over")], ["more, path"])
        check(os.path.exists(path) and not refuses(more), "it is gone in the probation")
        since = program.hup(old)  # ends the probation
        program.upgraded(since)
        program.gone(old)
        until(lambda: not os.path.exists(path), "the end of the path")
        until(lambda: refuses(more), "the end of the port")
        program.stop()


def states_kept_by(pid):
    """Descriptors of what was kept by srun_upgrade_keep_state."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return [link for link in found if "srun-state" in link]


@suite.test
def a_dropped_one_goes_though_the_old_process_still_has_clients(folder):
    with running(folder, PLAN + "\nlisten more tcp://127.0.0.1:0\nkeep") as program:
        more, old, client = program.address("more"), program.office, program.held()
        program.plan(PLAN)
        program.upgraded(program.hup())
        until(lambda: refuses(more), "the end of the port")
        until(lambda: not states_kept_by(old), "the end of what was kept")
        check(is_alive(old), "the old process has not waited for its client")
        program.touch("release")
        equal(read_all(client), f"released {old}\n")
        program.gone(old)
        program.stop()


@suite.test
def a_dropped_one_is_still_there_after_a_rollback(folder):
    path = os.path.join(folder, "dropped")
    with running(folder, PLAN + f"\nlisten path unix://{path}", env=PROBATION) as program:
        inode, old = inode_of(path), program.office
        program.plan(PLAN)
        new = program.upgraded(program.hup())
        os.kill(new, signal.SIGKILL)
        program.wait_for('msg="rolled back"')
        program.office = old
        program.serves(old, f"unix://{path}")
        equal(inode_of(path), inode, "the path")
        program.stop()
        check(not os.path.exists(path), "the path is left")


@suite.test
def an_added_one_serves_with_the_new_version(folder):
    path = os.path.join(folder, "added")
    with running(folder) as program:
        program.plan(PLAN + f"\nlisten more tcp://127.0.0.1:0\nlisten path unix://{path}")
        program.upgrade()
        program.serves(program.office, program.address("more"))
        program.serves(program.office, f"unix://{path}")
        program.upgrade()
        program.serves(program.office, f"unix://{path}")
        program.stop()
        check(not os.path.exists(path), "the path is left")


@suite.test
def a_path_added_by_a_version_that_died_is_replaced(folder):
    path = os.path.join(folder, "added")
    with running(folder, env=PROBATION) as program:
        old = program.office
        program.plan(PLAN + f"\nlisten path unix://{path}")
        new = program.upgraded(program.hup())
        program.serves(new, f"unix://{path}")
        os.kill(new, signal.SIGKILL)
        program.wait_for('msg="rolled back"')
        program.office = old
        check(refuses(f"unix://{path}"), "somebody listens")
        new = program.upgraded(program.hup())
        program.serves(new, f"unix://{path}")
        program.stop()
        program.gone(old)


@suite.test
def an_added_one_that_fails_leaves_the_old_version_serving(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken, running(folder) as program:
        port, path = taken.getsockname()[1], os.path.join(folder, "added")
        program.plan(PLAN + f"\nlisten path unix://{path}\nlisten more tcp://127.0.0.1:{port}")
        program.fails(rf"tcp://127.0.0.1:{port}: bind: Address already in use", "init")
        until(lambda: not os.path.exists(path), "the end of the path that was added")
        program.plan(PLAN + f"\nlisten path unix://{path}")
        program.upgrade()
        program.serves(program.office, f"unix://{path}")
        program.stop()


@suite.test
def another_address_is_listened_to_anew(folder):
    path = os.path.join(folder, "moved")
    with running(folder, PLAN + "\nlisten more tcp://127.0.0.1:0") as program:
        before = program.address("more")
        program.plan(PLAN + f"\nlisten more unix://{path}")
        program.gone(program.upgrade())
        program.serves(program.office, f"unix://{path}")
        until(lambda: refuses(before), "the end of the port")
        program.stop()


@suite.test
def an_address_that_overlaps_the_old_one_is_explained(folder):
    with running(folder, PLAN + "\nlisten more tcp://127.0.0.1:0") as program:
        port = program.address("more").rsplit(":", 1)[1]
        program.plan(PLAN + f"\nlisten more tcp://0.0.0.0:{port}")
        program.fails("is in use by listener .*handed over and not asked for", "init")
        program.plan(PLAN)
        program.upgrade()
        program.stop()


@suite.test
def an_option_that_can_be_changed_is(folder):
    path = os.path.join(folder, "path")
    with running(folder, PLAN + f"\nlisten path unix://{path} 600") as program:
        inode = inode_of(path)
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        program.plan(PLAN + f"\nlisten path unix://{path} 660 7")
        program.upgrade()
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        equal(inode_of(path), inode, "the path")
        program.stop()


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@suite.test
def an_option_stays_when_the_upgrade_fails(folder):
    path = os.path.join(folder, "path")
    with running(folder, PLAN + f"\nlisten path unix://{path} 600") as program:
        program.plan(PLAN + f"\nlisten path unix://{path} 666\nwait go\nfail out of paper")
        since = program.hup()
        until(lambda: len(program.logged("listening")) == 4, "the new one listens")
        equal(mode_of(path), 0o600)
        program.touch("go")
        program.wait_for('msg="upgrade failed".*out of paper', since=since)
        equal(mode_of(path), 0o600)
        program.stop()


@suite.test
def an_option_is_given_back_when_the_upgrade_is_rolled_back(folder):
    path = os.path.join(folder, "path")
    with running(folder, PLAN + f"\nlisten path unix://{path} 600", env=PROBATION) as program:
        old = program.office
        program.plan(PLAN + f"\nlisten path unix://{path} 666")
        new = program.upgraded(program.hup())
        equal(mode_of(path), 0o666)
        os.kill(new, signal.SIGKILL)
        program.wait_for('msg="rolled back"')
        equal(mode_of(path), 0o600)
        program.office = old
        program.serves(old, f"unix://{path}")
        program.stop()


@suite.test
def an_option_that_cannot_be_changed_is_told(folder):
    if not os.path.exists("/proc/net/if_inet6"):
        print("    skipped: no IPv6")
        return
    plan = PLAN + "\nlisten one tcp://[::1]:0 0 0 0\nlisten six tcp://[::]:0 0 0 0"
    with running(folder, plan) as program:
        program.upgrade()
        equal(program.logged("an option of a socket that exists cannot be changed"), [])
        program.plan(plan[:-1] + "1")
        program.upgrade()
        told = program.logged("an option of a socket that exists cannot be changed")
        equal([(one["name"], one["option"]) for one in told], [("six", "v6only")])
        program.stop()


@suite.test
def a_listener_that_was_closed_is_not_handed_over(folder):
    path = os.path.join(folder, "path")
    with running(folder, PLAN + f"\nlisten path unix://{path}") as program:
        equal(program.ask("close path"), "0\n")
        check(not os.path.exists(path), "the path is left")
        program.upgrade()
        equal([one["socket"] for one in program.logged("listening")],
              ["made", "made", "handed over", "made"])
        program.stop()


@suite.test
def nothing_is_opened_that_the_new_process_would_not_get(folder):
    path = os.path.join(folder, "late")
    late = f"listen late unix://{path}"
    with running(folder, PLAN, env=PROBATION) as program:
        old, client = program.office, connect_to(program.address())
        program.plan(PLAN + "\nwait go\nfail out of paper")
        since = program.hup()
        program.wait_for("msg=begins", since=since)
        said = program.ask(late)
        equal(said.split()[0], str(-errno.EBUSY), "the answer")
        check("not opened during an upgrade" in said, said)
        check(not os.path.exists(path), "it is there")
        program.touch("go")
        program.wait_for('msg="upgrade failed".*out of paper', since=since)
        equal(program.ask(late), "0 \n")
        program.plan(f"{PLAN}\n{late}")
        program.upgraded(program.hup())
        equal(program.logged("listening")[-1]["socket"], "handed over")
        program.serves(program.office, f"unix://{path}")
        client.sendall(b"listen other tcp://127.0.0.1:0\n")  # of the old one
        check(read_all(client).startswith(f"{-errno.EBUSY} "), "opened in the probation")
        program.hup(old)  # ends the probation
        program.gone(old)
        program.stop()


@suite.test
def what_is_closed_during_an_upgrade_is_the_new_process_s(folder):
    path = os.path.join(folder, "path")
    plan = PLAN + f"\nlisten path unix://{path}"
    with running(folder, plan) as program:
        program.plan(plan + "\nwait go")
        since = program.hup()
        until(lambda: len(program.logged("listening")) == 4, "the new one listens")
        equal(program.ask("close path"), "0\n")
        early = program.send("id", f"unix://{path}")
        program.touch("go")
        program.upgraded(since)
        equal(int(read_all(early).split()[1]), program.office, "who answers")
        program.stop()
        check(not os.path.exists(path), "the path is left")


@suite.test
def what_is_closed_during_an_upgrade_that_fails_is_gone(folder):
    path = os.path.join(folder, "path")
    plan = PLAN + f"\nlisten path unix://{path}"
    with running(folder, plan) as program:
        program.plan(plan + "\nwait go\nfail out of paper")
        since = program.hup()
        until(lambda: len(program.logged("listening")) == 4, "the new one listens")
        equal(program.ask("close path"), "0\n")
        program.touch("go")
        program.wait_for('msg="upgrade failed".*out of paper', since=since)
        until(lambda: refuses(f"unix://{path}"), "the end of the path")
        check(not os.path.exists(path), "the path is left")
        program.stop()


@suite.test
def the_last_generation_removes_the_path(folder):
    path = os.path.join(folder, "path")
    with running(folder, PLAN + f"\nlisten path unix://{path}", env=PROBATION) as program:
        old, inode = program.office, inode_of(path)
        program.upgraded(program.hup())
        os.kill(old, signal.SIGTERM)  # of both: the operator wants the service to end
        program.gone(program.office)
        equal(program.wait(LIMIT), 0)
        check(not os.path.exists(path), f"the path is left, inode {inode}")
        equal(program.finish(), 0)


@suite.test
def a_path_that_somebody_else_has_replaced_is_left_alone(folder):
    path = os.path.join(folder, "path")
    with running(folder, PLAN + f"\nlisten path unix://{path}") as program:
        program.upgrade()
        os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.bind(path)
            program.gone(program.upgrade())
            program.stop()
            check(os.path.exists(path), "the path of somebody else was removed")


suite.main(at_once=3)

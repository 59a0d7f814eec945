# SPDX-License-Identifier: MIT
"""No new process comes to life: its file, the system or its circumstances are against it."""
import os
import shutil
import subprocess

from generations import LONG, PROGRAM, SHORT_MS, Family, cell
from support import Suite, check

suite = Suite("upgrade_refusal")


# The program's file


def patched(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def not_executable(path):
    os.chmod(path, 0o644)


def truncated(path):
    os.truncate(path, 40)


def of_another_machine(path):
    patched(path, 18, b"\xf3\x00")  # e_machine: RISC-V


def without_its_loader(path):
    with open(path, "rb") as file:
        at = file.read().index(b"/lib64/ld-linux") if os.uname().machine == "x86_64" else -1
    if at >= 0:
        patched(path, at, b"/lib64/no-linux")
    else:
        script_without_its_interpreter(path)


def script_without_its_interpreter(path):
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/nowhere/interpreter\n")


def for_all_to_write(path):
    os.chmod(path, 0o777)


def a_folder(path):
    os.unlink(path)
    os.mkdir(path)


def empty(path):
    os.truncate(path, 0)


FILES = {
    "missing": (os.unlink, "No such file"),
    "not_executable": (not_executable, "is not executable"),
    "truncated": (truncated, "not a program for this machine|cannot start|killed by SIG"),
    "empty": (empty, "not a program for this machine"),
    "of_another_machine": (of_another_machine, "not a program for this machine"),
    "without_its_loader": (without_its_loader, "its loader, or the interpreter"),
    "a_script_without_its_interpreter": (script_without_its_interpreter, "its loader, or the"),
    "for_all_to_write": (for_all_to_write, "writable by all"),
    "a_folder": (a_folder, "is a folder"),
}


def file_is(folder, change, reason):
    """It is put in the place of the old one as a deployment does: by a rename."""
    binary, good = os.path.join(folder, "server"), os.path.join(folder, "good")
    shutil.copy(PROGRAM, good)
    os.chmod(good, 0o755)
    os.link(good, binary)
    with Family(folder, binary=binary, env={"SRUN_UPGRADE_ANY_BINARY": "0"}) as family:
        bad = os.path.join(folder, "bad")
        shutil.copy(good, bad)
        change(bad)
        os.unlink(binary)
        if os.path.exists(bad):
            os.rename(bad, binary)
        family.hup()
        family.wait(rf'msg="upgrade failed" phase=(spawn|hello) error=".*({reason})')
        if os.path.isdir(binary):
            os.rmdir(binary)
        os.rename(good, binary)
        family.survives(family.first)


for words, (change, reason) in FILES.items():
    cell(suite, f"a_file_that_is_{words}_leaves_the_old_process_serving", file_is, change, reason)


def other_program(folder, text, reason, handshake=LONG):
    binary, good = os.path.join(folder, "server"), os.path.join(folder, "good")
    shutil.copy(PROGRAM, good)
    os.link(good, binary)
    with Family(folder, binary=binary, handshake=handshake) as family:
        family.tries = 5
        os.unlink(binary)
        with open(binary, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(binary, 0o755)
        family.hup()
        family.wait(rf'msg="upgrade failed" phase=hello error=".*{reason}')
        os.rename(good, binary)
        family.survives(family.first)


cell(suite, "another_program_that_ends_leaves_the_old_process_serving", other_program,
     "#!/bin/sh\nexit 0\n", "exited with 0")
cell(suite, "another_program_that_says_nothing_leaves_the_old_process_serving", other_program,
     "#!/bin/sh\nexec sleep 1000\n", "does not answer", f"{SHORT_MS}ms")


# What it says of itself


def unacceptable(folder, action, reason):
    with Family(folder) as family:
        family.order(2, "send:HELLO", action)
        family.hup()
        family.wait(rf'msg="upgrade failed" phase=hello error="{reason}')
        family.survives(family.first)


cell(suite, "no_common_version_leaves_the_old_process_serving", unacceptable, "future",
     "no common version")
cell(suite, "another_name_leaves_the_old_process_serving", unacceptable, "strange",
     "it is another program")


# The system, in the old process


def system_refuses(folder, place, error, phase):
    with Family(folder, orders=[(place, f"error:{error}")]) as family:
        family.hup()
        family.wait(f'msg="upgrade failed" phase={phase} ')
        family.survives(family.first)


for error in ("EAGAIN", "ENOMEM", "EMFILE"):
    for words, place, phase in (
            ("the_channel", "call:channel_pair", "spawn"),
            ("a_new_process", "call:posix_spawn", "spawn"),
            ("to_watch_the_new_process", "call:pidfd_open", "spawn"),
            ("to_hear_of_its_end", "call:fd_poller_add", "spawn"),
            ("a_descriptor_to_hand_over", "call:pidfd_open_self", "handover"),
            ("to_send_descriptors", "send:BATCH", "handover")):
        cell(suite, f"{error.lower()}_for_{words}_leaves_the_old_process_serving", system_refuses,
             place, error, phase)


@suite.test
def old_process_without_descriptors_in_spawn_serves_on(folder):
    with Family(folder) as family:
        family.limit_descriptors(family.first, 1)
        family.hup()
        family.wait('msg="upgrade failed" phase=spawn .*RLIMIT_NOFILE')
        family.free_descriptors(family.first)
        family.survives(family.first)


@suite.test
def old_process_without_descriptors_in_handover_serves_on(folder):
    with Family(folder) as family:
        hold = family.hold(2, "send:HELLO")
        family.hup()
        hold.wait()
        family.limit_descriptors(family.first, 1)
        hold.release()
        family.wait('msg="upgrade failed" phase=handover .*Too many open files')
        family.free_descriptors(family.first)
        family.survives(family.first)


# Its circumstances


@suite.test
def supervised_process_refuses_and_serves_on(folder):
    with Family(folder, env={"SRUN_SUPERVISED": "1"}) as family:
        family.hup()
        family.wait('msg="upgrade refused" why=".*SRUN_SUPERVISED')
        family.serves(family.first)
        family.alone(family.first)
        family.end(family.first)


def can_be_pid_1(words):
    return subprocess.run([*words, "true"], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


@suite.test
def process_1_refuses_and_serves_on(folder):
    """Of a PID name space of its own, where one can be made."""
    words = ["unshare", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        words[1:1] = ["--user", "--map-root-user"]
    if not shutil.which("unshare") or not can_be_pid_1(words):
        print("skipped: no name space can be made")
        return
    with Family(folder, argv=[*words, PROGRAM], named_elsewhere=True) as family:
        check(family.first == 1, "it is not process 1")
        server = family.outside()
        family.hup(server)
        family.wait('msg="upgrade refused" why=".*PID 1')
        family.watch.wait(1)
        family.quiet()
        os.kill(server, 15)
        family.over()


# One after the other: who starts a process while another thread writes a program keeps that busy.
suite.main()

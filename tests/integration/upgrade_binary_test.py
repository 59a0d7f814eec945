# SPDX-License-Identifier: MIT
"""Which file runs after an upgrade: the new one, or none and the reason is named."""
import os
import shutil
import stat
import sys

sys.dont_write_bytecode = True
from upgraded import Program, build, running, until  # noqa: E402
from support import Suite, check, equal  # noqa: E402

suite = Suite("upgrade_binary")


def place(version, path):
    """Puts a build there, under a name of its own first, as a deployment does."""
    shutil.copy(build(f"upgraded_v{version}"), path + ".new")
    os.rename(path + ".new", path)
    return path


def deployed(folder, **more):
    """Version 1 runs from a file of the test's own, in a folder of its own."""
    home = os.path.join(folder, "deploy")
    os.mkdir(home, 0o755)
    path = place(1, os.path.join(home, "upgraded"))
    return path, running(folder, argv=more.pop("argv", None) or [path], **more)


def becomes(program, version):
    """The next upgrade works, and this version serves, and says so."""
    program.upgrade()
    equal(program.ask("id").split()[0], version, "the version that serves")
    told = program.logged("upgraded")[-1]
    equal(told["new_version"], version, "the version that was told")


def refused(folder, spoil, reason, **env):
    """After spoil the upgrade is refused for that reason; the next good one works."""
    path, context = deployed(folder, env=env)
    with context as program:
        spoil(path)
        program.fails(reason)
        equal(program.ask("id").split()[0], "1", "the version that serves")
        equal(program.logged("upgraded"), [], "reported upgrades")
        place(2, path)
        os.chmod(os.path.dirname(path), 0o755)
        becomes(program, "2")
        program.stop()


@suite.test
def a_file_that_was_renamed_over_runs(folder):
    path, context = deployed(folder)
    with context as program:
        place(2, path)
        becomes(program, "2")
        place(1, path)
        becomes(program, "1")
        program.stop()


@suite.test
def a_link_that_was_switched_is_followed_anew(folder):
    for version in (1, 2):
        os.mkdir(os.path.join(folder, f"release-{version}"))
        place(version, os.path.join(folder, f"release-{version}", "upgraded"))
    current = os.path.join(folder, "current")
    os.symlink("release-1", current)
    with running(folder, argv=[os.path.join(current, "upgraded")]) as program:
        os.symlink("release-2", current + ".new")
        os.rename(current + ".new", current)
        becomes(program, "2")
        program.stop()


@suite.test
def a_file_that_was_deleted_is_refused(folder):
    refused(folder, os.unlink, "No such file")


@suite.test
def a_folder_that_was_removed_is_refused(folder):
    path, context = deployed(folder)
    with context as program:
        shutil.rmtree(os.path.dirname(path))
        program.fails("No such file")
        os.mkdir(os.path.dirname(path))
        place(2, path)
        becomes(program, "2")
        program.stop()


@suite.test
def a_running_file_cannot_be_copied_over(folder):
    path, context = deployed(folder)
    with context as program:
        try:
            shutil.copyfile(build("upgraded_v2"), path)
            check(False, "the system lets the file of a running process be written")
        except OSError as error:
            equal(error.strerror, "Text file busy")
        becomes(program, "1")
        program.stop()


@suite.test
def a_file_that_was_written_in_place_is_warned_of(folder):
    path, context = deployed(folder)
    with context as program:
        status = os.stat(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
        becomes(program, "1")
        equal(len(program.logged("the program file was overwritten, not replaced")), 1, "warnings")
        program.stop()


@suite.test
def a_bare_name_is_found_by_the_path_of_the_start(folder):
    home = os.path.join(folder, "bin")
    os.mkdir(home)
    path = place(1, os.path.join(home, "upgraded"))
    env = {"PATH": home + ":" + os.environ["PATH"]}
    # env(1) looks in PATH and leaves argv[0] as it is.
    with running(folder, argv=["env", "upgraded"], env=env) as program:
        place(2, path)
        becomes(program, "2")
        os.unlink(path)
        program.fails("No such file")
        place(1, path)
        becomes(program, "1")
        program.stop()


@suite.test
def a_relative_name_means_the_folder_of_the_start(folder):
    path = place(1, os.path.join(folder, "upgraded"))
    os.mkdir(os.path.join(folder, "elsewhere"))
    plan = "listen web tcp://127.0.0.1:0\nchdir elsewhere"
    with running(folder, plan, argv=["./upgraded"]) as program:
        equal(os.readlink(f"/proc/{program.office}/cwd"), os.path.join(folder, "elsewhere"))
        place(2, path)
        becomes(program, "2")
        becomes(program, "2")
        equal(os.readlink(f"/proc/{program.office}/cwd"), os.path.join(folder, "elsewhere"))
        program.stop()


@suite.test
def a_script_may_stand_in_front(folder):
    path, context = deployed(folder)
    with context as program:
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec {build('upgraded_v2')} \"$@\"\n")
        os.chmod(path + ".new", 0o755)
        os.rename(path + ".new", path)
        becomes(program, "2")
        program.stop()


def rewrite(path, change):
    """Replaces the file by one with other content."""
    with open(path, "rb") as file:
        content = bytearray(file.read())
    with open(path + ".new", "wb") as file:
        file.write(change(content))
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)


@suite.test
def a_file_for_another_machine_is_refused(folder):
    def alien(content):
        content[18:20] = b"\xff\x7f"
        return content
    refused(folder, lambda path: rewrite(path, alien), "not a program for this machine")


@suite.test
def a_file_that_was_cut_short_is_refused(folder):
    refused(folder, lambda path: rewrite(path, lambda content: content[:40]),
            "not a program for this machine")


@suite.test
def a_file_that_was_cut_in_the_middle_is_refused(folder):
    refused(folder, lambda path: rewrite(path, lambda content: content[:len(content) // 2]),
            "killed by SIG|exited with|Exec format|not a program|Bad address")


@suite.test
def an_empty_file_is_refused(folder):
    refused(folder, lambda path: rewrite(path, lambda content: b""),
            "not a program for this machine")


@suite.test
def a_script_without_its_interpreter_is_refused(folder):
    refused(folder, lambda path: rewrite(path, lambda content: b"#!/no/such/shell\n"),
            "the interpreter of a script, is missing")


@suite.test
def a_file_that_is_not_executable_is_refused(folder):
    refused(folder, lambda path: os.chmod(path, 0o644), "is not executable")


@suite.test
def a_folder_in_place_of_the_file_is_refused(folder):
    def spoil(path):
        os.unlink(path)
        os.mkdir(path)
    path, context = deployed(folder)
    with context as program:
        spoil(path)
        program.fails("is a folder")
        os.rmdir(path)
        place(2, path)
        becomes(program, "2")
        program.stop()


@suite.test
def a_file_that_runs_as_somebody_else_is_refused(folder):
    def spoil(path):
        os.chown(path, 0, 1)
        os.chmod(path, 0o2755)
    if os.geteuid() != 0:
        print("    skipped: only root can give a file away")
        return
    refused(folder, spoil, "would run as another user or group .mode 2755")


@suite.test
def a_file_of_a_stranger_is_refused(folder):
    if os.geteuid() != 0:
        print("    skipped: only root can give a file away")
        return
    refused(folder, lambda path: os.chown(path, 12345, 0), "belongs to user 12345")


@suite.test
def a_file_that_all_may_write_is_refused(folder):
    refused(folder, lambda path: os.chmod(path, 0o757), "is writable by all .mode 0757")


@suite.test
def a_folder_that_all_may_write_is_refused(folder):
    refused(folder, lambda path: os.chmod(os.path.dirname(path), 0o777), "is writable by all")


@suite.test
def what_others_may_write_runs_when_that_is_allowed(folder):
    path, context = deployed(folder, env={"SRUN_UPGRADE_ANY_BINARY": "true"})
    with context as program:
        place(2, path)
        os.chmod(path, 0o777)
        os.chmod(os.path.dirname(path), 0o777)
        becomes(program, "2")
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o777)
        program.stop()


@suite.test
def a_program_that_says_nothing_is_refused_after_the_limit(folder):
    refused(folder, lambda path: rewrite(path, lambda content: b"#!/bin/sh\nexec sleep 1000\n"),
            "does not answer in hello", SRUN_UPGRADE_HANDSHAKE="10s")


@suite.test
def a_program_that_ends_at_once_is_refused(folder):
    refused(folder, lambda path: rewrite(path, lambda content: b"#!/bin/sh\nexit 7\n"),
            "exited with 7")


@suite.test
def another_program_is_refused(folder):
    path, context = deployed(folder)
    with context as program:
        place(2, path)
        program.plan("name other")
        text = program.fails("it is another program: other", "hello")
        check("new_pid=" in text, text)
        program.plan("")
        becomes(program, "2")
        program.stop()


@suite.test
def a_name_that_does_not_fit_is_no_other_program(folder):
    path, context = deployed(folder, plan="name " + "ü" * 40)  # 64 bytes would cut the 32nd in two
    with context as program:
        place(2, path)
        becomes(program, "2")
        program.stop()


@suite.test
def what_a_refused_process_printed_does_no_harm(folder):
    def spoil(path):
        rewrite(path, lambda content: b"#!/bin/sh\necho nonsense >&3; exec sleep 1000\n")
    refused(folder, spoil, "what it said is no message")


@suite.test
def the_first_generation_is_waited_for(folder):
    # A request that comes before all services run is done as soon as they do.
    with Program(folder, "wait go") as program:
        program.wait_for("msg=begins")
        since = program.hup(program.pid)
        program.wait_for('msg="upgrade requested"')
        program.plan("version 2")
        program.touch("go")
        program.upgraded(since)
        equal(program.ask("id").split()[0], "2")
        until(lambda: program.info()["state"] == "idle", "the end of the first one")
        program.stop()


# One at a time: a process that starts holds for a moment what another test writes, which then
# cannot be run.
suite.main()

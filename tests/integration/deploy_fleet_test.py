# SPDX-License-Identifier: MIT
"""Rolling upgrades of deploy/: by ssh and by Ansible, of several programs that stand for machines.
The ssh here is a script that runs the command on this machine; all else is as it would be."""
import contextlib
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
from admin import AdminServer  # noqa: E402
from support import BUILD_DIR, LIMIT, SOURCE_DIR, Suite, check, equal, program  # noqa: E402

suite = Suite("deploy_fleet")
SCRIPT = os.path.join(SOURCE_DIR, "deploy", "ssh", "rolling-upgrade")
PLAYBOOK = os.path.join(SOURCE_DIR, "deploy", "ansible", "rolling-upgrade.yml")
ANSIBLE = shutil.which("ansible-playbook")
FAKE = """#!/bin/sh
# Stands for ssh: each machine has a folder of its own, in which srunctl finds the program.
printf '%s\\n' "$1" >>"$HOSTS/visited"
[ -d "$HOSTS/$1" ] || { echo "ssh: $1: no such host" >&2; exit 255; }
case $2 in *generations) [ ! -e "$HOSTS/mute" ] || exit 255 ;; esac
export XDG_RUNTIME_DIR="$HOSTS/$1"
cd "$HOSTS/$1" && exec sh -c "$2"
"""


class Fleet:
    """Machines m1, m2, ..., each with a program in a file of its own."""

    def __init__(self, folder, stack, count, refuses=None, probation="100ms"):
        self.folder, self.servers = folder, {}
        self.ssh = os.path.join(folder, "ssh")
        with open(self.ssh, "w", encoding="ascii") as file:
            file.write(FAKE)
        os.chmod(self.ssh, 0o755)
        for i in range(1, count + 1):
            name = f"m{i}"
            own = os.path.join(folder, name)
            os.mkdir(own, 0o700)
            file = os.path.join(own, "http")
            shutil.copy(program("http"), file)
            env = {"SRUN_ADMIN_SOCKET": os.path.join(own, "http.sock"), "SRUN_UPGRADE_ANY_BINARY": "true"}
            if name == refuses:
                env["SRUN_SUPERVISED"] = "true"
            self.servers[name] = stack.enter_context(
                AdminServer([file, "--http.address=127.0.0.1:0"], own, env, probation))

    def environment(self):
        return {**os.environ, "SSH": self.ssh, "HOSTS": self.folder,
                "PATH": BUILD_DIR + ":" + os.environ["PATH"]}

    def roll(self, *arguments):
        """(status, what it said)."""
        done = subprocess.run([SCRIPT, *arguments], env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT, check=False)
        return done.returncode, done.stdout + done.stderr

    def generations(self):
        found = {}
        for name, server in self.servers.items():
            told = server.unix("GET", "/generations?format=json").body
            found[name] = max(one["generation"] for one in json.loads(told)["generations"])
        return found

    def visited(self):
        """The machines in the order in which they were first spoken to."""
        with open(os.path.join(self.folder, "visited"), encoding="ascii") as file:
            return list(dict.fromkeys(file.read().split()))

    def end(self):
        for server in self.servers.values():
            equal(server.stop(), 0, "exit code")


@contextlib.contextmanager
def fleet(folder, count, refuses=None, probation="100ms"):
    with contextlib.ExitStack() as stack:
        made = Fleet(folder, stack, count, refuses, probation)
        for name, server in made.servers.items():
            server.socket = os.path.join(folder, name, "http.sock")
        yield made
        made.end()


def another_version(folder):
    """A file of the same program that can be told from it."""
    new = os.path.join(folder, "new")
    shutil.copy(program("http"), new)
    with open(new, "ab") as file:
        file.write(b"another version")
    return new


def who_has_it(folder, machines):
    have = []
    for name in machines.servers:
        with open(os.path.join(folder, name, "http"), "rb") as file:
            if file.read().endswith(b"another version"):
                have.append(name)
    return have


@suite.test
def all_machines_are_upgraded_one_after_the_other(folder):
    with fleet(folder, 3) as machines:
        code, said = machines.roll("http", "m1", "m2", "m3")
        equal(code, 0, said)
        equal(machines.generations(), {"m1": 2, "m2": 2, "m3": 2}, said)
        equal(machines.visited(), ["m1", "m2", "m3"])
        equal([line.partition(":")[0] for line in said.splitlines()], ["m1", "m2", "m3"], said)


@suite.test
def the_first_refusal_ends_it(folder):
    with fleet(folder, 4, refuses="m2") as machines:
        code, said = machines.roll("http", "m1", "m2", "m3", "m4")
        equal(code, 1, said)
        equal(machines.generations(), {"m1": 2, "m2": 1, "m3": 1, "m4": 1}, said)
        equal(machines.visited(), ["m1", "m2"])
        check("SRUN_SUPERVISED" in said and "m2 failed" in said and "not touched: m3 m4" in said, said)


@suite.test
def a_machine_that_is_not_there_ends_it(folder):
    with fleet(folder, 1) as machines:
        code, said = machines.roll("http", "nowhere", "m1")
        equal((code, machines.generations()), (1, {"m1": 1}), said)
        check("no such host" in said, said)


@suite.test
def a_new_file_is_put_in_place(folder):
    with fleet(folder, 2) as machines:
        new = another_version(folder)
        code, said = machines.roll("-f", new, "-p", "./http", "http", "m1", "m2")
        equal((code, machines.generations()), (0, {"m1": 2, "m2": 2}), said)
        equal(who_has_it(folder, machines), ["m1", "m2"], "who has the new file")


@suite.test
def where_it_fails_the_old_file_is_put_back(folder):
    with fleet(folder, 2) as machines:
        code, said = machines.roll("-f", "/bin/false", "-p", "./http", "http", "m1", "m2")
        equal((code, machines.generations()), (1, {"m1": 1, "m2": 1}), said)
        with open(os.path.join(folder, "m1", "http"), "rb") as file, open(program("http"), "rb") as old:
            check(file.read() == old.read(), "the old file")
        code, said = machines.roll("http", "m1", "m2")
        equal(code, 0, "and it can be tried again: " + said)


@suite.test
def where_the_new_version_serves_its_file_stays(folder):
    """As after a time-out: the probation is longer than what the upgrade is waited for."""
    with fleet(folder, 2, probation="3s") as machines:
        code, said = machines.roll("-t", "1500ms", "-f", another_version(folder), "-p", "./http", "http", "m1", "m2")
        equal((code, machines.generations()), (1, {"m1": 2, "m2": 1}), said)
        equal(who_has_it(folder, machines), ["m1"], "who has the new file")
        check("m1 failed, but runs the new version; the old file is ./http.old; not touched: m2" in said, said)


@suite.test
def where_it_is_not_known_what_serves_no_file_is_touched(folder):
    with fleet(folder, 1) as machines:
        with open(os.path.join(folder, "mute"), "wb"):
            pass
        code, said = machines.roll("-f", "/bin/false", "-p", "./http", "http", "m1")
        equal((code, machines.generations()), (1, {"m1": 1}), said)
        check("m1 failed, and what serves there is not known: srunctl -n http generations; "
              "the old file is ./http.old; not touched: none" in said, said)
        with open(os.path.join(folder, "m1", "http.old"), "rb") as file, open(program("http"), "rb") as old:
            check(file.read() == old.read(), "the old file")


@suite.test
def what_makes_no_sense_is_refused_before_anything_is_done(folder):
    del folder
    for arguments in ([], ["http"], ["-f", "/bin/true", "http", "m1"], ["-p", "x", "http", "m1"],
                      ["-f", "/nowhere", "-p", "x", "http", "m1"], ["a;b", "m1"], ["-t", "$(id)", "http", "m1"]):
        done = subprocess.run([SCRIPT, *arguments], env={**os.environ, "SSH": "false"}, capture_output=True,
                              text=True, timeout=LIMIT, check=False)
        equal(done.returncode, 2, str(arguments))
        check(done.stderr, "why")


# Ansible


def play(machines, folder, **more):
    """The playbook, of machines that are all this one."""
    hosts = {name: {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": "/usr/bin/python3",
                    "srun_path": os.path.join(folder, name, "http"), "srun_program": name} for name in machines.servers}
    inventory = os.path.join(folder, "hosts.json")
    with open(inventory, "w", encoding="utf-8") as file:
        json.dump({"srun_http": {"hosts": hosts}}, file)
    # srunctl finds each by its name.
    for name in machines.servers:
        os.symlink(os.path.join(folder, name, "http.sock"), os.path.join(folder, name + ".sock"))
    env = {**machines.environment(), "XDG_RUNTIME_DIR": folder, "ANSIBLE_HOME": os.path.join(folder, "ansible"),
           "ANSIBLE_LOCAL_TEMP": os.path.join(folder, "local"), "ANSIBLE_REMOTE_TEMP": os.path.join(folder, "remote"),
           "ANSIBLE_PIPELINING": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([ANSIBLE, "-i", inventory, "-e", json.dumps(more), PLAYBOOK], env=env, capture_output=True,
                          text=True, timeout=4 * LIMIT, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


@suite.test
def the_playbook_upgrades_until_one_refuses(folder):
    if ANSIBLE is None:
        print("    not run: there is no ansible-playbook here")
        return
    with fleet(folder, 3, refuses="m2") as machines:
        new = another_version(folder)
        code, said = play(machines, folder, program_file=new)
        check(code != 0, said)
        equal(machines.generations(), {"m1": 2, "m2": 1, "m3": 1}, said)
        equal(who_has_it(folder, machines), ["m1"], "who has the new file")


@suite.test
def the_playbook_leaves_the_new_file_to_who_serves_with_it(folder):
    if ANSIBLE is None:
        print("    not run: there is no ansible-playbook here")
        return
    with fleet(folder, 2, probation="3s") as machines:
        code, said = play(machines, folder, program_file=another_version(folder), srun_limit="1500ms")
        check(code != 0, said)
        equal(machines.generations(), {"m1": 2, "m2": 1}, said)
        equal(who_has_it(folder, machines), ["m1"], "who has the new file")
        check("m1 runs the new version, and keeps its file" in said, said)


suite.main()

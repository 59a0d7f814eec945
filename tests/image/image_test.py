# SPDX-License-Identifier: MIT
"""The images of ./dev image, run as Docker, as Kubernetes and as a person would run them. tools/image
builds them and starts this. A container has no network but its own loopback: who asks goes there."""
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "integration"))
from configurations import load  # noqa: E402
from support import LIMIT, SOURCE_DIR, Suite, check, equal  # noqa: E402

suite = Suite("image", "image")
PODMAN = json.loads(os.environ.get("SRUN_PODMAN", "[]"))
NUMBERS = itertools.count()
# podman lays a tmpfs over all of /run unless it is told not to; Docker and Kubernetes do not.
# Limits below those of this machine: to raise them is a right that root in a container may lack.
ALIKE = ["--network", "none", "--read-only-tmpfs=false", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
TMPFS = ["--tmpfs", "/run/srun-http:mode=1777"]
SOCKET = "/run/srun-http/admin.sock"


def podman(*argv, code=0, limit=LIMIT):
    """What it says. It has to end with this code."""
    done = subprocess.run([*PODMAN, *argv], capture_output=True, text=True, timeout=limit, check=False)
    equal(done.returncode, code, f"podman {argv[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def inspect(what):
    return json.loads(podman("inspect", what))[0]


def once(image, *command):
    """The output of a command in the image, which is not its program."""
    return podman("run", "--rm", "--no-healthcheck", *ALIKE, "--entrypoint", command[0], image, *command[1:])


class Container:
    """One that runs."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid

    def do(self, *command, code=0):
        """A command in it, as its user."""
        return podman("exec", self.name, *command, code=code)

    def ask(self, port, path):
        """(status, body) of a request to its loopback."""
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", "curl", "-s", "-m", str(int(LIMIT)), "-w", "\n%{http_code}",
             f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=False, timeout=LIMIT)
        equal(done.returncode, 0, f"curl {path}: {done.stderr}")
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def status(self):
        """What the kernel says of its first process."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def log(self):
        done = subprocess.run([*PODMAN, "logs", self.name], capture_output=True, text=True, check=False, timeout=LIMIT)
        return done.stdout + done.stderr

    def stop(self, grace):
        """SIGTERM, and SIGKILL after so many seconds, which would be a failure: (exit code, its log)."""
        podman("stop", "--time", str(grace), self.name, limit=grace + LIMIT)
        return inspect(self.name)["State"]["ExitCode"], self.log()


@contextlib.contextmanager
def container(image, *options, command=(), ready=("srunctl", "-s", SOCKET, "wait", "-t", "30s")):
    """A container of the image, once it says that it is ready."""
    name = f"srun-{os.getpid()}-{next(NUMBERS)}"
    podman("run", "--detach", "--name", name, *ALIKE, *options, image, *command)
    started = Container(name, inspect(name)["State"]["Pid"])
    try:
        try:
            started.do(*ready)
        except AssertionError:
            print(started.log())
            raise
        yield started
    finally:
        podman("rm", "--force", "--time", "0", name)


def pod():
    """Of the deployment for Kubernetes: its container, and its template."""
    template = load(os.path.join(SOURCE_DIR, "deploy", "kubernetes", "deployment.yaml"))["spec"]["template"]
    (only,) = template["spec"]["containers"]
    return only, template["spec"]


@suite.test
def it_is_what_its_file_says(folder):
    del folder
    whole = inspect("srun-http")
    config = whole["Config"]
    only, spec = pod()
    equal(config["User"], f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}", "user")
    equal((config["Entrypoint"], config["Cmd"]), (["/usr/local/bin/srun-http"], only["args"]), "command")
    equal(sorted(config["ExposedPorts"]), ["8080/tcp"], "ports")
    equal(config["StopSignal"], "SIGTERM", "signal")
    equal(whole["Healthcheck"]["Test"], ["CMD", "srunctl", "-s", SOCKET, "wait", "--live", "-t", "0"], "health check")


@suite.test
def it_has_what_the_program_needs_and_no_more(folder):
    del folder
    linked = once("srun-http", "sh", "-c", "ldd /usr/local/bin/* /usr/local/lib/libsrun.so.0 /usr/local/lib/srun/*.so.*")
    check("libsrun.so.0 => /usr/local/lib/libsrun.so.0" in linked, linked)
    check("not found" not in linked, linked)
    equal(once("srun-http", "sh", "-c", "command -v cc gcc make cmake git python3; ls -d /src; true"), "", "of the build")
    writable = once("srun-http", "sh", "-c", "find / -xdev -writable ! -type l ! -path '/tmp*' 2>/dev/null; true")
    equal(sorted(set(writable.split()) - {"/var/tmp", "/run/lock"}), ["/run/srun-http"], "what its user can write to")
    size, below = (inspect(image)["Size"] / 1e6 for image in ("srun-http", "debian:bookworm-slim"))
    check(size - below < 40, f"{size - below:.0f} MB on top of Debian")
    print(f"    {size:.0f} MB, of which {below:.0f} are a Debian that keeps its documents")


@suite.test
def it_runs_as_docker_runs_it(folder):
    del folder
    with container("srun-http", "--read-only", *TMPFS, "--cap-drop", "ALL") as running:
        equal(running.ask(8080, "/")[0], 200, "/")
        equal(running.ask(8778, "/health")[0], 200, "/health")
        podman("healthcheck", "run", running.name)
        check("pid 1 " in running.do("srunctl", "-s", SOCKET, "status"), "it is PID 1")
        running.do("sh", "-c", "echo >/usr/local/bin/srun-http", code=2)  # read only
        code, log = running.stop(10)
        equal(code, 0, log)
        check("msg=stopped" in log and "level=ERROR" not in log, log)


@suite.test
def it_runs_where_its_root_can_be_written_to(folder):
    del folder
    with container("srun-http") as running:
        podman("healthcheck", "run", running.name)
        equal(running.stop(10)[0], 0, "exit code")


@suite.test
def it_runs_as_kubernetes_runs_it(folder):
    del folder
    only, spec = pod()
    environment = [word for one in only["env"] for word in ("--env", f"{one['name']}={one['value']}")]
    equal(only["volumeMounts"], [{"name": "run", "mountPath": "/run/srun-http"}], "where it can write")
    with container("srun-http", "--read-only", *TMPFS, "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                   *environment, command=only["args"]) as running:
        status = running.status()
        equal((status["Uid"].split(), status["Gid"].split()), (["65532"] * 4, ["65532"] * 4), "who it is")
        equal({status[name] for name in ("CapEff", "CapPrm", "CapBnd")}, {"0" * 16}, "capabilities")
        equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "no new rights, and seccomp's default")
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            equal(running.ask(8778, only[name]["httpGet"]["path"])[0], 200, name)
        check("srun_ready 1" in running.ask(8778, "/metrics")[1], "metrics")
        running.do("srunctl", "-s", SOCKET, "drain")
        equal(running.ask(8778, "/ready")[0], 503, "/ready, drained")
        equal(running.ask(8080, "/")[0], 200, "/, drained")
        code, log = running.stop(spec["terminationGracePeriodSeconds"])
        equal(code, 0, log)
        records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        check(any(one["msg"] == "draining" for one in records), log)
        equal([one for one in records if one["level"] == "ERROR"], [], "errors")


@suite.test
def a_profile_has_the_names_of_functions(folder):
    del folder
    with container("srun-http", "--read-only", *TMPFS, "--cap-drop", "ALL") as running:
        told = running.do("srunctl", "-s", SOCKET, "profile", "threads")
        check(re.search(r"\bsrun_runner_run\b", told), told)
        equal(running.stop(10)[0], 0, "exit code")


@suite.test
def the_image_of_a_new_program_runs(folder):
    del folder
    config = inspect("mydaemon")["Config"]
    check(config["User"].split(":")[0] not in ("", "0", "root"), f"user {config['User']!r}")
    for more in ((), ("--read-only", "--tmpfs", "/run/mydaemon", "--cap-drop", "ALL")):
        with container("mydaemon", *more, ready=("srunctl", "wait", "-t", "30s")) as running:
            podman("healthcheck", "run", running.name)
            equal(running.ask(8778, "/health")[0], 200, "/health")
            code, log = running.stop(10)
            equal(code, 0, log)


suite.main()

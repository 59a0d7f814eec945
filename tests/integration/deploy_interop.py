#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The files of deploy/, read by what others publish: each is taken as it is, and refused once something
in it is wrong. A suite of ./dev interop: deploy_peers.py makes the readers."""
import json
import os
import re
import shutil
import signal
import sys

sys.dont_write_bytecode = True
from deploy_peers import PEERS  # noqa: E402
from support import SOURCE_DIR, Suite, check, equal, run  # noqa: E402

SUITE = Suite("deploy", "interop")
DEPLOY = os.path.join(SOURCE_DIR, "deploy")


def read(name, path, folder):
    """(what the reader says of it, what it has against it)."""
    code, said, wrong = run([PEERS[name].path, path], folder)
    equal(code != 0, bool(wrong), f"{name}: {code} {said} {wrong}")
    return said, wrong


def taken(name, path, folder):
    said, wrong = read(name, path, folder)
    equal(wrong, "", f"{name}: {path}")
    return said


def refused(name, path, folder, cases):
    """A copy of path, in which something is replaced, is refused, for that reason."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for number, (old, new, why) in enumerate(cases):
        check(old in text, f"{name}: the case {old!r} fits no more")
        place = os.path.join(folder, str(number))
        if name == "kubernetes":  # which reads the folder
            shutil.copytree(os.path.dirname(path), place)
        else:
            os.mkdir(place)
        broken = os.path.join(place, os.path.basename(path))
        with open(broken, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new, 1))
        said = read(name, place if name == "kubernetes" else broken, folder)[1]
        check(why in said, f"{name}: {new!r}: {said!r}, not {why!r}")


def peer(name):
    """Decorator: a test that needs this reader."""
    def add(function):
        if PEERS[name].made():
            SUITE.test(function)
        else:
            print(f"    not run: {function.__name__}: there is no reader; "
                  "python3 tests/integration/deploy_peers.py says why")
        return function
    return add


@peer("kubernetes")
def an_api_server_takes_the_manifests(folder):
    place = os.path.join(DEPLOY, "kubernetes")
    equal(taken("kubernetes", place, folder).splitlines(),
          ["Deployment srun-http", "Service srun-http", "PodDisruptionBudget srun-http"])
    refused("kubernetes", os.path.join(place, "deployment.yaml"), folder, (
        ("replicas: 3", "replicas: three", "cannot unmarshal string"),
        ("replicas: 3", "replica: 3", 'unknown field "spec.replica"'),
        ("replicas: 3", "replicas: 3\n  replicas: 2", "already defined"),
        ("containerPort: 8778", "containerPort: 87780", "must be between 1 and 65535"),
        ("port: admin}", "port: adm_in}", "characters (a-z, 0-9)"),
        ("mountPath: /run/srun-http", "mountPath: ''", "mountPath: Required value"),
        ("{name: run, mountPath", "{name: ran, mountPath", 'volumeMounts[0].name: Not found: "ran"'),
        ("memory: 64Mi", "memory: 64Megs", "quantities must match"),
        ("memory: 64Mi", "memory: 512Mi", "must be less than or equal to memory limit"),
        ("app.kubernetes.io/name: srun-http}\n  strategy", "app.kubernetes.io/name: other}\n  strategy",
         "`selector` does not match template `labels`"),
        ("maxUnavailable: 0", "maxUnavailable: -1", "maxUnavailable"),
        ("drop: [ALL]", "drop: [CHOWN]", "unrestricted capabilities"),
        ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot != true"),
    ))


@peer("kubernetes")
def a_kustomization_that_does_not_fit_is_refused(folder):
    refused("kubernetes", os.path.join(DEPLOY, "kubernetes", "kustomization.yaml"), folder, (
        ("- service.yaml", "- services.yaml", "services.yaml"),
        ("images:", "image:", 'unknown field "image"'),
    ))


@peer("kubernetes")
def a_service_that_is_wrong_is_refused(folder):
    refused("kubernetes", os.path.join(DEPLOY, "kubernetes", "service.yaml"), folder, (
        ("port: 80,", "port: 80, protocol: HTTP,", "Unsupported value"),
        ("targetPort: http", "targetPort: 70000", "must be between 1 and 65535"),
    ))


@peer("kubernetes")
def a_budget_that_is_wrong_is_refused(folder):
    refused("kubernetes", os.path.join(DEPLOY, "kubernetes", "poddisruptionbudget.yaml"), folder, (
        ("maxUnavailable: 1", "minAvailable: 1\n  maxUnavailable: 1", "cannot be both set"),
        ("policy/v1", "policy/v2", "no kind"),
    ))


@peer("nomad")
def nomad_s_decoder_takes_the_job(folder):
    path = os.path.join(DEPLOY, "nomad", "srun-http.nomad.hcl")
    job = json.loads(taken("nomad", path, folder))
    (group,) = job["TaskGroups"]
    (task,) = group["Tasks"]
    second = 10**9
    equal((job["ID"], job["Type"], group["Count"], task["KillTimeout"], task["ShutdownDelay"], task["KillSignal"]),
          ("srun-http", "service", 3, 25 * second, 5 * second, "SIGTERM"))
    equal({port["Label"]: port["To"] for port in group["Networks"][0]["DynamicPorts"]}, {"http": 8080, "admin": 8778})
    equal([(one["PortLabel"], one["Interval"], one["Timeout"]) for one in group["Services"][0]["Checks"]],
          [("admin", 2 * second, second), ("admin", 10 * second, 2 * second)])
    refused("nomad", path, folder, (
        ("count = 3", "counts = 3", 'An argument named "counts"'),
        ("count = 3", 'count = "three"', "a number is required"),
        ("check_restart", "check_restarts", 'Blocks of type "check_restarts"'),
        ('kill_timeout = "25s"', 'kill_timeout = "25 seconds"', "unknown unit"),
        ('kill_timeout = "25s"', "kill_timeout = 25", "it is no string"),
        ("readonly_rootfs = true", 'readonly_rootfs = true\ntmpfs = ["/run"]', 'An argument named "tmpfs"'),
        ('task "srun-http"', "task", "Missing name for task"),
        ('"srun-http" {\n  type', '"srun-http" {\n  type = "batch"\n  type', "Attribute redefined"),
    ))


@peer("consul")
def consul_s_types_take_the_service(folder):
    path = os.path.join(DEPLOY, "consul", "srun-http.json")
    equal(taken("consul", path, folder), "srun-http: port 8080, 2 checks\n")
    refused("consul", path, folder, (
        ('"port": 8080', '"port": "8080"', "cannot unmarshal string"),
        ('"failures_before_critical"', '"failures_before_crisis"', "unknown field"),
        ('"interval": "2s"', '"interval": "2 s"', "no duration"),
        ('"http": "http://127', '"http": "127', "no URL"),
    ))


@peer("envoy")
def envoy_s_api_takes_the_bootstrap(folder):
    path = os.path.join(DEPLOY, "envoy", "envoy.yaml")
    equal(taken("envoy", path, folder), "1 listeners, 1 clusters\n")
    refused("envoy", path, folder, (
        ("connect_timeout: 2s", "connect_timeouts: 2s", 'unknown field "connect_timeouts"'),
        ("connect_timeout: 2s", "connect_timeout: soon", "invalid google.protobuf.Duration"),
        ("connect_timeout: 2s", "connect_timeout: 0s", "ConnectTimeout"),
        ("type: STATIC", "type: STATICAL", "invalid value for enum"),
        ("type: STATIC", "type: STATIC\n    type: STATIC", "already set"),
        ("      interval: 1s\n", "", "Interval"),
        ("path: /ready", "path: ''", "HttpHealthCheck.Path: value length"),
        ("stat_prefix: srun_http", "stat_prefix: ''", "StatPrefix"),  # which is in an Any
        ("http.router.v3.Router", "http.router.v3.Ruter", "unable to resolve"),
        ("port_value: 8000", "port_value: 80000", "PortValue"),
        ("type: STATIC", "type: STATIC\n    http2_protocol_options: {}", "deprecated"),
    ))


@peer("grafana")
def grafana_s_types_take_the_dashboard(folder):
    path = os.path.join(DEPLOY, "grafana", "srun.json")
    said = re.fullmatch(r"Program built on libsrun: (\d+) panels, 3 variables\n", taken("grafana", path, folder))
    check(said and int(said.group(1)) >= 16, "panels")
    refused("grafana", path, folder, (
        ('"refresh": 2', '"refresh": "2"', "refresh"),
        ('"editable": true', '"editables": true', "unexpected field 'editables'"),
        ('"legendFormat"', '"legend_format"', "unexpected field 'legend_format'"),
        ('"graphMode": "area",', "", "graphMode: required field is missing"),
        ('"instant": true', '"instant": "yes"', "instant"),
        ('"w": 8', '"w": "8"', "gridPos.w"),
    ))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if not any(one.made() for one in PEERS.values()):
        print("interop.deploy: 0 passed, 0 failed")
        sys.exit(0)
    SUITE.main()

# SPDX-License-Identifier: MIT
"""The files of deploy/ for who starts programs and looks after them: Kubernetes, Nomad, Consul,
Docker, Envoy, Grafana. They are read, what they say is compared with each other and with the
program, and what they ask for is asked of one that runs."""
import glob
import json
import os
import re
import shlex
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
from admin import admin_server  # noqa: E402
from configurations import hcl, load, promtool_takes  # noqa: E402
from support import (BUILD_DIR, LIMIT, SANITIZE, SOURCE_DIR, Suite, cached, check, equal, request,  # noqa: E402
                     run)

suite = Suite("deploy_cluster")
DEPLOY = os.path.join(SOURCE_DIR, "deploy")
IMAGE = "example.org/srun-http:1.0.0"
PORTS = {"http": 8080, "admin": 8778}
DEFAULTS = {"SRUN_DRAIN_TIMEOUT": 0.0, "SRUN_GRACEFUL_TIMEOUT": 300.0}
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def read(*names):
    with open(os.path.join(DEPLOY, *names), encoding="utf-8") as file:
        return file.read()


def seconds(text):
    """A duration as Go writes it."""
    check(re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", text), f"no duration: {text!r}")
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def needs(env):
    """The seconds that a stop may take, by these variables."""
    return sum(seconds(env[name]) if name in env else default for name, default in DEFAULTS.items())


def known(env):
    """These are settings that there are."""
    with open(os.path.join(SOURCE_DIR, "docs", "configuration.md"), encoding="utf-8") as file:
        documented = set(re.findall(r"\| `(SRUN_\w+)` \|", file.read()))
    equal(sorted(set(env) - documented), [], "variables that are not in docs/configuration.md")


def like(env):
    """Of a manifest's variables what the test need not replace."""
    return {name: value for name, value in env.items() if name not in ("SRUN_ADMIN_SOCKET", "SRUN_LOG_FORMAT")}


def far(server, path):
    """Asked as somebody on another machine asks: by the address of the pod."""
    port = server.admin.rsplit(":", 1)[1]
    return request("127.0.0.1:" + port, "GET", path, headers={"Host": f"10.1.2.3:{port}"})


# Kubernetes


def manifest(name):
    return load(os.path.join(DEPLOY, "kubernetes", name))


def pod():
    return manifest("deployment.yaml")["spec"]["template"]


def container():
    (only,) = pod()["spec"]["containers"]
    return only


def environment():
    return {item["name"]: item["value"] for item in container()["env"]}


@suite.test
def each_manifest_is_of_its_kind(folder):
    del folder
    want = {"deployment.yaml": ("apps/v1", "Deployment"), "service.yaml": ("v1", "Service"),
            "poddisruptionbudget.yaml": ("policy/v1", "PodDisruptionBudget"),
            "kustomization.yaml": ("kustomize.config.k8s.io/v1beta1", "Kustomization")}
    equal(sorted(os.listdir(os.path.join(DEPLOY, "kubernetes"))), sorted(want), "files")
    for name, kind in want.items():
        read_ = manifest(name)
        equal((read_["apiVersion"], read_["kind"]), kind, name)
    listed = manifest("kustomization.yaml")
    equal(sorted(listed["resources"]), sorted(set(want) - {"kustomization.yaml"}), "resources")
    equal([f"{image['name']}:{image['newTag']}" for image in listed["images"]], [container()["image"]])


@suite.test
def selectors_select_the_pods(folder):
    del folder
    labels = pod()["metadata"]["labels"]
    for selector in (manifest("deployment.yaml")["spec"]["selector"]["matchLabels"],
                     manifest("service.yaml")["spec"]["selector"],
                     manifest("poddisruptionbudget.yaml")["spec"]["selector"]["matchLabels"]):
        check(selector and selector.items() <= labels.items(), f"{selector} of {labels}")
    named = {port["name"]: port["containerPort"] for port in container()["ports"]}
    equal(named, PORTS, "ports")
    equal([port["targetPort"] for port in manifest("service.yaml")["spec"]["ports"]], ["http"])
    equal(container()["args"], ["--http.address=0.0.0.0:8080"])


@suite.test
def a_pod_has_no_right_that_it_does_not_need(folder):
    del folder
    whole, inner = pod()["spec"]["securityContext"], container()["securityContext"]
    check(whole["runAsNonRoot"] is True and whole["runAsUser"] > 0 and whole["runAsGroup"] > 0, "not root")
    equal(whole["seccompProfile"], {"type": "RuntimeDefault"})
    equal(inner, {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
    equal((pod()["spec"]["automountServiceAccountToken"], pod()["spec"]["enableServiceLinks"]), (False, False))
    resources = container()["resources"]
    check({"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"], "resources")
    (mount,), (volume,) = container()["volumeMounts"], pod()["spec"]["volumes"]
    equal(mount["name"], volume["name"])
    equal(os.path.dirname(environment()["SRUN_ADMIN_SOCKET"]), mount["mountPath"], "the only place to write to")


@suite.test
def a_pod_has_the_time_that_its_stop_may_take(folder):
    del folder
    env = environment()
    known(env)
    grace, stop = pod()["spec"]["terminationGracePeriodSeconds"], needs(env)
    check(stop + 2 <= grace <= stop + 15, f"{grace} s for a stop of {stop:g} s")
    check(seconds(env["SRUN_STOP_TIMEOUT"]) <= seconds(env["SRUN_GRACEFUL_TIMEOUT"]), "one stop fits into all")
    probe = container()["readinessProbe"]
    drain = seconds(env["SRUN_DRAIN_TIMEOUT"])
    check(drain > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"], "it is seen to drain")
    strategy = manifest("deployment.yaml")["spec"]["strategy"]["rollingUpdate"]
    equal(strategy, {"maxSurge": 1, "maxUnavailable": 0})


@suite.test
def what_kubelet_and_prometheus_ask_is_answered(folder):
    env = {**like(environment()), "SRUN_ADMIN_ADDRESS": environment()["SRUN_ADMIN_ADDRESS"].replace(":8778", ":0")}
    equal(environment()["SRUN_ADMIN_ADDRESS"], f"0.0.0.0:{PORTS['admin']}")
    annotations = pod()["metadata"]["annotations"]
    equal(annotations["prometheus.io/port"], str(PORTS["admin"]))
    with admin_server(folder, env) as server:
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container()[name]["httpGet"]
            equal(probe["port"], "admin", name)
            equal(far(server, probe["path"]).status, 200, f"{name} {probe['path']}")
        answer = far(server, annotations["prometheus.io/path"])
        equal(answer.status, 200, "/metrics")
        check(b"srun_ready 1" in answer.body, "metrics")
        equal(far(server, "/config").status, 403, "nobody gets more")
        since = server.mark_now()
        server.signal(signal.SIGHUP)  # which is ignored
        server.wait_for("level=WARN", since=since)
        os.kill(server.pid, signal.SIGTERM)
        server.wait_for("msg=draining", since=since)
        equal(far(server, container()["readinessProbe"]["httpGet"]["path"]).status, 503, "ready, draining")
        equal(far(server, container()["livenessProbe"]["httpGet"]["path"]).status, 200, "alive, draining")
        equal(server.finish(), 0, "exit code")


# Nomad and Consul


def job():
    return hcl(read("nomad", "srun-http.nomad.hcl"))["job"]["srun-http"]


@suite.test
def the_nomad_job_fits_the_program(folder):
    group = job()["group"]["srun-http"]
    task = group["task"]["srun-http"]
    equal({name: port["to"] for name, port in group["network"]["port"].items()}, PORTS, "ports")
    equal((task["config"]["image"], task["config"]["args"]), (IMAGE, container()["args"]))
    known(task["env"])
    limit = seconds(task["kill_timeout"])
    check(needs(task["env"]) < limit <= 30, f"kill_timeout {limit:g}: a client allows 30 s by default")
    equal(task["kill_signal"], "SIGTERM")
    checks = group["service"]["check"]
    with admin_server(folder, {**like(task["env"]), "SRUN_ADMIN_ADDRESS": "0.0.0.0:0"}) as server:
        for one in checks:
            equal((one["type"], one["port"]), ("http", "admin"), one["name"])
            equal(far(server, one["path"]).status, 200, one["path"])
        equal(server.stop(), 0, "exit code")
    ready = next(one for one in checks if one["path"].startswith("/ready"))
    check(seconds(task["shutdown_delay"]) > seconds(ready["interval"]) + seconds(ready["timeout"]), "shutdown_delay")


@suite.test
def what_consul_asks_is_answered(folder):
    service = json.loads(read("consul", "srun-http.json"))["service"]
    equal(service["port"], PORTS["http"])
    paths = []
    for one in service["checks"]:
        equal(one["http"].partition("/")[0], "http:")
        host, _, path = one["http"][len("http://"):].partition("/")
        equal(host, f"127.0.0.1:{PORTS['admin']}", "address")
        check(seconds(one["timeout"]) < seconds(one["interval"]), one["name"])
        paths.append("/" + path)
    equal(sorted(path.partition("?")[0] for path in paths), ["/health", "/ready"])
    with admin_server(folder, {"SRUN_HEALTH": "true"}) as server:
        for path in paths:
            equal(server.get(path).status, 200, path)
        equal(server.post("/admin/drain").status, 200)
        equal([server.get(path).status for path in sorted(paths)], [200, 503], "drained")
        equal(server.stop(), 0, "exit code")


# Docker


def dockerfile():
    """(instruction, rest) of each, lines put together."""
    lines = [line for line in read("docker", "Dockerfile").splitlines() if line and not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines()]


def installed(folder):
    """What `./dev install DESTDIR=` makes."""
    done = subprocess.run(["cmake", "--install", BUILD_DIR, "--prefix", "/usr/local"], capture_output=True, text=True,
                          timeout=LIMIT, check=False, env={**os.environ, "DESTDIR": folder})
    equal(done.returncode, 0, done.stdout + done.stderr)
    return os.path.join(folder, "usr", "local")


def built(folder, local, line):
    """What the program says of itself that a line with cc makes, of our sources and what is installed."""
    words = shlex.split(re.sub(r"\$\(.*\)", "", line))
    equal(words[:4], ["cc", "-O2", "-o", "/usr/local/bin/srun-http"], line)
    sources = [glob.glob(os.path.join(SOURCE_DIR, word)) for word in words[4:]]
    check(all(sources), f"a source that is not there: {line}")
    program, libraries = os.path.join(folder, "srun-http"), os.path.join(local, "lib")
    flags = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
    equal(run([cached("CMAKE_C_COMPILER"), "-o", program, *sum(sources, []), *flags, "-I", os.path.join(local, "include"),
               "-L", libraries, "-lsrun", "-lmicrohttpd", "-lcurl"], folder), (0, "", ""), "cc")
    return run(["env", "LD_LIBRARY_PATH=" + libraries, program, "--version"], folder)[1]


@suite.test
def the_image_is_made_of_what_is_installed(folder):
    local = installed(folder)
    instructions = dockerfile()
    names = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    equal({name for name, _ in instructions} - names, set(), "instructions")
    equal([rest for name, rest in instructions if name == "FROM"],
          ["debian:bookworm-slim AS build", "debian:bookworm-slim"])
    have = {os.path.relpath(os.path.join(top, name), local) for top, _, names in os.walk(local) for name in names}
    copied = [path for name, rest in instructions if name == "COPY" and rest.startswith("--from=build")
              for path in rest.split()[1:-1]]
    check(len(copied) >= 3, f"copies {copied}")
    for path in copied:
        check(path.startswith("/usr/local/"), path)
        pattern = re.escape(path[len("/usr/local/"):]).replace(r"\*", "[^/]*")
        found = [name for name in have | {"bin/srun-http"} if re.match(pattern + ("" if path.endswith("/") else "$"), name)]
        check(found, f"{path}: nothing there")
    (made,) = [rest for name, rest in instructions if name == "RUN" and rest.startswith("cc ")]
    equal(built(folder, local, made), "v1.0.0\n", "what it makes")


@suite.test
def the_image_has_the_libraries_that_are_needed(folder):
    local = installed(folder)
    files = [os.path.join(local, "bin", "srunctl"), os.path.join(BUILD_DIR, "examples", "http")]
    files += [os.path.join(top, name) for top, _, names in os.walk(os.path.join(local, "lib")) for name in names
              if ".so" in name]
    wanted = set()
    for name in files:
        told = subprocess.run(["readelf", "-d", name], capture_output=True, text=True, timeout=LIMIT, check=True).stdout
        wanted |= set(re.findall(r"\(NEEDED\).*\[(lib[^\]]+)\]", told))
    package = {"libpopt.so.0": "libpopt0", "libyaml-0.so.2": "libyaml-0-2", "libmicrohttpd.so.12": "libmicrohttpd12",
               "libcurl.so.4": "libcurl4", "libz.so.1": "zlib1g", "libdw.so.1": "libdw1", "libelf.so.1": "libdw1"}
    system = re.compile(r"lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\+\+|srun|asan|ubsan|tsan|lsan)\.so|ld-linux|libclang_rt")
    commands = " ".join(rest for name, rest in dockerfile() if name == "RUN")
    for library in sorted(wanted):
        if not system.match(library):
            check(library in package, f"{library}: which package?")
            check(package[library] in commands.split(), f"{library} is not in the image")
    check("libmicrohttpd12" in commands.split(), "which the admin port loads")


@suite.test
def the_image_is_started_as_it_should_be(folder):
    del folder
    last = dict(dockerfile())
    user = last["USER"].split(":")
    check(all(part.isdigit() and int(part) > 0 for part in user), f"USER {user}: numbers, and not root")
    equal(int(user[0]), pod()["spec"]["securityContext"]["runAsUser"], "the user of the pod")
    equal(last["STOPSIGNAL"], "SIGTERM")
    equal(json.loads(last["CMD"]), container()["args"], "CMD")
    equal(json.loads(last["ENTRYPOINT"]), ["/usr/local/bin/srun-http"])
    env = dict(pair.split("=") for pair in last["ENV"].split())
    known(env)
    probe = json.loads(last["HEALTHCHECK"].partition("CMD")[2])
    equal(probe[:3], ["srunctl", "-s", env["SRUN_ADMIN_SOCKET"]], "who asks")
    equal(os.path.dirname(env["SRUN_ADMIN_SOCKET"]), "/run/srun-http", "the folder that is made")


@suite.test
def the_health_check_of_the_image_works(folder):
    probe = json.loads(dict(dockerfile())["HEALTHCHECK"].partition("CMD")[2])
    with admin_server(folder, {"SRUN_HEALTH": "true"}) as server:
        argv = [os.path.join(BUILD_DIR, "srunctl"), "-s", server.socket, *probe[3:]]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
        equal((done.returncode, done.stderr), (0, ""), "healthy")
        equal(server.stop(), 0, "exit code")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    check(done.returncode != 0, "nobody there")


# Envoy


@suite.test
def what_envoy_asks_is_answered(folder):
    config = load(os.path.join(DEPLOY, "envoy", "envoy.yaml"))["static_resources"]
    (cluster,) = config["clusters"]
    (asked,) = cluster["health_checks"]
    ends = [end["endpoint"] for group in cluster["load_assignment"]["endpoints"] for end in group["lb_endpoints"]]
    equal(cluster["load_assignment"]["cluster_name"], cluster["name"])
    equal({end["health_check_config"]["port_value"] for end in ends}, {PORTS["admin"]})
    equal({end["address"]["socket_address"]["port_value"] for end in ends}, {PORTS["http"]})
    (listener,) = config["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    equal(manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"], cluster["name"])
    equal(manager["http_filters"][-1]["name"], "envoy.filters.http.router", "the last filter")
    probe = asked["http_health_check"]
    with admin_server(folder, {"SRUN_HEALTH": "true", "SRUN_DRAIN_TIMEOUT": "60s",
                               "SRUN_ADMIN_ADDRESS": "0.0.0.0:0"}) as server:
        port = "127.0.0.1:" + server.admin.rsplit(":", 1)[1]
        equal(request(port, "GET", probe["path"], headers={"Host": probe["host"]}).status, 200, "ready")
        equal(request(port, "GET", probe["path"], headers={"Host": cluster["name"]}).status, 421, "without `host`")
        server.signal(signal.SIGTERM)
        server.wait_for("msg=draining")
        answer = request(port, "GET", probe["path"], headers={"Host": probe["host"]})
        equal((answer.status, answer.headers["x-envoy-immediate-health-check-fail"]), (503, "true"))
        server.signal(signal.SIGINT)
        server.wait_for('msg="already stopping"')
        server.signal(signal.SIGINT)  # ends it at once
        equal(server.wait(), 128 + signal.SIGINT, "exit code")


# Grafana


@suite.test
def the_dashboard_asks_for_what_is_told(folder):
    board = json.loads(read("grafana", "srun.json"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    expressions += [one["expr"] for one in board["annotations"]["list"]]
    with admin_server(folder, {"SRUN_HEALTH": "true"}) as server:
        text = server.get("/metrics").body.decode()
        equal(server.stop(), 0, "exit code")
    told = set(re.findall(r"^(\w+)[{ ]", text, re.M))
    asked = set()
    for expression in expressions:
        asked |= promtool_takes(folder, expression.replace("$__rate_interval", "5m"))
    check(len(asked) >= 20, f"it asks for {sorted(asked)} only")
    equal(sorted(asked - told), [], "not told")
    labels = set(re.findall(r"[{,](\w+)=\"", text)) | {"job", "instance"}
    used = set(re.findall(r"\{\{(\w+)\}\}", json.dumps(board)))
    equal(sorted(used - labels), [], "labels that there are not")


@suite.test
def the_dashboard_is_well_formed(folder):
    del folder
    board = json.loads(read("grafana", "srun.json"))
    ids = [panel["id"] for panel in board["panels"]]
    equal(len(set(ids)), len(ids), "ids")
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        check(at["x"] + at["w"] <= 24, panel["title"])
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        check(not cells & taken, f"{panel['title']} lies on another")
        taken |= cells
        references = [target["refId"] for target in panel["targets"]]
        equal(len(set(references)), len(references), panel["title"])
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board["panels"]))) - {"__rate_interval"}
    equal(used, {variable["name"] for variable in board["templating"]["list"]}, "variables")


suite.main()

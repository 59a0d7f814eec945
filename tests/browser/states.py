# SPDX-License-Identifier: MIT
"""States that a program can be in, as /status.json tells them: the ones that are hard to bring a
real program into are here as well.

    status("unhealthy", now_ms)      a dict, for json.dumps
"""
import math

LONG = "a-name-that-nobody-should-give-to-a-service-but-somebody-will/" * 3
TOLD = ('connect to "db-7.example:5432" <postgres>: Connection refused & then some more words that '
        "an error of a driver goes on with, for as long as it likes, until the library cuts it short "
        "at two hundred and fifty-one bytes, which is here, or nearly so, one would think")
DAY = 86400000
NAMES = ["config", "postgres", "redis", "kafka", "ledger", "search", "mailer", "http", "grpc",
         "reports"]
DEPENDS = {"ledger": ["postgres", "redis"], "search": ["postgres"], "mailer": ["kafka"],
           "http": ["ledger", "search"], "grpc": ["ledger"], "reports": ["http", "mailer"]}


def result(status, now, ago, note="", took=3):
    return {"status": status, "source": "checked", "time_ms": now - ago, "took_ms": took,
            "note": note}


def health(now, status="healthy", own=None, note="", path="", bad_from=16):
    history = [result("healthy" if k < bad_from else own or status, now, (16 - k) * 30000,
                      "" if k < bad_from else note, took=2 + k % 5) for k in range(16)]
    return {"status": status, "own": own or status, "source": "checked", "time_ms": now - 11000,
            "age_ms": 11000, "took_ms": 3, "next_ms": 19000, "note": note, "path": path,
            "history": history}


def service(name, number, now, up=3 * DAY + 4 * 3600000):
    return {"name": name, "state": "RUNNING", "in_state_ms": up, "init_took_ms": 1 + number * 7 % 40,
            "ready_took_ms": 3 + number * 83 % 340, "stop_took_ms": -1, "left_ms": -1,
            "failed": False, "stuck": False, "background": number % 5 == 3,
            "heartbeat_missed": False, "restarts": 0, "critical": name not in ("mailer", "reports"),
            "error": "", "depends": DEPENDS.get(name, []), "waits_for": "", "health": health(now)}


def timeline_of(services, started):
    """As the services would have started, one after the other."""
    at, events = started, []

    def event(name, old, new):
        events.append({"time_ms": at, "service": name, "from": old, "to": new})
    for one in services:
        event(one["name"], "STOPPED", "INITIATING")
        at += max(1, one["init_took_ms"])
        event(one["name"], "INITIATING", "INITIATED")
    for one in services:
        event(one["name"], "INITIATED", "STARTING")
        at += max(1, one["ready_took_ms"])
        event(one["name"], "STARTING", "RUNNING")
    return events


def wave(now, base, swing, count=144, step=5000):
    return ([now - (count - 1 - k) * step for k in range(count)],
            [round(base + swing * math.sin(k / 9) + swing / 3 * math.sin(k * 1.7 + (now // 2000)), 2)
             for k in range(count)])


def series(now):
    found = []
    for name, unit, base, swing in (("cpu", "%", 34, 18), ("rss", "bytes", 131e6, 2.1e6),
                                    ("fds", "", 212, 14), ("threads", "", 19, 2)):
        times, values = wave(now, base, swing)
        if unit != "%":
            values = [round(v) for v in values]
        found.append({"name": name, "unit": unit, "times_ms": times, "values": values})
    return found


SETTINGS = [
    ("log", "level", "SRUN_LOG_LEVEL", "info", "info", "default"),
    ("log", "format", "SRUN_LOG_FORMAT", "json", "text", "environment"),
    ("timeouts", "init", "SRUN_INIT_TIMEOUT", "30s", "30s", "default"),
    ("timeouts", "ready", "SRUN_READY_TIMEOUT", "1m0s", "30s", "file"),
    ("timeouts", "stop", "SRUN_STOP_TIMEOUT", "10s", "10s", "default"),
    ("timeouts", "graceful", "SRUN_GRACEFUL_PERIOD", "30s", "30s", "default"),
    ("health", "enabled", "SRUN_HEALTH", "true", "false", "environment"),
    ("health", "interval", "SRUN_HEALTH_INTERVAL", "30s", "30s", "default"),
    ("health", "timeout", "SRUN_HEALTH_TIMEOUT", "5s", "5s", "default"),
    ("upgrade", "enabled", "SRUN_UPGRADE", "true", "true", "default"),
    ("upgrade", "probation", "SRUN_UPGRADE_PROBATION", "10s", "10s", "default"),
    ("upgrade", "drain", "SRUN_UPGRADE_DRAIN", "2m0s", "30s", "code"),
    ("admin", "address", "SRUN_ADMIN_ADDRESS", "127.0.0.1:8778", "127.0.0.1:8778", "default"),
    ("admin", "token_file", "SRUN_ADMIN_TOKEN_FILE", "", "", "default"),
]
FLAGS = [("http.address", "127.0.0.1:8080", False), ("http.timeout", "15s", True),
         ("db.password", "***", True), ("db.url", "postgres://db-7.example/ledger", True),
         ("workers", "8", False)]


def metrics(now):
    tick = now // 1000 % 100000
    found = [("process_cpu_seconds_total", 10.5 + tick * 0.31), ("process_open_fds", 212),
             ("process_resident_memory_bytes", 131072000), ("process_threads", 19)]
    for path in ("/", "/items", "/login"):
        for code in (200, 404, 500):
            found.append((f'http_requests_total{{path="{path}",code="{code}"}}',
                          tick * (7 if code == 200 else 1)))
    found += [(f'srun_service_state{{service="{name}"}}', 4) for name in NAMES]
    return [{"name": name, "value": value} for name, value in found]


def healthy(now, names=None, up=3 * DAY + 4 * 3600000):
    services = [service(name, k, now, up) for k, name in enumerate(names or NAMES)]
    return {
        "v": 1, "name": "ledger", "version": "1.4.0", "libsrun": "0.1.0",
        "build_id": "ab12cd34ef567890ab12cd34ef567890ab12cd34", "pid": 4711, "generation": 1,
        "host": "prod-eu-7", "state": "running", "ready": True, "not_ready": None, "live": True,
        "health_enabled": True, "overall": "healthy", "not_healthy": None, "started_ms": now - up,
        "now_ms": now, "right": "read", "log_level": "info", "log_level_reverts_in_ms": -1,
        "services": services, "timeline": timeline_of(services, now - up), "series": series(now),
        "upgrade": {"state": "idle", "attempts": 0, "succeeded": 0, "failed": 0, "rolled_back": 0,
                    "last_ms": 0, "last_code": 0, "last_phase": "", "last_text": "", "peer_pid": 0,
                    "draining": False},
        "generations": [{"generation": 1, "pid": 4711, "state": "serving", "since_ms": now - up,
                         "connections": 37}],
        "config": [dict(zip(("group", "key", "variable", "value", "default", "origin"), s))
                   for s in SETTINGS],
        "flags": [{"name": n, "value": v, "given": g} for n, v, g in FLAGS],
        "threads": [{"tid": 4711 + k, "name": name, "state": "R" if k == 3 else "S",
                     "cpu_ms": 40 + k * 977 + (now // 3 % 100000 if k == 3 else 0)}
                    for k, name in enumerate(["ledger", "srun:control", "srun:pool-1", "srun:http",
                                              "srun:ledger", "srun:kafka", "srun:admin"])],
        "metrics": metrics(now)}


def write(now):
    return {**healthy(now), "right": "write", "log_level": "debug",
            "log_level_reverts_in_ms": 412000}


def starting(now):
    s = healthy(now, up=1480)
    s.update(state="starting", ready=False, overall="unknown",
             not_ready="service ledger is STARTING: waits for its ready")
    for k, one in enumerate(s["services"]):
        one["in_state_ms"] = 900 - 80 * k
        one["health"].update(history=[], status="healthy" if k < 4 else "stopped", next_ms=-1)
        if k == 4:
            one.update(state="STARTING", ready_took_ms=-1, waits_for="its ready", left_ms=29100)
        elif k > 4:
            one.update(state="INITIATED", ready_took_ms=-1, waits_for="ledger")
    names = [one["name"] for one in s["services"][5:]]
    s["timeline"] = [e for e in s["timeline"] if e["from"] != "INITIATED" or
                     e["service"] not in names]
    s["timeline"] = [e for e in s["timeline"] if e["to"] != "RUNNING" or
                     e["service"] not in names + ["ledger"]]
    for one in s["series"]:
        one["times_ms"], one["values"] = one["times_ms"][-1:], one["values"][-1:]
    return s


def unhealthy(now):
    s = healthy(now)
    s.update(overall="unhealthy", ready=False, not_ready=None,
             not_healthy='service postgres is unhealthy: connect: "Connection refused"')
    by = {one["name"]: one for one in s["services"]}
    by["postgres"]["health"] = health(now, "unhealthy", note='connect: "Connection refused"',
                                      bad_from=12)
    by["redis"]["health"] = health(now, "degraded", note="latency 812 ms, limit 500 ms", bad_from=9)
    by["kafka"].update(restarts=3, error="poll: broker 2 has gone away", in_state_ms=62000)
    for name in ("ledger", "search", "http", "grpc", "reports"):
        by[name]["health"] = health(now, "unhealthy", own="healthy",
                                    path=f"{name} -> postgres")
    at = now - 71000
    s["timeline"] += [
        {"time_ms": at, "service": "kafka", "from": "RUNNING", "to": "SHUTTING_DOWN"},
        {"time_ms": at + 800, "service": "kafka", "from": "SHUTTING_DOWN", "to": "STOPPED"},
        {"time_ms": at + 8000, "service": "kafka", "from": "STOPPED", "to": "INITIATING"},
        {"time_ms": at + 8300, "service": "kafka", "from": "INITIATING", "to": "INITIATED"},
        {"time_ms": at + 8300, "service": "kafka", "from": "INITIATED", "to": "STARTING"},
        {"time_ms": at + 9000, "service": "kafka", "from": "STARTING", "to": "RUNNING"}]
    return s


def stuck(now):
    s = stopping(now)
    s["live"] = False
    one = s["services"][6]
    one.update(stuck=True, left_ms=-1, error=TOLD[:251], waits_for="its run")
    s["not_ready"] = "the program is stopping"
    return s


def stopping(now):
    s = healthy(now)
    s.update(state="stopping", ready=False, not_ready="the program is stopping", overall="unknown")
    begun = now - 4200
    for k, one in enumerate(s["services"]):
        one["health"].update(next_ms=-1)
        if k > 6:
            one.update(state="STOPPED", stop_took_ms=120 * (k - 5), in_state_ms=3000 - k * 100)
            one["health"].update(status="stopped", own="stopped")
        elif k == 6:
            one.update(state="SHUTTING_DOWN", waits_for="its stop", left_ms=5800, in_state_ms=3100)
        else:
            one.update(waits_for=s["services"][k + 1]["name"])
    at = begun
    for k in (9, 8, 7, 6):
        name = s["services"][k]["name"]
        s["timeline"].append({"time_ms": at, "service": name, "from": "RUNNING",
                              "to": "SHUTTING_DOWN"})
        at += 120 * (k - 5)
        if k > 6:
            s["timeline"].append({"time_ms": at, "service": name, "from": "SHUTTING_DOWN",
                                  "to": "STOPPED"})
    return s


def draining(now):
    s = write(now)
    s.update(state="draining", ready=False, not_ready="the program is draining")
    s["upgrade"].update(state="draining", attempts=2, succeeded=1, failed=1, last_ms=now - 2000,
                        last_text="generation 2, pid 5012", peer_pid=5012, draining=True)
    s["generations"] = [
        {"generation": 1, "pid": 4711, "state": "draining", "since_ms": now - 2000,
         "connections": 12},
        {"generation": 2, "pid": 5012, "state": "serving", "since_ms": now - 2000,
         "connections": 40}]
    return s


def withdrawn(now):
    s = write(now)
    s.update(state="withdrawn", ready=False, not_ready="the program is withdrawn")
    return s


def upgraded(now):
    s = healthy(now, up=65000)
    s.update(pid=5012, generation=2, version="1.5.0")
    s["upgrade"].update(attempts=3, succeeded=1, failed=2, last_ms=now - 60000, last_code=-1007,
                        last_phase="starting", last_text="the new process ended with exit code 1 "
                        "before it was ready: service ledger: " + TOLD[:80])
    s["generations"] = [
        {"generation": 1, "pid": 4711, "state": "ended", "since_ms": now - 20000, "connections": 0},
        {"generation": 2, "pid": 5012, "state": "serving", "since_ms": now - 65000,
         "connections": 52}]
    return s


def many(now):
    return healthy(now, names=[f"worker-{k:02}" for k in range(40)])


def long(now):
    s = unhealthy(now)
    s.update(name=LONG[:63], version="2026.11.28-rc1+build.20261128.dirty", host=LONG[:60])
    s["services"][1]["name"] = LONG
    s["services"][2]["name"] = "W" * 255
    s["services"][4]["error"] = TOLD[:251]
    s["services"][5]["error"] = "x" * 251
    s["services"][1]["health"]["note"] = TOLD[:127]
    s["services"][7]["depends"] = [LONG, "W" * 255, "config"]
    s["timeline"] = timeline_of(s["services"], s["started_ms"])
    s["not_healthy"] = "service " + LONG + " is unhealthy: " + TOLD[:90]
    s["config"][3]["value"] = "/a/very/long/path" * 12
    s["flags"][3]["value"] = TOLD
    s["threads"][0]["name"] = "<b>bold</b>"
    s["metrics"].append({"name": 'm{label="' + "v" * 300 + '"}', "value": 1e-9})
    return s


def bare(now):
    """A program that has nothing, of a version that tells little."""
    return {"v": 1, "name": "bare", "version": "0", "pid": 1, "generation": 1, "state": "running",
            "ready": True, "health_enabled": False, "started_ms": now - 100, "now_ms": now,
            "right": "read"}


def no_health(now):
    s = healthy(now)
    s.update(health_enabled=False, overall="unknown")
    for one in s["services"]:
        one["health"] = {"status": "unknown", "own": "unknown", "source": "lifecycle", "time_ms": 0,
                         "age_ms": -1, "took_ms": -1, "next_ms": -1, "note": "", "path": "",
                         "history": []}
    return s


def profiling(now):
    return {**healthy(now), "profiling": True}


def captured(now):
    return {**profiling(now), "captures": [
        {"number": 7, "time_ms": now - 3600000, "kind": "cpu", "service": "", "bytes": 21930,
         "why": "187% of a processor for 10s", "path": "/debug/captures/7"},
        {"number": 8, "time_ms": now - 60000, "kind": "stacks", "service": "ledger", "bytes": 9102,
         "why": "run takes 22.5s of 30s, in thread 4711 <b>", "path": "/debug/captures/8"}]}


STATES = {state.__name__: state for state in (
    healthy, write, starting, unhealthy, stuck, stopping, draining, withdrawn, upgraded, many, long,
    bare, no_health, profiling, captured)}


def status(name, now):
    return STATES[name](now)

# SPDX-License-Identifier: MIT
"""What the admin port costs and bears: memory and threads of the hello example with it and without,
/health beside a static file of nginx under the same wrk, and probes while silent and dripping
clients attack. All in one run; the figures of one machine compare with each other only.
"""
import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import servers  # noqa: E402
from admin_attackers import Attack, more_descriptors  # noqa: E402
from servers import (Failed, complain, end_all, free_port, installed, memory_kib,  # noqa: E402
                     spawn, status_of, wait_until)


def arguments():
    parser = argparse.ArgumentParser(prog="bench_admin", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one object")
    parser.add_argument("--seconds", type=int, default=4, help="of each load [4]")
    parser.add_argument("--rounds", type=int, default=3, help="of ours and theirs in turn [3]")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    options.build = os.path.abspath(os.environ.get("SRUN_BUILD_DIR", "build/dev"))
    return options


def status(port, path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        return answer.status


def answers(port, path):
    try:
        return status(port, path) == 200
    except (OSError, http.client.HTTPException):
        return False


def stop(pid):
    os.kill(pid, signal.SIGTERM)
    servers.wait_end(pid, "the end of a server")


@contextlib.contextmanager
def ours(options, folder, example="hello", admin=True):
    """The example, and the port that it listens on."""
    port = free_port()
    env = {"SRUN_ADMIN": "true" if admin else "false", "SRUN_ADMIN_ADDRESS": f"127.0.0.1:{port}",
           "SRUN_ADMIN_SOCKET": os.path.join(folder, "admin.sock"), "SRUN_LOG_LEVEL": "info"}
    pid, log = spawn([os.path.join(options.build, "examples", example)], folder, env)
    if admin:
        wait_until(lambda: answers(port, "/ready"), "hello")
    else:
        wait_until(lambda: b"msg=started" in open(log, "rb").read(), "hello")
    yield pid, port
    stop(pid)


@contextlib.contextmanager
def nginx(folder):
    """A static answer of the same size."""
    port, binary = free_port(), installed("nginx")
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;\n"
                   "events { worker_connections 512; }\n"
                   "http { access_log off; server { listen 127.0.0.1:%d;\n"
                   "  location = /health { default_type text/plain; return 200 \"OK\\n\"; } } }\n" % port)
    pid, _ = spawn([binary, "-p", folder, "-c", path], folder)
    wait_until(lambda: answers(port, "/health"), "nginx")
    yield pid, port
    stop(pid)


def wrk(options, port):
    done = subprocess.run(["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s",
                           f"http://127.0.0.1:{port}/health"], capture_output=True, text=True,
                          check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise Failed("wrk: " + done.stdout)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))


def measure_load(options, folder):
    mine, theirs = [], []
    with ours(options, folder) as (_, own):
        if installed("nginx"):
            with nginx(folder) as (_, other):
                for _ in range(options.rounds):
                    mine.append(wrk(options, own))
                    theirs.append(wrk(options, other))
        else:
            mine = [wrk(options, own) for _ in range(options.rounds)]
    return {"health_per_s": max(mine), "nginx_per_s": max(theirs, default=None),
            "ratio": max(mine) / max(theirs) if theirs else None}


def measure_cost(options, folder):
    def look(pid):
        return {"rss_kib": memory_kib(pid), "threads": status_of(pid, "Threads")}

    with ours(options, folder, admin=False) as (pid, _):
        time.sleep(0.5)
        off = look(pid)
    with ours(options, folder) as (pid, port):
        time.sleep(0.5)
        idle = look(pid)
        for _ in range(1000):
            status(port, "/ready")
        time.sleep(0.5)
        asked = look(pid)
    return {"off": off, "on": idle, "after_1000_probes": asked}


def measure_attack(options, folder):
    more_descriptors()
    took = []
    with ours(options, folder) as (pid, port):
        before = memory_kib(pid)
        attack = Attack(f"127.0.0.1:{port}", 500, 200)
        while attack.left > 0 and len(took) < 3000:
            began = time.monotonic()
            if status(port, "/ready") != 200:
                raise Failed("a probe failed")
            took.append((time.monotonic() - began) * 1e3)
            time.sleep(0.005)
        attack.stop()
        grown = memory_kib(pid) - before
    took.sort()
    return {"probes": len(took), "median_ms": took[len(took) // 2],
            "p99_ms": took[len(took) * 99 // 100], "slowest_ms": took[-1],
            "attackers_lasted_s": max(attack.lasted), "rss_growth_kib": grown}


def show(result):
    load, cost, attack = result["load"], result["cost"], result["attack"]
    print(f"{'/health':24} {load['health_per_s']:12,.0f} requests/s")
    if load["nginx_per_s"]:
        print(f"{'nginx, static 200':24} {load['nginx_per_s']:12,.0f} requests/s   "
              f"ours / nginx {load['ratio']:.2f}")
    print()
    for name, row in cost.items():
        print(f"admin {name.replace('_', ' '):18} {row['rss_kib']:12,} KiB RSS   "
              f"{row['threads']} threads")
    print(f"\n500 silent and 200 dripping clients: {attack['probes']} probes, median "
          f"{attack['median_ms']:.1f} ms, p99 {attack['p99_ms']:.1f} ms, slowest "
          f"{attack['slowest_ms']:.1f} ms;\nan attacker lasts at most "
          f"{attack['attackers_lasted_s']:.2f} s; RSS +{attack['rss_growth_kib']} KiB")


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="srun-bench-") as folder:
        try:
            result = {"cost": measure_cost(options, folder), "load": measure_load(options, folder),
                      "attack": measure_attack(options, folder)}
        except Failed as error:
            complain(error)
            return 1
        finally:
            end_all()
    print(json.dumps(result)) if options.json else show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

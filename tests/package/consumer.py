# SPDX-License-Identifier: MIT
"""The program in consumer/, built as users of an installed libsrun do, and what each of them has to
do: answer on its admin port, and end with 0 when it is told to."""
import contextlib
import http.server
import os
import shutil
import signal
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "integration"))
from support import Process, ask, check, connect, equal, run  # noqa: E402

SOURCES = os.path.join(HERE, "consumer")
LIMIT = 300.0  # seconds, for a build
STRICT = "-Wall -Wextra -Wpedantic -Werror"
SHARED = "$(pkg-config --cflags --libs srun)"
STATIC = ('$(pkg-config --cflags srun) "$(pkg-config --variable=libdir srun)/libsrun.a"'
          " $(pkg-config --libs popt yaml-0.1) -pthread")
BY_PKG_CONFIG = {
    "c99": f"gcc -std=c99 {STRICT} consumer.c {SHARED}",
    "c17": f"gcc -std=c17 {STRICT} consumer.c {SHARED}",
    "cxx11": f"g++ -std=c++11 {STRICT} -x c++ consumer.c -x none {SHARED}",
    "cxx17": f"g++ -std=c++17 {STRICT} -x c++ consumer.c -x none {SHARED}",
    # g++ 12 takes members that are left out for forgotten ones, in whatever macro.
    "cxx20": f"g++ -std=c++20 {STRICT} -Wno-missing-field-initializers -x c++ consumer.c -x none"
             f" {SHARED}",
    "c99_static": f"gcc -std=c99 {STRICT} consumer.c {STATIC}",
    "cxx11_static": f"g++ -std=c++11 {STRICT} -x c++ consumer.c -x none {STATIC}",
}


def done(argv, folder, env=None):
    """What the command printed; it has to end well."""
    code, out, log = run(argv, folder, env, LIMIT)
    equal(code, 0, f"{' '.join(argv)}\n{out}\n{log}\nexit code")
    return out


def copy(folder):
    """The sources, in a folder of their own below this one."""
    return shutil.copytree(SOURCES, os.path.join(folder, "consumer"))


def by_pkg_config(folder, root=(), inside=None, env=None, only=None):
    """Builds it in the folder, which is called `inside` by who runs below the command `root`.
    Gives the programs, as they are called there, by kind."""
    inside, programs = inside or folder, {}
    for kind, command in BY_PKG_CONFIG.items():
        if only is None or kind in only:
            programs[kind] = os.path.join(inside, kind)
            done([*root, "sh", "-c", f"cd {inside} && {command} -o {kind}"], folder, env)
    return programs


def by_cmake(folder, root=(), inside=None, env=None, options=()):
    """The same with CMake."""
    inside = inside or folder
    build = os.path.join(inside, "build")
    done([*root, "cmake", "-S", inside, "-B", build, *options], folder, env)
    done([*root, "cmake", "--build", build], folder, env)
    return {f"cmake_{kind}": os.path.join(build, kind)
            for kind in ("c_srun", "cxx_srun", "c_static", "cxx_static")}


@contextlib.contextmanager
def serving(argv, folder, env=None):
    """The program, that runs, and the address of its admin port. At the end it is told to stop."""
    with Process(argv, folder, {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "127.0.0.1:0",
                                "SRUN_ADMIN_SOCKET": "none", **(env or {})}) as process:
        address = process.wait_for(r"msg=listening .*name=srun\.admin address=tcp://(\S+)").group(1)
        process.wait_for("msg=started ")
        yield process, address
        process.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")


def works(argv, folder, env=None):
    """It serves, answers, and ends well."""
    with serving(argv, folder, env) as (_, address):
        with contextlib.closing(connect(address)) as connection:
            equal(ask(connection, "GET", "/ready").status, 200, f"{argv[-1]}: /ready")


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Takes whatever is sent."""

    def do_POST(self):  # its name is http.server's
        """Any request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.asked.set()

    def log_message(self, *arguments):
        """Says nothing."""


@contextlib.contextmanager
def receiver():
    """A receiver of metrics, as the environment of a program that sends them, and an event: it has
    sent some."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.asked = threading.Event()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {"SRUN_OTEL_METRIC_EXPORTER": "http", "OTEL_METRIC_EXPORT_INTERVAL": "100",
               "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT": "http://127.0.0.1:%d" % server.server_port,
               }, server.asked
        server.shutdown()
        thread.join()


def maps_of_a_busy_one(argv, folder, env=None):
    """What a program maps that has sent metrics and was profiled."""
    with receiver() as (settings, asked), \
            serving(argv, folder, {**(env or {}), **settings}) as (process, address):
        with contextlib.closing(connect(address)) as connection:
            equal(ask(connection, "GET", "/debug/pprof/goroutine?debug=1").status, 200, "a profile")
        check(asked.wait(60), "no metrics were sent")
        with open(f"/proc/{process.pid}/maps", encoding="utf-8") as file:
            return file.read()

# SPDX-License-Identifier: MIT
"""The packages of ./dev deb, installed in a Debian of its own and used. `tools/deb check` makes two
of them and starts this in namespaces of its own: one root to develop in, one that has nothing but
what programs need. A test goes on where the one before it ended."""
import contextlib
import glob
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys

sys.dont_write_bytecode = True
import consumer  # noqa: E402
from consumer import done  # noqa: E402
from support import LIMIT, SOURCE_DIR, Process, Suite, ask, check, connect, equal, run  # noqa: E402

suite = Suite("deb", "package")
TOP = os.environ["SRUN_DEB_DIR"]
APT = ["apt-get", "-qq", "-y", "-o", "APT::Sandbox::User=root",
       "-o", "Dpkg::Use-Pty=0", "-o", "Debug::NoLocking=1"]
# What package management writes about itself.
RECORDS = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "etc/ld.so.cache", "proc", "dev",
           "tmp", "packages", "usr/share/info/dir")


class Root:
    """A Debian in a folder."""

    def __init__(self, name):
        self.path = os.path.join(TOP, "unpacked", name)
        self.command = ["chroot", self.path]
        packages = self.inside("packages")
        os.makedirs(packages, exist_ok=True)
        for path in glob.glob(os.path.join(TOP, "*.deb")):
            shutil.copy(path, packages)
        self._mount()

    def inside(self, path):
        """Where it lies, seen from outside."""
        return os.path.join(self.path, path.lstrip("/"))

    def _mount(self):
        for kind, where in (("proc", "/proc"), ("tmpfs", "/dev")):
            subprocess.run(["mount", "-t", kind, kind, self.inside(where)], check=True)
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            device = os.stat("/dev/" + name)
            os.mknod(self.inside("/dev/" + name), device.st_mode, device.st_rdev)
            os.chmod(self.inside("/dev/" + name), stat.S_IMODE(device.st_mode))
        os.symlink("/proc/self/fd", self.inside("/dev/fd"))
        os.mkdir(self.inside("/dev/shm"), 0o1777)

    def do(self, *argv, folder="/"):
        """What the command prints that is run in it."""
        return done([*self.command, *argv], folder)

    def install(self, *packages, recommends=False):
        """By apt, without a network: of ours, and of what was fetched when the root was made."""
        ours = [os.path.relpath(path, self.path) for name in packages
                for path in glob.glob(self.inside(f"packages/{name}_*.deb"))]
        equal(len(ours), len(packages), f"packages built of {packages}")
        self.do(*APT, "-o", f"APT::Install-Recommends={str(recommends).lower()}", "install",
                *("/" + path for path in ours))

    def files(self):
        """All there is but the records of package management."""
        found = set()
        for folder, folders, names in os.walk(self.path):
            below = os.path.relpath(folder, self.path)
            folders[:] = [name for name in folders
                          if os.path.normpath(os.path.join(below, name)) not in RECORDS]
            found.update(os.path.normpath(os.path.join(below, name)) for name in names + folders)
        return found - set(RECORDS)


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
develop, simple = (None, None) if "--list" in sys.argv else (Root("develop"), Root("run"))
before, programs = set(), {}


def recommended(package):
    """The names in its Recommends."""
    (path,) = glob.glob(os.path.join(TOP, package + "_*.deb"))
    text = done(["dpkg-deb", "-f", path, "Recommends"], TOP)
    return re.findall(r"(?:^|, )([a-z0-9.+-]+)", text)


# A machine that programs are written on


@suite.test
def they_install_with_what_they_depend_on(folder):
    del folder
    before.update(develop.files())
    develop.install("libsrun0", "libsrun-dev", "srunctl", recommends=True)
    equal(develop.do("dpkg", "--audit"), "")
    names = recommended("libsrun0")
    check({"libmicrohttpd12", "libcurl4", "libdw1"} <= set(names), f"recommended: {names}")


def built(made):
    """Each of them works."""
    programs.update(made)
    for path in made.values():
        consumer.works([*develop.command, path], "/")


@suite.test
def programs_build_by_pkg_config(folder):
    del folder
    consumer.copy(develop.inside("/tmp"))
    built(consumer.by_pkg_config(develop.inside("/tmp/consumer"), develop.command, "/tmp/consumer"))


@suite.test
def programs_build_by_cmake(folder):
    del folder
    built(consumer.by_cmake(develop.inside("/tmp/consumer"), develop.command, "/tmp/consumer"))


@suite.test
def pkg_config_names_no_folder_that_compilers_look_in_anyway(folder):
    del folder
    equal(develop.do("pkg-config", "--cflags", "--libs", "srun").split(), ["-lsrun"])
    equal(develop.do("pkg-config", "--modversion", "srun").strip(),
          re.search(r"\((.*)\)", done(["head", "-n1", os.path.join(SOURCE_DIR, "debian/changelog")],
                                      "/")).group(1))


@contextlib.contextmanager
def hello():
    """The first program of the documentation, built as README.md says."""
    develop.do("sh", "-c", "cd /tmp && cc /usr/share/doc/libsrun-dev/examples/hello.c "
               "$(pkg-config --cflags --libs srun) -o hello")
    with Process([*develop.command, "/tmp/hello"], "/", {"SRUN_ADMIN": "true"}) as process:
        process.wait_for("msg=started ")
        yield process
        process.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")


@suite.test
def srunctl_speaks_with_the_hello_of_the_documentation(folder):
    del folder
    with hello():
        develop.do("srunctl", "-n", "hello", "wait", "--ready")
        status = develop.do("srunctl", "-n", "hello", "status")
        check("hello" in status, status)
        check("RUNNING" in develop.do("srunctl", "-n", "hello", "services"), "not RUNNING")
        check("srun_ready 1" in develop.do("srunctl", "-n", "hello", "metrics"), "no metrics")
    code, _, log = run([*develop.command, "srunctl", "-n", "hello", "status"], "/")
    check(code != 0, f"srunctl does not see that it ended: {log}")


@suite.test
def a_new_program_builds_tests_itself_and_is_upgraded(folder):
    del folder
    source, build = "/tmp/pot", "/tmp/hot"
    develop.do("srunctl", "new", "tea-pot", "--dir=" + source)
    for step in (["cmake", "-S", source, "-B", build], ["cmake", "--build", build],
                 ["ctest", "--test-dir", build, "--output-on-failure"]):
        develop.do(*step)
    with Process([*develop.command, build + "/tea-pot", "--listen=tcp://127.0.0.1:0"], "/",
                 {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "none"}) as pot:
        port = int(pot.wait_for(r"msg=listening .*address=tcp://127\.0\.0\.1:(\d+)").group(1))
        pot.wait_for("msg=started ")
        for generation in 1, 2:
            with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
                client.sendall(b"hello\n")
                equal(client.makefile().read(), f"tea-pot, generation {generation}: hello\n")
            develop.do("srunctl", "-n", "tea-pot", *(["upgrade", "--wait"] if generation == 1 else ["stop", "--wait"]))
        equal(pot.wait(), 0, "exit code")
        pot.finish()


@suite.test
def profiles_have_the_lines_of_the_library_where_its_debug_symbols_are(folder):
    del folder
    develop.install("libsrun0-dbgsym")
    with consumer.serving([*develop.command, programs["c99"]], "/") as (_, address):
        with contextlib.closing(connect(address)) as connection:
            text = ask(connection, "GET", "/debug/pprof/goroutine?debug=1").body.decode()
    check(re.search(r"\tsrun_sleep_ms\t\S*src/context\.c:\d+$", text, re.M), text)


@suite.test
def what_is_loaded_is_the_plugins_of_the_package(folder):
    del folder
    mapped = consumer.maps_of_a_busy_one([*develop.command, programs["c99"]], "/")
    for name in ("libsrun-otlp.so.0", "libsrun-symbols.so.0"):
        check(re.search(rf" \S*/usr/lib/[^/]+/srun/{re.escape(name)}$", mapped, re.M), mapped)


@suite.test
def man_finds_every_page(folder):
    del folder
    pages = [path for path in develop.files() - before
             if re.match(r"usr/share/man/man\d/[^/]+\.gz$", path)]
    check(len(pages) >= 7, f"pages: {pages}")
    for path in pages:
        name, section = re.search(r"([^/]+)\.(\d)\.gz$", path).groups()
        # Another name of a page leads to it.
        found = develop.do("man", "-w", section, name).strip()
        check(re.fullmatch(rf"/usr/share/man/man{section}/[^/]+\.gz", found), f"{path}: {found}")


@suite.test
def bash_completes_srunctl(folder):
    del folder
    printed = develop.do("bash", "-c", "source /usr/share/bash-completion/bash_completion; "
                         "_completion_loader srunctl; complete -p srunctl")
    equal(printed.strip(), "complete -F _srunctl srunctl")


@suite.test
def a_purge_leaves_nothing(folder):
    del folder
    develop.do(*APT, "purge", "libsrun0", "libsrun-dev", "srunctl", "libsrun0-dbgsym")
    develop.do(*APT, "purge", "--autoremove")
    left = {path for path in develop.files() - before if "/.cache" not in path}
    equal(sorted(left), [], "left")
    check("srun" not in develop.do("dpkg-query", "-W"), "dpkg knows it still")


# A machine that programs run on


def carry(kind):
    """A program that was built above, as it is called there."""
    path = "/tmp/" + kind
    shutil.copy(develop.inside(programs[kind]), simple.inside(path))
    return [*simple.command, path]


@suite.test
def a_program_runs_without_what_is_recommended(folder):
    del folder
    simple.install("libsrun0")
    with Process(carry("c99"), "/", {"SRUN_ADMIN": "true"}) as process:
        process.wait_for(r'msg="no admin port" .*libmicrohttpd')
        process.wait_for("msg=started ")
        process.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")


@suite.test
def an_admin_port_that_was_asked_for_is_not_left_out(folder):
    del folder
    wanted = {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "127.0.0.1:0"}
    code, _, log = run(carry("c99"), "/", wanted)
    check(code == 1 and "libmicrohttpd" in log, f"{code} {log}")


@suite.test
def a_program_says_that_it_cannot_export_without_libcurl(folder):
    del folder
    with consumer.receiver() as (settings, asked), Process(carry("c99"), "/", settings) as process:
        process.wait_for(r'msg="metrics are not exported" .*libcurl')
        process.signal(signal.SIGTERM)
        equal(process.finish(), 0, "exit code")
        check(not asked.is_set(), "it has exported")


@suite.test
def profiles_have_functions_without_libdw(folder):
    del folder
    simple.do(*APT, "install", "libmicrohttpd12")
    with consumer.serving(carry("c99"), "/") as (_, address):
        with contextlib.closing(connect(address)) as connection:
            text = ask(connection, "GET", "/debug/pprof/goroutine?debug=1").body.decode()
    check(re.search(r"\tsrun_sleep_ms\t(?!.*\.c:)", text), text)


@suite.test
def a_program_gets_its_admin_port_and_exports_with_what_is_recommended(folder):
    del folder
    simple.install("libsrun0", recommends=True)
    simple.do(*APT, "install", *recommended("libsrun0"))
    argv = carry("c99")
    consumer.works(argv, "/")
    check("libsrun-otlp" in consumer.maps_of_a_busy_one(argv, "/"), "no exporter")


@suite.test
def a_static_program_runs_without_the_package(folder):
    del folder
    simple.do(*APT, "purge", "libsrun0")
    consumer.works(carry("c99_static"), "/")
    code, _, log = run(carry("c99"), "/")
    check(code == 127 and "libsrun.so.0" in log, f"{code} {log}")


suite.main()

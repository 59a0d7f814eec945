# SPDX-License-Identifier: MIT
"""`cmake --install`, into a folder of one's own, and programs that are built with what lies there
by pkg-config and by CMake. deb_test.py does the same with packages."""
import os
import re
import sys

sys.dont_write_bytecode = True
import consumer  # noqa: E402
from support import BUILD_DIR, SOURCE_DIR, Suite, check, equal  # noqa: E402

suite = Suite("install", "package")
with open(os.path.join(SOURCE_DIR, "include", "srun", "version.h"), encoding="utf-8") as header:
    VERSION = re.search(r'SRUN_VERSION_TEXT "(.*)"', header.read()).group(1)


def files(top):
    """All files below a folder."""
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)


def installed(folder, *options, **env):
    """Installs; gives the folder that the libraries are in."""
    consumer.done(["cmake", "--install", BUILD_DIR, *options], folder, env)
    (found,) = [path for path in files(folder) if path.endswith("/srun.pc")]
    return os.path.dirname(os.path.dirname(found))


def moved(folder):
    """An installation that was moved: its prefix, and the folder of its libraries."""
    libraries = installed(folder, "--prefix", os.path.join(folder, "first"))
    os.rename(os.path.join(folder, "first"), os.path.join(folder, "second"))
    prefix = os.path.join(folder, "second")
    return prefix, libraries.replace(os.path.join(folder, "first"), prefix, 1)


@suite.test
def programs_build_by_pkg_config_where_the_prefix_says(folder):
    libraries = installed(folder, "--prefix", os.path.join(folder, "usr"))
    env = {"PKG_CONFIG_PATH": os.path.join(libraries, "pkgconfig"), "LD_LIBRARY_PATH": libraries}
    programs = consumer.by_pkg_config(consumer.copy(folder), env=env,
                                      only=("c99", "cxx11", "cxx20", "c99_static"))
    for path in programs.values():
        consumer.works([path], folder, env)


@suite.test
def programs_build_by_pkg_config_below_destdir(folder):
    root = os.path.join(folder, "root")
    libraries = installed(folder, DESTDIR=root)
    env = {"PKG_CONFIG_PATH": os.path.join(libraries, "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": root,
           "LD_LIBRARY_PATH": libraries}
    (path,) = consumer.by_pkg_config(consumer.copy(folder), env=env, only=("c99",)).values()
    consumer.works([path], folder, env)


@suite.test
def programs_build_by_cmake_after_it_was_moved(folder):
    prefix, libraries = moved(folder)
    programs = consumer.by_cmake(consumer.copy(folder), options=["-DCMAKE_PREFIX_PATH=" + prefix])
    for path in programs.values():
        consumer.works([path], folder, {"LD_LIBRARY_PATH": libraries})


@suite.test
def cmake_refuses_another_minor_version(folder):
    prefix = os.path.join(folder, "usr")
    installed(folder, "--prefix", prefix)
    source = consumer.copy(folder)
    path = os.path.join(source, "CMakeLists.txt")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("find_package(srun 0.1 ", "find_package(srun 0.99 "))
    code, _, log = consumer.run(["cmake", "-S", source, "-B", os.path.join(source, "build"),
                                 "-DCMAKE_PREFIX_PATH=" + prefix], folder)
    check(code != 0 and "not accepted" in log and "srunConfig.cmake, version: " + VERSION in log,
          log)


@suite.test
def plugins_are_found_after_it_was_moved(folder):
    _, libraries = moved(folder)
    plugins = files(os.path.join(libraries, "srun"))
    env = {"LD_LIBRARY_PATH": libraries}
    source = consumer.copy(folder)
    include = os.path.join(os.path.dirname(libraries), "include")
    consumer.done(["gcc", "consumer.c", "-I" + include, "-L" + libraries, "-lsrun", "-o", "moved"],
                  source)
    mapped = consumer.maps_of_a_busy_one([os.path.join(source, "moved")], folder, env)
    equal([path for path in plugins if path not in mapped], [], "not loaded")


@suite.test
def nothing_names_the_folders_of_the_build(folder):
    """Binaries apart, whose debug information does until packages map it."""
    installed(folder, "--prefix", os.path.join(folder, "usr"))
    for path in files(os.path.join(folder, "usr")):
        with open(path, "rb") as file:
            data = file.read()
        binary = data[:4] == b"\x7fELF" or data[:7] == b"!<arch>"
        check(binary or SOURCE_DIR.encode() not in data, path)


@suite.test
def every_file_has_its_place(folder):
    libraries = installed(folder, "--prefix", os.path.join(folder, "usr"))
    names = {os.path.relpath(path, os.path.join(folder, "usr"))
             for path in files(os.path.join(folder, "usr"))}
    below = os.path.relpath(libraries, os.path.join(folder, "usr"))
    headers = {os.path.join("include", "srun", name)
               for name in os.listdir(os.path.join(SOURCE_DIR, "include", "srun"))}
    pages = {os.path.join("share", "man", f"man{name[-1]}", name)
             for name in os.listdir(os.path.join(SOURCE_DIR, "man"))
             if name != "srunctl.1" or os.path.exists(os.path.join(BUILD_DIR, "srunctl"))}
    libs = {os.path.join(below, name) for name in (
        "libsrun.a", "libsrun.so", "libsrun.so.0", "libsrun.so." + VERSION,
        "pkgconfig/srun.pc", "cmake/srun/srunConfig.cmake")}
    equal((headers | pages | libs) - names, set(), "not installed")


@suite.test
def uninstall_removes_what_was_installed_and_nothing_else(folder):
    prefix, manifest = os.path.join(folder, "usr"), os.path.join(folder, "manifest")
    installed(folder, "--prefix", prefix)
    with open(manifest, "w", encoding="utf-8") as file:  # cmake's has no end of line at its end
        file.write("\n".join(path[len(folder):] for path in files(prefix)))
    other = os.path.join(prefix, "include", "srun", "other.h")
    with open(other, "w", encoding="utf-8"):
        pass
    consumer.done([os.path.join(SOURCE_DIR, "tools", "uninstall"), manifest, folder], folder)
    equal(files(prefix), [other], "left")
    check(not os.path.exists(os.path.join(prefix, "lib", "srun")), "an empty folder is left")
    code, _, log = consumer.run([os.path.join(SOURCE_DIR, "tools", "uninstall"), manifest], folder)
    check(code == 1 and "nothing was installed" in log, log)


suite.main()

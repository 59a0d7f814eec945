# SPDX-License-Identifier: MIT
"""Runs inside the booted root: puts the program and its units in their places, runs the suites, and
keeps the journal for who has to find out why one failed."""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BOOT = "/srun/build/boot"
SYSTEM = "/etc/systemd/system"
SUITES = ("units_test.py", "journal_test.py")


def place():
    shutil.copytree(os.path.join(BOOT, "install", "usr", "local"), "/usr/local", symlinks=True,
                    dirs_exist_ok=True)
    for name, at in (("/srun/build/release/examples/http", "srun-http"),
                     (os.path.join(BOOT, "talk"), "talk")):
        shutil.copy(name, os.path.join("/usr/local/bin", at))
    for name in ("srun-http.service", "srun-http.socket"):
        shutil.copy(os.path.join("/srun/deploy/systemd", name), SYSTEM)
    version = int(os.environ["SYSTEMD"])
    if version >= 253:
        shutil.copytree("/srun/deploy/systemd/srun-http.service.d", os.path.join(SYSTEM, "srun-http.service.d"))
    subprocess.run(["/sbin/ldconfig"], check=True)
    subprocess.run(["systemctl", "daemon-reload"], check=True)


def systemd_version():
    told = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[1]


def main():
    os.environ["SYSTEMD"] = systemd_version()
    print(f"boot: systemd {os.environ['SYSTEMD']}", flush=True)
    place()
    codes = [subprocess.run([sys.executable, os.path.join(HERE, name), "-v"],
                            stderr=subprocess.STDOUT, check=False).returncode
             for name in SUITES]
    with open("/results/journal", "wb") as file:
        subprocess.run(["journalctl", "-b", "-o", "short-precise", "--no-pager"], stdout=file, check=False)
    print("boot: all suites ran", flush=True)
    sys.exit(max(codes))


main()

# SPDX-License-Identifier: MIT
"""The operator's page in a real browser: what is served, and what it shows in every state."""
import base64
import hashlib
import os
import re
import signal
import sys
import time

sys.dont_write_bytecode = True
from desk import PICTURES, Desk, change, run_suite, texts, visible  # noqa: E402
from mock import sample  # noqa: E402
from states import STATES  # noqa: E402
from support import LIMIT, Process, Suite, check, equal, has_program, program  # noqa: E402

suite = Suite("page", kind="browser")
PANELS = ("services", "charts", "timeline", "control", "upgrades", "metrics", "threads", "config",
          "flags", "profiles")


# What is served


@suite.test
def has_at_most_40000_bytes_for_ten_services(folder):
    _, page = sample(10)
    check(len(page) <= 40000, f"{len(page)} bytes")


@suite.test
def lets_exactly_its_style_and_script_run(folder):
    policy, page = sample(10)
    for kind in ("style", "script"):
        inline = re.findall(rb"<" + kind.encode() + rb">(.*?)</" + kind.encode() + rb">", page, re.S)
        equal(len(inline), 1, kind)
        told = base64.b64encode(hashlib.sha256(inline[0]).digest()).decode()
        check(f"{kind}-src 'sha256-{told}';" in policy, f"{kind} {told}: {policy}")


@suite.test
def is_complete_without_scripts(folder):
    with Desk(scripts=False) as (mock, page):
        tree = page.call("DOM.getDocument", depth=-1)  # scripts are off, so no js()
        html = page.call("DOM.getOuterHTML", nodeId=tree["root"]["nodeId"])["outerHTML"]
        page.shot(os.path.join(PICTURES, "no-script.png"))
        page.scripts(True)
        equal(len(texts(page, "#b-services tbody")), 10, "services")
        for text in ("sample", "RUNNING", "STARTING", "SHUTTING_DOWN · stuck", "unhealthy",
                     '<script>document.title = "owned"</script>'):
            check(text in page.text(), text)
        check(page.js("document.title").startswith("sample"), page.js("document.title"))
        check("noscript" in html and not visible(page, "#live") and not visible(page, "nav"), html)
        equal(mock.asked, 0, "requests for the status")


# Every state


def overflow(page):
    return page.js("document.documentElement.scrollWidth - innerWidth")


@suite.test
def shows_every_state_without_a_complaint(folder):
    with Desk() as (mock, page):
        for name in STATES:
            mock.state = name
            page.go(mock.url)
            page.wait("document.querySelector('#h-flags small') && !document.querySelector('#lost *')")
            for panel in PANELS:
                check(page.text("#" + panel).strip(), f"{name}: {panel} is empty")
            equal(overflow(page), 0, f"{name}: sideways")
            page.shot(os.path.join(PICTURES, name + ".png"), whole=True)
        equal(mock.posts, [], "writes without a click")


@suite.test
def never_scrolls_sideways_on_a_telephone(folder):
    with Desk(width=360, height=740) as (mock, page):
        for name in ("healthy", "unhealthy", "stuck", "long", "many", "write", "upgraded"):
            mock.state = name
            page.go(mock.url)
            page.wait("document.querySelector('#h-flags small')")
            equal(overflow(page), 0, name)
            page.shot(os.path.join(PICTURES, name + "-narrow.png"), whole=True)


@suite.test
def what_the_server_says_stays_text(folder):
    with Desk("long") as (_, page):
        check("<b>bold</b>" in page.text("#b-threads"), page.text("#b-threads"))
        check("<postgres>" in page.text("#b-services"), "an error with angle brackets")
        equal(page.js("document.querySelectorAll('postgres, #b-threads b').length"), 0, "elements")


@suite.test
def says_something_useful_where_there_is_nothing(folder):
    with Desk("bare") as (mock, page):
        for panel, text in (("services", "srun_runner_add"), ("services", "set SRUN_HEALTH=true"),
                            ("charts", "No sample yet"), ("timeline", "No change"),
                            ("metrics", "No metric"), ("flags", "no flags"),
                            ("profiles", "no profiles")):
            check(text in page.text("#" + panel), f"{panel}: {page.text('#' + panel)}")
        change(mock, page, "no_health", "ledger", "#head")
        check("set SRUN_HEALTH=true" in page.text("#h-services"), page.text("#h-services"))


# A program that is no play


@suite.test
def shows_a_real_program_and_its_upgrade(folder):
    if not has_program("http"):
        return
    env = {"SRUN_ADMIN": "true", "SRUN_ADMIN_ADDRESS": "127.0.0.1:0",
           "SRUN_HEALTH": "true", "RUNTIME_DIRECTORY": folder,
           "SRUN_UPGRADE_PROBATION": "50ms"}
    with Process([program("http"), "--http.address=127.0.0.1:0"], folder, env) as http:
        address = http.wait_for(r"name=srun\.admin address=tcp://(\S+)").group(1)
        http.wait_for("msg=started ")
        page = Desk.chromium.page()
        page.go(f"http://{address}/")
        page.wait("document.querySelector('#h-flags small')")
        page.wait_text("RUNNING", "#b-services")
        page.wait_text("healthy", "#head")
        check("http.address" in page.text("#b-flags"), page.text("#b-flags"))
        check("SRUN_HEALTH" not in page.text("#h-services"), page.text("#h-services"))
        page.shot(os.path.join(PICTURES, "http.png"), whole=True)
        http.signal(signal.SIGHUP)
        page.wait_text("generation 2 has taken over", "#notes")
        equal(page.complaints, [], "complaints of the browser")
        page.close()
        http.wait()
        for pid in http.family():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + LIMIT
        while http.family() and time.monotonic() < deadline:
            time.sleep(0.01)


run_suite(suite)

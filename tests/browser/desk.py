# SPDX-License-Identifier: MIT
"""What the suites of the operator's page share: a page of a real browser, against a server that plays
every state of a program.

The pictures it takes are in build/dev/tests/browser/pictures: somebody looks at them.
"""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from chromium import Chromium, browser  # noqa: E402
from mock import Mock  # noqa: E402
from support import BUILD_DIR, equal  # noqa: E402

PICTURES = os.path.join(BUILD_DIR, "tests", "browser", "pictures")


class Desk:
    """A page of the one browser, on a server of its own. Nothing that went wrong in it, and no
    request to anybody else, is forgiven at the end."""

    chromium = None

    def __init__(self, state="healthy", width=1280, height=900, scripts=True):
        self.mock = Mock(state)
        self.page = self.chromium.page(width, height)
        self.page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.page.scripts(scripts)
        self.page.go(self.mock.url)
        if scripts:
            self.page.wait("document.querySelector('#h-flags small')")

    def __enter__(self):
        return self.mock, self.page

    def __exit__(self, kind, *error):
        asked, complaints = list(self.page.requests), list(self.page.complaints)
        self.page.close()
        self.mock.__exit__()
        if kind is None:
            equal(complaints, [], "complaints of the browser")
            strange = [url for url in asked if not url.startswith((self.mock.url, "data:"))]
            equal(strange, [], "requests to others")


def renew(page):
    """Asks for the status now: as when somebody comes back to the tab."""
    page.js("dispatchEvent(new Event('visibilitychange'))")


def change(mock, page, state, text, selector="body"):
    mock.state = state
    renew(page)
    page.wait_text(text, selector)


def texts(page, selector):
    """All texts."""
    return page.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)")


def visible(page, selector):
    return page.js(f"(e => !!e && e.checkVisibility())(document.querySelector({json.dumps(selector)}))")


def search(page, what, text):
    page.js(f"document.getElementById('q-{what}').value = ''")
    page.click(f"#q-{what}")
    page.type(text)


def run_suite(suite):
    """Runs it with one browser for all of its tests, unless there is none here."""
    if "--list" in sys.argv:
        suite.main()
    if browser() is None:
        print(f"{suite.name}: there is no Chromium here; ./dev test installs it")
        print(f"{suite.name}: 0 passed, 0 failed")
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="srun-test-") as folder, Chromium(folder) as chromium:
        Desk.chromium = chromium
        suite.main(at_once=3)

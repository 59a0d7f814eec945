# SPDX-License-Identifier: MIT
"""The operator's page in a real browser, against a server that plays every state of a program.

The pictures it takes are in build/dev/tests/browser/pictures: somebody looks at them.
"""
import base64
import hashlib
import json
import os
import re
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
sys.dont_write_bytecode = True
from chromium import Chromium, browser  # noqa: E402
from mock import TOKEN, Mock, sample  # noqa: E402
from states import STATES  # noqa: E402
from support import (BUILD_DIR, LIMIT, Process, Suite, check, equal, has_program,
                     program)  # noqa: E402

suite = Suite("page", kind="browser")
PICTURES = os.path.join(BUILD_DIR, "tests", "browser", "pictures")
PANELS = ("services", "charts", "timeline", "control", "upgrades", "metrics", "threads", "config",
          "flags", "profiles")


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


# The contrast of every text with what is behind it, as WCAG computes it.
CONTRAST = """
(() => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true})
  const rgba = color => {
    paint.clearRect(0, 0, 1, 1)
    paint.fillStyle = color
    paint.fillRect(0, 0, 1, 1)
    const d = paint.getImageData(0, 0, 1, 1).data
    return [d[0], d[1], d[2], d[3] / 255]
  }
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1)
  const behind = e => {
    const layers = []
    for (; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor))
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1])
  }
  const light = c => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    return .2126 * r + .7152 * g + .0722 * b
  }
  const poor = []
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    if (!text || !e.checkVisibility() || /^(SCRIPT|STYLE|NOSCRIPT|title)$/.test(e.tagName)) continue
    const style = getComputedStyle(e), back = behind(e)
    const front = over(rgba(e.tagName === 'text' ? style.fill : style.color), back)
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x), ratio = (a + .05) / (b + .05)
    if (ratio < 4.5) poor.push(e.tagName + '.' + e.getAttribute('class') + ' ' + e.textContent.slice(0, 30) + ' ' + ratio.toFixed(2))
  }
  return poor
})()"""


@suite.test
def every_text_is_readable_in_the_light_and_in_the_dark(folder):
    with Desk() as (mock, page):
        backgrounds = set()
        for scheme in ("light", "dark"):
            page.media(prefers_color_scheme=scheme)
            for name in ("unhealthy", "stuck", "starting", "write", "draining"):
                change(mock, page, name, STATES[name](0)["state"], "#head")
                page.js("document.querySelector('#do-stop')?.click()")
                equal(page.js(CONTRAST), [], f"{scheme} {name}: contrast below 4.5")
                page.js("document.querySelector('#cancel')?.click()")
            page.shot(os.path.join(PICTURES, scheme + ".png"), whole=True)
            backgrounds.add(page.js("getComputedStyle(document.body).backgroundColor"))
        equal(len(backgrounds), 2, "backgrounds")


@suite.test
def every_state_has_a_name_beside_its_colour(folder):
    with Desk("unhealthy") as (_, page):
        names = page.js("[...document.querySelectorAll('.p')].map(e => e.textContent.trim())")
        check(len(names) > 30 and all(names), names)
        labels = page.js("[...document.querySelectorAll('.strip')].map(e => e.ariaLabel)")
        check("last 16: 12 healthy,4 unhealthy" in labels, labels)
        heights = page.js("[...document.querySelectorAll('.strip')[1].children]"
                          ".map(e => e.getBoundingClientRect().height)")
        equal(len(set(heights)), 2, "heights of its results")


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


# It renews itself


@suite.test
def renews_itself_every_two_seconds(folder):
    with Desk() as (mock, page):
        mock.state = "unhealthy"
        page.wait_text("Connection refused", "#verdict")
        check(page.js("document.title").startswith("✕ ledger"), page.js("document.title"))


@suite.test
def rests_while_paused_or_hidden(folder):
    with Desk() as (mock, page):
        page.click("#pause")
        page.wait_text("paused at", "#asof")
        page.js("new Promise(done => setTimeout(done, 300))")  # what was under way comes in
        asked = mock.asked
        renew(page)
        page.js("new Promise(done => setTimeout(done, 2300))")
        equal(mock.asked, asked, "requests while paused")
        page.js("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        page.click("#pause")
        page.wait_text("as of", "#asof")
        page.js("new Promise(done => setTimeout(done, 2300))")
        equal(mock.asked, asked + 1, "requests while hidden")
        page.js("Object.defineProperty(document, 'hidden', {value: false})")
        change(mock, page, "unhealthy", "Connection refused", "#verdict")


@suite.test
def says_that_the_program_cannot_be_reached_and_recovers(folder):
    with Desk() as (mock, page):
        mock.go_away()
        renew(page)
        page.wait_text("ledger has not answered since", "#lost")
        check("unreachable" in page.text("#head") and "ready" not in page.text("#head"),
              page.text("#head"))
        equal(len(texts(page, "#b-services tbody")), 10, "services that are still shown")
        page.shot(os.path.join(PICTURES, "unreachable.png"))
        mock.come_back()
        page.wait_text("It answers again", "#notes")
        check(not page.text("#lost") and "ready" in page.text("#head"), page.text("#head"))
        page.click("#notes button")
        page.wait("!document.querySelector('#notes *')")
        page.complaints.clear()  # the browser tells of the refused connections


@suite.test
def goes_on_when_the_answer_is_no_status(folder):
    with Desk() as (mock, page):
        mock.broken = b"<html>"
        renew(page)
        page.wait_text("Unreachable", "#lost")
        mock.broken = None
        renew(page)
        page.wait("!document.querySelector('#lost *')")


@suite.test
def one_odd_value_does_not_hide_the_rest(folder):
    with Desk() as (mock, page):
        mock.also = {"series": 7, "timeline": {"a": 1}}
        change(mock, page, "unhealthy", "Connection refused", "#verdict")
        check("4711" in page.text("#b-threads"), page.text("#b-threads"))
        page.complaints.clear()  # which is told on the console


@suite.test
def tells_of_an_upgrade(folder):
    with Desk() as (mock, page):
        change(mock, page, "draining", "draining", "#head")
        check("12" in page.text("#b-upgrades") and "5012" in page.text("#b-upgrades"), "both")
        change(mock, page, "upgraded", "generation 2 has taken over", "#notes")
        check("4711 → 5012" in page.text("#notes") and "1.4.0 → 1.5.0" in page.text("#notes"),
              page.text("#notes"))
        check("exit code 1" in page.text("#b-upgrades"), page.text("#b-upgrades"))


@suite.test
def keeps_focus_and_what_is_typed_while_it_renews(folder):
    with Desk() as (mock, page):
        search(page, "config", "log")
        change(mock, page, "unhealthy", "Connection refused", "#verdict")
        equal(page.js("document.activeElement.id + ' ' + document.activeElement.value"),
              "q-config log", "focus")
        page.js("document.querySelectorAll('[data-a=open]')[1].focus()")
        change(mock, page, "healthy", "healthy", "#head")
        equal(page.js("document.activeElement.dataset.v"), "postgres", "focus")


# Panels


@suite.test
def opens_the_results_of_a_service(folder):
    with Desk("unhealthy") as (_, page):
        page.click("[data-a=open][data-v=postgres]")
        page.wait("document.querySelectorAll('.more tbody tr').length === 16")
        check(page.text(".more tbody tr").startswith("unhealthy"), "the newest comes first")
        page.shot(os.path.join(PICTURES, "opened.png"))
        page.click("[data-a=open][data-v=postgres]")
        page.wait("!document.querySelector('.more')")


@suite.test
def tells_the_cause_from_what_it_causes(folder):
    with Desk("unhealthy") as (_, page):
        equal(page.js("[...document.querySelectorAll('#b-services .loud')]"
                      ".map(e => e.closest('tbody').querySelector('button').innerText)"),
              ["postgres", "redis"], "who is to blame")
        check("because of ledger -> postgres" in page.text("#b-services"), "the path")


@suite.test
def says_what_waits_for_what(folder):
    with Desk("starting") as (mock, page):
        check("Waits for its ready · limit in 29 s" in page.text("#b-services"),
              page.text("#b-services"))
        check("waits for ledger" in page.text("#b-services"), page.text("#b-services"))
        change(mock, page, "stuck", "Stuck:", "#b-services")
        check("SHUTTING_DOWN · stuck" in page.text("#b-services"), page.text("#b-services"))


@suite.test
def draws_the_timeline_and_lists_it(folder):
    with Desk("unhealthy") as (_, page):
        check(page.js("document.querySelectorAll('#b-timeline > svg > rect').length") > 30, "bars")
        check("3 d 3 h" in page.js("document.querySelector('#b-timeline > svg').textContent"), "fold")
        check(not visible(page, "#b-timeline tbody"), "the list is closed at first")
        page.click("#b-timeline summary")
        page.wait("document.querySelectorAll('#b-timeline tbody tr').length === 46")
        renew(page)
        check(visible(page, "#b-timeline tbody"), "the list stays open")


@suite.test
def reads_a_chart_with_the_mouse_and_with_the_keyboard(folder):
    with Desk() as (_, page):
        figure = "document.querySelector('figure')"
        last = page.text("figure b")
        check(re.fullmatch(r"[\d.]+ %", last), last)
        x, y = page.js(f"(b => [b.x + b.width / 4, b.y + 30])({figure}.querySelector('svg')"
                       ".getBoundingClientRect())")
        page.mouse(x, y)
        page.wait(f"{figure}.querySelector('.at') && /^[\\d-]* ?\\d\\d:\\d\\d:\\d\\d/.test("
                  f"{figure}.querySelector('p').innerText)")
        page.mouse(5, 5)
        page.wait(f"!{figure}.querySelector('.at')")
        page.js(f"{figure}.querySelector('svg').focus()")
        page.key("ArrowLeft")
        page.wait(f"{figure}.querySelector('.at')")
        first = page.text("figure p")
        page.key("ArrowLeft")
        page.wait(f"{figure}.querySelector('p').innerText !== {json.dumps(first)}")


@suite.test
def adds_a_chart_of_any_metric(folder):
    with Desk() as (_, page):
        name = 'http_requests_total{path="/",code="200"}'
        page.click(f"#b-metrics [data-v={json.dumps(name)}]")
        page.wait("document.querySelectorAll('figure').length === 5")
        check(name in page.text("figure:last-child") and "per second" in page.text("figure:last-child"),
              page.text("figure:last-child"))
        renew(page)  # a rate takes two
        page.wait("document.querySelector('figure:last-child svg')")
        page.click("figure:last-child button")
        page.wait("document.querySelectorAll('figure').length === 4")


@suite.test
def searches_metrics_by_wildcard(folder):
    with Desk() as (_, page):
        for text, count in (("http_*_total*200*", 3), ("http_*", 9), ("fds", 1), ("FDS", 1),
                            ("process_open_fd?", 1), ('{path="/"', 3), ("[", 0), ("", 23)):
            search(page, "metrics", text)
            if not text:
                page.js("document.getElementById('q-metrics').dispatchEvent(new Event('input',"
                        " {bubbles: true}))")
            page.wait(f"document.querySelectorAll('#b-metrics tbody tr').length === {count}")
            if count == 0:
                check("Nothing matches" in page.text("#b-metrics"), page.text("#b-metrics"))
            elif count < 23:
                equal(page.text("#h-metrics small"), f"{count} of 23", text)


@suite.test
def searches_threads_settings_and_flags(folder):
    with Desk() as (_, page):
        for what, text, count in (("threads", "srun:*", 6), ("config", "changed", 4),
                                  ("config", "SRUN_LOG", 2), ("flags", "db.*", 2)):
            search(page, what, text)
            page.wait(f"document.querySelectorAll('#b-{what} tbody tr').length === {count}")


@suite.test
def marks_what_was_changed_from_its_default(folder):
    with Desk() as (_, page):
        equal(page.text("#h-config small"), "14 · 4 changed", "heading")
        check(any("timeouts.ready" in row and "file; default 30s" in row
                  for row in texts(page, "#b-config .new")), texts(page, "#b-config .new"))
        equal(len(texts(page, "#b-flags .new")), 3, "flags")


@suite.test
def shows_a_line_for_pprof_when_there_are_profiles(folder):
    with Desk("profiling") as (mock, page):
        check(f"go tool pprof {mock.url}debug/pprof/profile" in page.text("#b-profiles"),
              page.text("#b-profiles"))
        page.click("#b-profiles button")
        equal(texts(page, "#b-profiles tr"), [], "captures, of which there are none")


@suite.test
def shows_what_was_captured_the_last_first(folder):
    with Desk("captured") as (mock, page):
        equal(page.text("#h-profiles small"), "2 captured", "heading")
        rows = texts(page, "#b-profiles tbody tr")
        check("ledger: run takes 22.5s of 30s, in thread 4711 <b>" in rows[0], rows)
        check("187% of a processor" in rows[1] and "cpu" in rows[1], rows)
        links = page.js("[...document.querySelectorAll('#b-profiles tbody a')].map(a => a.href)")
        equal(links, [f"{mock.url}debug/captures/{to}" for to in ("8?format=text", "8", "7?format=text", "7")])
        page.js("document.getElementById('profiles').scrollIntoView()")
        page.shot(os.path.join(PICTURES, "captured.png"))
        change(mock, page, "profiling", "", "#h-profiles")
        page.wait("!document.querySelector('#b-profiles tr')")


# Writing


@suite.test
def a_reader_sees_no_buttons_that_write(folder):
    with Desk() as (mock, page):
        equal(page.js("document.querySelectorAll('[data-a=confirm], [data-a=level]').length"), 0,
              "buttons")
        check("You may read" in page.text("#control"), page.text("#control"))
        change(mock, page, "write", "Upgrade …", "#control")
        equal(texts(page, "[data-a=confirm]"), ["Drain …", "Upgrade …", "Stop …"], "buttons")
        check(not visible(page, "#unlock"), "the token is not asked for")


@suite.test
def asks_before_it_writes(folder):
    with Desk("write") as (mock, page):
        mock.after = {"/admin/drain": "withdrawn", "/admin/drain?off": "write"}
        page.click("#do-stop")
        page.wait_text("Stop the program?", "#control")
        equal(page.js("document.activeElement.id"), "cancel", "focus")
        page.key("Escape")
        page.wait("document.activeElement.id === 'do-stop'")
        page.click("#do-drain")
        page.click("#cancel")
        page.wait("document.activeElement.id === 'do-drain'")
        equal(mock.posts, [], "writes so far")
        page.key("Enter")
        page.wait("document.activeElement.id === 'cancel'")
        page.key("Tab", shift=True)
        page.key("Enter")
        page.wait_text("did /admin/drain", "#said")
        page.click("#do-undrain")
        page.click(".go")
        page.wait_text("did /admin/drain?off", "#said")
        equal([path for path, _ in mock.posts], ["/admin/drain", "/admin/drain?off"], "writes")
        check(all(headers.get("X-Srun-Admin") == "1" for _, headers in mock.posts), mock.posts)


@suite.test
def shows_why_a_write_was_refused(folder):
    with Desk("write") as (mock, page):
        mock.refuse = "an upgrade is going on"
        page.click("#do-upgrade")
        page.click(".go")
        page.wait_text("an upgrade is going on", "#said.bad")
        page.complaints.clear()


@suite.test
def sets_the_log_level_for_a_while(folder):
    with Desk("write") as (mock, page):
        check("debug, back to what it was in 6 m 52 s" in page.text("#control"),
              page.text("#control"))
        page.js("level.value = 'warn', document.getElementById('for').value = '1h'")
        page.click("[data-a=level]")
        page.wait_text("did", "#said")
        equal(mock.posts[0][0], "/admin/log-level?level=warn&for=1h", "write")


@suite.test
def the_token_unlocks_writing(folder):
    with Desk() as (mock, page):
        page.click("#token")
        page.type("wrong")
        page.key("Enter")
        page.wait_text("The token was not accepted", "#said")
        page.click("#token")
        page.type(TOKEN)
        page.click("#unlock button")
        page.click("#do-upgrade")
        page.click(".go")
        page.wait_text("did /admin/upgrade", "#said")
        equal(mock.posts[0][1].get("Authorization"), "Bearer " + TOKEN, "header")
        check(TOKEN not in page.js("document.documentElement.outerHTML + document.cookie + "
                                   "JSON.stringify([localStorage, sessionStorage])"), "it is kept")
        page.complaints.clear()


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


# Keyboard and taste


@suite.test
def the_keyboard_reaches_everything(folder):
    with Desk("write") as (_, page):
        wanted = page.js("[...document.querySelectorAll('a, button, input, select, summary,"
                         " [tabindex=\"0\"]')].filter(e => e.checkVisibility()).length")
        page.js("window.seen = new Set(); document.body.tabIndex = -1; document.body.focus()")
        first = ""
        for step in range(wanted + 5):
            page.key("Tab")
            at = page.js("(e => { const has = seen.has(e); seen.add(e); const s = getComputedStyle(e);"
                         " return [has || e === document.body, (e.id || e.innerText || '').slice(0, 40),"
                         " s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,"
                         " e.tabIndex] })(document.activeElement)")
            first = first or at[1]
            if at[0]:
                break
            check(at[2], f"{at[1]}: its focus is not seen")
        reached = page.js("[...seen].filter(e => e !== document.body).length")
        equal((first, reached), ("Skip to the services", wanted), "reached")


@suite.test
def the_skip_link_leads_to_the_services(folder):
    with Desk() as (_, page):
        page.key("Tab")
        page.wait("document.querySelector('.skip').getBoundingClientRect().top >= 0")
        page.key("Enter")
        page.wait("document.activeElement.id === 'services'")


@suite.test
def moves_only_for_who_likes_it(folder):
    with Desk() as (_, page):
        behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
        page.media(prefers_reduced_motion="reduce")
        equal(page.js(behaviour), "auto", "reduced")
        page.media(prefers_reduced_motion="no-preference")
        equal(page.js(behaviour), "smooth", "not reduced")


@suite.test
def every_field_and_button_has_a_name(folder):
    with Desk("write") as (_, page):
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "link", "searchbox", "textbox", "combobox", "image")
        nameless = [node["role"]["value"] for node in nodes
                    if not node.get("ignored") and node["role"]["value"] in roles
                    and not node.get("name", {}).get("value")]
        equal(nameless, [], "without a name")


def main():
    if browser() is None and "--list" not in sys.argv:
        print("browser.page: there is no Chromium here; ./dev test installs it")
        print("browser.page: 0 passed, 0 failed")
        sys.exit(0)
    if "--list" in sys.argv:
        suite.main()
    with tempfile.TemporaryDirectory(prefix="srun-test-") as folder, Chromium(folder) as chromium:
        Desk.chromium = chromium
        suite.main(at_once=3)


main()

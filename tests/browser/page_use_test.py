# SPDX-License-Identifier: MIT
"""The operator's page as it is used: it renews itself, its panels answer, its buttons write."""
import json
import os
import re
import sys

sys.dont_write_bytecode = True
from desk import PICTURES, Desk, change, renew, run_suite, search, texts, visible  # noqa: E402
from mock import TOKEN  # noqa: E402
from endure import eventually  # noqa: E402
from support import Suite, check, equal  # noqa: E402

suite = Suite("page_use", kind="browser")


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
        eventually(lambda: sum(url.endswith("/status.json") for url in page.requests) == mock.asked,
                   "what was under way comes in")
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


run_suite(suite)

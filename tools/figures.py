# SPDX-License-Identifier: MIT
"""docs/performance.md and its pictures, made of the figures that the benches told.

The figures are one object: what each job of tools/performance printed, by the name of the job, and
"about" the machine. The page is its template, docs/performance.md.in, with the places filled in:

    {{start.start.1000.ratio}}                       a value; of a list, the object that begins with 1000
    {{start.start.1000.start_us / 1000}}             from left to right: + - * /
    {{log.allocations | whole}}                      rounded to a whole number

A figure that is missing, because its bench failed or what it needs is not installed, shows as NONE.
"""
import os
import re
import textwrap

import chart

NONE = "–"
COLUMNS = 115
QUIET_PERCENT = 10  # what a system does for itself
PLACE = re.compile(r"\{\{(.+?)\}\}")
TEMPLATE, PAGE, FIGURES, PICTURES = ("docs/performance.md.in", "docs/performance.md", "docs/performance.json",
                                     "docs/pictures")


# Looking up


def step(within, name):
    if isinstance(within, dict):
        return within.get(name)
    if isinstance(within, list):
        return next((one for one in within if str(next(iter(one.values()), None)) == name), None)
    return None


def look_up(figures, path):
    """The value, or None."""
    found = figures
    for name in path.split("."):
        found = step(found, name)
    return found


def operand(figures, word):
    if re.fullmatch(r"\d+(\.\d+)?", word):
        return float(word) if "." in word else int(word)
    return look_up(figures, word)


def evaluate(figures, expression):
    """A value or a sum of values; None when one of them is missing."""
    first, *rest = re.split(r" ([-+*/]) ", expression.strip())
    value = operand(figures, first)
    for sign, word in zip(rest[::2], rest[1::2]):
        other = operand(figures, word)
        if value is None or other is None or (sign == "/" and other == 0):
            return None
        value = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
                 "/": lambda a, b: a / b}[sign](value, other)
    return value


def show(figures, place):
    expression, _, form = (part.strip() for part in place.partition("|"))
    value = evaluate(figures, expression)
    if value is None:
        return NONE
    if isinstance(value, (bool, str)):
        return str(value)
    return chart.number(round(value) if form == "whole" else value)


def missing(figures, template):
    """The places of the template, and the points of pictures, that have no figure."""
    return sorted({place for place in PLACE.findall(template)
                   if job_of(place) != "about" and show(figures, place) == NONE}
                  | {point for point in points() if evaluate(figures, point) is None})


def job_of(place):
    return re.match(r"\s*(\w+)", place)[1]


# The page


def machine(about):
    """One line: what the figures were taken on."""
    commits = dict.fromkeys(job["commit"] for job in about["jobs"].values() if "commit" in job)
    return (f"{about['processor']}, {about['cores']} cores, Linux {about['kernel']}, {about['compiler']}, "
            f"{about['date']}, " + " and ".join(commits) + (", a quick run" if about["quick"] else ""))


def noise(about):
    """How quiet the machine was, in words. Each job knows how busy others kept it just before."""
    busy = [job["busy_percent"] for job in about["jobs"].values() if "busy_percent" in job]
    if not busy:
        return "Nothing was measured."
    if max(busy) < QUIET_PERCENT:
        return f"Nothing else was at work; its load was {about['load']:.1f} at the beginning."
    shares = f"{min(busy):.0f} to {max(busy):.0f}" if round(min(busy)) < round(max(busy)) else f"{max(busy):.0f}"
    return (f"**The machine was not quiet**: others kept its processors {shares} % busy just before the benches, and its "
            f"load was {about['load']:.1f} at the beginning. Times are longer than they need be; ratios suffer less.")


def lacking(figures):
    """What has no figures, and why: a list of lines."""
    told = [f"`{name}` failed: {job['failure']}" for name, job in figures["about"]["jobs"].items() if job["failure"]]
    told += [f"{name}: {why}" for name, why in (look_up(figures, "telemetry.not_run") or {}).items()]
    told += [f"{one['server']}: {one['skipped']}" for one in look_up(figures, "upgrade.servers") or []
             if "skipped" in one]
    return told


def stuck(figures):
    """Servers that did not come through all their swaps, in words."""
    told = [f"{one['server']}, {load['load']}: {load['failure'].rstrip('.')}." for one in
            look_up(figures, "upgrade.servers") or [] for load in one["loads"] if load["failure"]]
    return " ".join(["Not all swaps were made.", *told]) if told else ""


def page(figures, template):
    about = {**figures["about"], "machine": machine(figures["about"]),
             "noise": noise(figures["about"]),
             "stuck": stuck(figures), "lacking": "".join(f"\n- {line}" for line in lacking(figures))}
    if about["lacking"]:
        about["lacking"] = f"Cells with {NONE} were not measured:\n{about['lacking']}"
    figures = {**figures, "about": about}
    return "\n\n".join(filter(None, (paragraph(figures, text.strip("\n")) for text in template.split("\n\n")))) + "\n"


def paragraph(figures, text):
    """With its figures, and its lines as long as before; tables, lists and pictures have lines of their own."""
    if not PLACE.search(text):
        return text
    text = PLACE.sub(lambda found: show(figures, found[1]), text).strip("\n")
    text = re.sub(rf"{NONE}(x| (?:[mnµ]?s|bytes|[KM]iB|%))(?![\w/])", NONE, text)
    if text.startswith(("|", "!", "- ", "Cells")):
        return text
    return textwrap.fill(text.replace("\n", " "), COLUMNS, break_long_words=False, break_on_hyphens=False)


# The pictures: names of places, as in the template


def growth(counts, expression):
    return [(count, expression.replace("#", str(count))) for count in counts]


SERVICES, SERIES, LISTENERS = (1, 10, 100, 1000, 10000), (1, 10, 100, 1000, 10000, 100000), (1, 10, 100, 1000)
CALL = "telemetry.calls.{}_1_ns"
LOST = "upgrade.servers.{}.loads.{}.swaps.lost / upgrade.servers.{}.loads.{}.swaps.requests * 1000000"
SERVERS = ("libsrun", "nginx", "haproxy", "haproxy, idle-close")

LINES = {
    "start": ("Starting and stopping", ("services", "milliseconds"), (
        ("services", growth(SERVICES, "start.start.#.start_us + start.start.#.stop_us / 1000")),
        ("bare threads", growth(SERVICES, "start.start.#.bare_us / 1000")))),
    "memory": ("An idle program", ("services", "MiB resident"), (
        ("services", growth(SERVICES, "memory.memory.#.rss_kib / 1024")),
        ("bare threads", growth(SERVICES, "memory.memory.#.bare_kib / 1024")))),
    "listeners": ("An upgrade by what it hands over", ("listeners", "milliseconds"), (
        ("libsrun", growth(LISTENERS, "listeners.listeners.#.took_over_ms.p50")),
        ("nginx", growth(LISTENERS, "listeners.listeners.#.nginx_ms.p50")))),
    "scrape": ("A scrape", ("series with three labels", "milliseconds"), (
        ("libsrun", growth(SERIES, "telemetry.calls.metrics.scrape_#_ms")),
        ("client_golang", growth((2000, 100000), "telemetry.calls.client_golang.scrape_#_ms")))),
}


def beside(*rows):
    """A group of bars: (name, "bench.name of call"), the first one ours."""
    return [(name, CALL.format(call), min(index, 1)) for index, (name, call) in enumerate(rows)]


BARS = {
    "upgrade": ("Requests lost while a server is replaced again and again", "of a million requests", False, [
        [(f"{server}, {words}", LOST.format(server, load, server, load), min(index, 3))
         for index, server in enumerate(SERVERS)]
        for load, words in (("new", "new connections"), ("keepalive", "kept-alive"), ("open", "open loop"))]),
    "health": ("The status of a service, on a hot path", "nanoseconds; the axis is logarithmic", True, [
        [("srun_health_get of 10", "health.get_10_ns", 0), ("a loop over 10 names", "health.bare_10_ns", 1)],
        [("srun_health_get of 1000", "health.get_1000_ns", 0), ("a loop over 1000 names", "health.bare_1000_ns", 1)]]),
    "admin": ("/health under wrk, 16 connections", "requests per second", False, [
        [("the admin port", "admin.load.health_per_s", 0), ("nginx, a static answer", "admin.load.nginx_per_s", 1)]]),
    "telemetry": ("One call, one thread", "nanoseconds; the axis is logarithmic", True, [
        beside(("counter, bound", "metrics.counter_bound"), ("client_golang", "client_golang.counter_bound")),
        beside(("counter, three labels", "metrics.counter_3_labels"),
               ("client_golang", "client_golang.counter_3_labels")),
        beside(("histogram, bound", "metrics.histogram_bound"), ("client_golang", "client_golang.histogram_bound")),
        beside(("span, sampled", "traces.span"), ("OpenTelemetry Go", "opentelemetry_go.span")),
        beside(("span, not sampled", "traces.not_sampled"), ("OpenTelemetry Go", "opentelemetry_go.not_sampled"))]),
    "logs": ("A log record with five attributes, one thread", "nanoseconds", False, [
        beside(("JSON", "log.json"), ("write(2) of the line", "log.json_bare")),
        beside(("text", "log.text"), ("write(2) of the line", "log.text_bare"), ("spdlog, flushed", "spdlog.text"))]),
    "profile": ("What being profiled costs", "% more processor time; less is chance", False, [
        [(f"{rate} times a second", f"profile.slower_percent_{rate}", 0) for rate in (100, 250, 1000)]]),
}


def points():
    for _, _, series in LINES.values():
        for _, row in series:
            yield from (place for _, place in row)
    for _, _, _, groups in BARS.values():
        for group in groups:
            yield from (place for _, place, _ in group)


def pictures(figures):
    """{name of the file: its text}."""
    told, foot = {}, machine(figures["about"])
    for name, (title, labels, series) in LINES.items():
        rows = [(words, [(x, evaluate(figures, place)) for x, place in row]) for words, row in series]
        told[name + ".svg"] = chart.lines(
            title, labels, [(words, [point for point in row if point[1]]) for words, row in rows], foot)
    for name, (title, unit, logarithmic, groups) in BARS.items():
        told[name + ".svg"] = chart.bars(
            title, unit, [[(words, evaluate(figures, place), kind) for words, place, kind in group]
                          for group in groups], foot, logarithmic)
    return told


def render(figures, template):
    """{path in docs/: text} of all that is made."""
    made = {os.path.basename(PAGE): page(figures, template)}
    folder = os.path.basename(PICTURES)
    return made | {f"{folder}/{name}": text for name, text in pictures(figures).items()}

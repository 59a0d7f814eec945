# SPDX-License-Identifier: MIT
"""Pictures of figures, as SVG texts: lines on logarithmic axes, and bars.

They stand on a background of their own, light or dark as the reader's system is, use the reader's
fonts, and tell series apart by colour and by shape. What they show is in numbers too.
"""
import math
from xml.sax.saxutils import escape

WIDTH = 760
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 } .small { font-size: 11px; fill: #59636e }
.back { fill: #ffffff } .grid { stroke: #d1d9e0 } .axis { stroke: #59636e }
.s0 { stroke: #0b62c4; fill: #0b62c4 } .s1 { stroke: #c2530a; fill: #c2530a }
.s2 { stroke: #6d4aa8; fill: #6d4aa8 } .s3 { stroke: #3d7d3a; fill: #3d7d3a }
.line { fill: none; stroke-width: 2 } .bar { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 }
.back { fill: #0d1117 } .grid { stroke: #3d444d } .axis { stroke: #9198a1 }
.s0 { stroke: #6cb2ff; fill: #6cb2ff } .s1 { stroke: #ffa657; fill: #ffa657 }
.s2 { stroke: #c8a6ff; fill: #c8a6ff } .s3 { stroke: #7ee787; fill: #7ee787 }
.line { fill: none } .bar { stroke: none }
}
"""


def number(value):
    """As it is read: two digits that count, three from 100 on and behind a 1; whole ones in full."""
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if value == 0:
        return "0"
    first = f"{abs(value):e}"[0]
    digits = 3 if first == "1" or abs(value) >= 100 else 2
    places = digits - 1 - math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    return f"{round(value, places):,.{max(0, places)}f}".replace(",", " ")


def text(x, y, words, kind="", anchor="start"):
    kind = f' class="{kind}"' if kind else ""
    anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{kind}{anchor}>{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" class="{kind}"/>'


def picture(height, title, description, machine, parts):
    """The whole file."""
    size = f'width="{WIDTH}" height="{height}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>", f"<desc>{escape(description)}</desc>", f"<style>{STYLE}</style>",
        f'<rect class="back" fill="#ffffff" {size}/>', text(20, 28, title, "title"), *parts,
        text(20, height - 12, machine, "small"), "</svg>", ""])


# Lines


LEFT, RIGHT, TOP, BOTTOM = 70, WIDTH - 190, 60, 330


def decades(values):
    """The powers of ten that hold them all."""
    low, high = math.floor(math.log10(min(values)) + 1e-9), math.ceil(math.log10(max(values)) - 1e-9)
    return range(low, max(high, low + 1) + 1)


def scale(powers, begin, end):
    def place(value):
        return begin + (math.log10(value) - powers[0]) / (powers[-1] - powers[0]) * (end - begin)
    return place


def mark(shape, x, y):
    kind = f"s{shape}"
    if shape % 2 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{kind}"/>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" class="{kind}"/>'


def axes(across, up, x_label, y_label):
    x_at, y_at = scale(across, LEFT, RIGHT), scale(up, BOTTOM, TOP)
    for power in across:
        at = x_at(10.0 ** power)
        yield line(at, TOP, at, BOTTOM, "grid")
        yield text(at, BOTTOM + 18, power_of_ten(power), "small", "middle")
    for power in up:
        at = y_at(10.0 ** power)
        yield line(LEFT, at, RIGHT, at, "grid")
        yield text(LEFT - 8, at + 4, power_of_ten(power), "small", "end")
    yield line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")
    yield line(LEFT, TOP, LEFT, BOTTOM, "axis")
    yield text((LEFT + RIGHT) / 2, BOTTOM + 38, x_label, "", "middle")
    yield text(20, TOP - 12, y_label)


def power_of_ten(power):
    return number(10 ** power) if power >= 0 else f"{10.0 ** power:.{-power}f}"


def apart(places, least=17):
    """The same heights, moved so that labels do not cover each other."""
    moved, last = {}, -math.inf
    for key, at in sorted(places.items(), key=lambda item: item[1]):
        last = moved[key] = max(at, last + least)
    return moved


def lines(title, labels, series, machine):
    """labels: those of the axes, across and up. series: [(name, [(x, y), ...])], all above zero."""
    points = [point for _, row in series for point in row]
    if not points:
        return picture(110, title, title, machine, [text(20, 65, "nothing was measured")])
    across, up = decades([x for x, _ in points]), decades([y for _, y in points])
    x_at, y_at = scale(across, LEFT, RIGHT), scale(up, BOTTOM, TOP)
    parts = list(axes(across, up, *labels))
    ends = apart({index: y_at(row[-1][1]) for index, (_, row) in enumerate(series) if row})
    for index, (name, row) in enumerate(series):
        if not row:
            continue
        way = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in row)
        parts.append(f'<polyline points="{way}" class="s{index} line"/>')
        parts += [mark(index, x_at(x), y_at(y)) for x, y in row]
        parts.append(text(RIGHT + 12, ends[index] + 4, f"{name}: {number(row[-1][1])}"))
    description = "; ".join(f"{name}: " + ", ".join(f"{number(x)}: {number(y)}" for x, y in row)
                            for name, row in series if row)
    return picture(BOTTOM + 75, title, f"{' and '.join(labels)}. {description}", machine, parts)


# Bars


BAR, GAP, NAMES = 20, 14, 300


def bars(title, unit, groups, machine, logarithmic=False):
    """groups: [[(name, value, series), ...], ...]; a value that is None was not measured. Groups stand
    apart; lengths compare across all of them."""
    values = [value for group in groups for _, value, _ in group if value]
    if not values:
        return picture(110, title, title, machine, [text(20, 65, "nothing was measured")])
    room, parts, at, told = WIDTH - NAMES - 110, [text(20, 52, unit, "small")], 66, []
    lowest = 10.0 ** (math.floor(math.log10(min(values)) - 0.3)) if logarithmic else 0
    for group in groups:
        for name, value, series in group:
            parts.append(text(NAMES - 10, at + BAR - 6, name, "", "end"))
            length = 0.0
            if value:
                part = math.log10(value / lowest) / math.log10(max(values) / lowest) if logarithmic \
                    else value / max(values)
                length = max(1.0, room * part)
                parts.append(f'<rect x="{NAMES}" y="{at}" width="{length:.1f}" height="{BAR}" '
                             f'class="s{series} bar"/>')
            shown = "not measured" if value is None else number(value)
            told.append(f"{name}: {shown}")
            parts.append(text(NAMES + length + 8, at + BAR - 6, shown))
            at += BAR + 4
        at += GAP
    parts.insert(0, line(NAMES, 60, NAMES, at - GAP, "axis"))
    return picture(at + 24, title, f"{unit}. " + "; ".join(told), machine, parts)

# SPDX-License-Identifier: MIT
"""The operator's page for whoever cannot see colours, has no mouse, or has it read aloud."""
import os
import sys

sys.dont_write_bytecode = True
from desk import PICTURES, Desk, change, run_suite  # noqa: E402
from states import STATES  # noqa: E402
from support import Suite, check, equal  # noqa: E402

suite = Suite("page_access", kind="browser")


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


run_suite(suite)

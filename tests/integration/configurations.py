# SPDX-License-Identifier: MIT
"""Readers for the files of deploy/: YAML, what Nomad's HCL needs, and PromQL by promtool."""
import json
import os
import re
import subprocess

from support import LIMIT, check, equal

PYTHON = "/usr/bin/python3"  # Debian's has yaml
TO_JSON = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"


def run(argv, text=None):
    return subprocess.run(argv, input=text, capture_output=True, timeout=LIMIT, check=False,
                          encoding="utf-8")


def load(path):
    """A YAML file."""
    with open(path, encoding="utf-8") as file:
        done = run([PYTHON, "-c", TO_JSON], file.read())
    equal((done.returncode, done.stderr), (0, ""), path)
    return json.loads(done.stdout)


def promtool(*argv):
    done = run(["promtool", *argv])
    equal(done.returncode, 0, done.stdout + done.stderr)


def names(expression):
    """The metrics of a PromQL expression: what is no selector, no range, no list of labels, no
    function and no operator."""
    text = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", expression)
    text = re.sub(r"\b(?:on|ignoring|by|without|group_left|group_right)\s*\([^)]*\)", " ", text)
    return set(re.findall(r"\b[a-z_:][\w:]*\b(?!\s*\()", text)) - {"and", "or", "unless", "bool"}


def promtool_takes(folder, expression):
    """promtool understands it; the metrics in it."""
    path = os.path.join(folder, "expression.yml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"groups": [{"name": "a", "rules": [{"record": "b", "expr": expression}]}]}, file)
    promtool("check", "rules", path)
    return names(expression)


_TOKEN = re.compile(r'\s+|#[^\n]*|("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|[A-Za-z_][\w-]*|[{}\[\]=,])')


def hcl(text):
    """The part of HCL 2 that our job is written in: blocks with labels, and attributes of strings,
    numbers, words and lists. A block that comes twice under the same names is a list of them."""
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        check(match is not None, f"HCL: {text[at:at + 30]!r}")
        at = match.end()
        if match.group(1) is not None:
            tokens.append(match.group(1))
    tokens.reverse()  # so that the next one is the last

    def value():
        token = tokens.pop()
        if token == "[":
            items = []
            while tokens[-1] != "]":
                items.append(value())
                if tokens[-1] == ",":
                    tokens.pop()
            tokens.pop()
            return items
        check(token not in "{}],=", f"HCL: {token!r} is no value")
        return json.loads(token) if token[0] in '"-0123456789' or token in ("true", "false") else token

    def body(end):
        found = {}
        while tokens and tokens[-1] != "}":
            name = tokens.pop()
            if tokens[-1] == "=":
                tokens.pop()
                check(name not in found, f"HCL: {name} is there twice")
                found[name] = value()
                continue
            place, key = found, name
            while tokens[-1] != "{":
                place, key = place.setdefault(key, {}), json.loads(tokens.pop())
            tokens.pop()
            inner = body(True)
            if key in place:
                place[key] = [*(place[key] if isinstance(place[key], list) else [place[key]]), inner]
            else:
                place[key] = inner
        check(bool(tokens) == end, "HCL: braces")
        if end:
            tokens.pop()
        return found
    return body(False)

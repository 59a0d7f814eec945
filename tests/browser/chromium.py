# SPDX-License-Identifier: MIT
"""A headless Chromium, spoken to over two pipes: the DevTools protocol, and nothing to install but
the browser itself.

    with Chromium(folder) as chromium:
        page = chromium.page(width=1280, height=900)
        page.go("http://127.0.0.1:1234/")
        page.wait("document.title == 'x'")
        page.click("#button")
        page.shot("build/x.png")
"""
import base64
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time

from support import LIMIT, Failure, check

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-default-apps",
         "--no-default-browser-check", "--hide-scrollbars", "--mute-audio",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
# The browser wants its pipes as the descriptors 3 and 4.
PLACE = ("import fcntl, os, sys\n"
         "r, w = (fcntl.fcntl(int(a), fcntl.F_DUPFD, 10) for a in sys.argv[1:3])\n"
         "os.dup2(r, 3); os.dup2(w, 4)\n"
         "os.execvp(sys.argv[3], sys.argv[3:])\n")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}


def browser():
    """The path of the browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    def __init__(self, folder):
        to_browser, self._from_browser = os.pipe(), os.pipe()
        self._to = os.fdopen(to_browser[1], "wb", buffering=0)
        profile = os.path.join(folder, "profile")
        inherited = (to_browser[0], self._from_browser[1])
        self._log = open(os.path.join(folder, "chromium.log"), "wb")
        self._process = subprocess.Popen(
            [sys.executable, "-c", PLACE, *map(str, inherited), browser(), *FLAGS,
             "--user-data-dir=" + profile],
            pass_fds=inherited, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            start_new_session=True, env={**os.environ, "HOME": folder})
        for fd in inherited:
            os.close(fd)
        self._next, self._answers, self._lock = 0, {}, threading.Lock()
        self._pages = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._reader.join(LIMIT)
        self._to.close()
        self._log.close()
        return False

    def _read(self):
        with os.fdopen(self._from_browser[0], "rb") as stream:
            fcntl.fcntl(stream, fcntl.F_GETFD)
            rest = b""
            while True:
                data = stream.read1(65536)
                if not data:
                    break
                *messages, rest = (rest + data).split(b"\0")
                for message in messages:
                    self._take(json.loads(message))
        for answer in list(self._answers.values()):
            answer.put({"error": {"message": "the browser has ended"}})

    def _take(self, message):
        if "id" in message:
            self._answers.pop(message["id"], queue.Queue()).put(message)
        elif message.get("sessionId") in self._pages:
            self._pages[message["sessionId"]].event(message["method"], message["params"])

    def call(self, method, session=None, **params):
        answer = queue.Queue()
        with self._lock:
            self._next += 1
            self._answers[self._next] = answer
            message = {"id": self._next, "method": method, "params": params}
            if session:
                message["sessionId"] = session
            self._to.write(json.dumps(message).encode() + b"\0")
        try:
            result = answer.get(timeout=LIMIT)
        except queue.Empty:
            raise Failure(f"{method}: no answer from the browser") from None
        check("error" not in result, f"{method}: {result.get('error')}")
        return result["result"]

    def page(self, width=1280, height=900):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(domain + ".enable")
        page.size(width, height)
        return page


class Page:
    def __init__(self, chromium, session, target):
        self._chromium, self._session, self._target = chromium, session, target
        self.requests = []  # the addresses that it asked for
        self.complaints = []  # errors of scripts, of the console, of the policy

    def call(self, method, **params):
        return self._chromium.call(method, self._session, **params)

    def event(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("exception", {}).get(
                "description", str(params)))
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.complaints.append(str([a.get("description", a.get("value"))
                                        for a in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["source"] == "security":
            self.complaints.append(params["entry"]["text"])

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        """prefers_color_scheme="dark" and the like."""
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def scripts(self, on):
        self.call("Emulation.setScriptExecutionDisabled", value=not on)

    def go(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'")

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True)
        check("exceptionDetails" not in result,
              f"{expression}: {result.get('exceptionDetails', {}).get('exception')}")
        return result["result"].get("value")

    def wait(self, expression, limit=LIMIT):
        """Until it is true; answers what it is."""
        deadline = time.monotonic() + limit
        while True:
            value = self.js(expression)
            if value not in (None, False, 0, ""):  # an element comes as {}
                return value
            check(time.monotonic() < deadline, f"waited {limit:g} s for {expression}")
            time.sleep(0.02)  # the page has its own clock

    def wait_text(self, text, selector="body", limit=LIMIT):
        self.wait(f"document.querySelector({json.dumps(selector)})?.innerText"
                  f".includes({json.dumps(text)})", limit)

    def text(self, selector="body"):
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector):
        """With the mouse, in the middle of it."""
        x, y = self.wait(
            f"(e => {{ if (!e) return null; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            " const b = e.getBoundingClientRect(); return b.width ? [b.x + b.width / 2,"
            f" b.y + b.height / 2] : null }})(document.querySelector({json.dumps(selector)}))")
        self.mouse(x, y, press=True)

    def mouse(self, x, y, press=False):
        for kind in ["mouseMoved"] + ["mousePressed", "mouseReleased"] * press:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if press else
                      "none", clickCount=1 if press else 0)

    def key(self, name, shift=False):
        code = KEYS[name]
        text = {"Enter": "\r", " ": " "}.get(name)
        event = {"key": name, "code": "Space" if name == " " else name,
                 "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event,
                  **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def shot(self, path, whole=False):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(data["data"]))

    def close(self):
        self._chromium.call("Target.closeTarget", targetId=self._target)

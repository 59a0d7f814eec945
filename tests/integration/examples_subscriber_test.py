# SPDX-License-Identifier: MIT
"""examples/subscriber with a mosquitto of its own on a unix socket: one that comes late, restarts, or
is frozen; and upgrades while messages come."""
import contextlib
import getpass
import http.server
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
from admin import AdminServer  # noqa: E402
from endure import Server, eventually  # noqa: E402
from otlp import PLUGIN  # noqa: E402
from support import (LIMIT, SANITIZE, Process, Suite, check, equal, has_program,
                     program)  # noqa: E402

suite = Suite("examples_subscriber")
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Broker:
    """Restarted, it remembers nothing."""

    def __init__(self, folder, started=True):
        self.path = os.path.join(folder, "broker.sock")
        self.config = os.path.join(folder, "broker.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"listener 0 {self.path}\nallow_anonymous true\nmax_queued_messages 0\n"
                       f"log_dest none\nuser {getpass.getuser()}\n")
        self.process = None
        if started:
            self.start()

    def start(self):
        self.process = subprocess.Popen([MOSQUITTO, "-c", self.config],
                                        stderr=subprocess.DEVNULL)
        eventually(self.answers, "a broker")

    def answers(self):
        with contextlib.suppress(OSError), self.publisher():
            return True
        return False

    def publisher(self):
        return Publisher(self.path)

    def signal(self, signo):
        self.process.send_signal(signo)

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Publisher:
    """As much of MQTT 3.1.1 as publishing with QoS 1 needs."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.count = 0
        self.ask(0x10, b"\0\4MQTT\4\2\0\0\0\0", b"\x20\2\0\0")

    def ask(self, kind, body, answer):
        self.socket.sendall(bytes([kind, len(body)]) + body)
        got = b""
        while len(got) < len(answer):
            more = self.socket.recv(len(answer) - len(got))
            check(more, "the broker hangs up")
            got += more
        equal(got, answer, "what the broker answers")

    def publish(self, text):
        """Returns when the broker has it."""
        self.count += 1
        mid = struct.pack("!H", self.count)
        self.ask(0x32, b"\0\4news" + mid + text.encode(), b"\x40\2" + mid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def command(broker, *flags):
    return [program("subscriber"), f"--broker={broker.path}", "--port=0", "--keepalive=5s", *flags]


def subscriber(folder, broker, env=None):
    return Process(command(broker), folder, {"SRUN_LOG_LEVEL": "debug", **(env or {})})


def healthy(process, since=0):
    process.wait_for("msg=subscribed", since=since)
    process.wait_for("msg=health .*scope=subscriber status=healthy", since=since)


def unhealthy(process, note, since=0):
    process.wait_for(f"msg=health .*scope=subscriber status=unhealthy .*note=.*{note}", since=since)


def ends(process):
    process.signal(signal.SIGTERM)
    equal(process.finish(), 0, "exit code")


def test(function):
    """A test, where there are a broker and its library."""
    if MOSQUITTO is not None and has_program("subscriber"):
        suite.test(function)
    return function


class Spans(http.server.ThreadingHTTPServer):
    """Counts the spans of messages that it is sent."""

    daemon_threads = True
    count = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.count += body.count(b"process message")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def environment(self):
        return {"SRUN_OTEL_TRACE_EXPORTER": "http", "no_proxy": "127.0.0.1",
                "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT": f"http://127.0.0.1:{self.server_port}"}


@test
def counts_messages_and_makes_a_span_of_each(folder):
    with Broker(folder) as broker, Spans() as spans:
        with AdminServer(command(broker), folder, spans.environment()) as client:
            client.wait_for("msg=subscribed")
            with broker.publisher() as publisher:
                for number in range(20):
                    publisher.publish(f"message {number}")
            client.wait_for('msg=message .*trace_id=.* topic=news payload="message 19"')
            text = client.get("/metrics").body.decode()
            count = re.search(r"^mqtt_messages_total\{[^}]*\} (\d+)", text, re.MULTILINE)
            equal(count and count.group(1), "20", "the metric")
            equal(client.stop(), 0, "exit code")
        spans.shutdown()
        if os.path.exists(PLUGIN):
            equal(spans.count, 20, "spans")


@test
def waits_for_a_broker_and_comes_back_to_it(folder):
    with Broker(folder, started=False) as broker, subscriber(folder, broker) as client:
        unhealthy(client, "")
        client.wait_for('msg="no connection"')
        for _ in range(2):
            since = client.mark_now()
            broker.start()
            healthy(client, since)
            with broker.publisher() as publisher:
                publisher.publish("good day")
            client.wait_for('msg=message .*payload="good day"', since=since)
            broker.end()
            unhealthy(client, "", since)
        ends(client)


@test
def waits_longer_each_time_and_burns_nothing(folder):
    with Broker(folder, started=False) as broker, subscriber(folder, broker) as client:
        client.wait_for(r'msg="no connection" .*again_in=\d\.\d')
        waits = [record["again_in"] for record in client.records
                 if record.get("msg") == "no connection"]
        check(5 <= len(waits) <= 8, f"50 ms doubled until there are seconds: {waits}")
        with open(f"/proc/{client.pid}/stat", encoding="ascii") as file:
            ticks = sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
        check(ticks < os.sysconf("SC_CLK_TCK") * (5 if SANITIZE else 1), f"{ticks} ticks")
        ends(client)


@test
def stops_while_the_broker_is_frozen(folder):
    with Broker(folder) as broker, subscriber(folder, broker, {"SRUN_STOP_TIMEOUT": "10s"}) as client:
        healthy(client)
        broker.signal(signal.SIGSTOP)
        ends(client)


@test
def stops_while_a_frozen_broker_does_not_answer_the_first_time(folder):
    with Broker(folder) as broker:
        broker.signal(signal.SIGSTOP)
        with subscriber(folder, broker) as client:
            client.wait_for("msg=started ")
            ends(client)


@test
def notices_that_the_broker_is_frozen_and_comes_back(folder):
    with Broker(folder) as broker, subscriber(folder, broker) as client:
        healthy(client)
        broker.signal(signal.SIGSTOP)
        since = client.mark_now()
        unhealthy(client, "", since)
        since = client.mark_now()
        broker.signal(signal.SIGCONT)
        healthy(client, since)
        with broker.publisher() as publisher:
            publisher.publish("awake")
        client.wait_for("payload=awake", since=since)
        ends(client)


@test
def an_upgrade_loses_no_message(folder):
    upgrades = 3 if SANITIZE else 8
    with Broker(folder) as broker:
        with Server(command(broker), folder, probation="0s") as client:
            client.wait_for("msg=subscribed")
            sent, done = [], threading.Event()

            def publish_on():
                with broker.publisher() as publisher:
                    while not done.wait(0.005):  # not as fast as it can: all are in the log
                        publisher.publish(f"n{len(sent)}")
                        sent.append(f"n{len(sent)}")
            publishing = threading.Thread(target=publish_on)
            publishing.start()
            for generation in range(2, upgrades + 2):
                since = client.mark_now()
                client.upgrade(ended=True)
                client.wait_for(f"msg=message generation={generation} ", since=since)
            done.set()
            publishing.join(LIMIT)

            def missing():
                return set(sent) - {record["payload"] for record in client.records
                                    if record.get("msg") == "message"}
            eventually(lambda: not missing(), "the last messages")
            check(len(sent) > upgrades, "too few messages to tell")
            equal(client.stop(), 0, "exit code")


@test
def a_session_outlives_the_process(folder):
    with Broker(folder) as broker:
        with subscriber(folder, broker) as client:
            healthy(client)
            ends(client)
        with broker.publisher() as publisher:
            publisher.publish("in between")
        with subscriber(folder, broker) as client:
            client.wait_for('payload="in between"')
            ends(client)


suite.main(at_once=8)

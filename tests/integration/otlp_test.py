#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exporters against receivers that others made: what they decode, what they refuse, when to try
again."""
import email.utils
import os
import subprocess
import sys
import time

from otlp import PATIENT_MS, PLUGIN, SEND, Peers, Sender
from support import BUILD_DIR, LIMIT, Suite, check, equal, program

SUITE = Suite("otlp")
PEERS = Peers()
ITEMS = 512


def url(peer):
    return f"http://127.0.0.1:{peer.port}"


def expect_all(result, count, what):
    equal([result[name] for name in ("accepted", "rejected", "lost", "code", "attempts")],
          [count, 0, 0, 0, 1], f"{what}: {result}")


@SUITE.test
def every_signal_is_understood_by_opentelemetry_s_own_decoder(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    for signal in ("traces", "metrics", "logs"):
        for gzip in (0, 1):
            with Sender("http", url(peer), signal, gzip=gzip) as sender:
                expect_all(sender.export(ITEMS), ITEMS, signal)
                got = peer.got(sender.key)
                equal(len(got), 1, "requests")
                told = got[0]
                equal(told.get("error"), None, signal)
                equal((told["items"], told["resources"]), (ITEMS, 1), signal)
                equal(sorted(told["scopes"]), ["one", "three", "two"], signal)
                equal(told["url"], f"/v1/{signal}", "url")
                equal(told["headers"]["content-type"], "application/x-protobuf", "type")
                equal(told["headers"].get("content-encoding"), "gzip" if gzip else None, "encoding")
                check(told["headers"]["user-agent"].startswith("OTel-OTLP-Exporter-C/0."), "agent")
                equal(told["resource"], {"service.name": ["stringValue", "otlp-test"],
                                         "bad": ["stringValue", "caf\ufffd"],
                                         "process.pid": ["intValue", "42"]}, "resource")
                equal(told["attributes"]["error"], ["stringValue", "No such file or directory"], "code")
                equal(told["attributes"]["took"], ["intValue", "1500000"], "duration")
                equal(told["attributes"]["raw"], ["bytesValue", "fffe"], "bytes")
                equal(told["attributes"]["bad"], ["stringValue", "a\ufffdb"], "text")
                equal(told["attributes"]["ratio"], ["doubleValue", "0.25"], "double")
                equal(told["attributes"]["cached"], ["boolValue", "true"], "bool")
                if signal == "metrics":
                    equal(sorted(told["kinds"]), ["exponentialHistogram", "gauge", "histogram", "sum"], "kinds")


@SUITE.test
def every_grpc_server_takes_every_signal(folder):
    for name, peer in PEERS.grpc():
        for signal in ("traces", "metrics", "logs"):
            for gzip in (0, 1):
                with Sender("grpc", url(peer), signal, gzip=gzip) as sender:
                    for _ in range(3):
                        expect_all(sender.export(ITEMS), ITEMS, f"{name} {signal}")
                    got = peer.got(sender.key, 3)
                    equal([line["items"] for line in got], [ITEMS] * 3, f"{name} {signal}")
                    check(0 < got[0]["deadline"] <= PATIENT_MS, f"{name}: deadline {got[0]['deadline']}")
                    if name == "node-grpc":
                        equal(got[0].get("error"), None, signal)


@SUITE.test
def no_span_is_lost_and_none_comes_twice(folder):
    peers = [("http", PEERS.get("node-http"))] + [("grpc", peer) for _, peer in PEERS.grpc()]
    for protocol, peer in peers:
        if peer is None:
            continue
        with Sender(protocol, url(peer), gzip=1) as sender:
            for _ in range(20):
                expect_all(sender.export(1000), 1000, protocol)
            ids = [one for line in peer.got(sender.key, 20) for one in line["ids"]]
            equal((len(ids), len(set(ids))), (20000, 20000), "spans and different ones")


@SUITE.test
def a_body_of_eight_megabytes_gets_through(folder):
    peers = [("http", PEERS.get("node-http"))] + [("grpc", peer) for _, peer in PEERS.grpc()]
    for protocol, peer in peers:
        if peer is not None:  # who reads all of it, and works for seconds on an idle machine
            with Sender(protocol, url(peer), timeout_ms=3 * PATIENT_MS) as sender:
                sender.begin(20000, 3 * PATIENT_MS)
                expect_all(sender.result(3 * LIMIT), 20000, protocol)


def run_matrix(senders, expected):
    """Exports by all at once, and compares (accepted, rejected, lost, attempts) by key."""
    for sender in senders.values():
        sender.begin(1)
    told = {name: sender.result() for name, sender in senders.items()}
    for sender in senders.values():
        sender.end()
    wrong = {name: (told[name], want) for name, want in expected.items()
             if (told[name]["accepted"], told[name]["rejected"], told[name]["lost"],
                 told[name]["attempts"]) != want}
    equal(wrong, {}, "answers")
    return told


AGAIN, REFUSED = (1, 0, 0, 2), (0, 1, 0, 1)


@SUITE.test
def http_statuses_are_tried_again_as_the_specification_says(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    date = email.utils.formatdate(time.time() + 2, usegmt=True).replace(" ", "_")
    for hint in ("", " after=1", f" after={date}"):
        senders = {status: Sender("http", url(peer), do=f"status={status} times=1{hint}")
                   for status in (400, 401, 403, 404, 408, 413, 429, 500, 501, 502, 503, 504)}
        run_matrix(senders, {status: AGAIN if status in (429, 502, 503, 504) else REFUSED
                             for status in senders})


@SUITE.test
def grpc_codes_are_tried_again_as_the_specification_says(folder):
    for name, peer in PEERS.grpc():
        for hint in ("", " retry_ms=300"):
            if hint and name == "go":
                continue  # it makes no details
            senders = {code: Sender("grpc", url(peer), do=f"status={code} times=1{hint}")
                       for code in range(1, 17)}
            again = {1, 4, 10, 11, 14, 15} | ({8} if hint else set())
            told = run_matrix(senders, {code: AGAIN if code in again else REFUSED for code in senders})
            check("PERMISSION_DENIED: as you wish, café" in told[7]["text"], f"{name}: {told[7]}")


@SUITE.test
def retry_after_is_obeyed_in_seconds_and_as_a_date(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    until = int(time.time()) + 3
    date = email.utils.formatdate(until, usegmt=True).replace(" ", "_")
    senders = [Sender("http", url(peer), do=f"status=503 times=1 after={after}") for after in ("2", date)]
    for sender in senders:
        sender.begin(1)
    for sender in senders:
        equal(sender.result()["attempts"], 2, "attempts")
        sender.end()
    (first, second), (_, dated) = [[line["time"] / 1000 for line in peer.got(sender.key, 2)] for sender in senders]
    check(second - first >= 1.9, f"waited {second - first}")
    check(dated >= until - 0.1, f"{until - dated} too early")


@SUITE.test
def a_pause_beyond_the_deadline_is_no_reason_to_wait(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    with Sender("http", url(peer), do="status=503 after=300 times=1") as sender:
        first = sender.export(5)
        second = sender.export(5)  # the receiver wants to be left alone
        equal((first["lost"], first["attempts"], second["lost"], second["attempts"]), (5, 1, 5, 0), "lost")
        check(first["took_ms"] < 20000 and second["took_ms"] < 20000, f"{first} {second}")


@SUITE.test
def partial_success_is_told_and_never_sent_again(folder):
    peers = [("http", PEERS.get("node-http"))] + [("grpc", peer) for _, peer in PEERS.grpc()]
    for protocol, peer in peers:
        if peer is None:
            continue
        with Sender(protocol, url(peer), do="partial=3") as sender:
            result = sender.export(10)
            equal((result["accepted"], result["rejected"], result["attempts"]), (7, 3, 1), protocol)
            equal(result["text"], "rejected in part: too old", protocol)
            equal(len(peer.got(sender.key)), 1, "requests")


@SUITE.test
def a_reply_of_five_megabytes_is_refused_and_not_asked_for_again(folder):
    peers = [("http", PEERS.get("node-http"))] + [("grpc", peer) for _, peer in PEERS.grpc()]
    for protocol, peer in peers:
        if peer is None:
            continue
        for size, lost in ((4 << 20, 0), (5 << 20, 10)):
            with Sender(protocol, url(peer), do=f"bytes={size}") as sender:
                result = sender.export(10)
                equal((result["lost"], result["attempts"]), (lost, 1), f"{protocol} {size}: {result}")


@SUITE.test
def what_is_too_big_goes_in_parts(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    with Sender("http", url(peer), request_max=50000) as sender:
        result = sender.export(ITEMS)
        got = peer.got(sender.key, result["attempts"])
        equal((result["accepted"], result["lost"]), (ITEMS, 0), "result")
        equal(sum(line["items"] for line in got), ITEMS, "items")
        check(max(line["size"] for line in got) <= 50000, f"sizes {[line['size'] for line in got]}")
        check(4 < len(got) < 20, f"{len(got)} requests")
    with Sender("http", url(peer), request_max=100) as sender:
        result = sender.export(3)
        equal((result["lost"], result["attempts"]), (3, 0), "one item that is too big")


@SUITE.test
def connections_are_kept(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    with Sender("http", url(peer)) as sender:
        for _ in range(30):
            expect_all(sender.export(2), 2, "http")
        equal(len({line["peer"] for line in peer.got(sender.key, 30)}), 1, "connections")


@SUITE.test
def a_broken_connection_is_another_attempt(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    senders = {how: Sender("http", url(peer), do=f"{how}=1 times=1") for how in ("reset", "close")}
    run_matrix(senders, {how: AGAIN for how in senders})


@SUITE.test
def redirects_are_not_followed(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    with Sender("http", url(peer), do=f"status=307 location={url(peer)}/v1/traces") as sender:
        result = sender.export(1)
        equal((result["rejected"], result["attempts"]), (1, 1), "result")
        equal(len(peer.got(sender.key)), 1, "requests")


@SUITE.test
def a_stream_that_is_reset_is_judged_by_its_code(folder):
    peer = PEERS.get("node-rude")
    if peer is None:
        return
    # NO_ERROR PROTOCOL INTERNAL FLOW REFUSED CANCEL ENHANCE_YOUR_CALM INADEQUATE_SECURITY
    senders = {code: Sender("grpc", url(peer), do=f"rst={code} times=1") for code in (1, 2, 3, 7, 8, 11, 12)}
    for code, sender in senders.items():
        sender.begin(1)
    for code, sender in senders.items():
        result = sender.result()
        requests = len(peer.got(sender.key, result["attempts"]))
        equal((result["accepted"], requests), (1, 2) if code in (7, 8) else (0, 1), f"{code}: {result}")
        sender.end()


@SUITE.test
def a_goaway_costs_a_connection_and_no_span(folder):
    peer = PEERS.get("node-rude")
    if peer is None:
        return
    with Sender("grpc", url(peer), do="goaway=1 times=1") as sender:
        result = sender.export(3)
        equal((result["accepted"], result["lost"]), (3, 0), f"{result}")


@SUITE.test
def a_grpc_reply_without_a_status_is_judged_by_http(folder):
    peer = PEERS.get("node-rude")
    if peer is None:
        return
    cases = {"notrailers=1": REFUSED, "http=404": REFUSED, "http=503": AGAIN, "http=200": REFUSED}
    run_matrix({do: Sender("grpc", url(peer), do=do + " times=1") for do in cases}, cases)


@SUITE.test
def a_grpc_answer_that_comes_before_the_request_was_read_counts(folder):
    peer = PEERS.get("node-rude")
    if peer is None:
        return
    for do, wanted in (("early=1", (1, 0, 0)), ("early=1 status=3", (0, 1, 0))):
        with Sender("grpc", url(peer), do=do) as sender:
            # In one read with its answer, libcurl tells of a reset alone: then it is asked again.
            result = sender.export(1)
            equal((result["accepted"], result["rejected"], result["lost"]), wanted, f"{do}: {result}")


@SUITE.test
def per_signal_urls_are_used_as_they_are(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    for endpoint, as_is, wanted in ((url(peer), 0, "/v1/traces"), (url(peer) + "/a/", 0, "/a/v1/traces"),
                                    (url(peer) + "/x/traces", 1, "/x/traces"), (url(peer), 1, "/")):
        with Sender("http", endpoint, as_is=as_is) as sender:
            sender.export(1)
            equal(peer.got(sender.key)[0]["url"], wanted, endpoint)
    with Sender("http", f"127.0.0.1:{peer.port}", insecure=1) as sender:
        expect_all(sender.export(1), 1, "host:port")


@SUITE.test
def a_forked_child_sends_nothing(folder):
    peer = PEERS.get("node-http")
    if peer is None:
        return
    with Sender("http", url(peer)) as sender:
        expect_all(sender.export(1), 1, "before")
        sender.say("fork")
        sender._count += 1
        equal((sender.result()["lost"], sender.result()["attempts"]), (1, 0), "in the child")
        expect_all(sender.export(1), 1, "afterwards")
        equal(len(peer.got(sender.key, 2)), 2, "requests")


@SUITE.test
def what_cannot_work_is_an_error_of_the_start(folder):
    for words, text in ((["ftp://x"], "http or https"), (["http://x y"], "blanks"), (["x:0"], "HOST:PORT"),
                        (["http://127.0.0.1:1", "@te=x"], "protocol itself"),
                        (["http://127.0.0.1:1", "@a b=x"], "name"),
                        (["http://127.0.0.1:1", "@a=x\r\ny: z"], "control"),
                        (["https://127.0.0.1:1", "ca=/nowhere.pem"], "No such file"),
                        (["https://127.0.0.1:1", "cert=/etc/passwd"], "needs its key"),
                        (["http://user:secret@127.0.0.1:1", "@te=x"], "protocol itself"),
                        (["http://127.0.0.1:1", "plugin=build/srun/x.so"], "absolute"),
                        (["http://127.0.0.1:1", f"plugin={folder}/none.so"], "none.so")):
        done = subprocess.run([SEND, "traces", "http", *words], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, env={**os.environ, "OTLP_PLUGIN": PLUGIN})
        check(done.returncode != 0 and text in done.stderr, f"{words}: {done.stderr}")
        check("secret" not in done.stderr, "a password was printed")


@SUITE.test
def programs_without_an_exporter_map_no_curl(folder):
    for path in (program("hello"), os.path.join(BUILD_DIR, "libsrun.so")):
        linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        check("curl" not in linked and "ssl" not in linked and "libz" not in linked, linked)


if __name__ == "__main__":
    try:
        SUITE.main(at_once=3)
    finally:
        PEERS.close()
        sys.stdout.flush()

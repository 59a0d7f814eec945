#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A receiver of OTLP/gRPC made of gRPC's C core. As node.js: {"port": N}, then a line per request;
what to answer stands in x-do. It looks at the envelope only: items per scope, span ids of spans.

    core.py [CERT KEY [CLIENT_CA]]
"""
import concurrent.futures
import json
import sys
import threading
import time

import grpc

SEEN, LOCK = {}, threading.Lock()


def fields(data):
    """The fields of a message: (number, value or bytes)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = varint()
        kind, number = key & 7, key >> 3
        if kind == 0:
            yield number, varint()
            continue
        size = {1: 8, 5: 4}[kind] if kind != 2 else varint()
        assert at + size <= len(data), "cut short"
        yield number, data[at:at + size]
        at += size


def items_of(data):
    return [item for number, resource in fields(data) if number == 1
            for part, scope in fields(resource) if part == 2
            for which, item in fields(scope) if which == 2]


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def details(code, retry_ms):
    duration = b"\x08" + varint(retry_ms // 1000) + b"\x10" + varint(retry_ms % 1000 * 1000000)
    info = field(1, b"type.googleapis.com/google.rpc.RetryInfo") + field(2, field(1, duration))
    return b"\x08" + varint(code) + field(3, info)


def wishes(text, key):
    wish = dict(word.split("=") for word in text.split())
    with LOCK:
        SEEN[key] = number = SEEN.get(key, 0) + 1
    return {} if number > int(wish.get("times", number)) else wish


def say(what):
    with LOCK:
        print(json.dumps(what), flush=True)


def export(request, context):
    headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    items = items_of(request)
    say({"items": len(items), "ids": [dict(fields(item)).get(2, b"").hex() for item in items]
         if "Trace" in context.path else [], "url": context.path, "headers": headers,
         "size": len(request), "key": headers.get("x-key"), "time": int(time.time() * 1000),
         "peer": int(context.peer().rsplit(":", 1)[1]),
         "deadline": int((context.time_remaining() or 0) * 1000)})
    wish = wishes(headers.get("x-do", ""), headers.get("x-key"))
    if "hang" in wish:
        gone = threading.Event()
        if context.add_callback(gone.set):
            gone.wait()
    code = int(wish.get("status", "0"))
    if code != 0:
        if "retry_ms" in wish:
            context.set_trailing_metadata(
                (("grpc-status-details-bin", details(code, int(wish["retry_ms"]))),))
        context.set_details("as you wish, café")
        context.set_code(next(known for known in grpc.StatusCode if known.value[0] == code))
        return b""
    if "bytes" in wish:
        return b" " * int(wish["bytes"])
    partial = b"\x08" + varint(int(wish.get("partial", 0))) + field(2, b"too old")
    return field(1, partial) if "partial" in wish else b""


class Everything(grpc.GenericRpcHandler):
    def service(self, call):
        def method(request, context):
            context.path = call.method
            return export(request, context)
        return grpc.unary_unary_rpc_method_handler(method)


def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8),
                         options=[("grpc.max_receive_message_length", 80 << 20),
                                  ("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((Everything(),))
    files = []
    for name in sys.argv[1:]:
        with open(name, "rb") as file:
            files.append(file.read())
    if files:
        credentials = grpc.ssl_server_credentials(
            [(files[1], files[0])], root_certificates=files[2] if len(files) > 2 else None,
            require_client_auth=len(files) > 2)
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    say({"port": port})
    sys.stdin.read()  # until whoever started us has gone
    server.stop(None)


main()

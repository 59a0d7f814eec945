// SPDX-License-Identifier: MIT
//
// Receivers made of the OpenTelemetry project's own decoder for JavaScript: OTLP/HTTP on Node's
// http(s), OTLP/gRPC on @grpc/grpc-js; and a server of HTTP/2 that breaks the rules.
//
//     node node.js MODULES http|grpc|rude [CERT KEY [CLIENT_CA]]
//
// Prints {"port": N}, then a JSON line for each request. What to answer, the request says in the
// field x-do: "status=503 after=1 times=2 partial=3 hang=1"; times: only to so many with this x-key.
'use strict';
const fs = require('fs');
const path = require('path');
const zlib = require('zlib');
const [modules, protocol, cert, key, clientCa] = process.argv.slice(2);
const root = require(path.join(modules, '@opentelemetry/otlp-transformer/build/src/generated/root.js'));
const collector = root.opentelemetry.proto.collector;
const signals = {
  traces: [collector.trace.v1.ExportTraceServiceRequest, collector.trace.v1.ExportTraceServiceResponse,
    'rejectedSpans', 'resourceSpans', 'scopeSpans', 'spans'],
  metrics: [collector.metrics.v1.ExportMetricsServiceRequest, collector.metrics.v1.ExportMetricsServiceResponse,
    'rejectedDataPoints', 'resourceMetrics', 'scopeMetrics', 'metrics'],
  logs: [collector.logs.v1.ExportLogsServiceRequest, collector.logs.v1.ExportLogsServiceResponse,
    'rejectedLogRecords', 'resourceLogs', 'scopeLogs', 'logRecords'],
};
const seen = new Map();

function say(what) {
  process.stdout.write(JSON.stringify(what) + '\n');
}

function wishes(text, id) {
  const wish = Object.fromEntries((text || '').split(' ').filter(Boolean).map((word) => word.split('=')));
  const number = (seen.get(id) || 0) + 1;
  seen.set(id, number);
  return wish.times !== undefined && number > Number(wish.times) ? {} : wish;
}

function attributes(list) {
  const all = {};
  for (const { key: name, value } of list || []) {
    const kind = Object.keys(value || {})[0];
    all[name] = kind === undefined ? null : [kind, kind === 'bytesValue' ? Buffer.from(value[kind]).toString('hex') : String(value[kind])];
  }
  return all;
}

// What a log record says, for the tests that read it.
function record(scope, item) {
  return { scope, body: item.body?.stringValue, severity: [item.severityNumber, item.severityText], event: item.eventName || '',
    trace: Buffer.from(item.traceId || []).toString('hex'), span: Buffer.from(item.spanId || []).toString('hex'),
    flags: item.flags || 0, time: String(item.timeUnixNano), attributes: attributes(item.attributes) };
}

function exemplars(item) {
  const data = item.gauge || item.sum || item.histogram || item.exponentialHistogram || { dataPoints: [] };
  return data.dataPoints.flatMap((point) => point.exemplars || []).map((one) => ({
    metric: item.name, trace: Buffer.from(one.traceId).toString('hex'), span: Buffer.from(one.spanId).toString('hex'),
    value: Number(one.asInt ?? one.asDouble), kind: one.value, attributes: attributes(one.filteredAttributes) }));
}

function decode(signal, body) {
  const [Request, , , resources, scopes, items] = signals[signal];
  const request = Request.decode(body);
  const all = request[resources].flatMap((resource) => resource[scopes].flatMap((scope) => scope[items]));
  const first = all[0] || {};
  return {
    items: all.length,
    ids: all.map((item) => Buffer.from(item.spanId || []).toString('hex')),
    resources: request[resources].length,
    resource: attributes(request[resources][0].resource.attributes),
    scopes: request[resources].flatMap((resource) => resource[scopes].map((scope) => (scope.scope || {}).name || '')),
    kinds: [...new Set(all.flatMap((item) => ['gauge', 'sum', 'histogram', 'exponentialHistogram'].filter((kind) => item[kind])))],
    attributes: attributes(first.attributes || (first.gauge || first.sum || first.histogram || first.exponentialHistogram
      || { dataPoints: [{}] }).dataPoints[0].attributes),
    records: signal === 'logs' ? request[resources].flatMap((resource) => resource[scopes].flatMap((scope) =>
      scope[items].map((item) => record((scope.scope || {}).name || '', item)))) : undefined,
    exemplars: all.flatMap(exemplars),
    again: Buffer.from(Request.encode(request).finish()).equals(body), // the same bytes: all was understood
  };
}

function answer(signal, wish) {
  const [, Response, rejected] = signals[signal];
  if (wish.bytes) return Buffer.alloc(Number(wish.bytes), 0x20);
  if (!wish.partial) return Buffer.alloc(0);
  return Buffer.from(Response.encode({ partialSuccess: { [rejected]: Number(wish.partial), errorMessage: 'too old' } }).finish());
}

function onHttp(request, response) {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const sent = Buffer.concat(parts);
    const signal = request.url.split('/').pop() || 'traces';
    const body = request.headers['content-encoding'] === 'gzip' ? zlib.gunzipSync(sent) : sent;
    let told;
    try { told = decode(signal, body); } catch (error) { told = { error: String(error) }; }
    const wish = wishes(request.headers['x-do'], request.headers['x-key']);
    say({ ...told, url: request.url, method: request.method, headers: request.headers, peer: request.socket.remotePort,
      size: body.length, key: request.headers['x-key'], time: Date.now(), client: (request.socket.getPeerCertificate?.() || {}).subject?.CN });
    if (wish.hang) return;
    if (wish.reset) { request.socket.resetAndDestroy(); return; }
    if (wish.close) { request.socket.destroy(); return; }
    const fields = { 'content-type': 'application/x-protobuf' };
    if (wish.after) fields['retry-after'] = wish.after.replace(/_/g, ' ');
    if (wish.location) fields.location = wish.location;
    response.writeHead(Number(wish.status || 200), fields);
    response.end(answer(signal, wish));
  });
}

function varint(value) {
  const bytes = [];
  for (let left = BigInt(value); ; left >>= 7n) {
    if (left < 128n) return Buffer.from([...bytes, Number(left)]);
    bytes.push(Number(left & 127n) | 128);
  }
}

function field(number, body) {
  return Buffer.concat([varint(number << 3 | 2), varint(body.length), body]);
}

function details(code, retryMs) {
  const seconds = Math.floor(retryMs / 1000);
  const duration = Buffer.concat([Buffer.from([8]), varint(seconds), Buffer.from([16]), varint((retryMs - seconds * 1000) * 1000000)]);
  const any = Buffer.concat([field(1, Buffer.from('type.googleapis.com/google.rpc.RetryInfo')), field(2, field(1, duration))]);
  return Buffer.concat([Buffer.from([8]), varint(code), field(3, any)]);
}

function serveGrpc() {
  const grpc = require(path.join(modules, '@grpc/grpc-js'));
  const server = new grpc.Server({ 'grpc.max_receive_message_length': 80 << 20, 'grpc.max_send_message_length': -1 });
  const names = { traces: 'trace.v1.TraceService', metrics: 'metrics.v1.MetricsService', logs: 'logs.v1.LogsService' };
  const raw = (value) => value;
  for (const [signal, name] of Object.entries(names)) {
    const service = { Export: { path: `/opentelemetry.proto.collector.${name}/Export`, requestStream: false, responseStream: false,
      requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw } };
    server.addService(service, { Export: (call, done) => {
      const headers = call.metadata.getMap();
      let told;
      try { told = decode(signal, call.request); } catch (error) { told = { error: String(error) }; }
      const wish = wishes(headers['x-do'], headers['x-key']);
      say({ ...told, url: call.getPath?.() || '', headers, peer: Number(call.getPeer().split(':').pop()), size: call.request.length,
        key: headers['x-key'], time: Date.now(), deadline: Number(call.getDeadline()) - Date.now(), signal });
      if (wish.hang) return;
      if (wish.status && wish.status !== '0') {
        const metadata = new grpc.Metadata();
        if (wish.retry_ms) metadata.set('grpc-status-details-bin', details(Number(wish.status), Number(wish.retry_ms)));
        done({ code: Number(wish.status), details: 'as you wish, caf\u00e9', metadata });
        return;
      }
      done(null, answer(signal, wish));
    } });
  }
  const credentials = cert
    ? grpc.ServerCredentials.createSsl(clientCa ? fs.readFileSync(clientCa) : null,
      [{ cert_chain: fs.readFileSync(cert), private_key: fs.readFileSync(key) }], Boolean(clientCa))
    : grpc.ServerCredentials.createInsecure();
  server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
    if (error) throw error;
    say({ port });
  });
}

function serveHttp() {
  const tls = cert && { cert: fs.readFileSync(cert), key: fs.readFileSync(key),
    ...(clientCa && { ca: fs.readFileSync(clientCa), requestCert: true, rejectUnauthorized: true }) };
  const server = cert ? require('https').createServer(tls, onHttp) : require('http').createServer(onHttp);
  server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
}

// Streams that end as gRPC's never should: rst=CODE, goaway=1, notrailers=1, early=1.
function serveRude() {
  const http2 = require('http2');
  const server = http2.createServer();
  server.on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const act = () => {
      const wish = wishes(headers['x-do'], headers['x-key']);
      say({ key: headers['x-key'], headers, peer: stream.session.socket.remotePort, time: Date.now() });
      if (wish.rst !== undefined) { stream.close(Number(wish.rst)); return; }
      if (wish.goaway) { stream.session.goaway(Number(wish.code || 0), 0); stream.session.destroy(); return; }
      const status = { 'grpc-status': wish.status || '0', 'grpc-message': 'as%20you%20wish' };
      if (wish.early) { stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true }); return; }
      if (wish.http) { stream.respond({ ':status': Number(wish.http) }); stream.end('<html>no</html>'); return; }
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: !wish.notrailers });
      stream.on('wantTrailers', () => stream.sendTrailers(status));
      stream.end(Buffer.from([0, 0, 0, 0, 0]));
    };
    if ((headers['x-do'] || '').includes('early')) act(); // before the request has come
    else { stream.resume(); stream.on('end', act); }
  });
  server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
}

process.stdin.on('end', () => process.exit(0)).resume(); // whoever started us has gone
({ http: serveHttp, grpc: serveGrpc, rude: serveRude })[protocol]();

// Checks an echo server with npm ws:
// node node_client.cjs URL [PARAMETERS] [--ca FILE] [--cert FILE --key FILE] [--tls 1.2|1.3]
//
// PARAMETERS of permessage-deflate to ask for, as in
// server_no_context_takeover,client_max_window_bits=10; without them, what the library asks for.
'use strict';

const crypto = require('node:crypto');
const { parseArgs } = require('node:util');
const WebSocket = require('ws');
const tls = require('./tls.cjs');
const { version } = require('ws/package.json');

const LIMIT = 30_000;
const UNICODE = 'Grüße, κόσμε, 世界, 🙂, e\u0301, \u0000, \u{10ffff}';

const NAMES = {
  server_no_context_takeover: 'serverNoContextTakeover',
  client_no_context_takeover: 'clientNoContextTakeover',
  server_max_window_bits: 'serverMaxWindowBits',
  client_max_window_bits: 'clientMaxWindowBits',
};

function offer(params) {
  const entries = params.split(',').filter(Boolean).map((param) => param.split('='));
  if (entries.length === 0) return true;
  return Object.fromEntries(entries.map(([name, value]) => [NAMES[name], value ? Number(value) : true]));
}

const { values, positionals } = parseArgs({ options: tls.OPTIONS, allowPositionals: true });
const perMessageDeflate = offer(positionals[1] ?? '');
const secure = tls.settings(values);

function opened(url, options = {}) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { handshakeTimeout: LIMIT, perMessageDeflate, ...secure, ...options });
    ws.messages = [];
    ws.waiting = [];
    ws.on('message', (data, isBinary) => {
      const message = isBinary ? data : data.toString();
      const waiter = ws.waiting.shift();
      if (waiter) waiter.resolve(message);
      else ws.messages.push(message);
    });
    ws.closed = new Promise((done) => {
      ws.on('close', (code, reason) => {
        for (const waiter of ws.waiting) waiter.reject(new Error(`closed with ${code}`));
        ws.waiting = [];
        done({ code, reason: reason.toString() });
      });
    });
    ws.once('open', () => resolve(ws));
    ws.on('error', reject);
  });
}

function next(ws) {
  if (ws.messages.length > 0) return Promise.resolve(ws.messages.shift());
  return new Promise((resolve, reject) => ws.waiting.push({ resolve, reject }));
}

function same(reply, message) {
  if (typeof message === 'string') return reply === message;
  return Buffer.isBuffer(reply) && reply.equals(message);
}

async function expectEcho(ws, message) {
  if (!same(await next(ws), message)) throw new Error('the echo differs');
}

async function shut(ws, code = 1000, reason = '') {
  ws.close(code, reason);
  const closed = await ws.closed;
  if (closed.code !== code) throw new Error(`closed with ${closed.code}`);
}

async function echo(url, message, options) {
  const ws = await opened(url, options);
  ws.send(message);
  await expectEcho(ws, message);
  await shut(ws);
}

function pong(ws, payload) {
  return new Promise((resolve, reject) => {
    ws.once('pong', (data) => {
      if (data.equals(Buffer.from(payload))) resolve();
      else reject(new Error('the Pong differs'));
    });
    ws.ping(payload);
  });
}

async function fragments(url, pieces, whole) {
  const ws = await opened(url, { perMessageDeflate: false });
  const binary = typeof whole !== 'string';
  pieces.forEach((piece, i) => ws.send(piece, { binary, fin: i + 1 === pieces.length }));
  await expectEcho(ws, whole);
  await shut(ws);
}

async function pingInsideMessage(url) {
  const ws = await opened(url, { perMessageDeflate: false });
  ws.send('one ', { fin: false });
  await pong(ws, 'inside');
  ws.send('two', { fin: true });
  await expectEcho(ws, 'one two');
  await shut(ws);
}

async function ping(url) {
  const ws = await opened(url);
  for (const payload of ['', 'x', 'y'.repeat(125)]) await pong(ws, payload);
  ws.pong('nobody asked');
  ws.send('after');
  await expectEcho(ws, 'after');
  await shut(ws);
}

async function close(url, code, reason) {
  const ws = await opened(url);
  ws.send('last');
  await expectEcho(ws, 'last');
  await shut(ws, code, reason);
}

async function closeWithoutCode(url) {
  const ws = await opened(url);
  ws.close();
  const closed = await ws.closed;
  if (closed.code !== 1005) throw new Error(`closed with ${closed.code}`);
}

async function many(url) {
  const ws = await opened(url);
  const messages = Array.from({ length: 500 }, (_, i) => (i % 2 ? `m${i}` : crypto.randomBytes(i)));
  for (const message of messages) ws.send(message);
  for (const message of messages) await expectEcho(ws, message);
  await shut(ws);
}

async function compressible(url) {
  // What passes between here and the server is counted at this path.
  const ws = await opened(`${url}compressible`);
  for (let sent = 0; sent < 1024 * 1024;) {
    const row = (_, i) => ({ id: sent + i, name: `row ${i}`, value: (i * 37) % 101 });
    const message = JSON.stringify(Array.from({ length: 100 }, row));
    ws.send(message);
    await expectEcho(ws, message);
    sent += message.length;
  }
  await shut(ws);
}

async function concurrent(url) {
  await Promise.all(Array.from({ length: 50 }, (_, i) => echo(url, `connection ${i}`)));
}

async function refused(url, code, send) {
  const ws = await opened(url, { perMessageDeflate: false });
  ws.removeAllListeners('error');
  ws.on('error', () => {});
  send(ws);
  const closed = await ws.closed;
  if (closed.code !== code) throw new Error(`closed with ${closed.code}, not ${code}`);
}

const long = crypto.randomBytes(70000);
const CHECKS = {
  text: (url) => echo(url, 'Hello'),
  unicode: (url) => echo(url, UNICODE),
  'empty text': (url) => echo(url, ''),
  binary: (url) => echo(url, Buffer.from(Array.from({ length: 256 }, (_, i) => i))),
  'empty binary': (url) => echo(url, Buffer.alloc(0)),
  '1 MiB of text': (url) => echo(url, UNICODE.repeat(Math.floor((1024 * 1024) / Buffer.byteLength(UNICODE)))),
  '1 MiB binary': (url) => echo(url, crypto.randomBytes(1024 * 1024)),
  '16 MiB binary': (url) => echo(url, crypto.randomBytes(16 * 1024 * 1024)),
  'without compression': (url) => echo(url, 'plain', { perMessageDeflate: false }),
  'fragmented text': (url) => fragments(url, ['Gr', 'ü', '', 'ße', '🙂'], 'Grüße🙂'),
  'fragmented binary': (url) =>
    fragments(url, [Buffer.from([0]), Buffer.alloc(0), long, Buffer.from([255])],
      Buffer.concat([Buffer.from([0]), long, Buffer.from([255])])),
  'ping and pong': ping,
  'ping inside a message': pingInsideMessage,
  'close 1000': (url) => close(url, 1000, ''),
  'close 1001': (url) => close(url, 1001, 'going away'),
  'close 1011': (url) => close(url, 1011, 'Grüße'),
  'close 3000': (url) => close(url, 3000, 'x'.repeat(123)),
  'close 4999': (url) => close(url, 4999, ''),
  'close without a code': closeWithoutCode,
  '500 messages': many,
  '1 MiB of JSON': compressible,
  '50 connections': concurrent,
  'text that is not UTF-8': (url) => refused(url, 1007, (ws) => ws.send(Buffer.from([0xff]), { binary: false })),
  'two messages at once': (url) =>
    refused(url, 1002, (ws) => ws._socket.write(Buffer.from('0181000000006181810000000062', 'hex'))),
};

async function limited(check, url) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('took too long')), LIMIT);
  });
  try {
    await Promise.race([check(url), limit]);
  } finally {
    clearTimeout(timer);
  }
}

async function main(url) {
  let failed = 0;
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      await limited(check, url);
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}: ${error.message}`);
    }
  }
  const total = Object.keys(CHECKS).length;
  console.log(`ws ${version}: ${total - failed} of ${total}`);
  process.exit(failed ? 1 : 0);
}

if (positionals.length < 1 || positionals.length > 2) {
  console.error('node node_client.cjs URL [PARAMETERS]');
  process.exit(2);
}
main(positionals[0]);

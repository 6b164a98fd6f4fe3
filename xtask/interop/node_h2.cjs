// Node's http2 with the frames of npm ws, as client and as server; see README.md.
//
//   node_h2.cjs client URL CA
//   node_h2.cjs server CERT KEY
'use strict';

const fs = require('node:fs');
const http2 = require('node:http2');
const WebSocket = require('ws');

const LIMIT = 30_000;
const SOCKETS = 20;

/// npm ws over a stream on which the opening handshake was made.
function websocketOver(stream, isServer) {
  const ws = new WebSocket(null, undefined, { autoPong: true, closeTimeout: LIMIT });
  ws._isServer = isServer;
  ws.setSocket(stream, Buffer.alloc(0), {
    allowSynchronousEvents: true, maxPayload: 64 * 1024 * 1024, skipUTF8Validation: false,
  });
  return ws;
}

function opened(session) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', 'sec-websocket-version': '13',
    }, { endStream: false });
    stream.on('error', reject);
    stream.on('response', (headers) => {
      if (headers[':status'] !== 200) reject(new Error(`status ${headers[':status']}`));
      resolve(websocketOver(stream, false));
    });
  });
}

async function echo(ws, message) {
  const reply = new Promise((resolve, reject) => {
    ws.once('message', (data, binary) => resolve(binary ? data : data.toString()));
    ws.once('close', (code) => reject(new Error(`closed with ${code}`)));
  });
  ws.send(message);
  const data = await reply;
  const same = typeof message === 'string' ? data === message : message.equals(data);
  if (!same) throw new Error(`the echo of ${message.length} differs`);
  ws.removeAllListeners('close');
}

async function shut(ws, code) {
  const closed = new Promise((resolve) => ws.once('close', resolve));
  ws.close(code);
  const got = await closed;
  if (got !== code) throw new Error(`closed with ${got}`);
}

async function client(url, ca) {
  const session = http2.connect(url.replace(/^wss/, 'https'), { ca: fs.readFileSync(ca) });
  session.on('error', (error) => { throw error; });
  // A client has to have the server's SETTINGS before it may ask.
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  if (!session.remoteSettings.enableConnectProtocol) throw new Error('extended CONNECT is not announced');
  const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => opened(session)));
  const messages = ['Hello', 'Grüße, 世界', '', Buffer.alloc(65536, 'x'), Buffer.alloc(1024 * 1024, 'abc')];
  for (const message of messages) await Promise.all(sockets.map((ws) => echo(ws, message)));
  await Promise.all(sockets.map((ws, at) => shut(ws, at % 2 ? 1000 : 4000)));
  session.close();
  console.log(`Node ${process.version}: ${messages.length * SOCKETS} messages in ${SOCKETS} WebSockets of one connection`);
}

function server(cert, key) {
  const listener = http2.createSecureServer({
    cert: fs.readFileSync(cert), key: fs.readFileSync(key), settings: { enableConnectProtocol: true },
  });
  let connections = 0;
  const sessions = new Set();
  listener.on('session', (session) => {
    connections += 1;
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  listener.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 404 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200 });
    const ws = websocketOver(stream, true);
    ws.on('error', () => {});
    ws.on('message', (message, binary) => ws.send(message, { binary }));
    ws.on('close', (code) => console.log(`closed ${code} in connection ${connections}`));
  });
  listener.listen(0, '127.0.0.1', () => console.log(`listening on wss://127.0.0.1:${listener.address().port}`));
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      for (const session of sessions) session.destroy();
      listener.close(() => process.exit(0));
    });
  }
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'server') {
  server(...rest);
} else {
  setTimeout(() => { throw new Error('took too long'); }, LIMIT).unref();
  client(...rest);
}

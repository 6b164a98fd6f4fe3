// An echo server on npm ws, to check clients with; see README.md.
'use strict';

const http = require('node:http');
const https = require('node:https');
const { parseArgs } = require('node:util');
const { WebSocketServer } = require('ws');
const tls = require('./tls.cjs');

const { values } = parseArgs({ options: tls.OPTIONS });
const listener = values.cert ? https.createServer(tls.settings(values)) : http.createServer();
const server = new WebSocketServer({ server: listener, maxPayload: 64 * 1024 * 1024, perMessageDeflate: true });

function echoInFragments(ws, message, binary) {
  const third = Math.floor(message.length / 3);
  ws.send(message.subarray(0, third), { binary, fin: false });
  ws.send(message.subarray(third, 2 * third), { binary, fin: false });
  ws.send(message.subarray(2 * third), { binary, fin: true });
}

server.on('connection', (ws, request) => {
  ws.on('error', () => {});
  ws.on('close', (code) => console.log(`closed ${code}`));
  ws.on('message', (message, binary) => {
    if (request.url === '/fragments') {
      echoInFragments(ws, message, binary);
    } else if (request.url === '/ping') {
      ws.once('pong', () => ws.send(message, { binary }));
      ws.ping('first');
    } else {
      ws.send(message, { binary });
    }
  });
});

listener.listen(0, '127.0.0.1', () => {
  const scheme = values.cert ? 'wss' : 'ws';
  console.log(`listening on ${scheme}://127.0.0.1:${listener.address().port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const client of server.clients) client.terminate();
    listener.close(() => process.exit(0));
  });
}

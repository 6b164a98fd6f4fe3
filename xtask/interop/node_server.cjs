// An echo server on npm ws, to check clients with; see README.md.
'use strict';

const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 64 * 1024 * 1024, perMessageDeflate: true });

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

server.on('listening', () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const client of server.clients) client.terminate();
    server.close(() => process.exit(0));
  });
}

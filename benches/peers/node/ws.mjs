// npm ws, with nothing tuned but compression, which is off by default, and the checks it has on.

import { parseArgs } from 'node:util';
import { WebSocket, WebSocketServer } from 'ws';

const { values } = parseArgs({
  options: { mode: { type: 'string' }, deflate: { type: 'string' }, takeover: { type: 'boolean' } },
});
const broadcast = values.mode === 'broadcast';
const perMessageDeflate = values.deflate !== undefined && {
  zlibDeflateOptions: { level: Number(values.deflate) },
  serverNoContextTakeover: !values.takeover,
  clientNoContextTakeover: !values.takeover,
  threshold: 128,
};
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 4096, perMessageDeflate });

server.on('listening', () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    if (!broadcast) {
      socket.send(data, { binary });
      return;
    }
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) {
        client.send(data, { binary });
      }
    }
  });
});

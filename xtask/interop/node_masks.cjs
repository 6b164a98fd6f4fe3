// npm ws with other masks than it has by itself: node_masks.cjs zero|unmasked URL...; see README.md.
'use strict';

const WebSocket = require('ws');

const LENGTHS = [5, 125, 126, 65535, 65536, 1024 * 1024];
const LIMIT = 20_000;

const [how, ...urls] = process.argv.slice(2);
const options = { perMessageDeflate: false };
if (how === 'zero') {
  // ws looks at the key that this leaves behind, and masks with it.
  options.generateMask = (key) => key.fill(0);
}

function connect(url) {
  return new Promise((resolve) => {
    const ws = new WebSocket(url, options);
    let echoes = 0;
    let sent;
    let timer;
    const end = (line) => {
      clearTimeout(timer);
      ws.terminate();
      resolve(line);
    };
    const send = () => {
      if (echoes === LENGTHS.length) {
        // The Close of ws has a mask always.
        ws.close(1000);
        return;
      }
      sent = Buffer.alloc(LENGTHS[echoes], 'abcdefg');
      ws.send(sent, { binary: echoes % 2 === 1, mask: how !== 'unmasked' });
    };
    timer = setTimeout(() => end(`nothing more after ${echoes} echoes`), LIMIT);
    ws.on('open', send);
    ws.on('message', (message) => {
      if (!message.equals(sent)) {
        end(`another message came back than the ${sent.length} bytes sent`);
        return;
      }
      echoes += 1;
      send();
    });
    ws.on('close', (code) => end(`closed ${code} after ${echoes} echoes`));
    ws.on('error', (error) => end(`failed after ${echoes} echoes: ${error.message}`));
  });
}

(async () => {
  for (const url of urls) console.log(await connect(url));
})();

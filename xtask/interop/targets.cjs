// Connects with each of a list of targets, and checks that the server got it as the client's URL
// parser writes it. Browsers run this as a script of the page.
'use strict';

const TARGET_LIMIT = 10_000;

// What the server sends first at the URL, with the client that `WebSocket` is.
function told(WebSocket, url) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    const timer = setTimeout(() => reject(new Error('took too long')), TARGET_LIMIT);
    let message = null;
    ws.onmessage = (event) => {
      message = event.data;
      ws.close(1000);
    };
    ws.onerror = () => {};
    ws.onclose = (event) => {
      clearTimeout(timer);
      if (message === null) reject(new Error(`closed with ${event.code} before a message`));
      else resolve(message);
    };
  });
}

function shortened(text) {
  return text.length > 100 ? `${text.slice(0, 40)}… (${text.length} characters)` : text;
}

// The target of a request for the URL, as the WHATWG has it.
function whole(url) {
  return url.href.slice(url.origin.length);
}

// Returns for each target its name and what is wrong, or null. `targetOf` is what the client takes
// of a URL.
async function checkTargets(WebSocket, base, targets, targetOf = whole) {
  const results = [];
  for (const target of targets) {
    const name = shortened(target);
    try {
      const sent = targetOf(new URL(base + target));
      const got = await told(WebSocket, base + target);
      results.push([name, got === sent ? null : `sent as ${sent}, and the server got ${got}`]);
    } catch (error) {
      results.push([name, String(error.message || error)]);
    }
  }
  return results;
}

// One target a line.
function targetsOf(text) {
  return text.split('\n').filter(Boolean);
}

if (typeof module !== 'undefined') module.exports = { checkTargets, targetsOf };

// Connects with the targets of a file: node node_targets.cjs ws|undici URL FILE
//
// The URL has no path; FILE has one target a line.
'use strict';

const fs = require('node:fs');
const { checkTargets, targetsOf } = require('./targets.cjs');

// npm ws leaves out a query that is empty.
const TARGET_OF = { ws: (url) => url.pathname + url.search };

async function main(library, base, file) {
  const { WebSocket } = require(library);
  const { version } = require(`${library}/package.json`);
  const targets = targetsOf(fs.readFileSync(file, 'utf8'));
  const results = await checkTargets(WebSocket, base, targets, TARGET_OF[library]);
  for (const [name, why] of results) {
    console.log(why === null ? `ok      ${name}` : `FAILED  ${name}: ${why}`);
  }
  const passed = results.filter(([, why]) => why === null).length;
  console.log(`${library} ${version}: ${passed} of ${results.length} targets`);
  process.exit(passed === results.length && passed > 0 ? 0 : 1);
}

if (process.argv.length !== 5) {
  console.error('node node_targets.cjs ws|undici URL FILE');
  process.exit(2);
}
main(...process.argv.slice(2));

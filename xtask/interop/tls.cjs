// What the Node.js scripts are told of TLS, and what Node.js is told of it.
'use strict';

const fs = require('node:fs');

const file = { type: 'string' };
const OPTIONS = { ca: file, cert: file, key: file, 'client-ca': file, tls: { type: 'string' } };

function settings(values) {
  const read = (path) => path && fs.readFileSync(path);
  const version = values.tls && `TLSv${values.tls}`;
  return {
    ca: read(values['client-ca'] ?? values.ca),
    cert: read(values.cert),
    key: read(values.key),
    // Of a client: the only one that there is.
    requestCert: Boolean(values['client-ca']),
    rejectUnauthorized: true,
    ...(version && { minVersion: version, maxVersion: version }),
  };
}

module.exports = { OPTIONS, settings };

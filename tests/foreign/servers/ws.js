// An echo on the npm package ws: text as text, binary as binary. Without compression unless DEFLATE
// says how: `plain` keeps no context, a number of bits keeps windows of that size both ways.
'use strict';
const { WebSocketServer } = require('ws');

const deflate = process.env.DEFLATE;
const bits = Number(deflate);
const settings = {
  undefined: false,
  plain: { serverNoContextTakeover: true, clientNoContextTakeover: true },
}[deflate] ?? { serverMaxWindowBits: bits, clientMaxWindowBits: bits };
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.env.PORT ?? 0),
  // As ringstorm does: whatever may become smaller is deflated, at the same level.
  perMessageDeflate: settings && { ...settings, threshold: 64, zlibDeflateOptions: { level: 4 } },
});
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', (error) => console.error(`connection: ${error.message}`));
});
server.on('listening', () => console.log(`listening on 127.0.0.1:${server.address().port}`));

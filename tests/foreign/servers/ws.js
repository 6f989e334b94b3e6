// An echo on the npm package ws: text as text, binary as binary. No compression, as we offer none.
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', (error) => console.error(`connection: ${error.message}`));
});
server.on('listening', () => console.log(`listening on 127.0.0.1:${server.address().port}`));

// The chat of docs/chat.md on the npm package ws, written as one would: sockets, a queue, a field
// for the partner. To measure beside.
'use strict';
const { WebSocketServer } = require('ws');

const IDLE_MS = 60_000;
const RELAYED = new Set(['say', 'typing', 'offer', 'answer', 'candidate']);
const waiting = new Set();
const server = new WebSocketServer({
  host: '127.0.0.1', port: Number(process.env.PORT ?? 0), perMessageDeflate: false,
  maxPayload: 1 << 20,
});

const tell = (socket, message) => socket.send(JSON.stringify(message));
const complain = (socket, code) => tell(socket, { type: 'error', code, message: code });

function match(socket) {
  const [first] = waiting;
  tell(socket, { type: 'waiting' });
  if (first === undefined) {
    waiting.add(socket);
    return;
  }
  waiting.delete(first);
  [first.partner, socket.partner] = [socket, first];
  for (const [one, offers] of [[first, true], [socket, false]]) {
    tell(one, { type: 'matched', partner: one.partner.name, offers });
  }
  first.idle = setTimeout(() => {
    for (const one of [first, socket]) tell(one, { type: 'idle', seconds: IDLE_MS / 1000 });
  }, IDLE_MS);
  socket.idle = first.idle;
}

function part(socket, reason) {
  waiting.delete(socket);
  const { partner } = socket;
  if (!partner) return;
  clearTimeout(socket.idle);
  socket.partner = partner.partner = null;
  if (partner.readyState === 1) tell(partner, { type: 'gone', reason });
}

function take(socket, data, isBinary) {
  if (isBinary) return socket.close(1003);
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    return complain(socket, 'not_understood');
  }
  const { type } = message;
  if (type === 'enter') {
    if (socket.name !== undefined) return complain(socket, 'already_entered');
    socket.name = String(message.name);
    return match(socket);
  }
  if (socket.name === undefined) return complain(socket, 'not_entered');
  if (RELAYED.has(type)) {
    if (data.length > 16_384) return complain(socket, 'too_long');
    if (!socket.partner) return complain(socket, 'no_partner');
    socket.idle.refresh();
    return socket.partner.send(data, { binary: false });
  }
  if (type === 'next' || type === 'leave' || type === 'report') {
    part(socket, 'left');
    return type === 'next' ? match(socket) : tell(socket, { type: 'left' });
  }
  return complain(socket, 'not_understood');
}

server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => take(socket, data, isBinary));
  socket.on('close', () => part(socket, 'disconnected'));
  socket.on('error', (error) => console.error(`connection: ${error.message}`));
});
server.on('listening', () => console.log(`listening on 127.0.0.1:${server.address().port}`));

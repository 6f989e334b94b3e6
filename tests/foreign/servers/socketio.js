// A Socket.IO server: `echo` is acknowledged with what it was given, `chat` goes to everybody and
// is acknowledged without content, `silent` never. The namespace /private wants a token, /moved a
// session that began with a poll and is on a WebSocket now.
'use strict';
const http = require('http');
const { Server } = require('socket.io');

const pingInterval = Number(process.env.PING_MS || 1000);
const web = http.createServer();
// A ping every second, so that a short run sees some.
const io = new Server(web, { pingInterval, pingTimeout: 1.5 * pingInterval });

function serve(namespace) {
  namespace.on('connection', (socket) => {
    socket.on('echo', (message, acknowledge) => acknowledge(message));
    socket.on('chat', (message, acknowledge) => {
      namespace.emit('chat', message);
      acknowledge();
    });
    socket.on('silent', () => {});
  });
}

serve(io);
const guarded = io.of('/private');
guarded.use((socket, next) => {
  next(socket.handshake.auth.token === 'open sesame' ? undefined : new Error('not authorized'));
});
serve(guarded);
const moved = io.of('/moved');
moved.use((socket, next) => {
  const isMoved = socket.handshake.query.transport === 'polling'
    && socket.conn.transport.name === 'websocket';
  next(isMoved ? undefined : new Error('it did not begin with a poll'));
});
serve(moved);
web.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${web.address().port}`));

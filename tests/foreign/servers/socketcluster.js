// A SocketCluster server of the protocol version in VERSION: the procedure `echo` returns what it
// was given, `refuse` fails, channels are open but for `secret`. Prints a token that it will take.
'use strict';
const http = require('http');
const server = require('socketcluster-server');

const AUTH_KEY = 'known to this server only';
const pingInterval = Number(process.env.PING_MS || 1000);
const web = http.createServer();
const cluster = server.attach(web, {
  authKey: AUTH_KEY,
  protocolVersion: Number(process.env.VERSION || 2),
  // A ping every second, so that a short run sees some and one that answers none is cut off.
  pingInterval,
  pingTimeout: 2.5 * pingInterval,
  allowClientPublish: true,
});

cluster.setMiddleware(cluster.MIDDLEWARE_INBOUND, async (stream) => {
  for await (const action of stream) {
    if (action.type === action.SUBSCRIBE && action.channel === 'secret') {
      action.block(new Error('this channel is secret'));
    } else {
      action.allow();
    }
  }
});

(async () => {
  for await (const { socket } of cluster.listener('connection')) {
    (async () => {
      for await (const request of socket.procedure('echo')) request.end(request.data);
    })();
    (async () => {
      for await (const request of socket.procedure('refuse')) request.error(new Error('no'));
    })();
  }
})();

web.listen(0, '127.0.0.1', async () => {
  const token = await cluster.auth.signToken({ name: 'load' }, AUTH_KEY, { expiresIn: 600 });
  console.log(`token ${token}`);
  console.log(`listening on 127.0.0.1:${web.address().port}`);
});

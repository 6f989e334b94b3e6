// Channels on the npm package ws, with a plain map of subscribers: as much of Centrifugo's client
// protocol as the scenario `channels` asks for, without history. To measure beside.
'use strict';
const { WebSocketServer } = require('ws');

const channels = new Map();
const server = new WebSocketServer({
  host: '127.0.0.1', port: Number(process.env.PORT ?? 0), perMessageDeflate: false,
});

function take(socket, { id, connect, subscribe, publish }) {
  if (connect) {
    socket.send(JSON.stringify({ id, connect: { client: String(Math.random()), version: 'ws' } }));
  } else if (subscribe) {
    const name = subscribe.channel;
    const channel = channels.get(name) ?? { offset: 0, sockets: new Set() };
    channels.set(name, channel);
    channel.sockets.add(socket);
    socket.on('close', () => channel.sockets.delete(socket));
    socket.send(JSON.stringify({ id, subscribe: { epoch: 'e', offset: channel.offset } }));
  } else if (publish) {
    const channel = channels.get(publish.channel);
    channel.offset += 1;
    const pub = { data: publish.data, offset: channel.offset };
    const push = JSON.stringify({ push: { channel: publish.channel, pub } });
    for (const one of channel.sockets) one.send(push);
    socket.send(JSON.stringify({ id, publish: {} }));
  }
}

server.on('connection', (socket) => {
  socket.on('message', (data) => {
    for (const line of data.toString().split('\n')) take(socket, JSON.parse(line));
  });
  socket.on('error', (error) => console.error(`connection: ${error.message}`));
});
server.on('listening', () => console.log(`listening on 127.0.0.1:${server.address().port}`));

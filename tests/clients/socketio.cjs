// npm's `socket.io-client`, unchanged: node socketio.cjs URL
//
// URL is that of `ringstorm serve --dev`, or `oracle` for npm's `socket.io`, of which the same must
// be true. Each function is one sentence that must hold; its name is printed when it does. Ends with
// 1 at the first that does not.
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { io } = require("socket.io-client");
const WebSocket = require("ws");

let [url] = process.argv.slice(2);
const TRANSPORTS = { transports: ["websocket"], forceNew: true };

// npm's server, which answers what `--dev` does.
async function oracle() {
  const web = http.createServer();
  const server = new (require("socket.io").Server)(web);
  server.on("connection", (socket) => {
    socket.on("echo", (...all) => all.pop()(...all));
    socket.on("join", (room, done) => { socket.join(room); done(); });
    socket.on("leave", (room, done) => { socket.leave(room); done(); });
    socket.on("say", (room, data, done) => { server.to(room).emit("said", data); done?.(); });
  });
  await new Promise((resolve) => { web.listen(0, "127.0.0.1", resolve); });
  url = `http://127.0.0.1:${web.address().port}`;
}

const within = (promise, what) => Promise.race([promise, new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`not in time: ${what}`)), 10_000).unref();
})]);
const once = (made, event) => within(new Promise((resolve) => { made.once(event, resolve); }), event);
const call = (made, ...all) => made.timeout(10_000).emitWithAck(...all);

async function client(options = {}) {
  const made = io(url, { ...TRANSPORTS, ...options });
  await once(made, "connect");
  return made;
}

async function an_event_is_acknowledged_with_its_arguments() {
  const made = await client();
  for (const data of [1, "two\u2028", null, { a: [true, 1.5] }, "\u{1f600}"]) {
    assert.deepEqual(await call(made, "echo", data), data);
  }
  made.close();
}

async function binary_messages_come_back_in_their_places() {
  const made = await client();
  const sent = { a: Buffer.from([1, 2, 3]), b: [Buffer.alloc(70_000, 7)], c: "text" };
  const back = await call(made, "echo", sent);
  assert.deepEqual(Buffer.from(back.a), sent.a);
  assert.deepEqual(Buffer.from(back.b[0]), sent.b[0]);
  assert.equal(back.c, "text");
  made.close();
}

async function what_is_said_in_a_room_everyone_in_it_hears_in_order() {
  const room = `io:${process.pid}`;
  const clients = await Promise.all([client(), client(), client()]);
  const heard = clients.map(() => []);
  clients.forEach((made, at) => made.on("said", (data) => heard[at].push(data.number)));
  await call(clients[0], "join", room);
  await call(clients[1], "join", room);
  for (let number = 0; number < 20; number += 1) await call(clients[2], "say", room, { number });
  await call(clients[1], "leave", room);
  await call(clients[2], "say", room, { number: 20 });
  await call(clients[0], "echo", 0);
  await call(clients[1], "echo", 0);
  const all = Array.from({ length: 21 }, (_, number) => number);
  assert.deepEqual(heard, [all, all.slice(0, 20), []]);
  clients.forEach((made) => made.close());
}

async function a_namespace_that_is_not_there_is_refused_by_its_name() {
  const made = io(`${url}/nowhere`, TRANSPORTS);
  const error = await once(made, "connect_error");
  assert.equal(error.message, "Invalid namespace");
  made.close();
}

async function a_client_that_is_cut_off_comes_back_by_itself() {
  const made = await client({ reconnectionDelay: 20, reconnectionDelayMax: 50 });
  const before = made.id;
  const gone = once(made, "disconnect");
  made.io.engine.transport.ws.close();
  assert.equal(await gone, "transport close");
  await once(made, "connect");
  assert.notEqual(made.id, before);
  assert.equal(await call(made, "echo", 7), 7);
  made.close();
}

// What a connection is told, as far as it is no name, until it is closed.
function raw(...packets) {
  return within(new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    const told = [];
    socket.on("message", (data) => {
      const text = data.toString();
      // Whoever joins is in once it is told so.
      if (text.startsWith("0") && packets[0] === "40") socket.send(packets.shift());
      else if (text.startsWith("0") || text.startsWith("40")) {
        packets.splice(0).forEach((packet) => socket.send(packet));
      }
      told.push(text.replace(/"sid":"[^"]*"/, "sid"));
    });
    socket.on("close", () => resolve(told));
  }), packets.join());
}

async function what_no_client_says_closes_the_connection() {
  for (const packets of [["40", "40"], ["42[\"e\"]"], ["x"], ["2"], ["40", "42{}"], ["40", "44{}"],
    ["40", "42[\"connect\"]"], ["40", "451-[\"e\",{\"_placeholder\":true,\"num\":0}]", "42[\"e\"]"],
    ["40", Buffer.from("x")], ["40", "41/nowhere"], ["40", "42[\"e\""]]) {
    console.log(`${packets} -> ${await raw(...packets)}`);
  }
}

async function main() {
  if (url === "oracle") await oracle();
  const all = [
    an_event_is_acknowledged_with_its_arguments,
    binary_messages_come_back_in_their_places,
    what_is_said_in_a_room_everyone_in_it_hears_in_order,
    a_namespace_that_is_not_there_is_refused_by_its_name,
    a_client_that_is_cut_off_comes_back_by_itself,
    what_no_client_says_closes_the_connection,
  ];
  for (const sentence of all) {
    await sentence();
    console.log(sentence.name);
  }
  process.exit(0);
}

main().catch((error) => { console.log(String(error.stack)); process.exit(1); });

// npm's `socket.io-client`, unchanged, cut off and back again: node socketio_recovery.cjs URL
//
// URL is that of `ringstorm serve --dev --recovery-time 2m`, or `oracle` for npm's `socket.io` with
// connection state recovery, of which the same must be true. Each function is one sentence that must
// hold; its name is printed when it does. Ends with 1 at the first that does not.
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { io } = require("socket.io-client");

let [url] = process.argv.slice(2);
const WAYS = [{ transports: ["websocket"] }, { transports: ["polling"] }, {}];
let way = WAYS[0];
let rooms = 0;

async function oracle() {
  const web = http.createServer();
  const server = new (require("socket.io").Server)(web, { connectionStateRecovery: {} });
  for (const space of [server, server.of(/^\/[\w./-]+$/)]) space.on("connection", (socket) => {
    socket.on("join", (room, done) => { socket.join(room); done(); });
    socket.on("say", (room, data, done) => { socket.nsp.to(room).emit("said", data); done?.(); });
    socket.on("echo", (...all) => all.pop()(...all));
  });
  await new Promise((resolve) => { web.listen(0, "127.0.0.1", resolve); });
  url = `http://127.0.0.1:${web.address().port}`;
}

const within = (promise, what) => Promise.race([promise, new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`not in time: ${what}`)), 20_000).unref();
})]);
const once = (made, event) => within(new Promise((resolve) => { made.once(event, resolve); }), event);
const until = (is) => within((async () => {
  while (!is()) await new Promise((resolve) => { setTimeout(resolve, 5); });
})(), is);
const call = (made, ...all) => made.timeout(20_000).emitWithAck(...all);

async function client(space = "/") {
  const options = { forceNew: true, ...way };
  const made = io(url + space, options);
  made.heard = [];
  made.places = [];
  made.on("said", (data, place) => { made.heard.push(data); made.places.push(place); });
  await once(made, "connect");
  return made;
}

// The connection ends, and the client comes back once `act` is done.
async function cut(made, act) {
  const gone = once(made, "disconnect");
  made.io.reconnection(false);
  made.io.engine.close();
  await gone;
  await act();
  made.io.reconnection(true);
  made.connect();
  await once(made, "connect");
}

async function told(made, room, ...numbers) {
  for (const number of numbers) await call(made, "say", room, number);
}

async function who_is_cut_off_is_in_its_rooms_again_and_has_all_that_was_said() {
  for (const space of ["/", "/admin"]) {
    const room = `room${rooms += 1}`;
    const [one, other] = await Promise.all([client(space), client(space)]);
    await call(one, "join", room);
    await told(other, room, 1, 2);
    await until(() => one.heard.length === 2);
    for (const number of [3, 6]) {
      await cut(one, () => told(other, room, number, number + 1));
      assert.equal(one.recovered, true);
      await told(other, room, number + 2);
      await until(() => one.heard.includes(number + 2));
    }
    assert.deepEqual(one.heard, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.ok(one.places.every((place) => typeof place === "string"));
    [one, other].forEach((made) => made.close());
  }
}

async function a_text_that_is_said_is_no_place() {
  const room = `room${rooms += 1}`;
  const [one, other] = await Promise.all([client(), client()]);
  await call(one, "join", room);
  await told(other, room, "a", "b");
  await until(() => one.heard.length === 2);
  await cut(one, () => told(other, room, "c"));
  await until(() => one.heard.length === 3);
  assert.deepEqual([one.heard, one.recovered], [["a", "b", "c"], true]);
  [one, other].forEach((made) => made.close());
}

async function who_leaves_by_itself_begins_anew() {
  const room = `room${rooms += 1}`;
  const [one, other] = await Promise.all([client(), client()]);
  await call(one, "join", room);
  await told(other, room, 1);
  await until(() => one.heard.length === 1);
  one.disconnect();
  await told(other, room, 2);
  one.connect();
  await once(one, "connect");
  assert.equal(one.recovered, false);
  await told(other, room, 3);
  await call(one, "echo", 0);
  assert.deepEqual(one.heard, [1]);
  [one, other].forEach((made) => made.close());
}

// What `socket.io` cannot do: its packets are only found by one that was heard.
async function who_has_heard_nothing_yet_misses_nothing() {
  const room = `room${rooms += 1}`;
  const [one, other] = await Promise.all([client(), client()]);
  await call(one, "join", room);
  await cut(one, () => told(other, room, 1, 2));
  await until(() => one.heard.length === 2);
  assert.deepEqual([one.heard, one.recovered], [[1, 2], true]);
  [one, other].forEach((made) => made.close());
}

async function main() {
  const all = [
    who_is_cut_off_is_in_its_rooms_again_and_has_all_that_was_said,
    a_text_that_is_said_is_no_place,
    who_leaves_by_itself_begins_anew,
  ];
  if (url === "oracle") await oracle();
  else all.push(who_has_heard_nothing_yet_misses_nothing);
  for (way of WAYS) {
    for (const sentence of all) {
      await sentence();
      console.log(sentence.name, way.transports?.[0] ?? "by default");
    }
  }
  process.exit(0);
}

main().catch((error) => { console.log(String(error.stack)); process.exit(1); });

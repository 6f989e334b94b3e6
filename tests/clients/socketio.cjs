// npm's `socket.io-client`, unchanged: node socketio.cjs URL
//
// URL is that of `ringstorm serve --dev`, or `oracle` for npm's `socket.io`, of which the same must
// be true. Each function is one sentence that must hold; its name is printed when it does. Ends with
// 1 at the first that does not.
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { io, Manager } = require("socket.io-client");
const WebSocket = require("ws");

let [url] = process.argv.slice(2);
// What a client is made with: a WebSocket alone, polls alone, and nothing, which is polls and then a
// WebSocket.
const WAYS = [{ transports: ["websocket"] }, { transports: ["polling"] }, {}];
let way = WAYS[0];

// npm's server, which answers what `--dev` does.
async function oracle() {
  const web = http.createServer();
  const server = new (require("socket.io").Server)(web);
  for (const space of [server, server.of(/^\/[\w./-]+$/)]) space.on("connection", (socket) => {
    socket.on("echo", (...all) => all.pop()(...all));
    socket.on("join", (room, done) => { socket.join(room); done(); });
    socket.on("leave", (room, done) => { socket.leave(room); done(); });
    socket.on("say", (room, data, done) => { socket.nsp.to(room).emit("said", data); done?.(); });
  });
  await new Promise((resolve) => { web.listen(0, "127.0.0.1", resolve); });
  url = `http://127.0.0.1:${web.address().port}`;
}

const within = (promise, what) => Promise.race([promise, new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`not in time: ${what}`)), 10_000).unref();
})]);
const once = (made, event) => within(new Promise((resolve) => { made.once(event, resolve); }), event);
const until = (is) => within((async () => {
  while (!is()) await new Promise((resolve) => { setTimeout(resolve, 5); });
})(), is);
const call = (made, ...all) => made.timeout(10_000).emitWithAck(...all);

async function client(options = {}) {
  const made = io(url, { forceNew: true, ...way, ...options });
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
  await until(() => heard[1].length >= 20);
  await call(clients[1], "leave", room);
  await call(clients[2], "say", room, { number: 20 });
  await until(() => heard[0].length >= 21);
  await call(clients[1], "echo", 0);
  const all = Array.from({ length: 21 }, (_, number) => number);
  assert.deepEqual(heard, [all, all.slice(0, 20), []]);
  clients.forEach((made) => made.close());
}

async function a_namespace_that_is_not_there_is_refused_by_its_name() {
  const made = io(`${url}/no%20where`, { forceNew: true, ...way });
  const error = await once(made, "connect_error");
  assert.equal(error.message, "Invalid namespace");
  made.close();
}

async function namespaces_share_a_connection_and_nothing_else() {
  const manager = new Manager(url, way);
  const [main, admin, other] = ["/", "/admin", "/b"].map((name) => manager.socket(name));
  await Promise.all([main, admin, other].map((made) => once(made, "connect")));
  assert.equal(new Set([main.id, admin.id, other.id]).size, 3);
  assert.deepEqual(await call(admin, "echo", { a: [1] }), { a: [1] });
  const bytes = Buffer.from([1, 2, 3]);
  assert.deepEqual(Buffer.from(await call(other, "echo", bytes)), bytes);
  const room = `spaces:${process.pid}`;
  const heard = { main: [], admin: [] };
  main.on("said", (data) => heard.main.push(data));
  admin.on("said", (data) => heard.admin.push(data));
  await call(main, "join", room);
  await call(admin, "join", room);
  await call(other, "say", room, "nobody");
  await call(admin, "say", room, "admin");
  await call(main, "say", room, "main");
  await until(() => heard.main.length > 0 && heard.admin.length > 0);
  assert.deepEqual(heard, { main: ["main"], admin: ["admin"] });
  const before = admin.id;
  admin.disconnect();
  assert.equal(await call(main, "echo", 1), 1);
  admin.connect();
  await once(admin, "connect");
  assert.notEqual(admin.id, before);
  assert.deepEqual(await call(admin, "echo", "again"), "again");
  [main, admin, other].forEach((made) => made.disconnect());
}

async function a_client_that_is_cut_off_comes_back_by_itself() {
  const made = await client({ reconnectionDelay: 20, reconnectionDelayMax: 50 });
  const before = made.id;
  if (!way.transports) await moved(made);
  const gone = once(made, "disconnect");
  const { transport } = made.io.engine;
  if (transport.ws) transport.ws.close();
  else transport.onClose();
  assert.equal(await gone, "transport close");
  await once(made, "connect");
  assert.notEqual(made.id, before);
  assert.equal(await call(made, "echo", 7), 7);
  made.close();
}

const moved = async (made) => {
  if (made.io.engine.transport.name === "polling") await once(made.io.engine, "upgrade");
};

async function a_client_with_default_options_moves_to_a_websocket_and_loses_nothing() {
  const room = `moving:${process.pid}`;
  const made = io(url, { forceNew: true });
  let first = "";
  made.io.on("open", () => { first = made.io.engine.transport.name; });
  await once(made, "connect");
  assert.equal(first, "polling");
  const talker = await client({ transports: ["websocket"] });
  const heard = [];
  made.on("said", (data) => heard.push(data));
  await call(made, "join", room);
  const upgraded = moved(made);
  let number = 0;
  while (made.io.engine.transport.name === "polling") {
    await call(talker, "say", room, number);
    assert.equal(await call(made, "echo", number), number);
    number += 1;
  }
  await upgraded;
  await call(talker, "say", room, number);
  await until(() => heard.length > number);
  assert.deepEqual(heard, Array.from({ length: number + 1 }, (_, at) => at));
  made.close();
  talker.close();
}

async function clients_that_come_together_all_move() {
  const all = await Promise.all(Array.from({ length: 30 }, () => client()));
  await Promise.all(all.map(moved));
  const back = await Promise.all(all.map((made, at) => call(made, "echo", at)));
  assert.deepEqual(back, all.map((_, at) => at));
  all.forEach((made) => made.close());
}

async function a_client_whose_websockets_are_refused_goes_on_polling() {
  const made = await client({ upgrade: false });
  assert.equal(made.io.engine.transport.name, "polling");
  const data = Buffer.alloc(70_000, 7);
  assert.deepEqual(Buffer.from(await call(made, "echo", data)), data);
  made.close();
}

// A request: status, type, and what is answered, as far as it is no name.
const POLLING = "?EIO=4&transport=polling";
const nameless = (text) => text.replace(/"sid":"[^"]*"/g, "sid");
function ask(method, query, body, headers = {}) {
  return within(new Promise((resolve, reject) => {
    const request = http.request(`${url}/socket.io/${query}`, { method, headers, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (data) => { text += data; });
        response.on("end", () => {
          const type = text === "" ? "" : response.headers["content-type"].toLowerCase();
          resolve({ status: response.statusCode, type, text, headers: response.headers });
        });
      });
    request.on("error", reject);
    request.end(body);
    ask.last = request;
  }), `${method} ${query}`);
}
const shown = ({ status, type, text }) => `${status} ${type} ${JSON.stringify(nameless(text))}`;
const soon = (promise) => Promise.race([promise.then(shown),
  new Promise((resolve) => { setTimeout(() => resolve("waits"), 150); })]);

// A session of its own: the query of its requests.
async function session() {
  const { text } = await ask("GET", POLLING);
  const query = `${POLLING}&sid=${JSON.parse(text.slice(1)).sid}`;
  await ask("POST", query, "40");
  await ask("GET", query);
  return query;
}

async function a_handshake_and_its_faults_are_answered_so() {
  const { headers } = await ask("GET", POLLING);
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers.etag, undefined);
  for (const query of [POLLING, `${POLLING}&sid=`, "", "?EIO=4", "?EIO=4&transport=x",
    "?EIO=3&transport=polling", "?transport=polling", "?EIO=4&transport=websocket",
    `${POLLING}&sid=x`]) console.log(`GET ${query} -> ${shown(await ask("GET", query))}`);
  console.log(`POST -> ${shown(await ask("POST", POLLING, "40"))}`);
  const query = await session();
  for (const other of [query.replace("EIO=4", "EIO=3"), query.replace("polling", "websocket")]) {
    console.log(`other -> ${shown(await ask("GET", other))}`);
  }
}

async function a_payload_has_packets_and_is_answered_so() {
  const query = await session();
  for (const payload of ["420[\"echo\",1]\u001e421[\"echo\",2]",
    "452-7[\"echo\",{\"_placeholder\":true,\"num\":0},[{\"_placeholder\":true,\"num\":1}]]\u001ebAQID\u001ebBAU"]) {
    console.log(`${payload} -> ${shown(await ask("POST", query, payload))}`);
    console.log(`poll -> ${shown(await ask("GET", query))}`);
  }
}

async function a_session_that_says_what_none_says_is_over_and_its_poll_says_so() {
  for (const payload of ["1", "x", "", "2", "2probe", "42{}", "1\u001e420[\"echo\",1]", "40", "44{}",
    "bAQID", "40/no%20where,", "439[]", "5", "6", "41"]) {
    const query = await session();
    const poll = ask("GET", query);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    console.log(`post ${payload} -> ${shown(await ask("POST", query, payload))}`);
    console.log(`poll -> ${await soon(poll)}`);
    console.log(`poll -> ${await soon(ask("GET", query))}`);
  }
  const query = await session();
  const strange = { "content-type": "application/octet-stream" };
  console.log(`strange -> ${shown(await ask("POST", query, "40", strange))}`);
  console.log(`poll -> ${shown(await ask("GET", query))}`);
}

async function polls_are_one_at_a_time_and_end_with_their_connection() {
  const query = await session();
  const first = ask("GET", query);
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  console.log(`second -> ${shown(await ask("GET", query))}`);
  console.log(`first -> ${shown(await first)}`);
  console.log(`third -> ${shown(await ask("GET", query))}`);
  const other = await session();
  const cut = ask("GET", other).catch(() => {});
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  ask.last.destroy();
  await cut;
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  console.log(`after a cut -> ${shown(await ask("GET", other))}`);
}

async function a_move_is_made_in_its_steps_or_not_at_all() {
  for (const packets of [["2probe", "5", "427[\"echo\",1]"], ["5", "427[\"echo\",1]"], ["2x"],
    ["42[\"e\"]"], ["2probe"], [Buffer.from("x")], ["2probe", "3"], ["2probe", "5", "2probe"]]) {
    const query = await session();
    const socket = new WebSocket(
      `${url.replace("http", "ws")}/socket.io/${query.replace("polling", "websocket")}`);
    const told = [];
    socket.on("message", (data) => told.push(data.toString()));
    const closed = new Promise((resolve) => { socket.on("close", () => resolve("closed")); });
    await within(new Promise((resolve) => { socket.on("open", resolve); }), "open");
    for (const packet of packets) {
      socket.send(packet);
      await new Promise((resolve) => { setTimeout(resolve, 30); });
    }
    const end = await Promise.race([closed,
      new Promise((resolve) => { setTimeout(() => resolve("open"), 100); })]);
    console.log(`${packets} -> ${told} ${end}; poll -> ${await soon(ask("GET", query))}`);
    socket.terminate();
  }
}

// What a connection is told, as far as it is no name, that says all of it in one write.
async function who_does_not_wait_is_answered_so() {
  for (const packets of [["40", "40"], ["40/admin,", "40/admin"], ["40/a?b,"], ["40", "40/admin,"],
    ["40/admin,{\"a\":1}", "wait", "42/admin,7[\"echo\",1]", "wait", "41/admin,", "wait", "42/admin,8[\"echo\"]"],
    ["40", "40/admin,", "wait", "41", "wait", "42/admin,8[\"echo\"]"],
    ["40/admin,", "wait", "451-/admin,3[\"echo\",{\"_placeholder\":true,\"num\":0}]", "425[\"echo\"]"],
    ["40/admin,", "wait", "40/admin,"], ["40/,", "wait", "42/,1[\"echo\"]"]]) {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    const told = [];
    let end = "open";
    socket.on("message", (data) => told.push(nameless(data.toString())));
    socket.on("close", () => { end = "closed"; });
    await within(new Promise((resolve) => { socket.once("message", resolve); }), "open");
    for (const packet of [...packets, "wait"]) {
      if (packet === "wait") await new Promise((resolve) => { setTimeout(resolve, 60); });
      else {
        socket._socket.cork();
        socket.send(packet);
      }
      if (packet === "wait") continue;
      process.nextTick(() => socket._socket.uncork());
    }
    console.log(`${packets} -> ${told.slice(1)} ${end}`);
    socket.terminate();
  }
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
    namespaces_share_a_connection_and_nothing_else,
    a_client_that_is_cut_off_comes_back_by_itself,
  ];
  for (way of WAYS) {
    for (const sentence of all) {
      await sentence();
      console.log(sentence.name, way.transports?.[0] ?? "by default");
    }
  }
  for (const sentence of [
    a_client_with_default_options_moves_to_a_websocket_and_loses_nothing,
    clients_that_come_together_all_move,
    a_client_whose_websockets_are_refused_goes_on_polling,
    a_handshake_and_its_faults_are_answered_so,
    a_payload_has_packets_and_is_answered_so,
    a_session_that_says_what_none_says_is_over_and_its_poll_says_so,
    polls_are_one_at_a_time_and_end_with_their_connection,
    a_move_is_made_in_its_steps_or_not_at_all,
    who_does_not_wait_is_answered_so,
    what_no_client_says_closes_the_connection,
  ]) {
    await sentence();
    console.log(sentence.name);
  }
  process.exit(0);
}

main().catch((error) => { console.log(String(error.stack)); process.exit(1); });

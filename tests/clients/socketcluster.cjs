// npm's `socketcluster-client`, unchanged: node socketcluster.cjs URL SECRET
//
// URL is that of `ringstorm serve --dev`, or `oracle` for npm's `socketcluster-server`, of which the
// same must be true. Each function is one sentence that must hold; its name is printed when it does.
// Ends with 1 at the first that does not.
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const jwt = require("jsonwebtoken");
const { create } = require("socketcluster-client");
const WebSocket = require("ws");

const [place, secret] = process.argv.slice(2);
const SECONDS = 10;
let url = place;
let kickOut = async (client, channel) => {
  const response = await fetch(`${url}/api/unsubscribe`, {
    method: "POST", headers: { "X-API-Key": "dev" },
    body: JSON.stringify({ client: client.id, channel }),
  });
  assert.equal((await response.json()).result.clients, 1);
};

// npm's server, which answers what `--dev` does.
async function oracle() {
  const web = http.createServer();
  const server = require("socketcluster-server").attach(web, { authKey: secret });
  const answer = (socket) => {
    const each = async (stream, then) => { for await (const one of stream) then(one); };
    let count = 0;
    each(socket.procedure("sum"), (call) => call.end(call.data.a + call.data.b));
    each(socket.procedure("fail"), (call) => {
      call.error(Object.assign(new Error("it always fails"), { name: "CustomError" }));
    });
    each(socket.receiver("echo"), (data) => socket.transmit("echoed", data));
    each(socket.receiver("ping"), () => socket.transmit("pong", { count: count += 1 }));
  };
  (async () => {
    for await (const { socket } of server.listener("connection")) answer(socket);
  })();
  (async () => { for await (const _ of server.listener("warning")); })();
  kickOut = async (client, channel) => server.clients[client.id].kickOut(channel, "out");
  await new Promise((resolve) => { web.listen(0, "127.0.0.1", resolve); });
  url = `http://127.0.0.1:${web.address().port}`;
}

// Where a client keeps its token.
function purse(token) {
  return {
    token,
    async loadToken() { return this.token; },
    async saveToken(_name, token) { this.token = token; },
    async removeToken() { const { token } = this; this.token = null; return token; },
  };
}

function client(options = {}) {
  const { hostname, port } = new URL(url);
  const made = create({
    hostname, port, authEngine: purse(null), ackTimeout: SECONDS * 1000,
    autoReconnectOptions: { initialDelay: 20, randomness: 10, multiplier: 1, maxDelay: 50 },
    ...options,
  });
  (async () => { for await (const _ of made.listener("error")); })();
  return made;
}

const within = (promise, what) => Promise.race([promise, new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`not in time: ${what}`)), SECONDS * 1000).unref();
})]);

// The next of what a stream tells.
const once = (stream, what) => within(stream.once(), what);

// The first so many of what a stream tells, from now on.
function first(count, stream) {
  return within((async () => {
    const heard = [];
    for await (const one of stream) {
      heard.push(one);
      if (heard.length === count) break;
    }
    return heard;
  })(), `${count} of a stream`);
}

async function subscribed(made, name) {
  const channel = made.subscribe(name);
  if (channel.state !== "subscribed") await once(channel.listener("subscribe"), "subscribe");
  return channel;
}

let names = 0;
const name = () => `sc:${process.pid}-${names += 1}`;

async function what_one_client_publishes_all_are_told_in_order() {
  const channel = name();
  const clients = Array.from({ length: 4 }, () => client());
  const streams = await Promise.all(clients.map((it) => subscribed(it, channel)));
  const told = streams.map((stream) => first(20, stream));
  for (let number = 0; number < 20; number += 1) {
    await clients[number % 2].invokePublish(channel, { number });
  }
  for (const heard of await Promise.all(told)) {
    assert.deepEqual(heard.map((one) => one.number), Array.from({ length: 20 }, (_, i) => i));
  }
  clients.forEach((it) => it.disconnect());
}

async function calls_are_answered_or_fail_by_name() {
  const made = client();
  assert.equal(await made.invoke("sum", { a: 1, b: 2 }), 3);
  await assert.rejects(made.invoke("fail", {}), { name: "CustomError", message: "it always fails" });
  made.disconnect();
}

async function events_are_answered_by_events() {
  const made = client();
  const echoed = once(made.receiver("echoed"), "echoed");
  const pongs = first(2, made.receiver("pong"));
  made.transmit("echo", { text: "\u00e9\u{1f600}", list: [1, null] });
  made.transmit("ping");
  made.transmit("ping");
  assert.deepEqual(await echoed, { text: "\u00e9\u{1f600}", list: [1, null] });
  assert.deepEqual(await pongs, [{ count: 1 }, { count: 2 }]);
  made.disconnect();
}

async function a_good_token_authenticates_and_a_bad_one_is_taken_away() {
  const good = jwt.sign({ sub: "ann" }, secret, { expiresIn: 600 });
  const late = jwt.sign({ sub: "ann", exp: 1000 }, secret);
  const made = client({ authEngine: purse(good) });
  const { isAuthenticated, authError, id } = await once(made.listener("connect"), "connect");
  assert.deepEqual([isAuthenticated, authError, made.authToken.sub], [true, undefined, "ann"]);
  assert.equal(typeof id, "string");
  made.disconnect();
  for (const [token, error] of [["x.y.z", "AuthTokenInvalidError"], [late, "AuthTokenExpiredError"]]) {
    const engine = purse(token);
    const other = client({ authEngine: engine });
    const removed = once(other.listener("removeAuthToken"), "removeAuthToken");
    const status = await once(other.listener("connect"), "connect");
    assert.deepEqual([status.isAuthenticated, status.authError.name], [false, error]);
    await removed;
    assert.deepEqual([other.authState, engine.token, other.state],
      ["unauthenticated", null, "open"]);
    await assert.rejects(other.authenticate("x.y.z"), { name: "AuthTokenInvalidError" });
    const answer = await other.authenticate(good);
    assert.deepEqual([answer.isAuthenticated, other.authToken.sub], [true, "ann"]);
    await other.deauthenticate();
    assert.equal(other.authState, "unauthenticated");
    assert.equal(await other.invoke("sum", { a: 2, b: 2 }), 4);
    other.disconnect();
  }
}

async function what_is_batched_is_answered_as_if_it_were_not() {
  const made = client({ batchInterval: 20, batchOnHandshake: true, batchOnHandshakeDuration: 100 });
  const channel = name();
  const told = first(3, made.subscribe(channel));
  await once(made.listener("subscribe"), "subscribe");
  made.startBatching();
  const published = [1, 2, 3].map((number) => made.invokePublish(channel, number));
  const sums = [1, 2, 3].map((a) => made.invoke("sum", { a, b: 1 }));
  assert.deepEqual(await Promise.all(sums), [2, 3, 4]);
  await Promise.all(published);
  assert.deepEqual(await told, [1, 2, 3]);
  made.disconnect();
}

async function who_is_cut_off_subscribes_again_and_is_told_what_comes_then() {
  const [made, other] = [client(), client()];
  const channel = name();
  const stream = await subscribed(made, channel);
  const before = once(stream, "before");
  await other.invokePublish(channel, "before");
  // What is under way when it is cut off is lost.
  assert.equal(await before, "before");
  const again = once(made.listener("subscribe"), "subscribe again");
  const closed = once(made.listener("disconnect"), "disconnect");
  made.transport.socket.terminate();
  assert.equal((await closed).code, 1006);
  await again;
  const after = once(stream, "after");
  await other.invokePublish(channel, "after");
  assert.equal(await after, "after");
  [made, other].forEach((it) => it.disconnect());
}

async function who_is_kicked_out_is_told_nothing_more() {
  const [made, other] = [client(), client()];
  const channel = name();
  const stream = await subscribed(made, channel);
  const heard = [];
  (async () => { for await (const data of stream) heard.push(data); })();
  const kicked = once(stream.listener("kickOut"), "kickOut");
  await kickOut(made, channel);
  assert.equal(typeof (await kicked).message, "string");
  assert.equal(stream.state, "unsubscribed");
  await other.invokePublish(channel, 1);
  await made.invoke("sum", { a: 1, b: 1 });
  assert.deepEqual(heard, []);
  [made, other].forEach((it) => it.disconnect());
}

async function who_unsubscribes_is_told_nothing_more() {
  const made = client();
  const channel = name();
  const stream = await subscribed(made, channel);
  const heard = [];
  (async () => { for await (const data of stream) heard.push(data); })();
  await made.invokePublish(channel, 1);
  made.unsubscribe(channel);
  await made.invokePublish(channel, 2);
  assert.deepEqual(heard, [1]);
  made.disconnect();
}

// A connection of its own, what it is told, and how it is closed.
// Once `more` says what else it says, it says that.
function raw(messages, more = () => null, until = () => false) {
  return within(new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socketcluster/`);
    const heard = [];
    socket.on("open", () => messages.forEach((it) => socket.send(it)));
    socket.on("error", reject);
    socket.on("close", (code) => resolve({ code, heard }));
    socket.on("message", (data) => {
      if (data.length > 0) heard.push(...[JSON.parse(data.toString())].flat());
      const others = more(heard);
      if (others) {
        more = () => null;
        others.forEach((it) => socket.send(it));
      }
      if (until(heard)) socket.close();
    });
  }), `the end of ${messages}`);
}

const SHAKE = '{"event":"#handshake","data":{"authToken":null},"cid":1}';

async function what_comes_too_early_has_its_close_code() {
  for (const [messages, code] of [
    [[""], 4009], [["x"], 4009], [["{}"], 4009], [["[7]"], 4009],
    [['{"event":"#subscribe","data":{"channel":"a"},"cid":1}'], 4009],
    [['{"event":"#handshake","data":{}}'], 4008],
    [[SHAKE, '{"event":"#authenticate","data":"x"}'], 4008],
  ]) {
    const end = await raw(messages);
    assert.equal(end.code, code, `${messages}`);
  }
}

async function what_is_no_packet_is_passed_over_and_what_is_wrong_has_its_error() {
  const call = (cid, event, data) => JSON.stringify({ event, data, cid });
  const { heard } = await raw([
    SHAKE, "x", "[1,2", "{}", "[]", "7", '{"rid":9}', '{"event":7,"cid":3}',
    call(2, "#subscribe", {}), call(3, "#publish", "a"), call(4, "#unsubscribe", {}),
    call(5, "#unsubscribe", "a"), call(6, "#subscribe", { channel: "a" }),
  ], (all) => all.some((it) => it.rid === 6) && [
    call(7, "#subscribe", { channel: "a" }), call(1.5, "sum", { a: 1, b: 2 }),
    '[{"event":"sum","data":{"a":1,"b":3},"cid":0},{"event":"#unsubscribe","data":"a","cid":8}]',
  ], (all) => all.some((it) => it.rid === 8));
  const answers = Object.fromEntries(heard.map((it) => [it.rid, it.error ? "error" : it.data]));
  assert.equal(answers[1].pingTimeout > 0, true);
  delete answers[1];
  assert.deepEqual(answers, { 0: 4, 1.5: 3, 2: "error", 3: "error", 4: "error", 5: "error",
    6: undefined, 7: undefined, 8: undefined });
  assert.equal(heard.find((it) => it.rid === 5).error.name, "BrokerError");
}

(async () => {
  if (place === "oracle") await oracle();
  const all = [
    what_one_client_publishes_all_are_told_in_order,
    calls_are_answered_or_fail_by_name,
    events_are_answered_by_events,
    a_good_token_authenticates_and_a_bad_one_is_taken_away,
    what_is_batched_is_answered_as_if_it_were_not,
    who_is_cut_off_subscribes_again_and_is_told_what_comes_then,
    who_is_kicked_out_is_told_nothing_more,
    who_unsubscribes_is_told_nothing_more,
    what_comes_too_early_has_its_close_code,
    what_is_no_packet_is_passed_over_and_what_is_wrong_has_its_error,
  ];
  for (const sentence of all) {
    try {
      await sentence();
    } catch (error) {
      console.error(`${sentence.name}: ${error.stack}`);
      process.exit(1);
    }
    console.log(sentence.name);
  }
  console.log(`all ${all.length}`);
  process.exit(0);
})();

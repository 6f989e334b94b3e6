// npm's `@rails/actioncable` and `@anycable/core`, unchanged, against `ringstorm serve --dev`:
// node cable.cjs URL
//
// Each function is one sentence that must hold; its name is printed when it does. Ends with 1 at
// the first that does not.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const WebSocket = require("ws");

// What Rails' client finds in a browser.
globalThis.document = { visibilityState: "visible" };
globalThis.addEventListener = globalThis.removeEventListener = () => {};
const ActionCable = require("@rails/actioncable");

ActionCable.adapters.WebSocket = WebSocket;

const url = process.argv[2];
const address = `${url.replace("http", "ws")}/cable`;
const SECONDS = 10;

let names = 0;
const name = () => `cable-${process.pid}-${names += 1}`;

function sign(stream) {
  const data = Buffer.from(JSON.stringify(stream)).toString("base64");
  return `${data}--${crypto.createHmac("sha256", "dev").update(data).digest("hex")}`;
}

async function broadcast(stream, data, key = "dev") {
  const response = await fetch(`${url}/_broadcast`, {
    method: "POST", headers: { Authorization: `Bearer ${key}` },
    body: JSON.stringify({ stream, data: JSON.stringify(data) }),
  });
  return response.status;
}

// What somebody is told, in order, and a wait for one of it.
function ears() {
  const heard = [];
  let check = () => {};
  heard.note = (what, data) => { heard.push([what, data]); check(); };
  heard.until = (what, met = () => true) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`no ${what}; heard ${JSON.stringify(heard)}`));
    }, SECONDS * 1000);
    check = () => {
      const found = heard.find(([kind, data]) => kind === what && met(data));
      if (!found) return;
      clearTimeout(timer);
      check = () => {};
      resolve(found[1]);
    };
    check();
  });
  heard.received = () => heard.filter(([what]) => what === "received").map(([, data]) => data);
  return heard;
}

// A subscription of Rails' client.
function subscribe(consumer, params) {
  const heard = ears();
  const mixin = {};
  for (const what of ["connected", "rejected", "received", "disconnected"]) {
    mixin[what] = (data) => heard.note(what, data);
  }
  const subscription = consumer.subscriptions.create(params, mixin);
  return { subscription, heard };
}

async function what_is_performed_comes_back_whole() {
  const consumer = ActionCable.createConsumer(address);
  const { subscription, heard } = subscribe(consumer, "EchoChannel");
  await heard.until("connected");
  const x = { text: "\u00e9\n\"\u{1f600}", list: [1, { a: null }] };
  subscription.perform("echo", { ...x });
  assert.deepEqual(await heard.until("received"), { ...x, action: "echo" });
  consumer.disconnect();
}

async function what_is_spoken_in_a_room_all_in_it_are_told() {
  const consumers = Array.from({ length: 3 }, () => ActionCable.createConsumer(address));
  const [room, other] = [name(), name()];
  const all = consumers.map((consumer, number) => subscribe(consumer, {
    channel: "ChatChannel", room: number < 2 ? room : other,
  }));
  await Promise.all(all.map(({ heard }) => heard.until("connected")));
  for (let number = 1; number <= 10; number += 1) all[number % 2].subscription.perform("speak", { number });
  for (const { heard } of all.slice(0, 2)) {
    await heard.until("received", () => heard.received().length === 10);
    const told = heard.received().map((it) => it.number);
    assert.deepEqual([...told].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  }
  assert.deepEqual(all[2].heard.received(), []);
  consumers.forEach((it) => it.disconnect());
}

async function what_is_not_there_is_rejected() {
  const consumer = ActionCable.createConsumer(address);
  for (const params of ["OtherChannel", { channel: "$pubsub", signed_stream_name: "a--b" }]) {
    await subscribe(consumer, params).heard.until("rejected");
  }
  consumer.disconnect();
}

async function whoever_comes_back_subscribes_again() {
  const consumer = ActionCable.createConsumer(address);
  const { subscription, heard } = subscribe(consumer, { channel: "ChatChannel", room: name() });
  await heard.until("connected");
  consumer.connection.reopen();
  await heard.until("disconnected");
  heard.length = 0;
  await heard.until("connected");
  subscription.perform("speak", { n: 1 });
  assert.equal((await heard.until("received")).n, 1);
  consumer.disconnect();
}

async function a_signed_stream_is_told_what_is_broadcast() {
  const consumer = ActionCable.createConsumer(address);
  const stream = name();
  const pubsub = subscribe(consumer, { channel: "$pubsub", signed_stream_name: sign(stream) });
  const turbo = subscribe(consumer, {
    channel: "Turbo::StreamsChannel", signed_stream_name: sign(stream),
  });
  await Promise.all([pubsub, turbo].map(({ heard }) => heard.until("connected")));
  assert.equal(await broadcast(stream, { html: "<p>\u00e9</p>" }), 201);
  assert.equal(await broadcast(stream, 1, "no key"), 401);
  for (const { heard } of [pubsub, turbo]) {
    assert.deepEqual(await heard.until("received"), { html: "<p>\u00e9</p>" });
  }
  pubsub.subscription.unsubscribe();
  await broadcast(stream, 2);
  await turbo.heard.until("received", (data) => data === 2);
  assert.equal(pubsub.heard.received().length, 1);
  consumer.disconnect();
}

async function whoever_the_application_ends_stays_away() {
  const consumer = ActionCable.createConsumer(`${address}?jid=`);
  const { heard } = subscribe(consumer, { channel: "ChatChannel", room: name() });
  await heard.until("connected");
  const channels = await fetch(`${url}/api/disconnect`, {
    method: "POST", headers: { "X-API-Key": "dev" }, body: JSON.stringify({ user: "" }),
  });
  assert.equal(channels.status, 200);
  await heard.until("disconnected", (it) => it.willAttemptReconnect === false);
}

// The confirmations and rejections of a connection that says these things.
async function raw(messages, count) {
  const socket = new WebSocket(address, "actioncable-v1-json");
  const heard = [];
  await new Promise((resolve, reject) => {
    socket.on("open", () => messages.forEach((it) => socket.send(it)));
    socket.on("error", reject);
    socket.on("message", (data) => {
      const read = JSON.parse(data.toString());
      if (read.type !== "ping") heard.push(read);
      if (heard.length === count) resolve();
    });
  });
  socket.terminate();
  return heard;
}

async function whoever_subscribes_twice_is_told_twice() {
  const subscribe = JSON.stringify({ command: "subscribe", identifier: '{"channel":"EchoChannel"}' });
  const heard = await raw(["x", "{}", subscribe, subscribe], 3);
  assert.deepEqual(heard.map((it) => it.type),
    ["welcome", "confirm_subscription", "confirm_subscription"]);
}

async function anycable(options = {}) {
  const { createCable } = await import(require.resolve("@anycable/core"));
  return createCable(address, {
    websocketImplementation: WebSocket, reconnectStrategy: () => 50, logLevel: "error", ...options,
  });
}

async function anycable_speaks_both_protocols() {
  for (const protocol of ["actioncable-v1-json", "actioncable-v1-ext-json"]) {
    const cable = await anycable({ protocol });
    const heard = ears();
    const channel = cable.subscribeTo("ChatChannel", { room: name() });
    channel.on("message", (data) => heard.note("received", data));
    await channel.ensureSubscribed();
    await channel.perform("speak", { n: 1 });
    assert.equal((await heard.until("received")).n, 1);
    await assert.rejects(cable.subscribeTo("OtherChannel").ensureSubscribed(),
      { name: "SubscriptionRejectedError" });
    cable.disconnect();
  }
}

async function anycable_is_given_what_it_missed() {
  const cable = await anycable({
    protocol: "actioncable-v1-ext-json", reconnectStrategy: () => 300,
  });
  const stream = name();
  const heard = ears();
  const channel = cable.streamFromSigned(sign(stream));
  channel.on("message", (data, meta) => heard.note("received", [data, meta?.offset]));
  channel.on("info", ({ type }) => heard.note(type));
  await channel.ensureSubscribed();
  await broadcast(stream, 1);
  await heard.until("received");
  heard.length = 0;
  // Without a close frame, and nobody comes back before all is said.
  const closed = new Promise((resolve) => { cable.on("disconnect", resolve); });
  cable.transport.ws.terminate();
  await Promise.all([broadcast(stream, 2), closed]);
  await broadcast(stream, 3);
  await heard.until("received", ([, offset]) => offset === 3);
  await heard.until("history_received");
  assert.deepEqual(heard.received(), [[2, 2], [3, 3]]);
  await broadcast(stream, 4);
  await heard.until("received", ([data]) => data === 4);
  cable.disconnect();
}

async function who_joins_is_told_to_all_and_named_to_who_asks() {
  const cables = await Promise.all([0, 1, 2].map(() => anycable({
    protocol: "actioncable-v1-ext-json",
  })));
  const stream = name();
  const channels = cables.map((cable) => cable.streamFrom(stream));
  const ears_of = channels.map((channel) => {
    const heard = ears();
    channel.on("presence", (event) => heard.note(event.type, event));
    return heard;
  });
  await Promise.all(channels.map((it) => it.ensureSubscribed()));
  const [ann, tab, bob] = channels;
  await ann.presence.join("ann", { name: "Ann" });
  for (const heard of ears_of) {
    const { id, info } = await heard.until("join");
    assert.deepEqual([id, info], ["ann", { name: "Ann" }]);
  }
  assert.deepEqual(await bob.presence.info(), { ann: { name: "Ann" } });
  await tab.presence.join("ann", { name: "Ann" });
  await bob.presence.join(7, { name: "Bob" });
  await ears_of[0].until("join", ({ id }) => id === "7");
  assert.deepEqual(await ann.presence.info(), { ann: { name: "Ann" }, 7: { name: "Bob" } });
  // One tab of two: she is there still.
  await ann.presence.leave();
  await bob.presence.leave();
  await ears_of[0].until("leave", ({ id }) => id === "7");
  assert.deepEqual(await ann.presence.info(), { ann: { name: "Ann" } });
  assert.equal(ears_of[0].filter(([what]) => what === "join").length, 2);
  // Cut off, and back: it joins again by itself.
  const back = new Promise((resolve) => { tab.on("connect", resolve); });
  cables[1].transport.ws.terminate();
  await ears_of[0].until("leave", ({ id }) => id === "ann");
  await back;
  await ears_of[0].until("join", (event) => event.id === "ann" && event !== ears_of[0][0][1]);
  await assert.rejects(cables[0].subscribeTo("EchoChannel").presence.info());
  cables.forEach((it) => it.disconnect());
}

async function a_whisper_reaches_the_others() {
  const [one, two] = await Promise.all([
    anycable({ protocol: "actioncable-v1-ext-json" }), anycable({ protocol: "actioncable-v1-json" }),
  ]);
  const stream = name();
  const channels = [one, two].map((cable) => cable.streamFrom(stream));
  const all = channels.map((channel) => {
    const heard = ears();
    channel.on("message", (data) => heard.note("received", data));
    return heard;
  });
  await Promise.all(channels.map((it) => it.ensureSubscribed()));
  await channels[0].whisper({ event: "typing" });
  assert.deepEqual(await all[1].until("received"), { event: "typing" });
  await channels[1].whisper(2);
  assert.equal(await all[0].until("received"), 2);
  assert.deepEqual([all[0].received(), all[1].received()], [[2], [{ event: "typing" }]]);
  [one, two].forEach((it) => it.disconnect());
}

// The events of a stream, until one of them is what is waited for.
async function events(path, is_last) {
  const stop = new AbortController();
  const response = await fetch(`${url}${path}`, { signal: stop.signal });
  assert.match(response.headers.get("Content-Type"), /^text\/event-stream/);
  let text = "";
  for await (const chunk of response.body) {
    text += Buffer.from(chunk).toString();
    if (is_last(text)) break;
  }
  stop.abort();
  return text;
}

async function the_dashboard_tells_figures_and_triggers_a_broadcast() {
  const told = await events("/dashboard/stream", (text) => /^data: .*\n\n/m.test(text));
  const figures = JSON.parse(told.match(/^data: (.*)$/m)[1]);
  assert.ok(figures.uptime_s > 0 && Array.isArray(figures.cores), told);
  const consumer = ActionCable.createConsumer(address);
  const { heard } = subscribe(consumer, { channel: "$pubsub", stream_name: "test-pubsub" });
  await heard.until("connected");
  const response = await fetch(`${url}/dashboard/trigger-test-pubsub`);
  assert.equal(response.status, 200);
  assert.equal((await response.json()).connections, 1);
  assert.deepEqual(await heard.until("received"), { event: "test", text: "test" });
  consumer.disconnect();
}

(async () => {
  const all = [
    what_is_performed_comes_back_whole,
    what_is_spoken_in_a_room_all_in_it_are_told,
    what_is_not_there_is_rejected,
    whoever_comes_back_subscribes_again,
    a_signed_stream_is_told_what_is_broadcast,
    whoever_subscribes_twice_is_told_twice,
    anycable_speaks_both_protocols,
    anycable_is_given_what_it_missed,
    who_joins_is_told_to_all_and_named_to_who_asks,
    a_whisper_reaches_the_others,
    the_dashboard_tells_figures_and_triggers_a_broadcast,
    // It ends everybody.
    whoever_the_application_ends_stays_away,
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

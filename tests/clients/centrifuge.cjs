// npm's `centrifuge`, unchanged, against `ringstorm serve --dev`: node centrifuge.cjs URL
//
// Each function is one sentence that must hold; its name is printed when it does. Ends with 1 at
// the first that does not.
"use strict";

const assert = require("node:assert/strict");
const { Centrifuge } = require("centrifuge");
const WebSocket = require("ws");

const url = process.argv[2];
const SECONDS = 10;

function client(options = {}) {
  const made = new Centrifuge(`${url.replace("http", "ws")}/connection/websocket`, {
    websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 100, ...options,
  });
  made.on("error", (context) => { made.lastError = context.error; });
  return made;
}

async function api(method, body, key = "dev") {
  const response = await fetch(`${url}/api/${method}`, {
    method: "POST", headers: { "X-API-Key": key }, body: JSON.stringify(body),
  });
  return response.status === 200 ? (await response.json()).result : response.status;
}

// What an emitter says under some names, in order, and a wait for one of it.
function ear(emitter, ...names) {
  const heard = [];
  const waiting = [];
  for (const name of names) {
    emitter.on(name, (context) => {
      heard.push([name, context]);
      for (const check of [...waiting]) check();
    });
  }
  heard.until = (met) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not heard; heard ${
      JSON.stringify(heard.map(([name, it]) => [name, it.data ?? it.code ?? ""]))}`)),
    SECONDS * 1000);
    const check = () => {
      const found = heard.find(([name, context]) => met(name, context));
      if (!found) return;
      clearTimeout(timer);
      waiting.splice(waiting.indexOf(check), 1);
      resolve(found[1]);
    };
    waiting.push(check);
    check();
  });
  return heard;
}

let channels = 0;
const name = () => `js:${process.pid}-${channels += 1}`;

async function subscribed(centrifuge, channel, options) {
  const subscription = centrifuge.newSubscription(channel, options);
  const heard = ear(subscription, "subscribed", "publication", "join", "leave", "unsubscribed",
    "subscribing", "error");
  subscription.subscribe();
  centrifuge.connect();
  await subscription.ready(SECONDS * 1000);
  return [subscription, heard];
}

// The connection is gone, without a close frame.
const cut = (centrifuge) => centrifuge._transport._transport.terminate();

async function what_one_client_publishes_all_are_told_in_order() {
  const channel = name();
  const clients = Array.from({ length: 6 }, () => client());
  const all = await Promise.all(clients.map((it) => subscribed(it, channel)));
  for (let number = 1; number <= 20; number += 1) {
    await all[number % 6][0].publish({ number });
  }
  for (const [, heard] of all) {
    await heard.until((name, it) => name === "publication" && it.data.number === 20);
    const told = heard.filter(([name]) => name === "publication").map(([, it]) => it);
    assert.deepEqual(told.map((it) => it.offset), Array.from({ length: 20 }, (_, i) => i + 1));
    assert.deepEqual(told.map((it) => it.data.number), told.map((it) => it.offset));
  }
  clients.forEach((it) => it.disconnect());
}

async function history_and_presence_are_what_was_said_and_who_is_there() {
  const channel = name();
  const [one, two] = [client(), client()];
  const [subscription] = await subscribed(one, channel);
  await subscribed(two, channel);
  for (const number of [1, 2, 3]) await subscription.publish(number);
  const history = await subscription.history({ limit: 2, reverse: true });
  assert.deepEqual(history.publications.map((it) => it.data), [3, 2]);
  assert.equal(history.offset, 3);
  const since = { offset: 2, epoch: history.epoch };
  const later = await subscription.history({ limit: 10, since });
  assert.deepEqual(later.publications.map((it) => it.offset), [3]);
  const { clients } = await subscription.presence();
  assert.equal(Object.keys(clients).length, 2);
  const stats = await subscription.presenceStats();
  assert.deepEqual([stats.numClients, stats.numUsers], [2, 1]);
  [one, two].forEach((it) => it.disconnect());
}

async function who_comes_and_goes_is_told() {
  const channel = name();
  const [one, two] = [client(), client()];
  const [, heard] = await subscribed(one, channel);
  await subscribed(two, channel);
  const joined = await heard.until((name, it) => name === "join" && heard.length > 2
    && it.info.client !== heard.find(([name]) => name === "join")[1].info.client);
  two.disconnect();
  const left = await heard.until((name) => name === "leave");
  assert.equal(left.info.client, joined.info.client);
  one.disconnect();
}

async function calls_are_answered_or_refused() {
  const centrifuge = client();
  centrifuge.connect();
  assert.deepEqual((await centrifuge.rpc("echo", { a: [1, "\n"] })).data, { a: [1, "\n"] });
  await assert.rejects(centrifuge.rpc("nothing", {}), { code: 104 });
  await assert.rejects(centrifuge.publish("", 1), { code: 107 });
  await centrifuge.send({ whatever: true });
  centrifuge.disconnect();
}

async function what_was_missed_during_a_cut_comes_after_it() {
  const channel = name();
  const centrifuge = client();
  const [, heard] = await subscribed(centrifuge, channel);
  await api("publish", { channel, data: 1 });
  await heard.until((name, it) => name === "publication" && it.data === 1);
  cut(centrifuge);
  for (const data of [2, 3, 4]) await api("publish", { channel, data });
  await heard.until((name, it) => name === "publication" && it.data === 4);
  await api("publish", { channel, data: 5 });
  await heard.until((name, it) => name === "publication" && it.data === 5);
  const told = heard.filter(([name]) => name === "publication").map(([, it]) => it.offset);
  assert.deepEqual(told, [1, 2, 3, 4, 5]);
  const again = heard.filter(([name]) => name === "subscribed")[1][1];
  assert.deepEqual([again.wasRecovering, again.recovered], [true, true]);
  centrifuge.disconnect();
}

async function what_is_lost_for_good_is_told() {
  const channel = name();
  const centrifuge = client();
  const [, heard] = await subscribed(centrifuge, channel);
  cut(centrifuge);
  await api("publish", { channel, data: 1 });
  await api("history_remove", { channel });
  const again = await heard.until((name, it) => name === "subscribed" && it.wasRecovering);
  assert.equal(again.recovered, false);
  centrifuge.disconnect();
}

async function the_application_subscribes_and_unsubscribes_a_client() {
  const channel = name();
  const centrifuge = client();
  const heard = ear(centrifuge, "connected", "subscribed", "publication", "unsubscribed");
  centrifuge.connect();
  const { client: id } = await heard.until((name) => name === "connected");
  assert.deepEqual(await api("subscribe", { client: id, user: "", channel }), { clients: 1 });
  await heard.until((name, it) => name === "subscribed" && it.channel === channel);
  await api("publish", { channel, data: "x" });
  await heard.until((name, it) => name === "publication" && it.data === "x");
  await api("unsubscribe", { client: id, user: "", channel });
  await heard.until((name, it) => name === "unsubscribed" && it.channel === channel);
  centrifuge.disconnect();
}

async function the_application_ends_a_subscription_for_good() {
  const channel = name();
  const centrifuge = client();
  const [subscription, heard] = await subscribed(centrifuge, channel);
  await api("unsubscribe", { user: "", channel });
  const ended = await heard.until((name) => name === "unsubscribed");
  assert.equal(ended.code, 2000);
  assert.equal(subscription.state, "unsubscribed");
  centrifuge.disconnect();
}

async function a_final_code_keeps_a_client_away_and_another_brings_it_back() {
  const centrifuge = client();
  const heard = ear(centrifuge, "connected", "connecting", "disconnected");
  centrifuge.connect();
  const first = await heard.until((name) => name === "connected");
  await api("disconnect", { client: first.client, disconnect: { code: 4000, reason: "" } });
  const second = await heard.until((name, it) => name === "connected" && it !== first);
  await api("disconnect", { client: second.client, user: "" });
  const ended = await heard.until((name) => name === "disconnected");
  assert.equal(ended.code, 3503);
  assert.equal(centrifuge.state, "disconnected");
}

async function who_shows_a_token_that_nobody_can_check_stays_away() {
  const centrifuge = client({ token: "a.b.c" });
  const heard = ear(centrifuge, "disconnected");
  centrifuge.connect();
  const ended = await heard.until((name) => name === "disconnected");
  assert.equal(ended.code, 3500);
}

async function a_client_has_at_most_128_subscriptions() {
  const centrifuge = client();
  const all = Array.from({ length: 129 }, () => centrifuge.newSubscription(name()));
  const refused = Promise.race(all.map((it) => new Promise((resolve) => {
    it.on("error", ({ error }) => resolve(error.code));
    it.on("unsubscribed", ({ code }) => resolve(code));
  })));
  all.forEach((it) => it.subscribe());
  centrifuge.connect();
  assert.equal(await refused, 106);
  const stand = () => all.filter((it) => it.state === "subscribed").length;
  for (let waits = 0; stand() < 128 && waits < SECONDS * 100; waits += 1) {
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
  assert.equal(stand(), 128);
  centrifuge.disconnect();
}

async function a_pattern_is_told_of_every_channel_that_it_takes_and_where() {
  const prefix = `${name()}:`;
  const centrifuge = client();
  const [, heard] = await subscribed(centrifuge, `${prefix}*`);
  for (const channel of ["a", "b", "c"]) await api("publish", { channel: prefix + channel, data: 1 });
  await heard.until((name, it) => name === "publication" && it.tags.channel === `${prefix}c`);
  cut(centrifuge);
  const again = await heard.until((name, it) => name === "subscribed"
    && it !== heard.find(([name]) => name === "subscribed")[1]);
  assert.equal(again.recovered, false);
  await api("publish", { channel: `${prefix}d`, data: 2, tags: { t: "1" } });
  const last = await heard.until((name, it) => name === "publication" && it.data === 2);
  assert.deepEqual(last.tags, { channel: `${prefix}d`, t: "1" });
  const told = heard.filter(([name]) => name === "publication").map(([, it]) => it.data);
  assert.deepEqual(told, [1, 1, 1, 2]);
  centrifuge.disconnect();
}

async function what_is_not_kept_is_told_and_not_recovered() {
  const channel = name();
  const centrifuge = client();
  const [, heard] = await subscribed(centrifuge, channel);
  await api("publish", { channel, data: 1, skip_history: true });
  await heard.until((name, it) => name === "publication" && it.data === 1);
  cut(centrifuge);
  await api("publish", { channel, data: 2, skip_history: true });
  await api("publish", { channel, data: 3 });
  const kept = await heard.until((name, it) => name === "publication" && it.data === 3);
  assert.equal(kept.offset, 1);
  const again = heard.filter(([name]) => name === "subscribed").at(-1)[1];
  assert.equal(again.recovered, true);
  centrifuge.disconnect();
}

async function the_api_wants_its_key() {
  assert.equal(await api("info", {}, "other"), 401);
  assert.equal((await api("info", {})).nodes.length, 1);
}

const sentences = [
  what_one_client_publishes_all_are_told_in_order,
  history_and_presence_are_what_was_said_and_who_is_there,
  who_comes_and_goes_is_told,
  calls_are_answered_or_refused,
  what_was_missed_during_a_cut_comes_after_it,
  what_is_lost_for_good_is_told,
  the_application_subscribes_and_unsubscribes_a_client,
  the_application_ends_a_subscription_for_good,
  a_final_code_keeps_a_client_away_and_another_brings_it_back,
  who_shows_a_token_that_nobody_can_check_stays_away,
  a_client_has_at_most_128_subscriptions,
  a_pattern_is_told_of_every_channel_that_it_takes_and_where,
  what_is_not_kept_is_told_and_not_recovered,
  the_api_wants_its_key,
];

(async () => {
  for (const sentence of sentences) {
    await sentence();
    console.log(sentence.name);
  }
  console.log(`all ${sentences.length}`);
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

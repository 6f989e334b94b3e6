// What the clients' own libraries make of many packets, a line of JSON each:
//
//     NODE_PATH=target/clients-npm/node_modules node tests/clients/corpus.cjs > tests/npm_corpus/packets.jsonl
//
// `tests/npm_corpus.rs` reads them with our codecs. The same lines come out every time.
"use strict";

const { Encoder, PacketType } = require("socket.io-parser");
const { encodePayload } = require("engine.io-parser");
const formatter = require("sc-formatter");
const { Subscription } = require("@rails/actioncable");

const EACH = 60;
let seed = 17;

// A generator of 32 bits (Marsaglia's xorshift).
function random(below) {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % below;
}

const pick = (list) => list[random(list.length)];
const TEXTS = ["", "a", "say", "news", "two words", "\"quoted\"", "back\\slash", "line\nfeed", "tab\t",
  "\u0000", "\u007f", "\u00e9", "\u2028\u2029", "\u20ac", "\u{1f600}", "\ud800 alone", "1", "-7", "null",
  "{\"a\":1}", "[", "/", ",", "-", "0", "42[\"x\"]", "x".repeat(200)];
const NAMES = ["say", "join", "echo", "two words", "\u00e9v\u00e9nement", "a,b", "a/b", "1", "\"", "\u{1f600}"];
const SPACES = ["/", "/", "/", "/admin", "/a-b", "/a/b", "/chat.1"];

function value(depth = 0) {
  switch (random(depth > 2 ? 5 : 8)) {
    case 0: return pick(TEXTS);
    case 1: return random(2 ** 31) - 2 ** 30;
    case 2: return pick([true, false, null, 0, -0, 1.5, 1e21, 1e-7, 2 ** 53]);
    case 3: return random(1000) / 8;
    case 4: return pick(TEXTS);
    case 5: return Array.from({ length: random(4) }, () => value(depth + 1));
    default: return Object.fromEntries(
      Array.from({ length: random(4) }, () => [pick(TEXTS), value(depth + 1)]));
  }
}

const bytes = () => Buffer.from(Array.from({ length: random(40) }, () => random(256)));
const line = (what) => console.log(JSON.stringify(what));

function socketio() {
  const encoder = new Encoder();
  for (let at = 0; at < EACH; at += 1) {
    const space = pick(SPACES);
    const kind = pick(["CONNECT", "DISCONNECT", "EVENT", "EVENT", "EVENT", "ACK"]);
    const packet = { type: PacketType[kind], nsp: space };
    if (kind === "CONNECT") packet.data = pick([undefined, {}, { token: pick(TEXTS) }]);
    if (kind === "EVENT") packet.data = [pick(NAMES), ...Array.from({ length: random(4) }, () => value())];
    if (kind === "ACK") packet.data = Array.from({ length: random(3) }, () => value());
    if (kind === "ACK" || (kind === "EVENT" && random(2))) packet.id = random(pick([10, 2 ** 31]));
    const binary = packet.data && kind !== "CONNECT" ? random(3) : 0;
    for (let more = 0; more < binary; more += 1) packet.data.push(pick([bytes(), { deep: [bytes()] }]));
    const [text, ...attachments] = encoder.encode(packet);
    const json = text.slice(text.search(/[[{]/));
    line({ of: "socketio", text: `4${text}`, kind, space, id: packet.id ?? null,
      attachments: attachments.length, data: packet.data === undefined ? "" : json,
      name: kind === "EVENT" ? packet.data[0] : null,
      arguments: kind === "EVENT" ? packet.data.length - 1 : null });
  }
}

function payloads() {
  for (let at = 0; at < EACH; at += 1) {
    const packets = Array.from({ length: 1 + random(4) }, () => (random(4)
      ? { type: "message", data: pick(TEXTS).toWellFormed() } : { type: "message", data: bytes() }));
    encodePayload(packets, (payload) => line({ of: "payload", payload, packets: packets.map(
      ({ data }) => (typeof data === "string" ? { text: `4${data}` } : { binary: [...data] })) }));
  }
}

function socketcluster() {
  for (let at = 0; at < EACH; at += 1) {
    const packets = Array.from({ length: random(3) ? 1 : 1 + random(4) }, () => {
      const packet = { event: pick([...NAMES, "#publish", "#subscribe", "#handshake"]), data: value() };
      if (random(2)) packet.cid = 1 + random(2 ** 20);
      return packet;
    });
    const isBatch = packets.length > 1 || random(8) === 0;
    line({ of: "socketcluster", text: formatter.encode(isBatch ? packets : packets[0]),
      packets: packets.map(({ event, data, cid }) => (
        { event, data: JSON.stringify(data), cid: cid ?? null })) });
  }
}

function cable() {
  const said = [];
  const consumer = { subscriptions: {}, send: (data) => said.push(data) };
  for (let at = 0; at < EACH; at += 1) {
    const params = { channel: pick(["ChatChannel", "EchoChannel", "$pubsub"]), room: value() };
    const subscription = new Subscription(consumer, params, {});
    const action = pick(NAMES);
    // Half a character is no name here.
    const data = Object.fromEntries(
      Array.from({ length: random(3) }, () => [pick(TEXTS).toWellFormed(), value()]));
    subscription.perform(action, { ...data });
    const [message] = said.splice(0);
    const { identifier } = subscription;
    for (const command of [{ command: "subscribe", identifier }, message,
      { command: "unsubscribe", identifier }]) {
      line({ of: "cable", text: JSON.stringify(command), command: command.command, identifier,
        channel: params.channel, action: command.data ? action : null, data: command.data ?? null });
    }
  }
}

[socketio, payloads, socketcluster, cable].forEach((make) => make());

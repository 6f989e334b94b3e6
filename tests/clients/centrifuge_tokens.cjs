// npm's `centrifuge`, unchanged, against `ringstorm serve` with tokens:
// node centrifuge_tokens.cjs URL SECRET
//
// Each function is one sentence that must hold; its name is printed when it does. Ends with 1 at
// the first that does not.
"use strict";

const assert = require("node:assert/strict");
const { createHmac } = require("node:crypto");
const { Centrifuge, UnauthorizedError } = require("centrifuge");
const WebSocket = require("ws");

const [url, secret] = process.argv.slice(2);
const MILLISECONDS = 10_000;

// A JWT with HS256 (RFC 7515, 7.1).
function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const after = (seconds) => Math.floor(Date.now() / 1000) + seconds;

function client(options) {
  return new Centrifuge(`${url.replace("http", "ws")}/connection/websocket`, {
    websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 100, ...options,
  });
}

const heard = (emitter, name) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`no ${name}`)), MILLISECONDS);
  emitter.once(name, (context) => {
    clearTimeout(timer);
    resolve(context);
  });
});

async function publish(channel, data) {
  const response = await fetch(`${url}/api/publish`, {
    method: "POST", headers: { "X-API-Key": secret }, body: JSON.stringify({ channel, data }),
  });
  assert.equal(response.status, 200);
}

async function without_a_token_a_client_stays_away() {
  for (const [shown, code] of [[undefined, 3507], [`${token({ sub: "ann" })}x`, 3500]]) {
    const centrifuge = client({ token: shown });
    const gone = heard(centrifuge, "disconnected");
    centrifuge.connect();
    assert.equal((await gone).code, code);
  }
}

async function a_token_subscribes_its_user_and_a_cut_is_made_whole() {
  const centrifuge = client({ token: token({ sub: "ann", channels: ["js:own"] }) });
  const subscribed = heard(centrifuge, "subscribed");
  centrifuge.connect();
  assert.equal((await subscribed).channel, "js:own");
  const first = heard(centrifuge, "publication");
  await publish("js:own", 1);
  assert.equal((await first).data, 1);
  const missed = heard(centrifuge, "publication");
  const again = heard(centrifuge, "subscribed");
  centrifuge._transport._transport.terminate();
  await publish("js:own", 2);
  assert.equal((await again).recovered, true);
  const { data, offset } = await missed;
  assert.deepEqual([data, offset], [2, 2]);
  centrifuge.disconnect();
}

async function a_token_that_has_expired_is_fetched_anew() {
  let fetched = 0;
  const centrifuge = client({
    token: token({ sub: "ann", exp: after(-1) }),
    getToken: async () => {
      fetched += 1;
      return token({ sub: "ann", exp: after(600) });
    },
  });
  const connected = heard(centrifuge, "connected");
  centrifuge.connect();
  await connected;
  assert.equal(fetched, 1);
  centrifuge.disconnect();
}

async function a_connection_is_refreshed_before_it_expires() {
  let fetched = 0;
  let refreshed;
  const twice = new Promise((resolve) => { refreshed = resolve; });
  const centrifuge = client({
    getToken: async () => {
      fetched += 1;
      if (fetched === 3) refreshed();
      return token({ sub: "ann", exp: after(2) });
    },
  });
  const gone = [];
  centrifuge.on("connecting", (context) => gone.push(context.code));
  centrifuge.connect();
  await twice;
  assert.deepEqual(gone, [0]);
  centrifuge.disconnect();
}

async function a_subscription_has_a_token_of_its_own() {
  const centrifuge = client({ token: token({ sub: "ann" }) });
  let fetched = 0;
  let refreshed;
  const twice = new Promise((resolve) => { refreshed = resolve; });
  const subscription = centrifuge.newSubscription("js:private", {
    getToken: async ({ channel }) => {
      fetched += 1;
      if (fetched === 3) refreshed();
      return token({ sub: "ann", channel, exp: after(2) });
    },
  });
  const other = centrifuge.newSubscription("js:other", {
    getToken: async () => { throw new UnauthorizedError(); },
  });
  const without = centrifuge.newSubscription("js:closed");
  const refused = heard(without, "unsubscribed");
  for (const it of [subscription, other, without]) it.subscribe();
  centrifuge.connect();
  await subscription.ready(MILLISECONDS);
  assert.equal((await refused).code, 103);
  const said = heard(subscription, "publication");
  await publish("js:private", "hello");
  assert.equal((await said).data, "hello");
  const history = await subscription.history({ limit: 1 });
  assert.equal(history.publications[0].data, "hello");
  await assert.rejects(subscription.publish("no"), { code: 103 });
  await twice;
  assert.equal(subscription.state, "subscribed");
  centrifuge.disconnect();
}

const sentences = [
  without_a_token_a_client_stays_away,
  a_token_subscribes_its_user_and_a_cut_is_made_whole,
  a_token_that_has_expired_is_fetched_anew,
  a_connection_is_refreshed_before_it_expires,
  a_subscription_has_a_token_of_its_own,
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

// Clients of other makes as a page loads them, unchanged and with their default options, in a
// browser: each is told what is published, is cut off by `kill -9` of the server, and is told again
// once there is another at that address. On each engine.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { chromium } = require("playwright-core");
const { Server } = require("./server.cjs");

const binary = process.argv[2];
const modules = process.env.NODE_PATH;
// The client of SocketCluster waits for 10 to 20 s before it comes back.
const TIME = 60_000;

const PAGE = `<!doctype html><title>Clients</title>
<script type="importmap">{"imports": {
  "socketcluster": "/npm/socketcluster-client/socketcluster-client.min.js",
  "actioncable": "/npm/@rails/actioncable/app/assets/javascripts/actioncable.esm.js",
  "anycable": "/npm/@anycable/core/index.js",
  "nanoevents": "/npm/nanoevents/index.js"
}}</script>
<script src="/npm/socket.io-client/dist/socket.io.js"></script>
<script type="module">
const heard = globalThis.heard = {};
const note = (who, what) => { (heard[who] ??= []).push(what); };
const cable = \`ws://\${location.host}/cable\`;
const load = {
  async socketcluster() {
    const { create } = await import("socketcluster");
    const { hostname, port } = location;
    const socket = create({ hostname, port: Number(port) });
    (async () => { for await (const data of socket.subscribe("news")) note("socketcluster", data); })();
    (async () => { for await (const _ of socket.listener("error")); })();
    (async () => {
      for await (const _ of socket.listener("subscribe")) note("socketcluster", "stands");
    })();
  },
  async actioncable() {
    const { createConsumer } = await import("actioncable");
    createConsumer().subscriptions.create({ channel: "$pubsub", stream_name: "news" }, {
      connected() { note("actioncable", "stands"); },
      received(data) { note("actioncable", data); },
    });
  },
  async anycable() {
    const { createCable } = await import("anycable");
    const channel = createCable(cable, { protocol: "actioncable-v1-ext-json" }).streamFrom("news");
    channel.on("connect", () => note("anycable", "stands"));
    channel.on("message", (data) => note("anycable", data));
    channel.on("presence", ({ type, id }) => note("anycable", \`\${type} \${id}\`));
    channel.presence.join("ann", { name: "Ann" });
  },
  async socketio() {
    const socket = io();
    socket.on("connect", async () => {
      await socket.emitWithAck("join", "news");
      note("socketio", "stands");
    });
    socket.on("said", (data) => note("socketio", data));
    socket.io.engine.on("upgrade", ({ name }) => note("socketio", \`upgraded to \${name}\`));
  },
};
await Promise.all(Object.values(load).map((begin) => begin()));
</script>`;

const CLIENTS = ["socketcluster", "actioncable", "anycable", "socketio"];
const USED = ["socketcluster-client", "@rails/actioncable", "@anycable/core", "nanoevents",
  "socket.io-client"];

// A folder that the server gives to browsers: the page, and the packages as they are installed.
function folder() {
  const to = fs.mkdtempSync(path.join(os.tmpdir(), "ringstorm-clients-"));
  fs.writeFileSync(path.join(to, "clients.html"), PAGE);
  for (const name of USED) {
    fs.cpSync(path.join(modules, name), path.join(to, "npm", name), {
      recursive: true, filter: (file) => !/node_modules.*node_modules|\.(map|ts|md)$/.test(file),
    });
  }
  return to;
}

// Waits until each of the clients has heard that, so many times, and says what they have heard.
async function all(page, what, times) {
  try {
    await page.waitForFunction(([clients, wanted, least]) => clients.every((name) =>
      (globalThis.heard?.[name] ?? []).filter((it) => it === wanted).length >= least),
    [CLIENTS, what, times], { timeout: TIME });
  } catch (error) {
    const heard = await page.evaluate(() => JSON.stringify(globalThis.heard));
    throw new Error(`not all heard ${what}: ${heard}`, { cause: error });
  }
  return page.evaluate(() => globalThis.heard);
}

async function publish(server, data) {
  const answer = await fetch(`${server.url}/api/publish`, {
    method: "POST", headers: { "X-API-Key": "dev" },
    body: JSON.stringify({ channel: "news", data }),
  });
  assert.equal(answer.status, 200);
}

async function throughCuts(browser, engine, files) {
  const flags = ["--engine", engine, "--public", files];
  const page = await browser.newPage();
  let server = await Server.start(binary, flags);
  try {
    const faults = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(`${server.url}/clients.html`);
    await all(page, "stands", 1);
    await publish(server, "first");
    let heard = await all(page, "first", 1);
    assert.ok(heard.socketio.includes("upgraded to websocket"), JSON.stringify(heard.socketio));
    assert.ok(heard.anycable.includes("join ann"), JSON.stringify(heard.anycable));
    // Once without a word, once with all that a server says when it ends.
    for (const [number, signal] of ["SIGKILL", "SIGTERM"].entries()) {
      await server.end(signal);
      const listen = server.url.replace("http://", "");
      server = await Server.start(binary, flags, { listen });
      await all(page, "stands", number + 2);
      await publish(server, signal);
      heard = await all(page, signal, 1);
    }
    for (const name of CLIENTS) {
      const told = heard[name].filter((it) => ["first", "SIGKILL", "SIGTERM"].includes(it));
      assert.deepEqual(told, ["first", "SIGKILL", "SIGTERM"], name);
    }
    assert.deepEqual(faults, []);
  } finally {
    await page.close();
    await server.end("SIGKILL");
  }
}

async function main() {
  const files = folder();
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  let failed = 0;
  try {
    for (const engine of ["ring", "tokio"]) {
      const name = `clients of other makes in a page come through cuts: ${engine}`;
      try {
        await throughCuts(browser, engine, files);
        console.log(`ok ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED ${name}\n${error.stack ?? error}`);
      }
    }
  } finally {
    await browser.close();
    fs.rmSync(files, { recursive: true });
  }
  process.exit(failed > 0 ? 1 : 0);
}

main();

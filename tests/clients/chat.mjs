// What the page of the chat says and hears, twice: node chat.mjs PAGE URL
//
// The script of the page, as the server gives it, is matched with itself and talks; then one of the
// two loses its connection, comes back by itself and is matched again. Ends with 0 once all is so.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const [page, url] = process.argv.slice(2);
const made = [];
globalThis.WebSocket = class extends require("ws") {
  constructor(...all) {
    super(...all);
    made.push(this);
  }
};

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "chat-"));
const file = path.join(folder, "session.mjs");
fs.writeFileSync(file, await (await fetch(`${page}session.js`)).text());
const { openSession } = await import(pathToFileURL(file));
fs.rmSync(folder, { recursive: true });

function enter(name) {
  const told = [];
  const session = openSession(url, name, (event) => told.push(event));
  return { told, session };
}

async function until(who, type, what = () => true) {
  const end = Date.now() + 10_000;
  for (;;) {
    const found = who.told.findIndex((event) => event.type === type && what(event));
    if (found >= 0) return who.told.splice(0, found + 1).at(-1);
    if (Date.now() > end) throw new Error(`no ${type}: ${JSON.stringify(who.told)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const ann = enter("Ann <b>");
await until(ann, "waiting");
const bob = enter("Bob");
await until(ann, "matched", (event) => event.partner === "Bob");
await until(bob, "matched", (event) => event.partner === "Ann <b>");
ann.session.say({ type: "typing", on: true });
ann.session.say({ type: "say", text: "grüße \"<script>\"" });
await until(bob, "typing", (event) => event.on);
await until(bob, "say", (event) => event.text === "grüße \"<script>\"");

made[0].terminate();
await until(ann, "lost");
await until(bob, "gone", (event) => event.reason === "disconnected");
await until(ann, "waiting");
bob.session.say({ type: "next" });
await until(ann, "matched");
await until(bob, "matched");
// A network that says it is gone, and that it is back.
ann.session.drop();
await until(ann, "lost");
ann.session.hurry();
await until(ann, "waiting");
bob.session.stop();
ann.session.stop();
console.log("matched, talked, lost and matched again");

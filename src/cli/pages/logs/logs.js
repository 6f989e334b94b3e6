// The logs: pages of lines, the newest first, and those that come.
import { ask, element, part, save, status } from "../console/console.js";

const MOST = 5000;
const EVENT = ["at", "event", "core", "user", "chat"];
const FIGURES = ["at", "users", "chatting", "messages", "bytes", "connections", "rss_bytes"];

let older = null;
let newer = null;
let round = 0;

function query(more) {
  const asked = new URLSearchParams();
  for (const id of ["file", "event", "user", "chat", "q"]) {
    if (part(id).value !== "") asked.set(id, part(id).value);
  }
  for (const id of ["from", "to"]) {
    if (part(id).value !== "") asked.set(id, new Date(part(id).value).getTime() / 1000);
  }
  for (const [key, value] of Object.entries(more)) asked.set(key, value);
  return asked;
}

const columns = () => part("file").value === "bandwidth" ? FIGURES : EVENT;

function row(line) {
  const made = element("tr");
  const rest = { ...line };
  for (const key of columns()) {
    made.append(element("td", line[key] ?? ""));
    delete rest[key];
  }
  delete rest.v;
  const text = Object.entries(rest).map(([key, value]) => {
    return `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`;
  });
  made.append(element("td", text.join(" · "), { class: "free" }));
  return made;
}

const body = () => document.querySelector("#lines tbody");

async function read(more) {
  return (await ask(`data?${query(more)}`)).json();
}

async function page() {
  const told = await read(older === null ? {} : { cursor: older });
  body().append(...told.lines.map(row));
  older = told.cursor;
  part("older").disabled = told.is_all;
  const shown = body().childElementCount;
  status(`${shown.toLocaleString("en")} lines${told.is_all ? ", all there are" : ""}`);
}

// Where what comes begins: behind the last line that there is.
async function end() {
  let cursor = null;
  const from = Math.floor(Date.now() / 1000);
  for (;;) {
    const told = await read({ dir: "newer", from, limit: 1000, ...(cursor ? { cursor } : {}) });
    cursor = told.cursor;
    if (told.is_all || cursor === null) return cursor;
  }
}

async function tail(mine) {
  newer = await end();
  while (mine === round && part("live").checked) {
    const told = await read({ dir: "newer", limit: 1000, ...(newer ? { cursor: newer } : {}) });
    if (mine !== round) return;
    newer = told.cursor ?? newer;
    body().prepend(...told.lines.map(row).reverse());
    while (body().childElementCount > MOST) body().lastElementChild.remove();
    status(`Live: ${body().childElementCount.toLocaleString("en")} lines`);
    if (told.is_all) await new Promise((done) => setTimeout(done, 1000));
  }
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    status(error.response ? error.message : "Not connected", true);
    part("live").checked = false;
  }
}

function show() {
  round += 1;
  older = newer = null;
  const head = element("tr");
  head.append(...[...columns(), "more"].map((name) => {
    return element("th", name.replaceAll("_", " "), { scope: "col" });
  }));
  document.querySelector("#lines thead").replaceChildren(head);
  body().replaceChildren();
  status("Reading");
  const mine = round;
  attempt(async () => {
    await page();
    if (part("live").checked) await tail(mine);
  });
}

part("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
part("live").addEventListener("change", show);
part("file").addEventListener("change", show);
part("older").addEventListener("click", () => attempt(page));
part("download").addEventListener("click", () => attempt(async () => {
  await save(`data?${query({ format: "jsonl" })}`, `${part("file").value}.jsonl`);
}));
show();

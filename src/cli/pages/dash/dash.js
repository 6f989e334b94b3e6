// The dashboard: one stream, a text a second, of which everything here is made.
import {
  bytes, chart, count, element, events, part, percent, span, status, table, tiles,
} from "../console/console.js";

const KEPT = 300;
const SHOWN = 200;

const charts = {
  connections: chart(part("charts"), "Connections", count),
  messages: chart(part("charts"), "Messages a second", count),
  bytes: chart(part("charts"), "Bytes a second", bytes),
  cpu: chart(part("charts"), "CPU by core, in percent", count),
  memory: chart(part("charts"), "Memory", bytes),
  latency: chart(part("charts"), "Round trip from this browser, in ms", count),
};
const columns = Object.fromEntries(Object.keys(charts).map((name) => [name, [[]]]));

let before = null;
let roundTrip = null;

function add(name, at, names, values) {
  const all = columns[name];
  while (all.length < values.length + 1) all.push(new Array(all[0].length).fill(null));
  all[0].push(at);
  all.slice(1).forEach((column, index) => column.push(values[index] ?? null));
  if (all[0].length > KEPT) all.forEach((column) => column.shift());
  charts[name].draw(all, names);
}

const sum = (all) => Object.values(all ?? {}).reduce((one, other) => one + other, 0);

function show(now) {
  const { total, process } = now;
  const old = before?.uptime_s < now.uptime_s ? before : null;
  const time = old ? now.uptime_s - old.uptime_s : null;
  const rate = (pick) => time ? Math.max(0, pick(now) - pick(old)) / time : null;
  const open = total.open.websocket + total.open.sse + total.open.http;
  const inRate = rate((it) => it.total.messages_in);
  const outRate = rate((it) => it.total.messages_out);
  const waits = (it) => it.process.threads.reduce((all, thread) => all + thread.wait_s, 0);
  const of = (used, most) => most ? `${count(used)} of ${count(most)}` : count(used);
  const cpuOf = (core) => {
    const earlier = old?.cores.find((it) => it.core === core.core);
    return earlier ? 100 * (core.cpu_s - earlier.cpu_s) / time : null;
  };
  const { decided } = total;
  tiles(part("tiles"), [
    ["Connections", count(open)],
    ["WebSockets", count(total.open.websocket)],
    ["Event streams", count(total.open.sse)],
    ["Accepted a second", count(rate((it) => it.total.accepted))],
    ["Closed a second", count(rate((it) => sum(it.total.closed)))],
    ["Messages in a second", count(inRate)],
    ["Messages out a second", count(outRate)],
    ["Fan-out", inRate ? count(outRate / inRate) : "–"],
    ["Bytes in a second", bytes(rate((it) => it.total.bytes_in))],
    ["Bytes out a second", bytes(rate((it) => it.total.bytes_out))],
    ["Round trip", roundTrip === null ? "–" : `${count(roundTrip)} ms`],
    ["Waiting for a CPU", percent(time ? 100 * rate(waits) : null)],
    ["Backlog", bytes(total.backlog_bytes)],
    ["Held for peers", bytes(total.held_bytes)],
    ["Accept queue", of(total.accept_queue, total.accept_queue_limit)],
    ["Slots", of(total.slots_used, total.slots)],
    ["Descriptors", of(process.descriptors, process.descriptor_limit)],
    ["Memory", bytes(process.rss_bytes)],
    ["CPU", percent(time ? 100 * rate((it) => it.process.cpu_s) : null)],
    ["!Slow subscribers closed", count(decided.slow_consumer + decided.stalled)],
    ["!Refused", count(total.refused)],
    ["!Stopped by limits", count(sum(total.barred) + decided.overuse + decided.unheard
      + decided.lifetime + decided.memory)],
    ["!Pushes late", count(total.pushes_late)],
    ["!Accept failures", count(total.accept_failures)],
    ...(total.channel_clients ? [["Channels", count(total.channels)],
      ["Clients of channels", count(total.channel_clients)],
      ["Sessions", count(total.sessions)]] : []),
    ...(now.complaints ? [["!Complaints of clients", count(sum(now.complaints))]] : []),
    ...(now.store ? [["Changes to be stored", count(now.store.waiting)]] : []),
    ["Engine", now.engine],
    ["Up", span(now.uptime_s)],
  ]);
  const head = ["Core", "Connections", "In a second", "Out a second", "CPU", "Accept queue"];
  table(part("cores"), head,
    now.cores.map((core) => {
      const earlier = old?.cores.find((it) => it.core === core.core);
      const more = (key) => earlier ? count((core[key] - earlier[key]) / time) : "–";
      return [core.core, count(core.open.websocket + core.open.sse + core.open.http),
        more("messages_in"), more("messages_out"), percent(cpuOf(core)), count(core.accept_queue)];
    }));
  const at = Date.now() / 1000;
  add("connections", at, ["WebSockets", "event streams", "HTTP"],
    [total.open.websocket, total.open.sse, total.open.http]);
  add("messages", at, ["in", "out"], [inRate, outRate]);
  add("bytes", at, ["in", "out"],
    [rate((it) => it.total.bytes_in), rate((it) => it.total.bytes_out)]);
  add("cpu", at, now.cores.map((core) => `core ${core.core}`), now.cores.map(cpuOf));
  add("memory", at, ["resident", "held for peers"], [process.rss_bytes, total.held_bytes]);
  add("latency", at, ["round trip"], [roundTrip]);
  before = now;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function follow() {
  for (let wait = 500; ; wait = Math.min(2 * wait, 10_000)) {
    try {
      for await (const text of events("events")) {
        wait = 500;
        status("Live");
        show(JSON.parse(text));
      }
      status("The server has ended the stream; trying again", true);
    } catch (error) {
      status(error.response ? error.message : "Not connected; trying again", true);
    }
    await pause(wait);
  }
}

// What a message needs there and back, by the echo of the same server.
function echo() {
  const url = new URL("../echo", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  let timer = null;
  socket.addEventListener("open", () => {
    timer = setInterval(() => {
      if (socket.bufferedAmount === 0) socket.send(String(performance.now()));
    }, 1000);
  });
  socket.addEventListener("message", ({ data }) => {
    roundTrip = performance.now() - Number(data);
  });
  socket.addEventListener("close", () => {
    clearInterval(timer);
    roundTrip = null;
    setTimeout(echo, 5000);
  });
}

let following = null;

function note(text) {
  part("log").append(element("div", text));
  while (part("log").childElementCount > SHOWN) part("log").firstElementChild.remove();
  part("log").scrollTop = part("log").scrollHeight;
}

part("follow").addEventListener("submit", async (event) => {
  event.preventDefault();
  following?.abort();
  if (part("follow-button").textContent === "Stop") {
    part("follow-button").textContent = "Follow";
    return;
  }
  const mine = following = new AbortController();
  part("follow-button").textContent = "Stop";
  const name = part("channel").value;
  note(`Following ${name}`);
  try {
    const path = `../channels?topic=${encodeURIComponent(name)}`;
    for await (const text of events(path, mine.signal)) note(text);
    note("The stream has ended.");
  } catch (error) {
    if (mine.signal.aborted) return note("Stopped");
    note(error.response?.status === 404 ? "There are no channels at this address." : error.message);
  }
  part("follow-button").textContent = "Follow";
});

follow();
echo();

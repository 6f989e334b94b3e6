// The report: what is on disk of a time, as figures, lines and a table.
import {
  ask, bytes, chart, count, part, save, span, status, table, tiles,
} from "../console/console.js";

const charts = {
  connections: chart(part("charts"), "Connections at most", count),
  chats: chart(part("charts"), "Chats a minute", count),
  messages: chart(part("charts"), "Messages a second", count),
  bytes: chart(part("charts"), "Bytes a second", bytes),
  memory: chart(part("charts"), "Memory at most", bytes),
  cpu: chart(part("charts"), "CPU by core, in percent", count),
};

function query() {
  const last = part("last").value;
  const seconds = (id) => part(id).value === "" ? "" : new Date(part(id).value).getTime() / 1000;
  const now = Date.now() / 1000;
  if (last === "other") return new URLSearchParams({ from: seconds("from"), to: seconds("to") });
  return new URLSearchParams({ from: last === "all" ? 0 : Math.floor(now - Number(last)) });
}

// The whole of what there is: its points are of the time between the first minute and the last.
async function wanted() {
  const asked = query();
  if (part("last").value !== "all") return asked;
  const { span: found } = await (await ask(`data?${asked}&points=1`)).json();
  if (found !== null) asked.set("from", found[0]);
  return asked;
}

function show(told) {
  const at = Object.fromEntries(told.columns.map((name, index) => [name, index]));
  const { total } = told;
  const peak = (name) => told.rows.reduce((most, row) => Math.max(most, row[at[name]]), 0);
  tiles(part("tiles"), [
    ["Connections", count(total.accepted || total.connected)],
    ["Connections at most", count(peak("connections"))],
    ["Chat users", count(total.connected)],
    ["Matches", count(total.matched / 2)],
    ["Messages relayed", count(total.said)],
    ["Chat disconnects", count(total.disconnected)],
    ["Messages in", count(total.messages_in)],
    ["Messages out", count(total.messages_out)],
    ["Received", bytes(total.bytes_in)],
    ["Sent", bytes(total.bytes_out)],
    ["Memory at most", bytes(peak("rss_bytes"))],
    ["CPU time", span(total.cpu_us / 1e6)],
    ["Up", span(total.seconds)],
    ["Servers started", count(told.servers.started)],
    ["!Ended without warning", count(told.servers.ended_without_warning)],
    ["!Events lost", count(total.lost)],
    ["!Lines skipped", count(total.skipped)],
  ]);
  const times = told.rows.map((row) => row[0]);
  // A server that was not up all the time is judged by the time that it was.
  const up = (row) => Math.max(row[at.seconds], 1);
  const draw = (chart, names, pick) => {
    const columns = names.map(([, key]) => told.rows.map((row) => pick(row, at[key])));
    chart.draw([times, ...columns], names.map(([name]) => name));
  };
  const most = (row, key) => row[key];
  const each = (row, key) => row[key] / up(row);
  draw(charts.connections, [["all", "connections"], ["chat users", "users"],
    ["in a chat", "chatting"]], most);
  draw(charts.chats, [["users", "connected"], ["matched", "matched"],
    ["disconnects", "disconnected"]], (row, key) => 60 * row[key] / up(row));
  const messages = [["in", "messages_in"], ["out", "messages_out"], ["relayed", "said"]];
  draw(charts.messages, messages, each);
  draw(charts.bytes, [["in", "bytes_in"], ["out", "bytes_out"]], each);
  draw(charts.memory, [["resident", "rss_bytes"]], most);
  const cores = told.columns.filter((name) => name.startsWith("core_"));
  draw(charts.cpu, [["process", "cpu_us"], ...cores.map((name, core) => [`core ${core}`, name])],
    (row, key) => row[key] / up(row) / 1e4);
  const names = told.columns.map((name) => name.replaceAll("_", " "));
  table(part("rows"), names, told.rows.map((row) => [
    new Date(row[0] * 1000).toLocaleString(), ...row.slice(1).map((it) => it.toLocaleString("en")),
  ]));
  const text = told.rows.length === 0 ? "Nothing is on disk of this time"
    : `A point is ${span(told.step_s)}; ${count(told.minutes_read)} minutes read in `
      + `${count(told.read_ms)} ms`;
  status(text);
}

async function attempt(work) {
  status("Reading");
  try {
    await work();
  } catch (error) {
    status(error.response ? error.message : "Not connected", true);
  }
}

const read = () => attempt(async () => {
  show(await (await ask(`data?${await wanted()}`)).json());
});

part("last").addEventListener("change", () => {
  const isOther = part("last").value === "other";
  for (const field of document.querySelectorAll(".other")) field.hidden = !isOther;
});
part("range").addEventListener("submit", (event) => {
  event.preventDefault();
  read();
});
for (const format of ["csv", "json"]) {
  part(format).addEventListener("click", () => attempt(async () => {
    await save(`data?${await wanted()}&format=${format}`, `report.${format}`);
    status("Saved");
  }));
}
read();

// What the pages for operators share: how a server is asked, how figures are written and drawn.
const KEY = "ringstorm-admin-token";

export const part = (id) => document.getElementById(id);

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function status(text, isBad = false) {
  part("status").textContent = text;
  part("status").classList.toggle("bad", isBad);
}

let asking = null;

// One dialog at a time, whoever has asked.
function askForToken(wasWrong) {
  asking ??= new Promise((done) => {
    const dialog = element("dialog", undefined, { "aria-labelledby": "token-title" });
    const form = element("form", undefined, { method: "dialog" });
    const input = element("input", undefined, {
      id: "token", type: "password", required: "", autocomplete: "current-password",
    });
    const text = wasWrong ? "That was not the token." : "This server wants its --admin-token.";
    form.append(element("h2", "Who are you?", { id: "token-title" }), element("p", text),
      element("label", "Token", { for: "token" }), input,
      element("button", "Open", { class: "first" }));
    form.addEventListener("submit", () => {
      sessionStorage.setItem(KEY, input.value);
      dialog.remove();
      asking = null;
      done();
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

async function reason(response) {
  const text = (await response.text()).trim();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text || `status ${response.status}`;
  }
}

// Asks the server, with the token if it wants one.
export async function ask(path, signal) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
    const response = await fetch(path, { headers, signal, cache: "no-store" });
    if (response.status === 401) {
      await askForToken(token !== null);
      continue;
    }
    if (!response.ok) throw Object.assign(new Error(await reason(response)), { response });
    return response;
  }
}

// The data of the events of a stream, which needs a header that an EventSource cannot send.
export async function* events(path, signal) {
  const response = await ask(path, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}

export async function save(path, name) {
  const blob = await (await ask(path)).blob();
  const link = element("a", undefined, { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const count = (it) => it === null || it === undefined ? "–"
  : it >= 100 ? whole.format(it) : short.format(it);

export function bytes(it) {
  if (it === null || it === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (it >= 1024 && at + 1 < units.length) {
    it /= 1024;
    at += 1;
  }
  return `${at === 0 ? whole.format(it) : three.format(it)} ${units[at]}`;
}

export function span(seconds) {
  const parts = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => seconds >= size);
  if (first < 0) return `${short.format(seconds)} s`;
  let rest = Math.round(seconds);
  return parts.slice(first, first + 2).map(([unit, size]) => {
    const many = Math.floor(rest / size);
    rest -= many * size;
    return many > 0 ? `${many} ${unit}` : "";
  }).join(" ").trim();
}

export const percent = (it) => it === null || it === undefined ? "–" : `${short.format(it)} %`;

// Names and values; what is named "!..." is bad unless it is 0.
export function tiles(host, all) {
  host.replaceChildren(...all.map(([name, value]) => {
    const tile = element("div");
    const isBad = name.startsWith("!");
    const text = element("dd", value);
    text.classList.toggle("bad", isBad && value !== "0" && value !== "–");
    tile.append(element("dt", isBad ? name.slice(1) : name), text);
    return tile;
  }));
}

export function table(host, head, rows) {
  const made = host.querySelector("table");
  const row = (cells, name) => {
    const line = element("tr");
    const scope = name === "th" ? { scope: "col" } : {};
    line.append(...cells.map((cell) => element(name, cell, scope)));
    return line;
  };
  made.tHead.replaceChildren(row(head, "th"));
  made.tBodies[0].replaceChildren(...rows.map((cells) => row(cells, "td")));
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function mark(at) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 8 8");
  svg.setAttribute("aria-hidden", "true");
  const box = document.createElementNS(svg.namespaceURI, "rect");
  for (const [key, value] of [["width", 8], ["height", 8], ["fill", colour(`--s${at % 8}`)]]) {
    box.setAttribute(key, value);
  }
  svg.append(box);
  return svg;
}

// Times below a chart, as long as they have to be to tell them apart.
function times(all) {
  const apart = all.length > 1 ? all[1] - all[0] : 0;
  const pad = (it) => String(it).padStart(2, "0");
  return all.map((at) => {
    const date = new Date(at * 1000);
    if (apart >= 86_400) return `${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
    const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
    return apart >= 60 ? clock : `${clock}:${pad(date.getSeconds())}`;
  });
}

// A card with lines over time; `draw(data, names)` takes columns, the first of them seconds.
export function chart(host, title, write) {
  const card = element("section", undefined, { class: "card" });
  const plot = element("div", undefined, { class: "plot", role: "img", "aria-label": title });
  const key = element("ul", undefined, { class: "key" });
  card.append(element("h2", title), plot, key);
  host.append(card);
  let drawn = null;
  let last = null;

  function make(data, names) {
    drawn?.destroy();
    const axis = (size) => ({
      stroke: colour("--quiet"), grid: { stroke: colour("--grid"), width: 1 },
      ticks: { stroke: colour("--grid") }, font: "12px system-ui, sans-serif", size,
    });
    const options = {
      width: plot.clientWidth, height: plot.clientHeight, legend: { show: false },
      cursor: { show: false }, padding: [8, 30, 0, 0],
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
      axes: [{ ...axis(30), space: 70, values: (_, all) => times(all) },
        { ...axis(74), values: (_, all) => all.map(write) }],
      series: [{}, ...names.map((_, at) => ({
        stroke: colour(`--s${at % 8}`), width: 2, points: { show: data[0].length < 2 },
      }))],
    };
    drawn = new uPlot(options, data, plot);
    drawn.names = names.join();
  }

  function draw(data, names) {
    last = [data, names];
    if (drawn === null || drawn.names !== names.join()) make(data, names);
    else drawn.setData(data);
    key.replaceChildren(...names.map((name, at) => {
      const line = element("li");
      line.append(mark(at), `${name} ${write(data[at + 1].at(-1) ?? null)}`);
      return line;
    }));
  }

  const again = () => {
    if (last === null) return;
    make(...last);
    draw(...last);
  };
  new ResizeObserver(() => {
    drawn?.setSize({ width: plot.clientWidth, height: plot.clientHeight });
  }).observe(plot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  return { draw };
}

// The page that `ringstorm init` writes, run twice: node visitors.cjs PAGE URL
//
// Each page shows how many there are, and what is published. Ends with 0 once both do.
"use strict";

const fs = require("node:fs");
const vm = require("node:vm");
const WebSocket = require("ws");

const [page, url] = process.argv.slice(2);
const script = fs.readFileSync(page, "utf8").split("<script>")[1].split("</script>")[0];
const typed = "ws://127.0.0.1:9000";
if (!script.includes(typed)) throw new Error("the page names no server");

function open() {
  const shown = { count: "", news: [] };
  const parts = {
    count: { set value(count) { shown.count = String(count); } },
    news: { append(item) { shown.news.push(item.textContent); } },
  };
  const document = { getElementById: (id) => parts[id], createElement: () => ({}) };
  const here = script.replace(typed, url.replace("http", "ws"));
  vm.runInNewContext(here, { WebSocket, document, JSON });
  return shown;
}

async function until(met) {
  const end = Date.now() + 10_000;
  while (!met()) {
    if (Date.now() > end) throw new Error(`not shown: ${JSON.stringify([first, second])}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const first = open();
let second = first;
until(() => first.count === "1").then(async () => {
  second = open();
  await until(() => first.count === "2" && second.count === "2");
  console.log("both count two");
  await until(() => first.news.length === 1 && second.news[0] === '"hello"');
  process.exit(0);
}).catch((error) => {
  console.error(error);
  process.exit(1);
});

// Opens the built-in pages of a server in a browser, uses them, and looks for what axe-core finds:
// in both themes, at the width of a telephone and of a desktop.
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const assert = require("node:assert/strict");
const axe = require("axe-core");
const { chromium } = require("playwright-core");
const { Server } = require("./server.cjs");

const [binary, pictures] = process.argv.slice(2);
const TOKEN = "a-token";
const SIZES = { phone: { width: 320, height: 700 }, desktop: { width: 1440, height: 900 } };
const TIME = 30_000;

const start = (...flags) => Server.start(binary, flags, { env: { PAGES_TOKEN: TOKEN } });

// What a page says that it should not: errors of its scripts, violations of its policy.
function watch(page, faults) {
  page.on("pageerror", (error) => faults.push(`${page.url()}: ${error.message}`));
  page.on("console", (message) => {
    const expected = /401|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|WebSocket/;
    const isExpected = expected.test(message.text());
    if (message.type() === "error" && !isExpected) faults.push(`${page.url()}: ${message.text()}`);
  });
}

async function violations(page) {
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run());
  return found.map((it) => `${it.id}: ${it.nodes.map((node) => node.target).join(" ")}`);
}

// Whether nothing is wider than the window.
const fits = (page) => page.evaluate(() =>
  document.documentElement.scrollWidth <= document.documentElement.clientWidth);

const seen = (page, text) => page.getByText(text).first().waitFor({ timeout: TIME });

const cases = {
  async "two who chat are matched, talk, and go on after the network was away"(context, url) {
    const ann = await context.newPage();
    const bob = await (await context.browser().newContext()).newPage();
    for (const [page, name] of [[ann, "Ann"], [bob, "Bob <b>"]]) {
      await page.goto(`${url}/chat/`);
      await page.getByLabel("Your name").fill(name);
      await page.keyboard.press("Enter");
    }
    await seen(ann, "Bob <b>");
    await ann.getByLabel("Message").fill("<img src=x onerror=alert(1)>");
    await ann.keyboard.press("Enter");
    await seen(bob, "<img src=x onerror=alert(1)>");
    assert.equal(await bob.locator("img").count(), 0);
    await bob.context().setOffline(true);
    await seen(bob, /Not connected/);
    await bob.context().setOffline(false);
    await seen(bob, "Waiting for a partner");
    await bob.context().close();
    await ann.close();
  },

  async "the dashboard is live and follows a channel"(context, url) {
    const page = await context.newPage();
    await page.goto(`${url}/dash/`);
    await page.locator("#status", { hasText: "Live" }).waitFor({ timeout: TIME });
    const tile = (name) => page.locator("#tiles div", { hasText: name }).locator("dd");
    await page.waitForFunction(() => /\d ms/.test(document.querySelector("#tiles").textContent),
      undefined, { timeout: TIME });
    assert.match(await tile("WebSockets").first().textContent(), /^[1-9]/);
    await page.getByRole("textbox", { name: "Channel" }).fill("news");
    await page.getByRole("button", { name: "Follow" }).click();
    await page.waitForTimeout(500);
    await seen(page, "Following news");
    const answer = await fetch(`${url}/publish`, {
      method: "POST", headers: { "X-API-Key": "dev" },
      body: JSON.stringify([{ topic: "news", data: "hello" }]),
    });
    assert.equal(answer.status, 200);
    await seen(page, /hello/);
    await page.close();
  },

  async "the report shows what happened before a kill, and the logs each line"(context, url) {
    const page = await context.newPage();
    await page.goto(`${url}/report/`);
    await page.locator("#status", { hasText: "A point is" }).waitFor({ timeout: TIME });
    const tile = (name) => page.locator("#tiles div", { hasText: name }).locator("dd").first();
    // Ann, Bob, and Bob who came back.
    assert.equal(await tile("Chat users").textContent(), "3");
    assert.equal(await tile("Messages relayed").textContent(), "1");
    assert.equal(await tile("Ended without warning").textContent(), "1");
    await page.getByLabel("Time", { exact: true }).selectOption("all");
    await page.getByRole("button", { name: "Show" }).click();
    await page.locator("#status", { hasText: "A point is" }).waitFor({ timeout: TIME });
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "CSV" }).click();
    assert.match(fs.readFileSync(await (await saved).path(), "utf8"), /^at,connected,/);
    await page.goto(`${url}/logs/`);
    await page.getByRole("cell", { name: "matched", exact: true }).first().waitFor();
    await page.getByLabel("Event").selectOption("said");
    await page.getByRole("button", { name: "Show" }).click();
    await page.locator("#status", { hasText: /^1 lines/ }).waitFor({ timeout: TIME });
    await page.close();
  },
};

async function looks(context, url, theme, size) {
  const faults = [];
  for (const name of ["", "chat/", "dash/", "report/", "logs/"]) {
    const page = await context.newPage();
    watch(page, faults);
    await page.goto(`${url}/${name}`);
    await page.waitForTimeout(name === "dash/" ? 3500 : 800);
    const file = `${name.replace("/", "") || "home"}-${theme}-${size}.png`;
    await page.screenshot({ path: path.join(pictures, file), fullPage: true });
    const found = await violations(page);
    faults.push(...found.map((it) => `/${name} ${theme} ${size}: ${it}`));
    if (!await fits(page)) faults.push(`/${name} ${theme} ${size}: wider than the window`);
    await page.close();
  }
  return faults;
}

async function main() {
  fs.mkdirSync(pictures, { recursive: true });
  const logs = fs.mkdtempSync(path.join(os.tmpdir(), "ringstorm-pages-"));
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  let failed = 0;
  const attempt = async (name, work) => {
    try {
      await work();
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}\n${error.stack ?? error}`);
    }
  };
  let server = await start("--logs", logs);
  try {
    const faults = [];
    const context = await browser.newContext();
    context.on("page", (page) => watch(page, faults));
    for (const [name, work] of Object.entries(cases)) {
      if (name.startsWith("the report")) {
        // Two seconds: a line of figures, and a rollup.
        await new Promise((done) => setTimeout(done, 2500));
        await server.end("SIGKILL");
        server = await start("--logs", logs);
        await new Promise((done) => setTimeout(done, 1500));
      }
      await attempt(name, () => work(context, server.url));
    }
    await context.close();
    for (const theme of ["light", "dark"]) {
      for (const [size, viewport] of Object.entries(SIZES)) {
        await attempt(`axe-core finds nothing: ${theme}, ${size}`, async () => {
          const looking = await browser.newContext({ colorScheme: theme, viewport });
          assert.deepEqual(await looks(looking, server.url, theme, size), []);
          await looking.close();
        });
      }
    }
    await attempt("the scripts run without a fault and within their policy", () => {
      assert.deepEqual(faults, []);
    });
    await attempt("with a token the pages ask for it", async () => {
      await server.end();
      server = await start("--logs", logs, "--admin-token", "env:PAGES_TOKEN");
      const page = await (await browser.newContext()).newPage();
      await page.goto(`${server.url}/report/`);
      await page.getByLabel("Token").fill("wrong");
      await page.keyboard.press("Enter");
      await seen(page, "That was not the token.");
      assert.deepEqual(await violations(page), []);
      await page.getByLabel("Token").fill(TOKEN);
      await page.keyboard.press("Enter");
      await page.locator("#status", { hasText: "A point is" }).waitFor({ timeout: TIME });
    });
  } finally {
    await browser.close();
    await server.end();
    fs.rmSync(logs, { recursive: true, force: true });
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

main();

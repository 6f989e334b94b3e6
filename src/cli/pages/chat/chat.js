// The page of the chat: what the session tells is shown, what is typed and pressed is said.
import { openSession } from "./session.js";

const MOST_SHOWN = 500;
// Milliseconds without a key after which nobody types.
const TYPING_TIME = 2000;

const part = (id) => document.getElementById(id);
const send = part("say").querySelector("button");
const title = document.title;

let session = null;
let partner = null;
let typing = null;
let unread = 0;

function show(kind, text) {
  const log = part("log");
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = text;
  log.append(line);
  while (log.childElementCount > MOST_SHOWN) log.firstElementChild.remove();
  if (follows || kind === "mine") log.scrollTop = log.scrollHeight;
  if (document.hidden && kind !== "mine") {
    unread += 1;
    document.title = `(${unread}) ${title}`;
  }
}

function meet(name) {
  partner = name;
  part("partner").textContent = name ?? "Nobody yet";
  part("typing").textContent = "";
  send.disabled = part("report").disabled = name === null;
  clearTimeout(typing);
  typing = null;
}

function status(text) {
  part("status").textContent = text;
}

const REASONS = {
  left: "has left",
  disconnected: "was disconnected",
  lost: "was disconnected by a fault of the server",
};

const heard = {
  connecting: () => status("Connecting"),
  waiting() {
    meet(null);
    status("Waiting for a partner");
  },
  matched({ partner: name }) {
    meet(name);
    status("Connected");
    part("log").replaceChildren();
    show("news", `You chat with ${name}.`);
    part("text").focus();
  },
  say({ text }) {
    part("typing").textContent = "";
    show("theirs", text);
  },
  typing({ on }) {
    part("typing").textContent = on ? `${partner} is typing` : "";
  },
  idle: ({ seconds }) => show("news", `Nothing was said for ${seconds} seconds.`),
  gone({ reason }) {
    show("news", `${partner} ${REASONS[reason] ?? REASONS.left}. Press Next for somebody else.`);
    meet(null);
    status("Your partner is gone");
  },
  left() {
    meet(null);
    status("You have left the chat; press Next for another one");
  },
  lost({ seconds }) {
    if (partner !== null) show("news", "The connection is lost, and your partner with it.");
    meet(null);
    status(`Not connected; next attempt in ${seconds} s`);
  },
  ended({ reason }) {
    meet(null);
    session = null;
    part("chat").hidden = true;
    part("enter").hidden = false;
    status(reason ? `You were sent away: ${reason}` : "You were sent away");
  },
  error({ code, message }) {
    if (code === "bad_name") {
      session.stop();
      heard.ended({ reason: message });
    } else {
      show("news", message);
    }
  },
};

part("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = part("name").value.trim();
  if (name === "") return;
  part("enter").hidden = true;
  part("chat").hidden = false;
  part("log").replaceChildren();
  const url = new URL("../chat", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = url.hash = "";
  session = openSession(url.href, name, (message) => heard[message.type]?.(message));
  part("next").focus();
});

part("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = part("text").value.trim();
  if (text === "" || partner === null) return;
  if (session.say({ type: "say", text })) {
    show("mine", text);
    part("text").value = "";
    clearTimeout(typing);
    typing = null;
  }
});

part("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  part("say").requestSubmit();
});

part("text").addEventListener("input", () => {
  if (partner === null) return;
  if (typing === null) session.say({ type: "typing", on: true });
  clearTimeout(typing);
  typing = setTimeout(() => {
    typing = null;
    if (partner !== null) session.say({ type: "typing", on: false });
  }, TYPING_TIME);
});

for (const wish of ["next", "leave", "report"]) {
  part(wish).addEventListener("click", () => session?.say({ type: wish }));
}

addEventListener("online", () => session?.hurry());
addEventListener("offline", () => session?.drop());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = title;
});

// An application behind ringstorm: node app.mjs PORT SECRET, for --backend http://127.0.0.1:PORT/.
// Who connects says {"name": ...} and is greeted; a room is for its members; `sum` adds two numbers.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const [port, secret] = process.argv.slice(2);

function decide({ hook, data, user = "", channel, method }) {
  switch (hook) {
    case "connect":
      if (!data?.name) return { allow: false, code: 4401, reason: "say who you are" };
      return {
        allow: true, user: data.name, subscribe: ["lobby"],
        emit: [{ hello: data.name }], session: { name: data.name },
      };
    case "subscribe":
      return { allow: channel === `room-${user}`, code: 403, reason: `${user} is no member` };
    case "publish":
      return { allow: true, data: { from: user, text: data } };
    case "call":
      return method === "sum" ? { data: data.a + data.b } : {};
    default:
      return {};
  }
}

function isSigned(header = "", body) {
  const shown = Object.fromEntries(header.split(",").map((part) => part.split("=")));
  const hash = createHmac("sha256", secret).update(`${shown.t}.`).update(body).digest("hex");
  return shown.v1?.length === hash.length
    && timingSafeEqual(Buffer.from(shown.v1), Buffer.from(hash));
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  if (!isSigned(request.headers["x-ringstorm-signature"], body)) {
    return response.writeHead(403).end("{}");
  }
  const asked = JSON.parse(body);
  if (Array.isArray(asked)) { // It is only told: disconnects, and sessions that have ended.
    for (const { hook, user = "" } of asked) console.log(hook, user);
    return response.end("{}");
  }
  response.end(JSON.stringify(decide(asked)));
}).listen(Number(port), "127.0.0.1");

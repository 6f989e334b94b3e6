// A web application behind ringstorm: node web.mjs PORT SECRET, for --http-backend.
// It shows whose session it is and who asks, and gives what is posted back as it comes.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const [port, secret] = process.argv.slice(2);

/** Whether it is ringstorm that asks, for that session. */
function isSigned({ method, url, headers }) {
  const { "x-ringstorm-session": session = "", "x-ringstorm-signature": header = "" } = headers;
  const shown = Object.fromEntries(header.split(",").map((part) => part.split("=")));
  const said = `${shown.t}.${method} ${url} ${session}`;
  const hash = createHmac("sha256", secret).update(said).digest("hex");
  return shown.v1?.length === hash.length
    && timingSafeEqual(Buffer.from(shown.v1), Buffer.from(hash));
}

createServer((request, response) => {
  const { method, url, headers } = request;
  response.statusCode = isSigned(request) ? 200 : 403;
  if (method === "POST") return request.pipe(response);
  const session = headers["x-ringstorm-session"] ?? "nobody";
  response.setHeader("Content-Type", "text/plain");
  response.end(`${session} from ${headers["x-forwarded-for"]} at ${url}\n`);
}).listen(Number(port), "127.0.0.1");

"""An application behind ringstorm: python3 app.py PORT SECRET, for --backend http://127.0.0.1:PORT/.
Who connects says {"name": ...} and is greeted; a room is for its members; `sum` adds two numbers.
"""

import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SECRET = int(sys.argv[1]), sys.argv[2].encode()


def decide(asked):
    """What is answered to one question."""
    hook, data, user = asked["hook"], asked.get("data"), asked.get("user", "")
    if hook == "connect":
        if not isinstance(data, dict) or not data.get("name"):
            return {"allow": False, "code": 4401, "reason": "say who you are"}
        return {"allow": True, "user": data["name"], "subscribe": ["lobby"],
                "emit": [{"hello": data["name"]}], "session": {"name": data["name"]}}
    if hook == "subscribe":
        mine = asked["channel"] == f"room-{user}"
        return {"allow": mine, "code": 403, "reason": f"{user} is no member"}
    if hook == "publish":
        return {"allow": True, "data": {"from": user, "text": data}}
    if hook == "call" and asked["method"] == "sum":
        return {"data": data["a"] + data["b"]}
    return {}


class Hooks(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        shown = dict(part.split("=", 1) for part in
                     self.headers.get("X-Ringstorm-Signature", "t=,v1=").split(","))
        signed = hmac.new(SECRET, f"{shown['t']}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(shown["v1"], signed):
            return self.answer(403, {})
        asked = json.loads(body)
        if isinstance(asked, list):  # It is only told: disconnects, and sessions that have ended.
            for told in asked:
                print(told["hook"], told.get("user", ""), flush=True)
            asked = {}
        return self.answer(200, decide(asked) if asked else {})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass


ThreadingHTTPServer(("127.0.0.1", PORT), Hooks).serve_forever()

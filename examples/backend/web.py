"""A web application behind ringstorm: python3 web.py PORT SECRET, for --http-backend.
It shows whose session it is and who asks, and gives what is posted back as it comes.
"""

import hashlib
import hmac
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SECRET = int(sys.argv[1]), sys.argv[2].encode()


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def is_signed(self):
        """Whether it is ringstorm that asks, for that session."""
        session = self.headers.get("X-Ringstorm-Session", "")
        shown = dict(part.split("=", 1) for part in
                     self.headers.get("X-Ringstorm-Signature", "t=,v1=").split(","))
        said = f"{shown['t']}.{self.command} {self.path} {session}".encode()
        return hmac.compare_digest(shown["v1"], hmac.new(SECRET, said, hashlib.sha256).hexdigest())

    def do_GET(self):
        session = self.headers.get("X-Ringstorm-Session", "nobody")
        page = f"{session} from {self.headers.get('X-Forwarded-For')} at {self.path}\n".encode()
        self.send_response(200 if self.is_signed() else 403)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        self.send_response(200 if self.is_signed() else 403)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left > 0 and (piece := self.rfile.read1(min(left, 65536))):
            self.wfile.write(piece)
            left -= len(piece)

    def log_message(self, *_): pass


ThreadingHTTPServer(("127.0.0.1", PORT), Pages).serve_forever()

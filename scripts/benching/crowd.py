"""Channels at the size of a large host: 50,000 subscribers, 1,000 channels, 100,000 tokens."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from .bars import Failure
from .figures import column, interleaved, ratios, wait_open
from .hub import API_KEY, listen, many_channels, per_delivery, post, recorded
from .processes import DRIVER_CPU, SERVER_CPU

LISTENERS, EVERY_MS = 50_000, 500
# Beyond what one table of descriptors holds.
ROOM = ("--max-connections", "55k")
BOTH = (SERVER_CPU, DRIVER_CPU)
CHANNELS = 1_000
TOKENS, IN_A_MESSAGE = 100_000, 50
OTHERS, OTHERS_RATE, OTHERS_S = 100, 5_000, 6
# Tokens of one user that differ, and the key that they are verified with.
MINT = """
const { generateKeyPairSync, sign } = require("crypto");
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
require("fs").writeFileSync(process.argv[1], publicKey.export({ type: "spki", format: "pem" }));
const text = (it) => Buffer.from(JSON.stringify(it)).toString("base64url");
const head = text({ alg: "EdDSA", typ: "JWT" });
const lines = [];
for (let jti = 0; jti < Number(process.argv[2]); jti++) {
  const said = head + "." + text({ sub: "ann", exp: 4e9, jti });
  lines.push(said + "." + sign(null, Buffer.from(said), privateKey).toString("base64url"));
}
process.stdout.write(lines.join("\\n"));
"""


def crowd(host, options, table):
    """The figures of channels at that size."""
    broadcasts(host, options, table)
    many_channels(host, options, table, CHANNELS, ROOM)
    tokens(host, options, table)


def broadcasts(host, options, table):
    """One channel of very many subscribers on two cores, beside /push with as many listeners."""
    def measure(kind):
        seconds = max(4.0, options.seconds)
        if kind == "push":
            server = host.start("ring", "--chunk-ms", str(EVERY_MS), *ROOM,
                                cpus=BOTH)
            host.load(server, "/push", "--scenario", "listen", "-c", str(LISTENERS), "-d",
                      f"{seconds + 60:g}s")
            wait_open(server, "websocket", LISTENERS)
            return per_delivery(host, server, seconds)
        server = host.start("ring", "--dev", *ROOM, cpus=BOTH)
        listen(host, server, "-c", str(LISTENERS), "--senders", "0", seconds=seconds + 60)
        over = threading.Event()
        talker = threading.Thread(target=talk, args=(server, over), daemon=True)
        talker.start()
        cost = per_delivery(host, server, seconds, ends=False)
        over.set()
        talker.join()
        host.end_all()
        return cost

    rounds = interleaved(("hub", "push"), options.pairs, measure)
    table.at_most(f"a channel of {LISTENERS} on two cores: CPU per delivery, of /push", 1.05,
                  ratios(rounds, "hub", "push"))
    table.beside("us of CPU per delivery, channel", column(rounds, "hub"))
    table.beside("us of CPU per delivery, /push", column(rounds, "push"))


def talk(server, over):
    """Publishes in one channel until it is over."""
    number = 0
    while not over.wait(EVERY_MS / 1000):
        body = b'[{"topic":"news","data":{"seq":%d}}]' % number
        post(server, "/publish", body, API_KEY)
        number += 1


def tokens(host, options, table):
    """What tokens cost that are shown for the first time, and again; what others feel of it."""
    if shutil.which("node") is None:
        table.beside("node is not here, to sign tokens; try: apt-get install nodejs", [0])
        return
    with tempfile.TemporaryDirectory() as folder:
        key = os.path.join(folder, "key.pem")
        minted = subprocess.run(["node", "-e", MINT, key, str(TOKENS)], capture_output=True,
                                check=False)
        if minted.returncode:
            raise Failure(f"no tokens: {minted.stderr.decode().strip()}")
        all_tokens = minted.stdout.split(b"\n")
        costs(host, options, table, key, all_tokens)
        neighbours(host, options, table, key, all_tokens)


def costs(host, options, table, key, all_tokens):
    """CPU for the tokens alone: as many commands with one token are what the rest takes."""
    cold, known = [], []
    for _ in range(max(1, options.pairs // 2)):
        server = host.start("ring", "--token-key", key)
        client = Client(server.port, all_tokens[0])
        client.refresh([all_tokens[0]] * 20_000)
        same, new, again = (client.cost(server, of) for of in (
            [all_tokens[0]] * TOKENS, all_tokens, all_tokens))
        cold.append(new - same)
        known.append(again - same)
        host.end_all()
    table.at_most(f"{TOKENS} new EdDSA tokens: s of CPU for them alone", 5.0, cold)
    table.at_most("the same, known: s of CPU", 0.1, known)


def neighbours(host, options, table, key, all_tokens):
    """The response of others while newcomers show tokens that are new, one after the other."""
    def measure(kind):
        server = host.start("ring", "--token-key", key)
        load = host.load(server, "/echo", "-c", str(OTHERS), "-r", str(OTHERS_RATE), "-d",
                         f"{OTHERS_S}s", "--json", stdout=subprocess.PIPE)
        wait_open(server, "websocket", OTHERS)
        came = 0
        os.sched_setaffinity(0, {DRIVER_CPU})
        while kind == "beside" and load.process.poll() is None and came < len(all_tokens):
            Client(server.port, all_tokens[came]).end()
            came += 1
        record = recorded(load)
        newcomers.append(came / OTHERS_S)
        host.end_all()
        return record["latency"]["response"]["p99_ns"] / 1e6

    newcomers = []
    rounds = interleaved(("beside", "alone"), options.pairs, measure)
    worse = [max(0.0, min(beside / alone / 1.5, beside - alone))
             for beside, alone in zip(column(rounds, "beside"), column(rounds, "alone"))]
    table.at_most("others beside them: p99 above 1.5 times the quiet one's, or ms above it", 1, worse)
    for kind in ("beside", "alone"):
        table.beside(f"p99 in ms, {kind}", column(rounds, kind))
    table.beside("newcomers a second", newcomers[::2])


class Client:
    """A client of channels that shows a token, and others after it."""

    def __init__(self, port, token):
        self.peer = socket.create_connection(("127.0.0.1", port), 30)
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer.sendall(
            b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n")
        self._say(b'{"id":1,"connect":{"token":"%s"}}' % token)
        self._hear(b'"connect"', 1)

    def refresh(self, all_tokens):
        """Shows these, some in each message, and waits for the answers."""
        for start in range(0, len(all_tokens), IN_A_MESSAGE):
            some = all_tokens[start:start + IN_A_MESSAGE]
            self._say(b"\n".join(b'{"id":2,"refresh":{"token":"%s"}}' % token for token in some))
            self._hear(b'"refresh"', len(some))

    def cost(self, server, all_tokens):
        """Seconds of the server's CPU for these."""
        before = server.cpu_s()
        self.refresh(all_tokens)
        return server.cpu_s() - before

    def end(self):
        """Leaves."""
        self.peer.close()

    def _say(self, text):
        length = len(text)
        head = (bytes((0x81, 0x80 | length)) if length < 126
                else b"\x81\xfe" + length.to_bytes(2, "big"))
        self.peer.sendall(head + bytes(4) + text)

    def _hear(self, word, times):
        heard = b""
        while heard.count(word) < times:
            some = self.peer.recv(1 << 16)
            if not some:
                raise Failure(f"the server closed: {heard[-200:]!r}")
            heard += some

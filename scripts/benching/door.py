"""The door: what limits and logs cost an echo, strangers beside those who are served, handshakes of
TLS, an application that is gone, a server that is killed.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .bars import Failure
from .figures import column, interleaved, ratios, wait_open
from .hub import listen, post
from .processes import DRIVER_CPU, PATIENCE

LIMITS = ("--max-connections-per-address", "20000", "--count-loopback", "--connect-rate", "20000",
          "--message-rate", "1000000", "--byte-rate", "1G", "--header-timeout", "5s",
          "--first-message-timeout", "1h", "--max-lifetime", "24h", "--log-level", "info")
ECHOES, ECHO_RATE = 1_000, 5_000
STRANGERS_PER_S, SOURCES = 2_000, "127.1.0.0/22"
# Heads of requests that never end: each connection gets a byte now and then.
DRIPPING, DRIPS_PER_S = 1_000, 20_000
SUBSCRIBERS, CHANNELS = 18_000, 18


def door(host, options, table):
    """The figures of the door."""
    limits(host, options, table)
    strangers(host, options, table)
    handshakes(host, options, table)
    gone(host, options, table)
    killed(host, options, table)


def limits(host, options, table):
    """An echo with every limit set, logs at info and metrics read, beside one with none of it."""
    def measure(kind):
        server = host.start("ring", *(LIMITS if kind == "limits" else ()))
        host.load(server, "/echo", "-c", str(ECHOES), "-d", f"{options.seconds + 30:g}s")
        wait_open(server, "websocket", ECHOES)
        time.sleep(0.5)
        cpu_s, echoed = server.cpu_s(), server.stats()["total"]["messages_in"]
        until = time.monotonic() + options.seconds
        while time.monotonic() < until:
            if kind == "limits":
                server.get("/metrics")
            time.sleep(0.5)
        now_s, now = server.cpu_s(), server.stats()["total"]["messages_in"]
        host.end_all()
        if now == echoed:
            raise Failure("the server answered nothing")
        return (now_s - cpu_s) / (now - echoed) * 1e6

    rounds = interleaved(("none", "limits"), options.pairs * 3, measure)
    table.at_least(f"{ECHOES} connections, limits, logs and metrics: messages per CPU s, of none",
                   0.97, ratios(rounds, "none", "limits"))
    table.beside("us of CPU per message, with all of it", column(rounds, "limits"))


def strangers(host, options, table):
    """Echoes beside connects from a thousand addresses and heads that drip, and without them."""
    def measure(kind):
        server = host.start("ring", "--header-timeout", "5s")
        seconds = options.seconds * 2 + 2
        beside = []
        if kind == "beset":
            beside = [Drips(server)]
            host.load(server, "/echo", "--scenario", "idle", "-c", str(STRANGERS_PER_S),
                      "--connect-rate", str(STRANGERS_PER_S), "--session-time", "1s",
                      "--source-ip", SOURCES, "-d", f"{seconds + 20:g}s")
            time.sleep(2)
        record = host.loaded(server, "/echo", "-c", "100", "-r", str(ECHO_RATE), "-d",
                             f"{seconds:g}s", seconds=seconds)
        total = server.stats()["total"]
        if kind == "beset":
            held.append(total["held_bytes"] / 2**20)
            came.append(total["accepted"] / (seconds + 2))
        for other in beside:
            dripped.append(other.end())
        host.end_all()
        return record["latency"]["response"]["p99_ns"] / 1e6

    held, came, dripped = [], [], []
    rounds = interleaved(("quiet", "beset"), options.pairs, measure)
    beyond = [figures["beset"] - max(figures["quiet"] * 1.5, figures["quiet"] + 1)
              for figures in rounds]
    name = f"{ECHO_RATE} echoes/s beside strangers"
    table.at_most(f"{name}: ms of p99 beyond 1.5 times and 1 ms more", 0, beyond)
    table.at_most(f"{name}: MiB that peers make the core hold", 64, held)
    table.beside("ms of p99, alone", column(rounds, "quiet"))
    table.beside("ms of p99, beside them", column(rounds, "beset"))
    table.beside("connects/s that came", came)
    table.beside("pieces of heads a second", dripped)


class Drips:
    """Connections whose requests come byte by byte and never end."""

    def __init__(self, server):
        self.port, self.count, self.is_over = server.port, 0, False
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self._drip, daemon=True)
        self.thread.start()

    def _drip(self):
        os.sched_setaffinity(0, {DRIVER_CPU})
        peers = [None] * DRIPPING
        while not self.is_over:
            due = int((time.monotonic() - self.began) * DRIPS_PER_S) - self.count
            for _ in range(min(due, DRIPPING)):
                at = self.count % DRIPPING
                self.count += 1
                try:
                    if peers[at] is None:
                        peers[at] = socket.create_connection(("127.0.0.1", self.port), 1)
                        peers[at].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        peers[at].sendall(b"GET /echo HTTP/1.1\r\nX: ")
                    else:
                        peers[at].sendall(b"x")
                except OSError:
                    peers[at] = None
            time.sleep(0.001)
        for peer in filter(None, peers):
            peer.close()

    def end(self):
        """Ends them: pieces a second."""
        self.is_over = True
        self.thread.join()
        return self.count / (time.monotonic() - self.began)


def handshakes(host, options, table):
    """User CPU of a handshake that resumes, of a full one (ECDSA P-256)."""
    def measure(kind):
        server = host.start("ring", secure="ec")
        # Seconds are whole there.
        seconds = max(1, round(options.seconds))
        command = ["openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", "-time",
                   str(seconds), "-tls1_2", "-new" if kind == "full" else "-reuse"]
        cpu_s = server.cpu_s()
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=seconds + PATIENCE, check=False,
                             preexec_fn=lambda: os.sched_setaffinity(0, {DRIVER_CPU}))
        spent = server.cpu_s() - cpu_s
        host.end_all()
        found = re.search(r"(\d+) connections in [\d.]+ real seconds", ran.stdout)
        if not found or int(found[1]) == 0:
            raise Failure(f"openssl s_time: {ran.stdout[-300:]}{ran.stderr[-300:]}")
        return spent / int(found[1]) * 1e6

    rounds = interleaved(("full", "resumed"), options.pairs, measure)
    table.at_most("TLS 1.2, a handshake that resumes: CPU, of a full one", 0.9,
                  ratios(rounds, "resumed", "full"))
    for kind in ("full", "resumed"):
        table.beside(f"us of CPU per handshake, {kind}", column(rounds, kind))


def gone(host, options, table):
    """Clients whose application is gone: how soon nobody is asked, and what holds then."""
    took, answered = [], []
    for _ in range(options.pairs):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            # It is bound and does not listen: who connects is refused.
            server = host.start("ring", "--dev", "--backend", f"http://127.0.0.1:{port}/",
                                "--backend-failure", "allow")
            host.load(server, "/connection/websocket", "--scenario", "channels", "--channel",
                      "news", "-c", "200", "--connect-rate", "200", "--senders", "0", "-d", "30s")
            while not (asked := server.stats()["backend"])["asked"]:
                time.sleep(0.01)
            began = time.monotonic()
            while not asked["breaker_open"] and time.monotonic() < began + 10:
                time.sleep(0.01)
                asked = server.stats()["backend"]
            took.append(time.monotonic() - began)
            wait_open(server, "websocket", 200)
            answered.append(server.stats()["total"]["open"]["websocket"])
            host.end_all()
    table.at_most("an application that is gone: s until nobody is asked", 1, took)
    table.at_least("200 clients of it, policy `allow`: let in", 200, answered)


def killed(host, options, table):
    """Subscribers of a server that is killed and watched, with a store: when all are back."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(max(1, options.pairs // 2)):
            path = os.path.join(folder, f"{number}.redb")
            server = host.start("ring", "--dev", "--store", path, "--supervise")
            listen(host, server, "-c", str(SUBSCRIBERS), "--channels", str(CHANNELS), "--senders",
                   "0", "--reconnect", "--backoff", "200ms-1s", seconds=60)
            post(server, "/publish", b'{"topic":"news0","data":1}', {"X-API-Key": "dev"})
            first = watched(server)
            os.kill(first, signal.SIGKILL)
            began = time.monotonic()
            while watched(server) == first or back(server) < SUBSCRIBERS:
                if time.monotonic() > began + PATIENCE:
                    raise Failure(f"{back(server)} of {SUBSCRIBERS} are back")
                time.sleep(0.02)
            took.append(time.monotonic() - began)
            host.end_all()
    table.at_most(f"kill -9 under {SUBSCRIBERS} subscribers, --supervise: s until all are back", 5,
                  took)


def watched(server):
    """The process that the watching one has started; 0 for none."""
    with open(f"/proc/{server.pid}/task/{server.pid}/children", encoding="ascii") as found:
        return next(map(int, found.read().split()), 0)


def back(server):
    """How many WebSockets are open; none while there is no server."""
    try:
        return server.stats()["total"]["open"]["websocket"]
    except Failure:
        return 0

"""Channels: what a delivery, a recovery and a subscription cost, beside /push and other makes."""

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from .bars import Failure
from .figures import SETTLE_SECONDS, column, interleaved, ratios, slopes_of, wait_open
from .processes import DRIVER_CPU, PATIENCE, ROOT, SERVER_CPU, Child

API_KEY = {"X-API-Key": "dev"}
LISTENERS = 5_000
CHUNK_MS = 100
CHANNELS, EACH, RATE = 360, 50, 2_000
RETURNING, MISSED = 18_000, 100
STEPS = (3_000, 8_000, 13_000, 18_000)
FOREIGN_CHANNELS, FOREIGN_RATE = 40, 400
# Event streams of one channel, what each is told, how often.
STREAMS, EVENT, EVERY_S = 2_000, "x" * 64, 0.02
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
# Both ends of the others are descriptors of processes that may have 20,000.
READERS, READ_CHANNELS = 9_000, 10


def hub(host, options, table):
    """The figures of channels."""
    broadcasts(host, options, table)
    many_channels(host, options, table)
    beside_others(host, options, table)
    beside_nchan(host, options, table)
    recovery(host, options, table)
    non_readers(host, options, table)
    memory(host, options, table)


def broadcasts(host, options, table):
    """One channel of many subscribers, beside /push with as many listeners."""
    def measure(kind):
        if kind == "push":
            server = host.start("ring", "--chunk-ms", str(CHUNK_MS))
            host.load(server, "/push", "--scenario", "listen", "-c", str(LISTENERS), "-d",
                      f"{options.seconds + 60:g}s")
            wait_open(server, "websocket", LISTENERS)
            return per_delivery(host, server, options.seconds)
        server = host.start("ring", "--dev")
        listen(host, server, "-c", str(LISTENERS), "--senders", "0", seconds=options.seconds + 30)
        return of_one_channel(host, server, options)

    rounds = interleaved(("hub", "push"), options.pairs, measure)
    table.at_most(f"a channel of {LISTENERS}: CPU per delivery, of /push", 1.05,
                  ratios(rounds, "hub", "push"))
    table.beside("us of CPU per delivery, channel", column(rounds, "hub"))
    table.beside("us of CPU per delivery, /push", column(rounds, "push"))


def many_channels(host, options, table, channels=CHANNELS, flags=()):
    """Many channels of few subscribers, who publish, beside one of many."""
    def measure(kind):
        if kind == "one":
            server = host.start("ring", "--dev")
            listen(host, server, "-c", str(LISTENERS), "--senders", "0", seconds=options.seconds + 30)
            return of_one_channel(host, server, options)
        server = host.start("ring", "--dev", *flags)
        load = listen(host, server, "-c", str(channels * EACH), "--channels", str(channels), "-r",
                      str(RATE), record=True, seconds=options.seconds + 4)
        cost = per_delivery(host, server, options.seconds, ends=False)
        told = recorded(load)["deliveries"]
        host.end_all()
        wrong.append(told["lost"] + told["repeated"] + told["reordered"] + told["told"])
        return cost

    wrong = []
    rounds = interleaved(("many", "one"), options.pairs, measure)
    name = f"{channels} channels of {EACH}, {RATE} publications/s"
    table.at_most(f"{name}: CPU per delivery, of one channel's", 1.15,
                  ratios(rounds, "many", "one"))
    table.at_most(f"{name}: lost, repeated, out of order, told", 0, wrong)
    table.beside("us of CPU per delivery", column(rounds, "many"))


def beside_others(host, options, table):
    """The same publications through npm `ws` with a plain map of subscribers, if it is here."""
    modules = next((path for path in npm_folders() if os.path.isdir(os.path.join(path, "ws"))),
                   None)
    if modules is None or shutil.which("node") is None:
        table.beside("npm ws is not here; try: tests/foreign/run ws", [0])
        return

    def measure(kind):
        server = host.start("ring", "--dev") if kind == "hub" else node(host, modules)
        load = listen(host, server, "-c", str(FOREIGN_CHANNELS * EACH), "--channels",
                      str(FOREIGN_CHANNELS), "-r", str(FOREIGN_RATE), record=True,
                      waits=kind == "hub", seconds=options.seconds + 4)
        before = server.cpu_s()
        record = recorded(load)
        cpu_s = server.cpu_s() - before
        host.end_all()
        return record["deliveries"]["live"] / cpu_s

    rounds = interleaved(("hub", "ws"), options.pairs, measure)
    table.at_least(f"{FOREIGN_CHANNELS} channels of {EACH}: deliveries per CPU s, of npm ws", 1.6,
                   ratios(rounds, "hub", "ws"))
    for kind in ("hub", "ws"):
        table.beside(f"deliveries per CPU s, {kind}", column(rounds, kind))


def beside_nchan(host, options, table):
    """Event streams of one channel, beside nginx with nchan, if it is here."""
    if not os.access(NGINX, os.X_OK) or not os.path.exists(NCHAN):
        table.beside("nchan is not here; try: apt-get install nginx-light libnginx-mod-nchan", [0])
        return

    def measure(kind):
        if kind == "hub":
            server = host.start("ring", "--dev")
            path, send = "/channels?topic=news", lambda: publish(
                server, [{"topic": "news", "data": EVENT}])
        else:
            server = nginx(host)
            path, send = "/events", lambda: post(server, "/publish", EVENT.encode())
        load = host.load(server, path, "--scenario", "listen", "-c",
                         str(STREAMS), "-d", f"{options.seconds + 3:g}s", "--json",
                         stdout=subprocess.PIPE)
        time.sleep(2)
        before, until = server.cpu_s(), time.monotonic() + options.seconds + 2
        while time.monotonic() < until and load.process.poll() is None:
            send()
            time.sleep(EVERY_S)
        heard = recorded(load)["events"]["received"]
        cpu_s = server.cpu_s() - before
        host.end_all()
        return heard / cpu_s

    rounds = interleaved(("hub", "nchan"), options.pairs, measure)
    table.at_least(f"a channel of {STREAMS} event streams: deliveries per CPU s, of nchan", 1.4,
                   ratios(rounds, "hub", "nchan"))
    for kind in ("hub", "nchan"):
        table.beside(f"deliveries per CPU s, {kind}", column(rounds, kind))


def non_readers(host, options, table):
    """What those who read feel of as many who have stopped reading, beside as many more readers."""
    def measure(kind):
        server = host.start("ring", "--dev")
        holder = None
        if kind == "beside":
            holder = multiprocessing.get_context("fork").Process(
                target=subscribe_and_sleep, args=(server.port, READERS), daemon=True)
            holder.start()
            wait_open(server, "websocket", READERS)
        try:
            count = READERS if kind == "beside" else 2 * READERS
            load = listen(host, server, "-c", str(count), "--channels", str(READ_CHANNELS), "-r",
                          "20", record=True, waits=False, seconds=options.seconds + 4)
            record = recorded(load)
            held.append(server.memory()[1] / 1e6)
        finally:
            if holder:
                holder.kill()
                holder.join()
            host.end_all()
        told = record["deliveries"]
        wrong.append(told["lost"] + told["repeated"] + told["reordered"])
        return record["latency"]["one_way"]["p99_ns"] / 1e6

    held, wrong = [], []
    rounds = interleaved(("beside", "alone"), options.pairs, measure)
    worse = [max(0.0, min(beside / alone / 1.5, beside - alone))
             for beside, alone in zip(column(rounds, "beside"), column(rounds, "alone"))]
    name = f"{READERS} subscribers beside as many who do not read"
    table.at_most(f"{name}: p99 above 1.5 times the quiet one's, or ms above it", 1, worse)
    table.at_most(f"{name}: lost, repeated, out of order", 0, wrong)
    for kind in ("beside", "alone"):
        table.beside(f"p99 in ms, {kind}", column(rounds, kind))
    table.beside("anonymous memory of the server in MB", held)


def subscribe_and_sleep(port, count):
    """Subscribes so often, and reads nothing."""
    os.sched_setaffinity(0, {DRIVER_CPU})
    peers = []
    for number in range(count):
        channel = b"news%d" % (number % READ_CHANNELS)
        commands = (b'{"id":1,"connect":{}}', b'{"id":2,"subscribe":{"channel":"%s"}}' % channel)
        peer = socket.create_connection(("127.0.0.1", port), 10)
        peer.sendall(b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     b"Sec-WebSocket-Version: 13\r\n\r\n")
        peer.recv(4096)
        for command in commands:
            peer.sendall(bytes((0x81, 0x80 | len(command), 0, 0, 0, 0)) + command)
        peers.append(peer)
    time.sleep(600)


def recovery(host, options, table):
    """All clients are cut off at once, and come back to what was published meanwhile."""
    took, cost = [], []
    for _ in range(max(1, options.pairs // 2)):
        server = host.start("ring", "--dev")
        load = listen(host, server, "-c", str(RETURNING), "--channels", "18", "--senders",
                      "0", "--storm", "100%@3s", "--backoff", "1s-2s", record=True, seconds=12)
        wait_open(server, "websocket", RETURNING)
        while server.stats()["total"]["open"]["websocket"] > RETURNING // 2:
            time.sleep(0.01)
        before = server.cpu_s()
        publish(server, [{"topic": f"news{at}", "data": number}
                         for number in range(MISSED) for at in range(18)])
        record = recorded(load)
        cost.append((server.cpu_s() - before) / RETURNING / MISSED * 1e6)
        told = record["deliveries"]
        got = told["recovered"] + told["told"] + told["live"]
        if told["lost"] or told["repeated"] or got != RETURNING * MISSED:
            raise Failure(f"not whole: {told}")
        back = record["storm"]["recovered_s"]
        if back is None:
            raise Failure("not all came back")
        took.append(back)
        host.end_all()
    table.at_most(f"{RETURNING} clients are cut off and miss {MISSED} each: s until all are back",
                  5, took)
    table.beside("us of CPU per recovered publication, handshake and all", cost)


def memory(host, options, table):
    """User memory of one more client with a subscription and presence, and with a session too."""
    del options
    for flags, bar in ((("--app-name", "bench"), 400), ((), None)):
        points = []
        for connections in STEPS:
            server = host.start("ring", "--dev", *flags)
            load = ("-c", str(connections), "--channels", "100", "--senders", "0")
            listen(host, server, *load, seconds=120)
            time.sleep(SETTLE_SECONDS * 2)
            points.append((connections, server.memory()))
            host.end_all()
        pss, anonymous = slopes_of(points)
        if bar is None:
            table.beside("the same without a session", [pss])
        else:
            table.at_most("a client, its subscription, presence and session: bytes (PSS)", bar,
                          [pss])
            table.beside("the same, anonymous", [anonymous])


class Publisher:
    """Publishes into these channels in turn, for as long as the block runs."""

    def __init__(self, server, channels, every_s):
        self.server, self.channels, self.every_s = server, channels, every_s
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        number = 0
        while not self.over.wait(self.every_s):
            channel = self.channels[number % len(self.channels)]
            publish(self.server, [{"topic": channel, "data": {"seq": number}}])
            number += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def post(server, path, body, headers=None):
    """Posts that."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", body, headers or {})
    try:
        return urllib.request.urlopen(request, timeout=30).read()
    except OSError as error:
        raise Failure(f"{server.name} {path}: {error}") from error


def nginx(host):
    """nginx with nchan, in one process."""
    kept = tempfile.TemporaryDirectory()
    folder, port = kept.name, next(host.ports)
    with open(os.path.join(ROOT, "tests", "foreign", "servers", "nchan.conf"),
              encoding="utf-8") as file:
        text = file.read()
    for word, value in (("MODULES", os.path.dirname(NCHAN)), ("PORT", str(port)),
                        ("FOLDER", folder), ("worker_connections 2048", "worker_connections 9000")):
        text = text.replace(word, value)
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    child = Child([NGINX, "-p", folder, "-c", path], SERVER_CPU, port, stdout=subprocess.DEVNULL,
                  stderr=subprocess.DEVNULL)
    # It goes with the process.
    child.folder = kept
    host.children.append(child)
    time.sleep(1)
    return child


def publish(server, messages):
    """Publishes all of them, a thousand a call."""
    for start in range(0, len(messages), 1000):
        body = json.dumps(messages[start:start + 1000]).encode()
        post(server, "/publish", body, API_KEY)


def listen(host, server, *flags, record=False, waits=True, seconds):
    """Clients of channels, once they are there."""
    ending = ("--json",) if record else ()
    pipes = {"stdout": subprocess.PIPE} if record else {}
    load = host.load(server, "/connection/websocket", "--scenario", "channels", "--channel", "news",
                     "-d", f"{seconds:g}s", *flags, *ending, **pipes)
    if waits:
        wait_open(server, "websocket", int(flags[flags.index("-c") + 1]))
        # They subscribe.
        time.sleep(1)
    return load


def recorded(load):
    """The record of a load that ends by itself."""
    try:
        out, _ = load.process.communicate(timeout=PATIENCE)
        return json.loads(out)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise Failure(f"the load client left no record: {error}") from error


def of_one_channel(host, server, options):
    """The same where the application publishes in one channel."""
    with Publisher(server, ["news"], CHUNK_MS / 1000):
        cost = per_delivery(host, server, options.seconds, ends=False)
    host.end_all()
    return cost


def per_delivery(host, server, seconds, ends=True):
    """Microseconds of the server's CPU for each message that it sends."""
    def sample():
        return server.cpu_s(), server.stats()["total"]["messages_out"]

    cpu_s, sent = sample()
    time.sleep(seconds)
    now_s, now_sent = sample()
    if ends:
        host.end_all()
    if now_sent == sent:
        raise Failure("nothing was delivered")
    return (now_s - cpu_s) / (now_sent - sent) * 1e6


def node(host, modules):
    """A server on npm `ws` that speaks as much of the protocol as the load client asks for."""
    port = next(host.ports)
    script = os.path.join(ROOT, "tests", "foreign", "servers", "pubsub.js")
    environment = {**os.environ, "NODE_PATH": modules, "PORT": str(port)}
    child = Child(["node", script], SERVER_CPU, port, stdout=subprocess.PIPE,
                  stderr=subprocess.DEVNULL, env=environment)
    host.children.append(child)
    if b"listening" not in child.process.stdout.readline():
        raise Failure("the server on npm ws does not listen")
    return child


def npm_folders():
    """Where npm packages of the tests may be."""
    for name in ("foreign", "clients-npm"):
        yield os.path.join(ROOT, "target", name, "node_modules")
    yield os.environ.get("NODE_PATH", "")

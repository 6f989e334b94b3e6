"""Runs at the scale of 100,000 connections and more: both ends on this host, two pinned cores."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from .bars import Failure, Table
from .hub import API_KEY, post, publish
from .processes import DRIVER_CPU, ROOT, SERVER_CPU, Child, build

PORT = 9000
# Kernel and user memory of a loopback pair at the most, and what the rest of the host needs.
PAIR_BYTES, HOST_BYTES = 10 * 1024, 1 << 30
# Messages a second: the load client stays below the share of its core that makes a run invalid.
MESSAGES_PER_S = 25_000
EVENT_SECONDS = 5
SUBSCRIBERS = 1_000
UP_SECONDS = 120
CLOSE_SECONDS = 180


class Scale:
    """One server of so many connections, and the clients that come and go."""

    def __init__(self, options):
        self.options = options
        self.connections = options.connections
        refuse_what_does_not_fit(self.connections)
        self.program = build(options.program, benches=())["ringstorm"]
        self.out = options.out or os.path.join(ROOT, "out", time.strftime(
            f"{os.path.basename(sys.argv[0])}-%Y%m%d-%H%M%S"))
        os.makedirs(self.out, exist_ok=True)
        self.children = []
        self.server, self.flags = None, []

    @contextlib.contextmanager
    def serving(self, *flags):
        """A server, watched by an agent whose samples are kept."""
        limit = self.connections + max(1000, self.connections // 10)
        self.flags = ["--max-connections", str(limit), *flags]
        try:
            self.serve()
            self._start("agent", DRIVER_CPU, "agent", f"http://127.0.0.1:{PORT}", "--host",
                        "--json")
            yield self.server
        finally:
            self.end_all()

    def serve(self):
        """Starts the server: the first one, or another on the same port."""
        # From port 9000 on, below what clients are given: a port of an earlier run may linger.
        self.server = self._start("serve", SERVER_CPU, "serve", "--listen", f"127.0.0.1:{PORT}",
                                  "--cores", str(SERVER_CPU), *self.flags)
        self.server.port = PORT
        self._wait_until_it_listens()

    def load(self, name, path, connections, *flags):
        """Starts a load client; its record goes to NAME.json, its histogram to NAME.hgrm."""
        scheme = "http" if path == "/events" else "ws"
        client = self._start(
            name, DRIVER_CPU, "load", f"{scheme}://127.0.0.1:{PORT}{path}", "-c",
            str(connections), "--cores", str(DRIVER_CPU), "--source-ip", "auto", "--json",
            "--server-pid", str(self.server.pid), "--hgrm",
            os.path.join(self.out, f"{name}.hgrm"), *flags)
        client.record_path = os.path.join(self.out, f"{name}.out")
        return client

    def finished(self, client, seconds):
        """Waits for a client's end and returns its record."""
        try:
            code = client.process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"the load client is not done after {late.timeout:.0f} s") from late
        with open(client.record_path, encoding="utf-8") as lines:
            records = [line for line in lines if line.startswith("{")]
        if not records:
            raise Failure(f"the load client ended with {code}: see {client.record_path}")
        return json.loads(records[-1])

    def wait_open(self, kind, wanted, seconds=UP_SECONDS):
        """Waits until the server has so many of a kind open, or none more; returns how many."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            now = self.server.stats()["total"]["open"][kind]
            if (now >= wanted) if wanted else now == 0:
                return now
            time.sleep(0.1)
        raise Failure(f"{now:,} of {wanted:,} connections are open after {seconds} s")

    def probe(self):
        """One echo on a new connection; the seconds that it took."""
        began = time.monotonic()
        probe = subprocess.run(
            [self.program, "probe", f"ws://127.0.0.1:{PORT}/echo", "--send", "x", "--count", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
        if probe.returncode != 0:
            raise Failure("a new connection is not served")
        return time.monotonic() - began

    def end_all(self):
        """Ends what was started here, the server last."""
        while self.children:
            self.children.pop().end()

    def _start(self, name, cpu, *command):
        out = open(os.path.join(self.out, f"{name}.out"), "wb")
        with out, open(os.path.join(self.out, f"{name}.err"), "wb") as error:
            child = Child([self.program, *command], cpu, stdout=out, stderr=error)
        child.out = out.name
        self.children.append(child)
        return child

    def _wait_until_it_listens(self):
        for _ in range(300):
            with open(self.server.out, encoding="utf-8") as said:
                if said.read().startswith("listening"):
                    return
            if self.server.process.poll() is not None:
                break
            time.sleep(0.1)
        with open(os.path.join(self.out, "serve.err"), encoding="utf-8") as said:
            raise Failure(f"the server does not start: {said.read().strip()}")


def held(scale, table):
    """WebSockets: all up, each answers, what they cost."""
    few, many = scale.connections // 10, scale.connections
    seconds = many / MESSAGES_PER_S + 1
    rates = []
    with scale.serving() as server:
        alone = server.memory()[0]
        client = scale.load("few", "/echo", few, "--scenario", "idle", "-d", "120s")
        scale.wait_open("websocket", few)
        time.sleep(1)
        small = client.memory()[0]
        host_small = slab_bytes() + small + server.memory()[0]
        client.end()
        scale.wait_open("websocket", 0)
        client = scale.load("echo", "/echo", many, "-r", str(MESSAGES_PER_S), "-d",
                            f"{seconds:g}s")
        scale.wait_open("websocket", many)
        time.sleep(1)
        large, loaded = client.memory()[0], server.memory()[0]
        pair = (slab_bytes() + large + loaded - host_small) / (many - few)
        record = scale.finished(client, seconds + CLOSE_SECONDS)
        # The speed of a shared host changes: three tries, their median.
        for attempt in range(3 if many <= 200_000 else 0):
            scale.wait_open("websocket", 0)
            client = scale.load(f"connect-{attempt + 1}", "/echo", many, "--scenario", "idle",
                                "-d", "100ms")
            rates.append(scale.finished(client, CLOSE_SECONDS)["connects"]["up_per_s"])
    connects, messages = record["connects"], record["messages"]
    table.at_least(f"{many:,} WebSockets up", many, [connects["up"]])
    table.at_most("connects that failed", 0, [connects["failed"] + connects["dropped"]])
    table.at_least("echoes, in turn on every connection", many, [messages["replied"]])
    table.at_most("echoes lost, wrong or not sent", 0,
                  [messages["lost"] + messages["wrong"] + messages["dropped"]])
    rate = "connections a second, both ends on this host"
    if rates:
        table.at_least(rate, 25_000, rates)
    else:
        table.beside(rate, [connects["up_per_s"]])
    table.beside("seconds to connect", [record["time"]["connect_s"]])
    table.beside("response, p99 in ms", [record["latency"]["response"]["p99_ns"] / 1e6])
    table.at_most("server: bytes of user memory a connection (PSS)", 256,
                  [(loaded - alone) / many])
    table.beside("in all, MiB", [loaded / 2**20])
    table.at_most("load client: bytes of user memory a connection (PSS)", 400,
                  [(large - small) / (many - few)])
    table.beside("in all, MiB", [large / 2**20])
    table.at_most("host: KiB a loopback pair, kernel and both programs", 10, [pair / 1024])


def wait_subscribed(server, channels, wanted):
    """Waits until each channel has all its subscribers."""
    deadline, each = time.monotonic() + UP_SECONDS, wanted // channels
    for channel in range(channels):
        body = json.dumps({"channel": f"news{channel}"}).encode()
        while json.loads(post(server, "/api/presence_stats", body, API_KEY))["result"][
                "num_clients"] < each:
            if time.monotonic() > deadline:
                raise Failure(f"news{channel} has fewer than {each} after {UP_SECONDS} s")
            time.sleep(0.1)


def events(scale, table):
    """Event streams: an event to each every five seconds, nothing lost."""
    many, seconds = scale.connections, scale.options.event_seconds
    with scale.serving("--chunk-ms", str(EVENT_SECONDS * 1000)):
        client = scale.load("events", "/events", many, "-d", f"{seconds}s")
        record = scale.finished(client, seconds + UP_SECONDS + CLOSE_SECONDS)
    got = record["events"]
    table.at_least(f"{many:,} event streams up", many, [record["connects"]["up"]])
    # The last broadcast may be under way when the time is over.
    table.at_least("events received", many * (seconds // EVENT_SECONDS - 1), [got["received"]])
    table.at_most("events missed or repeated, streams ended early", 0,
                  [got["gaps"] + got["repeated"] + record["connects"]["ended_early"]])
    table.at_most("planned send to receipt, p99 in ms", 1000,
                  [record["latency"]["one_way"]["p99_ns"] / 1e6])


def storms(scale, table):
    """All connections dropped at once, again and again: the client is killed."""
    served, memory = [], []
    with scale.serving() as server:
        for storm in range(scale.options.storms):
            client = scale.load(f"storm-{storm + 1}", "/echo", scale.connections, "--scenario",
                                "idle", "-d", "300s")
            scale.wait_open("websocket", scale.connections)
            client.end()
            served.append(scale.probe())
            scale.wait_open("websocket", 0)
            # Anonymous memory: pages of the program's file come and go.
            memory.append(server.memory()[1])
            print(f"storm {storm + 1}: a new connection is served after {served[-1]:.2f} s; "
                  f"{memory[-1] / 2**20:.2f} MiB", file=sys.stderr, flush=True)
    table.at_most(f"{len(served)} times {scale.connections:,} dropped: s until a new one is served",
                  5, [max(served)])
    if len(memory) > 2:
        # To a hundredth: a page more or less is no leak.
        table.at_most("memory after the last, of that after the second", 1.01,
                      [memory[-1] / memory[1]])
    table.beside("in all, MiB", [memory[-1] / 2**20])


def returns(scale, table):
    """The server stops (SIGTERM) and another starts on its port: all clients come back to it."""
    many = scale.connections
    with scale.serving("--drain", "30s") as server:
        client = scale.load("returns", "/echo", many, "--scenario", "idle", "-d",
                            f"{UP_SECONDS}s", "--reconnect", "--allow-failures", "100%")
        scale.wait_open("websocket", many)
        began = time.monotonic()
        server.process.terminate()
        server.process.wait(CLOSE_SECONDS)
        stopped = time.monotonic() - began
        scale.serve()
        scale.wait_open("websocket", many)
        back = time.monotonic() - began
        time.sleep(1)
        client.process.send_signal(signal.SIGINT)
        record = scale.finished(client, CLOSE_SECONDS)
    got = record["returns"]
    short = sum(it["count"] for it in record["failures"] if it["kind"] == "no_slot")
    table.at_least(f"{many:,} clients lost their server", many, [got["lost"]])
    table.at_least("of those, back at the next one", many, [got["resumed"]])
    table.at_most("given up, not back at the end", 0, [got["given_up"] + got["absent"]])
    table.at_most("attempts for which the client had no slot", 0,
                  [short + record["connects"].get("waited_for_slot", 0)])
    table.beside("attempts", [got["attempts"]])
    table.beside("seconds until the first server had ended", [stopped])
    table.beside("seconds until all were back", [back])


def subscribed(scale, table):
    """A subscription for each connection; each second a thousand of them hear something."""
    many, seconds = scale.connections, 20
    channels = max(1, many // SUBSCRIBERS)
    # Each who comes would be told to all before it.
    rules = os.path.join(scale.out, "rules.toml")
    with open(rules, "w", encoding="utf-8") as file:
        file.write('[[channel]]\nname = "*"\njoin-leave = false\n')
    with scale.serving("--dev", "--rules", rules) as server:
        alone = server.memory()[0]
        client = scale.load("subscribed", "/connection/websocket", many, "--scenario", "channels",
                            "--channel", "news", "--channels", str(channels), "--senders", "0",
                            "-d", f"{seconds}s")
        scale.wait_open("websocket", many, 2 * UP_SECONDS)
        wait_subscribed(server, channels, many)
        loaded = server.memory()[0]
        began, number = time.monotonic(), 0
        while client.process.poll() is None and time.monotonic() - began < seconds - 5:
            publish(server, [{"topic": f"news{number % channels}", "data": number}])
            number += 1
            time.sleep(1)
        record = scale.finished(client, seconds + CLOSE_SECONDS)
    told = record["deliveries"]
    table.at_least(f"{many:,} WebSockets with a subscription", many, [record["connects"]["up"]])
    table.at_least(f"heard of {number} publications, one a second", number * many // channels,
                   [told["live"]])
    table.at_most("lost, repeated, out of order, told",
                  0, [told["lost"] + told["repeated"] + told["reordered"] + told["told"]])
    table.beside("seconds to connect", [record["time"]["connect_s"]])
    table.at_most("server: bytes of user memory a connection (PSS)", 400, [(loaded - alone) / many])
    table.beside("in all, MiB", [loaded / 2**20])


PARTS = {"subscribed": subscribed, "held": held, "events": events, "storms": storms, "returns": returns}


def run(options):
    """Runs the parts asked for and prints the verdict; the exit code."""
    try:
        scale = Scale(options)
    except Failure as failure:
        print(f"{os.path.basename(sys.argv[0])}: {failure}", file=sys.stderr)
        return 2
    with prepared(options, scale.out):
        table = Table()
        for name in options.parts:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                PARTS[name](scale, table)
            except Failure as failure:
                table.broken(name, str(failure))
            finally:
                scale.end_all()
    table.verdict()
    print(f"records, histograms and samples: {os.path.relpath(scale.out)}")
    return 1 if table.failed else 0


@contextlib.contextmanager
def prepared(options, out):
    """The host as `scripts/tune` would have it, if wanted; as it was, in any case, afterwards."""
    if options.as_is:
        yield
        return
    tune = os.path.join(ROOT, "scripts", "tune")
    with open(os.path.join(out, "tune.txt"), "wb") as said:
        subprocess.run([tune, "apply", options.tuning, "both"], stdout=said,
                       stderr=subprocess.STDOUT, check=False)
    try:
        yield
    finally:
        with open(os.path.join(out, "tune.txt"), "ab") as said:
            subprocess.run([tune, "revert"], stdout=said, stderr=subprocess.STDOUT, check=False)


def refuse_what_does_not_fit(connections):
    """Memory is the one thing that neither flags nor settings can make."""
    available = meminfo()["MemAvailable"]
    fit = max(0, available - HOST_BYTES) // PAIR_BYTES
    if connections > fit:
        raise Failure(f"{connections:,} loopback pairs need {PAIR_BYTES // 1024} KiB each, and "
                      f"{available >> 20:,} MiB are available; try: --connections {fit}")


def slab_bytes():
    """Kernel objects of the whole host: sockets, files, requests of the rings.

    Of those that the kernel can reclaim only the ones that sockets have: file systems cache and
    drop theirs at any time.
    """
    reclaimable = 0
    with open("/proc/slabinfo", encoding="ascii") as lines:
        for name, _active, objects, size, *_rest in map(str.split, lines):
            if name in ("sock_inode_cache", "dentry"):
                reclaimable += int(objects) * int(size)
    return meminfo()["SUnreclaim"] + reclaimable


def meminfo():
    """/proc/meminfo in bytes."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        fields = (line.split(":", 1) for line in lines)
        return {name: int(value.split()[0]) * 1024 for name, value in fields}

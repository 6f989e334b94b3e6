"""Clients of other servers: what a message of theirs costs beside an echo and their own servers."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

from .bars import Failure
from .figures import SETTLE_SECONDS, column, interleaved, per_message, ratios, slopes_of, wait_open
from .hub import Publisher, npm_folders, per_delivery, post, recorded
from .processes import BUILD_SECONDS, ROOT, SERVER_CPU, START_SECONDS, Child

TEXT = "x" * 32
# What a client says first, what it waits for then, what it says in a loop and is answered.
ECHOES = {
    "socketcluster": {
        "path": "/socketcluster/",
        "hello": ['{"event":"#handshake","data":{"authToken":null},"cid":1}'],
        "until": '"rid":1',
        "say": f'{{"event":"echo","data":"{TEXT}","cid":17}}',
        "hear": f'{{"rid":17,"data":"{TEXT}"}}',
    },
    "socketio": {
        "path": "/socket.io/?EIO=4&transport=websocket",
        "hello": ["40"],
        "until": "40{",
        "say": f'4217["echo","{TEXT}"]',
        "hear": f'4317["{TEXT}"]',
    },
    "cable": {
        "path": "/cable",
        "subprotocol": "actioncable-v1-json",
        "hello": [r'{"command":"subscribe","identifier":"{\"channel\":\"EchoChannel\"}"}'],
        "until": "confirm_subscription",
        "say": r'{"command":"message","identifier":"{\"channel\":\"EchoChannel\"}",'
               rf'"data":"{{\"message\":\"{TEXT}\",\"action\":\"echo\"}}"}}',
        "hear": r'{"identifier":"{\"channel\":\"EchoChannel\"}",'
                rf'"message":{{"message":"{TEXT}","action":"echo"}}}}',
    },
}
WHAT = {
    "socketcluster": "SocketCluster call and answer",
    "socketio": "Socket.IO event with acknowledgement",
    "cable": "ActionCable perform and reply",
}
# Subscribers of the channel `news`.
SUBSCRIBERS = {
    "centrifugo": {
        "path": "/connection/websocket",
        "hello": ['{"id":1,"connect":{}}', '{"id":2,"subscribe":{"channel":"news"}}'],
        "until": '"id":2',
    },
    "socketcluster": {
        "path": "/socketcluster/",
        "hello": [*ECHOES["socketcluster"]["hello"],
                  '{"event":"#subscribe","data":{"channel":"news"},"cid":2}'],
        "until": '"rid":2',
    },
    "socketio": {
        "path": "/socket.io/?EIO=4&transport=websocket",
        "hello": ["40", '420["join","news"]'],
        "until": "430[",
    },
    "cable": {
        "path": "/cable",
        "subprotocol": "actioncable-v1-json",
        "hello": [r'{"command":"subscribe","identifier":'
                  r'"{\"channel\":\"$pubsub\",\"stream_name\":\"news\"}"}'],
        "until": "confirm_subscription",
    },
}
LOOPS = (64, 1_000, 8_000)
BESIDE = 1_000
LISTENERS = 5_000
CHUNK_S = 0.1
STEPS, FOREIGN_STEPS = (2_000, 6_000, 10_000, 14_000), (1_000, 3_000, 5_000)
HANDSHAKES = 2_000
ANNOUNCED, ANNOUNCE_S = "x" * 100, 1.0
# Each connection takes Rails ten milliseconds, and more with each that is there.
RAILS_LISTENERS, RAILS_SECONDS, RAILS_PATIENCE = 1_000, 10, 240
PINGING, PING_EVERY_S = 42_000, 6
FEW, BOTH_WAYS, IN_A_ROW = 100, 170_000, 10
# What a client of SocketCluster says that has an event `ping` answered by an event `pong`.
PINGS = """
[[client]]
hello = [
  { send = '{"event":"#handshake","data":{"authToken":null},"cid":1}' },
  { wait = { json = "$.rid" } },
]
turn = [{ send = '{"event":"ping","data":null}' }, { wait = { regex = '^\\{"event":"pong"' } }]
"""


def dialects(host, options, table):
    """The figures of clients of other servers."""
    beside_echoes(host, options, table)
    beside_others(host, options, table)
    memory(host, options, table)
    handshakes(host, options, table)
    broadcasts(host, options, table)
    mixed(host, options, table)
    many_who_ping(host, options, table)
    few_who_say_much(host, options, table)


def beside_echoes(host, options, table):
    """A message and its answer in a closed loop, beside /echo of as many bytes."""
    for dialect, client in ECHOES.items():
        for count in LOOPS:
            def measure(kind, client=client, count=count):
                server = host.start("ring", "--dev")
                if kind == "echo":
                    flags = ("--payload", str(len(client["say"])))
                else:
                    flags = said(client, "say", "hear")
                return looped(host, server, count, options, flags)

            rounds = interleaved((dialect, "echo"), options.pairs, measure)
            table.at_least(f"{WHAT[dialect]}, {count} clients: messages per CPU s, of echoes", 0.88,
                           ratios(rounds, "echo", dialect))
            for kind in (dialect, "echo"):
                table.beside(f"us of CPU per message, {kind}", column(rounds, kind))


def beside_others(host, options, table):
    """The same beside the servers that the clients are made for."""
    for dialect, other, start, bar in (
            ("socketcluster", "socketcluster-server", socketcluster_server, 5),
            ("socketio", "socket.io", socketio_server, 3.8),
            ("socketio", "socketioxide", socketioxide_server, 1.2)):
        client = ECHOES[dialect]

        def measure(kind, client=client, start=start):
            server = host.start("ring", "--dev") if kind == "ours" else start(host)
            return looped(host, server, BESIDE, options, said(client, "say", "hear"))

        rounds = interleaved(("ours", "theirs"), options.pairs, measure)
        table.at_least(f"{WHAT[dialect]}, {BESIDE} clients: messages per CPU s, of {other}", bar,
                       ratios(rounds, "theirs", "ours"))
        for kind in ("ours", "theirs"):
            table.beside(f"us of CPU per message, {kind}", column(rounds, kind))


def memory(host, options, table):
    """User memory of one more client that is idle after its handshake."""
    runs = max(1, options.pairs // 2)
    ours = None
    for dialect, client in ECHOES.items():
        slopes = []
        for _ in range(runs):
            server = host.start("ring", "--dev")
            slopes.append(held(host, server, client, STEPS))
        table.at_most(f"an idle client of {dialect}: bytes (PSS)", 600, [pss for pss, _ in slopes])
        table.beside("the same, anonymous", [anonymous for _, anonymous in slopes])
        if dialect == "socketcluster":
            ours = [pss for pss, _ in slopes]
    theirs = [held(host, socketcluster_server(host), ECHOES["socketcluster"], FOREIGN_STEPS)[0]
              for _ in range(runs)]
    table.at_most("the same of socketcluster, of socketcluster-server's", 0.04,
                  [mine / other for mine, other in zip(ours, theirs)])
    table.beside("bytes of a client of socketcluster-server (PSS)", theirs)


def handshakes(host, options, table):
    """Server CPU of a client of Socket.IO that polls first and then moves."""
    starts = {"ours": lambda host: host.start("ring", "--dev"), "socket.io": socketio_server,
              "socketioxide": socketioxide_server}

    def measure(kind):
        server = starts[kind](host)
        result = host.drive(server, "accept", "polled", "--path", "/socket.io/", "--connections",
                            str(HANDSHAKES))
        host.end_all()
        return per_message(result)

    rounds = interleaved(tuple(starts), options.pairs, measure)
    for other, bar in (("socket.io", 0.2), ("socketioxide", 0.7)):
        table.at_most(f"Socket.IO by polls and upgrade: CPU per connection, of {other}", bar,
                      ratios(rounds, "ours", other))
    for kind in starts:
        table.beside(f"us of CPU per connection, {kind}", column(rounds, kind))


def broadcasts(host, options, table):
    """A broadcast of ActionCable to many, beside Rails."""
    if shutil.which("ruby") is None:
        table.beside("Rails is not here; try: apt-get install ruby-actioncable ruby-activejob "
                     "ruby-railties puma", [0])
        return

    def measure(kind):
        client = dict(SUBSCRIBERS["cable"])
        if kind == "ours":
            server, patience, count = host.start("ring", "--dev"), 0, LISTENERS
            body = json.dumps({"stream": "news", "data": json.dumps({"text": ANNOUNCED})}).encode()
            send, seconds = lambda: post(server, "/_broadcast", body, BEARER), options.seconds
        else:
            server, patience, count = rails_server(host), RAILS_PATIENCE, RAILS_LISTENERS
            client["hello"] = [
                r'{"command":"subscribe","identifier":"{\"channel\":\"AnnouncementsChannel\"}"}']
            send = lambda: post(server, f"/announce?text={ANNOUNCED}", b"")
            seconds = max(options.seconds, RAILS_SECONDS)
        with Repeated(send, ANNOUNCE_S):
            result = host.drive(server, "listen", "ws", *said(client), "--connections",
                                str(count), "--least", str(len(ANNOUNCED)), "--seconds",
                                str(seconds), "--warm", "2", seconds=seconds + patience)
        host.end_all()
        return per_message(result)

    rounds = interleaved(("ours", "Rails"), max(1, options.pairs // 2), measure)
    table.at_most(f"ActionCable broadcast to {LISTENERS}: CPU per delivery, of Rails' to "
                  f"{RAILS_LISTENERS}", 0.1,
                  ratios(rounds, "ours", "Rails"))
    for kind in ("ours", "Rails"):
        table.beside(f"us of CPU per delivery, {kind}", column(rounds, kind))


def mixed(host, options, table):
    """One channel of subscribers of all dialects, beside as many of one dialect at a time."""
    def measure(kind):
        server = host.start("ring", "--dev")
        kinds = tuple(SUBSCRIBERS) if kind == "mixed" else (kind,)
        for dialect in kinds:
            host.drive_beside(server, "listen", "ws", *said(SUBSCRIBERS[dialect]), "--connections",
                              str(LISTENERS // len(kinds)), "--seconds", "600")
        wait_open(server, "websocket", LISTENERS)
        time.sleep(1)
        with Publisher(server, ["news"], CHUNK_S):
            cost = per_delivery(host, server, options.seconds, ends=False)
        host.end_all()
        return cost

    rounds = interleaved(("mixed", *SUBSCRIBERS), options.pairs, measure)
    alone = [sum(figures[dialect] for dialect in SUBSCRIBERS) / len(SUBSCRIBERS)
             for figures in rounds]
    table.at_most(f"a channel of {LISTENERS} of mixed dialects: CPU per delivery, of one's", 1.15,
                  [figures["mixed"] / one for figures, one in zip(rounds, alone)])
    for kind in ("mixed", *SUBSCRIBERS):
        table.beside(f"us of CPU per delivery, {kind}", column(rounds, kind))


def many_who_ping(host, options, table):
    """Very many clients of SocketCluster, an event `ping` each now and then, answered by `pong`."""
    seconds = max(options.seconds, 2 * PING_EVERY_S)
    server = host.start("ring", "--dev", "--max-connections", str(PINGING + 1_000))
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as script:
        script.write(PINGS)
        script.flush()
        load = host.load(server, "/socketcluster/", "--scenario", "custom", "--script", script.name,
                         "-c", str(PINGING), "-r", str(PINGING // PING_EVERY_S), "-d",
                         f"{seconds:g}s", "--source-ip", "auto", "--json", stdout=subprocess.PIPE)
        wait_open(server, "websocket", PINGING)
        time.sleep(1)
        percent = percent_of_a_core(server, min(4, seconds / 2))
        record = recorded(load)
    host.end_all()
    name = f"{PINGING} SocketCluster clients, a ping each {PING_EVERY_S} s"
    table.at_most(f"{name}: p99 in ms", 20, [record["latency"]["response"]["p99_ns"] / 1e6])
    table.at_most(f"{name}: lost, wrong, failed", 0, [losses(record)])
    table.at_least("the same: answered", int(PINGING / PING_EVERY_S * seconds * 0.98),
                   [record["messages"]["replied"]])
    table.beside("% of a core", [percent])


def few_who_say_much(host, options, table):
    """Few clients of SocketCluster that call ten times in a row, at a rate that is kept."""
    seconds = max(options.seconds, 5)
    rate = BOTH_WAYS // 2
    server = host.start("ring", "--dev")
    load = host.load(server, "/socketcluster/", "--scenario", "socketcluster", "--event", "echo",
                     "-c", str(FEW), "-r", str(rate), "--burst", str(IN_A_ROW), "-d",
                     f"{seconds:g}s", "--json", stdout=subprocess.PIPE)
    wait_open(server, "websocket", FEW)
    time.sleep(1)
    percent = percent_of_a_core(server, seconds / 2)
    record = recorded(load)
    host.end_all()
    name = f"{FEW} SocketCluster clients, {IN_A_ROW} calls in a row"
    table.at_least(f"{name}: messages a second, both ways", BOTH_WAYS * 0.98,
                   [2 * record["messages"]["replied"] / seconds])
    table.at_most(f"{name}: lost, wrong, failed", 0, [losses(record)])
    table.beside("p99 in ms", [record["latency"]["response"]["p99_ns"] / 1e6])
    table.beside("% of a core", [percent])


class Repeated:
    """Does something every so often, for as long as the block runs."""

    def __init__(self, act, every_s):
        self.act, self.every_s = act, every_s
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.wait(self.every_s):
            self.act()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


BEARER = {"Authorization": "Bearer dev"}


def said(client, *names):
    """Flags of the driver: what a client says first, and what else of these names."""
    flags = ["--path", client["path"], "--until", client["until"]]
    for text in client["hello"]:
        flags += ["--hello", text]
    for name in ("subprotocol", *names):
        if name in client:
            flags += [f"--{name}", client[name]]
    return tuple(flags)


def looped(host, server, count, options, flags):
    """Microseconds of the server's CPU for a message and its answer, in a closed loop."""
    result = host.drive(server, "echo", "ws", "--connections", str(count), "--seconds",
                        str(options.seconds), *flags, seconds=options.seconds)
    host.end_all()
    if result["lost"]:
        raise Failure(f"{server.name} lost {result['lost']} messages")
    return per_message(result)


def held(host, server, client, steps):
    """Bytes of the server per idle client: proportional set size, anonymous."""
    points = []
    for count in host.hold(server, "ws", client["path"], steps, *said(client)[2:]):
        time.sleep(SETTLE_SECONDS)
        points.append((count, server.memory()))
    host.end_all()
    return slopes_of(points)


def percent_of_a_core(server, seconds):
    """How much of a core a server takes for so long."""
    before = (time.monotonic(), server.cpu_s())
    time.sleep(seconds)
    return (server.cpu_s() - before[1]) / (time.monotonic() - before[0]) * 100


def losses(record):
    """What went wrong in a load."""
    failed = sum(failure["count"] for failure in record["failures"])
    return record["messages"]["lost"] + record["messages"]["wrong"] + failed


def socketcluster_server(host):
    """npm's server, with the times that it has of itself."""
    return foreign(host, ["node", script("socketcluster.js")], PING_MS="8000")


def socketio_server(host):
    """npm's server, with the times that it has of itself."""
    return foreign(host, ["node", script("socketio.js")], PING_MS="25000")


def rails_server(host):
    """Rails on puma."""
    return foreign(host, ["ruby", script("cable.rb")])


def socketioxide_server(host):
    """The crate's server on one thread, built when it is first wanted."""
    folder = os.path.join(ROOT, "target", "socketioxide")
    command = ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path",
               os.path.join(script("socketioxide"), "Cargo.toml"), "--target-dir", folder]
    try:
        subprocess.run(command, cwd=ROOT, timeout=BUILD_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"socketioxide cannot be built: {error}") from error
    program = os.path.join(folder, "release", "socketioxide-server")
    return foreign(host, [program, str(next(host.ports))])


def script(name):
    """A server of another make."""
    return os.path.join(ROOT, "tests", "foreign", "servers", name)


def foreign(host, command, **environment):
    """Starts a server that says where it listens."""
    modules = next((path for path in npm_folders()
                    if os.path.isdir(os.path.join(path, "socketcluster-server"))), "")
    if command[0] == "node" and not modules:
        raise Failure("npm's packages are not here; try: tests/foreign/run socketcluster")
    child = Child(command, SERVER_CPU, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                  env={**os.environ, "NODE_PATH": modules, **environment})
    host.children.append(child)
    deadline = time.monotonic() + START_SECONDS * 2
    while time.monotonic() < deadline:
        line = child.process.stdout.readline().decode()
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
        if found:
            child.port = int(found.group(1))
            return child
        if not line:
            break
    raise Failure(f"{command[0]} does not listen")

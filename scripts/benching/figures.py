"""The figures: what is run for each, and the bar that it must hold."""

import signal
import time

from .bars import Failure, slope

STEPS = (2_000, 6_000, 10_000, 14_000, 18_000)
# A server that has nothing to say: an hour between two messages.
QUIET = ("--chunk-ms", "3600000")
CHUNK_MS = 100
LISTENERS = 5_000
MEMBERS = 4_000
SETTLE_SECONDS = 2
OPEN_SECONDS = 60
IDLE_CONNECTIONS = 10_000
PING_SECONDS = 25


def echo(host, options, table):
    """Messages per server-CPU-second, against each peer and against the bare ring."""
    kinds = ("ring", "baseline", "fastws", "limit")
    bars = {
        64: (("baseline", 1.07), ("fastws", 1.02), ("limit", 0.93)),
        1_000: (("baseline", 1.15), ("fastws", 1.08), ("limit", 0.93)),
        8_000: (("baseline", 1.15), ("fastws", 1.15), ("limit", 0.93)),
    }
    for connections in (1, *bars):
        # Single runs scatter by a fifth and more: three times as many where a bar is near.
        pairs = options.pairs * (3 if connections in bars else 1)
        rounds = interleaved(kinds, pairs, lambda kind: us_per_echo(
            host, kind, connections, 1, options.seconds))
        if connections == 1:
            table.at_most("echo, 1 connection: CPU per message, of the bare ring's", 1.15,
                          ratios(rounds, "ring", "limit"))
        for peer, bar in bars.get(connections, ()):
            # Less CPU per message is more messages per CPU: hence the peer above, the ring below.
            table.at_least(f"echo, {connections} connections: messages per CPU s, of {NAMES[peer]}",
                           bar, ratios(rounds, peer, "ring"))
        for kind in kinds:
            table.beside(f"us of CPU per message, {NAMES[kind]}", column(rounds, kind))


def pipeline(host, options, table):
    """Many messages in flight on each of 64 connections."""
    kinds = ("ring", "coalescing", "baseline")
    rounds = interleaved(kinds, options.pairs, lambda kind: us_per_echo(
        host, kind, 64, 16, options.seconds))
    table.at_least("64 connections, 16 in flight: messages per CPU s, of the bare ring", 0.85,
                   ratios(rounds, "coalescing", "ring"))
    for kind in kinds:
        table.beside(f"us of CPU per message, {NAMES[kind]}", column(rounds, kind))
    rounds = interleaved((*kinds, "limit"), options.pairs, lambda kind: us_bare(host) if kind ==
                         "limit" else us_per_echo(host, kind, 64, 256, options.seconds))
    table.at_most_us("64 connections, 256 in flight: us of CPU per message", 0.25,
                     column(rounds, "ring"), column(rounds, "limit"))
    for kind in kinds[1:]:
        table.beside(f"us of CPU per message, {NAMES[kind]}", column(rounds, kind))


def accept(host, options, table):
    """Server CPU of one accepted and upgraded connection."""
    rounds = interleaved(("speed", "limit", "ring", "baseline"), options.pairs, lambda kind:
                         us_bare(host) if kind == "speed" else us_per_accept(host, kind))
    table.at_most_us("accept and upgrade: us of CPU per connection", 16, column(rounds, "ring"),
                     column(rounds, "speed"))
    table.beside("the same, tokio-tungstenite", column(rounds, "baseline"))
    table.beside("accept and return the request, bare ring", column(rounds, "limit"))


def broadcast(host, options, table):
    """Server CPU of one message that reaches one of 5,000 listeners."""
    for protocol, path in (("ws", "/push"), ("sse", "/events")):
        def us_per_delivery(kind):
            result = delivery(host, kind, protocol, path, options.seconds)
            planned = result["seconds"] * 1000 / CHUNK_MS * LISTENERS
            delivered[kind].append(result["messages"] / planned * 100)
            return per_message(result)

        delivered = {"ring": [], "baseline": []}
        rounds = interleaved(("ring", "baseline"), options.pairs, us_per_delivery)
        table.at_most(f"broadcast to {LISTENERS} on {path}: CPU per delivery, of the baseline's", 0.9,
                      ratios(rounds, "ring", "baseline"))
        for kind in ("ring", "baseline"):
            table.beside(f"us of CPU per delivery, {NAMES[kind]}", column(rounds, kind))
            table.beside(f"% of the planned deliveries, {NAMES[kind]}", delivered[kind])


def rooms(host, options, table):
    """Server CPU of one text that reaches one of six members, of the baseline's broadcast."""
    def us_per_delivery(kind):
        return per_message(rooms_delivery(host, options.seconds) if kind == "ring"
                           else delivery(host, kind, "ws", "/push", options.seconds))

    rounds = interleaved(("ring", "baseline"), options.pairs, us_per_delivery)
    table.at_most(f"{MEMBERS} members in rooms of 6: CPU per delivery, of the baseline's broadcast",
                  0.9, ratios(rounds, "ring", "baseline"))
    table.beside("us of CPU per delivery, in rooms", column(rounds, "ring"))
    table.beside(f"the same, baseline's broadcast to {LISTENERS}", column(rounds, "baseline"))


def memory(host, options, table):
    """User memory of one more idle connection, by regression over steps."""
    runs = max(1, options.pairs // 2)
    for protocol, path in (("ws", "/echo"), ("sse", "/events")):
        slopes = [server_slopes(host, protocol, path) for _ in range(runs)]
        table.at_most(f"server: bytes per idle connection on {path} (PSS)", 256,
                      [pss for pss, _ in slopes])
        table.beside("the same, anonymous", [anonymous for _, anonymous in slopes])
    for path, flags in (("/echo", ("idle",)), ("/echo", ("idle", "--ping", "2s")),
                        ("/events", ("listen",))):
        slopes = [client_slopes(host, path, *flags) for _ in range(runs)]
        pings = ", pinging" if "--ping" in flags else ""
        table.at_most(f"load client: bytes per idle connection on {path}{pings} (PSS)", 400,
                      [pss for pss, _ in slopes])
        table.beside("the same, anonymous", [anonymous for _, anonymous in slopes])


def generator(host, options, table):
    """CPU that our load client spends on one echo at 64 connections."""
    def measure(kind):
        if kind == "limit":
            return us_bare(host)
        if kind == "load":
            return us_per_echo_of_load(host, host.start("ring"), options.seconds)
        return us_per_echo(host, "ring", 64, 1, options.seconds, whose="driver_cpu_s")

    rounds = interleaved(("limit", "load", "driver"), options.pairs * 3, measure)
    table.at_most_us("load client, 64 connections: us of CPU per echo", 4.2,
                     column(rounds, "load"), column(rounds, "limit"))
    table.beside("the same, bare driver that only counts", column(rounds, "driver"))


def tls(host, options, table):
    """What TLS 1.3 costs: CPU of the server's echo, memory of the client's idle connection."""
    def us_per_echo_of_server(kind):
        server = host.start("ring", secure="ec" if kind == "tls" else None)
        client = host.load(server, "/echo", "--scenario", "echo", "-c", "64", "-d",
                           f"{options.seconds + 30:g}s", "--payload", "32")
        wait_open(server, "websocket", 64)
        time.sleep(0.5)
        before = (server.cpu_s(), server.stats()["total"]["messages_in"])
        time.sleep(options.seconds)
        after = (server.cpu_s(), server.stats()["total"]["messages_in"])
        client.end()
        host.end_all()
        if after[1] == before[1]:
            raise Failure("the server answered nothing")
        return (after[0] - before[0]) / (after[1] - before[1]) * 1e6

    rounds = interleaved(("plain", "tls"), options.pairs, us_per_echo_of_server)
    table.at_least("TLS, 64 connections: messages per CPU s, of plain echoes", 0.6,
                   ratios(rounds, "plain", "tls"))
    for kind in ("plain", "tls"):
        table.beside(f"us of CPU per message, {kind}", column(rounds, kind))
    steps = (1_000, 3_000, 5_000)
    sides = {"load client": [], "server": []}
    for _ in range(max(1, options.pairs // 2)):
        points = {side: [] for side in sides}
        for connections in steps:
            server = host.start("ring", *QUIET, secure="ec")
            client = host.load(server, "/echo", "--scenario", "idle", "-c", str(connections),
                               "--connect-rate", "1000", "-d", "180s")
            wait_open(server, "websocket", connections)
            time.sleep(SETTLE_SECONDS)
            points["load client"].append((connections, client.memory()))
            points["server"].append((connections, server.memory()))
            client.end()
            host.end_all()
        for side, found in points.items():
            sides[side].append(slopes_of(found)[0])
    for side, slopes in sides.items():
        table.at_most(f"{side}: bytes per idle TLS connection (PSS)", 12 * 1024, slopes)


def idle(host, options, table):
    """CPU of connections that say nothing, on both sides."""
    seconds = max(10.0, options.seconds)
    server = host.start("ring", *QUIET)
    client = host.load(server, "/echo", "--scenario", "idle", "-c", str(IDLE_CONNECTIONS),
                       "--connect-rate", "5000", "-d", f"{seconds + 120:g}s")
    wait_open(server, "websocket", IDLE_CONNECTIONS)
    time.sleep(SETTLE_SECONDS)
    sides = {"server": [], "load client": []}
    for _ in range(options.pairs):
        before = (time.monotonic(), server.cpu_s(), client.cpu_s())
        time.sleep(seconds / options.pairs)
        after = (time.monotonic(), server.cpu_s(), client.cpu_s())
        for side, index in (("server", 1), ("load client", 2)):
            sides[side].append((after[index] - before[index]) / (after[0] - before[0]) * 100)
    still_open(server, IDLE_CONNECTIONS)
    for side, percents in sides.items():
        table.at_most(f"{side}: % of a core for {IDLE_CONNECTIONS} quiet connections", 0.2,
                      percents)


def ping(host, options, table):
    """CPU of a server that pings quiet connections every 25 seconds."""
    server = host.start("ring", *QUIET, "--idle-timeout", f"{2 * PING_SECONDS}s")
    client = host.load(server, "/echo", "--scenario", "idle", "-c", str(IDLE_CONNECTIONS),
                       "--connect-rate", "5000", "-d", "180s")
    wait_open(server, "websocket", IDLE_CONNECTIONS)
    per_second = {"server": [], "load client": []}
    for _ in range(2):
        before = (time.monotonic(), server.cpu_s(), client.cpu_s(), server.stats()["total"])
        time.sleep(PING_SECONDS)
        after = (time.monotonic(), server.cpu_s(), client.cpu_s(), server.stats()["total"])
        for side, index in (("server", 1), ("load client", 2)):
            per_second[side].append((after[index] - before[index]) / (after[0] - before[0])
                                    / IDLE_CONNECTIONS * 1e6)
        # A pong is six bytes: without pings the figure would be that of idleness.
        if after[3]["bytes_in"] - before[3]["bytes_in"] < IDLE_CONNECTIONS * 6 * 0.9:
            raise Failure("not every connection was pinged")
    still_open(server, IDLE_CONNECTIONS)
    table.at_most("server: us of CPU per connection and second, pings every 25 s", 1,
                  per_second["server"])
    table.beside("the same, the load client that answers", per_second["load client"])


def stats(host, options, table):
    """CPU of reading process and host every second beside so many quiet connections."""
    connections = options.connections
    server = host.start("ring", *QUIET, "--max-connections", str(connections + connections // 10))
    # As long as what is read rarely takes to come round.
    seconds = max(15.0, options.seconds)
    length = OPEN_SECONDS + 2 * seconds * options.pairs
    host.load(server, "/echo", "--scenario", "idle", "-c", str(connections), "--connect-rate",
              "5000", "--source-ip", "auto", "-d", f"{length:g}s")
    wait_open(server, "websocket", connections)
    time.sleep(SETTLE_SECONDS)
    sampling, quiet, scraped = [], [], []
    for _ in range(options.pairs):
        for percents, every in ((quiet, None), (scraped, 1.0)):
            before = (time.monotonic(), server.cpu_s(), server.thread_cpu_s("stats"))
            if every is None:
                time.sleep(seconds)
            else:
                for _ in range(int(seconds / every)):
                    server.get("/metrics")
                    time.sleep(every)
            after = (time.monotonic(), server.cpu_s(), server.thread_cpu_s("stats"))
            percents.append((after[1] - before[1]) / (after[0] - before[0]) * 100)
            sampling.append((after[2] - before[2]) / (after[0] - before[0]) * 100)
    still_open(server, connections)
    table.at_most(f"sampling at {connections} connections: % of a core", 0.1, sampling)
    table.beside("the whole server, % of a core", quiet)
    table.beside("the same with a scrape of /metrics each second", scraped)


def soak(host, options, table):
    """8,000 echoing connections on 64 receive buffers: nothing lost, nothing stuck."""
    server = host.start("ring", "--receive-buffers", "64")
    result = host.drive(server, "echo", "ws", "--connections", "8000", "--seconds",
                        str(options.soak_seconds), seconds=options.soak_seconds, tries=1)
    table.at_most("soak: messages lost", 0, [result["lost"]])
    table.at_most("soak: longest silence of the server, ms", 1000, [result["gap_ms_max"]])
    table.at_least("soak: echoes on the slowest connection", 1, [result["messages_on_the_slowest"]])
    table.at_most("soak: watchdog rescues", 0, [server.stats()["total"]["rescues"]])
    table.beside("echoes", [result["messages"]])


NAMES = {
    "ring": "ringstorm",
    "baseline": "tokio-tungstenite",
    "fastws": "fastwebsockets",
    "limit": "the bare ring",
    "coalescing": "the bare ring, a send a turn",
}


def interleaved(kinds, pairs, measure):
    """Rounds of one run of each kind: A B, then B A, and so on."""
    rounds = []
    for index in range(pairs):
        order = kinds if index % 2 == 0 else kinds[::-1]
        rounds.append({kind: measure(kind) for kind in order})
    return rounds


def ratios(rounds, above, below):
    """One kind's figure divided by the other's, round by round."""
    return [figures[above] / figures[below] for figures in rounds]


def column(rounds, kind):
    """One kind's figures."""
    return [figures[kind] for figures in rounds]


def us_per_echo(host, kind, connections, in_flight, seconds, whose="server_cpu_s"):
    """Starts a server, echoes, ends it: microseconds of CPU per message."""
    protocol = "tcp" if kind in ("limit", "coalescing") else "ws"
    if kind == "coalescing":
        server = host.start("limit", "--coalesce", "--buffer-bytes", "4096")
    else:
        server = host.start(kind)
    result = host.drive(server, "echo", protocol, "--connections", str(connections), "--pipeline",
                        str(in_flight), "--seconds", str(seconds), seconds=seconds)
    host.end_all()
    if result["lost"]:
        raise Failure(f"{NAMES[kind]} lost {result['lost']} messages")
    return per_message(result, whose)


def us_per_echo_of_load(host, server, seconds):
    """Microseconds of the load client's CPU for an echo, in a closed loop on 64 connections."""
    client = host.load(server, "/echo", "--scenario", "echo", "-c", "64", "-d",
                       f"{seconds + 30:g}s", "--payload", "32")
    wait_open(server, "websocket", 64)
    time.sleep(0.5)
    before = (client.cpu_s(), server.stats()["total"]["messages_in"])
    time.sleep(seconds)
    after = (client.cpu_s(), server.stats()["total"]["messages_in"])
    host.end_all()
    if after[1] == before[1]:
        raise Failure("the load client sends nothing")
    return (after[0] - before[0]) / (after[1] - before[1]) * 1e6


def us_per_accept(host, kind):
    """Microseconds of the server's CPU for an accepted and upgraded connection."""
    server = host.start(kind)
    protocol = "tcp" if kind == "limit" else "ws"
    result = host.drive(server, "accept", protocol, "--connections", "6000")
    host.end_all()
    return per_message(result)


def delivery(host, kind, protocol, path, seconds):
    """A broadcast to LISTENERS, every CHUNK_MS: what the driver measured."""
    server = host.start(kind, "--chunk-ms", str(CHUNK_MS))
    result = host.drive(server, "listen", protocol, "--path", path, "--connections",
                        str(LISTENERS), "--seconds", str(seconds), "--warm", "1", seconds=seconds)
    host.end_all()
    return result


def rooms_delivery(host, seconds):
    """Texts said in rooms of six: what the driver measured."""
    server = host.start("ring", "--chunk-ms", str(CHUNK_MS))
    result = host.drive(server, "rooms", "ws", "--path", "/rooms", "--connections", str(MEMBERS),
                        "--seconds", str(seconds), "--warm", "1", seconds=seconds)
    host.end_all()
    return result


def us_bare(host):
    """How fast this host is now: the bare ring's CPU per message at 64 connections."""
    return us_per_echo(host, "limit", 64, 1, 0.5)


def per_message(result, whose="server_cpu_s"):
    """Microseconds of CPU per message of a driver's result."""
    if not result["messages"]:
        raise Failure("the server answered nothing")
    return result[whose] / result["messages"] * 1e6


def server_slopes(host, protocol, path, steps=STEPS):
    """Bytes of the server per connection: proportional set size, anonymous."""
    server = host.start("ring", *QUIET)
    points = []
    for held in host.hold(server, protocol, path, steps):
        time.sleep(SETTLE_SECONDS)
        still_open(server, held)
        points.append((held, server.memory()))
    host.end_all()
    return slopes_of(points)


def client_slopes(host, path, scenario, *more, steps=STEPS):
    """Bytes of the load client per connection; a fresh client for each step."""
    points = []
    for connections in steps:
        server = host.start("ring", *QUIET)
        client = host.load(server, path, "--scenario", scenario, "-c", str(connections),
                           "--connect-rate", "5000", "-d", "180s", *more)
        wait_open(server, "sse" if path == "/events" else "websocket", connections)
        time.sleep(SETTLE_SECONDS)
        points.append((connections, client.memory()))
        client.end(signal.SIGKILL)
        host.end_all()
    return slopes_of(points)


def slopes_of(points):
    """The two slopes of (connections, (pss, anonymous)) points."""
    return tuple(slope([(count, bytes_[index]) for count, bytes_ in points]) for index in (0, 1))


def wait_open(server, kind, count):
    """Waits until the server has so many connections of that kind."""
    deadline = time.monotonic() + OPEN_SECONDS
    while time.monotonic() < deadline:
        now = server.stats()["total"]["open"][kind]
        if now >= count:
            return
        time.sleep(0.2)
    raise Failure(f"{now} of {count} connections are open after {OPEN_SECONDS} s")


def still_open(server, count):
    """A figure of connections that were closed meanwhile would be a lie."""
    now = sum(server.stats()["total"]["open"].values())
    if now < count:
        raise Failure(f"only {now} of {count} connections are still open")

"""This build beside an older one: what each figure costs, run by run in turns.

A ratio is the older build's cost divided by this one's, so above 1 is better. Its interval is the
95 % one of the median, by rank.
"""

import math
import os
import statistics
import time

from . import figures, loading

# The upper end of the interval must reach it: what lies below was surely made worse.
NO_WORSE = 0.99
HELD = 16_000


def _idle(host, seconds):
    """Microseconds of the server's CPU in a second with many quiet connections."""
    server = host.start("ring", *figures.QUIET)
    host.load(server, "/echo", "--scenario", "idle", "-c", str(figures.IDLE_CONNECTIONS),
              "--connect-rate", "5000", "-d", "120s")
    figures.wait_open(server, "websocket", figures.IDLE_CONNECTIONS)
    time.sleep(figures.SETTLE_SECONDS)
    seconds = max(5.0, seconds)
    before = server.cpu_s()
    time.sleep(seconds)
    used = server.cpu_s() - before
    host.end_all()
    return used / seconds * 1e6


def _memory(host, _):
    """Bytes of anonymous memory for each of many idle WebSockets, from before the first.

    All that came with them counts: between two steps an allocator gives back what it kept of the
    first, or does not, which is up to a tenth of so small a slope and says nothing of a build.
    """
    server = host.start("ring", *figures.QUIET)
    time.sleep(figures.SETTLE_SECONDS)
    empty = server.memory()[1]
    for held in host.hold(server, "ws", "/echo", (HELD,)):
        time.sleep(figures.SETTLE_SECONDS)
        figures.still_open(server, held)
        full = server.memory()[1]
    host.end_all()
    return (full - empty) / HELD


# Costs of a server of the build: (what it is, how it is measured).
SERVER = {
    "echo": ("us of CPU per echo, 64 connections",
             lambda host, s: figures.us_per_echo(host, "ring", 64, 1, s)),
    "echo-1000": ("us of CPU per echo, 1,000 connections",
                  lambda host, s: figures.us_per_echo(host, "ring", 1_000, 1, s)),
    "pipeline": ("us of CPU per echo, 64 connections, 16 in flight",
                 lambda host, s: figures.us_per_echo(host, "ring", 64, 16, s)),
    "accept": ("us of CPU per accept and upgrade",
               lambda host, _: figures.us_per_accept(host, "ring")),
    "broadcast": ("us of CPU per delivery of /push",
                  lambda host, s: figures.per_message(
                      figures.delivery(host, "ring", "ws", "/push", s))),
    "rooms": ("us of CPU per delivery in rooms of 6",
              lambda host, s: figures.per_message(figures.rooms_delivery(host, s))),
    "memory": ("bytes of memory per idle WebSocket", _memory),
    "idle": ("us of CPU per second, 10,000 quiet connections", _idle),
}
# Costs of a load client of the build, against a server of the older one for both.
CLIENT = {
    "generator": ("load client: us of CPU per echo, 64 connections",
                  figures.us_per_echo_of_load),
    "paced": ("load client: us of CPU per message at 500,000/s",
              loading.us_per_paced_to),
    "connect": ("load client: us of CPU per connect with upgrade",
                lambda host, server, _: loading.us_per_connect_to(host, server)),
}
COSTS = (*SERVER, *CLIENT)


def measure(name):
    """The figure of that name, as scripts/bench calls it."""
    return lambda host, options, table: _beside(name, host, options, table)


def _beside(name, host, options, table):
    programs = {"before": os.path.abspath(options.before), "after": host.programs["ringstorm"]}

    def cost(kind):
        if name in SERVER:
            with host.using(programs[kind]):
                return SERVER[name][1](host, options.seconds)
        with host.using(programs["before"]):
            server = host.start("ring")
        with host.using(programs[kind]):
            return CLIENT[name][1](host, server, options.seconds)

    what = (SERVER.get(name) or CLIENT[name])[0]
    rounds = figures.interleaved(("before", "after"), options.pairs, cost)
    ratios = figures.ratios(rounds, "before", "after")
    low, high = interval(ratios)
    table.no_worse(f"{what}: before / after", NO_WORSE, statistics.median(ratios), low, high)
    for kind in programs:
        table.beside(kind, figures.column(rounds, kind))


def interval(values):
    """The 95 % rank interval of the median: n/2 -+ 1.96 sqrt(n)/2 of the sorted values."""
    ordered, half = sorted(values), 0.98 * math.sqrt(len(values))
    low = max(0, math.floor(len(values) / 2 - half))
    high = min(len(values) - 1, math.ceil(len(values) / 2 + half) - 1)
    return ordered[low], ordered[high]

"""TLS overload: who is served in time when twice as many connect as a core can sign for.

An ECDSA signature costs the server less than the client's part of the handshake costs the client.
So that it is the server that is overloaded, it shares its CPU there with processes that spin.
"""

import csv
import os
import subprocess
import sys
import tempfile

from .bars import Failure
from .figures import column, interleaved, ratios
from .processes import SERVER_CPU, Child

# Certificates, the rate of connects at which the search for the limit begins, and how many processes
# beside the server spin on its CPU.
KEYS = {"ECDSA P-256": ("ec", 250, 4), "RSA 2048": ("rsa", 250, 0)}
SPIN = [sys.executable, "-c", "while True: pass"]
# A client gives up after that, as people do; whoever is up goes again at once.
PATIENCE, STAY = "1s", "100ms"
# At the limit so many of those that come are served; the search comes that near.
SERVED_MIN, NEAR = 0.97, 1.05
# A load client that is busier than that was the limit itself, or could be: others take CPU too.
BUSY_MAX = 0.75
# What the load client has at once at most: below the usual limit of descriptors.
AT_ONCE = 18_000


def overload(host, options, table):
    """Connects over TLS that are up in time at twice the limit, of those at the limit."""
    for name, (key, first_per_s, spinning) in KEYS.items():
        limit = limit_per_s(host, (key, spinning), first_per_s, options.seconds)

        def served(kind):
            offered = limit * {"limit": 1, "twice": 2}[kind]
            up, busy = up_per_s(host, (key, spinning), offered, options.seconds * 2)
            busiest.append(busy * 100)
            return up

        busiest = []
        rounds = interleaved(("limit", "twice"), options.pairs, served)
        figure = f"TLS, {name}: connects up at twice the limit, of those at it"
        table.at_least(figure, 0.9, ratios(rounds, "twice", "limit"))
        if max(busiest) > BUSY_MAX * 100:
            table.invalid.append(figure + ": the load client was busy")
        table.beside("connects/s up at the limit", column(rounds, "limit"))
        table.beside("connects/s up at twice the limit", column(rounds, "twice"))
        table.beside("% of a core that the load client was busy", busiest)


def limit_per_s(host, served_by, first_per_s, seconds):
    """The highest rate at which nearly all were served: doubled, then halved."""
    def holds(per_s):
        return up_per_s(host, served_by, per_s, seconds)[0] >= SERVED_MIN * per_s

    held, broken = 0, first_per_s
    while holds(broken):
        held, broken = broken, broken * 2
    if not held:
        raise Failure(f"not even {first_per_s:,} connects/s are served")
    while broken > held * NEAR:
        middle = (held + broken) // 2
        held, broken = (middle, broken) if holds(middle) else (held, middle)
    return held


def up_per_s(host, served_by, per_s, seconds):
    """Connects that came up a second, the first second left out, and how busy the client was.

    Served with a kind of key, beside so many processes that spin.
    """
    key, spinning = served_by
    server = host.start("ring", secure=key)
    host.children += [Child(SPIN, SERVER_CPU, stdout=subprocess.DEVNULL) for _ in range(spinning)]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.csv")
        record = host.loaded(
            server, "/echo", "--scenario", "idle", "--connect-rate", str(per_s), "--session-time",
            STAY, "-c", str(AT_ONCE), "--connect-timeout", PATIENCE, "-d", f"{seconds + 1:g}s",
            "--csv", path, seconds=seconds)
        with open(path, encoding="ascii", newline="") as rows:
            spans = [(float(row["span_s"]), float(row["connected_per_s"]))
                     for row in csv.DictReader(rows)
                     if row["stage"] == "measuring" and float(row["at_s"]) > 1.5]
    host.end_all()
    if not spans:
        raise Failure("the load client has told of no second; try: --seconds 2")
    up = sum(span * rate for span, rate in spans) / sum(span for span, _ in spans)
    return up, record["generator"]["busy_max"]

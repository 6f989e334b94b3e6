"""Deflated echoes: what one costs the server beside npm `ws` with the same settings, with and without
context.
"""

import json
import os
import shutil
import subprocess

from .bars import Failure
from .figures import column, interleaved, ratios
from .hub import npm_folders
from .processes import ROOT, SERVER_CPU, Child

CONNECTIONS, BYTES = 32, 4 << 10
# By what `load` and `serve` are told, what ws is. Both deflate at level 4; without context ws looks
# back as far as it likes.
MODES = {"--deflate": "plain", "--deflate=takeover": "12", "--deflate=takeover:15": "15"}
BAR = 1.5


def deflate(host, options, table):
    """Messages of 4 KiB of JSON per server-CPU-second, of npm ws, with and without takeover."""
    modules = next((path for path in npm_folders() if os.path.isdir(os.path.join(path, "ws"))),
                   None)
    if modules is None or shutil.which("node") is None:
        table.beside("npm ws is not here; try: tests/foreign/run ws", [0])
        return
    for mode, setting in MODES.items():
        def us_per_echo(kind, mode=mode, setting=setting):
            server = host.start("ring", mode) if kind == "ring" else node(host, modules, setting)
            figure = us_of(host, server, mode, options.seconds)
            host.end_all()
            return figure

        rounds = interleaved(("ring", "ws"), options.pairs, us_per_echo)
        table.at_least(f"echo of 4 KiB of JSON, {mode}: messages per CPU s, of npm ws", BAR,
                       ratios(rounds, "ws", "ring"))
        table.beside("us of CPU per message, ringstorm", column(rounds, "ring"))
        table.beside("us of CPU per message, npm ws", column(rounds, "ws"))


def us_of(host, server, mode, seconds):
    """Microseconds of the server's CPU for each message, the handshakes included."""
    before = server.cpu_s()
    record = host.loaded(server, "/echo", mode, "-c", str(CONNECTIONS), "-d", f"{seconds:g}s",
                         "--message", document(), "--warm-up", "0s", seconds=seconds)
    used, messages = server.cpu_s() - before, record["messages"]["replied"]
    if record["failures"] or not messages:
        raise Failure(f"{server.name} {mode}: {record['failures']}")
    return used / messages * 1e6


def document():
    """4 KiB of JSON as an application says it: records of one kind, and a number that differs."""
    rows, number = [], 0
    while len(json.dumps(rows)) < BYTES - 150:
        number = (number * 7919 + 104_729) % 1_000_003
        rows.append({"id": number, "name": f"customer {number % 977}", "city": "Leiden",
                     "total": number / 100, "open": number % 3 == 0})
    return json.dumps({"n": "{seq}", "rows": rows})


def node(host, modules, setting):
    """The echo of the tests on npm `ws`."""
    port = next(host.ports)
    script = os.path.join(ROOT, "tests", "foreign", "servers", "ws.js")
    environment = {**os.environ, "NODE_PATH": modules, "PORT": str(port), "DEFLATE": setting}
    child = Child(["node", script], SERVER_CPU, port, stdout=subprocess.PIPE,
                  stderr=subprocess.DEVNULL, env=environment)
    host.children.append(child)
    if b"listening" not in child.process.stdout.readline():
        raise Failure("the server on npm ws does not listen")
    return child

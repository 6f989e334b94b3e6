"""Chats: what a relayed message costs beside an echo of the same bytes, and what logs add to it."""

import os
import tempfile

from .figures import column, interleaved, ratios, wait_open
from .hub import per_delivery

CLIENTS, TEXT, RATE = 3_000, 2_000, 20_000
# What is around a text of a chat: {"type":"say","text":""}.
AROUND = 24
NEWCOMERS = 18_000


def chat(host, options, table):
    """The figures of chats."""
    relay(host, options, table)
    matching(host, options, table)


def relay(host, options, table):
    """Server CPU of one message from one client to another, of its echo, and with logs on disk."""
    def measure(kind):
        with tempfile.TemporaryDirectory() as folder:
            flags = ("--logs", os.path.join(folder, "logs")) if kind == "logs" else ()
            server = host.start("ring", *flags)
            said = ("--scenario", "echo", "--text", "--payload", str(TEXT + AROUND))
            if kind != "echo":
                said = ("--scenario", "chat", "--payload", str(TEXT))
            host.load(server, "/echo" if kind == "echo" else "/chat", *said, "-c", str(CLIENTS),
                      "-r", str(RATE), "-d", f"{options.seconds + 60:g}s")
            wait_open(server, "websocket", CLIENTS)
            return per_delivery(host, server, options.seconds)

    rounds = interleaved(("chat", "echo", "logs"), options.pairs, measure)
    name = f"{CLIENTS} clients, {TEXT} characters, {RATE}/s"
    table.at_most(f"{name}: CPU per relayed message, of an echo", 1.25,
                  ratios(rounds, "chat", "echo"))
    table.at_least("the same with --logs: messages per CPU s, of without", 0.95,
                   ratios(rounds, "chat", "logs"))
    table.beside("us of CPU per relayed message", column(rounds, "chat"))
    table.beside("us of CPU per echo", column(rounds, "echo"))


def matching(host, options, table):
    """Very many connect and enter at once; each is up when it has a partner."""
    took = []
    for _ in range(max(1, options.pairs // 2)):
        server = host.start("ring")
        record = host.loaded(server, "/chat", "--scenario", "chat", "-c", str(NEWCOMERS),
                             "--senders", "0", "-d", "1s", seconds=30)
        took.append(record["time"]["connect_s"])
        host.end_all()
    table.at_most(f"{NEWCOMERS} connect and enter at once: s until all are matched", 3, took)

"""Large messages: what an echo costs by its size, beside a peer and the bare ring, twice driven."""

from .bars import Failure
from .figures import NAMES, column, interleaved, per_message, ratios

CONNECTIONS = 32
SIZES = {"1 KiB": 1 << 10, "16 KiB": 16 << 10, "128 KiB": 128 << 10, "1 MiB": 1 << 20}
# Who asks: the ring driver sends whatever is due in a turn at once; the plain one reads once and
# writes once for each readiness of epoll, as most clients do, and so leaves the server less to
# gather.
DRIVERS = {"ring driver": (), "plain epoll driver": ("--epoll",)}
# Of the peer's messages per CPU s, and of the bare ring's: the first holds where it is the less.
PEER_BAR, LIMIT_BAR, LIMIT_INSTEAD = 1.05, 0.85, 0.9


def bulk(host, options, table):
    """Messages per server-CPU-second by size, against fastwebsockets and the bare ring."""
    kinds = ("ring", "fastws", "limit")
    for size, payload in SIZES.items():
        for driver, flags in DRIVERS.items():
            rounds = interleaved(kinds, options.pairs, lambda kind: us_per_echo(
                host, kind, payload, flags, options.seconds))
            what = f"{size}, {driver}: messages per CPU s, of"
            of_peer, of_limit = ratios(rounds, "fastws", "ring"), ratios(rounds, "limit", "ring")
            if payload < 16 << 10:
                table.beside(f"{what} {NAMES['fastws']}", of_peer)
                table.beside(f"{what} {NAMES['limit']}", of_limit)
            else:
                reached = [max(peer, PEER_BAR / LIMIT_INSTEAD * limit)
                           for peer, limit in zip(of_peer, of_limit)]
                table.at_least(f"{what} fastws., or 0.9 of the ring", PEER_BAR,
                               reached)
                table.at_least(f"{what} {NAMES['limit']}", LIMIT_BAR, of_limit)
                table.beside(f"of {NAMES['fastws']}", of_peer)
            for kind in kinds:
                table.beside(f"us of CPU per message, {NAMES[kind]}", column(rounds, kind))


def us_per_echo(host, kind, payload, flags, seconds):
    """Starts a server, echoes messages of that size, ends it: microseconds of CPU per message."""
    if kind == "limit":
        server = host.start("limit", "--bulk", "--buffers", "64", "--buffer-bytes", "65536")
    else:
        server = host.start(kind)
    result = host.drive(server, "echo", "tcp" if kind == "limit" else "ws", "--connections",
                        str(CONNECTIONS), "--payload", str(payload), "--seconds", str(seconds),
                        *flags, seconds=seconds)
    host.end_all()
    if result["lost"]:
        raise Failure(f"{NAMES[kind]} lost {result['lost']} messages")
    return per_message(result)

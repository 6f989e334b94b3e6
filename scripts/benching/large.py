"""Large messages beyond the echo of one driver: what they cost the load client, over TLS and shared
by many listeners, what others wait for them, and what memory is left of them.
"""

import contextlib
import multiprocessing
import os
import selectors
import socket
import time

from .bars import Failure
from .fairness import frame
from .figures import NAMES, QUIET, SETTLE_SECONDS, column, interleaved, per_message, ratios
from .figures import wait_open
from .processes import DRIVER_CPU

CONNECTIONS, PAYLOAD = 32, 128 << 10
# Who streams, and who echoes 32 bytes beside that.
STREAMS, MIB = 4, 1 << 20
ASKERS, PER_S = 1_000, 5_000
# Echoed one after the other, then quiet for so long.
ECHOED, QUIET_SECONDS = 1_000, 10
# A large event to each of so many, so often.
LISTENERS, EVENT, EVENT_MS = 2_000, 64 << 10, 1_000
RECEIVED = 256 << 10


def client(host, options, table):
    """CPU that the load client spends on an echo of 128 KiB, and the driver that checks nothing."""
    def us_per_message(kind):
        server = host.start("ring")
        if kind == "driver":
            result = host.drive(server, "echo", "ws", "--connections", str(CONNECTIONS), "--payload",
                                str(PAYLOAD), "--seconds", str(options.seconds),
                                seconds=options.seconds)
            host.end_all()
            return per_message(result, "driver_cpu_s")
        figure = _us_of(host, server, options.seconds)[1]
        host.end_all()
        return figure

    rounds = interleaved(("load", "driver"), options.pairs, us_per_message)
    table.at_most("load client: CPU per echo of 128 KiB, of the bare driver's", 1.15,
                  ratios(rounds, "load", "driver"))
    table.beside("us of CPU per echo, load client", column(rounds, "load"))
    table.beside("us of CPU per echo, the bare driver", column(rounds, "driver"))


def tls(host, options, table):
    """Messages per server-CPU-second of echoes of 128 KiB over TLS 1.3, of plain ones and of those
    of fastwebsockets behind tokio-rustls.
    """
    def us_per_message(kind):
        server = host.start("fastws" if kind == "peer" else "ring",
                            secure=None if kind == "plain" else "ec")
        before = server.cpu_s()
        # The peer counts nothing: the load client does.
        record = host.loaded(server, "/echo", "--scenario", "echo", "-c", str(CONNECTIONS),
                             "--payload", str(PAYLOAD), "-d", f"{options.seconds:g}s",
                             seconds=options.seconds)
        figure = (server.cpu_s() - before) / record["messages"]["replied"] * 1e6
        host.end_all()
        return figure

    rounds = interleaved(("plain", "tls", "peer"), options.pairs, us_per_message)
    what = "echo of 128 KiB over TLS: messages per CPU s"
    table.at_least(f"{what}, of plain echoes", 0.35, ratios(rounds, "plain", "tls"))
    table.at_least(f"{what}, of tokio-rustls with fastwebsockets", 1.0,
                   ratios(rounds, "peer", "tls"))
    for kind, name in (("plain", "plain"), ("tls", "TLS"), ("peer", "the peer")):
        table.beside(f"us of CPU per message, {name}", column(rounds, kind))


def _us_of(host, server, seconds):
    """Microseconds of CPU per echo of 128 KiB: of the server, and of the load client."""
    load = host.load(server, "/echo", "--scenario", "echo", "-c", str(CONNECTIONS), "--payload",
                     str(PAYLOAD), "-d", f"{seconds + 30:g}s")
    wait_open(server, "websocket", CONNECTIONS)
    time.sleep(0.5)

    def reading():
        return server.cpu_s(), load.cpu_s(), server.stats()["total"]["messages_in"]

    before = reading()
    time.sleep(seconds)
    of_server, of_load, messages = (now - then for now, then in zip(reading(), before))
    load.end()
    if not messages:
        raise Failure("the server answered nothing")
    return of_server / messages * 1e6, of_load / messages * 1e6


def beside(host, options, table):
    """What echoes of 32 bytes wait for connections that stream messages of 1 MiB on their core."""
    def p99s_ms(kind):
        alone, _ = _p99_ms(host, kind, 0, options.seconds)
        busy, streamed = _p99_ms(host, kind, STREAMS, options.seconds)
        return {"more": busy - alone, "alone": alone, "busy": busy, "streamed": streamed}

    rounds = interleaved(("ring", "fastws"), options.pairs, p99s_ms)
    what = f"{ASKERS:,} echoes at {PER_S:,}/s beside {STREAMS} streams of 1 MiB"
    table.at_most(f"{what}: p99 above the quiet run's, ms", 1.5,
                  [figures["ring"]["more"] for figures in rounds])
    table.at_most(f"{what}: p99, of {NAMES['fastws']}", 1,
                  [figures["ring"]["busy"] / figures["fastws"]["busy"] for figures in rounds])
    for kind in ("ring", "fastws"):
        for key, words in (("alone", "p99 in ms, quiet"), ("busy", "p99 in ms, beside"),
                           ("streamed", "MiB/s that came back of the streams")):
            table.beside(f"{words}, {NAMES[kind]}", [figures[kind][key] for figures in rounds])


def _p99_ms(host, kind, streams, seconds):
    """The p99 of the response of small echoes beside so many streams, and the streams' MiB/s."""
    server = host.start(kind)
    came, streamer = multiprocessing.get_context("fork").Value("Q", 0), None
    if streams:
        streamer = multiprocessing.get_context("fork").Process(
            target=_stream, args=(server.port, streams, came), daemon=True)
        streamer.start()
    try:
        began, before = time.monotonic(), came.value
        record = host.loaded(server, "/echo", "-c", str(ASKERS), "-r", str(PER_S), "-d",
                             f"{seconds:g}s", "--payload", "32", seconds=seconds)
        streamed = (came.value - before) / MIB / (time.monotonic() - began)
        if streamer and (not streamer.is_alive() or not streamed):
            raise Failure(f"{NAMES[kind]}: the streams were ended")
    finally:
        if streamer:
            streamer.kill()
            streamer.join()
        host.end_all()
    return record["latency"]["response"]["p99_ns"] / 1e6, streamed


def _stream(port, streams, came):
    """Sends messages of 1 MiB on each of so many connections as fast as they are taken."""
    os.sched_setaffinity(0, {DRIVER_CPU})
    # The load client goes first: what is measured is the server.
    os.nice(10)
    message = memoryview(frame_of(MIB))
    buffer, selector = bytearray(RECEIVED), selectors.DefaultSelector()
    both = selectors.EVENT_READ | selectors.EVENT_WRITE
    for _ in range(streams):
        peer = upgraded(port)
        peer.setblocking(False)
        selector.register(peer, both, [message])
    while True:
        for key, _ in selector.select():
            rest = key.data
            with contextlib.suppress(BlockingIOError):
                rest[0] = rest[0][key.fileobj.send(rest[0]):] or message
            with contextlib.suppress(BlockingIOError):
                read = key.fileobj.recv_into(buffer)
                if not read:
                    return
                came.value += read


def frame_of(length):
    """A client's binary frame of zeros. RFC 6455, 5.2."""
    if length <= 0xFFFF:
        return frame(0x82, bytes(length))
    return bytes((0x82, 0xFF)) + length.to_bytes(8, "big") + bytes(4) + bytes(length)


def upgraded(port):
    """A WebSocket to /echo."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = peer.recv(1)
        if not byte:
            raise Failure(f"no upgrade: {head.decode(errors='replace')}")
        head += byte
    return peer


def left(host, _options, table):
    """Memory of the server once each of many open connections was echoed 1 MiB and is quiet."""
    for together in (1, CONNECTIONS):
        server = host.start("ring", *QUIET)
        peers = [upgraded(server.port) for _ in range(ECHOED)]
        time.sleep(SETTLE_SECONDS)
        before = server.memory()[1]
        for first in range(0, ECHOED, together):
            _echo(peers[first:first + together])
        most = server.memory()[1]
        time.sleep(QUIET_SECONDS)
        after = server.memory()[1]
        for peer in peers:
            peer.close()
        host.end_all()
        table.at_most(f"{ECHOED:,} connections echoed 1 MiB each, {together} at once: memory "
                      f"{QUIET_SECONDS} s later", 1.1, [after / before])
        for when, bytes_ in (("before", before), ("at the end", most), ("later", after)):
            table.beside(f"MiB {when}", [bytes_ / MIB])


def _echo(peers):
    """Each is echoed 1 MiB, all at the same time."""
    message = memoryview(frame_of(MIB))
    # RFC 6455, 5.2: the answer is not masked, four bytes less.
    wanted = len(message) - 4
    buffer, selector = bytearray(RECEIVED), selectors.DefaultSelector()
    for peer in peers:
        peer.setblocking(False)
        selector.register(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, [message, wanted])
    while selector.get_map():
        for key, _ in selector.select(10) or [(None, None)]:
            if key is None:
                raise Failure("an echo of 1 MiB does not come back")
            state, peer = key.data, key.fileobj
            with contextlib.suppress(BlockingIOError):
                if state[0]:
                    state[0] = state[0][peer.send(state[0]):]
            with contextlib.suppress(BlockingIOError):
                read = peer.recv_into(buffer)
                if not read:
                    raise Failure("a connection was closed before its echo came")
                state[1] -= read
            if not state[1]:
                selector.unregister(peer)
            elif not state[0]:
                selector.modify(peer, selectors.EVENT_READ, state)


def events(host, options, table):
    """CPU for each listener of events of 64 KiB, of the baseline's, and the memory that they take."""
    flags = ("--chunk-ms", str(EVENT_MS), "--chunk-bytes", str(EVENT))
    grown = {"ring": [], "baseline": []}

    def us_per_delivery(kind):
        server = host.start(kind, *flags)
        before = server.memory()[1]
        result = host.drive(server, "listen", "sse", "--path", "/events", "--connections",
                            str(LISTENERS), "--seconds", str(max(3, options.seconds)),
                            "--warm", "2", seconds=options.seconds)
        grown[kind].append((server.memory()[1] - before) / MIB)
        host.end_all()
        return per_message(result)

    rounds = interleaved(("ring", "baseline"), options.pairs, us_per_delivery)
    table.at_most(f"an event of 64 KiB to {LISTENERS:,}: CPU per delivery, of the baseline's", 0.95,
                  ratios(rounds, "ring", "baseline"))
    for kind in ("ring", "baseline"):
        table.beside(f"us of CPU per delivery, {NAMES[kind]}", column(rounds, kind))
        table.beside(f"MiB of memory more afterwards, {NAMES[kind]}", grown[kind])

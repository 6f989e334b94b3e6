"""Fairness: how long an echo takes beside a peer that makes its core as much work as it can."""

import contextlib
import multiprocessing
import os
import socket
import zlib

from .bars import Failure
from .processes import DRIVER_CPU

# What the talkers say over and over; the offer that lets them.
KEY = bytes(4)
OFFER = ("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
         "server_no_context_takeover\r\n")
# A turn's share of one talker is a fraction of a millisecond, and there are others' too.
MOST_MS = 5
ASKERS, PER_S = 10, 1_000


def frame(first, payload):
    """A frame as a client sends it, under a key that changes nothing."""
    length = len(payload)
    if length < 126:
        return bytes((first, 0x80 | length)) + KEY + payload
    return bytes((first, 0xFE)) + length.to_bytes(2, "big") + KEY + payload


def deflated(text):
    """RFC 7692, 7.2.1: without the last four bytes of an empty block."""
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def talkers():
    """What each kind of talker says."""
    return {
        "tiny frames": ("", frame(0x82, b"") * 10_000),
        "pings": ("", frame(0x89, b"x") * 10_000),
        "frames that inflate 400 times": (OFFER, frame(0xC2, deflated(bytes(100_000))) * 100),
        "messages of 64 KiB": ("", frame(0x82, bytes(65_000)) * 4),
    }


def talk(port, offer, bytes_):
    """Sends as fast as the server takes it, and throws away what comes."""
    os.sched_setaffinity(0, {DRIVER_CPU})
    # The load client goes first: what is measured is the server.
    os.nice(10)
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall((f"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"{offer}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  f"Sec-WebSocket-Version: 13\r\n\r\n").encode())
    buffer, rest = bytearray(1 << 20), memoryview(bytes_)
    peer.setblocking(False)
    while True:
        with contextlib.suppress(BlockingIOError):
            rest = rest[peer.send(rest):] or memoryview(bytes_)
        with contextlib.suppress(BlockingIOError):
            if peer.recv_into(buffer) == 0:
                return


def fairness(host, options, table):
    """Latency of an echo on the core of a talker, beside that without."""
    alone = [p99_ms(host, None, options.seconds) for _ in range(options.pairs)]
    for name, talker in talkers().items():
        beside = [p99_ms(host, talker, options.seconds) for _ in range(options.pairs)]
        table.at_most(f"an echo beside a talker of {name}: p99 in ms", MOST_MS, beside)
    table.beside("alone", alone)


def p99_ms(host, talker, seconds):
    """The p99 of the response of an echo, and that a talker was heard all the time."""
    server = host.start("ring", "--deflate")
    talking = None
    if talker:
        talking = multiprocessing.get_context("fork").Process(
            target=talk, args=(server.port, *talker), daemon=True)
        talking.start()
    try:
        record = host.loaded(server, "/echo", "-c", str(ASKERS), "-r", str(PER_S),
                             "-d", f"{seconds:g}s", seconds=seconds)
        if talking and not talking.is_alive():
            raise Failure("the talker was ended")
    finally:
        if talking:
            talking.kill()
            talking.join()
        host.end_all()
    return record["latency"]["response"]["p99_ns"] / 1e6

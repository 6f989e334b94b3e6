"""Peers that send without reading, or do not read what is sent: bounded, and nobody else notices."""

import asyncio
import json

from websockets.asyncio.client import connect

from cases_http import get
from cases_raw import Raw, close, masked, upgrade
from harness import Server, case, equal

MEBIBYTE = 1024 * 1024


async def figures(server):
    """What /stats says in all, and the resident bytes."""
    stats = json.loads((await get(server, "/stats"))[2])
    return stats["total"], stats["process"]["rss_bytes"]


@case(seconds=40)
async def an_echo_client_that_does_not_read_is_held_back(shared):
    async with await Server.serve(shared.binary, shared.engine) as server:
        # The process is read once a second: the first reading is of one that has hardly begun.
        await asyncio.sleep(1.5)
        before = (await figures(server))[1]
        raw = await Raw.open(server)
        raw.writer.transport.set_write_buffer_limits(high=0)
        message = masked(0x82, bytes(16 * 1024))
        sent = 0

        async def flood():
            nonlocal sent
            while sent < 8192:
                raw.send(message)
                sent += 1
                await raw.writer.drain()

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(1.5)
        assert not flooding.done(), "128 MiB were taken from a client that reads nothing"
        total, resident = await figures(server)
        assert total["backlog_bytes"] <= 4 * MEBIBYTE, total
        assert resident - before < 24 * MEBIBYTE, (before, resident)
        async with connect(server.url("/echo"), proxy=None) as other:
            await other.send("me too")
            equal(await asyncio.wait_for(other.recv(), 1), "me too")
        # Once it reads, it goes on where it was, and nothing is lost.
        for _ in range(500):
            first, payload = await raw.frame()
            equal((first, len(payload)), (0x82, 16 * 1024), "echo")
        flooding.cancel()
        raw.writer.transport.abort()


@case(seconds=40)
async def a_listener_that_does_not_read_is_closed_alone(shared):
    flags = ("--chunk-ms", "2", "--chunk-bytes", "16k", "--max-message", "256k",
             "--max-backlog", "512k")
    async with await Server.serve(shared.binary, shared.engine, *flags) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=65536)
        writer.write(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n")
        lazy = await Raw.open(server, "/push")
        for transport in (writer.transport, lazy.writer.transport):
            transport.pause_reading()
        async with connect(server.url("/push"), proxy=None) as eager:
            numbers, ended = [], 0
            while ended < 2:
                numbers.append(json.loads(await asyncio.wait_for(eager.recv(), 5))["seq"])
                if len(numbers) % 100 == 0:
                    ended = (await figures(server))[0]["decided"]["slow_consumer"]
        equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "what the other heard")
        for transport in (writer.transport, lazy.writer.transport):
            transport.abort()


@case(seconds=30)
async def a_request_that_never_ends_is_refused_in_time(shared):
    reader, writer = await asyncio.open_connection(shared.host, shared.port)
    writer.write(upgrade()[:-2])
    began = asyncio.get_running_loop().time()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
    took = asyncio.get_running_loop().time() - began
    equal(head.split(b" ")[1], b"408", "status")
    assert 9 < took < 12, f"{took:.1f} s, not the 10 s of a head"
    writer.close()


@case(seconds=30)
async def a_silent_websocket_is_pinged_and_then_closed(shared):
    async with await Server.serve(shared.binary, shared.engine, "--idle-timeout", "1s") as server:
        raw = await Raw.open(server)
        equal(await asyncio.wait_for(raw.frame(), 2), (0x89, b""), "ping")
        first, payload = await asyncio.wait_for(raw.frame(), 2)
        equal((first, payload[:2]), (0x88, b"\x03\xe9"), "close frame with 1001")
        raw.send(close(1001))
        equal(await asyncio.wait_for(raw.reader.read(), 5), b"", "bytes after the close frame")
        raw.writer.close()
        # A client that answers pings stays; `websockets` does so by itself.
        async with connect(server.url("/echo"), proxy=None, ping_interval=None) as socket:
            await asyncio.sleep(3)
            await socket.send("still here")
            equal(await socket.recv(), "still here")

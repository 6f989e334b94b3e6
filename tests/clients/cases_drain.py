"""SIGTERM and SIGINT: everyone is told, the port is free, the exit code is 0."""

import asyncio
import signal
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from cases_http import parse
from harness import ALL_ENGINES, Process, Server, case, curl, equal


@case(ALL_ENGINES, seconds=30)
async def sigterm_tells_everyone_and_ends_with_0(shared):
    async with await Server.serve(shared.binary, shared.engine, "--chunk-ms", "20") as server:
        echoes = [await connect(server.url("/echo"), proxy=None) for _ in range(20)]
        pushes = [await connect(server.url("/push"), proxy=None) for _ in range(20)]
        stream = await Process.start("curl", "--silent", "--no-buffer",
                                     server.url("/events", "http"))
        async with stream:
            await stream.until(lambda: len(parse(stream.output)) >= 2)
            for socket in echoes:
                await socket.send("before")
                equal(await socket.recv(), "before")
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            for socket in echoes + pushes:
                equal(await close_code(socket), 1001, "close code")
            equal(await server.ended(10), 0, "exit code")
            assert time.monotonic() - began < 4, "clients that answer are not waited for"
            # curl ends well: the stream was ended, not cut.
            equal(await stream.ended(5), 0, "curl's exit code")


@case(seconds=30)
async def sigint_is_the_same(shared):
    async with await Server.serve(shared.binary, shared.engine) as server:
        socket = await connect(server.url("/echo"), proxy=None)
        server.signal(signal.SIGINT)
        equal(await close_code(socket), 1001, "close code")
        equal(await server.ended(10), 0, "exit code")


@case(ALL_ENGINES, seconds=30)
async def a_draining_server_takes_no_new_connection(shared):
    async with await Server.serve(shared.binary, shared.engine) as server:
        # Reads nothing and answers nothing: the server has to wait for its drain time.
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /echo HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     b"Sec-WebSocket-Version: 13\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        refused = await curl(server.url("/healthz", "http"), "--write-out", "%{http_code}",
                             "--max-time", "2", fails=True)
        assert refused.endswith("000") or refused.endswith("503"), refused
        equal(await server.ended(15), 0, "exit code")
        assert time.monotonic() - began < 12, "the drain time bounds it"
        writer.close()


async def close_code(socket):
    """Reads until the server closes; its code."""
    try:
        while True:
            await asyncio.wait_for(socket.recv(), 10)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code

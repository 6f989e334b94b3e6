"""permessage-deflate (RFC 7692): Python `websockets` as client and as server, aiohttp as client."""

import json
import os

import aiohttp
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory,
)

from harness import Process, Server, case, equal

TEXTS = ("hello", "", "grüße, 世界 🌩 " * 30, "x" * 65536, json.dumps(list(range(20_000))))
OFFERS = (
    {},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_max_window_bits": 12, "client_max_window_bits": True},
    {"server_max_window_bits": 15, "client_max_window_bits": 9},
    {"server_max_window_bits": 9},
)


def deflating(shared, flag="--deflate"):
    return Server.serve(shared.binary, shared.engine, flag, "--chunk-ms", "20",
                        "--chunk-bytes", "300")


def agreed(socket):
    return socket.response.headers.get("Sec-WebSocket-Extensions", "")


@case(seconds=60)
async def deflated_messages_come_back(shared):
    async with await deflating(shared) as server:
        for options in OFFERS:
            factory = ClientPerMessageDeflateFactory(**options)
            async with connect(server.url("/echo"), proxy=None, max_size=4 << 20,
                               extensions=[factory]) as socket:
                assert "server_no_context_takeover" in agreed(socket), agreed(socket)
                for text in TEXTS:
                    await socket.send(text)
                    equal(await socket.recv(), text)
                for data in (os.urandom(5000), bytes(5000), b""):
                    await socket.send(data)
                    equal(await socket.recv(), data)
                await socket.send(["in ", "three " * 50, "pieces"])
                equal(await socket.recv(), "in " + "three " * 50 + "pieces")


@case(seconds=60)
async def messages_that_refer_to_each_other_come_back(shared):
    for flag, bits in (("--deflate=takeover", 12), ("--deflate=takeover:15", 15)):
        async with await deflating(shared, flag) as server:
            for options in (*OFFERS, {"client_max_window_bits": True}):
                factory = ClientPerMessageDeflateFactory(**options)
                async with connect(server.url("/echo"), proxy=None, max_size=4 << 20,
                                   extensions=[factory]) as socket:
                    kept = not options.get("server_no_context_takeover")
                    equal("server_no_context_takeover" not in agreed(socket), kept)
                    if options.get("client_max_window_bits") is True:
                        assert f"client_max_window_bits={bits}" in agreed(socket), agreed(socket)
                    for _ in range(3):
                        for text in TEXTS:
                            await socket.send(text)
                            equal(await socket.recv(), text)
                    for number in range(200):
                        text = json.dumps({"kind": "order", "number": number, "total": "12.50"})
                        await socket.send(text)
                        equal(await socket.recv(), text)
                    await socket.send(["in ", "three " * 50, "pieces"])
                    equal(await socket.recv(), "in " + "three " * 50 + "pieces")


@case()
async def a_push_is_the_same_deflated_and_plain(shared):
    async with await deflating(shared) as server:
        async with connect(server.url("/push"), proxy=None) as deflated, \
                connect(server.url("/push"), proxy=None, compression=None) as plain:
            assert agreed(deflated) and not agreed(plain)
            for socket in (deflated, plain):
                first = None
                for step in range(20):
                    text = await socket.recv()
                    told = json.loads(text)
                    first = first or told["seq"]
                    equal(told["seq"], first + step)
                    assert len(text) >= 300 and set(told["pad"]) == {"x"}, text


@case()
async def members_of_a_room_hear_each_other_deflated_or_not(shared):
    async with await deflating(shared) as server:
        async with connect(server.url("/rooms"), proxy=None) as one:
            # Who is answered first need not be in the room first.
            equal(json.loads(await one.recv())["type"], "room")
            async with connect(server.url("/rooms"), proxy=None, compression=None) as other:
                equal(json.loads(await other.recv())["type"], "room")
                equal(json.loads(await one.recv())["type"], "joined")
                await one.send("words " * 100)
                for socket in (one, other):
                    equal(json.loads(await socket.recv())["text"], "words " * 100)


@case()
async def a_message_of_repeats_comes_back_and_a_bomb_is_closed_with_1009(shared):
    async with await deflating(shared) as server:
        async with connect(server.url("/echo"), proxy=None) as socket:
            await socket.send(bytes(1024 * 1024))
            equal(await socket.recv(), bytes(1024 * 1024))
            try:
                await socket.send(bytes(1024 * 1024 + 1))
                await socket.recv()
            except ConnectionClosed as closed:
                equal(closed.rcvd and closed.rcvd.code, 1009)
            else:
                raise AssertionError("it came back")


@case()
async def aiohttp_deflates_too(shared):
    async with await deflating(shared) as server, aiohttp.ClientSession() as session:
        async with session.ws_connect(server.url("/echo", "http"), compress=15) as socket:
            assert socket.compress, "it is agreed on"
            for text in TEXTS:
                await socket.send_str(text)
                equal(await socket.receive_str(), text)


async def load(binary, port, *flags):
    async with await Process.start(binary, "load", f"ws://127.0.0.1:{port}/", "-c", "4", "-d", "1s",
                                   "--payload", "500", "--text", *(flags or ("--deflate",)),
                                   "--json") as process:
        await process.ended()
        return json.loads(process.output[-1])


@case(engines=())
async def the_load_client_deflates_against_another_server(binary):
    seen = []

    async def echo(socket):
        seen.append(socket.response.headers.get("Sec-WebSocket-Extensions", ""))
        async for message in socket:
            await socket.send(message)

    factory = ServerPerMessageDeflateFactory()
    async with serve(echo, "127.0.0.1", 0, compression=None, extensions=[factory]) as server:
        record = await load(binary, server.sockets[0].getsockname()[1])
    assert len(seen) == 4 and all("server_no_context_takeover" in one for one in seen), seen
    text = json.dumps(record)
    assert '"wrong":0' in text.replace(" ", ""), text


@case(engines=())
async def the_load_client_keeps_context_where_the_server_insists_on_it(binary):
    seen = []

    async def echo(socket):
        seen.append(socket.response.headers.get("Sec-WebSocket-Extensions", ""))
        async for message in socket:
            await socket.send(message)

    for options, told in (
            ({}, ""),
            ({"server_max_window_bits": 9, "client_max_window_bits": 10},
             "server_max_window_bits=9; client_max_window_bits=10"),
            ({"client_no_context_takeover": True}, "client_no_context_takeover"),
    ):
        factory, seen[:] = ServerPerMessageDeflateFactory(**options), []
        async with serve(echo, "127.0.0.1", 0, compression=None, extensions=[factory]) as server:
            port = server.sockets[0].getsockname()[1]
            record = await load(binary, port, "--deflate=takeover")
        assert len(seen) == 4 and all(told in one for one in seen), seen
        assert all("server_no_context_takeover" not in one for one in seen), seen
        equal((record["messages"]["wrong"], record["messages"]["lost"]), (0, 0))
        assert record["messages"]["replied"] > 0 and not record["failures"], record["failures"]


@case(engines=())
async def a_server_that_does_not_agree_is_a_failure(binary):
    async def echo(socket):
        await socket.wait_closed()

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        record = await load(binary, server.sockets[0].getsockname()[1])
    text = json.dumps(record)
    assert "bad_response" in text or "BadResponse" in text, text

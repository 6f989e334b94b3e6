"""Python `websockets` and aiohttp as clients of /echo and /push."""

import asyncio
import json
import os

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harness import ALL_ENGINES, case, curl, equal

MESSAGE_BYTES_MAX = 1024 * 1024
# RFC 6455, 7.4 and the IANA registry: what a close frame may carry.
CLOSE_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
               3000, 3999, 4000, 4999)


def echo(server, **options):
    options.setdefault("proxy", None)
    return connect(server.url("/echo"), max_size=4 * MESSAGE_BYTES_MAX, **options)


@case(ALL_ENGINES)
async def text_comes_back_as_text(server):
    async with echo(server) as socket:
        for text in ("hello", "", "grüße, 世界 🌩", "x" * 125, "x" * 126, "x" * 65535, "x" * 65536):
            await socket.send(text)
            equal(await socket.recv(), text)


@case(ALL_ENGINES)
async def binary_comes_back_as_binary(server):
    async with echo(server) as socket:
        for data in (b"\x00\xff", b"", os.urandom(126), os.urandom(65536), os.urandom(200_001)):
            await socket.send(data)
            equal(await socket.recv(), data)


@case(ALL_ENGINES)
async def a_message_of_a_mebibyte_comes_back(server):
    async with echo(server) as socket:
        data = os.urandom(MESSAGE_BYTES_MAX)
        await socket.send(data)
        equal(await socket.recv(), data)
        text = "é" * (MESSAGE_BYTES_MAX // 2)
        await socket.send(text)
        equal(await socket.recv(), text)


@case(ALL_ENGINES)
async def fragments_come_back_as_one_message(server):
    async with echo(server) as socket:
        await socket.send(["in ", "", "three ", "pieces"])
        equal(await socket.recv(), "in three pieces")
        pieces = [os.urandom(length) for length in (1, 4095, 4096, 4097, 0, 70_000)]
        await socket.send(iter(pieces))
        equal(await socket.recv(), b"".join(pieces))


@case(ALL_ENGINES)
async def messages_in_flight_come_back_in_order(server):
    async with echo(server) as socket:
        sent = [f"message {number}" for number in range(2000)]
        writing = asyncio.create_task(send_all(socket, sent))
        equal([await socket.recv() for _ in sent], sent)
        await writing


async def send_all(socket, messages):
    for message in messages:
        await socket.send(message)


@case(ALL_ENGINES)
async def a_ping_is_answered_with_its_payload(server):
    async with echo(server) as socket:
        for payload in (b"", b"round trip", b"x" * 125):
            # Resolves only for a pong with the same payload.
            await (await socket.ping(payload))
        # An unsolicited pong is no mistake: RFC 6455, 5.5.3.
        await socket.pong(b"nobody asked")
        await socket.send("still here")
        equal(await socket.recv(), "still here")


@case(ALL_ENGINES)
async def every_close_code_that_may_travel_comes_back(server):
    # tungstenite, which the baseline is made of, refuses 1014.
    codes = [code for code in CLOSE_CODES if server.engine != "baseline" or code != 1014]
    for code in codes:
        socket = await echo(server)
        await socket.close(code, "done")
        equal(socket.protocol.close_rcvd and socket.protocol.close_rcvd.code, code, "close code")


@case(ALL_ENGINES)
async def compression_is_not_agreed_to(server):
    # `websockets` offers permessage-deflate unless it is told otherwise.
    async with echo(server) as socket:
        equal(list(socket.protocol.extensions), [], "extensions")
        await socket.send("a" * 1000)
        equal(await socket.recv(), "a" * 1000)


@case()
async def a_subprotocol_nobody_speaks_is_absent(server):
    async with echo(server, subprotocols=["chat", "superchat"]) as socket:
        equal(socket.subprotocol, None, "subprotocol")
        await socket.send("plain")
        equal(await socket.recv(), "plain")


@case()
async def a_message_over_the_limit_gets_1009(server):
    for message in (os.urandom(MESSAGE_BYTES_MAX + 1), [b"x" * 600_000, b"x" * 600_000]):
        async with echo(server) as socket:
            try:
                await socket.send(message)
                await socket.recv()
            except ConnectionClosed as closed:
                equal(closed.rcvd and closed.rcvd.code, 1009, "close code")
            else:
                raise AssertionError("the message was taken")


@case()
async def too_many_fragments_get_1009(server):
    async with echo(server) as socket:
        try:
            await socket.send([b""] * 1025)
            await socket.recv()
        except ConnectionClosed as closed:
            equal(closed.rcvd and closed.rcvd.code, 1009, "close code")
        else:
            raise AssertionError("the message was taken")


@case(ALL_ENGINES)
async def push_messages_are_json_with_rising_numbers(server):
    async with connect(server.url("/push"), proxy=None) as socket:
        messages = [json.loads(await socket.recv()) for _ in range(10)]
    for message in messages:
        equal(sorted(message), ["sent_ns", "seq"], "keys")
    numbers = [message["seq"] for message in messages]
    equal(numbers, list(range(numbers[0], numbers[0] + 10)), "seq")
    stamps = [message["sent_ns"] for message in messages]
    equal(stamps, sorted(stamps), "sent_ns")


@case()
async def push_ignores_what_it_is_told(server):
    async with connect(server.url("/push"), proxy=None) as socket:
        await socket.send("is anybody there?")
        assert "seq" in json.loads(await socket.recv())
        await (await socket.ping(b"push"))


@case()
async def a_route_that_is_no_websocket_is_refused(server):
    for path, wanted in (("/nowhere", 404), ("/events", 400)):
        try:
            async with connect(server.url(path), proxy=None):
                raise AssertionError(f"{path} became a WebSocket")
        except InvalidStatus as refused:
            equal(refused.response.status_code, wanted, path)


@case(ALL_ENGINES)
async def two_hundred_clients_at_once_are_served(server):
    async def one(number):
        async with echo(server) as socket:
            for turn in range(5):
                text = f"{number}/{turn}"
                await socket.send(text)
                equal(await socket.recv(), text)

    await asyncio.gather(*(one(number) for number in range(200)))


@case(ALL_ENGINES)
async def aiohttp_is_served_as_well(server):
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(server.url("/echo", "http")) as socket:
            await socket.send_str("text")
            equal(await socket.receive_str(), "text")
            await socket.send_bytes(b"bytes")
            equal(await socket.receive_bytes(), b"bytes")
            await socket.close(code=4321)
            equal(socket.close_code, 4321, "close code")


@case(ALL_ENGINES)
async def a_client_that_vanishes_is_nobodys_trouble(server):
    for _ in range(20):
        socket = await echo(server)
        await socket.send("x" * 100_000)
        socket.transport.abort()
    async with echo(server) as socket:
        await socket.send("after them")
        equal(await socket.recv(), "after them")
    equal(await curl(server.url("/healthz", "http")), "ok")

"""`ringstorm probe` and `ringstorm load` against a Python `websockets` server."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from cases_raw import GUID
from cases_websocket import CLOSE_CODES
from harness import Process, case, cores, equal

ALONE = ()


@contextlib.asynccontextmanager
async def websockets_server(handler, **options):
    """A `websockets` server on a free port; gives its URL."""
    options.setdefault("max_size", 64 * 1024 * 1024)
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/"


async def probe(binary, url, *flags, code=0):
    """Runs the probe to its end; what it printed, and what it said on the side."""
    async with await Process.start(binary, "probe", url, *flags) as process:
        ended = await process.ended()
        if code is not None:
            equal(ended, code, f"exit code ({process.story()})")
        return process.output, process.errors


def messages(output):
    """What `--json` printed: type and data of each message, binary ones as bytes."""
    found = []
    for line in output:
        message = json.loads(line)
        equal(sorted(message), ["data", "type"], "keys")
        assert message["type"] in ("text", "binary"), message
        binary = message["type"] == "binary"
        found.append(bytes.fromhex(message["data"]) if binary else message["data"])
    return found


def speaker(said, close_code=1000):
    """A handler that says all that, then closes."""

    async def handler(socket):
        for message in said:
            await socket.send(message)
        await socket.close(close_code)

    return handler


@case(ALONE)
async def the_probe_prints_what_it_is_told(binary):
    said = ["hello", "grüße, 世界 🌩", b"\x00\x01\xff", "", b"", 'a "quoted"\nline', "x" * 70_000]
    async with websockets_server(speaker(said)) as url:
        equal(messages((await probe(binary, url, "--json"))[0]), said)


@case(ALONE)
async def the_probe_puts_fragments_together(binary):
    said = [["one ", "mess", "", "age"], [b"\x01" * 4095, b"\x02" * 4097, b"\x03" * 100_000]]
    async with websockets_server(speaker(said)) as url:
        wanted = ["one message", b"".join(said[1])]
        equal(messages((await probe(binary, url, "--json"))[0]), wanted)


@case(ALONE)
async def the_probe_without_json_is_for_people(binary):
    async with websockets_server(speaker(["hello", "world"])) as url:
        output, _ = await probe(binary, url)
    equal([word for line in output for word in ("hello", "world") if word in line],
          ["hello", "world"])


@case(ALONE)
async def the_probe_ends_after_so_many_and_closes_well(binary):
    ended = asyncio.get_running_loop().create_future()

    async def handler(socket):
        with contextlib.suppress(ConnectionClosed):
            for number in range(1_000_000):
                await socket.send(f"message {number}")
                # A send that has room does not let the loop read.
                await asyncio.sleep(0)
        ended.set_result(socket.protocol.close_rcvd)

    async with websockets_server(handler) as url:
        output, _ = await probe(binary, url, "--json", "--count", 3)
        equal(messages(output), ["message 0", "message 1", "message 2"])
        closed = await asyncio.wait_for(ended, 5)
        equal(closed and closed.code, 1000, "close code of the probe")


@case(ALONE)
async def the_probe_echoes_with_the_same_type_until_the_close(binary):
    said = ["text", b"binary", "", b"", "é" * 40_000, os.urandom(1024 * 1024), ["in ", "parts"]]
    returned = []

    async def handler(socket):
        for message in said:
            await socket.send(message)
            returned.append(await socket.recv())
        await socket.close(1000)

    async with websockets_server(handler) as url:
        await probe(binary, url, "--echo")
    equal(returned, [*said[:-1], "in parts"])


@case(ALONE)
async def the_probe_echoes_a_stream_of_messages_in_order(binary):
    said = [f"{number}" * (number % 50) for number in range(3000)]
    returned = []

    async def handler(socket):
        async def listen():
            for _ in said:
                returned.append(await socket.recv())

        listening = asyncio.create_task(listen())
        for message in said:
            await socket.send(message)
        await listening

    async with websockets_server(handler) as url:
        await probe(binary, url, "--echo")
    equal(returned, said)


@case(ALONE)
async def the_probe_sends_texts_in_order(binary):
    heard = []

    async def handler(socket):
        for _ in range(3):
            heard.append(await socket.recv())
            await socket.send(f"heard {heard[-1]}")
        await socket.wait_closed()

    async with websockets_server(handler) as url:
        flags = ("--json", "--send", "one", "--send", "zwölf", "--send", "", "--count", 3)
        output, _ = await probe(binary, url, *flags)
    equal(heard, ["one", "zwölf", ""])
    equal(messages(output), ["heard one", "heard zwölf", "heard "])


@case(ALONE, seconds=60)
async def the_probe_answers_every_close_code_with_the_same(binary):
    for code in CLOSE_CODES:
        answered = asyncio.get_running_loop().create_future()

        async def handler(socket):
            await socket.close(code, "because")
            answered.set_result(socket.protocol.close_rcvd)

        async with websockets_server(handler) as url:
            _, errors = await probe(binary, url, "--debug", code=None)
            closed = await asyncio.wait_for(answered, 5)
            equal(closed and closed.code, code, "answer")
            assert any(str(code) in line for line in errors), (code, errors)


@case(ALONE)
async def the_probe_answers_pings(binary):
    async def handler(socket):
        for payload in (b"", b"are you there?", b"x" * 125):
            await asyncio.wait_for(await socket.ping(payload), 5)
        await socket.send("you are")
        await socket.close(1000)

    async with websockets_server(handler) as url:
        equal(messages((await probe(binary, url, "--json"))[0]), ["you are"])


@case(ALONE)
async def the_probe_offers_headers_and_subprotocols(binary):
    async def handler(socket):
        await socket.send(f"{socket.subprotocol} {socket.request.headers['X-Name']}")
        await socket.close(1000)

    async with websockets_server(handler, subprotocols=["superchat"]) as url:
        flags = ("--json", "--subprotocol", "chat", "--subprotocol", "superchat",
                 "--header", "X-Name: me")
        equal(messages((await probe(binary, url, *flags))[0]), ["superchat me"])


@case(ALONE)
async def the_probe_shows_heads_and_frames_when_asked(binary):
    async with websockets_server(speaker(["hello"])) as url:
        _, errors = await probe(binary, url, "--debug")
    told = "\n".join(errors)
    for word in ("GET / HTTP/1.1", "101", "Sec-WebSocket-Accept", "1000"):
        assert word.lower() in told.lower(), (word, told)


@case(ALONE)
async def the_probe_says_why_a_server_refused(binary):
    def refuse(connection, _request):
        return connection.respond(403, "not for you\n")

    async with websockets_server(speaker([]), process_request=refuse) as url:
        _, errors = await probe(binary, url, code=1)
        assert any("403" in line for line in errors), errors


@case(ALONE)
async def the_probe_says_that_nobody_listens(binary):
    async with websockets_server(speaker([])) as url:
        pass
    _, errors = await probe(binary, url, code=1)
    assert any("refused" in line for line in errors), errors


async def silent(reader, writer):
    """Takes a connection and never says a word."""
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


@case(ALONE)
async def the_probe_does_not_wait_for_ever(binary):
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/"
        _, errors = await probe(binary, url, "--connect-timeout", "300ms", code=1)
        assert errors, "it says why"


@contextlib.asynccontextmanager
async def raw_server(frames, accept=None):
    """A server that upgrades, sends those bytes, and notes what comes back."""
    heard = bytearray()

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
        key = head[head.lower().index(key):][:len(key)]
        proof = accept or base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n")
        writer.write(frames)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                heard.extend(data)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", heard


@case(ALONE)
async def a_server_that_breaks_the_rules_is_told_and_named(binary):
    mistakes = (
        (b"\x81\x81abcd\x00", 1002),
        (b"\x83\x01x", 1002),
        (b"\xc1\x01x", 1002),
        (b"\x80\x01x", 1002),
        (b"\x81\x02\xc3\x28", 1007),
        (b"\x88\x02\x03\xed", 1002),
        (b"\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", 1009),
    )
    for frames, code in mistakes:
        async with raw_server(frames) as (url, heard):
            _, errors = await probe(binary, url, code=1)
        assert errors, frames
        first, second, *rest = heard
        equal((first, second & 0x80), (0x88, 0x80), f"frame after {frames}")
        key, covered = rest[:4], rest[4:6]
        told = bytes(byte ^ key[index] for index, byte in enumerate(covered))
        equal(int.from_bytes(told, "big"), code, f"code after {frames}")


@case(ALONE)
async def a_handshake_without_the_right_proof_is_refused(binary):
    async with raw_server(b"\x81\x02hi", accept=b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=") as (url, _):
        output, errors = await probe(binary, url, code=1)
    equal(output, [], "messages")
    assert errors, "it says why"


# 98: on a busy machine an honest generator says that it was the limit.
async def load(binary, url, *flags, codes=(0, 98)):
    """Runs the load client; its record."""
    process = await Process.start(binary, "load", url, "--json", "--quiet", "--cores",
                                  cores().split(",")[-1], *flags)
    async with process:
        code = await process.ended()
        assert code in codes, f"exit code {code}, not of {codes} ({process.story()})"
        return json.loads(process.output[-1])


async def echo_all(socket):
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            await socket.send(message)


@case(ALONE)
async def the_load_client_measures_another_server(binary):
    async with websockets_server(echo_all) as url:
        record = await load(binary, url, "-c", 20, "-r", 500, "-d", "2s")
    sent = record["messages"]
    equal(sent["planned"], sent["sent"] + sent["dropped"], "planned")
    equal(sent["sent"], sent["replied"] + sent["lost"], "sent")
    equal((sent["planned"], sent["lost"], sent["wrong"]), (1000, 0, 0), "planned, lost, wrong")
    equal(record["connects"]["up"], 20, "connections up")
    assert record["latency"]["response"]["samples"] > 0, record["latency"]


@case(ALONE)
async def the_load_client_in_a_closed_loop_says_so(binary):
    async with websockets_server(echo_all) as url:
        record = await load(binary, url, "-c", 4, "-d", "1s", "--text", "--pipeline", 4)
    equal(record["run"]["loop"], "closed", "loop")
    assert record["messages"]["replied"] > 10, record["messages"]
    equal(record["messages"]["wrong"], 0, "wrong")


@case(ALONE)
async def the_load_client_counts_what_cannot_be_reached(binary):
    async with websockets_server(echo_all) as url:
        pass
    record = await load(binary, url, "-c", 10, "-d", "1s", codes=(99,))
    equal(record["connects"]["up"], 0, "connections up")
    equal([failure["kind"] for failure in record["failures"]], ["refused"], "failures")
    equal(record["verdict"]["verdict"], "FAIL", "verdict")


@case(ALONE)
async def the_load_client_does_not_wait_for_a_silent_server(binary):
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        record = await load(binary, url, "-c", 5, "-d", "1s", "--connect-timeout", "300ms",
                            codes=(99,))
    equal(record["connects"]["failed"], 5, "connections that failed")


@case(ALONE)
async def the_load_client_survives_a_server_that_closes(binary):
    async def handler(socket):
        with contextlib.suppress(ConnectionClosed):
            for _ in range(20):
                await socket.send(await socket.recv())
        await socket.close(1011)

    async with websockets_server(handler) as url:
        record = await load(binary, url, "-c", 10, "-r", 1000, "-d", "1s", codes=(99,))
    sent = record["messages"]
    equal(sent["planned"], sent["sent"] + sent["dropped"], "planned")
    equal(sent["sent"], sent["replied"] + sent["lost"], "sent")
    equal(record["connects"]["ended_early"], 10, "connections that ended early")


@case(ALONE)
async def an_interrupted_load_run_tells_what_ran(binary):
    async with websockets_server(echo_all) as url:
        process = await Process.start(binary, "load", url, "--json", "-c", 5, "-d", "1h")
        async with process:
            # Progress comes on stderr once it runs.
            await process.until(lambda: len(process.errors) >= 3)
            process.signal(signal.SIGINT)
            equal(await process.ended(10), 105, "exit code")
            record = json.loads(process.output[-1])
    equal(record["time"]["ending"], "interrupted", "ending")
    assert record["messages"]["replied"] > 0, record["messages"]

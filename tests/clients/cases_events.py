"""`ringstorm probe` and `ringstorm load` against an aiohttp server of event streams."""

import asyncio
import contextlib
import json
import time

from aiohttp import web

from cases_probe import ALONE, load, probe
from harness import case, equal


@contextlib.asynccontextmanager
async def aiohttp_server(handler):
    """An aiohttp server on a free port; gives the URL of `/events`, which `handler` answers."""
    app = web.Application()
    app.router.add_get("/events", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/events"
    finally:
        await runner.cleanup()


async def stream(request, pieces, content_type="text/event-stream"):
    """Answers in chunks (RFC 9112, 7.1), a chunk for each piece."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.enable_chunked_encoding()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    return response


def events(output):
    """What `--json` printed: type, data and last event id of each event."""
    found = []
    for line in output:
        event = json.loads(line)
        equal(sorted(event), ["data", "lastEventId", "type"], "keys")
        found.append((event["type"], event["data"], event["lastEventId"]))
    return found


# HTML, 9.2.6: every rule of the format once.
TEXT = ("\ufeffretry: 30\n: a comment\nid: 1\nevent: first\ndata: one\n\n"
        "data: two\r\ndata:  lines\r\n\r\n"
        "id\rdata\r\r"
        "id: 4\n\n"
        "event: nothing\n\n"
        "data:no space\nunknown: field\n:\n\n"
        "id: n\0ul\ndata: id with NUL is ignored\n\n"
        "data: grüße, 世界 🌩\nid: ü\n\n"
        "data: never ended")
DISPATCHED = [
    ("first", "one", "1"),
    ("message", "two\n lines", "1"),
    ("message", "", ""),
    ("message", "no space", "4"),
    ("message", "id with NUL is ignored", "4"),
    ("message", "grüße, 世界 🌩", "ü"),
]


@case(ALONE)
async def the_probe_reads_a_stream_as_a_browser_would(binary):
    async def handler(request):
        return await stream(request, [TEXT.encode()])

    async with aiohttp_server(handler) as url:
        output, _ = await probe(binary, url, "--json", "--count", len(DISPATCHED))
    equal(events(output), DISPATCHED)


@case(ALONE)
async def the_probe_reads_a_stream_in_chunks_of_a_byte(binary):
    data = TEXT.encode()

    async def handler(request):
        return await stream(request, [data[at:at + 1] for at in range(len(data))])

    async with aiohttp_server(handler) as url:
        output, _ = await probe(binary, url, "--json", "--count", len(DISPATCHED))
    equal(events(output), DISPATCHED)


@case(ALONE)
async def the_probe_comes_back_with_the_last_id_after_the_retry(binary):
    asked = []

    async def handler(request):
        after = request.headers.get("Last-Event-ID")
        asked.append((time.monotonic(), after, request.headers["Accept"]))
        first = int(after or 0) + 1
        said = [f"id: {number}\ndata: event {number}\n\n" for number in (first, first + 1)]
        return await stream(request, [b"retry: 200\n\n", *(text.encode() for text in said)])

    async with aiohttp_server(handler) as url:
        output, _ = await probe(binary, url, "--json", "--count", 6)
    equal(events(output), [("message", f"event {n}", str(n)) for n in range(1, 7)])
    equal([after for _, after, _ in asked], [None, "2", "4"], "Last-Event-ID")
    for _, _, accept in asked:
        equal(accept, "text/event-stream", "accept")
    for earlier, later in zip(asked, asked[1:]):
        waited = later[0] - earlier[0]
        assert 0.15 < waited < 5, f"waited {waited:.3f} s, not the 0.2 s of `retry`"


@case(ALONE)
async def the_probe_comes_back_when_the_stream_breaks(binary):
    asked = []

    async def handler(request):
        asked.append(request.headers.get("Last-Event-ID"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await response.write(f"retry: 50\nid: {len(asked)}\ndata: x\n\n".encode())
            await asyncio.sleep(0.05)
            # Cut inside an event and inside the chunks: no last chunk.
            await response.write(b"data: lost")
            request.transport.close()
        return response

    async with aiohttp_server(handler) as url:
        output, _ = await probe(binary, url, "--json", "--count", 3)
    equal(events(output), [("message", "x", str(n)) for n in (1, 2, 3)])
    equal(asked[:3], [None, "1", "2"], "Last-Event-ID")


@case(ALONE)
async def the_probe_reads_a_stream_that_ends_with_its_connection(binary):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
                     b"retry: 60000\ndata: old school\n\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/events"
        output, _ = await probe(binary, url, "--json", "--count", 1)
    equal(events(output), [("message", "old school", "")])


@case(ALONE)
async def the_probe_does_not_come_back_after_a_refusal(binary):
    # HTML, 9.2.3: 204 and everything but 200 with the right type ends it for good.
    for status, kind in ((204, "text/event-stream"), (404, "text/plain"), (200, "text/html")):
        asked = []

        async def handler(request):
            asked.append(request)
            body = None if status == 204 else "no stream here"
            return web.Response(status=status, text=body, content_type=kind)

        async with aiohttp_server(handler) as url:
            _, errors = await probe(binary, url, "--json", code=None)
        equal(len(asked), 1, f"requests after {status} {kind}")
        word = "text/event-stream" if status == 200 else str(status)
        assert any(word in line for line in errors), (status, errors)


@case(ALONE)
async def the_load_client_listens_to_another_server(binary):
    async def handler(request):
        async def pieces():
            for number in range(1, 10_000):
                stamp = time.monotonic_ns()
                yield f'id: {number}\ndata: {{"seq":{number},"sent_ns":{stamp}}}\n\n'.encode()
                await asyncio.sleep(0.05)

        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            async for piece in pieces():
                await response.write(piece)
        return response

    async with aiohttp_server(handler) as url:
        record = await load(binary, url, "-c", 10, "-d", "1s")
    received = record["events"]
    assert received["received"] >= 100, received
    equal((received["gaps"], received["repeated"], received["negative"]), (0, 0, 0),
          "gaps, repeated, negative")
    assert record["latency"]["one_way"]["samples"] >= 100, record["latency"]

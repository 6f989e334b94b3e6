"""A raw socket that breaks the rules as no library would: each mistake has its close code."""

import asyncio
import base64
import hashlib
import os
import struct

from harness import case, equal

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Raw:
    """A socket after the WebSocket handshake."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, server, path="/echo"):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        key = base64.b64encode(os.urandom(16))
        head = await ask(reader, writer, upgrade(path, key))
        equal(head.split(b"\r\n")[0], b"HTTP/1.1 101 Switching Protocols", "status line")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        assert b"sec-websocket-accept: " + accept.lower() in head.lower(), head
        return cls(reader, writer)

    def send(self, data):
        self.writer.write(data)

    async def frame(self):
        """The next frame: first byte and payload. A server's frames are not masked."""
        first, second = await self.reader.readexactly(2)
        assert second & 0x80 == 0, "a server does not mask"
        length = second & 0x7F
        if length == 126:
            length = struct.unpack(">H", await self.reader.readexactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", await self.reader.readexactly(8))[0]
        return first, await self.reader.readexactly(length)

    async def close_code(self):
        """The code of the close frame that must be next, and then the end of the stream."""
        first, payload = await self.frame()
        equal(first, 0x88, "first byte of the close frame")
        equal(await self.reader.read(), b"", "bytes after the close frame")
        self.writer.close()
        if not payload:
            return None
        payload[2:].decode()
        return struct.unpack(">H", payload[:2])[0]


def upgrade(path="/echo", key=b"dGhlIHNhbXBsZSBub25jZQ==", version=b"13", host=b"Host: here\r\n",
            more=b""):
    return (b"GET " + path.encode() + b" HTTP/1.1\r\n" + host + b"Upgrade: websocket\r\n"
            b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: " + key + b"\r\n"
            b"Sec-WebSocket-Version: " + version + b"\r\n" + more + b"\r\n")


async def ask(reader, writer, request):
    """Sends a request; the head of the response."""
    writer.write(request)
    return await reader.readuntil(b"\r\n\r\n")


def masked(first, payload=b"", key=b"\x12\x34\x56\x78", length=None):
    """A client's frame; `length` overrides what it says of itself."""
    count = len(payload) if length is None else length
    if count < 126:
        head = struct.pack("!BB", first, 0x80 | count)
    elif count < 65536:
        head = struct.pack("!BBH", first, 0xFE, count)
    else:
        head = struct.pack("!BBQ", first, 0xFF, count)
    covered = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return head + key + covered


def close(code):
    return masked(0x88, struct.pack(">H", code))


# RFC 6455: what, the frames, the code.
MISTAKES = (
    ("a reserved data opcode (5.2)", masked(0x83, b"x"), 1002),
    ("a reserved control opcode (5.2)", masked(0x8B), 1002),
    ("a reserved bit (5.2)", masked(0xC1, b"x"), 1002),
    ("an unmasked frame (5.1)", b"\x81\x01x", 1002),
    ("a fragmented ping (5.5)", masked(0x09, b"x"), 1002),
    ("a ping of 126 bytes (5.5)", masked(0x89, b"x" * 126), 1002),
    ("a continuation of nothing (5.4)", masked(0x80, b"x"), 1002),
    ("a message inside a message (5.4)", masked(0x01, b"x") + masked(0x81, b"y"), 1002),
    ("a length with the top bit set (5.2)", masked(0x82, length=1 << 63), 1002),
    ("a length in more bytes than it needs (5.2)", b"\x82\xfe\x00\x01\x00\x00\x00\x00x", 1002),
    ("text that is not UTF-8 (8.1)", masked(0x81, b"ok \xff\xfe"), 1007),
    ("text that ends inside a character (8.1)", masked(0x81, b"\xe4\xb8"), 1007),
    ("a surrogate (8.1)", masked(0x81, b"\xed\xa0\x80"), 1007),
    ("bad UTF-8 across fragments (8.1)", masked(0x01, b"\xe4") + masked(0x00, b"\x41"), 1007),
    ("a close reason that is not UTF-8 (5.5.1)", masked(0x88, b"\x03\xe8\xff"), 1007),
    ("a close frame of one byte (5.5.1)", masked(0x88, b"\x03"), 1002),
    ("a message of a gibibyte, announced (10.4)", masked(0x82, b"x", length=1 << 30), 1009),
)


@case(seconds=60)
async def every_mistake_gets_its_close_code(server):
    for what, frames, code in MISTAKES:
        raw = await Raw.open(server)
        raw.send(frames)
        equal(await asyncio.wait_for(raw.close_code(), 5), code, what)


@case(seconds=60)
async def a_mistake_is_found_however_it_is_split(server):
    for what, frames, code in MISTAKES[:6] + MISTAKES[10:15]:
        raw = await Raw.open(server)
        for byte in frames:
            raw.send(bytes([byte]))
            await raw.writer.drain()
            await asyncio.sleep(0.001)
        equal(await asyncio.wait_for(raw.close_code(), 5), code, what)


@case()
async def bad_text_is_refused_before_its_message_ends(server):
    # RFC 6455, 8.1 allows to fail at once; nobody shall buffer a mebibyte to say no.
    raw = await Raw.open(server)
    raw.send(masked(0x81, b"\xff" * 100, length=500_000))
    equal(await asyncio.wait_for(raw.close_code(), 5), 1007)


@case()
async def a_close_code_that_may_not_travel_gets_1002(server):
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
        raw = await Raw.open(server)
        raw.send(close(code))
        equal(await raw.close_code(), 1002, f"answer to {code}")


@case()
async def a_close_without_a_code_is_answered_without_one(server):
    raw = await Raw.open(server)
    raw.send(masked(0x88))
    equal(await raw.close_code(), None)


@case()
async def nothing_comes_after_a_close(server):
    raw = await Raw.open(server)
    raw.send(masked(0x81, b"before") + close(1000) + masked(0x81, b"after"))
    equal(await raw.frame(), (0x81, b"before"))
    equal(await raw.close_code(), 1000)


@case()
async def a_ping_inside_a_fragmented_message_is_answered_first(server):
    raw = await Raw.open(server)
    raw.send(masked(0x01, b"a") + masked(0x89, b"p") + masked(0x80, b"b"))
    equal(await raw.frame(), (0x8A, b"p"))
    equal(await raw.frame(), (0x81, b"ab"))
    raw.send(close(1000))
    equal(await raw.close_code(), 1000)


@case()
async def frames_behind_the_request_are_not_lost(server):
    reader, writer = await asyncio.open_connection(server.host, server.port)
    raw = Raw(reader, writer)
    await ask(reader, writer, upgrade() + masked(0x81, b"early"))
    equal(await raw.frame(), (0x81, b"early"))
    raw.send(close(1000))
    equal(await raw.close_code(), 1000)


@case()
async def a_request_in_single_bytes_is_a_request(server):
    reader, writer = await asyncio.open_connection(server.host, server.port)
    for byte in upgrade():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.0005)
    head = await reader.readuntil(b"\r\n\r\n")
    # RFC 6455, 1.3: the accept of the sample nonce.
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head
    writer.close()


@case()
async def a_bad_handshake_gets_its_status_and_the_end(server):
    requests = (
        (upgrade(version=b"12"), 426),
        (upgrade(key=b"short"), 400),
        (upgrade(host=b""), 400),
        (upgrade(host=b"Host: a\r\nHost: b\r\n"), 400),
        (upgrade(more=b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
        (b"POST" + upgrade()[3:], 405),
        (b"GET /echo HTTP/1.1\nHost: here\n\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost : here\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (upgrade(more=b"X: " + b"y" * 9000 + b"\r\n"), 431),
        (upgrade(more=b"X: y\r\n" * 70), 431),
    )
    for request, status in requests:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        head = await asyncio.wait_for(ask(reader, writer, request), 5)
        equal(head.split(b" ")[1], str(status).encode(), shown(request))
        if status == 426:
            assert b"sec-websocket-version: 13" in head.lower(), head
        await asyncio.wait_for(reader.read(), 5)
        writer.close()


def shown(request):
    return f"status for {request[:60]!r}..."

"""Our probe, against servers of other makes: websockets for WebSocket, aiohttp for events."""

import asyncio
import contextlib
import json
import threading
import unittest

import websockets
from aiohttp import web
from program import probe


@contextlib.contextmanager
def in_thread(start):
    """Runs a server on a loop of its own; `start` is a coroutine function that gives its port
    and a coroutine function that ends it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    run = lambda it: asyncio.run_coroutine_threadsafe(it, loop).result(20)
    port, end = run(start())
    try:
        yield port
    finally:
        run(end())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def websocket_server(talk, **options):
    async def start():
        server = await websockets.serve(talk, "127.0.0.1", 0, **options)

        async def end():
            server.close()
            await server.wait_closed()

        return server.sockets[0].getsockname()[1], end

    return in_thread(start)


def event_server(answer):
    async def start():
        app = web.Application()
        app.router.add_get("/events", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner.addresses[0][1], runner.cleanup

    return in_thread(start)


class WebSocket(unittest.TestCase):
    def test_messages_are_printed_with_their_type(self):
        async def talk(socket):
            await socket.send("text ä")
            await socket.send(b"\x00\xff")
            await socket.send(["in ", "pieces"])

        with websocket_server(talk) as port:
            ran = probe(f"ws://127.0.0.1:{port}/", "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual([json.loads(line) for line in ran.stdout.splitlines()], [
            {"type": "text", "data": "text ä"},
            {"type": "binary", "data": "00ff"},
            {"type": "text", "data": "in pieces"},
        ])

    def test_echo_returns_each_message_with_its_type_until_the_server_closes(self):
        returned = []

        async def talk(socket):
            for message in ("a", b"b", "", "x" * 70_000, b"\xff" * 130_000):
                await socket.send(message)
                returned.append(await socket.recv() == message)
            await asyncio.wait_for(await socket.ping(), 5)
            await socket.close(4321, "enough")
            returned.append(socket.protocol.close_rcvd.code)

        with websocket_server(talk) as port:
            ran = probe(f"ws://127.0.0.1:{port}/", "--echo", "--debug")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(returned, [True] * 5 + [4321])
        self.assertIn('close code 4321, reason "enough"', ran.stderr)
        self.assertIn("< HTTP/1.1 101", ran.stderr)
        self.assertIn("> text frame, 70000 bytes, masked", ran.stderr)

    def test_send_and_count_end_with_a_close_of_1000(self):
        codes = []

        async def talk(socket):
            async for message in socket:
                await socket.send(message.upper())
            codes.append(socket.protocol.close_rcvd.code)

        with websocket_server(talk, subprotocols=["shout"]) as port:
            ran = probe(f"ws://127.0.0.1:{port}/", "--subprotocol", "shout", "--send", "a",
                        "--send", "b", "--count", "2")
        self.assertEqual((ran.returncode, ran.stdout), (0, "A\nB\n"), ran.stderr)
        self.assertEqual(codes, [1000])

    def test_a_server_that_closes_too_soon_is_a_failure(self):
        async def talk(socket):
            await socket.send("only one")

        with websocket_server(talk) as port:
            ran = probe(f"ws://127.0.0.1:{port}/", "--count", "3")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("2 messages to come", ran.stderr)


class EventStream(unittest.TestCase):
    def test_a_chunked_stream_is_printed_and_resumed(self):
        asked = []

        async def answer(request):
            asked.append(request.headers.get("Last-Event-ID"))
            if len(asked) == 3:
                return web.Response(status=204)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            stream = "\ufeffretry: 20\nid: 41\n\n" if len(asked) == 1 else ""
            stream += f": comment\nevent: tick\r\nid: {41 + len(asked)}\rdata: a\ndata: b ä\n\n"
            for byte in stream.encode():
                await response.write(bytes([byte]))
            await response.write_eof()
            return response

        with event_server(answer) as port:
            ran = probe(f"http://127.0.0.1:{port}/events", "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual([json.loads(line) for line in ran.stdout.splitlines()], [
            {"type": "tick", "data": "a\nb ä", "lastEventId": "42"},
            {"type": "tick", "data": "a\nb ä", "lastEventId": "43"},
        ])
        self.assertEqual(asked, [None, "42", "43"])

    def test_an_error_of_the_server_ends_the_probe(self):
        async def answer(_request):
            return web.Response(status=500, text="no")

        with event_server(answer) as port:
            ran = probe(f"http://127.0.0.1:{port}/events")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("500 Internal Server Error", ran.stderr)


if __name__ == "__main__":
    unittest.main()

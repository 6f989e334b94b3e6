"""Our server, seen by Python websockets and by curl -N."""

import asyncio
import json
import os
import subprocess
import unittest

import websockets
from program import serving

ENGINES = ("ring", "tokio", "baseline")
OURS = ("ring", "tokio")
MIB = 1 << 20


def each(engines, *flags):
    """Runs a coroutine method against a server of each engine."""

    def wrap(check):
        def run(self):
            for engine in engines:
                with self.subTest(engine), serving("--engine", engine, *flags) as addresses:
                    asyncio.run(asyncio.wait_for(check(self, addresses), 60))

        run.__name__, run.__doc__ = check.__name__, check.__doc__
        return run

    return wrap


class WebSocket(unittest.TestCase):
    """RFC 6455 as Python websockets speaks it; compression is offered and must be declined."""

    @each(ENGINES)
    async def test_text_and_binary_come_back_with_the_same_type(self, addresses):
        for address in addresses:
            async with websockets.connect(f"ws://{address}/echo") as socket:
                for message in ("hello", "", "zwei äöü \U0001f300", b"", b"\0\xff", os.urandom(70_000)):
                    await socket.send(message)
                    self.assertEqual(await socket.recv(), message)

    @each(ENGINES)
    async def test_a_fragmented_message_comes_back_whole(self, addresses):
        async with websockets.connect(f"ws://{addresses[0]}/echo") as socket:
            await socket.send(["eins, ", "zw", "", "ei"])
            self.assertEqual(await socket.recv(), "eins, zwei")
            pieces = [os.urandom(1000) for _ in range(100)]
            await socket.send(pieces)
            self.assertEqual(await socket.recv(), b"".join(pieces))

    @each(ENGINES)
    async def test_many_messages_in_flight_come_back_in_order(self, addresses):
        async with websockets.connect(f"ws://{addresses[0]}/echo") as socket:
            messages = [f"{number}" * (number % 97) for number in range(2000)]

            async def send():
                for message in messages:
                    await socket.send(message)

            sending = asyncio.create_task(send())
            for message in messages:
                self.assertEqual(await socket.recv(), message)
            await sending

    @each(ENGINES)
    async def test_a_ping_gets_its_pong(self, addresses):
        async with websockets.connect(f"ws://{addresses[0]}/echo") as socket:
            await asyncio.wait_for(await socket.ping(b"payload"), 5)

    @each(ENGINES)
    async def test_a_close_is_answered_with_its_code(self, addresses):
        for code in (1000, 1001, 3000, 4999):
            async with websockets.connect(f"ws://{addresses[0]}/echo") as socket:
                await socket.close(code, "reason")
                self.assertEqual(socket.protocol.close_rcvd.code, code)

    @each(OURS, "--max-message", "1M")
    async def test_a_message_too_big_is_closed_with_1009(self, addresses):
        async with websockets.connect(f"ws://{addresses[0]}/echo", max_size=None) as socket:
            await socket.send(bytes(MIB))
            self.assertEqual(len(await socket.recv()), MIB)
            with self.assertRaises(websockets.ConnectionClosed):
                await socket.send(bytes(MIB + 1))
                await socket.recv()
            self.assertEqual(socket.protocol.close_rcvd.code, 1009)

    @each(OURS, "--max-fragments", "10")
    async def test_too_many_fragments_are_closed_with_1009(self, addresses):
        async with websockets.connect(f"ws://{addresses[0]}/echo") as socket:
            with self.assertRaises(websockets.ConnectionClosed):
                await socket.send(["x"] * 20)
                await socket.recv()
            self.assertEqual(socket.protocol.close_rcvd.code, 1009)

    @each(OURS, "--subprotocol", "b", "--subprotocol", "c")
    async def test_a_subprotocol_both_know_is_agreed_on(self, addresses):
        url = f"ws://{addresses[0]}/echo"
        async with websockets.connect(url, subprotocols=["a", "b"]) as socket:
            self.assertEqual(socket.subprotocol, "b")

    @each(OURS, "--origin", "http://good.test")
    async def test_a_foreign_origin_is_refused_with_403(self, addresses):
        url = f"ws://{addresses[0]}/echo"
        async with websockets.connect(url, origin="http://good.test") as socket:
            await socket.send("x")
            self.assertEqual(await socket.recv(), "x")
        with self.assertRaises(websockets.InvalidStatus) as refused:
            await websockets.connect(url, origin="http://bad.test")
        self.assertEqual(refused.exception.response.status_code, 403)

    @each(ENGINES, "--chunk-ms", "20")
    async def test_push_messages_are_numbered_without_a_gap(self, addresses):
        async with websockets.connect(f"ws://{addresses[0]}/push") as socket:
            numbers = [json.loads(await socket.recv())["seq"] for _ in range(20)]
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + 20)))


class EventStream(unittest.TestCase):
    """Server-Sent Events as a browser-like client sees them: curl -N."""

    @staticmethod
    def curl(url, *flags, seconds=1.0):
        # 28: the time given is over, which is how a stream without an end is read.
        command = ["curl", "-sSN", "--max-time", str(seconds), *flags, url]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert ran.returncode in (0, 28), f"{command}: {ran.returncode} {ran.stderr}"
        return ran.stdout

    def test_events_have_id_event_and_data(self):
        for engine in ENGINES:
            with self.subTest(engine), serving("--engine", engine, "--chunk-ms", "50") as addresses:
                for address in addresses:
                    url = f"http://{address}/events"
                    head, body = self.curl(url, "-i").replace("\r\n", "\n").split("\n\n", 1)
                    self.assertIn("200 OK", head.splitlines()[0])
                    self.assertIn("content-type: text/event-stream", head.lower())
                    events = [event for event in body.split("\n\n") if "data:" in event]
                    self.assertGreater(len(events), 3, body)
                    for event in events[:-1]:
                        fields = dict(line.split(": ", 1) for line in event.splitlines())
                        self.assertEqual(fields["event"], "push")
                        self.assertEqual(json.loads(fields["data"])["seq"], int(fields["id"]))

    def test_a_stream_is_resumed_after_last_event_id(self):
        for engine in OURS:
            with self.subTest(engine), serving("--engine", engine, "--chunk-ms", "50") as addresses:
                url = f"http://{addresses[0]}/events"
                ids = self.ids(self.curl(url))
                resumed = self.ids(self.curl(url, "-H", f"Last-Event-ID: {ids[2]}"))
                self.assertEqual(resumed[:3], [ids[2] + 1, ids[2] + 2, ids[2] + 3])

    @staticmethod
    def ids(body):
        lines = [line for line in body.splitlines() if line.startswith("id: ")]
        return [int(line.removeprefix("id: ")) for line in lines]

    def test_stats_and_health_are_plain_http_on_one_connection(self):
        for engine in OURS:
            with self.subTest(engine), serving("--engine", engine) as addresses:
                base = f"http://{addresses[0]}"
                command = ["curl", "-sSv", f"{base}/healthz", f"{base}/stats"]
                ran = subprocess.run(command, capture_output=True, text=True, timeout=30,
                                     check=True)
                self.assertRegex(ran.stderr, "(?i)re-?using existing")
                stats = json.loads(ran.stdout[ran.stdout.index("{"):])
                self.assertEqual(stats["engine"], engine)


if __name__ == "__main__":
    unittest.main()

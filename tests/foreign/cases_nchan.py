"""The scenario listen against nginx with nchan: its event streams, and its WebSockets."""

import asyncio
import time

from bench import case, check
from harness import curl


async def publish(server, every):
    """Publishes a stamped message every so many seconds until it is cancelled."""
    sequence = 0
    while True:
        sequence += 1
        body = f'{{"seq":{sequence},"sent_ns":{time.monotonic_ns()}}}'
        await curl("-X", "POST", "--data", body, server.url("/publish", "http"))
        await asyncio.sleep(every)


async def listened(server, path, scheme):
    publisher = asyncio.create_task(publish(server, 0.05))
    try:
        flags = ("--scenario", "listen", "-c", "50", "-d", "2s")
        _, record = await server.load(path, *flags, scheme=scheme)
    finally:
        publisher.cancel()
    check(record, connects__up=50, events__unstamped=0, events__gaps=0, events__negative=0)
    # Each of 50 listeners hears each message: whole rounds but for the ends of the time.
    if record["events"]["received"] < 50 * 5 or record["latency"]["one_way"]["samples"] < 250:
        raise AssertionError(f"hardly an event: {record['events']}")


@case("nchan")
async def every_listener_of_an_event_stream_gets_every_event(server):
    await listened(server, "/events", "http")


@case("nchan")
async def every_listener_on_a_websocket_gets_every_message(server):
    await listened(server, "/socket", "ws")


@case("nchan")
async def a_page_that_is_no_event_stream_is_said_to_be_none(server):
    code, record = await server.load("/nothing", "-c", "3", "-d", "1s", scheme="http")
    check(record, connects__up=0, connects__failed=3)
    if code == 0:
        raise AssertionError("nothing came up, and yet it passed")

"""`serve --dev` against Socket.IO's own client, unchanged, which finds at its own server what it finds
here."""

import asyncio
import json
import pathlib
import signal

from cases_probe import ALONE
from harness import SHARD_ENGINES, Process, Server, case, equal

SCRIPT = pathlib.Path(__file__).with_name("socketio.cjs")
RECOVERY = pathlib.Path(__file__).with_name("socketio_recovery.cjs")


async def finds_all(url, script=SCRIPT):
    node = await Process.start("node", script, url)
    async with node:
        equal(await node.ended(50), 0, f"exit code ({node.story()})")
        return node.output


@case(ALONE, seconds=60)
async def the_javascript_client_of_socketio_finds_here_what_it_finds_at_its_own_server(binary):
    async def here(engine):
        async with await Server.serve(binary, engine, "--dev") as server:
            found = await finds_all(server.url("", "http"))
            await drains(server)
            return found

    *ours, oracle = await asyncio.gather(*map(here, SHARD_ENGINES), finds_all("oracle"))
    for found in ours:
        equal(found, oracle)


@case(ALONE)
async def the_corpus_is_what_the_clients_libraries_make(_binary):
    node = await Process.start("node", SCRIPT.with_name("corpus.cjs"))
    async with node:
        equal(await node.ended(30), 0, f"exit code ({node.story()})")
        packets = SCRIPT.parent.parent / "npm_corpus" / "packets.jsonl"
        equal(node.output, packets.read_text(encoding="utf-8").rstrip("\n").split("\n"))


@case(ALONE, seconds=90)
async def who_is_cut_off_finds_here_what_it_finds_at_its_own_server(binary):
    async def here(engine):
        flags = ("--dev", "--recovery-time", "2m")
        async with await Server.serve(binary, engine, *flags) as server:
            return await finds_all(server.url("", "http"), RECOVERY)

    *ours, oracle = await asyncio.gather(*map(here, SHARD_ENGINES), finds_all("oracle", RECOVERY))
    for found in ours:
        # One sentence is not true of its own server.
        equal([line for line in found if "heard_nothing" not in line], oracle)
        equal(sum("heard_nothing" in line for line in found), 3)


async def drains(server):
    """A poll that waits ends with the server, which does not wait for it."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    head = "GET /socket.io/?EIO=4&transport=polling{} HTTP/1.1\r\nHost: a\r\n\r\n"
    writer.write(head.format("").encode())
    await reader.readuntil(b"\r\n\r\n0")
    opened = json.loads(await reader.readuntil(b"}"))
    writer.write(head.format("&sid=" + opened["sid"]).encode())
    await asyncio.sleep(0.1)
    server.signal(signal.SIGTERM)
    equal(await asyncio.wait_for(reader.read(), 5), b"", "what a poll is answered")
    writer.close()

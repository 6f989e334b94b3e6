"""`serve --dev` against Socket.IO's own client, unchanged, which finds at its own server what it finds
here."""

import asyncio
import pathlib

from cases_probe import ALONE
from harness import SHARD_ENGINES, Process, Server, case, equal

SCRIPT = pathlib.Path(__file__).with_name("socketio.cjs")


async def finds_all(url):
    node = await Process.start("node", SCRIPT, url)
    async with node:
        equal(await node.ended(50), 0, f"exit code ({node.story()})")
        return node.output


@case(ALONE, seconds=60)
async def the_javascript_client_of_socketio_finds_here_what_it_finds_at_its_own_server(binary):
    async def here(engine):
        async with await Server.serve(binary, engine, "--dev") as server:
            return await finds_all(server.url("", "http"))

    *ours, oracle = await asyncio.gather(*map(here, SHARD_ENGINES), finds_all("oracle"))
    for found in ours:
        equal(found, oracle)

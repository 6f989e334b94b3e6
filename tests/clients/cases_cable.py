"""`serve --dev` against the clients of Rails and of AnyCable, unchanged."""

import asyncio
import pathlib

from cases_probe import ALONE
from harness import SHARD_ENGINES, Process, Server, case, equal

SCRIPT = pathlib.Path(__file__).with_name("cable.cjs")


@case(ALONE, seconds=60)
async def the_javascript_clients_of_actioncable_find_all_they_know(binary):
    async def here(engine):
        server = await Server.serve(binary, engine, "--dev")
        async with server:
            node = await Process.start("node", SCRIPT, server.url("", "http"))
            async with node:
                equal(await node.ended(50), 0, f"exit code ({node.story()})")
                equal(node.output[-1], f"all {len(node.output) - 1}", "last line")

    await asyncio.gather(*(here(engine) for engine in SHARD_ENGINES))

"""`serve --dev` against SocketCluster's own client, unchanged, which finds at its own server what it
finds here."""

import asyncio
import json
import pathlib
import signal
import tempfile

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from cases_probe import ALONE
from harness import SHARD_ENGINES, Process, Server, case, equal

SCRIPT = pathlib.Path(__file__).with_name("socketcluster.cjs")
SECRET = "a secret of more than sixteen bytes"


async def finds_all(url):
    node = await Process.start("node", SCRIPT, url, SECRET)
    async with node:
        equal(await node.ended(50), 0, f"exit code ({node.story()})")
        equal(node.output[-1], f"all {len(node.output) - 1}", "last line")
        return node.output


@case(ALONE, seconds=60)
async def the_javascript_client_of_socketcluster_finds_here_what_it_finds_at_its_own_server(binary):
    with tempfile.NamedTemporaryFile("w", suffix=".secret") as secret:
        secret.write(f"{SECRET}\n")
        secret.flush()

        async def here(engine):
            server = await Server.serve(binary, engine, "--dev", "--drain-code", "1012",
                                        "--token-hmac-secret", f"file:{secret.name}")
            async with server:
                found = await finds_all(server.url("", "http"))
                await drains(server)
                return found

        ours = [here(engine) for engine in SHARD_ENGINES]
        *ours, oracle = await asyncio.gather(*ours, finds_all("oracle"))
        for found in ours:
            equal(found, oracle)


async def drains(server):
    """Whoever is here is told that the server starts anew."""
    async with connect(server.url("/socketcluster/"), proxy=None) as socket:
        await socket.send('{"event":"#handshake","cid":1}')
        equal(json.loads(await socket.recv())["rid"], 1)
        server.signal(signal.SIGTERM)
        try:
            while True:
                await asyncio.wait_for(socket.recv(), 5)
        except ConnectionClosed as closed:
            equal(closed.rcvd.code, 1012, "close code")

"""What `ringstorm load` says of its clients, as a Python `websockets` server hears it."""

import asyncio
import contextlib
import json
import os
import tempfile

from websockets.asyncio.server import serve

from cases_probe import ALONE
from harness import Process, case, cores, equal


@contextlib.asynccontextmanager
async def listener(heard):
    """A server that notes the request of each connection and echoes; gives its port."""

    async def echo(socket):
        heard.append(socket.request)
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def load(binary, *words, env=None):
    """The record of a short run of 4 connections."""
    command = [binary, "load", *words, "-c", 4, "-d", "200ms", "--json", "--cores", cores()]
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})})
    output, errors = await asyncio.wait_for(process.communicate(), 15)
    equal(process.returncode, 0, f"exit code ({errors.decode()})")
    return json.loads(output)


@case(ALONE)
async def connections_go_round_the_urls_and_have_numbers(binary):
    first, second = [], []
    async with listener(first) as one, listener(second) as two:
        record = await load(binary, f"ws://127.0.0.1:{one}/a?user={{number}}",
                            f"ws://127.0.0.1:{two}/b/{{rand}}", "--seed", 7)
        equal(record["connects"]["up"], 4, "up")
        equal(sorted(request.path for request in first), ["/a?user=0", "/a?user=2"])
        equal({request.headers["Host"] for request in second}, {f"127.0.0.1:{two}"})
        paths = {request.path for request in second}
        equal([len(path) for path in paths], [len("/b/") + 16] * 2, "lengths of paths")
        second.clear()
        await load(binary, f"ws://127.0.0.1:{one}/a", f"ws://127.0.0.1:{two}/b/{{rand}}",
                   "--seed", 7)
        equal({request.path for request in second}, paths, "paths of the same seed")


@case(ALONE)
async def a_request_says_what_the_flags_the_environment_and_the_file_do(binary):
    heard = []
    async with listener(heard) as port:
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write('origin = "https://file.test"\nbearer = "from-file"\n'
                       'cookie = ["a=1", "b=2"]\npayload = 64\nquiet = true\n')
            file.flush()
            record = await load(binary, f"ws://127.0.0.1:{port}/", "--config", file.name,
                                "-H", "X-Room: 7", "--origin", "https://typed.test",
                                env={"RINGSTORM_BEARER": "from-env"})
        headers = heard[0].headers
        equal(headers["Origin"], "https://typed.test")
        equal(headers["Authorization"], "Bearer from-env")
        equal(headers["Cookie"], "a=1; b=2")
        equal(headers["X-Room"], "7")
        equal(record["run"]["payload_bytes"], 64)
        command = record["program"]["command"]
        assert "--payload=64" in command and "--bearer=***" in command, command
        await load(binary, f"ws://other.test:{port}/", "--quiet", "--basic", "ann:secret",
                   "--resolve", f"other.test:{port}:127.0.0.1")
        equal(heard[-1].headers["Host"], f"other.test:{port}")
        equal(heard[-1].headers["Authorization"], "Basic YW5uOnNlY3JldA==")

"""curl and aiohttp as clients of `serve --public`: files, forms, parts, and none but these."""

import asyncio
import gzip
import pathlib
import random
import signal
import tempfile

import aiohttp

from cases_http import get, split
from cases_probe import ALONE
from harness import SHARD_ENGINES, Server, case, curl, equal

LARGE = random.Random(7).randbytes(3_000_000)
SCRIPT = b"let a = 1\n" * 100


def site(folder):
    """Writes a small site, with something beside it that nobody should get."""
    public = pathlib.Path(folder) / "public"
    (public / "docs").mkdir(parents=True)
    (pathlib.Path(folder) / "secret").write_text("secret")
    (public / "index.html").write_text("<!doctype html>home")
    (public / "docs" / "index.html").write_text("docs")
    (public / ".env").write_text("secret")
    (public / "app.js").write_bytes(SCRIPT)
    (public / "app.js.gz").write_bytes(gzip.compress(SCRIPT))
    (public / "large.bin").write_bytes(LARGE)
    return public


@case(ALONE)
async def a_site_is_given_with_types_forms_and_parts(binary):
    for engine in SHARD_ENGINES:
        with tempfile.TemporaryDirectory() as folder:
            public = site(folder)
            async with await Server.serve(binary, engine, "--public", str(public)) as server:
                await look_at_site(server)
                (public / "index.html").write_text("another home")
                server.signal(signal.SIGHUP)
                await server.until(lambda: any("read anew" in line for line in server.errors))
                _, _, content = await get(server, "/")
                equal(content, "another home", "the new file")


async def look_at_site(server):
    status, fields, content = await get(server, "/")
    equal((status, content), (200, "<!doctype html>home"), "/")
    equal(fields["content-type"], "text/html; charset=utf-8", "type")
    status, fields, _ = await get(server, "/docs?x=1")
    equal((status, fields["location"]), (301, "/docs/?x=1"), "a folder")
    etag = (await head(server, "/"))["etag"]
    status, _, _ = await get(server, "/", "--header", f"If-None-Match: {etag}")
    equal(status, 304, "a known file")
    equal(await curl("--compressed", server.url("/app.js", "http")), SCRIPT.decode().strip("\n"),
          "a gzipped script")
    for path in ("/.env", "/../secret", "/%2e%2e/secret", "/docs/../../secret", "//secret",
                 "/index.html%00", "/app.js/"):
        status, _, content = await get(server, path, "--path-as-is")
        assert status in (400, 404) and "secret" not in content.split("\n"), (path, status, content)
    async with aiohttp.ClientSession() as session:
        url = server.url("/large.bin", "http")
        async with session.get(url) as response:
            assert await response.read() == LARGE, "a large file"
        async with session.get(url, headers={"Range": "bytes=-1000"}) as response:
            equal(response.status, 206, "a part")
            assert await response.read() == LARGE[-1000:], "a part"
        async with session.get(url) as response:
            slow = b""
            while piece := await response.content.read(100_000):
                slow += piece
                await asyncio.sleep(0.01)
            assert slow == LARGE, "a slow reader"
        both = await asyncio.gather(*(fetch(session, url) for _ in range(20)))
        assert all(bytes_ == LARGE for bytes_ in both), "many at once"


async def head(server, path):
    _, fields, _ = split(await curl("--head", server.url(path, "http")))
    return fields


async def fetch(session, url):
    async with session.get(url) as response:
        return await response.read()

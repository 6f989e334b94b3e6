"""The chat: its page as a browser gets it, the page's script against the server, and its logs."""

import asyncio
import gzip
import json
import pathlib
import re
import signal
import tempfile

import aiohttp

from cases_http import get
from cases_probe import ALONE
from harness import Process, Server, case, curl, equal

CHATTERS = pathlib.Path(__file__).with_name("chat.mjs")


@case()
async def the_page_of_the_chat_loads_nothing_from_elsewhere_and_is_compressed(server):
    status, fields, _ = await get(server, "/chat")
    equal((status, fields["location"]), (301, "/chat/"), "the way to the page")
    status, fields, page = await get(server, "/chat/")
    equal((status, fields["content-type"]), (200, "text/html; charset=utf-8"), "the page")
    policy = fields["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy, policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    equal(sorted(loaded), ["chat.css", "chat.js", "icon.svg"], "what it loads")
    for name in loaded:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            url = server.url(f"/chat/{name}", "http")
            async with session.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
                equal(answer.headers["content-encoding"], "gzip", name)
                packed = await answer.read()
        equal(gzip.decompress(packed).decode().strip(), (await curl(url)).strip(), name)


@case()
async def the_script_of_the_page_is_matched_talks_and_comes_back(server):
    page, url = server.url("/chat/", "http"), server.url("/chat")
    async with await Process.start("node", CHATTERS, page, url) as node:
        equal(await node.ended(), 0, node.story())

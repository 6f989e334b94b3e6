"""The chat: its page as a browser gets it, the page's script against the server, and its logs."""

import json
import pathlib
import re
import signal
import tempfile

import aiohttp

from cases_http import get
from cases_probe import ALONE
from harness import SHARD_ENGINES, Process, Server, case, equal

CHATTERS = pathlib.Path(__file__).with_name("chat.mjs")


@case()
async def the_page_of_the_chat_loads_nothing_from_elsewhere(server):
    status, fields, _ = await get(server, "/chat")
    equal((status, fields["location"]), (301, "/chat/"), "the way to the page")
    status, fields, page = await get(server, "/chat/")
    equal((status, fields["content-type"]), (200, "text/html; charset=utf-8"), "the page")
    policy = fields["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy, policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    equal(sorted(loaded), ["chat.css", "chat.js", "icon.svg"], "what it loads")
    for name in loaded:
        status, fields, _ = await get(server, f"/chat/{name}")
        equal((status, fields["content-security-policy"]), (200, policy), name)


@case()
async def the_script_of_the_page_is_matched_talks_and_comes_back(server):
    page, url = server.url("/chat/", "http"), server.url("/chat")
    async with await Process.start("node", CHATTERS, page, url) as node:
        equal(await node.ended(), 0, node.story())


async def chat(server, text):
    """Two are matched, one says something, both go."""
    async with aiohttp.ClientSession() as session:
        ann, bob = [await session.ws_connect(server.url("/chat")) for _ in range(2)]
        for who, name in ((ann, "Ann"), (bob, "Bob")):
            await who.send_json({"type": "enter", "name": name})
            equal(await who.receive_json(), {"type": "waiting"}, name)
        for who, partner in ((ann, "Bob"), (bob, "Ann")):
            equal((await who.receive_json())["partner"], partner, "partner")
        await ann.send_json({"type": "say", "text": text})
        equal(await bob.receive_json(), {"type": "say", "text": text}, "what was said")
        await ann.close()
        equal((await bob.receive_json())["reason"], "disconnected", "the end")
        await bob.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@case(ALONE, seconds=60)
async def what_happens_in_chats_is_on_disk_and_goes_on_after_a_kill(binary):
    for engine in SHARD_ENGINES:
        with tempfile.TemporaryDirectory() as base:
            folder = pathlib.Path(base, "logs")
            events, figures = folder / "chat-logs.jsonl", folder / "bandwidth.jsonl"
            async with await Server.serve(binary, engine, "--logs", folder) as server:
                await chat(server, "grüße")
                await server.until(lambda: len(lines(events)) == 11)
                told = lines(events)
                equal(sum(it["event"] == "matched" for it in told), 2, "matches")
                (said,) = [it for it in told if it["event"] == "said"]
                said_json = json.dumps({"type": "say", "text": "grüße"})
                equal((said["bytes"], said["number"]), (len(said_json), 1), "length")
                assert "text" not in said, said
                equal(len({it["chat"] for it in told if "chat" in it}), 1, "one chat")
                await server.until(lambda: figures.exists() and any(
                    it["messages"] == 1 and it["bytes"] == said["bytes"] for it in lines(figures)))
                assert all(it["cpu_s"] > 0 for it in lines(figures)), lines(figures)
                other = await Process.start(
                    binary, "serve", "--listen", "127.0.0.1:0", "--logs", folder)
                async with other:
                    equal(await other.ended(), 2, "exit code")
                    assert any("another server writes there" in it for it in other.errors)
                server.signal(signal.SIGKILL)
                await server.ended()
            with events.open("a") as file:
                file.write('{"v":1,"at":"2026-')
            async with await Server.serve(
                    binary, engine, "--logs", folder, "--log-text") as server:
                await server.until(lambda: any(
                    "chat-logs.jsonl: a torn last line of 18 bytes" in it for it in server.errors))
                await chat(server, "again")
                server.signal(signal.SIGTERM)
                equal(await server.ended(), 0, "exit code")
            said = [it for it in lines(events) if it["event"] == "said"]
            equal([it.get("text") for it in said], [None, "again"], "texts")

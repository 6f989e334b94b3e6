"""`serve --dev` against Centrifugo's own clients, unchanged, and against plain event streams."""

import asyncio
import json
import pathlib
import tempfile

import aiohttp
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from cases_probe import ALONE
from harness import SHARD_ENGINES, Process, Server, case, curl, equal

SCRIPT = pathlib.Path(__file__).with_name("centrifuge.cjs")
TOKENS = pathlib.Path(__file__).with_name("centrifuge_tokens.cjs")
VISITORS = pathlib.Path(__file__).with_name("visitors.cjs")
SECRET = "a secret of more than sixteen bytes"


async def on_each_engine(binary, work):
    """Does the same against a server of each engine."""
    for engine in SHARD_ENGINES:
        server = await Server.serve(binary, engine, "--dev")
        async with server:
            await work(server)


async def publish(server, *messages):
    """Publishes; the answer."""
    return json.loads(await curl(
        "-H", "X-API-Key: dev", "-d", json.dumps(messages), server.url("/publish", "http")))


@case(ALONE, seconds=60)
async def the_javascript_client_of_centrifugo_finds_all_it_knows(binary):
    async def work(server):
        node = await Process.start("node", SCRIPT, server.url("", "http"))
        async with node:
            equal(await node.ended(50), 0, f"exit code ({node.story()})")
            equal(node.output[-1], f"all {len(node.output) - 1}", "last line")

    await on_each_engine(binary, work)


@case(ALONE, seconds=90)
async def the_javascript_client_of_centrifugo_shows_tokens(binary):
    with tempfile.NamedTemporaryFile("w", suffix=".secret") as secret:
        secret.write(f"{SECRET}\n")
        secret.flush()
        place = f"file:{secret.name}"
        for engine in SHARD_ENGINES:
            server = await Server.serve(
                binary, engine, "--token-hmac-secret", place, "--api-key", place)
            async with server:
                node = await Process.start("node", TOKENS, server.url("", "http"), SECRET)
                async with node:
                    equal(await node.ended(40), 0, f"exit code ({node.story()})")
                    equal(node.output[-1], f"all {len(node.output) - 1}", "last line")


class Ears(SubscriptionEventHandler):
    """Notes what a subscription is told."""

    def __init__(self):
        self.said, self.joined, self.left, self.subscribed = [], [], [], []
        self.changed = asyncio.Event()

    async def on_publication(self, ctx):
        self.said.append((ctx.pub.offset, ctx.pub.data))
        self.changed.set()

    async def on_join(self, ctx):
        self.joined.append(ctx.info.client)
        self.changed.set()

    async def on_leave(self, ctx):
        self.left.append(ctx.info.client)
        self.changed.set()

    async def on_subscribed(self, ctx):
        self.subscribed.append(ctx)
        self.changed.set()

    async def until(self, met):
        while not met():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 10)


@case(ALONE, seconds=60)
async def the_python_client_of_centrifugo_finds_all_it_knows(binary):
    async def work(server):
        ears, other = Ears(), Ears()
        address = server.url("/connection/websocket")
        one, two = (Client(address, events=ClientEventHandler(), min_reconnect_delay=0.05)
                    for _ in range(2))
        first = one.new_subscription("py:a", events=ears)
        second = two.new_subscription("py:a", events=other)
        for client, subscription in ((one, first), (two, second)):
            await client.connect()
            await subscription.subscribe()
            await subscription.ready()
        await first.publish({"n": 1})
        await second.publish({"n": 2})
        await ears.until(lambda: len(ears.said) == 2 and len(ears.joined) == 2)
        equal(ears.said, [(1, {"n": 1}), (2, {"n": 2})])
        history = await first.history(limit=1, reverse=True)
        equal(([it.data for it in history.publications], history.offset), ([{"n": 2}], 2))
        equal(len((await first.presence()).clients), 2)
        stats = await first.presence_stats()
        equal((stats.num_clients, stats.num_users), (2, 1))
        equal((await one.rpc("echo", {"x": [1]})).data, {"x": [1]})
        await two.disconnect()
        await ears.until(lambda: ears.left == ears.joined[1:])
        # The connection is gone, and what is said meanwhile is not.
        one._conn.transport.abort()
        await publish(server, {"topic": "py:a", "data": 3}, {"topic": "py:a", "data": 4})
        await ears.until(lambda: len(ears.said) == 4)
        equal([offset for offset, _ in ears.said], [1, 2, 3, 4])
        equal(ears.subscribed[-1].recovered, True, "recovered")
        await one.disconnect()

    await on_each_engine(binary, work)


async def events(content, count):
    """So many events of a stream that are no comments: id, name and data of each."""
    found, event = [], {}
    while len(found) < count:
        line = (await asyncio.wait_for(content.readline(), 10)).decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "data" in event:
            found.append((event.get("id"), event.get("event"), json.loads(event["data"])))
            event = {}
    return found


@case(ALONE, seconds=60)
async def an_event_stream_of_channels_goes_on_where_it_was(binary):
    async def work(server):
        address = server.url("/channels?topic=sse:a&topic=sse:b", "http")
        async with aiohttp.ClientSession() as session:
            async with session.get(address) as stream:
                [(_, name, data)] = await events(stream.content, 1)
                equal((name, data), ("ready", {"topics": ["sse:a", "sse:b"]}))
                answer = await publish(server, {"topic": "sse:a", "data": 1})
                equal((answer["connections"], answer["cores"]), (1, 1))
                [(last, name, data)] = await events(stream.content, 1)
                equal((name, data), (None, {"topic": "sse:a", "offset": 1, "data": 1}))
            for data in (2, 3):
                await publish(server, {"topic": "sse:a", "data": data},
                              {"topic": "sse:b", "data": data})
            async with session.get(address, headers={"Last-Event-ID": last}) as stream:
                missed = await events(stream.content, 5)
                equal(sorted((it["topic"], it["offset"]) for _, name, it in missed if not name),
                      [("sse:a", 2), ("sse:a", 3), ("sse:b", 1), ("sse:b", 2)])
                equal(missed[-1][1], "ready")
            foreign = {"Last-Event-ID": "00000000:1,00000000:1"}
            async with session.get(address, headers=foreign) as stream:
                told = await events(stream.content, 3)
                equal([name for _, name, _ in told], ["stale", "stale", "ready"])
            async with session.get(server.url("/channels", "http")) as refused:
                equal(refused.status, 400)

    await on_each_engine(binary, work)


@case(ALONE, seconds=60)
async def who_only_listens_to_centrifugo_is_told_what_it_asked_for(binary):
    async def work(server):
        address = server.url("/connection/uni_sse", "http")
        wanted = {"cf_connect": json.dumps({"subs": {"uni:a": {}}})}
        async with aiohttp.ClientSession() as session:
            async with session.get(address, params=wanted) as stream:
                [(_, _, first)] = await events(stream.content, 1)
                equal(list(first["connect"]["subs"]), ["uni:a"])
                await publish(server, {"topic": "uni:a", "data": "x"})
                while "pub" not in (push := (await events(stream.content, 1))[0][2]):
                    pass
                equal((push["channel"], push["pub"]["data"]), ("uni:a", "x"))

    await on_each_engine(binary, work)


@case(ALONE)
async def without_dev_there_are_no_channels(binary):
    server = await Server.serve(binary, "ring")
    async with server:
        for path in ("/connection/websocket", "/channels?topic=a", "/api/info"):
            status = await curl("-o", "/dev/null", "-w", "%{http_code}",
                                server.url(path, "http"))
            equal(status, "404", path)


@case(ALONE)
async def dev_is_for_loopback_unless_told(binary):
    refused = await Process.start(binary, "serve", "--dev", "--listen", "0.0.0.0:0")
    async with refused:
        equal(await refused.ended(), 2, "exit code")
        equal("--dev-for-everyone" in "".join(refused.errors), True, "the remedy")


@case(ALONE)
async def what_is_no_key_or_no_place_for_a_secret_is_refused(binary):
    for flags, remedy in (
        (("--token-hmac-secret", "secret"), "env:NAME or file:PATH"),
        (("--token-hmac-secret", "env:RINGSTORM_NO_SUCH_NAME"), "RINGSTORM_NO_SUCH_NAME"),
        (("--api-key", "file:/nonexistent"), "/nonexistent"),
        (("--token-key", str(SCRIPT)), "-----BEGIN PUBLIC KEY"),
        (("--token-jwks", str(SCRIPT)), '{"keys":[..]}'),
        (("--token-list", str(SCRIPT)), '{"sub":"user"}'),
        (("--engine", "baseline", "--token-key", str(SCRIPT)), "--engine tokio"),
    ):
        refused = await Process.start(binary, "serve", "--listen", "127.0.0.1:0", *flags)
        async with refused:
            equal(await refused.ended(), 2, f"exit code of {flags}")
            equal(remedy in "".join(refused.errors), True, f"{remedy} in {refused.errors}")


@case(ALONE, seconds=60)
async def the_page_that_init_writes_counts_its_visitors_and_shows_what_is_published(binary):
    with tempfile.TemporaryDirectory() as base:
        folder = pathlib.Path(base, "hello")
        made = await Process.start(binary, "init", folder)
        async with made:
            equal(await made.ended(), 0, f"exit code ({made.story()})")
        key = folder / "api.key"
        for engine in SHARD_ENGINES:
            server = await Server.serve(
                binary, engine, "--config", folder / "ringstorm.toml")
            async with server:
                url = server.url("", "http")
                page = await Process.start("node", VISITORS, folder / "index.html", url)
                async with page:
                    await page.until(lambda: "both count two" in page.output)
                    shown = await curl(
                        "-H", f"X-API-Key: {key.read_text().strip()}",
                        "-d", '{"topic":"visitors","data":"hello"}', f"{url}/publish")
                    equal(json.loads(shown)["connections"], 2, "connections")
                    equal(await page.ended(), 0, f"exit code ({page.story()})")


@case(ALONE, seconds=60)
async def tabs_of_one_browser_share_a_session_that_the_application_tells(binary):
    async def call(server, method, **body):
        answer = await curl("-H", "X-API-Key: dev", "-d", json.dumps(body),
                            server.url(f"/api/sessions/{method}", "http"))
        return json.loads(answer)["result"]

    for engine in SHARD_ENGINES:
        server = await Server.serve(binary, engine, "--dev", "--app-name", "shop",
                                    "--session-grace", "200ms")
        async with server, aiohttp.ClientSession(
                cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            tabs = [await browser.ws_connect(server.url("/connection/websocket"))
                    for _ in range(3)]
            for tab in tabs:
                await tab.send_str('{"id":1,"connect":{}}')
                assert "connect" in await tab.receive_str()
            (cookie,) = browser.cookie_jar
            equal((cookie.key, cookie["httponly"], cookie["samesite"]), ("shop", True, "Lax"))
            equal((await call(server, "set", session=cookie.value, data={"a": 1}))["connections"],
                  3, "sockets")
            equal((await call(server, "get", session=cookie.value))["data"], {"a": 1})
            equal((await call(server, "emit", session=cookie.value, data="x"))["clients"], 3)
            for tab in tabs:
                # A ping may come before it.
                while (line := await tab.receive_str()) == "{}":
                    pass
                equal(json.loads(line)["push"]["message"]["data"], "x")
                await tab.close()
            session = cookie.value.split(".")[0]
            for _ in range(100):
                told = json.loads(await curl(
                    "-H", "X-API-Key: dev", "-d", '{"channel":"$sessions","limit":1}',
                    server.url("/api/history", "http")))["result"]["publications"]
                if told:
                    break
                await asyncio.sleep(0.1)
            equal(told[0]["data"],
                  {"event": "session ended", "session": session, "data": {"a": 1}}, "the end")

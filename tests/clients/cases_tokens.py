"""Tokens of channels against Centrifugo's Python client, unchanged, through cuts."""

import asyncio
import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import tempfile
import time

from centrifuge import Client, ClientEventHandler

from cases_hooks import Guest
from cases_probe import ALONE
from cases_realtime import SECRET, Ears
from harness import SHARD_ENGINES, Server, case, curl, equal


def part(value):
    """A part of a JWT (RFC 7515, 2)."""
    if not isinstance(value, bytes):
        value = json.dumps(value).encode()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def token(claims, sign=None):
    """A JWT of these claims: with the shared secret, or signed as `sign` does."""
    algorithm, signature = sign or ("HS256", None)
    text = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}"
    if signature is None:
        made = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    else:
        made = signature(text.encode())
    return f"{text}.{part(made)}"


def keys(folder):
    """Ed25519 keys of openssl: the file of the public one, and what signs with the private one."""
    private, public = folder / "private.pem", folder / "public.pem"
    run = {"check": True, "capture_output": True, "timeout": 30}
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], **run)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], **run)

    def sign(text):
        message = folder / "message"
        message.write_bytes(text)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", private, "-rawin", "-in",
                               message], **run).stdout

    return public, ("EdDSA", sign)


class Story(ClientEventHandler):
    """Notes what a client is told of its connection."""

    def __init__(self):
        self.codes, self.said = [], []
        self.changed = asyncio.Event()

    async def on_disconnected(self, ctx):
        self.codes.append(ctx.code)
        self.changed.set()

    async def on_publication(self, ctx):
        self.said.append((ctx.channel, ctx.pub.data))
        self.changed.set()

    async def until(self, met):
        while not met():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 10)


async def publish(server, topic, *data):
    messages = [{"topic": topic, "data": it} for it in data]
    await curl("-H", f"X-API-Key: {SECRET}", "-d", json.dumps(messages),
               server.url("/publish", "http"))


async def refused(server, shown):
    story = Story()
    client = Client(server.url("/connection/websocket"), events=story, token=shown)
    await client.connect()
    await story.until(lambda: story.codes)
    return story.codes[0]


async def goes_through(server):
    """A client whose tokens expire while it is cut off again and again."""
    fetched = []

    async def fetch():
        fetched.append(time.time())
        return token({"sub": "ann", "channels": ["py:own"], "exp": int(time.time()) + 2})

    async def fetch_for(channel):
        return token({"sub": "ann", "channel": channel, "exp": int(time.time()) + 2})

    story, ears = Story(), Ears()
    client = Client(server.url("/connection/websocket"), events=story, get_token=fetch,
                    min_reconnect_delay=0.05)
    subscription = client.new_subscription("py:private", events=ears, get_token=fetch_for)
    await client.connect()
    await subscription.subscribe()
    await subscription.ready()
    for number in range(1, 4):
        client._conn.transport.abort()
        await publish(server, "py:private", number, -number)
        await publish(server, "py:own", number)
        await ears.until(lambda wanted=2 * number: len(ears.said) == wanted)
        await story.until(lambda wanted=number: len(story.said) == wanted)
        await asyncio.sleep(0.5)
    equal([offset for offset, _ in ears.said], list(range(1, 7)), "numbers")
    equal(story.said, [("py:own", number) for number in (1, 2, 3)], "of the token's own channel")
    for _ in range(40):
        if len(fetched) >= 3:
            break
        await asyncio.sleep(0.1)
    equal(len(fetched) >= 3, True, f"fetched {len(fetched)} times")
    equal(story.codes, [], "ends")
    await client.disconnect()


async def is_let_in(server, sign):
    """A client whose token is signed like that."""
    story = Story()
    client = Client(server.url("/connection/websocket"), events=story,
                    token=token({"sub": "bob", "channels": ["py:bob"]}, sign))
    await client.connect()
    await client.ready()
    await publish(server, "py:bob", "hello")
    await story.until(lambda: story.said)
    equal(story.said, [("py:bob", "hello")], "told")
    await client.disconnect()


@case(ALONE, seconds=90)
async def the_python_client_of_centrifugo_shows_tokens_through_cuts(binary):
    with tempfile.TemporaryDirectory() as base:
        folder = pathlib.Path(base)
        secret = folder / "secret"
        secret.write_text(f"{SECRET}\n")
        public, sign = keys(folder)

        async def on(engine):
            server = await Server.serve(
                binary, engine, "--token-hmac-secret", f"file:{secret}", "--token-key", public,
                "--api-key", f"file:{secret}")
            async with server:
                forged = token({"sub": "ann"}, ("EdDSA", lambda _: bytes(64)))
                for shown, code in (("", 3507), (token({"sub": "ann"}) + "x", 3500),
                                    (forged, 3500)):
                    equal(await refused(server, shown), code, f"code of {shown}")
                await asyncio.gather(goes_through(server), is_let_in(server, sign))

        await asyncio.gather(*(on(engine) for engine in SHARD_ENGINES))


async def connects(guest, user):
    """Connects as that user; how it ends if it does."""
    said = await guest.ask(connect={"token": token({"sub": user})})
    equal("connect" in said, True, f"{user}: {said}")
    return await guest.ask(rpc={"method": "none"})


@case(ALONE, seconds=40)
async def the_holder_of_a_token_has_so_many_connections_and_one_rate(binary):
    with tempfile.NamedTemporaryFile("w", suffix=".secret") as secret:
        secret.write(SECRET)
        secret.flush()
        for engine in SHARD_ENGINES:
            server = await Server.serve(
                binary, engine, "--token-hmac-secret", f"file:{secret.name}",
                "--max-connections-per-token", "2", "--token-message-rate", "20")
            async with server, Guest.of(server) as ann, Guest.of(server) as bob:
                stays = 104
                equal((await connects(ann, "ann"))["error"]["code"], stays, engine)
                equal((await connects(bob, "bob"))["error"]["code"], stays, engine)
                async with Guest.of(server) as again, Guest.of(server) as third:
                    equal((await connects(again, "ann"))["error"]["code"], stays, engine)
                    equal(await connects(third, "ann"),
                          {"closed": 1008, "reason": "too many connections of one token"})
                for _ in range(100):
                    async with Guest.of(server) as later:
                        if "error" in await connects(later, "ann"):
                            break
                    await asyncio.sleep(0.05)
                else:
                    raise AssertionError("the place is free again")
                said = {}
                for _ in range(60):
                    if "closed" in said:
                        break
                    said = await bob.ask(rpc={"method": "none"})
                equal(said, {"closed": 1008, "reason": "too many messages"}, engine)

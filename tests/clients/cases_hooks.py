"""`serve --backend`: the applications of examples/backend, and one that does everything wrong."""

import asyncio
import contextlib
import json
import pathlib
import socket
import tempfile
import time

import aiohttp

from cases_probe import ALONE
from harness import Process, Server, case, curl, equal

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples" / "backend"
SECRET = "a secret of the hooks"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Guest:
    """A client of Centrifugo's protocol, command by command."""

    def __init__(self, channel):
        self.channel = channel
        self.pushed = []
        self.number = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, server):
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(server.url("/connection/websocket")) as channel:
                yield cls(channel)

    async def ask(self, **command):
        """Sends a command: its reply, or how the connection was closed."""
        self.number += 1
        await self.channel.send_str(json.dumps({"id": self.number, **command}))
        while True:
            told = await self.channel.receive(10)
            if told.type != aiohttp.WSMsgType.TEXT:
                return {"closed": told.data, "reason": told.extra}
            for line in told.data.splitlines():
                said = json.loads(line)
                if said.get("id") == self.number:
                    return said
                self.note(said)

    async def pushes(self, count):
        """What came beside replies, once so much has come."""
        while len(self.pushed) < count:
            told = await self.channel.receive(10)
            for line in told.data.splitlines():
                self.note(json.loads(line))
        return self.pushed

    def note(self, said):
        """A ping is an empty object, and comes whenever it is due."""
        if said:
            self.pushed.append(said)


async def backend_of(server):
    return json.loads(await curl(server.url("/stats", "http")))["backend"]


async def is_asked(server, app):
    async with Guest.of(server) as stranger:
        equal(await stranger.ask(connect={}), {"closed": 4401, "reason": "say who you are"})
    async with Guest.of(server) as ann:
        reply = (await ann.ask(connect={"data": {"name": "ann"}}))["connect"]
        equal(list(reply["subs"]), ["lobby"], "channels")
        equal((await ann.pushes(1))[0]["push"]["message"]["data"], {"hello": "ann"}, "greeting")
        equal("error" in await ann.ask(subscribe={"channel": "room-ann"}), False, "her own room")
        equal((await ann.ask(subscribe={"channel": "room-bob"}))["error"]["message"],
              "ann is no member", "another's")
        await ann.ask(publish={"channel": "lobby", "data": "hi"})
        said = [it["push"]["pub"] for it in await ann.pushes(2) if "pub" in it["push"]]
        equal(said[0]["data"], {"from": "ann", "text": "hi"}, "published")
        equal((await ann.ask(rpc={"method": "sum", "data": {"a": 1, "b": 2}}))["rpc"],
              {"data": 3}, "sum")
        equal((await ann.ask(rpc={"method": "nothing"}))["error"]["code"], 104, "no procedure")
    await app.until(lambda: "disconnect ann" in app.output)
    found = await backend_of(server)
    equal((found["failed"], found["late"], found["breaker_open"]), (0, 0, 0), "figures")


@case(ALONE, seconds=60)
async def applications_in_node_and_python_decide_greet_and_answer(binary):
    with tempfile.NamedTemporaryFile("w", suffix=".secret") as secret:
        secret.write(SECRET)
        secret.flush()
        for engine, command in (("ring", ("node", EXAMPLES / "app.mjs")),
                                ("tokio", ("python3", EXAMPLES / "app.py"))):
            port = free_port()
            app = await Process.start(*command, port, SECRET)
            async with app:
                await listens(port)
                server = await Server.serve(
                    binary, engine, "--backend", f"http://127.0.0.1:{port}/hooks",
                    "--backend-secret", f"file:{secret.name}")
                async with server:
                    await is_asked(server, app)


@case(ALONE, seconds=60)
async def web_applications_in_node_and_python_get_what_no_route_takes(binary):
    with tempfile.NamedTemporaryFile("w", suffix=".secret") as secret:
        secret.write(SECRET)
        secret.flush()
        for engine, command in (("ring", ("python3", EXAMPLES / "web.py")),
                                ("tokio", ("node", EXAMPLES / "web.mjs"))):
            port = free_port()
            async with await Process.start(*command, port, SECRET):
                await listens(port)
                server = await Server.serve(
                    binary, engine, "--dev", "--app-name", "hello", "--http-backend",
                    f"http://127.0.0.1:{port}", "--backend-secret", f"file:{secret.name}")
                async with server:
                    await passes(server)


async def passes(server):
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        pages = []
        for _ in range(2):
            async with browser.get(server.url("/a/page?b=c", "http")) as page:
                equal(page.status, 200, "signed")
                pages.append(await page.text())
        session, _, rest = pages[0].partition(" ")
        equal(pages[1], pages[0], "the session of its cookie")
        assert len(session) > 20, pages
        equal(rest, "from 127.0.0.1 at /a/page?b=c\n", "who asks")
        # A socket of the same browser is in the same session.
        async with browser.ws_connect(server.url("/connection/websocket")) as socket:
            await socket.send_str('{"id":1,"connect":{}}')
            await socket.receive(10)
            emit = {"session": session, "data": {"hello": "you"}}
            async with browser.post(server.url("/api/sessions/emit", "http"), json=emit,
                                    headers={"X-API-Key": "dev"}) as answer:
                assert answer.status == 200, await answer.text()
            said = await socket.receive(10)
            assert '"you"' in said.data, said
        large = bytes(range(256)) * 20000
        async with browser.post(server.url("/upload", "http"), data=large) as back:
            equal((back.status, await back.read() == large), (200, True), "given back")
        async with browser.get(server.url("/healthz", "http")) as own:
            equal(await own.text(), "ok\n", "the server's own")


async def listens(port):
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return writer.close()
    raise AssertionError(f"nobody listens on {port}")


ALLOW = b'{"allow":true}'


def answer(body, status=b"200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


# What a client says when it connects, and what is answered to that.
WRONG = {
    "hang": b"",
    "garbage": answer(b"<html>"),
    "list": answer(b"[]"),
    "no HTTP": b"\0\1\2 nonsense\r\n\r\n",
    "10 MB": answer(b'{"allow":true,"data":"%s"}' % (b"x" * 10_000_000)),
    "500": answer(ALLOW, b"500 Internal Server Error"),
    "404": answer(ALLOW, b"404 Not Found"),
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
}


async def misbehave(reader, writer):
    """Answers as it is asked to: in data, or well."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            asked = json.loads(await reader.readexactly(length))
            wish = asked.get("data") if isinstance(asked, dict) else None
            if wish == "hang":
                await reader.read()  # Until the server gives up.
            if wish == "late":
                await asyncio.sleep(1)
            if wish == "twice":
                writer.write(answer(ALLOW) + answer(b'{"allow":false}'))
            else:
                writer.write(WRONG.get(wish, answer(ALLOW)))
            await writer.drain()
            if wish in ("cut", "no HTTP"):
                break
    writer.close()


async def enters(server, wish=None):
    """What a client is told that connects with that, and how long it took."""
    async with Guest.of(server) as guest:
        began = time.monotonic()
        said = await guest.ask(connect={} if wish is None else {"data": wish})
        return said, time.monotonic() - began


def is_let_in(said):
    return "connect" in said


@case(ALONE, seconds=60)
async def an_application_that_does_everything_wrong_costs_only_those_it_is_asked_about(binary):
    for engine in ("ring", "tokio"):
        wrong = await asyncio.start_server(misbehave, "127.0.0.1", 0)
        port = wrong.sockets[0].getsockname()[1]
        server = await Server.serve(
            binary, engine, "--backend", f"http://127.0.0.1:{port}/", "--backend-timeout", "700ms")
        async with wrong, server:
            for wish in ("late", *WRONG):
                waiting = asyncio.create_task(enters(server, wish))
                await asyncio.sleep(0.05)
                for _ in range(3):
                    said, seconds = await enters(server)
                    equal((is_let_in(said), seconds < 0.5), (True, True), f"beside {wish}")
                said, seconds = await waiting
                equal((said["error"]["code"], said["error"]["temporary"]), (100, True), wish)
                equal(seconds < 2, True, f"{wish}: {seconds:.1f} s")
            for _ in range(3):
                equal(is_let_in((await enters(server, "twice"))[0]), True, "answered twice")
            found = await backend_of(server)
            equal((found["failed"], found["breaker_open"]), (len(WRONG) + 1, 0), "figures")


@case(ALONE, seconds=60)
async def an_application_that_is_gone_is_not_asked_and_its_policy_is_kept(binary):
    for engine, policy in (("ring", "deny"), ("tokio", "allow")):
        port = free_port()
        server = await Server.serve(
            binary, engine, "--backend", f"http://127.0.0.1:{port}/",
            "--backend-failure", policy)
        async with server:
            began = time.monotonic()
            while not (await backend_of(server))["breaker_open"]:
                said, _ = await enters(server)
                equal(is_let_in(said), policy == "allow", policy)
                equal(time.monotonic() - began < 1, True, "open within a second")
            for _ in range(5):
                said, seconds = await enters(server)
                equal((is_let_in(said), seconds < 0.2), (policy == "allow", True), "at once")
            back = await asyncio.start_server(misbehave, "127.0.0.1", port)
            async with back:
                began = time.monotonic()
                while (await backend_of(server))["breaker_open"]:
                    await enters(server)
                    await asyncio.sleep(0.05)
                    equal(time.monotonic() - began < 5, True, "closed again")
                equal(is_let_in((await enters(server))[0]), True, "asked again")

"""TLS with peers of other makes: OpenSSL by Python, curl and s_client, on either side."""

import asyncio
import contextlib
import json
import os
import ssl
import tempfile

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from cases_probe import ALONE, probe
from harness import SHARD_ENGINES, Process, Server, case, cores, curl, equal


class Certificates:
    """An authority, a server's certificate for localhost, and a client's, in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __getitem__(self, name):
        return os.path.join(self.folder, name)

    async def make(self):
        """Asks openssl for all of them."""
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        await self.openssl("req", "-x509", *curve, "-subj", "/CN=test authority", "-days", 2,
                           "-keyout", self["ca.key"], "-out", self["ca.pem"])
        for name, alternatives in (("server", "DNS:localhost,IP:127.0.0.1"),
                                   ("client", "DNS:client")):
            await self.openssl("req", *curve, "-subj", f"/CN={name}", "-keyout",
                               self[f"{name}.key"], "-out", self[f"{name}.csr"])
            with open(self["ext"], "w", encoding="ascii") as ext:
                ext.write(f"subjectAltName={alternatives}\n")
            await self.openssl("x509", "-req", "-in", self[f"{name}.csr"], "-CA", self["ca.pem"],
                               "-CAkey", self["ca.key"], "-CAcreateserial", "-days", 2,
                               "-extfile", self["ext"], "-out", self[f"{name}.pem"])

    async def openssl(self, *arguments):
        async with await Process.start("openssl", *arguments) as process:
            equal(await process.ended(), 0, f"openssl {arguments[0]} ({process.story()})")

    def client(self, version=None):
        """A Python client that trusts the authority, with one version if that is given."""
        context = ssl.create_default_context(cafile=self["ca.pem"])
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def server(self, mutual=False):
        """A Python server; mutual wants a certificate of the client."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self["ca.pem"])
        context.load_cert_chain(self["server.pem"], self["server.key"])
        context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
        return context


@contextlib.asynccontextmanager
async def certificates():
    with tempfile.TemporaryDirectory() as folder:
        made = Certificates(folder)
        await made.make()
        yield made


@contextlib.asynccontextmanager
async def secured(binary, engine):
    """A ringstorm server with TLS, and its certificates."""
    async with certificates() as made:
        identity = ("--tls-cert", made["server.pem"], "--tls-key", made["server.key"])
        server = await Server.serve(binary, engine, *identity, "--chunk-ms", "20")
        async with server:
            yield server, made


@contextlib.asynccontextmanager
async def python_server(made, mutual=False):
    """A Python `websockets` server with TLS that echoes; gives its URL."""

    async with echo_over(made.server(mutual)) as url:
        yield url


@contextlib.asynccontextmanager
async def echo_over(context):
    """The same, with that context."""

    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0, ssl=context, max_size=2**24) as server:
        yield f"wss://localhost:{server.sockets[0].getsockname()[1]}/"


@contextlib.asynccontextmanager
async def strict_server(made):
    """`openssl s_server`, which wants a certificate and says so; gives its URL."""
    identity = ("-cert", made["server.pem"], "-key", made["server.key"], "-CAfile", made["ca.pem"])
    async with await Process.start("openssl", "s_server", "-accept", "127.0.0.1:0", "-Verify", 1,
                                   "-verify_return_error", "-www", *identity) as process:
        def port():
            found = [line for line in process.output if line.startswith("ACCEPT ")]
            return found and found[0].rsplit(":", 1)[1]

        yield f"wss://localhost:{await process.until(port)}/"


@case(ALONE, seconds=60)
async def websockets_over_tls_echo_every_size_in_both_versions(binary):
    for engine in SHARD_ENGINES:
        async with secured(binary, engine) as (server, made):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                options = {"ssl": made.client(version), "max_size": 2**24, "compression": None}
                async with connect(server.url("/echo", "wss"), **options) as socket:
                    for size in (0, 1, 125, 126, 16_383, 16_384, 16_385, 65_536, 1_000_000):
                        message = os.urandom(size)
                        await socket.send(message)
                        equal(await socket.recv() == message, True, f"echo of {size} bytes")
                    await socket.send(["in ", "three ", "parts"])
                    equal(await socket.recv(), "in three parts")
                    # Many at once: records and messages do not line up.
                    for number in range(500):
                        await socket.send("x" * (number * 7 % 900))
                    for number in range(500):
                        equal(len(await socket.recv()), number * 7 % 900, "length")


@case(ALONE)
async def curl_reads_https_and_events_and_is_not_fooled(binary):
    async with secured(binary, "ring") as (server, made):
        url = server.url("/healthz", "https")
        equal(await curl("--cacert", made["ca.pem"], url), "ok")
        events = await curl("--cacert", made["ca.pem"], "--no-buffer", "--max-time", "1",
                            server.url("/events", "https"), fails=True)
        assert "event: push" in events, events
        chacha = ("--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305")
        equal(await curl("--cacert", made["ca.pem"], *chacha, url), "ok")
        equal(await curl(url, fails=True), "", "an unknown authority")
        equal(await curl(server.url("/healthz", "http"), fails=True), "", "no TLS")


@case(ALONE)
async def s_client_may_change_keys_and_is_refused_another_protocol(binary):
    async with secured(binary, "ring") as (server, made):
        at = ("-connect", f"127.0.0.1:{server.port}", "-CAfile", made["ca.pem"])
        client = await asyncio.create_subprocess_exec(
            "openssl", "s_client", *at, "-alpn", "http/1.1", "-verify_return_error",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT)
        try:
            # k: we have a new key; K: and so shall you.
            for line in ("k", "K", "k", "K"):
                client.stdin.write(f"{line}\n".encode())
                await client.stdin.drain()
                await asyncio.sleep(0.2)
            client.stdin.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await client.stdin.drain()
            said = (await asyncio.wait_for(client.stdout.read(), 10)).decode("utf-8", "replace")
        finally:
            if client.returncode is None:
                client.kill()
            await client.wait()
        equal(said.count("KEYUPDATE"), 4, "changes of keys")
        assert "HTTP/1.1 200 OK" in said and "ALPN protocol: http/1.1" in said, said
        async with await Process.start("openssl", "s_client", *at, "-alpn", "h2") as process:
            assert await process.ended() != 0, process.story()
            assert any("no application protocol" in line for line in process.errors), \
                process.story()


@case(ALONE)
async def garbage_and_silence_end_only_their_own_connections(binary):
    async with secured(binary, "ring") as (server, made):
        async with connect(server.url("/echo", "wss"), ssl=made.client()) as socket:
            for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(70_000),
                            b"\x16\x03\x01\x00\x05" + bytes(5), b"\x17\x03\x03\x00\x20" + bytes(32),
                            b"\x16\x03\x01\x40\x00" + b"\x01\x00\xff\xff" + bytes(16_380)):
                reader, writer = await asyncio.open_connection(server.host, server.port)
                with contextlib.suppress(ConnectionError):
                    writer.write(garbage)
                    await writer.drain()
                    # An alert, or nothing, and the end; the third is a record that is not done.
                    writer.write_eof()
                    await asyncio.wait_for(reader.read(), 5)
                writer.close()
            await socket.send("still here")
            equal(await socket.recv(), "still here")
        stats = json.loads(await curl("--insecure", server.url("/stats", "https")))
        tls = stats["total"]["tls"]
        # Who has left before an answer is not given one.
        equal(tls["handshakes_failed"] + tls["handshakes_left"], 5, "failed handshakes")


@case(ALONE)
async def the_probe_trusts_whom_it_is_told_to(binary):
    async with certificates() as made:
        async with python_server(made) as url:
            ask = ("--send", "hello", "--count", 1)
            said, errors = await probe(binary, url, *ask, "--ca", made["ca.pem"], "--debug")
            equal(said, ["hello"])
            assert any("TLSv1_3" in line for line in errors), errors
            equal((await probe(binary, url, *ask, "--insecure"))[0], ["hello"])
            _, errors = await probe(binary, url, *ask, code=1)
            assert "--ca FILE" in errors[-1], errors
            wrong = ("--ca", made["ca.pem"], "--sni", "other.test")
            _, errors = await probe(binary, url, *ask, *wrong, code=1)
            assert "--sni NAME" in errors[-1], errors
            port = url.rsplit(":", 1)[1].rstrip("/")
            elsewhere = ("--resolve", f"other.test:{port}:127.0.0.1", "--sni", "localhost")
            moved = url.replace("localhost", "other.test")
            said = await probe(binary, moved, *ask, "--ca", made["ca.pem"], *elsewhere)
            equal(said[0], ["hello"])
        async with python_server(made, mutual=True) as url:
            mine = ("--client-cert", made["client.pem"], "--client-key", made["client.key"])
            said, _ = await probe(binary, url, *ask, "--ca", made["ca.pem"], *mine)
            equal(said, ["hello"])
            await probe(binary, url, *ask, "--ca", made["ca.pem"], code=1)


# Keys that rcgen does not make, and ring does not check; the last two with TLS 1.3 only, for the
# cipher suites that rustls has for 1.2 name the kinds of signatures, and neither of these.
UNUSUAL = {
    "RSA of 1,024 bits": ("-newkey", "rsa:1024"),
    "RSA of 2,048 bits": ("-newkey", "rsa:2048"),
    "P-521": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"),
    "Ed448": ("-newkey", "ed448"),
}


@case(ALONE, seconds=60)
async def any_certificate_is_taken_with_insecure_and_none_of_these_without(binary):
    async with certificates() as made:
        for what, key in UNUSUAL.items():
            await made.openssl("req", "-new", "-nodes", *key, "-subj", "/CN=localhost",
                               "-keyout", made["odd.key"], "-out", made["odd.csr"])
            # Without an extension it is of version 1 (OpenSSL before 3.2).
            await made.openssl("x509", "-req", "-in", made["odd.csr"], "-signkey",
                               made["odd.key"], "-days", 2, "-out", made["odd.pem"])
            versions = [ssl.TLSVersion.TLSv1_2] if what.startswith("RSA") else []
            for version in (*versions, ssl.TLSVersion.TLSv1_3):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.set_ciphers("DEFAULT@SECLEVEL=0")
                context.load_cert_chain(made["odd.pem"], made["odd.key"])
                context.minimum_version = context.maximum_version = version
                async with echo_over(context) as url:
                    ask = ("--send", "hello", "--count", 1)
                    said, _ = await probe(binary, url, *ask, "--insecure")
                    equal(said, ["hello"], f"{what}, {version.name}")
                    record = await load(binary, url, "--insecure", code=0)
                    equal(record["connects"]["up"], 20, f"{what}, {version.name}")
                    await probe(binary, url, *ask, code=1)


async def load(binary, url, *flags, code):
    """The record of a short run."""
    short = ("-c", 20, "-d", "500ms", "--json", "--quiet", "--cores", cores())
    async with await Process.start(binary, "load", url, *short, *flags) as process:
        equal(await process.ended(), code, f"exit code ({process.story()})")
        return json.loads(process.output[0])


@case(ALONE, seconds=40)
async def the_load_client_speaks_tls_and_counts_why_it_cannot(binary):
    for engine in SHARD_ENGINES:
        on = ("--engine", engine)
        async with certificates() as made:
            trust = ("--ca", made["ca.pem"])
            async with python_server(made) as url:
                record = await load(binary, url, *trust, *on, code=0)
                assert record["messages"]["replied"] > 20, record["messages"]
                equal(record["messages"]["wrong"], 0, "wrong replies")
                equal(record["latency"]["tls"]["samples"], 20, "handshakes")
                record = await load(binary, url, *on, code=99)
                equal(kinds(record), {"connect.tls_unknown_issuer": 20})
            async with python_server(made, mutual=True) as url:
                mine = ("--client-cert", made["client.pem"], "--client-key", made["client.key"])
                record = await load(binary, url, *trust, *mine, *on, code=0)
                equal(record["connects"]["up"], 20, "up")
            async with strict_server(made) as url:
                record = await load(binary, url, *trust, *on, code=99)
                equal(kinds(record), {"upgrade.tls_alert_certificate_required": 20})


def kinds(record):
    """How often what failed where."""
    return {f"{it['stage']}.{it['kind']}": it["count"] for it in record["failures"]}

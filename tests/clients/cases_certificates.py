"""Which certificate a server shows, to whom, and until when: OpenSSL by Python asks."""

import asyncio
import os
import shutil
import signal
import ssl

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage

from cases_probe import ALONE
from cases_tls import certificates
from harness import SHARD_ENGINES, Process, Server, case, curl, equal


async def certificate(made, name, alternatives):
    """A further certificate of the authority, for those names; the flags that serve it."""
    with open(made["ext"], "w", encoding="ascii") as ext:
        ext.write(f"subjectAltName={alternatives}\n")
    await made.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                       "-nodes", "-subj", f"/CN={name}", "-keyout", made[f"{name}.key"],
                       "-out", made[f"{name}.csr"])
    await made.openssl("x509", "-req", "-in", made[f"{name}.csr"], "-CA", made["ca.pem"], "-CAkey",
                       made["ca.key"], "-CAcreateserial", "-days", 2, "-extfile", made["ext"],
                       "-out", made[f"{name}.pem"])
    return identity(made, name)


def identity(made, name):
    return ("--tls-cert", made[f"{name}.pem"], "--tls-key", made[f"{name}.key"])


async def shown(server, context, name):
    """The common name of the certificate that who asks for `name` is shown, after an echo."""
    async with connect(server.url("/echo", "wss"), ssl=context, server_hostname=name) as socket:
        await socket.send("hello")
        equal(await socket.recv(), "hello", "echo")
        found = socket.transport.get_extra_info("ssl_object").getpeercert()
        return dict(pair for entry in found["subject"] for pair in entry)["commonName"]


def both_versions(made):
    return [made.client(it) for it in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]


@case(ALONE)
async def a_client_is_shown_the_first_certificate_for_the_name_it_asks_for(binary):
    async with certificates() as made:
        others = await certificate(made, "others", "DNS:a.test,DNS:*.b.test")
        flags = identity(made, "server") + others
        for engine in SHARD_ENGINES:
            async with await Server.serve(binary, engine, *flags) as server:
                for context in both_versions(made):
                    equal(await shown(server, context, "localhost"), "server", "localhost")
                    equal(await shown(server, context, "a.test"), "others", "a.test")
                    equal(await shown(server, context, "x.b.test"), "others", "x.b.test")
                    # A name that none is for, and none at all: the server's own.
                    context.check_hostname = False
                    equal(await shown(server, context, "c.test"), "server", "c.test")
                    equal(await shown(server, context, "127.0.0.1"), "server", "an address")


@case(ALONE)
async def only_clients_with_a_certificate_of_the_authority_are_let_in(binary):
    async with certificates() as made:
        flags = identity(made, "server") + ("--tls-client-ca", made["ca.pem"])
        for engine in SHARD_ENGINES:
            async with await Server.serve(binary, engine, *flags) as server:
                for context in both_versions(made):
                    # The client of TLS 1.3 is done before it hears that it is not let in.
                    try:
                        await shown(server, context, "localhost")
                    except (ssl.SSLError, InvalidMessage):
                        pass
                    else:
                        raise AssertionError("let in without a certificate")
                    context.load_cert_chain(made["client.pem"], made["client.key"])
                    equal(await shown(server, context, "localhost"), "server", "with one")


@case(ALONE)
async def certificates_are_read_anew_and_who_is_connected_stays(binary):
    for engine in SHARD_ENGINES:
        await renew(binary, engine)


async def renew(binary, engine):
    async with certificates() as made:
        await certificate(made, "renewed", "DNS:localhost")
        async with await Server.serve(binary, engine, *identity(made, "server")) as server:
            context = made.client()
            async with connect(server.url("/echo", "wss"), ssl=context,
                               server_hostname="localhost") as early:
                equal(await shown(server, context, "localhost"), "server", "at first")

                # A key that is not the certificate's: those of before stay.
                shutil.copy(made["renewed.pem"], made["server.pem"])
                server.signal(signal.SIGHUP)
                await server.until(lambda: any("nothing is changed" in line or
                                               "those before stay" in line
                                               for line in server.errors))
                equal(await shown(server, context, "localhost"), "server", "half a change")

                shutil.copy(made["renewed.key"], made["server.key"])
                os.utime(made["server.key"])
                said = len(server.errors)
                server.signal(signal.SIGHUP)
                await server.until(lambda: any("read anew" in line
                                               for line in server.errors[said:]))
                equal(await shown(server, context, "localhost"), "renewed", "after the change")
                await early.send("still here")
                equal(await early.recv(), "still here", "who was connected")


@case(ALONE)
async def keys_with_a_passphrase_are_read_with_it_and_another_one_is_named(binary):
    async with certificates() as made:
        with open(made["secret"], "w", encoding="ascii") as file:
            file.write("open sesame\n")
        await made.openssl("pkcs8", "-topk8", "-in", made["server.key"], "-passout",
                           f"file:{made['secret']}", "-out", made["locked.key"])
        flags = ("--tls-cert", made["server.pem"], "--tls-key", made["locked.key"])
        password = ("--tls-key-password", f"file:{made['secret']}")
        for engine in SHARD_ENGINES:
            async with await Server.serve(binary, engine, *flags, *password) as server:
                equal(await shown(server, made.client(), "localhost"), "server", "with it")

        with open(made["other"], "w", encoding="ascii") as file:
            file.write("close sesame\n")
        other = ("--tls-key-password", f"file:{made['other']}")
        for added, said in ((), "it has a passphrase"), (other, "is not the passphrase of"):
            async with await Process.start(binary, "serve", "--listen", "127.0.0.1:0",
                                           *flags, *added) as process:
                equal(await process.ended(), 2, "exit code")
                text = "\n".join(process.errors)
                assert said in text and "try: " in text, process.story()


async def staple(made, name):
    """What the authority says of a certificate: its index has it as good."""
    async with await Process.start("openssl", "x509", "-noout", "-serial", "-in",
                                   made[f"{name}.pem"]) as process:
        equal(await process.ended(), 0, process.story())
        serial = process.output[0].partition("=")[2]
    with open(made["index.txt"], "w", encoding="ascii") as index:
        index.write(f"V\t491231235959Z\t\t{serial}\tunknown\t/CN={name}\n")
    await made.openssl("ocsp", "-issuer", made["ca.pem"], "-cert", made[f"{name}.pem"],
                       "-reqout", made["request.der"])
    await made.openssl("ocsp", "-index", made["index.txt"], "-rsigner", made["ca.pem"], "-rkey",
                       made["ca.key"], "-CA", made["ca.pem"], "-reqin", made["request.der"],
                       "-ndays", 1, "-respout", made[f"{name}.ocsp"])
    return made[f"{name}.ocsp"]


async def stapled(server, made):
    """What `openssl s_client -status` says that came with the certificate."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"{server.host}:{server.port}", "-servername",
        "localhost", "-CAfile", made["ca.pem"], "-status",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE)
    told, _ = await asyncio.wait_for(process.communicate(), 10)
    return told.decode("utf-8", "replace")


@case(ALONE)
async def what_the_authority_says_of_a_certificate_goes_with_it_and_is_read_anew(binary):
    async with certificates() as made:
        path = await staple(made, "server")
        for engine in SHARD_ENGINES:
            flags = identity(made, "server") + ("--tls-ocsp", path)
            async with await Server.serve(binary, engine, *flags) as server:
                told = await stapled(server, made)
                assert "OCSP Response Status: successful" in told, told[-500:]
                assert "Cert Status: good" in told, told[-500:]
                with open(path, "rb") as file:
                    before = file.read()
                with open(path, "wb") as file:
                    file.write(b"none")
                server.signal(signal.SIGHUP)
                await server.until(lambda: any("nothing is changed" in line and "--tls-ocsp" in line
                                               for line in server.errors))
                assert "Cert Status: good" in await stapled(server, made), "that of before"
                # Its last time, when the next one was due, is over: nobody checks its signature.
                at = before.rindex(b"\x18\x0f20") + 2
                with open(path, "wb") as file:
                    file.write(before[:at] + b"20010101000000Z" + before[at + 15:])
                server.signal(signal.SIGHUP)
                await server.until(lambda: any("it has expired" in line for line in server.errors))
                assert "OCSP response: no response sent" in await stapled(server, made), "old"
                with open(path, "wb") as file:
                    file.write(before)
            async with await Server.serve(binary, engine, *identity(made, "server")) as server:
                assert "OCSP response: no response sent" in await stapled(server, made), "without"


RULES = """
[[rule]]
on = "request"
action = "allow"
path = "/stats"
certificate = { cn = "client", dns = "client" }
[[rule]]
on = "request"
action = "deny"
path = "/stats"
reason = "for another certificate"
"""


@case(ALONE)
async def rules_ask_for_the_names_of_a_clients_certificate(binary):
    async with certificates() as made:
        await certificate(made, "guest", "DNS:guest")
        with open(made["rules.toml"], "w", encoding="ascii") as file:
            file.write(RULES)
        flags = identity(made, "server") + ("--tls-client-ca", made["ca.pem"],
                                            "--rules", made["rules.toml"])
        for engine in SHARD_ENGINES:
            async with await Server.serve(binary, engine, *flags) as server:
                for name, status in ("client", "200"), ("guest", "403"), ("client", "200"):
                    answer = await curl(
                        "--cacert", made["ca.pem"], "--cert", made[f"{name}.pem"], "--key",
                        made[f"{name}.key"], "--output", "/dev/null", "--write-out",
                        "%{http_code}", f"https://localhost:{server.port}/stats", "--resolve",
                        f"localhost:{server.port}:127.0.0.1")
                    equal(answer, status, name)

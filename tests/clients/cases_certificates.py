"""Which certificate a server shows, to whom, and until when: OpenSSL by Python asks."""

import os
import shutil
import signal
import ssl

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage

from cases_probe import ALONE
from cases_tls import certificates
from harness import SHARD_ENGINES, Server, case, equal


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

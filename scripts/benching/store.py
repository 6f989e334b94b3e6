"""The store: what it costs while channels speak, and how long a start with a full one takes."""

import json
import os
import signal
import tempfile
import time

from .bars import Failure
from .figures import column, interleaved, ratios
from .hub import API_KEY, CHANNELS, EACH, RATE, listen, per_delivery, post, publish, recorded

KEPT_CHANNELS, KEPT_EACH, SESSIONS = 1_000, 100, 100_000


def store(host, options, table):
    """The figures of the store."""
    with tempfile.TemporaryDirectory() as folder:
        written(host, options, table, os.path.join(folder, "written.redb"))
        restored(host, options, table, os.path.join(folder, "restored.redb"))


def written(host, options, table, path):
    """Many channels whose histories are written behind, beside the same without a store."""
    def measure(kind):
        flags = ("--store", path) if kind == "store" else ()
        server = host.start("ring", "--dev", *flags)
        load = listen(host, server, "-c", str(CHANNELS * EACH), "--channels", str(CHANNELS), "-r",
                      str(RATE), record=True, seconds=options.seconds + 4)
        cost = per_delivery(host, server, options.seconds, ends=False)
        told = recorded(load)["deliveries"]
        wrong.append(told["lost"] + told["repeated"] + told["reordered"] + told["told"])
        if flags:
            figures = server.stats()["store"]
            lost.append(figures["lost"] + figures["failed"])
        host.end_all()
        return cost

    wrong, lost = [], []
    rounds = interleaved(("store", "none"), options.pairs, measure)
    name = f"{CHANNELS} channels of {EACH}, {RATE} publications/s, --store"
    table.at_most(f"{name}: CPU per delivery, of none", 1.05, ratios(rounds, "store", "none"))
    table.at_most(f"{name}: lost, repeated, out of order, told", 0, wrong)
    table.at_most(f"{name}: changes lost, writes failed", 0, lost)
    table.beside("us of CPU per delivery, with a store", column(rounds, "store"))


def restored(host, options, table, path):
    """A start with a full store, after an end as it should be and after none, beside one without."""
    flags = ("--dev", "--app-name", "bench", "--session-grace", "1h")
    server = host.start("ring", *flags, "--store", path)
    for channel in range(KEPT_CHANNELS):
        publish(server, [{"topic": f"news{channel}", "data": {"seq": number, "text": "x" * 80}}
                         for number in range(KEPT_EACH)])
    for start in range(0, SESSIONS, 1000):
        batch(server, [{"sessions/set": {"session": f"{number:032x}", "data": {"cart": [number]}}}
                       for number in range(start, start + 1000)])
    time.sleep(1)
    took = {"ended": [], "killed": [], "none": []}
    for _ in range(options.pairs):
        for kind, with_signal in (("ended", signal.SIGTERM), ("killed", signal.SIGKILL)):
            server.end(with_signal)
            server = timed(host, took[kind], *flags, "--store", path)
            told = server.stats()["store"]
            found = [told[f"restored_{what}"] for what in ("channels", "publications", "sessions")]
            if found != [KEPT_CHANNELS, KEPT_CHANNELS * KEPT_EACH, SESSIONS]:
                raise Failure(f"not all is restored: {told}")
        other = timed(host, took["none"], *flags)
        other.end()
    host.end_all()
    name = f"{SESSIONS} sessions, {KEPT_CHANNELS} channels of {KEPT_EACH}"
    for kind, end in (("ended", "SIGTERM"), ("killed", "kill -9")):
        more = [(with_store - without) * 1000
                for with_store, without in zip(took[kind], took["none"])]
        table.at_most(f"{name}: ms of a start after {end}, more than of none", 300, more)


def timed(host, took, *flags):
    """A server, and the time from its start until it answers: then its cores have begun."""
    began = time.monotonic()
    server = host.start("ring", *flags)
    server.get("/healthz")
    took.append(time.monotonic() - began)
    return server


def batch(server, commands):
    """Several calls of the API at once."""
    body = json.dumps({"commands": commands}).encode()
    answer = json.loads(post(server, "/api/batch", body, API_KEY))
    if any("error" in reply for reply in answer["replies"]):
        raise Failure(f"{server.name} /api/batch: {answer['replies'][0]}")

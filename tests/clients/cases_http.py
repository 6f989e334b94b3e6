"""curl and aiohttp as clients of /events, /healthz, /stats and the refusals."""

import asyncio
import json

import aiohttp

from harness import ALL_ENGINES, CHUNK_MS, Process, Server, case, curl, equal

# A core's figures in /stats; those of all cores have the same keys.
FIGURES = ("open", "accepted", "closed", "bytes_in", "bytes_out", "messages_in", "messages_out",
           "backlog_bytes", "turns", "events", "sends", "starved", "accept_pauses", "accept_failures", "rescues",
           "cpu_s", "accept_queue", "accept_queue_limit")
PROCESS = ("cpu_s", "rss_bytes", "descriptors", "descriptor_limit")


def split(response):
    """Status, fields with lower-case names, and content of what `curl --include` printed."""
    head, _, content = f"{response}\n".replace("\r", "").partition("\n\n")
    status, *lines = head.split("\n")
    fields = dict(line.split(": ", 1) for line in lines)
    fields = {name.lower(): text for name, text in fields.items()}
    return int(status.split(" ")[1]), fields, content.removesuffix("\n")


async def get(server, path, *arguments):
    return split(await curl("--include", *arguments, server.url(path, "http")))


def parse(lines):
    """What a browser would dispatch of these lines: the fields of each event, comments dropped."""
    events, fields = [], {}
    for line in lines:
        if line == "":
            events.append(fields)
            fields = {}
        elif not line.startswith(":"):
            name, _, text = line.partition(":")
            text = text.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{text}" if name in fields else text
    return [fields for fields in events if fields]


async def events(server, count, *arguments, path="/events"):
    """So many events of `curl --no-buffer`, as they come."""
    process = await Process.start("curl", "--silent", "--no-buffer", "--noproxy", "*",
                                  *arguments, server.url(path, "http"))
    async with process:
        found = await process.until(
            lambda: len(parse(process.output)) >= count and parse(process.output))
        return found[:count]


@case(ALL_ENGINES)
async def curl_gets_events_as_they_happen(server):
    found = await events(server, 5)
    if "data" not in found[0]:
        # The baseline says `retry` in a block of its own.
        found = [{**found[0], **found[1]}, *found[2:]]
    assert found[0]["retry"].isdigit(), found[0]
    # `RUN:N`; the baseline has numbers alone.
    numbers = [int(event["id"].split(":")[-1]) for event in found]
    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "ids")
    for event in found:
        equal(event["event"], "push", "event")
        data = json.loads(event["data"])
        equal(str(data["seq"]), event["id"].split(":")[-1], "seq")
        assert data["sent_ns"] > 0, data
    assert all("retry" not in event for event in found[1:]), found


@case(ALL_ENGINES)
async def the_head_of_a_stream_keeps_proxies_from_buffering(server):
    process = await Process.start("curl", "--silent", "--no-buffer", "--include",
                                  server.url("/events", "http"))
    async with process:
        head = await process.until(
            lambda: "" in map(str.strip, process.output) and list(process.output))
    status, fields, _ = split("\n".join(head))
    equal(status, 200, "status")
    equal(fields["content-type"].split(";")[0], "text/event-stream", "content-type")
    shards = server.engine != "baseline"
    equal(fields["cache-control"], "no-store, no-transform" if shards else "no-store",
          "cache-control")
    if shards:
        equal(fields["x-accel-buffering"], "no", "x-accel-buffering")


@case()
async def who_comes_back_gets_what_it_missed(server):
    last = (await events(server, 3))[-1]["id"]
    run, seen = last.split(":")
    await asyncio.sleep(10 * CHUNK_MS / 1000)
    for arguments, path in (
        (("--header", f"Last-Event-ID: {last}"), "/events"),
        ((), f"/events?lastEventId={last}"),
    ):
        found = await events(server, 20, *arguments, path=path)
        wanted = [f"{run}:{int(seen) + 1 + more}" for more in range(20)]
        equal([event["id"] for event in found], wanted, "ids")


@case()
async def who_comes_back_with_an_early_id_is_resumed_or_told(server):
    run = (await events(server, 1))[0]["id"].split(":")[0]
    first = (await events(server, 1, "--header", f"Last-Event-ID: {run}:3"))[0]
    if first["event"] == "push":
        equal(first["id"], f"{run}:4", "first id after 3")
    else:
        equal(first["event"], "stale", "event")
        known = json.loads(first["data"])
        equal(first["id"], f"{run}:{known['latest']}", "id of the stale event")
        equal((known["run"], known["other_run"], known["missed_from"]), (run, False, 4), "stale")


@case()
async def who_comes_back_from_another_run_is_told(server):
    first = (await events(server, 1, "--header", "Last-Event-ID: 00000000:3"))[0]
    equal(first["event"], "stale", "event")
    equal(json.loads(first["data"])["other_run"], True, "other_run")


@case()
async def an_id_that_never_was_is_told_to_be_stale(server):
    for wrong in ("18446744073709551615", "99999999999999999999999", "-1", "not a number"):
        told, after = await events(server, 2, "--header", f"Last-Event-ID: {wrong}")
        equal(told["event"], "stale", f"event for {wrong}")
        known = json.loads(told["data"])
        equal(sorted(known), ["latest", "missed_from", "other_run", "run"], "keys")
        equal(known["other_run"], True, "other_run")
        wanted = f"{known['run']}:{known['latest'] + 1}"
        equal((after["event"], after["id"]), ("push", wanted), "what follows")


@case()
async def aiohttp_reads_the_stream(server):
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.get(server.url("/events", "http")) as response:
            equal(response.status, 200, "status")
            lines = []
            while len(parse(lines)) < 5:
                lines.append((await response.content.readline()).decode().rstrip("\n"))
    numbers = [int(event["id"].split(":")[-1]) for event in parse(lines)]
    equal(numbers, list(range(numbers[0], numbers[0] + 5)), "ids")


@case(ALL_ENGINES)
async def health_is_ok(server):
    status, fields, content = await get(server, "/healthz")
    equal((status, content), (200, "ok"))
    assert fields["content-type"].startswith("text/plain"), fields


@case()
async def stats_are_json_with_every_key(server):
    status, fields, content = await get(server, "/stats")
    equal((status, fields["content-type"]), (200, "application/json"))
    stats = json.loads(content)
    equal(stats["engine"], server.engine, "engine")
    assert stats["uptime_s"] > 0, stats
    for core, figures in enumerate(stats["cores"]):
        equal(figures["core"], core, "core")
        equal([key for key in FIGURES if key not in figures], [], "missing keys")
    equal([key for key in FIGURES if key not in stats["total"]], [], "missing keys of the total")
    equal([key for key in PROCESS if key not in stats["process"]], [], "missing keys")
    equal(sorted(stats["total"]["open"]), ["http", "sse", "websocket"], "kinds")
    for key in ("accepted", "messages_in", "messages_out", "bytes_in"):
        equal(stats["total"][key], sum(core[key] for core in stats["cores"]), f"total {key}")
    equal(stats["missing"], [], "cores that did not answer")
    equal(stats["total"]["rescues"], 0, "rescues")
    assert stats["process"]["rss_bytes"] > 1_000_000, stats["process"]


@case(("baseline",))
async def the_baseline_tells_what_it_counts(server):
    stats = json.loads((await get(server, "/stats"))[2])
    equal(stats["engine"], "baseline", "engine")
    equal([key for key in PROCESS if key not in stats["process"]], [], "missing keys")
    assert {"open", "accepted", "messages_in", "messages_out"} <= stats["total"].keys(), stats


@case()
async def stats_count_the_one_who_listens(server):
    before = json.loads((await get(server, "/stats"))[2])["total"]
    async with await Process.start("curl", "--silent", "--no-buffer",
                                   server.url("/events", "http")) as listener:
        await listener.until(lambda: len(parse(listener.output)) >= 2)
        during = json.loads((await get(server, "/stats"))[2])["total"]
    equal(during["open"]["sse"], before["open"]["sse"] + 1, "open event streams")
    assert during["messages_out"] > before["messages_out"], (before, during)
    assert during["bytes_out"] > before["bytes_out"], (before, during)


@case(ALL_ENGINES)
async def a_path_that_is_not_there_gets_404(server):
    equal((await get(server, "/nowhere"))[0], 404, "status")


@case(ALL_ENGINES)
async def a_method_that_is_not_wanted_gets_405(server):
    for path in ("/healthz", "/stats", "/events"):
        status, fields, _ = await get(server, path, "--request", "POST", "--data", "x=y")
        equal(status, 405, f"status for POST {path}")
        if server.engine != "baseline":
            equal(fields["allow"], "GET, HEAD, OPTIONS", "allow")


@case(ALL_ENGINES)
async def a_plain_request_for_a_websocket_gets_426(server):
    for path in ("/echo", "/push"):
        status, fields, _ = await get(server, path)
        equal(status, 426, f"status for {path}")
        equal(fields["upgrade"], "websocket", "upgrade")
        if server.engine != "baseline":
            equal(fields["sec-websocket-version"], "13", "sec-websocket-version")


@case()
async def head_gets_the_fields_without_the_content(server):
    for path in ("/healthz", "/stats", "/"):
        status, fields, content = await get(server, path, "--head")
        equal((status, content), (200, ""), path)
        assert int(fields["content-length"]) > 0, fields


@case()
async def one_connection_serves_many_requests(server):
    url = server.url("/healthz", "http")
    shown = await curl("--write-out", "%{num_connects} ", *[url] * 20)
    equal(shown.replace("\n", ""), "ok1 " + "ok0 " * 19)


@case()
async def an_offer_of_http2_is_answered_in_http1(server):
    offer = ("--header", "Connection: Upgrade, HTTP2-Settings", "--header", "Upgrade: h2c",
             "--header", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
    status, _, content = await get(server, "/healthz", *offer)
    equal((status, content), (200, "ok"))


@case()
async def http_1_0_gets_an_answer_and_the_end(server):
    status, fields, content = await get(server, "/healthz", "--http1.0")
    equal((status, content), (200, "ok"))
    equal(fields["connection"], "close", "connection")


@case(ALL_ENGINES)
async def two_addresses_of_two_families_are_served(shared):
    listen = ("127.0.0.1:0", "[::1]:0")
    async with await Server.serve(shared.binary, shared.engine, listen=listen) as server:
        for host, port in server.addresses:
            equal(await curl(f"http://{host}:{port}/healthz"), "ok", host)

"""The pages for operators: who may look, what they are told of logs on disk, what is live."""

import csv
import io
import json
import pathlib
import re
import signal
import tempfile
import urllib.parse

import aiohttp

from cases_chat import chat
from cases_http import get
from cases_probe import ALONE
from harness import SHARD_ENGINES, Server, case, curl, equal

PAGES = ("/dash/", "/report/", "/logs/")
DATA = ("/report/data", "/logs/data")
TOKEN = "a token with words"


@case()
async def the_pages_load_nothing_from_elsewhere_and_come_compressed(server):
    for path in PAGES:
        status, fields, page = await get(server, path)
        equal((status, fields["content-type"]), (200, "text/html; charset=utf-8"), path)
        policy = fields["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, policy
        for name in re.findall(r'(?:src|href)="([^"]+)"', page):
            loaded = urllib.parse.urljoin(path, name)
            zipped = ("--compressed",) if loaded.endswith((".js", ".css")) else ()
            status, fields, _ = await get(server, loaded, *zipped)
            equal((status, fields["content-security-policy"]), (200, policy), loaded)
            equal(fields.get("content-encoding"), "gzip" if zipped else None, loaded)
            equal(fields["vary"], "Accept-Encoding", loaded)


@case()
async def browsers_get_a_page_of_pages_and_others_the_list_of_routes(server):
    _, fields, page = await get(server, "/", "--header", "Accept: text/html,*/*;q=0.8")
    equal(fields["content-type"], "text/html; charset=utf-8", "for a browser")
    assert 'href="dash/"' in page, page
    _, fields, text = await get(server, "/")
    equal(fields["content-type"], "text/plain; charset=utf-8", "for others")
    assert "/dash/events" in text and "/healthz" in text, text


@case()
async def a_page_of_another_site_or_by_another_name_may_not_look(server):
    for field in ("Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site",
                  "Host: evil.example", "X-Forwarded-For: 192.0.2.1", "Via: 1.1 a"):
        for path in (*DATA, "/dash/events"):
            status, _, text = await get(server, path, "--header", field)
            equal(status, 403, f"{field} {path}: {text}")
    status, _, text = await get(server, "/report/data")
    equal(status, 404, text)
    assert "--logs DIR" in text, text
    for method in ("POST", "PUT"):
        status, _, _ = await get(server, "/logs/data", "--request", method)
        equal(status, 405, method)


@case()
async def what_the_server_counts_is_told_once_a_second_to_all_who_look(server):
    async with aiohttp.ClientSession() as session:
        streams = [await session.get(server.url("/dash/events", "http")) for _ in range(3)]
        told = []
        for stream in streams:
            texts = []
            while len(texts) < 2:
                line = (await stream.content.readline()).decode()
                if line.startswith("data:"):
                    texts.append(json.loads(line[5:]))
            told.append(texts)
        for first, second in told:
            equal(first["schema"], "ringstorm.stats/1", "schema")
            assert 0.5 < second["uptime_s"] - first["uptime_s"] < 10, (first, second)
            assert second["total"]["open"]["sse"] >= 3, second["total"]["open"]
        for stream in streams:
            stream.close()


@case(ALONE, seconds=60)
async def who_may_look_is_asked_for_the_token(binary):
    for engine in SHARD_ENGINES:
        with tempfile.NamedTemporaryFile("w", suffix=".token") as file:
            file.write(TOKEN + "\n")
            file.flush()
            flags = ("--admin-token", f"file:{file.name}")
            async with await Server.serve(binary, engine, *flags) as server:
                shown = ("--header", f"Authorization: Bearer {TOKEN}")
                for path, found in (("/report/data", 404), ("/stats", 200), ("/report/", 200)):
                    status, _, text = await get(server, path, *shown)
                    equal(status, found, f"{path}: {text}")
                for wrong in ((), ("--header", "Authorization: Bearer x")):
                    for path in (*DATA, "/dash/events"):
                        status, _, text = await get(server, path, *wrong)
                        equal(status, 401, text)
                status, _, _ = await get(
                    server, "/report/data", *shown, "--header", "Origin: http://evil.example")
                equal(status, 403, "another site, with the token")
        # One of the listeners is for the world.
        async with await Server.serve(binary, engine, "--listen", "0.0.0.0:0") as server:
            status, _, text = await get(server, "/report/data")
            equal(status, 403, text)
            assert "--admin-listen" in text and "--admin-token" in text, text


async def report(server, query=""):
    return json.loads(await curl(server.url(f"/report/data{query}", "http")))


async def logs(server, query):
    return json.loads(await curl(server.url(f"/logs/data{query}", "http")))


@case(ALONE, seconds=90)
async def a_report_goes_on_after_a_kill_and_says_that_there_was_one(binary):
    for engine in SHARD_ENGINES:
        with tempfile.TemporaryDirectory() as base:
            folder = pathlib.Path(base, "logs")
            async with await Server.serve(binary, engine, "--logs", folder) as server:
                await chat(server, "<script>")

                async def is_told():
                    total = (await report(server))["total"]
                    return total["disconnected"] == 2 and total["accepted"] >= 2

                while not await is_told():
                    pass
                server.signal(signal.SIGKILL)
                await server.ended()
            with (folder / "chat-logs.jsonl").open("a") as file:
                file.write('{"v":2,"at":"2026-11-30T00:00:00Z","event":"said"}\n')
            (folder / "minutes.rollup").unlink()
            async with await Server.serve(binary, engine, "--logs", folder) as server:
                await chat(server, "again")
                while (await report(server))["total"]["disconnected"] < 4:
                    pass
                told = await report(server)
                total = told["total"]
                equal((total["connected"], total["matched"], total["disconnected"]), (4, 4, 4),
                      "chats")
                equal(told["servers"], {"started": 2, "ended_without_warning": 1}, "servers")
                equal(total["skipped"], 1, "lines of a newer version")
                assert total["rss_bytes"] > 0 and total["cpu_us"] > 0, total
                assert told["read_ms"] < 10_000, told
                text = await curl(server.url("/report/data?format=csv", "http"))
                (first, *_) = csv.DictReader(io.StringIO(text))
                assert re.match(r"\d{4}-\d\d-\d\dT", first["at"]), first
                equal(sum(int(row["said"]) for row in csv.DictReader(io.StringIO(text))), 2, "CSV")
                await look_at_lines(server)
                status, _, text = await get(server, "/report/data?from=yesterday")
                equal(status, 400, text)
                assert "such as 2026" in text, text


async def look_at_lines(server):
    told = await logs(server, "?event=said&limit=1")
    equal([it["number"] for it in told["lines"]], [1], "the newest")
    older = await logs(server, f"?event=said&cursor={told['cursor']}")
    equal((len(older["lines"]), older["is_all"]), (2, True), "older")
    users = await logs(server, "?dir=newer&event=connected")
    equal([it["event"] for it in users["lines"]], ["connected"] * 4, "newer")
    end = (await logs(server, "?dir=newer&limit=1000"))["cursor"]
    await chat(server, "live")
    while not (came := (await logs(server, f"?dir=newer&cursor={end}&event=said"))["lines"]):
        pass
    equal([it["event"] for it in came], ["said"], "what came")
    status, _, text = await get(server, "/logs/data?file=../../etc/passwd")
    equal(status, 400, text)


@case(ALONE)
async def channels_and_who_is_there_are_counted_over_all_cores(binary):
    for engine in SHARD_ENGINES:
        async with await Server.serve(binary, engine, "--dev") as server:
            async with aiohttp.ClientSession() as session:
                async def total():
                    return json.loads(await curl(server.url("/stats", "http")))["total"]

                streams = [await session.get(server.url(f"/channels?topic={name}", "http"))
                           for name in ("news", "news", "sport")]
                while (found := await total())["channels"] < 2 or found["channel_clients"] < 3:
                    pass
                equal((found["channels"], found["channel_clients"]), (2, 3), "while they are here")
                for stream in streams:
                    stream.close()
                while (found := await total())["channel_clients"] > 0:
                    pass
            metrics = await curl(server.url("/metrics", "http"))
            assert "ringstorm_channel_clients" in metrics, metrics

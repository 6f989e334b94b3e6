"""prometheus_client's parsers as readers of /metrics."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from harness import case, curl, equal

MEDIA_TYPE = "application/openmetrics-text"


async def families(server, parse, *arguments):
    text = await curl(*arguments, server.url("/metrics", "http"))
    return {family.name: family for family in parse(f"{text}\n")}


@case()
async def openmetrics_readers_take_the_metrics(server):
    found = await families(server, openmetrics, "--header", f"Accept: {MEDIA_TYPE}")
    assert len(found) > 50, list(found)
    for family in found.values():
        assert family.documentation, family
        assert family.name.startswith("ringstorm_"), family
        assert family.samples, f"{family.name} without a sample"
    equal(found["ringstorm_received_bytes"].type, "counter", "type")
    equal(found["ringstorm_received_bytes"].unit, "bytes", "unit")
    equal(found["ringstorm_turn_events"].type, "histogram", "type")
    engine, = found["ringstorm_build"].samples
    equal(engine.labels["engine"], server.engine, "engine")
    cores = {sample.labels["core"] for sample in found["ringstorm_connections"].samples}
    listeners = {sample.labels["core"] for sample in found["ringstorm_accept_queue"].samples}
    equal(listeners, cores, "cores that listen")
    threads = {sample.labels["thread"] for sample in found["ringstorm_threads"].samples}
    assert "ringstorm" in threads, threads


@case()
async def readers_of_the_older_format_take_the_same_text(server):
    found = await families(server, prometheus)
    assert len(found) > 50, list(found)
    asked = await curl("--include", "--header", f"Accept: {MEDIA_TYPE};q=0.5,text/plain;q=0.1",
                       server.url("/metrics", "http"))
    assert f"Content-Type: {MEDIA_TYPE}" in asked, asked[:400]
    plain = await curl("--include", server.url("/metrics", "http"))
    assert "Content-Type: text/plain; version=0.0.4" in plain, plain[:400]
    host = found["ringstorm_host_memory_bytes"].samples[0]
    assert host.value > 1 << 24, host

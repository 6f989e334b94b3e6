"""The interval log of a load run, read by the HistogramLogReader of another make."""

import collections
import os
import tempfile

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from cases_probe import ALONE, echo_all, load, websockets_server
from harness import case, equal


def empty():
    return HdrHistogram(1, 60_000_000_000, 3)


@case(ALONE)
async def another_reader_gets_every_sample_of_the_interval_log(binary):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.hlog")
        async with websockets_server(echo_all) as url:
            record = await load(binary, url, "-c", 5, "-r", 200, "-d", "3s", "--hlog", path)
        reader = HistogramLogReader(path, empty())
        sums = collections.defaultdict(empty)
        began = []
        while (interval := reader.get_next_interval_histogram()) is not None:
            sums[interval.get_tag()].add(interval)
            began.append(interval.get_start_time_stamp())
    equal(set(sums), set(record["latency"]), "tags")
    for name, latency in record["latency"].items():
        equal(sums[name].get_total_count(), latency["samples"], f"samples of {name}")
        if latency["p50_ns"] is not None:
            equal(sums[name].get_value_at_percentile(50), latency["p50_ns"], f"p50 of {name}")
    started = record["run"]["started_unix_ms"]
    assert all(0 <= at - started <= 10_000 for at in began), (started, began)
    assert began == sorted(began), began

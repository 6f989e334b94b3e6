"""The load client's figures: what a paced message and a connect cost it, and how late it is."""

from .bars import Failure
from .figures import column, interleaved, us_bare

PACED_PER_S = 500_000
CONNECTIONS = 64
# Messages in a row on a connection, which makes them pipelined, and the time between two turns;
# the bar is the first one's.
MANNERS = {
    "paced": ("--burst", "64", "--tick", "1ms"),
    "default": ("--burst", "16"),
    "alone": ("--burst", "1"),
}
CONNECTS = 6_000
# What docs/measurement.md calls generator-limited: a core busier than that, or less of the plan sent.
BUSY_MAX, ACHIEVED_MIN = 0.85, 0.99
# Samples behind a p99.9.
SAMPLES = 100_000
# Quantile to milliseconds, of benches/delayed.rs: what its constants say.
KNOWN_MS = {
    "constant": lambda quantile: 500,
    "bimodal": lambda quantile: 500 if quantile <= 0.75 else 1_000,
    "stalling": lambda quantile: 500 + max(0, quantile - 0.9) / 0.1 * 100,
}
# So many samples a second, and whole seconds, of which each has one stall.
DELAYED_PER_S, DELAYED_SECONDS, CLOSED_SECONDS = 20_000, 4, 3
# The search for the ceiling: where it begins, and how near it comes.
FIRST_PER_S, NEAR = 20_000, 1.05


def paced(host, options, table):
    """CPU that the load client spends on a message of an open loop, pipelined and alone."""
    def us_per_message(kind):
        if kind == "limit":
            return us_bare(host)
        server = host.start("ring")
        record = echoes(host, server, PACED_PER_S, options.seconds, *MANNERS[kind])
        host.end_all()
        messages = record["messages"]
        if kind == "paced" and messages["replied"] < ACHIEVED_MIN * messages["planned"]:
            raise Failure(f"{messages['replied']:,} of {messages['planned']:,} messages were "
                          "answered: the server or the load client did not keep up")
        achieved[kind].append(messages["sent"] / messages["planned"] * 100)
        slips[kind].append(record["latency"]["slip"]["p99_ns"] / 1e3)
        return cpu_s(record) / messages["sent"] * 1e6

    achieved, slips = ({kind: [] for kind in MANNERS} for _ in range(2))
    rounds = interleaved(("limit", *MANNERS), options.pairs, us_per_message)
    table.at_most_us(f"load client, {PACED_PER_S:,} messages/s on {CONNECTIONS}: us of CPU each",
                     0.45, column(rounds, "paced"), column(rounds, "limit"))
    for kind, flags in MANNERS.items():
        manner = " ".join(flags)
        if kind != "paced":
            table.beside(f"the same, {manner}", column(rounds, kind))
        table.beside(f"slip p99 in us, {manner}", slips[kind])
        table.beside("% of the plan that was sent", achieved[kind])


def accuracy(host, options, table):
    """How far percentiles are from the known answers of benches/delayed.rs."""
    for manner, known_ms in KNOWN_MS.items():
        errors, closed = [], []
        for _ in range(options.pairs):
            server = host.start("delayed", "--manner", manner)
            record = echoes(host, server, DELAYED_PER_S, DELAYED_SECONDS)
            response = record["latency"]["response"]
            errors.append(max(
                abs(ns / 1e6 / known_ms(count / response["samples"]) - 1) * 100
                for ns, quantile, count in response["ladder"] if quantile <= 0.999))
            record = host.loaded(server, "/echo", "--scenario", "echo", "-c", str(CONNECTIONS),
                                 "--pipeline", "64", "-d", f"{CLOSED_SECONDS}s",
                                 seconds=CLOSED_SECONDS)
            closed.append(record["latency"]["service"]["p99_ns"] / 1e6)
            host.end_all()
        table.at_most(f"a {manner} server: error of any percentile up to p99.9, in %", 2, errors)
        table.beside(f"p99 in ms of a closed loop; known: {known_ms(0.99):.0f}", closed)


def slip(host, options, table):
    """How late the load client is at half of what it can."""
    slips = {"p99_ns": [], "p99_9_ns": [], "max_ns": []}
    ceilings = []
    for _ in range(options.pairs):
        server = host.start("ring")
        ceiling = ceiling_per_s(host, server, options.seconds)
        # As many samples as the p99.9 needs, and some.
        seconds = max(options.seconds, 2.2 * SAMPLES / ceiling)
        record = echoes(host, server, ceiling // 2, seconds)
        host.end_all()
        ceilings.append(ceiling)
        for name, found in slips.items():
            found.append(record["latency"]["slip"][name] / 1e3)
    table.at_most("load client, slip p99 in us at half of its ceiling", 200, slips["p99_ns"])
    table.beside("slip p99.9 in us", slips["p99_9_ns"])
    table.beside("slip at most, in us", slips["max_ns"])
    table.beside(f"the ceiling, messages/s on {CONNECTIONS} connections", ceilings)


def connect(host, options, table):
    """CPU that the load client spends on a connect with its upgrade."""
    def us_per_connect(kind):
        if kind == "limit":
            return us_bare(host)
        return us_per_connect_to(host, host.start(kind))

    rounds = interleaved(("limit", "ring"), options.pairs, us_per_connect)
    table.at_most_us("load client, connect with upgrade: us of CPU", 25, column(rounds, "ring"),
                     column(rounds, "limit"))


def us_per_connect_to(host, server):
    """Microseconds of the load client's CPU for a connect with its upgrade."""
    record = host.loaded(server, "/echo", "--scenario", "idle", "-c", str(CONNECTS), "-d", "100ms")
    host.end_all()
    if record["connects"]["up"] < CONNECTS:
        raise Failure(f"only {record['connects']['up']:,} of {CONNECTS:,} came up")
    return record["generator"]["connect_cpu_us"]


def us_per_paced_to(host, server, seconds):
    """Microseconds of the load client's CPU for a message of an open loop, pipelined."""
    record = echoes(host, server, PACED_PER_S, seconds, *MANNERS["paced"])
    host.end_all()
    return cpu_s(record) / record["messages"]["sent"] * 1e6


def echoes(host, server, per_s, seconds, *flags):
    """The record of echoes at a planned rate."""
    return host.loaded(server, "/echo", "--scenario", "echo", "-c", str(CONNECTIONS), "-r",
                       str(per_s), "--warm-up", "500ms", "-d", f"{seconds:g}s", "--payload", "32",
                       *flags, seconds=seconds)


def ceiling_per_s(host, server, seconds):
    """The highest planned rate at which the load client was not the limit: doubled, then halved."""
    def holds(per_s):
        record = echoes(host, server, per_s, min(seconds, 1.0))
        messages = record["messages"]
        is_whole = messages["sent"] >= ACHIEVED_MIN * messages["planned"]
        return is_whole and record["generator"]["busy_max"] <= BUSY_MAX

    def holds_in_two(per_s):
        """A single breach is measured again."""
        return holds(per_s) or holds(per_s)

    held, broken = 0, FIRST_PER_S
    while holds_in_two(broken):
        held, broken = broken, broken * 2
    if not held:
        raise Failure(f"the load client does not even keep up with {FIRST_PER_S:,} messages/s")
    while broken > held * NEAR:
        middle = (held + broken) // 2
        held, broken = (middle, broken) if holds_in_two(middle) else (held, middle)
    return held


def cpu_s(record):
    """CPU time of the measured time, over the generator's cores."""
    return sum(core["cpu_s"] for core in record["generator"]["cores"])

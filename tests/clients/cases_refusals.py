"""What keeps the server from starting is named, with what to do about it."""

import asyncio
import errno
import json
import os
import sys
import tempfile

from cases_probe import ALONE
from harness import ALL_ENGINES, Process, Server, case, cores, curl, equal

FORBID = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forbid.py")


async def refused(binary, *flags, limit="true", code=1):
    """Starts a server that must not start, under a limit of the shell; what it says."""
    script = f'{limit}; exec "$0" serve --listen 127.0.0.1:0 "$@"'
    async with await Process.start("bash", "-c", script, binary, *flags) as process:
        equal(await process.ended(), code, f"exit code ({process.story()})")
        equal(process.output, [], "output")
        return " ".join(process.errors)


def says(told, *words):
    for word in words:
        assert word in told, f"{word!r} is not in {told!r}"


@case(ALONE)
async def too_little_locked_memory_is_named(binary):
    told = await refused(binary, limit="ulimit -l 64")
    says(told, "MemLock", "try: ulimit -l")


@case(ALONE)
async def too_few_descriptors_are_named(binary):
    says(await refused(binary, limit="ulimit -n 64"), "descriptors", "try: ulimit -n")
    # The ring takes more tables where one is too short; tokio needs a descriptor for each.
    flags = ("--engine", "tokio", "--max-connections", 1000)
    told = await refused(binary, *flags, limit="ulimit -n 200", code=2)
    says(told, "--max-connections", "try:", "ulimit -n")


@case(ALONE)
async def a_cpu_that_is_not_there_is_named(binary):
    for engine in ALL_ENGINES:
        told = await refused(binary, "--engine", engine, "--cores", 4095, code=2)
        says(told, "--cores", "4095", "try:", f"{min(os.sched_getaffinity(0))}")


@case(ALONE)
async def an_address_of_another_host_is_named(binary):
    for engine in ALL_ENGINES:
        # RFC 5737: documentation only, nobody's address.
        told = await refused(binary, "--engine", engine, "--listen", "192.0.2.1:9000")
        says(told, "192.0.2.1:9000", "try:")


@case(ALL_ENGINES)
async def a_port_in_use_is_named(shared):
    address = f"{shared.host}:{shared.port}"
    for engine in ALL_ENGINES:
        async with await Process.start(shared.binary, "serve", "--listen", address, "--engine",
                                       engine, "--cores", cores()) as process:
            equal(await process.ended(), 1, f"exit code ({process.story()})")
            says(" ".join(process.errors), address, "in use", "try:")


def forbidden(error, binary, *words, call="io_uring_setup"):
    """The command that runs the program where that call gives that error."""
    return (sys.executable, "-B", FORBID, call, error, binary, *words)


@case(ALONE)
async def a_host_without_io_uring_is_named_with_the_way_out(binary):
    for error in (errno.EPERM, errno.ENOSYS):
        command = forbidden(error, binary, "serve", "--listen", "127.0.0.1:0")
        async with await Process.start(*command) as process:
            equal(await process.ended(), 1, f"exit code ({process.story()})")
            says(" ".join(process.errors), "io_uring", "try:", "--engine tokio")


@case(ALONE)
async def the_doctor_tries_io_uring_and_is_not_ready_without(binary):
    for error in (errno.EPERM, errno.ENOSYS):
        command = forbidden(error, binary, "doctor", "-c", "1k", "--server", "--json")
        async with await Process.start(*command) as process:
            equal(await process.ended(), 1, f"exit code ({process.story()})")
            found = json.loads(process.output[-1])
            equal(found["ready"], False)
            named = [it for it in found["findings"] if it["name"] == "io_uring"]
            equal([it["severity"] for it in named], ["fault"])
            says(named[0]["command"], "--engine tokio")
    command = forbidden(errno.EPERM, binary, "doctor", "-c", "1k", "--engine", "tokio", "--json")
    async with await Process.start(*command) as process:
        await process.ended()
        names = [it["name"] for it in json.loads(process.output[-1])["findings"]]
        assert "io_uring" not in names, names


@case(ALONE, seconds=60)
async def the_locked_memory_that_the_doctor_asks_for_is_enough_and_hardly_more(binary):
    if os.geteuid() != 0:
        return  # Who may lock how much counts by user: others of this one would be in it.

    def limited(size, *words):
        drop = ("--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock")
        return ("setpriv", *drop, "prlimit", f"--memlock={size}", binary, *words)

    async def wanted(size):
        command = limited(size, "doctor", "-c", "1k", "--server", "--cores", cores(), "--json")
        async with await Process.start(*command) as process:
            await process.ended()
            found = json.loads(process.output[-1])["findings"]
            found = [it for it in found if it["name"] == "RLIMIT_MEMLOCK"]
            return int(found[0]["should_be"].split()[0]) if found else None

    size = await wanted(64 * 1024)
    equal(await wanted(size), None, f"enough: {size}")
    serve = ("serve", "--listen", "127.0.0.1:0", "--cores", cores())
    # The kernel returns what an ended process had locked a little later.
    for _ in range(20):
        await asyncio.sleep(0.5)
        async with await Server.start(*limited(size, *serve)) as server:
            await server.until(lambda: server.output or server.errors)
            story = server.story()
            if server.output:
                break
    else:
        raise AssertionError(f"does not start with {size} bytes: {story}")
    # The prediction is rounded up, by less than 64 KiB a core.
    async with await Process.start(*limited(size - 131072, *serve)) as process:
        equal(await process.ended(), 1, f"exit code ({process.story()})")
        says(" ".join(process.errors), "ulimit -l")


@case(ALONE)
async def without_io_uring_the_tokio_engine_serves_and_loads(binary):
    command = forbidden(errno.EPERM, binary, "serve", "--listen", "127.0.0.1:0", "--cores",
                        cores(), "--engine", "tokio")
    async with await Server.start(*command) as server:
        server.host, server.port = (await server.until(lambda: server.listens_on(1)))[0]
        equal(await curl(server.url("/healthz", "http")), "ok")
        flags = ("-c", 10, "-r", 100, "-d", "1s", "--json", "--quiet", "--engine", "tokio")
        command = forbidden(errno.EPERM, binary, "load", server.url("/echo"), *flags)
        async with await Process.start(*command) as load:
            assert await load.ended() in (0, 98), load.story()
            equal(json.loads(load.output[-1])["messages"]["lost"], 0, "lost")


@case(ALONE, seconds=60)
async def without_io_uring_the_demo_says_so_and_runs(binary):
    with tempfile.TemporaryDirectory() as folder:
        command = forbidden(errno.EPERM, binary, "demo", "--short", "--out", folder)
        async with await Process.start(*command) as demo:
            assert await demo.ended(50) in (0, 98), demo.story()
            says(" ".join(demo.errors), "io_uring", "--engine tokio")
            says(" ".join(demo.output), "tokio", "baseline")

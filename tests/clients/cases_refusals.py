"""What keeps the server from starting is named, with what to do about it."""

import os

from cases_probe import ALONE
from harness import ALL_ENGINES, Process, case, cores, equal


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
    flags = ("--max-connections", 1000)
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

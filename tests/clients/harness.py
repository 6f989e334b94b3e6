"""Cases, the processes they need, and the count of what passed."""

import asyncio
import os
import re
import signal
import sys
import time
import traceback

CASE_SECONDS = 20
START_SECONDS = 20
# Whatever hangs, the whole run ends.
RUN_SECONDS = 600
CHUNK_MS = 20
ADDRESS = re.compile(r"(127\.0\.0\.1|\[::1\]):(\d+)")

SHARD_ENGINES = ("ring", "tokio")
ALL_ENGINES = (*SHARD_ENGINES, "baseline")


class Case:
    """One sentence that must be true on each of its engines."""

    def __init__(self, function, engines, seconds):
        self.function = function
        self.name = function.__name__
        self.engines = engines
        self.seconds = seconds


CASES = []


def case(engines=SHARD_ENGINES, seconds=CASE_SECONDS):
    """Registers a case: an async function of a running `Server`, shared with other cases."""

    def register(function):
        CASES.append(Case(function, engines, seconds))
        return function

    return register


class Process:
    """A process that was started here, with its output gathered, and is ended here."""

    def __init__(self, process):
        self.process = process
        self.output = []
        self.errors = []
        self._changed = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.output)),
            asyncio.create_task(self._read(process.stderr, self.errors)),
        ]

    @classmethod
    async def start(cls, *command):
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=16 * 1024 * 1024,
        )
        return cls(process)

    async def _read(self, stream, lines):
        while line := await stream.readline():
            lines.append(line.decode("utf-8", "replace").rstrip("\n"))
            self._changed.set()
        self._changed.set()

    async def until(self, met, seconds=CASE_SECONDS):
        """Waits until `met()` says something true about the output, and returns that."""
        deadline = time.monotonic() + seconds
        while not (found := met()):
            self._changed.clear()
            left = deadline - time.monotonic()
            if left <= 0 or (self._ended() and not met()):
                raise AssertionError(f"not seen in time; {self.story()}")
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 0.2))
            except asyncio.TimeoutError:
                pass
        return found

    def _ended(self):
        return all(reader.done() for reader in self._readers)

    async def ended(self, seconds=CASE_SECONDS):
        """Waits until it has ended by itself; its exit code."""
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except asyncio.TimeoutError:
            raise AssertionError(f"still running after {seconds} s; {self.story()}") from None
        await asyncio.gather(*self._readers)
        return self.process.returncode

    def signal(self, number):
        self.process.send_signal(number)

    async def end(self):
        if self.process.returncode is None:
            try:
                self.process.kill()
            except ProcessLookupError:
                pass
        await self.process.wait()
        await asyncio.gather(*self._readers)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.end()

    def story(self):
        """What it said, for a failure."""
        output, errors = ([line[:200] for line in lines[-20:]]
                          for lines in (self.output, self.errors))
        return f"output {output}, errors {errors}"


class Server(Process):
    """`ringstorm serve` on a free port."""

    @classmethod
    async def serve(cls, binary, engine, *flags, listen=("127.0.0.1:0",)):
        listening = [word for address in listen for word in ("--listen", address)]
        server = await cls.start(
            binary, "serve", *listening, "--engine", engine, "--cores", cores(), *flags
        )
        server.binary, server.engine = binary, engine
        try:
            found = await server.until(lambda: server.listens_on(len(listen)), START_SECONDS)
        except BaseException:
            await server.end()
            raise
        server.host, server.port = found[0]
        server.addresses = found
        return server

    def listens_on(self, count):
        """The addresses it says that it listens on, if there are so many."""
        lines = self.output + self.errors
        found = [(host, int(port)) for line in lines for host, port in ADDRESS.findall(line)]
        found = list(dict.fromkeys(pair for pair in found if pair[1] != 0))
        return found if len(found) >= count else None

    def url(self, path, scheme="ws"):
        return f"{scheme}://{self.host}:{self.port}{path}"


def cores():
    """At most two of the CPUs that this process may use, so that cores talk to each other."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))


async def curl(*arguments, fails=False):
    """Runs curl; its output as text."""
    process = await Process.start("curl", "--silent", "--show-error", "--max-time", "10",
                                  "--noproxy", "*", *arguments)
    async with process:
        code = await process.ended()
        if code != 0 and not fails:
            raise AssertionError(f"curl {arguments} ended with {code}; {process.story()}")
        return "\n".join(process.output)


def equal(found, wanted, what="value"):
    """Fails unless both are the same."""
    if found != wanted:
        raise AssertionError(f"{what}: found {shorten(found)}, wanted {shorten(wanted)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


class Count:
    """What passed and what failed, a line each."""

    def __init__(self):
        self.passed = 0
        self.failed = []

    async def run(self, name, seconds, work):
        began = time.monotonic()
        try:
            await asyncio.wait_for(work, seconds)
        except asyncio.TimeoutError:
            self.fail(name, f"not done after {seconds} s")
        except Exception as error:  # a case may fail in any way; the rest still runs
            reason = str(error) or type(error).__name__
            if not isinstance(error, AssertionError):
                reason = traceback.format_exc(limit=-3).strip()
            self.fail(name, reason)
        else:
            self.passed += 1
            print(f"ok    {name} ({time.monotonic() - began:.1f} s)", flush=True)

    def fail(self, name, reason):
        self.failed.append(name)
        print(f"FAIL  {name}: {reason}", flush=True)


async def alone(binary, cases, count):
    """The cases without a server of ours."""
    for one in (one for one in cases if not one.engines):
        await count.run(one.name, one.seconds, one.function(binary))


async def on_engine(binary, engine, cases, count):
    """The cases of one engine, on one server."""
    cases = [one for one in cases if engine in one.engines]
    if not cases:
        return
    flags = ["--chunk-ms", str(CHUNK_MS)]
    try:
        server = await Server.serve(binary, engine, *flags)
    except Exception as error:  # a server that does not start fails every case of it
        for one in cases:
            count.fail(f"{engine}: {one.name}", f"no server: {error}")
        return
    async with server:
        for one in cases:
            await count.run(f"{engine}: {one.name}", one.seconds, one.function(server))
        await count.run(f"{engine}: the_server_lives_to_the_end", 10, lives(server))


async def lives(server):
    equal(server.process.returncode, None, "exit code")
    server.signal(signal.SIGTERM)
    equal(await server.ended(10), 0, "exit code")


async def run_all(binary, words):
    """Runs the cases whose name has one of the words; the exit code."""
    count = Count()
    chosen = [one for one in CASES if not words or any(word in one.name for word in words)]
    if not chosen:
        print(f"no case is called {words}", file=sys.stderr)
        return 2
    try:
        async with asyncio.timeout(RUN_SECONDS):
            # Mostly they wait: the engines take their turns beside each other.
            await asyncio.gather(
                *(on_engine(binary, engine, chosen, count) for engine in ALL_ENGINES),
                alone(binary, chosen, count),
            )
    except TimeoutError:
        count.fail("the whole run", f"not done after {RUN_SECONDS} s")
    print(f"{count.passed} passed, {len(count.failed)} failed")
    return 1 if count.failed else 0

"""Servers of other makes, and what the load client says of them: records and exit codes."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

from harness import Count, Process, cores

CASE_SECONDS = 30
START_SECONDS = 30
# Whatever hangs, the whole run ends.
RUN_SECONDS = 300
HERE = pathlib.Path(__file__).parent
SERVERS = HERE / "servers"
LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
NGINX_MODULES = pathlib.Path("/usr/lib/nginx/modules")

CASES = []


def case(server, seconds=CASE_SECONDS):
    """Registers a case: an async function of a running `Foreign`, shared with other cases."""

    def register(function):
        CASES.append((server, function, seconds))
        return function

    return register


class Foreign:
    """A running server, and where it listens."""

    def __init__(self, binary, process, port):
        self.binary, self.process, self.port = binary, process, port

    def url(self, path="/", scheme="ws"):
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    async def load(self, path, *flags, scheme="ws"):
        """Runs `load` against it; its exit code and its record."""
        url = self.url(path, scheme)
        command = (self.binary, "load", url, "--json", "--quiet", "--cores", cores(), *flags)
        async with await Process.start(*command) as load:
            code = await load.ended(CASE_SECONDS)
            if not load.output:
                raise AssertionError(f"no record, exit code {code}; {load.story()}")
            return code, json.loads(load.output[-1])


def check(record, **wanted):
    """Fails unless the record has these values; `messages__lost=0` is messages.lost."""
    for path, value in wanted.items():
        found = record
        for key in path.split("__"):
            found = found[key]
        if found != value:
            about = {key: record[key] for key in ("connects", "messages", "events", "failures")}
            raise AssertionError(f"{path}: found {found!r}, wanted {value!r}; {about}")


def failed(record, stage, kind, count):
    """Fails unless so many connections failed just so, and no other did otherwise."""
    wanted = [{"stage": stage, "kind": kind, "count": count}]
    if record["failures"] != wanted:
        raise AssertionError(f"failures: found {record['failures']}, wanted {wanted}")


async def started(binary, *command, **environment):
    """A server that says where it listens."""
    command = ("env", *(f"{key}={value}" for key, value in environment.items()), *command)
    process = await Process.start(*command)
    try:
        def said():
            return LISTENING.search("\n".join(process.output))
        found = await process.until(said, START_SECONDS)
    except BaseException:
        await process.end()
        raise
    return Foreign(binary, process, int(found.group(1)))


def node(name, **environment):
    async def start(binary, _folder):
        return await started(binary, "node", SERVERS / f"{name}.js", **environment)

    return start


async def websockets(binary, _folder):
    return await started(binary, sys.executable, "-B", SERVERS / "websockets_echo.py")


async def rails(binary, _folder):
    return await started(binary, "ruby", SERVERS / "cable.rb")


async def nchan(binary, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = (SERVERS / "nchan.conf").read_text()
    for word, value in (("MODULES", NGINX_MODULES), ("PORT", port), ("FOLDER", folder)):
        text = text.replace(word, str(value))
    file = pathlib.Path(folder) / "nginx.conf"
    file.write_text(text)
    process = await Process.start(nginx(), "-p", folder, "-c", file)
    for _ in range(100):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return Foreign(binary, process, port)
        await asyncio.sleep(0.1)
    await process.end()
    raise AssertionError(f"nginx does not listen; {process.story()}")


def nginx():
    return shutil.which("nginx") or "/usr/sbin/nginx"


def has_rails():
    ask = 'require "rails"; require "action_cable"; require "active_job"; require "puma"'
    ruby = shutil.which("ruby")
    return ruby is not None and subprocess.run([ruby, "-e", ask], capture_output=True).returncode == 0


def has_nchan():
    return os.access(nginx(), os.X_OK) and (NGINX_MODULES / "ngx_nchan_module.so").exists()


# Each server: how to start it, whether it is here, and what to install if not.
SERVER_KINDS = {
    "ws": (node("ws"), None, ""),
    "chat": (node("chat"), None, ""),
    "websockets": (websockets, None, ""),
    "socketio": (node("socketio"), None, ""),
    "socketcluster": (node("socketcluster"), None, ""),
    "socketcluster_1": (node("socketcluster", VERSION=1), None, ""),
    "cable": (rails, has_rails, "ruby-actioncable ruby-activejob ruby-railties puma"),
    "nchan": (nchan, has_nchan, "nginx-light libnginx-mod-nchan"),
}


async def on_server(binary, kind, cases, count, skipped):
    """The cases of one server, one after the other."""
    start, is_here, packages = SERVER_KINDS[kind]
    if is_here is not None and not is_here():
        print(f"skip  {kind}: try: apt-get install --no-install-recommends {packages}", flush=True)
        skipped.extend(cases)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            server = await start(binary, folder)
        except Exception as error:  # a server that does not start fails every case of it
            for function, _ in cases:
                count.fail(f"{kind}: {function.__name__}", f"no server: {error}")
            return
        async with server.process:
            for function, seconds in cases:
                await count.run(f"{kind}: {function.__name__}", seconds, function(server))


async def run_all(binary, words):
    """Runs the cases whose name has one of the words; the exit code."""
    count, skipped = Count(), []
    chosen = {}
    for kind, function, seconds in CASES:
        name = f"{kind}: {function.__name__}"
        if not words or any(word in name for word in words):
            chosen.setdefault(kind, []).append((function, seconds))
    if not chosen:
        print(f"no case is called {words}", file=sys.stderr)
        return 2
    try:
        async with asyncio.timeout(RUN_SECONDS):
            # Loads are small: the servers take their turns beside each other.
            await asyncio.gather(
                *(on_server(binary, kind, cases, count, skipped) for kind, cases in chosen.items())
            )
    except TimeoutError:
        count.fail("the whole run", f"not done after {RUN_SECONDS} s")
    print(f"{count.passed} passed, {len(count.failed)} failed, {len(skipped)} skipped")
    return 1 if count.failed else 0

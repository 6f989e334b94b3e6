"""Starts the program under test and ends what it started."""

import contextlib
import os
import signal
import subprocess

PROGRAM = os.environ["RINGSTORM"]
PREFIX = "listening on ws://"


@contextlib.contextmanager
def serving(*flags):
    """A server on a free port of both families: gives 127.0.0.1:PORT and [::1]:PORT."""
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--listen", "[::1]:0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline()
            assert line.startswith(PREFIX), f"{flags}: {line!r}"
            words = line.removeprefix("listening on ").split(" (")[0].split()
            yield [word.removeprefix("ws://") for word in words]
            server.send_signal(signal.SIGTERM)
            assert server.wait(15) == 0, f"{flags}: exit code {server.returncode}"
        finally:
            if server.poll() is None:
                server.kill()


def probe(*arguments, timeout=30):
    """Runs the probe to its end."""
    return subprocess.run([PROGRAM, "probe", *arguments], capture_output=True, text=True,
                          timeout=timeout, check=False)

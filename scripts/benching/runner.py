"""The command line that `run-100k` and `run-1m` share."""

import argparse
import signal
import sys

from . import scale


def main(description, connections, tuning, parts):
    """Reads the flags, runs, ends with the exit code."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog="Both ends run on this host, the server on CPU 0 and the load client on CPU 1. "
        "Kernel settings are changed by scripts/tune for the time of the run and restored after "
        "it, also when it is interrupted; after a kill, `scripts/tune revert` does it. "
        "Exit code 0: every bar holds, 1: one does not, 2: it cannot run here.")
    parser.add_argument("--connections", type=int, default=connections,
                        help=f"connections, at least 100 ({connections:,})")
    parser.add_argument("--parts", default=",".join(parts), metavar="LIST",
                        help=f"of {', '.join(scale.PARTS)} ({','.join(parts)})")
    parser.add_argument("--subscribed", action="store_true",
                        help="the part `subscribed` alone: each connection has a subscription")
    parser.add_argument("--event-seconds", type=int, default=60,
                        help="length of the part `events` (60)")
    parser.add_argument("--storms", type=int, default=10, help="how often all are dropped (10)")
    parser.add_argument("--as-is", action="store_true", help="change no kernel setting")
    parser.add_argument("--program", help="a built ringstorm to use instead of building one")
    parser.add_argument("--out", metavar="DIR", help="where records go (out/NAME-TIME)")
    options = parser.parse_args()
    options.parts = ["subscribed"] if options.subscribed else options.parts.split(",")
    unknown = [part for part in options.parts if part not in scale.PARTS]
    if unknown:
        parser.error(f"no part is called {unknown[0]}; try: --parts held,storms")
    if options.connections < 100 or options.storms < 1 or options.event_seconds < 10:
        parser.error("at least 100 connections, 1 storm and 10 seconds; try: --connections 10000")
    options.tuning = tuning
    # A terminated run ends its children and restores the host as well: `finally` runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(scale.run(options))
    except KeyboardInterrupt:
        sys.exit(105)

"""Runs every case on every engine it is for, each bounded in time, and counts: see `run`."""

import asyncio
import sys

import harness
import cases_cable  # noqa: F401  (registers its cases)
import cases_certificates  # noqa: F401
import cases_chat  # noqa: F401
import cases_console  # noqa: F401
import cases_deflate  # noqa: F401
import cases_drain  # noqa: F401
import cases_events  # noqa: F401
import cases_hooks  # noqa: F401
import cases_http  # noqa: F401
import cases_options  # noqa: F401
import cases_pages  # noqa: F401
import cases_metrics  # noqa: F401
import cases_log  # noqa: F401
import cases_probe  # noqa: F401
import cases_refusals  # noqa: F401
import cases_public  # noqa: F401
import cases_raw  # noqa: F401
import cases_realtime  # noqa: F401
import cases_slow  # noqa: F401
import cases_tls  # noqa: F401
import cases_tokens  # noqa: F401
import cases_socketcluster  # noqa: F401
import cases_socketio  # noqa: F401
import cases_websocket  # noqa: F401


def main():
    if len(sys.argv) < 2:
        print("usage: main.py BINARY [WORD...]; tests/clients/run calls it", file=sys.stderr)
        return 2
    return asyncio.run(harness.run_all(sys.argv[1], sys.argv[2:]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(105)

"""Runs every case against its server, each bounded in time, and counts: see `run`."""

import asyncio
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent / "clients"))

import bench  # noqa: E402
import cases_chats  # noqa: E402,F401
import cases_echo  # noqa: E402,F401  (registers its cases)
import cases_nchan  # noqa: E402,F401
import cases_realtime  # noqa: E402,F401


def main():
    if len(sys.argv) < 2:
        print("usage: main.py BINARY [WORD...]; tests/foreign/run calls it", file=sys.stderr)
        return 2
    return asyncio.run(bench.run_all(sys.argv[1], sys.argv[2:]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(105)

"""Console blocks of README and docs: what they show is what is printed, but for the numbers."""

import asyncio
import difflib
import pathlib
import re
import shlex
import signal
import tempfile

from cases_probe import ALONE
from harness import Server, case, cores, curl

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# How long a command may take; those that do not end by themselves are ended when they have said
# as much as their block shows.
SECONDS = 60
# Runs are long in the documents, so that their figures mean something.
SHORTER = {"10s": "2s"}

MASKS = [
    (r"\b[0-9a-f]{8}:\d+", "ID"),
    (r"\bkey=[0-9a-f]+", "key=K"),
    (r'"epoch":"[0-9a-f]{8}"', '"epoch":"E"'),
    (r"(Sec-WebSocket-(?:Key|Accept): ).*", r"\1K"),
    (r"\S*demo-(?:\d+|TIME)", "demo-TIME"),
    (r"(?:~|>=)?\d[\d,.]*(?: (?:ns|us|ms|s)\b)?", "#"),
    (r"\b(?:PASS|FAIL|INCONCLUSIVE|INVALID)\b(?: \([a-z-]+\))?", "VERDICT"),
    (r" and # after the measured time", ""),
    (r"[─═]+", "-"),
    (r"\(engine ring, CPUs [#-]+\)", "(engine ring, CPUs #)"),
]
# What is there only on some hosts or in some runs.
OPTIONAL = re.compile(r"^(~ marks|# % intervals|run #, |note: |network )|^$")
BAR = re.compile(r"^(< )?#( [▏▎▍▌▋▊▉█]+)? #$")


def blocks(text):
    """Each command of the console blocks with what is shown below it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, shown = part.replace("\\\n", "").partition("\n")
            if shown.strip() and command.split()[0] in ("ringstorm", "curl"):
                found.append((command, shown.splitlines()))
    return found


def shape(lines):
    """The lines without what differs from run to run."""
    shaped = []
    for line in lines:
        line = " ".join(line.split())
        if line.startswith("host "):
            line = "host"
        if line.startswith("CPUs "):
            line = "CPUs"
        for pattern, mask in MASKS:
            line = re.sub(pattern, mask, line)
        line = "BAR" if BAR.match(line) else line
        if OPTIONAL.match(line) or (line == "BAR" and shaped[-1:] == ["BAR"]):
            continue
        shaped.append(line)
        # What follows a verdict are its reasons and notes.
        if line.startswith("verdict "):
            break
    return shaped


def differ(shown, printed):
    """What is shown and not printed or, unless the block leaves something out, the reverse."""
    shown, printed = shape(shown), shape(printed)
    if "..." not in shown:
        return [line for line in difflib.ndiff(shown, printed) if line[0] != " "]
    left = iter(printed)
    return [f"- {line}" for line in shown if line != "..." and line not in left]


def made_possible(words, binary, server, folder):
    """The command as it can be run here."""
    words = [word.replace("127.0.0.1:9000", f"{server.host}:{server.port}") for word in words]
    words = [SHORTER.get(word, word) for word in words]
    # The server that is asked is one of --dev.
    words = [re.sub(r"\$\(cat \S*api\.key\)", "dev", word) for word in words]
    for flag, value in (("--cores", cores().split(",")[-1]),
                        ("--server-pid", str(server.process.pid))):
        if flag in words:
            words[words.index(flag) + 1] = value
    if words[:2] == ["ringstorm", "serve"]:
        # What is typed wins over what a file says.
        if "--listen" not in words:
            words += ["--listen", ""]
        words[words.index("--listen") + 1] = "127.0.0.1:0"
    if words[:2] == ["ringstorm", "demo"]:
        words += ["--out", folder]
    if words[0] == "curl":
        words[1:1] = ["--silent", "--noproxy", "*"]
    return [str(binary) if word == "ringstorm" else word for word in words]


async def somebody_speaks(lines, server):
    """Once a member of a room has its address, says hello as that member."""
    while not (found := [line for line in lines if '"say":"' in line]):
        await asyncio.sleep(0.02)
    path = re.search(r'"say":"([^"]+)"', found[0]).group(1)
    await curl("--data", "hello", server.url(path, "http"))


async def printed(command, shown, binary, server, place):
    """What the command prints where it runs to its end, or as much as is shown."""
    words = shlex.split(command)
    name, is_load = words[:2], words[1] in ("load", "demo")
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *made_possible(words, binary, server, folder),
            cwd=place,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            # Where progress is shown, it is gone in the end.
            stderr=asyncio.subprocess.DEVNULL if is_load else asyncio.subprocess.STDOUT,
            limit=16 * 1024 * 1024,
        )
        lines, stop = [], None
        try:
            async with asyncio.timeout(SECONDS):
                if words[0] == "curl":
                    stop = len(shown)
                elif name == ["ringstorm", "serve"]:
                    stop = len(shown) - 1
                speaker = asyncio.create_task(somebody_speaks(lines, server))
                while stop is None or len(lines) < stop:
                    line = await process.stdout.readline()
                    if not line:
                        break
                    lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                speaker.cancel()
                if name == ["ringstorm", "serve"]:
                    process.send_signal(signal.SIGINT)
                    rest = await process.stdout.read()
                    lines += rest.decode().splitlines()
        finally:
            if process.returncode is None:
                try:
                    process.kill()
                except ProcessLookupError:
                    pass
            await process.wait()
        return lines


def repository(place):
    """Makes that folder look like the repository: what commands write stays out of the real one."""
    for entry in ROOT.iterdir():
        (pathlib.Path(place) / entry.name).symlink_to(entry)
    return place


def page_case(path, found):
    """Registers the blocks of a page as one case."""

    async def show(binary):
        wrong = []
        flags = ("--chunk-ms", "100", "--dev")
        with tempfile.TemporaryDirectory() as folder:
            place = repository(folder)
            async with await Server.serve(binary, "ring", *flags) as server:
                said = [await printed(*it, binary, server, place) for it in found]
        for (command, shown), lines in zip(found, said):
            if lines := differ(shown, lines):
                wrong.append("\n      ".join([f"{path.name}: $ {command}", *lines]))
        assert not wrong, "\n".join(wrong)

    show.__name__ = f"what_{path.stem.replace('-', '_').lower()}_shows_is_what_is_printed"
    case(ALONE, seconds=SECONDS * len(found))(show)


for page in PAGES:
    if showing := blocks(page.read_text()):
        page_case(page, showing)


@case(ALONE)
async def a_block_that_shows_something_else_is_found(_binary):
    said = ["verb 12 ms of 3", "more 1"]
    assert not differ(["verb 1.5 s of 44", "more 2"], said)
    assert not differ(["...", "more 2"], said)
    assert differ(["verb 12 ms", "more 1"], said)
    assert differ(["verb 12 ms of 3"], said)
    assert differ(["...", "less 2"], said)
    assert differ(["more 1", "...", "verb 1 ms of 3"], said)

"""Turns a captured terminal screen into an SVG: picture.py SCREEN SVG TITLE.

The picture brings its colours for light and dark pages alike, and loads nothing from anywhere.
"""

import pathlib
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 100
# The frame that rich has by default, less the fonts that it would load from the network.
FRAME = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Reads the screen with its colours and writes the picture."""
    screen, picture, title = sys.argv[1:]
    text = Text.from_ansi(pathlib.Path(screen).read_text(encoding="utf-8").rstrip("\n"))
    console = Console(width=COLUMNS, record=True, file=open("/dev/null", "w", encoding="utf-8"))
    console.print(text, soft_wrap=True)
    svg = console.export_svg(title=title, theme=MONOKAI, code_format=FRAME, unique_id="run")
    pathlib.Path(picture).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()

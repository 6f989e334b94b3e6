"""Bars, what was measured against them, and the table of both."""

import statistics


class Failure(Exception):
    """A figure could not be measured; the text says why."""


class Table:
    """Prints a row as soon as it is known, and remembers whether a bar failed."""

    WIDTHS = (68, 8, 24)

    def __init__(self):
        self.failed = []
        self._row("figure", "bar", "median (least..greatest)", "verdict")
        self._row(*("-" * width for width in (*self.WIDTHS, 7)))

    def at_least(self, figure, bar, values):
        """The median must not be less than the bar."""
        self._judge(figure, f">= {bar:g}", values, statistics.median(values) >= bar)

    def at_most(self, figure, bar, values):
        """The median must not be more than the bar."""
        self._judge(figure, f"<= {bar:g}", values, statistics.median(values) <= bar)

    def beside(self, figure, values):
        """No bar: what the figures above are to be read with."""
        self._row("  " + figure, "", spread(values), "")

    def broken(self, figure, reason):
        """A figure that could not be measured fails."""
        self.failed.append(figure)
        self._row(figure, "", reason, "FAIL")

    def verdict(self):
        """The last line."""
        if self.failed:
            print("\nfailed:", *self.failed, sep="\n- ")
        else:
            print("\nevery bar holds")

    def _judge(self, figure, bar, values, holds):
        if not holds:
            self.failed.append(figure)
        self._row(figure, bar, spread(values), "pass" if holds else "FAIL")

    def _row(self, *cells):
        widths = (*self.WIDTHS, 0)
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip(),
              flush=True)


def spread(values):
    """Median, least and greatest, with as many digits as tell something."""
    median = statistics.median(values)
    return f"{digits(median)} ({digits(min(values))}..{digits(max(values))})"


def digits(value):
    """Three significant digits, and all that are before the point."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def slope(points):
    """Least squares: by how much y grows with each x."""
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    spread_x = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread_x

"""Bars, what was measured against them, and the table of both."""

import statistics


class Failure(Exception):
    """A figure could not be measured; the text says why."""


# Microseconds of CPU per message of the bare ring's echo at 64 connections on the host that the
# absolute bars were set on.
REFERENCE_US = 4.3


class Table:
    """Prints a row as soon as it is known, and remembers whether a bar failed."""

    WIDTHS = (68, 8, 24)

    def __init__(self):
        self.failed = []
        self.invalid = []
        self._row("figure", "bar", "median (least..greatest)", "verdict")
        self._row(*("-" * width for width in (*self.WIDTHS, 7)))

    def at_least(self, figure, bar, values):
        """The median must not be less than the bar."""
        self._judge(figure, f">= {number(bar)}", values, statistics.median(values) >= bar)

    def at_most(self, figure, bar, values):
        """The median must not be more than the bar."""
        self._judge(figure, f"<= {number(bar)}", values, statistics.median(values) <= bar)

    def at_most_us(self, figure, bar, values, bare_us):
        """As `at_most`, for CPU time, which needs a host as fast as the bars'.

        `bare_us` is what the bare ring took in the same minutes. What misses the bar only because
        this host is slower than the reference proves nothing: INVALID.
        """
        scaled = statistics.median(
            value * REFERENCE_US / bare for value, bare in zip(values, bare_us))
        if statistics.median(values) > bar >= scaled:
            self.invalid.append(figure)
            self._row(figure, f"<= {number(bar)}", spread(values), "INVALID")
        else:
            self.at_most(figure, bar, values)
        self.beside(f"at the reference's speed (bare ring {REFERENCE_US} us per echo)", [scaled])
        self.beside("the bare ring here, us per echo at 64 connections", bare_us)

    def beside(self, figure, values):
        """No bar: what the figures above are to be read with."""
        self._row("  " + figure, "", spread(values), "")

    def no_worse(self, figure, bar, median, low, high):
        """The upper end of the median's interval must reach the bar."""
        if high < bar:
            self.failed.append(figure)
        shown = f"{digits(median)} ({digits(low)}..{digits(high)})"
        self._row(figure, f">= {number(bar)}", shown, "FAIL" if high < bar else "pass")

    def broken(self, figure, reason):
        """A figure that could not be measured fails."""
        self.failed.append(figure)
        self._row(figure, "", reason, "FAIL")

    def verdict(self):
        """The last line."""
        if self.failed:
            print("\nfailed:", *self.failed, sep="\n- ")
        if self.invalid:
            print("\ninvalid, this host is too slow now:", *self.invalid, sep="\n- ")
        if not self.failed and not self.invalid:
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
    if len(values) == 1:
        return digits(median)
    return f"{digits(median)} ({digits(min(values))}..{digits(max(values))})"


def number(bar):
    """A bar as it is written."""
    return f"{bar:,}" if bar >= 1000 else f"{bar:g}"


def digits(value):
    """Three significant digits, and all that are before the point."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def slope(points):
    """Least squares: by how much y grows with each x."""
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    spread_x = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread_x

"""Plain text for people: aligned tables, colour where a terminal takes it, progress in place."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, TextIO

_COLOURS: Final[Mapping[str, str]] = {"good": "32", "bad": "31", "dim": "2", "bold": "1"}


@dataclass(slots=True)
class Terminal:
    """Where the output goes; ``live`` says that lines may be written over, ``colour`` the rest."""

    out: TextIO
    error: TextIO
    live: bool
    colour: bool
    _drawn: int = 0

    @classmethod
    def standard(cls) -> Self:
        """Return the process's own; no colour with NO_COLOR or where nobody looks."""
        live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        return cls(sys.stdout, sys.stderr, live, live and not os.environ.get("NO_COLOR"))

    def write(self, text: str = "") -> None:
        """Write a line, or several; below what was drawn before."""
        self._drawn = 0
        self.out.write(f"{text}\n")
        self.out.flush()

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        self._drawn = 0
        self.out.flush()
        self.error.write(f"{text}\n")
        self.error.flush()

    def paint(self, text: str, kind: str) -> str:
        """Return the text as good, bad, dim or bold, if there is colour; plain for no kind."""
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if self.colour and kind else text

    def draw(self, lines: Sequence[tuple[str, str]]) -> None:
        """Write lines, each with how to paint it, over those of the last call; if live."""
        width = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{self._drawn}A\x1b[J" if self._drawn else ""
        # A line that wraps would be counted wrongly, so it is cut.
        self.out.write(up + "".join(f"{self.paint(line[:width], kind)}\n" for line, kind in lines))
        self.out.flush()
        self._drawn = len(lines)


def table(rows: Sequence[Sequence[str]], headers: Sequence[str] = (), right: str = "") -> str:
    """Return rows as aligned columns, two spaces between them.

    ``right`` holds a letter for each column: ``r`` puts it to the right, anything else to the left.
    """
    everything = [headers, *rows] if headers else list(rows)
    widths = [max(len(row[i]) for row in everything) for i in range(len(everything[0]))]
    sides = right.ljust(len(widths), "l")
    return "\n".join(
        "  ".join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=False)
        ).rstrip()
        for row in everything
    )


def seconds(value: float | None) -> str:
    """Return a duration for a table: ``0.4 s``, ``12 s``, ``3 min 05 s``; empty for none."""
    if value is None:
        return ""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def number(value: float) -> str:
    """Return a metric or threshold with four decimals; a count without any."""
    return str(value) if isinstance(value, int) else f"{value:.4f}"

"""The terminal: its width, its letters and its colours, in one place.

Nothing that people or models wrote is ever read as markup or sent as control characters.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Part = str | tuple[str, str] | Text

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FOLDED = {
    "→": "->",
    "↻": "@",
    "←": "<-",
    "·": "-",
    "…": "...",
    "—": "-",
    "–": "-",
    "€": "EUR ",
    "“": '"',
    "”": '"',
    "’": "'",
    "≤": "<=",
    "≥": ">=",
    "×": "x",
    "✓": "+",
    "✗": "x",
    "▸": ">",
    "●": "*",
    "○": "o",
    "⏱": "t",
    "«": '"',
    "»": '"',
    "│": "|",
    "─": "-",
    "£": "GBP ",
    "§": "S",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs that lead lines, for terminals that have them and for those that have not."""

    good: str = "✓"
    bad: str = "✗"
    warn: str = "!"
    move: str = "→"
    dot: str = "·"


@dataclass
class Terminal:
    """Writes to stdout, or with `error=True` to stderr. Made anew by each command, so streams may be replaced."""

    error: bool = False
    console: Console = field(init=False)
    unicode: bool = field(init=False)

    def __post_init__(self) -> None:
        stream = sys.stderr if self.error else sys.stdout
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
        self.console = Console(stderr=self.error, markup=False, highlight=False, emoji=False)
        self.unicode = self.console.encoding.lower().startswith("utf")

    @property
    def width(self) -> int:
        return self.console.width

    def text(self, *parts: Part, style: str = "") -> Text:
        """Parts as one text: a string, a (string, style) pair, or a text made before."""
        made = Text(style=style)
        for part in parts:
            if isinstance(part, Text):
                made.append_text(part)
            elif isinstance(part, tuple):
                made.append(self.fitted(part[0]), part[1])
            else:
                made.append(self.fitted(part))
        return made

    def fitted(self, text: str) -> str:
        """`text` in letters that this terminal has."""
        if self.unicode:
            return text
        return "".join(_FOLDED.get(letter, letter) for letter in text)

    def line(self, *parts: Part, indent: int = 0, style: str = "") -> None:
        """One paragraph; what does not fit goes on under its own beginning."""
        self.show(self.text(*parts, style=style), indent=indent)

    def hang(self, lead: Text, *parts: Part, indent: int = 0, style: str = "") -> None:
        """A short lead, and a paragraph beside it that wraps under itself."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(lead, self.text(*parts, style=style))
        self.show(grid, indent=indent)

    def show(self, what: RenderableType, indent: int = 0) -> None:
        padded = Padding(what, (0, 0, 0, indent)) if indent else what
        if self.console.is_terminal:
            self.console.print(padded)
            return
        with self.console.capture() as captured:  # in a file, columns need no spaces behind them
            self.console.print(padded)
        self.console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def rule(self, title: str) -> None:
        """A heading with a line to the right edge."""
        self.console.print()
        sign = "─" if self.unicode else "-"
        room = max(3, min(self.width, 100) - len(title) - 4)
        self.console.print(
            Text.assemble((f"{sign}{sign} ", "dim"), (self.fitted(title), "bold"), (f" {sign * room}", "dim")),
            no_wrap=True,
            crop=True,
        )

    def blank(self) -> None:
        self.console.print()

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[Part]],
        *,
        right: Sequence[int] = (),
        whole: Sequence[int] = (),
    ) -> None:
        """A plain table; columns in `right` are right-aligned, those in `whole` are never cut or wrapped."""
        made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for place, heading in enumerate(headings):
            made.add_column(
                heading, justify="right" if place in right else "left", no_wrap=place in whole, overflow="fold"
            )
        for row in rows:
            made.add_row(*(self.text(cell) for cell in row))
        self.show(made)


MARKS = Marks()


def safe(text: str, limit: int | None = None) -> str:
    """What somebody wrote, on one line, without anything that a terminal would obey."""
    plain = " ".join(_UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\x1b", "")).split())
    if limit is not None and len(plain) > limit:
        return plain[: max(0, limit - 1)] + "…"
    return plain


def write_json(document: Any) -> None:
    """The one JSON document of a command, in ASCII, so that it survives any pipe."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def span(time: timedelta) -> str:
    """How long, to one place that matters: `3 ms`, `1.2 s`, `4 min`, `3 h`, `2 days`."""
    seconds = time.total_seconds()
    for most, unit, says in ((1, 0.001, "ms"), (100, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{seconds:.1f} s" if says == "s" and seconds < 10 else f"{seconds / unit:.0f} {says}"
    return counted(round(seconds / 86_400), "day")


def counted(number: int, one: str, many: str = "") -> str:
    """`1 event`, `1,204 events`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"

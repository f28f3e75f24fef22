"""The timeline of one conversation on the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from .story import Told
from .terminal import MARKS, Terminal

# kind of line -> its sign, the style of the sign, the style of the words
_LOOKS = {
    "start": ("●", "bold", "bold"),
    "end": ("●", "bold", "bold"),
    "customer": ("«", "bold cyan", "cyan"),
    "reply": ("»", "dim", ""),
    "move": ("→", "bold green", "bold"),
    "refused": ("✗", "bold red", "red"),
    "bad": ("✗", "bold red", "red"),
    "unsure": ("!", "bold yellow", "yellow"),
    "route": ("·", "dim", ""),
    "agent": ("·", "magenta", ""),
    "tool": ("·", "blue", ""),
    "task": ("○", "bold yellow", "yellow"),
    "fact": ("·", "dim", ""),
    "timer": ("·", "dim", "dim"),
    "note": ("·", "dim", "dim"),
}
_NOTES = {"good": (MARKS.good, "green"), "bad": (MARKS.bad, "red"), "dot": (MARKS.dot, "dim")}
QUIET = frozenset({"timer_set"})
"""Events that a short timeline leaves out; `log --all` shows them."""


def show(terminal: Terminal, events: Sequence[Told], *, hashes: bool = False, all_events: bool = False) -> None:
    """One line for each event: time, version, what happened, the policy clause, and the leaf's first digits."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(style="dim", no_wrap=True, justify="right")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    grid.add_column(style="cyan", no_wrap=True)
    if hashes:
        grid.add_column(style="dim", no_wrap=True)
    for event in events:
        if event.type in QUIET and not all_events:
            continue
        sign, sign_style, style = _LOOKS[event.kind]
        cells = [
            Text(event.at[11:19] if event.opens else ""),
            Text(str(event.version)),
            terminal.text((sign, sign_style)),
            _words(terminal, event, style),
            Text(event.policy),
        ]
        grid.add_row(*cells, *([Text(event.leaf[:8])] if hashes else []))
    terminal.show(grid, indent=1)


def _words(terminal: Terminal, event: Told, style: str) -> Text:
    words = terminal.text((event.text, style))
    for note in event.notes:
        sign, colour = _NOTES[note.mark]
        words.append_text(
            terminal.text("\n", (f"{sign} ", colour), (note.text, "dim" if note.mark == "dot" else colour))
        )
    return words

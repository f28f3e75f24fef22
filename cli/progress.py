"""What a long check is at: one line on a terminal that goes again, and in a pipe a line now and then."""

import time
from typing import Self

from rich.status import Status

from .terminal import Terminal

PATIENCE_SECONDS = 0.4
"""What is over sooner needs no line."""
_EVERY_SECONDS = 0.1
PIPED_SECONDS = 10.0
"""Between two lines in a pipe, so that whoever reads a CI log sees that it goes on."""


class Progress:
    """Told how many configurations and transitions are known, shows them on stderr while it is open.

    On a terminal nothing of it is left when it is closed, however that comes about. In a pipe it is one line every
    10 seconds at most, and none where it is over sooner.
    """

    def __init__(self, terminal: Terminal | None = None) -> None:
        self._terminal = terminal or Terminal(error=True)
        self._began = self._told = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, configurations: int, transitions: int) -> None:
        now = time.monotonic()
        terminal = self._terminal.console.is_terminal
        if now - self._began < PATIENCE_SECONDS:
            return
        if now - self._told < (_EVERY_SECONDS if terminal else PIPED_SECONDS) and (self._status or not terminal):
            return
        self._told = now
        speed = transitions / (now - self._began)
        says = f"exploring: {configurations:,} configurations, {transitions:,} transitions ({speed:,.0f} a second)"
        if not terminal:
            self._terminal.console.print(says, soft_wrap=True, highlight=False)
        elif self._status is None:
            spinner = "dots" if self._terminal.unicode else "line"
            self._status = self._terminal.console.status(says, spinner=spinner)
            self._status.start()
        else:
            self._status.update(says)

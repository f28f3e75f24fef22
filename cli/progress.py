"""What a long check is at: one line on a terminal, and nothing at all in a pipe."""

import time
from typing import Self

from rich.status import Status

from .terminal import Terminal

PATIENCE_SECONDS = 0.4
"""What is over sooner needs no line."""
_EVERY_SECONDS = 0.1


class Progress:
    """Told how many configurations and transitions are known, shows them on stderr while it is open.

    Nothing of it is left when it is closed, however that comes about.
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
        if not self._terminal.console.is_terminal or now - self._began < PATIENCE_SECONDS:
            return
        if now - self._told < _EVERY_SECONDS and self._status is not None:
            return
        self._told = now
        speed = transitions / (now - self._began)
        says = f"exploring: {configurations:,} configurations, {transitions:,} transitions ({speed:,.0f} a second)"
        if self._status is None:
            spinner = "dots" if self._terminal.unicode else "line"
            self._status = self._terminal.console.status(says, spinner=spinner)
            self._status.start()
        else:
            self._status.update(says)

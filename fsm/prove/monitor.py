"""Monitors: small automata that watch what happens along a path, such as a policy over time.

The events are words, those of `fsm/policies/alphabet.py`: `message`, `enter:STATE`, `tool:NAME` and so on. Three are
known here alone: `proposed:STATE` (a model asks for a tool), `answered:STATE` (a form with yes or no is filled) and
`sanitised:GUARD` (a row was taken for which a declared sanitiser held).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...contracts.policies import Watch


class Monitor(Protocol):
    """Watches one path. `step` is total and deterministic; from a bad state nothing leads to a good one."""

    @property
    def initial(self) -> int: ...

    @property
    def bad(self) -> frozenset[int]: ...

    def step(self, state: int, event: str) -> int:
        """The state after one more event; events that it does not know leave it as it is."""
        ...


TRUSTED, UNTRUSTED, ACTED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Untrusted:
    """Whether a tool that changes something is asked while what a person or a model wrote stands unconfirmed."""

    consequential: frozenset[str]
    sanitising: frozenset[str] = frozenset()
    """Tools that are declared sanitisers."""
    initial: int = TRUSTED
    bad: frozenset[int] = frozenset({ACTED})

    def step(self, state: int, event: str) -> int:
        kind, _, name = event.partition(":")
        if state == ACTED:
            return state
        if kind in ("message", "result", "proposed"):
            return UNTRUSTED
        if kind in ("confirmed", "answered", "decided", "approved", "sanitised"):
            return TRUSTED
        if kind == "done" and name in self.sanitising:
            return TRUSTED
        return ACTED if kind == "tool" and name in self.consequential and state == UNTRUSTED else state


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy: what would break it is not done, as far as it can be refused."""

    watch: Watch
    initial: int = 0

    @property
    def bad(self) -> frozenset[int]:
        return frozenset(self.watch.bad)

    def step(self, state: int, event: str) -> int:
        return self.watch.step(state, event)

    def breaks(self, before: int, after: int, *, ended: bool) -> bool:
        """Whether a step breaks it: it does not hold any more, or (with `ended`) still waits for something."""
        bad = self.watch.bad
        return before not in bad and (after in bad or (ended and after in self.watch.pending))


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Whether a tool is asked, or a state entered, without an approval by enough people before.

    `giving` are the words of decisions that approve with so many; `bound` says that they cover what the tool is given.
    A message or an agent's answer after the approval may have changed what it was of, and it is used once.
    """

    name: str
    giving: frozenset[str]
    bound: bool = False
    initial: int = 0
    bad: frozenset[int] = frozenset({2})

    def step(self, state: int, event: str) -> int:
        if state == 2:
            return state
        if event in self.giving or (self.bound and event == f"approved:{self.name}"):
            return 1
        if event == "message" or event.startswith(("result:", "proposed:")):
            return 0
        if event in (f"tool:{self.name}", f"enter:{self.name}"):
            return 0 if state else 2
        return state


Event = str
Follow = Callable[[tuple[int, ...], tuple[Event, ...]], tuple[int, ...]]


def following(monitors: tuple[Monitor, ...]) -> Follow:
    """All monitors at once: their states after some events."""

    def follow(states: tuple[int, ...], events: tuple[Event, ...]) -> tuple[int, ...]:
        for event in events:
            states = tuple(monitor.step(state, event) for monitor, state in zip(monitors, states, strict=True))
        return states

    return follow

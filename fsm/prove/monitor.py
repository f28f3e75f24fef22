"""Monitors: small automata that watch what happens along a path, such as a policy over time.

The events are words, those of `fsm/policies/alphabet.py`: `message`, `enter:STATE`, `tool:NAME` and so on. Two are
known here alone: `proposed:STATE` (a model asks for a tool) and `answered:STATE` (a form with yes or no is filled).
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
    initial: int = TRUSTED
    bad: frozenset[int] = frozenset({ACTED})

    def step(self, state: int, event: str) -> int:
        kind, _, name = event.partition(":")
        if state == ACTED:
            return state
        if kind in ("message", "result", "proposed"):
            return UNTRUSTED
        if kind in ("confirmed", "answered", "decided", "approved"):
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


Event = str
Follow = Callable[[tuple[int, ...], tuple[Event, ...]], tuple[int, ...]]


def following(monitors: tuple[Monitor, ...]) -> Follow:
    """All monitors at once: their states after some events."""

    def follow(states: tuple[int, ...], events: tuple[Event, ...]) -> tuple[int, ...]:
        for event in events:
            states = tuple(monitor.step(state, event) for monitor, state in zip(monitors, states, strict=True))
        return states

    return follow

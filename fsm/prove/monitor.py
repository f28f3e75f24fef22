"""Monitors: small automata that watch what happens along a path, such as a policy over time.

The events are words: `message`, `enter:STATE`, `tool:NAME` (asked), `done:TOOL`, `decided:STATE.DECISION`,
`label:NAME`, `limit:NAME`, `end:STATE`; besides, `result:STATE` (an agent's answer is taken), `confirmed:STATE` (the
customer said yes to what a form read back) and `approved:TOOL` (people approved what the tool asked next is given).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


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
        if kind in ("message", "result"):
            return UNTRUSTED
        if kind in ("confirmed", "decided", "approved"):
            return TRUSTED
        return ACTED if kind == "tool" and name in self.consequential and state == UNTRUSTED else state


Event = str
Follow = Callable[[tuple[int, ...], tuple[Event, ...]], tuple[int, ...]]


def following(monitors: tuple[Monitor, ...]) -> Follow:
    """All monitors at once: their states after some events."""

    def follow(states: tuple[int, ...], events: tuple[Event, ...]) -> tuple[int, ...]:
        for event in events:
            states = tuple(monitor.step(state, event) for monitor, state in zip(monitors, states, strict=True))
        return states

    return follow

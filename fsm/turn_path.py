"""Where a turn went, and how two ways of one turn compare."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from ..contracts.events import (
    CommandRefused,
    Event,
    LimitReached,
    PolicyKept,
    RoutingDecided,
    TransitionRefused,
    TransitionTaken,
)

Verdict = Literal["same", "rerouted", "illegal", "needs_model", "needs_tool", "limit", "unknown"]
"""`limit`: a limit is reached now that was not; `unknown`: it depends on a text that was erased."""


class Stopped(Exception):
    """The turn cannot be followed further."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        self.verdict: Verdict = verdict
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Path:
    """Where a turn went."""

    labels: tuple[str, ...]
    states: tuple[str, ...]
    limits: tuple[str, ...]
    refused: tuple[str, ...]


def path_of(events: Iterable[Event]) -> Path:
    labels, states, limits, refused = [], [], [], []
    for event in events:
        match event:
            case RoutingDecided() if event.agent is None and not event.decision.asks_model:
                labels.append(event.decision.outcome)
            case TransitionTaken():
                states.append(event.target)
            case LimitReached():
                limits.append(event.limit)
            case TransitionRefused():
                refused.append(f"{event.on} in {event.source}: {event.reason.replace('_', ' ')}")
            case PolicyKept():
                refused.append(f"a step that would break {', '.join(event.policies)}")
            case CommandRefused():
                refused.append(f"{event.command.kind}: {event.reason.replace('_', ' ')}")
    return Path(tuple(labels), tuple(states), tuple(limits), tuple(refused))


@dataclass(frozen=True, slots=True)
class Found:
    verdict: Verdict
    was: str = ""
    now: str = ""
    by: Literal["label", "state", ""] = ""
    reason: str = ""


def compared(was: Path, now: Path, stopped: Stopped | None, needs: Mapping[str, int]) -> Found:
    """The verdict: what is refused goes before limits, limits before labels, labels before states."""
    if stopped is not None:
        return Found(stopped.verdict, reason=stopped.reason)
    if fresh := _beyond(was.refused, now.refused):
        return Found("illegal", reason=f"refused: {fresh}")
    if fresh := _beyond(was.limits, now.limits):
        return Found("limit", now=fresh, reason=f"limit reached: {fresh.replace('_', ' ')}")
    cut = bool(needs) and now.labels == was.labels[: len(now.labels)] and now.states == was.states[: len(now.states)]
    wanted: Verdict = "needs_model" if any(one.startswith("agent ") for one in needs) else "needs_tool"
    if cut:
        return Found(wanted, reason=f"to be asked: {', '.join(needs)}")
    for by, before, after in (("label", was.labels, now.labels), ("state", was.states, now.states)):
        one, other = _first_other(before, after)
        if one != other:
            return Found("rerouted", one or "nothing", other or "nothing", "label" if by == "label" else "state")
    return Found("same")


def _beyond(was: Sequence[str], now: Sequence[str]) -> str:
    """The first of `now` that `was` does not account for."""
    left = list(was)
    for one in now:
        if one not in left:
            return one
        left.remove(one)
    return ""


def _first_other(was: Sequence[str], now: Sequence[str]) -> tuple[str | None, str | None]:
    return next((pair for pair in zip_longest(was, now) if pair[0] != pair[1]), (None, None))

"""A flow against the one that it is to replace: what it adds, removes and weakens, and where what runs would stand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...contracts.flow import FinalState, Flow, State, Transition
from ...contracts.limits import Limits
from ...contracts.values import listed
from ..describe import sentence_of
from ..outcomes import outcomes_of
from ..program import Program
from .findings import Proof
from .language import Difference, Language, difference

GOOD = ("proved", "noted")


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that is another now, in words; `place` says where in the flow, as in `states.desk`."""

    place: str
    says: str


@dataclass(frozen=True, slots=True)
class Versus:
    """The new flow against the old one."""

    behaviours: Difference
    rows: tuple[Changed, ...]
    unmapped: tuple[Changed, ...]
    """States of the old flow in which conversations may stand, and which the new one does not take over."""
    weakened: tuple[Changed, ...]
    strengthened: tuple[Changed, ...]

    @property
    def safe(self) -> bool:
        """Whether what runs can go on with the new flow, and nothing that was promised is weaker."""
        return not self.unmapped and not self.weakened


def versus(old: Program, new: Program, proofs: tuple[Proof, Proof], moves: Mapping[str, str] | None = None) -> Versus:
    """Compare them. `moves` says which state of the new flow stands for a state of the old one, where it has another
    name; `proofs` are of the old one and of the new one."""
    moves = moves or {}
    before, after = old.flow, new.flow
    worse: list[Changed] = []
    better: list[Changed] = []
    for one in (*_promises(before, after, moves), *_proved(*proofs)):
        (worse if one[0] else better).append(one[1])
    return Versus(
        difference(Language(before, moves), Language(after)),
        tuple(_rows(before, after, moves)),
        tuple(_unmapped(before, after, moves)),
        tuple(worse),
        tuple(better),
    )


def _renamed(row: Transition, moves: Mapping[str, str]) -> Transition:
    return row.changed(source=moves.get(row.source, row.source), target=moves.get(row.target, row.target))


def _rows(old: Flow, new: Flow, moves: Mapping[str, str]) -> Iterator[Changed]:
    """Rows that came, went, lead elsewhere or are tried in another order."""
    had = {_condition(one): one for one in (_renamed(row, moves) for row in old.transitions)}
    has = {_condition(one): one for one in new.transitions}
    for key, row in has.items():
        place = f"transitions.{new.transitions.index(row)}"
        before = had.get(key)
        if before is None:
            yield Changed(place, f"added: {sentence_of(new, row)}")
        elif (before.target, before.push) != (row.target, row.push):
            was = f"{'push ' if before.push else ''}{before.target}"
            yield Changed(place, f"changed: {sentence_of(new, row)} It went to {was}.")
        elif before.policy != row.policy:
            yield Changed(place, f"changed: {sentence_of(new, row)} Its clause was {before.policy}.")
    for key, row in had.items():
        if key not in has:
            yield Changed(f"states.{row.source}", f"removed: {sentence_of(_with_all(old, new), row)}")
    groups = {(one.source, one.on) for one in had.values()} & {(one.source, one.on) for one in has.values()}
    for source, on in sorted(groups):
        both = [key for key in had if key in has and key[:2] == (source, on)]
        if both != [key for key in has if key in had and key[:2] == (source, on)]:
            yield Changed(f"states.{source}", f"reordered: the rows of {source!r} on {on} are tried in another order.")


def _condition(row: Transition) -> tuple[str, str, str]:
    return row.source, row.on, str(row.guard)


def _with_all(old: Flow, new: Flow) -> Flow:
    """The old flow with the guards of both, so that a row of it can be said."""
    known = {one.name: one for one in (*new.guards, *old.guards)}
    return old.changed(guards=tuple(known.values()))


def _unmapped(old: Flow, new: Flow, moves: Mapping[str, str]) -> Iterator[Changed]:
    states = {one.name: one for one in new.states}
    for state in old.states:
        if isinstance(state, FinalState):
            continue
        name = moves.get(state.name, state.name)
        place, there = f"states.{state.name}", states.get(name)
        if there is None:
            yield Changed(place, f"{state.name!r} has no state {name!r} to stand in.")
        elif there.kind != state.kind:
            yield Changed(place, f"{state.name!r} is a {state.kind} state, and {name!r} a {there.kind} state.")
        elif missing := [one for one in outcomes_of(old, state) if one not in outcomes_of(new, there)]:
            yield Changed(place, f"{state.name!r} can end with {listed(missing)}, and {name!r} cannot.")


Weighed = tuple[bool, Changed]
"""Whether it weakens the flow, and what it is."""


def _promises(old: Flow, new: Flow, moves: Mapping[str, str]) -> Iterator[Weighed]:
    yield from _limits(old.limits, new.limits)
    states = {one.name: one for one in new.states}
    for state in old.states:
        there = states.get(moves.get(state.name, state.name))
        if there is not None and there.kind == state.kind:
            yield from _of_state(state, there)
    yield from _policies(old, new)
    for code in new.checks:
        if code not in old.checks:
            yield True, Changed(f"checks.{code}", f"{code} is accepted now: {new.checks[code]}")
    for code in old.checks:
        if code not in new.checks:
            yield False, Changed(f"checks.{code}", f"{code} is not accepted any more.")
    tools = {one.name: one for one in new.tools}
    for tool in old.tools:
        now = tools.get(tool.name)
        if now is not None and (tool.consequential, tool.keyed) != (now.consequential, now.keyed):
            worse = (tool.consequential and not now.consequential) or (tool.keyed and not now.keyed)
            yield worse, Changed(f"tools.{tool.name}", f"The tool {tool.name!r} says another thing of what it changes.")
    routers = {one.name: one for one in new.routers}
    for router in old.routers:
        gone = [one for one in router.screen if one not in getattr(routers.get(router.name), "screen", router.screen)]
        if gone:
            yield True, Changed(f"routers.{router.name}", f"The router {router.name!r} does not screen {listed(gone)}.")


def _limits(old: Limits, new: Limits) -> Iterator[Weighed]:
    for name in Limits.model_fields:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            wider = now is None or (was is not None and now > was)
            says = f"The limit {name} was {_number(was)} and is {_number(now)}."
            yield wider, Changed(f"limits.{name}", says)


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


_LONGER_IS_WEAKER = ("deadline_seconds", "timeout_seconds", "retry_after_seconds")
_FEWER_IS_WEAKER = ("approvals", "quorum", "minimum_percent")
_NEEDED = {
    "approval": "an approval",
    "approves": "a decision that approves",
    "confirm": "a question that reads the facts back",
    "fallbacks": "fallbacks",
    "judges": "a judge",
}


def _of_state(old: State, new: State) -> Iterator[Weighed]:
    place = f"states.{new.name}"

    def both(name: str) -> tuple[Any, Any]:
        return getattr(old, name, None), getattr(new, name, None)

    for name in (*_LONGER_IS_WEAKER, *_FEWER_IS_WEAKER):
        was, now = both(name)
        if was is not None and now is not None and was != now:
            worse = now > was if name in _LONGER_IS_WEAKER else now < was
            what = name.replace("_seconds", "").replace("_", " ")
            unit = " s" if name.endswith("seconds") else ""
            says = f"The {what} of {new.name!r} was {was:,}{unit} and is {now:,}{unit}."
            yield worse, Changed(place, says)
    for name, what in _NEEDED.items():
        was, now = both(name)
        if bool(was) != bool(now):
            says = f"{new.name!r} has {what} no more." if was else f"{new.name!r} has {what} now."
            yield bool(was), Changed(place, says)
    was, now = both("tools")
    if more := [one for one in now or () if one not in (was or ())]:
        yield True, Changed(place, f"The agent of {new.name!r} may run {listed(more)} now.")
    if fewer := [one for one in was or () if one not in (now or ())]:
        yield False, Changed(place, f"The agent of {new.name!r} may not run {listed(fewer)} any more.")


def _policies(old: Flow, new: Flow) -> Iterator[Weighed]:
    now = {one.name: one for one in new.policies}
    for policy in old.policies:
        there = now.get(policy.name)
        place = f"policies.{policy.name}"
        if there is None:
            yield True, Changed(place, f"The policy {policy.name!r} is gone.")
        elif there.changed(says="") != policy.changed(says=""):
            yield True, Changed(place, f"The policy {policy.name!r} says something else: read both.")
    for policy in new.policies:
        if policy.name not in {one.name for one in old.policies}:
            yield False, Changed(f"policies.{policy.name}", f"The policy {policy.name!r} is new.")


def _proved(old: Proof, new: Proof) -> Iterator[Weighed]:
    """Answers that are others now: of each question, and of each policy."""
    for code in dict.fromkeys(one.code for one in (*old.findings, *new.findings)):
        was, now = _worst(old, code), _worst(new, code)
        if was != now and "" not in (was, now) and {was, now} - set(GOOD):
            yield now not in GOOD, Changed(f"checks.{code}", f"{code} was {was} and is {now}.")


def _worst(proof: Proof, code: str) -> str:
    verdicts = [one.verdict for one in proof.findings if one.code == code]
    order: Sequence[str] = ("refuted", "accepted", "bounded", "unknown", "noted", "proved")
    return next((one for one in order if one in verdicts), "")

"""A flow against the one that it is to replace: what it adds, removes and weakens, and where what runs would stand."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ...contracts.flow import FinalState, Flow, Transition
from ...contracts.values import listed
from ..describe import sentence_of
from ..outcomes import outcomes_of
from ..program import Program
from .findings import Proof
from .language import Difference, Language, difference
from .promises import promises
from .weighing import Changed, Side, Weighed, weighed

GOOD = ("proved", "noted")


@dataclass(frozen=True, slots=True)
class Versus:
    """The new flow against the old one."""

    behaviours: Difference
    rows: tuple[Changed, ...]
    unmapped: tuple[Changed, ...]
    """States of the old flow in which conversations may stand, and which the new one does not take over."""
    weakened: tuple[Changed, ...]
    strengthened: tuple[Changed, ...]
    unjudged: tuple[Changed, ...] = ()
    """What may weaken a promise, and no rule tells whether it does: a person reads it."""
    neutral: tuple[Changed, ...] = ()
    """What differs otherwise: texts, names, order."""

    @property
    def safe(self) -> bool:
        """Whether what runs can go on with the new flow, and nothing that was promised is weaker, or may be."""
        return not self.unmapped and not self.weakened and not self.unjudged


def versus(old: Program, new: Program, proofs: tuple[Proof, Proof], moves: Mapping[str, str] | None = None) -> Versus:
    """Compare them. `moves` says which state of the new flow stands for a state of the old one, where it has another
    name; `proofs` are of the old one and of the new one."""
    moves = moves or {}
    before, after = old.flow, new.flow
    rows = tuple(rows_of(before, after, moves))
    found = [*promises(before, after, moves), *_conditions(before, after, moves)]
    sides: dict[Side, list[Changed]] = {"weaker": [], "stronger": [], "unjudged": [], "neutral": []}
    for one in (*found, *_proved(*proofs, {one.change.place.partition(".")[0] for one in found})):
        sides[one.side].append(one.change)
    return Versus(
        difference(Language(before, moves), Language(after)),
        rows,
        tuple(_unmapped(before, after, moves)),
        tuple(sides["weaker"]),
        tuple(sides["stronger"]),
        tuple(sides["unjudged"]),
        tuple(sides["neutral"]),
    )


def _renamed(row: Transition, moves: Mapping[str, str]) -> Transition:
    return row.changed(source=moves.get(row.source, row.source), target=moves.get(row.target, row.target))


def rows_of(old: Flow, new: Flow, moves: Mapping[str, str]) -> Iterator[Changed]:
    """Rows that came, went, lead elsewhere or are tried in another order: where they differ, something is said."""
    found = list(_rows(old, new, moves))
    yield from found
    if not found and not moves and old.transitions != new.transitions:
        says = "reordered: rows of different states, or one that is never tried; each state goes on as before."
        yield Changed("transitions", says)


def _rows(old: Flow, new: Flow, moves: Mapping[str, str]) -> Iterator[Changed]:
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


def _conditions(old: Flow, new: Flow, moves: Mapping[str, str]) -> Iterator[Weighed]:
    """States that lead on from an outcome under other conditions than before, or try them in another order: whether
    that lets more pass is not computed."""
    had, has = _tried(tuple(_renamed(row, moves) for row in old.transitions)), _tried(new.transitions)
    for source, on in sorted(had.keys() & has.keys()):
        if had[source, on] != has[source, on]:
            says = f"What {source!r} asks on {on} is another, or in another order: whether more passes is to be read."
            yield weighed("unjudged", f"states.{source}", says)


def _tried(rows: Sequence[Transition]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row.source, row.on), []).append(str(row.guard))
    return found


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


_ASKED_BY = {"P308": "person_within", "P311": "policies", "P312": "policies", "P323": "four_eyes"}
"""Questions that a part of the flow asks: where it changed, another answer is one to another question."""


def _proved(old: Proof, new: Proof, changed: AbstractSet[str]) -> Iterator[Weighed]:
    """Answers that are others now: of each question, and of each policy."""
    for code in dict.fromkeys(one.code for one in (*old.findings, *new.findings)):
        was, now = _worst(old, code), _worst(new, code)
        if was != now and "" not in (was, now) and {was, now} - set(GOOD):
            other = now in GOOD and _ASKED_BY.get(code, "") in changed
            side: Side = "neutral" if other else "stronger" if now in GOOD else "weaker"
            asked = ", for another question is asked" if other else ""
            yield weighed(side, f"checks.{code}", f"{code} was {was} and is {now}{asked}.")


def _worst(proof: Proof, code: str) -> str:
    verdicts = [one.verdict for one in proof.findings if one.code == code]
    order: Sequence[str] = ("refuted", "accepted", "bounded", "unknown", "noted", "proved")
    return next((one for one in order if one in verdicts), "")

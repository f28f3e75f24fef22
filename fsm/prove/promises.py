"""What two versions of a flow promise, part by part: whatever differs in their canonical JSON is named."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...contracts.canonical import canonical
from ...contracts.flow import CallState, FactSpec, Flow, State
from ...contracts.limits import Limits
from ...contracts.policies import Policy
from ...contracts.values import Value
from ..policies.english import rule_of
from ..render import said
from ..wording import counted
from .weighing import Side, Weighed, compared, differing, part_changed, weighed

Moves = Mapping[str, str]
_ELSEWHERE = ("transitions", "checks")
"""Parts that are told by themselves: rows, and answers that are accepted."""


def promises(old: Flow, new: Flow, moves: Moves) -> Iterator[Weighed]:
    """Everything that differs, and which way it weighs. No part is passed over in silence: where no rule names what
    differs, it is said that it does, and that it is to be read."""
    for part in type(new).model_fields:
        was, now = getattr(old, part), getattr(new, part)
        if part in _ELSEWHERE or was == now:
            continue
        told = list(_TOLD[part](old, new, moves) if part in _TOLD else _whole(part, was, now, moves))
        yield from told
        if not told and not moves:
            yield unnamed(part, was, now)
    yield from _accepted(old, new)


def unnamed(part: str, was: Any, now: Any) -> Weighed:
    """What stands in another order, or differs in a way that no rule names."""
    if isinstance(was, tuple) and sorted(map(_canonical, was)) == sorted(map(_canonical, now)):
        return weighed("neutral", part, f"The {part} stand in another order.")
    return weighed("unjudged", part, f"The {part} of the flow differ: read both.")


def _canonical(value: Value) -> bytes:
    return canonical(value.model_dump(mode="json", exclude_none=True))


def _whole(part: str, was: Any, now: Any, moves: Moves) -> Iterator[Weighed]:
    if part == "initial" and moves.get(was, was) == now:
        return
    yield from part_changed("flow", part, "the flow", part, was, now)


def _named(kind: str, section: str) -> Callable[[Flow, Flow, Moves], Iterator[Weighed]]:
    """Things by their names: those that came and went, and each that stayed against what it was. That one came or
    went weighs nothing by itself, for whatever uses it is compared as well."""

    def told(old: Flow, new: Flow, _moves: Moves) -> Iterator[Weighed]:
        there = {one.name: one for one in getattr(new, section)}
        for one in getattr(old, section):
            now = there.pop(one.name, None)
            place, owner = f"{section}.{one.name}", f"the {kind} {one.name!r}"
            if now is None:
                yield weighed("neutral", place, f"The {kind} {one.name!r} is gone.")
            else:
                yield from compared(kind, owner, place, one, now)
        for name in there:
            yield weighed("neutral", f"{section}.{name}", f"The {kind} {name!r} is new.")

    return told


def _facts(old: Flow, new: Flow, moves: Moves) -> Iterator[Weighed]:
    """As others, with the bounds of an amount as amounts."""
    was = {one.name: one for one in old.facts}
    now = {one.name: one for one in new.facts}
    for found in _named("fact", "facts")(old, new, moves):
        name = found.change.place.partition(".")[2]
        bound = next((one for one in ("minimum", "maximum") if f"The {one} of the fact {name!r} was" in found.says), "")
        if not bound:
            yield found
            continue
        before, after = _bound(was[name], bound, old.currency), _bound(now[name], bound, new.currency)
        yield weighed(found.side, found.change.place, f"The {bound} of the fact {name!r} was {before} and is {after}.")


def _bound(fact: FactSpec, name: str, currency: str) -> str:
    value = getattr(fact, name)
    return "none" if value is None else said(fact, value, currency)


def _limits(old: Flow, new: Flow, _moves: Moves) -> Iterator[Weighed]:
    for name in Limits.model_fields:
        was, now = getattr(old.limits, name), getattr(new.limits, name)
        if was != now:
            wider = now is None or (was is not None and now > was)
            words = _limit(name, was, old.currency), _limit(name, now, new.currency)
            says = f"The limit {name} was {words[0]} and is {words[1]}."
            yield weighed("weaker" if wider else "stronger", f"limits.{name}", says)


def _limit(name: str, value: int | None, currency: str) -> str:
    if value is None:
        return "none"
    return f"{currency} {value / 1_000_000_000:,.2f}" if name.endswith("_cost") else f"{value:,}"


def _states(old: Flow, new: Flow, moves: Moves) -> Iterator[Weighed]:
    """States of one kind against each other; one of another kind, and one that is gone, does not map."""
    there = {one.name: one for one in new.states}
    for state in old.states:
        now = there.get(moves.get(state.name, state.name))
        if now is not None and now.kind == state.kind:
            yield from compared("state", repr(now.name), f"states.{now.name}", _moved(state, moves), now)
        elif now is None:
            yield weighed("neutral", f"states.{state.name}", f"The state {state.name!r} is gone.")
        else:
            yield weighed("unjudged", f"states.{now.name}", f"{now.name!r} was {state.kind} and is {now.kind}.")
    had = {moves.get(one.name, one.name) for one in old.states}
    for one in new.states:
        if one.name not in had:
            yield weighed(_side_of_new(new, one), f"states.{one.name}", f"The state {one.name!r} is new: {one.kind}.")


def _side_of_new(flow: Flow, state: State) -> Side:
    changing = {one.name for one in flow.tools if one.consequential}
    return "unjudged" if isinstance(state, CallState) and state.tool in changing else "neutral"


def _moved(state: State, moves: Moves) -> State:
    """The state with the names that other states have now."""
    named = {}
    for name in ("name", "approval", "judges", "plan"):
        value = getattr(state, name, None)
        if value is not None and value in moves:
            named[name] = moves[value]
    results = getattr(state, "results", ())
    listed = {"results": tuple(moves.get(one, one) for one in results)} if {*results} & {*moves} else {}
    return state.changed(**named, **listed) if named or listed else state


def _policies(old: Flow, new: Flow, moves: Moves) -> Iterator[Weighed]:
    now = {one.name: one for one in new.policies}
    for policy in old.policies:
        there = now.pop(policy.name, None)
        place = f"policies.{policy.name}"
        if there is None:
            yield weighed("weaker", place, f"The policy {policy.name!r} is gone: {rule_of(policy)}")
        elif there != policy:
            yield from _of_policy(place, policy, there)
    for name, policy in now.items():
        yield weighed("stronger", f"policies.{name}", f"The policy {name!r} is new: {rule_of(policy)}")


def _of_policy(place: str, was: Policy, now: Policy) -> Iterator[Weighed]:
    """What is checked, as two sentences; whether the rows must keep it; and its words for people."""
    name = repr(was.name)
    if was.changed(says="", enforced=False) != now.changed(says="", enforced=False):
        says = f"The policy {name} said: {rule_of(was)} It says: {rule_of(now)}"
        yield weighed(_side_of_counts(was, now), place, says)
    if now.enforced and not was.enforced:
        yield weighed("weaker", place, f"The policy {name} need not be kept by the rows any more: it is only enforced.")
    elif was.enforced and not now.enforced:
        yield weighed("stronger", place, f"The policy {name} must be kept by the rows now, not only be enforced.")
    if was.says != now.says:
        before, after = differing(was.says, now.says)
        yield weighed("neutral", place, f"The sentence of the policy {name} reads {after} where it read {before}.")


def _side_of_counts(was: Policy, now: Policy) -> Side:
    """Of two policies that differ in numbers alone, the one with the larger ones is weaker."""
    rest = {"says": "", "enforced": False, "at_most": {}}
    if was.changed(**rest) != now.changed(**rest) or {*was.at_most} != {*now.at_most}:
        return "unjudged"
    more = {now.at_most[word] > number for word, number in was.at_most.items() if now.at_most[word] != number}
    return "unjudged" if len(more) != 1 else "weaker" if True in more else "stronger"


def _four_eyes(old: Flow, new: Flow, _moves: Moves) -> Iterator[Weighed]:
    for name in sorted({*old.four_eyes, *new.four_eyes}):
        was, now = old.four_eyes.get(name, 0), new.four_eyes.get(name, 0)
        if was != now:
            says = f"Every path to {name!r} had to have approvals by {_people(was)}, and now by {_people(now)}."
            yield weighed("weaker" if now < was else "stronger", f"four_eyes.{name}", says)


def _person_within(old: Flow, new: Flow, _moves: Moves) -> Iterator[Weighed]:
    was, now = old.person_within, new.person_within
    says = f"A person had to be reached within {counted(was, 'row')}, and now within {counted(now, 'row')}."
    yield weighed("weaker" if now > was else "stronger", "person_within", says)


def _people(number: int) -> str:
    return f"{number} people" if number else "nobody"


def _accepted(old: Flow, new: Flow) -> Iterator[Weighed]:
    for code, reason in new.checks.items():
        place = f"checks.{code}"
        if code not in old.checks:
            yield weighed("weaker", place, f"{code} is accepted now: {reason}")
        elif old.checks[code] != reason:
            yield weighed("neutral", place, f"{code} is accepted for another reason: {reason}")
    for code in old.checks:
        if code not in new.checks:
            yield weighed("stronger", f"checks.{code}", f"{code} is not accepted any more.")


_TOLD: dict[str, Callable[[Flow, Flow, Moves], Iterator[Weighed]]] = {
    "facts": _facts,
    "agents": _named("agent", "agents"),
    "routers": _named("router", "routers"),
    "states": _states,
    "limits": _limits,
    "guards": _named("condition", "guards"),
    "tools": _named("tool", "tools"),
    "subflows": _named("child flow", "subflows"),
    "policies": _policies,
    "four_eyes": _four_eyes,
    "person_within": _person_within,
}

"""Policies: each is one rule about what can happen, and all of them together can be kept."""

from collections.abc import Iterator
from typing import get_args

from ...contracts.errors import Fault
from ...contracts.flow import ANY, OPERATOR_INPUTS, RETURN, HumanState
from ...contracts.limits import LimitName
from ...contracts.policies import MESSAGE, Policy, Watch
from ...contracts.values import listed
from ..policies.automata import TooLarge
from ..policies.english import any_of, rule_of
from ..policies.judging import Orders, after, broken_among, watches_of
from ..prove.keeping import at_loading, broken_from_outside
from .names import suggestion
from .survey import POLICY, Survey

MOST_BYTES = 24_000
"""What all automata of a flow may take of a log entry, which holds at most 65,535 bytes."""
_CALLS_NOTHING = ("human", "wait", "final")


def policies_said(survey: Survey) -> Iterator[Fault]:
    seen: set[str] = set()
    for policy in survey.flow.policies:
        where = f"policies.{policy.name}"
        if policy.name in seen:
            yield survey.fault("S101", where, f"Two policies are called {policy.name!r}.", "Rename one of them.")
        seen.add(policy.name)
        if policy.name in survey.unread:
            continue
        if not policy.says.strip():
            what = f"The policy {policy.name!r} does not say what it is for."
            yield survey.fault("S260", f"{where}.says", what, "Write a sentence under `says`: somebody signs it.")
        for what, fix in _shape(policy):
            yield survey.fault("S261", where, f"The policy {policy.name!r} {what}.", fix)


def _shape(policy: Policy) -> Iterator[tuple[str, str]]:
    """What keeps a policy from being one rule in one scope."""
    meanings = {
        "never": bool(policy.never),
        "must": bool(policy.must),
        "at_most": bool(policy.at_most),
        "every": bool(policy.every),
    }
    stand = [key for key, stands in meanings.items() if stands]
    if len(stand) != 1:
        what = f"is several rules: {listed(stand)}" if stand else "has no rule"
        yield what, "Write one of never, must, at_most and every; further rules are policies of their own."
    if policy.unless_before and not policy.never:
        yield "has unless_before without never", "Write what needs it under `never`."
    if policy.each and not policy.unless_before:
        yield "has each without unless_before", "Write what is used up each time under `unless_before`."
    if bool(policy.every) != bool(policy.then):
        there, missing = ("every", "then") if policy.every else ("then", "every")
        yield f"has {there} without {missing}", f"Write `{missing}:`."
    if policy.before and policy.until:
        yield "has both before and until", "Write before for what must come, until for what may."
    both = set(policy.never or policy.every) & {*policy.then, *(one for stage in policy.unless_before for one in stage)}
    if both:
        yield f"has {listed(sorted(both))} on both sides", "Name what comes before or after it."


def names_known(survey: Survey) -> Iterator[Fault]:
    states = {*survey.states, *survey.unread}
    tools = {*(one.name for one in survey.flow.tools), *(survey.code.tools if survey.code is not None else ())}
    for policy in survey.flow.policies:
        where = f"policies.{policy.name}"
        for word in policy.words if policy.name not in survey.unread else ():
            kind, _, name = word.partition(":")
            if name:
                yield from _known(survey, where, policy, kind, name)
            elif word in states and word in tools:
                what = f"{word!r} in the policy {policy.name!r} is a state and a tool."
                yield survey.fault("S263", where, what, f"Write enter:{word} or tool:{word}.")
            elif word != MESSAGE and word not in states and word not in tools:
                what = f"The policy {policy.name!r} speaks of {word!r}, which is neither a state nor a tool."
                yield survey.fault("S262", where, what, suggestion(word, sorted(states | tools)))


def _known(survey: Survey, where: str, policy: Policy, kind: str, name: str) -> Iterator[Fault]:
    """A word with its kind: the name is one of those that there are."""
    if kind == "mark":
        what = f"The policy {policy.name!r} speaks of mark:{name}, and marks are found in imported conversations only."
        yield survey.fault("S262", where, what, "Write it in a file of policies for `interlock audit`.")
        return
    state, _, decision = name.partition(".")
    known = _names(survey, kind)
    if state not in known and state not in survey.unread:
        what = f"The policy {policy.name!r} speaks of {kind}:{name}, and there is no {_KINDS[kind]} {state!r}."
        yield survey.fault("S262", where, what, suggestion(state, sorted(known)))
        return
    found = survey.states.get(state) if kind == "decided" else None
    if isinstance(found, HumanState) and decision not in found.decisions:
        what = f"The policy {policy.name!r} speaks of {kind}:{name}, and {decision!r} is no decision of {state!r}."
        yield survey.fault("S262", where, what, suggestion(decision, found.decisions))


_KINDS = {
    **dict.fromkeys(("enter", "end", "decided", "confirmed", "result"), "state"),
    **dict.fromkeys(("tool", "done", "approved"), "tool"),
    "label": "label",
    "limit": "limit",
    "input": "input",
}


def _names(survey: Survey, kind: str) -> set[str]:
    match _KINDS[kind]:
        case "state":
            late = {"late"} if kind == "result" else set[str]()
            return {*survey.states} | late
        case "tool":
            code = survey.code.tools if survey.code is not None else {}
            return {*(one.name for one in survey.flow.tools), *code}
        case "label":
            return {"unsure", "blocked", *(label for router in survey.flow.routers for label in router.labels)}
        case "limit":
            return set(get_args(LimitName))
    return {*OPERATOR_INPUTS, *(name for state in survey.flow.states for name in getattr(state, "inputs", ()))}


def can_be_kept(survey: Survey) -> Iterator[Fault]:
    """Of policies that can be read: each can be broken and kept, and all can be kept together."""
    unfit: Fault | None = None
    watches: tuple[Watch, ...] = ()
    try:
        watches = watches_of(survey.flow)
    except TooLarge as error:
        what, fix = (
            f"The policy {str(error)!r} counts too much at once.",
            "Write a policy for each word under `at_most`.",
        )
        unfit = survey.fault("S261", f"policies.{error}", what, fix)
    else:
        room = sum(len(watch.canonical_bytes()) for watch in watches)
        if room > MOST_BYTES:
            what = f"The policies take {room:,} bytes of a conversation's first event; at most {MOST_BYTES:,} fit."
            unfit = survey.fault("S261", "policies", what, "Write smaller numbers under `at_most`, or fewer words.")
    if unfit is not None:
        yield unfit
        return
    yield from _kept_together(survey, watches)
    yield from _held_rows(survey, watches)


def _kept_together(survey: Survey, watches: tuple[Watch, ...]) -> Iterator[Fault]:
    flow = survey.flow
    orders = Orders(flow)
    for policy, watch in zip(flow.policies, watches, strict=True):
        if not orders.can_break(watch):
            what = f"Nothing can break the policy {policy.name!r}: {_why_not(policy)}."
            fix = "Mend its scope or its words, or delete it: it promises what it does not check."
            yield survey.fault("S264", f"policies.{policy.name}", what, fix)
    for group in orders.contradictions(watches):
        named = [flow.policies[at] for at in group]
        rules = "; ".join(f"{one.name!r}{_at_line(survey, one)}: {rule_of(one)[:-1]}" for one in named)
        who = "the policy" if len(named) == 1 else "all of these policies"
        what = f"No conversation that comes to an end can keep {who}: {rules}."
        yield survey.fault("S265", f"policies.{named[-1].name}", what, "Change one of them, or its scope.")


def _why_not(policy: Policy) -> str:
    if policy.after or policy.before or policy.until:
        words = policy.after or policy.before or policy.until
        return f"its scope holds no event that matters ({any_of(words)})"
    return "whatever happens before an end keeps it"


def _at_line(survey: Survey, policy: Policy) -> str:
    line = survey.lines.get(f"policies.{policy.name}", 0)
    return f" (line {line})" if line else ""


def _held_rows(survey: Survey, watches: tuple[Watch, ...]) -> Iterator[Fault]:
    """A row on `policy` leads where nothing more is called, and keeps every policy, wherever it is taken from."""
    orders = Orders(survey.flow)
    states = [list(orders.states_of((watch,))) for watch in watches]
    for index, row in survey.rows:
        if row.on != POLICY:
            continue
        where, target = f"transitions.{index}.go to", survey.states.get(row.target)
        if row.target == RETURN or target is None or target.kind not in _CALLS_NOTHING:
            to = "back" if target is None else f"to {row.target!r} ({target.kind})"
            what = f"Where a step would break a policy, this row leads {to}, where more would happen."
            yield survey.fault("S267", where, what, "Go to a human, wait or final state.")
            continue
        words = (f"enter:{target.name}", *((f"end:{target.name}",) if target.kind == "final" else ()))
        for policy, watch, some in zip(survey.flow.policies, watches, states, strict=True):
            ended = target.kind == "final"
            if any(broken_among((watch,), after((watch,), one, words), ended=ended) for one in some):
                what = f"The row on 'policy' leads to {target.name!r}, which can itself break {policy.name!r}."
                fix = f"Go to a state that keeps it: {rule_of(policy)}"
                yield survey.fault("S267", where, what, fix)


def rows_needed(survey: Survey) -> Iterator[Fault]:
    """Steps that have to be refused need a row to take instead; what cannot be refused must not break anything.

    Looks at what the flow can do, so it needs a flow without faults.
    """
    watches = watches_of(survey.flow)
    handled = (ANY, POLICY) in survey.groups
    if handled and not any(broken_from_outside(watch) for watch in watches):
        return
    refused, broken = at_loading(survey.flow, watches)
    if refused and not handled:
        what = "Rows could break a policy, and no row says where to go when such a step is refused."
        fix = "Write [any, policy, otherwise, …] to a human, wait or final state, or mend the rows: `interlock check`."
        yield survey.fault("S266", "transitions", what, fix)
    for policy in survey.flow.policies:
        if policy.name in broken:
            what = f"The policy {policy.name!r} can be broken by what nobody can refuse: {rule_of(policy)}"
            fix = "Write it about the step that follows (a state entered or a tool asked), or mend the rows before it."
            yield survey.fault("S268", f"policies.{policy.name}", what, fix)


POLICIES = (policies_said, names_known)
KEPT = (can_be_kept,)

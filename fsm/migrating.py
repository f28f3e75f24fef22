"""Moving a live conversation to another version of its flow: what may move, how, and why something may not.

A conversation moves where it waits: its state, and every one that it comes back to, is there under the same or a given
name, with the same kind and what is asked of people. Nothing may be in hand. Facts that the new flow does not have, or
has otherwise, are forgotten, on the record. What was used of limits stays used.
"""

from collections.abc import Iterator, Mapping

from ..contracts.commands import Migrate
from ..contracts.events import FlowChanged, TaskOpened
from ..contracts.facts import KnownFact
from ..contracts.flow import CollectState, FactSpec, HumanState, RouteState, State
from ..contracts.values import listed
from .conversation import Conversation, Question
from .draft import Draft
from .policies.judging import broken_among
from .program import Program


def moved(draft: Draft, body: Migrate) -> None:
    """Record the move, decided by the new flow's program; nothing where something speaks against it."""
    if any(obstacles(draft.program, draft.conversation, body)):
        return
    draft.record(
        FlowChanged(
            before=body.before,
            flow=body.flow,
            state=_names(body).get(draft.conversation.state, draft.conversation.state),
            stood=body.stood,
            currency=body.currency,
            renamed=body.renamed,
            policies=draft.program.watches,
            watched=body.watched,
        )
    )
    for name in unfit_facts(draft.program, draft.conversation):
        draft.forget(name)


def obstacles(program: Program, conversation: Conversation, body: Migrate) -> Iterator[str]:
    """Everything that speaks against the move to `program`, in words; nothing where it may be made."""
    if conversation.status != "open":
        yield "it has ended" if conversation.status == "ended" else "it has not begun"
        return
    if body.before.name != body.flow.name:
        yield f"it is a conversation of the flow {body.before.name!r}, not of {body.flow.name!r}"
    if conversation.flow != body.before:
        yield "it runs on another flow than was looked at"
    if program.ref != body.flow:
        yield "the flow is not the one that it is to move to"
    if body.before == body.flow:
        yield "it runs on this flow already"
    if program.flow.currency != body.currency:
        yield f"its amounts and costs are in {body.currency}, and in {program.flow.currency} there"
    yield from _in_hand(conversation)
    yield from _states(program, conversation, body)
    yield from _policies(program, body)
    labels = {label for router in program.flow.routers for label in router.labels}
    if gone := [one.label for one in conversation.issues if one.label not in (*labels, "unsure")]:
        yield f"issues wait that no router there has: {listed(gone)}"


def _in_hand(conversation: Conversation) -> Iterator[str]:
    """Effects, children and waits whose ends only the flow that began them can take."""
    for effect, intent in sorted(conversation.unfinished.items()):
        what = getattr(intent, "tool", None) or getattr(intent, "agent", "")
        yield f"the effect of event {effect} ({what}) has not ended"
    if conversation.visit.retry is not None:
        yield "it waits to ask an agent again"
    if conversation.background:
        yield "members of a broadcast are to be asked again"
    if conversation.children:
        yield "a child conversation is open"
    if conversation.parent is not None:
        yield "it belongs to a parent, whose flow says which one it runs on"
    if conversation.visit.endorsed:
        yield "its task is approved by some and waits for others"
    if conversation.inbox:
        yield "messages wait to be taken"


def _states(program: Program, conversation: Conversation, body: Migrate) -> Iterator[str]:
    names, kinds = _names(body), {one.state: one.kind for one in body.stood}
    here = [(conversation.state, conversation.visit), *((one.state, one.visit) for one in conversation.frames)]
    for state, visit in here:
        target = program.states.get(names.get(state, state))
        if target is None:
            yield f"there is no state {names.get(state, state)!r} there: map {state!r} to another"
        elif target.kind != kinds.get(state):
            yield f"{target.name!r} is a {target.kind} state there, and {state!r} a {kinds.get(state, 'state')} here"
        elif problem := _stay(target, visit.question, visit.opened):
            yield problem


def _stay(target: State, question: Question | None, opened: TaskOpened | None) -> str:
    """What the state there would not understand of the stay here."""
    if isinstance(target, RouteState):
        return f"{target.name!r} is being routed"
    asks = question is not None and question.fact is not None
    if isinstance(target, CollectState) and question and asks and question.fact not in target.facts:
        return f"the form {target.name!r} there does not ask for {question.fact}, which was just asked"
    if isinstance(target, HumanState) and opened is not None:
        same = (opened.role, opened.decisions, opened.facts, opened.approves, opened.approvals)
        there = (target.role, target.decisions, target.shows, target.approves, target.approvals)
        if same != there:
            return f"the open task of {opened.state!r} is for another role there, or shows or asks something else"
    return ""


def unfit_facts(program: Program, conversation: Conversation) -> tuple[str, ...]:
    """Facts that the flow does not have, or that cannot be what it says they are."""
    known: Mapping[str, KnownFact] = conversation.known
    return tuple(name for name, fact in known.items() if not _fits(program.facts.get(name), fact))


def _fits(spec: FactSpec | None, fact: KnownFact) -> bool:
    if spec is None or spec.sealed != (fact.sealed is not None):
        return False
    if fact.sealed is not None:
        return True
    value = fact.value
    if spec.type == "yes_no":
        return isinstance(value, bool)
    if spec.type in ("money", "integer"):
        low, high = spec.minimum, spec.maximum
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and (low is None or int(low) <= int(value or 0)) and (high is None or int(value or 0) <= int(high))
    return isinstance(value, str) and (not spec.choices or value in spec.choices)


def _policies(program: Program, body: Migrate) -> Iterator[str]:
    """Those of the new flow that are broken by what was recorded under another one."""
    if len(body.watched) != len(program.watches):
        yield "it was not looked at how the policies there stand"
        return
    names = [program.watches[at].name for at in broken_among(program.watches, body.watched)]
    if names:
        yield f"what is recorded breaks policies there: {listed(names)}"


def _names(body: Migrate) -> dict[str, str]:
    return {one.old: one.new for one in body.renamed}

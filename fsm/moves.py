"""Moving: which row is taken on an outcome, and what entering a state begins."""

from typing import assert_never

from ..contracts.canonical import digest_of
from ..contracts.commands import Reading
from ..contracts.events import (
    ConversationEnded,
    MessageTaken,
    TimerSet,
    TransitionRefused,
    TransitionTaken,
)
from ..contracts.flow import (
    ANY,
    NEXT_ISSUE,
    RETURN,
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    FinalState,
    HumanState,
    RouteState,
    SubflowState,
    Transition,
    WaitState,
)
from . import broadcast, forms, queueing, runs, scope, subflow, tasks
from .draft import Draft, Route
from .keeping import POLICY, broken_by, row_kept_back

LIMIT = "limit"
"""The outcome of a limit, and the trigger of the rows that handle it. They are bound by none themselves."""


def settle(draft: Draft, outcome: str | None) -> None:
    """Take rows until the conversation waits for something or somebody, or has ended.

    A message that was queued meanwhile is taken as soon as the conversation is free for it.
    """
    while True:
        while outcome is not None:
            outcome = move(draft, outcome)
        conversation = draft.conversation
        if conversation.inbox and conversation.child is not None and not conversation.pending:
            subflow.forward(draft, conversation.child)
        if not (draft.conversation.inbox and _is_free(draft)):
            return
        version, event = draft.conversation.inbox[0]
        draft.record(MessageTaken(message=version, turn_due=draft.turn_due))
        outcome = take_message(draft, event.reading, version)


def _is_free(draft: Draft) -> bool:
    """Nothing is being worked on, and the present state takes messages."""
    conversation = draft.conversation
    return (
        conversation.status == "open" and not conversation.pending and isinstance(draft.state, WaitState | CollectState)
    )


def move(draft: Draft, on: str) -> str | None:
    """Take the first row whose guard holds, and enter its target; returns the target's outcome if it has one."""
    conversation, limits = draft.conversation, draft.program.flow.limits
    if conversation.turn.steps >= limits.steps and on not in (LIMIT, POLICY):
        on = draft.reach("steps", conversation.turn.steps, limits.steps)
    taken, verdicts = draft.program.tried(conversation.state, on, conversation.facts)
    if taken is None:
        draft.record(
            TransitionRefused(
                source=conversation.state, on=on, reason="guards" if verdicts else "no_row", verdicts=verdicts
            )
        )
        return resume(draft)
    index, row = taken
    # A state that hears nobody, such as a route, is nowhere to come back to: from there the row just goes.
    pushes = row.push and isinstance(draft.state, WaitState | CollectState)
    if pushes and len(conversation.frames) >= limits.digression_depth:
        return draft.reach("digression_depth", len(conversation.frames), limits.digression_depth)
    returns = row.target == RETURN
    target = conversation.frames[-1].state if returns else row.target
    context = None if returns or on in (LIMIT, POLICY) else _context(draft, target)
    if context is not None and (repeated := _repeated(draft, context)):
        return repeated
    step = TransitionTaken(
        source=conversation.state,
        on=on,
        target=target,
        row=index,
        because=row.policy,
        verdicts=verdicts,
        move="push" if pushes else "return" if returns else "leave" if _leaves(draft, row) else "go",
        context=context,
    )
    if broken := broken_by(draft, step):
        return row_kept_back(draft, step, broken) or resume(draft)
    draft.program.machine.step(conversation.state, index, target)
    subflow.moving_on(draft, on)
    draft.record(step)
    if on == "limit":
        queueing.dropped(draft, "limit")
    return resume(draft) if returns else enter(draft, on)


def _context(draft: Draft, target: str) -> str | None:
    """Digest of what `target` would be entered with, where the flow limits that: the state, what is known (open
    values, and the places of sealed texts, of which each is new) and the message in hand."""
    if draft.program.flow.limits.repeats is None:
        return None
    conversation = draft.conversation
    known = {
        name: (fact.value, None if fact.sealed is None else fact.sealed.model_dump())
        for name, fact in conversation.known.items()
    }
    return digest_of({"state": target, "facts": known, "message": conversation.turn.message})


def _repeated(draft: Draft, context: str) -> str | None:
    """`limit` where a state was entered with this context as often as it may be within a turn."""
    most, entered = draft.program.flow.limits.repeats, draft.conversation.turn.contexts.get(context, 0)
    return None if most is None or entered < most else draft.reach("repeats", entered, most)


def _leaves(draft: Draft, row: Transition) -> bool:
    """Whether the row ends an open digression for good: a flow-wide row, or one that hands over to a person."""
    target = draft.program.states.get(row.target)
    return bool(draft.conversation.frames) and (row.source == ANY or isinstance(target, HumanState | FinalState))


def enter(draft: Draft, on: str = "") -> str | None:
    """Begin the state that was just moved into, `on` a trigger."""
    state = draft.state
    match state:
        case WaitState():
            if announced := queueing.announced(draft, state):
                return announced
            draft.reply(queueing.question_of(draft, state))
            for name in state.forgets:
                draft.forget(name)
            _wait(draft, state)
            return None
        case CollectState():
            return forms.open_form(draft, state)
        case RouteState():
            return _route(draft, state, on)
        case AgentState():
            return scope.begin(draft, state)
        case CallState():
            return runs.call_tool(draft, state)
        case BroadcastState():
            return broadcast.begin(draft, state)
        case HumanState():
            left = draft.conversation.issues
            queueing.handed_over(draft, state)
            opened = tasks.open_task(draft, state, left)
            draft.record(TimerSet(state=state.name, due=opened.due))
            draft.reply(f"state.{state.name}")
            return None
        case SubflowState():
            return subflow.begin(draft, state)
        case FinalState():
            queueing.dropped(draft, "ended")
            draft.reply(f"state.{state.name}")
            failing = subflow.failing_end(draft) if state.failure else None
            draft.record(ConversationEnded(state=state.name, failing=failing))
            return None
        case _:
            assert_never(state)


def _route(draft: Draft, state: RouteState, on: str) -> str | None:
    """Measure the message in hand, or take up the issue that waits first."""
    conversation = draft.conversation
    if on == NEXT_ISSUE and conversation.issues:
        return queueing.taken_up(draft, state)
    held = conversation.held if draft.program.routers[state.router].sticky else None
    draft.effects.append(Route(state.name, state.router, conversation.turn.message, conversation.candidates, held))
    return None


def resume(draft: Draft) -> str | None:
    """Wait again where a digression left, or where a refused move left things as they were."""
    state, visit = draft.state, draft.conversation.visit
    if draft.conversation.pending or visit.timer is not None:
        return None
    if isinstance(state, WaitState):
        _wait(draft, state)
    if isinstance(state, CollectState):
        return forms.resume_form(draft, state)
    return None


def _wait(draft: Draft, state: WaitState) -> None:
    draft.record(TimerSet(state=state.name, due=draft.later(state.deadline_seconds)))


def take_message(draft: Draft, reading: Reading, version: int) -> str | None:
    """What a message means to the present state: an answer to a form, or the outcome `message`."""
    state = draft.state
    if isinstance(state, CollectState):
        return forms.answered(draft, state, reading, version)
    draft.learn(reading.facts, "message", version)
    return "message"


def row_for(draft: Draft, on: str) -> Transition | None:
    """The first row for the trigger, whatever its guard says; None where the flow has none."""
    rows = draft.program.rows_for(draft.conversation.state, on)
    return rows[0][1] if rows else None

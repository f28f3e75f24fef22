"""What holds for every flow and every history, whoever answers what and when."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.commands import SubflowDone
from interlock.contracts.events import (
    AgentRequested,
    CommandRefused,
    MessageTaken,
    TimerSet,
    ToolRequested,
    TransitionRefused,
    TransitionTaken,
)
from interlock.contracts.flow import ANY, RETURN, AgentState, CallState, RouteState
from interlock.contracts.subflow_events import SubflowEnded, SubflowStarted
from interlock.fsm.conversation import Conversation
from interlock.fsm.evolve import evolve, fold
from interlock.fsm.replay import redecide
from support.histories import History, histories
from support.stores import events


@given(histories(), st.data())
def test_replaying_any_prefix_then_the_rest_equals_replaying_all(history: History, data: st.DataObject) -> None:
    """The fold has no memory but the conversation itself."""
    everything = [entry.event for entry in history.entries]
    cut = data.draw(st.integers(0, len(everything)))
    prefix = fold(history.head.stream, everything[:cut])
    assert fold(history.head.stream, everything[cut:], prefix) == fold(history.head.stream, everything)
    assert fold(history.head.stream, everything) == history.conversation


@given(histories())
def test_deciding_again_gives_the_recorded_events_byte_for_byte(history: History) -> None:
    """From the entries alone: no text, no model, no clock."""
    again = redecide(history.program, history.head.stream, history.recorded)
    assert (again.divergences, again.divergence) == (0, None)
    assert again.conversation == history.conversation
    assert again.decisions == len({entry.cause for entry in history.entries})


@given(histories(), st.data())
def test_another_recorded_event_is_named_as_the_first_divergence(history: History, data: st.DataObject) -> None:
    """The control of the law above: a changed record is noticed, at its version."""
    changeable = [n for n, one in enumerate(history.recorded) if isinstance(one.event, TimerSet)]
    if not changeable:
        return
    at = data.draw(st.sampled_from(changeable))
    records = history.recorded
    event = records[at].event
    assert isinstance(event, TimerSet)
    state = event.changed(state=event.state + "x")
    altered = records[at].data.replace(f'"state":"{event.state}"'.encode(), f'"state":"{state.state}"'.encode())
    records[at] = type(records[at])(records[at].envelope, state, altered, records[at].leaf)
    again = redecide(history.program, history.head.stream, records)
    assert again.divergence is not None
    assert again.divergence.version == at


@given(histories())
def test_a_refused_command_moves_nothing(history: History) -> None:
    """State, facts, pending effects and open task are as before; only the refusal is recorded."""
    for step in history.steps:
        if len(step.decision.events) == 1 and isinstance(step.decision.events[0], CommandRefused):
            after = step.decision.conversation
            assert after == step.before.changed(version=step.before.version + 1)
            assert step.decision.effects == ()


@given(histories())
def test_every_move_is_a_row_of_the_flow(history: History) -> None:
    """No state is reached but by a declared row, from its own source, on its own trigger."""
    conversation = Conversation(id=history.head.stream)
    for entry in history.entries:
        before, event = conversation, entry.event
        conversation = evolve(conversation, event)
        if isinstance(event, TransitionTaken):
            row = history.program.flow.transitions[event.row]
            assert (event.source, event.on) == (before.state, row.on)
            assert row.source in (event.source, ANY)
            assert event.target == conversation.state
            assert event.target == (before.frames[-1].state if row.target == RETURN else row.target)
            assert event.verdicts[-1].result in ("holds", "not_reached")
        elif before.status != "new":
            assert conversation.state == before.state


@given(histories())
def test_limits_hold_in_every_reachable_conversation(history: History) -> None:
    """Counted at each event, not only at rest."""
    limits, conversation = history.program.flow.limits, Conversation(id=history.head.stream)
    for entry in history.entries:
        conversation = evolve(conversation, entry.event)
        turn = conversation.turn
        assert turn.agent_calls <= limits.agent_calls
        assert turn.handoffs <= limits.handoffs
        assert all(count <= limits.same_pair for count in turn.pairs.values())
        assert turn.steps <= limits.steps + 1
        assert len(conversation.frames) <= limits.digression_depth
        assert conversation.visit.rounds <= limits.tool_rounds
        if isinstance(entry.event, AgentRequested):
            assert turn.tokens <= limits.turn_tokens
            assert turn.cost <= limits.turn_cost
            assert conversation.tokens <= limits.conversation_tokens
            assert conversation.cost <= limits.conversation_cost


def measures_scope(history: History, after: Conversation) -> bool:
    state = history.program.states[after.state]
    return (
        isinstance(state, AgentState)
        and history.program.agents[state.agent].scope is not None
        and not (after.visit.scoped or after.visit.attempts or after.at_work)
    )


@given(histories())
def test_a_conversation_at_rest_waits_for_something_or_has_ended(history: History) -> None:
    """Nothing hangs: an effect in hand, or a deadline, or the end."""
    for step in history.steps:
        after = step.decision.conversation
        if after.status == "new" or isinstance(history.program.states[after.state], RouteState):
            continue
        if measures_scope(history, after):  # first of all, and asked for again after a restart
            continue
        assert after.status == "ended" or after.pending or after.visit.timer is not None
        if isinstance(history.program.states[after.state], AgentState | CallState) and after.status == "open":
            assert after.at_work  # an effect in hand, or an attempt whose time is set


@given(histories())
def test_no_tool_is_asked_for_outside_its_state(history: History) -> None:
    """`allowed_actions` hold whatever a model proposes."""
    for entry in history.entries:
        if isinstance(entry.event, ToolRequested):
            state = history.program.states[entry.event.state]
            allowed = state.tools if isinstance(state, AgentState) else (getattr(state, "tool", None),)
            assert entry.event.tool in allowed


@given(histories())
def test_a_refused_transition_tells_every_verdict_and_moves_nothing(history: History) -> None:
    """No guard holds in a refusal, and the state stays."""
    conversation = Conversation(id=history.head.stream)
    for entry in history.entries:
        before = conversation
        conversation = evolve(conversation, entry.event)
        if isinstance(entry.event, TransitionRefused):
            assert conversation.state == before.state == entry.event.source
            if entry.event.reason == "guards":
                assert all(verdict.result in ("fails", "error") for verdict in entry.event.verdicts)


@given(histories(most=5), st.lists(events(), max_size=8))
def test_evolve_is_total(history: History, following: list[object]) -> None:
    """Any well-formed event after any history: today's rules do not stand in the way of tomorrow's log."""
    conversation = history.conversation
    for event in following:
        conversation = evolve(conversation, event)  # type: ignore[arg-type]
    assert conversation.version == history.conversation.version + len(following)


@given(histories())
def test_a_child_is_on_the_list_of_its_parent_until_its_end_is_recorded(history: History) -> None:
    """Whatever row is taken meanwhile; only the child of the present state is not marked as left."""
    open_children: set[int] = set()
    conversation = Conversation(id=history.head.stream)
    for version, entry in enumerate(history.entries):
        conversation = evolve(conversation, entry.event)
        if isinstance(entry.event, SubflowStarted):
            open_children.add(version)
        elif isinstance(entry.event, SubflowEnded):
            open_children.remove(entry.event.effect)
        assert set(conversation.children) == open_children
    for step in history.steps:
        after = step.decision.conversation
        present = [one.started.state for one in after.children.values() if not one.left]
        assert present in ([], [after.state])
        assert after.status != "ended" or not present


@given(histories())
def test_no_message_is_lost_between_parent_and_child(history: History) -> None:
    """One that was forwarded and not taken by the child is queued again when the child has ended."""
    for step in history.steps:
        body = step.command.body
        child = step.before.children.get(body.effect) if isinstance(body, SubflowDone) else None
        if child is None or not isinstance(body, SubflowDone):
            continue
        after = step.decision.conversation
        taken = {event.message for event in step.decision.events if isinstance(event, MessageTaken)}
        waiting = {version for version, _ in after.inbox}
        lost = {version for version, _ in child.forwarded if version > body.report.upto} | {*body.report.untaken}
        assert lost <= taken | waiting


@given(histories())
def test_children_stand_no_deeper_than_the_limit(history: History) -> None:
    """Neither this flow's own limit nor that of a flow above is passed."""
    for entry in history.entries:
        if isinstance(entry.event, SubflowStarted):
            parent = history.conversation.parent
            above, most = (parent.depth, parent.most) if parent else (0, entry.event.most)
            assert entry.event.depth == above + 1
            assert entry.event.depth <= min(most, above + history.program.flow.limits.subflow_depth)

"""What another flow would have done: laws over random histories, every pattern, and real routers."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.errors import FlowError
from interlock.contracts.events import MessageReceived, RoutingDecided, TransitionTaken
from interlock.contracts.flow import RETURN, Flow, RouterSpec
from interlock.contracts.payload import PayloadAt
from interlock.contracts.routing import RoutingEvidence, RuleSpec
from interlock.contracts.values import fixed
from interlock.fsm.backtest import Backtested, backtest
from interlock.fsm.conversation import Conversation
from interlock.fsm.evolve import evolve
from interlock.fsm.policies.make import policy
from interlock.fsm.program import Program, compiled
from interlock.fsm.replay import decisions_in
from interlock.fsm.route import choose, evidence
from interlock.fsm.unopened import Unopened
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service import remeasuring
from interlock.service.clock import ManualClock
from interlock.service.loading import recorded
from interlock.service.migrating import moved
from interlock.service.project import load_project
from interlock.service.remeasuring import Changes, Remeasured
from interlock.service.runtime import Runtime
from support.backtests import stored_through, through
from support.histories import History, histories
from support.patterns import NAMES, conversation_of, project
from support.plays import STREAM, Play, played, plays
from support.policed import policed
from support.runtime import mini


@given(histories())
def test_the_same_flow_gives_the_same_turns(history: History) -> None:
    """Whatever happened: nothing moves, nothing is asked, nothing costs another sum, and no text is read."""
    found = through(history.program, history)
    assert found.different == ()
    assert found.decisions == len({entry.cause for entry in history.entries})


@st.composite
def changed_row(draw: st.DrawFn, flow: Flow) -> tuple[int, Flow]:
    """The flow with one row that leads to another state, and which row that is."""
    rows = [n for n, row in enumerate(flow.transitions) if row.target != RETURN and not row.push]
    assume(rows)
    index = draw(st.sampled_from(rows))
    row = flow.transitions[index]
    others = sorted({state.name for state in flow.states} - {row.target})
    assume(others)
    changed = list(flow.transitions)
    changed[index] = row.changed(target=draw(st.sampled_from(others)))
    return index, flow.changed(transitions=tuple(changed))


@given(histories(), st.data())
def test_a_row_that_leads_elsewhere_moves_exactly_the_turns_that_took_it(history: History, data: st.DataObject) -> None:
    """Each other turn is the same; each of these goes elsewhere at that row, unless it is refused or limited before."""
    index, flow = data.draw(changed_row(history.program.flow))
    try:
        program = compiled(flow, history.program.code)
    except FlowError:
        assume(False)
    found = {turn.version: turn for turn in through(program, history).different if turn.verdict != "same"}
    took = turns_with(history, index)
    assert found.keys() == took.keys()
    row, was = flow.transitions[index], history.program.flow.transitions[index]
    for version, turn in found.items():
        if turn.verdict == "rerouted" and turn.by == "state" and took[version] == 0:
            assert (turn.was, turn.now) == (was.target, row.target)


def turns_with(history: History, row: int) -> dict[int, int]:
    """The turns (by the version of their first event) in which the row was taken, and as which move of the turn."""
    found: dict[int, int] = {}
    inner = {"routed", "agent_ended", "tool_ended", "subflow_said", "subflow_done"}
    first = moves = 0
    for step in history.steps:
        if not step.decision.events:
            continue
        if step.command.body.kind not in inner or not step.before.version:
            first, moves = step.before.version, 0
        for event in step.decision.events:
            if isinstance(event, TransitionTaken):
                if event.row == row:
                    found.setdefault(first, moves)
                moves += 1
    return found


@pytest.mark.parametrize("name", NAMES)
async def test_every_pattern_is_the_same_through_itself(name: str) -> None:
    """Agents, tools, children and broadcasts: what was recorded answers everything that is asked."""
    pattern, store = project(name), MemoryStore()
    assert pattern.scripted
    async with Runtime(store, pattern.program, pattern.scripted()) as runtime:
        outcome = await runtime.start()
        for text in conversation_of(name):
            await runtime.say(outcome.conversation, text)
    program = pattern.program
    for stream in store.streams():
        summary = store.summary(stream)
        if summary is not None and summary.flow_digest == program.ref.digest:
            found = stored_through(program, program.flow, store, stream, texts=False)
            assert found.different == ()
            assert found.turns >= 2


# -- real routers -----------------------------------------------------------------------------------------

UTTERANCES = (
    "I lost my card", "where is my transfer", "hello there", "money back please", "my card is broken and late",
    "what is the exchange rate", "I did not make this payment", "card", "asdf", "can you dispute the 20 euros",
    "close my account", "why was I charged twice",
)  # fmt: skip


class Said:
    """Conversations with the bank: every message several times, and in another order."""

    def __init__(self, program: Program, store: MemoryStore) -> None:
        self.program, self.store = program, store


@pytest.fixture(scope="module")
def said() -> Said:
    return asyncio.run(_said())


async def _said() -> Said:
    bank, store = load_project("bank"), MemoryStore()
    assert bank.scripted
    async with Runtime(store, bank.program, bank.scripted()) as runtime:
        for start in range(len(UTTERANCES)):
            outcome = await runtime.start()
            for text in (*UTTERANCES[start:], *UTTERANCES[:start])[:5]:
                outcome = await runtime.say(outcome.conversation, text)
    return Said(bank.program, store)


def with_threshold(program: Program, threshold: float) -> Program:
    (router,) = program.flow.routers
    changed = program.flow.changed(routers=(router.changed(threshold=fixed(threshold)),))
    return compiled(changed, program.code)


def turn_of(store: MemoryStore, stream: str) -> dict[int, int]:
    """The first version of the turn that each event is of."""
    first, found = 0, {}
    for group in decisions_in(recorded(store.read(stream))):
        if group[0].event.type not in ("routing_decided", "agent_returned", "tool_returned"):
            first = group[0].envelope.ver
        found.update({one.envelope.ver: first for one in group})
    return found


@settings(deadline=None)
@given(threshold=st.integers(0, 1_000).map(lambda number: number / 1_000))
def test_a_threshold_moves_exactly_the_turns_that_the_classifier_says(said: Said, threshold: float) -> None:
    """Compared with the classifier on the texts, turn by turn, with the label that it was and that it is."""
    program, store = said.program, said.store
    changed = with_threshold(program, threshold)
    (before,), (after,) = program.flow.routers, changed.flow.routers
    classifier = program.code.classifiers[before.classifier or ""]
    for stream in store.streams():
        texts, turns = store.payloads(stream), turn_of(store, stream)
        expected, digressing = {}, set[int]()
        for version, one in enumerate(recorded(store.read(stream))):
            if isinstance(one.event, MessageReceived) and (measured := one.event.reading.digression) is not None:
                was, now = (choose(spec, measured).outcome for spec in (before, after))
                if was != now:
                    digressing.add(turns[version])
            if not isinstance(one.event, RoutingDecided) or one.event.evidence.queued or one.event.evidence.picked:
                continue  # what waits, and what the customer picked, is not the classifier's to say
            text = texts[PayloadAt(version=one.event.message, name="message")].text
            was, now = (choose(spec, evidence(spec, text, classifier=classifier)).outcome for spec in (before, after))
            assert was == one.event.decision.outcome
            if was != now:
                # Within a form an unclear message is an answer, and no digression: nothing is routed then.
                expected[turns[version]] = (was, "nothing" if turns[version] in digressing else now)
        found = stored_through(changed, program.flow, store, stream, texts=False)
        moved = {turn.version: (turn.was, turn.now) for turn in found.different if turn.by == "label"}
        new = {version for version in moved.keys() - expected.keys() if moved[version][0] == "nothing"}
        assert new <= digressing
        assert {version: moved[version] for version in moved.keys() - new} == expected
        assert all(turn.verdict == "same" for turn in found.different if turn.version not in moved)


def test_texts_that_are_measured_again_are_measured_once(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest are remembered, so many and no more; what is found is the same as without."""
    (router,) = said.program.flow.routers
    rules = (*router.rules, RuleSpec(label="transfer", any=("hello",)))
    changed = compiled(said.program.flow.changed(routers=(router.changed(rules=rules),)), said.program.code)
    counted: list[tuple[Any, ...]] = []

    def counting(spec: RouterSpec, text: str, **rest: Any) -> RoutingEvidence:
        counted.append((text, rest["candidates"], rest["held"]))
        return evidence(spec, text, **rest)

    monkeypatch.setattr(remeasuring, "evidence", counting)
    found = {}
    for remembered in (remeasuring.REMEMBERED_TEXTS, 2, 0):
        monkeypatch.setattr(remeasuring, "REMEMBERED_TEXTS", remembered)
        counted.clear()
        changes, found[remembered] = Changes(said.program.flow, changed), list[Backtested]()
        for stream in said.store.streams():
            entries = [Unopened(row.data) for row in said.store.read(stream)]
            sources = Remeasured(changes, entries, partial(said.store.payloads, stream))
            found[remembered].append(backtest(changed, stream, entries, sources))
        assert (len(counted) == len(set(counted))) == (remembered > len(UTTERANCES))
    first, *others = found.values()
    assert all(other == first for other in others)
    assert any(turn.now == "transfer" for one in first for turn in one.different if turn.by == "label")


def test_no_text_is_read_where_only_the_router_changed_and_no_form_asked(said: Said) -> None:
    """Another rule of the router changes what is routed, not what is read for facts: those texts are not needed."""
    (router,) = said.program.flow.routers
    more = router.changed(rules=(*router.rules, RuleSpec(label="transfer", any=("zebra",))))
    changed = compiled(said.program.flow.changed(routers=(more,)), said.program.code)
    changes = Changes(said.program.flow, changed)
    asked = read = 0
    for stream in said.store.streams():
        conversation = Conversation(id=stream)
        sources = Remeasured(changes, [Unopened(row.data) for row in said.store.read(stream)], dict)
        for one in recorded(said.store.read(stream)):
            if isinstance(one.event, MessageReceived) and one.event.disposition != "refused":
                asking = conversation.visit.question is not None
                found = sources.reading(one.event, conversation)
                assert found == (None if asking else one.event.reading)
                asked, read = asked + asking, read + (not asking)
            conversation = evolve(conversation, one.event)
    assert asked
    assert read


# -- conversations that were moved to another version -------------------------------------------------------

MOVED_AT = datetime(2026, 1, 6, 9, 0, tzinfo=UTC)


def version_two(*, also_help: str = "") -> Program:
    """The small flow's next version; another word may be a wish for help there."""
    found = mini(version=2)
    if not also_help:
        return found
    (router,) = found.flow.routers
    rules = (*router.rules, RuleSpec(label="help", any=(also_help,)))
    return compiled(found.flow.changed(routers=(router.changed(rules=rules),)), found.code)


@given(plays(most=6).filter(lambda play: play.flow == "mini"))
def test_a_moved_conversation_is_the_same_through_both_of_its_versions(play: Play) -> None:
    """From wherever it stands: the move is no turn, and what went before and what comes after is as it was."""
    store, (program,) = asyncio.run(played(play))
    target = version_two()
    before = stored_through(program, program.flow, store, STREAM, texts=False)
    (made,) = moved(store, [STREAM], target, {}, at=MOVED_AT, source="tests")
    assume(made.possible)
    for through_it in (program, target):
        found = stored_through(through_it, program.flow, store, STREAM, texts=False)
        assert {turn.verdict for turn in found.different} <= {"same"}
        assert (found.turns, found.decisions, found.paid) == (before.turns, before.decisions, before.paid)
        assert (found.broke, found.breaks) == ((), ())


async def test_what_a_later_version_measured_is_not_measured_again() -> None:
    """The message before the move was read by other rules, and its text is needed; the one after it was not."""
    store, (program,) = await played(Play("mini", (("say", "help"),), ("done",), "well"))
    target = version_two(also_help="assist")
    (made,) = moved(store, [STREAM], target, {}, at=MOVED_AT, source="tests")
    assert made.possible
    agent = ScriptedAgent(lambda _: gives(reply="Here you are."))
    async with Runtime(store, target, agent, clock=ManualClock(MOVED_AT), presence=OnlyProcess()) as runtime:
        assert (await runtime.say(STREAM, "assist me")).replies[0] == "Here you are."
    found = stored_through(target, program.flow, store, STREAM, texts=False)
    assert found.turns == 3, "the start, and a message under each version"
    assert [turn.verdict for turn in found.different if turn.verdict != "same"] == ["unknown"]
    with_texts = stored_through(target, program.flow, store, STREAM)
    assert {turn.verdict for turn in with_texts.different} <= {"same"}
    through_one = [turn for turn in stored_through(program, program.flow, store, STREAM).different if turn.by]
    assert [(turn.was, turn.now) for turn in through_one] == [("help", "unsure")]


async def test_policies_are_watched_over_a_move() -> None:
    """From the beginning of the conversation on, by the flow that is tried: the move does not set them back."""
    store, (program,) = await played(Play("mini", (("say", "help"), ("say", "help")), ("done",), "well"))
    target = version_two()
    (made,) = moved(store, [STREAM], target, {}, at=MOVED_AT, source="tests")
    assert made.possible
    agent = ScriptedAgent(lambda _: gives(reply="Here you are."))
    async with Runtime(store, target, agent, clock=ManualClock(MOVED_AT), presence=OnlyProcess()) as runtime:
        await runtime.say(STREAM, "help")
    for most, broken in ((1, 1), (2, 1), (3, 0)):
        rule = policy("few", "The helper helps a few times.", at_most={"helper": most})
        tried = compiled(policed(target.flow, (rule,), "desk"), target.code)
        found = stored_through(tried, program.flow, store, STREAM)
        assert found.broke == ("rule_0",) * broken

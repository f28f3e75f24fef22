"""Moving to another version of the flow: a recorded event, what it does is what a dry run says, and nothing else."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.errors import CallError, FlowError
from interlock.contracts.events import FactForgotten, FlowChanged, ReplySent
from interlock.contracts.store import Store
from interlock.fsm.evolve import fold
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.fsm.replay import redecide
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.auditing import projection_of
from interlock.service.clock import ManualClock
from interlock.service.loading import recorded
from interlock.service.migrating import Move, moved, planned, wanted
from interlock.service.recorded import rerun
from interlock.service.runtime import Runtime
from support.plays import STREAM, Play, played, plays
from support.runtime import CLERK, MINI, Bank, code_with, mini, path_of

NOW = datetime(2026, 1, 6, 9, 0, tzinfo=UTC)
NEXT = mini(version=2)


def move(store: Store, program: Program, renamed: dict[str, str] | None = None) -> Move:
    (one,) = moved(store, [STREAM], program, renamed or {}, at=NOW, source="tests")
    return one


def stored(store: Store, stream: str = STREAM) -> list[bytes]:
    return [entry.data for entry in store.read(stream)]


async def at(*steps: tuple[str, object]) -> MemoryStore:
    store, _ = await played(Play("mini", steps, ("done",), "well"))
    return store


def other(text: str, by: str) -> Program:
    """The small flow in its next version, with a piece of it written otherwise (a regular expression)."""
    code = code_with(Bank())
    whole = MINI.format(
        limits="{turn_seconds: 5m}", version=2, attempts=2, timeout="10s", input_tokens=10_000, limit_goes_to="desk",
        digressions="triage",
    )  # fmt: skip
    assert re.search(text, whole)
    return compiled(read_flow(re.sub(text, by, whole), code).flow, code)


RENAMED_STATE = other(r"\bmore\b", "anything")


@given(plays(most=6).filter(lambda play: play.flow == "mini"), st.booleans())
def test_a_move_is_what_its_dry_run_says_or_leaves_the_log_alone(play: Play, renames: bool) -> None:
    """From wherever a conversation stands; a moved one is decided again without a difference, by the flow of each
    stretch, and its counters are what they were."""
    store, (program,) = asyncio.run(played(play))
    target = RENAMED_STATE if renames else NEXT
    renamed = {"more": "anything"} if renames else {}
    before, summary = stored(store), store.summary(STREAM)
    dry = planned(store, STREAM, target, renamed, at=NOW)
    assert stored(store) == before, "a dry run records nothing"
    made = move(store, target, renamed)
    assert (made.entries, made.obstacles, made.forgotten) == (dry.entries, dry.obstacles, dry.forgotten)
    if not made.possible:
        assert stored(store) == before
        assert store.summary(STREAM) == summary
        return
    assert stored(store) == before + [entry.data for entry in made.entries]
    entries = recorded(store.read(STREAM))
    again = redecide({program.ref.digest: program, target.ref.digest: target}, STREAM, entries)
    assert (again.divergences, again.conversation.flow) == (0, target.ref)
    was = fold(STREAM, (one.event for one in entries[: len(before)]))
    now = again.conversation
    counted = ("agent_calls", "tokens", "cost", "handoffs", "tool_calls", "steps", "number")
    assert [getattr(was.turn, name) for name in counted] == [getattr(now.turn, name) for name in counted]
    assert (was.tokens, was.cost, was.received, was.timers) == (now.tokens, now.cost, now.received, now.timers)
    found = store.summary(STREAM)
    assert found is not None
    assert found.flow_digest == target.ref.digest
    assert projection_of(store.read(STREAM)).flow_digest == target.ref.digest
    assert planned(store, STREAM, target, renamed, at=NOW).obstacles == ("it runs on this flow already",)


async def test_a_moved_conversation_goes_on_under_the_new_flow() -> None:
    """Its next message is routed by the new rows; what was said before still reads as it was said."""
    store = await at(("say", "help"))
    new = other(r'say: "Anything else\?"', 'say: "What else?"')
    made = move(store, new)
    assert made.possible
    agent = ScriptedAgent(lambda _: gives(reply="Helped."))
    async with Runtime(store, new, agent, clock=ManualClock(NOW), presence=OnlyProcess()) as runtime:
        outcome = await runtime.say(STREAM, "help")
        assert outcome.replies == ("Helped.", "What else?")
        (asked,) = agent.requests
        said = [one.content for one in asked.messages]
        assert "Anything else?" in said, "the old flow's words, not the new one's"
        assert "What else?" not in said
        assert (await runtime.say(STREAM, "bye")).standing == "ended"
    assert path_of(store, STREAM)[-1] == "bye>bye"


async def test_a_process_without_the_new_flow_says_so() -> None:
    store = await at(("say", "help"))
    move(store, NEXT)
    async with Runtime(store, mini(), ScriptedAgent([]), presence=OnlyProcess()) as runtime:
        with pytest.raises(FlowError, match=f"pinned to flow digest {NEXT.ref.digest[:12]}, which is not loaded"):
            await runtime.say(STREAM, "help")


async def test_deciding_again_needs_the_flow_of_each_stretch() -> None:
    store = await at(("say", "help"))
    length = len(store.read(STREAM))
    move(store, NEXT)
    with pytest.raises(FlowError, match=f"From event {length} on it ran on the flow {NEXT.ref.digest[:12]}"):
        redecide({mini().ref.digest: mini()}, STREAM, recorded(store.read(STREAM)))


async def test_a_moved_log_runs_again_byte_for_byte() -> None:
    store = await at(("say", "help"))
    move(store, NEXT)
    target = MemoryStore(origin=store.log)
    ran = await asyncio.wait_for(rerun(store, target, [mini(), NEXT]), 30)
    assert ran.same
    assert stored(target) == stored(store)


async def test_an_open_task_moves_with_its_people() -> None:
    """The same task, decided under the new flow."""
    store = await at(("say", "person"))
    assert move(store, NEXT).possible
    async with Runtime(store, NEXT, ScriptedAgent([]), clock=ManualClock(NOW), presence=OnlyProcess()) as runtime:
        task = (await runtime.outcome(STREAM)).task
        assert task is not None
        outcome = await runtime.decide_task(STREAM, task.number, "close", actor=CLERK)
        assert outcome.standing == "ended"


@pytest.mark.parametrize(
    ("steps", "text", "by", "why"),
    [
        ((("say", "bye"),), "owner: tests", "owner: others", "it has ended"),
        (
            (("say", "person"),),
            r"decisions: \[resolved, close\]",
            "decisions: [close, resolved]",
            "the open task of 'desk' is for another role there, or shows or asks something else",
        ),
        (
            (("say", "form"),),
            r"facts: \[city, amount\], attempts",
            "facts: [amount], attempts",
            "the form 'form' there does not ask for city, which was just asked",
        ),
        ((("say", "help"),), "flow: mini", "flow: maxi", "it is a conversation of the flow 'mini', not of 'maxi'"),
        (
            (("say", "help"),),
            "owner: tests",
            "owner: tests\ncurrency: USD",
            "its amounts and costs are in EUR, and in USD there",
        ),
    ],
)
async def test_why_one_cannot_move(steps: Sequence[tuple[str, object]], text: str, by: str, why: str) -> None:
    """Each obstacle is a sentence; the log is untouched."""
    store = await at(*steps)
    before = stored(store)
    assert move(store, other(text, by)).obstacles == (why,)
    assert stored(store) == before


async def test_states_that_are_gone_need_a_map() -> None:
    store = await at(("say", "help"))
    assert move(store, RENAMED_STATE).obstacles == ("there is no state 'more' there: map 'more' to another",)
    assert move(store, RENAMED_STATE, {"more": "form"}).obstacles == (
        "'form' is a collect state there, and 'more' a wait here",
    )
    made = move(store, RENAMED_STATE, {"more": "anything"})
    assert (made.possible, made.target) == (True, "anything")
    (event,) = [one.event for one in recorded(store.read(STREAM)) if isinstance(one.event, FlowChanged)]
    assert (event.state, event.before.version, event.flow.version) == ("anything", 1, 2)
    with pytest.raises(CallError, match=r"The flow 'mini' v2 has no state 'elsewhere'\."):
        move(store, RENAMED_STATE, {"more": "elsewhere"})


async def test_facts_that_the_new_flow_does_not_have_are_forgotten() -> None:
    """On the record, and named by the dry run."""
    store = await at(("say", "pay 12.50 EUR"))
    new = other('minimum: "0.01", maximum: "9000.00"', 'minimum: "20.00", maximum: "9000.00"')
    made = move(store, new)
    assert made.forgotten == ("amount",)
    events = [one.event for one in recorded(store.read(STREAM))]
    assert [one.name for one in events if isinstance(one, FactForgotten)][-1:] == ["amount"]
    assert not isinstance(events[-1], ReplySent), "nobody is told anything by a move"


async def test_all_open_conversations_of_other_versions_are_found() -> None:
    store = await at(("say", "help"))
    assert [one.stream for one in wanted(store, NEXT)] == [STREAM]
    assert wanted(store, mini()) == []
    move(store, NEXT)
    assert wanted(store, NEXT) == []


POLICIES = """
policies:
  asked_before_paid:
    says: Nobody pays before they wrote something.
    never: tool:pay
    unless_before: message
  paid_before_more:
    says: There is no more before a payment.
    never: enter:{more}
    unless_before: tool:pay
"""


@pytest.mark.parametrize("renamed", [False, True])
async def test_policies_of_the_new_flow_count_what_was_recorded_before(renamed: bool) -> None:
    """One that is broken by it already keeps the conversation where it is, whatever the state was called then."""
    more = "anything" if renamed else "more"
    maps = {"more": "anything"} if renamed else {}
    whole = POLICIES.format(more=more)
    new = other(r"\bmore\b", more) if renamed else NEXT
    watched = with_policies(new, whole)
    helped, paid = await at(("say", "help")), await at(("say", "pay 12.50"))
    assert move(helped, watched, maps).obstacles == ("what is recorded breaks policies there: 'paid_before_more'",)
    made = move(paid, watched, maps)
    assert made.possible
    entries = recorded(paid.read(STREAM))
    again = redecide({mini().ref.digest: mini(), watched.ref.digest: watched}, STREAM, entries)
    assert again.divergences == 0
    assert [one.name for one in again.conversation.watches] == ["asked_before_paid", "paid_before_more"]
    whole_history = fold(STREAM, (one.event for one in entries))
    assert len(whole_history.watched) == 2


def with_policies(program: Program, policies: str) -> Program:
    code = code_with(Bank())
    text = MINI.format(
        limits="{turn_seconds: 5m}", version=2, attempts=2, timeout="10s", input_tokens=10_000, limit_goes_to="desk",
        digressions="triage",
    )  # fmt: skip
    if "anything" in program.states:
        text = re.sub(r"\bmore\b", "anything", text)
    text = text.replace("\nfacts:\n", f"{policies}\nfacts:\n", 1) + "  - [any, policy, otherwise, desk, P-9]\n"
    return compiled(read_flow(text, code).flow, code)

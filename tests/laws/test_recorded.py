"""Recorded answers by position: a log runs again through the real runtime and comes out the same, byte for byte."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from interlock.cli.main import app
from interlock.contracts.agents import AgentRequest
from interlock.contracts.commands import AgentEnded, AgentReport, CommandBody
from interlock.contracts.errors import CallError
from interlock.contracts.events import AgentRequested, AgentReturned, ToolRequested, ToolReturned
from interlock.contracts.store import Store
from interlock.fsm.program import Program, with_children
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from interlock.service.loading import recorded
from interlock.service.project import load_project
from interlock.service.recorded import Answered, Recordings, Rerun, Unfit, recordings, rerun
from support.patterns import NAMES, Died, DyingStore, conversation_of, playing, programs_of
from support.plays import Play, played, plays

LEFT = Play(
    "desk", (("say", "help"), ("operator", "operator_human"), ("say", "help")), answers=("broken",), tools="odd"
)
"""The parent leaves its child, whose work then ends before the parent's."""


def same(one: Store, other: Store) -> bool:
    """Entries, texts with their random bytes, and projections but for the owner."""
    streams = one.streams()
    return all(
        [entry.data for entry in one.read(stream)] == [entry.data for entry in other.read(stream)]
        and one.payloads(stream) == other.payloads(stream)
        for stream in streams
    ) and sorted(streams) == sorted(other.streams())


def programs(all_of: Sequence[Program]) -> list[Program]:
    """Of a family, the one at the top: the others come with it."""
    below = {one.ref.digest for program in all_of for one in list(with_children([program]))[1:]}
    return [one for one in all_of if one.ref.digest not in below]


async def again(source: Store, all_of: Sequence[Program], target: Store | None = None) -> tuple[bool, Store]:
    target = target or MemoryStore(origin=source.log)
    ran = await asyncio.wait_for(rerun(source, target, programs(all_of)), 60)
    return ran.same, target


@given(plays())
def test_a_recorded_log_runs_again_byte_for_byte(play: Play) -> None:
    """Whatever people, agents, tools, operators and the clock did: the same answers make the same log."""

    async def law() -> None:
        store, all_of = await played(play)
        held, target = await again(store, all_of)
        assert held
        assert same(store, target)
        assert verify(target).ok

    asyncio.run(law())


@example(LEFT, 4)
@given(plays(most=5), st.integers(0, 40))
def test_cut_after_any_commit_and_resumed_it_is_the_same_log(play: Play, appends: int) -> None:
    """The process dies after so many appends; another one goes on from what stands there."""

    async def law() -> None:
        store, all_of = await played(play)
        kept = MemoryStore(origin=store.log)
        with suppress(Died):
            await again(store, all_of, DyingStore(kept, appends))
        held, target = await again(store, all_of, kept)
        assert held
        assert same(store, target)

    asyncio.run(law())


@pytest.mark.parametrize("name", NAMES)
async def test_every_pattern_runs_again_byte_for_byte(name: str) -> None:
    """All examples, with their children and their broadcasts."""
    store = MemoryStore(origin="patterns")
    async with playing(name, store=store) as play:
        for text in conversation_of(name):
            await play.say(text)
            if play.outcome.task is not None:
                await play.decide(play.outcome.task.decisions[0])
            if play.outcome.standing == "ended":
                break
    held, target = await again(store, programs_of(play.program))
    assert held
    assert same(store, target)


async def test_the_banks_customers_run_again_byte_for_byte(tmp_path: Path) -> None:
    """All of the demo: slips, retries, people, deadlines, a storm of handoffs."""
    path = tmp_path / "demo.db"
    done = await asyncio.to_thread(CliRunner().invoke, app, ["demo", "--db", str(path), "--json"])
    assert done.exit_code == 0, done.output
    store = SqliteStore(path)
    try:
        held, target = await again(store, [load_project("bank").program])
        assert held
        assert same(store, target)
        assert len(store.streams()) == 14
    finally:
        store.close()


async def _one_answered() -> tuple[MemoryStore, tuple[Program, ...], int]:
    """A log, its programs, and the version of the first agent's answer in it."""
    play = Play("mini", (("say", "help"), ("say", "help"), ("say", "bye")), ("done",), "well")
    store, all_of = await played(play)
    (stream,) = store.streams()
    first = next(at for at, one in enumerate(recorded(store.read(stream))) if isinstance(one.event, AgentReturned))
    return store, all_of, first


async def test_one_changed_reply_is_named_as_the_first_difference() -> None:
    """The control of both laws above: another answer is another log, from that event on."""
    store, all_of, first = await _one_answered()
    (stream,) = store.streams()
    event = recorded(store.read(stream))[first].event
    assert isinstance(event, AgentReturned)
    other: CommandBody = AgentEnded(effect=event.effect, report=AgentReport(outcome="unsure"))
    ran = await rerun(store, MemoryStore(origin=store.log), programs(all_of), changed={(stream, first): (other, ())})
    (difference,) = ran.differences
    assert difference.version == first
    assert '"outcome":"done"' in difference.recorded
    assert '"outcome":"unsure"' in difference.decided


async def test_no_agent_is_called_and_no_tool_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody to call: the runtime's own agent refuses, and its performer is never asked."""
    store, all_of, _ = await _one_answered()

    def never(*_: object) -> None:
        raise AssertionError("a live call")

    monkeypatch.setattr("interlock.service.perform.Performer.call_agent", never)
    monkeypatch.setattr("interlock.service.perform.Performer.run_tool", never)
    held, _target = await again(store, all_of)
    assert held
    runtime = Rerun(store, MemoryStore(origin=store.log), programs(all_of))
    with pytest.raises(CallError, match="Nothing was recorded for effect"):
        await runtime.performer.agent_for("helper").run(_request())


def _request() -> AgentRequest:
    return AgentRequest(effect="x:1", agent="helper", model="", messages=())


async def test_a_target_of_another_origin_is_refused() -> None:
    store, all_of, _ = await _one_answered()
    with pytest.raises(CallError, match="is not of the origin 'log-of-plays': no entry could be the same"):
        await rerun(store, MemoryStore(origin="elsewhere"), programs(all_of))


# -- by what is asked ----------------------------------------------------------------------------------


def _found(store: Store, all_of: Sequence[Program], stream: str) -> Recordings:
    entries = recorded(store.read(stream))
    known = {one.ref.digest: one for one in all_of}
    return recordings(known[entries[0].envelope.flow], stream, entries)


@given(plays())
def test_every_recorded_question_has_its_own_answer(play: Play) -> None:
    """At its own position each intent finds the answer that the log records for it."""
    store, all_of = asyncio.run(played(play))
    for stream in store.streams():
        entries = recorded(store.read(stream))
        found = _found(store, all_of, stream)
        assert sorted(found.answered) == [
            at for at, one in enumerate(entries) if isinstance(one.event, AgentRequested | ToolRequested)
        ]
        for at, one in found.answered.items():
            answer = found.answer(one.question, at)
            if one.returned is None:
                assert isinstance(answer, Unfit)
            else:
                assert isinstance(answer, Answered)
                event = entries[one.returned].event
                assert isinstance(event, AgentReturned | ToolReturned)
                assert (answer.version, answer.answer, event.effect) == (at, event, at)


async def test_an_answer_that_does_not_apply_says_why() -> None:
    """Another history, another agent, and no answer left are three different sentences."""
    store, all_of, _ = await _one_answered()
    (stream,) = store.streams()
    found = _found(store, all_of, stream)
    first, second = sorted(found.answered)
    question = found.answered[first].question
    assert isinstance(found.answer(question), Answered)
    unfit = found.answer(question)
    assert isinstance(unfit, Unfit)
    assert str(unfit) == f"agent 'helper' is asked with another history and other facts than at event {second}"
    other = found.answered[first].question.__class__("agent", "nobody", question.parts)
    assert str(found.answer(other)) == "agent 'nobody' is asked, and was not asked in the recording"
    assert isinstance(found.answer(question, first), Answered), "its own position gives it as often as it is asked"

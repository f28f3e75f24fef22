"""Every pattern, with every one of its agents in every kind of trouble, and with a crash after every commit.

Whatever happens, the conversation stands where somebody will move it, the log verifies and decides the
same again (`playing` proves both), and what happened is on the record.
"""

from contextlib import suppress

import pytest

from interlock.agents.scripted import Answer, Script, fails
from interlock.contracts.agents import AgentReply, AgentRequest, ToolCall
from interlock.contracts.events import AgentRequested, AgentReturned, ToolRequested
from interlock.contracts.flow import BroadcastState
from interlock.contracts.limits import Usage
from interlock.contracts.store import Store
from interlock.fsm.program import Program
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.patterns import NAMES, Died, DyingStore, conversation_of, playing, programs_of, project, scripted
from support.runtime import check_log, events_of, path_of


def crashes(_: AgentRequest) -> Answer:
    raise RuntimeError("the adapter fell over")


TROUBLES: dict[str, tuple[Answer | Script, set[str]]] = {
    "hangs": (fails("timeout", kind="timeout"), {"timeout"}),
    "crashes": (crashes, {"failed"}),
    "garbage": ('{"this": [is not', {"invalid", "done"}),
    "rate_limited": (fails("rate_limited", retry_after_seconds=2), {"failed"}),
    "refuses": (AgentReply(refused=True, text="no"), {"refused"}),
    "forbidden_tool": (AgentReply(tool_calls=(ToolCall("c", "format_disk", "{}"),)), {"done", "invalid"}),
    "too_long": (
        AgentReply(text="x" * 300_000, usage=Usage(input_tokens=9, output_tokens=90_000)),
        {"invalid", "done"},
    ),
}
AGENTS = [(name, agent.name) for name in NAMES for agent in project(name).program.flow.agents]


@pytest.mark.parametrize(("name", "agent"), AGENTS)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_an_agent_in_trouble_is_an_outcome(name: str, agent: str, trouble: str) -> None:
    answer, outcomes = TROUBLES[trouble]
    async with playing(name, {agent: answer}) as play:
        for text in conversation_of(name):
            outcome = await play.say(text)
            assert outcome.standing in ("waiting", "with_person", "ended"), outcome
        asked = {at for at, one in enumerate(play.events) if isinstance(one, AgentRequested) and one.agent == agent}
        # A member that is not waited for any more may still be at it: the provider asked it to wait.
        await play.until(lambda: asked <= {one.effect for one in play.of(AgentReturned)})
        ended = [one for one in play.of(AgentReturned) if one.effect in asked]
        sorts = agent in {router.agent for router in play.program.flow.routers}
        assert {one.report.outcome for one in ended} <= outcomes | ({"invalid"} if sorts else set())


@pytest.mark.parametrize("name", NAMES)
async def test_the_example_conversation_goes_as_it_should(name: str) -> None:
    """The control: without trouble nothing fails, and nobody waits for a model."""
    async with playing(name) as play:
        await play.say(*conversation_of(name))
        assert {one.report.outcome for one in play.of(AgentReturned)} <= {"done", "unsure", "refused"}
        assert play.outcome.standing in ("waiting", "with_person", "ended")


async def _talk(runtime: Runtime, name: str, conversation: str) -> None:
    flow = project(name).program.flow.name
    await runtime.start(flow, conversation=conversation, key="start")
    for number, text in enumerate(conversation_of(name)):
        await runtime.say(conversation, text, key=f"m{number}")


def _state(store: Store) -> str:
    summary = store.summary("conversation")
    assert summary is not None
    return summary.state


def _answers_late(program: Program) -> bool:
    """Whether the order in which members answer is part of what happens."""
    return any(isinstance(state, BroadcastState) and state.quorum for state in program.flow.states)


@pytest.mark.parametrize("name", NAMES)
async def test_a_crash_after_any_commit_loses_nothing_and_doubles_nothing(name: str) -> None:
    """The process dies after each of its commits in turn; another takes over, and the callers try again."""
    found = project(name)
    program, clock = found.program, ManualClock()
    reference = DyingStore(MemoryStore(), 10_000)
    async with Runtime(reference, program, scripted(found, {}), clock=clock, presence=OnlyProcess()) as runtime:
        await _talk(runtime, name, "conversation")
    whole = events_of(reference.store, "conversation")
    assert reference.done > 2
    for commits in range(reference.done):
        store = MemoryStore()
        dying = DyingStore(store, commits)
        with suppress(Died):
            async with Runtime(dying, program, scripted(found, {}), clock=clock, presence=OnlyProcess()) as runtime:
                await _talk(runtime, name, "conversation")
        async with Runtime(store, program, scripted(found, {}), clock=clock, presence=OnlyProcess()) as runtime:
            assert await runtime.recover() == ()
            await _talk(runtime, name, "conversation")
        again = events_of(store, "conversation")
        assert _state(store) == _state(reference.store), f"after {commits} commits"
        if not _answers_late(program):
            assert again[-1] == whole[-1], f"after {commits} commits"
            assert path_of(store, "conversation") == path_of(reference.store, "conversation"), f"after {commits}"
            assert [type(one) for one in again] == [type(one) for one in whole], f"after {commits} commits"
        assert [one.tool for one in again if isinstance(one, ToolRequested)] == [
            one.tool for one in whole if isinstance(one, ToolRequested)
        ]
        check_log(store, programs_of(program))

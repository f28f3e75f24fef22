"""Outcomes that do not fit an entry of the log: recorded as failed, once, with what they cost."""

from typing import Any

import pytest
from pydantic import create_model

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentReply, AgentResult
from interlock.contracts.commands import CommandBody
from interlock.contracts.errors import NotEncodable
from interlock.contracts.events import AgentRequested, AgentReturned, ToolReturned
from interlock.contracts.limits import Usage
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.service import loop
from interlock.service.runtime import Runtime
from support.runtime import check_log, of_type, path_of

MOST = 600
"""Sealed facts that the flow declares: their digests alone are more than an entry holds."""
FLOW = """
flow: wide
version: 1
owner: tests
initial: start
limits: {turn_tokens: 1000000, conversation_tokens: 10000000}
facts:
FACTS
agents:
  helper: {instructions: Help., contract: Wide, max_input_tokens: 200000, max_output_tokens: 100}
states:
  start:  {kind: wait, inputs: [run], deadline: 30m}
  helper: {kind: agent, agent: helper, attempts: 2}
  find:   {kind: call, tool: find}
  desk:   {kind: human, role: clerk, decisions: [close], deadline: 4h}
  done:   {kind: final}
transitions:
  - [start, message, otherwise, helper, W-1]
  - [start, run,     otherwise, find,   W-1]
  - [desk,  close,   otherwise, done,   W-1]
  - [any,   done,    otherwise, start,  W-2]
  - [any,   failed,  otherwise, desk,   W-3]
  - [any,   timeout, otherwise, desk,   W-3]
  - [any,   refused, otherwise, desk,   W-3]
  - [any,   unsure,  otherwise, desk,   W-3]
  - [any,   invalid, otherwise, desk,   W-3]
  - [any,   over_budget, otherwise, desk, W-3]
  - [any,   limit,   otherwise, desk,   W-3]
  - [any,   expired, otherwise, done,   W-3]
""".replace("FACTS", "\n".join(f'  f{n}: {{type: text, ask: "Which {n}?"}}' for n in range(MOST)))
USED = Usage(input_tokens=7, output_tokens=50)
fields: dict[str, Any] = {f"f{n}": (str, "") for n in range(MOST)}
Wide = create_model("Wide", __base__=AgentResult, **fields)


def wide(found: int, ran: list[str] | None = None) -> Program:
    """A flow whose tool finds so many facts."""

    @tool
    def find() -> dict[str, str]:
        """Finds facts."""
        if ran is not None:
            ran.append("find")
        return told(found)

    code = Code.of(tools=[find], contracts=[Wide])
    return compiled(read_flow(FLOW, code).flow, code)


def told(facts: int) -> dict[str, str]:
    return {f"f{n}": "x" for n in range(facts)}


def answering(facts: int) -> ScriptedAgent:
    return ScriptedAgent(lambda _: AgentReply(text=gives(**told(facts)).text, usage=USED))


def as_it_is(body: CommandBody) -> CommandBody:
    """The rule left out."""
    return body


async def test_an_answer_that_does_not_fit_the_log_is_a_failed_attempt_that_was_paid_for() -> None:
    """As often as the state asks and no more; the conversation goes on, and nothing is left for recovery. The breaker
    stays closed: whoever provokes such answers stops nobody else."""
    store, program, agent = MemoryStore(), wide(0), answering(MOST)
    async with Runtime(store, program, agent) as runtime:
        for talk in ("one", "two", "three"):
            await runtime.start(conversation=talk)
            outcome = await runtime.say(talk, "Hello.")
            assert (outcome.state, outcome.standing) == ("desk", "with_person")
            reports = [event.report for event in of_type(store, talk, AgentReturned)]
            assert [(one.outcome, one.reason, one.usage) for one in reports] == [("failed", "too_large", USED)] * 2
        assert (await runtime.recover(), len(agent.requests)) == ((), 6)
        assert {one.state for one in runtime.conditions() if one.kind == "breaker"} == {"closed"}
    check_log(store, program)


async def test_an_answer_that_fits_is_recorded_as_it_is() -> None:
    """The control: the same flow, fewer facts."""
    store, program = MemoryStore(), wide(0)
    async with Runtime(store, program, answering(50)) as runtime:
        await runtime.start(conversation="talk")
        assert (await runtime.say("talk", "Hello.")).state == "start"
        (returned,) = of_type(store, "talk", AgentReturned)
        assert (returned.report.outcome, len(returned.report.facts)) == ("done", 50)
    check_log(store, program)


async def test_without_the_rule_the_conversation_is_stuck_and_each_recovery_pays_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the first: the answer is as large as it says."""
    monkeypatch.setattr(loop, "too_large", as_it_is)
    store, program, agent = MemoryStore(), wide(0), answering(MOST)
    async with Runtime(store, program, agent) as runtime:
        await runtime.start(conversation="talk")
        with pytest.raises(NotEncodable, match=r"The entry has \d+ bytes; at most 65535 fit the log"):
            await runtime.say("talk", "Hello.")
        await runtime.recover()
        assert (await runtime.outcome("talk")).standing == "working"
        assert (len(agent.requests), len(of_type(store, "talk", AgentRequested))) == (2, 1)


@pytest.mark.parametrize(("found", "ended"), [(50, ("done", "")), (MOST, ("failed", "too_large"))])
async def test_a_tool_result_that_does_not_fit_the_log_is_a_failed_call(found: int, ended: tuple[str, str]) -> None:
    """And one that fits is not. The tool ran once either way."""
    ran: list[str] = []
    store, program = MemoryStore(), wide(found, ran)
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await runtime.start(conversation="talk")
        await runtime.give("talk", "run")
        (returned,) = of_type(store, "talk", ToolReturned)
        assert (returned.report.outcome, returned.report.reason) == ended
        assert path_of(store, "talk")[-1] == f"{ended[0]}>{'desk' if ended[1] else 'start'}"
        await runtime.recover()
    assert ran == ["find"]
    check_log(store, program)

"""A small flow in which agents hand a conversation to one another, for tests of what each is given."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from interlock.agents.scripted import Answer, Script, ScriptedAgent
from interlock.contracts.agents import Agent, AgentResult
from interlock.contracts.store import Store
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.patterns import Pauses, Play
from support.runtime import check_log


class Reply(AgentResult):
    """An answer, and what it found out."""

    amount: int | None = None


FLOW = """
flow: handed
version: 1
owner: tests
initial: start
{flow}
limits: {limits}
facts:
  amount: {{type: money, says: the amount, ask: "How much?", minimum: "0.01", maximum: "9000.00"}}
  name:   {{type: text, says: your name, ask: "Who are you?"}}
agents:
  front:  {{instructions: "Answer, or hand on.", contract: Reply, {front}}}
  back:   {{instructions: "Answer.", contract: Reply, {back}}}
  scribe: {{instructions: "Sum up.", max_input_tokens: 20000, {scribe}}}
routers:
  triage:
    labels: {{cards: cards, loans: loans, weather: the weather}}
    rules:
      - {{label: cards, any: [card]}}
      - {{label: loans, any: [loan]}}
      - {{label: weather, any: [weather, rain]}}
states:
  start:   {{kind: wait, say: "Hello.", inputs: [ask_front], deadline: 1d}}
  front:   {{kind: agent, agent: front, reads: [amount], {working}}}
  back:    {{kind: agent, agent: back, reads: [amount], {working}}}
  desk:    {{kind: human, role: clerk, decisions: [again, closed], deadline: 1d}}
  over:    {{kind: final}}
transitions:
  - [start, message,     otherwise, {first}, H-1]
  - [start, ask_front,   otherwise, front, H-1]
  - [front, done,        otherwise, start, H-2]
  - [front, unsure,      otherwise, back,  H-3]
  - [back,  done,        otherwise, start, H-2]
  - [back,  unsure,      otherwise, front, H-3]
  - [desk,  again,       otherwise, start, H-4]
  - [desk,  closed,      otherwise, over,  H-4]
  - [any,   refused,     otherwise, desk,  H-5]
  - [any,   invalid,     otherwise, desk,  H-5]
  - [any,   timeout,     otherwise, desk,  H-5]
  - [any,   failed,      otherwise, desk,  H-5]
  - [any,   over_budget, otherwise, desk,  H-5]
  - [any,   limit,       otherwise, desk,  H-6]
  - [any,   expired,     otherwise, over,  H-7]
"""
PARTS = {
    "flow": "",
    "limits": "{}",
    "front": "history: verbatim",
    "back": "history: verbatim",
    "scribe": "history: none",
    "working": "attempts: 1",
    "first": "front",
}
CODE = Code.of(contracts=(Reply,))


def handed(**parts: str) -> Program:
    """The flow with these keys in their places."""
    return compiled(read_flow(FLOW.format(**{**PARTS, **parts}), CODE).flow, CODE)


@asynccontextmanager
async def running(
    program: Program, script: Agent | Mapping[str, Answer | Script], *, store: Store | None = None
) -> AsyncIterator[Play]:
    """A conversation on the flow; the log is proved at the end."""
    agent = ScriptedAgent(script) if isinstance(script, Mapping) else script
    clock, store = ManualClock(), store or MemoryStore()
    pause = Pauses(clock)
    async with Runtime(store, program, agent, clock=clock, presence=OnlyProcess(), pause=pause) as runtime:
        opening = await runtime.start("handed")
        yield Play(runtime, store, clock, program, agent, opening, pause=pause)
    check_log(store, [program])

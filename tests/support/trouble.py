"""A small flow whose one agent has attempts, waits and fallbacks, for tests of what follows trouble."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from interlock.agents.scripted import Answer, Script, ScriptedAgent
from interlock.contracts.agents import Agent
from interlock.contracts.flow import BreakerSpec
from interlock.contracts.store import Store
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.protection import Resilience
from interlock.service.runtime import Runtime
from support.patterns import Pauses, Play
from support.runtime import check_log

FLOW = """
flow: trouble
version: 1
owner: tests
initial: start
limits: {limits}
facts:
  amount: {{type: money, says: the amount, ask: "How much?", minimum: "0.01", maximum: "9000.00"}}
  name:   {{type: text, says: your name, ask: "Who are you?"}}
agents:
  first:   {{instructions: "Answer.", {first}}}
  second:  {{instructions: "Answer instead."}}
  third:   {{instructions: "Answer anything."}}
states:
  start:   {{kind: wait, say: "Hello.", deadline: 1d}}
  working: {{kind: agent, agent: first, {working}}}
  desk:    {{kind: human, role: clerk, decisions: [closed], deadline: 1d}}
  over:    {{kind: final}}
transitions:
  - [start,   message,        otherwise, working, T-1]
  - [working, done,           otherwise, start,   T-2]
  - [desk,    closed,         otherwise, over,    T-3]
  - [any,     operator_human, otherwise, desk,    T-4]
  - [any,     unsure,         otherwise, desk,    T-5]
  - [any,     refused,        otherwise, desk,    T-5]
  - [any,     invalid,        otherwise, desk,    T-5]
  - [any,     timeout,        otherwise, desk,    T-5]
  - [any,     failed,         otherwise, desk,    T-5]
  - [any,     over_budget,    otherwise, desk,    T-5]
  - [any,     limit,          otherwise, desk,    T-6]
  - [any,     expired,        otherwise, over,    T-7]
"""


def troubled(working: str, *, first: str = "history: verbatim", limits: str = "{}") -> Program:
    """The flow with these keys on its agent state, on its first agent, and under `limits`."""
    code = Code()
    return compiled(read_flow(FLOW.format(working=working, first=first, limits=limits), code).flow, code)


@asynccontextmanager
async def running(
    program: Program,
    script: Agent | Mapping[str, Answer | Script],
    *,
    store: Store | None = None,
    clock: ManualClock | None = None,
    pause: Any = None,
    **settings: Any,
) -> AsyncIterator[Play]:
    """A conversation on the flow. Its waits move the clock; the log is proved at the end."""
    agent = ScriptedAgent(script) if isinstance(script, Mapping) else script
    clock, store = clock or ManualClock(), store or MemoryStore()
    pause = pause or Pauses(clock)
    settings.setdefault("resilience", Resilience(breaker=BreakerSpec(failures=10_000)))
    async with Runtime(store, program, agent, clock=clock, presence=OnlyProcess(), pause=pause, **settings) as runtime:
        opening = await runtime.start("trouble")
        yield Play(runtime, store, clock, program, agent, opening, pause=pause)
    check_log(store, [program])

"""The workload on Interlock: SQLite with an fsync on every commit, hash chain included."""

import itertools
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from workload import answer

from interlock.agents.scripted import ScriptedAgent
from interlock.contracts.agents import AgentReply
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime

FLOW = """
flow: support
version: 1
owner: benchmarks
initial: intake
limits: {conversation_messages: 1000000, conversation_tokens: 1000000000000, conversation_handoffs: 1000000}
agents:
  billing:   {model: none, instructions: Answer questions about invoices., history: window, window: 20}
  technical: {model: none, instructions: Answer questions about crashes., history: window, window: 20}
routers:
  words:
    labels: {billing: an invoice, technical: a crash}
    rules: [{label: billing, any: [invoice]}, {label: technical, any: [crash]}]
states:
  intake:    {kind: wait, deadline: 30d}
  route:     {kind: route, router: words}
  billing:   {kind: agent, agent: billing}
  technical: {kind: agent, agent: technical}
  desk:      {kind: human, role: clerk, decisions: [done], deadline: 1d}
  end:       {kind: final}
transitions:
  - [intake,    message,     otherwise, route,     B-1]
  - [route,     billing,     otherwise, billing,   B-2]
  - [route,     technical,   otherwise, technical, B-2]
  - [billing,   done,        otherwise, intake,    B-3]
  - [technical, done,        otherwise, intake,    B-3]
  - [desk,      done,        otherwise, end,       B-4]
  - [any,       expired,     otherwise, end,       B-5]
  - [any,       blocked,     otherwise, desk,      B-5]
  - [any,       unsure,      otherwise, desk,      B-5]
  - [any,       refused,     otherwise, desk,      B-5]
  - [any,       invalid,     otherwise, desk,      B-5]
  - [any,       timeout,     otherwise, desk,      B-5]
  - [any,       failed,      otherwise, desk,      B-5]
  - [any,       over_budget, otherwise, desk,      B-5]
  - [any,       limit,       otherwise, desk,      B-5]
"""
_turns = itertools.count()
NAME = "Interlock, SQLite, fsync on every commit, hash chain"


def program() -> Program:
    return compiled(read_flow(FLOW, Code()).flow, Code())


class InterlockSide:
    """Open it on a folder, then `start` conversations and `turn` them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "interlock.db"

    async def open(self) -> None:
        self.store = SqliteStore(self.file)
        agent = ScriptedAgent(lambda request: AgentReply(text=answer(next(_turns))))
        self.runtime = await Runtime(self.store, program(), agent).__aenter__()

    async def start(self) -> Callable[[str], Awaitable[object]]:
        opened = await self.runtime.start()
        return lambda text: self.runtime.say(opened.conversation, text)

    async def resume(self) -> int:
        """Read the only conversation back; the number of its messages."""
        summary = self.store.summaries()[0]
        outcome = await self.runtime.outcome(summary.stream)
        return outcome.length

    async def close(self) -> None:
        await self.runtime.close()
        self.store.close()

    def stored_bytes(self) -> int:
        with sqlite3.connect(self.file) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        return self.file.stat().st_size

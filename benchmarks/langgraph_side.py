"""The workload on LangGraph with its own SQLite saver, as its documentation shows it (WAL, no fsync per commit)."""

import itertools
import operator
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypedDict
from uuid import uuid4

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from workload import answer

_turns = itertools.count()
NAME = "LangGraph, AsyncSqliteSaver (no fsync on commit)"


class State(TypedDict):
    history: Annotated[list[dict[str, str]], operator.add]
    text: str
    topic: str


async def _intake(state: State) -> dict[str, object]:
    return {"history": [{"role": "user", "content": state["text"]}]}


async def _route(state: State) -> dict[str, object]:
    return {"topic": "billing" if "invoice" in state["text"] else "technical"}


async def _agent(state: State) -> dict[str, object]:
    return {"history": [{"role": "assistant", "content": answer(next(_turns))}]}


class LangGraphSide:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "langgraph.db"
        self.thread = ""

    async def open(self) -> None:
        graph = StateGraph(State)
        for name, node in (("intake", _intake), ("route", _route), ("billing", _agent), ("technical", _agent)):
            graph.add_node(name, node)
        graph.add_edge(START, "intake")
        graph.add_edge("intake", "route")
        graph.add_conditional_edges("route", lambda state: state["topic"], ["billing", "technical"])
        graph.add_edge("billing", END)
        graph.add_edge("technical", END)
        self._entered = AsyncSqliteSaver.from_conn_string(str(self.file))
        self.saver = await self._entered.__aenter__()
        await self.saver.setup()
        self.graph = graph.compile(checkpointer=self.saver)

    async def start(self) -> Callable[[str], Awaitable[object]]:
        self.thread = str(uuid4())
        config = {"configurable": {"thread_id": self.thread}}
        return lambda text: self.graph.ainvoke({"text": text}, config)  # type: ignore[arg-type]

    async def resume(self) -> int:
        with sqlite3.connect(self.file) as connection:
            thread = connection.execute("select thread_id from checkpoints limit 1").fetchone()[0]
        found = await self.graph.aget_state({"configurable": {"thread_id": thread}})
        return len(found.values["history"])

    async def close(self) -> None:
        await self._entered.__aexit__(None, None, None)

    def stored_bytes(self) -> int:
        with sqlite3.connect(self.file) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        return self.file.stat().st_size

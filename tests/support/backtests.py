"""Recorded histories through another flow, in a test: from a random history, or from a store."""

from collections.abc import Mapping

from interlock.contracts.flow import Flow
from interlock.contracts.payload import Payload, PayloadAt
from interlock.contracts.store import Store
from interlock.fsm.backtest import Backtested, backtest
from interlock.fsm.program import Program
from interlock.fsm.unopened import Unopened
from interlock.service.loading import recorded_flow
from interlock.service.remeasuring import Changes, Remeasured
from support.histories import History


def through(program: Program, history: History) -> Backtested:
    """A random history through a flow; its texts are gone."""
    entries = [Unopened(entry.data) for entry in history.entries]
    return backtest(
        program, history.head.stream, entries, Remeasured(Changes(history.program.flow, program), entries, dict)
    )


def stored_through(program: Program, then: Flow, store: Store, stream: str, *, texts: bool = True) -> Backtested:
    """A stored conversation through a flow, with its texts or as if they had been erased."""
    entries = [Unopened(row.data) for row in store.read(stream)]

    def since(digest: str) -> Changes:
        row = store.flow(digest)
        return Changes(recorded_flow(row) if row is not None else None, program)

    def payloads() -> Mapping[PayloadAt, Payload]:
        return store.payloads(stream) if texts else {}

    return backtest(program, stream, entries, Remeasured(Changes(then, program), entries, payloads, since))

"""Recorded histories of each released log format, decided again by today's code.

`python tests/support/golden.py DATABASE VERSION` writes the streams of a log (without their payloads) and the
flow they ran on to `tests/golden/histories/`. A history is recorded once per release and never rewritten.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from interlock.contracts.canonical import leaf_hash
from interlock.contracts.envelope import checked
from interlock.contracts.facts import Facts
from interlock.contracts.flow import Flow
from interlock.contracts.tools import Tool
from interlock.fsm.code import Code
from interlock.fsm.guards import GuardFunction, GuardMaker
from interlock.fsm.program import Program, compiled
from interlock.fsm.replay import Recorded

FOLDER = Path(__file__).parents[1] / "golden" / "histories"


@dataclass(frozen=True)
class Golden:
    """One release's histories: the flow as it was stored, and each stream's entries."""

    release: str
    flow: Flow
    streams: dict[str, list[Recorded]]


def releases() -> list[str]:
    return sorted(path.name.removesuffix(".flow.json") for path in FOLDER.glob("*.flow.json"))


def read(release: str) -> Golden:
    flow = Flow.model_validate_json((FOLDER / f"{release}.flow.json").read_bytes())
    streams: dict[str, list[Recorded]] = {}
    for line in (FOLDER / f"{release}.jsonl").read_bytes().splitlines():
        envelope, event = checked(line)
        streams.setdefault(envelope.stream, []).append(Recorded(envelope, event, line, leaf_hash(line)))
    return Golden(release, flow, streams)


class _Anything(BaseModel):
    """Arguments of tools that are never called."""


def program(flow: Flow, functions: dict[str, GuardFunction]) -> Program:
    """The stored flow with these guards; its tools and contracts stand for themselves."""
    guards = {spec.name: GuardMaker(spec, functions[spec.name], tuple(_places(spec.says))) for spec in flow.guards}
    tools = {spec.name: Tool(spec, _Anything, _never, takes_context=spec.consequential) for spec in flow.tools}
    contracts = {agent.contract: _Anything for agent in flow.agents if agent.contract}
    classifiers = {
        router.classifier: _Silent(router.classifier, tuple(router.labels))
        for router in flow.routers
        if router.classifier
    }
    return compiled(flow, Code(guards=guards, tools=tools, contracts=contracts, classifiers=classifiers))


def _never(**_: object) -> None:
    raise AssertionError("a replay calls no tool")


def _places(says: str) -> list[str]:
    from string import Formatter

    return [name for _, name, _, _ in Formatter().parse(says) if name]


@dataclass
class _Silent:
    digest: str
    labels: tuple[str, ...]

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        raise AssertionError("a replay asks no classifier")


def amount_at_most(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit * 100


BANK: dict[str, GuardFunction] = {
    "amount_at_most": amount_at_most,
    "customer_is_verified": lambda facts: facts.true("verified"),
    "payment_was_found": lambda facts: facts.true("payment_found"),
    "customer_agreed_to_block": lambda facts: facts.true("block_confirmed"),
    "agent_asks_for_a_person": lambda facts: facts.true("needs_person"),
}
"""The bank's guards as they were when its histories were recorded."""


def write(database: Path, release: str) -> None:
    from interlock.persistence.sqlite_store import SqliteStore

    store = SqliteStore(database)
    lines = [entry.data for stream in sorted(store.streams()) for entry in store.read(stream)]
    (flow,) = store.flows()
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{release}.flow.json").write_bytes(flow.body + b"\n")
    (FOLDER / f"{release}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    store.close()
    print(json.dumps({"entries": len(lines), "flow": flow.digest}))


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])

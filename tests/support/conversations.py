"""Recorded conversations of real people, and feeding them through a flow message by message.

They lie in `../shared/data` beside the repository, or where INTERLOCK_DATA says; tests skip where they are absent.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.agents import Agent
from interlock.contracts.commands import Actor
from interlock.contracts.events import RoutingDecided, TransitionTaken
from interlock.contracts.store import Store
from interlock.fsm.program import Program
from interlock.service.runtime import Runtime
from support.runtime import check_log, of_type

DATA = Path(os.environ.get("INTERLOCK_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
STANDINGS = {"waiting", "with_person", "ended"}


@dataclass(frozen=True)
class Recording:
    """What one person typed, in order."""

    name: str
    messages: tuple[str, ...]


def _read(*parts: str) -> Any:
    path = DATA.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"no recorded conversations at {path}; set INTERLOCK_DATA")
    return json.loads(path.read_text(encoding="utf-8"))


def star() -> Sequence[Recording]:
    """Wizard-of-Oz dialogues: every task, for any text can be typed at a bank."""
    return [
        Recording(
            f"star-{one['DialogueID']}",
            tuple(event["Text"] for event in one["Events"] if event["Agent"] == "User" and event.get("Text")),
        )
        for one in _read("star", "dialogues.json")
    ]


def tau_airline() -> Sequence[Recording]:
    """Conversations with an airline's agent."""
    return [
        Recording(
            f"tau-{number}",
            tuple(turn["content"] for turn in one["traj"] if turn["role"] == "user" and turn.get("content")),
        )
        for number, one in enumerate(_read("tau_airline", "gpt-4o_tasks00-24.json"))
    ]


@dataclass
class Fed:
    """What came of it: for the report, and for asserting that something was tested at all."""

    conversations: int = 0
    messages: int = 0
    ended: int = 0
    decided: int = 0
    events: int = 0
    states: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        routed = sum(count for label, count in self.routes.items() if label not in ("unsure", "blocked"))
        whole = max(sum(self.routes.values()), 1)
        return (
            f"{self.conversations} conversations, {self.messages} messages, {self.events} events, "
            f"{self.decided} decisions by people, {self.ended} ended; {len(self.states)} states reached; "
            f"{routed / whole:.0%} of {whole} routings found a label, {self.routes['unsure'] / whole:.0%} unsure, "
            f"{self.routes['blocked'] / whole:.0%} blocked"
        )


async def feed(store: Store, program: Program, agent: Agent, recordings: Iterable[Recording]) -> Fed:
    """Type every message of every recording. Each turn must end in a declared state, waiting for somebody."""
    fed = Fed()
    async with Runtime(store, program, agent) as runtime:
        for recording in recordings:
            outcome = await runtime.start(conversation=recording.name)
            fed.conversations += 1
            for text in recording.messages:
                outcome = await runtime.say(recording.name, text)
                fed.messages += 1
                while outcome.task is not None:
                    person = Actor(kind="human", id="somebody", roles=(outcome.task.role,))
                    outcome = await runtime.decide_task(
                        recording.name, outcome.task.number, outcome.task.decisions[0], actor=person
                    )
                    fed.decided += 1
                assert outcome.standing in STANDINGS, (recording.name, text, outcome)
                assert outcome.state in program.states
                if outcome.standing == "ended":
                    fed.ended += 1
                    break
    names = [recording.name for recording in recordings]
    fed.events = check_log(store, program, names).events
    for name in names:
        fed.states.update(event.target for event in of_type(store, name, TransitionTaken))
        fed.routes.update(event.decision.outcome for event in of_type(store, name, RoutingDecided))
    return fed

"""Conversations with canaries in every place that takes a text, and a search for them in every file."""

from collections.abc import Iterable
from pathlib import Path

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.store import Store
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import CLERK, mini

PROGRAM = mini()


def canary(number: int) -> str:
    """A text that stands nowhere else, and that no check of ours would replace."""
    return f"canary-{number:05d}-in-a-mine"


def echoing() -> ScriptedAgent:
    """Answers with what it was asked: the text is in the model's result and in the reply, too."""

    def answer(request: AgentRequest) -> AgentReply:
        return gives(reply=f"You said: {request.messages[-1].content}")

    return ScriptedAgent(answer)


async def talked(store: Store, subject: str, numbers: Iterable[int], *, clock: ManualClock | None = None) -> None:
    """Conversations of `subject`, one canary each: in a message, its answer, a fact, and the reason of a decision."""
    async with Runtime(store, PROGRAM, echoing(), clock=clock or ManualClock()) as runtime:
        for number in numbers:
            name = f"{subject}-{number}"
            await runtime.start(conversation=name, subject=subject)
            await runtime.say(name, f"help me, {canary(number)}")
            await runtime.say(name, "form")
            await runtime.say(name, f"{canary(number)} city")
            await runtime.say(name, "50")
            outcome = await runtime.say(name, "a person, please")
            assert outcome.task
            await runtime.decide_task(name, outcome.task.number, "close", actor=CLERK, reason=f"said {canary(number)}")


def found_in(folder: Path, numbers: Iterable[int]) -> list[str]:
    """Which file holds which canary, in any encoding that we write."""
    held = {file.name: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    return [
        f"{name}: {canary(number)}"
        for name, data in held.items()
        for number in numbers
        if canary(number).encode() in data or canary(number).encode("utf-16-le") in data
    ]

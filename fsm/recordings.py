"""Recorded answers by position: what a stream's agents and tools answered, each found by the intent it answers.

An answer applies where the same is asked again, and only there: with another prompt, another history, another tool or
other arguments it would be the answer to another question, and then it is said which part differs. No model is called,
no text is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..contracts.events import AgentRequested, AgentReturned, Event, ToolRequested, ToolReturned
from .asked import Alike, Asking, Question
from .conversation import Conversation, Pending
from .program import Program
from .replay import Recorded


@dataclass(frozen=True, slots=True)
class Answered:
    """An intent of the recorded stream, at `version`: what it asked, and what came of it, if anything did."""

    version: int
    intent: Pending
    question: Question
    returned: int | None = None
    """The version of the answer; None where none was recorded."""
    answer: AgentReturned | ToolReturned | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """No recorded answer applies. `differs` names the parts of the question that are others than in the intent at
    `version`, the nearest one; empty and None where nothing like it was asked."""

    asked: Question
    version: int | None = None
    differs: tuple[str, ...] = ()
    unanswered: bool = False

    def __str__(self) -> str:
        who = f"{self.asked.kind} {self.asked.name!r}"
        if self.version is None:
            return f"{who} is asked, and was not asked in the recording"
        if self.unanswered:
            return f"{who} is asked as at event {self.version}, which was never answered"
        return f"{who} is asked with {_named(self.differs)} than at event {self.version}"


_PARTS = {
    "prompt": "another prompt",
    "model": "another model",
    "history": "another history",
    "facts": "other facts",
    "arguments": "other arguments",
    "results": "other results",
    "rounds": "other tool rounds",
    "repairs": "other violations to repair",
    "task": "another task",
    "purpose": "another purpose",
}


def _named(parts: tuple[str, ...]) -> str:
    return " and ".join(_PARTS.get(part, f"another {part}") for part in parts)


@dataclass
class Recordings:
    """The answers of one recorded stream. Each is given once; `served` are the intents whose answers were."""

    answered: dict[int, Answered]
    served: set[int] = field(default_factory=set)

    def answer(self, question: Question, at: int | None = None) -> Answered | Unfit:
        """The answer to the same question: that of the intent at version `at` if it asks this, else the first one
        in order that was not given yet. What was given before is given again at its own position only."""
        exact = self.answered.get(at) if at is not None else None
        if exact is not None and not exact.question.differs_in(question):
            return self._given(exact)
        waiting = [one for version, one in sorted(self.answered.items()) if version not in self.served]
        same = next((one for one in waiting if not one.question.differs_in(question)), None)
        if same is not None:
            return self._given(same)
        alike = [one for one in (exact, *waiting) if one is not None and _asks(one, question)]
        if not alike:
            return Unfit(question)
        nearest = min(alike, key=lambda one: len(one.question.differs_in(question)))
        return Unfit(question, nearest.version, nearest.question.differs_in(question))

    def _given(self, one: Answered) -> Answered | Unfit:
        if one.answer is None:
            return Unfit(one.question, one.version, unanswered=True)
        self.served.add(one.version)
        return one


def _asks(one: Answered, question: Question) -> bool:
    return (one.question.kind, one.question.name) == (question.kind, question.name)


def recordings(
    program: Program, stream: str, entries: Sequence[Recorded], alike: Alike = lambda _, commit: commit
) -> Recordings:
    """The answers in the entries of a stream that `program` decided. `alike` names texts: by their commitments where
    it is not given, so that the same text written twice counts as two."""
    asking = Asking(program, Conversation(id=stream), alike)
    return recorded_answers(asking, [(one.event, one.envelope.cause) for one in entries])


def recorded_answers(asking: Asking, events: Sequence[tuple[Event, int]]) -> Recordings:
    """The answers among events (each with the version of the first one of its decision)."""
    found: dict[int, Answered] = {}
    for version, (event, cause) in enumerate(events):
        if isinstance(event, AgentRequested | ToolRequested):
            found[version] = Answered(version, event, asking.question(event))
        elif isinstance(event, AgentReturned | ToolReturned) and event.effect in found:
            was = found[event.effect]
            if was.answer is None:
                found[event.effect] = Answered(was.version, was.intent, was.question, version, event)
        asking.take(event, cause)
    return Recordings(found)

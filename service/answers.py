"""Answers given before, for the fallback `cached`: found again by exactly the same question.

Kept are only places in the log, never texts: an answer whose text was erased is gone here too. The question is
the whole rendered prompt, so an answer holds nothing that the one who asks did not say or that is not on
record of them as an open fact; a prompt with a sealed fact, a tool, an earlier result or earlier messages is
never kept. Everything here is of one process and bounded.
"""

import json
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from ..contracts.agents import AgentRequest
from ..contracts.canonical import sha256_hex
from ..contracts.commands import AgentReport, CachedFrom
from ..contracts.events import AgentRequested
from ..contracts.flow import AgentSpec
from ..contracts.payload import bytes_of
from ..fsm.conversation import Conversation
from .live import Live

MOST_ANSWERS = 10_000
OUTPUT = "output"
"""The payload of an agent's result that holds its text."""


@dataclass(frozen=True, slots=True)
class _Kept:
    place: CachedFrom
    until: datetime


class Answers:
    """Where the answers to questions stand. The oldest are forgotten first."""

    def __init__(self, most: int = MOST_ANSWERS) -> None:
        self._most = most
        self._asked: OrderedDict[tuple[str, int], str] = OrderedDict()
        """Questions in hand, by conversation and intent."""
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def asked(self, stream: str, effect: int, question: str) -> None:
        """A question is put to the agent; its answer is not there yet."""
        self._put(self._asked, (stream, effect), question)

    def answered(
        self, stream: str, effect: int, version: int, report: AgentReport, spec: AgentSpec, at: datetime
    ) -> None:
        """The answer was recorded at `version`; it is kept if it is a good one."""
        question = self._asked.pop((stream, effect), None)
        if question is None or report.outcome != "done" or report.calls or report.output is None:
            return
        place = CachedFrom(stream=stream, version=version)
        self._put(self._kept, question, _Kept(place, at + timedelta(seconds=spec.cache_seconds)))

    def found(self, question: str, now: datetime) -> CachedFrom | None:
        """Where the answer to exactly this question stands; None where there is none, or it is too old."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[question]
            return None
        return kept.place

    def _put(self, kept: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
        kept[key] = value
        kept.move_to_end(key)
        while len(kept) > self._most:
            kept.popitem(last=False)


def is_cacheable(spec: AgentSpec, request: AgentRequested, conversation: Conversation) -> bool:
    """Whether an answer to this question may be given to somebody else who asks exactly the same."""
    return (
        spec.cache_seconds > 0
        and request.purpose == "run"
        and request.history.policy == "none"
        and not (request.tools or request.agents or request.results or request.repairs or request.round)
        and all(conversation.known[name].sealed is None for name in request.facts if name in conversation.known)
    )


def question_of(live: Live, request: AgentRequest) -> str:
    """SHA-256 of all that the model is shown, of the flow and of the tenant; not of which conversation or attempt."""
    whose = [live.program.ref.digest, live.conversation.tenant]
    shown = {
        name: value for name, value in asdict(request).items() if name not in ("effect", "timeout_seconds", "tools")
    }
    return sha256_hex(bytes_of(json.dumps([*whose, shown], sort_keys=True, ensure_ascii=True, default=str)))

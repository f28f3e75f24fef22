"""What agents and tools answered in one recorded turn, given again where the same is asked."""

from collections.abc import Sequence

from ..contracts.commands import AgentEnded, CommandBody, ToolEnded
from ..contracts.events import AgentRequested, AgentReturned, Event, ToolRequested
from .alike import intent
from .conversation import Conversation
from .draft import CallAgent, RunTool
from .evolve import evolve
from .unopened import Unopened


class Answers:
    """The answers that one turn recorded, by what was asked; each is given once."""

    def __init__(self, conversation: Conversation, groups: Sequence[tuple[Sequence[Unopened], CommandBody]]) -> None:
        ended = {body.effect: body for _, body in groups if isinstance(body, AgentEnded | ToolEnded)}
        self._waiting: dict[object, list[AgentEnded | ToolEnded]] = {}
        self._same: dict[int, int] = {}
        """Of agent results: the version here, by the version that it was recorded at."""
        self._given: dict[int, int] = {}
        asked = {at: event for at, event in conversation.unfinished.items() if at in ended}
        for at, event in asked.items():
            self._waiting.setdefault(intent(event, conversation, {}), []).append(ended[at])
        self._returned: dict[int, int] = {}
        for group, _ in groups:
            for one in group:
                at = conversation.version
                if isinstance(one.event, AgentRequested | ToolRequested) and at in ended:
                    self._waiting.setdefault(intent(one.event, conversation, {}), []).append(ended[at])
                if isinstance(one.event, AgentReturned):
                    self._returned[one.event.effect] = at
                conversation = evolve(conversation, one.event)

    def of(self, effect: CallAgent | RunTool, current: Conversation) -> AgentEnded | ToolEnded | None:
        """What was answered to the same question, as the answer to this one."""
        waiting = self._waiting.get(intent(effect.request, current, self._same))
        if not waiting:
            return None
        body = waiting.pop(0)
        self._given[effect.effect] = body.effect
        return body if body.effect == effect.effect else body.changed(effect=effect.effect)

    def came(self, current: Conversation, events: Sequence[Event]) -> None:
        """Events that were made: where an answer stands now, and where it stood."""
        for version, event in enumerate(events, current.version):
            if isinstance(event, AgentReturned) and (was := self._given.get(event.effect)) is not None:
                self._same[version] = self._returned.get(was, version)

"""Observing: what a runtime tells listeners, after each commit and around each effect.

A listener hears records of what is in the log, and may open a context around a turn and around an effect.
Whatever a listener raises is reported and goes no further: no turn, no entry and no outcome depends on one.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from contextlib import nullcontext as nothing
from types import TracebackType
from typing import Any

import structlog

from ..contracts.agents import Agent, AgentReply, AgentRequest
from ..contracts.envelope import Entry
from ..contracts.events import AgentRequested, RoutingDecided
from ..contracts.payload import PayloadAt
from ..fsm.conversation import Conversation
from ..fsm.draft import CallAgent, RunTool
from ..fsm.program import Program
from .figures import confidence_of
from .live import Live
from .records import Performing, Record, records_of
from .redaction import outline, preview
from .texts import Texts

REMEMBERED = 10_000
"""Effects in hand, and conversations whose latest routing is known; the oldest are forgotten first."""
log = structlog.get_logger("interlock.observing")


class Listener:
    """Hears what a runtime does. Every method does nothing until it is overridden; what one raises is reported.

    Previews are made only for a listener that says so with `previews`, and given to no other.
    """

    previews: bool = False

    def heard(self, record: Record) -> None:
        """One record of a committed entry; called in the order of the log, in the runtime's own thread."""

    def turn(self, live: Live) -> AbstractContextManager[object]:
        """Entered before a submission is decided, left when nothing more is to be performed."""
        return nothing()

    def performing(self, effect: Performing) -> AbstractContextManager[object]:
        """Entered before an effect is performed, left when its outcome is known and not yet committed."""
        return nothing()


class Unobserved:
    """The observer of a runtime that nobody listens to."""

    def around(self, agents: Agent | Mapping[str, Agent]) -> Agent | Mapping[str, Agent]:
        return agents

    def turn(self, live: Live) -> AbstractAsyncContextManager[object]:
        return nothing()

    def performing(self, live: Live, effect: CallAgent | RunTool, texts: Texts) -> AbstractAsyncContextManager[object]:
        return nothing()

    def committed(self, program: Program, before: Conversation, entries: Sequence[Entry]) -> None:
        return


class Observer(Unobserved):
    """Tells listeners. One observer belongs to one runtime."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners
        self.previews = any(one.previews for one in listeners)
        self._performing: OrderedDict[tuple[str, int], Performing] = OrderedDict()
        self._confidence: OrderedDict[str, float] = OrderedDict()
        self._agents: Agent | Mapping[str, Agent] = {}

    def around(self, agents: Agent | Mapping[str, Agent]) -> Agent | Mapping[str, Agent]:
        """The same agents, heard: what is asked and how it is answered."""
        self._agents = agents
        if isinstance(agents, Mapping):
            return {name: HeardAgent(agent, self) for name, agent in agents.items()}
        return HeardAgent(agents, self)

    @asynccontextmanager
    async def turn(self, live: Live) -> AsyncIterator[None]:
        with self._inside(lambda listener: listener.turn(live), live.id):
            yield

    @asynccontextmanager
    async def performing(self, live: Live, effect: CallAgent | RunTool, texts: Texts) -> AsyncIterator[None]:
        seen = Performing(live.id, effect.effect, effect.request, live.program)
        if isinstance(effect.request, AgentRequested):
            seen.provider = self._provider(effect.request.agent)
            if self.previews:
                seen.hidden = await self._sealed_texts(live, texts)
        _put(self._performing, (live.id, effect.effect), seen)
        with self._inside(lambda listener: listener.performing(seen), live.id):
            yield

    def committed(self, program: Program, before: Conversation, entries: Sequence[Entry]) -> None:
        """Tell the records of entries that were just committed, in order."""
        stream = entries[0].stream

        def found(effect: int) -> Performing | None:
            return self._performing.pop((stream, effect), None)

        try:
            records = tuple(records_of(program, before, entries, found, self._confidence.get(stream)))
            for entry in entries:
                event = entry.event
                routed = event if isinstance(event, RoutingDecided) and event.agent is None else None
                confidence = None if routed is None else confidence_of(routed)
                if confidence is not None:
                    _put(self._confidence, stream, confidence)
        except Exception as error:  # noqa: BLE001 - the entries stand; a record that cannot be made is no reason to stop
            _report(stream, error)
            return
        for record in records:
            for listener in self._listeners:
                try:
                    listener.heard(record if listener.previews else record.without_previews())
                except Exception as error:  # noqa: BLE001 - somebody else's code, after the commit
                    _report(stream, error)

    def asked(self, request: AgentRequest) -> None:
        """An adapter is about to be asked."""
        seen = self._seen(request.effect)
        if seen is None or not self.previews or not request.messages:
            return
        last = request.messages[-1]
        seen.prompt = outline(last.content) if last.role == "tool" else preview(last.content, seen.hidden)

    def answered(self, request: AgentRequest, reply: AgentReply) -> None:
        """An adapter has answered."""
        seen = self._seen(request.effect)
        if seen is None:
            return
        seen.finish = "".join(one for one in str(reply.finish)[:40] if one.isascii() and (one.isalnum() or one in "_-"))
        if self.previews:
            seen.reply = preview(reply.text, seen.hidden)

    def _seen(self, effect: str) -> Performing | None:
        stream, _, version = effect.rpartition(":")
        return self._performing.get((stream, int(version))) if version.isdecimal() else None

    def _provider(self, agent: str) -> str:
        found = self._agents.get(agent) if isinstance(self._agents, Mapping) else self._agents
        return str(getattr(found, "name", ""))

    async def _sealed_texts(self, live: Live, texts: Texts) -> tuple[str, ...]:
        """Every text that was ever a sealed fact of the conversation, corrected and forgotten ones too."""
        # Lines share what was known while nothing changed: each mapping is looked at once.
        known = {id(one): one for one in (live.conversation.known, *(line.known for line in live.lines))}
        places: dict[PayloadAt, None] = {
            fact.sealed: None for one in known.values() for fact in one.values() if fact.sealed is not None
        }
        return tuple([await texts.text(live.id, place.version, place.name) for place in places])

    @contextmanager
    def _inside(
        self, context: Callable[[Listener], AbstractContextManager[object]], conversation: str
    ) -> Iterator[None]:
        entered: list[AbstractContextManager[object]] = []
        for listener in self._listeners:
            try:
                opened = context(listener)
                opened.__enter__()
            except Exception as error:  # noqa: BLE001 - somebody else's code
                _report(conversation, error)
            else:
                entered.append(opened)
        try:
            yield
        except BaseException as error:
            _leave(entered, conversation, type(error), error, error.__traceback__)
            raise
        _leave(entered, conversation, None, None, None)


class HeardAgent:
    """An agent whose observer hears what it is asked and what it answers. Changes neither."""

    def __init__(self, inner: Agent, observer: Observer) -> None:
        self.name, self._inner, self._observer = inner.name, inner, observer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def run(self, request: AgentRequest) -> AgentReply:
        self._tell(self._observer.asked, request)
        reply = await self._inner.run(request)
        self._tell(self._observer.answered, request, reply)
        return reply

    def _tell(self, what: Callable[..., None], request: AgentRequest, *more: AgentReply) -> None:
        try:
            what(request, *more)
        except Exception as error:  # noqa: BLE001 - a preview that cannot be made is no reason to fail a call
            _report(request.effect.rpartition(":")[0], error)


def _put(remembered: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    remembered[key] = value
    remembered.move_to_end(key)
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)


def _leave(
    entered: Iterable[AbstractContextManager[object]],
    conversation: str,
    kind: type[BaseException] | None,
    raised: BaseException | None,
    trace: TracebackType | None,
) -> None:
    for opened in reversed(tuple(entered)):
        try:
            opened.__exit__(kind, raised, trace)
        except Exception as error:  # noqa: BLE001 - somebody else's code
            _report(conversation, error)


def _report(conversation: str, error: Exception) -> None:
    log.error("listener_failed", conversation=conversation, error=type(error).__name__)

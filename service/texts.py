"""Texts rebuilt by reference: what people and agents said, and what the flow's templates said for us."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from ..contracts.facts import KnownFact
from ..contracts.flow import Flow
from ..contracts.payload import Payload, PayloadAt
from ..contracts.store import Store
from ..fsm.render import CHOICES, ERASED, filled, places_in, said, template_of
from .live import Line, Live

_Place = tuple[str, int, str]
"""Stream, version of the event, name of the payload there (empty for the whole line as it was said)."""


class Texts:
    """Reads payloads through a bounded cache, and fills templates with the facts of their time."""

    def __init__(self, store: Store, capacity: int = 16_384, largest: int = 65_536) -> None:
        self._store, self._capacity, self._largest = store, capacity, largest
        self._cache: OrderedDict[_Place, str] = OrderedDict()

    def keep(self, stream: str, version: int, payloads: Iterable[Payload]) -> None:
        """Remember payloads that were just written."""
        for payload in payloads:
            self._put((stream, version, payload.name), payload.text)

    def forget(self, stream: str) -> None:
        """Drop every text of the stream: after an erasure, none may come from memory."""
        for place in [place for place in self._cache if place[0] == stream]:
            del self._cache[place]

    async def text(self, stream: str, version: int, name: str) -> str:
        """The payload's text, or `ERASED`."""
        place = (stream, version, name)
        if place in self._cache:
            self._cache.move_to_end(place)
            return self._cache[place]
        found = await asyncio.to_thread(self._store.payload, stream, PayloadAt(version=version, name=name))
        if found is None:
            return ERASED
        self._put(place, found.text)
        return found.text

    def _put(self, place: _Place, text: str) -> None:
        if len(text) > self._largest:
            return
        self._cache[place] = text
        while len(self._cache) > self._capacity:
            self._cache.popitem(last=False)

    async def fact_texts(
        self, stream: str, flow: Flow, known: Mapping[str, KnownFact], names: Iterable[str]
    ) -> dict[str, str]:
        """Facts in words, as a customer or an agent is told them; unknown ones are left out."""
        found: dict[str, str] = {}
        specs = {one.name: one for one in flow.facts}
        for name in names:
            fact = known.get(name)
            if fact is None:
                continue
            if fact.sealed is not None:
                found[name] = await self.text(stream, fact.sealed.version, fact.sealed.name)
            elif fact.value is not None:
                found[name] = said(specs[name], fact.value, flow.currency)
        return found

    def kept(self, live: Live, line: Line) -> str | None:
        """The full text of one message of the history, if it is in memory."""
        place = (live.id, line.at if line.payload else line.version, line.payload)
        text = self._cache.get(place)
        if text is not None:
            self._cache.move_to_end(place)
        return text

    async def line(self, live: Live, line: Line) -> str:
        """The full text of one message of the history."""
        if line.payload:
            return await self.text(live.id, line.at, line.payload)
        place = (live.id, line.version, "")
        if place in self._cache:
            return self._cache[place]
        said_then = await self._filled(live, line, line.flow or live.program.flow)
        self._put(place, said_then)
        return said_then

    async def _filled(self, live: Live, line: Line, flow: Flow) -> str:
        template = template_of(flow, line.template)
        names = places_in(template)
        values = dict.fromkeys(names, "")
        values |= await self.fact_texts(live.id, flow, line.known, names)
        values |= self._choices(flow, line.candidates)
        values["reference"] = live.id[:8]
        values["limit"] = str(flow.limits.message_bytes)
        return filled(template, values)

    def _choices(self, flow: Flow, candidates: tuple[str, ...]) -> dict[str, str]:
        words = {label: text for router in flow.routers for label, text in router.labels.items()}
        return {name: words.get(label, label) for name, label in zip(CHOICES, candidates, strict=False)}

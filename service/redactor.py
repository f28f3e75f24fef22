"""The redactor in front of the writer: what must not be kept is replaced before anything reads, decides or stores it.

Every text that comes from outside passes here once: what people write and give, what models answer, what tools
return. So the log, the agents and the rules see the same text. What is not replaced is named: the classes that were
found in a message stand in its event.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from ..contracts.agents import Agent, AgentReply, AgentRequest
from ..contracts.errors import SetupError
from ..contracts.values import NAME, listed
from .sensitive import SENSITIVE, found_in

LONG = 20_000
"""Characters from which on a text is read in another thread."""
REPLACED = frozenset({"card", "secret"})
"""What is replaced unless told otherwise: nobody may store it, and no flow needs it."""


T = TypeVar("T")


class Tagger(Protocol):
    """Names further classes of what a text holds. It can only add: nothing is kept because it found nothing."""

    def tags(self, text: str) -> Iterable[str]: ...


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with what had to go replaced, and the classes of all that was found in it, in order."""

    text: str
    tags: tuple[str, ...] = ()


class Redactor:
    """Replaces and names. `replaced` are classes of `sensitive.SENSITIVE`; the others are only named."""

    def __init__(self, replaced: Iterable[str] = REPLACED, taggers: Iterable[Tagger] = ()) -> None:
        self.replaced, self._taggers = frozenset(replaced), tuple(taggers)
        unknown = self.replaced - set(SENSITIVE)
        if unknown:
            raise SetupError(
                f"There is nothing called {listed(sorted(unknown))} to replace.",
                fix=f"Name some of {listed(SENSITIVE)}, such as INTERLOCK_REDACT=card,secret; `none` for nothing.",
            )

    def text(self, text: str) -> Redacted:
        """`text` as it may be kept."""
        found = found_in(text)
        tags = {one.kind for one in found} | {
            tag for tagger in self._taggers for tag in tagger.tags(text) if NAME.fullmatch(tag)
        }
        for one in reversed(found):
            if one.kind in self.replaced:
                text = f"{text[: one.start]}[{one.kind}]{text[one.end :]}"
        return Redacted(text, tuple(sorted(tags)))

    def written(self, text: str) -> str:
        """`text` as it may be kept; JSON stays JSON, whether a number stands in quotes or not."""
        if text[:1] in ("{", "["):
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                return self.text(text).text
            kept = self.value(found)
            return text if kept == found else json.dumps(kept, ensure_ascii=False)
        return self.text(text).text

    def value(self, value: Any) -> Any:
        """The same with every text in it as it may be kept, and every whole number that would be one."""
        if isinstance(value, str):
            return self.text(value).text
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**12:
            kept = self.text(str(value)).text
            return value if kept == str(value) else kept
        if isinstance(value, Mapping):
            return {self.value(name): self.value(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.value(part) for part in value) if type(value) in (list, tuple) else value
        return value

    def around(self, agents: Agent | Mapping[str, Agent]) -> Agent | Mapping[str, Agent]:
        """The same agents; what they answer is as it may be kept before anybody reads it."""
        if isinstance(agents, Mapping):
            return {name: RedactedAgent(agent, self) for name, agent in agents.items()}
        return RedactedAgent(agents, self)


class RedactedAgent:
    """An agent whose answers passed the redactor."""

    def __init__(self, inner: Agent, redactor: Redactor) -> None:
        self.name, self._inner, self._redactor = inner.name, inner, redactor

    async def run(self, request: AgentRequest) -> AgentReply:
        reply, written = await self._inner.run(request), self._redactor.written
        text = await aside(written, reply.text)
        calls = tuple([replace(one, arguments=await aside(written, one.arguments)) for one in reply.tool_calls])
        return reply if (text, calls) == (reply.text, reply.tool_calls) else replace(reply, text=text, tool_calls=calls)


async def aside(read: Callable[[str], T], text: str) -> T:
    """`read(text)`; of a long text in a thread of its own, so that other conversations go on meanwhile."""
    return await asyncio.to_thread(read, text) if len(text) > LONG else read(text)


def redactor_named(classes: str) -> Redactor:
    """What `INTERLOCK_REDACT` says: classes with commas between, `none`, or empty for the default."""
    names = [one.strip() for one in classes.split(",") if one.strip()]
    return Redactor(() if names == ["none"] else names or REPLACED)

"""What stands around a conversation in a test: agents, tools and a classifier that answer when the test says so.

Whoever is asked stands in `Outside.waiting` until an answer is given. What the test gave beforehand, in `agents` and
`tools`, answers at once.
"""

import asyncio
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..agents.scripted import Answer, Script, ScriptedAgent, replied
from ..agents.strict_json import written
from ..contracts.agents import Agent, AgentReply, AgentRequest, ToolCall
from ..contracts.errors import AgentFailed, CallError
from ..contracts.limits import Usage
from ..contracts.routing import Classifier
from ..contracts.tools import Tool, ToolContext
from ..contracts.values import listed
from ..fsm.program import Program
from ..service.acts import AgentAnswers, ToolAnswers, Writes

Scores = tuple[tuple[tuple[str, float], ...], float]
ToolScript = Any
"""What a tool gives in a test: data, an exception to raise, or a function of its arguments."""


@dataclass(eq=False)
class Asked:
    """Somebody who was asked and has not answered: an agent or a tool."""

    kind: str
    name: str
    effect: str
    """`stream:version` of the intent event; a tool's idempotency key."""
    answer: "asyncio.Future[Any]"
    request: AgentRequest | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Called:
    """A tool that was run: with what, and under which idempotency key."""

    tool: str
    arguments: Mapping[str, Any]
    key: str


class Outside:
    """Agents, tools and classifiers of one conversation, all of them doubles."""

    name = "test"

    def __init__(
        self,
        agents: Agent | Mapping[str, Answer | Script] | None = None,
        tools: Mapping[str, ToolScript] | None = None,
        *,
        real_tools: bool = False,
    ) -> None:
        self.waiting: list[Asked] = []
        self.in_hand: set[str] = set()
        """The effects that this process was asked for, answered or not."""
        self.called: list[Called] = []
        """Every run of a tool, in order."""
        self.requests: list[AgentRequest] = []
        self.scores: dict[str, Scores] = {}
        """What the classifiers say of a text, where a test says it."""
        self._agent = agents if agents is not None and not isinstance(agents, Mapping) else None
        self._answered = frozenset(agents) if isinstance(agents, Mapping) else frozenset[str]()
        self._script = ScriptedAgent(agents) if isinstance(agents, Mapping) else None
        self._tools, self._real_tools = dict(tools or {}), real_tools

    # -- what the runtime asks ----------------------------------------------------------------------

    async def run(self, request: AgentRequest) -> AgentReply:
        """One attempt at an agent: answered at once where the test said so before, else when it says so."""
        self.requests.append(request)
        if self._agent is not None:
            return await self._agent.run(request)
        if self._script is not None and request.agent in self._answered:
            return await self._script.run(request)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                given: AgentReply | AgentFailed = await self._wait("agent", request.agent, request.effect, request)
        except TimeoutError as error:
            raise AgentFailed(
                f"No answer within {request.timeout_seconds} s.", kind="timeout", reason="timeout"
            ) from error
        if isinstance(given, AgentFailed):
            raise given
        return given

    async def _wait(
        self,
        kind: str,
        name: str,
        effect: str,
        request: AgentRequest | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Any:
        asked = Asked(kind, name, effect, asyncio.get_running_loop().create_future(), request, arguments or {})
        self.waiting.append(asked)
        self.in_hand.add(effect)
        try:
            return await asked.answer
        finally:
            self.waiting[:] = [one for one in self.waiting if one is not asked]

    async def tool_run(self, tool: Tool, arguments: dict[str, Any], context: ToolContext) -> Any:
        self.called.append(Called(tool.name, arguments, context.idempotency_key))
        if tool.name in self._tools:
            given = self._tools[tool.name]
            if callable(given):
                given = given(**arguments)
        elif self._real_tools:
            given = tool.function(**arguments, **_context_of(tool, context))
        else:
            given = await self._wait("tool", tool.name, context.idempotency_key, None, arguments)
        if inspect.isawaitable(given):
            given = await given
        if isinstance(given, BaseException):
            raise given
        return given

    def scored(self, real: Classifier, text: str) -> Scores:
        """The scores of a text: the test's, with every other label of the classifier at nothing, or the real ones."""
        if text not in self.scores:
            return real.score(text)
        given, scope = self.scores[text]
        known = [(label, score) for label, score in given if label in real.labels]
        rest = [(label, 0.0) for label in real.labels if label not in dict(known)]
        return tuple(sorted((*known, *rest), key=lambda one: -one[1])), scope

    # -- what the test says ---------------------------------------------------------------------------

    def said_of(self, act: Writes) -> None:
        """Take note of what the classifier is to say of the text."""
        if act.scores is not None:
            given = tuple((label, float(score)) for label, score in act.scores.items())
            self.scores[act.text] = given, 1.0 if act.scope is None else float(act.scope)

    def find(self, kind: str, name: str, nth: int) -> Asked:
        """Who waits under this name. Raises `CallError` where nobody does."""
        found = [one for one in self.waiting if one.kind == kind and one.name == name]
        if nth >= len(found):
            waiting = [f"{one.kind} {one.name}" for one in self.waiting]
            raise CallError(
                f"The {kind} {name!r} was not asked, so it cannot answer; waiting are: {listed(waiting, 'nobody')}.",
                fix="Look at where the conversation stands: the failure shows it.",
            )
        return found[nth]

    def answer(self, act: AgentAnswers | ToolAnswers) -> None:
        if isinstance(act, AgentAnswers):
            self.find("agent", act.agent, act.nth).answer.set_result(reply_of(act))
        else:
            given = self.find("tool", act.tool, act.nth).answer
            given.set_result(_error(act.fails) if act.fails else act.result)

    def around(self, program: Program) -> Program:
        """The same program, whose tools and classifiers are these; also in its child flows."""
        code = replace(
            program.code,
            tools={name: self._tool(one) for name, one in program.code.tools.items()},
            classifiers={digest: _Scoring.of(one, self) for digest, one in program.code.classifiers.items()},
        )
        return replace(program, code=code, children={name: self.around(one) for name, one in program.children.items()})

    def _tool(self, tool: Tool) -> Tool:
        async def double(interlock_context: ToolContext, **arguments: Any) -> Any:
            return await self.tool_run(tool, arguments, interlock_context)

        return replace(tool, function=double, takes_context=True)


class _Scoring:
    """A classifier that says what the test says of the texts that it names."""

    def __init__(self, real: Classifier, outside: Outside) -> None:
        self.digest, self.labels = real.digest, real.labels
        self._real, self._outside = real, outside

    @classmethod
    def of(cls, real: Classifier, outside: Outside) -> "_Scoring":
        independent = getattr(real, "independent", None)
        found = cls(real, outside)
        if independent is not None:
            found.independent = independent  # type: ignore[attr-defined]
        return found

    def score(self, text: str) -> Scores:
        return self._outside.scored(self._real, text)


def reply_of(act: AgentAnswers) -> AgentReply | AgentFailed:
    """What an adapter would return, or raise."""
    if act.fails:
        return AgentFailed(
            f"In a test: {act.reason or act.fails}.",
            kind=act.fails,
            reason=act.reason or act.fails,
            retry_after_seconds=act.retry_after_seconds,
        )
    usage = Usage(measured=False) if act.usage is None else Usage(input_tokens=act.usage[0], output_tokens=act.usage[1])
    calls = tuple(ToolCall(f"call_{number}", name, text) for number, (name, text) in enumerate(act.calls))
    return AgentReply(text=act.text, tool_calls=calls, refused=act.refused, usage=usage)


def written_answer(answer: Any) -> str:
    """An agent's answer as the text that a model would write: a mapping or a model as JSON."""
    return replied(answer).text if not isinstance(answer, str) else answer


def _error(name: str) -> Exception:
    """An error of that class, for tools that fail: a built-in one, else one made for the name."""
    import builtins

    found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            return found("in a test")
        except TypeError:
            pass
    made: type[Exception] = type(name if name.isidentifier() else "Failed", (Exception,), {})
    return made("in a test")


def _context_of(tool: Tool, context: ToolContext) -> dict[str, ToolContext]:
    if not tool.takes_context:
        return {}
    from ..agents.tool_run import context_parameter

    return {context_parameter(tool.function): context}


def arguments_text(arguments: Mapping[str, Any]) -> str:
    return written(dict(arguments))


def calls_of(pairs: Iterable[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Proposed tool calls with their arguments as text."""
    return tuple((name, given if isinstance(given, str) else arguments_text(given)) for name, given in pairs)

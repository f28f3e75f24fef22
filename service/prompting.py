"""The request of one attempt, rebuilt from what the log refers to: the same events, the same prompt."""

from bisect import bisect_left

from pydantic import BaseModel

from ..agents.prompt import SUM_UP, render
from ..agents.tools import offer, offer_agent
from ..contracts.agents import AgentRequest, ChatMessage, ToolCall
from ..contracts.commands import ProposedCall
from ..contracts.consulting import tool_name
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    AgentToolEnded,
    ResultAt,
    ToolRefused,
    ToolRequested,
    ToolReturned,
)
from ..contracts.flow import AgentSpec, AgentState
from ..fsm.labelling import contract_of, router_of
from ..fsm.program import Program
from .live import Live
from .texts import Texts


class Prompts:
    """Builds agents' requests. Pure but for reading texts."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    async def request(self, live: Live, version: int, request: AgentRequested, spec: AgentSpec) -> AgentRequest:
        program = live.program
        contract = _contract(program, request, spec)
        end = bisect_left(live.lines, request.history.upto, key=lambda line: line.version) - request.history.kept
        history = await self._said(live, end - request.history.count, end)
        if request.task is not None:
            history.append(
                ChatMessage("user", await self._texts.text(live.id, request.task.version, request.task.name))
            )
        if request.purpose in ("run", "tool") and not request.cached:
            history += await self._tool_rounds(live, version, request)
        if request.purpose == "summary":
            history.append(ChatMessage("user", SUM_UP))
        known = live.conversation.known
        words = await self._texts.fact_texts(live.id, program.flow, known, request.facts)
        personal = {name: text for name, text in words.items() if known[name].sealed is not None}
        facts = {name: text for name, text in words.items() if name not in personal}
        schema = contract.model_json_schema() if contract else None
        return AgentRequest(
            effect=f"{live.id}:{version}",
            agent=spec.name,
            model=spec.model,
            messages=render(
                instructions=spec.instructions,
                messages=tuple(history),
                facts=facts,
                sealed=personal,
                contract_schema=schema,
                repairs=request.repairs if request.purpose != "summary" else (),
                handles=spec.handles,
                refuses=spec.refuses,
                results=await self._results(live, request.results),
                criterion=_criterion(program, request),
                summary=await self._summary(live, request),
                replaced=max(0, end - request.history.count),
            ),
            tools=(
                *(offer(program.tool(name)) for name in request.tools),
                *(offer_agent(program.agents[name]) for name in request.agents),
            ),
            contract_name=contract.__name__ if contract else "",
            contract=schema,
            temperature=spec.temperature,
            max_output_tokens=spec.max_output_tokens,
            timeout_seconds=request.timeout_seconds,
        )

    async def _said(self, live: Live, start: int, end: int) -> list[ChatMessage]:
        """What was said from message `start` to `end`; what is in memory, without waiting for it."""
        messages = []
        for line in live.lines[max(0, start) : end] if start < end else ():
            text = self._texts.kept(live, line)
            text = await self._texts.line(live, line) if text is None else text
            messages.append(ChatMessage("assistant" if line.ours else "user", text))
        return messages

    async def _summary(self, live: Live, request: AgentRequested) -> str:
        at = request.history.summary
        return "" if at is None else await self._texts.text(live.id, at.version, at.name)

    async def _results(self, live: Live, results: tuple[ResultAt, ...]) -> dict[str, str]:
        """Results of earlier states by name: `state`, or `state.member`, and whether one came late."""
        return {
            f"{one.state}{f'.{one.member}' if one.member else ''}{' (late)' if one.late else ''}": (
                await self._texts.text(live.id, one.at.version, one.at.name)
            )
            for one in results
        }

    async def _tool_rounds(self, live: Live, before: int, request: AgentRequested) -> list[ChatMessage]:
        """The calls that the agent proposed in this visit and what came of each, as the model is to see them.

        Each agent sees its own: the state's agent and every agent asked as a tool, in each call anew.
        """
        asked = {
            version: (event.caller, event.position)
            for version, event in live.rounds
            if isinstance(event, AgentRequested)
        }
        own = (request.caller, request.position) if request.purpose == "tool" else None
        messages: list[ChatMessage] = []
        for version, event in live.rounds:
            if version >= before:
                break
            if isinstance(event, AgentReturned) and asked.get(event.effect) != own:
                continue
            if isinstance(event, AgentReturned) and event.report.calls and not event.late:
                calls = []
                for position, call in enumerate(event.report.calls):
                    text = await self._texts.text(live.id, version, call.arguments.name)
                    calls.append(ToolCall(_call_id(version, position), _called(call), text))
                messages.append(ChatMessage("assistant", "", tool_calls=tuple(calls)))
                messages += [await self._tool_answer(live, version, position) for position in range(len(calls))]
        return messages

    async def _tool_answer(self, live: Live, request: int, position: int) -> ChatMessage:
        """What the model is told of one call it proposed: the result, the refusal, or that it failed."""
        said = "This call did not run."
        effects = {
            version: event
            for version, event in live.rounds
            if isinstance(event, ToolRequested) and event.request == request and event.position == position
        }
        for version, event in live.rounds:
            if isinstance(event, ToolRefused) and (event.request, event.position) == (request, position):
                said = f"Refused ({event.reason}). {' '.join(event.problems)}".strip()
            elif isinstance(event, ToolReturned) and event.effect in effects:
                said = await self._result_text(live, version, event)
            elif isinstance(event, AgentToolEnded) and (event.request, event.position) == (request, position):
                said = await self._agents_text(live, event)
        return ChatMessage("tool", said, tool_call_id=_call_id(request, position))

    async def _agents_text(self, live: Live, event: AgentToolEnded) -> str:
        how = "" if event.outcome == "done" else f"The agent ended with {event.outcome}."
        text = ""
        if event.output is not None:
            text = await self._texts.text(live.id, event.output.version, event.output.name)
        return "\n".join(part for part in (how, text) if part)

    async def _result_text(self, live: Live, version: int, event: ToolReturned) -> str:
        if event.report.outcome != "done":
            return f"The tool ended with {event.report.outcome}."
        if event.report.result is None:
            return "{}"
        return await self._texts.text(live.id, version, event.report.result.name)


def _contract(program: Program, request: AgentRequested, spec: AgentSpec) -> type[BaseModel] | None:
    """Of a routing label, the router's own; else the agent's."""
    if request.purpose == "label":
        return contract_of(router_of(program, request.state))
    return program.code.contracts[spec.contract] if spec.contract else None


def _criterion(program: Program, request: AgentRequested) -> str:
    state = program.states[request.state]
    return state.criterion if isinstance(state, AgentState) and request.purpose == "run" else ""


def _called(call: ProposedCall) -> str:
    return tool_name(call.agent) if call.agent is not None else call.name or "unknown_tool"


def _call_id(version: int, position: int) -> str:
    return f"call_{version}_{position}"

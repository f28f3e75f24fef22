"""Performing effects: one attempt each, whatever happens turned into a report for the core."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from ..agents.contract import checked, outcome_of
from ..agents.prompt import render
from ..agents.strict_json import written
from ..agents.tool_run import run_tool
from ..agents.tools import check_arguments, offer
from ..contracts.agents import Agent, AgentCutShort, AgentReply, AgentRequest, ChatMessage, ToolCall, ToolOffer
from ..contracts.commands import (
    Actor,
    AgentEnded,
    AgentReport,
    CommandBody,
    ProposedCall,
    ToolEnded,
    ToolReport,
)
from ..contracts.errors import AgentFailed
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    MessageReceived,
    ToolRefused,
    ToolRequested,
    ToolReturned,
)
from ..contracts.flow import AgentSpec, AgentState
from ..contracts.limits import Usage
from ..contracts.payload import Payload, bytes_of
from ..contracts.routing import RoutingEvidence
from ..contracts.tools import ToolContext
from ..contracts.values import MAX_SAFE_INTEGER, printable
from ..fsm.draft import CallAgent, Route, RunTool
from ..fsm.program import Program
from ..fsm.route import evidence
from .bounded import Bounds
from .clock import minted
from .facts import readings_from
from .live import Live
from .texts import Texts

log = structlog.get_logger("interlock.perform")
_MOST_CALLS = 32
"""Tool calls of one answer; their arguments' problems must fit one entry of the log."""
_MOST_TOKENS = 1_000_000_000
"""In or out of one call; no provider measures more."""


@dataclass(frozen=True, slots=True)
class Performed:
    """What an effect led to: the report for the command, and the payloads that go with it."""

    report: Any
    payloads: tuple[Payload, ...] = ()


class Performer:
    """Calls agents and tools for the runtime. Never retries, never decides."""

    def __init__(self, agents: Agent | Mapping[str, Agent], texts: Texts) -> None:
        self._agents, self._texts = agents, texts
        self.bounds = Bounds()

    def agent_for(self, name: str) -> Agent:
        return self._agents[name] if isinstance(self._agents, Mapping) else self._agents

    async def route(self, live: Live, effect: Route) -> RoutingEvidence:
        """Measure the message. Pure but for reading the message's text."""
        spec = live.program.routers[effect.router]
        text = ""
        if effect.message:
            text = await self._texts.text(live.id, effect.message, "message")
        classifier = live.program.code.classifiers.get(spec.classifier or "")
        return evidence(spec, text, classifier=classifier, candidates=effect.candidates)

    async def perform(self, live: Live, effect: CallAgent | RunTool) -> tuple[CommandBody, tuple[Payload, ...]]:
        """Perform the effect once; the outcome is the next command's body."""
        if isinstance(effect, CallAgent):
            performed = await self.call_agent(live, effect)
            return AgentEnded(effect=effect.effect, report=performed.report), performed.payloads
        performed = await self.run_tool(live, effect)
        return ToolEnded(effect=effect.effect, report=performed.report), performed.payloads

    async def call_agent(self, live: Live, effect: CallAgent) -> Performed:
        """One attempt at the agent that event `effect.effect` asked for."""
        program = live.program
        spec = program.agents[effect.request.agent]
        started = time.perf_counter()
        try:
            request = await self._agent_request(live, effect.effect, effect.request, spec)
            call = self.agent_for(spec.name).run(request)
            reply = await self.bounds.within(request.timeout_seconds, call, agent=spec.name, effect=request.effect)
            performed = self._reported(program, spec, effect.request, reply)
        except AgentFailed as failure:
            performed = Performed(_failed(failure))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            performed = _raised(live, spec, error)  # nobody cancelled us: the adapter's own cancellation leaked
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an adapter may raise anything; it becomes an outcome
            performed = _raised(live, spec, error)
        latency = int((time.perf_counter() - started) * 1000)
        return Performed(performed.report.changed(latency_ms=latency), performed.payloads)

    async def run_tool(self, live: Live, effect: RunTool) -> Performed:
        """Run the tool that event `effect.effect` asked for, with the key that derives from it."""
        program, request = live.program, effect.request
        started = time.perf_counter()
        tool = program.tool(request.tool)
        known = live.conversation.known
        names = request.facts if request.caller == "state" else _reads(program, request.state)
        facts = await self._plain_facts(live, names)
        problems: tuple[str, ...] = ()
        if request.caller == "state":
            arguments: dict[str, Any] | None = {
                name: value for name, value in facts.items() if name in tool.arguments.model_fields
            }
        else:
            text = await self._texts.text(live.id, request.request or 0, f"arguments_{request.position}")
            arguments, problems = check_arguments(tool, text)
        if arguments is None:
            reason = printable("; ".join(problems) or "bad_arguments", 200)
            return Performed(ToolReport(outcome="failed", reason=reason))
        context = ToolContext(conversation=live.id, idempotency_key=f"{live.id}:{effect.effect}", facts=facts)
        run = await run_tool(tool, arguments, context, request.timeout_seconds, allowed=_allowed(program, request))
        payloads: list[Payload] = []
        result = None
        shown = written(run.data) if run.outcome == "done" else run.detail
        if shown:
            result = minted("result", "result", bytes_of(shown))
            payloads.append(result)
        readings, sealed = readings_from(program, run.data, known)
        return Performed(
            ToolReport(
                outcome=run.outcome,
                reason=printable(run.reason, 60),
                result=result.ref if result else None,
                result_token_bound=len(bytes_of(shown)) + 16,
                facts=readings,
                latency_ms=int((time.perf_counter() - started) * 1000),
            ),
            (*payloads, *sealed),
        )

    async def _agent_request(self, live: Live, version: int, request: AgentRequested, spec: AgentSpec) -> AgentRequest:
        program = live.program
        contract = program.code.contracts[spec.contract] if spec.contract else None
        end = bisect_left(live.lines, request.history.upto, key=lambda line: line.version)
        lines = live.lines[max(0, end - request.history.count) : end]
        history = [
            ChatMessage(
                "user" if isinstance(line.event, MessageReceived) else "assistant", await self._texts.line(live, line)
            )
            for line in lines
        ]
        history += await self._tool_rounds(live, version)
        known = live.conversation.known
        words = await self._texts.fact_texts(live.id, program, known, request.facts)
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
                repairs=request.repairs,
                handles=spec.handles,
                refuses=spec.refuses,
            ),
            tools=tuple(_offer(program, name) for name in request.tools),
            contract_name=spec.contract or "",
            contract=schema,
            temperature=spec.temperature,
            max_output_tokens=spec.max_output_tokens,
            timeout_seconds=request.timeout_seconds,
        )

    async def _tool_rounds(self, live: Live, before: int) -> list[ChatMessage]:
        """The tool calls of this visit and what came of each, as the model is to see them."""
        messages: list[ChatMessage] = []
        for version, event in live.rounds:
            if version >= before:
                break
            if isinstance(event, AgentReturned) and event.report.calls and not event.late:
                calls = []
                for position, call in enumerate(event.report.calls):
                    text = await self._texts.text(live.id, version, call.arguments.name)
                    calls.append(ToolCall(_call_id(version, position), call.name or "unknown_tool", text))
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
        return ChatMessage("tool", said, tool_call_id=_call_id(request, position))

    async def _result_text(self, live: Live, version: int, event: ToolReturned) -> str:
        if event.report.outcome != "done":
            return f"The tool ended with {event.report.outcome}."
        if event.report.result is None:
            return "{}"
        return await self._texts.text(live.id, version, event.report.result.name)

    async def _plain_facts(self, live: Live, names: tuple[str, ...]) -> dict[str, Any]:
        """Facts as a tool gets them: open values as they are, sealed ones as text."""
        found: dict[str, Any] = {}
        for name in names:
            fact = live.conversation.known.get(name)
            if fact is not None:
                found[name] = (
                    fact.value
                    if fact.sealed is None
                    else await self._texts.text(live.id, fact.sealed.version, fact.sealed.name)
                )
        return found

    def _reported(self, program: Program, spec: AgentSpec, request: AgentRequested, reply: AgentReply) -> Performed:
        """A reply as a report: contract checked, texts as payloads, declared facts read."""
        common = {
            "usage": _measured(reply.usage),
            "model": printable(reply.model).replace(" ", "?"),
            "request_id": printable(reply.request_id),
        }
        if reply.tool_calls and not reply.refused:
            return self._proposed(program, reply, common)
        output = minted("output", "result", bytes_of(reply.text))
        contract = program.code.contracts[spec.contract] if spec.contract else None
        found = checked(reply.text, contract)
        outcome = outcome_of(found, reply.refused)
        payloads = [output]
        fields: dict[str, Any] = {"outcome": outcome, "output": output.ref, "violations": found.violations, **common}
        if outcome in ("done", "unsure", "refused"):
            text = found.data.get("reply", "") if contract else reply.text
            if isinstance(text, str) and text.strip():
                said = minted("reply", "reply", bytes_of(text))
                payloads.append(said)
                fields |= {"reply": said.ref, "reply_token_bound": len(said.plaintext)}
            readings, sealed = readings_from(program, found.data, {})
            fields["facts"] = readings
            payloads += sealed
        return Performed(AgentReport.model_validate(fields), tuple(payloads))

    def _proposed(self, program: Program, reply: AgentReply, common: dict[str, Any]) -> Performed:
        if len(reply.tool_calls) > _MOST_CALLS:
            said = f"The answer proposes {len(reply.tool_calls)} tool calls; at most {_MOST_CALLS} are taken."
            return Performed(AgentReport.model_validate({"outcome": "invalid", "violations": (said,), **common}))
        payloads, calls = [], []
        for position, call in enumerate(reply.tool_calls):
            arguments = minted(f"arguments_{position}", "arguments", bytes_of(call.arguments))
            payloads.append(arguments)
            known = call.name in program.code.tools
            problems = check_arguments(program.tool(call.name), call.arguments)[1] if known else ()
            calls.append(ProposedCall(name=call.name if known else None, arguments=arguments.ref, problems=problems))
        report = AgentReport.model_validate({"outcome": "done", "calls": tuple(calls), **common})
        return Performed(report, tuple(payloads))


def _failed(failure: AgentFailed) -> AgentReport:
    """A failed attempt as a report; one that was cut short was paid for, and says what it used."""
    wait = failure.retry_after_seconds
    model, usage = "", Usage(measured=False)
    if isinstance(failure, AgentCutShort):
        model, usage = printable(failure.model), _measured(failure.usage)
    return AgentReport.model_validate(
        {
            "outcome": failure.kind if failure.kind in ("timeout", "refused", "invalid") else "failed",
            "reason": printable(failure.reason, 60),
            "retry_after_seconds": wait if isinstance(wait, int) and 0 <= wait <= MAX_SAFE_INTEGER else None,
            "request_id": printable(failure.request_id),
            "model": model,
            "usage": usage,
        }
    )


def _raised(live: Live, spec: AgentSpec, error: BaseException) -> Performed:
    """What an adapter raised though it may not: a failed attempt, with the class of the error and no more."""
    log.error("agent_raised", agent=spec.name, error=type(error).__name__, conversation=live.id)
    return Performed(AgentReport(outcome="failed", reason=printable(type(error).__name__, 60)))


def _measured(usage: Usage) -> Usage:
    """The usage if it can be one; nonsense counts as not measured, and costs what was reserved."""
    numbers: tuple[object, ...] = (usage.input_tokens, usage.output_tokens)
    whole = all(isinstance(one, int) and 0 <= one <= _MOST_TOKENS for one in numbers)
    return usage if whole else Usage(measured=False)


def performer_of(effect: CallAgent | RunTool) -> Actor:
    """Who caused the outcome of an effect."""
    if isinstance(effect, CallAgent):
        return Actor(kind="agent", id=effect.request.agent)
    return Actor(kind="tool", id=effect.request.tool)


def repeatable(program: Program, effect: CallAgent | RunTool) -> bool:
    """Whether an effect may be performed again after a crash: it changes nothing, or it takes the key."""
    if isinstance(effect, CallAgent):
        return True
    spec = program.tools[effect.request.tool]
    return spec.keyed or not spec.consequential


def _call_id(version: int, position: int) -> str:
    return f"call_{version}_{position}"


def _offer(program: Program, name: str) -> ToolOffer:
    return offer(program.tool(name))


def _reads(program: Program, state: str) -> tuple[str, ...]:
    found = program.states[state]
    return found.reads if isinstance(found, AgentState) else ()


def _allowed(program: Program, request: ToolRequested) -> frozenset[str]:
    """The state's own list, read again from the flow: enforced here as well as in the decision."""
    state = program.states[request.state]
    if isinstance(state, AgentState):
        return frozenset(state.tools)
    tool = getattr(state, "tool", None)
    return frozenset({tool} if tool else ())

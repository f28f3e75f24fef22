"""Performing effects: one attempt each, whatever happens turned into a report for the core."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from ..agents.strict_json import written
from ..agents.tool_run import run_tool
from ..agents.tools import check_arguments
from ..contracts.agents import (
    Agent,
    AgentReply,
)
from ..contracts.commands import (
    Actor,
    AgentEnded,
    AgentReport,
    CommandBody,
    ToolEnded,
    ToolReport,
)
from ..contracts.errors import AgentFailed
from ..contracts.events import (
    ToolRequested,
)
from ..contracts.flow import AgentSpec, AgentState, CallState
from ..contracts.limits import Usage
from ..contracts.payload import Payload, bytes_of
from ..contracts.routing import RoutingEvidence
from ..contracts.tools import ToolContext
from ..contracts.values import printable
from ..fsm.conversation import Conversation
from ..fsm.draft import CallAgent, Route, RunTool
from ..fsm.program import Program
from ..fsm.render import ERASED
from ..fsm.route import evidence
from .answers import OUTPUT, Answers, is_cacheable, question_of
from .bounded import Bounds
from .budgets import Ledger
from .clock import minted
from .covering import approved_facts, is_covered, with_given
from .facts import readings_from
from .live import Live
from .prompting import Prompts
from .protection import Protection
from .redactor import Redactor
from .reports import Performed, failed, labelled, reported
from .texts import Texts

log = structlog.get_logger("interlock.perform")
TOO_LARGE = "too_large"
"""The `reason` of an outcome that does not fit an entry of the log."""


class Performer:
    """Calls agents and tools for the runtime. Never retries, never decides."""

    def __init__(
        self,
        agents: Agent | Mapping[str, Agent],
        texts: Texts,
        protection: Protection,
        ledger: Ledger,
        redactor: Redactor | None = None,
    ) -> None:
        self._agents, self._texts, self.protection, self.ledger = agents, texts, protection, ledger
        self._redactor = redactor or Redactor()
        self.bounds = Bounds()
        self.answers = Answers()
        self._prompts = Prompts(texts)

    def agent_for(self, name: str) -> Agent:
        return self._agents[name] if isinstance(self._agents, Mapping) else self._agents

    async def route(self, live: Live, effect: Route) -> RoutingEvidence:
        """Measure the message. Pure but for reading the message's text."""
        spec = live.program.routers[effect.router]
        text = ""
        if effect.message:
            text = await self._texts.text(live.id, effect.message, "message")
        classifier = live.program.code.classifiers.get(spec.classifier or "")
        screener = live.program.code.classifiers.get(spec.screen_classifier or "")
        return evidence(
            spec, text, classifier=classifier, screener=screener, candidates=effect.candidates, held=effect.held
        )

    async def perform(self, live: Live, effect: CallAgent | RunTool) -> tuple[CommandBody, tuple[Payload, ...]]:
        """Perform the effect once; the outcome is the next command's body."""
        if isinstance(effect, CallAgent):
            performed = await self.call_agent(live, effect)
            under = _undercounted(live, effect, performed.report)
            return AgentEnded(effect=effect.effect, report=performed.report, undercounted=under), performed.payloads
        performed = await self.run_tool(live, effect)
        return ToolEnded(effect=effect.effect, report=performed.report), performed.payloads

    async def call_agent(self, live: Live, effect: CallAgent) -> Performed:
        """One attempt at the agent that event `effect.effect` asked for, where it may be made."""
        program = live.program
        spec = program.agents[effect.request.agent]
        if effect.request.cached:
            return await self._answered_before(live, effect, spec)
        performed, conditions = await self.protection.attempt(
            program.ref.name, spec, effect.request, partial(self._in_budget, live, effect, spec), Performed
        )
        if conditions:
            return Performed(performed.report.changed(conditions=conditions), performed.payloads)
        return performed

    async def _in_budget(self, live: Live, effect: CallAgent, spec: AgentSpec, seconds_left: int) -> Performed:
        """The attempt, where the tenant's budget has room for it."""
        tenant = live.conversation.tenant
        budget, passed = await self.ledger.reserve(tenant, live.id, effect.effect, effect.request)
        if passed is not None:
            return Performed(AgentReport(outcome="failed", reason="tenant_budget", usage=Usage(), limit=passed))
        performed = await self._attempt(live, effect, spec, seconds_left)
        if budget is not None:
            await self.ledger.settle(live.id, effect.effect, performed.report, spec.price)
        return performed

    async def _attempt(self, live: Live, effect: CallAgent, spec: AgentSpec, seconds_left: int) -> Performed:
        program = live.program
        started = time.perf_counter()
        try:
            request = await self._prompts.request(live, effect.effect, effect.request, spec)
            if is_cacheable(spec, effect.request, live.conversation):
                self.answers.asked(live.id, effect.effect, question_of(live, request))
            if seconds_left != request.timeout_seconds:  # some of it was waited
                request = replace(request, timeout_seconds=seconds_left)
            call = self.agent_for(spec.name).run(request)
            reply = await self.bounds.within(request.timeout_seconds, call, agent=spec.name, effect=request.effect)
            found = (
                labelled(program, effect.request, reply)
                if effect.request.purpose == "label"
                else reported(program, spec, reply, as_tool=effect.request.purpose == "tool")
            )
            report = await with_given(live, self._texts, effect.request, found.report, found.payloads)
            performed = Performed(report, found.payloads)
        except AgentFailed as failure:
            performed = Performed(failed(failure))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            performed = _raised(live, spec, error)  # nobody cancelled us: the adapter's own cancellation leaked
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an adapter may raise anything; it becomes an outcome
            performed = _raised(live, spec, error)
        latency = int((time.perf_counter() - started) * 1000)
        return Performed(performed.report.changed(latency_ms=latency), performed.payloads)

    async def _answered_before(self, live: Live, effect: CallAgent, spec: AgentSpec) -> Performed:
        """The answer given before to exactly the same question, read from the log; no model is called."""
        program, missed = live.program, AgentReport(outcome="failed", reason="not_cached", usage=Usage())
        if not is_cacheable(spec, effect.request, live.conversation):
            return Performed(missed)
        request = await self._prompts.request(live, effect.effect, effect.request, spec)
        place = self.answers.found(question_of(live, request), self.protection.clock.now())
        text = ERASED if place is None else await self._texts.text(place.stream, place.version, OUTPUT)
        if text == ERASED:
            return Performed(missed)
        performed = reported(program, spec, AgentReply(text=text, usage=Usage()))
        return Performed(performed.report.changed(cached_from=place), performed.payloads)

    def recorded(self, live: Live, effect: CallAgent, version: int, report: AgentReport) -> None:
        """The end of the attempt stands in the log, at `version`."""
        spec = live.program.agents[effect.request.agent]
        self.answers.answered(live.id, effect.effect, version, report, spec, self.protection.clock.now())

    async def run_tool(self, live: Live, effect: RunTool) -> Performed:
        """Run the tool that event `effect.effect` asked for, with the key that derives from it."""
        program, request = live.program, effect.request
        started = time.perf_counter()
        tool = program.tool(request.tool)
        before = live.conversation
        if before.forks and program.tools[request.tool].consequential:  # a fork changes nothing outside
            return Performed(ToolReport(outcome="failed", reason="forked"))
        if not is_covered(before, request):  # an operator's input changed them since
            return Performed(ToolReport(outcome="failed", reason="unapproved"))
        told = request.facts if request.caller == "state" else approved_facts(before, request)
        facts = await self._plain_facts(live, before, _reads(program, request.state) if told is None else told)
        problems: tuple[str, ...] = ()
        if request.caller == "state":
            arguments: dict[str, Any] | None = {
                **{name: value for name, value in facts.items() if name in tool.arguments.model_fields},
                **_given(program, request),
            }
        else:
            text = await self._texts.text(live.id, request.request or 0, f"arguments_{request.position}")
            arguments, problems = check_arguments(tool, text)
        if arguments is None:
            reason = printable("; ".join(problems) or "bad_arguments", 200)
            return Performed(ToolReport(outcome="failed", reason=reason))
        if (stopped := _stopped(live.conversation, effect)) is not None:
            return Performed(ToolReport(outcome="failed", reason=stopped))
        context = ToolContext(conversation=live.id, idempotency_key=f"{live.id}:{effect.effect}", facts=facts)
        run = await run_tool(tool, arguments, context, request.timeout_seconds, allowed=_allowed(program, request))
        payloads: list[Payload] = []
        result = None
        data = self._redactor.value(run.data)
        shown = written(data) if run.outcome == "done" else self._redactor.written(run.detail)
        if shown:
            result = minted("result", "result", bytes_of(shown))
            payloads.append(result)
        readings, sealed = readings_from(program, data, before.known)
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

    async def _plain_facts(self, live: Live, conversation: Conversation, names: tuple[str, ...]) -> dict[str, Any]:
        """Facts as a tool gets them: open values as they are, sealed ones as text; as `conversation` has them."""
        found: dict[str, Any] = {}
        for name in names:
            fact = conversation.known.get(name)
            if fact is not None:
                found[name] = (
                    fact.value
                    if fact.sealed is None
                    else await self._texts.text(live.id, fact.sealed.version, fact.sealed.name)
                )
        return found


def _raised(live: Live, spec: AgentSpec, error: BaseException) -> Performed:
    """What an adapter raised though it may not: a failed attempt, with the class of the error and no more."""
    log.error("agent_raised", agent=spec.name, error=type(error).__name__, conversation=live.id)
    return Performed(AgentReport(outcome="failed", reason=printable(type(error).__name__, 60)))


def _undercounted(live: Live, effect: CallAgent, report: AgentReport) -> bool:
    """Whether the provider counted more tokens than the bound that was measured; a warning says both."""
    bound, usage = effect.request.token_bound, report.usage
    if not usage.measured or usage.input_tokens <= bound:
        return False
    log.warning(
        "tokens_undercounted",
        agent=effect.request.agent,
        conversation=live.id,
        effect=effect.effect,
        token_bound=bound,
        input_tokens=usage.input_tokens,
    )
    return True


def _stopped(conversation: Conversation, effect: RunTool) -> str | None:
    """Why the tool may not begin after all; None where it may. An input may have come while its facts were read."""
    if effect.effect not in conversation.pending:
        return "withdrawn"
    return None if is_covered(conversation, effect.request) else "unapproved"


def performer_of(effect: CallAgent | RunTool) -> Actor:
    """Who caused the outcome of an effect."""
    if isinstance(effect, CallAgent):
        return Actor(kind="agent", id=effect.request.agent)
    return Actor(kind="tool", id=effect.request.tool)


def too_large(body: CommandBody) -> CommandBody:
    """An outcome that does not fit an entry of the log, as one that does: failed, with what it cost and changed.

    Its payloads are dropped with it.
    """
    if isinstance(body, ToolEnded):
        return body.changed(report=ToolReport(outcome="failed", reason=TOO_LARGE, latency_ms=body.report.latency_ms))
    if not isinstance(body, AgentEnded):
        return body
    kept = ("usage", "model", "request_id", "latency_ms", "conditions")
    fields = {name: getattr(body.report, name) for name in kept}
    return body.changed(report=AgentReport(outcome="failed", reason=TOO_LARGE, **fields))


def repeatable(program: Program, effect: CallAgent | RunTool) -> bool:
    """Whether an effect may be performed again after a crash: it changes nothing, or it takes the key."""
    if isinstance(effect, CallAgent):
        return True
    spec = program.tools[effect.request.tool]
    return spec.keyed or not spec.consequential


def _given(program: Program, request: ToolRequested) -> dict[str, Any]:
    """Arguments that the state gives as they stand in the flow."""
    state = program.states[request.state]
    return dict(state.gives) if isinstance(state, CallState) else {}


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

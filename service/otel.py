"""OpenTelemetry: a turn, an agent's visit, a model call and a tool call as spans, and what they take as metrics.

```
invoke_workflow {flow}            a turn, with each decision and handoff as an event of the span
  invoke_agent {agent}            from the agent's first call to the row that leaves its state
    chat {model}                  one attempt at the model (CLIENT)
    execute_tool {name}           a tool that its answer proposed
  execute_tool {name}             a tool that the flow calls
```

Only the API is needed; without an SDK every span and measurement is a no-op. What comes in as current (a web
framework's span) is the turn's parent, and what an adapter or a tool opens is a child of its span.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from ..contracts.errors import SetupError

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as missing:
    raise SetupError(
        "OpenTelemetry was asked for and is not installed.", fix="Install it: `pip install interlock[otel]`."
    ) from missing

from ..contracts.events import AgentRequested
from . import genai_names as names
from .figures import Figure
from .live import Live
from .observing import Listener
from .records import Performing, Record

_SILENT = frozenset({"conversation", "trace", "flow", "at", "entry", "version"})
"""Fields that the span itself says already."""
_Key = tuple[str, int]


class OpenTelemetry(Listener):
    """Spans and metrics of one runtime. With `previews`, model calls carry redacted content.

    Without providers of its own it uses those that the process has set.
    """

    def __init__(
        self,
        *,
        previews: bool = False,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self.previews = previews
        self._tracer = trace.get_tracer("interlock", tracer_provider=tracer_provider)
        meter = metrics.get_meter("interlock", meter_provider=meter_provider)

        def histogram(name: str, unit: str, buckets: tuple[float, ...]) -> metrics.Histogram:
            return meter.create_histogram(name, unit=unit, explicit_bucket_boundaries_advisory=buckets)

        self._durations = {
            names.CHAT: histogram(names.OPERATION_DURATION, "s", names.SECONDS_OF_A_CALL),
            names.EXECUTE_TOOL: histogram(names.EXECUTE_TOOL_DURATION, "s", names.SECONDS_OF_A_CALL),
            names.INVOKE_AGENT: histogram(names.INVOKE_AGENT_DURATION, "s", names.SECONDS_OF_AN_AGENT),
            names.INVOKE_WORKFLOW: histogram(names.WORKFLOW_DURATION, "s", names.SECONDS_OF_A_WORKFLOW),
        }
        self._tokens = histogram(names.TOKEN_USAGE, "{token}", names.TOKENS_OF_A_CALL)
        self._turns: dict[str, list[Span]] = {}
        self._agents: dict[tuple[str, str], tuple[Span, float]] = {}
        self._effects: dict[_Key, tuple[Span, dict[str, Any]]] = {}
        self._in_flight: set[_Key] = set()

    # -- around ----------------------------------------------------------------------------------------

    @contextmanager
    def turn(self, live: Live) -> Iterator[None]:
        about: dict[str, Any] = {
            names.OPERATION: names.INVOKE_WORKFLOW,
            names.WORKFLOW: live.program.ref.name,
            names.CONVERSATION: live.id,
            f"{names.OWN}flow.version": live.program.ref.version,
            f"{names.OWN}flow.digest": live.program.ref.digest,
            f"{names.OWN}state.from": live.conversation.state,
        }
        began = perf_counter()
        with self._tracer.start_as_current_span(
            f"{names.INVOKE_WORKFLOW} {live.program.ref.name}", attributes=about
        ) as span:
            turns = self._turns.setdefault(live.id, [])
            turns.append(span)
            try:
                yield
            finally:
                turns.remove(span)
                if not turns:
                    del self._turns[live.id]
                    self._close_all(live.id)
                span.set_attribute(f"{names.OWN}state.to", live.conversation.state)
                span.set_attribute(f"{names.OWN}status", live.conversation.status)
                self._took(names.INVOKE_WORKFLOW, perf_counter() - began, {names.WORKFLOW: live.program.ref.name})

    @contextmanager
    def performing(self, effect: Performing) -> Iterator[None]:
        key = (effect.conversation, effect.effect)
        if isinstance(effect.request, AgentRequested):
            parent: context.Context | None = self._agent(effect, effect.request)
            name, kind, about = _chat(effect, effect.request)
        else:
            parent = self._visiting(effect.conversation)
            name, kind, about = _tool(effect)
        span = self._tracer.start_span(name, context=parent, kind=kind, attributes=about)
        self._effects[key] = span, about
        self._in_flight.add(key)
        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            yield
        finally:
            context.detach(token)
            self._in_flight.discard(key)

    def _agent(self, effect: Performing, request: AgentRequested) -> context.Context:
        """The context of the agent's visit, which begins with its first call."""
        key = (effect.conversation, request.agent)
        if key not in self._agents:
            about = {
                names.OPERATION: names.INVOKE_AGENT,
                names.AGENT: request.agent,
                names.CONVERSATION: effect.conversation,
                names.WORKFLOW: effect.program.ref.name,
                names.REQUEST_MODEL: request.model,
                f"{names.OWN}state": request.state,
            }
            span = self._tracer.start_span(f"{names.INVOKE_AGENT} {request.agent}", attributes=about)
            self._agents[key] = span, perf_counter()
        return trace.set_span_in_context(self._agents[key][0])

    def _visiting(self, conversation: str) -> context.Context | None:
        for (whose, _), (span, _) in self._agents.items():
            if whose == conversation:
                return trace.set_span_in_context(span)
        return None

    # -- after the commit ------------------------------------------------------------------------------

    def heard(self, record: Record) -> None:
        if record.kind in ("model_call", "tool_call"):
            self._ended(record)
        else:
            self._noted(record)
        if record.entry == "transition_taken":
            self._close_agents(record.conversation)

    def _ended(self, record: Record) -> None:
        figures = record.figures
        key = (record.conversation, int(str(figures["effect"])))
        span, about = self._effects.pop(key, (trace.INVALID_SPAN, {}))
        chat = record.kind == "model_call"
        failed = figures["outcome"] not in ("done", "unsure", "refused")
        measured = {
            name: about[name]
            for name in (names.OPERATION, names.PROVIDER, names.REQUEST_MODEL, names.TOOL)
            if name in about
        }
        if failed:
            measured[names.ERROR_TYPE] = str(figures.get("reason") or figures["outcome"])
            span.set_attribute(names.ERROR_TYPE, measured[names.ERROR_TYPE])
            span.set_status(Status(StatusCode.ERROR, str(figures["outcome"])))
        if chat:
            span.set_attributes(_answered(record))
            measured[names.RESPONSE_MODEL] = str(figures.get("model", ""))
            for kind in ("input", "output"):
                count = figures.get(f"{kind}_tokens")
                if isinstance(count, int):
                    self._tokens.record(count, {**measured, names.TOKEN_TYPE: kind})
        span.set_attributes(_own(record, skip=_TOLD if chat else frozenset({"tool", "effect"})))
        self._took(names.CHAT if chat else names.EXECUTE_TOOL, int(str(figures.get("latency_ms", 0))) / 1000, measured)
        span.end()

    def _noted(self, record: Record) -> None:
        """A decision, a handoff or a task is an event of the turn's span."""
        turns = self._turns.get(record.conversation)
        if not turns:
            return
        turns[-1].set_attribute(f"{names.OWN}trace", record.trace)
        about: dict[str, Any] = {f"{names.OWN}entry": record.entry, f"{names.OWN}version": record.version}
        turns[-1].add_event(f"{names.OWN}{record.kind}", {**about, **_own(record)})

    def _close_agents(self, conversation: str) -> None:
        for key in [key for key in self._agents if key[0] == conversation]:
            span, began = self._agents.pop(key)
            self._took(names.INVOKE_AGENT, perf_counter() - began, {names.AGENT: key[1]})
            span.end()

    def _close_all(self, conversation: str) -> None:
        """Nothing that has ended stays open after a turn: an effect whose end this process did not record is unknown.

        What goes on beside the turn (a late member of a broadcast) ends when it is recorded.
        """
        for key in [key for key in self._effects if key[0] == conversation and key not in self._in_flight]:
            span, _ = self._effects.pop(key)
            span.set_attribute(names.ERROR_TYPE, "not_recorded")
            span.set_status(Status(StatusCode.ERROR, "its end was not recorded by this process"))
            span.end()
        self._close_agents(conversation)

    def _took(self, operation: str, seconds: float, about: Mapping[str, Any]) -> None:
        self._durations[operation].record(seconds, {names.OPERATION: operation, **about})


_TOLD = frozenset(
    {
        *("agent", "model", "effect", "input_tokens", "output_tokens", "request_id", "finish"),
        *("prompt_preview", "reply_preview"),
    }
)
"""What a model call's span says under the conventions' own names."""


def _chat(effect: Performing, request: AgentRequested) -> tuple[str, SpanKind, dict[str, Any]]:
    spec = effect.program.agents[request.agent]
    about: dict[str, Any] = {
        names.OPERATION: names.CHAT,
        names.PROVIDER: effect.provider or "unknown",
        names.CONVERSATION: effect.conversation,
        names.AGENT: request.agent,
        names.REQUEST_MAX_TOKENS: spec.max_output_tokens,
        names.REQUEST_TEMPERATURE: float(spec.temperature),
        names.OUTPUT_TYPE: "json" if spec.contract else "text",
        f"{names.OWN}effect": f"{effect.conversation}:{effect.effect}",
    }
    if request.model:
        about[names.REQUEST_MODEL] = request.model
    return f"{names.CHAT} {request.model}".rstrip(), SpanKind.CLIENT, about


def _tool(effect: Performing) -> tuple[str, SpanKind, dict[str, Any]]:
    tool = getattr(effect.request, "tool", "")
    about = {
        names.OPERATION: names.EXECUTE_TOOL,
        names.TOOL: tool,
        names.TOOL_TYPE: "function",
        names.TOOL_CALL_ID: f"{effect.conversation}:{effect.effect}",
        names.CONVERSATION: effect.conversation,
    }
    return f"{names.EXECUTE_TOOL} {tool}", SpanKind.INTERNAL, about


def _answered(record: Record) -> dict[str, Any]:
    """A model call's outcome under the conventions' names."""
    figures = record.figures
    found: dict[str, Any] = {
        names.RESPONSE_MODEL: figures.get("model"),
        names.RESPONSE_ID: figures.get("request_id"),
        names.INPUT_TOKENS: figures.get("input_tokens"),
        names.OUTPUT_TOKENS: figures.get("output_tokens"),
        names.FINISH_REASONS: (str(figures["finish"]),) if figures.get("finish") else None,
        names.INPUT_MESSAGES: _message("user", figures.get("prompt_preview")),
        names.OUTPUT_MESSAGES: _message("assistant", figures.get("reply_preview")),
    }
    return {name: one for name, one in found.items() if one not in (None, "")}


def _message(role: str, text: Figure) -> str | None:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}]) if text else None


def _own(record: Record, skip: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The record's figures under our own names."""
    return {f"{names.OWN}{name}": one for name, one in record.fields().items() if name not in skip | _SILENT}

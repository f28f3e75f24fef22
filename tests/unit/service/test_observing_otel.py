"""OpenTelemetry: spans and metrics under the GenAI conventions' names, nested as the work was."""

import asyncio
import builtins
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, fails, gives, rules, when
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.errors import SetupError
from interlock.contracts.limits import Usage
from interlock.persistence.memory_store import MemoryStore
from interlock.service.observing import Observer
from interlock.service.otel import OpenTelemetry
from interlock.service.runtime import Runtime
from interlock.service.telemetry import observer_told_by
from support.runtime import CLERK, Bank, check_log, mini


class Collected:
    """An SDK that keeps everything in memory."""

    def __init__(self, *, previews: bool = False) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider([self._reader])
        self.listener = OpenTelemetry(previews=previews, tracer_provider=self.tracers, meter_provider=meters)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def tree(self) -> list[str]:
        """Every span as `parent > name`, in the order they began."""
        names = {span.context.span_id: span.name for span in self.spans if span.context}
        ordered = sorted(self.spans, key=lambda span: span.start_time or 0)
        return [f"{names.get(one.parent.span_id, 'outside') if one.parent else ''} > {one.name}" for one in ordered]

    def metrics(self) -> dict[str, list[Any]]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def answering() -> ScriptedAgent:
    used = Usage(input_tokens=100, output_tokens=20)
    return ScriptedAgent(
        rules(
            after_tool("pay", then=AgentReply(text='{"reply":"Paid."}', usage=used, model="m-1", request_id="r-1")),
            when("tool", then=calls("pay", amount=3)),
            when("break", then=fails("server_error")),
            when("pass on", then=lambda request: gives(outcome="unsure" if request.agent == "helper" else "done")),
            otherwise=AgentReply(text='{"reply":"Yes, 4111 1111 1111 1111."}', usage=used, finish="stop"),
        ),
        name="openai",
    )


async def told(collected: Collected, *texts: str) -> MemoryStore:
    program, store = mini(Bank(), attempts=1), MemoryStore()
    async with Runtime(store, program, answering(), observer=Observer(collected.listener)) as runtime:
        await runtime.start(conversation="talk")
        for text in texts:
            await runtime.say("talk", text)
    check_log(store, program)
    return store


async def test_spans_are_nested_as_the_work_was() -> None:
    """A turn holds an agent's visit, which holds its calls and the tools it proposed; a flow's tool is the turn's."""
    collected = Collected()
    await told(collected, "help tool", "pay")
    assert collected.tree() == [
        " > invoke_workflow mini",
        " > invoke_workflow mini",
        "invoke_workflow mini > invoke_agent helper",
        "invoke_agent helper > chat small",
        "invoke_agent helper > execute_tool pay",
        "invoke_agent helper > chat small",
        " > invoke_workflow mini",
        "invoke_workflow mini > execute_tool pay",
    ]


async def test_two_agents_of_a_turn_have_a_span_each() -> None:
    """The first ends with the row that leaves its state."""
    collected = Collected()
    await told(collected, "help, or pass on")
    first, second = collected.named("invoke_agent helper")[0], collected.named("invoke_agent expert")[0]
    assert first.end_time is not None
    assert second.start_time is not None
    assert first.end_time <= second.start_time


async def test_a_model_call_has_the_conventions_attributes() -> None:
    """Under their names what they name, under `interlock.` the rest; no content unless asked for."""
    collected = Collected()
    await told(collected, "help")
    span = collected.named("chat small")[0]
    assert span.kind is SpanKind.CLIENT
    about = dict(span.attributes or {})
    assert about.pop("interlock.latency_ms") in range(1_000)
    assert about == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.conversation.id": "talk",
        "gen_ai.agent.name": "helper",
        "gen_ai.request.model": "small",
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "small",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "interlock.effect": "talk:7",
        "interlock.state": "helper",
        "interlock.attempt": 1,
        "interlock.round": 0,
        "interlock.purpose": "run",
        "interlock.outcome": "done",
        "interlock.measured": True,
        "interlock.cost_nano": 140_000,
        "interlock.currency": "EUR",
    }


async def test_decisions_and_handoffs_are_events_of_the_turn() -> None:
    """In the order of the log, with their figures."""
    collected = Collected()
    await told(collected, "help, or pass on")
    turn = collected.named("invoke_workflow mini")[1]
    about = dict(turn.attributes or {})
    assert (about["interlock.trace"], about["interlock.state.from"]) == ("talk:1", "start")
    assert (about["interlock.state.to"], about["gen_ai.workflow.name"]) == ("more", "mini")
    assert [(event.name, (event.attributes or {})["interlock.entry"]) for event in turn.events] == [
        ("interlock.decision", "transition_taken"),
        ("interlock.decision", "routing_decided"),
        ("interlock.decision", "transition_taken"),
        ("interlock.decision", "transition_taken"),
        ("interlock.handoff", "handoff_made"),
        ("interlock.decision", "transition_taken"),
    ]
    handoff = dict(turn.events[4].attributes or {})
    assert (handoff["interlock.source"], handoff["interlock.target"]) == ("helper", "expert")


async def test_a_failed_call_is_an_error_with_its_type() -> None:
    """In the span and in the metric."""
    collected = Collected()
    await told(collected, "help break")
    span = collected.named("chat small")[0]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "server_error"
    points = collected.metrics()["gen_ai.client.operation.duration"]
    assert [point.attributes["error.type"] for point in points] == ["server_error"]


KINDS = ("input", "output")


async def test_metrics_have_the_conventions_names_and_units() -> None:
    """Durations in seconds, tokens by type; never an id of a conversation among the attributes."""
    collected = Collected()
    await told(collected, "help tool", "expert")
    found = collected.metrics()
    assert set(found) == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "gen_ai.execute_tool.duration",
        "gen_ai.invoke_agent.duration",
        "gen_ai.workflow.duration",
    }
    assert sum(point.count for point in found["gen_ai.client.operation.duration"]) == 3
    assert sum(point.count for point in found["gen_ai.workflow.duration"]) == 3
    tokens = {
        (p.attributes["gen_ai.request.model"], p.attributes["gen_ai.token.type"]): p.sum
        for p in found["gen_ai.client.token.usage"]
    }
    assert tokens == {
        ("small", "input"): 100,
        ("small", "output"): 20,
        ("large", "input"): 100,
        ("large", "output"): 20,
    }
    for points in found.values():
        assert all("talk" not in str(value) for point in points for value in point.attributes.values())


async def test_content_is_opt_in_and_redacted() -> None:
    """Off, no attribute of any span holds what was said; on, what redaction leaves of it."""
    without, asked = Collected(), Collected(previews=True)
    for collected in (without, asked):
        await told(collected, "help, my card is 5500 0000 0000 0004")
    assert not any("card" in str(span.attributes) for span in without.spans)
    about = dict(asked.named("chat small")[0].attributes or {})
    (prompt,) = json.loads(str(about["gen_ai.input.messages"]))
    (reply,) = json.loads(str(about["gen_ai.output.messages"]))
    assert prompt == {"role": "user", "parts": [{"type": "text", "content": "help, my card is [card]"}]}
    assert reply["parts"][0]["content"] == '{"reply":"Yes, [card]."}'


async def test_what_was_current_is_the_parent_and_the_call_is_current_inside() -> None:
    """A web framework's span above, an instrumented client's below."""
    collected = Collected()
    tracer = collected.tracers.get_tracer("test")

    def client(_: AgentRequest) -> Any:
        with tracer.start_as_current_span("POST /v1/chat"):
            return gives(reply="Yes.")

    async with Runtime(MemoryStore(), mini(), ScriptedAgent(client), observer=Observer(collected.listener)) as runtime:
        await runtime.start(conversation="talk")
        with tracer.start_as_current_span("GET /chat"):
            await runtime.say("talk", "help")
            assert trace.get_current_span().get_span_context().is_valid
    assert collected.tree()[1:] == [
        " > GET /chat",
        "GET /chat > invoke_workflow mini",
        "invoke_workflow mini > invoke_agent helper",
        "invoke_agent helper > chat small",
        "chat small > POST /v1/chat",
    ]


async def test_no_span_stays_open_when_an_operator_ends_the_turn() -> None:
    """The late answer's span ends with what was recorded of it; many conversations at once keep theirs apart."""
    collected = Collected()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: AgentRequest) -> AgentReply:
        asked.set()
        await go_on.wait()
        return AgentReply(text='{"reply":"Yes."}')

    operator = CLERK.changed(roles=("operator",))
    observer = Observer(collected.listener)
    async with Runtime(MemoryStore(), mini(), ScriptedAgent(slow), observer=observer) as runtime:
        for talk in ("talk", "other"):
            await runtime.start(conversation=talk)
        turns = [asyncio.create_task(runtime.say(talk, "help")) for talk in ("talk", "other")]
        await asked.wait()
        await runtime.give("talk", "operator_kill", actor=operator)
        go_on.set()
        await asyncio.gather(*turns)
    late = {str((span.attributes or {}).get("gen_ai.conversation.id")): span for span in collected.named("chat small")}
    assert (late["talk"].attributes or {})["interlock.late"] is True
    assert "interlock.late" not in (late["other"].attributes or {})
    listener = collected.listener
    assert (listener._turns, listener._agents, listener._effects) == ({}, {}, {})


async def test_without_an_sdk_everything_is_a_no_op() -> None:
    """Only the API is there: the same turns, and nothing is kept."""
    listener = OpenTelemetry()
    async with Runtime(MemoryStore(), mini(), answering(), observer=Observer(listener)) as runtime:
        await runtime.start(conversation="talk")
        assert (await runtime.say("talk", "help tool")).state == "more"
    assert (listener._turns, listener._agents, listener._effects) == ({}, {}, {})


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by the environment, and not there."""
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *rest, **more)

    kept = sys.modules.pop("interlock.service.otel")
    package = importlib.import_module("interlock.service")
    monkeypatch.delattr(package, "otel")
    monkeypatch.setattr(builtins, "__import__", absent)
    try:
        with pytest.raises(SetupError) as raised:
            observer_told_by({"INTERLOCK_OTEL": "on"})
    finally:
        monkeypatch.undo()
        sys.modules["interlock.service.otel"] = kept
    assert raised.value.what == "OpenTelemetry was asked for and is not installed."
    assert raised.value.fix == "Install it: `pip install interlock[otel]`."


def test_the_environment_switches_it_on() -> None:
    """With OpenTelemetry's own switch for content."""
    told_so = observer_told_by({"INTERLOCK_OTEL": "on"})
    assert told_so is not None
    assert not told_so.previews
    asked = {"INTERLOCK_OTEL": "1", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    with_content = observer_told_by(asked)
    assert with_content is not None
    assert with_content.previews

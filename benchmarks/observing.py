"""What being observed costs a turn: the same conversations with nobody listening and with each listener, interleaved.

    python benchmarks/observing.py            # about a minute; --turns 100 for a quick look

The runtime runs on the store in memory, where a turn is cheapest and the difference shows most.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from interlock_side import program
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from workload import answer, message

from interlock.agents.scripted import ScriptedAgent
from interlock.contracts.agents import AgentReply
from interlock.persistence.memory_store import MemoryStore
from interlock.service.observing import Listener, Observer
from interlock.service.otel import OpenTelemetry
from interlock.service.runtime import Runtime
from interlock.service.telemetry import RecordLog, without_personal_text

ROUNDS = 7


def with_sdk() -> Observer:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    return Observer(OpenTelemetry(tracer_provider=provider))


SIDES: dict[str, Callable[[], Observer | None]] = {
    "nobody listens": lambda: None,
    "records, to nobody": lambda: Observer(Listener()),
    "records as JSON lines": lambda: Observer(RecordLog()),
    "the same with previews": lambda: Observer(RecordLog(previews=True)),
    "OpenTelemetry, no SDK": lambda: Observer(OpenTelemetry()),
    "OpenTelemetry, SDK": with_sdk,
}


async def turns(observer: Observer | None, count: int) -> float:
    """µs of processor time a turn: on a shared machine, the clock on the wall measures the others."""
    said = iter(range(10**9))
    agent = ScriptedAgent(lambda _: AgentReply(text=answer(next(said))))
    async with Runtime(MemoryStore(), program(), agent, observer=observer) as runtime:
        opened = await runtime.start()
        began = time.process_time()
        for number in range(count):
            await runtime.say(opened.conversation, message(number))
        return (time.process_time() - began) / count * 1e6


def to_nowhere() -> None:
    """JSON lines are rendered and written, to a file that forgets them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_personal_text,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(Path("/dev/null").open("w")),  # noqa: SIM115 - for the whole run
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=300)
    count = parser.parse_args().turns
    to_nowhere()
    spent: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(ROUNDS):
        for name, made in SIDES.items():
            spent[name].append(asyncio.run(turns(made(), count)))
    plain = statistics.median(spent["nobody listens"])
    print(f"{count} turns, {ROUNDS} rounds, medians")
    for name, found in spent.items():
        median = statistics.median(found)
        print(f"{name:<24} {median:>8,.0f} µs a turn   {median - plain:>+7,.0f} µs   x {median / plain:.2f}")


if __name__ == "__main__":
    main()

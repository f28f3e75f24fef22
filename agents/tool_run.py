"""Running one tool once: within its time, only where it is allowed, and whatever it does to us."""

import asyncio
import contextvars
import inspect
import json
import threading
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Literal

import structlog
from pydantic_core import to_jsonable_python

from ..contracts.errors import CallError
from ..contracts.tools import Tool, ToolContext
from ..contracts.values import listed, printable
from .contract import fitted
from .strict_json import read_json


@dataclass(frozen=True, slots=True)
class ToolRun:
    """How one call ended. `reason` is safe for the log; `detail` is the full text of the fault and may name a
    person, so it belongs in a payload. `abandoned` names the thread of a sync tool that outlived its time."""

    outcome: Literal["done", "failed", "timeout"]
    reason: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    abandoned: str = ""


log = structlog.get_logger("interlock.tools")
_threads = count(1)
_abandoned: set[asyncio.Task[ToolRun]] = set()
"""Keeps abandoned coroutines from being collected half way: the loop itself holds tasks weakly."""


async def run_tool(
    declared: Tool, arguments: dict[str, Any], context: ToolContext, timeout_seconds: float, *, allowed: frozenset[str]
) -> ToolRun:
    """Call the tool once with JSON `arguments`; returns after `timeout_seconds` at the latest.

    Raises `CallError` if the tool is not in `allowed`: the core refuses such a call before, this is the second
    lock. Nothing else is raised but cancellation. A sync function runs in a thread of its own; past its time
    the thread is abandoned, not stopped (Python cannot), and `abandoned` names it. So **`timeout` says that
    nobody knows whether the tool acted**; the idempotency key is what makes asking again safe. An async
    function is cancelled and, if it ignores that, abandoned as well; one that blocks the event loop cannot be
    bounded. Nothing is retried.
    """
    if declared.name not in allowed:
        raise CallError(
            f"The tool {declared.name!r} is not allowed here; allowed are {listed(sorted(allowed))}.",
            fix="Name the tool in the state's `tools`, or do not call it.",
        )
    result, _, problems = fitted(arguments, declared.arguments, what="The argument text")
    if result is None:
        return ToolRun("failed", reason="bad_arguments", detail="\n".join(problems))
    given = {name: getattr(result, name) for name in declared.arguments.model_fields}
    if declared.takes_context:
        given[context_parameter(declared.function)] = context
    if inspect.iscoroutinefunction(declared.function):
        return await _run_coroutine(declared, given, timeout_seconds, context.idempotency_key)
    return await _run_thread(declared, given, timeout_seconds, context.idempotency_key)


def context_parameter(function: Callable[..., Any]) -> str:
    """The name of the parameter annotated `ToolContext`, or an empty string."""
    hints = typing.get_type_hints(function)
    return next((name for name in inspect.signature(function).parameters if hints.get(name) is ToolContext), "")


async def _run_coroutine(declared: Tool, given: dict[str, Any], timeout_seconds: float, effect: str) -> ToolRun:
    async def call() -> ToolRun:
        try:
            return _done(await declared.function(**given))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a tool may raise anything; it becomes an outcome
            return _failed(error)

    task = asyncio.create_task(call(), name=f"tool-{declared.name}")
    _abandoned.add(task)
    task.add_done_callback(_abandoned.discard)
    try:
        finished, _ = await asyncio.wait({task}, timeout=timeout_seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not finished:
        task.add_done_callback(partial(_came_late, declared.name, effect))
        task.cancel()
        return ToolRun("timeout", reason="timeout")
    return ToolRun("failed", reason="CancelledError") if task.cancelled() else task.result()


async def _run_thread(declared: Tool, given: dict[str, Any], timeout_seconds: float, effect: str) -> ToolRun:
    """In a daemon thread of its own: a pool's worker that hangs would be missing, and would hold up the exit."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[ToolRun] = loop.create_future()
    surroundings = contextvars.copy_context()

    def work() -> None:
        found = surroundings.run(_called, partial(declared.function, **given))
        try:
            loop.call_soon_threadsafe(_settle, answer, found)
        except RuntimeError:
            return  # The loop is closed: whoever asked is gone, and the log lists the effect as undecided.

    thread = threading.Thread(target=work, name=f"tool-{declared.name}-{next(_threads)}", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the system gives no more threads
        return _failed(error)
    finished, _ = await asyncio.wait({answer}, timeout=timeout_seconds)
    if not finished:
        answer.add_done_callback(partial(_came_late, declared.name, effect))
        return ToolRun("timeout", reason="timeout", abandoned=thread.name)
    return answer.result()


def _came_late(tool: str, effect: str, ended: "asyncio.Future[ToolRun]") -> None:
    """What a tool gave after its time is dropped, with one structured record."""
    if not ended.cancelled():
        log.warning("late_result_dropped", tool=tool, effect=effect, status=ended.result().outcome)


def _settle(answer: "asyncio.Future[ToolRun]", found: ToolRun) -> None:
    if not answer.done():
        answer.set_result(found)


def _called(call: Callable[[], Any]) -> ToolRun:
    try:
        return _done(call())
    except BaseException as error:  # noqa: BLE001 - nothing may escape from a thread that nobody joins
        return _failed(error)


def _failed(error: BaseException) -> ToolRun:
    try:
        detail = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - even an exception's own text may raise
        detail = type(error).__name__
    return ToolRun("failed", reason=printable(type(error).__name__, 60), detail=detail)


def _done(value: Any) -> ToolRun:
    """The value as a JSON object: an object as it is, None as `{}`, anything else under `result`."""
    try:
        text = _json(value)
    except Exception as error:  # noqa: BLE001 - a value's own serializer may raise anything
        return ToolRun("failed", reason="not_json", detail=f"{type(value).__name__}: {type(error).__name__}")
    reading = read_json(text, what="The result")
    if reading.problem:
        return ToolRun("failed", reason="not_json", detail=reading.problem)
    if reading.value is None:
        return ToolRun("done")
    return ToolRun("done", data=reading.value if isinstance(reading.value, dict) else {"result": reading.value})


def _json(value: Any) -> str:
    if inspect.iscoroutine(value):
        value.close()
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(to_jsonable_python(value), allow_nan=False)  # dates, decimals, sets, dataclasses, models

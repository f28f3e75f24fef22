"""Tools: what can be one, what its arguments must be, and how a call ends whatever the function does."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from interlock.agents.tools import ToolRun, check_arguments, offer, run_tool, tool
from interlock.contracts.errors import CallError, FlowError
from interlock.contracts.tools import Tool, ToolContext

CONTEXT = ToolContext(conversation="c0ffee", idempotency_key="c0ffee:7", facts={})


@tool
def card_status(card: str, depth: int = 1) -> dict[str, Any]:
    """Says whether a card is blocked.

    More that a model need not know.
    """
    return {"card": card, "blocked": False, "depth": depth}


@tool(consequential=True, version=3, timeout_seconds=5, says="Blocks a card for good.", keyed=False)
async def block_card(card: str, context: ToolContext, when: date | None = None) -> dict[str, Any]:
    return {"card": card, "key": context.idempotency_key, "day": when.isoweekday() if when else 0}


async def run(declared: Tool, seconds: float = 5, **arguments: Any) -> ToolRun:
    return await run_tool(declared, arguments, CONTEXT, seconds, allowed=frozenset({declared.name}))


# --- declaring ------------------------------------------------------------------------------------------


def test_the_spec_says_what_was_declared() -> None:
    spec = block_card.spec
    assert (spec.name, spec.version, spec.says, spec.consequential, spec.keyed, spec.timeout_seconds) == (
        "block_card",
        3,
        "Blocks a card for good.",
        True,
        False,
        5,
    )
    assert (card_status.spec.says, card_status.takes_context) == ("Says whether a card is blocked.", False)


def test_the_digest_of_the_arguments_changes_with_their_schema_only() -> None:
    def named(function: Callable[..., Any]) -> str:
        return tool(name="same")(function).spec.arguments

    assert named(lambda_of("card: str")) == named(lambda_of("card: str"))
    assert named(lambda_of("card: str")) != named(lambda_of("card: int"))
    assert named(lambda_of("card: float = 0.5")) != named(lambda_of("card: float = 0.6"))


def lambda_of(parameters: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"Any": Any, "ToolContext": ToolContext, "Callable": Callable, "threading": threading}
    exec(f"def made({parameters}):\n    return None", space)
    return space["made"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("card", "the parameter 'card' has no type"),
        ("card, pin", "the parameter 'card' has no type; the parameter 'pin' has no type"),
        ("*cards: str", "the parameter '*cards: str' cannot be given by name"),
        ("**cards: str", "the parameter '**cards: str' cannot be given by name"),
        ("card: str, /", "the parameter 'card: str' cannot be given by name"),
        ("_card: str", "the parameter '_card' has a name that pydantic keeps for itself"),
        ("schema: str", "the parameter 'schema' has a name that pydantic keeps for itself"),
        ("a: ToolContext, b: ToolContext", "the parameter 'b' is a second ToolContext"),
        ("card: 'Nowhere'", "its name or its annotations cannot be read"),
        ("card: threading.Lock", "have no JSON Schema"),
        ("card: Callable[[], int]", "have no JSON Schema"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_with_every_fault(parameters: str, said: str) -> None:
    with pytest.raises(FlowError) as caught:
        tool(lambda_of(parameters))
    assert said in str(caught.value)
    assert caught.value.fix


def test_a_name_that_the_flow_language_cannot_say_is_refused() -> None:
    with pytest.raises(FlowError, match="its name or its annotations cannot be read"):
        tool(lambda: None)


def test_a_consequential_tool_must_take_the_idempotency_key() -> None:
    with pytest.raises(FlowError, match="called twice, it acts twice") as caught:
        tool(consequential=True)(lambda_of("card: str"))
    assert "Add a parameter `context: ToolContext`" in caught.value.fix


def test_the_offer_tells_a_model_the_arguments_and_never_the_context() -> None:
    offered = offer(block_card)
    assert (offered.name, offered.description) == ("block_card", "Blocks a card for good.")
    assert list(offered.parameters["properties"]) == ["card", "when"]
    assert offered.parameters["additionalProperties"] is False


# --- arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"card": "x"}', ({"card": "x", "depth": 1}, ())),
        ('{"card": "x", "depth": 2}', ({"card": "x", "depth": 2}, ())),
        ("", (None, ("card: is missing.",))),
        ('{"card": "x", "depth": "2"}', (None, ("depth: must be an integer.",))),
        ('{"card": "x", "sudo": 1}', (None, ("?: is not in the contract.",))),
        ('{"card": "x", "card": "y"}', (None, ("An object holds the same name twice.",))),
        ("block it!", (None, ("The argument text is not JSON: a value was expected at character 0 of 9.",))),
        ("[]", (None, ("The argument text: must be an object.",))),
    ],
)
def test_arguments_are_checked_against_the_types(text: str, found: tuple[Any, tuple[str, ...]]) -> None:
    assert check_arguments(card_status, text) == found


def test_blank_text_is_no_arguments_where_none_are_needed() -> None:
    assert check_arguments(tool(lambda_of("card: str = 'x'")), "  ") == ({"card": "x"}, ())


# --- running --------------------------------------------------------------------------------------------


async def test_a_sync_tool_runs_with_its_arguments() -> None:
    assert await run(card_status, card="x") == ToolRun("done", data={"card": "x", "blocked": False, "depth": 1})


async def test_an_async_tool_gets_typed_arguments_and_the_key() -> None:
    assert await run(block_card, card="x", when="2026-11-21") == ToolRun(
        "done", data={"card": "x", "key": "c0ffee:7", "day": 6}
    )


async def test_a_tool_that_is_not_allowed_does_not_run() -> None:
    ran: list[str] = []

    @tool
    def spy(word: str) -> None:
        ran.append(word)

    with pytest.raises(CallError, match="'spy' is not allowed here; allowed are 'block_card'"):
        await run_tool(spy, {"word": "x"}, CONTEXT, 5, allowed=frozenset({"block_card"}))
    assert ran == []


async def test_bad_arguments_do_not_reach_the_function() -> None:
    assert await run(card_status, card=5) == ToolRun("failed", reason="bad_arguments", detail="card: must be a string.")


class Found(BaseModel):
    due: date


@dataclass
class Pair:
    left: Decimal


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, {}),
        ({}, {}),
        ({"a": [1, None]}, {"a": [1, None]}),
        ("text", {"result": "text"}),
        (7, {"result": 7}),
        (True, {"result": True}),
        (0.5, {"result": 0.5}),
        ([1, 2], {"result": [1, 2]}),
        ((1, 2), {"result": [1, 2]}),
        (Found(due=date(2026, 1, 31)), {"due": "2026-01-31"}),
        (Pair(Decimal("1.20")), {"left": "1.20"}),
        ({"lone": "\ud800\0"}, {"lone": "\ud800\0"}),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_results_become_json_objects(value: Any, data: dict[str, Any], asynchronous: bool) -> None:
    def give() -> Any:
        return value

    async def give_later() -> Any:
        return value

    assert await run(tool(give_later if asynchronous else give)) == ToolRun("done", data=data)


LOOP: list[Any] = []
LOOP.append(LOOP)
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        float("nan"),
        float("inf"),
        LOOP,
        DEEP,
        2**53,
        "x" * 1_000_001,
        {1: 1, "1": 2},
        threading.Lock(),
        {"a": object()},
    ],
    ids=["object", "nan", "inf", "loop", "deep", "big", "long", "twice", "lock", "inside"],
)
async def test_a_result_that_is_not_json_is_a_failure(value: Any) -> None:
    @tool
    def give() -> Any:
        return value

    found = await run(give)
    assert (found.outcome, found.reason, found.data) == ("failed", "not_json", {})


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (ValueError("Jane Doe is unknown"), "ValueError", "ValueError: Jane Doe is unknown"),
        (StopIteration("x"), "StopIteration", None),
        (SystemExit(3), "SystemExit", "SystemExit: 3"),
        (Unspeakable(), "Unspeakable", "Unspeakable"),
        (TimeoutError("slow"), "TimeoutError", "TimeoutError: slow"),
        (ExceptionGroup("both", [KeyError("k")]), "ExceptionGroup", None),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_exception_is_a_failure_by_its_class_and_its_text_is_kept_apart(
    error: BaseException, reason: str, detail: str | None, asynchronous: bool
) -> None:
    def broken() -> None:
        raise error

    async def broken_later() -> None:
        raise error

    found = await run(tool(broken_later if asynchronous else broken))
    if asynchronous and isinstance(error, StopIteration):
        reason = "RuntimeError"  # Python's own rule for coroutines
    assert (found.outcome, found.reason, found.data) == ("failed", reason, {})
    assert detail is None or found.detail == detail


async def test_a_tool_that_cancels_itself_has_failed() -> None:
    @tool
    async def quits() -> None:
        raise asyncio.CancelledError

    assert (await run(quits)).reason == "CancelledError"


async def test_a_coroutine_handed_back_unawaited_is_not_json() -> None:
    async def inner() -> None:
        return None

    @tool
    def lazy() -> Any:
        return inner()

    assert (await run(lazy)).reason == "not_json"


async def test_a_hung_thread_does_not_hold_the_turn_and_is_named() -> None:
    release = threading.Event()

    @tool
    def hangs() -> None:
        release.wait(30)

    begun = time.monotonic()
    found = await run(hangs, seconds=0.2)
    assert time.monotonic() - begun < 5
    assert (found.outcome, found.reason) == ("timeout", "timeout")
    left = [thread for thread in threading.enumerate() if thread.name == found.abandoned]
    assert len(left) == 1
    assert left[0].daemon
    release.set()
    left[0].join(5)
    assert not left[0].is_alive()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_a_tool_gives_after_its_time_is_dropped_and_told_of(asynchronous: bool) -> None:
    """One structured record with the tool and the effect, and nothing of what it gave."""
    release, let_go = threading.Event(), asyncio.Event()

    async def slowly() -> str:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return "Maria Keller"

    def in_a_thread() -> str:
        release.wait(30)
        return "Maria Keller"

    with capture_logs() as records:
        found = await run(tool(slowly) if asynchronous else tool(in_a_thread), seconds=0.05)
        assert (found.outcome, records) == ("timeout", [])
        release.set()
        let_go.set()
        for _ in range(200):
            await asyncio.sleep(0.01)
            if records:
                break
    name = "slowly" if asynchronous else "in_a_thread"
    assert records == [
        {"event": "late_result_dropped", "log_level": "warning", "tool": name, "effect": "c0ffee:7", "status": "done"}
    ]


async def test_many_hung_threads_leave_room_for_the_next() -> None:
    """No pool: with one, as many hung tools as it has workers would stop every other tool."""
    release = threading.Event()

    @tool
    def hangs() -> None:
        release.wait(30)

    runs = await asyncio.gather(*(run(hangs, seconds=0.3) for _ in range(40)))
    assert {found.outcome for found in runs} == {"timeout"}
    assert (await run(card_status, card="x")).outcome == "done"
    release.set()


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_hung_coroutine_is_cancelled_and_cannot_refuse_to_be_left(stubborn: bool) -> None:
    ended: list[str] = []

    @tool
    async def hangs() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append("cancelled")
            if not stubborn:
                raise
            await asyncio.sleep(0.2)
            ended.append("late")
            raise KeyError("nobody hears this") from None

    begun = time.monotonic()
    found = await run(hangs, seconds=0.1)
    assert time.monotonic() - begun < 5
    assert (found.outcome, found.abandoned) == ("timeout", "")
    assert "late" not in ended
    await asyncio.sleep(0.5)
    assert ended == (["cancelled", "late"] if stubborn else ["cancelled"])


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_cancelling_the_turn_passes_through(asynchronous: bool) -> None:
    release, cancelled = threading.Event(), asyncio.Event()

    def hangs() -> None:
        release.wait(30)

    async def hangs_later() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    task = asyncio.create_task(run(tool(hangs_later if asynchronous else hangs), seconds=30))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if asynchronous:
        await asyncio.wait_for(cancelled.wait(), 1)
    release.set()


async def test_concurrent_sync_tools_run_side_by_side_and_see_their_callers_context() -> None:
    who: ContextVar[str] = ContextVar("who")

    @tool
    def slow(name: str) -> dict[str, str]:
        time.sleep(0.2)
        return {"asked": name, "seen": who.get()}

    async def one(name: str) -> ToolRun:
        who.set(name)
        return await run(slow, name=name)

    begun = time.monotonic()
    runs = await asyncio.gather(*(one(f"n{number}") for number in range(10)))
    assert [found.data for found in runs] == [{"asked": f"n{n}", "seen": f"n{n}"} for n in range(10)]
    assert time.monotonic() - begun < 10 * 0.2


def test_a_thread_that_outlives_its_loop_ends_in_silence() -> None:
    release = threading.Event()

    @tool
    def hangs(mode: Literal["a"] = "a") -> None:
        release.wait(30)

    found = asyncio.run(run(hangs, seconds=0.05))
    thread = next(one for one in threading.enumerate() if one.name == found.abandoned)
    release.set()
    thread.join(5)
    assert not thread.is_alive()

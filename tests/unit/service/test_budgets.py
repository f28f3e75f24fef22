"""Tenants' daily budgets: reserved before a call, settled after it, durable, and a declared limit when used up."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock import CallError, MemoryStore, Runtime, ScriptedAgent, SqliteStore, recorded
from interlock.agents.scripted import fails, gives
from interlock.contracts.agents import AgentReply
from interlock.contracts.errors import SetupError, StorageError
from interlock.contracts.events import AgentReturned, ConversationStarted, LimitReached
from interlock.contracts.limits import Usage
from interlock.contracts.store import Reservation, Spent, Store
from interlock.service.budgets import Budget, Budgets
from interlock.service.clock import ManualClock
from support.runtime import check_log, mini, of_type, path_of

DAY = "2026-01-05"
RESERVED = Spent(1, 10_100, 10_000 * 1_000 + 100 * 2_000)
"""One call of `helper` at its declared maximum."""
USED = AgentReply(text='{"reply":"Yes."}', usage=Usage(input_tokens=100, output_tokens=10))
COST = 100 * 1_000 + 10 * 2_000


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "log.db")
    yield made
    made.close()


def runtime_on(store: Store, budget: Budget, agent: Any = None, clock: ManualClock | None = None) -> Runtime:
    agent = agent or ScriptedAgent(lambda _: USED)
    budgets = Budgets(tenants={"acme": budget})
    return Runtime(store, mini(attempts=1), agent, clock=clock or ManualClock(), budgets=budgets)


async def talked(runtime: Runtime, store: Store, number: int, tenant: str | None = "acme") -> str:
    """A new conversation with one message; where its agent's state led."""
    await runtime.start(conversation=f"talk-{number}", tenant=tenant)
    await runtime.say(f"talk-{number}", "help")
    return path_of(store, f"talk-{number}")[-1]


BUDGETS: dict[str, tuple[Budget, tuple[int, int]]] = {
    "tenant_calls": (Budget(calls=2), (3, 2)),
    "tenant_tokens": (Budget(tokens=10_100 + 110), (2 * 110 + 10_100, 10_210)),
    "tenant_cost": (Budget(cost=RESERVED.cost + COST), (2 * COST + RESERVED.cost, RESERVED.cost + COST)),
}


@pytest.mark.parametrize("name", BUDGETS)
async def test_a_call_that_does_not_fit_is_not_made_and_takes_the_limits_row(store: Store, name: str) -> None:
    """Two calls fit, for the first is settled at what it used; the third would not at its maximum."""
    budget, numbers = BUDGETS[name]
    agent = ScriptedAgent(lambda _: USED)
    async with runtime_on(store, budget, agent) as runtime:
        assert [await talked(runtime, store, number) for number in range(3)] == ["done>more"] * 2 + ["limit>desk"]
        assert len(agent.requests) == 2
        (reached,) = of_type(store, "talk-2", LimitReached)
        assert (reached.limit, reached.value, reached.maximum) == (name, *numbers)
        (returned,) = of_type(store, "talk-2", AgentReturned)
        assert (returned.report.reason, returned.report.usage, returned.cost) == ("tenant_budget", Usage(), 0)
        assert store.spent("acme", DAY) == Spent(2, 220, 2 * COST)
        assert store.reservations() == ()
        assert {one.state for one in runtime.conditions()} == {"normal", "closed", "free"}
    check_log(store, mini(attempts=1))


@pytest.mark.parametrize("name", BUDGETS)
async def test_control_another_tenant_none_and_another_day_are_not_bound_by_it(store: Store, name: str) -> None:
    """A budget is of one tenant and one day."""
    clock = ManualClock()
    async with runtime_on(store, BUDGETS[name][0], clock=clock) as runtime:
        for number in range(3):
            await talked(runtime, store, number)
        assert await talked(runtime, store, 3, "globex") == "done>more"
        assert await talked(runtime, store, 4, None) == "done>more"
        clock.advance(24 * 3_600)
        assert await talked(runtime, store, 5) == "done>more"
        assert store.spent("acme", "2026-01-06") == Spent(1, 110, COST)
        assert store.spent("globex", DAY) == Spent(), "what no budget bounds is not kept"


async def test_tenants_that_are_not_named_have_the_budget_of_each() -> None:
    """And a named one its own."""
    budgets = Budgets(tenants={"acme": Budget()}, each_tenant=Budget(calls=0))
    store = MemoryStore()
    async with Runtime(store, mini(), ScriptedAgent(lambda _: USED), budgets=budgets) as runtime:
        assert await talked(runtime, store, 0, "acme") == "done>more"
        assert await talked(runtime, store, 1, "globex") == "limit>desk"


async def test_an_attempt_that_measured_nothing_costs_what_was_reserved(store: Store) -> None:
    """It failed or hung after it was sent: nobody knows what it cost."""
    async with runtime_on(store, Budget(calls=9), ScriptedAgent(lambda _: fails())) as runtime:
        await talked(runtime, store, 0)
        assert (store.spent("acme", DAY), store.reservations()) == (RESERVED, ())


async def test_calls_at_once_never_take_more_than_there_is(store: Store) -> None:
    """Ten conversations and room for three calls in hand: reservations, not what was used, decide."""

    async def slowly(_: Any) -> AgentReply:
        await asyncio.sleep(0.5)  # until all ten have asked, on a busy machine too
        return USED

    async with runtime_on(store, Budget(tokens=3 * 10_100), ScriptedAgent(slowly)) as runtime:
        ends = await asyncio.gather(*(talked(runtime, store, number) for number in range(10)))
        assert (ends.count("done>more"), ends.count("limit>desk")) == (3, 7)
        assert store.spent("acme", DAY) == Spent(3, 330, 3 * COST)


async def test_a_budget_survives_a_restart(tmp_path: Path) -> None:
    """The ledger is in the database, and two processes share it."""
    path = tmp_path / "log.db"
    for number, end in enumerate(("done>more", "done>more", "limit>desk")):
        store = SqliteStore(path)
        async with runtime_on(store, Budget(calls=2)) as runtime:
            assert await talked(runtime, store, number) == end
        store.close()


async def cut_off(path: Path) -> None:
    """A process that dies between the call and its end: the effect is undecided, its amount reserved."""
    store, never = SqliteStore(path), asyncio.Event()

    async def hang(_: Any) -> AgentReply:
        never.set()
        await asyncio.sleep(3_600)
        return USED

    runtime = await runtime_on(store, Budget(calls=9), ScriptedAgent(hang)).__aenter__()
    await runtime.start(conversation="talk", tenant="acme")
    turn = asyncio.create_task(runtime.say("talk", "help"))
    await never.wait()
    await runtime.close(grace_seconds=0)
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert store.spent("acme", DAY) == RESERVED
    assert len(store.reservations()) == 1
    store.close()


async def test_after_a_crash_the_call_is_made_again_and_both_count(tmp_path: Path) -> None:
    """The first at its maximum, for nobody knows what it cost; the second at what it used."""
    await cut_off(tmp_path / "log.db")
    store = SqliteStore(tmp_path / "log.db")
    async with runtime_on(store, Budget(calls=9)) as runtime:
        await runtime.recover()
        assert (await runtime.outcome("talk")).state == "more"
        assert store.spent("acme", DAY) == RESERVED.plus(Spent(1, 110, COST))
        assert store.reservations() == ()
    store.close()


async def test_after_a_crash_what_nobody_will_make_again_is_settled_as_spent(tmp_path: Path) -> None:
    """An operator ended the conversation: recovery settles, and no reservation is left for ever."""
    await cut_off(tmp_path / "log.db")
    store = SqliteStore(tmp_path / "log.db")
    async with runtime_on(store, Budget(calls=9)) as runtime:
        effect = store.reservations()[0].effect
        store.reserve(Reservation("talk", effect - 1, "acme", DAY, Spent(1, 5, 5)), Spent(99, 99_999, 10**9))
        await runtime.recover()
        assert store.reservations() == ()
        assert store.spent("acme", DAY) == RESERVED.plus(Spent(1, 110, COST)).plus(Spent(1, 5, 5))
    store.close()


async def test_a_ledger_that_cannot_be_settled_does_not_lose_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer reaches the customer; the reservation stays, and counts as spent."""
    store = MemoryStore()

    def broken(*_: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(store, "settle", broken)
    async with runtime_on(store, Budget(calls=9)) as runtime:
        assert await talked(runtime, store, 0) == "done>more"
    assert store.spent("acme", DAY) == RESERVED


async def test_the_tenant_stands_in_the_log_and_a_log_without_one_has_no_word_of_it() -> None:
    """Recorded at the start; the same key for another tenant is refused."""
    store = MemoryStore()
    async with Runtime(store, mini(), ScriptedAgent(lambda _: gives(reply="Yes."))) as runtime:
        await runtime.start(conversation="with", tenant="acme", key="k")
        await runtime.start(conversation="without")
        with pytest.raises(CallError, match="used before with another body"):
            await runtime.start(conversation="with", tenant="globex", key="k")
        with pytest.raises(CallError, match=r"values that cannot stand in the log: 'tenant'\."):
            await runtime.start(conversation="bad", tenant="no name")
    (started,) = of_type(store, "with", ConversationStarted)
    assert started.tenant == "acme"
    assert b"tenant" not in b"".join(entry.data for entry in store.read("without"))
    assert recorded(store.read("with"))


@pytest.mark.parametrize("make", [lambda: Budget(calls=-1), lambda: Budget(cost=-5)])
def test_what_is_no_budget_is_refused(make: Callable[[], Budget]) -> None:
    """With what was given."""
    with pytest.raises(
        SetupError, match=r"is no budget\. Fix: Give whole numbers of 0 or more, or None for no bound\."
    ):
        make()

"""Daily budgets of tenants: reserved before a call at the agent's declared maximum, settled after it.

The ledger is in the store, so a budget holds over restarts and over every process on the same database. A
reservation names its conversation and effect. One that a dead process left counts as spent: the call may have
been made, and a call that is made again is reserved again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC

import structlog

from ..contracts.commands import AgentReport
from ..contracts.errors import LogError, SetupError
from ..contracts.events import AgentRequested
from ..contracts.limits import LimitHit, LimitName, Price
from ..contracts.store import Reservation, Spent, Store
from ..contracts.values import MAX_SAFE_INTEGER
from .clock import Clock

_NO_BOUND = 2**62
"""More than any day comes to, and small enough for a database's integers with one more call on top."""
log = structlog.get_logger("interlock.budgets")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one tenant may use in a day (UTC); None is no bound. `cost` is in billionths of the flows' currency
    unit: flows in several currencies share one sum, so give their tenants budgets of calls or tokens."""

    calls: int | None = None
    tokens: int | None = None
    cost: int | None = None

    def __post_init__(self) -> None:
        if any(one is not None and one < 0 for one in (self.calls, self.tokens, self.cost)):
            raise SetupError(f"{self} is no budget.", fix="Give whole numbers of 0 or more, or None for no bound.")

    @property
    def bounds(self) -> bool:
        return (self.calls, self.tokens, self.cost) != (None, None, None)

    def passed_by(self, sum_: Spent) -> LimitHit | None:
        """The first bound that `sum_` is over."""
        limits: tuple[tuple[LimitName, int, int | None], ...] = (
            ("tenant_calls", sum_.calls, self.calls),
            ("tenant_tokens", sum_.tokens, self.tokens),
            ("tenant_cost", sum_.cost, self.cost),
        )
        for name, value, most in limits:
            if most is not None and value > most:
                return LimitHit(name=name, value=min(value, MAX_SAFE_INTEGER), maximum=min(most, MAX_SAFE_INTEGER))
        return None


@dataclass(frozen=True, slots=True)
class Budgets:
    """Budgets by tenant; those not named have `each_tenant`'s. Conversations without a tenant have none."""

    tenants: Mapping[str, Budget] = field(default_factory=dict)
    each_tenant: Budget = field(default_factory=Budget)

    def of(self, tenant: str | None) -> Budget | None:
        if tenant is None:
            return None
        found = self.tenants.get(tenant, self.each_tenant)
        return found if found.bounds else None


class Ledger:
    """Reserves and settles for one runtime."""

    def __init__(self, store: Store, budgets: Budgets, clock: Clock) -> None:
        self._store, self._budgets, self._clock = store, budgets, clock

    async def reserve(
        self, tenant: str | None, conversation: str, effect: int, request: AgentRequested
    ) -> tuple[Budget | None, LimitHit | None]:
        """Keep room for the call; the budget it is reserved in (None: nothing is to be settled), or the bound
        that it would pass: then nothing is reserved."""
        budget = self._budgets.of(tenant)
        if tenant is None or budget is None:
            return None, None
        wanted = Spent(1, request.reserved_tokens, request.reserved_cost)
        day = self._clock.now().astimezone(UTC).date().isoformat()
        reservation = Reservation(conversation, effect, tenant, day, wanted)
        at_most = Spent(*(_NO_BOUND if one is None else one for one in (budget.calls, budget.tokens, budget.cost)))
        stood = await asyncio.to_thread(self._store.reserve, reservation, at_most)
        if stood is None:
            return budget, None
        return None, budget.passed_by(stood.plus(wanted))

    async def settle(self, conversation: str, effect: int, report: AgentReport, price: Price) -> None:
        """Put what was used in the place of what was reserved; what was not measured costs what was reserved.

        A ledger that cannot be written keeps the reservation, which counts as spent: the turn goes on.
        """
        used = Spent(1, report.usage.tokens, price.cost(report.usage)) if report.usage.measured else None
        try:
            await asyncio.to_thread(self._store.settle, conversation, effect, used)
        except LogError as error:
            log.error("settlement_failed", conversation=conversation, effect=effect, error=error.code)

    async def settle_left(self, is_over: Callable[[str, int], Awaitable[bool]]) -> int:
        """Settle as spent what a dead process left reserved for effects that nobody will perform any more."""
        settled = 0
        for one in await asyncio.to_thread(self._store.reservations):
            if await is_over(one.stream, one.effect):
                await asyncio.to_thread(self._store.settle, one.stream, one.effect, None)
                settled += 1
        return settled

"""What stands between the runtime and a model: breakers, limiters, and the pause after a cost storm.

One attempt passes here once. Where it may not be made, or its wait would pass its own time, it ends at once as
`failed` with the reason (`breaker_open`, `cost_storm`, `rate_limited`, `too_busy`) and a measured usage of
nothing; what follows is the core's to decide. What an attempt changes for the next ones stands in its report,
and so in the log of its conversation, and is told as one structured record.

Everything here is of one process: several nodes each have their own breakers and limiters.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

import structlog

from ..contracts.commands import AgentReport, Condition, ConditionState
from ..contracts.events import AgentRequested
from ..contracts.flow import AgentSpec, BreakerSpec
from ..contracts.limits import Usage
from ..contracts.values import printable
from .breaker import Breaker, Change
from .clock import Clock
from .pacing import Pace, Pacer
from .spending import Spending, Storm

log = structlog.get_logger("interlock.protection")
ALL_AGENTS = "all agents"
NotMade = Literal["breaker_open", "cost_storm", "rate_limited", "too_busy"]
"""Why an attempt was not made: the `reason` of its report."""
_OURS = frozenset({"bad_request", "context_too_long", "unexpected"})
"""Failures that say nothing of the model: they count against the agent alone."""


@dataclass(frozen=True, slots=True)
class Resilience:
    """The figures. `agents` and `models` name those with a pace of their own, the others have `each_agent`'s and
    `each_model`'s; a flow may give its agents breakers of their own."""

    breaker: BreakerSpec = field(default_factory=BreakerSpec)
    agents: Mapping[str, Pace] = field(default_factory=dict)
    models: Mapping[str, Pace] = field(default_factory=dict)
    each_agent: Pace = field(default_factory=Pace)
    each_model: Pace = field(default_factory=Pace)
    storm: Storm = field(default_factory=Storm)


@dataclass(frozen=True, slots=True)
class Standing:
    """The present state of one breaker or limiter, or of the spending. `waiting` and `in_hand` are a limiter's."""

    kind: Literal["breaker", "limiter", "cost"]
    subject: str
    state: ConditionState
    until: datetime | None = None
    waiting: int = 0
    in_hand: int = 0
    flow: str = ""
    """The flow that the agent is of; empty for a model."""


class Performed(Protocol):
    """What an attempt led to."""

    @property
    def report(self) -> AgentReport: ...


P = TypeVar("P", bound=Performed)


@dataclass(slots=True)
class _Subject:
    """An agent of a flow, or a model."""

    name: str
    flow: str
    breaker: Breaker
    pacer: Pacer


class Protection:
    """Breakers and limiters of one runtime. `pause` is how it waits; tests give one that moves their clock."""

    def __init__(
        self, settings: Resilience, clock: Clock, pause: Callable[[float], Awaitable[Any]] = asyncio.sleep
    ) -> None:
        self.settings, self.clock, self.pause = settings, clock, pause
        self._subjects: dict[tuple[str, str], _Subject] = {}
        self.spending = Spending(settings.storm)

    def conditions(self) -> tuple[Standing, ...]:
        """Of every agent and model that was called, and of the spending."""
        found = [Standing("cost", ALL_AGENTS, self.spending.state, self.spending.until)]
        for one in self._subjects.values():
            found.append(Standing("breaker", one.name, one.breaker.state, one.breaker.until, flow=one.flow))
            pacer = one.pacer
            found.append(
                Standing(
                    "limiter", one.name, pacer.state, pacer.paused_until, pacer.waiting, pacer.in_hand, flow=one.flow
                )
            )
        return tuple(found)

    async def attempt(
        self,
        flow: str,
        spec: AgentSpec,
        request: AgentRequested,
        make: Callable[[int], Awaitable[P]],
        not_made: Callable[[AgentReport], P],
    ) -> tuple[P, tuple[Condition, ...]]:
        """Make the attempt with the seconds that are left for it, or say why not; and what that changed."""
        passing = _Passing(self, self._subjects_of(flow, spec, request.model), spec, request)
        refused = await passing.enter()
        if refused is not None:
            return not_made(refused), passing.conditions
        performed: P | None = None
        try:
            performed = await make(passing.seconds_left)
        finally:
            passing.leave(performed.report if performed is not None else None)
        return performed, passing.conditions

    def _subjects_of(self, flow: str, spec: AgentSpec, model: str) -> tuple[_Subject, ...]:
        """The agent, then its model: always in this order, so that no two calls wait for each other's slot."""
        agent = self._subject(flow, spec.name, f"agent {spec.name}", self.settings.agents, self.settings.each_agent)
        agent.breaker.spec = spec.breaker or self.settings.breaker
        if not model:
            return (agent,)
        named = f"model {printable(model, 80)}"
        return agent, self._subject("", model, named, self.settings.models, self.settings.each_model)

    def _subject(self, flow: str, key: str, name: str, paces: Mapping[str, Pace], default: Pace) -> _Subject:
        found = self._subjects.get((flow, key))
        if found is None:
            found = _Subject(name, flow, Breaker(self.settings.breaker), Pacer(paces.get(key, default)))
            self._subjects[flow, key] = found
        return found


class _Passing:
    """One attempt on its way through."""

    def __init__(
        self, protection: Protection, subjects: tuple[_Subject, ...], spec: AgentSpec, request: AgentRequested
    ) -> None:
        self._of, self._subjects, self._spec, self._request = protection, subjects, spec, request
        self._changes: list[Condition] = []
        self._periods: list[int] = []
        self._held: list[_Subject] = []
        self._waited: list[_Subject] = []
        self._began = self._began_call = self._now

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(self._changes)

    @property
    def seconds_left(self) -> int:
        return max(1, self._request.timeout_seconds - int((self._now - self._began).total_seconds()))

    # -- before the call --------------------------------------------------------------------------

    async def enter(self) -> AgentReport | None:
        """Wait for slots and tokens; the report of an attempt that may not be made, or None where it begins."""
        refused = self._stopped()
        if refused is not None:
            return refused
        try:
            refused = await self._slots() or await self._tokens() or self._stopped()
            if refused is None:
                self._begin()
        except BaseException:
            self._release()
            raise
        if refused is not None:
            self._release()
        return refused

    def _begin(self) -> None:
        now = self._now
        for one in self._subjects:
            period, change = one.breaker.begin(now)
            self._periods.append(period)
            self._tell("breaker", one.name, change)
        self._began_call = now

    @property
    def _now(self) -> datetime:
        return self._of.clock.now()

    def _stopped(self) -> AgentReport | None:
        """A storm, or an open breaker."""
        now, spending = self._now, self._of.spending
        self._tell("cost", ALL_AGENTS, spending.look(now))
        if spending.until is not None and not self._spec.critical:
            return self._refusal("cost_storm", spending.until - now)
        closed = [one.breaker for one in self._subjects if not one.breaker.admits(now)]
        if closed:
            return self._refusal("breaker_open", max((one.until or now) for one in closed) - now)
        return None

    async def _slots(self) -> AgentReport | None:
        """A slot of each subject, waited for in order and within the call's own time."""
        for one in self._subjects:
            pacer, expected = one.pacer, one.pacer.expected_seconds
            if pacer.is_full:
                self._limited(one, f"{pacer.in_hand} calls are in hand")
                if expected > self.seconds_left:
                    return self._refusal("too_busy", timedelta(seconds=expected))
            turn = pacer.enter()
            if turn is not None and not await self._waited_for(pacer, turn):
                return self._refusal("too_busy", timedelta(seconds=expected))
            self._held.append(one)
        return None

    async def _waited_for(self, pacer: Pacer, turn: "asyncio.Future[None]") -> bool:
        """Whether a slot became free within the time that the call has."""
        patience: asyncio.Future[Any] = asyncio.ensure_future(self._of.pause(self.seconds_left))
        try:
            await asyncio.wait((turn, patience), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pacer.step_out(turn)
            raise
        finally:
            patience.cancel()
        if not turn.done():
            pacer.step_out(turn)
        return turn.done()

    async def _tokens(self) -> AgentReport | None:
        """A token of each subject for the moment when all of them have one."""
        now = self._now
        waits = [one.pacer.wait_seconds(now) for one in self._subjects]
        wait = max(waits)
        for one, own in zip(self._subjects, waits, strict=True):
            if own:
                self._limited(one, "the rate is reached", now + timedelta(seconds=own))
            elif one not in self._waited and not one.pacer.waiting:
                self._free(one)
        if wait > self.seconds_left:
            return self._refusal("rate_limited", timedelta(seconds=wait))
        for one in self._subjects:
            one.pacer.take(now + timedelta(seconds=wait))
        if wait:
            await self._of.pause(wait)
        return None

    def _refusal(self, reason: NotMade, wait: timedelta) -> AgentReport:
        seconds = max(1, math.ceil(wait.total_seconds()))
        return AgentReport(outcome="failed", reason=reason, usage=Usage(), retry_after_seconds=seconds)

    # -- after it ---------------------------------------------------------------------------------

    def leave(self, report: AgentReport | None) -> None:
        """What the attempt's end says of its subjects; None where it was cut off and says nothing."""
        now = self._now
        took = (now - self._began_call).total_seconds()
        try:
            for one, period in zip(self._subjects, self._periods, strict=True):
                self._tell("breaker", one.name, one.breaker.ended(period, _verdict(report, one), now))
            if report is not None and report.limit is None:
                self._pause_model(report, now)
                price, usage = self._spec.price, report.usage
                cost = price.cost(usage) if usage.measured else self._request.reserved_cost
                self._tell("cost", ALL_AGENTS, self._of.spending.spent(cost, now))
        finally:
            self._release(took)

    def _pause_model(self, report: AgentReport, now: datetime) -> None:
        seconds = report.retry_after_seconds
        if report.outcome == "failed" and report.reason == "rate_limited" and seconds:
            model = self._subjects[-1]
            model.pacer.pause(seconds, now)
            self._limited(model, f"the provider asks to wait {seconds} s", model.pacer.paused_until)

    def _release(self, took: float | None = None) -> None:
        while self._held:
            self._held.pop().pacer.leave(took)

    # -- what is told -----------------------------------------------------------------------------

    def _limited(self, subject: _Subject, reason: str, until: datetime | None = None) -> None:
        self._waited.append(subject)
        if subject.pacer.state != "limited":
            subject.pacer.state = "limited"
            self._tell("limiter", subject.name, Change("free", "limited", reason, until))

    def _free(self, subject: _Subject) -> None:
        if subject.pacer.state != "free":
            subject.pacer.state = "free"
            self._tell("limiter", subject.name, Change("limited", "free", "a call did not have to wait"))

    def _tell(self, kind: Literal["breaker", "limiter", "cost"], subject: str, change: Change | None) -> None:
        if change is None:
            return
        self._changes.append(
            Condition(
                kind=kind,
                subject=subject,
                before=change.before,
                after=change.after,
                reason=change.reason,
                until=change.until,
            )
        )
        log.warning(
            "condition_changed", kind=kind, subject=subject, before=change.before, after=change.after, why=change.reason
        )


def _verdict(report: AgentReport | None, subject: _Subject) -> bool | None:
    """Whether the attempt speaks for its subject, against it, or not at all.

    A broken contract, a refusal and an unsure answer are answers: whoever provokes them from outside must not
    be able to open the breaker for everybody. A 429 that says when to come back is the limiter's.
    """
    if report is None or report.limit is not None:
        return None
    if report.outcome not in ("failed", "timeout"):
        return True
    if report.reason == "rate_limited" and report.retry_after_seconds:
        return None
    return None if report.reason in _OURS and not subject.flow else False

"""Asking several agents at once: who is asked, when it is over, and what becomes of those who answer late.

Every member is an attempt of its own, with its own deadline. The outcome follows from how many have a valid
result: all that were needed (`complete`), some (`partial`), too few (`failed`), or nobody to ask (`empty`).
"""

from collections.abc import Collection, Mapping

from ..contracts.commands import AgentReport
from ..contracts.events import (
    AgentRequested,
    BroadcastEnded,
    BroadcastStarted,
    LateResult,
    MemberStanding,
    Planned,
    RetryPlanned,
    TimerFired,
    TimerSet,
)
from ..contracts.facts import FactReading
from ..contracts.flow import LATE_RESULT, AgentSpec, BroadcastState, MemberSpec, WaitState
from ..contracts.payload import PayloadAt
from ..contracts.values import printable
from .asking import Asking, Task, ask, turn_is_over
from .bounds import Bounded, most
from .conversation import Member
from .draft import Draft
from .members import output_of
from .reserving import reserve

RETRIED = ("invalid", "timeout", "failed")
"""Outcomes of an attempt after which the same agent may be asked again."""


def begin(draft: Draft, state: BroadcastState) -> str | None:
    """Ask every member, or nobody: a limit that all together would pass is reached before the first call."""
    planned = _planned(draft, state)
    if state.plan is not None and len(planned) > state.most:
        return draft.reach("subtasks", len(planned), state.most)
    specs = [draft.program.agents[one.agent] for one in planned if one.agent is not None]
    if stopped := turn_is_over(draft) or _too_much(draft, specs):
        return stopped
    due = draft.later(state.deadline_seconds)
    draft.record(BroadcastStarted(state=state.name, members=planned, needed=state.quorum or len(planned), due=due))
    draft.record(TimerSet(state=state.name, due=due))
    for one in planned:
        if one.agent is not None and _ask(draft, state, one, attempt=1) == "limit":
            return _over(draft, state, "failed", then="limit")
    return settle(draft, state)


def _planned(draft: Draft, state: BroadcastState) -> tuple[Planned, ...]:
    if state.plan is None:
        return tuple(Planned(name=one.name, agent=one.agent) for one in state.members)
    version, subtasks = draft.conversation.plans.get(state.plan, (0, ()))
    return tuple(
        Planned(
            name=f"task_{number}",
            agent=one.worker if one.worker in state.workers else None,
            task=PayloadAt(version=version, name=one.task.name),
            length=one.task.length,
        )
        for number, one in enumerate(subtasks, start=1)
    )


def _too_much(draft: Draft, specs: list[AgentSpec]) -> str | None:
    """The limit that asking all of them would pass, of the turn or of the conversation."""
    conversation, turn = draft.conversation, draft.conversation.turn
    reserved = [reserve(spec) for spec in specs]
    tokens, cost = sum(one[0] for one in reserved), sum(one[1] for one in reserved)
    taken: tuple[tuple[Bounded, int], ...] = (
        ("agent_calls", turn.agent_calls + len(specs)),
        ("turn_tokens", turn.tokens + tokens),
        ("turn_cost", turn.cost + cost),
        ("conversation_tokens", conversation.tokens + tokens),
        ("conversation_cost", conversation.cost + cost),
    )
    for name, value in taken:
        if value > (bound := most(draft, name)):
            return draft.reach(name, value, bound)
    return None


def _member(state: BroadcastState, planned: Planned) -> MemberSpec:
    """What is declared of a member: of its own, or of every worker of the plan."""
    declared = next((one for one in state.members if one.name == planned.name), None)
    return declared or MemberSpec(
        name=planned.name,
        agent=planned.agent or "",
        reads=state.reads,
        attempts=state.attempts,
        timeout_seconds=state.timeout_seconds,
    )


def _ask(
    draft: Draft,
    state: BroadcastState,
    planned: Planned,
    *,
    attempt: int,
    background: int | None = None,
    repairs: tuple[str, ...] = (),
) -> str | None:
    """One attempt at one member of the broadcast in hand, or in the background of the one at that version.

    Returns `limit` or `over_budget` where it was not made.
    """
    member, visit = _member(state, planned), draft.conversation.visit
    return ask(
        draft,
        Asking(
            spec=draft.program.agents[member.agent],
            attempt=attempt,
            timeout_seconds=member.timeout_seconds,
            purpose="member",
            facts=tuple(name for name in member.reads if draft.conversation.facts.known(name)),
            task=None if planned.task is None else Task(planned.task, planned.length),
            member=member.name,
            broadcast=visit.broadcast if background is None else background,
            repairs=repairs,
            state=state.name,
            background=background is not None,
            deadline=visit.due if background is None else None,
        ),
    )


def answered(draft: Draft, state: BroadcastState, request: AgentRequested, report: AgentReport) -> str | None:
    """A member in hand ended an attempt: it is asked again where that is left, or the broadcast may be over."""
    member = draft.conversation.visit.members.get(request.member or "")
    if member is None:
        return None
    if report.outcome in RETRIED and member.attempt < _member(state, member.planned).attempts:
        repairs = report.violations if report.outcome == "invalid" else ()
        match _ask(draft, state, member.planned, attempt=member.attempt + 1, repairs=repairs):
            case None:
                return None
            case "limit":
                return _over(draft, state, "failed", then="limit")
    return settle(draft, state)


def settle(draft: Draft, state: BroadcastState, *, expired: bool = False) -> str | None:
    """The outcome, once it stands: enough valid results, a failure that ends it, nobody left, or the deadline."""
    members = draft.conversation.visit.members.values()
    valid = sum(one.status == "done" for one in members)
    waiting = any(_in_hand(one) for one in members)
    if not members:
        return _over(draft, state, "failed" if state.plan is None else "empty")
    if valid >= (state.quorum or len(members)):
        return _over(draft, state, "complete")
    if state.fail_fast and any(one.status != "done" and not _in_hand(one) for one in members):
        return _over(draft, state, "failed")
    if waiting and not expired:
        return None
    return _over(draft, state, "partial" if valid and _percent(members) >= state.minimum_percent else "failed")


def _in_hand(member: Member) -> bool:
    return member.status == "pending" and member.effect is not None


def _percent(members: Collection[Member]) -> int:
    return 100 * sum(one.status == "done" for one in members) // len(members) if members else 0


def _over(draft: Draft, state: BroadcastState, outcome: str, *, then: str = "") -> str:
    """Record how every member stands, take the facts that nobody disputes, and plan the background retry."""
    visit = draft.conversation.visit
    members, broadcast = visit.members, visit.broadcast or 0
    disagreed = _disagreed(draft, members)
    ended = {
        "state": state.name,
        "broadcast": broadcast,
        "outcome": outcome,
        "members": tuple(_standing(one) for one in members.values()),
        "valid": sum(one.status == "done" for one in members.values()),
        "percent": _percent(members.values()),
        "disagreed": disagreed,
    }
    draft.record(BroadcastEnded.model_validate(ended))
    for one in members.values():
        if one.result is not None:
            draft.learn(tuple(fact for fact in one.facts if fact.name not in disagreed), "agent", one.result)
    failed = tuple(one.planned.name for one in members.values() if one.status == "failed" and one.effect is not None)
    _plan_retry(draft, state, broadcast, failed, attempt=1)
    return then or outcome


def _standing(member: Member) -> MemberStanding:
    if member.status == "pending" and member.effect is None:
        return MemberStanding(name=member.planned.name, status="failed", reason="not_asked")
    return MemberStanding(
        name=member.planned.name, status=member.status, effect=member.effect, reason=printable(member.reason)
    )


def _disagreed(draft: Draft, members: Mapping[str, Member]) -> tuple[str, ...]:
    """Facts that two valid results give differently; of a sealed one nobody can tell, so two are too many."""
    said: dict[str, list[FactReading]] = {}
    for one in members.values():
        for fact in one.facts:
            if fact.name in draft.program.facts:
                said.setdefault(fact.name, []).append(fact)
    return tuple(
        sorted(
            name
            for name, facts in said.items()
            if len(facts) > 1 and (facts[0].payload is not None or any(one.value != facts[0].value for one in facts))
        )
    )


def _plan_retry(draft: Draft, state: BroadcastState, broadcast: int, members: tuple[str, ...], attempt: int) -> None:
    if members and attempt <= state.retries:
        draft.record(
            RetryPlanned(
                state=state.name,
                broadcast=broadcast,
                members=members,
                attempt=attempt,
                due=draft.later(state.retry_after_seconds),
            )
        )


def retry(draft: Draft, timer: int) -> None:
    """A background retry is due: its members are asked again, if their broadcast is still the state's last."""
    planned = draft.conversation.background[timer]
    draft.record(TimerFired(timer=timer, turn_due=draft.turn_due))
    state = draft.program.states.get(planned.state)
    version, started = draft.conversation.broadcasts.get(planned.state, (-1, None))
    if not isinstance(state, BroadcastState) or started is None or version != planned.broadcast:
        return
    for one in started.members:
        if one.name in planned.members and one.agent is not None:
            _ask(draft, state, one, attempt=planned.attempt, background=version)


def answered_late(draft: Draft, request: AgentRequested, report: AgentReport, effect: int, version: int) -> str | None:
    """Record an answer that nobody waits for; the outcome `late_result` where the present state hears it.

    Nothing is taken from one that is not heard, nor of a broadcast that began anew since.
    """
    state = draft.program.states.get(request.state)
    if request.member is None or request.broadcast is None or not isinstance(state, BroadcastState):
        return None
    open_ = draft.conversation.status == "open"
    last, _ = draft.conversation.broadcasts.get(request.state, (-1, None))
    present = open_ and last == request.broadcast
    heard = present and report.outcome == "done" and _hears(draft)
    draft.record(
        LateResult(
            state=request.state,
            broadcast=request.broadcast,
            member=request.member,
            effect=effect,
            outcome=report.outcome,
            heard=heard,
            result=output_of(request, report, version, late=True) if heard else None,
            turn_due=draft.turn_due if heard else None,
        )
    )
    if present and report.outcome != "done":
        attempt = request.attempt + 1 if request.background else 1
        _plan_retry(draft, state, request.broadcast, (request.member,), attempt)
    return LATE_RESULT if heard else None


def _hears(draft: Draft) -> bool:
    return isinstance(draft.state, WaitState) and LATE_RESULT in draft.state.inputs and not draft.conversation.pending


def stopped(draft: Draft, state: BroadcastState) -> str:
    """A limit that one member reached ends it for all."""
    return _over(draft, state, "failed", then="limit")

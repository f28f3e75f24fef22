"""Playing the bank's customers through the flow, and judging each conversation by its log."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from ..contracts.commands import Actor
from ..contracts.events import AgentRequested, AgentReturned, TransitionTaken
from ..examples.bank.code import LEDGER
from ..examples.bank.conversations import Customer, Decides, Says, Silence
from ..fsm.replay import Recorded
from ..service.loading import recorded
from ..service.wiring import Wired
from .story import Told, told


class MovableClock:
    """The machine's clock. A customer who will fall silent begins so much earlier, so that no time is yet to come."""

    def __init__(self) -> None:
        self.behind = timedelta()

    def begin(self, customer: Customer) -> None:
        self.behind = timedelta(minutes=sum(one.minutes for one in customer.steps if isinstance(one, Silence)))

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    def move(self, minutes: int) -> None:
        self.behind -= timedelta(minutes=minutes)


@dataclass(slots=True)
class Played:
    """One customer's conversation: where it came to, what stands out in its log, and what did not hold."""

    customer: Customer
    conversation: str = ""
    state: str = ""
    events: tuple[Told, ...] = ()
    model_calls: int = 0
    failures: tuple[str, ...] = ()
    """Why calls of the model failed, one for each that did."""
    refunds: int = 0
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """What the script says and did not happen."""
    problems: list[str] = field(default_factory=list)
    """What had to hold and did not; with a model, what was missed is none."""


async def played(
    wired: Wired,
    customers: Sequence[Customer],
    clock: MovableClock,
    before: Callable[[int, Customer], None],
    after: Callable[[int, Played], None],
) -> list[Played]:
    """Every customer, one after another; what must hold with the script is checked only with the script."""
    found = []
    for number, customer in enumerate(customers, 1):
        before(number, customer)
        started = time.perf_counter()
        one = Played(customer)
        clock.begin(customer)
        await _play(wired, one, clock)
        one.seconds = time.perf_counter() - started
        _judge(wired, one)
        found.append(one)
        after(number, one)
    return found


async def _play(wired: Wired, one: Played, clock: MovableClock) -> None:
    runtime = wired.runtime
    one.conversation = (await runtime.start()).conversation
    for step in one.customer.steps:
        match step:
            case Says():
                await _say(wired, one, step)
            case Decides():
                standing = await runtime.outcome(one.conversation)
                if standing.task is None:
                    one.missed.append(f"no task was open for {step.by} to decide")
                    continue
                actor = Actor(kind="human", id=step.by, roles=(standing.task.role,), authn="demo")
                await runtime.decide_task(
                    one.conversation, standing.task.number, step.decision, actor=actor, reason=step.reason
                )
            case Silence():
                clock.move(step.minutes)
                await runtime.fire_due()
                one.remarks.append(f"the demo moved its clock by {step.minutes} minutes")
    one.state = (await runtime.outcome(one.conversation)).state


async def _say(wired: Wired, one: Played, step: Says) -> None:
    key = str(uuid4())
    first = await wired.runtime.say(one.conversation, step.text, key=key)
    if not step.twice:
        return
    again = await wired.runtime.say(one.conversation, step.text, key=key)
    if again != first:
        one.problems.append("the repeated message was answered otherwise")
    one.remarks.append(
        f"“{step.text}” came twice with one key: {first.length} events before, {again.length} after, the same answer"
    )


def _judge(wired: Wired, one: Played) -> None:
    """Read the log back: that, and not what the runtime said, is what happened."""
    entries = recorded(wired.store.read(one.conversation))
    flow = wired.project.program.flow
    one.events = told(entries, flow, wired.store.payloads(one.conversation))
    one.model_calls = sum(isinstance(entry.event, AgentRequested) for entry in entries)
    one.refunds = sum(key.startswith(one.conversation) for key in LEDGER.refunds)
    ended = [entry.event.report for entry in entries if isinstance(entry.event, AgentReturned)]
    one.failures = tuple(report.reason or "unknown" for report in ended if report.outcome == "failed")
    one.missed += _missed(one, entries)
    if wired.agents.scripted:
        one.problems += one.missed


def _missed(one: Played, entries: Sequence[Recorded]) -> list[str]:
    """What the customer should have come to, and did not."""
    wanted = one.customer
    problems = [] if one.state == wanted.ends else [f"it came to {one.state!r}, not {wanted.ends!r}"]
    types = {entry.envelope.type for entry in entries}
    problems += [f"the log has no {name!r}" for name in wanted.records if name not in types]
    reports = {entry.event.report.outcome for entry in entries if isinstance(entry.event, AgentReturned)}
    problems += [f"no adviser's answer was {name!r}" for name in wanted.reports if name not in reports]
    applied = iter(entry.event.because for entry in entries if isinstance(entry.event, TransitionTaken))
    problems += [f"clause {clause} was not applied in its turn" for clause in wanted.clauses if clause not in applied]
    if one.refunds != wanted.refunds:
        problems.append(f"{one.refunds} refunds were paid, not {wanted.refunds}")
    return problems


_TELLING = ("unsure", "refused", "bad", "task")


def standing_out(one: Played) -> list[tuple[str, str]]:
    """(kind, words) of what a reader should see of a conversation, from its log, in order."""
    found: list[tuple[str, str]] = []
    for event in one.events:
        if event.kind in _TELLING and event.type != "task_opened":
            found.append((event.kind, event.text))
        elif event.type == "tool_requested" and "changes something" in event.text:
            found.append(("tool", event.text))
        elif event.type == "agent_requested" and "attempt" in event.text:
            found.append(("route", event.text.partition(" (")[0]))
        elif event.type == "transition_taken":
            found += _judged(event)
        if event.type == "agent_returned":
            found += [("bad", note.text) for note in event.notes]
    return [*dict.fromkeys(found), *(("remark", remark) for remark in one.remarks)]


def _judged(event: Told) -> list[tuple[str, str]]:
    """A move that guards decided: which of them, and how."""
    way = event.text.partition("  ")[0]
    if "(a digression)" in event.text:
        return [("route", f"{way}, a digression, and back")]
    failed = [note.text for note in event.notes if note.mark == "bad"]
    if failed and not failed[0].startswith("a digression is open"):
        return [("bad", f"{failed[0]}, so {way} ({event.policy})")]
    if len(event.notes) > 2 and event.policy.startswith("RF"):
        return [("good", f"{event.notes[0].text}, so {way} ({event.policy})")]
    return []

"""`interlock demo storm`: the two incidents, in a plain loop and under Interlock, with the same agents."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts.events import AgentReturned, HandoffMade, LimitReached, TaskOpened
from ..examples.storm.code import MESSAGE, scripted
from ..examples.storm.loop import Spent, plain_loop
from ..fsm.checks.contents import MOST_STEPS
from ..fsm.program import compiled
from ..fsm.prove.findings import Proof
from ..fsm.prove.proof import proved as proofs
from ..fsm.replay import Recorded, redecide
from ..fsm.written import decimal
from ..persistence.sql_store import SqlStore
from ..persistence.verify import verify
from ..service.loading import recorded
from ..service.outcome import TurnOutcome
from ..service.project import Project, load_project
from ..service.runtime import Runtime
from ..service.wiring import open_log
from .story import Told, told
from .story_work import used_of
from .terminal import MARKS, Terminal, counted, write_json
from .timeline import show

INCIDENTS = (
    ("ping_pong", "Billing and router ask each other", "One team: 47 turns, and $12,000 an hour."),
    ("self_handoff", "A triage agent hands to itself", "Another: from $200 a day to $4,200 in an afternoon."),
)
PLUG_PULLED = 500
"""Calls after which the plain loop is stopped from outside."""
_SHOWN = (10, 100, PLUG_PULLED)
_LAX = dict.fromkeys(("handoffs", "same_pair", "self_handoffs", "agent_calls"), 1_000_000_000) | {"steps": MOST_STEPS}


@dataclass(frozen=True)
class Incident:
    """One incident, both ways."""

    name: str
    title: str
    happened: str
    loop: tuple[Spent, ...]
    outcome: TurnOutcome
    entries: Sequence[Recorded]
    story: tuple[Told, ...]
    proved: bool
    unlimited: Proof
    """What the check says of the same flow with limits that bound nothing."""
    limited: Proof
    """What it says of the flow as it is."""

    @property
    def cycle(self) -> tuple[str, ...]:
        """The states that go round without the limits, back to the first."""
        found = next((one for one in self.unlimited.findings if one.code == "P305" and one.verdict == "refuted"), None)
        inside = [one for one in found.counterexample if one.in_loop] if found else []
        return (inside[0].state, *(one.target for one in inside)) if inside else ()

    @property
    def checked(self) -> bool:
        """Refused without the limits, with the cycle; passed with them, and the run kept to the bill."""
        unbounded = "calls" in self.unlimited.bills.turn.unbounded
        within = self.calls <= self.limited.bills.turn.most.calls
        return bool(self.cycle) and unbounded and self.limited.holds and within

    @property
    def calls(self) -> int:
        return len(self._of(AgentReturned))

    @property
    def tokens(self) -> int:
        return sum(one.report.usage.tokens for one in self._of(AgentReturned))

    @property
    def nano(self) -> int:
        return sum(one.cost for one in self._of(AgentReturned))

    @property
    def limit(self) -> LimitReached | None:
        found = self._of(LimitReached)
        return found[0] if found else None

    @property
    def held(self) -> bool:
        """The loop ran away; here a limit stopped it, the customer was told, and a person has the case: proved."""
        ran_away = len(self.loop) > PLUG_PULLED
        told = self.limit and self.outcome.text and self._of(TaskOpened)
        return bool(ran_away and told and self.proved and self.checked)

    def _of(self, kind: type[Any]) -> list[Any]:
        return [one.event for one in self.entries if isinstance(one.event, kind)]

    def document(self) -> dict[str, Any]:
        reached = self.limit
        return {
            "incident": self.name,
            "held": self.held,
            "plain_loop": {
                "calls": self.loop[-1].calls,
                "tokens": self.loop[-1].tokens,
                "cost": dollars(self.loop[-1].nano),
                "stopped_by": "us",
            },
            "interlock": {
                "calls": self.calls,
                "handoffs": len(self._of(HandoffMade)),
                "tokens": self.tokens,
                "cost": dollars(self.nano),
                "stopped_by": reached.limit if reached else None,
                "customer_was_told": list(self.outcome.replies),
                "task": self.outcome.task.role if self.outcome.task else None,
                "events": len(self.entries),
                "proved": self.proved,
            },
            "check": {
                "without_limits": "refused" if self.cycle else "passed",
                "cycle": list(self.cycle),
                "calls_without_limits": None,
                "with_limits": "passed" if self.limited.holds else "refused",
                "calls_at_worst": self.limited.bills.turn.most.calls,
            },
        }


def storm(db: Path | None, keep: bool, as_json: bool) -> int:
    """Play both incidents, both ways; 0 if everything held."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-storm-"))
    path = db or folder / "storm.db"
    try:
        with closing(open_log(path, create=True)) as store:
            found = [_incident(store, *one) for one in INCIDENTS]
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    kept = str(path) if db or keep else ""
    held = all(one.held for one in found)
    if as_json:
        write_json({"held": held, "log": kept or None, "incidents": [one.document() for one in found]})
    else:
        _show(found, kept)
    return 0 if held else 1


def _incident(store: SqlStore[Any], name: str, title: str, happened: str) -> Incident:
    project = storm_project(name)
    flow = project.program.flow
    loop = asyncio.run(plain_loop(scripted(), flow.agents, MESSAGE, calls=PLUG_PULLED))
    outcome = asyncio.run(_played(store, project))
    entries = recorded(store.read(outcome.conversation))
    again = redecide(project.program, outcome.conversation, entries)
    proved = verify(store).ok and again.divergences == 0
    story = told(entries, flow, store.payloads(outcome.conversation))
    program = project.program
    lax = flow.changed(limits=flow.limits.changed(**_LAX))
    checks = proofs(compiled(lax, program.code)), proofs(program, project.lines)
    return Incident(name, title, happened, loop, outcome, entries, story, proved, *checks)


async def _played(store: SqlStore[Any], project: Project) -> TurnOutcome:
    program = project.program
    async with Runtime(store, program, scripted(), sources={program.ref.digest: project.source}) as runtime:
        opening = await runtime.start()
        return await runtime.say(opening.conversation, MESSAGE)


def storm_project(name: str) -> Project:
    """The flow of an incident, with its agents."""
    from .. import examples

    return load_project(str(Path(examples.__file__ or "").parent / "storm" / f"{name}.yaml"))


def dollars(nano: int) -> str:
    """`0.0153` for 15,300,000 billionths; never rounded to nothing."""
    whole, _, fraction = decimal(nano, 9).partition(".")
    return f"{whole}.{(fraction + '00')[: max(2, len(fraction[:4]))]}"


def _show(found: Sequence[Incident], kept: str) -> None:
    terminal = Terminal()
    for one in found:
        terminal.rule(one.title)
        terminal.line((one.happened, "dim"))
        terminal.blank()
        _show_loop(terminal, one)
        terminal.blank()
        terminal.line(("The same agents under Interlock", "bold"))
        show(terminal, one.story)
        terminal.blank()
        _show_end(terminal, one)
    terminal.blank()
    held = all(one.held for one in found)
    terminal.hang(
        terminal.text((MARKS.good if held else MARKS.bad, "bold green" if held else "bold red")),
        "Both stop at the limit that was declared, tell the customer, and leave the case to a person with the whole "
        "cycle on the record."
        if held
        else "Something did not hold: see above.",
    )
    if kept:
        terminal.hang(terminal.text((MARKS.dot, "dim")), (f"in the log: interlock log --db {kept}", "dim"))


def _show_loop(terminal: Terminal, one: Incident) -> None:
    terminal.line(("The same agents in a plain loop", "bold"))
    rows = [
        (f"{spent.calls:,}", f"{spent.handoffs:,}", f"{spent.tokens:,}", f"${dollars(spent.nano)}")
        for spent in one.loop
        if spent.calls in _SHOWN
    ]
    terminal.table(("calls", "handoffs", "tokens", "spent on one message"), rows, right=(0, 1, 2, 3))
    terminal.hang(
        terminal.text((MARKS.bad, "bold red")),
        (f"still going after {PLUG_PULLED} calls, each dearer than the last; we pulled the plug", "red"),
    )


def _show_end(terminal: Terminal, one: Incident) -> None:
    worst = one.limited.bills.turn.most.calls
    for good, words in (
        (bool(one.cycle), f"without its limits `interlock check` refuses it: {' > '.join(one.cycle)} goes round"),
        (
            one.checked,
            f"with them it passes, and the bill falls from unbounded to {counted(worst, 'model call')}",
        ),
    ):
        terminal.hang(terminal.text((MARKS.good if good else MARKS.bad, "bold green" if good else "bold red")), words)
    reached = one.limit
    stopped = f"limit {reached.limit}, {used_of(reached)}" if reached else "no limit"
    terminal.hang(
        terminal.text((MARKS.good if reached else MARKS.bad, "bold green" if reached else "bold red")),
        f"stopped by {stopped}: {counted(one.calls, 'call')}, {one.tokens:,} tokens, ${dollars(one.nano)}",
    )
    if one.outcome.task:
        terminal.hang(terminal.text((MARKS.good, "bold green")), f"a {one.outcome.task.role} has the case")
    proof = (
        "the log verifies, and every decision is the same when made again" if one.proved else "the log does not hold"
    )
    terminal.hang(
        terminal.text((MARKS.good if one.proved else MARKS.bad, "bold green" if one.proved else "bold red")), proof
    )

"""What the demo prints, and the document that it gives with --json."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.status import Status

from ..examples.bank.conversations import Customer, Says
from ..persistence.sqlite_store import SqliteStore
from ..persistence.verify import Verified, verify
from ..service.project import Project
from ..service.wiring import Wired, found_flows
from . import timeline
from .demo_play import Played, standing_out
from .replaying import Replayed, replayed
from .tampering import Tampered, tampered
from .terminal import MARKS, Terminal, counted, safe

_STYLES = {
    "unsure": ("!", "yellow"),
    "refused": ("✗", "red"),
    "bad": ("✗", "red"),
    "good": ("✓", "green"),
    "task": ("○", "yellow"),
    "tool": ("→", "blue"),
    "route": ("·", ""),
    "remark": ("·", ""),
}
SHOWN = 2
"""Which customer's timeline is shown, counted from 0."""


@dataclass
class Outcome:
    """All that the demo found. `held` only if every conversation, the log, the break-in and the replay did."""

    db: str
    agents: str
    scripted: bool
    project: Project
    conversations: Sequence[Played]
    verified: Verified = field(default_factory=Verified)
    in_a_file: bool = True
    """Whether the log is a file, of which a copy can be broken into."""
    tampered: Tampered | None = None
    replayed: Sequence[Replayed] = ()
    seconds: float = 0.0

    @property
    def failures(self) -> list[str]:
        """Why calls of the model failed, one for each."""
        return [reason for one in self.conversations for reason in one.failures]

    @property
    def model_calls(self) -> int:
        return sum(one.model_calls for one in self.conversations)

    @property
    def unanswered(self) -> bool:
        """A model was called, and not one call came back."""
        return not self.scripted and 0 < self.model_calls <= len(self.failures)

    @property
    def held(self) -> bool:
        return (
            not self.unanswered
            and not any(one.problems for one in self.conversations)
            and self.verified.ok
            and (not self.in_a_file or (self.tampered is not None and self.tampered.named))
            and bool(self.replayed)
            and all(one.holds for one in self.replayed)
        )

    def document(self) -> dict[str, Any]:
        """The `--json` document."""
        flow = self.project.program.ref
        return {
            "held": self.held,
            "flow": {"name": flow.name, "version": flow.version, "digest": flow.digest},
            "agents": {
                "says": self.agents,
                "scripted": self.scripted,
                "calls": self.model_calls,
                "failed": len(self.failures),
            },
            "db": self.db or None,
            "conversations": [
                {
                    "id": one.conversation,
                    "title": one.customer.title,
                    "state": one.state,
                    "events": len(one.events),
                    "refunds": one.refunds,
                    "as_scripted": not one.missed,
                    "missed": one.missed,
                    "held": not one.problems,
                    "problems": one.problems,
                }
                for one in self.conversations
            ],
            "verify": {
                "ok": self.verified.ok,
                "conversations": self.verified.streams,
                "events": self.verified.events,
                "payloads": self.verified.payloads,
            },
            "tamper": {
                "flipped": None if self.tampered is None else self.tampered.version,
                "found": self.tampered is not None and self.tampered.named,
            },
            "replay": {
                "events": sum(one.events for one in self.replayed),
                "decisions": sum(one.decisions for one in self.replayed),
                "divergences": sum(one.divergences for one in self.replayed),
                "model_calls": 0,
            },
            "seconds": round(self.seconds, 3),
        }


class Show:
    """Prints the demo as it goes; with `quiet`, nothing."""

    def __init__(self, quiet: bool) -> None:
        self.terminal = Terminal()
        self.quiet = quiet
        self._status: Status | None = None

    def opening(self, project: Project, wired: Wired, path: Path, kept: bool) -> None:
        if self.quiet:
            return
        terminal, flow = self.terminal, project.program.flow
        terminal.rule("interlock demo: a bank's customer service")
        where = str(path) if kept else "SQLite, in a temporary folder (--keep or --db FILE keeps it)"
        rows = counted(len(flow.transitions), "row")
        shape = f"{flow.name} v{flow.version}: {counted(len(flow.states), 'state')}, {rows}, checked without a fault"
        for name, words in (
            ("flow", f"{shape}; digest {project.program.ref.digest[:12]}"),
            ("advisers", wired.agents.says),
            ("log", where),
        ):
            terminal.hang(terminal.text((f"{name:>8}", "dim")), words, indent=1)
        terminal.rule("the customers")

    def before(self, number: int, customer: Customer) -> None:
        if not self.quiet and self.terminal.console.is_terminal:
            self._status = self.terminal.console.status(self.terminal.text(f"{number}: {customer.title}"))
            self._status.start()

    def after(self, number: int, one: Played) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self.quiet:
            return
        terminal = self.terminal
        if number > 1:
            terminal.blank()
        lead, length = terminal.text((f"{number:>2} ", "dim"), _sign(one)), counted(len(one.events), "event")
        if one.missed and not one.problems:
            said = (f"came to {one.state}, {length}", "bold"), (f"; with the script: {one.customer.title}", "dim")
        else:
            said = (one.customer.title, "bold"), (f"  → {one.state}, {length}", "dim")
        terminal.hang(lead, *said)
        first = next(step.text for step in one.customer.steps if isinstance(step, Says))
        terminal.line((f"“{safe(first)}”", "cyan"), indent=5)
        for kind, words in standing_out(one):
            sign_text, style = _STYLES[kind]
            terminal.hang(terminal.text((sign_text, style)), (words, style), indent=5)
        if one.missed and not one.problems:
            terminal.hang(terminal.text((MARKS.dot, "dim")), f"not as scripted: {'; '.join(one.missed)}", indent=5)
        for problem in one.problems:
            terminal.hang(terminal.text((MARKS.bad, "bold red")), (f"did not hold: {problem}", "bold red"), indent=5)

    def timeline(self, wired: Wired, conversations: Sequence[Played]) -> None:
        if self.quiet:
            return
        one = conversations[min(SHOWN, len(conversations) - 1)]
        self.terminal.rule(f"one of them, event by event: {one.conversation[:8]}")
        self.terminal.line(
            ("time     event, the clause of the policy, and the first digits of its hash", "dim"), indent=1
        )
        timeline.show(self.terminal, one.events, hashes=True)

    def proof(self, wired: Wired, outcome: Outcome, folder: Path) -> None:
        streams = [one.conversation for one in outcome.conversations]
        self._rule("is the log intact?")
        outcome.verified = verify(wired.store, streams=streams)
        self._verified(outcome.verified)
        if isinstance(wired.store, SqliteStore):  # the files of a server are not ours to write
            outcome.tampered = _break_in(wired.store, outcome.conversations, folder)
            self._tampered(outcome)
        else:
            outcome.in_a_file = False
        self._rule("would today's code decide the same?")
        started = time.perf_counter()
        outcome.replayed = replayed(wired.store, found_flows(wired.store, outcome.project), streams)
        self._replayed(outcome, time.perf_counter() - started)

    def _rule(self, title: str) -> None:
        if not self.quiet:
            self.terminal.rule(title)

    def _says(self, good: bool, *words: str | tuple[str, str]) -> None:
        if not self.quiet:
            sign = (MARKS.good, "bold green") if good else (MARKS.bad, "bold red")
            self.terminal.hang(self.terminal.text(sign), *words, indent=1)

    def _verified(self, found: Verified) -> None:
        if found.first is not None:
            self._says(False, f"{found.first.stream} event {found.first.version}: {found.first.what}")
            return
        self._says(
            True,
            f"{counted(found.streams, 'conversation')}, {counted(found.events, 'event')}: every entry hashes "
            f"to its leaf and follows from the one before; {counted(found.payloads, 'text')} match what was "
            "committed to",
        )

    def _tampered(self, outcome: Outcome) -> None:
        found = outcome.tampered
        if found is None or found.found is None:
            self._says(False, "the flipped bit was not found")
            return
        self._says(
            found.named,
            f"a break-in: in a copy of the file one bit was flipped under the database, so that the €250.00 refund "
            f"reads €{found.after}50.00. Found at event {found.version} of {found.stream[:8]}: ",
            (found.found.what, "yellow"),
        )

    def _replayed(self, outcome: Outcome, seconds: float) -> None:
        found = outcome.replayed
        different = sum(one.divergences for one in found)
        for one in found:
            if not one.holds:
                self._says(False, f"{one.stream[:8]}: {one.problem or one.first}")
        calls = outcome.model_calls
        self._says(
            all(one.holds for one in found),
            f"{counted(sum(one.decisions for one in found), 'decision')} made again from the log, "
            f"{counted(sum(one.events for one in found), 'event')} compared byte for byte: ",
            (f"{different} divergences, 0 model calls", "bold"),
            f" (the conversations themselves asked their advisers {calls} times), {seconds * 1000:.0f} ms",
        )

    def _model(self, outcome: Outcome) -> None:
        """How often the model did not answer, where it is a real one."""
        if outcome.scripted or not outcome.failures:
            return
        why = ", ".join(dict.fromkeys(outcome.failures))
        if outcome.unanswered:
            calls = counted(outcome.model_calls, "call")
            fix = "Is a server listening there, and is the key right?"
            self._says(False, (f"The model never answered: all of {calls} failed ({why}). ", "bold red"), fix)
        else:
            self._says(False, f"{len(outcome.failures)} of {outcome.model_calls} calls of the model failed ({why}).")

    def closing(self, outcome: Outcome) -> None:
        if self.quiet:
            return
        terminal = self.terminal
        terminal.rule("everything held" if outcome.held else "something did not hold: see above")
        self._model(outcome)
        came = sum(not one.missed and not one.problems for one in outcome.conversations)
        where = "where they should" if outcome.scripted else "what their titles say"
        judged = f"{came} of {len(outcome.conversations)} customers came to {where}, "
        terminal.line((f"{judged}{outcome.seconds:.1f} s in all. ", "dim"), "Try next:", indent=1)
        kept = f" --db {outcome.db}" if outcome.db else ""
        some = outcome.conversations[SHOWN].conversation[:8]
        commands = [("interlock chat bank", "be the customer: ask for a refund, then for the opening hours")]
        if outcome.db:
            commands += [
                (f"interlock log {some} --texts{kept}", "a conversation in full"),
                (f"interlock tasks{kept}", "what waits for a person"),
                (f"interlock replay --all{kept}", "decide it all again"),
            ]
        else:
            commands.append(("interlock demo --db demo.db", "keep the log, then log, verify, replay and tasks on it"))
        commands += [
            ("interlock check bank --describe", "the flow in English, as its owner signs it"),
            ("interlock draw bank --out bank.svg", "the flow as a picture"),
            ("interlock new orders", "a flow of your own, with its test"),
        ]
        widest = max(len(command) for command, _ in commands)
        for command, what in commands:
            terminal.hang(terminal.text((command.ljust(widest), "bold green")), (what, "dim"), indent=3)


def _sign(one: Played) -> tuple[str, str]:
    if one.problems:
        return MARKS.bad, "bold red"
    return (MARKS.dot, "dim") if one.missed else (MARKS.good, "bold green")


def _break_in(store: SqliteStore, conversations: Sequence[Played], folder: Path) -> Tampered | None:
    """Flip the first digit of the amount that a person approved."""
    for one in conversations:
        for event in one.events:
            if event.type == "facts_recorded" and "amount = €250.00" in event.text:
                return tampered(store, one.conversation, event.version, b'"value":', folder)
    return None

"""`interlock replay --step`: a walk through one conversation, an event at a time.

At each event: what happened, the rows that were tried with their verdicts, how the conversation stood then, and what
today's code decides there. Commands are read from the terminal, or line by line from a pipe.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from ..contracts.errors import CallError, InterlockError
from ..contracts.events import TransitionRefused, TransitionTaken, Verdict
from ..contracts.flow import Flow
from ..contracts.payload import Payload, PayloadAt
from ..fsm.describe import guard_sentence
from ..fsm.replay import Programs, Recorded, redecisions
from ..service.loading import recorded
from ..service.project import load_project
from ..service.wiring import found_flows
from .elsewhere import check_led_here
from .finding import existing_log, flow_of, stream_named
from .replaying import programs_of
from .seeing import texts_seen
from .standing import show_standing, standing_document
from .story import Told, told
from .terminal import MARKS, Terminal, safe

HELP = "n next, b back, t next transition, m next message, NUMBER that event, q quit"
_RESULTS = {"holds": "green", "fails": "red", "error": "bold red", "not_reached": "dim"}


class Walk:
    """One conversation, opened for walking; `at` is where the walk stands."""

    def __init__(
        self,
        stream: str,
        entries: Sequence[Recorded],
        flows: Mapping[str, Flow | None],
        payloads: dict[PayloadAt, Payload] | None,
        programs: Programs | None,
    ) -> None:
        self.stream, self.entries, self.payloads, self.flows = stream, entries, payloads, flows
        self.at = 0
        self.told: tuple[Told, ...] = told(entries, self.flow, payloads, flows.get)
        self.today = _today(programs, stream, entries)

    @property
    def flow(self) -> Flow | None:
        """The one that it ran on at the event."""
        return self.flows.get(self.entries[self.at].envelope.flow)

    @property
    def last(self) -> int:
        return len(self.entries) - 1

    def moved(self, command: str) -> str:
        """Obey one command; what is wrong with it, or nothing."""
        found = command.strip().lower()
        if found in ("", "n", "next"):
            return self._to(self.at + 1, "This is the last event.")
        if found in ("b", "back"):
            return self._to(self.at - 1, "This is the first event.")
        if found in ("t", "transition"):
            return self._to(self._next("transition_taken", "transition_refused"), "No transition follows.")
        if found in ("m", "message"):
            return self._to(self._next("message_received"), "No message follows.")
        if found.isdecimal():
            return self._to(int(found), f"There is no event {found}: the last one is {self.last}.")
        return f"{safe(command.strip(), 40)!r} is no command: {HELP}."

    def _to(self, at: int, otherwise: str) -> str:
        if not 0 <= at <= self.last:
            return otherwise
        self.at = at
        return ""

    def _next(self, *types: str) -> int:
        following = (at for at in range(self.at + 1, self.last + 1) if self.entries[at].envelope.type in types)
        return next(following, -1)

    def show(self, terminal: Terminal) -> None:
        """The event that the walk stands at."""
        one = self.told[self.at]
        terminal.rule(f"event {self.at} of {self.last}  {one.at[11:19]} UTC  {one.type}")
        terminal.line((one.text, "bold"), (f"  {one.policy}" if one.policy else "", "cyan"), indent=1)
        event = self.entries[self.at].event
        if isinstance(event, TransitionTaken | TransitionRefused) and event.verdicts:
            terminal.blank()
            self._rows(terminal, event.verdicts)
            if isinstance(event, TransitionTaken) and event.context is not None:
                terminal.line((f"context {event.context[:12]}", "dim"), indent=1)
        else:
            for note in one.notes:
                terminal.line((f"  {note.text}", "dim"), indent=1)
        terminal.blank()
        document = standing_document(self.stream, self.entries, self.at, self.flow, self.payloads)
        show_standing(terminal, document)
        if (differs := self.today.get(self.at)) is not None:
            terminal.blank()
            terminal.hang(terminal.text((MARKS.warn, "bold yellow")), (safe(differs, 600), "yellow"), indent=1)

    def _rows(self, terminal: Terminal, verdicts: Sequence[Verdict]) -> None:
        """The rows that were tried, top to bottom."""
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for heading in ("row", "only if", "go to", "policy", "verdict"):
            table.add_column(heading, overflow="fold")
        rows = self.flow.transitions if self.flow else ()
        for one in verdicts:
            row = rows[one.row] if one.row < len(rows) and str(rows[one.row].guard) == one.guard else None
            says = guard_sentence(self.flow, row.guard) if self.flow and row else one.guard
            where, clause = (row.target, row.policy) if row else ("", "")
            result = Text(one.result.replace("_", " "), _RESULTS[one.result])
            table.add_row(str(one.row), terminal.fitted(says), where, clause, result)
        terminal.show(table, indent=1)


def _today(program: Programs | None, stream: str, entries: Sequence[Recorded]) -> dict[int, str]:
    """By version, what today's code decides otherwise: where each decision first differs."""
    found: dict[int, str] = {}
    try:
        for one in redecisions(program, stream, entries) if program is not None else ():
            base = one.before.version
            for place in range(max(len(one.recorded), len(one.decided))):
                was = one.recorded[place].data if place < len(one.recorded) else b""
                now = one.decided[place] if place < len(one.decided) else None
                if now is None or was != now.data:
                    what = "nothing" if now is None else now.event.model_dump_json(exclude_none=True)
                    found[min(base + place, len(entries) - 1)] = f"Today's code decides otherwise here: {what}"
                    break
    except InterlockError as error:
        found.setdefault(0, f"It cannot be decided again: {error.what}")
    return found


def step(db: Path | None, prefixes: Sequence[str], flow: str, texts: bool, lines: Callable[[], Iterator[str]]) -> int:
    """Walk through the conversation until `q`, or until there is nothing more to read."""
    if len(prefixes) != 1:
        raise CallError(
            "A walk goes through one conversation.", fix="Give the beginning of its id, as `interlock log` lists it."
        )
    with existing_log(db) as store:
        stream = stream_named(store, prefixes[0])
        check_led_here(store, stream)
        entries = recorded(store.read(stream))
        flows = found_flows(store, load_project(flow) if flow else None)
        found = flows.get(entries[0].envelope.flow)
        program = found.program if found else None
        payloads = texts_seen(store, stream, "log") if texts else None
        kept = {digest: flow_of(store, digest) for digest in {one.envelope.flow for one in entries}}
        walk = Walk(stream, entries, kept, payloads, programs_of(flows, entries) or program)
    terminal = Terminal()
    if program is None:
        why = found.problem if found else "the log does not keep its flow"
        terminal.line((f"Today's code is not compared: {safe(why)}", "yellow"))
    walk.show(terminal)
    terminal.line((HELP, "dim"), indent=1)
    for line in lines():
        if line.strip().lower() in ("q", "quit", "exit"):
            break
        problem = walk.moved(line)
        if problem:
            terminal.line((problem, "yellow"), indent=1)
        else:
            walk.show(terminal)
    return 0


def typed() -> Iterator[str]:
    """Lines from the terminal, each after a prompt; or from a pipe."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    while True:
        try:
            yield input("step> ")
        except (EOFError, KeyboardInterrupt):
            return

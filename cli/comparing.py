"""`interlock diff`: two conversations side by side, from their first difference on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ..contracts.errors import CallError
from ..contracts.flow import Flow
from ..contracts.payload import Payload, PayloadAt
from ..contracts.protection import KeepingStore
from ..contracts.store import Store
from ..fsm.asked import payload_refs
from ..fsm.replay import Recorded
from ..service.comparing import Beside, Compared, compared, decided_today
from ..service.loading import recorded
from ..service.project import load_project
from ..service.wiring import found_flows
from .elsewhere import check_led_here
from .finding import existing_log, flow_of, stream_named
from .replaying import programs_of
from .seeing import texts_seen
from .story import Told, told
from .terminal import MARKS, Terminal, counted, write_json

_SIGNS = {
    "same": (" ", "dim"),
    "changed": ("≠", "bold yellow"),
    "only_a": ("‹", "bold red"),
    "only_b": ("›", "bold red"),
}
_KEPT = 2
"""Events shown before the first difference."""


@dataclass(frozen=True)
class _Side:
    """One conversation, or what today's code makes of it."""

    name: str
    entries: Sequence[Recorded]
    told: tuple[Told, ...]

    def words(self, index: int | None) -> str:
        if index is None:
            return ""
        one = self.told[index]
        notes = "".join(f"\n  {note.text}" for note in one.notes)
        clause = f"  {one.policy}" if one.policy else ""
        return f"{self.entries[index].envelope.ver} {one.text}{clause}{notes}"


def _texts_of(store: KeepingStore, stream: str, shown: bool) -> dict[PayloadAt, Payload]:
    """To compare; recorded where a person is to see them."""
    return texts_seen(store, stream, "compare") if shown else store.payloads(stream)


def diff(db: Path | None, a: str, b: str, today: bool, flow: str, texts: bool, as_json: bool) -> int:
    """Compare two conversations, or one with what today's code decides of it; 1 where they differ."""
    if bool(b) == today:
        raise CallError(
            "Say what to compare the conversation with.", fix="Name another one, or give --today for its re-decision."
        )
    gone = 0
    with existing_log(db) as store:
        one, kept = stream_named(store, a), partial(flow_of, store)
        if today:
            check_led_here(store, one)
        entries, payloads = (
            recorded(store.read(one)),
            _texts_of(store, one, texts),
        )
        shown = payloads if texts else None
        left = _Side(one[:8], entries, told(entries, _flow(store, entries), shown, kept))
        if today:
            again = _today(store, one, entries, flow)
            right = _Side("today", again, told(again, _flow(store, entries), shown, kept))
            found = compared(entries, again, payloads, payloads, exact=True)
        else:
            other = stream_named(store, b)
            others, other_payloads = (
                recorded(store.read(other)),
                _texts_of(store, other, texts),
            )
            words = told(others, _flow(store, others), other_payloads if texts else None, kept)
            right = _Side(other[:8], others, words)
            found = compared(entries, others, payloads, other_payloads)
            gone = _erased(entries, payloads) + _erased(others, other_payloads)
    if as_json:
        write_json(compared_document(left, right, found))
    else:
        _show(left, right, found, gone)
    return 0 if found.first is None else 1


def _flow(store: Store, entries: Sequence[Recorded]) -> Flow | None:
    return flow_of(store, entries[0].envelope.flow)


def _today(store: Store, stream: str, entries: Sequence[Recorded], flow: str) -> list[Recorded]:
    """Raises `CallError` where no code is there to decide it again."""
    flows = found_flows(store, load_project(flow) if flow else None)
    found = flows.get(entries[0].envelope.flow)
    if found is None or found.program is None:
        why = found.problem if found else "the log does not keep its flow"
        raise CallError(f"The conversation cannot be decided again: {why}", where=stream, fix="Give --flow.")
    return decided_today(programs_of(flows, entries) or found.program, stream, entries)


def _erased(entries: Sequence[Recorded], payloads: Mapping[PayloadAt, Payload]) -> int:
    named = {PayloadAt(version=one.envelope.cause, name=ref.name) for one in entries for ref in payload_refs(one.event)}
    return len(named - payloads.keys())


def compared_document(a: _Side, b: _Side, found: Compared) -> dict[str, Any]:
    """`{"a", "b", "same", "first": {"a", "b", "how", "differs"}|null, "events": [{"a", "b", "how", "differs", "a_says",
    "b_says"}]}`: `a` and `b` of an event are its versions, null where it stands on one side only."""

    def one(beside: Beside) -> dict[str, Any]:
        return {
            "a": None if beside.a is None else a.entries[beside.a].envelope.ver,
            "b": None if beside.b is None else b.entries[beside.b].envelope.ver,
            "how": beside.how,
            "differs": list(beside.differs),
        }

    return {
        "a": a.name,
        "b": b.name,
        "same": found.first is None,
        "first": None if found.first is None else one(found.first),
        "events": [
            {
                **one(beside),
                "a_says": None if beside.a is None else a.told[beside.a].text,
                "b_says": None if beside.b is None else b.told[beside.b].text,
            }
            for beside in found.events
        ],
    }


def _show(a: _Side, b: _Side, found: Compared, erased: int) -> None:
    terminal = Terminal()
    if found.first is None:
        terminal.hang(
            terminal.text((MARKS.good, "bold green")),
            f"{a.name} and {b.name} say the same, in {counted(len(found.events), 'event')}.",
        )
        return
    start = found.events.index(found.first)
    where = " and ".join(_at(side, index) for side, index in ((a, found.first.a), (b, found.first.b)))
    which = f" ({', '.join(found.first.differs)})" if found.first.differs else ""
    terminal.hang(
        terminal.text((MARKS.bad, "bold red")),
        (f"The first difference is {where}{which}", "bold"),
        f"; {counted(start, 'event')} before it say the same.",
    )
    terminal.blank()
    _table(terminal, a, b, found.events[max(0, start - _KEPT) :])
    differ = sum(one.how != "same" for one in found.events)
    terminal.blank()
    gone = f" {counted(erased, 'text')} erased: compared by their lengths only." if erased else ""
    terminal.line((f"{counted(differ, 'event')} of {len(found.events)} differ.{gone}", "dim"), indent=1)


def _at(side: _Side, index: int | None) -> str:
    if index is None:
        return f"nothing of {side.name}"
    return f"event {side.entries[index].envelope.ver} of {side.name}"


def _table(terminal: Terminal, a: _Side, b: _Side, events: Sequence[Beside]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0), expand=True)
    table.add_column(a.name, ratio=1, overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column(b.name, ratio=1, overflow="fold")
    for one in events:
        sign, style = _SIGNS[one.how]
        quiet = "dim" if one.how == "same" else ""
        table.add_row(
            Text(terminal.fitted(a.words(one.a)), quiet),
            Text(terminal.fitted(sign), style),
            Text(terminal.fitted(b.words(one.b)), quiet),
        )
    terminal.show(table, indent=1)

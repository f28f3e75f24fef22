"""The readable part of a bundle: each conversation as who, what, when, why, before and after; for people, not proof."""

import csv
import html
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..contracts.events import AgentRequested, ConversationStarted, ReplySent, ToolRequested, TransitionTaken
from ..contracts.facts import KnownFact
from ..contracts.flow import Flow
from ..contracts.payload import Payload
from ..contracts.store import Store
from ..fsm.conversation import Conversation
from ..fsm.evolve import evolve
from ..fsm.render import said
from ..fsm.replay import Recorded
from ..persistence.evidence.bundle import Told
from ..persistence.evidence.notes import Checkpoint
from ..service.loading import recorded
from .finding import flow_of
from .story import told

OF_THE_FLOW = (ReplySent, TransitionTaken, AgentRequested, ToolRequested)
"""What the flow's code does when somebody says or decides something: theirs is the occasion, not the act."""
COLUMNS = ("conversation", "version", "when", "who", "what", "why", "before", "after", "leaf hash")


@dataclass(frozen=True, slots=True)
class Line:
    """One event: everything in words."""

    conversation: str
    version: int
    when: str
    who: str
    what: str
    why: str
    before: str
    after: str
    leaf: str
    kind: str

    def cells(self) -> tuple[str, ...]:
        return (
            self.conversation,
            str(self.version),
            self.when,
            self.who,
            self.what,
            self.why,
            self.before,
            self.after,
            self.leaf,
        )


def reports(store: Store) -> Callable[[Checkpoint, Iterable[Told]], Mapping[str, bytes]]:
    """What the bundle asks for its `report.html` and `report.csv`."""

    def made(checkpoint: Checkpoint, conversations: Iterable[Told]) -> Mapping[str, bytes]:
        page, table = [_opening(checkpoint)], io.StringIO()
        rows = csv.writer(table, lineterminator="\r\n")
        rows.writerow(COLUMNS)
        for one in conversations:
            lines = list(_lines(store, one))
            rows.writerows([_inert(cell) for cell in line.cells()] for line in lines)
            page.append(_section(one, lines))
        page.append("</main></body></html>\n")
        return {"report.html": "".join(page).encode(), "report.csv": table.getvalue().encode("utf-8", "replace")}

    return made


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in "=+-@\t\r" and cell[:1] else cell


def _lines(store: Store, one: Told) -> Iterator[Line]:
    entries = recorded(one.entries)
    digest = entries[0].envelope.flow if entries else ""
    withheld = {at: _not_shown(payload) for at, payload in store.payloads(one.stream).items() if at not in one.payloads}
    flow = flow_of(store, digest) if digest else None
    events = told(entries, flow, {**one.payloads, **withheld})
    before = Conversation(id=one.stream)
    for entry, event in zip(entries, events, strict=True):
        after = evolve(before, entry.event)
        was, now = _changes(before, after, flow)
        why = "; ".join([*([event.policy] if event.policy else []), *(note.text for note in event.notes)])
        yield Line(
            one.stream,
            event.version,
            event.at,
            _who(entry),
            event.text,
            why,
            was,
            now,
            event.leaf,
            event.kind,
        )
        before = after


def _not_shown(payload: Payload) -> Payload:
    return Payload(payload.name, payload.kind, b"", b"not disclosed")


def _who(entry: Recorded) -> str:
    actor = entry.envelope.actor
    roles = f" ({', '.join(actor.roles)})" if actor.roles else ""
    whose = f"{actor.kind} {actor.id}{roles}"
    return f"the flow, upon {whose}" if isinstance(entry.event, OF_THE_FLOW) else whose


def _changes(before: Conversation, after: Conversation, flow: Flow | None) -> tuple[str, str]:
    """What the event changed, as it was and as it is: the state, and each fact."""
    was, now = [], []
    if before.state != after.state:
        was.append(f"state {before.state}" if before.state else "")
        now.append(f"state {after.state}")
    for name in sorted({*before.known, *after.known}):
        old, new = before.known.get(name), after.known.get(name)
        if old != new:
            was.append(f"{name} {_fact(old, flow)}" if old else "")
            now.append(f"{name} {_fact(new, flow)}" if new else f"{name} forgotten")
    return "; ".join(part for part in was if part), "; ".join(now)


def _fact(fact: KnownFact, flow: Flow | None) -> str:
    if fact.sealed is not None:
        return f"[text {fact.sealed.name!r} of event {fact.sealed.version}]"
    spec = next((one for one in flow.facts if one.name == fact.name), None) if flow is not None else None
    if spec is None or flow is None or fact.value is None:
        return str(fact.value)
    return said(spec, fact.value, flow.currency)


# -- the page -----------------------------------------------------------------------------------------------

STYLE = """
:root{color-scheme:light;--ink:#1c2430;--dim:#5d6877;--line:#dde3ea;--soft:#f5f7fa;--good:#1a7f4b;--bad:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:#fff;color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1200px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:44px 0 4px;overflow-wrap:anywhere}
p{max-width:78ch;margin:6px 0}.dim{color:var(--dim)}
code{font:12.5px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:14px 0}dt{color:var(--dim)}dd{margin:0}
table{border-collapse:collapse;width:100%;margin-top:12px;table-layout:fixed}
th,td{text-align:left;vertical-align:top;padding:7px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{font-size:12px;color:var(--dim);font-weight:600;position:sticky;top:0;background:#fff}
td.n{color:var(--dim);font-variant-numeric:tabular-nums}
tr.customer td,tr.reply td{background:var(--soft)}tr.bad td,tr.refused td{color:var(--bad)}
col.v{width:44px}col.t{width:124px}col.w{width:150px}col.y{width:21%}col.c{width:14%}
small{display:block;color:var(--dim);font-size:12px}
@media print{main{padding:0;max-width:none}th{position:static}tr{break-inside:avoid}body{font-size:11px}}
"""


def _opening(checkpoint: Checkpoint) -> str:
    origin, root = html.escape(checkpoint.origin), checkpoint.root.hex()
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Conversations of {origin}</title><style>{STYLE}</style></head><body><main>
<h1>Conversations of {origin}</h1>
<p class="dim">This page is for reading. The evidence is the entries in this bundle:
<code>python verify_bundle.py .</code> checks that they are complete, unchanged and signed.</p>
<dl><dt>Log</dt><dd>{origin}</dd><dt>Entries signed for</dt><dd>{checkpoint.size}</dd>
<dt>Merkle root</dt><dd><code>{root}</code></dd></dl>
"""


def _section(one: Told, lines: list[Line]) -> str:
    start = recorded(one.entries[:1])[0].event if one.entries else None
    flow = f"{start.flow.name} v{start.flow.version}" if isinstance(start, ConversationStarted) else "unknown flow"
    digest = start.flow.digest[:16] if isinstance(start, ConversationStarted) else ""
    head = f"""<section><h2>Conversation {html.escape(one.stream)}</h2>
<p class="dim">Flow {html.escape(flow)} <code>{digest}</code>, {len(lines)} events, from leaf {one.first_leaf}
of the log. Times are UTC.</p>
<table><colgroup><col class="v"><col class="t"><col class="w"><col>
<col class="y"><col class="c"><col class="c"></colgroup>
<thead><tr><th>#</th><th>When</th><th>Who</th><th>What</th><th>Why</th><th>Before</th><th>After</th></tr></thead><tbody>
"""
    return head + "".join(map(_row, lines)) + "</tbody></table></section>\n"


def _row(line: Line) -> str:
    day, _, clock = line.when.rstrip("Z").partition("T")
    clock, _, part = clock.partition(".")
    cells = (line.who, line.what, line.why, line.before, line.after)
    shown = "".join(f"<td>{_escaped(cell)}</td>" for cell in cells)
    when = f'<td class="n">{clock}<small>.{part[:3]} {day}</small></td>'
    return f'<tr class="{line.kind}"><td class="n">{line.version}</td>{when}{shown}</tr>\n'


def _escaped(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode())

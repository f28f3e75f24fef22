"""What a flow is, what is wrong with it, and how it looks (`interlock draw`)."""

import sys
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError, FlowError
from ..fsm.check import CHECKS
from ..fsm.mermaid import mermaid
from ..fsm.prove.proof import proved
from ..fsm.wording import joined
from ..service.project import Project, load_project
from . import drawing
from .failing import show_faults
from .marking import NOTHING, Marked, marked, shown_of
from .options import Format
from .progress import Progress
from .terminal import MARKS, Terminal, counted, safe, write_json

_ENDINGS = {
    ".mmd": Format.mermaid,
    ".mermaid": Format.mermaid,
    ".md": Format.mermaid,
    ".dot": Format.dot,
    ".gv": Format.dot,
    ".svg": Format.svg,
    ".png": Format.png,
}

CHECKED = (
    "the file, names, that every outcome of every state has a row, rows that can never be taken, states that cannot be "
    "reached or left, loops in which nobody is heard, deadlines, limits, contracts, patterns and texts"
)


def faults_document(error: FlowError) -> dict[str, Any]:
    """`{"ok": false, "flow": null, "faults": [{"code", "line", "where", "what", "fix"}]}`."""
    faults = [
        {"code": one.code, "line": one.line or None, "where": one.where, "what": one.what, "fix": one.fix}
        for one in error.faults
    ]
    return {"ok": False, "flow": None, "faults": faults}


def checked_document(project: Project) -> dict[str, Any]:
    """`{"ok": true, "flow": {"name", "version", "digest", "owner", "states", "rows", "agents", "tools", "guards"},
    "faults": [], "checks": n}`."""

    flow = project.program.flow
    return {
        "ok": True,
        "flow": {
            "name": flow.name,
            "version": flow.version,
            "digest": project.program.ref.digest,
            "owner": flow.owner,
            "states": len(flow.states),
            "rows": len(flow.transitions),
            "agents": len(flow.agents),
            "tools": len(flow.tools),
            "guards": len(flow.guards),
        },
        "faults": [],
        "checks": len(CHECKS),
    }


def show_faulty(error: FlowError) -> None:
    """Every fault of a flow that cannot be read."""
    terminal = Terminal()
    terminal.hang(terminal.text((MARKS.bad, "bold red")), (safe(error.what), "bold"), f"  {error.where}")
    show_faults(terminal, error.faults)


def show_checked(terminal: Terminal, project: Project) -> None:
    """What the flow is, before what it can do is looked at."""
    flow = project.program.flow
    kinds = {kind: sum(one.kind == kind for one in flow.states) for kind in dict.fromkeys(s.kind for s in flow.states)}
    terminal.hang(
        terminal.text((MARKS.good, "bold green")),
        (f"{flow.name} v{flow.version}: no fault", "bold"),
        f": {counted(len(flow.states), 'state')}, {counted(len(flow.transitions), 'row')}, ",
        f"{counted(len(flow.agents), 'agent')}, {counted(len(flow.tools), 'tool')}, "
        f"{counted(len(flow.guards), 'guard')}",
    )
    for name, words in (
        ("owner", flow.owner),
        ("digest", project.program.ref.digest),
        ("states", joined(f"{count} {kind}" for kind, count in kinds.items())),
        ("checked", f"{len(CHECKS)} kinds of fault: {CHECKED}"),
        *([("policies", joined(one.name for one in flow.policies))] if flow.policies else ()),
    ):
        terminal.hang(terminal.text((f"{name:>9}", "dim")), words)


def draw(flow: str, out: Path | None, form: Format | None, as_json: bool, code: str = "") -> None:
    """Write the picture to the terminal or a file. Raises `CallError` for a format that cannot go there."""
    chosen = form or (_ENDINGS.get(out.suffix.lower()) if out else Format.mermaid)
    if chosen is None:
        raise CallError(
            f"The ending {out.suffix if out else ''!r} says no format.", fix="Use .svg, .png, .dot or .mmd."
        )
    if out is None and chosen is Format.png:
        raise CallError("A PNG is not written to the terminal.", fix="Name a file with --out.")
    project = load_project(flow)
    way = _way(project, code) if code else NOTHING
    drawn = _drawn(project, chosen, way)
    if out is not None:
        _write(out, drawn)
    if as_json:
        ref = project.program.ref
        text = None if out is not None else drawn.decode("utf-8")
        write_json(
            {
                "flow": ref.name,
                "digest": ref.digest,
                "format": chosen.value,
                "file": str(out) if out else None,
                "bytes": len(drawn),
                "text": text,
                **({"counterexample": way.title} if code else {}),
            }
        )
    elif out is None:
        sys.stdout.write(drawn.decode("utf-8"))
    else:
        sys.stdout.write(f"{out}: {chosen.value}, {len(drawn):,} bytes\n")


def _way(project: Project, code: str) -> Marked:
    """The counterexample of one question, to be drawn in red."""
    with Progress() as progress:
        proof = proved(project.program, project.lines, told=progress)
    return marked(project.program.flow, shown_of(proof.findings, code))


def _drawn(project: Project, chosen: Format, way: Marked) -> bytes:
    flow = project.program.flow
    match chosen:
        case Format.mermaid:
            return mermaid(flow, _numbered(way)).encode("utf-8")
        case Format.dot:
            return drawing.dot(flow, way).encode("utf-8")
        case Format.svg:
            return drawing.svg(flow, way).encode("utf-8")
        case Format.png:
            return drawing.png(flow, way)


def _numbered(way: Marked) -> dict[tuple[str, str], str]:
    return {pair: taken.label for pair, taken in way.edges.items()}


def _write(out: Path, drawn: bytes) -> None:

    try:
        out.write_bytes(drawn)
    except OSError as error:
        raise CallError(
            f"The picture cannot be written: {error.strerror}.",
            where=str(out),
            fix="Name a file in a folder that exists.",
        ) from error

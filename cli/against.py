"""`interlock check NEW --against OLD`: what a new version of a flow adds, removes and weakens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError, InterlockError
from ..contracts.flow import Flow
from ..fsm.policies.words import said
from ..fsm.program import compiled
from ..fsm.prove.findings import Proof
from ..fsm.prove.language import Behaviour
from ..fsm.prove.versions import Versus
from ..fsm.prove.weighing import Changed
from ..service.project import Project, load_project, read_file
from .proving import amounts, bill_document
from .terminal import MARKS, Terminal, counted
from .ways import folded

_SHOWN = 20
"""Behaviours listed on a terminal; the document has all of them."""


def old_project(spec: str, new: Project) -> Project:
    """The older version: a project of its own, or a file alone (as `git show` writes it), read with the new one's
    code. Raises `FlowError` where it is faulty, `SetupError` where it is not there."""
    path = Path(spec)
    if not path.is_file():
        return load_project(spec)
    try:
        return load_project(spec)
    except InterlockError:
        code = new.program.code
        loaded = read_file(path, code, folder=Path(new.file).resolve().parent if new.file else None)
        return Project(compiled(loaded.flow, code), spec, dict(loaded.lines), file=spec)


def moves_of(pairs: Sequence[str], old: Flow, new: Flow) -> dict[str, str]:
    """`old=new` names of states as a table. Raises `CallError` for what names none."""
    found: dict[str, str] = {}
    before, after = {one.name for one in old.states}, {one.name for one in new.states}
    for pair in pairs:
        source, equals, target = pair.partition("=")
        if not equals or source not in before or target not in after:
            raise CallError(
                f"{pair!r} does not name a state of the old flow and one of the new.",
                fix="Write --moves OLD=NEW, once for each state that has another name now.",
            )
        found[source] = target
    return found


def against_document(found: Versus, flows: tuple[Flow, Flow], proofs: tuple[Proof, Proof]) -> dict[str, Any]:
    """`{"old": {"name", "version", "digest"}, "safe", "complete", "added": [behaviour], "removed": [behaviour],
    "rows": [change], "unmapped": [change], "weakened": [change], "unjudged": [change], "strengthened": [change],
    "neutral": [change], "bills": {"old", "new"}}`, a behaviour being
    `{"state", "step": [word], "path": [word]}` and a change `{"place", "says"}`."""
    old = flows[0]
    return {
        "old": {"name": old.name, "version": old.version, "digest": old.digest},
        "safe": found.safe,
        "complete": found.behaviours.complete,
        "added": [_behaviour(one) for one in found.behaviours.added],
        "removed": [_behaviour(one) for one in found.behaviours.removed],
        **{
            name: [{"place": one.place, "says": one.says} for one in getattr(found, name)]
            for name in ("rows", "unmapped", "weakened", "unjudged", "strengthened", "neutral")
        },
        "bills": {"old": bill_document(old, proofs[0].bills), "new": bill_document(flows[1], proofs[1].bills)},
    }


def _behaviour(one: Behaviour) -> dict[str, Any]:
    return {"state": one.state, "step": list(one.step), "path": list(one.path)}


def show_against(terminal: Terminal, found: Versus, flows: tuple[Flow, Flow], proofs: tuple[Proof, Proof]) -> None:
    old, new = flows
    terminal.rule(f"Against {old.name} v{old.version}")
    if old.digest == new.digest:
        terminal.line((f"{MARKS.good} the same flow, to the last word", "green"), indent=1)
        return
    _show_changes(terminal, "does not map", found.unmapped, MARKS.bad, "bold red")
    _show_changes(terminal, "weaker", found.weakened, MARKS.bad, "bold red")
    _show_changes(terminal, "to be judged", found.unjudged, MARKS.warn, "yellow")
    _show_changes(terminal, "stronger", found.strengthened, MARKS.good, "green")
    _show_changes(terminal, "row", found.rows, MARKS.dot, "dim")
    _show_changes(terminal, "changed", found.neutral, MARKS.dot, "dim")
    _show_behaviours(terminal, "adds", found.behaviours.added)
    _show_behaviours(terminal, "removes", found.behaviours.removed)
    if not found.unmapped:
        terminal.line((f"{MARKS.good} every state in which a conversation may stand is taken over", "green"), indent=1)
    if not found.behaviours.complete:
        terminal.line((f"{MARKS.warn} not everything was compared: there may be more", "yellow"), indent=1)
    terminal.blank()
    was, now = amounts(old, proofs[0].bills), amounts(new, proofs[1].bills)
    terminal.table(
        ("", "between inputs: old", "new", "conversation: old", "new"),
        ((name, was[name][0], now[name][0], was[name][1], now[name][1]) for name in was if name in now),
        right=(1, 2, 3, 4),
    )


def _show_changes(terminal: Terminal, word: str, changes: Sequence[Changed], sign: str, style: str) -> None:
    for one in changes:
        terminal.hang(terminal.text((f"{sign} {word:>12}", style)), one.says, indent=1)


def _show_behaviours(terminal: Terminal, word: str, behaviours: Sequence[Behaviour]) -> None:
    for one in behaviours[:_SHOWN]:
        where = f"in {one.state}: " if one.state else ""
        lead = terminal.text((f"{MARKS.dot} {word:>12}", "cyan"))
        after = in_sequence(one.path) or "nothing"
        terminal.hang(lead, (f"{where}{in_sequence(one.step)}", "bold"), (f"  after {after}", "dim"), indent=1)
    if len(behaviours) > _SHOWN:
        left = counted(len(behaviours) - _SHOWN, "more behaviour")
        terminal.line((f"    and {left} (--json has all of them)", "dim"), indent=1)


def in_sequence(words: Sequence[str]) -> str:
    """Events as a reader of the flow says them; what goes round in them is said once, with how often."""
    return ", ".join(folded(tuple(map(said, words)), ", "))

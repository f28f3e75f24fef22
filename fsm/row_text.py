"""Rows of a flow file: five columns each, as a list or with their names, read as far as they can be."""

from collections.abc import Sequence

from ..contracts.errors import FlowError
from ..contracts.flow import Transition
from ..contracts.guard import Guard
from ..contracts.values import printable
from . import field_values
from .expression import read_guard
from .field_values import Misread, shown
from .notes import Notes, meant
from .source import Listing, Node, Scalar, Table

COLUMNS = ("from", "on", "only if", "go to", "policy")
_UNREAD = Guard(name="unread")
_ROW = f"Write it as [{', '.join(COLUMNS)}]."


def read_rows(node: Node | None, notes: Notes) -> tuple[Transition, ...]:
    """The rows, in their order; `notes.lines` has each under its index in the result."""
    if node is None:
        return ()
    if not isinstance(node, Listing):
        notes.fault(
            "R203",
            f"Here stands {shown(node)}, where a list of rows is needed.",
            f"Write rows as `- [{', '.join(COLUMNS)}]`.",
            node.line,
            "transitions",
        )
        notes.partial = True
        return ()
    found: list[Transition] = []
    for item in node.items:
        # A lost row leaves no gap: the index of a row in the flow and in `lines` is the same.
        path = f"transitions.{len(found)}"
        notes.lines[path] = item.line
        row = _row(item, path, notes)
        if row is None:
            notes.partial = True
        else:
            found.append(row)
    return tuple(found)


def _row(node: Node, path: str, notes: Notes) -> Transition | None:
    columns = _columns(node, path, notes)
    if columns is None:
        return None
    source, on, only_if, go_to, policy = columns
    target = go_to.text.strip()
    push = target.startswith("push ")
    named = (source.text, on.text, target.removeprefix("push ").strip())
    names: list[str] = []
    for column, word, cell in zip(("from", "on", "go to"), named, (source, on, go_to), strict=True):
        try:
            names.append(field_values.name(Scalar(cell.line, word, plain=True)))
        except Misread as problem:
            notes.fault(problem.code, problem.what, problem.fix, cell.line, f"{path}.{column}")
    if len(names) < len(named):
        return None
    guard = _guard(only_if, f"{path}.only if", notes)
    return Transition(source=names[0], on=names[1], guard=guard, target=names[2], policy=policy.text, push=push)


def _guard(cell: Scalar, where: str, notes: Notes) -> Guard:
    try:
        return read_guard(cell.text)
    except FlowError as problem:
        notes.fault("R209", problem.what, problem.fix, cell.line, where)
        return _UNREAD


def _columns(node: Node, path: str, notes: Notes) -> tuple[Scalar, ...] | None:
    """The five columns of a row, guessed where there are more or fewer; None where they cannot be."""
    if isinstance(node, Table):
        return _named_columns(node, path, notes)
    if not isinstance(node, Listing):
        notes.fault("R208", f"Here stands {shown(node)}, where a row is needed.", _ROW, node.line, path)
        return None
    cells = [item for item in node.items if isinstance(item, Scalar) and item.kind != "null"]
    if len(cells) != len(node.items):
        notes.fault("R208", "A column of this row is a list, a table or empty.", _ROW, node.line, path)
        return None
    if len(cells) == len(COLUMNS):
        return tuple(cells)
    number = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
    what = f"This row has {number} instead of {len(COLUMNS)}."
    notes.fault("R208", what, _fix_for(cells), node.line, path)
    if len(cells) < len(COLUMNS) - 1:
        return None
    middle = cells[2:-2] or [Scalar(node.line, "otherwise", plain=True)]
    joined = Scalar(node.line, ", ".join(cell.text for cell in middle), plain=True)
    return (cells[0], cells[1], joined, cells[-2], cells[-1])


def _named_columns(node: Table, path: str, notes: Notes) -> tuple[Scalar, ...] | None:
    for key in node.entries:
        if key not in COLUMNS:
            what = f"The key {printable(key, 60)!r} is unknown here."
            notes.fault("R201", what, meant(key, COLUMNS), node.key_lines[key], f"{path}.{key}")
    found: list[Scalar] = []
    for column in COLUMNS:
        cell = node.entries.get(column)
        if isinstance(cell, Scalar) and cell.kind != "null":
            found.append(cell)
        else:
            what = f"This row has no {column!r}." if cell is None else f"{column!r} holds {shown(cell)}."
            notes.fault("R208", what, _ROW, cell.line if cell else node.line, f"{path}.{column}")
    return tuple(found) if len(found) == len(COLUMNS) else None


def _fix_for(cells: Sequence[Scalar]) -> str:
    guard = ", ".join(cell.text for cell in cells[2:-2])
    if len(cells) > len(COLUMNS) and ("(" in guard or ")" in guard):
        return f'A comma splits columns: put the guard in quotes, "{guard}".'
    return f"{_ROW} A guard with a comma in it needs quotes."

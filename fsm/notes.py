"""What is noted while a flow file is read: faults, lines, and what was lost; and the reading of tables of keys."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from ..contracts.errors import Fault
from ..contracts.values import Value, listed, printable
from .field_values import Misread, shown
from .fields import Key
from .source import Node, Scalar, Table

V = TypeVar("V", bound=Value)


def meant(word: str, allowed: Iterable[str]) -> str:
    """What to do about an unknown word: the one that was probably meant, or all that are allowed."""
    names = list(allowed)
    close = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Allowed here: {listed(names)}."


@dataclass
class Notes:
    """One pass over one file. `unread` are names that stand there and could not be read; `partial` if rows or
    states were lost."""

    faults: list[Fault]
    lines: dict[str, int] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    partial: bool = False

    def fault(self, code: str, what: str, fix: str, line: int, where: str) -> None:
        self.faults.append(Fault(code, what, fix, line, where))

    def table(self, node: Node, path: str) -> Table:
        if isinstance(node, Table):
            for key, line in node.key_lines.items():
                self.lines[f"{path}.{key}" if path else key] = line
            return node
        if not (isinstance(node, Scalar) and node.kind == "null"):
            self.fault(
                "R203",
                f"Here stands {shown(node)}, where a table of keys is needed.",
                "Write `key: value` lines.",
                node.line,
                path,
            )
        return Table(node.line)

    def section(self, table: Table, section: str) -> Table:
        return self.table(table.entries[section], section) if section in table.entries else Table(table.line)

    def values(self, table: Table, keys: Mapping[str, Key], path: str, allowed: Iterable[str] = ()) -> dict[str, Any]:
        """What the table says, by attribute; stand-ins for needed keys that are missing or cannot be read."""
        found: dict[str, Any] = {}
        for key, node in table.entries.items():
            where = f"{path}.{key}" if path else key
            if key not in keys:
                self.fault(
                    "R201",
                    f"The key {printable(key, 60)!r} is unknown here.",
                    meant(key, allowed or keys),
                    table.key_lines[key],
                    where,
                )
                continue
            value = self.read(keys[key], node, where)
            if value is not None:
                found[keys[key].into or key] = value
        for key, one in keys.items():
            if one.needed and key not in table.entries:
                where = f"{path}.{key}" if path else key
                subject = f"{path!r}" if path else "The flow"
                self.fault("R202", f"{subject} has no {key!r}.", f"Write `{key}: …`.", table.line, where)
                found[one.into or key] = one.stand_in
        return found

    def read(self, key: Key, node: Node, where: str) -> Any:
        try:
            return key.read(node)
        except Misread as problem:
            self.fault(problem.code, problem.what, problem.fix, problem.line or node.line, where)
            return key.stand_in

    def built(self, model: type[V], values: dict[str, Any], keys: Mapping[str, Key], path: str) -> V:
        """The value of `model`; what it refuses is a fault, and its default or stand-in takes the place."""
        try:
            return model(**values)
        except ValidationError as error:
            stand_ins = {key.into or name: key.stand_in for name, key in keys.items() if key.needed}
            written = {key.into: name for name, key in keys.items() if key.into}
            kept = dict(values)
            for problem in error.errors(include_url=False, include_context=False, include_input=False):
                attribute = str(problem["loc"][0]) if problem["loc"] else ""
                key = written.get(attribute, attribute)
                where = f"{path}.{key}" if path and key else key or path
                what = f"{key!r} does not fit: {printable(problem['msg'])}."
                self.fault("R211", what, "Write a value within the bounds.", self.line(where), where)
                kept.pop(attribute, None)
                if attribute in stand_ins:
                    kept[attribute] = stand_ins[attribute]
            return model(**kept)

    def line(self, where: str) -> int:
        while where and where not in self.lines:
            where = where.rpartition(".")[0]
        return self.lines.get(where, 0)

"""A flow file read into a `Flow`: every fault at once, each with its line and its remedy.

What cannot be read gets a stand-in, so that the rest is still checked in the same pass; faults that
would only follow from a stand-in are left out.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from ..contracts.canonical import sha256_hex
from ..contracts.errors import Fault, FlowError, InterlockError
from ..contracts.flow import RETURN, AgentSpec, FactSpec, Flow, Guard, RouterSpec, RuleSpec, State, Transition, otherwise
from ..contracts.limits import Limits, Price
from ..contracts.values import Value, listed, printable
from . import fields
from .build import completed
from .check import faults_in, refused
from .code import Code
from .expression import read_guard
from .fields import COLUMNS, Key, Misread, shown
from .source import Listing, Node, Scalar, Table, read_yaml

V = TypeVar("V", bound=Value)
FolderReader = Callable[[str], bytes]
_SECTIONS = ("code", "limits", "facts", "agents", "routers", "states", "transitions")
_UNREAD = Guard(name="unread")


@dataclass(frozen=True, slots=True)
class LoadedFlow:
    """A flow without faults, where its parts stand in its file, and the path of its code (not imported)."""

    flow: Flow
    lines: Mapping[str, int]
    code_path: str


def read_flow(
    text: str | bytes, code: Code, *, file: str = "", folder_reader: FolderReader | None = None
) -> LoadedFlow:
    """The flow that `text` (YAML) says. Raises one `FlowError` whose `faults` are all there are.

    `code` holds the Python that the flow names; it is never imported from here. `folder_reader` gives
    the bytes of a file beside the flow (a classifier's artefact) and raises `OSError` where there is none.
    """
    node, faults = read_yaml(text)
    reading = _Reading(code=code, folder_reader=folder_reader, faults=list(faults))
    if node is None:
        raise refused(reading.faults, file)
    flow, code_path = reading.flow(node)
    structural = faults_in(flow, code, reading.lines, unread=frozenset(reading.unread), partial=reading.partial)
    spoilt = {fault.where for fault in reading.faults if fault.where}
    reading.faults += [fault for fault in structural if not _follows(fault.where, spoilt)]
    if reading.faults:
        raise refused(reading.faults, file, flow.name)
    return LoadedFlow(flow, MappingProxyType(reading.lines), code_path)


def _follows(where: str, spoilt: set[str]) -> bool:
    """True if `where` lies in something that could not be read anyway."""
    parts = where.split(".")
    return any(".".join(parts[:length]) in spoilt for length in range(1, len(parts) + 1))


def meant(word: str, allowed: Iterable[str]) -> str:
    """What to do about an unknown word: the one that was probably meant, or all that are allowed."""
    names = list(allowed)
    close = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Allowed here: {listed(names)}."


@dataclass
class _Reading:
    """One pass over one file; collects faults and lines as it goes."""

    code: Code
    folder_reader: FolderReader | None
    faults: list[Fault]
    lines: dict[str, int] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    partial: bool = False

    def fault(self, code: str, what: str, fix: str, line: int, where: str) -> None:
        self.faults.append(Fault(code, what, fix, line, where))

    def flow(self, node: Node) -> tuple[Flow, str]:
        """The flow as far as it can be read."""
        table = self.table(node, "")
        own = {key: value for key, value in table.entries.items() if key not in _SECTIONS}
        values = self.values(Table(table.line, own, table.key_lines), fields.FLOW_KEYS, "", (*fields.FLOW_KEYS, *_SECTIONS))
        for section in ("states", "transitions"):
            if section not in table.entries:
                self.fault("R202", f"The key {section!r} is missing.", f"Write `{section}:`.", table.line, section)
                self.partial = True
        values |= {
            "facts": self.named(table, "facts", self.fact),
            "agents": self.named(table, "agents", self.agent),
            "routers": self.named(table, "routers", self.router),
            "states": self.named(table, "states", self.state),
            "transitions": self.rows(table),
        }
        if "limits" in table.entries:
            limits = self.section(table, "limits")
            values["limits"] = self.built(Limits, self.values(limits, fields.LIMIT_KEYS, "limits"), {}, "limits")
        code_path = ""
        if "code" in table.entries:
            code_path = self.read(Key(_path), table.entries["code"], "code") or ""
        flow = self.built(Flow, values, fields.FLOW_KEYS, "")
        return completed(flow, self.code), code_path

    # -- tables ------------------------------------------------------------------------------------------------

    def table(self, node: Node, path: str) -> Table:
        if isinstance(node, Table):
            for key, line in node.key_lines.items():
                self.lines[f"{path}.{key}" if path else key] = line
            return node
        if not (isinstance(node, Scalar) and node.kind == "null"):
            self.fault(
                "R203", f"Here stands {shown(node)}, where a table of keys is needed.", "Write `key: value` lines.",
                node.line, path,
            )
        return Table(node.line)

    def section(self, table: Table, section: str) -> Table:
        return self.table(table.entries[section], section) if section in table.entries else Table(table.line)

    def named(self, table: Table, section: str, read: Callable[[str, Table, str], V | None]) -> tuple[V, ...]:
        """The entries of a section, each under its name."""
        found = []
        entries = self.section(table, section)
        for key, node in entries.entries.items():
            path, line = f"{section}.{key}", entries.key_lines[key]
            try:
                fields.name(Scalar(line, key, plain=True))
            except Misread as problem:
                self.fault(problem.code, problem.what, problem.fix, line, path)
                self.unread.add(key)
                self.partial = True
                continue
            one = read(key, self.table(node, path), path)
            if one is None:
                self.unread.add(key)
                self.partial = True
            else:
                found.append(one)
        return tuple(found)

    def values(
        self, table: Table, keys: Mapping[str, Key], path: str, allowed: Iterable[str] = ()
    ) -> dict[str, Any]:
        """What the table says, by attribute; stand-ins for needed keys that are missing or cannot be read."""
        found: dict[str, Any] = {}
        for key, node in table.entries.items():
            where = f"{path}.{key}" if path else key
            if key not in keys:
                self.fault(
                    "R201", f"The key {printable(key, 60)!r} is unknown here.", meant(key, allowed or keys),
                    table.key_lines[key], where,
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
                self.fault(
                    "R211", f"{key!r} is out of bounds: {printable(problem['msg'])}.", "Write a value within the bounds.",
                    self.line(where), where,
                )
                kept.pop(attribute, None)
                if attribute in stand_ins:
                    kept[attribute] = stand_ins[attribute]
            return model(**kept)

    def line(self, where: str) -> int:
        while where and where not in self.lines:
            where = where.rpartition(".")[0]
        return self.lines.get(where, 0)

    # -- what a flow is made of --------------------------------------------------------------------------------

    def state(self, name: str, table: Table, path: str) -> State | None:
        kind = table.entries.get("kind")
        found = kind.text if isinstance(kind, Scalar) else ""
        if found not in fields.STATE_KEYS:
            what = f"The state {name!r} has no kind." if kind is None else f"{shown(kind)} is no kind of state."
            self.fault("R210", what, meant(found, fields.STATE_KEYS), kind.line if kind else self.line(path), path)
            return None
        model, keys = fields.STATE_KEYS[found]
        values = self.values(table, keys, path)
        built: Any = self.built(model, {**values, "name": name}, keys, path)
        return built  # type: ignore[no-any-return]

    def fact(self, name: str, table: Table, path: str) -> FactSpec:
        kind = table.entries.get("type")
        keys = fields.MONEY_KEYS if isinstance(kind, Scalar) and kind.text == "money" else fields.FACT_KEYS
        return self.built(FactSpec, {**self.values(table, keys, path), "name": name}, keys, path)

    def agent(self, name: str, table: Table, path: str) -> AgentSpec:
        own = {key: node for key, node in table.entries.items() if key != "price"}
        values = self.values(
            Table(table.line, own, table.key_lines), fields.AGENT_KEYS, path, (*fields.AGENT_KEYS, "price")
        )
        if "price" in table.entries:
            where = f"{path}.price"
            price = self.values(self.table(table.entries["price"], where), fields.PRICE_KEYS, where)
            values["price"] = self.built(Price, price, fields.PRICE_KEYS, where)
        return self.built(AgentSpec, {**values, "name": name}, fields.AGENT_KEYS, path)

    def router(self, name: str, table: Table, path: str) -> RouterSpec:
        special = ("rules", "classifier", "artefact")
        own = {key: node for key, node in table.entries.items() if key not in special}
        values = self.values(
            Table(table.line, own, table.key_lines), fields.ROUTER_KEYS, path, (*fields.ROUTER_KEYS, *special)
        )
        values["rules"] = self.rules(table.entries.get("rules"), f"{path}.rules")
        values |= self.classifier(table, path)
        return self.built(RouterSpec, {**values, "name": name}, fields.ROUTER_KEYS, path)

    def rules(self, node: Node | None, path: str) -> tuple[RuleSpec, ...]:
        if node is None:
            return ()
        if not isinstance(node, Listing):
            self.fault("R203", f"Here stands {shown(node)}, where a list of rules is needed.", "Write a list.", node.line, path)
            return ()
        found = []
        for index, item in enumerate(node.items):
            where = f"{path}.{index}"
            self.lines[where] = item.line
            values = self.values(self.table(item, where), fields.RULE_KEYS, where)
            found.append(self.built(RuleSpec, values, fields.RULE_KEYS, where))
        return tuple(found)

    def classifier(self, table: Table, path: str) -> dict[str, str]:
        """The digest of the classifier's artefact, from its file or as written, and the file."""
        found: dict[str, str] = {}
        if "classifier" not in table.entries:
            if "artefact" in table.entries:
                self.fault(
                    "R212", "An artefact stands here without a classifier.", "Write `classifier:` with the file.",
                    self.line(f"{path}.artefact"), f"{path}.artefact",
                )
            return found
        where = f"{path}.classifier"
        named = self.read(Key(fields.text), table.entries["classifier"], where)
        if named is None:
            return found
        pinned = named if fields.DIGEST.fullmatch(named) else ""
        if pinned:
            found["classifier"] = pinned
            if "artefact" not in table.entries:
                return found
            where = f"{path}.artefact"
        artefact = self.read(Key(_path), table.entries["artefact" if pinned else "classifier"], where)
        digest = self.digest_of_file(artefact, where, optional=bool(pinned)) if artefact else ""
        if pinned and digest and digest != pinned:
            self.fault(
                "R212", f"The file {artefact!r} has digest {digest[:12]}…, not {pinned[:12]}….",
                "Restore the file, or write its digest.", self.line(where), where,
            )
        return {**found, **({"classifier": pinned or digest} if pinned or digest else {}), "artefact": artefact or ""}

    def digest_of_file(self, artefact: str, where: str, *, optional: bool) -> str:
        if self.folder_reader is None:
            if not optional:
                self.fault(
                    "R212", f"The file {artefact!r} cannot be opened from here.", "Write the digest of the artefact.",
                    self.line(where), where,
                )
            return ""
        try:
            return sha256_hex(self.folder_reader(artefact))
        except (OSError, ValueError, InterlockError) as error:
            self.fault(
                "R212", f"The file {artefact!r} cannot be read: {printable(error)}.", "Put it beside the flow.",
                self.line(where), where,
            )
            return ""

    # -- rows --------------------------------------------------------------------------------------------------

    def rows(self, table: Table) -> tuple[Transition, ...]:
        node = table.entries.get("transitions")
        if node is None:
            return ()
        if not isinstance(node, Listing):
            self.fault(
                "R203", f"Here stands {shown(node)}, where a list of rows is needed.",
                f"Write rows as `- [{', '.join(COLUMNS)}]`.", node.line, "transitions",
            )
            self.partial = True
            return ()
        found = []
        for item in node.items:
            # The index of a row in the flow and in `lines` is the same, whatever was lost before it.
            path = f"transitions.{len(found)}"
            self.lines[path] = item.line
            row = self.row(item, path)
            if row is None:
                self.partial = True
            else:
                found.append(row)
        return tuple(found)

    def row(self, node: Node, path: str) -> Transition | None:
        columns = self.columns(node, path)
        if columns is None:
            return None
        names: list[str] = []
        for column, one in zip(("from", "on", "go to"), (columns[0], columns[1], columns[3]), strict=True):
            where = f"{path}.{column}"
            word, push = one.text.strip(), False
            if column == "go to" and word.startswith("push "):
                word, push = word.removeprefix("push ").strip(), True
            try:
                names.append(fields.name(Scalar(one.line, word, plain=True)))
            except Misread as problem:
                self.fault(problem.code, problem.what, problem.fix, one.line, where)
                return None
        guard = self.guard(columns[2], f"{path}.only if")
        return Transition(
            source=names[0], on=names[1], guard=guard, target=names[2], policy=columns[4].text, push=push
        )

    def guard(self, node: Scalar, where: str) -> Guard:
        try:
            return read_guard(node.text)
        except FlowError as problem:
            self.fault("R209", problem.what, problem.fix, node.line, where)
            return _UNREAD

    def columns(self, node: Node, path: str) -> tuple[Scalar, ...] | None:
        """The five columns of a row, or None where they cannot even be guessed."""
        if isinstance(node, Table):
            return self.keyed_columns(node, path)
        if not isinstance(node, Listing):
            self.fault("R208", f"Here stands {shown(node)}, where a row is needed.", _ROW, node.line, path)
            return None
        cells = [item for item in node.items if isinstance(item, Scalar) and item.kind != "null"]
        if len(cells) != len(node.items):
            self.fault("R208", "A column of this row is a list, a table or empty.", _ROW, node.line, path)
            return None
        if len(cells) == len(COLUMNS):
            return tuple(cells)
        self.fault("R208", f"This row has {len(cells)} columns instead of {len(COLUMNS)}.", _fix_for(cells), node.line, path)
        if len(cells) < len(COLUMNS) - 1:
            return None
        middle = cells[2:-2] or [Scalar(node.line, "otherwise", plain=True)]
        joined = Scalar(node.line, ", ".join(cell.text for cell in middle), plain=True)
        return (cells[0], cells[1], joined, cells[-2], cells[-1])

    def keyed_columns(self, node: Table, path: str) -> tuple[Scalar, ...] | None:
        found = []
        for key in node.entries:
            if key not in COLUMNS:
                self.fault("R201", f"The key {printable(key, 60)!r} is unknown here.", meant(key, COLUMNS), node.key_lines[key], f"{path}.{key}")
        for column in COLUMNS:
            cell = node.entries.get(column)
            if not isinstance(cell, Scalar) or cell.kind == "null":
                what = f"This row has no {column!r}." if cell is None else f"{column!r} holds {shown(cell)}."
                self.fault("R208", what, _ROW, cell.line if cell else node.line, f"{path}.{column}")
                return None
            found.append(cell)
        return tuple(found)


_ROW = f"Write it as [{', '.join(COLUMNS)}]."


def _fix_for(cells: Sequence[Scalar]) -> str:
    split = [cell for cell in cells[2:-2] if "(" in cell.text or ")" in cell.text]
    if len(cells) > len(COLUMNS) and split:
        guard = ", ".join(cell.text for cell in cells[2:-2])
        return f'A comma splits columns: put the guard in quotes, "{guard}".'
    return f'{_ROW} Put a guard with a comma in it in quotes.'


def _path(node: Node) -> str:
    found = fields.text(node)
    parts = found.split("/")
    if found.startswith("/") or "\\" in found or ":" in found or ".." in parts or not all(parts):
        raise Misread(
            "R212", f"{shown(node)} is not a path inside the flow's folder.", "Write a file beside the flow, without '..'.",
            node.line,
        )
    return found


__all__ = ["COLUMNS", "RETURN", "FolderReader", "LoadedFlow", "meant", "otherwise", "read_flow"]

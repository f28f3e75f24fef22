"""A flow file read into a `Flow`: every fault at once, each with its line and its remedy.

What cannot be read gets a stand-in, so that the rest is still checked in the same pass; faults that
would only follow from a stand-in are left out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from ..contracts.canonical import sha256_hex
from ..contracts.errors import Fault, FlowError, InterlockError
from ..contracts.flow import AgentSpec, BreakerSpec, FactSpec, Flow, RouterSpec, RoutingCosts, RuleSpec, State
from ..contracts.limits import Limits, Price
from ..contracts.policies import Policy
from ..contracts.subflow import SubflowSpec
from ..contracts.values import Value, printable
from . import field_values, fields
from .build import completed, subflow_spec
from .check import faults_in, refused
from .code import Code
from .field_values import Misread, shown
from .fields import Key
from .notes import Notes, meant
from .policies.reading import read_policy
from .render import minor_digits
from .row_text import read_rows
from .source import Listing, Node, Scalar, Table, read_yaml

V = TypeVar("V", bound=Value)
FolderReader = Callable[[str], bytes]
"""Gives the bytes of a file beside the flow; raises `OSError` where there is none."""
_DECIDE_OUTCOMES = (["inputs"], ["decisions"], ["labels"])
"""Keys without which it is not known what a state can end with."""
_SECTIONS = ("code", "limits", "facts", "agents", "routers", "subflows", "policies", "prices", "states", "transitions")


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
    the bytes of a classifier's artefact.
    """
    node, found = read_yaml(text)
    notes = Notes(list(found))
    if node is None:
        raise refused(notes.faults, file)
    if not isinstance(node, Table):
        what = f"The file holds {shown(node)}, not a flow."
        notes.fault("R203", what, "Start with `flow:` and its name.", node.line, "")
        raise refused(notes.faults, file)
    reading = _Reading(notes, folder_reader, code)
    flow = completed(reading.flow(node), code)
    spoilt = {fault.where for fault in notes.faults if fault.where}
    vague = {where.split(".")[1] for where in spoilt if where.split(".")[2:3] in _DECIDE_OUTCOMES}
    structural = faults_in(
        flow, code, notes.lines, unread=frozenset(notes.unread | vague), partial=notes.partial or bool(vague)
    )
    faults = [*notes.faults, *(fault for fault in structural if not _follows(fault.where, spoilt))]
    if faults:
        raise refused(faults, file, flow.name)
    return LoadedFlow(flow, MappingProxyType(notes.lines), reading.code_path)


def code_path_of(text: str | bytes) -> str:
    """The path under `code:` of a flow file, or nothing: for whoever imports the code before reading the flow.

    Raises `FlowError` where the file cannot be read or the path leads out of the flow's folder.
    """
    node, faults = read_yaml(text)
    if not isinstance(node, Table):
        raise refused(faults or [Fault("R203", "The file holds no flow.", "Start with `flow:` and its name.", 1)])
    notes = Notes([])
    table = notes.table(node, "")
    path: Any = notes.read(Key(_path), table.entries["code"], "code") if "code" in table.entries else ""
    if notes.faults:
        raise refused(notes.faults)
    return str(path)


def subflow_files_of(text: str | bytes) -> dict[str, str]:
    """The files under `subflows:` by name, for whoever loads them before reading the flow; what cannot be read is
    left out, and is a fault of the flow when that is read."""
    node, _ = read_yaml(text)
    if not isinstance(node, Table):
        return {}
    notes = Notes([])
    return dict(_files_in(notes, notes.section(notes.table(node, ""), "subflows")))


def artefact_files_of(text: str | bytes) -> tuple[str, ...]:
    """The classifiers' files that routers name, for whoever loads them before reading the flow; what cannot be read
    is left out, for `read_flow` says it."""
    node, _ = read_yaml(text)
    if not isinstance(node, Table):
        return ()
    notes, found = Notes([]), []
    for router in notes.section(notes.table(node, ""), "routers").entries.values():
        entries = notes.table(router, "routers").entries
        for key in ("classifier", "artefact", "screen_classifier", "screen_artefact"):
            file = notes.read(Key(_path), entries[key], key) if key in entries else None
            if file and not field_values.DIGEST.fullmatch(file):
                found.append(file)
    return tuple(dict.fromkeys(found))


def _files_in(notes: Notes, section: Table) -> Iterator[tuple[str, str]]:
    for name, node in section.entries.items():
        where = f"subflows.{name}"
        file = notes.read(Key(_path), node, where)
        try:
            field_values.name(Scalar(section.key_lines[name], name, plain=True))
        except Misread as problem:
            notes.fault(problem.code, problem.what, problem.fix, section.key_lines[name], where)
        else:
            if file:
                yield name, file
            else:
                notes.unread.add(name)


def _follows(where: str, spoilt: set[str]) -> bool:
    """True if `where` lies in something that could not be read anyway."""
    parts = where.split(".")
    return any(".".join(parts[:length]) in spoilt for length in range(1, len(parts) + 1))


@dataclass
class _Reading:
    """The sections of one file."""

    notes: Notes
    folder_reader: FolderReader | None
    code: Code
    code_path: str = ""
    currency: str = ""

    def flow(self, node: Node) -> Flow:
        """The flow as far as it can be read."""
        notes = self.notes
        table = notes.table(node, "")
        values = notes.values(_without(table, _SECTIONS), fields.FLOW_KEYS, "", (*fields.FLOW_KEYS, *_SECTIONS))
        self.currency = str(values.get("currency", "EUR"))
        for section in ("states", "transitions"):
            if section not in table.entries:
                notes.fault("R202", f"The flow has no {section!r}.", f"Write `{section}:`.", table.line, section)
                notes.partial = True
        values |= {
            "facts": self.named(table, "facts", self.fact),
            "agents": self.named(table, "agents", self.agent),
            "routers": self.named(table, "routers", self.router),
            "subflows": self.subflows(table),
            "policies": self.named(table, "policies", self.policy),
            "prices": self.prices(table),
            "states": self.named(table, "states", self.state),
            "transitions": read_rows(table.entries.get("transitions"), notes),
        }
        if "limits" in table.entries:
            limits = notes.values(notes.section(table, "limits"), fields.LIMIT_KEYS, "limits")
            values["limits"] = notes.built(Limits, limits, {}, "limits")
        if "code" in table.entries:
            self.code_path = notes.read(Key(_path), table.entries["code"], "code") or ""
        return notes.built(Flow, values, fields.FLOW_KEYS, "")

    def named(self, table: Table, section: str, read: Callable[[str, Table, str], V | None]) -> tuple[V, ...]:
        """The entries of a section, each under its name."""
        found: list[V] = []
        entries = self.notes.section(table, section)
        for key, node in entries.entries.items():
            path, line = f"{section}.{key}", entries.key_lines[key]
            one: V | None = None
            try:
                field_values.name(Scalar(line, key, plain=True))
            except Misread as problem:
                self.notes.fault(problem.code, problem.what, problem.fix, line, path)
            else:
                one = read(key, replace(self.notes.table(node, path), line=line), path)
            if one is None:
                self.notes.unread.add(key)
                self.notes.partial = True
            else:
                found.append(one)
        return tuple(found)

    def prices(self, table: Table) -> dict[str, Price]:
        """What models cost, by their names."""
        section, found = self.notes.section(table, "prices"), {}
        for model, node in section.entries.items():
            path = f"prices.{model}"
            try:
                field_values.model_name(model, section.key_lines[model])
            except Misread as problem:
                self.notes.fault(problem.code, problem.what, problem.fix, problem.line, path)
            else:
                values = self.notes.values(self.notes.table(node, path), fields.TABLE_PRICE_KEYS, path)
                found[model] = self.notes.built(Price, values, fields.TABLE_PRICE_KEYS, path)
        return found

    def state(self, name: str, table: Table, path: str) -> State | None:
        kind = table.entries.get("kind")
        found = kind.text if isinstance(kind, Scalar) else ""
        if found not in fields.STATE_KEYS:
            what = f"The state {name!r} has no kind." if kind is None else f"{shown(kind)} is no kind of state."
            self.notes.fault("R210", what, meant(found, fields.STATE_KEYS), kind.line if kind else table.line, path)
            return None
        model, keys = fields.STATE_KEYS[found]
        built: Any = self.notes.built(model, {**self.notes.values(table, keys, path), "name": name}, keys, path)
        state: State = built
        return state

    def subflows(self, table: Table) -> tuple[SubflowSpec, ...]:
        """The child flows that stand here and are loaded; the others are faults."""
        section, found = self.notes.section(table, "subflows"), []
        for name, file in _files_in(self.notes, section):
            if name in self.code.subflows:
                found.append(subflow_spec(name, self.code.subflows[name], file))
                continue
            self.notes.unread.add(name)
            if self.folder_reader is not None and not self.digest_of_file(file, f"subflows.{name}"):
                continue
            what = f"The flow {file!r} of the subflow {name!r} is not loaded."
            fix = "Load the project with `load_project`, which reads the flows beside it, or give it in `code`."
            self.notes.fault("S191", what, fix, section.key_lines[name], f"subflows.{name}")
        return tuple(found)

    def policy(self, name: str, table: Table, path: str) -> Policy:
        return read_policy(name, table, path, self.notes)

    def fact(self, name: str, table: Table, path: str) -> FactSpec:
        kind = table.entries.get("type")
        money = isinstance(kind, Scalar) and kind.text == "money"
        keys = fields.money_keys(minor_digits(self.currency)) if money else fields.FACT_KEYS
        return self.notes.built(FactSpec, {**self.notes.values(table, keys, path), "name": name}, keys, path)

    def agent(self, name: str, table: Table, path: str) -> AgentSpec:
        own = ("price", "breaker")
        values = self.notes.values(_without(table, own), fields.AGENT_KEYS, path, (*fields.AGENT_KEYS, *own))
        if "price" in table.entries:
            where = f"{path}.price"
            price = self.notes.values(self.notes.table(table.entries["price"], where), fields.PRICE_KEYS, where)
            values["price"] = self.notes.built(Price, price, fields.PRICE_KEYS, where)
        if "breaker" in table.entries:
            where = f"{path}.breaker"
            breaker = self.notes.values(self.notes.table(table.entries["breaker"], where), fields.BREAKER_KEYS, where)
            values["breaker"] = self.notes.built(BreakerSpec, breaker, fields.BREAKER_KEYS, where)
        return self.notes.built(AgentSpec, {**values, "name": name}, fields.AGENT_KEYS, path)

    def router(self, name: str, table: Table, path: str) -> RouterSpec:
        special = ("rules", "escalations", "costs", "classifier", "artefact", "screen_classifier", "screen_artefact")
        values = self.notes.values(_without(table, special), fields.ROUTER_KEYS, path, (*fields.ROUTER_KEYS, *special))
        for key in ("rules", "escalations"):
            values[key] = self.rules(table.entries.get(key), f"{path}.{key}")
        if "costs" in table.entries:
            values["costs"] = self.costs(table.entries["costs"], f"{path}.costs")
        values |= self.classifier(table, path)
        values |= self.classifier(table, path, "screen_classifier", "screen_artefact")
        return self.notes.built(RouterSpec, {**values, "name": name}, fields.ROUTER_KEYS, path)

    def costs(self, node: Node, path: str) -> RoutingCosts:
        keys = fields.cost_keys(minor_digits(self.currency))
        return self.notes.built(RoutingCosts, self.notes.values(self.notes.table(node, path), keys, path), keys, path)

    def rules(self, node: Node | None, path: str) -> tuple[RuleSpec, ...]:
        if node is None:
            return ()
        if not isinstance(node, Listing):
            what = f"Here stands {shown(node)}, where a list of rules is needed."
            self.notes.fault("R203", what, "Write a list.", node.line, path)
            return ()
        found: list[RuleSpec] = []
        for index, item in enumerate(node.items):
            where = f"{path}.{index}"
            self.notes.lines[where] = item.line
            values = self.notes.values(self.notes.table(item, where), fields.RULE_KEYS, where)
            found.append(self.notes.built(RuleSpec, values, fields.RULE_KEYS, where))
        return tuple(found)

    def classifier(
        self, table: Table, path: str, key: str = "classifier", file_key: str = "artefact"
    ) -> dict[str, str]:
        """The artefact and its digest: `key` names the file, or the digest and `file_key` the file."""
        where, pinned = f"{path}.{key}", ""
        if key not in table.entries:
            if file_key in table.entries:
                self.unfit(f"{path}.{file_key}", "An artefact stands here without a classifier.", f"Write `{key}:`.")
            return {}
        named = self.notes.read(Key(field_values.text), table.entries[key], where)
        if named is None:
            return {}
        if field_values.DIGEST.fullmatch(named):
            pinned = named
            if file_key not in table.entries:
                return {key: pinned}
            where = f"{path}.{file_key}"
        elif file_key in table.entries:
            self.unfit(f"{path}.{file_key}", "The artefact's file stands here twice.", f"Delete `{file_key}:`.")
        file = self.notes.read(Key(_path), table.entries[file_key if pinned else key], where)
        if not file:
            return {}
        digest = "" if pinned and self.folder_reader is None else self.digest_of_file(file, where)
        if pinned and digest and digest != pinned:
            what = f"The file {file!r} has the digest {digest[:12]}…, not {pinned[:12]}…."
            self.unfit(f"{path}.{key}", what, "Restore the file, or write its digest.")
        return {file_key: file, **({key: pinned or digest} if pinned or digest else {})}

    def digest_of_file(self, file: str, where: str) -> str:
        if self.folder_reader is None:
            self.unfit(where, f"The file {file!r} cannot be opened from here.", "Write the digest of the artefact.")
            return ""
        try:
            return sha256_hex(self.folder_reader(file))
        except (OSError, ValueError, InterlockError) as error:
            self.unfit(where, f"The file {file!r} cannot be read: {printable(error)}.", "Put it beside the flow.")
            return ""

    def unfit(self, where: str, what: str, fix: str) -> None:
        self.notes.fault("R212", what, fix, self.notes.line(where), where)


def _without(table: Table, keys: tuple[str, ...]) -> Table:
    return replace(table, entries={key: node for key, node in table.entries.items() if key not in keys})


def _path(node: Node) -> str:
    found = field_values.text(node)
    parts = found.split("/")
    if found.startswith("/") or "\\" in found or ":" in found or "\0" in found or ".." in parts or not all(parts):
        what = f"{shown(node)} is not a path inside the flow's folder."
        raise Misread("R212", what, "Write a file beside the flow, without '..'.", node.line)
    return found


__all__ = ["FlowError", "FolderReader", "LoadedFlow", "code_path_of", "read_flow", "subflow_files_of"]

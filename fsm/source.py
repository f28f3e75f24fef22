"""YAML text as values with line numbers, and nothing that YAML can do besides.

A flow is read as YAML 1.2 core by a resolver of our own: `true`, `false`, `null` and numbers are what
they look like, and every other plain word stays a word (`on`, `no` and `yes` too). Anchors, aliases,
tags, duplicate keys, second documents, control characters and deep nesting are refused, each as a
`Fault` with its line. Nothing here runs or builds anything but text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import yaml

from ..contracts.errors import Fault
from ..contracts.values import printable

MAX_BYTES = 1_000_000
MAX_NESTING = 32
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_PYYAML_MISTAKES = (ValueError, OverflowError, RecursionError, IndexError, TypeError, AttributeError)
"""What PyYAML lets through instead of a `YAMLError`, e.g. ValueError for the escape `\\UFFFFFFFF`."""
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,14}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as it was written; `plain` if without quotes, so that it may stand for a number or yes/no."""

    line: int
    text: str
    plain: bool

    @property
    def kind(self) -> str:
        """`null`, `yes/no`, `whole number`, `number` or `text`, by the YAML 1.2 core schema."""
        if not self.plain:
            return "text"
        if self.text in _NULL:
            return "null"
        if self.text in _TRUE or self.text in _FALSE:
            return "yes/no"
        if _INTEGER.fullmatch(self.text):
            return "whole number"
        return "number" if _FLOAT.fullmatch(self.text) else "text"

    @property
    def value(self) -> str | int | bool | None:
        """The resolved value; a number with a fraction stays text, since a flow holds no floats."""
        match self.kind:
            case "null":
                return None
            case "yes/no":
                return self.text in _TRUE
            case "whole number":
                return int(self.text, 0) if self.text[:2] in ("0o", "0x") else int(self.text)
            case _:
                return self.text


@dataclass(frozen=True, slots=True)
class Listing:
    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; `key_lines` are the lines of its keys, where a reader looks for an entry."""

    line: int
    entries: Mapping[str, "Node"] = field(default_factory=lambda: MappingProxyType({}))
    key_lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


Node = Scalar | Listing | Table


class _Stop(Exception):
    """Nothing after this fault can be read."""


def decoded(data: str | bytes) -> tuple[str, tuple[Fault, ...]]:
    """The text, or an empty one and why it cannot be read. A byte order mark at the start is dropped."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1 if isinstance(data, bytes) else 0
        return "", (Fault("Y101", f"Byte {error.start} is not UTF-8.", "Save the file as UTF-8.", line),)
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return "", (
            Fault("Y102", f"The file is larger than {MAX_BYTES:,} bytes.", "Split the flow, or shorten its texts.", 1),
        )
    found = CONTROL.search(text)
    if found:
        line = text[: found.start()].count("\n") + 1
        return "", (_control_fault(found.group(), line),)
    return text, ()


def _control_fault(character: str, line: int) -> Fault:
    return Fault(
        "Y103",
        f"The character U+{ord(character):04X} may not stand in a flow.",
        "Delete it, or write it in words.",
        line,
    )


def read_yaml(data: str | bytes) -> tuple[Node | None, tuple[Fault, ...]]:
    """The document and every fault of its text; None where it could not be read at all."""
    text, faults = decoded(data)
    return (None, faults) if faults else _composed(text)


@lru_cache(maxsize=4)
def _composed(text: str) -> tuple[Node | None, tuple[Fault, ...]]:
    """The same for a text that can be read. Kept for a moment: loading a flow asks several times, and nothing of it
    can be changed."""
    composer = _Composer()
    node = composer.document(text)
    return node, tuple(composer.faults)


class _Composer:
    """Turns parser events into located values. Lives for one file; collects faults as it goes."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.line = 1

    def fault(self, code: str, what: str, fix: str, line: int = 0) -> None:
        self.faults.append(Fault(code, what, fix, line or self.line))

    def document(self, text: str) -> Node | None:
        node: Node | None = None
        try:
            events = self._events(text)
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if node is not None:
                        self.fault("Y108", "A second document starts here.", "Keep one flow in one file.")
                        break
                    node = self._node(next(events), events, 0)
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.context_mark if error.problem_mark is None else error.problem_mark
            said = printable(error.problem or error.context or "unreadable")
            self.fault(
                "Y104",
                f"This is not YAML: {said}.",
                "Check the indentation, brackets and quotes here and just above.",
                0 if mark is None else mark.line + 1,
            )
            return None
        except (yaml.YAMLError, *_PYYAML_MISTAKES):
            what = "This is not YAML: an escape or a number cannot be read."
            self.fault("Y104", what, "Check quotes here and below.")
            return None
        if node is None:
            self.fault("Y110", "The file is empty.", "Start with `flow:` and the name of the flow.")
        return node

    def _events(self, text: str) -> Iterator[yaml.Event]:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            self.line = event.start_mark.line + 1 if event.start_mark is not None else self.line
            yield event

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        line = self.line
        if depth > MAX_NESTING:
            self.fault("Y109", f"Values are nested deeper than {MAX_NESTING} levels.", "Flatten them.")
            raise _Stop
        if isinstance(event, yaml.AliasEvent):
            self.fault("Y105", f"*{printable(event.anchor)} repeats a value by reference.", "Write the value out here.")
            return Scalar(line, "", plain=True)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            return Scalar(line, "", plain=True)
        if event.anchor:
            self.fault("Y105", f"&{printable(event.anchor)} names a value for reference.", "Delete the anchor.")
        if event.tag:
            self.fault("Y106", f"The tag {printable(event.tag)!r} asks for a type.", "Delete the tag; types are fixed.")
        if isinstance(event, yaml.MappingStartEvent):
            return self._table(line, events, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            for part in events:
                if isinstance(part, yaml.SequenceEndEvent):
                    break
                items.append(self._node(part, events, depth + 1))
            return Listing(line, tuple(items))
        if not isinstance(event, yaml.ScalarEvent):
            return Scalar(line, "", plain=True)
        value = str(event.value)
        control = CONTROL.search(value)
        if control:
            self.faults.append(_control_fault(control.group(), line))
            value = CONTROL.sub("", value)
        return Scalar(line, value, plain=event.style is None)

    def _table(self, line: int, events: Iterator[yaml.Event], depth: int) -> Table:
        entries: dict[str, Node] = {}
        key_lines: dict[str, int] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key_line = self.line
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self.fault("Y111", "A key must be one word, not a list or a table.", "Write a name.", key_line)
            elif key.text in entries:
                self.fault(
                    "Y107",
                    f"{printable(key.text)!r} stands here a second time; the first is on line {key_lines[key.text]}.",
                    "Delete or rename one of them.",
                    key_line,
                )
            else:
                entries[key.text] = value
                key_lines[key.text] = key_line
        return Table(line, MappingProxyType(entries), MappingProxyType(key_lines))

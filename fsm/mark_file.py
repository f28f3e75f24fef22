"""A file of marks (YAML) read into a `MarkSet`: every fault at once, each with its line and its remedy.

```
marks:
  yes:       {role: customer, text: '\\b(yes|go ahead)\\b'}
  read:      {tool: get_order, returns: true, key: order_id}
  unread:    {tool: cancel_order, key: order_id, unseen: read}
```
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ..contracts.errors import Fault, FlowError
from ..contracts.marks import MarkSet, MarkSpec, PathPattern
from ..contracts.values import NAME, listed
from .marking import pattern_of
from .source import Listing, Node, Scalar, Table, read_yaml

_NAMES = ("role", "tool", "all")
_FLAGS = ("returns", "failed")
_ALLOWED = ("role", "text", "tool", "arguments", "result", "returns", "failed", "calls", "key", "seen", "unseen", "all")
_SIDES = ("customer", "agent", "system")


def read_marks(text: str | bytes, *, file: str = "") -> MarkSet:
    """The marks that `text` says, in its order; other sections of the file are not looked at.

    Raises one `FlowError` whose `faults` are all there are.
    """
    node, found = read_yaml(text)
    reading = _Reading(list(found))
    section = node.entries.get("marks") if isinstance(node, Table) else None
    if node is not None and not isinstance(section, Table):
        reading.fault("M101", "The file has no section `marks` with names in it.", "Begin with `marks:`.", node)
    specs = [reading.mark(name, one) for name, one in section.entries.items()] if isinstance(section, Table) else []
    reading.compared(specs)
    if reading.faults:
        raise FlowError(
            f"The marks have {len(reading.faults)} fault{'s' if len(reading.faults) > 1 else ''}.",
            where=file,
            fix="Mend what is listed.",
            faults=tuple(reading.faults),
        )
    return MarkSet(marks=tuple(one for one in specs if one is not None))


@dataclass
class _Reading:
    faults: list[Fault]
    known: list[str] = field(default_factory=list)
    """Names of the marks above the one being read: only these can have been found earlier in the same message."""

    def fault(self, code: str, what: str, fix: str, node: Node) -> None:
        self.faults.append(Fault(code, what, fix, node.line))

    def mark(self, name: str, node: Node) -> MarkSpec | None:
        before = len(self.faults)
        if not NAME.fullmatch(name):
            self.fault("M102", f"{name!r} is no name.", "Use letters, digits and underscores.", node)
        if not isinstance(node, Table):
            self.fault("M103", f"The mark {name!r} says no conditions.", "Write at least `role:` or `tool:`.", node)
            return None
        given: dict[str, Any] = {}
        for key, value in node.entries.items():
            if key not in _ALLOWED:
                self.fault("M104", f"A mark has no {key!r}.", f"It may have {listed(_ALLOWED)}.", value)
            else:
                given[key] = self.condition(name, key, value)
        self.whole(name, given, node)
        self.known.append(name)
        return MarkSpec(name=name, **given) if len(self.faults) == before else None

    def condition(self, mark: str, key: str, node: Node) -> Any:
        if key in ("arguments", "result"):
            return self.paths(node)
        if key in (*_NAMES, "key"):
            return self.names(mark, key, node)
        value = node.value if isinstance(node, Scalar) else None
        wanted = bool if key in _FLAGS else int if key == "calls" else str
        if type(value) is not wanted or (key == "calls" and isinstance(value, int) and value < 0):
            words = {bool: "true or false", int: "a whole number", str: "one text"}[wanted]
            self.fault("M105", f"{key!r} of {mark!r} is not {words}.", f"Write {words}.", node)
            return None
        if key == "text":
            self.pattern(str(value), node)
        if key in ("seen", "unseen") and not NAME.fullmatch(str(value)):
            self.fault("M102", f"{value!r} is no name.", "Name a mark of this file.", node)
        return value

    def names(self, mark: str, key: str, node: Node) -> tuple[str, ...]:
        items = node.items if isinstance(node, Listing) else (node,)
        found = tuple(one.text for one in items if isinstance(one, Scalar))
        if len(found) != len(items) or not found:
            self.fault("M105", f"{key!r} of {mark!r} is not a text, nor a list of texts.", "Write `[one, two]`.", node)
        for one in found if key != "key" else ():
            if not NAME.fullmatch(one) or (key == "role" and one not in _SIDES):
                allowed = f"It may be {listed(_SIDES)}." if key == "role" else "Use letters, digits and underscores."
                self.fault("M102", f"{one!r} is no {key}.", allowed, node)
            elif key == "all" and one not in self.known:
                self.fault("M106", f"{one!r} is no mark above {mark!r}.", f"Above it are {listed(self.known)}.", node)
        return found

    def paths(self, node: Node) -> tuple[PathPattern, ...]:
        if isinstance(node, Scalar):
            self.pattern(node.text, node)
            return (PathPattern(path="", pattern=node.text),)
        if not isinstance(node, Table):
            self.fault("M105", "Neither a pattern nor paths with patterns.", "Write `{status: pending}`.", node)
            return ()
        found = []
        for path, one in node.entries.items():
            if not isinstance(one, Scalar):
                self.fault("M105", f"The pattern for {path!r} is not one text.", "Write one pattern.", one)
                continue
            self.pattern(one.text, one)
            found.append(PathPattern(path=path, pattern=one.text))
        return tuple(found)

    def pattern(self, text: str, node: Node) -> None:
        try:
            pattern_of(text)
        except re.error as error:
            self.fault("M107", f"{text!r} is not a regular expression: {error}.", "Mend the pattern.", node)

    def compared(self, specs: list[MarkSpec | None]) -> None:
        """Marks that others are compared with must be there, above or below."""
        for spec in specs:
            for key, other in (("seen", spec.seen), ("unseen", spec.unseen)) if spec else ():
                if other is not None and other not in self.known:
                    what = f"{key!r} of {spec.name!r} names {other!r}, which is no mark." if spec else ""
                    self.faults.append(Fault("M106", what, f"Marks here are {listed(self.known)}."))

    def whole(self, name: str, given: dict[str, Any], node: Node) -> None:
        """What no single condition shows."""
        returns, tool = bool(given.get("returns")), bool(given.get("tool"))
        on_text = [key for key in ("role", "calls") if key in given]
        if (tool or returns) and on_text:
            self.fault("M108", f"{name!r} is of a call, and has {listed(on_text)}.", "Leave that out.", node)
        if not tool and not returns and ("arguments" in given or "key" in given or "failed" in given):
            self.fault("M108", f"{name!r} looks into a call and names no tool.", "Add `tool:`.", node)
        if "result" in given and not returns:
            self.fault("M108", f"{name!r} looks into a result.", "Add `returns: true`.", node)
        if "arguments" in given and returns:
            self.fault("M108", f"{name!r} looks into arguments when the result is there.", "Use `result:`.", node)
        if not given:
            self.fault("M103", f"The mark {name!r} says no conditions.", "Write at least `role:` or `tool:`.", node)

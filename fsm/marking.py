"""Marks found in a conversation, message by message: pure, and the same for the same messages."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

from ..contracts.marks import MarkSet, MarkSpec, PathPattern, Side

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """One thing that marks are looked for in: a text, or the JSON of arguments or of a result."""

    text: str
    side: Side | None = None
    calls: int = 0
    tool: str = ""
    returned: bool = False
    failed: bool = False
    data: Any = None


@dataclass
class Marking:
    """Looks for the marks of one conversation. Tell it everything once, in order: some marks depend on earlier ones."""

    marks: MarkSet
    found: dict[str, set[Key]] = field(default_factory=dict)
    """The keys that each mark was found with so far."""

    def message(self, side: Side, text: str, calls: int = 0) -> tuple[str, ...]:
        """The marks of a message that makes so many calls."""
        return self._marked(_Seen(text, side=side, calls=calls))

    def call(self, tool: str, arguments: str) -> tuple[str, ...]:
        """The marks of a call that is about to be made. Arguments that are no JSON have no paths."""
        return self._marked(_Seen(arguments, tool=tool, data=_json(arguments)))

    def result(self, tool: str, text: str, failed: bool) -> tuple[str, ...]:
        """The marks of what a tool gave back."""
        return self._marked(_Seen(text, tool=tool, returned=True, failed=failed, data=_json(text)))

    def _marked(self, seen: _Seen) -> tuple[str, ...]:
        here: list[str] = []
        for spec in self.marks.marks:
            if spec.name in here or not _fits(spec, seen) or not set(spec.all) <= set(here):
                continue
            keys = set(_keys(spec.key, seen))
            if self._compares(spec, keys):
                here.append(spec.name)
                self.found.setdefault(spec.name, set()).update(keys)
        return tuple(here)

    def _compares(self, spec: MarkSpec, keys: set[Key]) -> bool:
        """Whether the keys are, or are not, among those found earlier, as the mark asks."""
        if spec.key and not keys:
            return False
        if spec.seen is not None:
            earlier = self.found.get(spec.seen)
            if earlier is None or (spec.key and keys.isdisjoint(earlier)):
                return False
        if spec.unseen is not None:
            earlier = self.found.get(spec.unseen)
            if earlier is not None and (not spec.key or keys <= earlier):
                return False
        return True


def _fits(spec: MarkSpec, seen: _Seen) -> bool:
    if spec.tool or spec.returns:
        if not seen.tool or (spec.tool and seen.tool not in spec.tool) or spec.returns != seen.returned:
            return False
    elif seen.tool and not spec.all:
        return False
    if spec.role and seen.side not in spec.role:
        return False
    if spec.failed is not None and spec.failed != seen.failed:
        return False
    if spec.calls > seen.calls:
        return False
    if spec.text and not pattern_of(spec.text).search(seen.text):
        return False
    return _all_found(spec.result if seen.returned else spec.arguments, seen)


def _all_found(patterns: Iterable[PathPattern], seen: _Seen) -> bool:
    return all(any(pattern_of(one.pattern).search(value) for value in _values(one.path, seen)) for one in patterns)


def _keys(paths: tuple[str, ...], seen: _Seen) -> Iterator[Key]:
    if paths:
        yield from product(*(tuple(_values(path, seen)) for path in paths))


def _values(path: str, seen: _Seen) -> Iterator[str]:
    if not path:
        yield seen.text
        return
    for value in _at(seen.data, path.split(".")):
        yield _said(value)


def _at(value: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    items = step.endswith("[]")
    name = step.removesuffix("[]")
    if name == "*" and isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, dict) and name in value:
        inner = [value[name]]
    else:
        inner = [value] if items and not name else []
    for one in inner:
        if not items:
            yield from _at(one, rest)
        elif isinstance(one, list):
            for item in one:
                yield from _at(item, rest)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=1024)
def pattern_of(pattern: str) -> re.Pattern[str]:
    """Case is not looked at, and a dot stands for a line's end too. Raises `re.error`."""
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)

"""Whether everything that one JSON Schema accepts is accepted by another: it fits, it does not, or it cannot be told.

*Fits* is proved part by part. *Does not fit* has a witness: a value that the one accepts and the other refuses.
Everything else is unknown, with a sentence that says which word of the schemas was in the way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Any, Literal

from .schema_words import in_words
from .schemas import (
    ANNOTATIONS,
    BOUNDS,
    COMBINED,
    DEEPEST,
    READ,
    TYPES,
    Conjuncts,
    Schema,
    accepts,
    every,
    referred,
    samples,
    types_of,
)

MOST_VALUES = 64
"""Whole numbers of a range that are looked at one by one."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer. `path` is the field it is about; `says` why, in words; `witness` a value that shows it."""

    verdict: Literal["fits", "does not fit", "unknown"]
    path: str = ""
    says: str = ""
    witness: Any = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Where the proof did not go on."""

    path: tuple[str, ...]
    says: str

    def below(self, name: str) -> "Gap":
        return Gap((name, *self.path), self.says)


def fit(source: Schema, target: Schema) -> Fit:
    """How what `source` accepts fits `target`. Both are whole documents: their references lead into themselves."""
    roots = (source if isinstance(source, Mapping) else {}, target if isinstance(target, Mapping) else {})
    gap = _Proof(*roots).gap((source,), target, 0)
    if gap is None:
        return Fit("fits")
    path = ".".join(gap.path)
    for value in _candidates(source, target, *roots):
        if accepts(source, value, roots[0]) is True and accepts(target, value, roots[1]) is False:
            return Fit("does not fit", path, gap.says, value)
    return Fit("unknown", path, f"it cannot be told: {gap.says}, and no example was found")


def _candidates(source: Schema, target: Schema, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Any]:
    mine, theirs = samples(source, left), samples(target, right)
    yield from mine
    yield from theirs
    if isinstance(source, Mapping):
        for one in mine[:40]:
            for other in theirs[:40]:
                if isinstance(one, Mapping) and isinstance(other, Mapping):
                    yield {**one, **other}
                    yield {**other, **one}
    yield from ("", "a", 0, -1, 0.5, None, True, [], {})


class _Proof:
    """Proves that conjuncts on the left imply a schema on the right; a `Gap` where it cannot."""

    def __init__(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> None:
        self.left, self.right = left, right

    def gap(self, source: Conjuncts, target: Schema, deep: int) -> Gap | None:
        if deep > DEEPEST:
            return Gap((), "a schema refers to itself, or lies too deep")
        if target is True or any(one is False for one in source):
            return None
        spread = self._spread(source, deep)
        if isinstance(spread, Gap):
            return spread
        if target is False:
            return None if not self._possible(spread) else Gap((), "nothing is taken there")
        for number, part in enumerate(spread):
            for word in ("anyOf", "oneOf"):
                if word in part:
                    rest = (*spread[:number], *spread[number + 1 :], _without(part, word))
                    gaps = [self.gap((*rest, branch), target, deep + 1) for branch in part[word]]
                    return next((one for one in gaps if one is not None), None)
        values = self._values(spread)
        if values is not None:
            return self._each(values, target)
        kinds = self._kinds(spread)
        if len(kinds) != 1:
            gaps = [self.gap((*spread, {"type": kind}), target, deep + 1) for kind in kinds]
            return next((one for one in gaps if one is not None), None)
        return self._typed(spread, kinds[0], target, deep)

    def _spread(self, source: Conjuncts, deep: int) -> list[Mapping[str, Any]] | Gap:
        """References followed, `allOf` taken apart."""
        found: list[Mapping[str, Any]] = []
        waiting: list[tuple[Schema, int]] = [(one, deep) for one in source]
        while waiting:
            one, level = waiting.pop(0)
            if level > DEEPEST:
                return Gap((), "a schema refers to itself")
            if isinstance(one, bool):
                if one is False:
                    return [{"enum": []}]
                continue
            rest = _without(one, "$ref", "allOf")
            if "$ref" in one:
                there = referred(str(one["$ref"]), self.left)
                if there is None:
                    return Gap((), f"{one['$ref']!r} leads elsewhere")
                waiting.append((there, level + 1))
            waiting += [(part, level + 1) for part in one.get("allOf", ())]
            if set(rest) - ANNOTATIONS:
                found.append(rest)
        return found

    def _possible(self, spread: Sequence[Mapping[str, Any]]) -> bool:
        return bool(self._kinds(spread)) and self._values(spread) != []

    def _values(self, spread: Sequence[Mapping[str, Any]]) -> list[Any] | None:
        """All values, where there are few; what cannot be told is among them."""
        pools = [one["enum"] if "enum" in one else [one["const"]] for one in spread if "enum" in one or "const" in one]
        kinds = self._kinds(spread)
        if not pools and kinds == ["boolean"]:
            pools = [[True, False]]
        if not pools and kinds == ["null"]:
            pools = [[None]]
        if not pools and kinds == ["integer"]:
            least, most = _range(spread)
            if most - least < MOST_VALUES:
                pools = [[*range(int(least), int(most) + 1)]]
        if not pools:
            return None
        return [one for one in pools[0] if every([accepts(part, one, self.left) for part in spread]) is not False]

    def _each(self, values: Sequence[Any], target: Schema) -> Gap | None:
        for one in values:
            if accepts(target, one, self.right) is not True:
                return Gap((), f"{one!r} may come, and {in_words(target, self.right)} is taken")
        return None

    def _kinds(self, spread: Sequence[Mapping[str, Any]]) -> list[str]:
        kinds = [kind for kind in TYPES if all(_names(one, kind) for one in spread)]
        return [kind for kind in kinds if kind != "integer" or "number" not in kinds]

    def _typed(self, source: list[Mapping[str, Any]], kind: str, target: Schema, deep: int) -> Gap | None:
        """The left is of one type; the right is taken apart."""
        if deep > DEEPEST or isinstance(target, bool):
            return Gap((), "a schema refers to itself, or lies too deep")
        if "$ref" in target:
            there = referred(str(target["$ref"]), self.right)
            if there is None:
                return Gap((), f"{target['$ref']!r} leads elsewhere")
            return self.gap(tuple(source), there, deep + 1) or self._typed(
                source, kind, _without(target, "$ref"), deep + 1
            )
        for part in target.get("allOf", ()):
            if (gap := self.gap(tuple(source), part, deep + 1)) is not None:
                return gap
        for word in ("anyOf", "oneOf"):
            if word in target and (gap := self._some(source, target[word], deep, one=word == "oneOf")) is not None:
                return gap
        return self._plain(source, kind, target, deep)

    def _some(self, source: list[Mapping[str, Any]], branches: Sequence[Schema], deep: int, *, one: bool) -> Gap | None:
        gaps = [self.gap(tuple(source), branch, deep + 1) for branch in branches]
        if None not in gaps:
            return max((gap for gap in gaps if gap is not None), key=lambda gap: len(gap.path))
        chosen = gaps.index(None)
        if one and not all(self._apart(source, branch) for index, branch in enumerate(branches) if index != chosen):
            return Gap((), "`oneOf` takes what fits one part only")
        return None

    def _apart(self, source: list[Mapping[str, Any]], branch: Schema) -> bool:
        """Surely nothing in common: no type is, or the values of a required property differ."""
        if isinstance(branch, bool):
            return not branch
        there = referred(str(branch["$ref"]), self.right) if "$ref" in branch else branch
        if there is None or isinstance(there, bool):
            return False
        if not any(_names(there, kind) for kind in self._kinds(source)):
            return True
        if not set(self._kinds(source)) <= {"object"}:
            return False
        needed = set(there.get("required", ())) | {name for one in source for name in one.get("required", ())}
        for name in needed:
            mine = [one["properties"][name] for one in source if name in one.get("properties", {})]
            other = there.get("properties", {}).get(name)
            tags = self._values([one for one in mine if isinstance(one, Mapping)]) if mine else None
            if tags is not None and other is not None and all(accepts(other, tag, self.right) is False for tag in tags):
                return True
        return False

    def _plain(self, source: list[Mapping[str, Any]], kind: str, target: Mapping[str, Any], deep: int) -> Gap | None:
        strange = sorted(word for word in target if word not in READ | ANNOTATIONS and not word.startswith("x-"))
        if strange:
            return Gap((), f"`{strange[0]}` is not read")
        if "not" in target:
            return Gap((), "`not` is not read")
        if "type" in target and not _names(target, kind):
            return Gap((), f"{_kind_words(source, kind)} may come, and {in_words(target, self.right)} is taken")
        if "enum" in target or "const" in target:
            return Gap((), f"{_kind_words(source, kind)} may come, and {in_words(target, self.right)} is taken")
        match kind:
            case "integer" | "number":
                return self._numbers(source, kind, target)
            case "string":
                return self._strings(source, target)
            case "array":
                return self._arrays(source, target, deep)
            case "object":
                return self._objects(source, target, deep)
            case _:
                return None

    def _numbers(self, source: list[Mapping[str, Any]], kind: str, target: Mapping[str, Any]) -> Gap | None:
        if "type" in target and kind == "number" and "number" not in types_of(target):
            return Gap((), "a fraction may come, and a whole number is taken")
        if kind == "integer":
            mine, theirs = _range(source), _range([target])
            inside = theirs[0] <= mine[0] and mine[1] <= theirs[1]
        else:
            inside = all(_bounded(source, word, target[word]) for word in BOUNDS - {"multipleOf"} if word in target)
        if not inside:
            return Gap((), f"{in_words(_merged(source, kind))} may come, and {in_words(target)} is taken")
        step = target.get("multipleOf")
        steps = [one["multipleOf"] for one in source if "multipleOf" in one]
        if step is not None and not any(_whole_times(one, step) for one in steps):
            return Gap((), f"only multiples of {step} are taken")
        return None

    def _strings(self, source: list[Mapping[str, Any]], target: Mapping[str, Any]) -> Gap | None:
        least = max([0, *(one["minLength"] for one in source if "minLength" in one)])
        most = min([inf, *(one["maxLength"] for one in source if "maxLength" in one)])
        if least < target.get("minLength", 0) or most > target.get("maxLength", inf):
            return Gap((), f"{in_words(_merged(source, 'string'))} may come, and {in_words(target)} is taken")
        for word in ("pattern", "format"):
            if word in target and all(one.get(word) != target[word] for one in source):
                return Gap((), f"the {word} {target[word]!r} is asked for, and not promised")
        return None

    def _arrays(self, source: list[Mapping[str, Any]], target: Mapping[str, Any], deep: int) -> Gap | None:
        least = max([0, *(one["minItems"] for one in source if "minItems" in one)])
        most = min([inf, *(one["maxItems"] for one in source if "maxItems" in one)])
        if least < target.get("minItems", 0) or most > target.get("maxItems", inf):
            return Gap((), f"{in_words(_merged(source, 'array'))} may come, and {in_words(target)} is taken")
        if target.get("uniqueItems") and not any(one.get("uniqueItems") for one in source) and most > 1:
            return Gap((), "no item may stand twice")
        first = max([len(target.get("prefixItems", ())), *(len(one.get("prefixItems", ())) for one in source)])
        for place in range(first + 1):
            if place >= most or (place == first and most <= first):
                break
            mine = tuple(_item(one, place) for one in source)
            gap = self.gap(mine, _item(target, place), deep + 1)
            if gap is not None:
                return gap.below(str(place) if place < first else "items")
        return None

    def _objects(self, source: list[Mapping[str, Any]], target: Mapping[str, Any], deep: int) -> Gap | None:
        needed = {name for one in source for name in one.get("required", ())}
        for name in target.get("required", ()):
            if name not in needed:
                return Gap((name,), "it may be missing")
        least = max([len(needed), *(one["minProperties"] for one in source if "minProperties" in one)])
        closed = [set(one.get("properties", {})) for one in source if one.get("additionalProperties") is False]
        most = min([inf, *(len(one) for one in closed), *(one.get("maxProperties", inf) for one in source)])
        if least < target.get("minProperties", 0) or most > target.get("maxProperties", inf):
            return Gap((), "the number of properties is bounded")
        names = dict.fromkeys(
            name for one in (*source, target) for name in (*one.get("properties", {}), *one.get("required", ()))
        )
        for name in names:
            gap = self.gap(tuple(_property(one, name) for one in source), _property(target, name), deep + 1)
            if gap is not None:
                return gap.below(name)
        rest = tuple(one.get("additionalProperties", True) for one in source)
        gap = self.gap(rest, target.get("additionalProperties", True), deep + 1)
        return None if gap is None else Gap(("*", *gap.path), f"for other properties: {gap.says}")


def _without(schema: Mapping[str, Any], *words: str) -> Mapping[str, Any]:
    return {word: value for word, value in schema.items() if word not in words}


def _names(schema: Mapping[str, Any], kind: str) -> bool:
    """Whether values of the type may be accepted, going by `type` alone."""
    named = types_of(schema)
    return kind in named or (kind == "integer" and "number" in named)


def _item(schema: Mapping[str, Any], place: int) -> Schema:
    first = schema.get("prefixItems", ())
    found: Schema = first[place] if place < len(first) else schema.get("items", True)
    return found


def _property(schema: Mapping[str, Any], name: str) -> Schema:
    known = schema.get("properties", {})
    found: Schema = known[name] if name in known else schema.get("additionalProperties", True)
    return found


def _whole_times(one: Any, step: Any) -> bool:
    return isinstance(one, int) and isinstance(step, int) and step > 0 and one % step == 0


def _range(source: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The least and the most whole number."""
    least, most = -inf, inf
    for one in source:
        if "minimum" in one:
            least = max(least, ceil(one["minimum"]))
        if "exclusiveMinimum" in one:
            least = max(least, floor(one["exclusiveMinimum"]) + 1)
        if "maximum" in one:
            most = min(most, floor(one["maximum"]))
        if "exclusiveMaximum" in one:
            most = min(most, ceil(one["exclusiveMaximum"]) - 1)
    return least, most


def _bounded(source: Sequence[Mapping[str, Any]], word: str, bound: float) -> bool:
    """Whether the left keeps this bound of a number."""
    low = word in ("minimum", "exclusiveMinimum")
    strict = word.startswith("exclusive")
    for one in source:
        for mine in ("minimum", "exclusiveMinimum") if low else ("maximum", "exclusiveMaximum"):
            if mine in one:
                inside = one[mine] > bound if low else one[mine] < bound
                if inside or (one[mine] == bound and (not strict or mine.startswith("exclusive"))):
                    return True
    return False


def _merged(source: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """For words only: the last of each keyword."""
    found: dict[str, Any] = {}
    for one in source:
        found |= {word: value for word, value in one.items() if word not in COMBINED}
    return {**found, "type": kind}


def _kind_words(source: Sequence[Mapping[str, Any]], kind: str) -> str:
    return in_words(_merged(source, kind))

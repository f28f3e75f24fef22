"""Guards: named pure functions over recorded facts, each with a sentence.

```python
@guard(says="the amount is at most {limit} euros")
def amount_at_most(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit * 100
```

`amount_at_most(100)` is then a `Guard` value for a row. A guard never calls a model, never reads a
clock, and sees sealed facts only as known or not. One that raises counts as not holding, and its
verdict says `error`.

`BUILT_IN` holds the plainest conditions, which need no code: `known("amount")`, `at_most("amount", "100.00")`.
A flow's own guard of the same name goes first, so that no flow changes its meaning.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, get_args

from ..contracts.errors import FlowError
from ..contracts.events import Verdict
from ..contracts.facts import Facts, FactType
from ..contracts.flow import Transition
from ..contracts.guard import Guard, GuardSpec

GuardFunction = Callable[..., bool]


@dataclass(frozen=True, slots=True)
class GuardMaker:
    """A declared guard: call it with its arguments to get the `Guard` for a row."""

    spec: GuardSpec
    function: GuardFunction
    parameters: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.spec.name

    def __call__(self, *arguments: bool | int | str) -> Guard:
        problem = self.problem_with(arguments)
        if problem:
            raise FlowError(problem, where=f"guard {self.name!r}", fix=f"Call it as {self.usage()}.")
        return Guard(name=self.name, arguments=arguments)

    def problem_with(self, arguments: Sequence[object]) -> str:
        """Why the arguments do not fit, or an empty string."""
        if len(arguments) != len(self.parameters):
            return f"Guard {self.name!r} takes {len(self.parameters)} arguments, not {len(arguments)}."
        for argument in arguments:
            if not isinstance(argument, bool | int | str):
                return f"Guard {self.name!r} was given a {type(argument).__name__}; only numbers, words and yes/no fit."
        return ""

    def usage(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})" if self.parameters else self.name

    def sentence(self, arguments: Sequence[object]) -> str:
        return self.spec.says.format(**dict(zip(self.parameters, arguments, strict=True)))


def guard(*, says: str, version: int = 1, sanitises: bool = False) -> Callable[[GuardFunction], GuardMaker]:
    """Declare a guard. `says` is a sentence in the present tense, with `{parameter}` for each argument.

    Raise `version` when the meaning changes: it is part of the flow's digest. `sanitises` says that where it holds,
    what a person or a model wrote was looked at and may reach a tool that changes something; the digest covers that.
    """

    def declare(function: GuardFunction) -> GuardMaker:
        name = function.__name__
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters:
            raise FlowError(f"Guard {name!r} takes no facts.", fix=f"Write it as `def {name}(facts: Facts, ...)`.")
        if any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in parameters):
            raise FlowError(f"Guard {name!r} takes *arguments.", fix="Name each argument.")
        names = tuple(one.name for one in parameters[1:])
        try:
            says.format(**dict.fromkeys(names, ""))
        except (KeyError, IndexError, ValueError) as error:
            raise FlowError(
                f"The sentence of guard {name!r} has a place that is no argument: {error}.",
                fix=f"Use only {{{'}, {'.join(names)}}}." if names else "Remove the braces.",
            ) from error
        return GuardMaker(GuardSpec(name=name, version=version, says=says, sanitises=sanitises), function, names)

    return declare


@dataclass(frozen=True, slots=True)
class BuiltIn(GuardMaker):
    """A guard that every flow has. Its first argument is a fact of one of the `types`, or what `of` says: a state
    and a number, or a number alone."""

    types: frozenset[FactType] = frozenset(get_args(FactType))
    of: Literal["fact", "state", "number"] = "fact"


def _built_in(
    says: str, *types: FactType, of: Literal["fact", "state", "number"] = "fact"
) -> Callable[[GuardFunction], BuiltIn]:
    def declare(function: GuardFunction) -> BuiltIn:
        made = guard(says=says)(function)
        return BuiltIn(made.spec, made.function, made.parameters, frozenset(types or get_args(FactType)), of)

    return declare


@_built_in("{fact} is known")
def known(facts: Facts, fact: str) -> bool:
    """Whatever it is. The only one that a sealed fact (text, code) can be asked."""
    return facts.known(fact)


@_built_in("{fact} is true", "yes_no")
def is_true(facts: Facts, fact: str) -> bool:
    """Known to be yes. `not_(is_true(...))` holds where it is no, and where it is unknown."""
    return facts.true(fact)


@_built_in("{fact} is {choice}", "choice")
def is_(facts: Facts, fact: str, choice: str) -> bool:
    """Known to be that one of its choices."""
    return facts.value(fact) == choice


@_built_in("{fact} is at most {most}", "integer", "money")
def at_most(facts: Facts, fact: str, most: int | str) -> bool:
    """Known, and no larger. Money is written with all decimals of its currency: `"100.00"`."""
    found = facts.integer(fact)
    return found is not None and found <= _minor_units(most)


@_built_in("{fact} is at least {least}", "integer", "money")
def at_least(facts: Facts, fact: str, least: int | str) -> bool:
    """Known, and no smaller; written as for `at_most`."""
    found = facts.integer(fact)
    return found is not None and found >= _minor_units(least)


@_built_in("{state} was entered at most {most} times in this turn", of="state")
def visits_at_most(facts: Facts, state: str, most: int) -> bool:
    """So far: the entry that the row itself would make does not count yet."""
    return facts.visits.get(state, 0) <= most


@_built_in("the customer has written at least {least} messages", of="number")
def messages_at_least(facts: Facts, least: int) -> bool:
    """In the whole conversation, the message in hand included."""
    return facts.messages >= least


@_built_in("the last route was less than {percent} % sure", of="number")
def confidence_below(facts: Facts, percent: int) -> bool:
    """By the score of the label that was taken, or of the best one; a rule and the person's own choice are sure."""
    return facts.confidence is not None and facts.confidence < percent * 10_000


def _minor_units(bound: int | str) -> int:
    """A number as it stands in a fact: `"100.00"` euros are 10,000 cents; a whole number is itself."""
    return int(bound.replace(".", "")) if isinstance(bound, str) else bound


BUILT_IN = MappingProxyType(
    {
        one.name: one
        for one in (known, is_true, is_, at_most, at_least, visits_at_most, messages_at_least, confidence_below)
    }
)


def all_of(*parts: Guard | GuardMaker) -> Guard:
    """Holds when every part holds. An empty one is an error."""
    return _combined("all_of", parts)


def any_of(*parts: Guard | GuardMaker) -> Guard:
    """Holds when some part holds. An empty one is an error."""
    return _combined("any_of", parts)


def not_(part: Guard | GuardMaker) -> Guard:
    """Holds when the part does not; a part that raises makes the whole fail, never hold."""
    return _combined("not", (part,))


def as_guard(part: Guard | GuardMaker) -> Guard:
    return part() if isinstance(part, GuardMaker) else part


def _combined(op: Any, parts: Sequence[Guard | GuardMaker]) -> Guard:
    if not parts:
        raise FlowError(f"{op}() combines nothing.", fix="Give it at least one guard.")
    return Guard(op=op, parts=tuple(as_guard(part) for part in parts))


class _Erred(Exception):
    """A guard function raised; the row does not hold."""


def _holds(guard: Guard, facts: Facts, functions: Mapping[str, GuardFunction]) -> bool:
    match guard.op:
        case "otherwise":
            return True
        case "in_digression":
            return facts.digression_depth > 0
        case "all_of":
            return all(_holds(part, facts, functions) for part in guard.parts)
        case "any_of":
            return any(_holds(part, facts, functions) for part in guard.parts)
        case "not":
            return not _holds(guard.parts[0], facts, functions)
        case "call":
            try:
                return functions[guard.name](facts, *guard.arguments) is True
            except Exception as error:  # a user's guard: whatever it raises, the row stays shut
                raise _Erred from error


def verdict_of(guard: Guard, facts: Facts, functions: Mapping[str, GuardFunction]) -> str:
    """`holds`, `fails` or `error`. Only a returned `True` holds."""
    try:
        return "holds" if _holds(guard, facts, functions) else "fails"
    except _Erred:
        return "error"


def tried(
    rows: Sequence[tuple[int, Transition]], facts: Facts, functions: Mapping[str, GuardFunction]
) -> tuple[tuple[int, Transition] | None, tuple[Verdict, ...]]:
    """The first row whose guard holds, and every row's verdict; later ones are `not_reached`."""
    taken: tuple[int, Transition] | None = None
    verdicts: list[Verdict] = []
    for index, row in rows:
        result: Any = "not_reached" if taken else verdict_of(row.guard, facts, functions)
        verdicts.append(_said_of(index, str(row.guard), result))
        if result == "holds":
            taken = (index, row)
    return taken, tuple(verdicts)


@lru_cache(maxsize=4096)
def _said_of(row: int, guard: str, result: Any) -> Verdict:
    """The same verdicts come at every turn of every conversation: each is validated once."""
    return Verdict(row=row, guard=guard, result=result)

"""A flow's behaviour as a good run recorded it: what later versions of the flow and its code are compared with.

The file holds the flow itself, what its guards said of the facts that they read, and a path suite with everything that
happened on each path. It is JSON, made to be kept beside the flow and looked at in a review.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

from ..contracts.errors import FlowError, SetupError
from ..contracts.facts import Facts
from ..contracts.flow import Flow
from ..contracts.guard import Guard
from ..fsm.code import Code
from ..fsm.guards import BUILT_IN, GuardFunction, GuardMaker
from ..fsm.program import Program, compiled
from ..service.acts import Act, act_of, data_of
from .behaviour import behaviour
from .outside import Outside
from .paths import Suite
from .talk import Talk
from .values import fact_values, guards_of, holds, known_facts, reads_of

FORMAT = "interlock-baseline/1"
_MOST_FILLINGS = 200
_DID = {True: "held", False: "did not hold", None: "raised an error"}
_DOES = {True: "holds", False: "does not hold", None: "raises an error"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard said of some facts; None for an error."""

    guard: Guard
    facts: Mapping[str, Any]
    said: bool | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A conversation and what it did: before its first act, then after each."""

    acts: tuple[Act, ...]
    does: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Baseline:
    flow: Flow
    verdicts: tuple[Verdict, ...] = ()
    paths: tuple[Recorded, ...] = ()
    _programs: list[Program] = field(default_factory=list)

    def program(self, code: Code) -> Program | None:
        """The flow as it was, on today's code, whose guards say what they said then. None where the code has changed
        so much (a child flow, a tool's arguments) that it cannot run any more."""
        guards = {name: self._guard(name, one) for name, one in code.guards.items()}
        specs = {one.name: one for one in self.flow.guards}
        for name, spec in specs.items():
            if name in guards and guards[name].spec != spec:
                guards[name] = replace(guards[name], spec=spec)
        tools = {one.name: replace(code.tools[one.name], spec=one) for one in self.flow.tools if one.name in code.tools}
        try:
            return compiled(self.flow, replace(code, guards=guards, tools={**code.tools, **tools}))
        except (FlowError, KeyError):
            return None

    def _guard(self, name: str, today: GuardMaker) -> GuardMaker:
        table = [one for one in self.verdicts if one.guard.name == name]
        function = today.function

        def then(facts: Facts, *arguments: Any) -> bool:
            for one in table:
                if one.guard.arguments == arguments and all(
                    facts.value(fact) == value for fact, value in one.facts.items()
                ):
                    if one.said is None:
                        raise ValueError(name)
                    return one.said
            return function(facts, *arguments)

        return replace(today, function=then)

    def other_guards(self, program: Program) -> list[tuple[Verdict, str]]:
        """The guards that say something else today of facts that were recorded: what was said, and that in words."""
        found: dict[str, tuple[Verdict, str]] = {}
        for one in self.verdicts:
            function: GuardFunction | None = program.functions.get(one.guard.name)
            if function is None:
                found.setdefault(str(one.guard), (one, f"the guard {one.guard} is gone"))
                continue
            now = holds(function, one.guard, Facts(known_facts(program.flow, one.facts)))
            if now is not one.said:
                with_ = ", ".join(
                    f"{name} {'unknown' if value is None else value}" for name, value in one.facts.items()
                )
                words = f"of {with_ or 'nothing known'} the guard {one.guard} {_DID[one.said]}; today it {_DOES[now]}"
                found.setdefault(str(one.guard), (one, words))
        return list(found.values())


def recorded_by(suite: Suite) -> Baseline:
    """The behaviour of the suite's flow today."""
    program = suite.program
    paths = []
    for path in suite.paths:
        talk = Talk(program, Outside())
        try:
            paths.append(Recorded(path.acts, tuple(behaviour(talk, path.acts))))
        finally:
            talk.close()
    return Baseline(program.flow, tuple(_verdicts(program)), tuple(paths))


def _verdicts(program: Program) -> Iterator[Verdict]:
    values = fact_values(program)
    for guard in guards_of(program.flow):
        if guard.name in BUILT_IN and guard.name not in program.code.guards:
            continue
        names = reads_of(program, guard)
        for filling in islice(product(*((*values[name], None) for name in names)), _MOST_FILLINGS):
            facts = dict(zip(names, filling, strict=True))
            known = Facts(known_facts(program.flow, facts))
            shown = {name: None if program.facts[name].sealed else value for name, value in facts.items()}
            yield Verdict(guard, shown, holds(program.functions[guard.name], guard, known))


def written(baseline: Baseline) -> str:
    """The baseline as the text of its file."""
    document = {
        "format": FORMAT,
        "flow": baseline.flow.written(),
        "guards": [
            {"guard": one.guard.model_dump(mode="json"), "facts": dict(one.facts), "said": one.said}
            for one in baseline.verdicts
        ],
        "paths": [
            {"acts": [data_of(act) for act in one.acts], "does": [list(step) for step in one.does]}
            for one in baseline.paths
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def read(path: Path) -> Baseline:
    """The baseline in a file. Raises `SetupError` for what is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise SetupError(
                f"This is no baseline of a flow: its format is {document.get('format')!r}, not {FORMAT!r}.",
                where=str(path),
                fix="Write it again with `pytest --flow FLOW --flow-write-baseline FILE`.",
            )
        return Baseline(
            Flow.model_validate_json(json.dumps(document["flow"])),
            tuple(
                Verdict(Guard.model_validate_json(json.dumps(one["guard"])), one["facts"], one["said"])
                for one in document["guards"]
            ),
            tuple(
                Recorded(tuple(act_of(act) for act in one["acts"]), tuple(tuple(step) for step in one["does"]))
                for one in document["paths"]
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(
            f"The baseline cannot be read: {type(error).__name__}.",
            where=str(path),
            fix="Write it with `pytest --flow FLOW --flow-write-baseline FILE`, from a run that you trust.",
        ) from error

"""Contracts along every row: what is needed is given on every path, and has a type that fits what takes it."""

from collections.abc import Iterator, Mapping
from typing import Any

from ...contracts.flow import CACHED, AgentState, BroadcastState, CallState, FactSpec, State, SubflowState
from ...contracts.values import printable
from ..program import Program
from .findings import Finding, Step, happened, line_of
from .giving import argument_schema, field_of, known_schema, result_schema, returned_schema, taken
from .known import RESULT, Paths, Taken, TooMuch, asked_in_guards, reads_of
from .schema_words import in_words
from .subsumes import Fit, fit

Lines = Mapping[str, int]


def given_in_time(program: Program, lines: Lines) -> Iterator[Finding]:
    """Facts and results that somebody needs, on every path to where they are needed."""
    try:
        yield from tuple(_given_in_time(program, lines))
    except TooMuch:
        yield Finding("P321", "unknown", "Too many ways lead to where facts are needed.")


def _given_in_time(program: Program, lines: Lines) -> Iterator[Finding]:
    paths, trusting = Paths(program), Paths(program, trusting=True)
    late: dict[tuple[str, str], list[str]] = {}
    ways: dict[tuple[str, str], list[Taken]] = {}
    for state, fact, reader, needed in dict.fromkeys(reads_of(program)):
        if not (path := paths.missing_at(fact, state)):
            continue
        where = f"states.{state}.reads"
        if needed:
            if sure := trusting.missing_at(fact, state):
                says = f"{fact!r} may be missing in {state!r}, and {reader} does not work without it."
                fix = f"Collect it on this way, ask `known({fact})` in a row before it, or give the argument a default."
                steps = steps_of_taken(paths, sure, lines)
                yield Finding("P321", "refuted", says, steps, line_of(lines, where), where, fix)
            else:
                source = next(one.ending for one, _ in path if fact in paths.given(*_source(paths, path, one)).untold)
                says = f"Whether {fact!r} is known in {state!r} cannot be told: {source.on!r} before it does not say."
                yield Finding("P321", "unknown", says, (), line_of(lines, where), where, _TELL)
        else:
            late.setdefault((state, reader), []).append(fact)
            ways.setdefault((state, reader), path)
    for (state, reader), facts in late.items():
        where = f"states.{state}"
        way = " > ".join([*_states(paths, ways[state, reader])])
        named = ", ".join(fact if fact.startswith(RESULT) else repr(fact) for fact in facts)
        says = f"In {state!r} {reader} may have to do without {named}: {way}."
        yield Finding("P321", "noted", says, (), line_of(lines, where), where, "Collect it before, or leave it so.")
    yield from _given_by_nobody(program, paths, lines)


_TELL = "Annotate what the tool returns with a model or a TypedDict, or ask `known` in a row before it."


def _source(paths: Paths, path: list[Taken], move: Any) -> tuple[str, Any]:
    states = _states(paths, path)
    return states[[one for one, _ in path].index(move)], move.ending


def _states(paths: Paths, path: list[Taken]) -> list[str]:
    """The states of a way, the first included; one that is stayed in, once."""
    return [paths.program.flow.initial, *(paths.model.locations[there[0]].state for _, there in path)]


def steps_of_taken(paths: Paths, path: list[Taken], lines: Lines) -> tuple[Step, ...]:
    states = _states(paths, path)
    return tuple(
        Step(
            number + 1,
            states[number],
            happened(move, paths.program.states[states[number]].kind),
            states[number + 1],
            move.row,
            0 if move.row is None else line_of(lines, f"transitions.{move.row}"),
            limit=move.limit,
            on=move.on,
            given=move.given,
        )
        for number, (move, _) in enumerate(path)
    )


def _given_by_nobody(program: Program, paths: Paths, lines: Lines) -> Iterator[Finding]:
    """Facts that some guard or reader asks, and nothing in the flow gives."""
    given = {
        name
        for index, here in enumerate(paths.every_location)
        for move in paths.model.moves_of(index)
        for name in paths.given(here.state, move.ending).maybe
    }
    told: set[str] = set()
    for row, fact in asked_in_guards(program):
        if fact not in given and fact not in told:
            told.add(fact)
            where = f"transitions.{row}"
            says = f"Nothing in the flow gives {fact!r}, which a guard asks: only who starts a conversation could."
            fix = "Collect it, let a contract or a tool give it, or see that it is given at the start."
            yield Finding("P321", "noted", says, (), line_of(lines, where), where, fix)


def contracts_fit(program: Program, lines: Lines) -> Iterator[Finding]:
    """Types: of an answer and the facts that it gives, of facts and the arguments they become, of a child's facts."""
    told: set[tuple[str, str]] = set()
    for state in program.flow.states:
        where = f"states.{state.name}"
        for source, schema in _sources(program, state):
            for name, spec in program.facts.items():
                part, _ = field_of(schema, name)
                if part is not None and (source, name) not in told:
                    told.add((source, name))
                    yield from _as_fact(source, spec, taken(spec, part), lines, where)
        if isinstance(state, CallState):
            yield from _as_arguments(program, state, lines)
        elif isinstance(state, SubflowState):
            yield from _of_a_child(program, state, lines)


def _sources(program: Program, state: State) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the state's agents and tools give, each with its schema."""
    agents: tuple[str, ...] = ()
    if isinstance(state, AgentState):
        agents = () if state.judges is not None else (state.agent, *(one for one in state.fallbacks if one != CACHED))
        yield from ((f"The tool {one!r}", returned_schema(program.code.tools[one])) for one in state.tools)
    elif isinstance(state, BroadcastState):
        agents = (*(one.agent for one in state.members), *state.workers)
    elif isinstance(state, CallState):
        yield f"The tool {state.tool!r}", returned_schema(program.code.tools[state.tool])
    for agent in dict.fromkeys(agents):
        contract = program.code.contracts.get(program.agents[agent].contract or "")
        schema = None if contract is None else result_schema(contract)
        if schema is not None and contract is not None:
            yield f"The contract {contract.__name__!r} of {agent!r}", schema


def _as_fact(source: str, spec: FactSpec, found: Fit, lines: Lines, where: str) -> Iterator[Finding]:
    if found.verdict == "fits":
        return
    place, line = f"facts.{spec.name}", line_of(lines, f"facts.{spec.name}") or line_of(lines, where)
    takes = in_words(known_schema(spec))
    if found.verdict == "unknown":
        says = f"{source} gives {spec.name!r}, and whether it fits the fact, {takes}, {found.says}."
        if spec.type == "money":
            says = (
                f"{source} gives {spec.name!r} in text or with a point: whether the amount is {takes}, it does not say."
            )
        yield Finding("P322", "unknown", says, (), line, place, _SAME)
        return
    says = f"{source} may give {spec.name!r} as {_shown(found.witness)}; the fact takes {takes}, so that is left out."
    yield Finding("P322", "noted", says, (), line, place, _SAME)


_SAME = "Give both the same type and bounds."


def _shown(witness: Any) -> str:
    return printable(repr(witness), 60)


def _as_arguments(program: Program, state: CallState, lines: Lines) -> Iterator[Finding]:
    schema = argument_schema(program.code.tools[state.tool])
    where = f"states.{state.name}.reads"
    for name in state.reads:
        part, _ = (None, False) if schema is None else field_of(schema, name)
        if part is None or name not in program.facts:
            continue
        gives_ = known_schema(program.facts[name])
        found = fit(gives_, part)
        if found.verdict == "fits":
            continue
        says = (
            f"{state.name!r} gives the fact {name!r}, {in_words(gives_)}, to the tool {state.tool!r}, which takes "
            f"{in_words(part, part if isinstance(part, Mapping) else None)}"
        )
        if found.verdict == "does not fit":
            says += f": {_shown(found.witness)} would be refused."
            yield Finding("P322", "refuted", says, (), line_of(lines, where), where, _SAME)
        else:
            yield Finding("P322", "unknown", f"{says}; {found.says}.", (), line_of(lines, where), where, _SAME)


def _of_a_child(program: Program, state: SubflowState, lines: Lines) -> Iterator[Finding]:
    child = program.children[state.flow]
    for key, names, here_gives in (("reads", state.reads, True), ("returns", state.returns, False)):
        for name in names:
            if name not in program.facts or name not in child.facts:
                continue
            ours, theirs = known_schema(program.facts[name]), known_schema(child.facts[name])
            given, takes = (ours, theirs) if here_gives else (theirs, ours)
            found = fit(given, takes)
            if found.verdict == "does not fit":
                below = f"the flow {state.flow!r}"
                giver, taker = ("this flow", below) if here_gives else (below, "this flow")
                where = f"states.{state.name}.{key}"
                says = f"{name!r} may be {_shown(found.witness)} in {giver}; in {taker} it is {in_words(takes)}."
                yield Finding("P322", "refuted", says, (), line_of(lines, where), where, _SAME)

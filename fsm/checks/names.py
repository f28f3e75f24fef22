"""Names: each declared once, none reserved, and every one that is used declared."""

import difflib
import re
from collections.abc import Iterable, Iterator
from string import Formatter
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ...contracts.errors import Fault
from ...contracts.flow import ANY, CACHED, NEXT_ISSUE, OPERATOR_INPUTS, RESERVED, RETURN, CallState, State
from ...contracts.guard import Guard
from ...contracts.tools import Tool
from ...contracts.values import listed
from ..guards import BUILT_IN, BuiltIn, GuardMaker
from ..render import minor_digits
from ..source import CONTROL
from .survey import LIMIT, POLICY, Survey, shown_row

_OWN_OUTCOMES = {"wait": ("message", "expired"), "human": ("expired",)}
_ROUTER_OUTCOMES = ("unsure", "blocked")


def suggestion(word: str, names: Iterable[str]) -> str:
    """The name that was probably meant, or those that there are."""
    allowed = list(names)
    close = difflib.get_close_matches(word, allowed, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Declared are: {listed(allowed)}."


def duplicates(survey: Survey) -> Iterator[Fault]:
    flow = survey.flow
    for section, found in (
        ("states", flow.states),
        ("facts", flow.facts),
        ("agents", flow.agents),
        ("routers", flow.routers),
    ):
        seen: set[str] = set()
        for one in found:
            if one.name in seen:
                where = f"{section}.{one.name}"
                yield survey.fault("S101", where, f"Two {section} are called {one.name!r}.", "Rename one of them.")
            seen.add(one.name)


def reserved(survey: Survey) -> Iterator[Fault]:
    for state in survey.flow.states:
        if state.name in RESERVED:
            yield survey.fault(
                "S102",
                f"states.{state.name}",
                f"No state may be called {state.name!r}: the word has a meaning in rows.",
                "Rename the state.",
            )
        yield from _outcome_names(survey, state)
    held = (POLICY,) if survey.flow.policies else ()
    for router in survey.flow.routers:
        for label in router.labels:
            if label in (*_ROUTER_OUTCOMES, LIMIT, *held, *OPERATOR_INPUTS):
                yield survey.fault(
                    "S103",
                    f"routers.{router.name}.labels.{label}",
                    f"No label may be called {label!r}: it already is a trigger of its own.",
                    "Rename the label.",
                )


def _outcome_names(survey: Survey, state: State) -> Iterator[Fault]:
    key, names = "", tuple[str, ...]()
    if state.kind == "wait":
        key, names = "inputs", state.inputs
    elif state.kind == "human":
        key, names = "decisions", state.decisions
    taken = (*_OWN_OUTCOMES.get(state.kind, ()), LIMIT, *OPERATOR_INPUTS)
    if survey.flow.policies:
        taken = (*taken, POLICY)
    if state.kind == "wait" and state.next_issue:
        taken = (*taken, NEXT_ISSUE)
    for index, name in enumerate(names):
        if name in taken or name in names[:index]:
            yield survey.fault(
                "S103",
                f"states.{state.name}.{key}",
                f"{name!r} stands in {key} of {state.name!r}, but already is a trigger there.",
                "Rename or delete it.",
            )


def owned(survey: Survey) -> Iterator[Fault]:
    if not survey.flow.owner.strip():
        yield survey.fault("S104", "owner", "The flow has no owner.", "Write who answers for it under `owner`.")
    for index, row in survey.rows:
        if not row.policy.strip():
            yield survey.fault(
                "S136",
                f"transitions.{index}.policy",
                f"The row {shown_row(row)} names no policy clause.",
                "Write the clause that permits it in the last column.",
            )


def writable(survey: Survey) -> Iterator[Fault]:
    """Texts that could not be written to a file and read back."""
    for path, text in _texts(survey.flow.model_dump(mode="python", exclude={"guards", "tools", "subflows"}), ""):
        strange = CONTROL.search(text)
        if strange:
            yield survey.fault(
                "S105",
                path,
                f"A text holds the character U+{ord(strange[0]):04X}, which no flow file may hold.",
                "Delete the character.",
            )


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            name = part["name"] if isinstance(part, dict) and "name" in part and "." not in path else index
            yield from _texts(part, f"{path}.{name}")


def states_known(survey: Survey) -> Iterator[Fault]:
    names = [*survey.states]
    if not survey.knows_state(survey.flow.initial):
        initial = survey.flow.initial
        yield survey.fault(
            "S110", "initial", f"The initial state {initial!r} is not declared.", suggestion(initial, names)
        )
    for index, row in survey.rows:
        if row.source != ANY and not survey.knows_state(row.source):
            yield survey.fault(
                "S111",
                f"transitions.{index}.from",
                f"The row {shown_row(row)} leaves {row.source!r}, which is no state.",
                suggestion(row.source, [*names, ANY]),
            )
        if not survey.knows_state(row.target) and not (row.target == RETURN and not row.push):
            yield survey.fault(
                "S112",
                f"transitions.{index}.go to",
                f"The row {shown_row(row)} goes to {row.target!r}, which is no state.",
                suggestion(row.target, [*names, *(() if row.push else (RETURN,))]),
            )


def guards_known(survey: Survey) -> Iterator[Fault]:
    for index, row in survey.rows:
        where = f"transitions.{index}.only if"
        for call in _calls(row.guard):
            if call.op == "otherwise":
                yield survey.fault(
                    "S133",
                    where,
                    f"'otherwise' stands inside the guard of {shown_row(row)}.",
                    "It may only stand alone, in the last row.",
                )
            if call.op == "call":
                yield from _call_fits(survey, call, where)
    for spec in survey.flow.guards:
        maker = survey.code.every_guard.get(spec.name) if survey.code else None
        places = tuple(dict.fromkeys(place for _, place, _, _ in Formatter().parse(spec.says) if place is not None))
        if maker and places != maker.parameters:
            yield survey.fault(
                "S126",
                "transitions",
                f"The sentence of guard {spec.name!r} says {listed(places)}; its arguments are "
                f"{listed(maker.parameters)}.",
                "Give each argument its place in the sentence, in their order.",
            )


def _call_fits(survey: Survey, call: Guard, where: str) -> Iterator[Fault]:
    """The guard is declared or built in, and gets what it takes."""
    maker = _maker_of(survey, call.name)
    if maker is None and survey.code is not None:
        what = f"The guard {call.name!r} is not declared in the flow's code."
        yield survey.fault("S113", where, what, suggestion(call.name, survey.code.every_guard))
    elif maker is not None and (problem := maker.problem_with(call.arguments)):
        yield survey.fault("S114", where, problem, f"Write it as {maker.usage()}.")
    elif isinstance(maker, BuiltIn) and maker.of == "fact":
        yield from _built_in_fits(survey, maker, call, where)
    elif isinstance(maker, BuiltIn):
        yield from _counter_fits(survey, maker, call, where)


def _maker_of(survey: Survey, name: str) -> GuardMaker | None:
    """The declaration that a call means; without the code only a built-in one is known, where the flow has no other."""
    if survey.code is not None:
        return survey.code.every_guard.get(name)
    found, own = BUILT_IN.get(name), {spec.name: spec for spec in survey.flow.guards}
    return found if found is not None and own.get(name, found.spec) == found.spec else None


def _built_in_fits(survey: Survey, maker: BuiltIn, call: Guard, where: str) -> Iterator[Fault]:
    """Its fact is declared and of a type that it reads, and could have the value that it is compared with."""
    name, value = str(call.arguments[0]), call.arguments[-1]
    fact = survey.facts.get(name)
    if fact is None:
        yield from _unknown(survey, "S119", where, "fact", (name,), survey.facts)
        return
    what, fix = "", ""
    if fact.type not in maker.types:
        what = f"Guard {maker.name!r} reads {listed(sorted(maker.types))}; the fact {name!r} is {fact.type!r}."
        fix = f"Ask {_readable_by(fact.type)} of it."
    elif maker.name == "is_" and value not in fact.choices:
        what = f"The fact {name!r} is never {value!r}."
        fix = suggestion(str(value), fact.choices)
    elif fact.type == "integer" and len(call.arguments) > 1 and (isinstance(value, bool) or not isinstance(value, int)):
        what = f"The fact {name!r} is a whole number; it cannot be compared with {value!r}."
        fix = f"Write {maker.name}({name}, 3)."
    elif fact.type == "money" and len(call.arguments) > 1 and not _is_amount(value, survey.flow.currency):
        what = f"The fact {name!r} is an amount of {survey.flow.currency}; {value!r} is none."
        example = f"{'100.' + '0' * minor_digits(survey.flow.currency)}".rstrip(".")
        fix = f"Write it with its decimals, in quotes: {maker.name}({name}, '{example}')."
    if what:
        yield survey.fault("S114", where, what, fix)


def _counter_fits(survey: Survey, maker: BuiltIn, call: Guard, where: str) -> Iterator[Fault]:
    """A guard that counts gets a declared state, if it takes one, and a number that a count can have."""
    state, bound = call.arguments[0], call.arguments[-1]
    least = 1 if maker.of == "number" else 0
    if maker.of == "state" and not (isinstance(state, str) and survey.knows_state(state)):
        what = f"Guard {maker.name!r} counts the visits of a state; {state!r} is none."
        yield survey.fault("S114", where, what, suggestion(str(state), survey.states))
    if isinstance(bound, bool) or not isinstance(bound, int) or bound < least:
        what = f"Guard {maker.name!r} counts; {bound!r} is no number that it could compare with."
        yield survey.fault("S114", where, what, f"Write a whole number of {least} or more.")


def _readable_by(kind: str) -> str:
    return listed(one.name for one in BUILT_IN.values() if one.of == "fact" and kind in one.types)


def _is_amount(value: object, currency: str) -> bool:
    """Digits with exactly the decimals of the currency, in quotes, so that nobody takes cents for euros."""
    digits = minor_digits(currency)
    return isinstance(value, str) and bool(
        re.fullmatch(rf"-?[0-9]{{1,12}}{rf'[.][0-9]{{{digits}}}' * bool(digits)}", value)
    )


def _calls(guard: Guard, inside: bool = False) -> Iterator[Guard]:
    if guard.op == "call" or (guard.op == "otherwise" and inside):
        yield guard
    for part in guard.parts:
        yield from _calls(part, inside=True)


def references(survey: Survey) -> Iterator[Fault]:
    """Agents, routers, facts and tools that states name."""
    flow = survey.flow
    agents = {agent.name for agent in flow.agents}
    for fact in flow.facts:
        yield from _unknown(survey, "S119", f"facts.{fact.name}.depends_on", "fact", fact.depends_on, survey.facts)
    for state in flow.states:
        path = f"states.{state.name}"
        if state.kind == "wait":
            yield from _unknown(survey, "S119", f"{path}.forgets", "fact", state.forgets, survey.facts)
        if state.kind == "agent":
            yield from _unknown(survey, "S115", f"{path}.agent", "agent", (state.agent,), agents)
            yield from _unknown(survey, "S115", f"{path}.agents", "agent", state.agents, agents)
            others = (name for name in state.fallbacks if name != CACHED)
            yield from _unknown(survey, "S115", f"{path}.fallbacks", "agent", others, agents)
            yield from _unknown_tools(survey, f"{path}.tools", state.tools)
            yield from _unknown(survey, "S119", f"{path}.reads", "fact", state.reads, survey.facts)
        elif state.kind == "broadcast":
            named = (*(one.agent for one in state.members), *state.workers)
            read = (*(name for one in state.members for name in one.reads), *state.reads)
            yield from _unknown(survey, "S115", f"{path}.members", "agent", named, agents)
            yield from _unknown(survey, "S119", f"{path}.reads", "fact", read, survey.facts)
        elif state.kind == "call":
            yield from _unknown_tools(survey, f"{path}.tool", (state.tool,))
            yield from _unknown(survey, "S119", f"{path}.reads", "fact", state.reads, survey.facts)
        elif state.kind == "route":
            yield from _unknown(survey, "S118", f"{path}.router", "router", (state.router,), survey.routers)
        elif state.kind == "collect":
            yield from _unknown(survey, "S119", f"{path}.facts", "fact", state.facts, survey.facts)
            yield from _unknown(survey, "S119", f"{path}.optional", "fact", state.optional, survey.facts)
        elif state.kind == "human":
            yield from _unknown(survey, "S119", f"{path}.shows", "fact", state.shows, survey.facts)
        elif state.kind == "subflow":
            yield from _unknown(survey, "S119", f"{path}.reads", "fact", state.reads, survey.facts)
            yield from _unknown(survey, "S119", f"{path}.returns", "fact", state.returns, survey.facts)
    for agent in flow.agents:
        yield from _unknown(survey, "S119", f"agents.{agent.name}.reads", "fact", agent.reads, survey.facts)
        yield from _unknown(survey, "S115", f"agents.{agent.name}.consults", "agent", agent.consults, agents)
    for agent in flow.agents:
        if agent.summariser is not None:
            yield from _unknown(survey, "S115", f"agents.{agent.name}.summariser", "agent", (agent.summariser,), agents)
        if agent.scope is not None:
            yield from _unknown(survey, "S118", f"agents.{agent.name}.scope", "router", (agent.scope,), survey.routers)
    for router in flow.routers:
        if router.agent is not None:
            yield from _unknown(survey, "S115", f"routers.{router.name}.agent", "agent", (router.agent,), agents)
    if flow.digressions is not None:
        yield from _unknown(survey, "S118", "digressions", "router", (flow.digressions,), survey.routers)


def in_code(survey: Survey) -> Iterator[Fault]:
    """Contracts and classifiers that must be in the flow's code, and what a tool needs to be called."""
    code = survey.code
    if code is None:
        return
    for agent in survey.flow.agents:
        if agent.contract is not None:
            yield from _unknown(
                survey, "S117", f"agents.{agent.name}.contract", "contract", (agent.contract,), code.contracts
            )
    for state in survey.flow.states:
        if state.kind == "call" and state.tool in code.tools:
            needed = [
                name
                for name, one in code.tools[state.tool].arguments.model_fields.items()
                if one.is_required() and name not in (*state.reads, *state.gives)
            ]
            if needed:
                yield survey.fault(
                    "S122",
                    f"states.{state.name}.reads",
                    f"{state.name!r} calls {state.tool!r} without {listed(needed)}, which the tool needs.",
                    "Name these facts under `reads`, or write their values under `gives`.",
                )
            yield from _given(survey, state, code.tools[state.tool])


def _given(survey: Survey, state: CallState, tool: Tool) -> Iterator[Fault]:
    takes = tool.arguments.model_fields
    for name, value in state.gives.items():
        wrong, fix = "", "Delete it."
        if name not in takes:
            wrong, fix = "takes no such argument", suggestion(name, takes)
        elif name in state.reads:
            wrong, fix = "gets it from the fact of that name too", "Write it under `gives` or under `reads`."
        elif not _fits(takes[name], value):
            wrong, fix = f"does not take {value!r}", "Write a value of the argument's type."
        if wrong:
            what = f"{state.name!r} gives {name!r}, and {state.tool!r} {wrong}."
            yield survey.fault("S123", f"states.{state.name}.gives", what, fix)


def _fits(field: FieldInfo, value: object) -> bool:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type, unused-ignore]
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def _unknown_tools(survey: Survey, where: str, names: Iterable[str]) -> Iterator[Fault]:
    known = survey.code.tools if survey.code is not None else {tool.name for tool in survey.flow.tools}
    yield from _unknown(survey, "S116", where, "tool", names, known)


def _unknown(
    survey: Survey, code: str, where: str, kind: str, names: Iterable[str], known: Iterable[str]
) -> Iterator[Fault]:
    declared = set(known)
    for name in names:
        if name not in declared and name not in survey.unread:
            what = f"The {kind} {name!r} is not declared."
            yield survey.fault(code, where, what, suggestion(name, sorted(declared)))


NAMES = (duplicates, reserved, owned, writable, states_known, guards_known, references, in_code)

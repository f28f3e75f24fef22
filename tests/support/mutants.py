"""Flows broken in each named way, one place at a time, and the codes under which that must be reported."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import ANY, AgentState, CallState, CollectState, Flow, Transition
from interlock.contracts.guard import GuardSpec
from interlock.contracts.limits import Limits
from interlock.fsm.check import faults_in
from interlock.fsm.checks.contents import MOST_STEPS
from interlock.fsm.guards import BUILT_IN, any_of, not_
from interlock.fsm.load import read_flow
from interlock.fsm.outcomes import outcomes_of
from interlock.fsm.program import compiled
from interlock.fsm.prove.proof import proved
from interlock.service.project import Project

NO_LIMIT = 10**9
LATER, KNOWN = BUILT_IN["messages_at_least"], BUILT_IN["known"]
LAX = dict.fromkeys(("handoffs", "same_pair", "agent_calls", "tool_calls", "self_handoffs"), NO_LIMIT) | {
    "steps": MOST_STEPS
}


@dataclass(frozen=True)
class Mutant:
    """A flow (or its text) broken in one place."""

    way: str
    place: str
    flow: Flow | None = None
    text: str = ""


EXPECTED = {
    "an outcome removed": {"S130", "S141"},
    "a fallback removed": {"S131"},
    "rows reversed": {"S132"},
    "a deadline removed": {"R202"},
    "the limits removed": {"P305"},
    "a back edge added": {"P305"},
    "a confirmation removed": {"P309"},
    "an approval removed": {"S135", "P309"},
    "a guard widened": {"P302", "P301", "S146"},
}
"""By the way of breaking: any of these codes must be reported."""


def mutants(project: Project) -> Iterator[Mutant]:
    """Every one."""
    flow = project.program.flow
    yield from _outcomes(flow)
    yield from _groups(flow)
    yield from _deadlines(project)
    yield from _loops(project)
    yield from _consent(flow)


def _without(flow: Flow, gone: list[Transition]) -> Flow:
    return flow.changed(transitions=tuple(one for one in flow.transitions if one not in gone))


def _by_group(flow: Flow) -> dict[tuple[str, str], list[Transition]]:
    groups: dict[tuple[str, str], list[Transition]] = {}
    for row in flow.transitions:
        groups.setdefault((row.source, row.on), []).append(row)
    return groups


def _outcomes(flow: Flow) -> Iterator[Mutant]:
    """All rows of an outcome that has no others."""
    groups = _by_group(flow)
    needed = {(one.name, on) for one in flow.states for on in outcomes_of(flow, one)}
    for (source, on), rows in groups.items():
        alone = (source, on) in needed and (ANY, on) not in groups
        wide = source == ANY and any(on == outcome and (state, on) not in groups for state, outcome in needed)
        if alone or wide:
            yield Mutant("an outcome removed", f"{source} on {on}", _without(flow, rows))


def _groups(flow: Flow) -> Iterator[Mutant]:
    """The last row, the order, the first condition."""
    for (source, on), rows in _by_group(flow).items():
        place = f"{source} on {on}"
        if len(rows) < 2 or rows[-1].guard.op != "otherwise":
            continue
        yield Mutant("a fallback removed", place, _without(flow, rows[-1:]))
        turned = {id(old): new for old, new in zip(rows, reversed(rows), strict=True)}
        again = tuple(turned.get(id(one), one) for one in flow.transitions)
        yield Mutant("rows reversed", place, flow.changed(transitions=again))
        if len(rows) > 2 and flow.facts:
            is_known = KNOWN(flow.facts[0].name)
            always = rows[0].changed(guard=any_of(is_known, not_(is_known)))
            wider = tuple(always if one is rows[0] else one for one in flow.transitions)
            yield Mutant("a guard widened", place, flow.changed(transitions=wider, guards=_and_built_in(flow)))


def _and_built_in(flow: Flow) -> tuple[GuardSpec, ...]:
    """The flow's guards, and those that are used here."""
    return tuple({one.name: one for one in (*flow.guards, LATER.spec, KNOWN.spec)}.values())


def _deadlines(project: Project) -> Iterator[Mutant]:
    """Every `deadline:` of a state, in the file."""
    text = Path(project.file).read_text("utf-8")
    for found in re.finditer(r", deadline: [0-9]+[smhd]", text):
        line = text.count("\n", 0, found.start()) + 1
        yield Mutant("a deadline removed", f"line {line}", text=text[: found.start()] + text[found.end() :])


def _loops(project: Project) -> Iterator[Mutant]:
    """Limits that bound nothing, where something goes round; and an agent whose rows lead back to it."""
    flow = project.program.flow
    lax = flow.changed(limits=flow.limits.changed(**_of_limits(LAX)))
    loops = [one for one in proved(project.program).findings if one.code == "P305" and "is ended by" in one.says]
    if loops:
        yield Mutant("the limits removed", "limits", lax)
    for state in flow.states:
        last = [place for place, one in enumerate(lax.transitions) if (one.source, one.on) == (state.name, "done")]
        if isinstance(state, AgentState) and last:
            back = lax.transitions[last[0]].changed(guard=LATER(2), target=state.name, push=False)
            rows = (*lax.transitions[: last[0]], back, *lax.transitions[last[0] :])
            yield Mutant("a back edge added", state.name, lax.changed(transitions=rows, guards=_and_built_in(flow)))


def _of_limits(values: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in values.items() if name in Limits.model_fields}


def _consent(flow: Flow) -> Iterator[Mutant]:
    """What stands before a tool that changes something."""
    changing = {one.name for one in flow.tools if one.consequential}
    for place, state in enumerate(flow.states):
        before, after = flow.states[:place], flow.states[place + 1 :]
        if isinstance(state, CallState | AgentState) and state.approval is not None:
            bare = flow.changed(states=(*before, state.changed(approval=None), *after))
            yield Mutant("an approval removed", state.name, bare)
        leads = [row.target for row in flow.transitions if row.source == state.name and row.on == "complete"]
        called = [one for one in flow.states if one.name in leads and isinstance(one, CallState)]
        if isinstance(state, CollectState) and state.confirm and any(one.tool in changing for one in called):
            bare = flow.changed(states=(*before, state.changed(confirm=""), *after))
            yield Mutant("a confirmation removed", state.name, bare)


def codes_of(project: Project, mutant: Mutant) -> set[str]:
    """Every code under which the mutant is reported."""
    code = project.program.code
    folder = Path(project.file).parent
    if mutant.flow is None:
        try:
            read_flow(mutant.text, code, folder_reader=lambda name: (folder / name).read_bytes())
        except FlowError as error:
            return {one.code for one in error.faults}
        return set()
    faults = faults_in(mutant.flow, code)
    if faults:
        return {one.code for one in faults}
    return {one.code for one in proved(compiled(mutant.flow, code)).findings if one.verdict == "refuted"}

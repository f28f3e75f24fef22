"""Four eyes: what needs the approval of several different people has it on every path."""

from collections.abc import Iterator, Mapping, Sequence

from ...contracts.flow import AgentState, CallState, Flow, HumanState
from ...contracts.values import listed
from .findings import Finding, Step, line_of, steps_of
from .monitor import Reviewed
from .search import Search


def reviews_of(flow: Flow) -> tuple[Reviewed, ...]:
    """A monitor for each tool and state that needs several approvals."""
    people = {one.name: one for one in flow.states if isinstance(one, HumanState) and one.approves is not None}
    found = []
    for name, needed in flow.four_eyes.items():
        enough = {one.name: one for one in people.values() if one.approvals >= needed}
        running = running_of(flow, name)
        covering = [one for one in enough.values() if all(uncovered(one, call) == () for call in running)]
        giving = frozenset(f"decided:{one.name}.{one.approves}" for one in covering)
        bound = any(one.approval is not None for one in running) and all(
            one.approval in enough for one in running if one.approval is not None
        )
        found.append(Reviewed(name, giving, bound))
    return tuple(found)


def running_of(flow: Flow, tool: str) -> tuple[CallState | AgentState, ...]:
    """The states that run the tool; none where it is the name of a state."""
    return tuple(
        one
        for one in flow.states
        if (isinstance(one, CallState) and one.tool == tool) or (isinstance(one, AgentState) and tool in one.tools)
    )


def uncovered(person: HumanState, call: CallState | AgentState) -> tuple[str, ...] | None:
    """The facts that the tool is given there and the person is not shown; None where a model writes what it is given.

    Empty where the approval covers it: it is bound to the call, or shows every fact.
    """
    if call.approval == person.name:
        return ()
    return None if isinstance(call, AgentState) else tuple(one for one in call.reads if one not in person.shows)


def four_eyes(search: Search, lines: Mapping[str, int]) -> Iterator[Finding]:
    explored = search.explored
    model, flow = explored.model, explored.model.flow
    for number, monitor in enumerate(model.monitors):
        if not isinstance(monitor, Reviewed):
            continue
        needed = flow.four_eyes[monitor.name]
        bad = next((one for one in explored.before if model.location(one).watched[number] in monitor.bad), None)
        if bad is None:
            says = f"{monitor.name!r} is reached only after {needed} different people approved."
            where = f"four_eyes.{monitor.name}"
            yield Finding("P323", "proved" if search.complete else "bounded", says, (), line_of(lines, where), where)
            continue
        path = steps_of(explored, explored.path_to(bad), lines)
        where = f"states.{path[-1].state if path else flow.initial}"
        says, fix = _why(flow, monitor, needed, path)
        yield Finding("P323", "refuted", says, path, line_of(lines, where), where, fix)


def _why(flow: Flow, monitor: Reviewed, needed: int, path: Sequence[Step]) -> tuple[str, str]:
    """What is missing on the way, and how to mend it: the last approval was used, or is of something else, or none."""
    name = monitor.name
    calls = {one.name: one for one in running_of(flow, name)}
    people = {
        f"decided:{one.name}.{one.approves}": one
        for one in flow.states
        if isinstance(one, HumanState) and one.approves is not None and one.approvals >= needed
    }
    words = [word for step in path for word in (*step.events, f"enter:{step.target}")]
    uses = (f"tool:{name}", f"enter:{name}")
    used, other = "", None
    state = monitor.initial
    for word in words:
        before, state = state, monitor.step(state, word)
        if word in monitor.giving:
            used, other = "", None
        elif word in people:
            other = people[word]
        elif word == "message" or word.startswith(("result:", "proposed:")):
            other = None
        if word in uses and before and state not in monitor.bad:
            used = "used"
    call = calls.get(path[-1].state) if path else None
    if other is not None and call is not None:
        missing = uncovered(other, call)
        lacks = f"it does not show {listed(missing)}" if missing else "what it is given is a model's"
        says = (
            f"{name!r} is reached with an approval of something else: what is approved in {other.name!r} is not bound "
            f"to the call in {call.name!r}, and {lacks}, which the tool is given."
        )
        shown = f", or show {listed(missing)} there" if missing else ""
        return says, f"Name {other.name!r} under `approval` of {call.name!r}{shown}."
    if used:
        says = f"{name!r} is reached again after the approval was used up: one approval is for one call."
        return says, f"Lead the way back to {name!r} over another approval, or try again with `attempts`."
    says = f"{name!r} is reached, and no {needed} different people approved since something was said last."
    fix = (
        f"Lead every way there over a human state with `approves` and `approvals: {needed}`; where a tool runs, "
        "name that state under `approval`."
    )
    return says, fix

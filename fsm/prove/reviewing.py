"""Four eyes: what needs the approval of several different people has it on every path."""

from collections.abc import Iterator, Mapping

from ...contracts.flow import AgentState, CallState, Flow, HumanState
from .findings import Finding, line_of, steps_of
from .monitor import Reviewed
from .search import Search


def reviews_of(flow: Flow) -> tuple[Reviewed, ...]:
    """A monitor for each tool and state that needs several approvals."""
    people = {one.name: one for one in flow.states if isinstance(one, HumanState) and one.approves is not None}
    found = []
    for name, needed in flow.four_eyes.items():
        enough = {one.name: one for one in people.values() if one.approvals >= needed}
        giving = frozenset(f"decided:{one.name}.{one.approves}" for one in enough.values())
        running = [
            one
            for one in flow.states
            if (isinstance(one, CallState) and one.tool == name) or (isinstance(one, AgentState) and name in one.tools)
        ]
        bound = bool(running) and all(one.approval in enough for one in running)
        found.append(Reviewed(name, giving, bound))
    return tuple(found)


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
        says = f"{monitor.name!r} is reached, and no {needed} different people approved since something was said last."
        fix = (
            f"Lead every way there over a human state with `approves` and `approvals: {needed}`; where a tool runs, "
            "name that state under `approval`."
        )
        yield Finding("P323", "refuted", says, path, line_of(lines, where), where, fix)

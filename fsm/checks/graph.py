"""The graph: every state can be reached, an end is reachable from each, and no loop runs by itself."""

from collections.abc import Iterable, Iterator, Mapping

from ...contracts.errors import Fault
from ...contracts.flow import RETURN
from ...contracts.values import listed
from .survey import Survey


def reachable(survey: Survey) -> frozenset[str]:
    """States that some conversation can come to, by outcomes, limits, operators or digressions."""
    found: set[str] = set()
    waiting = [survey.flow.initial]
    while waiting:
        name = waiting.pop()
        if name in found or name not in survey.states:
            continue
        found.add(name)
        outcomes = survey.outcomes[name]
        waiting += survey.successors(name, (*outcomes, *(survey.interventions if outcomes else ())))
    return frozenset(found)


def all_reached(survey: Survey) -> Iterator[Fault]:
    if survey.flow.initial not in survey.states:
        return
    found = reachable(survey)
    for name in survey.states:
        if name not in found:
            yield survey.fault(
                "S140",
                f"states.{name}",
                f"The state {name!r} cannot be reached from {survey.flow.initial!r}.",
                "Write a row that goes to it, or delete it with its rows.",
            )


def ends_reached(survey: Survey) -> Iterator[Fault]:
    finals = {name for name, state in survey.states.items() if state.kind == "final"}
    if not finals:
        yield survey.fault(
            "S142",
            "states",
            "The flow has no final state, so no conversation could ever end.",
            "Add a state with `kind: final` and rows that go to it.",
        )
        return
    if survey.flow.initial not in survey.states:
        return
    before: dict[str, set[str]] = {name: set() for name in survey.states}
    for name in survey.states:
        for target in survey.successors(name, survey.outcomes[name]):
            before[target].add(name)
    ending, waiting = set(finals), list(finals)
    while waiting:
        for name in before[waiting.pop()] - ending:
            ending.add(name)
            waiting.append(name)
    stuck = reachable(survey) - ending
    for name in survey.states:
        if name in stuck and all(survey.rows_for(name, one) for one in survey.outcomes[name]):
            yield survey.fault(
                "S143",
                f"states.{name}",
                f"From {name!r} no final state can be reached without a limit or an operator.",
                f"Write a row that leads on to {listed(sorted(finals))}.",
            )


def no_loop_by_itself(survey: Survey) -> Iterator[Fault]:
    """A loop through states that take no time and hear nothing would never stop."""
    edges: dict[str, tuple[str, ...]] = {}
    for name, state in survey.states.items():
        if state.kind == "route":
            edges[name] = tuple(_direct(survey, name, survey.outcomes[name]))
        elif state.kind == "collect" and not state.confirm:
            edges[name] = tuple(_direct(survey, name, ("complete",)))
    reported: set[str] = set()
    for name in edges:
        if name in reported:
            continue
        loop = _loop_from(name, edges)
        if loop:
            reported.update(loop)
            path = " to ".join(repr(one) for one in (*loop, name))
            yield survey.fault(
                "S150",
                f"states.{name}",
                f"{path} is a loop in which nobody is heard and nothing is called.",
                "Put a wait, human, agent or call state in it.",
            )


def _direct(survey: Survey, name: str, outcomes: Iterable[str]) -> Iterator[str]:
    for outcome in outcomes:
        for _, row in survey.rows_for(name, outcome):
            if row.target != RETURN:
                yield row.target


def _loop_from(start: str, edges: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The shortest way from `start` back to itself, or nothing."""
    paths: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for path in paths:
        for target in edges.get(path[-1], ()):
            if target == start:
                return path
            if target in edges and target not in seen:
                seen.add(target)
                paths.append((*path, target))
    return ()


GRAPH = (all_reached, ends_reached, no_loop_by_itself)

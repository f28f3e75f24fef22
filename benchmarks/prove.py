"""Exploring: transitions a second against a plain loop over the same data, the bank flow, and a generated large flow.

`python benchmarks/prove.py`. CPU time of one process; the plain loop adds the same differences to the same numbers and
looks each up in the same table, and does nothing else.
"""

import resource
import time
from collections.abc import Iterator

from interlock.contracts.flow import AgentSpec, AgentState, FinalState, Flow, HumanState, State, Transition, WaitState
from interlock.contracts.guard import otherwise
from interlock.contracts.limits import Limits
from interlock.fsm.guards import visits_at_most
from interlock.fsm.outcomes import AGENT_OUTCOMES
from interlock.fsm.prove.counters import LOCATIONS
from interlock.fsm.prove.explore import Explored, explore
from interlock.fsm.prove.model import Model
from interlock.fsm.prove.proof import proved
from interlock.fsm.prove.search import OF_A_TURN, searched
from interlock.service.project import load_project

LARGE = 200


def large(size: int = LARGE) -> Flow:
    """A flow of `size` states in which agents hand over in rings, so that four counters matter: steps, model calls,
    handoffs and visits."""
    agents = tuple(AgentSpec(name=f"agent_{n}", instructions="Help.") for n in range(8))
    states: list[State] = [WaitState(name="start", deadline_seconds=60)]
    rows: list[Transition] = []

    def row(source: str, on: str, target: str, guard: object = otherwise) -> None:
        rows.append(
            Transition.model_validate({"source": source, "on": on, "guard": guard, "target": target, "policy": "B-1"})
        )

    for n in range(size - 4):
        name, ring = f"state_{n}", n // 12 * 12
        states.append(AgentState(name=name, agent=f"agent_{n % 8}", attempts=1))
        row(name, "done", f"state_{ring}", visits_at_most(f"state_{ring}", 2) if n == ring + 11 == 11 else otherwise)
        if n == 11:
            row(name, "done", "answered")
        row(name, "unsure", f"state_{min(n + 1, ring + 11, size - 5)}")
        row(name, "refused", "answered" if n + 12 >= size - 4 else f"state_{n + 12}")
    states += [
        WaitState(name="answered", deadline_seconds=60),
        HumanState(name="desk", role="clerk", decisions=("solved",), deadline_seconds=60),
        FinalState(name="closed"),
    ]
    row("start", "message", "state_0")
    row("answered", "message", "state_0")
    row("desk", "solved", "closed")
    row("any", "expired", "closed")
    for on in (*AGENT_OUTCOMES[3:], "limit"):
        row("any", on, "desk")
    return Flow(
        name="large",
        version=1,
        owner="benchmark",
        initial="start",
        states=tuple(states),
        transitions=tuple(rows),
        agents=agents,
        limits=Limits(handoffs=12, same_pair=12, agent_calls=14, steps=20),
    )


def seconds(call: object) -> tuple[float, object]:
    began = time.process_time()
    result = call()  # type: ignore[operator]
    return time.process_time() - began, result


def plainly(explored: Explored) -> int:
    """The same differences on the same numbers, looked up in the same table: what a loop in Python can do at most."""
    before, plain, guarded = explored.before, explored.compiled.plain, explored.compiled.guarded
    looked = 0
    for here in before:
        index = here % LOCATIONS
        for delta in plain[index] or ():
            if here + delta in before:
                looked += 1
        for _, delta in guarded[index]:
            if here + delta in before:
                looked += 1
    return looked


def figures(name: str, flow: Flow) -> Iterator[str]:
    counted = frozenset(OF_A_TURN)
    model = Model(flow, counted)
    first, _ = seconds(lambda: explore(model))
    again, found = seconds(lambda: explore(model))  # the moves are compiled by now: the inner loop is left
    assert isinstance(found, Explored)
    plain, _ = seconds(lambda: plainly(found))
    yield f"{name}: {len(found.before):,} configurations, {found.transitions:,} transitions"
    yield f"  first {first:.2f} s; inner loop {found.transitions / again:,.0f} transitions/s"
    yield f"  plain loop {found.transitions / plain:,.0f}/s; ratio {plain / again:.2f}"


def main() -> None:
    project = load_project("bank")
    took, _ = seconds(lambda: proved(project.program, project.lines))
    print(f"bank, every question and the bill: {took:.2f} s")
    for line in figures("bank", project.program.flow):
        print(line)
    flow = large()
    for line in figures(f"large ({len(flow.states)} states)", flow):
        print(line)
    took, _ = seconds(lambda: searched(flow))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"large, with the bill: {took:.2f} s; {memory:,.0f} MiB at most")


if __name__ == "__main__":
    main()

"""Going on from where a way ended: to an end or to a person, if the real runtime lets anybody get there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...fsm.program import Program
from ...fsm.prove.counters import LOCATIONS
from ...fsm.prove.explore import Explored, explore
from ...fsm.prove.graph import after_a_conversation, distances, nearer
from ...fsm.prove.model import Model
from ...fsm.prove.moving import Move
from ...fsm.prove.proof import search_of
from .driver import Driver
from .way import Step
from .world import NotDriven

MOST_STEPS = 300
"""Steps of one walk."""
TIMES = 3
"""How often each way out of a state is tried."""
_ENOUGH = 20_000
"""Configurations from which the ways out of each state are gathered."""
_SELDOM = ("over_budget", "next_issue", "late_result")
Goal = Callable[[str], bool]
"""Whether this is where to get, by the state's name."""


@dataclass(frozen=True, slots=True)
class Out:
    """A way out of a state: what happens, what guards must say, and where it leads."""

    on: str
    target: str
    given: tuple[tuple[str, bool | None], ...]

    def step(self, state: str) -> Step:
        return Step(state, self.on, self.target, verdicts=dict(self.given))


def ways_out(program: Program) -> Mapping[str, tuple[Out, ...]]:
    """Every plain way out of each state that is reached at all."""
    model = Model(program.flow, frozenset())
    found: dict[str, dict[tuple[str, int | None], Out]] = {}
    explored = explore(model, _ENOUGH)
    for index in {one % LOCATIONS for one in explored.before}:
        here = model.locations[index].state
        for move in model.moves_of(index):
            plain = move.row is not None and not move.limit and move.on not in _SELDOM
            if plain and move.ending.cause != "operator":
                target = model.location(move.target).state
                found.setdefault(here, {}).setdefault(
                    (f"{move.on}>{target}", move.row), Out(move.on, target, move.given)
                )
    return {state: tuple(some.values()) for state, some in found.items()}


def near(outs: Mapping[str, Sequence[Out]], goal: Goal) -> Mapping[str, int]:
    """Fewest steps from each state to the goal, as the rows lead; what is missing leads there by no row."""
    before: dict[str, set[str]] = {}
    for state, some in outs.items():
        for one in some:
            before.setdefault(one.target, set()).add(state)
    states = {*outs, *before}
    found = {one: 0 for one in states if goal(one)}
    frontier = list(found)
    while frontier:
        following = [state for there in frontier for state in sorted(before.get(there, ())) if state not in found]
        for state in following:
            found.setdefault(state, 1 + min(found[out.target] for out in outs[state] if out.target in found))
        frontier = list(dict.fromkeys(following))
    return found


async def walk(driver: Driver, goal: Goal) -> str:
    """Try to get there, each way out in its turn and those that lead nearer first; how it went if it did not."""
    outs = ways_out(driver.program)
    distance = near(outs, goal)
    used: dict[tuple[str, Out], int] = {}
    came = [driver.state]
    for _ in range(MOST_STEPS):
        here = driver.state
        if goal(here):
            return ""
        if driver.live.conversation.status != "open":
            return f"It ended in {here!r}."
        choices = sorted(
            (used.get((here, one), 0), distance.get(one.target, len(outs) + 1), place)
            for place, one in enumerate(outs.get(here, ()))
        )
        if not choices or choices[0][0] >= TIMES:
            break
        out = outs[here][choices[0][2]]
        used[here, out] = used.get((here, out), 0) + 1
        try:
            await driver.follow([out.step(here)])
        except NotDriven:
            used[here, out] = TIMES
        driver.forget()
        came.append(driver.state)
    shown = " > ".join(came[:12]) + (" ..." if len(came) > 12 else "")
    return f"It went on for {len(came) - 1} steps, trying every way out {TIMES} times, and was only here: {shown}."


def shortest(program: Program, way: Sequence[Step], goal: Goal) -> list[Step] | None:
    """The shortest way from where the way ends to the goal, as the flow has it now; None where there is none."""
    explored = search_of(program).explored
    here = explored.model.initial
    for step in way:
        found = next((to for move, to in explored.moves_from(here) if _is(explored, move, to, step)), None)
        if found is None:
            return None
        here = found
    model = explored.model
    left = distances(explored, lambda one: goal(model.location(one).state), after_a_conversation)
    if here not in left:
        return None
    steps: list[Step] = []
    for move, there in nearer(explored, here, left, after_a_conversation):
        state = model.location(here).state
        steps.append(Step(state, move.on, model.location(there).state, verdicts=dict(move.given), limit=move.limit))
        here = there
    return steps


def _is(explored: Explored, move: Move, to: int, step: Step) -> bool:
    return move.row is not None and move.on == step.on and explored.model.location(to).state == step.goes_to

"""Ways to drive: what is to happen in each state, and what has to be arranged for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ...contracts.facts import OpenValue
from ...contracts.limits import LimitName
from ...fsm.prove import findings

STAYS = ""
"""The trigger of what happens without the state being left."""
NOTHING: Mapping[str, bool | None] = MappingProxyType({})
NO_FACTS: Mapping[str, OpenValue] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Step:
    """In `state`, `on` happens, and the conversation goes to `goes_to`.

    `facts` are what the agent's result, the tool's result or the customer's answer says, so that guards hold or do
    not hold by themselves. `verdicts` are guards whose verdict is **replaced** for this step, since no such facts
    were found (None: the guard fails with an error). `limit` is the limit that is reached; `tools` are asked by the
    agent before.
    """

    state: str
    on: str
    goes_to: str
    facts: Mapping[str, OpenValue] = field(default_factory=lambda: NO_FACTS)
    verdicts: Mapping[str, bool | None] = field(default_factory=lambda: NOTHING)
    limit: LimitName | str = ""
    tools: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.state!r} on {self.on or 'nothing'} to {self.goes_to!r}"


def way_of(steps: Sequence[findings.Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """A counterexample as what to drive: the way there, and the loop at its end (empty where nothing goes round).

    What an agent asks of tools before it ends belongs to the step that ends its visit.
    """
    way: list[Step] = []
    loop: list[Step] = []
    asked: tuple[str, ...] = ()
    for one in steps:
        tools = tuple(word.removeprefix("tool:") for word in one.events if word.startswith("tool:"))
        if one.row is None and tools:
            asked += tools
            continue
        made = Step(one.state, one.on if one.row is not None else STAYS, one.target, verdicts=dict(one.given))
        (loop if one.in_loop else way).append(replace(made, limit=one.limit, tools=asked))
        asked = ()
    if asked:
        last = steps[-1]
        (loop if last.in_loop else way).append(Step(last.state, STAYS, last.state, tools=asked))
    return tuple(way), tuple(loop)


class Script:
    """The steps to be taken, in their order; `at` is the next one. What comes after them is not said."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.steps = list(steps)
        self.at = 0
        self.looked = 0
        """Steps that were looked up ahead of what is recorded: a route is decided within the commit before it."""

    @property
    def over(self) -> bool:
        return self.at >= len(self.steps)

    def add(self, steps: Sequence[Step]) -> None:
        self.steps += steps

    def now(self, state: str) -> Step | None:
        """The next step, where it is of this state."""
        return self.steps[self.at] if not self.over and self.steps[self.at].state == state else None

    def ahead(self, state: str) -> int | None:
        """The place of the first step of this state that was neither taken nor looked up before."""
        for place in range(max(self.at, self.looked), len(self.steps)):
            if self.steps[place].state == state:
                self.looked = place + 1
                return place
        return None

    def until_input(self, kinds: Mapping[str, str]) -> Sequence[Step]:
        """The steps from the next one up to, and without, the next in a state that hears somebody."""
        found = self.steps[self.at : self.at + 1]
        for step in self.steps[self.at + 1 :]:
            if kinds.get(step.state) in ("wait", "collect", "human", "subflow"):
                break
            found.append(step)
        return found

"""What should hold of a way that was driven: each says in a sentence what does not, and nothing where it does."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from ...contracts.events import PolicyKept, ToolRefused, ToolRequested
from ...contracts.values import MAX_SAFE_INTEGER, MAX_SECONDS
from ...fsm.policies.alphabet import NOTHING_SEEN, observed
from ...fsm.policies.judging import watches_of
from ...fsm.program import Program
from ...fsm.prove import monitor
from ...fsm.prove.counters import COUNTED
from ...fsm.prove.monitor import Monitor, Untrusted
from ...fsm.prove.search import OF_A_TURN
from .driver import Driver
from .walks import shortest, walk
from .way import Step
from .world import NotDriven

LEAST_ROUNDS = 20


class Property(Protocol):
    """Judges a driver whose way was gone to its end."""

    async def broken(self, driver: Driver) -> str:
        """What does not hold, or an empty string."""
        ...


@dataclass(frozen=True, slots=True)
class Ends:
    """Something ends the loop: a limit, an input or a person, before more rounds than any limit that counts. Time and
    budgets are no such end, so they are set aside."""

    loop: tuple[Step, ...]

    async def broken(self, driver: Driver) -> str:
        turn, rounds = driver.live.conversation.turn.number, rounds_of(driver.program)
        calls = driver.live.conversation.turn.agent_calls
        followed, after = await driver.follow(self.loop * rounds), driver.live.conversation.turn
        if not followed and (driver.doubtful and not driver.limited):
            raise NotDriven(f"It is not known what goes round: {driver.instead}.")
        if not followed:
            return ""
        if after.number != turn:
            raise NotDriven(
                "The loop goes on by itself only where nothing is asked; the driver had to write something."
            )
        used = f"{after.agent_calls - calls} model calls and {after.tool_calls} tool calls in one turn"
        return f"Nothing ended it: {rounds} rounds, {used}, and still going."


def unhurried(program: Program) -> Program:
    """The same flow, but time and money are no object."""
    names = ("turn_tokens", "turn_cost", "conversation_tokens", "conversation_cost")
    limits = program.flow.limits.changed(turn_seconds=MAX_SECONDS, **dict.fromkeys(names, MAX_SAFE_INTEGER // 2))
    return replace(program, flow=program.flow.changed(limits=limits))


def rounds_of(program: Program) -> int:
    """Rounds after which every limit that counts must have been reached."""
    values = [getattr(program.flow.limits, name) or 0 for name in OF_A_TURN]
    return 1 + max(LEAST_ROUNDS, *(one for one in values if one <= COUNTED))


@dataclass(frozen=True, slots=True)
class Reaches:
    """An end, or a person, can be reached from there."""

    what: Literal["an end", "a person"]

    async def broken(self, driver: Driver) -> str:
        at, went = driver.state, await walk(driver, lambda state: self.is_there(driver.program, state))
        return f"From {at!r} {self.what} was not reached. {went}" if went else ""

    def is_there(self, program: Program, state: str) -> bool:
        if self.what == "an end":
            return program.states[state].kind == "final"
        return is_person(program, state)


def is_person(program: Program, state: str) -> bool:
    """Whether somebody decides there, or in the child conversation that runs there."""
    found = program.states[state]
    if found.kind != "subflow":
        return found.kind == "human"
    child = program.children.get(found.flow)
    return child is not None and any(is_person(child, one) for one in child.states)


@dataclass(frozen=True, slots=True)
class Near:
    """A person is at most `most` rows away."""

    most: int

    async def broken(self, driver: Driver) -> str:
        program = driver.program
        steps = shortest(program, driver.script.steps, lambda state: is_person(program, state))
        if steps is None:
            return f"From {driver.state!r} no row leads to a person."
        at = driver.state
        if not await driver.follow(steps):
            return f"The shortest way from {at!r} to a person was not gone: {driver.instead}."
        rows = len(steps)
        return f"From {at!r} the nearest person is {rows} rows away; more than {self.most}." if rows > self.most else ""


@dataclass(frozen=True, slots=True)
class Watched:
    """What was recorded breaks no rule."""

    rule: str
    monitor: Monitor
    pending: frozenset[int] = field(default_factory=frozenset)
    """States in which it is broken if the conversation has ended."""
    distrusting: bool = False
    """What an agent gives a tool is a result of a model too, though its answer was not taken yet."""

    async def broken(self, driver: Driver) -> str:
        state, seen = self.monitor.initial, NOTHING_SEEN
        words: list[str] = []
        for version, event in enumerate(driver.events):
            said, seen = observed(event, version, seen)
            if self.distrusting and isinstance(event, ToolRequested) and event.caller == "agent":
                said = (f"result:{event.state}", *said)
            for word in said:
                state = self.monitor.step(state, word)
                words.append(word)
                if state in self.monitor.bad:
                    return f"{self.rule} What was recorded: {_last(words)}."
        if driver.live.conversation.status == "ended" and state in self.pending:
            return f"{self.rule} What was recorded when it ended: {_last(words)}."
        return ""


def nothing_untrusted(program: Program) -> Watched:
    """Nothing that a person or a model wrote reaches a tool that changes something, unconfirmed."""
    tools = frozenset(one.name for one in program.flow.tools if one.consequential)
    says = "What somebody wrote reached a tool that changes something, unconfirmed."
    return Watched(says, Untrusted(tools), distrusting=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows keep the policy by themselves: nothing had to be refused for it."""

    policy: str

    async def broken(self, driver: Driver) -> str:
        for event in driver.events:
            match event:
                case PolicyKept() if self.policy in event.policies:
                    what = f"the tool {event.tool}" if event.tool else f"on {event.on}, the row to {event.target!r}"
                case ToolRefused() if self.policy in event.policies:
                    what = "a tool that an agent asked"
                case _:
                    continue
            return f"The policy {self.policy!r} had to refuse a step: {what}."
        watch = next((one for one in watches_of(driver.program.flow) if one.name == self.policy), None)
        if watch is None:
            return ""
        rule = f"The policy {self.policy!r} is broken."
        return await Watched(rule, monitor.Kept(watch), frozenset(watch.pending)).broken(driver)


@dataclass(frozen=True, slots=True)
class Moves:
    """Something moves the conversation on: an effect in hand, a deadline, or its end."""

    async def broken(self, driver: Driver) -> str:
        conversation = driver.live.conversation
        if conversation.status == "ended" or conversation.at_work or conversation.timers:
            return ""
        return f"It stands in {driver.state!r}, and nothing will ever move it."


@dataclass(frozen=True, slots=True)
class Closed:
    """The flow does not go this way."""

    async def broken(self, driver: Driver) -> str:
        return (
            f"The conversation went this way, to {driver.state!r}: {_last([str(one) for one in driver.script.steps])}."
        )


def _last(words: Sequence[str]) -> str:
    return ("... " if len(words) > 12 else "") + ", ".join(words[-12:])

"""Windows: whether what an agent is given fits what it may be given, at worst, and what is done where it does not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...contracts.flow import AgentSpec, AgentState
from ..asking import ESCAPED, FACT_BYTES, PER_MESSAGE_TOKENS, SUMMARY_BYTES
from ..program import Program
from .findings import Finding, line_of


@dataclass(frozen=True, slots=True)
class Room:
    """In tokens, counted as the runtime does, a byte for each: what is left for the history, what a longest message
    takes, and what a summary takes."""

    left: int
    message: int
    summary: int

    def messages(self, *, summed: bool = False) -> int:
        """How many longest messages surely fit."""
        return max(0, self.left - (self.summary if summed else 0)) // self.message


def room_of(program: Program, state: AgentState, spec: AgentSpec) -> Room:
    """What an agent's first call in the state leaves; facts that people wrote are as long as a message may be."""
    limits = program.flow.limits
    reads = [program.facts[one] for one in state.reads if one in program.facts]
    given = sum(FACT_BYTES + (limits.message_bytes if one.sealed else 0) for one in reads)
    offered = sum(program.tool_bytes[one] for one in state.tools) + sum(
        program.asked_bytes[one] for one in state.agents
    )
    by = program.agents.get(spec.summariser or "")
    summary = 0 if by is None else ESCAPED * by.max_output_tokens + SUMMARY_BYTES
    left = spec.max_input_tokens - program.fixed_bytes[spec.name] - given - offered
    return Room(left, limits.message_bytes + PER_MESSAGE_TOKENS, summary)


def histories_fit(program: Program, lines: Mapping[str, int]) -> Iterator[Finding]:
    told: set[tuple[str, str]] = set()
    for state in program.flow.states:
        if not isinstance(state, AgentState):
            continue
        for name in dict.fromkeys((state.agent, *state.fallbacks)):
            if name in program.agents:
                for one in _of_an_agent(program, state, program.agents[name], lines):
                    if (name, one.says) not in told:
                        told.add((name, one.says))
                        yield one


def _of_an_agent(program: Program, state: AgentState, spec: AgentSpec, lines: Mapping[str, int]) -> Iterator[Finding]:
    where = f"agents.{spec.name}.max_input_tokens"
    line = line_of(lines, where)
    room, limits = room_of(program, state, spec), program.flow.limits
    if room.left < 0:
        most = spec.max_input_tokens - room.left
        says = (
            f"Before any message, the instructions, facts and tools of {spec.name!r} in {state.name!r} may take "
            f"{most:,} tokens; it is given {spec.max_input_tokens:,} at most."
        )
        long = any(program.facts[one].sealed for one in state.reads if one in program.facts)
        yield Finding("P325", "noted" if long else "refuted", says, (), line, where, _FIX)
        return
    if spec.history == "none":
        return
    summed = spec.history == "summary" or spec.when_over == "summarise"
    needed = spec.window if summed or spec.history == "window" else limits.conversation_messages
    fitting = room.messages(summed=summed)
    if fitting >= needed:
        return
    longest = f"of the longest ({limits.message_bytes:,} bytes)"
    if spec.history == "window" or summed:
        what = "its window" + (" beside a summary" if summed else "")
        says = f"{spec.name!r} is given the {needed} latest messages, {what}; {fitting} {longest} surely fit"
    else:
        says = f"{spec.name!r} is given every message; {fitting} {longest} surely fit"
    row = next((one.target for one in program.flow.transitions if _over(one.source, one.on, state.name)), "")
    says += f"; past that it is not asked: over_budget leads from {state.name!r} to {row!r}."
    yield Finding("P325", "noted", says, (), line, where, _FIX)


def _over(source: str, on: str, state: str) -> bool:
    return on == "over_budget" and source in (state, "any")


_FIX = "Raise `max_input_tokens`, lower the limit `message_bytes`, or let it be summed up (`when_over: summarise`)."

"""The questions, each answered from what was explored."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ...contracts.flow import ANY, Flow, SubflowState
from ...contracts.limits import Limits
from ...contracts.values import listed
from ..program import Program
from .allowing import Allowed, Allowing
from .bounding import other_limits
from .counters import COUNTED
from .explore import Explored, allows
from .failing import fallbacks_lead_on
from .findings import Finding, Verdict, line_of, rows_of, steps_of
from .fitting import contracts_fit, given_in_time
from .graph import MOST_BACKWARDS, after_a_conversation, at_a_limit, distances, nearer
from .keeping import policies_kept, words_occur
from .known import TooMuch
from .monitor import Untrusted
from .reviewing import four_eyes
from .search import OF_A_TURN, Search
from .untaken import rows_by_facts, spare, states_by_facts, why_never
from .windows import histories_fit

AUTOMATED = ("agent", "call", "broadcast", "route", "subflow")


@dataclass
class Asked:
    """A search that questions are put to. `people_below` are child flows in which a person may be reached."""

    search: Search
    lines: Mapping[str, int]
    people_below: frozenset[str] = frozenset()
    program: Program | None = None
    """With the code that the flow names: what contracts say is asked of it."""

    @property
    def explored(self) -> Explored:
        return self.search.explored

    @property
    def flow(self) -> Flow:
        return self.explored.model.flow

    @property
    def holds(self) -> Verdict:
        """What may be said where nothing was found."""
        return "proved" if self.search.complete else "bounded"

    @cached_property
    def reached(self) -> Mapping[str, int]:
        """Every state, with the first configuration in it."""
        found: dict[str, int] = {}
        for one in self.explored.before:
            found.setdefault(self.explored.model.location(one).state, one)
        return found

    @cached_property
    def taken(self) -> Mapping[int, int]:
        """Every row that can be taken, or would be but for a policy, with a configuration in which it is."""
        found: dict[int, int] = {}
        for index, members in self.explored.at().items():
            for move in self.explored.model.moves_of(index):
                rows = [row for row in (move.row, move.instead) if row is not None and row not in found]
                for one in members if rows else ():
                    if move.new_turn or allows(move.checks, one):
                        found |= dict.fromkeys(rows, one)
                        break
        return found

    @cached_property
    def by_facts(self) -> tuple[Allowed, Allowed] | None:
        """What facts allow, whatever is known at the start and where nothing is; None where that is not known."""
        if self.program is None or not self.search.complete:
            return None
        try:
            allowing = Allowing(self.program)
            if not allowing.facts:
                return None
            ever, alone = allowing.found(given=True), allowing.found(given=False)
        except TooMuch:
            return None
        return None if ever is None or alone is None else (ever, alone)

    def person_near(self, configuration: int) -> bool:
        state = self.explored.model.states[self.explored.model.location(configuration).state]
        return state.kind == "human" or (isinstance(state, SubflowState) and state.flow in self.people_below)

    @cached_property
    def to_people(self) -> Mapping[int, int]:
        return distances(self.explored, self.person_near, after_a_conversation)

    @cached_property
    def to_ends(self) -> Mapping[int, int]:
        return distances(self.explored, lambda one: self.explored.model.kind(one) == "final")

    @property
    def too_many(self) -> bool:
        return len(self.explored.before) > MOST_BACKWARDS

    def line(self, where: str) -> int:
        return line_of(self.lines, where)


def states_reached(asked: Asked) -> Iterator[Finding]:
    for state in asked.flow.states:
        if state.name not in asked.reached:
            where = f"states.{state.name}"
            says = f"No conversation comes to {state.name!r}: no row that leads to it can ever be taken."
            fix = "Mend the guards of the rows that lead to it, or delete it."
            verdict: Verdict = "refuted" if asked.search.complete else "unknown"
            yield Finding("P301", verdict, says, line=asked.line(where), where=where, fix=fix)
    if asked.by_facts is not None:
        yield from states_by_facts(asked.flow, frozenset(asked.reached), *asked.by_facts, asked.lines)


def rows_taken(asked: Asked) -> Iterator[Finding]:
    for index, row in enumerate(asked.flow.transitions):
        # A group must end with `otherwise`, and a flow must handle limits, whether or not they are ever needed.
        if index in asked.taken or spare(asked.flow, index) or (row.source != ANY and row.source not in asked.reached):
            continue
        if row.source == ANY and row.guard.op == "otherwise":
            continue
        where = f"transitions.{index}"
        why, fix = why_never(asked.search, index)
        says = f"The row {rows_of(asked.flow, index)} is never taken: {why}."
        verdict: Verdict = "refuted" if asked.search.complete else "unknown"
        yield Finding("P302", verdict, says, (), asked.line(where), where, fix)
    if asked.by_facts is not None:
        yield from rows_by_facts(asked.flow, frozenset(asked.taken), *asked.by_facts, asked.lines)


def no_dead_end(asked: Asked) -> Iterator[Finding]:
    model = asked.explored.model
    for one in asked.explored.before if asked.search.complete else ():
        if model.kind(one) != "final" and next(asked.explored.moves_from(one), None) is None:
            state = model.location(one).state
            path = steps_of(asked.explored, asked.explored.path_to(one), asked.lines)
            where = f"states.{state}"
            says = f"In {state!r} nothing can happen any more."
            yield Finding("P303", "refuted", says, path, asked.line(where), where, "Write a row that leads on.")
            return


def ends_reached(asked: Asked) -> Iterator[Finding]:
    if asked.too_many or not asked.search.complete:
        yield Finding("P304", "unknown", "Too much can happen to look back from every end.")
        return
    for one in asked.explored.before:
        if one not in asked.to_ends:
            state = asked.explored.model.location(one).state
            path = steps_of(asked.explored, asked.explored.path_to(one), asked.lines)
            where = f"states.{state}"
            says = f"From {state!r}, reached like this, no final state can be reached any more."
            fix = "Write a row that leads on to a final state."
            yield Finding("P304", "refuted", says, path, asked.line(where), where, fix)
            return


def no_storm(asked: Asked) -> Iterator[Finding]:
    bill, flow = asked.search.bill, asked.flow
    if bill.cycle:
        path = (*bill.path, *bill.cycle[1:], bill.cycle[0])
        steps = steps_of(asked.explored, path, asked.lines, len(bill.path))
        states = listed([asked.explored.model.location(one).state for one in bill.cycle])
        lax = [
            f"{name}: {getattr(flow.limits, name)}" for name in OF_A_TURN if (getattr(flow.limits, name) or 0) > COUNTED
        ]
        row = next((one.row for one in reversed(steps) if one.row is not None), 0)
        says = f"{states} go round by themselves, and each round calls something: no input, person or limit ends it."
        says += " Only the turn's time and budgets (turn_seconds, turn_tokens, turn_cost) do."
        if lax:
            says += f" What is declared bounds nothing: {listed(lax)}."
        fix = (
            f"Lower a limit below {COUNTED:,} (handoffs, self_handoffs, agent_calls, tool_calls or steps), or count "
            "rounds with visits_at_most in this row."
        )
        where = f"transitions.{row}"
        yield Finding("P305", "refuted", says, steps, asked.line(where), where, fix)
        return
    for loop in asked.search.loops:
        if loop.limit:
            round_ = " to ".join((*loop.states, loop.states[0]))
            took = " and ".join(
                f"{number} {what}"
                for number, what in ((loop.calls, "model calls"), (loop.tools, "tool calls"))
                if number
            )
            limit = f"{loop.limit}: {getattr(flow.limits, loop.limit)}"
            says = f"{round_} is ended by {limit} after {loop.rounds} whole rounds ({took or 'no call'} at least)."
            yield Finding(
                "P305", asked.holds, says, where=f"limits.{loop.limit}", line=asked.line(f"limits.{loop.limit}")
            )


def limits_reached(asked: Asked) -> Iterator[Finding]:
    limits, usual = asked.flow.limits, Limits()
    hit = {one.limit for index in asked.explored.at() for one in asked.explored.model.moves_of(index)}
    most = asked.search.bill.uncapped
    consulting = any(getattr(one, "agents", ()) for one in asked.flow.states)
    passed = {
        "agent_calls": most.calls > limits.agent_calls or "agent_calls" in hit or consulting,
        "tool_calls": most.tools > (limits.tool_calls or 0) or "tool_calls" in hit,
        "steps": "steps" in hit,
        "handoffs": "handoffs" in hit,
        "same_pair": "same_pair" in hit,
        "self_handoffs": "self_handoffs" in hit,
    }
    for name, reached in passed.items():
        value, where = getattr(limits, name), f"limits.{name}"
        if value is None or value == getattr(usual, name) or asked.search.bill.cycle:
            continue
        if value > COUNTED:
            says = f"The limit {name}: {value:,} is so high that it can always be passed by: it was not counted."
            yield Finding("P306", "noted", says, (), asked.line(where), where, f"Lower it below {COUNTED:,}.")
        elif not reached:
            says = f"The limit {name}: {value} can never be reached: what is counted stays below it."
            yield Finding("P306", "noted", says, (), asked.line(where), where, "Keep it as a belt, or lower it.")
    yield from other_limits(asked.search, asked.lines)


def people_reached(asked: Asked) -> Iterator[Finding]:
    if asked.too_many or not asked.search.complete:
        yield Finding("P307", "unknown", "Too much can happen to look back from every person.")
        return
    model = asked.explored.model
    if not any(asked.person_near(one) for one in asked.reached.values()):
        automated = [one for one in asked.reached if model.states[one].kind in AUTOMATED]
        if automated:
            says = "The flow has no human state that can be reached: nobody can review what it decides."
            yield Finding("P307", "noted", says, fix="Add a human state, and rows that lead to it.")
        return
    for one in asked.explored.before:
        if model.kind(one) in AUTOMATED and one not in asked.to_people:
            state = model.location(one).state
            path = steps_of(asked.explored, asked.explored.path_to(one), asked.lines)
            where = f"states.{state}"
            says = f"From the automated decision in {state!r} no person can be reached any more"
            late = one in distances(asked.explored, asked.person_near)
            says += ", but by a limit of the whole conversation." if late else "."
            fix = "Write a row from it, or from a later state, to a human state."
            yield Finding("P307", "refuted", says, path, asked.line(where), where, fix)
            return
    plainly = distances(asked.explored, asked.person_near, at_a_limit)
    last = [one for one in asked.reached.values() if model.kind(one) in AUTOMATED and one not in plainly]
    if last:
        states = listed(dict.fromkeys(model.location(one).state for one in last))
        says = f"A person is reachable from every automated decision; from {states} only once a limit of a turn is met."
        yield Finding("P307", asked.holds, says)


def people_near(asked: Asked) -> Iterator[Finding]:
    if asked.too_many or not asked.search.complete or not asked.to_people:
        return
    model = asked.explored.model
    farthest = max((one for one in asked.to_people if model.kind(one) != "final"), key=asked.to_people.__getitem__)
    steps, state = asked.to_people[farthest], model.location(farthest).state
    on = nearer(asked.explored, farthest, asked.to_people, after_a_conversation)
    names = " > ".join((state, *(model.location(there).state for _, there in on)))
    near = asked.flow.person_within
    if steps > near:
        path = steps_of(asked.explored, asked.explored.path_to(farthest), asked.lines)
        says = f"From {state!r} a person is {steps} rows away; more than {near}: {names}."
        yield Finding(
            "P308", "refuted", says, path, asked.line(f"states.{state}"), f"states.{state}", "Add a shorter way."
        )
    else:
        yield Finding(
            "P308", asked.holds, f"A person is at most {steps} row{'' if steps == 1 else 's'} away ({names})."
        )


def nothing_untrusted(asked: Asked) -> Iterator[Finding]:
    model = asked.explored.model
    for number, monitor in enumerate(model.monitors):
        for one in asked.explored.before if isinstance(monitor, Untrusted) else ():
            if model.location(one).watched[number] in monitor.bad:
                path = steps_of(asked.explored, asked.explored.path_to(one), asked.lines)
                last = path[-1]
                where = f"states.{last.state}"
                says = (
                    f"What a person or a model wrote reaches the tool of {last.state!r}, which changes something, and "
                    "nobody confirmed or approved it on the way."
                )
                fix = "Ask with `confirm` in the form before it, or let a person approve (`approval:`), or a sanitiser."
                yield Finding("P309", "refuted", says, path, asked.line(where), where, fix)
                return


def needed_is_given(asked: Asked) -> Iterator[Finding]:
    if asked.program is not None:
        yield from given_in_time(asked.program, asked.lines)


def given_fits(asked: Asked) -> Iterator[Finding]:
    if asked.program is not None:
        yield from contracts_fit(asked.program, asked.lines)


def policies_hold(asked: Asked) -> Iterator[Finding]:
    yield from policies_kept(asked.explored, asked.lines, asked.search.complete)


def policies_speak(asked: Asked) -> Iterator[Finding]:
    yield from words_occur(asked.flow, frozenset(asked.reached), asked.lines)


def approved_by_several(asked: Asked) -> Iterator[Finding]:
    yield from four_eyes(asked.search, asked.lines)


def failures_lead_on(asked: Asked) -> Iterator[Finding]:
    yield from fallbacks_lead_on(asked.flow, asked.lines, asked.holds)


def windows_hold(asked: Asked) -> Iterator[Finding]:
    if asked.program is not None:
        yield from histories_fit(asked.program, asked.lines)


Question = Callable[[Asked], Iterator[Finding]]
ASKED: Mapping[str, Question] = {
    "P301": states_reached,
    "P302": rows_taken,
    "P303": no_dead_end,
    "P304": ends_reached,
    "P305": no_storm,
    "P306": limits_reached,
    "P307": people_reached,
    "P308": people_near,
    "P309": nothing_untrusted,
    "P311": policies_hold,
    "P312": policies_speak,
    "P321": needed_is_given,
    "P322": given_fits,
    "P323": approved_by_several,
    "P324": failures_lead_on,
    "P325": windows_hold,
}

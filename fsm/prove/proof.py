"""A flow's proof: everything that is asked of what it can do, answered, with the worst-case bill."""

from collections.abc import Mapping
from dataclasses import replace

from ..program import Program
from .codes import QUESTION
from .explore import MOST_CONFIGURATIONS, Explored, Told, nobody
from .findings import Bills, Finding, Proof, steps_of
from .keeping import kept_anyway
from .monitor import Kept, Monitor, Untrusted
from .moving import Child
from .questions import ASKED, Asked
from .reviewing import reviews_of
from .search import Search, searched
from .whole import conversation_bill

NO_LINES: Mapping[str, int] = {}


def proved(
    program: Program, lines: Mapping[str, int] = NO_LINES, most: int = MOST_CONFIGURATIONS, told: Told = nobody
) -> Proof:
    """What the flow can do, and whether it should. Looks at no more than `most` configurations, and says so."""
    search = search_of(program, most, told)
    people_below = frozenset(name for name, child in program.children.items() if has_people(child))
    asked = Asked(search, lines, people_below, program)
    findings: list[Finding] = []
    for code, question in ASKED.items():
        found = list(question(asked))
        findings += found or [Finding(code, asked.holds, QUESTION[code].says)]
    findings = [_accepted(one, program.flow.checks) for one in findings]
    explored, bill = search.explored, search.bill
    path = (*bill.path, *bill.cycle[1:], bill.cycle[0]) if bill.cycle else bill.path
    steps = steps_of(explored, path, lines, len(bill.path) if bill.cycle else None)
    ways = {name: steps_of(explored, one, lines) for name, one in bill.paths.items()}
    conversation, why = conversation_bill(search)
    return Proof(
        tuple(findings),
        Bills(bill, steps, conversation, why, ways),
        len(explored.before),
        explored.transitions,
        tuple(sorted(search.counted)),
        search.complete,
    )


def _accepted(finding: Finding, reasons: Mapping[str, str]) -> Finding:
    """A refuted answer that the flow's owner accepts, with the reason."""
    if finding.verdict != "refuted" or finding.code not in reasons:
        return finding
    return replace(finding, verdict="accepted", says=f"{finding.says} Accepted: {reasons[finding.code]}")


def search_of(program: Program, most: int = MOST_CONFIGURATIONS, told: Told = nobody) -> Search:
    """Everything the flow can do, with what its child flows may use in a turn."""
    consequential = frozenset(one.name for one in program.flow.tools if one.consequential)
    below = {name: child_of(search_of(child, most, told)) for name, child in program.children.items()}
    sanitising = frozenset(one.name for one in program.flow.tools if one.sanitises)
    kept = kept_anyway(program.flow, program.watches, most, told)
    watched = (Kept(watch) for watch in program.watches if watch.name not in kept)
    monitors: tuple[Monitor, ...] = (Untrusted(consequential, sanitising), *watched, *reviews_of(program.flow))
    return searched(program.flow, monitors, below, most, told)


def child_of(search: Search) -> Child:
    """What a parent must know of this flow. Where not everything was searched, it may end in any way by itself."""
    explored = search.explored
    turn = search.bill.most
    if not search.complete:
        return Child(turn, turn, unbounded=search.bill.unbounded)
    states = (explored.model.location(one).state for one in unheard(explored))
    ends = frozenset(one for one in states if explored.model.states[one].kind == "final")
    moves = (move for index in explored.at() for move in explored.model.moves_of(index))
    told = any(one.new_turn and "message" not in one.ending.events for one in moves)
    first = search.bill.turns.get(explored.model.initial, turn)
    return Child(turn, first, ends, told, search.bill.unbounded)


def unheard(explored: Explored) -> frozenset[int]:
    """Configurations that are reached before anybody is heard: no customer, person, other system or operator."""
    found = {explored.model.initial}
    frontier = [explored.model.initial]
    while frontier:
        frontier = [there for here in frontier for there in explored.compiled.within_turn(here)]
        frontier = [one for one in dict.fromkeys(frontier) if one not in found]
        found.update(frontier)
    return frozenset(found)


def has_people(program: Program) -> bool:
    return any(one.kind == "human" for one in program.flow.states) or any(
        has_people(child) for child in program.children.values()
    )

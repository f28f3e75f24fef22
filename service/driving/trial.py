"""One way driven from its beginning, and judged: by whoever writes a test of it, and by the test itself."""

import asyncio
import re
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ...fsm.program import Program
from ...fsm.prove.findings import Finding
from .driver import Driver
from .properties import Closed, Ends, Kept, Moves, Near, Property, Reaches, nothing_untrusted, unhurried
from .way import Step, way_of
from .world import NotDriven

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tried:
    """How it came out. `broken` says what does not hold; `instead`, that the conversation went another way before;
    `undriven`, what could not be arranged. Where all three are empty, it holds."""

    broken: str = ""
    instead: str = ""
    undriven: str = ""
    doubtful: bool = False
    """That nothing is broken may be for want of what the driver can arrange: it cannot tell members of a broadcast and
    child conversations what to do in every way that they might."""
    steps: tuple[Step, ...] = ()
    """The steps driven, with the facts that were found for them where such were looked for."""


def tried(program: Program, way: Sequence[Step], what: Property, *, arranging: bool = False) -> Tried:
    """Drive the way on the real runtime, and judge what came of it. Blocks until it is over."""
    program = unhurried(program) if isinstance(what, Ends) else program
    return finished(_tried(program, way, what, arranging))


async def _tried(program: Program, way: Sequence[Step], what: Property, arranging: bool) -> Tried:
    async with Driver(program, arranging=arranging) as driver:
        try:
            if not await driver.follow(way):
                return Tried(instead=driver.instead, doubtful=driver.doubtful, steps=driver.steps)
            broken = await what.broken(driver)
        except NotDriven as error:
            return Tried(undriven=error.what, steps=driver.steps)
        kinds = {program.states[one.state].kind for one in way}
        doubtful = not broken and bool(kinds & {"broadcast", "subflow"})
        return Tried(broken=broken, doubtful=doubtful, steps=driver.steps)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What it gives, also where the caller's own event loop runs: then in a thread beside."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work).result()


def property_of(finding: Finding, program: Program, loop: tuple[Step, ...]) -> Property:
    """What the finding says does not hold, as a property of what is recorded."""
    match finding.code:
        case "P303":
            return Moves()
        case "P304":
            return Reaches("an end")
        case "P305":
            return Ends(loop)
        case "P307":
            return Reaches("a person")
        case "P308":
            return Near(program.flow.person_within)
        case "P309":
            return nothing_untrusted(program)
        case "P311":
            return Kept(policy_of(finding))
        case _:
            return Closed()


def policy_of(finding: Finding) -> str:
    """The policy that a finding is about: the first name that it quotes and calls one."""
    found = re.search(r"policy '([^']+)'", finding.says)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Arranged:
    """A counterexample with everything that its test needs, and how the test comes out today."""

    way: tuple[Step, ...]
    loop: tuple[Step, ...]
    tried: Tried


def arranged(finding: Finding, program: Program) -> Arranged:
    """Find facts for every guard that can be made to say by itself what the way needs; then try it as it will be
    written down."""
    way, loop = way_of(finding.counterexample)
    if isinstance(property_of(finding, program, loop), Closed):  # once round is enough to show that it goes round
        way, loop = (*way, *loop), ()
    first = tried(program, way, property_of(finding, program, loop), arranging=True)
    length = len(way)
    found = [*first.steps[:length], *way[len(first.steps[:length]) :]]
    rounds = first.steps[length:] if isinstance(property_of(finding, program, loop), Ends) else ()
    looped = [
        _joined([rounds[at] for at in range(place, len(rounds), len(loop))], loop[place]) for place in range(len(loop))
    ]
    again = tried(program, found, property_of(finding, program, tuple(looped)))
    return Arranged(tuple(found), tuple(looped), again)


def _joined(rounds: Sequence[Step], otherwise: Step) -> Step:
    """One step of a loop, with what it needed in any round."""
    if not rounds:
        return otherwise
    facts = {name: value for one in rounds for name, value in one.facts.items()}
    verdicts = {name: value for one in rounds for name, value in one.verdicts.items()}
    return replace(otherwise, facts=facts, verdicts=verdicts)

"""A counterexample on the drawn flow: which states it comes through, which edges it takes, and what goes round."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..contracts.errors import CallError
from ..contracts.flow import ANY, Flow
from ..fsm.prove.findings import Finding, Step

RED = "#cf222e"
PALE = "#ffebe9"


@dataclass(frozen=True, slots=True)
class Taken:
    """Steps along one edge, or staying in one state."""

    numbers: tuple[int, ...]
    in_loop: bool
    words: tuple[str, ...] = ()
    """What happens, of rows that no edge is drawn for."""

    @property
    def label(self) -> str:
        steps = f"step{'' if len(self.numbers) == 1 else 's'} {', '.join(map(str, self.numbers))}"
        return f"loop: {steps}" if self.in_loop else steps


@dataclass(frozen=True, slots=True)
class Marked:
    """What to draw in red. `title` says what is wrong."""

    title: str = ""
    states: frozenset[str] = frozenset()
    last: str = ""
    edges: Mapping[tuple[str, str], Taken] = field(default_factory=dict)

    def undrawn(self, drawn: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Taken]:
        """Edges of the way that no row of their own state draws: flow-wide rows, and returns."""
        known = frozenset(drawn)
        return {pair: taken for pair, taken in self.edges.items() if pair not in known}


NOTHING = Marked()


def marked(flow: Flow, finding: Finding) -> Marked:
    steps = [one for one in finding.counterexample if one.row is not None]
    edges: dict[tuple[str, str], list[Step]] = {}
    for one in steps:
        edges.setdefault((one.state, one.target), []).append(one)
    states = {name for one in finding.counterexample for name in (one.state, one.target)}
    last = finding.counterexample[-1].target if finding.counterexample else ""
    return Marked(
        f"{finding.code}: {finding.says.partition('. ')[0].rstrip('.')}.",
        frozenset(states),
        last,
        {pair: _taken(flow, some) for pair, some in edges.items()},
    )


def _taken(flow: Flow, steps: Sequence[Step]) -> Taken:
    wide = [one for one in steps if one.row is not None and flow.transitions[one.row].source == ANY]
    words = tuple(dict.fromkeys(f"{one.on or one.limit} (in any state)" for one in wide))
    return Taken(tuple(one.number for one in steps), any(one.in_loop for one in steps), words)


def shown_of(findings: Sequence[Finding], code: str) -> Finding:
    """The finding whose way is to be drawn. Raises `CallError` where there is none."""
    of_it = [one for one in findings if one.code == code]
    ways = [one for one in of_it if one.counterexample]
    if ways:
        return min(ways, key=lambda one: one.verdict != "refuted")
    known = ", ".join(dict.fromkeys(one.code for one in findings if one.counterexample))
    none = f"There is no answer to a question {code!r}."
    what = f"{code} is {of_it[0].verdict}: there is no way to draw." if of_it else none
    fix = f"Ways are known for {known}." if known else "Run `interlock check`: nothing is refuted that has a way to it."
    raise CallError(what, fix=fix)

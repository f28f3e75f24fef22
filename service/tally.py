"""What a backtest found, in numbers that can be added: of one piece of work, or of a whole history."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any, get_args

from ..fsm.backtest import Backtested, Turn
from ..fsm.turn_path import Verdict

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
TOP = 10
"""Conversations that are shown, those that differ most."""
MOST_PROBLEMS = 100
"""Problems that are told one by one; all are counted."""
_WEIGHT: Mapping[Verdict, int] = {
    "same": 0, "needs_tool": 2, "needs_model": 2, "unknown": 1, "rerouted": 4, "limit": 6, "illegal": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moved:
    """Where turns went that go elsewhere now, by the first label or state that differs."""

    by: str
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One conversation among those that differ most: `weight` sums over its turns what each verdict counts."""

    stream: str
    weight: int
    turns: tuple[Mapping[str, Any], ...]


@dataclass(slots=True)
class Tally:
    """Sums over conversations. `add` one, or another tally."""

    conversations: int = 0
    turns: int = 0
    decisions: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    differing: int = 0
    """Conversations with a turn that is not the same."""
    notes: Counter[str] = field(default_factory=Counter)
    """What else differs in turns that go the same way."""
    needs: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why turns are illegal, reach a limit or are not known."""
    moved: Counter[Moved] = field(default_factory=Counter)
    paid: int = 0
    """In billionths of the currency: what was paid, in all turns."""
    pays: int = 0
    pays_at_most: int = 0
    skipped: int = 0
    """Conversations that the selection by label left out."""
    forks: int = 0
    """Forks, which are left out: what they begin with is a copy, and what was said in them was said again."""
    broke: Counter[str] = field(default_factory=Counter)
    """The flow's policies, and the turns in which what was recorded breaks them."""
    breaks: Counter[str] = field(default_factory=Counter)
    """The same for what the flow would have done."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    failed: int = 0
    """Conversations that could not be backtested at all."""
    top: list[Difference] = field(default_factory=list)

    def take(self, found: Backtested) -> list[dict[str, Any]]:
        """Count one conversation; returns its turns that are not the same, as JSON shapes."""
        self.conversations += 1
        self.turns += found.turns
        self.decisions += found.decisions
        self.paid += found.paid
        self.pays += found.paid
        self.verdicts["same"] += found.turns - len(found.different)
        self.broke.update(found.broke)
        self.breaks.update(found.breaks)
        told = []
        for turn in found.different:
            self._turn(turn)
            if turn.verdict != "same":
                told.append(turn_document(turn))
        if told:
            self.differing += 1
            weight = sum(_WEIGHT[turn.verdict] for turn in found.different)
            self._keep([Difference(found.stream, weight, tuple(told))])
        return told

    def _turn(self, turn: Turn) -> None:
        self.verdicts[turn.verdict] += 1
        self.pays += turn.pays - turn.paid
        self.pays_at_most += turn.pays_at_most
        self.needs.update(turn.needs)
        if turn.verdict == "same":
            self.notes.update(turn.differs)
        elif turn.verdict == "rerouted":
            self.moved[Moved(turn.by, turn.was, turn.now)] += 1
        elif turn.verdict in ("illegal", "limit", "unknown"):
            self.reasons[turn.reason] += 1

    def could_not(self, stream: str, problem: str) -> None:
        self.failed += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append((stream, problem))

    def add(self, other: "Tally") -> None:
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self.moved.update(other.moved)
        self.problems = [*self.problems, *other.problems][:MOST_PROBLEMS]
        self._keep(other.top)

    def _keep(self, more: Iterable[Difference]) -> None:
        # The stream decides between equals, so that the result does not depend on who was ready first.
        self.top = nlargest(TOP, [*self.top, *more], key=lambda one: (one.weight, one.stream))

    def document(self) -> dict[str, Any]:
        """As JSON; `read_tally` gives it back."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            **{name: dict(sorted(getattr(self, name).items())) for name in _COUNTERS},
            "moved": [
                {"by": one.by, "was": one.was, "now": one.now, "turns": count}
                for one, count in sorted(self.moved.items(), key=lambda item: (-item[1], item[0].was, item[0].now))
            ],
            "problems": [{"id": stream, "what": what} for stream, what in self.problems],
            "top": [{"id": one.stream, "weight": one.weight, "turns": list(one.turns)} for one in self.top],
        }


_NUMBERS = (
    "conversations", "turns", "decisions", "differing", "paid", "pays", "pays_at_most", "skipped", "forks", "failed",
)  # fmt: skip
_COUNTERS = ("verdicts", "notes", "needs", "reasons", "broke", "breaks")


def read_tally(document: Mapping[str, Any]) -> Tally:
    """The tally that a document stands for."""
    tally = Tally(
        moved=Counter({Moved(one["by"], one["was"], one["now"]): one["turns"] for one in document["moved"]}),
        problems=[(one["id"], one["what"]) for one in document["problems"]],
        top=[Difference(one["id"], one["weight"], tuple(one["turns"])) for one in document["top"]],
    )
    for name in _NUMBERS:
        setattr(tally, name, document.get(name, 0))
    for name in _COUNTERS:
        setattr(tally, name, Counter(document[name]))
    return tally


def turn_document(turn: Turn) -> dict[str, Any]:
    """`{"version", "verdict", "by", "was", "now", "reason", "needs", "policies"}`: of what is empty, nothing."""
    found = {
        "version": turn.version,
        "verdict": turn.verdict,
        "by": turn.by,
        "was": turn.was,
        "now": turn.now,
        "reason": turn.reason,
        "needs": list(turn.needs),
    }
    return {name: value for name, value in found.items() if value or name == "version"}

"""Path suites: the shortest conversations in which every row of a flow is taken once, or every pair of rows.

They are found by doing: from each place that was reached, each act worth trying is tried on the real runtime. Two
places are the same where the state, what is asked and awaited, and every guard's answer are the same.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import Any

from ..contracts.errors import CallError
from ..contracts.events import TransitionTaken
from ..fsm.program import Program
from ..service.acts import Act, Writes
from .behaviour import Observer
from .coverage import Coverage, Pair, reachable
from .invariants import Invariant, faults_of
from .outside import Outside
from .possible import possible_by_kind, present, vocabulary
from .talk import Talk
from .values import guards_of, holds

MOST_RUNS = 4_000
_NOWHERE = 1_000_000
LONGEST = 24
"""Acts of a path at most."""
_KINDS = ("write", "answer", "decide", "input", "time", "operator", "resolve")
Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A conversation, and what it took that no earlier one had: rows, pairs of rows, states."""

    acts: tuple[Act, ...]
    new: frozenset[int | Pair | str]

    @property
    def messages(self) -> int:
        return sum(isinstance(one, Writes) for one in self.acts)


@dataclass
class Suite:
    """The paths in the order they were found, the shortest first; what they cover; and what did not hold."""

    program: Program
    coverage: Coverage
    paths: list[Path] = field(default_factory=list)
    runs: int = 0
    """Conversations that were tried."""
    faults: list[tuple[tuple[Act, ...], list[str]]] = field(default_factory=list)


def suite_of(
    program: Program,
    *,
    pairs: bool = False,
    most_runs: int = MOST_RUNS,
    seconds: float = 120,
    invariants: tuple[Invariant, ...] = (),
    starts: Callable[[Program], Talk] | None = None,
) -> Suite:
    """Conversations that take every row that exploring the flow finds (or every pair), as far as the budget goes.

    Each one is checked for everything that must always hold; what does not is in `faults`.
    """
    return _Search(program, pairs, most_runs, seconds, invariants, starts or (lambda one: Talk(one, Outside()))).run()


class _Search:
    def __init__(
        self,
        program: Program,
        pairs: bool,
        most_runs: int,
        seconds: float,
        invariants: tuple[Invariant, ...],
        starts: Callable[[Program], Talk],
    ) -> None:
        self.program, self.pairs, self.invariants, self.starts = program, pairs, invariants, starts
        self.suite = Suite(program, Coverage(program.flow))
        self.most_runs, self.until = most_runs, time.monotonic() + seconds
        self.steps: set[tuple[str, str]] = set()
        """What was seen to follow on what: a path that shows something new is kept, whatever rows it takes."""
        self.known: set[Place] = set()
        self.coarse: set[Place] = set()
        can = reachable(program.flow)
        self.wanted: set[Any] = set(can.pairs if pairs else can.rows)
        self.moves = can.moves
        self._far: tuple[int, dict[str, int]] = (-1, {})

    def run(self) -> Suite:
        """Every place once, the nearest first; then places like those again, those nearest to what is wanted first."""
        waiting: deque[tuple[Act, ...]] = deque([()])
        later: list[tuple[int, int, int, str, tuple[Act, ...]]] = []
        order = count()
        self.visit(())
        while (waiting or later) and self.wanted and not self.over:
            if waiting:
                acts = waiting.popleft()
            else:
                far, _, _, state, acts = heappop(later)
                if self.far(state) > far:  # what was wanted here was found meanwhile
                    heappush(later, (self.far(state), len(acts), next(order), state, acts))
                    continue
            for following, first, state in self.expanded(acts):
                if first:
                    waiting.append(following)
                elif self.far(state) < _NOWHERE:
                    heappush(later, (self.far(state), len(following), next(order), state, following))
        return self.suite

    @property
    def over(self) -> bool:
        return self.suite.runs >= self.most_runs or time.monotonic() > self.until

    def far(self, state: str) -> int:
        """How many rows lie between a state and one that is wanted, at least."""
        if self._far[0] != len(self.wanted):
            rows = {one[-1] if isinstance(one, tuple) else one for one in self.wanted}
            found = {source: 0 for source, row, _ in self.moves if row in rows}
            steps = 0
            while more := {one for one, _, there in self.moves if one not in found and there in found}:
                steps += 1
                found |= dict.fromkeys(more, steps)
            self._far = len(self.wanted), found
        return self._far[1].get(state, _NOWHERE)

    def expanded(self, acts: tuple[Act, ...]) -> Iterator[tuple[tuple[Act, ...], bool, str]]:
        """Each act tried from the end of `acts`; those that lead somewhere new."""
        talk = self.played(acts)
        if talk is None:
            return
        choices = self.choices(talk) if len(acts) < LONGEST else []
        talk.close()
        for act in choices:
            if not self.wanted or self.over:
                return
            place = self.visit((*acts, act))
            if place is not None and place not in self.known:
                self.known.add(place)
                first = place[:-1] not in self.coarse
                self.coarse.add(place[:-1])
                yield (*acts, act), first, place[1]

    def played(self, acts: tuple[Act, ...]) -> Talk | None:
        talk = self.starts(self.program)
        try:
            talk.play(acts)
        except CallError:
            talk.close()
            return None
        return talk

    def visit(self, acts: tuple[Act, ...]) -> Place | None:
        """Try one conversation: what it takes, whether all holds, and where it stands."""
        talk = self.played(acts)
        if talk is None:
            return None
        try:
            self.suite.runs += 1
            coverage = self.suite.coverage
            new = coverage.take(talk.events)
            coverage.conversations += 1
            coverage.acts += len(acts)
            taken = [one.row for one in talk.events if isinstance(one, TransitionTaken)]
            reached: set[Any] = set(pairwise(taken)) if self.pairs else set(taken)
            words = Observer(talk).new()
            steps = set(pairwise(words)) - self.steps
            if not acts or reached & self.wanted or steps:
                self.wanted -= reached
                self.steps |= steps
                self.suite.paths.append(Path(acts, frozenset(new)))
                if faults := faults_of(talk, self.invariants):
                    self.suite.faults.append((acts, faults))
            elif faults := faults_of(talk, self.invariants, ended=False):
                self.suite.faults.append((acts, faults))
            place = _place(talk)
            return None if talk.ended and not talk.outside.waiting else place
        finally:
            talk.close()

    def choices(self, talk: Talk) -> list[Act]:
        """Acts worth trying for a row: of many messages that mean the same, one."""
        found = possible_by_kind(talk)
        _, program, _ = present(talk) if not talk.ended else ("", self.program, None)
        kept: list[Act] = []
        for kind in _KINDS:
            acts = found.get(kind, ())
            if kind == "write" and len(acts) > len(program.flow.routers) and not _asks(talk):
                acts = tuple(one for one in acts if isinstance(one, Writes) and one.text in _plain_texts(program))
            elif kind in ("write", "answer"):
                acts = tuple(_one_of_each(talk, acts))
            kept += acts
        return kept


def _asks(talk: Talk) -> bool:
    return not talk.ended and present(talk)[2].visit.question is not None


def _plain_texts(program: Program) -> set[str]:
    """One message for each label, and one that none has."""
    labels = {label for router in program.flow.routers for label in router.labels}
    texts: dict[str, str] = {}
    for text, scores, scope in vocabulary(program).messages:
        if scope is None and scores is not None and len(scores) == 1:
            texts.setdefault(scores[0][0] if text.startswith("about ") else text.split()[0], text)
        elif scores is None:
            label = next((one for one in _ruled(program, text) if one in labels), "")
            texts.setdefault(label or f"other {len(texts)}", text)
    return set(texts.values())


def _ruled(program: Program, text: str) -> Iterator[str]:
    for router in program.flow.routers:
        for rule in (*router.escalations, *router.rules):
            if text in rule.any:
                yield rule.label


def _one_of_each(talk: Talk, acts: tuple[Act, ...]) -> Iterator[Act]:
    """Answers that give a fact a value of which every guard says the same are one; those at the bounds are kept."""
    if talk.ended:
        yield from acts
        return
    _, program, conversation = present(talk)
    question = conversation.visit.question
    if question is None or question.fact is None:
        yield from acts
        return
    words = vocabulary(program)
    values = dict(zip(words.answers(question.fact), words.values[question.fact], strict=True))
    telling = words.telling(question.fact)
    for act in acts:
        if isinstance(act, Writes) and act.text in values and values[act.text] not in telling:
            continue
        yield act


def _place(talk: Talk) -> Place:
    """Where a talk stands, as far as it matters for what can follow; what guards say is the last part."""
    stream, program, conversation = present(talk)
    visit = conversation.visit
    waiting = tuple(sorted((one.kind, one.name) for one in talk.outside.waiting))
    question = (visit.question.fact, visit.question.attempt) if visit.question else None
    said = tuple(holds(program.functions[guard.name], guard, conversation.facts) for guard in guards_of(program.flow))
    return (
        stream == talk.id,
        conversation.state,
        tuple(one.state for one in conversation.frames),
        waiting,
        question,
        visit.attempts,
        visit.fallback,
        len(visit.endorsed),
        len(conversation.issues),
        talk.ended,
        tuple(min(conversation.turn.visits.get(name, 0), most + 1) for name, most in vocabulary(program).counted),
        said,
    )

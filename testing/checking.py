"""Everything that can be asked of a flow without a test being written, one question after another.

Each question has its oracle: what the flow itself declares (sentences, rules, limits, policies), what its model can
do, and, where one is given, the behaviour that an earlier good run recorded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from ..contracts.errors import CallError, InterlockError
from ..contracts.flow import WaitState
from ..fsm.program import Program
from ..service.acts import Act, Writes
from .baseline import Baseline
from .behaviour import Observer, behaviour
from .coverage import Coverage
from .invariants import Invariant, faults_of
from .machine import Broke, FlowMachine, difference, machine_for
from .outside import Outside
from .paths import Suite, suite_of
from .routing import routed
from .sentences import not_as_said
from .shown import shown
from .talk import Talk


@dataclass(frozen=True, slots=True)
class Found:
    """Something wrong: what, found by which oracle after how many conversations, and the conversation."""

    oracle: str
    faults: tuple[str, ...]
    acts: tuple[Act, ...] = ()
    conversation: str = ""
    examples: int = 0
    expected: tuple[tuple[str, ...], ...] = ()
    """What is right before the first act and after each, where a baseline tells."""
    asserts: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """Calls of `guard_says` and `phrase_means`, without the flow, that hold once it is mended."""

    def __str__(self) -> str:
        lines = [f"{one}" for one in self.faults]
        return "\n".join((*lines, *(("", self.conversation) if self.conversation else ())))

    @property
    def messages(self) -> int:
        return sum(isinstance(one, Writes) for one in self.acts)


@dataclass
class Budget:
    """How much is tried: conversations of the machine and their steps, runs and seconds of the path suite."""

    examples: int = 100
    steps: int = 20
    runs: int = 1_500
    seconds: float = 60
    pairs: bool = False
    seed: int = 0


@dataclass
class Asked:
    """A flow and all that was found out about it."""

    program: Program
    budget: Budget = field(default_factory=Budget)
    baseline: Baseline | None = None
    invariants: tuple[Invariant, ...] = ()
    suite: Suite | None = None
    coverage: Coverage | None = None


def sentences(asked: Asked) -> Found | None:
    """Guards that contradict what they say."""
    found = not_as_said(asked.program)
    asserts = tuple(("guard_says", one.asserted) for one in found)
    return Found("sentence", tuple(str(one) for one in found), asserts=asserts) if found else None


def rules(asked: Asked) -> Found | None:
    """Phrases of a rule that are routed to another label than the rule's, where no earlier rule wants them."""
    program = asked.program
    faults: list[str] = []
    asserts: list[tuple[str, tuple[Any, ...]]] = []
    tried = 0
    if isinstance(program.states[program.flow.initial], WaitState):
        for router in program.flow.routers:
            every = (*router.escalations, *router.rules)
            for at, rule in enumerate(every):
                for phrase in rule.any[:4]:
                    if any(phrase in other.any for other in every[:at]):
                        continue
                    tried += 1
                    if (label := routed(program, phrase, router.name)) not in (rule.label, None):
                        faults.append(f"“{phrase}” is to mean {rule.label!r} and is routed to {label!r}")
                        asserts.append(("phrase_means", (router.name, phrase, rule.label)))
    return Found("rules", tuple(faults), examples=tried, asserts=tuple(asserts)) if faults else None


def guards_as_before(asked: Asked) -> Found | None:
    """Guards that say something else than they said of the same facts, where a conversation shows it too or not."""
    if asked.baseline is None:
        return None
    found = asked.baseline.other_guards(asked.program)
    asserts = tuple(
        ("guard_says", (one.guard.name, one.guard.arguments, dict(one.facts), one.said)) for one, _ in found
    )
    return Found("baseline guards", tuple(fault for _, fault in found), asserts=asserts) if found else None


def paths_as_before(asked: Asked) -> Found | None:
    """The first recorded conversation that goes another way today, as short as it can be."""
    if asked.baseline is None:
        return None
    for at, one in enumerate(asked.baseline.paths):
        if (faults := _another_way(asked.program, one.acts, one.does)) is not None:
            then = asked.baseline.program(asked.program.code)
            acts = one.acts[: faults[0]]
            if then is not None:
                acts = shorter(asked.program, then, acts)
            recorded = tuple(one.does[: len(acts) + 1])
            return _told(asked.program, "baseline paths", acts, faults[1], at + 1, then, recorded)
    return None


def _another_way(
    program: Program, acts: Iterable[Act], does: Iterable[tuple[str, ...]]
) -> tuple[int, list[str]] | None:
    """After how many acts what happens differs from what is expected, and how."""
    talk = Talk(program, Outside())
    observer = Observer(talk)
    try:
        expected = list(does)
        for at, act in enumerate((None, *acts)):
            try:
                if act is not None:
                    talk.do(act)
                now = observer.new()
            except InterlockError as error:
                now = (f"cannot be done: {error.what}",)
            if at < len(expected) and now != expected[at]:
                return at, difference(expected[at], now)
        return None
    finally:
        talk.close()


def shorter(program: Program, then: Program, acts: tuple[Act, ...]) -> tuple[Act, ...]:
    """Fewer acts after which the two still differ, each alone no longer needed."""
    changed = True
    while changed:
        changed = False
        for at in range(len(acts) - 1, -1, -1):
            fewer = (*acts[:at], *acts[at + 1 :])
            found = differs(program, then, fewer)
            if found is not None:
                acts, changed = fewer[: found[0]], True
                break
    return acts


def differs(program: Program, then: Program, acts: tuple[Act, ...]) -> tuple[int, list[str]] | None:
    """After how many of the acts two programs differ, and how; None where both do the same, or neither can."""
    now_, then_ = Talk(program, Outside()), Talk(then, Outside())
    sees, saw = Observer(now_), Observer(then_)
    try:
        for at, act in enumerate((None, *acts)):
            done = [_tried(one, act) for one in (now_, then_)]
            if done == [False, False]:
                return None  # it says nothing of a conversation that cannot be
            new, old = sees.new(), saw.new()
            if new != old:
                return at, difference(old, new)
            if False in done:
                return at, ["only one of the two can do this"]
        return None
    finally:
        now_.close()
        then_.close()


def _tried(talk: Talk, act: Act | None) -> bool:
    try:
        if act is not None:
            talk.do(act)
    except CallError:
        return False
    return True


def _told(
    program: Program,
    oracle: str,
    acts: tuple[Act, ...],
    faults: list[str],
    examples: int,
    then: Program | None = None,
    recorded: tuple[tuple[str, ...], ...] = (),
) -> Found:
    if then is not None and (found := differs(program, then, acts)) is not None:
        faults, recorded = found[1], as_it_was(then, acts)
    talk = Talk(program, Outside())
    try:
        for act in acts:
            if not _tried(talk, act):
                break
        return Found(oracle, tuple(faults), acts, shown(talk), examples, recorded)
    finally:
        talk.close()


def as_it_was(then: Program, acts: tuple[Act, ...]) -> tuple[tuple[str, ...], ...]:
    """What the acts lead to on the baseline's program."""
    talk = Talk(then, Outside())
    try:
        return tuple(behaviour(talk, acts))
    finally:
        talk.close()


def every_row(asked: Asked) -> Found | None:
    """A path suite on the real runtime: every row once, or every pair; the first path on which something breaks."""
    budget = asked.budget
    suite = asked.suite or suite_of(
        asked.program,
        pairs=budget.pairs,
        most_runs=budget.runs,
        seconds=budget.seconds,
        invariants=asked.invariants,
    )
    asked.suite, asked.coverage = suite, asked.coverage or suite.coverage
    for acts, faults in suite.faults:
        return _told(asked.program, "paths", acts, faults, suite.runs)
    return None


def anything(asked: Asked) -> Found | None:
    """The state machine: anything that can be done, in any order, with crashes; compared with the baseline's flow
    where there is one."""
    then = asked.baseline.program(asked.program.code) if asked.baseline is not None else None
    if asked.suite is None and then is None and (found := every_row(asked)) is not None:
        return found
    known = [one.acts for one in asked.suite.paths] if asked.suite is not None else []
    known = known or [one.acts for one in asked.baseline.paths] if asked.baseline is not None else known
    machine = machine_for(asked.program, invariants=asked.invariants, known=known)
    for one in _machines(machine, then):
        found = played(one, asked.budget)
        if asked.coverage is None:
            asked.coverage = one.coverage
        else:
            merge(asked.coverage, one.coverage)
        if found is not None:
            return found
    return None


def _machines(machine: type[FlowMachine], then: Program | None) -> Iterator[type[FlowMachine]]:
    if then is not None:
        fields: dict[str, Any] = {"baseline": then, "failed": [], "coverage": Coverage(machine.program.flow)}
        yield type("Compared", (machine,), fields)
    yield machine


def played(machine: type[FlowMachine], budget: Budget) -> Found | None:
    """Run a machine; the shortest conversation on which something broke."""
    before = machine.coverage.conversations

    def run() -> None:
        run_state_machine_as_test(
            seed(budget.seed)(machine),
            settings=settings(
                max_examples=budget.examples,
                stateful_step_count=budget.steps,
                deadline=None,
                database=None,
                print_blob=False,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.target, Phase.shrink),
            ),
        )

    try:
        run()
    except Broke:
        best = min(machine.failed, key=lambda one: (sum(isinstance(act, Writes) for act in one.acts), len(one.acts)))
        oracle = "random baseline" if machine.baseline is not None else "always"
        right = as_it_was(machine.baseline, best.acts) if machine.baseline is not None else ()
        tried = machine.coverage.conversations - before - len(machine.failed) + 1
        return Found(oracle, tuple(best.faults), best.acts, best.conversation, max(tried, 1), right)
    return None


def merge(into: Coverage, other: Coverage) -> None:
    for name in ("states", "rows", "pairs", "guards"):
        getattr(into, name).update(getattr(other, name))
    into.conversations += other.conversations
    into.acts += other.acts


QUESTIONS = {
    "guards_do_what_they_say": sentences,
    "rules_keep_their_labels": rules,
    "guards_say_what_they_said": guards_as_before,
    "conversations_go_as_before": paths_as_before,
    "rows_taken_break_nothing": every_row,
    "anything_may_happen": anything,
}
"""By name, in the order in which they are asked: the cheapest first."""


def first_fault(asked: Asked) -> Found | None:
    """Ask everything until something is wrong."""
    return next((found for question in QUESTIONS.values() if (found := question(asked)) is not None), None)


__all__ = ["QUESTIONS", "Asked", "Budget", "Found", "faults_of", "first_fault"]

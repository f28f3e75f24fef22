"""A Hypothesis state machine for any flow: it drives the real runtime with everything that people, models, tools, time
and crashes can do, checks after each step what must always hold, and steers towards cost and depth.

```python
TestBank = machine_for("bank").TestCase
```
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ..contracts.errors import CallError
from ..contracts.store import Store
from ..fsm.code import Code
from ..fsm.program import Program
from ..service.acts import Act, Writes
from . import strategies
from .behaviour import Observer
from .coverage import Coverage
from .invariants import Invariant, faults_of
from .outside import Outside
from .possible import possible_by_kind, present
from .scenario import FlowGiven, program_of
from .shown import shown
from .talk import Talk


class Broke(AssertionError):
    """Something that must always hold did not. `acts` lead there."""

    def __init__(self, program: Program, acts: tuple[Act, ...], faults: list[str], conversation: str) -> None:
        self.program, self.acts, self.faults, self.conversation = program, acts, faults, conversation
        super().__init__("\n".join((*(f"- {one}" for one in faults), "", conversation)))


class FlowMachine(RuleBasedStateMachine):
    """One conversation on one flow. Made for a flow by `machine_for`; subclasses may add rules and invariants."""

    program: ClassVar[Program]
    baseline: ClassVar[Program | None] = None
    coverage: ClassVar[Coverage]
    more: ClassVar[tuple[Invariant, ...]] = ()
    on_sqlite: ClassVar[bool] = False
    crashes: ClassVar[bool] = True
    known: ClassVar[tuple[tuple[Act, ...], ...]] = ()
    """Conversations to begin with, such as a path suite's."""
    failed: ClassVar[list[Broke]] = []
    """What broke, the last one shrunk the most."""

    def __init__(self) -> None:
        super().__init__()
        self._folder: Any = TemporaryDirectory() if self.on_sqlite else None
        self._store: Any = self._opened()
        self.talk = Talk(self.program, Outside(), store=self._store)
        self.twin = Talk(self.baseline, Outside()) if self.baseline is not None else None
        self._sees = Observer(self.talk)
        self._saw = Observer(self.twin) if self.twin is not None else None
        self._compare()
        self._broken = False
        self._known: tuple[int, dict[str, tuple[Act, ...]]] = (-1, {})

    def _opened(self) -> Store | None:
        if self._folder is None:
            return None
        from ..persistence.sqlite_store import SqliteStore

        return SqliteStore(Path(self._folder.name) / "log.db")

    # -- rules --------------------------------------------------------------------------------------

    def _kinds(self) -> dict[str, tuple[Act, ...]]:
        if self._known[0] != len(self.talk.acts):
            self._known = len(self.talk.acts), dict(possible_by_kind(self.talk))
        return self._known[1]

    @initialize(data=st.data())
    def has_gone_a_known_way(self, data: st.DataObject) -> None:
        """Begin where a path of the suite is, or somewhere on it: random acts alone seldom get far."""
        if self.known:
            path = data.draw(st.sampled_from(self.known))
            for act in path[: data.draw(st.integers(0, len(path)))]:
                self.act(act)

    @precondition(lambda self: not self.talk.ended)
    @rule(data=st.data())
    def customer_writes(self, data: st.DataObject) -> None:
        _, program, conversation = present(self.talk)
        likely = self._kinds().get("write", ())
        more = strategies.messages(program) if conversation.visit.question is None else st.sampled_from(likely)
        self.act(data.draw(st.one_of(st.sampled_from(likely), st.sampled_from(likely), more) if likely else more))

    @precondition(lambda self: bool(self.talk.outside.waiting))
    @rule(data=st.data())
    def somebody_answers(self, data: st.DataObject) -> None:
        likely = self._kinds()["answer"]
        self.act(data.draw(st.one_of(st.sampled_from(likely), st.sampled_from(likely), self._any_answer(data))))

    @precondition(lambda self: bool(self.talk.outside.waiting))
    @rule(data=st.data())
    def somebody_answers_plainly(self, data: st.DataObject) -> None:
        """Most conversations get somewhere only if most answers are good."""
        self.act(data.draw(st.sampled_from(self._kinds()["answer"][:4])))

    def _any_answer(self, data: st.DataObject) -> st.SearchStrategy[Act]:
        at = data.draw(st.integers(0, len(self.talk.outside.waiting) - 1))
        asked = self.talk.outside.waiting[at]
        nth = sum(one.kind == asked.kind and one.name == asked.name for one in self.talk.outside.waiting[:at])
        stream = asked.effect.rpartition(":")[0]
        program = self.talk.program_of(stream)
        if asked.kind == "tool":
            return strategies.tool_answers(program, self.talk.conversation(stream).state, asked.name, nth)
        return strategies.agent_answers(program, asked, nth)

    @precondition(lambda self: not self.talk.ended and self.talk.task is not None)
    @rule(data=st.data())
    def person_decides(self, data: st.DataObject) -> None:
        _, program, _ = present(self.talk)
        likely = st.sampled_from(self._kinds()["decide"])
        self.act(data.draw(st.one_of(likely, likely, strategies.decisions(program))))

    @precondition(lambda self: not self.talk.ended and "input" in self._kinds())
    @rule(data=st.data())
    def input_is_given(self, data: st.DataObject) -> None:
        self.act(data.draw(st.sampled_from(self._kinds()["input"])))

    @precondition(lambda self: not self.talk.ended)
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        self.act(data.draw(st.one_of(st.sampled_from(self._kinds()["time"]), strategies.delays())))

    @precondition(lambda self: not self.talk.ended and len(self.talk.acts) > 2 and "operator" in self._kinds())
    @rule(data=st.data(), really=st.integers(0, 5))
    def operator_intervenes(self, data: st.DataObject, really: int) -> None:
        if really == 5:
            self.act(data.draw(st.sampled_from(self._kinds()["operator"])))

    @precondition(lambda self: self.crashes and self.baseline is None)
    @rule(how=strategies.kills())
    def process_dies(self, how: Act) -> None:
        self.act(how)

    @precondition(lambda self: self.talk.ended)
    @rule()
    def customer_writes_after_the_end(self) -> None:
        self.act(Writes("Are you still there?"))

    @precondition(lambda self: bool(self.talk.left_undecided))
    @rule(data=st.data())
    def person_resolves(self, data: st.DataObject) -> None:
        self.act(data.draw(st.sampled_from(self._kinds()["resolve"])))

    # -- what each rule comes to ----------------------------------------------------------------------

    def act(self, act: Act) -> None:
        """Do it to the conversation, and to the same one on the baseline; then look at everything that must hold."""
        try:
            self.talk.do(act)
        except CallError:
            return  # nothing is due, or nobody was asked: no harm in trying
        except Exception as error:  # noqa: BLE001 - whatever the runtime raises is what is looked for
            self._break([f"the runtime raised {type(error).__name__}: {error}"])
        if faults := faults_of(self.talk, self.more, ended=False):
            self._break(faults)
        self._compare(act)

    def _compare(self, act: Act | None = None) -> None:
        if self.twin is None or self._saw is None:
            return
        try:
            if act is not None:
                self.twin.do(act)
        except CallError as error:
            self._break([f"the baseline cannot do this: {error.what}"])
        now, then = self._sees.new(), self._saw.new()
        if now != then:
            self._break(difference(then, now))

    def _break(self, faults: list[str]) -> None:
        self._broken = True
        broke = Broke(self.program, tuple(self.talk.acts), faults, shown(self.talk))
        type(self).failed.append(broke)
        raise broke

    def teardown(self) -> None:
        """Read and decide again the whole log, and count what was covered."""
        try:
            coverage = type(self).coverage
            coverage.take(self.talk.events)
            coverage.conversations += 1
            coverage.acts += len(self.talk.acts)
            conversation = self.talk.conversation()
            target(float(len(conversation.frames) * 10 + self.talk.conversation().turn.steps), label="depth")
            target(float(min(conversation.tokens, 10**9)), label="tokens")
            if not self._broken and (faults := faults_of(self.talk, self.more)):
                self._break(faults)
        finally:
            self.close()

    def close(self) -> None:
        for one in (self.talk, self.twin):
            if one is not None:
                one.close()
        if self._folder is not None:
            self._store.close()
            self._folder.cleanup()


def difference(then: Iterable[str], now: Iterable[str]) -> list[str]:
    """Where what happens now first differs from what happened on the baseline."""
    before, after = list(then), list(now)
    at = next((at for at, (one, two) in enumerate(zip(before, after, strict=False)) if one != two), None)
    at = min(len(before), len(after)) if at is None else at
    was = before[at] if at < len(before) else "nothing more"
    is_ = after[at] if at < len(after) else "nothing more"
    return [f"the baseline {plain(was)}; today it {plain(is_)}"]


def plain(words: str) -> str:
    """The recorded words of a move as a person reads them: an ordinary one needs no mark."""
    for move, meaning in _MOVES.items():
        if words.endswith(f" ({move})"):
            return words[: -len(move) - 3] + meaning
    return words


_MOVES = {"go": "", "push": ", in a digression", "return": ", back from a digression", "leave": ", leaving digressions"}


def machine_for(
    flow: FlowGiven,
    code: Code | None = None,
    *,
    invariants: Iterable[Invariant] = (),
    baseline: Program | None = None,
    sqlite: bool = False,
    crashes: bool = True,
    known: Iterable[tuple[Act, ...]] = (),
) -> type[FlowMachine]:
    """The machine of one flow. Its `TestCase` is what pytest and unittest collect; set `settings` on that.

    `invariants` are functions of the talk that list what does not hold. With `baseline`, an earlier program of the
    flow, every step must do the same there. `sqlite` keeps each conversation in a file, as a process that dies does.
    """
    program = program_of(flow, code)
    fields: dict[str, Any] = {
        "program": program,
        "baseline": baseline,
        "coverage": Coverage(program.flow),
        "more": tuple(invariants),
        "on_sqlite": sqlite,
        "crashes": crashes,
        "known": ((), *known),
        "failed": [],
    }
    return type(f"{program.ref.name.title().replace('_', '')}Machine", (FlowMachine,), fields)

"""The language of tests: given a flow and what stands around it, when people write and others answer, then.

```python
def test_a_small_refund_is_paid_without_review():
    with Scenario("bank", tools={"verify_customer": {"verified": True}}) as talk:
        talk.customer_writes("I want my money back", classified={"refund": 0.9})
        talk.customer_writes("Maria Keller").customer_writes("12345678")
        talk.customer_writes("42.50").customer_writes("faulty").customer_writes("yes")
        talk.tool_answers("find_payment", {"payment_found": True})
        talk.then(called=("pay_refund", {"account_number": "12345678", "amount": 4250}))
        talk.tool_answers("pay_refund", {"paid": True})
        talk.then(state="refund_paid", said="Done: €42.50 is on its way back to your account. Anything else?")
```

The real runtime runs it, on a store in memory and a clock that stands still. Nothing outside is called: a model or a
tool that is asked waits for its answer, which is given beforehand (`agents=`, `tools=`) or when it is due.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..agents.scripted import Answer, Script
from ..contracts.agents import Agent
from ..contracts.commands import Actor
from ..contracts.errors import CallError
from ..contracts.events import LimitReached, ReplySent, TransitionTaken
from ..contracts.flow import Flow
from ..contracts.store import Store
from ..contracts.values import listed
from ..fsm.code import Code
from ..fsm.program import Program, compiled
from ..service.acts import Act, AgentAnswers, Crashes, Decides, Gives, Passes, Resolves, ToolAnswers, Writes
from ..service.project import Project, load_project
from .behaviour import Observer
from .holding import log_faults
from .invariants import faults_of
from .outside import Outside, calls_of, written_answer
from .shown import printable_lines, shown
from .talk import CONVERSATION, Talk
from .virtual import START

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
FlowGiven = str | Path | Project | Program | Flow


class Scenario:
    """One conversation and what is expected of it.

    `flow` is what `load_project` takes, a program, or a flow with its `code`. `agents` and `tools` answer at once:
    an answer, a function, or for agents a whole scripted agent. Tools that are not named wait for `tool_answers`,
    unless `real_tools` lets the flow's own functions run. Use it in a `with`, or call `close`.
    """

    def __init__(
        self,
        flow: FlowGiven,
        *,
        code: Code | None = None,
        facts: Mapping[str, Any] | None = None,
        agents: Agent | Mapping[str, Answer | Script] | None = None,
        tools: Mapping[str, Any] | None = None,
        real_tools: bool = False,
        clock: datetime = START,
        tenant: str | None = None,
        customer: str = "customer",
        conversation: str = CONVERSATION,
        store: Store | None = None,
    ) -> None:
        program = program_of(flow, code)
        _all_known("tool", tools or (), _names_of(program, lambda one: one.code.tools))
        if isinstance(agents, Mapping):
            _all_known("agent", agents, _names_of(program, lambda one: [spec.name for spec in one.flow.agents]))
        self._labels = _names_of(program, _labels_of)
        actor = Actor(kind="human", id=customer)
        self.customer = customer
        self.talk = Talk(
            program,
            Outside(agents, tools, real_tools=real_tools),
            facts=facts,
            starts=clock,
            tenant=tenant,
            store=store,
            actor=actor,
            conversation=conversation,
        )
        self._observer = Observer(self.talk)
        self._seen = 0
        self._called = 0

    # -- when ---------------------------------------------------------------------------------------

    def do(self, act: Act) -> "Scenario":
        """Any act, as a value."""
        try:
            self.talk.do(act)
        except CallError as error:
            raise AssertionError(f"{error}\n\n{shown(self.talk)}") from error
        return self

    def customer_writes(
        self,
        text: str,
        *,
        classified: Mapping[str, float | str] | None = None,
        scope: float | str | None = None,
        who: str = "",
    ) -> "Scenario":
        """A customer writes. `classified` is what the classifier is to say of it: scores by label."""
        _all_known("label", classified or (), self._labels)
        scores = None if classified is None else {label: f"{float(score):.6f}" for label, score in classified.items()}
        like = None if scope is None else f"{float(scope):.6f}"
        return self.do(Writes(text, who or self.customer, scores, like))

    def agent_answers(
        self,
        agent: str,
        answer: Any = "",
        *,
        calls: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
        refused: bool = False,
        usage: tuple[int, int] | None = None,
        nth: int = 0,
    ) -> "Scenario":
        """A model that was asked answers: a mapping as JSON, a text as it is, or tools that it `calls`."""
        pairs = tuple(calls.items()) if isinstance(calls, Mapping) else tuple(calls)
        text = written_answer(answer)
        return self.do(AgentAnswers(agent, text, calls_of(pairs), refused=refused, usage=usage, nth=nth))

    def agent_fails(
        self,
        agent: str,
        reason: str = "server_error",
        *,
        kind: str = "failed",
        retry_after_seconds: int | None = None,
        nth: int = 0,
    ) -> "Scenario":
        """The attempt at the model ends without an answer. Of one that hangs, let the `time_passes`."""
        return self.do(AgentAnswers(agent, fails=kind, reason=reason, retry_after_seconds=retry_after_seconds, nth=nth))

    def tool_answers(self, tool: str, result: Any = None, *, nth: int = 0) -> "Scenario":
        return self.do(ToolAnswers(tool, result, nth=nth))

    def tool_fails(self, tool: str, error: str = "RuntimeError", *, nth: int = 0) -> "Scenario":
        """The tool raises an error of that name. Of one that hangs, let the `time_passes`."""
        return self.do(ToolAnswers(tool, fails=error, nth=nth))

    def person_decides(
        self, decision: str, *, who: str = "colleague", roles: Iterable[str] | None = None, reason: str = ""
    ) -> "Scenario":
        """Somebody decides the open task, as it was shown to them; by default with the role that it asks for."""
        return self.do(Decides(decision, who, None if roles is None else tuple(roles), reason))

    def input_given(self, name: str, facts: Mapping[str, Any] | None = None) -> "Scenario":
        """An input that is no message: another system's, or an operator's (`operator_kill`, ...)."""
        return self.do(Gives(name, dict(facts or {})))

    def time_passes(self, how_long: float | str | timedelta) -> "Scenario":
        """Seconds, or as flows write it (`30m`, `4h`). What is due meanwhile is done at its moment."""
        return self.do(Passes(seconds_of(how_long)))

    def deadline_passes(self) -> "Scenario":
        """Time passes until the next deadline, which is met by nobody."""
        return self.do(Passes())

    def crash_and_restart(self, *, at_write: int = 0) -> "Scenario":
        """The process dies now, or at its so-many-th write from now on; another one recovers what it left."""
        return self.do(Crashes(at_write))

    def person_resolves(self, how: str) -> "Scenario":
        """Somebody says what became of the effect that the crash left: `again`, `done` or `failed`."""
        return self.do(Resolves(how))

    # -- then ---------------------------------------------------------------------------------------

    def then(
        self,
        *,
        state: str | None = None,
        said: str | Sequence[str] | None = None,
        path: Sequence[str] | None = None,
        facts: Mapping[str, Any] | None = None,
        unknown: str | Iterable[str] = (),
        called: str | tuple[str, Mapping[str, Any]] | None = None,
        not_called: str | None = None,
        waiting: str | Iterable[str] | None = None,
        limit: str | None = None,
        task: str | Iterable[str] | None = None,
        standing: str | None = None,
        ended: bool | None = None,
    ) -> "Scenario":
        """What is true now; what happened is meant since the last `then`. All that does not hold is listed.

        `said` is one reply that was sent, or all of them in order; `path` all moves as `on → state`; `facts` what is
        known of these; `unknown` what is not; `called` a tool that was run, with these arguments; `waiting` who was
        asked and has not answered; `limit` one that was reached; `task` the role that the open task asks for, or its
        decisions. That the log verifies and replays is looked at each time.
        """
        talk = self.talk
        events = talk.events[self._seen :]
        faults = log_faults(talk)
        faults += _differs("state", talk.state, state)
        faults += _differs("ended", talk.ended, ended)
        faults += _differs("standing", talk.outcome.standing if standing is not None else None, standing)
        faults += self._said(said, sum(isinstance(one, ReplySent) for one in events))
        moved = [f"{one.on} → {one.target}" for one in events if isinstance(one, TransitionTaken)]
        faults += _differs("path", moved, None if path is None else list(path))
        faults += self._knows(facts or {}, (unknown,) if isinstance(unknown, str) else tuple(unknown))
        faults += self._calls(called, not_called)
        asked = sorted(one.name for one in talk.outside.waiting)
        faults += _differs("waiting", asked, None if waiting is None else sorted(_names(waiting)))
        limits = [one.limit for one in events if isinstance(one, LimitReached)]
        if limit is not None and limit not in limits:
            faults.append(f"the limit {limit!r} was not reached; reached were: {limits or 'none'}")
        faults += self._task(task)
        self._seen, self._called = len(talk.events), len(talk.outside.called)
        if faults:
            raise AssertionError("\n".join(("This does not hold:", *(f"  - {one}" for one in faults), "", shown(talk))))
        return self

    def happens(self, *words: str) -> "Scenario":
        """Exactly this happened since the last `happens`, in the words of a baseline."""
        found = self._observer.new()
        if found != words:
            at = next((at for at, (one, two) in enumerate(zip(found, words, strict=False)) if one != two), None)
            at = min(len(found), len(words)) if at is None else at
            right, now = ((*one, "nothing more")[at] for one in (words, found))
            raise AssertionError(f"It should be: {right}\nIt is: {now}\n\n{shown(self.talk)}")
        return self

    def keeps_what_must_hold(self) -> "Scenario":
        """Nothing is broken that must hold of any conversation: limits, policies, one run per key, the log."""
        if faults := faults_of(self.talk):
            raise AssertionError("\n".join((*(f"- {one}" for one in faults), "", shown(self.talk))))
        return self

    def _said(self, expected: str | Sequence[str] | None, replies: int) -> list[str]:
        if expected is None:
            return []
        ours = [one.text for one in self.talk.lines() if one.who == "we"]
        found = ours[len(ours) - replies :]
        if isinstance(expected, str):
            return [] if expected in found else [f"said: {expected!r} was not said; said was {found!r}"]
        return _differs("said", found, list(expected))

    def _knows(self, facts: Mapping[str, Any], unknown: Sequence[str]) -> list[str]:
        known = self.talk.fact_words() if facts or unknown else {}
        wrong = [
            f"the fact {name!r} is {known.get(name, 'unknown')!r}, not {value!r}"
            for name, value in facts.items()
            if name not in known or known[name] != value
        ]
        return wrong + [f"the fact {name!r} is known: {known[name]!r}" for name in unknown if name in known]

    def _calls(self, called: str | tuple[str, Mapping[str, Any]] | None, not_called: str | None) -> list[str]:
        found = self.talk.outside.called[self._called :]
        names = [one.tool for one in found]
        faults = [f"the tool {not_called!r} was called"] if not_called in names else []
        if isinstance(called, str) and called not in names:
            faults.append(f"the tool {called!r} was not called; called were: {names or 'none'}")
        if isinstance(called, tuple) and not any(one.tool == called[0] and one.arguments == called[1] for one in found):
            with_what = [(one.tool, dict(one.arguments)) for one in found]
            faults.append(f"the tool {called[0]!r} was not called with {dict(called[1])!r}; called were: {with_what}")
        return faults

    def _task(self, expected: str | Iterable[str] | None) -> list[str]:
        if expected is None:
            return []
        task = self.talk.task
        if task is None:
            return [f"no task is open; expected was one for {expected!r}"]
        if isinstance(expected, str):
            return _differs("task", task.role, expected)
        return _differs("decisions of the task", sorted(task.decisions), sorted(expected))

    # -- and ----------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.talk.state

    def __str__(self) -> str:
        """The conversation as a person reads it."""
        return shown(self.talk)

    def close(self) -> None:
        self.talk.close()

    def __enter__(self) -> "Scenario":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def program_of(flow: FlowGiven, code: Code | None = None) -> Program:
    """The program that a test names, however it names it."""
    if isinstance(flow, Program):
        return flow
    if isinstance(flow, Project):
        return flow.program
    if isinstance(flow, Flow):
        return compiled(flow, code or Code())
    return load_project(str(flow)).program


def _names_of(program: Program, names: Callable[[Program], Iterable[str]]) -> tuple[str, ...]:
    """Names that the flow and its child flows have, at any depth."""
    found = set(names(program)).union(*(_names_of(one, names) for one in program.children.values()))
    return tuple(sorted(found))


def _labels_of(program: Program) -> Iterator[str]:
    """What a classifier may say: the labels of the routers, and of the classifiers themselves."""
    for router in program.flow.routers:
        yield from router.labels
    for classifier in program.code.classifiers.values():
        yield from classifier.labels


def _all_known(what: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"Did you mean {near[0]!r}?" if near else f"Name one of these, or add the {what} to the flow."
            raise CallError(f"The flow has no {what} {name!r}; it has {listed(known, 'none')}.", fix=meant)


def seconds_of(how_long: float | str | timedelta) -> float:
    """Seconds of `90`, `"90s"`, `"30m"`, `"4h"`, `"1d"` or a `timedelta`."""
    if isinstance(how_long, timedelta):
        return how_long.total_seconds()
    if not isinstance(how_long, str):
        return how_long
    number, unit = how_long[:-1], how_long[-1:]
    if unit not in _UNITS or not number.isdecimal():
        raise CallError(f"{how_long!r} is no time.", fix="Write it as `45s`, `30m`, `4h` or `1d`, or give seconds.")
    return int(number) * _UNITS[unit]


def _differs(what: str, found: Any, expected: Any) -> list[str]:
    if expected is None or found == expected:
        return []
    return [f"{what}: {printable_lines(json_words(found))}, not {printable_lines(json_words(expected))}"]


def json_words(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)

"""A small flow with every kind of state, runtimes on it, and what must hold of a log after any run.

`mini()` gives the program; `Bank` stands in for what tools change outside. `check_log(store, programs)`
is called at the end of each test: whatever happened, these things are true.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.commands import Actor
from interlock.contracts.events import Event, TransitionTaken
from interlock.contracts.store import Append, Store, StoredEntry, Summary
from interlock.contracts.subflow import PARENT_LEFT
from interlock.contracts.tools import Tool, ToolContext
from interlock.fsm.code import Code
from interlock.fsm.conversation import Conversation
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.fsm.replay import Recorded, redecide
from interlock.persistence.verify import verify
from interlock.service.loading import recorded
from interlock.service.projection import summary_of

CLERK = Actor(kind="human", id="clerk-7", roles=("clerk",))
OPERATOR = Actor(kind="human", id="operator-1", roles=("operator",))
STRANGER = Actor(kind="human", id="stranger-3", roles=("visitor",))

MINI = """
flow: mini
version: {version}
owner: tests
initial: start
limits: {limits}
digressions: {digressions}

facts:
  city:    {{type: text, says: your city, ask: "Which city?", volunteered: false}}
  amount:  {{type: money, says: the amount, ask: "How much?", minimum: "0.01", maximum: "9000.00"}}
  paid:    {{type: yes_no, says: whether it was paid, volunteered: false}}

agents:
  helper:
    model: small
    instructions: Help.
    contract: Answer
    handles: [questions]
    max_input_tokens: {input_tokens}
    max_output_tokens: 100
    price: {{input: "1.00", output: "2.00", dated: 2026-11}}
  expert:
    model: large
    instructions: Know everything.
    contract: Answer
    handles: [hard questions]
    history: window
    window: 2
    max_input_tokens: 10000
    max_output_tokens: 100

routers:
  triage:
    labels:
      {{help: help, ask_expert: an expert, pay: paying, form: a form, person: a person, bye: nothing, once: a thing}}
    rules:
      - {{label: person, any: [person]}}
      - {{label: form, any: [form]}}
      - {{label: pay, any: [pay]}}
      - {{label: once, any: [once]}}
      - {{label: ask_expert, any: [expert]}}
      - {{label: help, any: [help, question]}}
      - {{label: bye, any: [bye]}}

states:
  start:   {{kind: wait, deadline: 30m, say: "Hello.", inputs: [signed_in]}}
  triage:  {{kind: route, router: triage}}
  helper:  {{kind: agent, agent: helper, tools: [look_up, pay], reads: [city, amount], attempts: {attempts},
            timeout: {timeout}}}
  expert:  {{kind: agent, agent: expert, tools: [], reads: [city], attempts: 1, timeout: 10s}}
  pay:     {{kind: call, tool: pay, reads: [amount], timeout: 10s}}
  once:    {{kind: call, tool: pay_unkeyed, reads: [amount], timeout: 10s}}
  form:    {{kind: collect, facts: [city, amount], attempts: 3, deadline: 15m}}
  desk:    {{kind: human, role: clerk, decisions: [resolved, close], shows: [city, amount], deadline: 4h,
            say: "A clerk comes.", meanwhile: "The clerk comes soon."}}
  more:    {{kind: wait, deadline: 15m, say: "Anything else?"}}
  bye:     {{kind: final, say: "Goodbye."}}
  silent:  {{kind: final, say: "You went silent."}}
  stopped: {{kind: final, say: "Stopped."}}

transitions:
  - [start,  message,    otherwise,     triage,      P-1]
  - [start,  signed_in,  otherwise,     more,        P-1]
  - [more,   message,    otherwise,     triage,      P-1]
  - [triage, help,       otherwise,     helper,      P-2]
  - [triage, ask_expert, otherwise,     expert,      P-2]
  - [triage, pay,        otherwise,     pay,         P-2]
  - [triage, once,       otherwise,     once,        P-2]
  - [triage, form,       otherwise,     form,        P-2]
  - [triage, bye,        otherwise,     bye,         P-2]
  - [triage, unsure,     otherwise,     more,        P-2]
  - [helper, done,       in_digression, return,      P-3]
  - [helper, done,       otherwise,     more,        P-3]
  - [helper, unsure,     otherwise,     expert,      P-3]
  - [expert, done,       in_digression, return,      P-3]
  - [expert, done,       otherwise,     more,        P-3]
  - [expert, unsure,     otherwise,     helper,      P-3]
  - [pay,    done,       otherwise,     more,        P-4]
  - [once,   done,       otherwise,     more,        P-4]
  - [form,   complete,   otherwise,     more,        P-5]
  - [desk,   resolved,   otherwise,     more,        P-6]
  - [desk,   close,      otherwise,     bye,         P-6]
  - [desk,   expired,    otherwise,     silent,      P-6]
  - [any,    person,     otherwise,     desk,        P-7]
  - [any,    blocked,    otherwise,     more,        P-8]
  - [any,    gave_up,    otherwise,     more,        P-8]
  - [any,    declined,   otherwise,     more,        P-8]
  - [any,    expired,    otherwise,     silent,      P-8]
  - [any,    refused,    otherwise,     desk,        P-8]
  - [any,    invalid,    otherwise,     desk,        P-8]
  - [any,    failed,     otherwise,     desk,        P-8]
  - [any,    timeout,    otherwise,     desk,        P-8]
  - [any,    over_budget, otherwise,    desk,        P-8]
  - [any,    limit,      otherwise,     {limit_goes_to}, P-9]
  - [any,    operator_human, otherwise, desk,        P-9]
  - [any,    operator_kill,  otherwise, stopped,     P-9]
"""


class Answer(AgentResult):
    """What both agents answer."""

    city: str = ""


@dataclass
class Bank:
    """What tools change outside: every call with its key, and what the payments come to."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    paid: dict[str, int] = field(default_factory=dict)
    answer: Any = None
    """What the tools give instead of their usual result."""
    lock: Lock = field(default_factory=Lock)

    def called(self, name: str, key: str) -> Any:
        with self.lock:
            self.calls.append((name, key))
        if callable(self.answer):
            return self.answer(name)
        return self.answer

    def tools(self) -> Sequence[Tool]:
        @tool(says="Looks something up.")
        def look_up(what: str, context: ToolContext) -> Any:
            return self.called("look_up", context.idempotency_key) or {"found": what}

        @tool(consequential=True, says="Pays once for each key.")
        def pay(context: ToolContext, amount: int = 1) -> Any:
            given = self.called("pay", context.idempotency_key)
            self.paid.setdefault(context.idempotency_key, amount)
            return given or {"paid": True}

        @tool(consequential=True, keyed=False, says="Pays, and knows no key.")
        def pay_unkeyed(context: ToolContext, amount: int = 1) -> Any:
            given = self.called("pay_unkeyed", context.idempotency_key)
            self.paid.setdefault(context.idempotency_key, amount)
            return given or {"paid": True}

        @tool(consequential=True, says="No state may use it.")
        def erase_everything(context: ToolContext) -> Any:
            return self.called("erase_everything", context.idempotency_key) or {"erased": True}

        return look_up, pay, pay_unkeyed, erase_everything

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


def code_with(bank: Bank) -> Code:
    return Code.of(tools=bank.tools(), contracts=[Answer])


def mini(
    bank: Bank | None = None,
    *,
    limits: str = "{turn_seconds: 5m}",
    version: int = 1,
    attempts: int = 2,
    timeout: str = "10s",
    input_tokens: int = 10_000,
    limit_goes_to: str = "desk",
    digressions: str = "triage",
    rows: str = "",
    more_rows: str = "",
    more_states: str = "",
    own_help: bool = True,
) -> Program:
    """The small flow as a program. `limits` is the flow's own table of them; `rows` are added in front and
    `more_rows` behind; without `own_help` the route state has no row of its own for the label `help`."""
    return mini_with(
        code_with(bank or Bank()),
        limits=limits,
        version=version,
        attempts=attempts,
        timeout=timeout,
        input_tokens=input_tokens,
        limit_goes_to=limit_goes_to,
        digressions=digressions,
        rows=rows,
        more_rows=more_rows,
        more_states=more_states,
        own_help=own_help,
    )


def mini_with(
    code: Code,
    *,
    limits: str = "{turn_seconds: 5m}",
    version: int = 1,
    attempts: int = 2,
    timeout: str = "10s",
    input_tokens: int = 10_000,
    limit_goes_to: str = "desk",
    digressions: str = "triage",
    rows: str = "",
    more_rows: str = "",
    more_states: str = "",
    own_help: bool = True,
) -> Program:
    """The same flow on other code, which must hold the tools and the contract that it names."""
    text = MINI.format(
        limits=limits,
        version=version,
        attempts=attempts,
        timeout=timeout,
        input_tokens=input_tokens,
        limit_goes_to=limit_goes_to,
        digressions=digressions,
    )
    if not own_help:
        text = text.replace("  - [triage, help,       otherwise,     helper,      P-2]\n", "")
    text = text.replace("\ntransitions:\n", f"{more_states}\ntransitions:\n{rows}", 1) + more_rows
    return compiled(read_flow(text, code).flow, code)


# -- what holds after any run --------------------------------------------------------------------------


@dataclass(frozen=True)
class LogChecked:
    """What `check_log` went through."""

    conversations: int = 0
    events: int = 0
    decisions: int = 0
    folds: Mapping[str, Conversation] = field(default_factory=dict)


def check_log(store: Store, programs: Program | Iterable[Program], streams: Iterable[str] | None = None) -> LogChecked:
    """The chain verifies with its projection, deciding again differs nowhere, no version is missing, every
    state is one that the flow declares, and nothing stands where nobody would ever move it."""
    known = {one.ref.digest: one for one in ((programs,) if isinstance(programs, Program) else programs)}
    names = tuple(streams) if streams is not None else tuple(store.streams())

    def projected(entries: Sequence[StoredEntry]) -> Summary:
        return _projected(known, entries)

    verified = verify(store, streams=names, projected=projected)
    assert verified.ok, verified.broken
    events = decisions = 0
    folds: dict[str, Conversation] = {}
    for stream in names:
        entries = store.read(stream)
        assert [entry.version for entry in entries] == list(range(len(entries)))
        opened = recorded(entries)
        program = known[opened[0].envelope.flow]
        again = redecide(program, stream, opened)
        assert again.divergences == 0, str(again.divergence)
        _states_declared(program, opened)
        _can_go_on(program, again.conversation)
        folds[stream] = again.conversation
        events += len(entries)
        decisions += again.decisions
    return LogChecked(len(names), events, decisions, folds)


def _projected(known: Mapping[str, Program], entries: Sequence[StoredEntry]) -> Summary:
    opened = recorded(entries)
    program = known[opened[0].envelope.flow]
    conversation = redecide(program, entries[0].stream, opened).conversation
    return summary_of(conversation, entries[-1].at, entries[0].at, "")


def _states_declared(program: Program, entries: Sequence[Recorded]) -> None:
    for entry in entries:
        if isinstance(entry.event, TransitionTaken):
            assert {entry.event.source, entry.event.target} <= program.states.keys()


def _can_go_on(program: Program, conversation: Conversation) -> None:
    """Ended, or a deadline runs, or an effect is in hand: there is always something that moves it."""
    assert conversation.state in program.states
    if conversation.status == "ended":
        left = conversation.failing is not None and conversation.failing.reason == PARENT_LEFT
        assert left or program.states[conversation.state].kind == "final"
        return
    assert conversation.pending or conversation.visit.timer is not None, (
        f"{conversation.id} stands in {conversation.state!r}, and nothing will ever move it"
    )


def events_of(store: Store, stream: str) -> list[Event]:
    return [one.event for one in recorded(store.read(stream))]


def of_type(store: Store, stream: str, kind: type[Any]) -> list[Any]:
    """The stream's events of one type, in order."""
    return [event for event in events_of(store, stream) if isinstance(event, kind)]


def path_of(store: Store, stream: str) -> list[str]:
    """The states that the conversation went through, as `on>target`."""
    return [f"{event.on}>{event.target}" for event in of_type(store, stream, TransitionTaken)]


class FailingStore:
    """A store whose disk fails when told: `refuses` says for which appends. All else is the real one's."""

    def __init__(self, store: Any, error: Exception) -> None:
        self._store, self.error = store, error
        self.broken = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def refuses(self, append: Append) -> bool:
        return self.broken

    def enqueue(self, append: Append) -> Any:
        if self.refuses(append):
            self.refused += 1
            raise self.error
        return self._store.enqueue(append)

    def append(self, append: Append) -> int:
        length: int = self.enqueue(append).result()
        return length


def remove(path: Path) -> None:
    """A database file and what lies beside it."""
    for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(FileNotFoundError):
            file.unlink()

"""Three flows inside one another: a desk that lets a team work, whose worker pays. Each has its own log.

`desk(world)` gives the program at the top; `check_family(store, program)` holds after any run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from interlock.agents.scripted import ScriptedAgent, gives, rules, when
from interlock.agents.tools import tool
from interlock.contracts.events import ConversationEnded, ConversationStarted, MessageReceived, ReplySent
from interlock.contracts.store import Store
from interlock.contracts.subflow import PARENT_LEFT
from interlock.contracts.subflow_events import SubflowEnded, SubflowReplied, SubflowStarted
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code, Subflow
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled, with_children
from interlock.fsm.subflow import child_id
from interlock.service.runtime import Runtime
from support.runtime import Answer, check_log, events_of

_ENDS = """
  - [any, expired,  otherwise, {bad}, Z-1]
  - [any, blocked,  otherwise, {bad}, Z-1]
  - [any, unsure,   otherwise, {bad}, Z-1]
  - [any, limit,    otherwise, {bad}, Z-2]
"""
DESK = """
flow: desk
version: 1
owner: tests
initial: start
limits: {limits}
facts:
  city:   {{type: text, ask: "Which city?", says: your city, volunteered: false}}
  amount: {{type: money, ask: "How much?", minimum: "0.01", maximum: "9000.00"}}
  note:   {{type: text, volunteered: false}}
  paid:   {{type: yes_no, volunteered: false}}
subflows: {{team: team.yaml}}
states:
  start:   {{kind: wait, say: "Hello.", deadline: 30m}}
  working: {{kind: subflow, flow: team, reads: [city, amount], returns: [paid, note], deadline: {deadline}}}
  more:    {{kind: wait, say: "Anything else?", deadline: 30m}}
  clerk:   {{kind: human, role: clerk, decisions: [resolved, close], say: "A clerk comes.", deadline: 4h}}
  closed:  {{kind: final, say: "Goodbye."}}
  broken:  {{kind: final, say: "We are sorry.", failure: true}}
  stopped: {{kind: final, say: "Stopped."}}
transitions:
  - [start,   message,   otherwise, working, D-1]
  - [more,    message,   otherwise, working, D-1]
  - [working, solved,    otherwise, more,    D-2]
  - [working, unsolved,  otherwise, {unsolved}, D-3]
  - [working, failed,    otherwise, {failed},   D-4]
  - [more,    expired,   otherwise, broken,  D-1]
  - [clerk,   resolved,  otherwise, more,    D-5]
  - [clerk,   close,     otherwise, closed,  D-5]
  - [any, operator_kill,  otherwise, stopped, D-6]
  - [any, operator_human, otherwise, clerk,   D-6]
  - [any, expired,        otherwise, closed,  D-7]
  - [any, limit,          otherwise, clerk,   D-8]
"""
TEAM = """
flow: team
version: 1
owner: tests
initial: asking
facts:
  city:   {type: text, volunteered: false}
  amount: {type: money, ask: "How much?", minimum: "0.01", maximum: "9000.00"}
  note:   {type: text, volunteered: false}
  paid:   {type: yes_no, volunteered: false}
agents:
  helper: {instructions: Help., contract: Answer, max_input_tokens: 9000, max_output_tokens: 100}
routers:
  triage:
    labels: {work: some work, help: help, person: a person, bye: nothing}
    rules:
      - {label: work, any: [pay, work]}
      - {label: help, any: [help]}
      - {label: person, any: [person]}
      - {label: bye, any: [bye]}
subflows: {worker: worker.yaml}
states:
  asking: {kind: wait, say: "The team asks what to do.", deadline: 20m}
  triage: {kind: route, router: triage}
  helper: {kind: agent, agent: helper, reads: [city], attempts: 1, timeout: 30s}
  paying: {kind: subflow, flow: worker, reads: [amount], returns: [paid], deadline: 5m}
  check:  {kind: human, role: clerk, decisions: [approve, reject], say: "Somebody looks at it.",
           meanwhile: "Still looking.", deadline: 1h}
  solved: {kind: final, say: "The team is done."}
  unsolved: {kind: final, say: "The team could not do it.", failure: true}
transitions:
  - [asking, message, otherwise, triage, T-1]
  - [triage, work,    otherwise, paying, T-2]
  - [triage, help,    otherwise, helper, T-2]
  - [triage, person,  otherwise, check,  T-2]
  - [triage, bye,     otherwise, solved, T-2]
  - [triage, unsure,  otherwise, asking, T-2]
  - [helper, done,    otherwise, asking, T-3]
  - [helper, unsure,  otherwise, check,  T-3]
  - [paying, paid,    otherwise, solved, T-4]
  - [paying, unpaid,  otherwise, unsolved, T-4]
  - [paying, failed,  otherwise, unsolved, T-4]
  - [check,  approve, otherwise, paying, T-5]
  - [check,  reject,  otherwise, unsolved, T-5]
  - [any, refused,     otherwise, unsolved, T-6]
  - [any, invalid,     otherwise, unsolved, T-6]
  - [any, timeout,     otherwise, unsolved, T-6]
  - [any, failed,      otherwise, unsolved, T-6]
  - [any, over_budget, otherwise, unsolved, T-6]
  - [any, operator_kill, otherwise, unsolved, T-7]
""" + _ENDS.replace("{bad}", "unsolved").replace("  - [any, unsure,   otherwise, unsolved, Z-1]\n", "")
WORKER = """
flow: worker
version: 1
owner: tests
initial: pay
facts:
  amount: {type: money, minimum: "0.01", maximum: "9000.00"}
  paid:   {type: yes_no, volunteered: false}
states:
  pay:    {kind: call, tool: pay, reads: [amount], timeout: 10s}
  paid:   {kind: final, say: "It was paid."}
  unpaid: {kind: final, say: "It was not paid.", failure: true}
transitions:
  - [pay, done,    otherwise, paid,   W-1]
  - [pay, failed,  otherwise, unpaid, W-2]
  - [pay, timeout, otherwise, unpaid, W-2]
  - [any, limit,   otherwise, unpaid, W-3]
"""


@dataclass
class World:
    """What the worker's tool changes outside, by key."""

    calls: list[str] = field(default_factory=list)
    answer: Callable[[], Any] | None = None
    """What the tool does instead of paying."""

    @property
    def payments(self) -> int:
        return len(set(self.calls))

    def code(self) -> Code:
        @tool(consequential=True, says="Pays once for each key.")
        def pay(context: ToolContext, amount: int = 1) -> Any:
            self.calls.append(context.idempotency_key)
            return self.answer() if self.answer else {"paid": True}

        return Code.of(tools=[pay])


def desk(
    world: World | None = None,
    *,
    deadline: str = "10m",
    unsolved: str = "clerk",
    failed: str = "clerk",
    limits: str = "{turn_seconds: 5m}",
) -> Program:
    """The flow at the top, with the two below it."""
    code = (world or World()).code()
    worker = read_flow(WORKER, code).flow
    team_code = Code.of(contracts=[Answer], subflows={"worker": Subflow(worker, code)})
    team = read_flow(TEAM, team_code).flow
    desk_code = Code.of(subflows={"team": Subflow(team, team_code)})
    text = DESK.format(deadline=deadline, unsolved=unsolved, failed=failed, limits=limits)
    return compiled(read_flow(text, desk_code).flow, desk_code)


def helper() -> ScriptedAgent:
    """The team's agent: helps, and is unsure where it is told so."""
    unsure = gives(outcome="unsure", reply="I do not know.")
    return ScriptedAgent(rules(when("unsure", then=unsure), otherwise=gives(outcome="done", reply="Helped.")))


def child_of(store: Store, stream: str, number: int = -1) -> str:
    """The conversation that the stream's `number`-th subflow began."""
    started = [event.child for event in events_of(store, stream) if isinstance(event, SubflowStarted)]
    return str(started[number])


def family_of(store: Store, stream: str) -> list[str]:
    """The conversation and all that were begun below it, in their order."""
    found = [stream]
    for event in events_of(store, stream):
        if isinstance(event, SubflowStarted) and store.head(event.child).length:
            found += family_of(store, event.child)
    return found


async def standing(runtime: Runtime, conversation: str) -> tuple[str, str]:
    outcome = await runtime.outcome(conversation)
    return outcome.state, outcome.standing


def check_family(store: Store, program: Program) -> None:
    """Every log verifies and is decided again the same; parents and children say the same of one another."""
    streams = list(store.streams())
    check_log(store, tuple(with_children([program])), streams)
    for stream in streams:
        events = events_of(store, stream)
        for version, event in enumerate(events):
            if isinstance(event, SubflowStarted):
                assert event.child == child_id(stream, version)
                _check_child(store, stream, version, event)
        ends = [event.effect for event in events if isinstance(event, SubflowEnded)]
        assert len(ends) == len(set(ends)), "a child ended twice"


def _check_child(store: Store, parent: str, effect: int, started: SubflowStarted) -> None:
    above = events_of(store, parent)
    below = events_of(store, started.child) if store.head(started.child).length else []
    end = next((one for one in above if isinstance(one, SubflowEnded) and one.effect == effect), None)
    if not below:
        assert end is None or end.late, "a child that never was did its work"
        return
    first = below[0]
    assert isinstance(first, ConversationStarted)
    assert first.parent is not None
    assert (first.parent.conversation, first.parent.effect, first.parent.depth) == (parent, effect, started.depth)
    replies = [at for at, one in enumerate(below) if isinstance(one, ReplySent)]
    told = [one.version for one in above if isinstance(one, SubflowReplied) and one.effect == effect]
    ended = [one for one in below if isinstance(one, ConversationEnded)]
    assert (end is not None) == bool(ended), "the parent does not know that its child ended"
    if end is not None and ended and not end.late:
        assert ended[0].state == end.report.outcome or end.report.outcome == "failed"
        assert told == replies, "a reply of the child was lost, doubled or told out of order"
    if end is not None and end.late:
        assert told == replies[: len(told)]
    if end is not None and not end.late:
        begun, over = effect, above.index(end)
        keys = {entry.key for entry in store.read(started.child)}
        for at, one in enumerate(above[:over]):
            if at > begun and isinstance(one, MessageReceived) and one.disposition == "forwarded":
                assert f"p:{at}" in keys or at > end.report.upto, "a message was lost on its way to the child"
    if ended and ended[0].failing is not None and ended[0].failing.reason == PARENT_LEFT:
        assert end is not None
        assert end.late

"""A small flow in which everything consequential needs an approval, and any talk with it.

`talks()` draws conversations of customers, clerks and a model that proposes whatever it likes; `unapproved` says,
from the entries alone and without the code under test, which consequential tools ran without their approval.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.commands import (
    CUSTOMER,
    Actor,
    AgentEnded,
    AgentReport,
    CommandBody,
    Decide,
    Fire,
    Give,
    GivenFact,
    ProposedCall,
    Reading,
    Say,
    Start,
    ToolEnded,
    ToolReport,
)
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    ConversationStarted,
    InputReceived,
    MessageReceived,
    TaskDecided,
    TaskEndorsed,
    TaskOpened,
    ToolRequested,
)
from interlock.contracts.facts import FactReading, KnownFact
from interlock.contracts.flow import AgentState
from interlock.contracts.payload import PayloadRef
from interlock.contracts.routing import RoutingEvidence
from interlock.contracts.tools import ToolContext
from interlock.contracts.values import SubjectId
from interlock.fsm.code import Code
from interlock.fsm.evolve import known_after
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.fsm.replay import Recorded
from support.histories import History

FLOW = """
flow: approving
version: 1
owner: tests
initial: start
limits: {agent_calls: 1000, tool_calls: 1000, steps: 1000, repeats: 1000, self_handoffs: 1000, same_pair: 1000,
         handoffs: 1000, turn_tokens: 100000000}
facts:
  account: {type: code, ask: "Which?", pattern: "[0-9]{8}"}
  amount:  {type: money, ask: "How much?", minimum: "0.01", maximum: "9000.00"}
  colour:  {type: choice, ask: "Which?", choices: [red, green]}
agents:
  helper: {instructions: Help., contract: Answer}
states:
  start:  {kind: wait, inputs: [ask, act, propose], deadline: 30m}
  desk:   {kind: human, role: clerk, decisions: [yes, no], approves: yes, approvals: APPROVALS,
           shows: [account, amount], deadline: 4h}
  act:    {kind: call, tool: pay, reads: [account, amount], approval: desk}
  helper: {kind: agent, agent: helper, tools: [look_up, pay], reads: [amount, colour], approval: desk}
  done:   {kind: final}
transitions:
  - [start,  ask,         otherwise, desk,   A-1]
  - [start,  act,         otherwise, act,    A-1]
  - [start,  propose,     otherwise, helper, A-1]
  - [start,  message,     otherwise, start,  A-1]
  - [start,  expired,     otherwise, done,   A-1]
  - [desk,   "yes",       otherwise, start,  A-2]
  - [desk,   "no",        otherwise, start,  A-2]
  - [desk,   expired,     otherwise, start,  A-2]
  - [act,    unapproved,  otherwise, start,  A-3]
  - [any,    done,        otherwise, start,  A-3]
  - [any,    failed,      otherwise, start,  A-3]
  - [any,    timeout,     otherwise, start,  A-3]
  - [any,    unsure,      otherwise, start,  A-3]
  - [any,    refused,     otherwise, start,  A-3]
  - [any,    invalid,     otherwise, start,  A-3]
  - [any,    over_budget, otherwise, start,  A-3]
  - [any,    limit,       otherwise, start,  A-4]
""".replace("yes, no]", '"yes", "no"]').replace("approves: yes", 'approves: "yes"')


class Answer(AgentResult):
    """What the helper answers."""


@tool
def look_up(colour: str) -> dict[str, str]:
    """Looks a colour up."""
    return {"colour": colour}


@tool(consequential=True)
def pay(account: str, amount: int, context: ToolContext) -> dict[str, bool]:
    """Pays."""
    return {"paid": bool(context.idempotency_key)}


def approving(approvals: int = 2, code: Code | None = None) -> Program:
    """The flow, with one approval or several."""
    code = code or Code.of(tools=[look_up, pay], contracts=[Answer])
    return compiled(read_flow(FLOW.replace("APPROVALS", str(approvals)), code).flow, code)


PEOPLE = tuple(Actor(kind="human", id=name, roles=("clerk",)) for name in ("anna", "ben", "cleo"))
BOT = Actor(kind="agent", id="bot", roles=("clerk",))
REF = PayloadRef(name="text", kind="message", commit="ab" * 32, length=8)
_facts = st.lists(
    st.sampled_from(
        (
            FactReading(name="amount", value=100),
            FactReading(name="amount", value=900),
            FactReading(name="account", payload=REF),
            FactReading(name="colour", value="red"),
        )
    ),
    max_size=2,
).map(tuple)


def no_evidence() -> RoutingEvidence:
    return RoutingEvidence()


def given(history: History, *, wrong: bool = False) -> tuple[GivenFact, ...]:
    """The arguments of `pay` as the facts are, or another amount."""
    known = history.conversation.known
    found = [_as_known(name, known.get(name)) for name in ("account", "amount")]
    return tuple(GivenFact(name=one.name, value=77) if wrong and one.name == "amount" else one for one in found)


def _as_known(name: str, fact: KnownFact | None) -> GivenFact:
    return GivenFact(name=name, value=fact.value, sealed=fact.sealed) if fact else GivenFact(name=name)


def proposing(history: History, *, wrong: bool = False, compared: bool = True) -> AgentReport:
    """The helper proposes to pay."""
    call = ProposedCall(name="pay", arguments=REF, given=given(history, wrong=wrong) if compared else ())
    return AgentReport(outcome="done", calls=(call,))


def begun(program: Program, *, by: Actor = CUSTOMER, facts: bool = True) -> History:
    """A conversation with an account and an amount."""
    history = History(program)
    readings = (FactReading(name="amount", value=100), FactReading(name="account", payload=REF)) if facts else ()
    start = Start(flow=program.ref, subject=SubjectId("somebody"), facts=readings)
    history.do("c:start", by, start, no_evidence)
    return history


@st.composite
def talks(draw: st.DrawFn, *, most: int = 25) -> History:
    """Any talk: mostly what might come next, by whoever."""
    history = begun(approving(draw(st.integers(1, 2))), by=draw(st.sampled_from((CUSTOMER, PEOPLE[0]))))
    for number in range(draw(st.integers(3, most))):
        history.at += timedelta(seconds=draw(st.sampled_from((0, 1, 60))))
        actor, body = _next(draw, history)
        history.do(f"c:{number}", actor, body, no_evidence)
    return history


def _next(draw: st.DrawFn, history: History) -> tuple[Actor, CommandBody]:
    conversation = history.conversation
    visit, people = conversation.visit, st.sampled_from((*PEOPLE, *PEOPLE, CUSTOMER, BOT))
    if conversation.pending:
        effect, request = next(iter(conversation.pending.items()))
        if isinstance(request, AgentRequested):
            return BOT, AgentEnded(effect=effect, report=_report(draw, history))
        return BOT, ToolEnded(effect=effect, report=ToolReport(outcome="done", facts=draw(_facts)))
    if visit.opened is not None and visit.task is not None and draw(st.integers(0, 9)):
        digest = st.sampled_from((visit.opened.shown, visit.opened.shown, visit.opened.shown, None, "ab" * 32))
        decision = draw(st.sampled_from(("yes", "yes", "yes", "no")))
        return draw(people), Decide(task=visit.task, decision=decision, shown=draw(digest))
    match draw(st.integers(0, 9)):
        case 0:
            return CUSTOMER, Fire(timer=visit.timer or 0)
        case 1:
            reading = Reading(facts=draw(_facts))
            return draw(people), Say(message=REF, token_bound=8, reading=reading)
        case _:
            name = draw(st.sampled_from(("ask", "act", "propose")))
            facts = draw(_facts) if draw(st.integers(0, 3)) == 0 else ()
            return draw(st.sampled_from((CUSTOMER, CUSTOMER, PEOPLE[1]))), Give(name=name, facts=facts)


def _report(draw: st.DrawFn, history: History) -> AgentReport:
    match draw(st.integers(0, 5)):
        case 0:
            return AgentReport(outcome="done", facts=draw(_facts))
        case 1:
            look = ProposedCall(name="look_up", arguments=REF)
            return AgentReport(outcome="done", calls=(look, *proposing(history).calls, *proposing(history).calls))
        case _:
            return proposing(history, wrong=draw(st.booleans()), compared=draw(st.integers(0, 4)) > 0)


# -- what must hold, told without the code under test ------------------------------------------------------


def unapproved(program: Program, entries: Sequence[Recorded]) -> list[int]:
    """Versions of consequential tools that ran without an unused approval by enough people who did not ask, of the
    facts as they were then."""
    known: Any = {}
    asked: set[str] = set()
    given_by: set[str] = set()
    task: tuple[int, dict[str, KnownFact], set[str]] | None = None
    approved: dict[str, KnownFact] | None = None
    calls: dict[int, AgentReturned] = {}
    found = []
    needed = next(one.approvals for one in program.flow.states if one.kind == "human")
    for entry in entries:
        version, event, who = entry.envelope.ver, entry.event, entry.envelope.actor
        known = known_after(known, event)
        match event:
            case ConversationStarted() | InputReceived() | MessageReceived():
                asked.add(who.id)
            case TaskOpened():
                task, given_by, approved = (version, _shown(known, event.facts), set(asked)), set(), None
            case TaskEndorsed() | TaskDecided() if task is not None and event.decision == "yes":
                if who.kind == "human" and who.id not in task[2] and event.task == task[0]:
                    given_by.add(who.id)
                approved = task[1] if isinstance(event, TaskDecided) and len(given_by) >= needed else None
            case AgentReturned():
                calls[version] = event
            case ToolRequested() if event.consequential:
                same = approved is not None and approved == _shown(known, ("account", "amount"))
                by_agent = isinstance(program.states[event.state], AgentState)
                if approved is None or not same or (by_agent and not _repeats(calls, event, approved)):
                    found.append(version)
                approved = None
    return found


def _shown(known: Any, names: Sequence[str]) -> dict[str, KnownFact]:
    return {name: known[name] for name in names if name in known}


def _repeats(calls: dict[int, AgentReturned], event: ToolRequested, approved: dict[str, KnownFact]) -> bool:
    """Whether the model proposed exactly the approved arguments."""
    call = calls[event.request or -1].report.calls[event.position]
    given = {one.name: (one.value, one.sealed, one.differs) for one in call.given}
    none = KnownFact(name="none")
    facts = {name: approved.get(name, none) for name in given}
    expected = {name: (one.value, one.sealed, False) for name, one in facts.items()}
    return set(given) == {"account", "amount"} and given == expected

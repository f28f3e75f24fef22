"""Agents asked as tools, whatever models answer: the caller keeps the conversation, the asked one gets what is its."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.commands import (
    CUSTOMER,
    SYSTEM,
    AgentEnded,
    AgentReport,
    CommandBody,
    ProposedCall,
    Say,
    Start,
    ToolEnded,
    ToolReport,
)
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    AgentToolEnded,
    FactsRecorded,
    HandoffMade,
    LimitReached,
    ReplySent,
    ToolRefused,
    TransitionTaken,
)
from interlock.contracts.facts import FactReading
from interlock.contracts.flow import AgentSpec, AgentState, FinalState, Flow, WaitState
from interlock.contracts.guard import otherwise
from interlock.contracts.limits import Limits, Usage
from interlock.contracts.payload import PayloadRef
from interlock.contracts.routing import RoutingEvidence
from interlock.contracts.values import SubjectId
from interlock.fsm.build import completed, row
from interlock.fsm.check import faults_in
from interlock.fsm.conversation import Conversation
from interlock.fsm.evolve import evolve
from interlock.fsm.outcomes import AGENT_OUTCOMES
from interlock.fsm.program import compiled
from interlock.fsm.replay import redecide
from support.flows import CODE, FACTS
from support.histories import DIGEST, History

NAMES = ("adviser", "clerk", "lawyer")
_some_agents = st.sampled_from((NAMES, NAMES[1:], NAMES[:2], NAMES, NAMES[:1], ()))
_facts = st.lists(st.sampled_from(("amount", "story")), max_size=2, unique=True).map(tuple)


@st.composite
def consulting_flows(draw: st.DrawFn) -> Flow:
    """One agent state whose agents may ask each other in any way, cycles included."""
    asked = draw(st.sampled_from((NAMES, NAMES[1:], NAMES[:2])))
    agents = [
        AgentSpec(
            name=name,
            instructions="Help.",
            reads=draw(_facts),
            consults=draw(_some_agents),
            max_input_tokens=draw(st.sampled_from((30_000, 8_000, 3_000))),
        )
        for name in NAMES
    ]
    limits = Limits(
        agent_depth=draw(st.sampled_from((2, 3, 1))),
        tool_rounds=draw(st.sampled_from((3, 2, 1))),
        agent_calls=draw(st.sampled_from((20, 12, 4))),
        turn_tokens=10**6,
    )
    state = AgentState(
        name="work",
        agent=draw(st.sampled_from(NAMES)),
        agents=asked,
        tools=draw(st.sampled_from(((), ("look_up",)))),
        attempts=draw(st.integers(1, 2)),
        reads=("amount",),
    )
    rows = [row("start", "message", otherwise, "work", "A"), row("any", "expired", otherwise, "end", "A")]
    rows += [row("any", on, otherwise, "start", "A") for on in (*AGENT_OUTCOMES, "limit")]
    made = completed(
        Flow(
            name="consulting",
            version=1,
            owner="tests",
            initial="start",
            facts=tuple(one for one in FACTS if one.name in ("amount", "story")),
            agents=tuple(agents),
            states=(WaitState(name="start", deadline_seconds=60), state, FinalState(name="end")),
            transitions=tuple(rows),
            limits=limits,
        ),
        CODE,
    )
    unused = {fault.where.split(".")[1] for fault in faults_in(made, CODE) if fault.code in ("S195", "S196")}
    while unused:  # what could never be used is no flow: it is taken out until all can be
        made = made.changed(
            agents=tuple(one.changed(reads=(), consults=()) if one.name in unused else one for one in made.agents)
        )
        unused = {fault.where.split(".")[1] for fault in faults_in(made, CODE) if fault.code in ("S195", "S196")}
    return made


def a_ref(name: str, length: int) -> PayloadRef:
    return PayloadRef(name=name, kind="arguments", commit=DIGEST, length=length)


def a_call(draw: st.DrawFn, position: int) -> ProposedCall:
    arguments = a_ref(f"arguments_{position}", 20)
    match draw(st.sampled_from(("agent", "agent", "agent", "agent", "no_task", "stranger", "tool"))):
        case "agent":
            task = a_ref(f"task_{position}", draw(st.sampled_from((5, 900, 9_000))))
            return ProposedCall(agent=draw(st.sampled_from(NAMES)), arguments=arguments, task=task)
        case "no_task":
            return ProposedCall(agent="clerk", arguments=arguments, problems=("task: is missing.",))
        case "stranger":
            return ProposedCall(agent="stranger", arguments=arguments, task=a_ref(f"task_{position}", 5))
        case _:
            return ProposedCall(name="look_up", arguments=arguments)


def a_report(draw: st.DrawFn) -> AgentReport:
    outcome = draw(st.sampled_from(("calls", "calls", "calls", "done", "done", "unsure", "invalid", "failed")))
    usage = Usage(input_tokens=draw(st.integers(0, 99)), output_tokens=1, measured=draw(st.booleans()))
    if outcome == "calls":
        calls = tuple(a_call(draw, position) for position in range(draw(st.integers(1, 3))))
        return AgentReport(outcome="done", calls=calls, usage=usage)
    facts = draw(st.sampled_from(((), (FactReading(name="amount", value=draw(st.integers(1, 99))),))))
    said = a_ref("output", draw(st.integers(0, 50)))
    return AgentReport.model_validate(
        {
            "outcome": outcome,
            "facts": facts,
            "output": said,
            "reply": draw(st.sampled_from((None, said))),
            "usage": usage,
        }
    )


@st.composite
def consulted(draw: st.DrawFn) -> History:
    """A few messages, and every agent and tool answered at random until all is done."""
    history = History(compiled(draw(consulting_flows()), CODE))

    def evidence() -> RoutingEvidence:
        raise AssertionError("nothing is routed")

    known = draw(st.sampled_from(((), (FactReading(name="story", payload=a_ref("fact_story", 30)),))))
    start = Start(flow=history.program.ref, subject=SubjectId("somebody"), facts=known)
    history.do("c:start", CUSTOMER, start, evidence)
    for turn in range(draw(st.integers(1, 2))):
        message = PayloadRef(name="text", kind="message", commit=DIGEST, length=11)
        history.do(f"c:{turn}", CUSTOMER, Say(message=message, token_bound=11), evidence)
        for number in range(40):
            if not history.conversation.pending:
                break
            effect, request = next(iter(history.conversation.pending.items()))
            body: CommandBody
            if isinstance(request, AgentRequested):
                body = AgentEnded(effect=effect, report=a_report(draw))
            else:
                body = ToolEnded(effect=effect, report=ToolReport(outcome="done"))
            history.do(f"e:{turn}:{number}", SYSTEM, body, evidence)
    return history


def asked_as_tools(history: History) -> Iterator[tuple[int, AgentRequested, Conversation]]:
    """Each call of an agent as a tool, with its version and the conversation before it."""
    conversation = Conversation(id=history.head.stream)
    for version, entry in enumerate(history.entries):
        if isinstance(entry.event, AgentRequested) and entry.event.purpose == "tool":
            yield version, entry.event, conversation
        conversation = evolve(conversation, entry.event)


@given(consulted())
def test_it_gets_a_task_and_the_facts_that_it_reads_and_no_more(history: History) -> None:
    """No message of the history, no tool, no result of another state, no fact outside its own list."""
    for _, request, before in asked_as_tools(history):
        spec = history.program.agents[request.agent]
        assert request.history.count == 0
        assert request.task is not None
        assert request.task.version == request.caller
        assert request.tools == ()
        assert request.results == ()
        assert set(request.facts) <= set(spec.reads) & set(before.known)
        assert set(request.agents) <= set(spec.consults)


@given(consulted())
def test_only_agents_that_are_listed_are_asked_and_no_deeper_than_the_limit(history: History) -> None:
    """By the state for its own agent, by `consults` for one that is asked itself; every other call is refused."""
    program = history.program
    for _, request, before in asked_as_tools(history):
        state, visit = program.states[before.state], before.visit
        again = visit.asked is not None and (visit.asked.caller, visit.asked.position) == (
            request.caller,
            request.position,
        )
        callers = visit.callers[:-1] if again else visit.callers
        by = visit.callers[-1].asked if again else visit.asked
        assert isinstance(state, AgentState)
        assert request.agent in (state.agents if by is None else program.agents[by.agent].consults)
        assert len(callers) < program.flow.limits.agent_depth
        assert len({one.asked for one in visit.callers}) == len(visit.callers), "nobody waits for itself"


@given(consulted())
def test_the_caller_keeps_the_conversation(history: History) -> None:
    """No handoff, no other last agent, no fact and no reply comes from an agent that was asked as a tool."""
    conversation = Conversation(id=history.head.stream)
    as_tool = {version for version, _, _ in asked_as_tools(history)}
    results: dict[int, int] = {}
    for version, entry in enumerate(history.entries):
        before, event = conversation, entry.event
        conversation = evolve(conversation, event)
        if isinstance(event, AgentReturned):
            results[version] = event.effect
        if isinstance(event, ReplySent) and event.agent is not None:
            assert results[event.agent] not in as_tool
        if isinstance(event, FactsRecorded | HandoffMade) and entry.cause in results:
            assert results[entry.cause] not in as_tool or _moved_between(history, entry.cause, version)
        if version in as_tool:
            assert (conversation.last_agent, conversation.turn.last_agent) == (
                before.last_agent,
                before.turn.last_agent,
            )
            assert (conversation.turn.handoffs, conversation.turn.pairs) == (before.turn.handoffs, before.turn.pairs)


def _moved_between(history: History, first: int, last: int) -> bool:
    """Whether the conversation left its state in between: what follows is another agent's own run."""
    return any(isinstance(one.event, TransitionTaken) for one in history.entries[first:last])


@given(consulted())
def test_what_it_costs_counts_in_full(history: History) -> None:
    """Calls, tokens and money of the turn and the conversation grow by each of its attempts."""
    for version, request, before in asked_as_tools(history):
        after = evolve(before, history.entries[version].event)
        assert after.turn.agent_calls == before.turn.agent_calls + 1
        assert after.turn.tokens - before.turn.tokens == request.reserved_tokens
        assert after.turn.cost - before.turn.cost == request.reserved_cost
        assert after.tokens - before.tokens == request.reserved_tokens
        assert after.cost - before.cost == request.reserved_cost


@given(consulted())
def test_every_end_is_told_to_the_caller_that_then_is_as_it_was(history: History) -> None:
    """Whoever waited goes on with its own attempts, rounds and remaining calls; leaving the state drops them all."""
    conversation = Conversation(id=history.head.stream)
    for entry in history.entries:
        before, event = conversation, entry.event
        conversation = evolve(conversation, event)
        if isinstance(event, TransitionTaken):
            assert (conversation.visit.callers, conversation.visit.asked) == ((), None)
        if isinstance(event, AgentToolEnded):
            assert event.outcome == "over_budget" or before.visit.callers
            if before.visit.asked is not None and before.visit.asked.caller == event.request:
                waited = before.visit.callers[-1]
                assert conversation.visit.callers == before.visit.callers[:-1]
                assert (conversation.visit.asked, conversation.visit.rounds) == (waited.asked, waited.rounds)
                assert conversation.visit.proposal == waited.proposal
                assert all(position > event.position for position, _ in conversation.visit.proposed)


@given(consulted())
def test_what_a_model_proposes_is_asked_refused_or_stops_at_a_limit(history: History) -> None:
    """A proposed agent never vanishes: each call of a result that was taken up has an end on the record."""
    for step in history.steps:
        for at, event in enumerate(step.decision.events):
            if isinstance(event, AgentReturned) and event.report.calls and not event.late:
                following = step.decision.events[at + 1]
                taken_up = isinstance(following, ToolRefused | AgentRequested | AgentToolEnded | LimitReached)
                assert taken_up or following.type in ("tool_requested", "over_budget", "judged"), following


@given(consulted())
def test_such_a_conversation_is_decided_again_byte_for_byte_and_never_stands_still(history: History) -> None:
    """Stack and all come from the events alone; at the end everybody has answered or a row was taken."""
    again = redecide(history.program, history.head.stream, history.recorded)
    assert (again.divergences, again.divergence) == (0, None)
    assert again.conversation == history.conversation
    assert history.conversation.state == "start"
    assert not history.conversation.pending


@given(consulted())
def test_the_task_is_measured_and_a_task_too_long_is_told_to_the_caller(history: History) -> None:
    """The bound covers the task; what does not fit the asked agent's window is an answer to the caller."""
    for _, request, before in asked_as_tools(history):
        if request.attempt == 1 and request.round == 0:
            call = dict(before.visit.proposed)[request.position]
            assert call.task is not None
            assert call.task.length < request.token_bound <= history.program.agents[request.agent].max_input_tokens

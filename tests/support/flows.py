"""Random flows that are valid by construction, with the code they name.

`flows()` gives `FlowCase`s: a `Flow` without faults of any size and kind (all state kinds, own and
flow-wide rows, guards, digressions, operators' rows) and the `Code` it was made with. The same code,
`CODE`, serves all of them, so two cases can be compared. Facts are `FACTS`; `facts()` draws what a
conversation may know of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st
from pydantic import BaseModel

from interlock.contracts.agents import AgentResult, Judgement, Plan
from interlock.contracts.canonical import sha256_hex
from interlock.contracts.facts import Facts, KnownFact
from interlock.contracts.flow import (
    NEXT_ISSUE,
    AgentSpec,
    AgentState,
    BreakerSpec,
    BroadcastState,
    CallState,
    CollectState,
    FactSpec,
    FinalState,
    Flow,
    HumanState,
    MemberSpec,
    RouterSpec,
    RouteState,
    RoutingCosts,
    RuleSpec,
    State,
    SubflowState,
    Transition,
    WaitState,
)
from interlock.contracts.guard import Guard, in_digression, otherwise
from interlock.contracts.limits import Limits, Price
from interlock.contracts.tools import Tool, ToolSpec
from interlock.contracts.values import fixed
from interlock.fsm.build import flow, row
from interlock.fsm.code import Code, Subflow
from interlock.fsm.guards import all_of, any_of, at_least, at_most, guard, is_, is_true, known, not_
from interlock.fsm.outcomes import AGENT_OUTCOMES

T = TypeVar("T")


@guard(says="the amount is at most {limit} euros")
def amount_at_most(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit * 100


@guard(says="the customer is verified")
def customer_is_verified(facts: Facts) -> bool:
    return facts.true("verified")


@guard(says="the colour is {colour} ({certain})", version=2)
def colour_is(facts: Facts, colour: str, certain: bool) -> bool:
    return (facts.value("colour") == colour) is certain


class Advice(AgentResult):
    """A contract with a fact in it."""

    verified: bool = False


class Steps(Plan):
    """A planner's contract."""


class Opinion(Judgement):
    """A judge's contract."""


class LookUp(BaseModel):
    """The arguments of both tools."""

    amount: int = 0


def look_up(amount: int = 0) -> dict[str, bool]:
    return {"verified": amount > 0}


FACTS = (
    FactSpec(name="amount", type="money", ask="How much?", says="the amount", minimum=1, maximum=1_000_000),
    FactSpec(name="verified", type="yes_no", ask="Is it you?", confirm=True),
    FactSpec(name="colour", type="choice", ask="Which colour?", choices=("red", "green")),
    FactSpec(name="card", type="code", ask="Which card?", pattern="[0-9]{4}", help="The last four digits."),
    FactSpec(name="story", type="text", ask="What happened?", volunteered=False),
    FactSpec(name="day", type="date", ask="When?"),
    FactSpec(name="count", type="integer", ask="How many?", minimum=-3, depends_on=("amount",)),
)
ASIDE = flow(
    name="aside_flow",
    version=2,
    owner="tests",
    initial="asking",
    facts=FACTS,
    states=(
        WaitState(name="asking", say="What else?", deadline_seconds=60),
        FinalState(name="solved"),
        FinalState(name="broken", failure=True),
    ),
    transitions=(
        row("asking", "message", otherwise, "solved", "A-1"),
        row("asking", "expired", otherwise, "broken", "A-2"),
        row("any", "limit", otherwise, "broken", "A-3"),
    ),
)
"""What every random subflow state runs as a child."""
CODE = Code.of(
    subflows={"aside_flow": Subflow(ASIDE, Code())},
    guards=(amount_at_most, customer_is_verified, colour_is),
    tools=(
        Tool(ToolSpec(name="look_up", says="looks up", arguments=sha256_hex(b"look_up")), LookUp, look_up, False),
        Tool(
            ToolSpec(name="pay_back", says="pays back", consequential=True, arguments=sha256_hex(b"pay_back")),
            LookUp,
            look_up,
            False,
        ),
    ),
    contracts=(Advice, Steps, Opinion),
)
LABELS = ("card", "transfer", "question", "on", "no")
"""Labels, some of which YAML 1.1 would not take for words."""
_FACT_NAMES = tuple(fact.name for fact in FACTS)
_USUAL = ("message", "complete", "done", "solved", "approve", "question")
"""How states mostly end."""
_CALM = ("wait", "human")
"""Kinds of states that call nothing and hear people."""
KINDS = ("agent", "wait", "agent", "collect", "route", "agent", "call", "human", "broadcast", "subflow")

letters = st.characters(exclude_categories=["C", "Zl", "Zp"])
texts = st.text(letters | st.just("\n"), max_size=20)
"""Texts that a flow file can hold, in any script."""
sayings = st.lists(
    texts.map(lambda text: text.replace("{", "{{").replace("}", "}}")) | st.sampled_from(("{amount}", "{day}")),
    max_size=3,
).map("".join)
"""Texts to the customer, with places for facts."""
fact_names = st.lists(st.sampled_from(_FACT_NAMES), min_size=1, max_size=3, unique=True).map(tuple)
gates = st.integers(0, 1_000_000).map(lambda millionths: fixed(millionths / 1_000_000))


@dataclass(frozen=True)
class FlowCase:
    """A flow without faults and the code it names."""

    flow: Flow
    code: Code = field(default=CODE, repr=False)


def guards(depth: int = 2) -> st.SearchStrategy[Guard]:
    """Any condition but `otherwise`."""
    simple = st.one_of(
        st.integers(-5, 2**53 - 1).map(amount_at_most),
        st.just(customer_is_verified()),
        st.just(in_digression),
        st.builds(colour_is, texts, st.booleans()),
        st.builds(known, st.sampled_from(_FACT_NAMES)),
        st.just(is_true("verified")),
        st.sampled_from(("red", "green")).map(lambda choice: is_("colour", choice)),
        st.integers(-10, 10).map(lambda most: at_most("count", most)),
        st.integers(-10, 10).map(lambda least: at_least("count", least)),
    )
    if depth == 0:
        return simple
    parts = st.lists(guards(depth - 1), min_size=1, max_size=3)
    combined = parts.map(lambda some: all_of(*some)) | parts.map(lambda some: any_of(*some))
    return simple | combined | guards(depth - 1).map(not_)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """What a conversation may know of `FACTS`."""
    values: Mapping[str, st.SearchStrategy[bool | int | str]] = {
        "amount": st.integers(1, 1_000_000),
        "verified": st.booleans(),
        "colour": st.sampled_from(("red", "green")),
        "day": st.just("2026-02-28"),
        "count": st.integers(-3, 9),
    }
    known = {name: KnownFact(name=name, value=draw(one)) for name, one in values.items() if draw(st.booleans())}
    return Facts(known, digression_depth=draw(st.integers(0, 2)))


_numbers = st.integers(0, 999)
_coin = st.booleans()
_big = st.integers(0, 2**20)
_some_facts = fact_names | st.just(())
_guards = guards()


def _pick(draw: st.DrawFn, some: Sequence[T]) -> T:
    """One of `some`: building a strategy for each choice would take most of the time."""
    return some[draw(_numbers) % len(some)]


@st.composite
def states_of(draw: st.DrawFn, name: str, kind: str) -> State:
    """Any state of a kind, naming only what every flow here declares."""
    says, deadline = draw(texts), 1 + draw(_big) % 200_000
    reads = draw(_some_facts)
    match kind:
        case "wait":
            inputs = _pick(draw, ((), ("signal",), ("signal", "yes"), ("late_result",)))
            forgets = _pick(draw, ((), ("amount",), ("amount", "verified")))
            return WaitState(
                name=name, says=says, say=draw(sayings), inputs=inputs, forgets=forgets, deadline_seconds=deadline
            )
        case "collect":
            facts = draw(fact_names)
            return CollectState(
                name=name,
                says=says,
                facts=facts,
                optional=reads,
                enough=len(facts) - 1 if not reads and draw(_coin) else 0,
                say=draw(sayings),
                confirm=draw(sayings),
                attempts=1 + draw(_numbers) % 5,
                deadline_seconds=deadline,
            )
        case "route":
            return RouteState(name=name, says=says, router="triage")
        case "agent":
            tools = _pick(draw, ((), ("look_up",), ("look_up", "pay_back")))
            backoff = _pick(draw, (0, 0, 1, 7))
            return AgentState(
                name=name,
                says=says,
                agent=_pick(draw, ("adviser", "clerk", "planner", "guard")),
                tools=tools,
                reads=reads,
                attempts=min(1, backoff) + 1 + draw(_numbers) % 9,
                timeout_seconds=1 + draw(_numbers) % 120,
                agents=_pick(draw, ((), (), ("clerk",), ("clerk", "adviser"))),
                backoff_seconds=backoff,
                backoff_most_seconds=_pick(draw, (60, 9)),
            )
        case "call":
            return CallState(name=name, says=says, tool=_pick(draw, ("look_up", "pay_back")), reads=reads)
        case "broadcast":
            asked = _pick(draw, (("adviser",), ("adviser", "clerk"), ("clerk", "adviser", "planner")))
            quorum = _pick(draw, (0, 0, 1))
            return BroadcastState(
                name=name,
                says=says,
                members=tuple(
                    MemberSpec(
                        name=f"asked_{one}", agent=one, reads=reads, attempts=1 + draw(_numbers) % 2, timeout_seconds=1
                    )
                    for one in asked
                ),
                quorum=quorum,
                fail_fast=not quorum and draw(_coin),
                minimum_percent=_pick(draw, (0, 50, 100)),
                retries=_pick(draw, (0, 2)),
                deadline_seconds=deadline,
            )
        case "human":
            decisions = _pick(draw, (("closed",), ("approve", "no")))
            return HumanState(
                name=name,
                says=says,
                role="reviewer",
                decisions=decisions,
                shows=reads,
                say=draw(sayings),
                meanwhile=draw(sayings),
                deadline_seconds=deadline,
            )
        case "subflow":
            return SubflowState(
                name=name,
                says=says,
                flow="aside_flow",
                reads=reads,
                returns=draw(_some_facts),
                deadline_seconds=deadline,
            )
        case _:
            return FinalState(name=name, says=says, say=draw(sayings), failure=draw(_coin))


def _outcomes(state: State) -> tuple[str, ...]:
    match state:
        case WaitState():
            return ("message", "expired", *state.inputs, *((NEXT_ISSUE,) if state.next_issue else ()))
        case CollectState():
            return ("complete", "gave_up", "declined", "expired")
        case RouteState():
            return (*LABELS, "unsure", "blocked")
        case AgentState():
            return AGENT_OUTCOMES
        case CallState():
            return ("done", "failed", "timeout", *(("unapproved",) if state.approval else ()))
        case HumanState():
            return (*state.decisions, "expired")
        case BroadcastState():
            return ("complete", "partial", "failed", *(("empty",) if state.plan else ()))
        case SubflowState():
            return ("solved", "broken", "failed")
        case _:
            return ()


def _with_fallbacks(draw: st.DrawFn, state: State, states: tuple[State, ...], rows: tuple[Transition, ...]) -> State:
    """The state with fallbacks, if one of its agents answers as others do and `failed` leads to a person or an end."""
    kinds = {one.name: one.kind for one in states}
    failed = [one for one in rows if one.source == state.name and one.on == "failed"]
    led = [kinds[one.target] for one in failed]
    if not isinstance(state, AgentState) or state.agent != "clerk" or not led or set(led) - {"human", "final"}:
        return state
    cached = not (state.tools or state.agents or state.results or any(one in ("card", "story") for one in state.reads))
    others = (("deputy",), ("deputy", "porter"), *((("porter", "cached"), ("cached",)) if cached else ()))
    return state.changed(fallbacks=_pick(draw, others), fallback_attempts=_pick(draw, (1, 1, 2)))


policies = st.text(letters, min_size=1, max_size=8).filter(lambda text: bool(text.strip()))


@st.composite
def transitions_of(draw: st.DrawFn, states: tuple[State, ...], digressing: bool) -> tuple[Transition, ...]:
    """Rows that are total, leave nothing unreached, reach the ends, and loop only where somebody is heard.

    States are in an order: the rows of what takes no time lead forward, one row of each leads forward,
    and each has a row that comes to it from before.
    """
    groups: dict[tuple[str, str], list[Transition]] = {}
    wide: set[str] = set()
    moving = [state for state in states if state.kind != "final"]
    calm = [state.name for state in states if state.kind in (*_CALM, "final")]

    def add(source: str, on: str, only_if: Guard, target: str) -> None:
        rows = groups.setdefault((source, on), [])
        if all(str(one.guard) != str(only_if) for one in rows):
            rows.append(row(source, on, only_if, target, draw(policies)))

    for position, state in enumerate(moving):
        forward = [one.name for one in states[position + 1 :]]
        anywhere = forward if state.kind in ("route", "collect") else [one.name for one in states]
        ahead = _pick(draw, [one for one in _outcomes(state) if one != NEXT_ISSUE])
        for on in _outcomes(state):
            if state.kind == "agent" and on == "failed" and on != ahead and draw(_coin):
                add(state.name, on, otherwise, "desk")
                continue
            if on == NEXT_ISSUE:
                add(state.name, on, otherwise, next(one.name for one in states if one.kind == "route"))
                continue
            # What usually ends a state leads on to the next: else no history would come to most states.
            led = on in _USUAL and draw(_numbers) % 4 != 3
            if on != ahead and not led and on not in LABELS and draw(_coin):
                wide.add(on)
                continue
            if draw(_coin) and not (led and draw(_coin)):
                add(state.name, on, draw(_guards), _pick(draw, anywhere))
            add(state.name, on, otherwise, forward[0] if led else _pick(draw, forward if on == ahead else anywhere))
    for position, reached in enumerate(states[1:], start=1):
        source = _pick(draw, [one for one in states[:position] if one.kind != "final"])
        on = _pick(draw, [one for one in _outcomes(source) if one != NEXT_ISSUE and (source.name, one) in groups])
        rows = groups[source.name, on]
        # Seldom or mostly open: else only a search would come to most states, and no history.
        only_if = amount_at_most(-100 - position)
        if reached.kind not in (*_CALM, "final") and draw(_coin):
            only_if = not_(only_if)
        rows.insert(0, row(source.name, on, only_if, reached.name, draw(policies)))
    rows = [one for group in groups.values() for one in group]
    rows += [row("any", on, otherwise, _pick(draw, calm), draw(policies)) for on in sorted(wide)]
    rows.append(row("any", "limit", otherwise, _pick(draw, calm), draw(policies)))
    if draw(_coin):
        rows.append(row("any", "operator_human", otherwise, _pick(draw, calm), draw(policies)))
    if digressing:
        rows += _digression(draw, calm)
    return tuple(rows)


def _digression(draw: st.DrawFn, calm: list[str]) -> list[Transition]:
    """A push to the state `aside`, which returns from every outcome, with what else it needs."""
    back = [
        part
        for on in AGENT_OUTCOMES
        for part in (
            row("aside", on, in_digression, "return", draw(policies)),
            row("aside", on, otherwise, _pick(draw, calm), draw(policies)),
        )
    ]
    return [row("any", "question", otherwise, "push aside", draw(policies)), *back]


_SUMMED: tuple[dict[str, Any], ...] = (
    {},
    {"history": "summary", "window": 2, "summariser": "scribe"},
    {"history": "summary", "window": 1, "summariser": "scribe", "when_over": "summarise"},
    {"window": 1, "summariser": "scribe", "when_over": "summarise", "max_input_tokens": 1_000},
)
agents = st.builds(
    AgentSpec,
    name=st.just("adviser"),
    says=texts,
    model=texts,
    instructions=texts,
    contract=st.none() | st.just("Advice"),
    handles=st.lists(texts, max_size=2).map(tuple),
    refuses=st.lists(texts, max_size=2).map(tuple),
    history=st.sampled_from(("verbatim", "window", "none")),
    window=st.integers(1, 30),
    max_input_tokens=st.integers(1, 100_000),
    max_output_tokens=st.integers(1, 2_000),
    temperature=gates,
    price=st.builds(Price, input_nano=st.integers(0, 9_999), output_nano=st.integers(0, 9_999), dated=texts),
    breaker=st.none()
    | st.builds(
        BreakerSpec,
        failures=st.integers(1, 10_000),
        window_seconds=st.integers(1, 90_000),
        open_seconds=st.integers(1, 90_000),
    ),
    critical=st.booleans(),
)
routers = st.builds(
    RouterSpec,
    name=st.just("triage"),
    labels=st.just({label: f"a {label}" for label in LABELS}),
    max_characters=st.integers(0, 5_000),
    threshold=gates,
    margin=gates,
    scope=gates,
    rules=st.lists(
        st.builds(
            RuleSpec,
            label=st.sampled_from(LABELS),
            any=st.just(("stolen", "lost: my card")),
            patterns=st.sampled_from(((), (r"\bcard\b", "#[0-9]+"))),
        ),
        max_size=2,
    ).map(tuple),
    escalations=st.sampled_from(((), (RuleSpec(label="question", any=("my lawyer",)),))),
    thresholds=st.dictionaries(st.sampled_from(LABELS), gates, max_size=2),
    costs=st.none()
    | st.builds(
        RoutingCosts,
        escalation=st.integers(1, 10**9),
        misroute=st.integers(1, 10**9),
        labels=st.dictionaries(st.sampled_from(LABELS), st.integers(1, 10**9), max_size=2),
    ),
    agent=st.none() | st.just("clerk"),
    sticky=st.booleans(),
    several=st.booleans(),
    notice=gates,
    screen_threshold=gates,
)
_counts = st.integers(1, 2**40)
limits = st.just(Limits()) | st.builds(
    Limits,
    handoffs=_counts,
    steps=st.integers(1, 300),
    turn_seconds=st.integers(1, 10**6),
    turn_cost=st.integers(10**9, 10**15),
    conversation_cost=_counts,
    turn_tokens=st.integers(10_000, 2**40),
    message_bytes=_counts,
)


def _working_together(draw: st.DrawFn, states: tuple[State, ...]) -> tuple[State, ...]:
    """Some broadcasts take a planner's plan, some agents read what others came to, and some judge it."""
    planners = [one.name for one in states if isinstance(one, AgentState) and one.agent == "planner"]
    having = [one.name for one in states if isinstance(one, AgentState | BroadcastState)]
    found: list[State] = []
    for state in states:
        if isinstance(state, BroadcastState) and planners and draw(_coin):
            state = state.changed(members=(), plan=_pick(draw, planners), workers=("adviser",), timeout_seconds=1)
        elif isinstance(state, AgentState) and state.agent != "planner" and draw(_coin):
            if draw(_coin):
                judged = _pick(draw, having)
                state = state.changed(agent="judge", tools=(), agents=(), judges=judged, criterion="Is it right?")
            else:
                state = state.changed(results=(_pick(draw, having),))
        found.append(state)
    return tuple(found)


def _with_issues(draw: st.DrawFn, states: tuple[State, ...]) -> tuple[State, ...]:
    """Where a route state is, some wait states take up the next issue."""
    if not any(isinstance(state, RouteState) for state in states):
        return states
    return tuple(
        state.changed(next_issue=True)
        if isinstance(state, WaitState) and (state.name == "start" or draw(_coin))
        else state
        for state in states
    )


def _with_approvals(draw: st.DrawFn, states: tuple[State, ...]) -> tuple[State, ...]:
    """In some flows the desk approves, and whatever may pay back waits for that."""
    if not draw(_coin):
        return states
    found: list[State] = []
    for state in states:
        if isinstance(state, HumanState) and state.name == "desk":
            state = state.changed(approves=state.decisions[0], approvals=1 + draw(_numbers) % 2, shows=_FACT_NAMES)
        pays = isinstance(state, CallState) and state.tool == "pay_back"
        may_pay = isinstance(state, AgentState) and "pay_back" in state.tools and draw(_coin)
        if isinstance(state, CallState | AgentState) and (pays or may_pay):
            state = state.changed(approval="desk")
        found.append(state)
    return tuple(found)


@st.composite
def flows(draw: st.DrawFn, *, most_states: int = 5, kinds: tuple[str, ...] = KINDS) -> FlowCase:
    """A valid flow: a wait state first, `most_states` others of `kinds` at most, a human state, one or two ends."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=min(1, most_states), max_size=most_states))
    if "agent" in kinds and len(chosen) < most_states and draw(_numbers) % 3 != 2:
        chosen = ["agent", *chosen]
    names = ["start", *(f"{kind}_{number}" for number, kind in enumerate(chosen)), "desk", "closed", "done"]
    all_kinds = ["wait", *chosen, "human", "final", *(["final"] if draw(_coin) else [])]
    states = tuple(draw(states_of(name, kind)) for name, kind in zip(names, all_kinds, strict=False))
    router = draw(routers)
    states = _with_approvals(draw, _working_together(draw, states))
    states = _with_issues(draw, states) if router.several else states
    router = router.changed(several=any(isinstance(state, WaitState) and state.next_issue for state in states))
    digressing = draw(_coin)
    rows = draw(transitions_of(states, digressing))
    states = tuple(_with_fallbacks(draw, state, states, rows) for state in states)
    if digressing:
        states = (*states, draw(states_of("aside", "agent")))
    clerk = AgentSpec(name="clerk", instructions="Help.\nBriefly.", says="Knows the files.", handles=("files",))
    clerk = clerk.changed(history="none", cache_seconds=600)
    if any(isinstance(state, AgentState) and state.agents for state in states):
        consults = _pick(draw, ((), ("adviser",), ("clerk", "adviser")))
        clerk = clerk.changed(reads=draw(_some_facts), consults=consults)
    others = (AgentSpec(name="deputy", instructions="Help instead."), AgentSpec(name="porter", instructions="Help."))
    guard = AgentSpec(
        name="guard",
        instructions="Help with cards.",
        scope="triage",
        handles=_pick(draw, ((), ("card", "on"))),
        refuses=("transfer",),
        no_return=draw(_coin),
        **_pick(draw, _SUMMED),
    )
    scribe = AgentSpec(name="scribe", instructions="Sum up.", history="none")
    planner = AgentSpec(name="planner", instructions="Plan.", contract="Steps")
    judge = AgentSpec(name="judge", instructions="Judge.", contract="Opinion")
    built = flow(
        name=_pick(draw, ("bank", "no", "Flow_2")),
        version=draw(st.integers(0, 99)),
        owner=draw(policies),
        says=draw(texts),
        currency="EUR" if "subflow" in chosen else _pick(draw, ("EUR", "JPY")),
        initial="start",
        states=states,
        transitions=rows,
        facts=FACTS,
        agents=(draw(agents), clerk, planner, judge, guard, scribe, *others),
        routers=(router,),
        digressions="triage" if digressing else None,
        limits=draw(limits),
        phrases=draw(st.dictionaries(st.sampled_from(("ask", "limit", "ended")), sayings)),
        code=CODE,
    )
    return FlowCase(built)

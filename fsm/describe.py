"""The flow in English, from the rows that run: what an owner reads before signing.

Every row is one sentence: *In checking, on done: if the amount is at most 100 euros, go to refunded (RF-7).*
"""

import re
from collections.abc import Iterator

from ..contracts.flow import (
    ANY,
    RETURN,
    AgentSpec,
    BroadcastState,
    CallState,
    FactSpec,
    Flow,
    HumanState,
    MemberSpec,
    RouterSpec,
    RoutingCosts,
    State,
    SubflowState,
    Transition,
    WaitState,
)
from ..contracts.guard import Guard, GuardSpec
from ..contracts.limits import Limits
from .policies.english import policy_lines
from .render import minor_digits, said
from .wording import counted, duration_in_words, joined, promised, tried, ways_of
from .written import decimal

_PLACE = re.compile(r"\{([^{}]*)\}")
_TYPES = {
    "text": "free text",
    "code": "a code",
    "money": "an amount of money",
    "integer": "a whole number",
    "date": "a date",
    "choice": "one of",
    "yes_no": "yes or no",
}
_HISTORY = {
    "verbatim": "is given the whole conversation",
    "window": "is given the last {window} messages",
    "summary": "is given the latest {window} to {twice} messages and a summary of those before",
    "none": "is given no earlier messages",
}
_LIMITS = {
    "handoffs": "handoffs from agent to agent in a turn",
    "same_pair": "handoffs between the same two agents in a turn",
    "agent_calls": "model calls in a turn",
    "tool_rounds": "rounds of tool calls in one visit of an agent",
    "steps": "transitions in a turn",
    "turn_tokens": "tokens in a turn",
    "conversation_handoffs": "handoffs in a conversation",
    "conversation_tokens": "tokens in a conversation",
    "conversation_messages": "messages in a conversation",
    "digression_depth": "digressions inside one another",
    "message_bytes": "bytes in a message",
    "tool_calls": "tool calls in a turn",
    "self_handoffs": "handoffs from an agent to itself in a turn",
    "repeats": "entries of a state with the same facts and message in a turn",
    "issues": "further issues that wait to be taken up",
    "agent_depth": "agents asked as tools inside one another",
    "subflow_depth": "child conversations inside one another",
    "subflows": "child conversations in a turn",
}


def described(flow: Flow) -> str:
    """The flow as plain English text, one fact a line."""
    sections = (_head, _facts, _states, _flow_wide, _agents, policy_lines, _limits)
    return "".join(f"{line}\n" for section in sections for line in section(flow))


def sentence_of(flow: Flow, row: Transition) -> str:
    """One row as a sentence."""
    condition = f"if {guard_sentence(flow, row.guard)}, "
    if row.guard.op == "otherwise":
        alone = sum((one.source, one.on) == (row.source, row.on) for one in flow.transitions) == 1
        condition = "" if alone else "otherwise, "
    source = "In any state" if row.source == ANY else f"In {row.source}"
    return f"{source}, on {row.on}: {condition}{_move(row)} ({row.policy})."


def guard_sentence(flow: Flow, guard: Guard) -> str:
    """A condition in words; what is combined inside another is put in brackets."""
    match guard.op:
        case "otherwise":
            return "nothing above holds"
        case "in_digression":
            return "a digression is open"
        case "not":
            return f"it is not so that {_inside(flow, guard.parts[0])}"
        case "call":
            return _called(flow, guard)
        case _:
            joint = " and " if guard.op == "all_of" else " or "
            return joint.join(_inside(flow, part) for part in guard.parts)


def _inside(flow: Flow, guard: Guard) -> str:
    words = guard_sentence(flow, guard)
    return f"({words})" if guard.parts else words


def _called(flow: Flow, guard: Guard) -> str:
    """The guard's sentence with its arguments in their places, which stand in the arguments' order."""
    spec: GuardSpec | None = next((one for one in flow.guards if one.name == guard.name), None)
    if spec is None:
        return str(guard)
    places = list(dict.fromkeys(found[1] for found in _PLACE.finditer(spec.says)))
    values = dict(zip(places, guard.arguments, strict=False))
    return _PLACE.sub(lambda found: _in_words(values.get(found[1], "…")), spec.says)


def _in_words(value: bool | int | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else value


def _move(row: Transition) -> str:
    if row.target == RETURN:
        return "go back to where the digression began"
    return f"go to {row.target} and come back afterwards" if row.push else f"go to {row.target}"


def _head(flow: Flow) -> Iterator[str]:
    yield f"Flow {flow.name}, version {flow.version}. Owner: {flow.owner}."
    if flow.says:
        yield flow.says
    yield f"A conversation starts in {flow.initial}. Amounts are in {flow.currency}."
    if flow.sensitive:
        yield "It is sensitive: every agent is given every word of the conversation, or is not called."
    yield from promised(flow)
    ends = [state.name for state in flow.states if state.kind == "final"]
    yield f"It ends in {joined(ends, 'or')}."
    if flow.digressions is not None:
        yield f"While it waits or collects facts, each message is also heard for digressions ({flow.digressions})."


def _facts(flow: Flow) -> Iterator[str]:
    if flow.facts:
        yield from ("", "FACTS")
    for fact in flow.facts:
        choices = f" {joined((choice.replace('_', ' ') for choice in fact.choices), 'or')}" if fact.choices else ""
        bounds = [
            f"{word} {said(fact, bound, flow.currency)}"
            for word, bound in (("at least", fact.minimum), ("at most", fact.maximum))
            if bound is not None
        ]
        parts = [f"{_TYPES[fact.type]}{choices}", *bounds, *_fact_ways(fact)]
        yield f"  {fact.name}: {', '.join(parts)}."


def _fact_ways(fact: FactSpec) -> Iterator[str]:
    if fact.pattern:
        yield f"written as {fact.pattern}"
    if fact.confirm:
        yield "confirmed before it is taken"
    if not fact.volunteered:
        yield "taken only when asked for"
    if fact.sealed:
        yield "kept as a payload that can be erased"


def _states(flow: Flow) -> Iterator[str]:
    yield from ("", "STATES")
    for state in flow.states:
        yield f"{state.name} ({state.kind}): {_does(flow, state)}"
        if state.says:
            yield f"  {state.says}"
        yield from (f"  {sentence_of(flow, row)}" for row in flow.transitions if row.source == state.name)


def _does(flow: Flow, state: State) -> str:
    match state.kind:
        case "wait":
            return _waits(state)
        case "collect":
            optional = f", and {joined(state.optional)} if given" if state.optional else ""
            asked = f"asks up to {counted(state.attempts, 'time')} for each"
            confirmed = ", and has them confirmed" if state.confirm else ""
            within = f"after {duration_in_words(state.deadline_seconds)} of silence"
            some = f"{state.enough} of " if state.enough else ""
            collects = f"collects {some}{joined(state.facts, 'or' if some else 'and')}{optional}"
            return f"{_saying(state.say)}{collects}; {asked}{confirmed}; ends {within}."
        case "route":
            router = next((one for one in flow.routers if one.name == state.router), None)
            return (
                f"routes the message with {_routed(router, flow.currency)}."
                if router
                else f"routes with {state.router}."
            )
        case "agent":
            tools = f"may use {joined(state.tools)}" if state.tools else "has no tools"
            reads = f"reads {joined(state.reads)}" if state.reads else "reads no facts"
            tries = tried(state)
            asks = f"; it may ask {joined(state.agents)} as tools" if state.agents else ""
            given = f"; it is given what came of {joined(state.results)}" if state.results else ""
            judged = f"; it judges what came of {state.judges} by “{state.criterion}”" if state.judges else ""
            needs = _approval(state.approval)
            return f"runs the agent {state.agent}, which {tools} and {reads}{asks}{given}{judged}{needs}; {tries}."
        case "call":
            return _call(flow, state)
        case "broadcast":
            return _broadcast(state)
        case "human":
            shown = f", who sees {joined(state.shows)}," if state.shows else ""
            within = duration_in_words(state.deadline_seconds)
            decisions = joined(state.decisions, "or")
            asked = f"{_saying(state.say)}asks a person ({state.role}){shown} to decide {decisions} within {within}"
            return f"{asked}{_approving(state)}."
        case "subflow":
            return _runs_subflow(flow, state)
        case _:
            failure = ", as a failure" if state.failure else ""
            return f"{_saying(state.say)}ends the conversation{failure}."


def _runs_subflow(flow: Flow, state: SubflowState) -> str:
    spec = next((one for one in flow.subflows if one.name == state.flow), None)
    which = f"{spec.flow} v{spec.version}" if spec else state.flow
    given = f", given {joined(state.reads)}" if state.reads else ""
    taken = f", which returns {joined(state.returns)}" if state.returns else ""
    ends = f"; it ends in {joined(spec.finals, 'or')}" if spec else ""
    within = duration_in_words(state.deadline_seconds)
    return f"runs the flow {which} as a child conversation{given}{taken}{ends}, at most {within}."


def _approval(state: str | None) -> str:
    """What a tool waits for that changes something."""
    return "" if state is None else f", only with an unused approval of {state} for exactly the facts as they are"


def _approving(state: HumanState) -> str:
    if state.approves is None:
        return ""
    who = "somebody" if state.approvals == 1 else f"{state.approvals} different people"
    signed = ", under a signature of their own" if state.signed else ""
    return f"; {state.approves} is an approval of what is shown, by {who} who did not ask for it{signed}"


def _call(flow: Flow, state: CallState) -> str:
    values = (f"{name} “{_in_words(value)}”" for name, value in state.gives.items())
    given = f" with {joined((*state.reads, *values))}" if state.reads or state.gives else ""
    tries = f"{counted(state.attempts, 'attempt')} of {duration_in_words(state.timeout_seconds)}"
    tool = next((one for one in flow.tools if one.name == state.tool), None)
    changes = ", which changes something outside" if tool and tool.consequential else ""
    return f"no agent; calls {state.tool}{changes}{given}{_approval(state.approval)}; {tries}."


def _waits(state: WaitState) -> str:
    others = f" or for {joined(state.inputs, 'or')}" if state.inputs else ""
    within = duration_in_words(state.deadline_seconds)
    forgotten = f"forgets {joined(state.forgets)}; " if state.forgets else ""
    issue = "takes up the next issue that waits, or " if state.next_issue else ""
    return f"{issue}{_saying(state.say)}{forgotten}waits for a message{others}, at most {within}."


def _broadcast(state: BroadcastState) -> str:
    if state.plan is None:
        asked = f"asks {joined(f'{one.name} ({_pace(one)})' for one in state.members)} at once"
    else:
        pace = f"{counted(state.attempts, 'attempt')} of {duration_in_words(state.timeout_seconds)}"
        asked = f"gives each subtask of {state.plan} (at most {state.most}) to {joined(state.workers, 'or')}, {pace}"
    enough = f"{counted(state.quorum, 'valid result')} of them" if state.quorum else "a valid result of every one"
    fails = ", or the first that fails" if state.fail_fast else ""
    least = f"; fewer are partial from {state.minimum_percent} % on" if state.minimum_percent else ""
    again = ""
    if state.retries:
        times = counted(state.retries, "time")
        again = f"; asks failed ones again up to {times}, {duration_in_words(state.retry_after_seconds)} apart"
    within = duration_in_words(state.deadline_seconds)
    return f"{asked}; waits for {enough}{fails}, at most {within}{least}{again}."


def members_of(state: BroadcastState) -> str:
    """Who is asked, in a few words for a picture."""
    return ", ".join(one.name for one in state.members) or f"each of {state.plan}"


def _pace(member: MemberSpec) -> str:
    reads = f"reads {joined(member.reads)}, " if member.reads else ""
    return f"{reads}{counted(member.attempts, 'attempt')} of {duration_in_words(member.timeout_seconds)}"


def _saying(text: str) -> str:
    return f"says “{text}”, " if text else ""


def _routed(router: RouterSpec, currency: str) -> str:
    rules = f"{counted(len(router.rules), 'rule')}, then " if router.rules else ""
    gates = joined(
        f"{name} {_number(written)}"
        for name, written in (("threshold", router.threshold), ("margin", router.margin), ("scope", router.scope))
        if int(written.replace(".", ""))
    )
    stage = f"the classifier {router.artefact or router.classifier[:12]}" if router.classifier else "no classifier"
    labels = joined(f"{label} ({says})" for label, says in router.labels.items())
    further = "".join(f"; {one}" for one in _routed_further(router, currency))
    return f"{router.name}: {rules}{stage}{f' ({gates})' if gates else ''}, to {labels}{further}"


def _routed_further(router: RouterSpec, currency: str) -> Iterator[str]:
    if router.escalations:
        labels = joined(dict.fromkeys(rule.label for rule in router.escalations), "or")
        yield f"before all rules, {counted(len(router.escalations), 'escalation')} to {labels}, in scope or not"
    if router.thresholds:
        each = joined(f"{label} {_number(least)}" for label, least in router.thresholds.items())
        yield f"thresholds of their own: {each}"
    if router.costs is not None:
        yield from _costs(router.costs, currency)
    if router.agent is not None:
        yield f"where it is unsure, {router.agent} is asked for a label"
    if router.sticky:
        yield "what stays unclear stays with the label that has the conversation"
    if router.several:
        yield f"several issues in a message are handled in turn, and asked about from {_number(router.notice)}"
    if router.screen_classifier:
        named = router.screen_artefact or router.screen_classifier[:12]
        yield f"the screening classifier {named} blocks from {_number(router.screen_threshold)}"


def _costs(costs: RoutingCosts, currency: str) -> Iterator[str]:
    digits = minor_digits(currency)
    of = [f"{decimal(costs.misroute, digits)}"] if costs.misroute else []
    of += [f"{decimal(amount, digits)} for {label}" for label, amount in costs.labels.items()]
    passed = decimal(costs.escalation, digits)
    yield f"a wrong route costs {currency} {joined(of)}, passing on {passed}, and thresholds follow from that"


def _number(written: str) -> str:
    return decimal(int(written.replace(".", "")), 6)


def _flow_wide(flow: Flow) -> Iterator[str]:
    rows = [row for row in flow.transitions if row.source == ANY]
    if rows:
        yield from ("", "IN ANY STATE, where the state has no row of its own")
    yield from (f"  {sentence_of(flow, row)}" for row in rows)


def _agents(flow: Flow) -> Iterator[str]:
    if flow.agents:
        yield from ("", "AGENTS")
    for agent in flow.agents:
        yield f"{agent.name}: {_agent(agent, flow.currency)}"
        if agent.says:
            yield f"  {agent.says}"
        if agent.handles:
            yield f"  Handles {joined(agent.handles)}."
        if agent.refuses:
            yield f"  Refuses {joined(agent.refuses)}."
        yield from (f"  {one}" for one in ways_of(agent))
        if agent.critical:
            yield "  Goes on when spending rises so fast that other agents are paused."
        if agent.reads or agent.consults:
            reads = f"is given {joined(agent.reads)}" if agent.reads else "is given no facts"
            asks = f" and may ask {joined(agent.consults)}" if agent.consults else ""
            yield f"  Asked as a tool, it {reads}{asks}."
        yield from (f"  | {line}" for line in agent.instructions.split("\n"))


def _agent(agent: AgentSpec, currency: str) -> str:
    answers = f"answers with {agent.contract}" if agent.contract else "answers with plain text"
    history = _HISTORY[agent.history].format(window=agent.window, twice=2 * agent.window)
    tokens = f"at most {agent.max_input_tokens:,} tokens in and {agent.max_output_tokens:,} out"
    price = agent.price
    dated = f" as of {price.dated}" if price.dated else ""
    costs = ""
    if price.input_nano or price.output_nano:
        per = f"{decimal(price.input_nano, 3)} in and {decimal(price.output_nano, 3)} out"
        costs = f"; {currency} {per} per million tokens{dated}"
    return f"{agent.model or 'the model of the setup'}; {answers}; {history}; {tokens}{costs}."


def _several(flow: Flow) -> Iterator[bool]:
    return (router.several for router in flow.routers)


def _limits(flow: Flow) -> Iterator[str]:
    limits, digits = flow.limits, max(2, minor_digits(flow.currency))
    yield from ("", "LIMITS")
    for name in Limits.model_fields:
        if (name.startswith("subflow") and not flow.subflows) or (name == "issues" and not any(_several(flow))):
            continue
        amount = getattr(limits, name)
        if amount is None or (name == "agent_depth" and amount == Limits().agent_depth):
            continue  # no limit of its own, or one that this flow does not speak of
        if name.endswith("_cost"):
            whole, _, fraction = decimal(amount, 9).partition(".")
            subject = "turn" if name.startswith("turn") else "conversation"
            yield f"  At most {flow.currency} {int(whole):,}.{fraction:0<{digits}} in a {subject}."
        elif name == "turn_seconds":
            yield f"  At most {duration_in_words(amount)} in a turn."
        else:
            yield f"  At most {amount:,} {_LIMITS[name]}."

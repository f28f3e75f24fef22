"""Each fault a flow can have: its code, its line, what is wrong and what to do, word for word.

A case changes the golden flow in one place; `tests/golden/flows/faults.txt` holds what is then said.
Run with `INTERLOCK_GOLDEN=write` to write it anew, and read the difference.
"""

import os
from dataclasses import replace

import pytest

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import (
    CACHED,
    AgentSpec,
    AgentState,
    BroadcastState,
    FactSpec,
    FinalState,
    Flow,
    MemberSpec,
    State,
    SubflowState,
    WaitState,
)
from interlock.contracts.guard import Guard, otherwise
from interlock.contracts.subflow import SubflowFact, SubflowSpec
from interlock.fsm.build import row
from interlock.fsm.check import CHECKS, faults_in
from interlock.fsm.code import Code
from interlock.fsm.guards import GuardMaker, at_least
from support.flows import customer_is_verified
from support.returns import GOLDEN, RETURNS_CODE, YAML, Trained, returns

FILE = GOLDEN / "faults.txt"


def line(start: str) -> str:
    """The one line of the golden flow that starts so."""
    (found,) = (one for one in YAML.splitlines(keepends=True) if one.startswith(start))
    return found


TABLE = "transitions:\n"
LAST = line("  - [any,      limit,")
REJECTED = line("  - [approval, rejected,")
CHECKED = line("  - [checking, done,        otherwise,")
QUESTION = line("  - [triage,   question,")
TWICE = '  - [checking, done, "all_of(customer_is_verified, amount_at_most(100))", closed, RT-3]\n'


def also(guard: str) -> tuple[str, str]:
    """One more row, with that guard."""
    return CHECKED, f'  - [checking, done, "{guard}", closed, RT-3]\n' + CHECKED


# Name of the case, what is replaced in the file, by what.
SECOND = "  second: {kind: human, role: reviewer, decisions: [good], approves: good, shows: [order], deadline: 1h}"
CASES: dict[str, tuple[str, str]] = {
    "a check that is not there": (TABLE, "checks: {P999: it is as it should be}\n" + TABLE),
    "several approvals of what is not there": (TABLE, "four_eyes: {burn: 2, pay: 2, repaid: 2}\n" + TABLE),
    "an approval by one pair of eyes": (TABLE, "four_eyes: {repaid: 1}\n" + TABLE),
    "a person who is nowhere near": (TABLE, "person_within: 0\n" + TABLE),
    "several issues that nobody takes up": ('    margin: "0.1"\n', '    margin: "0.1"\n    several: true\n'),
    "a check without a reason": (TABLE, "checks: {P309: so}\n" + TABLE),
    "a control character": ("The door.", "The \x07door."),
    "an escaped control character": ("The door.", '"The \\x07door."'),
    "a bracket that stays open": ("kind: final}\n", "kind: final\n"),
    "an impossible escape": ("The door.", '"\\UFFFFFFFF"'),
    "an anchor": ('cost?"', 'cost?", help: &a x'),
    "an alias": ("The door.", "*a"),
    "a tag": ("The door.", "!!python/object:os.system x"),
    "a key twice": ("version: 3", "version: 3\nversion: 4"),
    "a second document": ("transitions:\n", "---\ntransitions:\n"),
    "deep nesting": ("The door.", "[" * 40 + "]" * 40),
    "a key that is a list": ("version: 3", "version: 3\n? [a, b]\n: c"),
    "an unknown key": ("owner:", "ownr:"),
    "an unknown key of a state": ("role: reviewer", "roll: reviewer"),
    "a missing key": ("version: 3\n", ""),
    "a missing deadline": (", deadline: 1h}", "}"),
    "a list where text is needed": ("The door.", "[The door]"),
    "nothing where text is needed": ("says: The door.", "says: "),
    "a table where a list is needed": ("inputs: [parcel_came]", "inputs: {a: b}"),
    "a word where a table is needed": ("{kind: final}\n", "final\n"),
    "a list where a table of texts is needed": ("labels: {return_it: a return, question: a question}", "labels: [a]"),
    "a state without a usable name": ("  closed:   {kind", "  closed off: {kind"),
    "no whole number": ("version: 3", "version: three"),
    "a quoted number": ("version: 3", 'version: "3"'),
    "neither true nor false": ("confirm: true", "confirm: yes"),
    "no duration": ("deadline: 30m", "deadline: 30"),
    "a duration of nothing": ("deadline: 30m", "deadline: 0m"),
    "no decimal": ('threshold: "0.55"', "threshold: half"),
    "too many decimals": ('minimum: "0.01"', 'minimum: "0.001"'),
    "too large a decimal": ('maximum: "5000.00"', 'maximum: "999999999999999.00"'),
    "too few columns": (REJECTED, "  - [approval, rejected, closed, RT-4]\n"),
    "much too few columns": (LAST, LAST + "  - [any]\n"),
    "a comma in a guard": (
        '"all_of(customer_is_verified, amount_at_most(100))"',
        "all_of(customer_is_verified, amount_at_most(100))",
    ),
    "an empty column": ("closed,      SH-9", "closed,      ~"),
    "a row that is a word": (LAST, LAST + "  - any\n"),
    "a named row without a column": (
        LAST,
        LAST + "  - {from: any, on: limit, only if: otherwise, goto: closed, policy: S}\n",
    ),
    "rows that are no list": ("transitions:\n", "transitions: none\nrows:\n"),
    "a guard that is no expression": ("in_digression,  ", "in digression,  "),
    "a guard with and": ("in_digression,  ", "in_digression and customer_is_verified,  "),
    "a guard with not": ("in_digression,  ", "not in_digression,  "),
    "a bare word as an argument": ('amount_at_most(100))",  repaid', 'amount_at_most(much))",  repaid'),
    "a fraction as an argument": ('amount_at_most(100))",  repaid', 'amount_at_most(1.5))",  repaid'),
    "a named argument": ('amount_at_most(100))",  repaid', 'amount_at_most(limit=100))",  repaid'),
    "an empty combination": ("in_digression,  ", "all_of(),  "),
    "otherwise inside a guard": ("in_digression,  ", "not_(otherwise),  "),
    "a guard that is too long": ("in_digression,  ", f"amount_at_most({'1' * 500}),  "),
    "a guard that is too deep": ("in_digression,  ", "not_(" * 10 + "in_digression" + ")" * 10 + ",  "),
    "an unknown kind": ("kind: route,", "kind: rout,"),
    "no kind": ("{kind: route, ", "{"),
    "out of bounds": ("attempts: 2,", "attempts: 99,"),
    "an unknown currency": ("currency: EUR", "currency: euro"),
    "a file that is missing": ("classifier: router.json", "classifier: other.json"),
    "a file outside": ("classifier: router.json", "classifier: ../router.json"),
    "a file that changed": ("classifier: router.json", f"classifier: {'0' * 64}\n    artefact: router.json"),
    "an artefact alone": ("classifier: router.json", "artefact: router.json"),
    "an unknown type": ("type: yes_no", "type: boolean"),
    "a reserved name": ("  closed:   {kind: final}", "  closed:   {kind: final}\n  push:     {kind: final}"),
    "a label that is an outcome": ("question: a question}", "question: a question, unsure: nothing}"),
    "an input that is an outcome": ("inputs: [parcel_came]", "inputs: [parcel_came, expired]"),
    "no owner": ("owner: shop-operations", 'owner: ""'),
    "an unknown initial state": ("initial: greeting", "initial: greting"),
    "a row from nowhere": ("[approval, rejected,", "[aproval, rejected,"),
    "a row to nowhere": ("triage,      SH-1]", "triag,      SH-1]"),
    "a push to nowhere": ("push advise", "push return"),
    "an unknown guard": ("in_digression,  ", "customer_is_verifid,  "),
    "a guard with wrong arguments": ('amount_at_most(100))",  repaid', 'amount_at_most())",  repaid'),
    "a built-in guard with wrong arguments": also("known()"),
    "a built-in guard on an unknown fact": also("known(amuont)"),
    "a built-in guard on a fact of another type": also("at_most(order, 3)"),
    "a choice that there is not": also("is_(reason, broke)"),
    "an amount without its decimals": also("at_most(amount, 100)"),
    "the visits of no state": also("visits_at_most(gone, 3)"),
    "visits that are no number": also("visits_at_most(advise, often)"),
    "no messages": also("messages_at_least(0)"),
    "an unknown agent": ("agent: adviser,", "agent: advisor,"),
    "an unknown tool": ("tool: look_up,", "tool: lookup,"),
    "an unknown contract": ("contract: Advice", "contract: Advise"),
    "an unknown router": ("kind: route, router: triage", "kind: route, router: triag"),
    "an unknown router for digressions": ("digressions: triage", "digressions: triag"),
    "an unknown fact": ("shows: [order, amount]", "shows: [order, price]"),
    "a tool without what it needs": ("tool: look_up, reads: [amount]", "tool: look_up, reads: [order]"),
    "an outcome without a row": (line("  - [any,      gave_up,"), ""),
    "no otherwise": (CHECKED, ""),
    "a row below otherwise": (LAST, LAST + "  - [any, limit, customer_is_verified, closed, SH-7]\n"),
    "a guard twice": (CHECKED, TWICE + CHECKED),
    "an impossible outcome": ("[approval, rejected,", "[approval, refused,"),
    "a row from an end": (LAST, LAST + "  - [closed, message, otherwise, greeting, SH-7]\n"),
    "a flow-wide row for nothing": (LAST, LAST + "  - [any, aproved, otherwise, closed, SH-7]\n"),
    "no policy": ("closed,      SH-9", 'closed,      ""'),
    "a flow-wide row that is never used": (LAST, LAST + "  - [any, message, otherwise, triage, SH-7]\n"),
    "an unreachable state": ("  closed:   {kind: final}", "  closed:   {kind: final}\n  attic:    {kind: final}"),
    "a dead end": (
        "  closed:   {kind: final}",
        "  closed:   {kind: human, role: clerk, decisions: [yes], deadline: 1h}",
    ),
    "no end": ("kind: final", "kind: wait, deadline: 1h"),
    "no limit row": (LAST, ""),
    "a limit that calls more": (LAST, LAST.replace("approval,", "advise,  ")),
    "a limit that returns": (LAST, LAST.replace("approval,", "return,  ")),
    "a return that does not ask": ("in_digression,  ", "customer_is_verified,  "),
    "a push from one state": (QUESTION, QUESTION.replace("advise,", "push advise,")),
    "a push on no label": (LAST, LAST + "  - [any, timeout, otherwise, push advise, SH-3]\n"),
    "a push without digressions": ("digressions: triage\n", ""),
    "a loop by itself": ("greeting,    SH-1]\n  - [triage,   blocked", "triage,      SH-1]\n  - [triage,   blocked"),
    "a fact without a question": ('type: money, ask: "How much did it cost?",', "type: money,"),
    "a choice of nothing": ("choices: [broken, too_small, other], ", ""),
    "enough is all there is": ("optional: [reason],", "enough: 2,"),
    "enough and optional": ("optional: [reason],", "optional: [reason], enough: 1,"),
    "a broken pattern": ('"[A-Z]{2}[0-9]{6}"', '"[A-Z"'),
    "an endless pattern": ('"[A-Z]{2}[0-9]{6}"', '"([A-Z]+)+x"'),
    "a pattern that refers back": ('"[A-Z]{2}[0-9]{6}"', '"([A-Z])\\\\1"'),
    "a pattern that is too long": ('"[A-Z]{2}[0-9]{6}"', f'"{"x" * 400}"'),
    "a bound that is not used": ("type: yes_no,", "type: yes_no, minimum: 1,"),
    "bounds the wrong way round": ('minimum: "0.01"', 'minimum: "9000"'),
    "a limit of nothing": ("handoffs: 2,", "handoffs: 0,"),
    "a turn of a million steps": ("handoffs: 2,", "handoffs: 2, steps: 1000000,"),
    "an agent without tokens": ("max_output_tokens: 500", "max_output_tokens: 0"),
    "an answer larger than a turn": ("max_output_tokens: 500", "max_output_tokens: 300000"),
    "an answer dearer than a turn": ('output: "2.00"', 'output: "2000.00"'),
    "a dangerous tool without a key or words": ("tools: [look_up]", "tools: [look_up, burn]"),
    "a router without labels": ("labels: {return_it: a return, question: a question}", "labels: {}"),
    "a rule for no label": ("{label: return_it,", "{label: return,"),
    "a rule without words": ('any: [send it back], patterns: ["\\\\brefund"]', "any: []"),
    "a rule that always matches": ('["\\\\brefund"]', '["x*"]'),
    "an unknown screen": ('threshold: "0.55"', 'screen: [size, smell]\n    threshold: "0.55"'),
    "a threshold above 1": ('threshold: "0.55"', 'threshold: "1.1"'),
    "a threshold of its own above 1": ('threshold: "0.55"', 'thresholds: {question: "1.1"}'),
    "thresholds that are no table": ('threshold: "0.55"', 'thresholds: "0.5"'),
    "a threshold for no label": ('threshold: "0.55"', 'thresholds: {return: "0.5"}'),
    "a cost for no label": ('threshold: "0.55"', 'costs: {escalation: "4.00", labels: {return: "20.00"}}'),
    "costs of nothing": ('threshold: "0.55"', 'costs: {escalation: "4.00"}'),
    "a wrong route that costs nothing": (
        'threshold: "0.55"',
        'costs: {escalation: "4.00", misroute: "5.00", labels: {question: "0"}}',
    ),
    "passing on that costs nothing": ('threshold: "0.55"', 'costs: {escalation: "0", misroute: "5.00"}'),
    "costs below a cent": ('threshold: "0.55"', 'costs: {escalation: "0.001", misroute: "5.00"}'),
    "an escalation for no label": ('threshold: "0.55"', "escalations: [{label: person, any: [lawyer]}]"),
    "an escalation with an empty phrase": ('threshold: "0.55"', 'escalations: [{label: question, any: [lawyer, " "]}]'),
    "a router's agent that is not there": ('threshold: "0.55"', "agent: sorter"),
    "a screening classifier that is not there": ('threshold: "0.55"', "screen_classifier: screen.json"),
    "a screening classifier without attacks": ('threshold: "0.55"', "screen_classifier: router.json"),
    "an unknown place in a text": ("{amount} is on", "{amonut} is on"),
    "a subflow that is not declared": ("kind: call, tool: look_up, reads: [amount]", "kind: subflow, flow: research"),
    "a subflow that is missing": ("states:\n", "subflows: {research: research.yaml}\nstates:\n"),
    "a subflow that is not loaded": ("states:\n", "subflows: {research: router.json}\nstates:\n"),
    "a subflow outside": ("states:\n", "subflows: {research: ../research.yaml}\nstates:\n"),
    "a subflow without a usable name": ("states:\n", "subflows: {the research: research.yaml}\nstates:\n"),
    "a brace without its pair": ("{amount} is on", "{amount is on"),
    "an argument that the tool does not take": ("{kind: call, ", "{kind: call, gives: {amuont: 3}, "),
    "an argument that is given twice": ("{kind: call, ", "{kind: call, gives: {amount: 3}, "),
    "an argument of another type": (
        TABLE,
        "  again: {kind: call, tool: look_up, gives: {amount: much}, timeout: 5s}\n" + TABLE,
    ),
    "arguments that are no table": ("{kind: call, ", "{kind: call, gives: three, "),
    "a broadcast that asks nobody": (TABLE, "  team: {kind: broadcast, deadline: 1m}\n" + TABLE),
    "a broadcast with members and a plan": (
        TABLE,
        "  team: {kind: broadcast, members: [adviser], plan: answer, deadline: 1m}\n" + TABLE,
    ),
    "members that cannot answer in time": (
        TABLE,
        "  team: {kind: broadcast, members: {a: {agent: adviser, timeout: 2m}}, quorum: 2, fail_fast: true, "
        "deadline: 1m}\n" + TABLE,
    ),
    "more members than calls": (
        TABLE,
        "  team: {kind: broadcast, members: {a: {agent: adviser}, b: {agent: adviser}, c: {agent: adviser}, "
        "d: {agent: adviser}, e: {agent: adviser}, f: {agent: adviser}, g: {agent: adviser}, h: {agent: adviser}, "
        "i: {agent: adviser}}, deadline: 1m}\n" + TABLE,
    ),
    "a member that is no agent": (TABLE, "  team: {kind: broadcast, members: [advisor], deadline: 1m}\n" + TABLE),
    "a member with an unknown key": (
        TABLE,
        "  team: {kind: broadcast, members: {a: {agnt: adviser}}, deadline: 1m}\n" + TABLE,
    ),
    "a member that tries too often": (
        TABLE,
        "  team: {kind: broadcast, members: {a: {agent: adviser, attempts: 9}}, deadline: 1m}\n" + TABLE,
    ),
    "a member that is no table": (TABLE, "  team: {kind: broadcast, members: {a: adviser}, deadline: 1m}\n" + TABLE),
    "members that are a word": (TABLE, "  team: {kind: broadcast, members: adviser, deadline: 1m}\n" + TABLE),
    "a fallback that is no agent": ("{kind: agent, ", "{kind: agent, fallbacks: [advisor], "),
    "a fallback twice, for itself, and of a state with tools": (
        "{kind: agent, ",
        "{kind: agent, fallbacks: [adviser, cached, cached], ",
    ),
    "a wait before nothing": ("attempts: 2, timeout: 20s", "attempts: 1, backoff: 2s, timeout: 20s"),
    "results of a state without any": ("{kind: agent, ", "{kind: agent, results: [closed], "),
    "a judge without a criterion": ("{kind: agent, ", "{kind: agent, judges: answer, "),
    "an unknown agent as a tool": ("{kind: agent, ", "{kind: agent, agents: [advisor], "),
    "an agent twice as a tool": ("{kind: agent, ", "{kind: agent, agents: [adviser, adviser], "),
    "a judge that asks others": (
        "{kind: agent, ",
        '{kind: agent, judges: answer, criterion: "Is it right?", agents: [adviser], ',
    ),
    "facts of a tool that nobody asks": ("    handles: [opening", "    reads: [order]\n    handles: [opening"),
    "agents and facts that there are not": (
        "    handles: [opening",
        "    consults: [advisor]\n    reads: [ordr]\n    handles: [opening",
    ),
    "the next issue where none waits": ("{kind: wait, ", "{kind: wait, next_issue: true, "),
    "an approval that is no decision": ("[approved, rejected], ", "[approved, rejected], approves: aproved, "),
    "two approvals of nothing": ("[approved, rejected], ", "[approved, rejected], approvals: 2, "),
    "an approval of a state that gives none": ("tool: look_up, ", "tool: look_up, approval: closed, "),
    "an approval of what nobody sees, for nothing": (
        "tool: look_up, reads: [amount], timeout: 10s}",
        "tool: look_up, reads: [amount], approval: second, timeout: 10s}\n" + SECOND,
    ),
    "an unknown place in a phrase": ("{reference}", "{referense}"),
}
# Cases that a file cannot make, or that lie in the code.
HELD = "  - [any, policy, otherwise, approval, X-1]\n"


def ruled(*rules: str, rows: str = "", says: str = "It is so.") -> tuple[str, str]:
    """Policies, and perhaps further rows."""
    lines = "".join(f"  rule_{number}: {{says: {says!r}, {rule}}}\n" for number, rule in enumerate(rules, 1))
    return TABLE, f"policies:\n{lines}{TABLE}{rows}"


CASES |= {
    "a policy of words that are none": ruled('never: "to pay"', "never: paid:closed", "must: [decided:approval]"),
    "a policy without a sentence": ruled("never: closed, until: approval", rows=HELD, says=" "),
    "policies that are no rule": ruled(
        "after: approval",
        "must: approval, never: closed",
        "must: approval, unless_before: details, each: true",
        "every: approval",
        "then: approval",
        "must: approval, before: closed, until: repaid",
        "never: closed, unless_before: [closed, approval]",
        "never: closed, unless_before: approval, unless_before_in_order: [details, approval]",
        "never: closed, unless_before_in_order: approval",
        "at_most: {closed: 0}",
        "at_most: closed",
    ),
    "policies of names that are not there": ruled(
        "never: refund",
        "never: tool:lookup",
        "never: [decided:approval.aproved, decided:aproval.approved]",
        "must: label:retrun_it",
        "must: [limit:rounds, input:parcel, mark:yes]",
    ),
    "a policy of a name that is two things": (
        "states:\n",
        "policies:\n  rule: {says: It is so., never: look_up}\nstates:\n  look_up: {kind: final}\n",
    ),
    "policies that nothing can break": ruled("never: checking, after: end:closed", "at_most: {repaid: 9}"),
    "a policy that counts too much": ruled('at_most: {"enter:triage": 90, "enter:greeting": 90}', rows=HELD),
    "policies that take too much room": ruled(
        *(f'at_most: {{"enter:triage": {number}, "enter:greeting": 50}}' for number in (40, 50)), rows=HELD
    ),
    "policies that contradict each other": ruled(
        "never: approval", "must: approval", "never: greeting", "at_most: {closed: 9}", rows=HELD
    ),
    "three policies that contradict each other": ruled(
        "never: end:closed", "never: repaid, unless_before: checking", "never: checking", rows=HELD
    ),
    "a policy without a row": ruled("never: repaid, unless_before: decided:approval.approved"),
    "rows for policies that lead on": ruled(
        "must: approval",
        rows="  - [any, policy, customer_is_verified, checking, X-1]\n  - [any, policy, otherwise, closed, X-1]\n",
    ),
    "policies that nobody can keep": ruled("at_most: {message: 2}", "never: decided:approval.rejected", rows=HELD),
    "a trigger that policies have": (
        "decisions: [approved, rejected]",
        "decisions: [approved, rejected, policy]",
    ),
}
FILES: dict[str, bytes | str] = {
    "not UTF-8": b"flow: caf\xe9\n",
    "too large": "# " + "x" * 1_000_000,
    "empty": "# nothing\n",
    "a list": "- a\n- b\n",
}


def changed(case: str) -> str:
    old, new = CASES[case]
    assert old in YAML, f"{case!r} changes nothing"
    return YAML.replace(old, new) if case == "no end" else YAML.replace(old, new, 1)


def said(text: str | bytes, code: Code = RETURNS_CODE) -> str:
    with pytest.raises(FlowError) as refused:
        returns(text, code)
    return "\n".join(f"  {fault}" for fault in refused.value.faults)


def _agents_as_tools(flow: Flow) -> dict[str, tuple[Flow, Code]]:
    """Flows whose agents could not be asked as they are declared."""
    long = "x" * 61

    def asking(*agents: AgentSpec, depth: int = 2) -> Flow:
        states = tuple(
            state.changed(agents=(agents[0].name,)) if state.name == "advise" else state for state in flow.states
        )
        limits = flow.limits.changed(agent_depth=depth)
        return flow.changed(agents=(*flow.agents, *agents), states=states, limits=limits)

    clash = replace(RETURNS_CODE, tools={**RETURNS_CODE.tools, "ask_clerk": RETURNS_CODE.tools["look_up"]})
    clerk = AgentSpec(name="clerk", instructions="Help.")
    files = AgentSpec(name="files", instructions="Look.", consults=("clerk",))
    return {
        "agents deeper than the limit": (asking(clerk.changed(consults=("files",)), files), RETURNS_CODE),
        "a cycle at depth one": (asking(clerk.changed(consults=("clerk",)), depth=1), RETURNS_CODE),
        "an agent with the name of a tool": (asking(clerk), clash),
        "an agent with a name too long for a tool": (asking(clerk.changed(name=long)), RETURNS_CODE),
    }


def in_python() -> dict[str, tuple[Flow, Code]]:
    """Flows made in Python with faults that no file can have."""
    flow = returns().flow
    rows = flow.transitions
    misread = GuardMaker(customer_is_verified.spec.changed(says="{it} is"), customer_is_verified.function, ())
    forgetful = replace(RETURNS_CODE, classifiers={})
    strange = Trained()
    strange.labels = ("return_it", "weather")
    nested = rows[0].changed(guard=Guard(op="not", parts=(otherwise,)))
    days, aged = FactSpec(name="days", type="integer"), at_least("days", "7.0")
    trap = tuple(row("repaid", on, otherwise, "repaid", "SH-1") for on in ("message", "expired"))
    waits = tuple(
        WaitState(name="repaid", deadline_seconds=60) if state.name == "repaid" else state for state in flow.states
    )
    return {
        "a trap": (flow.changed(states=waits, transitions=(*rows, *trap)), RETURNS_CODE),
        "two states of one name": (flow.changed(states=(*flow.states, FinalState(name="closed"))), RETURNS_CODE),
        "two facts of one name": (flow.changed(facts=(*flow.facts, FactSpec(name="order", type="text"))), RETURNS_CODE),
        "a control character in a text": (
            flow.changed(agents=(*flow.agents, AgentSpec(name="two", instructions="a\x00b"))),
            RETURNS_CODE,
        ),
        "otherwise inside": (flow.changed(transitions=(nested, *rows)), RETURNS_CODE),
        "a sentence without its places": (
            flow.changed(guards=(misread.spec,)),
            replace(RETURNS_CODE, guards={**RETURNS_CODE.guards, "customer_is_verified": misread}),
        ),
        "a whole number with decimals": (
            flow.changed(facts=(*flow.facts, days), transitions=(row("checking", "done", aged, "closed", "A"), *rows)),
            RETURNS_CODE,
        ),
        **with_a_subflow(flow),
        **_agents_as_tools(flow),
        **with_fallbacks(flow),
        **with_handoffs(flow),
        "a classifier that is not loaded": (flow, forgetful),
        "a classifier with other labels": (flow, replace(RETURNS_CODE, classifiers={Trained.digest: strange})),
    }


def with_a_subflow(flow: Flow) -> dict[str, tuple[Flow, Code]]:
    """One that does not fit its parent in each of the ways."""
    child = SubflowSpec(name="research", flow="research", version=1, digest="0" * 64, currency="EUR", finals=("found",))
    strange = child.changed(finals=("limit", "found"), levels=4)
    kinds = {"amount": "integer", "reason": "choice", "order": "code"}
    knows = child.changed(
        facts=tuple(
            SubflowFact.model_validate({"name": name, "type": kind, "choices": ("bent",) if kind == "choice" else ()})
            for name, kind in kinds.items()
        )
    )
    asked = SubflowState(
        name="research",
        flow="research",
        reads=("amount", "verified", "reason", "order"),
        returns=("reason",),
        deadline_seconds=60,
    )
    rows = (*(row("research", on, otherwise, "closed", "A-1") for on in ("found", "failed")), *flow.transitions)
    to_it = row("checking", "done", customer_is_verified, "research", "A-1")
    parent = flow.changed(states=(*flow.states, asked), transitions=(to_it, *rows))
    return {
        "facts that do not fit a subflow": (parent.changed(subflows=(knows,)), RETURNS_CODE),
        "a subflow in another currency": (
            parent.changed(subflows=(knows.changed(currency="USD", facts=(knows.facts[0].changed(type="money"),)),)),
            RETURNS_CODE,
        ),
        "a subflow too deep, with an end that is a trigger": (flow.changed(subflows=(strange,)), RETURNS_CODE),
    }


def with_fallbacks(flow: Flow) -> dict[str, tuple[Flow, Code]]:
    """Fallbacks that answer otherwise, that are called as the cached answer is, and that lead on to agents only."""
    others = (AgentSpec(name="other", instructions="Help."), AgentSpec(name=CACHED, instructions="Help."))
    advise = next(one for one in flow.states if isinstance(one, AgentState))
    alike = flow.agents[0].changed(name="alike")

    def advised(*more: State, **changes: object) -> Flow:
        states = (*(advise.changed(**changes) if one is advise else one for one in flow.states), *more)
        return flow.changed(states=states, agents=(*flow.agents, *others, alike))

    again = advise.changed(name="again", fallbacks=())
    stuck = advised(again, fallbacks=("alike",))
    stuck = stuck.changed(transitions=(row("advise", "failed", otherwise, "again", "SH-9"), *flow.transitions))
    return {
        "fallbacks of other kinds": (advised(fallbacks=("other", CACHED)), RETURNS_CODE),
        "fallbacks that lead to agents only": (stuck, RETURNS_CODE),
    }


def with_handoffs(flow: Flow) -> dict[str, tuple[Flow, Code]]:
    """Summaries that nobody makes or needs, words that must not be left out, and scopes that are none."""
    adviser = flow.agents[0]
    scribe = AgentSpec(name="scribe", instructions="Sum up.", when_over="summarise", summariser="scribe")
    idle = AgentSpec(name="idle", instructions="Help.", summariser="nobody", scope="nothing")
    unsummed = AgentSpec(name="unsummed", instructions="Help.", history="summary")
    short = AgentSpec(name="short", instructions="Help.", history="window", when_over="summarise", summariser="idle")
    aloof = AgentSpec(name="aloof", instructions="Help.", scope="triage")
    lost = adviser.changed(scope="triage", handles=("question", "weather"), refuses=("question",))
    team = BroadcastState(name="team", members=(MemberSpec(name="one", agent="adviser"),), deadline_seconds=60)
    advise = next(one for one in flow.states if isinstance(one, AgentState))
    asking = advise.changed(name="asking", agent="aloof", agents=("adviser",), fallbacks=("adviser",))
    others = adviser.changed(name="curious", consults=("adviser",), scope=None)
    return {
        "summaries that cannot be": (
            flow.changed(agents=(*flow.agents, scribe, idle, unsummed, short)),
            RETURNS_CODE,
        ),
        "a sensitive flow with less than every word": (
            flow.changed(sensitive=True, agents=(*flow.agents, unsummed.changed(summariser="adviser"))),
            RETURNS_CODE,
        ),
        "scopes that cannot be": (
            flow.changed(agents=(lost, aloof, others), states=(*flow.states, team, asking)),
            RETURNS_CODE,
        ),
    }


def report() -> str:
    parts = [f"{case}\n{said(changed(case))}" for case in CASES]
    parts += [f"{case}\n{said(text)}" for case, text in FILES.items()]
    for case, (flow, code) in in_python().items():
        faults = "\n".join(f"  {fault}" for fault in faults_in(flow, code))
        parts.append(f"{case}\n{faults}")
    return "\n\n".join(parts) + "\n"


def test_every_fault_says_what_the_golden_file_says():
    """What is wrong and what to do about it, for every case."""
    found = report()
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        FILE.write_text(found, "utf-8")
    assert found == FILE.read_text("utf-8")


def test_every_code_has_a_case():
    """No check without its sentence in the golden file, and no code outside the table."""
    text = FILE.read_text("utf-8")
    codes = [check.code for check in CHECKS]
    assert [code for code in codes if f" {code} " not in text] == []
    assert len(set(codes)) == len(codes)


def test_all_faults_come_at_once_by_line():
    """Faults of the text, of its shape and of the flow stand in one error, in the order of their lines."""
    text = YAML.replace("version: 3", "version: three").replace("role: reviewer", "roll: reviewer")
    text = text.replace("closed,      RT-2", "closd,      RT-2").replace("says: The door.", "says: !x The door.")
    with pytest.raises(FlowError) as refused:
        returns(text)
    faults = refused.value.faults
    assert [fault.code for fault in faults] == ["R205", "Y106", "R201", "R202", "S112"]
    assert [fault.line for fault in faults] == sorted(fault.line for fault in faults)
    first = str(refused.value).splitlines()[0]
    assert first == "The flow 'returns' has 5 faults. Where: returns.yaml. Fix: Mend each of these:"

"""Approvals by several people, people who are near, sanitisers, deadlines and windows: what each is told as."""

from dataclasses import replace

import pytest

from interlock.agents.tools import tool
from interlock.contracts.facts import Facts
from interlock.contracts.flow import Flow
from interlock.fsm.code import Code
from interlock.fsm.describe import described
from interlock.fsm.guards import guard
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.fsm.prove.findings import Finding
from interlock.fsm.prove.proof import proved
from interlock.fsm.written import written_yaml
from support.broken import CODE, MENDED


@guard(says="nothing in what was written looks like an order to us", sanitises=True)
def is_harmless(facts: Facts) -> bool:
    return facts.known("amount")


@guard(says="nothing in what was written looks like an order to us")
def looks_harmless(facts: Facts) -> bool:
    return facts.known("amount")


@tool(says="Has the wording looked at.", sanitises=True)
def wash(amount: int) -> None:
    return None


OURS = Code.of(
    tools=[*CODE.tools.values(), wash],
    contracts=[*CODE.contracts.values()],
    guards=[is_harmless, looks_harmless],
)
UNCONFIRMED = MENDED.replace(', confirm: "You want {amount} back?"', "")


def program(text: str) -> tuple[Program, dict[str, int]]:
    found = read_flow(text, OURS, file="orders.yaml")
    return compiled(found.flow, OURS), dict(found.lines)


def answer(text: str, code: str) -> list[Finding]:
    return [one for one in proved(*program(text)).findings if one.code == code]


def reviewed(*, people: int = 2, needed: int = 2, what: str = "pay_back", bound: bool = True, after: str = "") -> str:
    """The mended flow, in which payments pass a review."""
    review = "  review:   {kind: human, role: clerk, decisions: [approve, refuse], approves: approve, "
    review += f"approvals: {people}, shows: [amount], deadline: 4h}}\n"
    rows = (
        f"  - [review, approve, otherwise, {after or 'paying'}, OR-5]\n  - [review, refuse, otherwise, closed, OR-5]\n"
    )
    text = MENDED.replace("facts:\n", f"four_eyes: {{{what}: {needed}}}\nfacts:\n", 1)
    text = text.replace("  more:     {", f"{review}  more:     {{")
    text = text.replace(
        "complete, otherwise,             paying,   OR-5]\n", f"complete, otherwise, review, OR-5]\n{rows}"
    )
    if bound:
        text = text.replace("reads: [amount], timeout: 10s}", "reads: [amount], timeout: 10s, approval: review}")
        text = text.replace(
            "  - [more,     message,", "  - [paying, unapproved, otherwise, desk, OR-5]\n  - [more,     message,"
        )
    return text


@pytest.mark.parametrize("bound", [True, False], ids=["bound", "on the way"])
@pytest.mark.parametrize("what", ["pay_back", "paying"])
def test_two_people_on_every_path(what: str, bound: bool) -> None:
    """A tool, or a state; the approval is bound to what the tool is given, or stands on the only way there."""
    (finding,) = answer(reviewed(what=what, bound=bound), "P323")
    assert finding.verdict == "proved"
    assert finding.says == f"{what!r} is reached only after 2 different people approved."
    assert finding.where == f"four_eyes.{what}"


def test_one_person_is_not_enough() -> None:
    """The same flow with one approval, and with three asked for."""
    for text in (reviewed(people=1), reviewed(needed=3)):
        (finding,) = answer(text, "P323")
        assert finding.verdict == "refuted"
        assert [one.state for one in finding.counterexample] == ["greeting", "asking", "details", "review", "paying"]


def test_what_is_said_after_the_approval_was_not_approved() -> None:
    """A message between: the approval was of something else."""
    text = reviewed(bound=False, after="again").replace(
        "  more:     {", '  again:    {kind: wait, say: "Anything to add?", deadline: 15m}\n  more:     {'
    )
    text = text.replace(
        "  - [more,     message,", "  - [again, message, otherwise, paying, OR-5]\n  - [more,     message,"
    )
    (finding,) = answer(text, "P323")
    assert finding.verdict == "refuted"
    assert finding.says == ("'pay_back' is reached, and no 2 different people approved since something was said last.")
    assert finding.fix.startswith("Lead every way there over a human state with `approves` and `approvals: 2`")
    assert finding.counterexample[-2].state == "again"


def test_a_person_within_what_the_flow_says() -> None:
    """The distance is told; a flow that asks for less than there is, is refuted."""
    near = MENDED.replace("facts:\n", "person_within: 1\nfacts:\n", 1)
    (finding,) = answer(near, "P308")
    assert finding.verdict == "refuted"
    assert finding.says == "From 'greeting' a person is 2 rows away; more than 1: greeting > asking > desk."
    near = near.replace("person_within: 1", "person_within: 2")
    (finding,) = answer(near, "P308")
    assert (finding.verdict, finding.says) == ("proved", "A person is at most 2 rows away (greeting > asking > desk).")
    rows = "".join(
        f"  - [{state}, {on}, otherwise, more, OR-8]\n"
        for state, on in (("paying", "failed"), ("paying", "timeout"), ("paying", "limit"))
    )
    (finding,) = answer(near.replace("  - [more,     message,", f"{rows}  - [more,     message,"), "P308")
    assert finding.verdict == "refuted"
    assert finding.says == "From 'paying' a person is 3 rows away; more than 2: paying > more > asking > desk."


def test_a_declared_sanitiser_makes_written_words_trusted() -> None:
    """A guard of the row, or a tool that a state called; the same guard without the declaration does not."""
    unsafe = answer(UNCONFIRMED, "P309")
    assert [one.verdict for one in unsafe] == ["refuted"]
    row = "  - [details,  complete, otherwise,             paying,   OR-5]\n"
    for name, verdict in (("is_harmless", "proved"), ("looks_harmless", "refuted"), ("not_(is_harmless)", "refuted")):
        rows = f"  - [details, complete, {name}, paying, OR-5]\n  - [details, complete, otherwise, desk, OR-5]\n"
        assert [one.verdict for one in answer(UNCONFIRMED.replace(row, rows), "P309")] == [verdict], name
    rows = "  - [details, complete, otherwise, washing, OR-5]\n  - [washing, done, otherwise, paying, OR-5]\n"
    washing = UNCONFIRMED.replace(row, rows).replace(
        "  more:     {", "  washing:  {kind: call, tool: wash, reads: [amount]}\n  more:     {"
    )
    assert [one.verdict for one in answer(washing, "P309")] == ["proved"]


def test_that_it_sanitises_is_part_of_the_digest() -> None:
    """And absent where it is not said; it is said in English."""
    row = "  - [details,  complete, otherwise,             paying,   OR-5]\n"
    text = MENDED.replace(row, f"  - [details, complete, is_harmless, paying, OR-5]\n{row}")
    found = program(text)[0].flow
    plain = replace(is_harmless, spec=is_harmless.spec.changed(sanitises=False))
    other = read_flow(text, replace(OURS, guards={"is_harmless": plain}), file="orders.yaml").flow
    assert found.digest != other.digest
    assert "sanitises" in str(found.written())
    assert "sanitises" not in str(other.written())
    assert "What was written may change something once is_harmless looked at it." in described(found)


def test_the_new_keys_are_written_and_read_back() -> None:
    """The same flow and digest, and English for whoever signs; absent where they are not used."""
    flow: Flow = program(reviewed().replace("facts:\n", "person_within: 6\nfacts:\n", 1))[0].flow
    again = read_flow(written_yaml(flow), OURS).flow
    assert (again.four_eyes, again.person_within) == ({"pay_back": 2}, 6)
    assert again.digest == flow.digest
    assert "Every way to these leads over an approval: pay_back (2 different people)." in described(flow)
    for key in ("four_eyes", "person_within", "sanitises"):
        assert key not in str(program(MENDED)[0].flow.written())


def test_every_deadline_is_told_and_an_endless_one_noted() -> None:
    """Of what waits, and of what works."""
    (finding,) = answer(MENDED, "P324")
    assert finding.says == (
        "Every state that waits or works ends in time, and its failure leads on: 4 with a deadline (the longest 4h, "
        "'desk') and 3 with a timeout (the longest 20s, 'asking')."
    )
    noted, _ = answer(MENDED.replace("deadline: 4h", "deadline: 400d"), "P324")
    assert noted.says == "'desk' waits up to 400 days: that is no deadline that anybody would wait for."


def test_a_way_round_in_which_only_deadlines_pass_is_found() -> None:
    """A reminder for ever is none; counted, it leads on."""
    expired = "  - [any, expired,     otherwise, closed, OR-7]\n"
    again = MENDED.replace(expired, f"  - [more, expired, otherwise, more, OR-7]\n{expired}")
    (finding,) = answer(again, "P324")
    assert finding.verdict == "refuted"
    assert finding.says == (
        "When nobody answers, 'more' goes round each time the deadline passes: there is no fallback in it."
    )
    assert [(one.state, one.on) for one in finding.counterexample if one.in_loop] == [("more", "expired")]
    counted = (
        "  - [more, expired, 'visits_at_most(more, 2)', more, OR-7]\n  - [more, expired, otherwise, closed, OR-7]\n"
    )
    assert [one.verdict for one in answer(MENDED.replace(expired, counted + expired), "P324")] == ["proved"]


def test_agents_that_are_each_others_fallback_are_ended_by_a_limit_of_the_turn() -> None:
    """What P305 proves ended is told as that; where the limit bounds nothing, the loop is marked."""
    rows = "  - [asking, failed, otherwise, invoices, OR-4]\n  - [invoices, failed, otherwise, asking, OR-4]\n"
    text = MENDED.replace("  - [more,     message,", f"{rows}  - [more,     message,")
    (finding,) = answer(text, "P324")
    assert finding.verdict == "proved"
    assert finding.says.endswith(" When every call fails, 'invoices' to 'asking' is ended by agent_calls: 6.")
    lax = ", ".join(f"{name}: 10000" for name in ("agent_calls", "handoffs", "same_pair", "steps"))
    (finding,) = answer(text.replace("limits: {agent_calls: 6, handoffs: 3}", f"limits: {{{lax}}}"), "P324")
    assert finding.verdict == "refuted"
    assert finding.says.startswith("When nobody answers and every call fails, ")
    assert {one.state for one in finding.counterexample if one.in_loop} == {"asking", "invoices"}
    assert finding.line in {one.line for one in finding.counterexample if one.in_loop}


def test_an_agent_that_tries_itself_again_is_ended_by_a_limit() -> None:
    """A row back to itself for answers that do not fit."""
    text = MENDED.replace(
        "  - [more,     message,", "  - [asking, invalid, otherwise, asking, OR-4]\n  - [more,     message,"
    )
    (finding,) = answer(text, "P324")
    assert finding.verdict == "proved"
    assert " When every call fails, 'asking' is ended by " in finding.says


def test_how_much_of_a_history_surely_fits() -> None:
    """By the longest message, in bytes; what is done past it is told."""
    first, _ = answer(MENDED, "P325")
    assert first.verdict == "noted"
    assert first.says == (
        "'orders' is given every message; 1 of the longest (16,000 bytes) surely fit; past that it is not asked: "
        "over_budget leads from 'asking' to 'desk'."
    )
    short = MENDED.replace("limits: {", "limits: {message_bytes: 500, ").replace(
        "instructions: Help", "history: window, window: 5, instructions: Help"
    )
    assert [one.verdict for one in answer(short, "P325")] == ["proved"]
    tight = short.replace("window: 5,", "window: 5, max_input_tokens: 4000,")
    says = [one.says for one in answer(tight, "P325")]
    assert len(says) == 2
    assert says[0].startswith("'orders' is given the 5 latest messages, its window; ")


def test_an_agent_that_is_given_less_than_it_is_told_can_never_be_asked() -> None:
    """Its instructions and contract alone are over budget."""
    text = MENDED.replace(
        "instructions: Help with orders.,", "instructions: Help with orders., max_input_tokens: 1000,"
    )
    finding = answer(text, "P325")[0]
    assert finding.verdict == "refuted"
    assert finding.says.startswith(
        "Before any message, the instructions, facts and tools of 'orders' in 'asking' may take "
    )
    assert finding.says.endswith(" tokens; it is given 1,000 at most.")


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("digression_depth: 1", "The limit digression_depth: 1 can never be reached: no row pushes."),
        ("subflow_depth: 1", "The limit subflow_depth: 1 can never be reached: no state runs a subflow."),
        ("agent_depth: 1", "The limit agent_depth: 1 can never be reached: no agent may ask others."),
        ("issues: 2", "The limit issues: 2 can never be reached: no router keeps several issues."),
        ("turn_tokens: 900000", "The limit turn_tokens: 900,000 can never be reached: a turn takes at most "),
        ("turn_cost: 0.75", "The limit turn_cost: EUR 0.75 can never be reached: a turn costs at most EUR 0.54."),
        ("turn_cost: 1000.000000001", "The limit turn_cost: EUR 1,000.000000001 can never be reached: a turn costs "),
        ("message_bytes: 99000000", "The limit message_bytes: 99,000,000 is so high that it can always be passed by."),
        ("tool_rounds: 5000", "The limit tool_rounds: 5,000 is so high that it can always be passed by."),
    ],
)
def test_limits_that_are_never_reached_or_always_passed_by(limit: str, says: str) -> None:
    """Beside those of the turn that count calls and moves."""
    found = answer(MENDED.replace("limits: {", f"limits: {{{limit}, "), "P306")
    assert any(one.verdict == "noted" and one.says.startswith(says) for one in found), [one.says for one in found]


def test_a_limit_of_the_whole_conversation_is_no_way_to_a_person() -> None:
    """It comes after 10,000 messages; a limit of the turn is a last resort, and told as that."""
    desk = "otherwise, desk,   OR-6]"
    text = MENDED.replace(desk, desk.replace("desk,  ", "closed,"))
    (finding,) = answer(text.replace("[any, limit,       otherwise, closed,", "[any, limit, otherwise, desk,"), "P307")
    assert finding.verdict == "proved"
    assert finding.says == (
        "A person is reachable from every automated decision; from 'asking', 'invoices', 'paying' only once a limit "
        "of a "
        "turn is met."
    )
    only = text.replace("[any, limit, ", "[more, limit, otherwise, desk, OR-6]\n  - [any, limit, ")
    (finding,) = answer(only, "P307")
    assert finding.verdict == "refuted"
    assert finding.says == (
        "From the automated decision in 'asking' no person can be reached any more, but by a limit of the whole "
        "conversation."
    )


def test_an_approval_must_be_of_what_the_tool_is_given() -> None:
    """What two people approve without seeing the amount approves no payment of it; bound to the call, it does."""
    other = reviewed(bound=False).replace("shows: [amount]", "shows: [next]")
    (finding,) = answer(other, "P323")
    assert finding.verdict == "refuted"
    assert finding.says == (
        "'pay_back' is reached with an approval of something else: what is approved in 'review' is not bound to the "
        "call in 'paying', and it does not show 'amount', which the tool is given."
    )
    assert finding.fix == "Name 'review' under `approval` of 'paying', or show 'amount' there."


def test_an_approval_is_used_once() -> None:
    """A row that calls again after a timeout needs another approval."""
    again = reviewed(bound=False).replace(
        "  - [more,     message,",
        "  - [paying, timeout, 'visits_at_most(paying, 3)', paying, OR-9]\n"
        "  - [paying, timeout, otherwise, desk, OR-9]\n  - [more,     message,",
    )
    (finding,) = answer(again, "P323")
    assert finding.verdict == "refuted"
    assert finding.says == ("'pay_back' is reached again after the approval was used up: one approval is for one call.")
    assert finding.fix == "Lead the way back to 'pay_back' over another approval, or try again with `attempts`."

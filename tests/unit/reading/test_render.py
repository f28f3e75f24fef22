"""What the flow says: templates, stock sentences, values in words."""

from typing import Any

import pytest

from interlock.contracts.errors import CallError, FlowError
from interlock.contracts.facts import Facts, FactType, KnownFact
from interlock.contracts.flow import AgentState, CollectState, FactSpec, FinalState, Flow, HumanState, WaitState
from interlock.contracts.payload import PayloadAt
from interlock.fsm.render import DEFAULT_PHRASES, bound_of, filled, places_in, said, template_of

FLOW = Flow(
    name="refund",
    version=1,
    owner="o",
    initial="w",
    transitions=(),
    phrases={"ended": "Goodbye.", "own": "Ours."},
    facts=(
        FactSpec(name="amount", type="money", ask="How much?", help="A number, please."),
        FactSpec(name="full_name", type="text", says="your {full} name"),
    ),
    states=(
        WaitState(name="w", say="Hello {full_name}", deadline_seconds=9),
        CollectState(name="form", facts=("amount", "full_name"), confirm="{amount}?", deadline_seconds=9),
        CollectState(name="bare", facts=("amount", "full_name"), deadline_seconds=9),
        HumanState(
            name="desk",
            role="clerk",
            decisions=("approve",),
            say="Wait.",
            meanwhile="Still waiting.",
            deadline_seconds=9,
        ),
        HumanState(name="quiet", role="clerk", decisions=("approve",), deadline_seconds=9),
        AgentState(name="helper", agent="a"),
        FinalState(name="end", say="Bye."),
    ),
)


@pytest.mark.parametrize(
    ("text_id", "template"),
    [
        ("state.w", "Hello {full_name}"),
        ("state.desk", "Wait."),
        ("state.end", "Bye."),
        ("state.helper", ""),
        ("state.form", ""),
        ("meanwhile.desk", "Still waiting."),
        ("meanwhile.quiet", DEFAULT_PHRASES["waiting"]),
        ("confirm.form", "{amount}?"),
        ("confirm.bare", "This is what I have: amount: {amount}, your {{full}} name: {full_name}. Is that right?"),
        ("ask.amount", "How much?"),
        ("again.amount", "A number, please. How much?"),
        ("ask.full_name", "Please tell me your {{full}} name."),
        ("again.full_name", "I am sorry, I did not understand that. Please tell me your {{full}} name."),
        ("phrase.ended", "Goodbye."),
        ("phrase.own", "Ours."),
        ("phrase.too_long", DEFAULT_PHRASES["too_long"]),
    ],
)
def test_every_text_id_has_its_template(text_id: str, template: str) -> None:
    assert template_of(FLOW, text_id) == template
    places_in(template)


@pytest.mark.parametrize(
    ("text_id", "message"),
    [
        ("state.nowhere", "Flow 'refund' has no state 'nowhere'. Fix: Name one of 'w', 'form', 'bare', 'desk', "),
        ("ask.age", "Flow 'refund' has no fact 'age'. Fix: Name one of 'amount', 'full_name'."),
        ("phrase.no_such", "There is no text 'phrase.no_such' in flow 'refund'."),
        ("", "There is no text '' in flow 'refund'."),
    ],
)
def test_an_unknown_text_id_says_what_there_is(text_id: str, message: str) -> None:
    with pytest.raises(CallError) as raised:
        template_of(FLOW, text_id)
    assert str(raised.value).startswith(message)


def test_places_are_found_in_order_and_filled() -> None:
    template = "{{{name}}} owes {amount}, {name}; {unknown}."
    assert places_in(template) == ("name", "amount", "name", "unknown")
    assert filled(template, {"name": "{amount}", "amount": "€40.00"}) == "{{amount}} owes €40.00, {amount}; ."


@pytest.mark.parametrize("template", ["{", "}", "a {b c}", "{}", "{1}", "{a", "{a!r}", "{a.b}", "{{}"])
def test_a_stray_brace_is_a_fault_of_the_flow_and_harmless_when_it_runs(template: str) -> None:
    with pytest.raises(FlowError, match="begins or ends no place"):
        places_in(template)
    filled(template, {})


def test_a_stray_brace_is_named_with_its_position() -> None:
    with pytest.raises(FlowError) as raised:
        places_in("pay {amount")
    assert str(raised.value) == (
        "A '{' at character 5 of 'pay {amount' begins or ends no place. "
        "Fix: Write {name} for a place, and {{ or }} for a brace."
    )


@pytest.mark.parametrize(
    ("kind", "value", "currency", "words"),
    [
        ("money", 4000, "EUR", "€40.00"),
        ("money", 123456789, "USD", "$1,234,567.89"),
        ("money", -5, "GBP", "-£0.05"),
        ("money", 1000, "JPY", "¥1,000"),
        ("money", 1234, "KWD", "KWD 1.234"),
        ("money", 100, "CHF", "CHF 1.00"),
        ("date", "2026-03-03", "EUR", "3 March 2026"),
        ("date", "soon", "EUR", "soon"),
        ("choice", "basic_economy", "EUR", "basic economy"),
        ("yes_no", True, "EUR", "yes"),
        ("yes_no", False, "EUR", "no"),
        ("integer", 1000, "EUR", "1000"),
        ("text", "Ana", "EUR", "Ana"),
        ("money", "x", "EUR", "x"),
        ("money", True, "EUR", "True"),
    ],
)
def test_values_are_said_in_words(kind: FactType, value: Any, currency: str, words: str) -> None:
    assert said(FactSpec(name="it", type=kind), value, currency) == words


def test_the_bound_counts_a_sealed_text_by_its_length_or_by_its_erasure() -> None:
    sealed = PayloadAt(version=1, name="fact_name")
    facts = Facts(
        known_facts={
            "long": KnownFact(name="long", sealed=sealed, length=90),
            "short": KnownFact(name="short", sealed=sealed, length=1),
        }
    )
    assert [bound_of(one, facts) for one in ("é{{", "{long}", "{short}", "{unknown}")] == [3, 90, 8, 40]

"""Where the next issue may lead, what it is called to the customer, and how sure a route was."""

from pathlib import Path

import pytest

from interlock.contracts.errors import FlowError
from interlock.contracts.facts import Facts
from interlock.contracts.routing import RoutingDecision, RoutingEvidence, Score
from interlock.examples.patterns import router
from interlock.fsm.guards import confidence_below
from interlock.fsm.labelling import contract_of
from interlock.fsm.load import read_flow
from interlock.fsm.render import template_of
from interlock.fsm.routes import confidence_of

FOLDER = Path(router.__file__).parent
TEXT = (FOLDER / "router.yaml").read_text("utf-8")
OTHER = """  other:
    labels: {refund: a refund}
    rules: [{label: refund, any: [refund]}]
states:
  third:    {kind: route, router: other}
"""
ROWS = """transitions:
  - [third,    refund,      otherwise,              money,    RT-2]
"""


def loaded(text: str = TEXT) -> object:
    return read_flow(text, router.code, folder_reader=lambda name: (FOLDER / name).read_bytes()).flow


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("desk", "The next issue goes to 'desk', which is no route state. Fix: Go to the route state that decided"),
        ("third", "The router of 'third' does not know 'delivery', 'billing', 'account', 'person', which may wait."),
    ],
)
def test_the_next_issue_goes_where_every_label_is_known(target: str, said: str) -> None:
    """Else it would be announced, and then lost or asked about."""
    text = TEXT.replace("next_issue,  otherwise,              triage,", f"next_issue,  otherwise, {target},")
    text = text.replace("states:\n", OTHER, 1).replace("transitions:\n", ROWS, 1)
    with pytest.raises(FlowError) as refused:
        loaded(text)
    assert any(said in str(fault) for fault in refused.value.faults if fault.code == "S214")


def test_an_input_cannot_have_the_name_of_the_outcome() -> None:
    """Only where the state takes issues up: elsewhere the name is as good as any."""
    with pytest.raises(FlowError, match="has 1 fault") as refused:
        loaded(TEXT.replace("next_issue: true,", "next_issue: true, inputs: [next_issue],"))
    assert refused.value.faults[0].code == "S103"


def test_labels_are_announced_in_the_router_s_words() -> None:
    """What was not clear enough for a label is something else; braces in words stay braces."""
    flow = loaded()
    assert template_of(flow, "next_issue.billing") == "You also asked about an invoice."  # type: ignore[arg-type]
    assert template_of(flow, "next_issue.unsure") == "You also asked about something else."  # type: ignore[arg-type]
    dropped = template_of(flow, "issues_dropped.billing.account")  # type: ignore[arg-type]
    assert dropped == "For an invoice and your account, please write to us again."


def test_the_contract_of_a_label_is_the_enum_of_the_labels() -> None:
    """With their meanings in its description, and nothing else allowed."""
    flow = loaded()
    schema = contract_of(flow.routers[0]).model_json_schema()  # type: ignore[attr-defined]
    label = schema["properties"]["label"]
    assert label["enum"] == ["delivery", "refund", "billing", "account", "person", "unsure"]
    assert "billing: an invoice" in label["description"]
    assert (schema["additionalProperties"], schema["required"]) == (False, ["label"])


@pytest.mark.parametrize(
    ("stage", "outcome", "sure"),
    [
        ("rules", "a", 1_000_000),
        ("picked", "a", 1_000_000),
        ("classifier", "a", 700_000),
        ("model", "b", 200_000),
        ("model", "c", 700_000),
        ("none", "unsure", 700_000),
    ],
)
def test_how_sure_a_route_is(stage: str, outcome: str, sure: int) -> None:
    """The score of the label that was taken; of the best one where that has none."""
    scores = (Score(label="a", score="0.700000"), Score(label="b", score="0.200000"))
    decision = RoutingDecision.model_validate({"outcome": outcome, "stage": stage, "verdicts": ()})
    assert confidence_of(decision, RoutingEvidence(scores=scores)) == sure


def test_the_guard_asks_how_sure_the_last_route_was() -> None:
    """Before the first route it holds for nothing, as no built-in guard holds of what is unknown."""
    ask = confidence_below.function
    assert ask(Facts(confidence=599_999), 60)
    assert not ask(Facts(confidence=600_000), 60)
    assert not ask(Facts(), 60)

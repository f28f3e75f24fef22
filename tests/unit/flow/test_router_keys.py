"""Every key of a router: read from YAML, written back to the same, said in English; and absent where it is not used."""

from dataclasses import replace

from interlock.contracts.canonical import canonical
from interlock.contracts.flow import RoutingCosts, RuleSpec
from interlock.fsm.describe import described
from interlock.fsm.written import written_yaml
from support.returns import RETURNS_CODE, YAML, Trained, returns

KEYS = """threshold: "0.55"
    thresholds: {question: "0.7"}
    costs: {escalation: "4.00", misroute: "20.00", labels: {return_it: "80.50"}}
    escalations:
      - {label: question, any: [my lawyer], patterns: ["\\\\bsue\\\\b"]}
    agent: adviser
    sticky: true
    several: true
    notice: "0.25"
"""
FULL = (
    YAML.replace('threshold: "0.55"\n', KEYS)
    .replace('say: "How can I help?",', 'say: "How can I help?", next_issue: true,')
    .replace("transitions:\n", "transitions:\n  - [greeting, next_issue, otherwise, triage, SH-1]\n")
)


def test_a_router_with_every_key_is_read():
    """Money in minor units, scores with six decimals."""
    router = returns(FULL).flow.routers[0]
    assert router.thresholds == {"question": "0.700000"}
    assert router.costs == RoutingCosts(escalation=400, misroute=2_000, labels={"return_it": 8_050})
    assert router.escalations == (RuleSpec(label="question", any=("my lawyer",), patterns=(r"\bsue\b",)),)
    assert (router.agent, router.sticky, router.several, router.notice) == ("adviser", True, True, "0.250000")


def test_it_is_written_back_to_the_same_flow():
    """The same model and the same digest."""
    flow = returns(FULL).flow
    again = returns(written_yaml(flow)).flow
    assert again == flow
    assert again.digest == flow.digest != returns(YAML).flow.digest


def test_it_is_said_in_english():
    """What an owner reads before signing."""
    said = described(returns(FULL).flow)
    for words in (
        "before all rules, 1 escalation to question, in scope or not",
        "thresholds of their own: question 0.7",
        "a wrong route costs EUR 20 and 80.5 for return_it, passing on 4, and thresholds follow from that",
        "where it is unsure, adviser is asked for a label",
        "what stays unclear stays with the label that has the conversation",
        "several issues in a message are handled in turn, and asked about from 0.25",
    ):
        assert words in said, words


def test_what_a_router_does_not_use_is_in_no_byte():
    """Digests of flows written before stay."""
    written = canonical(returns(YAML).flow.written()).decode()
    for key in ("escalations", "thresholds", "costs", "sticky", "several", "notice", "screen_classifier"):
        assert f'"{key}"' not in written


def test_a_screening_classifier_is_read_by_its_file():
    """Its digest becomes part of the flow, and it must know attacks."""
    knowing = Trained()
    knowing.labels = ("attack", "question")
    code = replace(RETURNS_CODE, classifiers={Trained.digest: knowing})
    text = YAML.replace("    classifier: router.json\n", "    screen_classifier: router.json\n")
    flow = returns(text, code).flow
    assert flow.routers[0].screen_classifier == Trained.digest
    assert "the screening classifier router.json blocks from 0.9" in described(flow)
    assert returns(written_yaml(flow), code).flow == flow

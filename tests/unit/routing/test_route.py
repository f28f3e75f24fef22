"""Routing: rules, what a person picks, the order of the stages, and the faults of a router."""

import pytest

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import RouterSpec, RuleSpec
from interlock.contracts.routing import RoutingEvidence, RuleHit, Score, ScreenVerdict
from interlock.fsm.picking import picked_from
from interlock.fsm.route import choose, evidence
from interlock.fsm.rules import rule_hits

SPEC = RouterSpec(
    name="triage",
    labels={
        "card": "a card you have or ordered",
        "lost_card": "a lost or stolen card",
        "transfer": "a transfer",
        "refund": "a refund",
    },
    rules=(
        RuleSpec(
            label="lost_card", any=("lost my card", "don't have my card"), patterns=(r"card (was|is) (lost|stolen)",)
        ),
        RuleSpec(label="refund", any=("money back", "straße")),
    ),
    threshold="0.600000",
    margin="0.100000",
    scope="0.300000",
)


def scores(**by_label: str) -> tuple[Score, ...]:
    return tuple(Score(label=label, score=score) for label, score in by_label.items())


class Fixed:
    """A classifier that always says the same."""

    digest = "c" * 64
    labels: tuple[str, ...] = ("card", "transfer")

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        return (("card", 0.7), ("transfer", 0.3)), 0.9


# -- rules


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("I LOST  my\ncard", ["lost_card"]),
        ("I lost my cards", []),
        ("I don\u2019t have my card", ["lost_card"]),
        ("the Card Was Stolen!", ["lost_card"]),
        ("lost my card and want my money back", ["lost_card", "refund"]),
        ("STRASSE", ["refund"]),
        ("xmoney back", []),
        ("", []),
    ],
)
def test_phrases_match_whole_words_in_any_case(text: str, labels: list[str]):
    """Spacing, case and the kind of apostrophe are ignored; a part of a word is no match."""
    assert [hit.label for hit in rule_hits(SPEC.rules, text)] == labels


def test_a_hit_names_the_phrase_of_the_flow_and_no_word_of_the_person():
    """So that it may stand in the log."""
    assert rule_hits(SPEC.rules, "i LOST   MY card") == (RuleHit(label="lost_card", rule="lost my card"),)


# -- evidence


def test_evidence_holds_scores_with_six_decimals_and_the_artefact():
    """No float stands in it."""
    taken = evidence(SPEC, "hello", classifier=Fixed())
    assert taken.scores == scores(card="0.700000", transfer="0.300000")
    assert (taken.scope, taken.artefact, taken.picked) == ("0.900000", "c" * 64, None)


def test_a_blocked_message_is_measured_no_further():
    """Neither rules nor classifier see it."""
    taken = evidence(SPEC, "lost my card \0", classifier=Fixed(), candidates=("card",))
    assert taken == RoutingEvidence(screen=taken.screen)
    assert choose(SPEC, taken).outcome == "blocked"


def test_a_message_that_is_too_long_is_not_measured_even_without_screening():
    """And so it is unsure: nothing is cut off in silence."""
    bare = SPEC.changed(screen=())
    taken = evidence(bare, "lost my card " * 1_000, classifier=Fixed())
    assert taken == RoutingEvidence()
    assert choose(bare, taken).outcome == "unsure"


# -- what the person picked

TWO = ("card", "transfer")


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("the first", "card"),
        ("First one please", "card"),
        ("1", "card"),
        ("1.", "card"),
        ("A", "card"),
        ("a)", "card"),
        ("option b", "transfer"),
        ("#2", "transfer"),
        ("the second one", "transfer"),
        ("2nd", "transfer"),
        ("the latter", "transfer"),
        ("the former please", "card"),
        ("number one", "card"),
        ("the last one", "transfer"),
        ("I think it's the first one, thanks", "card"),
        ("transfer", "transfer"),
        ("it's about the transfer", "transfer"),
        ("the card", "card"),
        ("a card I ordered", "card"),
        ("the first one, my card never came", "card"),
        ("the third", None),
        ("3", None),
        ("yes", None),
        ("no", None),
        ("neither", None),
        ("both", None),
        ("not the first", None),
        ("card or transfer", None),
        ("first of all, you are slow", None),
        ("", None),
        ("something else", None),
        ("what?", None),
        ("my balance", None),
        ("it is a long story about a transfer that I made to somebody in another country", None),
    ],
)
def test_what_a_person_picks_from_a_clarifying_question(text: str, picked: str | None):
    """Only what says so plainly; anything else is a message like any other."""
    assert picked_from(SPEC, text, TWO) == picked


def test_a_label_that_contains_another_is_told_apart():
    """`lost card` is not `card`."""
    assert picked_from(SPEC, "the lost card", ("card", "lost_card")) == "lost_card"
    assert picked_from(SPEC, "card", ("card", "lost_card")) == "card"


def test_yes_picks_an_only_candidate():
    """With two, it says nothing."""
    assert picked_from(SPEC, "yes", ("card",)) == "card"


def test_nothing_is_picked_without_a_question():
    """`1` alone is no answer."""
    assert picked_from(SPEC, "1", ()) is None


# -- the decision

HIT = RuleHit(label="lost_card", rule="lost my card")


@pytest.mark.parametrize(
    ("taken", "outcome", "stage", "said"),
    [
        (RoutingEvidence(), "unsure", "none", "no scores"),
        (
            RoutingEvidence(screen=(ScreenVerdict(rule="size", blocked=True),), picked="card"),
            "blocked",
            "screen",
            "blocked by size",
        ),
        (RoutingEvidence(picked="card", rules=(HIT,)), "card", "picked", "picked by the person"),
        (RoutingEvidence(rules=(HIT, HIT)), "lost_card", "rules", "every rule that matched agrees"),
        (
            RoutingEvidence(rules=(HIT, RuleHit(label="refund", rule="money back"))),
            "unsure",
            "rules",
            "rules of different labels matched",
        ),
        (
            RoutingEvidence(rules=(HIT,), scope="0.299999"),
            "unsure",
            "rules",
            "a rule matched a message that is out of scope",
        ),
        (RoutingEvidence(rules=(HIT,), scope="0.300000"), "lost_card", "rules", "every rule that matched agrees"),
        (
            RoutingEvidence(scores=scores(card="0.600000", refund="0.400000"), scope="0.300000"),
            "card",
            "classifier",
            "above scope, threshold and margin",
        ),
        (RoutingEvidence(scores=scores(card="0.599999"), scope="0.900000"), "unsure", "none", "below the threshold"),
        (
            RoutingEvidence(scores=scores(card="0.700000", refund="0.600001")),
            "unsure",
            "none",
            "the two best are too close",
        ),
        (RoutingEvidence(scores=scores(card="0.999999"), scope="0.299999"), "unsure", "none", "out of scope"),
        (
            RoutingEvidence(scores=scores(other="0.999999")),
            "unsure",
            "none",
            "the best label is no label of this router",
        ),
    ],
)
def test_the_stages_in_their_order(taken: RoutingEvidence, outcome: str, stage: str, said: str):
    """Each stage decides what it can, and says what it found in a fixed phrase."""
    decision = choose(SPEC, taken)
    assert (decision.outcome, decision.stage) == (outcome, stage)
    assert said in [verdict.said for verdict in decision.verdicts]


def test_unsure_offers_the_two_best():
    """For the clarifying question: what rules found comes first."""
    taken = RoutingEvidence(
        rules=(HIT, RuleHit(label="refund", rule="money back")), scores=scores(card="0.500000", transfer="0.400000")
    )
    assert choose(SPEC, taken).candidates == ("lost_card", "refund")
    assert choose(SPEC, taken.changed(rules=())).candidates == ("card", "transfer")


def test_scores_of_another_table_are_not_used():
    """The flow names its classifier by digest."""
    pinned = SPEC.changed(classifier="a" * 64)
    taken = RoutingEvidence(scores=scores(card="0.900000"), scope="0.900000", artefact="b" * 64)
    decision = choose(pinned, taken)
    assert decision.outcome == "unsure"
    assert decision.verdicts[-1].said == "scored by another classifier than the flow's"


# -- faults


def test_a_pattern_that_is_none_is_said_where_it_is_used():
    """Loading finds it first; without loading, the call says so."""
    with pytest.raises(FlowError, match="is not a regular expression"):
        rule_hits((RuleSpec(label="card", patterns=("(",)),), "text")
